"""What the made-up traders like to open: types, how often, and where the strikes lie.

Legs are written `sign quantity right : strike letter`, an apostrophe marks the far expiry, S is stock in lots:
`-1C:a +1C:a'` is a long call calendar. Strikes are steps from the money. Weights follow what is known of real flow:
verticals, singles and covered structures first, then condors, strangles, calendars and diagonals, then a long tail
over most of the catalogue. A put sold is SHORT_PUT (the file holds no cash), poor man's structures are deep in the
money, far from the border to a plain diagonal.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

Place = Callable[[Random], tuple[int, ...]]
_LEG = re.compile(r"([+-])(\d)([CPS])(?::([a-d])('?))?")
Right = Literal["stock", "call", "put"]
_RIGHTS: dict[str, Right] = {"S": "stock", "C": "call", "P": "put"}


@dataclass(frozen=True)
class LegPlan:
    """One leg of an idea: signed contracts or lots per unit, strike letter as a place, near or far expiry."""

    qty: int
    right: Right
    letter: int
    far: bool


@dataclass(frozen=True)
class Idea:
    """One type a trader opens, with its weight; `far_days` is the least distance of the two expiries."""

    name: str
    weight: float
    legs: tuple[LegPlan, ...]
    place: Place
    far_days: int = 25


def _legs(text: str) -> tuple[LegPlan, ...]:
    return tuple(
        LegPlan(int(sign + qty), _RIGHTS[right], "abcd".index(letter or "a"), bool(far))
        for sign, qty, right, letter, far in _LEG.findall(text)
    )


def _at(low: int, high: int) -> Place:
    return lambda dice: (dice.randint(low, high),)


def _evenly(count: int, low: int = -4, high: int = 1) -> Place:
    def place(dice: Random) -> tuple[int, ...]:
        first, width = dice.randint(low, high), dice.choice((1, 1, 2, 2, 3))
        return tuple(first + width * one for one in range(count))

    return place


def _gaps(*choices: tuple[int, ...]) -> Place:
    """Strikes a,b,... with one of the given lists of widths between them."""

    def place(dice: Random) -> tuple[int, ...]:
        strikes = [dice.randint(-4, 1)]
        for width in dice.choice(choices):
            strikes.append(strikes[-1] + width)
        return tuple(strikes)

    return place


def _around(*, wings: Literal["none", "even", "uneven", "upper", "lower"], body: bool = False) -> Place:
    """Two strikes around the money (one, if `body`), with wings outside."""

    def place(dice: Random) -> tuple[int, ...]:
        low = dice.randint(-1, 1) if body else -dice.randint(1, 4)
        high = low if body else dice.randint(1, 4)
        width = dice.randint(1, 3)
        other = width if wings == "even" else dice.choice([one for one in (1, 2, 3, 4) if one != width])
        middle = (low,) if body else (low, high)
        below = (low - width,) if wings in {"even", "uneven", "lower"} else ()
        above = (high + other,) if wings in {"even", "uneven", "upper"} else ()
        return below + middle + above

    return place


def _deep(side: int) -> Place:
    """A strike deep in the money on the given side of the spot, and one out of the money on the other."""

    def place(dice: Random) -> tuple[int, ...]:
        deep, other = dice.randint(5, 9), dice.randint(1, 4)
        return (-deep, other) if side < 0 else (-other, deep)

    return place


def _idea(name: str, weight: float, legs: str, place: Place, far_days: int = 25) -> Idea:
    return Idea(name, weight, _legs(legs), place, far_days)


_STRANGLE = _around(wings="none")
_VERTICAL_LOW, _VERTICAL_HIGH = _gaps((1,), (1,), (2,), (3,), (4,)), _evenly(2, -1, 3)
_WINGS, _UNEVEN = _around(wings="even"), _around(wings="uneven")
_FLY, _BROKEN_FLY = _around(wings="even", body=True), _around(wings="uneven", body=True)
_BROKEN = _gaps((1, 2), (2, 1), (1, 3), (3, 2), (2, 3))
_BROKEN4 = _gaps((1, 1, 2), (2, 1, 1), (1, 2, 3), (2, 2, 1))

SINGLES = (
    _idea("LONG_CALL", 6, "+1C:a", _at(-1, 4)),
    _idea("LONG_PUT", 4, "+1P:a", _at(-4, 1)),
    _idea("SHORT_PUT", 7, "-1P:a", _at(-5, 0)),
    _idea("SHORT_CALL", 3, "-1C:a", _at(0, 5)),
    _idea("LONG_STOCK", 3, "+1S", _at(0, 0)),
    _idea("SHORT_STOCK", 0.5, "-1S", _at(0, 0)),
)
VERTICALS = (
    _idea("BULL_PUT_SPREAD", 9, "+1P:a -1P:b", _VERTICAL_LOW),
    _idea("BEAR_CALL_SPREAD", 7, "-1C:a +1C:b", _VERTICAL_HIGH),
    _idea("BULL_CALL_SPREAD", 7, "+1C:a -1C:b", _VERTICAL_HIGH),
    _idea("BEAR_PUT_SPREAD", 6, "-1P:a +1P:b", _VERTICAL_LOW),
)
COVERED = (
    _idea("COVERED_CALL", 6, "+1S -1C:a", _at(0, 4)),
    _idea("PROTECTIVE_PUT", 1.5, "+1S +1P:a", _at(-4, 0)),
    _idea("COLLAR", 1.5, "+1S +1P:a -1C:b", _STRANGLE),
    _idea("COVERED_PUT", 0.5, "-1S -1P:a", _at(-4, 0)),
    _idea("PROTECTIVE_CALL", 0.3, "-1S +1C:a", _at(0, 4)),
    _idea("REVERSE_COLLAR", 0.2, "-1S -1P:a +1C:b", _STRANGLE),
    _idea("CALENDAR_COLLAR", 0.2, "+1S +1P:a' -1C:b", _STRANGLE),
    _idea("CONVERSION", 0.3, "+1S -1C:a +1P:a", _at(-1, 1)),
    _idea("REVERSAL", 0.2, "-1S +1C:a -1P:a", _at(-1, 1)),
    _idea("COVERED_STRADDLE", 0.4, "+1S -1C:a -1P:a", _at(-1, 1)),
    _idea("COVERED_STRANGLE", 0.6, "+1S -1P:a -1C:b", _STRANGLE),
    _idea("RATIO_COVERED_CALL", 0.2, "+1S -2C:a", _at(1, 4)),
    _idea("SYNTHETIC_LONG_STRADDLE_PUTS", 0.15, "+1S +2P:a", _at(-1, 1)),
    _idea("STOCK_REPAIR", 0.2, "+1S +1C:a -2C:b", _evenly(2, 0, 1)),
    _idea("PUT_SPREAD_COLLAR", 0.3, "+1S -1P:a +1P:b -1C:c", _around(wings="lower")),
    _idea("COVERED_JADE_LIZARD", 0.15, "+1S -1P:a -1C:b +1C:c", _around(wings="upper")),
    _idea("COVERED_CALL_SPREAD", 0.2, "+1S -1C:a +1C:b", _evenly(2, 1, 3)),
    _idea("STOCK_WITH_PUT_SPREAD", 0.3, "+1S -1P:a +1P:b", _evenly(2, -4, -2)),
)
TWO_SIDED = (
    _idea("SHORT_STRANGLE", 3, "-1P:a -1C:b", _STRANGLE),
    _idea("LONG_STRANGLE", 1.2, "+1P:a +1C:b", _STRANGLE),
    _idea("SHORT_STRADDLE", 1, "-1C:a -1P:a", _at(-1, 1)),
    _idea("LONG_STRADDLE", 1.2, "+1C:a +1P:a", _at(-1, 1)),
    _idea("LONG_GUTS", 0.1, "+1C:a +1P:b", _STRANGLE),
    _idea("SHORT_GUTS", 0.1, "-1C:a -1P:b", _STRANGLE),
    _idea("LONG_STRIP", 0.15, "+1C:a +2P:a", _at(-1, 1)),
    _idea("LONG_STRAP", 0.15, "+2C:a +1P:a", _at(-1, 1)),
    _idea("SHORT_STRAP", 0.1, "-2C:a -1P:a", _at(-1, 1)),
    _idea("RATIO_STRANGLE_SHORT", 0.25, "-2P:a -1C:b", _STRANGLE),
    _idea("RATIO_STRANGLE_LONG", 0.15, "+1P:a +2C:b", _STRANGLE),
    _idea("SYNTHETIC_LONG_STOCK", 0.5, "+1C:a -1P:a", _at(-1, 1)),
    _idea("SYNTHETIC_SHORT_STOCK", 0.3, "-1C:a +1P:a", _at(-1, 1)),
    _idea("BULLISH_RISK_REVERSAL", 1, "-1P:a +1C:b", _STRANGLE),
    _idea("BEARISH_RISK_REVERSAL", 0.6, "+1P:a -1C:b", _STRANGLE),
    _idea("INVERTED_RISK_REVERSAL_BULL", 0.1, "+1C:a -1P:b", _STRANGLE),
)
RATIOS = (
    _idea("CALL_RATIO_SPREAD", 0.8, "+1C:a -2C:b", _VERTICAL_HIGH),
    _idea("CALL_RATIO_SPREAD", 0.2, "+2C:a -3C:b", _VERTICAL_HIGH),
    _idea("PUT_RATIO_SPREAD", 0.8, "-2P:a +1P:b", _VERTICAL_LOW),
    _idea("CALL_BACKSPREAD", 0.7, "-1C:a +2C:b", _VERTICAL_HIGH),
    _idea("PUT_BACKSPREAD", 0.6, "+2P:a -1P:b", _VERTICAL_LOW),
    _idea("CALL_ZEBRA", 0.4, "+2C:a -1C:b", _gaps((3,), (4,))),
    _idea("PUT_ZEBRA", 0.2, "-1P:a +2P:b", _gaps((3,), (4,))),
    _idea("SHORT_CALL_ZEBRA", 0.1, "-2C:a +1C:b", _VERTICAL_HIGH),
)
TWO_EXPIRIES = (
    _idea("LONG_CALL_CALENDAR", 1.5, "-1C:a +1C:a'", _at(-1, 3)),
    _idea("LONG_PUT_CALENDAR", 1.2, "-1P:a +1P:a'", _at(-3, 1)),
    _idea("SHORT_CALL_CALENDAR", 0.2, "+1C:a -1C:a'", _at(-1, 3)),
    _idea("LONG_CALL_DIAGONAL", 1, "-1C:b +1C:a'", _evenly(2, 1, 2)),
    _idea("LONG_PUT_DIAGONAL", 0.8, "-1P:a +1P:b'", _evenly(2, -5, -4)),
    _idea("SHORT_PUT_DIAGONAL", 0.2, "+1P:a -1P:b'", _evenly(2, -4, -2)),
    _idea("POOR_MANS_COVERED_CALL", 1.5, "-1C:b +1C:a'", _deep(-1), 60),
    _idea("POOR_MANS_COVERED_PUT", 0.4, "-1P:a +1P:b'", _deep(1), 60),
    _idea("RATIO_CALL_CALENDAR", 0.2, "-2C:a +1C:a'", _at(0, 3)),
    _idea("DOUBLE_CALENDAR", 0.4, "-1P:a -1C:b +1P:a' +1C:b'", _STRANGLE),
    _idea("DOUBLE_DIAGONAL", 0.4, "+1P:a' -1P:b -1C:c +1C:d'", _UNEVEN),
    _idea("CALENDAR_STRADDLE", 0.15, "-1P:a -1C:a +1P:a' +1C:a'", _at(-1, 1)),
    _idea("LONG_JELLY_ROLL", 0.1, "-1C:a +1P:a +1C:a' -1P:a'", _at(-1, 1)),
)
THREE_LEGS = (
    _idea("LONG_CALL_BUTTERFLY", 1.2, "+1C:a -2C:b +1C:c", _evenly(3)),
    _idea("LONG_PUT_BUTTERFLY", 1, "+1P:a -2P:b +1P:c", _evenly(3)),
    _idea("SHORT_CALL_BUTTERFLY", 0.15, "-1C:a +2C:b -1C:c", _evenly(3)),
    _idea("LONG_CALL_BROKEN_WING_BUTTERFLY", 0.6, "+1C:a -2C:b +1C:c", _BROKEN),
    _idea("LONG_PUT_BROKEN_WING_BUTTERFLY", 0.7, "+1P:a -2P:b +1P:c", _BROKEN),
    _idea("LONG_CALL_UNBALANCED_BUTTERFLY", 0.15, "+1C:a -3C:b +2C:c", _evenly(3)),
    _idea("LONG_CALL_CHRISTMAS_TREE", 0.15, "+1C:a -3C:b +2C:c", _gaps((2, 1))),
    _idea("LONG_PUT_CHRISTMAS_TREE", 0.1, "+2P:a -3P:b +1P:c", _gaps((1, 2))),
    _idea("BULL_CALL_LADDER", 0.25, "+1C:a -1C:b -1C:c", _evenly(3)),
    _idea("BEAR_PUT_LADDER", 0.25, "-1P:a -1P:b +1P:c", _evenly(3)),
    _idea("BEAR_CALL_LADDER", 0.15, "-1C:a +1C:b +1C:c", _evenly(3)),
    _idea("JADE_LIZARD", 0.8, "-1P:a -1C:b +1C:c", _around(wings="upper")),
    _idea("BIG_LIZARD", 0.25, "-1P:a -1C:a +1C:b", _around(wings="upper", body=True)),
    _idea("REVERSE_JADE_LIZARD", 0.25, "+1P:a -1P:b -1C:c", _around(wings="lower")),
    _idea("BULLISH_SEAGULL", 0.4, "-1P:a +1C:b -1C:c", _around(wings="upper")),
    _idea("BEARISH_SEAGULL", 0.3, "-1P:a +1P:b -1C:c", _around(wings="lower")),
    _idea("LONG_STRADDLE_VS_CALL", 0.1, "+1C:a +1P:a -1C:b", _around(wings="upper", body=True)),
)
FOUR_LEGS = (
    _idea("IRON_CONDOR", 5, "+1P:a -1P:b -1C:c +1C:d", _WINGS),
    _idea("BROKEN_WING_IRON_CONDOR", 1, "+1P:a -1P:b -1C:c +1C:d", _UNEVEN),
    _idea("REVERSE_IRON_CONDOR", 0.4, "-1P:a +1P:b +1C:c -1C:d", _WINGS),
    _idea("IRON_BUTTERFLY", 1.5, "+1P:a -1P:b -1C:b +1C:c", _FLY),
    _idea("BROKEN_WING_IRON_BUTTERFLY", 0.3, "+1P:a -1P:b -1C:b +1C:c", _BROKEN_FLY),
    _idea("REVERSE_IRON_BUTTERFLY", 0.2, "-1P:a +1P:b +1C:b -1C:c", _FLY),
    _idea("LONG_CALL_CONDOR", 0.4, "+1C:a -1C:b -1C:c +1C:d", _evenly(4)),
    _idea("LONG_PUT_CONDOR", 0.3, "+1P:a -1P:b -1P:c +1P:d", _evenly(4)),
    _idea("LONG_CALL_BROKEN_WING_CONDOR", 0.15, "+1C:a -1C:b -1C:c +1C:d", _BROKEN4),
    _idea("LONG_BOX", 0.2, "+1C:a -1P:a -1C:b +1P:b", _evenly(2, -2, 0)),
    _idea("SHORT_BOX", 0.1, "-1C:a +1P:a +1C:b -1P:b", _evenly(2, -2, 0)),
    _idea("DOUBLE_BULL_SPREAD", 0.2, "+1P:a -1P:b +1C:c -1C:d", _WINGS),
    _idea("DOUBLE_BEAR_SPREAD", 0.15, "-1P:a +1P:b -1C:c +1C:d", _WINGS),
)
IDEAS = (*SINGLES, *VERTICALS, *COVERED, *TWO_SIDED, *RATIOS, *TWO_EXPIRIES, *THREE_LEGS, *FOUR_LEGS)
# On shares that are held and not yet bound by another structure: what is bought or sold are the options alone.
OVERLAYS = (
    _idea("COVERED_CALL", 6, "-1C:a", _at(0, 4)),
    _idea("PROTECTIVE_PUT", 2.5, "+1P:a", _at(-4, 0)),
    _idea("COLLAR", 1, "+1P:a -1C:b", _STRANGLE),
)


def pick(dice: Random, ideas: tuple[Idea, ...]) -> Idea:
    """One idea, by weight."""
    return dice.choices(ideas, [one.weight for one in ideas])[0]
