"""Ages count the days on which an exchange traded, and weekdays where nothing is known of them."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.business_days import BusinessDays, business_days

days = st.dates(date(2014, 1, 1), date(2030, 1, 1))


@given(days, days)
def test_business_days_are_the_weekdays_between(start: date, end: date) -> None:
    span = max(0, (end - start).days)
    weekdays = sum((start + timedelta(days=n)).weekday() < 5 for n in range(1, span + 1))
    assert business_days(start, end) == weekdays


near = st.dates(date(2026, 1, 1), date(2026, 2, 28))


@given(near, near, st.dictionaries(near, st.booleans()))
def test_sessions_are_counted_one_by_one(start: date, end: date, known: dict[date, bool]) -> None:
    asked = [start + timedelta(days=n) for n in range(1, max(0, (end - start).days) + 1)]
    expected = sum(known.get(day, day.weekday() < 5) for day in asked)
    assert BusinessDays(known).between(start, end) == expected


def test_a_holiday_makes_nobody_older() -> None:
    friday, tuesday = date(2026, 7, 3), date(2026, 7, 7)
    assert BusinessDays({friday: False}).between(date(2026, 7, 2), tuesday) == 2
    assert business_days(date(2026, 7, 2), tuesday) == 3
