"""The checks of cash agree with a clean book, and each thing they should notice opens exactly its break."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.models import Broker, BrokerBalance, CashKind
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.rehearsing import RehearsalRepository
from apex_pipeline.store.transaction import statement
from tests.store.cash_book import FUTU, IB, covered, fee, line, movement, report, rewritten, store, trade
from tests.store.rows import query

MON, TUE, WED = (date(2024, 7, day) for day in range(1, 4))
REPORT, FUNDS, FLOW = (
    "ending_cash_equals_the_cash_report",
    "the_balance_of_funds_runs",
    "cash_flow_equals_trades_and_fees",
)


def found(db: Database, check: str, day: date = MON, last: date = WED) -> list[tuple[Any, ...]]:
    """(subject, expected, actual, severity, cause) of what does not hold."""
    rows = db.fetch(statement(f"check_{check}"), from_date=day, to_date=last)
    return [(row["subject"], row["expected"], row["actual"], row["severity"], row["cause"]) for row in rows]


def compared(db: Database, check: str) -> int:
    return sum(row["subjects"] for row in db.fetch(statement(f"subjects_{check}"), from_date=MON, to_date=WED))


def a_statement(db: Database) -> None:
    """Of one account and two days: a purchase with its commission, then interest."""
    store(
        db,
        [
            trade(IB, "1", MON, 10, "50"),
            fee(IB, "1", MON, "1.25"),
            movement(IB, "2", TUE, CashKind.INTEREST, "3"),
            report(
                IB, MON, MON, startingCash="1000", endingCash="498.75", netTradesPurchases="-500", commissions="-1.25"
            ),
            report(IB, TUE, TUE, startingCash="498.75", endingCash="501.75", brokerInterest="3"),
            line(IB, "first", MON, None, "1000", from_date=MON, to_date=MON),
            line(IB, "1", MON, "-501.25", "498.75"),
            line(IB, "last", MON, None, "498.75", from_date=MON, to_date=MON),
            line(IB, "first", TUE, None, "498.75", from_date=TUE, to_date=TUE),
            line(IB, "2", TUE, "3", "501.75"),
            line(IB, "last", TUE, None, "501.75", from_date=TUE, to_date=TUE),
        ],
    )
    rewritten(db)


def evidence(db: Database, check: str) -> dict[str, Any]:
    return db.fetch(statement(f"check_{check}"), from_date=MON, to_date=WED)[0]["evidence"]


def test_a_clean_statement_closes_and_something_was_compared(db: Database) -> None:
    a_statement(db)
    assert found(db, REPORT) == found(db, FUNDS) == []
    assert compared(db, REPORT) == compared(db, FUNDS) == 2


def test_a_missing_entry_is_found_in_its_report_with_its_component_and_transaction(db: Database) -> None:
    a_statement(db)
    query(db.url, "DELETE FROM cash_ledger WHERE kind = 'INTEREST'")
    assert found(db, REPORT) == [
        ("U1 USD 2024-07-02..2024-07-02", Decimal("501.75"), Decimal("498.75"), "ERROR", "MISSING_B")
    ]
    told = evidence(db, REPORT)
    assert told["components"] == {"interest": {"theirs": "3", "ours": "0"}}
    assert [one["transaction"] for one in told["transactions"]] == ["2"]
    assert found(db, FUNDS) == [("U1 USD 2024-07-02", Decimal(3), Decimal(0), "ERROR", "MISSING_B")]


def test_an_entry_too_many_is_found(db: Database) -> None:
    a_statement(db)
    store(db, [movement(IB, "9", TUE, CashKind.DEPOSIT, "100")])
    rewritten(db)
    assert found(db, REPORT) == [
        ("U1 USD 2024-07-02..2024-07-02", Decimal("501.75"), Decimal("601.75"), "ERROR", "MISSING_A")
    ]
    assert evidence(db, REPORT)["transactions"][0]["entries"] == ["IB_U1_C9:CASH"]
    assert found(db, FUNDS)[0][0] == "U1 USD 2024-07-02"


def test_a_fee_that_was_debited_in_another_currency_than_its_row_says_is_named(db: Database) -> None:
    a_statement(db)
    query(db.url, "UPDATE fees_norm SET currency = 'EUR'")
    store(
        db,
        [
            report(IB, MON, MON, "EUR", startingCash="0", endingCash="0"),
            report(IB, TUE, TUE, "EUR", startingCash="0", endingCash="0"),
        ],
    )
    rewritten(db)
    assert found(db, REPORT) == [
        ("U1 EUR 2024-07-01..2024-07-01", Decimal(0), Decimal("-1.25"), "ERROR", "FX"),
        ("U1 USD 2024-07-01..2024-07-01", Decimal("498.75"), Decimal(500), "ERROR", None),
    ]
    row = evidence(db, REPORT)["transactions"][0]
    assert (row["other_currency"], row["entries"]) == ("USD", ["IB_U1_1_COMMISSION:FEE"])


def test_what_is_missing_between_two_reports_is_found_at_the_start_of_the_second(db: Database) -> None:
    a_statement(db)
    query(db.url, "UPDATE broker_figures SET figures = figures || '{\"startingCash\": 600, \"endingCash\": 603}' "
                  "WHERE to_date = '2024-07-02'")  # fmt: skip
    assert found(db, REPORT) == [
        ("U1 USD 2024-07-02..2024-07-02 start", Decimal(600), Decimal("498.75"), "ERROR", "OPENING_BALANCE")
    ]


def test_a_report_whose_own_components_do_not_add_up_is_told_as_such(db: Database) -> None:
    a_statement(db)
    query(db.url, "UPDATE broker_figures SET figures = figures || '{\"dividends\": 5}' WHERE to_date = '2024-07-02'")
    assert found(db, REPORT) == [
        ("U1 USD 2024-07-02..2024-07-02 own components", Decimal("501.75"), Decimal("506.75"), "WARN", "CONVENTION")
    ]


def test_of_the_sum_in_the_base_currency_only_its_own_components_are_compared(db: Database) -> None:
    a_statement(db)
    told = {"startingCash": "900", "fxTranslationGainLoss": "-1", "netTradesPurchases": "-500"}
    store(db, [report(IB, MON, MON, "BASE_SUMMARY", **told, endingCash="399")])
    assert found(db, REPORT) == []
    store(db, [report(IB, MON, MON, "BASE_SUMMARY", **told, endingCash="424")])
    subject = "U1 BASE_SUMMARY 2024-07-01..2024-07-01 own components"
    assert found(db, REPORT) == [(subject, Decimal(424), Decimal(399), "WARN", "CONVENTION")]


def test_the_collateral_of_lent_shares_is_no_part_of_the_ending_cash(db: Database) -> None:
    a_statement(db)
    lent = '{"slbNetSecuritiesLentActivity": 3072, "slbEndingCashCollateral": 3072, "slbNetCash": 3573.75}'
    query(db.url, "UPDATE broker_figures SET figures = figures || %s::jsonb WHERE to_date = '2024-07-02'", lent)
    assert found(db, REPORT) == []


def test_a_difference_of_a_cent_is_rounding_and_of_two_a_break(db: Database) -> None:
    a_statement(db)
    query(db.url, "UPDATE cash_ledger SET amount = 3.01 WHERE kind = 'INTEREST'")
    assert found(db, REPORT) == []
    query(db.url, "UPDATE cash_ledger SET amount = 3.02 WHERE kind = 'INTEREST'")
    assert len(found(db, REPORT)) == 1


def test_a_line_whose_balance_does_not_run_is_found_whatever_the_order(db: Database) -> None:
    a_statement(db)
    query(db.url, "UPDATE broker_funds SET balance = 497 WHERE broker_transaction_id = '1'")
    assert found(db, FUNDS)[0][0] == "U1 USD 2024-07-01..2024-07-01"
    assert evidence(db, FUNDS)["loose_balances"] == ["497.000000", "998.250000"]


def test_a_statement_whose_lines_do_not_reach_its_last_balance_is_found(db: Database) -> None:
    a_statement(db)
    query(db.url, "DELETE FROM broker_funds WHERE broker_transaction_id = '2'")
    assert found(db, FUNDS) == [
        ("U1 USD 2024-07-02", Decimal(0), Decimal(3), "ERROR", "MISSING_A"),
        ("U1 USD 2024-07-02..2024-07-02", Decimal(3), Decimal(0), "ERROR", None),
    ]


def test_several_lines_of_one_day_run_in_any_order(db: Database) -> None:
    store(
        db,
        [
            line(IB, "first", MON, None, "0", from_date=MON, to_date=MON),
            line(IB, "z", MON, "5", "5"),
            line(IB, "a", MON, "5", "10"),
            line(IB, "m", MON, "-10", "0"),
            line(IB, "last", MON, None, "0", from_date=MON, to_date=MON),
            *(
                movement(IB, key, MON, CashKind.OTHER, amount)
                for key, amount in zip("zam", ("5", "5", "-10"), strict=True)
            ),
        ],
    )
    rewritten(db)
    assert found(db, FUNDS) == []


def a_flow(db: Database) -> None:
    store(
        db,
        [
            trade(FUTU, "1", MON, 10, "50", order_uid="o"),
            fee(FUTU, "1", MON, "1.25", order_uid="o"),
            movement(FUTU, "1", MON, CashKind.TRADE, "-500"),
            movement(FUTU, "2", MON, CashKind.FEE, "-1.25"),
        ],
    )
    covered(db, FUTU, "futu_cash", MON, WED)
    rewritten(db)


def test_a_cash_flow_that_says_the_same_agrees_and_something_was_compared(db: Database) -> None:
    a_flow(db)
    assert found(db, FLOW) == []
    assert compared(db, FLOW) == 1


@pytest.mark.parametrize(
    ("change", "actual", "severity", "cause"),
    [
        ("DELETE FROM trades_norm", "-1.25", "ERROR", None),
        ("UPDATE fees_norm SET amount = 1.26", "-501.26", "ERROR", None),
        ("DELETE FROM fees_norm", "-500", "WARN", "FEE_PENDING"),
        ("DELETE FROM fees_norm; DELETE FROM trades_norm", "0", "ERROR", "MISSING_B"),
    ],
)
def test_what_the_cash_flow_knows_otherwise_is_found(
    db: Database, change: Any, actual: str, severity: str, cause: str | None
) -> None:
    a_flow(db)
    query(db.url, change)
    # a trade of the week stands for the bookings, so that they are still compared
    store(db, [trade(FUTU, "0", date(2024, 6, 28), 1, "1")])
    rewritten(db)
    assert found(db, FLOW) == [("100 USD 2024-07-01", Decimal("-501.25"), Decimal(actual), severity, cause)]


def test_a_booking_of_a_trade_that_nobody_tells_is_found_where_the_deals_of_its_week_are_known(db: Database) -> None:
    store(db, [movement(FUTU, "1", TUE, CashKind.TRADE, "-500")])
    covered(db, FUTU, "futu_cash", MON, WED)
    rewritten(db)
    assert found(db, FLOW) == [], "it may be of a trade before the history"
    covered(db, FUTU, "futu_deals", date(2024, 6, 1), WED)
    assert found(db, FLOW) == [("100 USD 2024-07-02", Decimal(-500), Decimal(0), "ERROR", "MISSING_B")]
    store(db, [trade(FUTU, "2", MON, 100, "5", source="futu_cash")])
    assert found(db, FLOW) == [], "the money of a delivery is booked without a deal"


def test_half_a_cent_of_a_fee_is_rounding(db: Database) -> None:
    a_flow(db)
    query(db.url, "UPDATE fees_norm SET amount = 1.255")
    rewritten(db)
    assert found(db, FLOW) == []


def test_a_booking_on_the_next_day_is_a_matter_of_time(db: Database) -> None:
    a_flow(db)
    query(db.url, "UPDATE cash_movements SET booked_on = '2024-07-02'")
    rewritten(db)
    assert found(db, FLOW) == [
        ("100 USD 2024-07-01", Decimal(0), Decimal("-501.25"), "WARN", "TIMING"),
        ("100 USD 2024-07-02", Decimal("-501.25"), Decimal(0), "WARN", "TIMING"),
    ]


def test_a_trade_without_a_booking_is_found_only_where_the_cash_flow_is_known(db: Database) -> None:
    a_flow(db)
    query(db.url, "DELETE FROM cash_movements")
    rewritten(db)
    assert found(db, FLOW) == [("100 USD 2024-07-01", Decimal(0), Decimal("-501.25"), "ERROR", "MISSING_A")]
    query(db.url, "DELETE FROM load_coverage")
    assert found(db, FLOW) == []


# Futu's cash between two snapshots of funds ---------------------------------------------------------------------


def snapshots(db: Database, *cash: tuple[date, str], hour: int = 23) -> None:
    """What an account holds in dollars on these days; covered from Monday to Wednesday."""
    at = (BrokerBalance(day, Broker.FUTU, FUTU, "USD", Decimal(amount), None, None, _instant(day, hour), "futu_funds")
          for day, amount in cash)  # fmt: skip
    store(db, at)
    covered(db, FUTU, "futu_cash", MON, WED)


def _instant(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def test_cash_that_changed_by_what_was_booked_in_between_agrees(db: Database) -> None:
    snapshots(db, (MON, "1000"), (WED, "1003"))
    store(db, [movement(FUTU, "1", TUE, CashKind.INTEREST, "3")])
    assert found(db, FLOW) == []


def test_cash_that_changed_otherwise_than_it_was_booked_is_found_where_it_usually_does_not(db: Database) -> None:
    snapshots(db, (MON, "1000"), (WED, "1003.01"))
    store(db, [movement(FUTU, "1", TUE, CashKind.INTEREST, "3")])
    assert found(db, FLOW) == [], "nothing says that this account's cash moves with its bookings"
    snapshots(db, (date(2024, 6, 26), "990"), (date(2024, 6, 28), "1000"))
    store(db, [movement(FUTU, "0", date(2024, 6, 27), CashKind.INTEREST, "10")])
    assert found(db, FLOW) == [("100 USD 2024-07-01..2024-07-03", Decimal("3.01"), Decimal(3), "ERROR", None)]


def test_cash_that_changed_without_a_booking_is_found(db: Database) -> None:
    snapshots(db, (MON, "1000"), (WED, "1003.01"))
    assert found(db, FLOW)[0][1:] == (Decimal("3.01"), Decimal(0), "ERROR", "MISSING_B")
    query(db.url, "DELETE FROM load_coverage")
    assert found(db, FLOW) == [], "nobody told what was booked"


def test_a_snapshot_of_a_day_with_bookings_may_hold_them_or_not(db: Database) -> None:
    snapshots(db, (MON, "1000"), (TUE, "1001"), (WED, "1003"))
    store(db, [movement(FUTU, "1", TUE, CashKind.INTEREST, "3")])
    assert found(db, FLOW) == []


def test_snapshots_that_were_taken_after_all_of_it_need_not_differ(db: Database) -> None:
    late = _instant(date(2024, 7, 20), 1)
    for day in (MON, WED):
        store(db, [BrokerBalance(day, Broker.FUTU, FUTU, "USD", Decimal(1003), None, None, late, "futu_funds")])
    covered(db, FUTU, "futu_cash", MON, WED)
    store(db, [movement(FUTU, "1", TUE, CashKind.INTEREST, "3")])
    assert found(db, FLOW) == []


# What would set the balance of funds right ------------------------------------------------------------------------


def set_right(db: Database) -> None:
    """Make the changes that the finding proposes and write the cash again."""
    (row,) = db.fetch(statement(f"check_{FUNDS}"), from_date=MON, to_date=WED)
    RehearsalRepository(db).change(row["evidence"]["set_right"])
    rewritten(db)


def test_a_booking_that_no_line_tells_is_taken_away_and_one_of_another_amount_is_set_to_it(db: Database) -> None:
    a_statement(db)
    store(db, [movement(IB, "9", TUE, CashKind.DEPOSIT, "100")])
    rewritten(db)
    set_right(db)
    assert found(db, FUNDS) == found(db, REPORT) == []
    query(db.url, "UPDATE cash_movements SET amount = 4 WHERE broker_cash_id = '2'")
    rewritten(db)
    set_right(db)
    assert query(db.url, "SELECT amount FROM cash_movements") == [(Decimal(3),)]
    assert found(db, FUNDS) == found(db, REPORT) == []


def test_a_trade_that_no_line_tells_is_taken_away_with_its_fee(db: Database) -> None:
    a_statement(db)
    store(db, [trade(IB, "7", TUE, 5, "20"), fee(IB, "7", TUE, "1")])
    rewritten(db)
    assert found(db, FUNDS)[0][1:] == (Decimal(0), Decimal(-101), "ERROR", "MISSING_A")
    set_right(db)
    assert query(db.url, "SELECT broker_trade_id FROM trades_norm") == [("1",)]
    assert found(db, FUNDS) == found(db, REPORT) == []


def test_a_booking_on_another_day_than_its_line_is_moved_to_it(db: Database) -> None:
    a_statement(db)
    query(db.url, "UPDATE cash_movements SET booked_on = %s", MON)
    rewritten(db)
    assert [row[1:3] for row in found(db, FUNDS)] == [(Decimal(0), Decimal(3)), (Decimal(3), Decimal(0))]
    on_its_day, _ = db.fetch(statement(f"check_{FUNDS}"), from_date=MON, to_date=WED)
    RehearsalRepository(db).change(on_its_day["evidence"]["set_right"])
    rewritten(db)
    assert query(db.url, "SELECT booked_on FROM cash_movements") == [(TUE,)]
    assert found(db, FUNDS) == found(db, REPORT) == []


def test_a_fee_without_money_of_its_trade_is_taken_away_alone(db: Database) -> None:
    a_statement(db)
    store(db, [trade(IB, "7", TUE, 5, "0"), fee(IB, "7", TUE, "1")])
    rewritten(db)
    set_right(db)
    assert query(db.url, "SELECT count(*) FROM trades_norm") == [(2,)]
    assert found(db, FUNDS) == found(db, REPORT) == []
