"""What decides whether a load is due: markets in use, their days with what people said of them, and what was told."""

from collections.abc import Sequence
from datetime import date, timedelta

from apex_pipeline.domain.calendars import CALENDARS
from apex_pipeline.domain.ledger import CalendarOverride
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.timetable import MarketCalendar, Told
from apex_pipeline.reference.exchanges import holiday_names, market_days
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import row_as

WITHOUT_TRADES = {Broker.FUTU: frozenset({"US", "HK"}), Broker.IB: frozenset({"US"})}
"""The markets of accounts that never traded or held anything: where their first trade is looked for."""

_AROUND = timedelta(days=40)


class TimetableRepository:
    """Reads calendars, markets in use and coverage; writes nothing."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def markets_of(self, broker: Broker) -> frozenset[str]:
        """The markets with a calendar in which accounts of a broker ever traded or held anything."""
        told = frozenset(row["market"] for row in self._db.fetch("timetable_markets", broker=broker))
        return told & CALENDARS.keys() or WITHOUT_TRADES[broker]

    def calendar(self, market: str, first: date, last: date | None = None) -> MarketCalendar:
        """The days of a market from weeks before `first` to weeks after `last`, as the library and people tell them.

        What people say counts at once: the days that stages keep in `market_days` follow at their next run.
        """
        name = CALENDARS[market]
        # whole months, because the days of a span are kept in memory once read
        since, until = (first - _AROUND).replace(day=1), ((last or first) + _AROUND).replace(day=28)
        said = [row_as(CalendarOverride, row) for row in self._db.fetch("calendar_overrides")]
        own = {one.on_date: one.reason for one in said if one.calendar == name}
        days = {day.on_date: day for day in market_days(name, since, until, said)}
        return MarketCalendar(market, days, {**holiday_names(name, since, until), **own})

    def told(self, broker: Broker, data_types: Sequence[str], first: date, last: date) -> list[Told]:
        """When each account was last told of each day."""
        rows = self._db.fetch(
            "timetable_told", broker=broker, data_types=list(data_types), from_date=first, to_date=last
        )
        return [Told(**row) for row in rows]

    def loaded(self) -> tuple[date, date] | None:
        """The first and the last day that any load was about; None before the first load."""
        row = self._db.fetch("covered_days_all")[0]
        return (row["from_date"], row["to_date"]) if row["from_date"] else None
