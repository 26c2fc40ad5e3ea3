"""Twenty seeded worlds in which nothing is wrong, and the ways in which people load them.

Everything that both brokers tell agrees in them: no check may find anything once all of a world was told, in whatever
order that was, and none may find anything on the way where all days up to now were told.
"""

import random
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path

from apex_pipeline.brokers.contract import BrokerPort
from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.ib.simulator import FlexSimulator
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.store.db import Database
from tests.pipeline.conftest import QUERY_ID, TOKEN, World, futu_broker, ib_broker

DAY = timedelta(days=1)

Piece = tuple[date, date]


class Way(StrEnum):
    """How a world is loaded."""

    AT_ONCE = "all at once"
    FORCED = "all at once, and all of it told again"
    IB_FIRST = "all of Interactive Brokers before all of Futu"
    FUTU_FIRST = "all of Futu before all of Interactive Brokers"
    WINDOWS = "small windows, oldest first"
    NEWEST_FIRST = "small windows, newest first"
    SHUFFLED = "windows that overlap, in no order"
    DAILY = "day by day"


@dataclass(frozen=True)
class CleanWorld:
    """What is generated, and how it is told and loaded.

    `reconciled`: after each piece, not only at the end. `extras`: Interactive Brokers tells more than it must
    (cancels, transfers, interest, ...). `by_day`: a query with a statement for each day.
    """

    seed: int
    orders: int
    days: int
    end: date
    way: Way = Way.AT_ONCE
    reconciled: bool = False
    extras: bool = False
    by_day: bool = False

    @property
    def scenario(self) -> Scenario:
        """All that really happens."""
        return generate(self.seed, self.orders, self.days, self.end)

    @property
    def stays_silent(self) -> bool:
        """Whether no break may have opened on the way either: what is told at once never disagrees."""
        return self.way in (Way.AT_ONCE, Way.FORCED)

    def __str__(self) -> str:
        said = {", reconciled after each": self.reconciled, ", extras": self.extras, ", by day": self.by_day}
        more = "".join(words for words, is_so in said.items() if is_so)
        return f"seed {self.seed}: {self.orders} orders in {self.days} days to {self.end:%a %Y-%m-%d}, {self.way}{more}"


CLEAN_WORLDS = (
    # quick
    CleanWorld(101, 30, 45, date(2026, 3, 8), extras=True),  # a Sunday, on which New York's clocks change
    CleanWorld(102, 25, 30, date(2025, 12, 31), Way.NEWEST_FIRST, reconciled=True),
    # small
    CleanWorld(103, 20, 30, date(2025, 2, 28), Way.DAILY),
    CleanWorld(104, 25, 35, date(2026, 1, 2), Way.DAILY, reconciled=True),
    CleanWorld(
        105, 40, 60, date(2025, 7, 3), Way.IB_FIRST, reconciled=True, extras=True, by_day=True
    ),  # the day before Independence Day
    CleanWorld(106, 40, 90, date(2025, 11, 30), Way.FUTU_FIRST, reconciled=True),
    CleanWorld(107, 60, 31, date(2025, 5, 31), Way.FORCED, extras=True),
    CleanWorld(108, 50, 120, date(2024, 6, 1), Way.SHUFFLED, reconciled=True),  # New York begins to settle on T+1
    # of a year
    CleanWorld(109, 100, 365, date(2025, 12, 31), extras=True),
    CleanWorld(110, 120, 365, date(2026, 6, 30), Way.WINDOWS),
    CleanWorld(111, 120, 300, date(2025, 10, 4), Way.NEWEST_FIRST, extras=True),
    CleanWorld(112, 150, 400, date(2026, 2, 28), Way.SHUFFLED),
    CleanWorld(113, 200, 200, date(2025, 4, 30), Way.WINDOWS, reconciled=True),
    CleanWorld(114, 80, 366, date(2024, 12, 31), Way.IB_FIRST, by_day=True),
    CleanWorld(115, 100, 250, date(2026, 5, 10), Way.FORCED, reconciled=True),
    # busy
    CleanWorld(116, 300, 60, date(2025, 9, 1), extras=True, by_day=True),  # Labor Day
    CleanWorld(117, 400, 100, date(2026, 4, 4)),  # between Good Friday and Easter Monday
    CleanWorld(118, 400, 400, date(2026, 8, 31), extras=True),
    CleanWorld(119, 250, 180, date(2025, 8, 31), Way.FUTU_FIRST, extras=True),
    CleanWorld(120, 350, 300, date(2026, 7, 3), Way.SHUFFLED, extras=True),  # the day on which Independence Day is kept
)
QUICK, SLOW = CLEAN_WORLDS[:2], CLEAN_WORLDS[2:]


@contextmanager
def told(clean: CleanWorld, url: str, home: Path) -> Generator[World]:
    """Both brokers telling a world, and a database to load it into."""
    scenario, today = clean.scenario, clean.end + DAY
    with ExitStack() as stack:
        opend = stack.enter_context(OpenDSimulator(scenario, time_scale=10_000))
        flex = FlexSimulator(
            scenario, TOKEN, QUERY_ID, time_scale=10_000, today=today, extras=clean.extras,
            breakout_by_day=clean.by_day,
        )  # fmt: skip
        stack.enter_context(flex)
        db = stack.enter_context(Database(url))
        yield World(scenario, db, opend, flex, futu_broker(opend.port, home, today), ib_broker(flex.url))


def load(clean: CleanWorld, world: World) -> None:
    """Load a world its way, and derive and reconcile what it tells."""
    for number, (ports, (first, last)) in enumerate(_pieces(clean, world)):
        for port in ports:
            world.load(world.ask(first, last, force=clean.way is Way.SHUFFLED and number % 2 == 1), only=port)
        if clean.reconciled:
            world.derive(first, last)
    world.derive()
    if clean.way is Way.FORCED:
        world.run(world.ask(force=True))


def _pieces(clean: CleanWorld, world: World) -> Iterator[tuple[tuple[BrokerPort, ...], Piece]]:
    whole = world.scenario.start, world.today
    match clean.way:
        case Way.AT_ONCE | Way.FORCED:
            yield world.brokers, whole
        case Way.IB_FIRST:
            yield from (((port,), whole) for port in (world.ib, world.futu))
        case Way.FUTU_FIRST:
            yield from (((port,), whole) for port in (world.futu, world.ib))
        case Way.WINDOWS:
            yield from ((world.brokers, piece) for piece in _windows(*whole, 13))
        case Way.NEWEST_FIRST:
            yield from ((world.brokers, piece) for piece in reversed(_windows(*whole, 17)))
        case Way.DAILY:
            yield from ((world.brokers, piece) for piece in _windows(*whole, 1))
        case Way.SHUFFLED:
            drawn = random.Random(clean.seed)
            shuffled = [
                (max(whole[0], first - drawn.randint(0, 12) * DAY), min(whole[1], last + drawn.randint(0, 12) * DAY))
                for first, last in _windows(*whole, 31)
            ]
            drawn.shuffle(shuffled)
            yield from ((world.brokers[:: drawn.choice((1, -1))], piece) for piece in shuffled)


def _windows(first: date, last: date, days: int) -> list[Piece]:
    """Windows of so many days that are together all days from the first to the last."""
    starts = [first + number * DAY for number in range(0, (last - first).days + 1, days)]
    return [(start, min(start + (days - 1) * DAY, last)) for start in starts]
