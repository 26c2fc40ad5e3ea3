"""When loads are due: which tick of a schedule is for which session of a market. Pure: no clock and no I/O.

A schedule ticks at fixed hours of its market's own wall clock; whether a tick is for a load, and of which days, is told
by the days of the calendar. A tick that is for nothing says why. Days that nobody knows are sessions on weekdays.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from apex_pipeline.domain.calendars import CALENDARS, ZONES
from apex_pipeline.domain.ledger import MarketDay
from apex_pipeline.domain.records import ALL_MARKETS

CLOSINGS: Mapping[str, tuple[time, ...]] = {
    "XNYS": (time(13), time(16)), "XHKG": (time(12), time(16)), "XLON": (time(12, 30), time(16, 30)),
    "XETR": (time(14), time(17, 30)), "XPAR": (time(14, 5), time(17, 30)), "XAMS": (time(14, 5), time(17, 30)),
    "XBRU": (time(14, 5), time(17, 30)), "XMIL": (time(17, 30),), "XMAD": (time(14), time(17, 30)),
    "XLIS": (time(13, 5), time(16, 30)), "XWBO": (time(14, 15), time(17, 30)), "XSWX": (time(17, 30),),
    "XSTO": (time(13), time(17, 30)), "XOSL": (time(13), time(16, 20)), "XCSE": (time(17),), "XHEL": (time(18, 30),),
    "XWAR": (time(17),), "XTSE": (time(13), time(16)), "XTKS": (time(15, 30),), "XSES": (time(17),),
    "XASX": (time(14, 10), time(16)), "XKRX": (time(15, 30),), "XTAI": (time(13, 30),),
}  # fmt: skip
"""Closing times by the wall clock of the exchange: of half days first, the usual one last."""

PAUSES: Mapping[str, tuple[time, time]] = {"XHKG": (time(12), time(13)), "XTKS": (time(11, 30), time(12, 30))}
"""Pauses at midday, by the wall clock of the exchange."""

AFTER_CLOSE = timedelta(minutes=30)
"""From a closing to the tick that loads the session."""
SETTLES = timedelta(minutes=15)
"""From a closing to the moment at which the session can be told: closing auctions end some minutes late."""
LATEST = timedelta(minutes=10)
"""So long after trading paused or ended, a look at today is still for it."""
USUAL_OPENING = time(9)
"""Where nobody knows when a session begins: one that a person added."""

STATEMENT_ZONE = ZoneInfo("America/New_York")
STATEMENT_TIME = time(6, 30)
"""When the statement of the day before can be had of Interactive Brokers, by the clock of New York."""
LATE = timedelta(hours=2)
"""So long after it was due, a load that is not there is missing."""

LEFT_BEHIND = timedelta(days=14)
"""An account that is so far behind the others is not one that a load can bring."""

_DAY = timedelta(days=1)
_SATURDAY = 5
_LONGEST_PAUSE = 14
"""Days; no exchange was closed for longer in a row, but for wars."""


@dataclass(frozen=True, slots=True)
class NotDue:
    """Nothing is due, and why, as a person reads it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Due:
    """A load is due: of a session, with the days since the session before it."""

    session: date
    first: date


@dataclass(frozen=True, slots=True)
class Told:
    """When a broker last told of a day, for one account and data type."""

    account_id: str
    data_type: str
    market: str
    day: date
    told_at: datetime


@dataclass(frozen=True, slots=True)
class MarketCalendar:
    """The days of one market. `reasons`: why a day is as it is, where anybody says so."""

    market: str
    days: Mapping[date, MarketDay]
    reasons: Mapping[date, str] = field(default_factory=dict[date, str])

    @property
    def name(self) -> str:
        """The code of the calendar."""
        return CALENDARS[self.market]

    @property
    def zone(self) -> ZoneInfo:
        """The market's own clock."""
        return ZoneInfo(ZONES[self.name])

    def is_session(self, day: date) -> bool:
        """Whether the market trades on this day."""
        known = self.days.get(day)
        return known.is_session if known else day.weekday() < _SATURDAY

    def closes_at(self, day: date) -> datetime:
        """When the session of this day ends; at the usual time where nobody says."""
        known = self.days.get(day)
        told = known.closes_at if known else None
        return told or datetime.combine(day, CLOSINGS[self.name][-1], self.zone)

    def opens_at(self, day: date) -> datetime:
        """When the session of this day begins."""
        known = self.days.get(day)
        told = known.opens_at if known else None
        return told or datetime.combine(day, USUAL_OPENING, self.zone)

    def why_closed(self, day: date) -> str:
        """Why the market does not trade on this day."""
        if day in self.reasons:
            return self.reasons[day]
        return f"{day:%A}" if day.weekday() >= _SATURDAY else "a holiday"

    def closed(self, day: date) -> str:
        """That the market does not trade on this day, in words."""
        return f"{self.name} is closed on {day} ({self.why_closed(day)})"

    def trading(self, day: date) -> Iterator[tuple[datetime, datetime]]:
        """The parts of a session in which trading goes on, without its pause."""
        begin, end = self.opens_at(day), self.closes_at(day)
        if self.name not in PAUSES:
            yield begin, end
            return
        stops, goes_on = (datetime.combine(day, clock, self.zone) for clock in PAUSES[self.name])
        yield from ((a, b) for a, b in ((begin, min(end, stops)), (max(begin, goes_on), end)) if a < b)


def ticks_of(calendar: str) -> tuple[time, ...]:
    """When the schedule of a market ticks every day, by its own wall clock: half an hour after each known closing."""
    return tuple((datetime.combine(date.min, closing) + AFTER_CLOSE).time() for closing in CLOSINGS[calendar])


def after_close(market: MarketCalendar, at: datetime) -> Due | NotDue:
    """The session that ended since the tick before `at`: each is found by exactly one tick, the first after its end."""
    today, before = at.astimezone(market.zone).date(), _tick_before(market, at)
    for day in (today, today - _DAY):
        if market.is_session(day) and before < market.closes_at(day) + SETTLES <= at:
            return Due(day, _day_after_last(market.is_session, day))
    if not market.is_session(today):
        return NotDue(market.closed(today))
    closing = f"{market.closes_at(today).astimezone(market.zone):%H:%M}"
    if market.closes_at(today) + SETTLES > at:
        return NotDue(f"{market.name} trades until {closing} on {today}: its load comes after that")
    return NotDue(f"{market.name} closed at {closing} on {today}: its load was due at an earlier tick")


def statement(markets: Sequence[MarketCalendar], at: datetime) -> Due | NotDue:
    """The day whose statement is ready on the morning of `at`: the day before, if any of these markets traded then."""
    day = at.astimezone(STATEMENT_ZONE).date() - _DAY
    if _any_session(markets, day):
        return Due(day, _day_after_last(lambda one: _any_session(markets, one), day))
    return NotDue(f"there is no statement of {day}: {', '.join(market.closed(day) for market in markets)}")


def during_sessions(markets: Sequence[MarketCalendar], at: datetime) -> Due | NotDue:
    """The sessions that go on at `at`, or paused or ended minutes ago: the first and the last of their dates."""
    today = [(market, at.astimezone(market.zone).date()) for market in markets]
    going_on = [day for market, day in today if market.is_session(day) and _goes_on(market, day, at)]
    if going_on:
        return Due(max(going_on), min(going_on))
    return NotDue("; ".join(_why_nothing_goes_on(market, at) for market in markets))


def any_session(markets: Sequence[MarketCalendar], at: datetime) -> NotDue | None:
    """None if `at` is on a trading day of any of these markets, by their own clocks; else why not."""
    today = [(market, at.astimezone(market.zone).date()) for market in markets]
    if any(market.is_session(day) for market, day in today):
        return None
    return NotDue(", ".join(market.closed(day) for market, day in today))


def missing_sessions(
    markets: Sequence[MarketCalendar], told: Iterable[Told], at: datetime, *, by_statement: bool
) -> list[date]:
    """The sessions that are over and that some account was not told of after their end, oldest first.

    An account counts from the first day that it was ever told of, unless the others have been told of weeks more: it
    was closed, or came in a file. A session is missing when its load is late. `by_statement`: a session is told by the
    statement of its day, whenever that came.
    """
    known: dict[tuple[str, str], dict[tuple[str, date], datetime]] = {}
    for row in told:
        days = known.setdefault((row.account_id, row.data_type), {})
        days[row.market, row.day] = max(row.told_at, days.get((row.market, row.day), row.told_at))
    newest = max((day for days in known.values() for _, day in days), default=date.min)
    missing: set[date] = set()
    for days in (days for days in known.values() if newest - max(day for _, day in days) <= LEFT_BEHIND):
        first = min(day for _, day in days)
        for market in markets:
            for day in _sessions(market, first, at.astimezone(market.zone).date()):
                end = market.closes_at(day)
                due = _statement_at(day) if by_statement else end + AFTER_CLOSE
                when = [days[name, day] for name in (ALL_MARKETS, market.market) if (name, day) in days]
                if due + LATE <= at and not any(by_statement or one >= end for one in when):
                    missing.add(day)
    return sorted(missing)


def _tick_before(market: MarketCalendar, at: datetime) -> datetime:
    today = at.astimezone(market.zone).date()
    ticks = [
        datetime.combine(day, clock, market.zone) for day in (today - _DAY, today) for clock in ticks_of(market.name)
    ]
    return max(tick for tick in ticks if tick < at)


def _day_after_last(is_session: Callable[[date], bool], day: date) -> date:
    """The day after the last session before `day`, so that the days between are loaded with it."""
    for back in range(1, _LONGEST_PAUSE):
        if is_session(day - back * _DAY):
            return day - (back - 1) * _DAY
    return day


def _any_session(markets: Iterable[MarketCalendar], day: date) -> bool:
    return any(market.is_session(day) for market in markets)


def _goes_on(market: MarketCalendar, day: date, at: datetime) -> bool:
    return any(begin < at <= end + LATEST for begin, end in market.trading(day))


def _why_nothing_goes_on(market: MarketCalendar, at: datetime) -> str:
    today = at.astimezone(market.zone).date()
    if not market.is_session(today):
        return market.closed(today)
    parts = [f"{a.astimezone(market.zone):%H:%M}-{b.astimezone(market.zone):%H:%M}" for a, b in market.trading(today)]
    return f"{market.name} trades {' and '.join(parts)} on {today}, and it is {at.astimezone(market.zone):%H:%M} there"


def _sessions(market: MarketCalendar, first: date, last: date) -> Iterator[date]:
    days = (first + n * _DAY for n in range((last - first).days + 1))
    return (day for day in days if market.is_session(day))


def _statement_at(day: date) -> datetime:
    return datetime.combine(day + _DAY, STATEMENT_TIME, STATEMENT_ZONE)
