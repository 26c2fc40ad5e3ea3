"""A made-up spring of two Futu accounts whose options end in every way, as facts of its own.

Nothing of the program or its simulators is used. What happened is said once, as orders, ends and splits (`Life`); what
an account holds at an instant and at the end of a day follows from it here, what was gained in `futu_endings_ledger`,
and what OpenD tells of it in `futu_endings_wire`.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum

from tests.cli.book_contracts import Contract, Leg, combination, stock
from tests.cli.opend import ZONES

FIRST, LAST = date(2026, 3, 2), date(2026, 4, 24)
"""The first day of the accounts and the one on which they are looked at last."""

DAY = timedelta(days=1)
LOOKED_AT = time(13)
"""The time of day (UTC) at which the accounts are loaded: Hong Kong has closed and New York has not opened."""


class Told(Enum):
    """How the cash flow tells the end of an option. Only `TWO_ROWS` is published, the others are to be expected."""

    TWO_ROWS = "a row that names the option, then one with the money and no words"
    ONE_ROW = "one row with both"
    NEXT_DAY = "both rows on the next business day, naming the day of the end"
    NEXT_DAY_UNDATED = "both rows on the next business day, naming no day"
    MONEY_NEXT_DAY = "the row of the money on the next business day"
    NOTHING = "no row at all"


@dataclass(frozen=True)
class Filled:
    """What an order traded of one contract; `qty` is signed."""

    contract: Contract
    qty: Decimal
    price: Decimal


@dataclass(frozen=True)
class Placed:
    """An order that was filled at once. `sized`: whether its row tells an amount and so the contract's size."""

    account: int
    contract: Contract
    at: datetime
    fills: tuple[Filled, ...]
    fee: Decimal
    sized: bool = True

    @property
    def day(self) -> date:
        """Its date on the exchange."""
        return self.at.astimezone(ZONES[self.contract.market]).date()


@dataclass(frozen=True)
class Ended:
    """Some contracts that were assigned (ASS), exercised (EXE) or expired (EXP). `cash`: what an index option paid."""

    account: int
    contract: Contract
    day: date
    contracts: Decimal
    kind: str
    told: Told
    cash: Decimal | None = None

    @property
    def option_change(self) -> Decimal:
        """What it adds to the position: a short position rises, a long one falls."""
        return self.contracts if self.kind == "ASS" else -self.contracts

    @property
    def shares(self) -> Decimal:
        """Signed shares that it delivers: assigned puts and exercised calls bring them in."""
        comes_in = (self.kind == "ASS") == (self.contract.right == "P")
        return self.contracts * self.contract.size * (1 if comes_in else -1)

    @property
    def delivers(self) -> bool:
        """Whether shares move."""
        return self.cash is None and self.kind != "EXP"

    @property
    def money(self) -> Decimal:
        """Signed cash."""
        assert self.contract.strike is not None
        return self.cash if self.cash is not None else -self.shares * self.contract.strike


@dataclass(frozen=True)
class Split:
    """Each share became `factor` shares before the day began; Futu says it in positions only."""

    account: int
    contract: Contract
    day: date
    factor: Decimal


@dataclass(frozen=True)
class Change:
    """One change of one position: when the broker shows it, and the day to which it belongs.

    `price`: what a unit was bought or sold for, where it was.
    """

    account: int
    contract: Contract
    at: datetime
    day: date
    qty: Decimal
    price: Decimal | None = None


@dataclass
class Life:
    """What happened, in any order."""

    orders: list[Placed] = field(default_factory=list[Placed])
    ends: list[Ended] = field(default_factory=list[Ended])
    splits: list[Split] = field(default_factory=list[Split])

    def trade(
        self,
        account: int,
        contract: Contract,
        day: date,
        qty: int,
        price: str,
        fee: str = "1.03",
        *,
        sized: bool = True,
    ) -> None:
        """An order of one contract, bought where `qty` is positive."""
        filled = Filled(contract, Decimal(qty), Decimal(price))
        self.orders.append(Placed(account, contract, self._at(contract, day), (filled,), Decimal(fee), sized))

    def spread(self, account: int, day: date, legs: list[tuple[Contract, int, str]], strategy: tuple[int, str]) -> None:
        """An order of several legs, whose fee is nothing, so that there is nothing to divide."""
        named = [Leg(contract, 1 if qty > 0 else 3, 1) for contract, qty, _ in legs]
        whole = combination(named, strategy)
        fills = tuple(Filled(contract, Decimal(qty), Decimal(price)) for contract, qty, price in legs)
        self.orders.append(Placed(account, whole, self._at(whole, day), fills, Decimal(0)))

    def end(
        self, account: int, contract: Contract, day: date, contracts: int, kind: str = "ASS",
        told: Told = Told.TWO_ROWS, cash: str | None = None,
    ) -> None:  # fmt: skip
        """Contracts that ended by assignment, exercise or a booked expiry; what is left at the expiry ends unsaid."""
        money = None if cash is None else Decimal(cash)
        self.ends.append(Ended(account, contract, day, Decimal(contracts), kind, told, money))

    def split(self, account: int, contract: Contract, day: date, factor: str) -> None:
        """A split, a bonus or a dividend in shares."""
        self.splits.append(Split(account, contract, day, Decimal(factor)))

    def _at(self, contract: Contract, day: date) -> datetime:
        opened = datetime.combine(day, time(10), ZONES[contract.market]).astimezone(UTC)
        return opened + timedelta(seconds=7 * len(self.orders))

    def changes(self) -> list[Change]:
        """Every change of a position in the order of its day; options are gone after their expiry."""
        told = [*self._dealt(), *self._delivered(), *self._split()]
        return sorted([*told, *_expired(told)], key=lambda one: (one.day, one.at))

    def _dealt(self) -> Iterator[Change]:
        for order in self.orders:
            for fill in order.fills:
                yield Change(order.account, fill.contract, order.at, order.day, fill.qty, fill.price)

    def _delivered(self) -> Iterator[Change]:
        for end in self.ends:
            at = shown_at(end.contract, end.day)
            yield Change(end.account, end.contract, at, end.day, end.option_change)
            if end.delivers:
                yield Change(end.account, stock_of(end.contract), at, end.day, end.shares, end.contract.strike)

    def _split(self) -> Iterator[Change]:
        moved = [*self._dealt(), *self._delivered()]
        for split in self.splits:
            held = sum(one.qty for one in moved if _same(one, split) and one.day < split.day)
            at = datetime.combine(split.day, time(), ZONES[split.contract.market]).astimezone(UTC)
            yield Change(split.account, split.contract, at, split.day, held * (split.factor - 1))


def held_on(changes: list[Change], day: date) -> dict[tuple[int, str], Decimal]:
    """Positions at the end of a day by account and symbol, without those of nothing."""
    return _summed([one for one in changes if one.day <= day])


def held_at(changes: list[Change], at: datetime) -> list[tuple[int, Contract, Decimal]]:
    """Positions as the broker shows them at an instant."""
    shown = [one for one in changes if one.at <= at]
    contracts = {one.contract.symbol: one.contract for one in shown}
    return [(account, contracts[symbol], qty) for (account, symbol), qty in sorted(_summed(shown).items())]


def average_costs(changes: list[Change], at: datetime) -> dict[tuple[int, str], Decimal]:
    """What a unit of each position cost on average as the broker shows it: closing a part changes nothing of it."""
    held: defaultdict[tuple[int, str], Decimal] = defaultdict(Decimal)
    costs: dict[tuple[int, str], Decimal] = {}
    for one in (change for change in changes if change.at <= at):
        key, before = (one.account, one.contract.symbol), held[one.account, one.contract.symbol]
        held[key] = before + one.qty
        if before * held[key] <= 0:
            costs[key] = one.price or Decimal(0)
        elif before * one.qty > 0:
            costs[key] = (costs[key] * before + (one.price or 0) * one.qty) / held[key]
    return costs


def stock_of(option: Contract) -> Contract:
    """The shares that an option delivers, also where no table tells which these are."""
    market, _, code = (option.underlying or f"{option.market}.{UNTABLED_STOCK}").partition(".")
    return stock(market, code)


UNTABLED_STOCK = "00874"


def us_option(root: str, expiry: date, right: str, strike: str, underlying: str | None = None) -> Contract:
    """A US option of 100 shares."""
    code = f"{root}{expiry:%y%m%d}{right}{int(Decimal(strike) * 1000)}"
    symbol = f"US.{root} {expiry} {right} {strike}"
    return Contract(
        "US", code, symbol, "OPTION", underlying or f"US.{root}", 100, plain=True, strike=Decimal(strike),
        expiry=expiry, right=right,
    )  # fmt: skip


def shown_at(contract: Contract, day: date) -> datetime:
    """When the broker shows the end of an option: some hours after the close."""
    return datetime.combine(day, time(22 if contract.market == "US" else 19), ZONES[contract.market]).astimezone(UTC)


def weekdays(first: date, last: date) -> list[date]:
    """Mondays to Fridays."""
    days = [first + DAY * number for number in range((last - first).days + 1)]
    return [day for day in days if day.isoweekday() <= 5]


def next_weekday(day: date) -> date:
    """The first Monday to Friday after a day."""
    return weekdays(day + DAY, day + 4 * DAY)[0]


def _expired(told: list[Change]) -> Iterator[Change]:
    """What is left of options at their expiry."""
    for (account, symbol), qty in sorted(_summed(told).items()):
        contract = next(one.contract for one in told if one.contract.symbol == symbol)
        if contract.expiry is not None and contract.expiry <= LAST:
            yield Change(account, contract, shown_at(contract, contract.expiry), contract.expiry, -qty)


def _summed(changes: list[Change]) -> dict[tuple[int, str], Decimal]:
    sums: defaultdict[tuple[int, str], Decimal] = defaultdict(Decimal)
    for one in changes:
        sums[one.account, one.contract.symbol] += one.qty
    return {key: qty for key, qty in sums.items() if qty}


def _same(change: Change, split: Split) -> bool:
    return (change.account, change.contract.symbol) == (split.account, split.contract.symbol)
