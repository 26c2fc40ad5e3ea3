"""The strategy engine for an engine, a notebook or a script: no database, no clock, Decimal in and out."""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from apex_pipeline.domain.models import OptionRight
from apex_pipeline.domain.strategies.classify import CLASSIFIER_VERSION, Classified, classify
from apex_pipeline.domain.strategies.holdings import STOCK, Term
from apex_pipeline.domain.strategies.legs import ClassifiableOrder, Correction, PositionChange
from apex_pipeline.domain.strategies.order_file import classify_file
from apex_pipeline.domain.strategies.positions import partition_positions
from apex_pipeline.domain.strategies.shapes import RIGHTS, ShapeLeg, name_shape
from apex_pipeline.domain.strategies.taxonomy import Shape, StrategyType, strategy_ids, taxonomy

_USUAL_LOT = Decimal(100)
_STRIKE_SCALE = 100_000

Key = tuple[OptionRight | None, Decimal | None, date | None, Decimal]
"""Right, strike, expiry, lot: what makes two rows one contract."""


class PositionRow(NamedTuple):
    """One contract of a book; any tuple of these five values will do.

    `right` is C or P, None for stock. `qty` is signed: contracts of an option, shares of stock. `lot`: units of
    the underlying per contract, on stock of no meaning.
    """

    right: OptionRight | str | None
    strike: Decimal | int | str | None
    expiry: date | None
    qty: Decimal | int | str
    lot: Decimal | int | str = _USUAL_LOT


class NamedPositions(NamedTuple):
    """Some positions under one name; None where nothing has a name for them."""

    strategy_type: StrategyType | None
    units: int
    legs: tuple[PositionRow, ...]


@dataclass(frozen=True, slots=True)
class StrategyName:
    """How a type is called: by us, and by each source that has a word for it. `family` is None for a context type."""

    strategy_type: StrategyType
    name: str
    family: str | None
    aliases: Mapping[str, str]

    def by(self, source: str) -> str:
        """The name that a source such as OIC, LEAN or Futu gives it, else ours."""
        return self.aliases.get(source, self.name)


class StrategyClassifierV1:
    """Orders to the trade ideas that they belonged to, legs and positions to their names.

    >>> engine = StrategyClassifierV1()
    >>> may = date(2026, 5, 15)
    >>> book = [("P", 90, may, 2), ("P", 95, may, -2), ("C", 105, may, -2), ("C", 110, may, 2), (None, None, None, 50)]
    >>> [(str(group.strategy_type), group.units) for group in engine.partition_positions(book)]
    [('IRON_CONDOR', 2), ('LONG_STOCK', 1)]
    >>> bought = ShapeLeg(Decimal(1), OptionRight.CALL, Decimal(100), may)
    >>> sold = ShapeLeg(Decimal(-1), OptionRight.CALL, Decimal(105), may)
    >>> print(engine.name([bought, sold]))
    BULL_CALL_SPREAD
    >>> engine.types()[StrategyType("BULL_CALL_SPREAD")].by("tastytrade")
    'Long Call Vertical'
    """

    version = CLASSIFIER_VERSION

    def classify(
        self,
        orders: Iterable[ClassifiableOrder],
        changes: Iterable[PositionChange] = (),
        corrections: Iterable[Correction] = (),
        spots: Mapping[str, Mapping[date, Decimal]] | None = None,
        told: Container[tuple[str, str]] | None = None,
    ) -> Classified:
        """The strategies of these orders, as rows of `order_strategy_map`, and what they hold at the end.

        `changes` are positions from before the first order and book entries since; `corrections` hold whatever
        is found. `spots`: prices of the underlying by symbol and exchange date, where they are known. `told`: the
        (broker, account) of which `changes` tells everything held before; without it, those with any.
        """
        days = {
            symbol: {day.toordinal(): float(price) for day, price in prices.items()}
            for symbol, prices in (spots or {}).items()
        }
        return classify(orders, changes, corrections, days, told)

    def classify_file(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """What `apex classify` writes for this content of a file; ValueError names the first row that is wrong."""
        return classify_file(content)

    def name(self, legs: Iterable[ShapeLeg]) -> StrategyType | None:
        """The shape that these legs are by structure alone; None where none is. Stock counts lots of the option."""
        match = name_shape(legs)
        return None if match is None else StrategyType(match.shape.id)

    def partition_positions(self, rows: Iterable[tuple[Any, ...]]) -> list[NamedPositions]:
        """A book of one underlying as the strategies that it most likely is; every quantity is kept.

        Rows of one contract are added up, and their order does not matter. ValueError for a row that is no position.
        """
        book = _Book(PositionRow(*row) for row in rows)
        return [
            NamedPositions(
                None if group.strategy_type is None else StrategyType(group.strategy_type),
                group.units,
                tuple(book.row(number, qty) for number, qty in group.legs.items()),
            )
            for group in partition_positions(book.positions, book.terms)
        ]

    def types(self) -> dict[StrategyType, StrategyName]:
        """Every type with its names; the values of the enumeration are what the tables hold."""
        shapes = taxonomy().shapes
        return {StrategyType(name): _named(name, shapes.get(name)) for name in sorted(strategy_ids())}


def _named(strategy_type: str, known: Shape | None) -> StrategyName:
    if known is None:
        return StrategyName(StrategyType(strategy_type), strategy_type.replace("_", " ").title(), None, {})
    return StrategyName(StrategyType(strategy_type), known.name, known.family, known.aliases)


class _Book:
    """Rows of one underlying as the whole numbers that the division works on, and back."""

    def __init__(self, rows: Iterable[PositionRow]) -> None:
        held: defaultdict[Key, Decimal] = defaultdict(Decimal)
        for row in rows:
            key, qty = _read(row)
            held[key] += qty
        lots = Counter(lot for (right, _, _, lot) in held if right is not None)
        self._stock_lot = min(lots, key=lambda lot: (-lots[lot], lot)) if lots else _USUAL_LOT
        values = [value for (_, _, _, lot), qty in held.items() for value in (qty, lot, qty * lot)]
        self._scale = 10 ** max((_places(value) for value in [*values, self._stock_lot]), default=0)
        self._keys = list(held)
        self.terms = [self._term(key) for key in self._keys]
        self.positions = {number: int(held[key] * self._unit(key)) for number, key in enumerate(self._keys)}

    def row(self, number: int, qty: int) -> PositionRow:
        """A quantity of a contract, in contracts or shares."""
        key = self._keys[number]
        right, strike, expiry, lot = key
        return PositionRow(right, strike, expiry, Decimal(qty) / self._unit(key), lot)

    def _term(self, key: Key) -> Term:
        right, strike, expiry, lot = key
        if right is None or strike is None or expiry is None:
            return Term("stock", STOCK, lot=int(self._stock_lot * self._scale))
        symbol = f"{expiry} {right} {strike} x{lot}"
        return Term(symbol, RIGHTS[right], int(strike * _STRIKE_SCALE), expiry.toordinal(), int(self._unit(key)))

    def _unit(self, key: Key) -> Decimal:
        """Units of the division per contract or share."""
        return (key[3] if key[0] is not None else Decimal(1)) * self._scale


def _read(row: PositionRow) -> tuple[Key, Decimal]:
    """A row as its contract and quantity; ValueError for one that is no position."""
    qty, lot = _number("qty", row.qty), _number("lot", row.lot)
    if row.right is None:
        if row.strike is not None or row.expiry is not None:
            raise ValueError("a row without a right is stock and has neither strike nor expiry")
        return (None, None, None, Decimal(1)), qty
    if row.strike is None or not isinstance(row.expiry, date) or lot <= 0:
        raise ValueError("an option needs its strike, its expiry as a date and a lot above zero")
    return (OptionRight(row.right), _number("strike", row.strike), row.expiry, lot), qty


def _number(column: str, value: Decimal | int | str) -> Decimal:
    """A finite number; ValueError for a float, which no longer knows what was written."""
    try:
        number = Decimal(value) if not isinstance(value, float) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise ValueError(f"{column} must be a Decimal, a whole number or text, not {value!r}")
    return number


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
