"""Windows of the Flex planner."""

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.brokers.ib.plan import last_day, plan
from apex_pipeline.brokers.ib.port import IbBroker
from apex_pipeline.brokers.ib.settings import IbSettings
from apex_pipeline.domain.records import Ask, Call, Done

TODAY = date(2026, 3, 10)


def ask(first: date, last: date, *, force: bool = False, account: str | None = None) -> Ask:
    return Ask(first, last, TODAY, account_id=account, force=force)


def done(first: date, last: date, account: str = "U1", data_type: str = "ib_flex") -> Done:
    return Done(data_type, account, "ALL", first, last)


def spans(calls: list[Call]) -> list[tuple[date, date]]:
    return [(call.from_date, call.to_date) for call in calls]


def test_the_last_day_is_yesterday_and_today_is_never_asked() -> None:
    assert last_day(TODAY) == date(2026, 3, 9)
    assert spans(plan(ask(date(2026, 3, 9), TODAY), ())) == [(date(2026, 3, 9), date(2026, 3, 9))]
    assert plan(ask(TODAY, TODAY), ()) == []


def test_a_year_and_a_day_needs_two_windows_newest_first() -> None:
    last = date(2026, 3, 9)
    assert len(plan(ask(last - timedelta(days=364), last), ())) == 1
    assert spans(plan(ask(last - timedelta(days=365), last), ())) == [
        (last - timedelta(days=364), last),
        (last - timedelta(days=365), last - timedelta(days=365)),
    ]


def test_done_days_are_left_out_unless_forced() -> None:
    first, last = date(2026, 1, 1), date(2026, 3, 9)
    finished = [done(first, date(2026, 3, 1))]
    assert spans(plan(ask(first, last), finished)) == [(date(2026, 3, 2), last)]
    assert spans(plan(ask(first, last, force=True), finished)) == [(first, last)]
    assert plan(ask(first, date(2026, 2, 1)), finished) == []
    assert len(plan(ask(first, date(2026, 2, 1)), [done(first, last, data_type="futu_deals")])) == 1


def test_a_day_is_done_when_it_is_done_for_every_account() -> None:
    days = (date(2026, 1, 1), date(2026, 1, 31))
    finished = [done(*days), done(date(2026, 1, 1), date(2026, 1, 15), "U2")]
    assert spans(plan(ask(*days), finished)) == [(date(2026, 1, 16), date(2026, 1, 31))]
    assert plan(ask(*days, account="U1"), finished) == []


def test_gaps_that_fit_one_window_are_one_call() -> None:
    finished = [done(date(2026, 1, 10), date(2026, 1, 20))]
    assert spans(plan(ask(date(2026, 1, 1), date(2026, 2, 1)), finished)) == [(date(2026, 1, 1), date(2026, 2, 1))]


def test_days_beyond_the_reach_of_ib_are_not_asked() -> None:
    assert spans(plan(ask(date(2015, 1, 1), TODAY), ()))[-1][0] == date(2022, 1, 1)


GAPS = st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 200)), max_size=6)


@given(st.integers(0, 1600), st.integers(0, 1600), GAPS)
def test_windows_hold_every_missing_day_once_and_are_never_too_long(
    start: int, length: int, gaps: list[tuple[int, int]]
) -> None:
    origin = date(2022, 1, 1)
    first, last = origin + timedelta(days=start), origin + timedelta(days=start + length)
    finished = [done(origin + timedelta(days=a), origin + timedelta(days=a + n)) for a, n in gaps]
    calls = plan(ask(first, last), finished)
    told = {d for item in finished for d in _days(item.from_date, item.to_date)}
    wanted = {d for d in _days(first, min(last, date(2026, 3, 9))) if d not in told}
    asked = [d for call in calls for d in _days(call.from_date, call.to_date)]
    assert wanted <= set(asked)
    assert len(asked) == len(set(asked))
    assert all((call.to_date - call.from_date).days <= 364 for call in calls)
    assert [call.to_date for call in calls] == sorted((call.to_date for call in calls), reverse=True)


def test_the_predicted_time_follows_the_limits() -> None:
    calls = plan(ask(date(2024, 1, 1), TODAY), ())
    assert IbBroker(IbSettings()).seconds(calls) == Decimal(12) * len(calls)
    assert IbBroker(IbSettings(requests_per_minute=2)).seconds(calls) == Decimal(60) * len(calls)


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
