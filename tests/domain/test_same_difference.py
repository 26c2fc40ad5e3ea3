"""Two checks that see one difference tell it once: where they compare the same thing and are off by the same amount."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.reconciliation import BreakRule, Finding
from apex_pipeline.domain.same_difference import told_elsewhere

MONDAY, TUESDAY, FRIDAY = date(2026, 7, 6), date(2026, 7, 7), date(2026, 7, 10)
HELD, THREE_WAY = CheckName.POSITIONS_EQUAL_THE_BROKERS, CheckName.FILLS_LEDGER_AND_BROKER_AGREE
LOTS, EXPIRED = CheckName.OPEN_LOTS_EQUAL_THE_BROKERS, CheckName.NO_OPTION_OUTLIVES_ITS_EXPIRY
FUNDS, CASH = CheckName.THE_BALANCE_OF_FUNDS_RUNS, CheckName.ENDING_CASH_EQUALS_THE_CASH_REPORT
FLOW = CheckName.CASH_FLOW_EQUALS_TRADES_AND_FEES
COST, GAIN = CheckName.AVERAGE_COST_EQUALS_THE_BROKERS, CheckName.UNREALIZED_PNL_EQUALS_THE_BROKERS
REALIZED, CLOSED = CheckName.REALIZED_PNL_EQUALS_THE_BROKERS, CheckName.LOTS_ARE_CLOSED_IN_THE_BROKERS_ORDER
GAP, FILLED = (
    CheckName.COVERED_DAYS_HOLD_WHAT_THE_BROKER_SAYS, CheckName.ORDER_FILLED_QUANTITY_IS_THE_SUM_OF_ITS_TRADES,
)  # fmt: skip
PARTS = CheckName.EVERY_POSITION_BELONGS_TO_STRATEGIES
UNTOLD, NOT_ASKED = CheckName.STATEMENTS_COVER_EVERY_BUSINESS_DAY, CheckName.EVERY_DAY_WAS_ASKED_OF_FUTU
KEPT, NORMALIZED = CheckName.RAW_RECORDS_ARE_KEPT_AS_RECEIVED, CheckName.RAW_IS_NORMALIZED_PLUS_QUARANTINED
RULE, AHEAD = CheckName.EVERY_MOVEMENT_HAS_A_RULE, CheckName.NO_WATERMARK_IS_AHEAD_OF_ITS_DATA


def found(check: CheckName, expected: str | None, actual: str | None, subject: str = "s", **told: Any) -> Finding:
    day: date | None = told.pop("day", MONDAY)
    account: str = told.pop("account", "U1")
    cause: str | None = told.pop("cause", None)
    currency: str | None = told.pop("currency", None)
    theirs, ours = (None if one is None else Decimal(one) for one in (expected, actual))
    return Finding(check, Broker.IB, account, subject, day, theirs, ours, Severity.ERROR, currency, cause, told)


def rule_of(one: Finding, *others: Finding) -> BreakRule | None:
    """The rule by which a finding follows from others; none may follow the other way round as well."""
    told = told_elsewhere([*others, one])
    assert not any(
        one.break_uid in (told[other.break_uid].follows if other.break_uid in told else ()) for other in others
    )
    explained = told.get(one.break_uid)
    if explained:
        assert set(explained.follows) <= {other.break_uid for other in others}
    return explained.rule if explained else None


@pytest.mark.parametrize("check", [THREE_WAY, LOTS])
def test_a_position_that_is_off_by_as_much_as_the_snapshot_is_the_same(check: CheckName) -> None:
    held = found(HELD, "3", "5", "US.A 1", symbol="US.A")
    assert rule_of(found(check, "13", "15", "US.A 1", symbol="US.A"), held) is BreakRule.SAME_POSITION
    assert rule_of(found(check, "3", "6", "US.A 1", symbol="US.A"), held) is None
    assert rule_of(found(check, "3", "5", "US.A 2", symbol="US.A"), held) is None
    assert rule_of(found(check, "3", "5", "US.A 1", symbol="US.A", account="U2"), held) is None


def test_only_the_newest_snapshot_before_counts() -> None:
    early, late = (
        found(HELD, "3", told, "US.A 1", symbol="US.A", day=day) for told, day in (("5", MONDAY), ("4", TUESDAY))
    )
    of_friday = found(LOTS, "3", "5", "US.A 1", symbol="US.A", day=FRIDAY)
    assert rule_of(of_friday, early) is BreakRule.SAME_POSITION
    assert rule_of(of_friday, early, late) is None
    assert rule_of(found(LOTS, "3", "5", "US.A 1", symbol="US.A", day=MONDAY), late) is None


def test_a_difference_that_comes_back_is_the_one_that_was_told_before() -> None:
    first, again = (found(HELD, "3", "5", "US.A 1", symbol="US.A", day=day) for day in (MONDAY, FRIDAY))
    assert rule_of(again, first) is BreakRule.SAME_POSITION
    assert rule_of(found(HELD, "3", "6", "US.A 1", symbol="US.A", day=FRIDAY), first) is None


def test_an_expired_option_that_the_broker_does_not_hold_is_the_position_that_is_off() -> None:
    held = found(HELD, "0", "2", "US.A C 1", symbol="US.A C")
    assert rule_of(found(EXPIRED, "0", "2", "US.A C", symbol="US.A C", day=TUESDAY), held) is BreakRule.SAME_POSITION
    assert rule_of(found(EXPIRED, "0", "3", "US.A C", symbol="US.A C", day=TUESDAY), held) is None


def funds(expected: str, actual: str, *, day: date = MONDAY, currency: str = "USD") -> Finding:
    return found(FUNDS, expected, actual, f"{currency} {day}", day=day, currency=currency, transactions=["t"])


def test_cash_is_off_by_its_transactions_or_by_something_else() -> None:
    report = found(CASH, "100", "93", currency="USD", from_date="2026-07-06", day=FRIDAY)
    first, second = funds("0", "-5", day=MONDAY), funds("2", "0", day=TUESDAY)
    assert rule_of(report, first, second) is BreakRule.SAME_TRANSACTIONS
    assert rule_of(report, first) is None
    assert rule_of(report, first, funds("2", "0", day=TUESDAY, currency="HKD")) is None
    assert rule_of(report, first, funds("2", "0", day=date(2026, 7, 3))) is None


def test_lines_that_do_not_lead_to_their_balance_lack_what_the_transactions_lack() -> None:
    lines = found(FUNDS, "100", "70", "lines", currency="USD", from_date="2026-07-06")
    assert rule_of(lines, funds("0", "30")) is BreakRule.SAME_LINES
    assert rule_of(lines, funds("0", "31")) is None
    assert rule_of(lines) is None


def test_a_balance_that_is_off_contradicts_its_components_and_the_next_report() -> None:
    report = found(CASH, "105", "100", currency="USD", from_date="2026-07-06")
    own = found(CASH, "105", "100", "own components", currency="USD", components="x", cause="CONVENTION")
    start = found(CASH, "100", "105", "start", currency="USD", last_told="2026-07-06", day=TUESDAY)
    assert rule_of(own, report) is BreakRule.SAME_BALANCE
    assert rule_of(start, report) is BreakRule.SAME_BALANCE
    assert (
        rule_of(found(CASH, "100", "104", "start", currency="USD", last_told="2026-07-06", day=TUESDAY), report) is None
    )


def test_cash_that_is_off_in_two_currencies_the_other_way_round_is_one_booking() -> None:
    dollars, local = found(FLOW, "10", "0", "USD", currency="USD"), found(FLOW, "-10", "0", "HKD", currency="HKD")
    assert rule_of(dollars, local) is BreakRule.SAME_BOOKING
    assert rule_of(found(FLOW, "10", "1", "USD", currency="USD"), local) is None


def test_a_gain_is_off_by_the_cost_that_was_told() -> None:
    cost = found(COST, "7.992", "7.5925", "x", told_cost="-15984", cost="-15185")
    assert rule_of(found(GAIN, "11085", "11884", "x", quantity="-4", multiplier="500"), cost) is BreakRule.SAME_COST
    assert rule_of(found(GAIN, "11085", "11894", "x", quantity="-4", multiplier="500"), cost) is None
    assert rule_of(found(GAIN, "11085", "11884", "y", quantity="-4", multiplier="500"), cost) is None


def test_the_gain_of_a_contract_is_off_by_those_of_its_trades() -> None:
    trades = found(REALIZED, "10", "7", "T1"), found(REALIZED, "5", "4", "T2")
    contract = found(REALIZED, "15", "11", "U1 X", trades=["T1", "T2", "T3"], day=FRIDAY)
    assert rule_of(contract, *trades) is BreakRule.SAME_GAINS
    assert rule_of(contract, trades[0]) is None
    assert rule_of(found(REALIZED, "15", "11", "U1 X", trades=["T3"], day=FRIDAY), *trades) is None


def test_the_gain_of_a_trade_is_off_by_the_cost_of_the_lots_that_the_broker_closed() -> None:
    lots = found(CLOSED, "25", "0", "T1", cost="1075.5277777778", told_cost="948.846666667")
    assert rule_of(found(REALIZED, "-101.609166667", "-228.2902777778", "T1"), lots) is BreakRule.SAME_LOTS
    assert rule_of(found(REALIZED, "-101.6", "-228.3", "T1"), lots) is None
    assert rule_of(found(REALIZED, "-101.609166667", "-228.2902777778", "T2"), lots) is None


def test_a_gain_after_the_ledger_stopped_follows_from_what_stopped_it() -> None:
    stop = found(RULE, None, None, "stop", symbol="US.A", cause="CORP_ACTION")
    unknown = found(REALIZED, "5", None, "T1", symbol="US.A", cause="CORP_ACTION", day=FRIDAY)
    assert rule_of(unknown, stop) is BreakRule.LEDGER_STOPPED
    assert rule_of(found(REALIZED, "5", None, "T1", symbol="US.A", day=FRIDAY), stop) is None
    assert rule_of(found(REALIZED, "5", None, "T1", symbol="US.B", cause="CORP_ACTION", day=FRIDAY), stop) is None


def test_a_day_with_too_few_fills_is_told_by_all_of_its_orders_or_stands_alone() -> None:
    orders = [found(FILLED, "5", "4", uid, order_uid=uid) for uid in ("o1", "o2")]
    assert rule_of(found(GAP, None, None, order_uids=["o1", "o2"]), *orders) is BreakRule.SAME_FILLS
    assert rule_of(found(GAP, None, None, order_uids=["o1", "o2"]), orders[0]) is None
    assert rule_of(found(GAP, None, None, order_uids=[]), *orders) is None


def test_records_without_a_row_are_those_that_no_load_wrote() -> None:
    kept = found(KEPT, "5", "6", "x", table="cash_raw_ib")
    assert rule_of(found(NORMALIZED, "6", "5", "y", kind="cash"), kept) is BreakRule.SAME_RECORDS
    assert rule_of(found(NORMALIZED, "6", "4", "y", kind="cash"), kept) is None
    assert rule_of(found(NORMALIZED, "6", "5", "y", kind="trades"), kept) is None
    assert rule_of(found(NORMALIZED, "6", "5", "y", kind="cash", day=TUESDAY), kept) is None


def test_a_watermark_that_names_a_record_which_is_gone_follows_from_its_day() -> None:
    def ahead(data_type: str = "ib_flex", moment: str = "2026-07-06T21:30:00+00:00") -> Finding:
        return found(AHEAD, "0", "4", data_type=data_type, last_record_at=moment, day=FRIDAY)

    gone = found(KEPT, "3", "2", "x", table="trades_raw_ib")
    assert rule_of(ahead(), gone) is BreakRule.RECORD_IS_GONE
    assert rule_of(ahead(moment="2026-07-07T02:00:00+00:00"), gone) is BreakRule.RECORD_IS_GONE
    assert rule_of(ahead("futu_deals"), gone) is None
    assert rule_of(ahead(moment="2026-07-08T02:00:00+00:00"), gone) is None
    assert rule_of(ahead(), found(KEPT, "2", "3", "x", table="trades_raw_ib")) is None


def hole(first: str, last: str, check: CheckName = UNTOLD) -> Finding:
    return found(check, "3", "0", "hole", missing={"from": first, "to": last}, day=date.fromisoformat(first))


@pytest.mark.parametrize("check", [UNTOLD, NOT_ASKED])
def test_what_appears_over_days_that_nobody_told_follows_from_them(check: CheckName) -> None:
    position = found(HELD, "3", "5", "US.A 1", compared_before_on="2026-07-03", day=FRIDAY)
    assert rule_of(position, hole("2026-07-06", "2026-07-09", check)) is BreakRule.DAYS_ARE_UNTOLD
    assert rule_of(position, hole("2026-07-01", "2026-07-02", check)) is None, "it agreed after these days"
    assert rule_of(position, hole("2026-07-13", "2026-07-14", check)) is None, "it appeared before them"
    assert rule_of(found(HELD, "3", "5", "US.A 1", day=FRIDAY), hole("2026-07-06", "2026-07-09", check)) is None
    assert rule_of(found(CASH, "3", "5", last_told="2026-07-03", day=FRIDAY), hole("2026-07-06", "2026-07-09"))


def test_strategies_of_a_contract_that_changed_on_untold_days_follow_from_them() -> None:
    position = found(HELD, "3", "5", "US.A 1", compared_before_on="2026-07-03", symbol="US.A", day=FRIDAY)
    strategies = found(PARTS, "5", "1", "US.A 1", symbol="US.A", day=None)
    assert rule_of(strategies, position, hole("2026-07-06", "2026-07-09")) is BreakRule.DAYS_ARE_UNTOLD
    assert rule_of(strategies, hole("2026-07-06", "2026-07-09")) is None


def test_lots_that_were_open_on_untold_days_and_money_of_such_a_day_follow_from_them() -> None:
    lots = found(CLOSED, "1", "0", theirs=[{"opened_at": "2026-07-07T14:00:00+00:00"}], ours=[], day=FRIDAY)
    assert rule_of(lots, hole("2026-07-06", "2026-07-08")) is BreakRule.DAYS_ARE_UNTOLD
    assert rule_of(lots, hole("2026-07-02", "2026-07-06")) is None, "it was opened after these days"
    assert rule_of(lots, hole("2026-07-13", "2026-07-14")) is None, "it was closed before these days"
    gain = found(REALIZED, "5", "6", "T1", opened_on="2026-07-02", day=FRIDAY)
    assert rule_of(gain, hole("2026-07-06", "2026-07-08")) is BreakRule.DAYS_ARE_UNTOLD
    assert rule_of(gain, hole("2026-06-22", "2026-06-23")) is None
    assert rule_of(funds("5", "0", day=TUESDAY), hole("2026-07-06", "2026-07-08")) is BreakRule.DAYS_ARE_UNTOLD
    assert rule_of(funds("5", "0", day=FRIDAY), hole("2026-07-06", "2026-07-08")) is None
    cancel = found(CheckName.EVERY_CANCEL_HAS_ITS_TRADE, "50", "0", day=TUESDAY)
    assert rule_of(cancel, hole("2026-07-06", "2026-07-08")) is BreakRule.DAYS_ARE_UNTOLD


def test_what_stands_of_other_days_tells_a_difference_already_and_is_not_explained_again() -> None:
    held = found(HELD, "3", "5", "US.A 1", symbol="US.A")
    later = found(THREE_WAY, "13", "15", "US.A 1", symbol="US.A", day=FRIDAY)
    assert told_elsewhere([later], [held])[later.break_uid].follows == (held.break_uid,)
    assert told_elsewhere([held], [later]) == {}
    again = found(HELD, "3", "5", "US.A 1", symbol="US.A", day=FRIDAY)
    assert set(told_elsewhere([again], [held])) == {again.break_uid}
