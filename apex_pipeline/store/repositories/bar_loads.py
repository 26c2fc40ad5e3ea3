"""What is known of bars before a broker is asked, and its answer: bars, and why others are not there."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from apex_pipeline.domain.bar_gaps import Series
from apex_pipeline.domain.bar_hours import SeriesHours, Session, sessions, tick, whole_day
from apex_pipeline.domain.bar_known import Known, explained, not_worse, open_days, unasked
from apex_pipeline.domain.bar_plan import ASKED_AGAIN_AFTER, TRADED_DAYS, BarWish, Listed, Wanted, wanted_days
from apex_pipeline.domain.calendars import CALENDARS
from apex_pipeline.domain.ledger import MarketDay
from apex_pipeline.domain.market import AROUND_THE_CLOCK, Adjustment, BarAnswer, BarAsk, BarGap
from apex_pipeline.domain.models import AssetClass, Broker
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
        """Keep an answer: its bars, and the reasons of those that it lacks; all or nothing.

        `fills`: the days on which we traded it ourselves.
        """
        with self._db.transaction() as tx:
            hours = series_hours(tx, ask.symbol, ask.timeframe, ask.exchange)
            merged = tx.merge(BARS, map(as_row, not_worse(answer.bars, _as_traded(tx, ask, answer))))
            days = _between(ask.from_date, ask.to_date)
            known = self._known(tx, (ask.symbol, ask.timeframe), hours, days)
            _replace(tx, known, explained(known, answer, broker, fills, self._now))
        return merged

    def finish(self, told: Iterable[tuple[str, str]]) -> None:
        """Say what nobody asked for of these series, and have the planner know how many bars there are now."""
        for symbol, timeframe in told:
            self.excuse_unasked(symbol, timeframe)
        with self._db.transaction() as tx:
            tx.analyze_changed([BARS.name, BAR_GAPS.name])

    def excuse_unasked(self, symbol: str, timeframe: str) -> None:
        """Say of whole sessions between the bars of a series that nobody asked for them."""
        with self._db.transaction() as tx:
            bounds = tx.fetchrow("bars_bounds", symbol=symbol, timeframe=timeframe)
            if bounds is None or bounds["first_at"] is None:
                return
            hours = series_hours(tx, symbol, timeframe)
            days = _between(bounds["first_at"].date() - _DAY, bounds["last_at"].date() + _DAY)
            known = self._known(tx, (symbol, timeframe), hours, days)
            tx.merge(BAR_GAPS, map(as_row, unasked(known, self._now)))

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

    def _known(self, tx: Transaction, series: tuple[str, str], hours: SeriesHours, days: Sequence[date]) -> Known:
        """What is stored of these days, as far as they are over."""
        symbol, timeframe = series
        over, wanted = tick(self._now - SETTLED_AFTER), set(days)
        due = [one for one in self._due(tx, hours, days) if one.on_date in wanted and one.parts[-1][1] <= over]
        names = {"symbol": symbol, "timeframe": timeframe}
        reach: dict[str, Any] = {"from_at": _midnight(min(days) - _DAY), "to_at": _midnight(max(days) + 2 * _DAY)}
        told = [row_as(BarGap, row) for row in tx.fetch("bars_told_gaps", **names, **reach)]
        return Known(symbol, timeframe, Series(tx.fetchval("bars_opened", **names, **reach), hours), due, told)

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
        asset_class=AssetClass(row["asset_class"]),
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
