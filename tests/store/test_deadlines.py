"""When an account is late: two hours after its next load was due, whatever days lie between."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from apex_pipeline.store.db import Database
from tests.store import coverage_book as book
from tests.store.coverage_book import FUTU, IB
from tests.store.deadlines import BEFORE, NOW, keep_days, late_at

NEW_YORK = ZoneInfo("America/New_York")


def clock(text: str) -> datetime:
    """An instant of February or March 2026 by the clock of New York, as `02-14 06:45`."""
    return datetime.strptime(f"2026-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=NEW_YORK)


def statement(db: Database, day: str, told_at: str, account: str = IB) -> None:
    """The web service told the statement of a day."""
    on = clock(f"{day} 00:00").date()
    book.told(db, (on, on), None, account, finished_at=clock(told_at))


def futu(db: Database, day: str, told_at: str, account: str = FUTU) -> None:
    """Futu told orders and deals up to a day of Hong Kong."""
    on = clock(f"{day} 00:00").date()
    for data_type in ("futu_orders", "futu_deals"):
        load = book.loaded(db, data_type, (on, on), account_id=account, finished_at=clock(told_at))
        book.covers(db, load, account, (on, on))


@pytest.mark.parametrize(
    ("day", "told_at", "in_time", "late"),
    [
        ("03-03", "03-04 06:45", "03-05 08:40", "03-05 08:50"),  # a Tuesday
        ("03-05", "03-06 06:45", "03-07 08:40", "03-07 08:50"),  # Thursday's is followed by Friday's on Saturday
        ("02-06", "02-07 06:45", "02-10 08:40", "02-10 08:50"),  # Friday's by Monday's on Tuesday
        ("02-13", "02-14 06:45", "02-18 08:40", "02-18 08:50"),  # and by Tuesday's after a holiday on Monday
        ("03-06", "03-07 06:45", "03-10 08:40", "03-10 08:50"),  # clocks went forward between
        ("02-06", "02-07 22:05", "02-10 23:55", "02-11 00:15"),  # told once more by the weekly load, from then
        ("03-02", "03-03 00:30", "03-04 08:25", "03-04 08:35"),  # told as soon as it was made: not late the sooner
    ],
)
def test_a_statement_is_late_two_hours_after_the_next_was_due(
    db: Database, day: str, told_at: str, in_time: str, late: str
) -> None:
    keep_days(db, date(2026, 2, 1), date(2026, 3, 31), "XNYS", "XHKG")
    statement(db, day, told_at)
    assert late_at(db, clock(in_time)) == []
    assert late_at(db, clock(late)) == [(IB, 26)]


def test_control_hours_of_weekdays_were_late_every_tuesday_night(db: Database) -> None:
    keep_days(db, date(2026, 2, 1), date(2026, 3, 31), "XNYS", "XHKG")
    statement(db, "02-06", "02-07 06:45")
    assert late_at(db, clock("02-10 06:00"), BEFORE) == [(IB, 30)]
    assert late_at(db, clock("02-10 06:00"), NOW) == []


@pytest.mark.parametrize(
    ("exchanges", "day", "told_at", "in_time", "late"),
    [
        (("XNYS", "XHKG"), "03-04", "03-03 16:35", "03-04 18:30", "03-04 18:40"),
        (("XNYS", "XHKG"), "03-07", "03-06 16:35", "03-09 18:30", "03-09 18:40"),  # over a weekend
        (("XNYS",), "03-07", "03-06 16:35", "03-09 18:30", "03-09 18:40"),  # of who trades in New York only
        (("XNYS",), "02-14", "02-13 16:35", "02-17 18:30", "02-17 18:40"),  # over a holiday of New York
        (("XNYS", "XHKG"), "02-13", "02-13 03:35", "02-20 05:30", "02-20 05:40"),  # and over the New Year of Hong Kong
    ],
)
def test_futu_is_late_two_hours_after_the_session_that_nobody_told(
    db: Database, exchanges: tuple[str, ...], day: str, told_at: str, in_time: str, late: str
) -> None:
    keep_days(db, date(2026, 2, 1), date(2026, 3, 31), *exchanges)
    futu(db, day, told_at)
    assert late_at(db, clock(in_time)) == []
    assert late_at(db, clock(late)) == [(FUTU, 26)]


def test_days_that_no_calendar_knows_are_weekdays(db: Database) -> None:
    statement(db, "02-13", "02-14 06:45")
    assert late_at(db, clock("02-17 08:40")) == []
    assert late_at(db, clock("02-17 08:50")) == [(IB, 26)], "nobody told that Monday was a holiday"


def test_an_account_that_its_broker_tells_nothing_of_any_more_is_not_late_for_ever(db: Database) -> None:
    statement(db, "02-10", "02-11 06:45")
    statement(db, "02-10", "02-11 06:45", "U2")
    statement(db, "02-24", "02-25 06:45")
    assert [account for account, _ in late_at(db, clock("02-26 06:00"))] == ["U2"], "two weeks behind it is missed"
    statement(db, "02-25", "02-26 06:45")
    assert late_at(db, clock("02-27 06:00")) == [], "and then it was closed"
    futu(db, "02-10", "02-10 16:35")
    assert [account for account, _ in late_at(db, clock("02-27 06:00"))] == [FUTU], "each broker by itself"
