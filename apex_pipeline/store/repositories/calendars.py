"""The calendars in use, kept in `market_days`: what the library says, with the overrides of people applied."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from apex_pipeline.domain.calendars import AHEAD, BEFORE, CALENDARS
from apex_pipeline.domain.ledger import CalendarOverride, MarketDay
from apex_pipeline.reference.exchanges import market_days
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import LEDGER_TABLES, as_row, row_as
from apex_pipeline.store.transaction import Merged, Transaction


def refresh_calendars(db: Database) -> Merged:
    """Have every day of the calendars in use, from the first known day to some weeks after the last one.

    Accounts whose trades a changed day may touch are marked for valuing, so that an edited override counts at the
    next run.
    """
    with db.transaction() as tx:
        scope = tx.fetch("calendar_scope")[0]
        if scope["first_day"] is None:
            return Merged(0, 0)
        overrides = [row_as(CalendarOverride, row) for row in tx.fetch("calendar_overrides")]
        days = _days(scope["markets"], scope["first_day"] - BEFORE, scope["last_day"] + AHEAD, overrides)
        known = {(row["calendar"], row["on_date"]): row_as(MarketDay, row) for row in tx.fetch("market_days_known")}
        changed = [day for day in days if known.get((day.calendar, day.on_date)) != day]
        merged = tx.merge(LEDGER_TABLES["market_days"], map(as_row, changed))
        _mark(tx, changed)
    return merged


def _days(markets: Iterable[str], first: date, last: date, overrides: Sequence[CalendarOverride]) -> list[MarketDay]:
    """The days of the calendars of these markets, and of New York, by whose sessions day trades are counted."""
    calendars = {CALENDARS["US"], *(CALENDARS[market] for market in markets if market in CALENDARS)}
    return [day for calendar in sorted(calendars) for day in market_days(calendar, first, last, overrides)]


def _mark(tx: Transaction, changed: Iterable[MarketDay]) -> None:
    first: dict[str, date] = {}
    for day in changed:
        first[day.calendar] = min(day.on_date, first.get(day.calendar, day.on_date))
    moved: Mapping[str, date] = {market: first[name] - BEFORE for market, name in CALENDARS.items() if name in first}
    if moved:
        tx.execute("calendar_mark_changed", markets=list(moved), days=list(moved.values()))
