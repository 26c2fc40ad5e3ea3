"""Which strategies are opened how often, and with which strikes, expiries and ratios.

Every proposal is checked against the catalogue: its legs, named by shape and by the context that the
recipe provides, are what was meant, or another proposal is drawn.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from random import Random

from apex_pipeline.domain.flows.market import CALL, PUT, Contract, Market, Underlying, expiries, stock_of
from apex_pipeline.domain.models import OptionRight, Side
from apex_pipeline.domain.strategies.shapes import ShapeLeg, name_shape
from apex_pipeline.domain.strategies.taxonomy import Ratio, Shape, shape, taxonomy

Leg = tuple[Contract, int]
"""A contract and its signed quantity: contracts for options, shares for stock."""

WEIGHTS: Mapping[str, float] = {
    "BULL_CALL_SPREAD": 6.5, "BEAR_CALL_SPREAD": 5.5, "BEAR_PUT_SPREAD": 5, "BULL_PUT_SPREAD": 6.5,
    "LONG_CALL": 5, "SHORT_CALL": 2, "LONG_PUT": 4, "SHORT_PUT": 6, "LONG_STOCK": 5, "SHORT_STOCK": 0.7,
    "COVERED_CALL": 6, "PROTECTIVE_PUT": 2.5, "COLLAR": 2.5, "COVERED_STRANGLE": 0.5, "COVERED_PUT": 0.4,
    "RATIO_COVERED_CALL": 0.4, "CONVERSION": 0.3, "STOCK_REPAIR": 0.3, "PUT_SPREAD_COLLAR": 0.4,
    "SHORT_STRANGLE": 3.5, "LONG_STRANGLE": 1.5, "SHORT_STRADDLE": 2, "LONG_STRADDLE": 1.8,
    "IRON_CONDOR": 5, "BROKEN_WING_IRON_CONDOR": 1, "REVERSE_IRON_CONDOR": 0.5, "IRON_BUTTERFLY": 1.8,
    "LONG_CALL_CALENDAR": 2, "LONG_PUT_CALENDAR": 1.8, "SHORT_CALL_CALENDAR": 0.3, "LONG_CALL_DIAGONAL": 1.8,
    "LONG_PUT_DIAGONAL": 1.5, "POOR_MANS_COVERED_CALL": 1.5, "POOR_MANS_COVERED_PUT": 0.3,
    "CALL_RATIO_SPREAD": 1, "PUT_RATIO_SPREAD": 1.2, "CALL_BACKSPREAD": 0.7, "PUT_BACKSPREAD": 0.6,
    "LONG_CALL_BUTTERFLY": 1.8, "LONG_PUT_BUTTERFLY": 1.5, "SHORT_CALL_BUTTERFLY": 0.2,
    "LONG_CALL_BROKEN_WING_BUTTERFLY": 0.6, "LONG_PUT_BROKEN_WING_BUTTERFLY": 0.8, "LONG_CALL_CONDOR": 0.5,
    "LONG_PUT_CONDOR": 0.4, "BULLISH_RISK_REVERSAL": 1.2, "BEARISH_RISK_REVERSAL": 0.8,
    "SYNTHETIC_LONG_STOCK": 0.7, "SYNTHETIC_SHORT_STOCK": 0.4, "JADE_LIZARD": 0.9, "BIG_LIZARD": 0.3,
    "REVERSE_JADE_LIZARD": 0.3, "BULLISH_SEAGULL": 0.3, "DOUBLE_CALENDAR": 0.6, "DOUBLE_DIAGONAL": 0.6,
    "LONG_BOX": 0.3, "SHORT_BOX": 0.2,
}  # fmt: skip
"""Relative frequency of openings; whatever is not named is drawn by the thin tail alone."""

POOR_MANS = frozenset({"POOR_MANS_COVERED_CALL", "POOR_MANS_COVERED_PUT"})
UNPROVABLE = frozenset({"CASH_SECURED_PUT"})
"""Shapes that need knowledge no order file has; they are never drawn."""

_WIDTHS = (1, 1, 1, 2, 2, 2, 3, 4, 5, 5, 10)
_RATIOS = (1, 1, 2, 2, 3)
_TRIES = 40


@dataclass(frozen=True, slots=True)
class Idea:
    """One unit of a strategy: its type and its legs, stock in shares."""

    type: str
    legs: tuple[Leg, ...]


@cache
def catalogue() -> tuple[str, ...]:
    """Every shape that an order file can prove, sorted."""
    return tuple(sorted(set(taxonomy().shapes) - UNPROVABLE))


def propose(rng: Random, shape_id: str, stock: Underlying, market: Market, day: date) -> Idea | None:
    """One unit of that shape around today's price, or None if none was found or the market does not allow it."""
    wanted = shape(shape_id)
    short_stock = wanted.stock is not None and wanted.stock.side is Side.SELL
    if short_stock and stock.market != "US":
        return None
    for _ in range(_TRIES):
        legs = _draw(rng, wanted, stock, market, day)
        if legs and _means(wanted, legs) and not _is_poor_mans_twin(wanted, legs, market.spot(stock, day)):
            return Idea(shape_id, legs)
    return None


def named(legs: Sequence[Leg], context: frozenset[str] = frozenset()) -> str | None:
    """The catalogue's own name of some legs, stock counted in lots of the options."""
    found = name_shape((shape_leg(contract, qty) for contract, qty in legs), context)
    return found.shape.id if found else None


def shape_leg(contract: Contract, qty: int) -> ShapeLeg:
    """A leg as the catalogue reads it."""
    if contract.strike is None:
        return ShapeLeg(Decimal(qty) / contract.lot)
    right = OptionRight.CALL if contract.kind == CALL else OptionRight.PUT
    return ShapeLeg(Decimal(qty), right, contract.strike, contract.expiry)


def _means(wanted: Shape, legs: Sequence[Leg]) -> bool:
    return named(legs, frozenset(wanted.context_required)) == wanted.id


def _draw(rng: Random, wanted: Shape, stock: Underlying, market: Market, day: date) -> tuple[Leg, ...] | None:
    """Strikes as whole steps first: conditions on strikes mean the same in steps."""
    steps = _steps(rng, wanted, market.nearest_step(stock, market.spot(stock, day)))
    dates = _dates(rng, wanted, expiries(stock.market, stock.dailies, day), day)
    if dates is None or min(steps.values(), default=1) < 1:
        return None
    ratios = {letter: rng.choice(_RATIOS) for letter in _ratio_letters(wanted)}
    bound = steps | ratios | {letter: value.toordinal() for letter, value in dates.items()}
    if not all(holds(bound) for holds in wanted.constraints):
        return None
    return tuple(_legs(wanted, stock, steps, dates, ratios))


def _legs(
    wanted: Shape, stock: Underlying, steps: Mapping[str, int], dates: Mapping[str, date], ratios: Mapping[str, int]
) -> Iterator[Leg]:
    if wanted.stock is not None:
        yield stock_of(stock), _signed(wanted.stock.side, _ratio(wanted.stock.ratio, ratios)) * stock.lot
    for leg in wanted.legs:
        kind = CALL if leg.right is OptionRight.CALL else PUT
        strike = steps[leg.strike] * stock.step
        contract = Contract(stock.market, stock.code, kind, stock.lot, strike, dates[leg.expiry])
        yield contract, _signed(leg.side, _ratio(leg.ratio, ratios))


def _ratio(ratio: Ratio, ratios: Mapping[str, int]) -> int:
    return ratio if isinstance(ratio, int) else ratios[ratio]


def _signed(side: Side, qty: int) -> int:
    return qty if side is Side.BUY else -qty


@cache
def _strike_letters(wanted: str) -> tuple[str, ...]:
    return tuple(sorted({leg.strike for leg in shape(wanted).legs}))


def _ratio_letters(wanted: Shape) -> list[str]:
    ratios = [leg.ratio for leg in wanted.legs] + ([wanted.stock.ratio] if wanted.stock else [])
    return sorted({ratio for ratio in ratios if isinstance(ratio, str)})


def _steps(rng: Random, wanted: Shape, centre: int) -> dict[str, int]:
    """A strike step per letter, ascending, with the middle of them near the price."""
    letters = _strike_letters(wanted.id)
    if not letters:
        return {}
    if len(letters) == 1:
        return {letters[0]: centre + _moneyness(rng, wanted)}
    base = rng.choice(_WIDTHS)
    gaps = [base] * (len(letters) - 1)
    if rng.random() < 0.35:
        gaps = [rng.choice(_WIDTHS) for _ in gaps]
    if wanted.family in {"strangle", "iron", "collar", "lizard", "risk_reversal", "double_diagonal"}:
        gaps[len(gaps) // 2] = rng.randint(1, 12)
    if wanted.id in POOR_MANS:
        gaps = [max(2, centre // 20) + rng.randint(2, 8)]
    if wanted.family == "double_diagonal":
        gaps[0], gaps[-1] = gaps[0] - (rng.random() < 0.3) * gaps[0], gaps[-1] - (rng.random() < 0.3) * gaps[-1]
    return _placed(rng, letters, gaps, centre)


def _placed(rng: Random, letters: Sequence[str], gaps: Sequence[int], centre: int) -> dict[str, int]:
    at = centre - sum(gaps) // 2 + rng.randint(-4, 4)
    ladder = [at]
    for gap in gaps:
        ladder.append(ladder[-1] + gap)
    if len(letters) == 2 and rng.random() < 0.15:
        ladder.reverse()
    return dict(zip(letters, ladder, strict=True))


def _moneyness(rng: Random, wanted: Shape) -> int:
    """Steps away from the price of a single strike: mostly out of the money, none for straddles."""
    rights = {leg.right for leg in wanted.legs}
    if len(rights) == 2:
        return rng.randint(-1, 1)
    away = rng.randint(-2, 8)
    return away if OptionRight.CALL in rights else -away


def _dates(rng: Random, wanted: Shape, listed: Sequence[date], day: date) -> dict[str, date] | None:
    """An expiry per letter; letters of two are the near and one of the next later ones."""
    letters = sorted({leg.expiry for leg in wanted.legs})
    if not letters:
        return {}
    near = _near(rng, listed, day, needs_later=len(letters) > 1)
    if len(letters) == 1:
        return {letters[0]: near}
    later = [item for item in listed if (item - near).days >= (30 if wanted.id in POOR_MANS else 1)]
    if not later:
        return None
    pair = [near, later[min(int(rng.expovariate(0.5)), len(later) - 1)]]
    if wanted.family == "collar" and rng.random() < 0.5:
        pair.reverse()
    return dict(zip(letters, pair, strict=True))


def _near(rng: Random, listed: Sequence[date], day: date, *, needs_later: bool) -> date:
    """A week, a month or two, half a year, or beyond: in that order of frequency after the months."""
    most = rng.choices((9, 60, 200, 1000), weights=(0.3, 0.5, 0.13, 0.07))[0]
    least = {9: 0, 60: 7, 200: 50, 1000: 150}[most]
    allowed = listed[:-1] if needs_later else listed
    fitting = [item for item in allowed if least <= (item - day).days <= most]
    return rng.choice(fitting or allowed)


def _is_poor_mans_twin(wanted: Shape, legs: Sequence[Leg], spot: float) -> bool:
    """Whether a diagonal has a long leg so deep that it would be a poor man's covered position, or the reverse."""
    if wanted.family != "diagonal":
        return False
    (long_leg,) = (contract for contract, qty in legs if qty > 0)
    days = [contract.expiry.toordinal() for contract, _ in legs if contract.expiry]
    depth = (spot - float(long_leg.strike or 0)) / spot * (1 if long_leg.kind == CALL else -1)
    if wanted.id in POOR_MANS:
        return depth < 0.04
    return depth > 0.02 and max(days) - min(days) >= 30
