"""Bars: written in bulk, read by time, and what is missing of them told with its reason."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any

from apex_pipeline.domain.bar_gaps import FoundGap, Series, closed_gaps, found_gaps, told_gaps
from apex_pipeline.domain.bar_hours import SeriesHours, Tick, closures, instant, sessions, tick
from apex_pipeline.domain.bar_rows import bars_of
from apex_pipeline.domain.ledger import MarketDay
from apex_pipeline.domain.market import AROUND_THE_CLOCK, Adjustment, Bar, BarGap, ExchangeInfo, GapReason
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.generic import Repository
from apex_pipeline.store.repositories.market_hours import days_between, overrides_of, series_hours
from apex_pipeline.store.tables import BARS, EXCHANGES, as_row, row_as
from apex_pipeline.store.transaction import Merged, Transaction

ROWS_AT_ONCE = 20_000
"""Bars written, or removed, by one statement: memory and locks stay small however many there are."""

_ALWAYS = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
_AROUND = timedelta(days=20)

Moment = datetime | date | None
"""An instant with its zone; a date is its midnight in UTC."""


class ExchangeRepository(Repository[ExchangeInfo]):
    """Exchanges by the prefix of their symbols, or by their own name: zone, calendar, currency, lots, pauses."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, EXCHANGES, ExchangeInfo)


class OHLCVRepository(Repository[Bar]):
    """Bars of every symbol and length.

    Told as `Bar`, as mappings by column name, or as a data frame; see `domain.bar_rows` for what is made of them.
    Raises ValueError for a row that is no bar, StorageError for one that the table refuses; nothing is written then.
    """

    def __init__(self, db: Database) -> None:
        super().__init__(db, BARS, Bar)

    def insert_many(self, bars: Iterable[Bar | Mapping[str, Any]]) -> int:
        """Add bars that are not there yet, all or none; those that are stay, and of one bar the first does.

        Returns how many were new.
        """
        with self._refusals_told(), self._db.transaction() as tx:
            return sum(tx.add(BARS, map(as_row, some)) for some in _parts(bars, keep_first=True))

    def upsert_many(self, rows: Iterable[Bar | Mapping[str, Any]]) -> Merged:
        """Add bars or make the stored ones equal, all or none; equal ones are not written, of one bar the last is."""
        with self._refusals_told(), self._db.transaction() as tx:
            return sum((tx.merge(BARS, map(as_row, some)) for some in _parts(rows, keep_first=False)), Merged(0, 0))

    def get_range(
        self,
        symbol: str,
        timeframe: str,
        start: Moment = None,
        end: Moment = None,
        adjustment: Adjustment | str | None = None,
    ) -> list[Bar]:
        """Bars that begin from `start` up to and without `end`, oldest first; those of one adjustment, if told."""
        at = _moment(start) or _ALWAYS[0], _moment(end) or _ALWAYS[1]
        rows = self._db.fetch("bars_between", symbol=symbol, timeframe=timeframe, from_at=at[0], to_at=at[1])
        return [row_as(Bar, row) for row in rows if adjustment in (None, row["adjustment"])]

    def get_latest(self, symbol: str, timeframe: str, limit: int = 100) -> list[Bar]:
        """The newest bars, newest first."""
        rows = self._db.fetch("bars_newest", symbol=symbol, timeframe=timeframe, most=limit)
        return [row_as(Bar, row) for row in rows]

    def get_gaps(
        self,
        symbol: str,
        timeframe: str,
        start: Moment = None,
        end: Moment = None,
        *,
        include_closed: bool = False,
    ) -> list[FoundGap]:
        """Every stretch in which bars are due and not there, oldest first, with the reason (see `FoundGap`).

        Without `start` and `end`: between the first and the last bar; the first session from its opening and the last
        one to its close, if most of it is there. What has not ended yet is not due. No bar is due of options and
        warrants (no trade, no bar), nor where the hours are not known (futures, currencies): there only gaps that
        somebody told are. `include_closed`: also holidays and the rest of short sessions.
        """
        with self._db.transaction() as tx:
            return gaps_of(tx, symbol, timeframe, (_moment(start), _moment(end)), include_closed=include_closed)

    def cleanup_old(self, retention_days: float, timeframe: str | None = None) -> int:
        """Remove bars that began so many days ago, of one length or of all, in parts; returns how many."""
        if retention_days < 0:
            raise ValueError(f"bars cannot be kept for {retention_days} days: tell 0 or more")
        told: dict[str, Any] = {"before": datetime.now(UTC) - timedelta(days=retention_days), "timeframe": timeframe}
        total = 0
        while removed := self._db.execute("bars_remove_old", most=ROWS_AT_ONCE, **told):
            total += removed
        self._db.execute("bar_gaps_remove_old", **told)
        return total


def gaps_of(
    tx: Transaction,
    symbol: str,
    timeframe: str,
    between: tuple[datetime | None, datetime | None],
    *,
    include_closed: bool = False,
) -> list[FoundGap]:
    """As `OHLCVRepository.get_gaps`."""
    hours, names = series_hours(tx, symbol, timeframe), {"symbol": symbol, "timeframe": timeframe}
    start, end = (None if at is None else tick(at) for at in between)
    reach: dict[str, Any] = {"from_at": between[0] or _ALWAYS[0], "to_at": between[1] or _ALWAYS[1]}
    opened: list[Tick] = tx.fetchval("bars_opened", **names, **reach)
    told = [row_as(BarGap, row) for row in tx.fetch("bars_told_gaps", **names, **reach)]
    if hours.calendar is None or (hours.is_sparse and not include_closed):
        return told_gaps(told)
    first, last = opened[0] if start is None and opened else start, opened[-1] if end is None and opened else end
    if first is None or last is None:
        return []
    days = [] if hours.calendar == AROUND_THE_CLOCK else _days(tx, hours, first, last)
    due, series = sessions(days, hours), Series(opened, hours)
    span = series.span(due, start, end, tick(datetime.now(UTC)))
    lost = [] if hours.is_sparse else series.missing(due, span)
    parts = [part for session in due for part in session.parts]
    found = told_gaps(told) if hours.is_sparse else found_gaps(symbol, timeframe, lost, told, parts)
    if include_closed:
        notes = {row["on_date"]: row["reason"] for row in overrides_of(tx, hours.calendar)}
        closed = (one for one in closures(days, hours) if one.reason is GapReason.HOLIDAY or not hours.is_daily)
        shut = closed_gaps(symbol, timeframe, closed, hours.calendar, notes)
        found += [gap for gap in shut if span.first <= tick(gap.from_at) < span.end]
    return sorted(found, key=lambda gap: gap.from_at)


def _days(tx: Transaction, hours: SeriesHours, first: Tick, last: Tick) -> list[MarketDay]:
    """The days of the exchange around these instants; some more, of which is known what is usual."""
    return days_between(tx, str(hours.calendar), (instant(first) - _AROUND).date(), (instant(last) + _AROUND).date())


def _parts(rows: Iterable[Bar | Mapping[str, Any]], *, keep_first: bool) -> Iterator[list[Bar]]:
    """Bars in parts to be written at once, each bar once in a part: as it was told first, or last."""
    told = iter(bars_of(rows))
    while some := list(islice(told, ROWS_AT_ONCE)):
        ordered = reversed(some) if keep_first else some
        yield list({(bar.symbol, bar.timeframe, bar.opened_at): bar for bar in ordered}.values())


def _moment(at: Moment) -> datetime | None:
    if at is None or not isinstance(at, datetime):
        return None if at is None else datetime.combine(at, time(), UTC)
    if at.tzinfo is None:
        raise ValueError(f"{at} has no zone: tell an instant with its zone, such as UTC")
    return at
