"""What the classifier is given: orders, and what else changed positions, told as contracts and signed quantities.

Quantities are signed here: positive bought or long, negative sold or short.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.models import AssetClass, Broker, Instrument, OptionRight, Order, OrderStatus, Side, Trade
from apex_pipeline.domain.strategies.shapes import ShapeLeg

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
class GroupLeg:
    """One contract of a group of orders: what was filled and what was ordered, both signed."""

    contract: Contract
    qty: Decimal
    ordered: Decimal
    effect: str | None


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
    )


def group_legs(orders: Iterable[ClassifiableOrder]) -> list[GroupLeg]:
    """The orders' legs added up per contract, sorted by symbol; what nets to nothing in fills and orders is left out.

    `effect` is the broker's own OPEN or CLOSE where all orders of the contract agree.
    """
    contracts: dict[str, Contract] = {}
    filled: defaultdict[str, Decimal] = defaultdict(Decimal)
    ordered: defaultdict[str, Decimal] = defaultdict(Decimal)
    effects: defaultdict[str, set[str | None]] = defaultdict(set)
    for order in orders:
        for contract, qty in order.changes(order.qty or order.filled_qty):
            contracts[contract.symbol] = contract
            ordered[contract.symbol] += qty
            effects[contract.symbol].add(_effect(order.position_effect))
        for contract, qty in order.changes(order.filled_qty):
            filled[contract.symbol] += qty
    return [
        GroupLeg(contract, filled[symbol], ordered[symbol], _agreed(effects[symbol]))
        for symbol, contract in sorted(contracts.items())
        if filled[symbol] or ordered[symbol]
    ]


def shape_legs(changes: Sequence[tuple[Contract, Decimal]]) -> list[ShapeLeg] | None:
    """Contracts with signed quantities as legs to be named; None when no shape can speak of them together.

    That is so for asset classes outside the catalogue, unknown terms, option classes of different
    multipliers, and two classes that differ only by name (SPX and SPXW of one date).
    """
    options = [(contract, qty) for contract, qty in changes if contract.asset_class in OPTIONS]
    others = [(contract, qty) for contract, qty in changes if contract.asset_class not in OPTIONS]
    terms = {(contract.option_right, contract.strike, contract.expiry) for contract, _ in options}
    if not all(contract.is_named_option for contract, _ in options) or len(terms) < len(options):
        return None
    lots = _lot_sizes(options)
    if len(lots) > 1 or len({contract.symbol for contract, _ in others}) > 1:
        return None
    if any(contract.asset_class not in _deliverable(options) for contract, _ in others):
        return None
    lot = next(iter(lots), Decimal(1))
    if lot is None and others:
        return None
    named = [ShapeLeg(qty, contract.option_right, contract.strike, contract.expiry) for contract, qty in options]
    return [*named, *(ShapeLeg(qty / (lot or Decimal(1))) for _, qty in others)]


def _lot_sizes(options: Sequence[tuple[Contract, Decimal]]) -> set[Decimal | None]:
    """Units of the underlying per option contract; a futures option delivers one future."""
    return {
        Decimal(1) if contract.asset_class is AssetClass.FUTURE_OPTION else contract.multiplier
        for contract, _ in options
    }


def _deliverable(options: Sequence[tuple[Contract, Decimal]]) -> frozenset[AssetClass]:
    """Asset classes that can be the stock leg beside these options."""
    if any(contract.asset_class is AssetClass.FUTURE_OPTION for contract, _ in options):
        return FUTURES
    return STOCKS


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


def _effect(text: str | None) -> str | None:
    return text if text in ("OPEN", "CLOSE") else None


def _agreed(effects: set[str | None]) -> str | None:
    return next(iter(effects)) if len(effects) == 1 else None


def position_change(trade: Trade, instruments: Mapping[str, Instrument]) -> PositionChange:
    """The change of position that a book entry (expiry, assignment, exercise) made."""
    contract = _contract(trade.symbol, instruments, trade.underlying, trade.asset_class, trade.multiplier)
    return PositionChange(trade.broker, trade.account_id, contract, _signed(trade.side, trade.qty), trade.executed_at)
