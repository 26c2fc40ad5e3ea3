"""What the classifier is given: orders, and what else changed positions, told as contracts and signed quantities.

Quantities are signed here: positive bought or long, negative sold or short.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.models import AssetClass, Broker, Instrument, OptionRight, Order, OrderStatus, Side

OPTIONS = frozenset({AssetClass.OPTION, AssetClass.FUTURE_OPTION})
STOCKS = frozenset({AssetClass.STOCK, AssetClass.FUND})
FUTURES = frozenset({AssetClass.FUTURE})


@dataclass(frozen=True, slots=True)
class Contract:
    """One tradable thing by its canonical symbol, with the terms that shapes speak of."""

    symbol: str
    underlying: str | None
    asset_class: AssetClass
    option_right: OptionRight | None = None
    strike: Decimal | None = None
    expiry: date | None = None
    multiplier: Decimal | None = None

    @property
    def family(self) -> str:
        """The symbol under which contracts may be legs of one strategy: the underlying, else the class."""
        return self.underlying or self.symbol.partition(" ")[0]

    @property
    def is_named_option(self) -> bool:
        """Whether all terms are known that a shape needs."""
        terms = (self.option_right, self.strike, self.expiry)
        return self.asset_class in OPTIONS and None not in terms


@dataclass(frozen=True, slots=True)
class OrderLeg:
    """A leg inside a combination order; `ratio` per unit of the order, in contracts, or shares for stock."""

    contract: Contract
    side: Side
    ratio: Decimal


@dataclass(frozen=True, slots=True)
class ClassifiableOrder:
    """One order as far as its strategy depends on it.

    `at`: the first fill, else the creation; None when the broker told neither (never windowed then).
    `position_effect`: OPEN or CLOSE where the broker says so; anything else leaves it to the replay.
    `combo_id`: orders of one account that share it are one combination by the broker's word.
    `legs`: of a combination that is a single order; empty otherwise.
    """

    order_uid: str
    broker: Broker
    account_id: str
    symbol: str
    underlying: str | None
    asset_class: AssetClass
    option_right: OptionRight | None
    strike: Decimal | None
    expiry: date | None
    multiplier: Decimal | None
    side: Side | None
    qty: Decimal | None
    filled_qty: Decimal | None
    at: datetime | None
    trade_date: date
    position_effect: str | None = None
    combo_id: str | None = None
    legs: tuple[OrderLeg, ...] = ()
    declared_strategy: str | None = None
    avg_price: Decimal | None = None

    @property
    def family(self) -> str:
        """The symbol under which orders may be legs of one strategy; see `Contract.family`."""
        return self.underlying or self.symbol.partition(" ")[0]

    @property
    def filled(self) -> bool:
        """Whether anything was executed."""
        return bool(self.filled_qty)

    @property
    def contract(self) -> Contract:
        """The order's own contract; for a combination the combination itself."""
        return Contract(
            self.symbol,
            self.underlying,
            self.asset_class,
            self.option_right,
            self.strike,
            self.expiry,
            self.multiplier,
        )

    @property
    def sort_key(self) -> tuple[datetime, str]:
        """Time, then identity: a total order that does not depend on the input's."""
        return self.at or datetime.combine(self.trade_date, time.min, UTC), self.order_uid

    def changes(self, qty: Decimal | None) -> list[tuple[Contract, Decimal]]:
        """The signed quantity per contract when `qty` units of this order execute; empty if unknown."""
        if self.legs:
            return [(leg.contract, _signed(leg.side, (qty or Decimal(0)) * leg.ratio)) for leg in self.legs]
        return [] if self.side is None or not qty else [(self.contract, _signed(self.side, qty))]


@dataclass(frozen=True, slots=True)
class PositionChange:
    """A change of position that no order made. `qty` is signed.

    `at` None: the position was there before the first order. Otherwise a book entry of that instant:
    expiry, assignment, exercise, transfer.
    """

    broker: Broker
    account_id: str
    contract: Contract
    qty: Decimal
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """A person's word: these orders are one strategy of this type, and no others belong to it."""

    order_uids: frozenset[str]
    strategy_type: str
    action: str


def classifiable(
    order: Order, instruments: Mapping[str, Instrument], first_fill_at: datetime | None
) -> ClassifiableOrder:
    """The order as the classifier reads it; contract terms come from `instruments`, keyed by symbol.

    A filled order without a filled quantity counts as filled in full.
    """
    filled = order.filled_qty
    if filled is None and order.status is OrderStatus.FILLED:
        filled = order.qty
    own = _contract(order.symbol, instruments, order.underlying, order.asset_class, order.multiplier)
    return ClassifiableOrder(
        order_uid=order.order_uid,
        broker=order.broker,
        account_id=order.account_id,
        symbol=own.symbol,
        underlying=own.underlying,
        asset_class=own.asset_class,
        option_right=own.option_right,
        strike=own.strike,
        expiry=own.expiry,
        multiplier=own.multiplier,
        side=order.side,
        qty=order.qty,
        filled_qty=filled,
        at=first_fill_at or order.created_at,
        trade_date=order.trade_date,
        position_effect=order.position_effect,
        combo_id=order.combo_id,
        legs=tuple(_order_leg(leg, instruments) for leg in order.legs or ()),
        declared_strategy=order.declared_strategy,
        avg_price=order.avg_price,
    )


def _contract(
    symbol: str,
    instruments: Mapping[str, Instrument],
    underlying: str | None,
    asset_class: AssetClass,
    multiplier: Decimal | None,
) -> Contract:
    known = instruments.get(symbol)
    if known is None:
        return Contract(symbol, underlying, asset_class, multiplier=multiplier)
    return Contract(
        symbol,
        known.underlying or underlying,
        known.asset_class,
        known.option_right,
        known.strike,
        known.expiry,
        known.multiplier if known.multiplier is not None else multiplier,
    )


def _order_leg(leg: Mapping[str, Any], instruments: Mapping[str, Instrument]) -> OrderLeg:
    contract = _contract(leg["symbol"], instruments, None, AssetClass.OTHER, None)
    return OrderLeg(contract, Side(leg["side"]), Decimal(str(leg["ratio"])))


def _signed(side: Side, qty: Decimal) -> Decimal:
    return qty if side is Side.BUY else -qty
