"""Calendars as the store keeps them, and what an edited override sets going."""

from datetime import date, timedelta

from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.calendars import refresh_calendars
from apex_pipeline.store.transaction import Merged
from tests.store.rows import query, value
from tests.store.rules_book import (
    ALL,
    MONDAY,
    cover,
    rewritten,
    store,
    trade,
)


def settles(url: str, uid: str) -> date:
    return value(url, "SELECT settlement_date FROM settlement_tracking WHERE trade_uid = %s", uid)


def test_calendars_reach_from_before_the_first_known_day_to_weeks_after_the_last(
    db: Database, database_url: str
) -> None:
    store(db, [trade("a", date(2023, 8, 30), 1), trade("b", date(2024, 1, 2), 1, market="HK", symbol="HK.00700")])
    refresh_calendars(db)
    rows = query(
        database_url, "SELECT calendar, min(on_date), max(on_date), count(*) FROM market_days GROUP BY 1 ORDER BY 1"
    )
    first, last = date(2023, 8, 10), date(2024, 2, 11)
    assert rows == [(name, first, last, (last - first).days + 1) for name in ("XHKG", "XNYS")]
    assert not value(
        database_url, "SELECT is_session FROM market_days WHERE calendar = 'XHKG' AND on_date = '2023-09-01'"
    )
    assert refresh_calendars(db) == Merged(0, 0)


def test_an_empty_database_has_no_calendar(db: Database) -> None:
    assert refresh_calendars(db) == Merged(0, 0)


def test_an_edited_override_moves_what_was_traded_before_it(db: Database, database_url: str) -> None:
    store(db, [trade("a", MONDAY, 1), trade("b", MONDAY + timedelta(days=60), 1)])
    rewritten(db, ALL)
    query(database_url, "DELETE FROM dirty_days")
    query(
        database_url,
        "INSERT INTO calendar_overrides VALUES ('XNYS', %s, false, false, NULL, 'closed for a day')",
        MONDAY + timedelta(days=1),
    )
    assert refresh_calendars(db) == Merged(0, 1)
    assert query(database_url, "SELECT stage, account_id, business_date FROM dirty_days ORDER BY 1, 3") == [
        ("reconcile", "U1", MONDAY),
        ("reconcile", "U1", MONDAY + timedelta(days=60)),
        ("value", "U1", MONDAY),
    ]
    rewritten(db, {"U1": MONDAY})
    assert settles(database_url, "a") == MONDAY + timedelta(days=2)
    query(database_url, "DELETE FROM calendar_overrides WHERE reason = 'closed for a day'")
    assert refresh_calendars(db) == Merged(0, 1)
    rewritten(db, {"U1": MONDAY})
    assert settles(database_url, "a") == MONDAY + timedelta(days=1)


def test_a_new_day_in_the_calendar_marks_nothing(db: Database, database_url: str) -> None:
    store(db, [trade("a", MONDAY, 1)])
    refresh_calendars(db)
    query(database_url, "DELETE FROM dirty_days")
    cover(database_url, "U1", MONDAY, MONDAY + timedelta(days=1))
    assert refresh_calendars(db).inserted == 1
    assert query(database_url, "SELECT count(*) FROM dirty_days") == [(0,)]
