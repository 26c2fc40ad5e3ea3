"""The checks of coverage: which days were asked of each broker, whether they were told, and how fresh the newest is."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.store.db import Database
from tests.store import coverage_book as book
from tests.store.check_rows import compared, differences, findings
from tests.store.coverage_book import FUTU, IB, asked_futu, fees_asked, loaded, order, raw, session, told, write
from tests.store.rows import query

STATEMENTS = CheckName.STATEMENTS_COVER_EVERY_BUSINESS_DAY
ASKED = CheckName.EVERY_DAY_WAS_ASKED_OF_FUTU
FRESH = CheckName.THE_NEWEST_DATA_IS_FRESH
MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (date(2026, 3, day) for day in range(2, 7))
SUNDAY, NEXT_MONDAY, NEXT_FRIDAY = date(2026, 3, 8), date(2026, 3, 9), date(2026, 3, 13)
WEEK = (MONDAY, FRIDAY)
HISTORY = ("futu_orders", "futu_deals")
NOW = datetime.now(UTC)
Spoken = list[tuple[str, Decimal | None, Decimal | None, str | None]]


# Statements of Interactive Brokers ------------------------------------------------------------------------------


def missing(db: Database, first: date = MONDAY, last: date = NEXT_FRIDAY) -> Spoken:
    return differences(findings(db, STATEMENTS, first, last))


def test_statements_that_tell_what_was_asked_agree_and_weekends_are_not_missing(db: Database) -> None:
    told(db, WEEK)
    told(db, (NEXT_MONDAY, NEXT_FRIDAY))
    assert missing(db) == []
    assert compared(db, STATEMENTS, MONDAY, NEXT_FRIDAY) == 10
    assert compared(db, STATEMENTS, NEXT_FRIDAY + timedelta(days=1), NEXT_FRIDAY + timedelta(days=9)) == 0


def test_a_shrunk_window_is_one_error_on_its_first_missing_day(db: Database) -> None:
    load = told(db, WEEK, (MONDAY, TUESDAY), notes=["the answer does not cover them"])
    [found] = findings(db, STATEMENTS, MONDAY, FRIDAY)
    assert differences([found]) == [("U1 2026-03-04..2026-03-06", Decimal(3), Decimal(0), "MISSING_A")]
    assert (found.account_id, found.business_date, found.severity) == (IB, WEDNESDAY, Severity.ERROR)
    [asked] = found.evidence["asked"]
    assert (asked["load_id"], asked["account_is_in_it"], asked["notes"]) == (
        load, True, ["the answer does not cover them"],
    )  # fmt: skip
    assert found.evidence["told"] == ["2026-03-02..2026-03-03"]
    assert findings(db, STATEMENTS, WEDNESDAY) == [found], "a run of that day says the same"
    assert findings(db, STATEMENTS, THURSDAY) == [], "and one of a later day does not say it again"


def test_days_that_are_left_out_at_the_beginning_are_an_error_where_the_account_is_known_to_be_older(
    db: Database,
) -> None:
    load = told(db, WEEK, (WEDNESDAY, FRIDAY))
    assert missing(db) == [("U1 2026-03-02..2026-03-03", Decimal(2), Decimal(0), "MISSING_A")]
    assert findings(db, STATEMENTS, MONDAY)[0].severity is Severity.WARN
    about = {"_section": "AccountInformation", "dateOpened": "20190102", "dateFunded": ""}
    raw(db, load, "sections", IB, "AccountInformation/2026-03-02/2026-03-06/x#1", FRIDAY, payload=about)
    assert findings(db, STATEMENTS, MONDAY)[0].severity is Severity.ERROR


def test_days_before_an_account_was_opened_or_after_it_was_closed_are_not_missing(db: Database) -> None:
    load = told(db, WEEK, (TUESDAY, WEDNESDAY))
    about = {"_section": "AccountInformation", "dateOpened": "2026-03-02", "dateFunded": "20260303"}
    key = "AccountInformation/2026-03-02/2026-03-06/x#1"
    raw(db, load, "sections", IB, key, FRIDAY, payload={**about, "dateClosed": "20260304"})
    assert missing(db) == []
    raw(db, load, "sections", IB, key, FRIDAY, payload={**about, "dateFunded": "", "dateClosed": ""})
    assert [row[0] for row in missing(db)] == ["U1 2026-03-02", "U1 2026-03-05..2026-03-06"]


def test_what_a_later_statement_tells_is_missing_no_more(db: Database) -> None:
    told(db, WEEK, (MONDAY, TUESDAY))
    told(db, (WEDNESDAY, FRIDAY))
    assert missing(db) == []


def test_a_hole_that_nobody_asked_for_is_ours(db: Database) -> None:
    told(db, (MONDAY, TUESDAY))
    told(db, (FRIDAY, FRIDAY))
    assert missing(db) == [("U1 2026-03-04..2026-03-05", Decimal(2), Decimal(0), "PIPELINE")]


def test_a_holiday_of_new_york_is_not_missing_and_not_compared(db: Database) -> None:
    told(db, (MONDAY, TUESDAY))
    told(db, (THURSDAY, FRIDAY))
    assert len(missing(db)) == 1
    session(db, WEDNESDAY, is_session=False)
    assert missing(db) == []
    assert compared(db, STATEMENTS, MONDAY, FRIDAY) == 4


def test_an_account_that_an_answer_left_out_has_a_hole_and_the_others_do_not(db: Database) -> None:
    told(db, (MONDAY, TUESDAY), None, IB, "U2")
    told(db, (WEDNESDAY, WEDNESDAY), None, "U2")
    told(db, (THURSDAY, FRIDAY), None, IB, "U2")
    assert missing(db) == [("U1 2026-03-04", Decimal(1), Decimal(0), "MISSING_A")]
    assert findings(db, STATEMENTS, MONDAY, FRIDAY)[0].evidence["asked"][0]["account_is_in_it"] is False


def test_the_newest_day_may_be_late_for_a_business_day(db: Database) -> None:
    told(db, WEEK, (MONDAY, THURSDAY), finished_at=book.moment(NEXT_MONDAY, 20))
    [found] = findings(db, STATEMENTS, MONDAY, FRIDAY)
    assert (found.severity, found.cause, found.business_date) == (Severity.WARN, "TIMING", FRIDAY)
    told(db, WEEK, (MONDAY, THURSDAY), finished_at=book.moment(NEXT_MONDAY + timedelta(days=1), 20))
    [found] = findings(db, STATEMENTS, MONDAY, FRIDAY)
    assert (found.severity, found.cause) == (Severity.ERROR, "MISSING_A")


def test_files_are_asked_for_nothing_but_must_not_leave_a_hole(db: Database) -> None:
    for days in ((MONDAY, TUESDAY), (THURSDAY, THURSDAY)):
        load = loaded(db, "ib_flex", WEEK)
        book.received(db, load, book.FILE)
        book.covers(db, load, IB, days)
    assert missing(db) == [("U1 2026-03-04", Decimal(1), Decimal(0), "PIPELINE")]


# Days that Futu was asked for -----------------------------------------------------------------------------------


def unasked(db: Database, first: date = MONDAY, last: date = NEXT_FRIDAY) -> Spoken:
    return differences(findings(db, ASKED, first, last))


def test_orders_and_deals_of_every_day_and_cash_of_every_weekday_agree(db: Database) -> None:
    for data_type in HISTORY:
        asked_futu(db, data_type, WEEK)
        asked_futu(db, data_type, (date(2026, 3, 7), NEXT_FRIDAY))
    for day in (MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, NEXT_MONDAY):
        asked_futu(db, "futu_cash", (day, day))
    assert unasked(db) == []
    assert compared(db, ASKED, MONDAY, NEXT_MONDAY) == 2 * 8 + 6
    assert compared(db, ASKED, NEXT_FRIDAY + timedelta(days=1)) == 0


def test_days_that_nobody_asked_for_are_one_error_on_the_first_of_them(db: Database) -> None:
    for data_type in HISTORY:
        asked_futu(db, data_type, (MONDAY, THURSDAY))
        asked_futu(db, data_type, (NEXT_MONDAY, NEXT_FRIDAY))
    loaded(db, "futu_deals", (FRIDAY, SUNDAY), account_id=FUTU, status="FAILED", error="OpenD is away")
    [found] = findings(db, ASKED, MONDAY, NEXT_FRIDAY)
    assert differences([found]) == [("100 2026-03-06..2026-03-08", Decimal(3), Decimal(0), "PIPELINE")]
    assert (found.business_date, found.severity) == (FRIDAY, Severity.ERROR)
    assert found.evidence["not_asked"] == dict.fromkeys(HISTORY, "2026-03-06..2026-03-08")
    assert found.evidence["failed"][0]["error"] == "OpenD is away"
    assert findings(db, ASKED, SUNDAY) == []


def test_deals_that_stop_before_the_orders_do_are_missing(db: Database) -> None:
    asked_futu(db, "futu_orders", WEEK)
    asked_futu(db, "futu_deals", (MONDAY, WEDNESDAY))
    [found] = findings(db, ASKED, MONDAY, FRIDAY)
    assert found.evidence["not_asked"] == {"futu_deals": "2026-03-05..2026-03-06"}


def test_an_account_without_any_deals_is_not_asked_for_them(db: Database) -> None:
    asked_futu(db, "futu_orders", WEEK)
    assert unasked(db) == []


def test_older_orders_and_later_deals_that_a_load_asked_for_besides_leave_no_hole(db: Database) -> None:
    for data_type in HISTORY:
        asked_futu(db, data_type, (WEDNESDAY, THURSDAY))
    wanted = (WEDNESDAY, THURSDAY)
    asked_futu(db, "futu_orders", (date(2025, 12, 5), date(2025, 12, 5)), wanted=wanted)
    asked_futu(db, "futu_deals", (NEXT_FRIDAY, NEXT_FRIDAY), wanted=wanted)
    assert unasked(db, date(2025, 12, 1)) == []


def test_a_stored_load_without_its_days_wanted_them_unless_futu_does_not_offer_them(db: Database) -> None:
    asked_futu(db, "futu_cash", (MONDAY, MONDAY))
    loaded(db, "futu_cash", (TUESDAY, TUESDAY), account_id=FUTU, notes=["is not offered"])
    assert unasked(db) == []
    loaded(db, "futu_cash", (WEDNESDAY, WEDNESDAY), account_id=FUTU)
    assert unasked(db) == [("100 2026-03-03..2026-03-04", Decimal(2), Decimal(0), "PIPELINE")]


def test_cash_of_a_weekday_between_others_is_missing_and_cash_that_was_never_loaded_is_not(db: Database) -> None:
    asked_futu(db, "futu_orders", (MONDAY, NEXT_FRIDAY))
    asked_futu(db, "futu_cash", (THURSDAY, THURSDAY))
    asked_futu(db, "futu_cash", (NEXT_MONDAY, NEXT_MONDAY))
    assert unasked(db) == [("100 2026-03-06", Decimal(1), Decimal(0), "PIPELINE")]
    asked_futu(db, "futu_cash", (FRIDAY, FRIDAY))
    assert unasked(db) == [], "and a weekend needs no booking"


def test_markets_are_compared_as_they_were_loaded(db: Database) -> None:
    asked_futu(db, "futu_orders", (MONDAY, MONDAY))
    for days, market in (((TUESDAY, TUESDAY), "HK"), ((TUESDAY, THURSDAY), "US"), ((THURSDAY, THURSDAY), "HK")):
        asked_futu(db, "futu_orders", days, market=market)
    asked_futu(db, "futu_orders", (FRIDAY, FRIDAY))
    assert unasked(db) == [("100 HK 2026-03-04", Decimal(1), Decimal(0), "PIPELINE")]


def test_a_filled_order_whose_fee_was_never_asked_for_is_found_once_it_is_not_young(db: Database) -> None:
    load = fees_asked(db, TUESDAY, ["asked"], 1)
    write(db, order("asked", MONDAY), order("lost", MONDAY), order("unfilled", MONDAY, 0))
    for key in ("asked", "lost"):
        raw(db, load, "orders", FUTU, key, MONDAY, payload={"fillQty": "10.0"})
    [found] = findings(db, ASKED, MONDAY, FRIDAY)
    assert differences([found]) == [("100 futu_fees 2026-03-02", Decimal(1), Decimal(0), "PIPELINE")]
    assert (found.business_date, found.evidence["rows"]) == (MONDAY, ["FUTU_100_lost"])
    query(db.url, "UPDATE orders_norm SET updated_at = now() WHERE broker_order_id = 'lost'")
    assert unasked(db) == []


def test_fees_are_not_missed_of_accounts_without_any_nor_of_orders_that_no_record_fills(db: Database) -> None:
    asked_futu(db, "futu_orders", WEEK)
    write(db, order("paper", MONDAY))
    raw(db, loaded(db, "futu_orders", WEEK), "orders", FUTU, "paper", MONDAY, payload={"fillQty": 10})
    assert unasked(db) == []
    fees_asked(db, MONDAY, ["other"], 1)
    assert len(unasked(db)) == 1
    raw(db, loaded(db, "futu_orders", WEEK), "orders", FUTU, "paper", MONDAY, payload={"fillQty": 0})
    assert unasked(db) == []


# Freshness ------------------------------------------------------------------------------------------------------


def ago(days: int) -> datetime:
    return NOW - timedelta(days=days)


def day_ago(days: int) -> date:
    return ago(days).date()


def closed(db: Database, *but: int) -> None:
    """Close the exchanges on all of the last weeks' days but these, given as days ago; they are open on those."""
    for days in range(20):
        for calendar in ("XNYS", "XHKG"):
            session(db, day_ago(days), is_session=days in but, calendar=calendar)


def stale(db: Database, last: date | None = None) -> list[tuple[Any, ...]]:
    rows = findings(db, FRESH, day_ago(30), last or NOW.date())
    return [(row.subject, row.business_date, row.expected, row.actual, row.severity, row.cause) for row in rows]


def weekdays_ago(most: int) -> list[int]:
    """Weekdays between `most` days ago and yesterday (two days off both ends, whatever the zone), as days ago."""
    return [days for days in range(2, most - 1) if day_ago(days).isoweekday() < 6]


@pytest.mark.parametrize("data_types", [("futu_orders", "futu_deals"), ("ib_flex",)])
def test_what_was_told_just_now_is_fresh_whatever_its_days(db: Database, data_types: tuple[str, ...]) -> None:
    for data_type in data_types:
        told(db, WEEK) if data_type == "ib_flex" else asked_futu(db, data_type, WEEK)
    assert stale(db) == []
    assert compared(db, FRESH, day_ago(30), NOW.date()) == 1


def test_an_account_that_nothing_is_loaded_of_any_more_is_told_once(db: Database) -> None:
    for data_type in HISTORY:
        asked_futu(db, data_type, (day_ago(40), day_ago(15)), finished_at=ago(15))
    loaded(db, "futu_orders", WEEK, account_id=FUTU, status="FAILED", error="OpenD is away", finished_at=ago(3))
    [found] = stale(db)
    assert (found[0], found[1], found[2], found[4], found[5]) == (
        "100 orders and deals", None, 1, Severity.ERROR, "PIPELINE",
    )  # fmt: skip
    assert found[3] >= 9
    evidence = findings(db, FRESH, NOW.date())[0].evidence
    assert (evidence["newest_day"], evidence["last_failure"]["error"]) == (str(day_ago(15)), "OpenD is away")


def test_a_run_that_does_not_reach_the_newest_day_says_nothing_of_freshness(db: Database) -> None:
    told(db, (day_ago(40), day_ago(15)), finished_at=ago(14))
    assert len(stale(db)) == len(stale(db, day_ago(15))) == 1
    assert stale(db, day_ago(16)) == []
    assert compared(db, FRESH, day_ago(30), day_ago(16)) == 0


def test_an_older_day_that_is_loaded_again_freshens_nothing(db: Database) -> None:
    told(db, (day_ago(40), day_ago(15)), finished_at=ago(14))
    told(db, (day_ago(60), day_ago(16)))
    assert len(stale(db)) == 1
    told(db, (day_ago(60), day_ago(15)))
    assert stale(db) == []


def test_two_business_days_are_a_warning_and_holidays_do_not_count(db: Database) -> None:
    told(db, (day_ago(40), day_ago(15)), finished_at=ago(14))
    closed(db, *weekdays_ago(14)[:2])
    assert stale(db) == [("U1 statements", None, 1, 2, Severity.WARN, "TIMING")]
    query(db.url, "UPDATE market_days SET is_session = false")
    assert stale(db) == []


def test_statements_that_only_ever_came_as_files_have_no_due_date(db: Database) -> None:
    load = loaded(db, "ib_flex", WEEK, finished_at=ago(14))
    book.received(db, load, book.FILE)
    book.covers(db, load, IB, WEEK)
    assert stale(db) == []
    assert compared(db, FRESH, day_ago(30), NOW.date()) == 0
