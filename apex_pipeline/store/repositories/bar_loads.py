"""What is known of bars before a broker is asked, and its answer: bars, and why others are not there."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from apex_pipeline.domain.bar_gaps import Series
from apex_pipeline.domain.bar_hours import SeriesHours, Session, Tick, instant, sessions, tick, whole_day
from apex_pipeline.domain.bar_known import (
    Known,
    explained,
    is_asked_by_session,
    not_twice,
    not_worse,
    open_days,
    unasked,
)
from apex_pipeline.domain.bar_plan import ASKED_AGAIN_AFTER, TRADED_DAYS, BarWish, Listed, Wanted, wanted_days
from apex_pipeline.domain.calendars import CALENDARS
from apex_pipeline.domain.ledger import MarketDay
from apex_pipeline.domain.market import AROUND_THE_CLOCK, Adjustment, BarAnswer, BarAsk, BarGap
from apex_pipeline.domain.models import Broker
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.market_hours import days_between, series_hours
from apex_pipeline.store.tables import BAR_GAPS, BARS, as_row, row_as
from apex_pipeline.store.transaction import Merged, Row, Transaction

SETTLED_AFTER = timedelta(minutes=30)
"""How long after its close a session is asked for: its auction has printed by then."""

_SATURDAY = 5
_DAY = timedelta(days=1)
_BROKERS = frozenset(broker.value for broker in Broker)


class BarLoadRepository:
    """Loads of bars; `now` decides which sessions are over and which refusals are old."""

    def __init__(self, db: Database, now: datetime | None = None) -> None:
        self._db = db
        self._now = now or datetime.now(UTC)
        self._days: dict[str, list[MarketDay]] = {}

    def wanted(self, wish: BarWish) -> list[Wanted]:
        """All days of every series that is wanted, known or not."""
        with self._db.transaction() as tx:
            listed = _listed(tx, wish)
        return [Wanted(one, name, tuple(days)) for one in listed for name, days in wanted_days(one, wish).items()]

    def unknown(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """What of this is to be asked for: days of which bars are missing that nobody explained."""
        with self._db.transaction() as tx:
            return [part for one in wanted for part in self._open(tx, one)]

    def session_days(self, first: date, last: date) -> list[date]:
        """Days on which New York or Hong Kong trades."""
        with self._db.transaction() as tx:
            days = [day for market in ("US", "HK") for day in days_between(tx, CALENDARS[market], first, last)]
        return sorted({day.on_date for day in days if day.is_session})

    def store(self, broker: Broker, ask: BarAsk, answer: BarAnswer, fills: Collection[date]) -> Merged:
        """Keep an answer: its bars, and the reasons of those that it lacks, or that nobody asked for; all or nothing.

        `fills`: the days on which we traded it ourselves.
        """
        series, days = (ask.symbol, ask.timeframe), _between(ask.from_date, ask.to_date)
        with self._db.transaction() as tx:
            hours = series_hours(tx, *series, ask.exchange)
            before = Series(_opened(tx, series, days) if hours.is_daily else (), hours)
            told = not_worse(not_twice(answer.bars, before), _as_traded(tx, ask, answer))
            merged = tx.merge(BARS, map(as_row, told))
            known = self._known(tx, series, hours, days)
            _replace(tx, known, explained(known, answer, broker, fills, self._now))
            if is_asked_by_session(hours):
                self._excuse_unasked(tx, series, hours)
        return merged

    def finish(self) -> None:
        """Have the planner know how many bars there are now."""
        with self._db.transaction() as tx:
            tx.analyze_changed([BARS.name, BAR_GAPS.name])

    def _excuse_unasked(self, tx: Transaction, series: tuple[str, str], hours: SeriesHours) -> None:
        """Say of whole sessions between the bars of a series that nobody asked for them.

        With each answer: a load that is killed leaves no session that looks lost and is not wanted.
        """
        firsts: Sequence[Tick] = tx.fetchval(
            "bars_first_of_days", symbol=series[0], timeframe=series[1], zone=hours.zone.key
        )
        if firsts:
            days = _between(instant(firsts[0]).date() - _DAY, instant(firsts[-1]).date() + _DAY)
            tx.merge(BAR_GAPS, map(as_row, unasked(self._known(tx, series, hours, days, firsts), self._now)))

    def _open(self, tx: Transaction, wanted: Wanted) -> Iterator[Wanted]:
        symbol, timeframe = wanted.listed.symbol, wanted.timeframe
        hours = series_hours(tx, symbol, timeframe, wanted.listed.exchange)
        known = self._known(tx, (symbol, timeframe), hours, wanted.days)
        refused: defaultdict[frozenset[Broker], list[date]] = defaultdict(list)
        for day, brokers in open_days(known, self._now, self._now - ASKED_AGAIN_AFTER).items():
            refused[brokers].append(day)
        for brokers, some in refused.items():
            told_by = _teller(tx, symbol, timeframe)
            yield replace(wanted, days=tuple(sorted(some)), told_by=told_by, refused_by=brokers)

    def _known(
        self,
        tx: Transaction,
        series: tuple[str, str],
        hours: SeriesHours,
        days: Sequence[date],
        opened: Sequence[Tick] | None = None,
    ) -> Known:
        """What is stored of these days, as far as they are over; `opened`: when bars begin, where that is known."""
        over, wanted = tick(self._now - SETTLED_AFTER), set(days)
        due = [one for one in self._due(tx, hours, days) if one.on_date in wanted and one.parts[-1][1] <= over]
        told = [row_as(BarGap, row) for row in tx.fetch("bars_told_gaps", **_reach(series, days))]
        bars = Series(_opened(tx, series, days) if opened is None else opened, hours)
        return Known(*series, bars, due, told)

    def _due(self, tx: Transaction, hours: SeriesHours, days: Sequence[date]) -> list[Session]:
        """The sessions around some days; all days around the clock, and every weekday where nobody knows the hours."""
        first, last = min(days), max(days)
        if hours.calendar not in (None, AROUND_THE_CLOCK):
            told = sessions(self._market_days(tx, str(hours.calendar), first, last), hours)
            return [one if one.parts else Session(one.on_date, (whole_day(one.on_date, hours.zone),)) for one in told]
        every = (day for day in _between(first, last) if hours.calendar or day.weekday() < _SATURDAY)
        return [Session(day, (whole_day(day, hours.zone),)) for day in every]

    def _market_days(self, tx: Transaction, calendar: str, first: date, last: date) -> list[MarketDay]:
        """Days of a calendar, which a load asks for again with each series."""
        known = self._days.get(calendar, [])
        if not known or first < known[0].on_date or last > known[-1].on_date:
            first_known, last_known = (known[0].on_date, known[-1].on_date) if known else (first, last)
            known = days_between(tx, calendar, min(first, first_known), max(last, last_known))
            self._days[calendar] = known
        return [day for day in known if first <= day.on_date <= last]


def _listed(tx: Transaction, wish: BarWish) -> list[Listed]:
    rows = tx.fetch(
        "bars_listed",
        last=wish.last,
        traded_since=wish.first - timedelta(days=TRADED_DAYS),
        minutes_since=wish.last - timedelta(days=wish.minutes_days - 1),
        symbols=list(wish.symbols),
    )
    return [_instrument(row) for row in rows]


def _instrument(row: Row) -> Listed:
    codes = {Broker.FUTU: row["futu_code"], Broker.IB: row["ib_conid"]}
    return Listed(
        symbol=row["symbol"],
        exchange=row["exchange"],
        codes={broker: code for broker, code in codes.items() if code},
        expiry=row["expiry"],
        fills=tuple(row["fills"]),
        last_on=row["last_on"],
        is_followed=row["is_followed"],
    )


def _teller(tx: Transaction, symbol: str, timeframe: str) -> Broker | None:
    """The broker that told the newest bar of a series."""
    row = tx.fetchrow("bars_newest", symbol=symbol, timeframe=timeframe, most=1)
    return Broker(row["source"]) if row and row["source"] in _BROKERS else None


def _as_traded(tx: Transaction, ask: BarAsk, answer: BarAnswer) -> set[datetime]:
    """When stored bars with prices as traded begin, where the answer has adjusted ones."""
    if all(bar.adjustment is Adjustment.NONE for bar in answer.bars):
        return set()
    reach = {"from_at": answer.bars[0].opened_at, "to_at": answer.bars[-1].opened_at}
    rows = tx.fetch("bars_as_traded", symbol=ask.symbol, timeframe=ask.timeframe, **reach)
    return {row["opened_at"] for row in rows}


def _opened(tx: Transaction, series: tuple[str, str], days: Sequence[date]) -> Sequence[Tick]:
    """When the bars around these days begin."""
    return tx.fetchval("bars_opened", **_reach(series, days))


def _reach(series: tuple[str, str], days: Sequence[date]) -> dict[str, Any]:
    begin, end = _midnight(min(days) - _DAY), _midnight(max(days) + 2 * _DAY)
    return {"symbol": series[0], "timeframe": series[1], "from_at": begin, "to_at": end}


def _replace(tx: Transaction, known: Known, gaps: Sequence[BarGap]) -> None:
    """Make these what loads say of the sessions that were asked for."""
    if not known.sessions:
        return
    kept = set(gaps)
    stale = [gap.from_at for gap in known.own() if gap not in kept]
    if stale:
        tx.execute("bar_gaps_remove", symbol=known.symbol, timeframe=known.timeframe, begins=stale)
    tx.merge(BAR_GAPS, map(as_row, gaps))


def _between(first: date, last: date) -> list[date]:
    return [first + n * _DAY for n in range((last - first).days + 1)]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
