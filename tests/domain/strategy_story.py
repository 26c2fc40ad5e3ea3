"""A small book of strategies written down by hand: what the tables of strategies are told from."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.models import AssetClass, Broker, OptionRight, Side, TradeKind
from apex_pipeline.domain.strategies.members import Charge, Family, Fill, Gain, Member

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
EXPIRY, LATER = date(2026, 3, 20), date(2026, 4, 17)
STOCK = "US.KO"
C, P = OptionRight.CALL, OptionRight.PUT


def option(right: OptionRight, strike: int | str, expiry: date = EXPIRY) -> str:
    """The symbol of an option, which says all its terms."""
    return f"{STOCK} {expiry} {right.value} {strike}"


def at(day: int, seconds: float = 0) -> datetime:
    """An instant so many days after the start."""
    return START + timedelta(days=day, seconds=seconds)


@dataclass
class Story:
    """Facts of one account and underlying; `family` is what they make."""

    members: list[Member] = field(default_factory=list[Member])
    fills: list[Fill] = field(default_factory=list[Fill])
    entries: list[Fill] = field(default_factory=list[Fill])
    charges: list[Charge] = field(default_factory=list[Charge])
    gains: list[Gain] = field(default_factory=list[Gain])

    @property
    def family(self) -> Family:
        return Family(Broker.IB, "U1", STOCK, self.members, self.fills, self.entries, self.charges, self.gains)

    def strategy(
        self,
        uid: str,
        kind: str,
        legs: Iterable[tuple[str, int, str]],
        day: int,
        *,
        chain: str | None = "",
        **told: Any,
    ) -> None:
        """One order a leg: symbol, signed quantity, price. `chain` is the strategy itself unless told otherwise."""
        action = told.pop("action", "OPEN")
        for number, (symbol, qty, price) in enumerate(legs):
            order = f"{uid}{number}"
            self.fill(order, symbol, qty, price, at(day, number), order_uid=order)
            self.charges.append(Charge(order, STOCK, "USD", Decimal(1)))
            self.member(order, uid, kind, action, qty, at(day).date(), uid if chain == "" else chain, **told)

    def member(
        self, order: str, uid: str, kind: str, action: str, qty: int, day: date, chain: str | None, **told: Any
    ) -> None:
        usual: dict[str, Any] = {
            "sub_type": None,
            "resulting_type": kind if action == "OPEN" else None,
            "leg_role": "LEG",
            "confidence": Decimal("0.94"),
            "method": "partition",
            "evidence": {},
            "alternatives": [],
        }
        self.members.append(
            Member(
                order_uid=order,
                strategy_uid=uid,
                family=STOCK,
                strategy_type=kind,
                action=action,
                qty_in_strategy=Decimal(abs(qty)),
                chain_uid=chain,
                trade_date=day,
                **(usual | told),
            )
        )

    def fill(self, uid: str, symbol: str, qty: int | str, price: str | None, moment: datetime, **changes: Any) -> Fill:
        """A fill of an order if told which, else a book entry."""
        _, *terms = symbol.split(" ")
        signed = Decimal(qty)
        usual: dict[str, Any] = {
            "order_uid": None,
            "kind": TradeKind.TRADE,
            "asset_class": AssetClass.OPTION if terms else AssetClass.STOCK,
            "multiplier": Decimal(100 if terms else 1),
            "link_id": None,
            "currency": "USD",
        }
        made = Fill(
            trade_uid=f"T{uid}",
            family=STOCK,
            symbol=symbol,
            side=Side.BUY if signed > 0 else Side.SELL,
            qty=abs(signed),
            price=None if price is None else Decimal(price),
            executed_at=moment,
            trade_date=moment.date(),
            expiry=date.fromisoformat(terms[0]) if terms else None,
            option_right=OptionRight(terms[1]) if terms else None,
            strike=Decimal(terms[2]) if terms else None,
            **(usual | changes),
        )
        (self.fills if made.order_uid else self.entries).append(made)
        return made

    def expire(self, uid: str, symbol: str, qty: int, day: int) -> None:
        """The broker's entry that an option expired; `qty` is the change of position."""
        self.fill(uid, symbol, qty, "0", at(day, 3600), kind=TradeKind.EXPIRATION)

    def deliver(self, uid: str, symbol: str, qty: int, shares: int, day: int, kind: str = "ASSIGNMENT") -> None:
        """An option that ended and the shares that it moved, linked: trades `T<uid>` and `T<uid>S`."""
        strike = symbol.rpartition(" ")[2]
        linked: dict[str, Any] = {"kind": TradeKind(kind), "link_id": uid}
        self.fill(uid, symbol, qty, "0", at(day, 3600), **linked)
        self.fill(f"{uid}S", STOCK, shares, strike, at(day, 3600), **linked)

    def gain(self, opened: str | None, closed: str, amount: str | None, currency: str = "USD") -> None:
        """A piece of a lot: the uids are those of orders and entries."""
        uid = f"R{len(self.gains)}"
        realized = None if amount is None else Decimal(amount)
        open_uid = None if opened is None else f"T{opened}"
        self.gains.append(Gain(uid, STOCK, open_uid, f"T{closed}", realized, currency, START.date()))
