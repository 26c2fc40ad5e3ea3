"""Which bars are missing from a series, and why: told reasons, closed exchanges, or nobody said. Pure.

Bars may be counted from the opening, from the opening of each part of a session, or by the clock; which of these a
vendor does is read from the bars of each session. For bars that fit whole into the parts of a session (minutes do
everywhere) all of these are the same.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from typing import final
from zoneinfo import ZoneInfo

from apex_pipeline.domain.bar_hours import (
    Closure,
    SeriesHours,
    Session,
    Stretch,
    Tick,
    date_of_bar,
    instant,
    tick,
    whole_day,
)
from apex_pipeline.domain.market import AROUND_THE_CLOCK, BarGap, GapReason

_UTC = ZoneInfo("UTC")

Grid = list[Stretch]
"""The bars of a session, each from when to when."""


@dataclass(frozen=True, slots=True)
class FoundGap:
    """A stretch without bars within a session, from `from_at` up to and without `to_at`, in UTC.

    `bars`: how many are missing. `source`: who gave the reason; None where nobody did: the exchange was open, and
    VENDOR only says that no bar came. Of closed stretches it is the calendar, and no bar is missing.
    """

    symbol: str
    timeframe: str
    from_at: datetime
    to_at: datetime
    reason: GapReason
    note: str | None
    source: str | None
    found_at: datetime | None
    bars: int

    @property
    def is_explained(self) -> bool:
        """Whether somebody, or the calendar, said why."""
        return self.source is not None

    def said(self, reason: GapReason, note: str | None, source: str, now: datetime) -> BarGap:
        """The same stretch as `source` explains it now."""
        return BarGap(self.symbol, self.timeframe, self.from_at, self.to_at, reason, note, source, now)


@dataclass(frozen=True, slots=True)
class MissingBar:
    """A bar that is not there, and the hours in which it would have been traded."""

    begin: Tick
    end: Tick
    trading: Stretch


@dataclass(frozen=True, slots=True)
class Span:
    """What is looked at: bars that begin from `first` up to and without `end`, and have ended at `now`."""

    first: Tick
    end: Tick
    now: Tick

    def holds(self, bar: Stretch) -> bool:
        """Whether a bar is looked at."""
        return self.first <= bar[0] < self.end and bar[1] <= self.now


@final
class Series:
    """The regular bars of one symbol and length, by when they begin, in order."""

    def __init__(self, opened: Sequence[Tick], hours: SeriesHours) -> None:
        self.opened = opened
        self.hours = hours

    @cached_property
    def _seen(self) -> frozenset[Tick]:
        return frozenset(self.opened)

    @property
    def is_endless(self) -> bool:
        """Whether it is traded around the clock."""
        return self.hours.calendar == AROUND_THE_CLOCK

    def span(self, sessions: Sequence[Session], start: Tick | None, end: Tick | None, now: Tick) -> Span:
        """From the first to the last bar, unless told.

        The first session counts from its opening, and the last one to its close, if most of it is there: a series that
        begins or ends in the middle of a session just does.
        """
        if not self.opened:
            return Span(start or 0, (start or 0) if end is None else end, now)
        first, last = self.opened[0], self.opened[-1]
        for session in sessions:
            if session.parts and not self.hours.is_daily and self._is_mostly_there(session):
                opens_at, closes_at = session.parts[0][0], session.parts[-1][1]
                first = opens_at if opens_at < first < closes_at else first
                last = closes_at - 1 if opens_at <= last < closes_at else last
        return Span(first if start is None else start, last + 1 if end is None else end, now)

    def missing(self, sessions: Sequence[Session], span: Span) -> list[MissingBar]:
        """The bars that are not there, in order."""
        if self.is_endless:
            return self._around_the_clock(span)
        if self.hours.is_daily:
            return list(self._days(sessions, span))
        counted = [self._counted(session) for session in sessions if session.parts]
        common: Counter[int] = Counter()
        for ways in counted:
            common.update({n: way.hits for n, way in enumerate(ways)})
        return [MissingBar(*bar, bar) for ways in counted for bar in self._lost(ways, common) if span.holds(bar)]

    def is_told(self, session: Session) -> bool:
        """Whether there is any bar of the day of a session."""
        return session.on_date in self._days_told

    @cached_property
    def _days_told(self) -> frozenset[date]:
        return frozenset(date_of_bar(at, self.hours) for at in self.opened)

    def _around_the_clock(self, span: Span) -> list[MissingBar]:
        step = self.hours.step or 1
        phase = self.opened[0] % step if self.opened else 0
        first = span.first + (phase - span.first) % step
        begins = (at for at in range(first, span.end, step) if at not in self._seen)
        return [MissingBar(at, at + step, (at, at + step)) for at in begins if at + step <= span.now]

    def _days(self, sessions: Sequence[Session], span: Span) -> Iterator[MissingBar]:
        """Missing daily bars, dated as those that are there: by the opening, by midnight there or in UTC."""
        told = {date_of_bar(at, self.hours): at for at in self.opened}
        dated = _dating([(told[one.on_date], one) for one in sessions if one.on_date in told], self.hours)
        for session in sessions:
            begin, end = dated(session)
            trading = (session.parts[0][0], session.parts[-1][1]) if session.parts else (begin, end)
            if session.on_date not in told and span.first <= begin < span.end and trading[1] <= span.now:
                yield MissingBar(begin, end, trading)

    def _counted(self, session: Session) -> list["_Way"]:
        grids = _grids(session.parts, self.hours.step or 1)
        return [_Way(grid, [bar for bar in grid if bar[0] not in self._seen]) for grid in grids]

    def _lost(self, ways: Sequence["_Way"], common: Counter[int]) -> list[Stretch]:
        """What the way that fits best misses, or the one that fits most other sessions where several do.

        A bar in whose time another one lies, counted otherwise, is not missing.
        """
        best = ways[max(range(len(ways)), key=lambda n: (ways[n].hits, common[n], -n))]
        if len(ways) == 1 or not best.lost:
            return best.lost
        step, begins = self.hours.step or 1, {bar[0] for bar in best.bars}
        others = [at for at in self._between(best.bars[0][0] - step, best.bars[-1][1]) if at not in begins]
        return [bar for bar in best.lost if not any(at < bar[1] and at + step > bar[0] for at in others)]

    def _between(self, begin: Tick, end: Tick) -> Sequence[Tick]:
        return self.opened[bisect_left(self.opened, begin) : bisect_left(self.opened, end)]

    def _is_mostly_there(self, session: Session) -> bool:
        due = sum(-((begin - end) // (self.hours.step or 1)) for begin, end in session.parts)
        return 2 * len(self._between(session.parts[0][0], session.parts[-1][1])) > due


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to count the bars of a session, and those of it that are not there."""

    bars: Grid
    lost: Grid

    @property
    def hits(self) -> int:
        return len(self.bars) - len(self.lost)


def _grids(parts: Sequence[Stretch], step: Tick) -> list[Grid]:
    """The ways to count the bars of a session: from each part's opening, through the pause, by the clock twice."""
    from_parts = [(at, min(at + step, end)) for begin, end in parts for at in range(begin, end, step)]
    if all(begin % step == 0 and end % step == 0 for begin, end in parts):
        return [from_parts]
    by_clock = [
        (max(at, begin), min(at + step, end)) for begin, end in parts for at in range(begin - begin % step, end, step)
    ]
    from_before = [(bar[0] - bar[0] % step, bar[1]) for bar in by_clock]
    return [from_parts, list(_through_pauses(parts, step)), by_clock, from_before]


def _through_pauses(parts: Sequence[Stretch], step: Tick) -> Iterator[Stretch]:
    """Bars of so much trading each, over pauses; one that begins before a pause may end after it."""
    rest = 0
    for number, (begin, end) in enumerate(parts):
        at = begin + rest
        while at < end:
            over = at + step - end
            follows = parts[number + 1][0] if number + 1 < len(parts) else None
            yield at, at + step if over <= 0 else end if follows is None else follows + over
            at += step
        rest = at - end


def _dating(told: Sequence[tuple[Tick, Session]], hours: SeriesHours) -> "_Dating":
    """How most daily bars of a series are dated."""
    ways = Counter(_way(at, session, hours) for at, session in told)
    return _Dating(ways.most_common(1)[0][0] if ways else "opening", hours)


def _way(at: Tick, session: Session, hours: SeriesHours) -> str:
    if session.parts and at == session.parts[0][0]:
        return "opening"
    return "there" if at == whole_day(session.on_date, hours.zone)[0] else "utc"


@dataclass(frozen=True, slots=True)
class _Dating:
    way: str
    hours: SeriesHours

    def __call__(self, session: Session) -> Stretch:
        """When the daily bar of a session begins and ends."""
        if self.way == "opening" and session.parts:
            return session.parts[0][0], session.parts[-1][1]
        return whole_day(session.on_date, _UTC if self.way == "utc" else self.hours.zone)


def found_gaps(
    symbol: str, timeframe: str, missing: Sequence[MissingBar], told: Sequence[BarGap], parts: Sequence[Stretch]
) -> list[FoundGap]:
    """Missing bars as stretches, each with the reason that was told of it; `parts` are what no stretch reaches over."""
    reasons = _Reasons(told)
    ends = [end for _, end in parts]
    found: list[FoundGap] = []
    before: tuple[int, BarGap | None] | None = None
    for bar in missing:
        of = bisect_right(ends, bar.begin), reasons.of(*bar.trading)
        if before == of and tick(found[-1].to_at) == bar.begin:
            found[-1] = replace(found[-1], to_at=instant(bar.end), bars=found[-1].bars + 1)
        else:
            found.append(_found(symbol, timeframe, (bar.begin, bar.end), of[1], 1))
        before = of
    return found


def told_gaps(gaps: Iterable[BarGap]) -> list[FoundGap]:
    """Gaps as they were told, of a series of which nobody knows when its bars are due."""
    return [_found(gap.symbol, gap.timeframe, (tick(gap.from_at), tick(gap.to_at)), gap, 0) for gap in gaps]


def closed_gaps(
    symbol: str, timeframe: str, closed: Iterable[Closure], calendar: str, notes: Mapping[date, str]
) -> list[FoundGap]:
    """Closed stretches with their reason, HOLIDAY or HALF_DAY; `notes`: what people said of a day."""
    return [
        FoundGap(symbol, timeframe, instant(begin), instant(end), one.reason, notes.get(one.on_date), calendar, None, 0)
        for one in closed
        for begin, end in one.parts
    ]


def _found(symbol: str, timeframe: str, stretch: Stretch, why: BarGap | None, bars: int) -> FoundGap:
    begin, end = map(instant, stretch)
    if why is None:
        return FoundGap(symbol, timeframe, begin, end, GapReason.VENDOR, None, None, None, bars)
    return FoundGap(symbol, timeframe, begin, end, why.reason, why.note, why.source, why.found_at, bars)


@final
class _Reasons:
    """Told gaps, asked for the one that a bar lies in."""

    def __init__(self, told: Sequence[BarGap]) -> None:
        self._told = sorted(told, key=lambda gap: gap.from_at)
        self._begins = [tick(gap.from_at) for gap in self._told]
        self._ends = [tick(gap.to_at) for gap in self._told]
        self._longest = max((end - begin for begin, end in zip(self._begins, self._ends, strict=True)), default=0)

    def of(self, begin: Tick, end: Tick) -> BarGap | None:
        """The gap that covers most of a bar, of several the one that begins first; None where none touches it."""
        first = bisect_left(self._begins, begin - self._longest)
        touching = range(first, bisect_left(self._begins, end))
        shared = {n: min(end, self._ends[n]) - max(begin, self._begins[n]) for n in touching}
        best = max((n for n in shared if shared[n] > 0), key=lambda n: (shared[n], -n), default=None)
        return None if best is None else self._told[best]
