"""Legs to the name of a shape, by structure alone: no time, no price, no position.

Legs are added up per (right, strike, expiry), empty ones dropped, and the rest divided by the greatest
common divisor of option quantities and stock lots; a shape matches when some one-to-one assignment of
its leg patterns satisfies side, ratio and every constraint.

Inside, everything is a whole number: strikes and expiries count from the lowest one in steps of their
greatest common divisor. No condition of the catalogue can tell such a pattern from the original, and
most groups of a year then share a few hundred patterns, whose names are remembered.
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

CALL, PUT = 1, 2
"""How a right is written among whole numbers."""

RIGHTS = {OptionRight.CALL: CALL, OptionRight.PUT: PUT}


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


OptionLeg = tuple[int, int, int, int]
"""Right (`CALL` or `PUT`), strike, expiry as a day number, signed quantity; strikes of one call on one scale."""

_Signature = tuple[int, tuple[tuple[int, bool], ...]]
_Name = tuple[Shape, tuple[str, ...]]


def name_shape(legs: Iterable[ShapeLeg], context: frozenset[str] = frozenset()) -> Match | None:
    """The most specific shape that these legs form, or None.

    `context` holds the sentences of `Shape.context_required` that are known to be true. Legs of
    fractional contracts or lots form no shape beside other legs.
    """
    options, stock = _added_up(legs)
    if not options:
        units = stock if stock == stock.to_integral_value() else Decimal(1)
        found = _name((), _sign(stock), context) if stock else None
        return None if found is None else Match(found[0], max(abs(int(units)), 1), found[1])
    amounts = [*options.values(), *([stock] if stock else [])]
    if any(amount != amount.to_integral_value() for amount in amounts):
        return None
    scale = 10 ** max(_places(strike) for _, strike, _ in options)
    contracts = [
        (RIGHTS[right], int(strike * scale), expiry.toordinal(), int(qty))
        for (right, strike, expiry), qty in options.items()
    ]
    return name_legs(contracts, int(stock), context)


def name_legs(options: Sequence[OptionLeg], stock: int, context: frozenset[str] = frozenset()) -> Match | None:
    """`name_shape` for different contracts in whole numbers, at least one of them; `stock` in lots."""
    units = gcd(stock, *[leg[3] for leg in options])
    strikes = [leg[1] for leg in options]
    first, day = min(strikes), min([leg[2] for leg in options])
    step = gcd(*[strike - first for strike in strikes]) or 1
    pattern = sorted([(right, (k - first) // step, e - day, qty // units) for right, k, e, qty in options])
    found = _name(tuple(pattern), stock // units, context)
    return None if found is None else Match(found[0], units, found[1])


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


def _places(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


@lru_cache(maxsize=65536)
def _name(options: tuple[OptionLeg, ...], stock: int, context: frozenset[str]) -> _Name | None:
    """The shape of a pattern and its rivals; the pattern is in its smallest form."""
    fitting = [shape for shape in _candidates(options, stock) if _fits(shape, options, stock)]
    proven = next((shape for shape in fitting if context.issuperset(shape.context_required)), None)
    if proven is None:
        return None
    return proven, tuple(shape.id for shape in fitting if shape is not proven)


def _candidates(options: tuple[OptionLeg, ...], stock: int) -> Sequence[Shape]:
    signature = (_sign(stock), tuple(sorted((right, qty > 0) for right, _, _, qty in options)))
    return _shapes_by_signature().get(signature, ())


@cache
def _shapes_by_signature() -> Mapping[_Signature, Sequence[Shape]]:
    """Shapes by what any match must share with them, the most specific first, ties by id."""
    index: dict[_Signature, list[Shape]] = defaultdict(list)
    for shape in sorted(taxonomy().shapes.values(), key=lambda item: (-item.specificity, item.id)):
        stock = 0 if shape.stock is None else _direction(shape.stock.side)
        legs = sorted((RIGHTS[leg.right], leg.side is Side.BUY) for leg in shape.legs)
        index[stock, tuple(legs)].append(shape)
    return index


def _fits(shape: Shape, options: Sequence[OptionLeg], stock: int) -> bool:
    bound: dict[str, int] = {}
    if shape.stock is not None and not _bind_ratio(bound, shape.stock.ratio, abs(stock)):
        return False
    return any(all(holds(found) for holds in shape.constraints) for found in _bindings(shape.legs, options, bound))


def _bindings(
    patterns: Sequence[LegPattern], options: Sequence[OptionLeg], bound: dict[str, int]
) -> Iterator[dict[str, int]]:
    """Every assignment of contracts to patterns in which equal letters have equal values."""
    if not patterns:
        yield bound
        return
    for index, option in enumerate(options):
        extended = dict(bound)
        if _bind_leg(extended, patterns[0], option):
            yield from _bindings(patterns[1:], [*options[:index], *options[index + 1 :]], extended)


def _bind_leg(bound: dict[str, int], pattern: LegPattern, option: OptionLeg) -> bool:
    right, strike, expiry, qty = option
    return (
        right == RIGHTS[pattern.right]
        and _sign(qty) == _direction(pattern.side)
        and _bind_ratio(bound, pattern.ratio, abs(qty))
        and bound.setdefault(pattern.strike, strike) == strike
        and bound.setdefault(pattern.expiry, expiry) == expiry
    )


def _bind_ratio(bound: dict[str, int], ratio: Ratio, qty: int) -> bool:
    if isinstance(ratio, int):
        return ratio == qty
    return bound.setdefault(ratio, qty) == qty


def _sign(value: Decimal | int) -> int:
    return (value > 0) - (value < 0)


def _direction(side: Side) -> int:
    return 1 if side is Side.BUY else -1
