"""What options of one expiry and the underlying are worth on that day: a line with a kink at every strike.

Units are those of the underlying: contracts times multiplier, signed, positive bought. Fees are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from apex_pipeline.domain.lot_shares import quotient, trimmed
from apex_pipeline.domain.models import OptionRight

ZERO = Decimal(0)
_PLACES = 8


@dataclass(frozen=True, slots=True)
class OptionUnits:
    """So many units of the underlying at this strike."""

    units: Decimal
    right: OptionRight
    strike: Decimal


@dataclass(frozen=True, slots=True)
class Payoff:
    """The bounds of profit at expiry.

    `max_profit` is the most that can be won, `max_loss` the most that can be lost (negative where even the
    worst price wins); None means that there is no bound. `break_evens` are prices of the underlying, ascending,
    to eight places; where nothing is won over a whole stretch, its ends.
    """

    max_profit: Decimal | None
    max_loss: Decimal | None
    break_evens: tuple[Decimal, ...]


def payoff(options: Sequence[OptionUnits], shares: Decimal, cash: Decimal) -> Payoff:
    """The profit at expiry over all prices from 0 on. `cash`: what opening brought, negative if it cost."""
    points = sorted({ZERO, *(option.strike for option in options)})
    values = [cash + shares * price + sum((_worth(option, price) for option in options), ZERO) for price in points]
    slope = shares + sum((option.units for option in options if option.right is OptionRight.CALL), ZERO)
    return Payoff(
        None if slope > 0 else trimmed(max(values)),
        None if slope < 0 else trimmed(-min(values)),
        tuple(_zeros(points, values, slope)),
    )


def _worth(option: OptionUnits, price: Decimal) -> Decimal:
    over = price - option.strike if option.right is OptionRight.CALL else option.strike - price
    return option.units * max(over, ZERO)


def _zeros(points: Sequence[Decimal], values: Sequence[Decimal], slope: Decimal) -> list[Decimal]:
    found = {trimmed(point) for point, value in zip(points, values, strict=True) if point and not value}
    for (left, below), (right, above) in pairwise(zip(points, values, strict=True)):
        if below * above < 0:
            found.add(trimmed(quotient(left * above - right * below, above - below, _PLACES)))
    if values[-1] * slope < 0:
        found.add(trimmed(quotient(points[-1] * slope - values[-1], slope, _PLACES)))
    return sorted(found)


def width(options: Sequence[OptionUnits]) -> Decimal | None:
    """The largest distance between neighbouring strikes of one right of which one is long and one short.

    None where there is no such pair. An iron condor's is that of its wider wing.
    """
    found: list[Decimal] = []
    for right in OptionRight:
        same = sorted((option.strike, option.units) for option in options if option.right is right)
        found += [above - below for (below, one), (above, other) in pairwise(same) if one * other < 0]
    return trimmed(max(found)) if found else None
