"""How hard a flow is: the habits of the people and brokers behind it, per level.

L0 is clean, L3 harsh; most real accounts lie between L0 and L2. Every habit can be changed alone with
`dataclasses.replace`, which is how a calibration looks around a level. Shares lie between 0 and 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

Span = tuple[float, float]
"""From and to, both included."""


class Level(StrEnum):
    L0 = "L0"
    L1 = "L1"
    L2 = "L2"
    L3 = "L3"


@dataclass(frozen=True, slots=True)
class Habits:
    """What varies between flows.

    Time, in seconds unless said otherwise:
    `spread` within which the legs of a group are sent, evenly; `jitter` multiplies it; `fill_delay` the mean
    from an order to its first fill; `fill_time` the mean from one fill of an order to the next; `gap`
    between groups of an account; `legging_minutes` between the legs of a strategy that is legged into;
    `hold` the least age of what is closed; `session_groups` how many ideas an account has in one session;
    `hong_kong` how likely it trades in one of the two sessions of a day there.

    Shares of groups: `overlap` that a second strategy is begun on top of, on the same account and
    underlying; `partial` filled in several pieces; `incomplete` with a leg not filled to the end;
    `rejected` of two legs of which one is not filled at all; `legging`; `split` with a leg sent as two
    orders; `strangers` with an unrelated single order within 5 s (`strangers_elsewhere` of these on another
    underlying); `sequential` with each leg sent only after the fill of the one before; `close`, `roll`
    what is done, the rest opens; `partial_close` and `leg_out` of the closes; `roll_leg` how likely a
    structure drawn for a roll moves its short leg; `linkage` of the groups of several orders whose broker
    names them one combination, `at_once` of those are sent in one instant; `flips` of the closes of single
    contracts go through zero; `opposite` of the openings may take the other side of what is held.

    Sizes: `multi_unit` is the share of openings of more than one unit, `units` the sizes to choose from.

    Mix: `recipes` are weights that replace those of `recipes.WEIGHTS`; `thin_tail` is the share of openings
    drawn evenly from the whole catalogue; `overwrites` and `hedges` the shares of openings that sell a
    call or buy a put on stock held; `pairs` the share that is two stocks against each other.

    History: `opening_stock` is the number of stocks that each account holds before its first order, told in the
    file if `opening_stock_told`; `cold_start` the share of groups cut off at the beginning, whose positions
    are told if `cold_start_told`; `assigned` the share of options in the money that become stock at
    expiry, a thing the file cannot tell.

    `accounts` are brokers and their account numbers.
    """

    spread: Span = (1.5, 2.5)
    jitter: float = 1.0
    fill_delay: float = 0.4
    fill_time: float = 1.5
    gap: Span = (600.0, 3000.0)
    legging_minutes: Span = (1.0, 12.0)
    hold: float = 60.0
    session_groups: tuple[int, int] = (3, 15)
    hong_kong: float = 0.3
    overlap: float = 0.0
    partial: float = 0.0
    incomplete: float = 0.0
    rejected: float = 0.0
    legging: float = 0.0
    split: float = 0.0
    strangers: float = 0.0
    strangers_elsewhere: float = 0.4
    sequential: float = 0.25
    close: float = 0.29
    roll: float = 0.10
    partial_close: float = 0.2
    leg_out: float = 0.15
    roll_leg: float = 0.4
    linkage: float = 0.0
    at_once: float = 0.7
    flips: float = 0.0
    opposite: float = 0.0
    multi_unit: float = 0.6
    units: tuple[int, ...] = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20)
    recipes: Mapping[str, float] | None = None
    thin_tail: float = 0.05
    overwrites: float = 0.07
    hedges: float = 0.03
    pairs: float = 0.0
    opening_stock: int = 2
    opening_stock_told: bool = True
    cold_start: float = 0.0
    cold_start_told: bool = True
    assigned: float = 0.0
    accounts: tuple[tuple[str, str], ...] = (("FUTU", "281756457"), ("IB", "U7654321"))


_LEVELS: Mapping[Level, Habits] = {
    Level.L0: Habits(),
    Level.L1: Habits(
        spread=(4.0, 6.0), fill_delay=1.0, gap=(120.0, 2400.0), overlap=0.10, partial=0.20, incomplete=0.01,
        rejected=0.003, legging=0.02, split=0.01, strangers=0.10,
    ),
    Level.L2: Habits(
        spread=(10.0, 15.0), fill_delay=3.0, fill_time=3.0, gap=(60.0, 1200.0), overlap=0.25, partial=0.33,
        incomplete=0.04, rejected=0.01, legging=0.10, split=0.04, strangers=0.20,
    ),
    Level.L3: Habits(
        spread=(14.0, 20.0), fill_delay=6.0, fill_time=4.0, gap=(5.0, 300.0), overlap=0.55, partial=0.50,
        incomplete=0.10, rejected=0.02, legging=0.20, split=0.10, strangers=0.40,
    ),
}  # fmt: skip


def habits_of(level: Level) -> Habits:
    """The habits that define a level."""
    return _LEVELS[level]
