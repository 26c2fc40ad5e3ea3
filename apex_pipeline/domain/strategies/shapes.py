"""Legs to the name of a shape, by structure alone: no time, no price, no position.

Legs are added up per (right, strike, expiry), empty ones dropped, and the rest divided by the greatest
common divisor of option quantities and stock lots; a shape matches when some one-to-one assignment of
its leg patterns satisfies side, ratio and every constraint.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache, lru_cache
from math import gcd

from apex_pipeline.domain.models import OptionRight, Side
from apex_pipeline.domain.strategies.taxonomy import LegPattern, Ratio, Shape, taxonomy


@dataclass(frozen=True, slots=True)
class ShapeLeg:
    """One leg to be named. `qty` is signed: positive bought, negative sold; in contracts.

    Stock has neither right nor strike nor expiry and its `qty` counts lots of the option's multiplier
    (100 US shares are 1), so a fraction of a lot is a fraction here.
    """

    qty: Decimal
    right: OptionRight | None = None
    strike: Decimal | None = None
    expiry: date | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """The name of some legs. `units` is how often the smallest form of the shape fits.

    `rivals` are ids of other shapes that the same legs satisfy, best first: less specific ones, and
    those whose context is not known to hold.
    """

    shape: Shape
    units: int
    rivals: tuple[str, ...]


_Contract = tuple[OptionRight, Decimal, date, int]
_Signature = tuple[int, tuple[tuple[OptionRight, bool], ...]]


def name_shape(legs: Iterable[ShapeLeg], context: frozenset[str] = frozenset()) -> Match | None:
    """The most specific shape that these legs form, or None.

    `context` holds the sentences of `Shape.context_required` that are known to be true. Legs of
    fractional contracts or lots form no shape beside other legs.
    """
    options, stock = _added_up(legs)
    if not options:
        units = stock if stock == stock.to_integral_value() else Decimal(1)
        return _named((), _sign(stock), max(abs(int(units)), 1), context) if stock else None
    amounts = [*options.values(), *([stock] if stock else [])]
    if any(amount != amount.to_integral_value() for amount in amounts):
        return None
    units = gcd(*(int(amount) for amount in amounts))
    contracts = tuple(sorted((*contract, int(qty) // units) for contract, qty in options.items()))
    return _named(contracts, int(stock) // units, units, context)


def _added_up(legs: Iterable[ShapeLeg]) -> tuple[dict[tuple[OptionRight, Decimal, date], Decimal], Decimal]:
    options: dict[tuple[OptionRight, Decimal, date], Decimal] = defaultdict(Decimal)
    stock = Decimal(0)
    for leg in legs:
        if leg.right is None:
            stock += leg.qty
        elif leg.strike is None or leg.expiry is None:
            raise ValueError("an option leg needs its strike and expiry to be named")
        else:
            options[leg.right, leg.strike, leg.expiry] += leg.qty
    return {key: qty for key, qty in options.items() if qty}, stock


@lru_cache(maxsize=65536)
def _named(contracts: tuple[_Contract, ...], stock: int, units: int, context: frozenset[str]) -> Match | None:
    fitting = [shape for shape in _candidates(contracts, stock) if _fits(shape, contracts, stock)]
    proven = [shape for shape in fitting if context.issuperset(shape.context_required)]
    if not proven:
        return None
    return Match(proven[0], units, tuple(shape.id for shape in fitting if shape is not proven[0]))


def _candidates(contracts: tuple[_Contract, ...], stock: int) -> Sequence[Shape]:
    signature = (_sign(stock), tuple(sorted((right, qty > 0) for right, _, _, qty in contracts)))
    return _shapes_by_signature().get(signature, ())


@cache
def _shapes_by_signature() -> Mapping[_Signature, Sequence[Shape]]:
    """Shapes by what any match must share with them, the most specific first, ties by id."""
    index: dict[_Signature, list[Shape]] = defaultdict(list)
    for shape in sorted(taxonomy().shapes.values(), key=lambda item: (-item.specificity, item.id)):
        stock = 0 if shape.stock is None else _direction(shape.stock.side)
        index[stock, tuple(sorted((leg.right, leg.side is Side.BUY) for leg in shape.legs))].append(shape)
    return index


def _fits(shape: Shape, contracts: Sequence[_Contract], stock: int) -> bool:
    bound: dict[str, Decimal] = {}
    if shape.stock is not None and not _bind_ratio(bound, shape.stock.ratio, abs(stock)):
        return False
    return any(all(holds(found) for holds in shape.constraints) for found in _bindings(shape.legs, contracts, bound))


def _bindings(
    patterns: Sequence[LegPattern], contracts: Sequence[_Contract], bound: dict[str, Decimal]
) -> Iterator[dict[str, Decimal]]:
    """Every assignment of contracts to patterns in which equal letters have equal values."""
    if not patterns:
        yield bound
        return
    for index, contract in enumerate(contracts):
        extended = dict(bound)
        if _bind_leg(extended, patterns[0], contract):
            yield from _bindings(patterns[1:], [*contracts[:index], *contracts[index + 1 :]], extended)


def _bind_leg(bound: dict[str, Decimal], pattern: LegPattern, contract: _Contract) -> bool:
    right, strike, expiry, qty = contract
    return (
        right is pattern.right
        and _sign(qty) == _direction(pattern.side)
        and _bind_ratio(bound, pattern.ratio, abs(qty))
        and bound.setdefault(pattern.strike, strike) == strike
        and bound.setdefault(pattern.expiry, Decimal(expiry.toordinal())) == expiry.toordinal()
    )


def _bind_ratio(bound: dict[str, Decimal], ratio: Ratio, qty: int) -> bool:
    if isinstance(ratio, int):
        return ratio == qty
    return bound.setdefault(ratio, Decimal(qty)) == qty


def _sign(value: Decimal | int) -> int:
    return (value > 0) - (value < 0)


def _direction(side: Side) -> int:
    return 1 if side is Side.BUY else -1
