"""Windows, batches and predicted times."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.brokers.futu import plan
from apex_pipeline.domain.records import Account, Ask, Call, Done
from apex_pipeline.errors import ConfigError

TODAY = date(2026, 11, 20)
ACCOUNT = Account("281756478396547854", ("HK", "US"))
PAPER = Account("3450310", ("HK",), environment="SIMULATE", has_trades=False)


def ask(days: int, *, end: date = TODAY, market: str = "ALL", force: bool = False) -> Ask:
    return Ask(end - timedelta(days=days - 1), end, TODAY, market=market, force=force)


def orders_of(calls: list[Call]) -> list[Call]:
    return [call for call in calls if call.data_type == plan.ORDERS]


@pytest.mark.parametrize(("days", "windows"), [(1, 1), (89, 1), (90, 2), (365, 5), (366, 5)])
def test_a_year_takes_five_windows(days: int, windows: int) -> None:
    calls = plan.history_calls(ask(days), [ACCOUNT], [])
    assert len(orders_of(calls)) == windows
    assert len(calls) == 2 * windows


@given(days=st.integers(1, 800), back=st.integers(0, 400), skipped=st.sets(st.integers(0, 60), max_size=8))
def test_windows_cover_every_missing_day_and_never_exceed_ninety_dates(days: int, back: int, skipped: set[int]) -> None:
    wanted = ask(days, end=TODAY - timedelta(days=back))
    starts = [wanted.from_date + timedelta(days=9 * n) for n in skipped]
    done = [Done(plan.ORDERS, ACCOUNT.account_id, "ALL", start, start + timedelta(days=4)) for start in starts]
    missing = plan.missing_days(wanted, plan.ORDERS, ACCOUNT.account_id, done)
    windows = plan.windows(missing, TODAY)
    for first, last in windows:
        begin, end = plan.requested_dates(first, last, TODAY)
        assert (end - begin).days + 1 <= plan.WINDOW_DATES
        assert begin == first - timedelta(days=1)
        assert end == min(last + timedelta(days=1), TODAY)
        assert {first, last} <= set(missing)
    assert all(any(first <= day <= last for first, last in windows) for day in missing)
    assert windows == sorted(windows, reverse=True)


def test_neighbouring_requests_overlap() -> None:
    windows = plan.windows(plan.missing_days(ask(365), plan.ORDERS, "1", []), TODAY)
    requests = [plan.requested_dates(first, last, TODAY) for first, last in windows]
    assert all(newer[0] < older[1] for newer, older in pairwise(requests))
    assert requests[0][1] == TODAY


def test_finished_days_are_left_out_unless_the_load_is_forced() -> None:
    done = [Done(kind, ACCOUNT.account_id, "ALL", date(2025, 1, 1), date(2026, 11, 18)) for kind in plan.DATA_TYPES]
    calls = plan.history_calls(ask(365), [ACCOUNT], done)
    assert [(call.from_date, call.to_date) for call in calls] == [(date(2026, 11, 19), TODAY)] * 2
    assert len(plan.history_calls(ask(365, force=True), [ACCOUNT], done)) == 10


def test_days_finished_for_one_market_are_still_missing_for_all_markets() -> None:
    done = [Done(plan.ORDERS, ACCOUNT.account_id, "US", date(2026, 11, 1), TODAY)]
    assert len(plan.missing_days(ask(20), plan.ORDERS, ACCOUNT.account_id, done)) == 20
    assert not plan.missing_days(ask(20, market="US"), plan.ORDERS, ACCOUNT.account_id, done)


def test_newest_days_come_first_over_all_accounts_and_orders_before_deals() -> None:
    calls = plan.history_calls(ask(200), [ACCOUNT, Account("7")], [])
    assert [call.to_date for call in calls] == sorted((call.to_date for call in calls), reverse=True)
    assert [(call.data_type, call.account_id) for call in calls[:4]] == [
        (plan.ORDERS, ACCOUNT.account_id), (plan.DEALS, ACCOUNT.account_id), (plan.ORDERS, "7"), (plan.DEALS, "7"),
    ]  # fmt: skip


def test_a_paper_account_is_asked_for_orders_only() -> None:
    assert {call.data_type for call in plan.history_calls(ask(5), [PAPER], [])} == {plan.ORDERS}
    assert plan.fee_calls(PAPER, {"1": TODAY}, ask(5), 400) == []


def test_an_account_without_the_asked_market_is_not_asked() -> None:
    assert plan.history_calls(ask(5, market="US"), [PAPER], []) == []
    with pytest.raises(ConfigError, match="no market 'MARS'"):
        plan.history_calls(ask(5, market="MARS"), [ACCOUNT], [])


def test_fee_ids_are_batched_over_all_windows_with_the_dates_of_their_orders() -> None:
    ids = [str(n) for n in range(900)]
    calls = plan.fee_calls(ACCOUNT, dict.fromkeys(ids, TODAY), ask(365), 400)
    assert [len(call.ids) for call in calls] == [400, 400, 100]
    assert [order_id for call in calls for order_id in call.ids] == ids
    assert all(isinstance(call, plan.FeeCall) and len(call.dates) == len(call.ids) for call in calls)


def fees(count: int, account_id: str = "1") -> list[Call]:
    return [Call(plan.FEES, account_id, "ALL", TODAY, TODAY, (str(n),)) for n in range(count)]


def test_ten_requests_are_free_and_each_further_ten_wait_a_window() -> None:
    assert plan.seconds(fees(10), 10, Decimal(30)) == 0
    assert plan.seconds(fees(11), 10, Decimal(30)) == 30
    assert plan.seconds(fees(100), 10, Decimal(30)) == 270


def test_accounts_and_interfaces_do_not_share_a_budget() -> None:
    assert plan.seconds(fees(10) + fees(10, "2"), 10, Decimal(30)) == 0
    assert plan.seconds(plan.history_calls(ask(365), [ACCOUNT], []), 10, Decimal(30)) == 0


def test_a_window_without_an_answer_is_cut_into_all_of_its_days() -> None:
    first, last = date(2026, 11, 1), date(2026, 11, 5)
    assert plan.halves(first, last) == [(date(2026, 11, 4), last), (first, date(2026, 11, 3))]
    assert plan.newest_day_and_halves(first, last) == [
        (last, last), (date(2026, 11, 3), date(2026, 11, 4)), (first, date(2026, 11, 2)),
    ]  # fmt: skip
    assert plan.newest_day_and_halves(first, date(2026, 11, 2)) == [(date(2026, 11, 2),) * 2, (first, first)]
