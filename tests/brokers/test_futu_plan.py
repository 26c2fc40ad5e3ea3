"""Windows and batches."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.brokers.futu import plan
from apex_pipeline.domain.records import Account, Ask, Audit, Call, Done, LoadScope
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


def test_all_orders_come_before_the_deals_and_newest_days_first_over_all_accounts() -> None:
    calls = plan.history_calls(ask(200), [ACCOUNT, Account("7")], [])
    half = len(calls) // 2
    assert [call.data_type for call in calls] == [plan.ORDERS] * half + [plan.DEALS] * half
    for some in (calls[:half], calls[half:]):
        assert [call.to_date for call in some] == sorted((call.to_date for call in some), reverse=True)
        assert [call.account_id for call in some[:2]] == [ACCOUNT.account_id, "7"]


def test_a_paper_account_is_asked_for_orders_only() -> None:
    assert {call.data_type for call in plan.history_calls(ask(5), [PAPER], [])} == {plan.ORDERS}
    assert plan.fee_calls(PAPER, {"1": TODAY}, ask(5), 400) == []


def test_an_account_without_the_asked_market_is_not_asked() -> None:
    assert plan.calls(ask(5, market="US"), [PAPER], []) == []
    assert plan.calls(ask(5, market="HK"), [PAPER], []) != []
    with pytest.raises(ConfigError, match="no market 'MARS'"):
        plan.calls(ask(5, market="MARS"), [ACCOUNT], [])


def test_fee_ids_are_batched_over_all_windows_with_the_dates_of_their_orders() -> None:
    ids = [str(n) for n in range(900)]
    calls = plan.fee_calls(ACCOUNT, dict.fromkeys(ids, TODAY), ask(365), 400)
    assert [len(call.ids) for call in calls] == [400, 400, 100]
    assert [order_id for call in calls for order_id in call.ids] == ids
    assert all(isinstance(call, plan.FeeCall) and len(call.dates) == len(call.ids) for call in calls)


def test_a_window_without_an_answer_is_cut_into_all_of_its_days() -> None:
    first, last = date(2026, 11, 1), date(2026, 11, 5)
    assert plan.halves(first, last) == [(date(2026, 11, 4), last), (first, date(2026, 11, 3))]
    assert plan.newest_day_and_halves(first, last) == [
        (last, last), (date(2026, 11, 3), date(2026, 11, 4)), (first, date(2026, 11, 2)),
    ]  # fmt: skip
    assert plan.newest_day_and_halves(first, date(2026, 11, 2)) == [(date(2026, 11, 2),) * 2, (first, first)]


@pytest.mark.parametrize("orders", [500, 5_000, 50_000])
def test_a_year_costs_the_fewest_requests_there_can_be(orders: int) -> None:
    filled = {str(n): TODAY - timedelta(days=n % 365) for n in range(orders * 8 // 10)}
    calls = [*plan.calls(ask(365), [ACCOUNT], []), *plan.states(ask(365), [ACCOUNT])]
    fees = plan.fee_calls(ACCOUNT, filled, ask(365), 400)
    count = {kind: sum(call.data_type == kind for call in calls) for kind in plan.DATA_TYPES}
    assert {kind: n for kind, n in count.items() if n} == {
        plan.ORDERS: 5,
        plan.DEALS: 5,
        plan.POSITIONS: 1,
        plan.FUNDS: 1,
    }
    assert len(fees) == -(-len(filled) // 400)


def test_the_daily_increment_of_a_year_is_one_request_of_each_kind() -> None:
    before = TODAY - timedelta(days=1)
    final = [Done(kind, ACCOUNT.account_id, "ALL", before - timedelta(days=365), before - timedelta(days=90))
             for kind in (plan.ORDERS, plan.DEALS)]  # fmt: skip
    again = frozenset(TODAY - timedelta(days=n) for n in range(1, plan.REREAD_DAYS))
    wanted = replace(ask(1), again=again)
    calls = [*plan.calls(wanted, [ACCOUNT], final), *plan.states(wanted, [ACCOUNT])]
    assert [call.data_type for call in calls] == [plan.ORDERS, plan.DEALS, plan.POSITIONS, plan.FUNDS]
    assert (TODAY - calls[0].from_date).days == plan.REREAD_DAYS - 1
    assert all(not plan.budget(call.data_type, "1") for call in calls[2:])


def test_states_are_told_of_today_only_and_of_paper_accounts_too() -> None:
    states = [(call.data_type, call.account_id) for call in plan.states(ask(3), [ACCOUNT, PAPER])]
    assert states == [(kind, a.account_id) for a in (ACCOUNT, PAPER) for kind in (plan.POSITIONS, plan.FUNDS)]
    assert plan.states(ask(3, end=TODAY - timedelta(days=1)), [ACCOUNT]) == []
    assert plan.states(replace(ask(3), scope=LoadScope.CASH), [ACCOUNT]) == []


def test_an_intraday_load_asks_only_what_has_no_limit() -> None:
    wanted = replace(ask(1), scope=LoadScope.INTRADAY)
    calls = [*plan.calls(wanted, [ACCOUNT, PAPER], []), *plan.states(wanted, [ACCOUNT, PAPER])]
    assert {call.data_type for call in calls} == plan.UNLIMITED
    assert len(calls) == 7
    assert not any(plan.budget(call.data_type, call.account_id or "") for call in calls)


OTHER = Account("7", ("US",))


@given(days=st.integers(1, 400), back=st.integers(0, 30), skipped=st.sets(st.integers(0, 399)))
def test_cash_is_asked_once_for_each_weekday_that_is_over(days: int, back: int, skipped: set[int]) -> None:
    wanted = replace(ask(days, end=TODAY - timedelta(days=back)), scope=LoadScope.CASH)
    asked_before = {wanted.to_date - timedelta(days=n) for n in skipped}
    done = [Done(plan.CASH, ACCOUNT.account_id, "ALL", day, day) for day in asked_before]
    calls = plan.calls(wanted, [ACCOUNT, OTHER, PAPER], done)
    weekdays = {wanted.from_date + timedelta(days=n) for n in range(days)}
    weekdays = {day for day in weekdays if day.isoweekday() <= 5 and day < TODAY}
    assert all(call.from_date == call.to_date for call in calls)
    assert len(calls) == len({(call.account_id, call.from_date) for call in calls})
    mine = {call.from_date for call in calls if call.account_id == ACCOUNT.account_id}
    assert mine == weekdays - asked_before
    assert {call.from_date for call in calls if call.account_id == OTHER.account_id} == weekdays
    assert [call.from_date for call in calls] == sorted((call.from_date for call in calls), reverse=True)


def test_the_bookings_of_accounts_are_asked_side_by_side() -> None:
    calls = plan.calls(replace(ask(8), scope=LoadScope.CASH), [ACCOUNT, OTHER], [])
    assert [call.account_id for call in calls] == [ACCOUNT.account_id, OTHER.account_id] * (len(calls) // 2)


def follow_up(found: Audit, asked: Ask, done: list[Done] | None = None) -> list[tuple[str, date, date]]:
    calls = plan.follow_up(ACCOUNT, found, asked, done or [])
    return [(call.data_type, call.from_date, call.to_date) for call in calls]


@given(back=st.integers(0, 180), days=st.integers(1, 120))
def test_the_order_of_an_orphaned_deal_is_looked_for_as_long_as_an_order_lives(back: int, days: int) -> None:
    dealt_on, asked = TODAY - timedelta(days=back), ask(days)
    found = follow_up(Audit(orphans=frozenset({dealt_on})), asked)
    looked = {first + timedelta(days=n) for _, first, last in found for n in range((last - first).days + 1)}
    earliest = dealt_on - timedelta(days=plan.LONGEST_ORDER_DAYS)
    assert earliest in looked
    assert max(looked) <= dealt_on
    told = {asked.from_date + timedelta(days=n) for n in range(days)}
    assert {earliest + timedelta(days=n) for n in range(plan.LONGEST_ORDER_DAYS + 1)} <= looked | told
    assert len(found) <= 2


def test_an_orphan_is_not_looked_for_again_in_days_that_are_final() -> None:
    orphan = Audit(orphans=frozenset({TODAY - timedelta(days=5)}))
    final = [Done(plan.ORDERS, ACCOUNT.account_id, "ALL", TODAY - timedelta(days=365), TODAY - timedelta(days=1))]
    assert follow_up(orphan, ask(10)) != []
    assert follow_up(orphan, ask(10), final) == []


def test_what_the_records_contradict_is_asked_again_though_it_was_finished() -> None:
    day = TODAY - timedelta(days=40)
    found = Audit(incomplete={plan.DEALS: frozenset({day}), plan.ORDERS: frozenset({day})})
    done = [Done(kind, ACCOUNT.account_id, "ALL", day, day) for kind in (plan.ORDERS, plan.DEALS)]
    assert (plan.DEALS, day, day) in follow_up(found, ask(1), done)
    assert follow_up(found, ask(1)) == [(plan.ORDERS, day, day), (plan.DEALS, day, day)]


def test_orders_that_were_live_are_read_again_where_this_load_has_not_looked() -> None:
    old, new = TODAY - timedelta(days=70), TODAY - timedelta(days=1)
    live = Audit(open=frozenset({old, new}))
    assert follow_up(live, ask(3)) == [(plan.ORDERS, old, old)]
    assert follow_up(live, replace(ask(3), again=frozenset({old}))) == []


def test_a_load_of_today_or_of_cash_follows_nothing_up() -> None:
    found = Audit(orphans=frozenset({TODAY}), incomplete={plan.DEALS: frozenset({TODAY})})
    for scope in (LoadScope.INTRADAY, LoadScope.CASH):
        assert follow_up(found, replace(ask(1), scope=scope)) == []
    assert follow_up(found, ask(1)) != []


def test_fees_are_asked_of_orders_since_2018_only() -> None:
    calls = plan.fee_calls(ACCOUNT, {"old": date(2017, 12, 31), "new": date(2018, 1, 1)}, ask(1), 400)
    assert [call.ids for call in calls] == [("new",)]
