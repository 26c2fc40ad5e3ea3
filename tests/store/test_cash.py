"""The cash ledger holds every movement of cash once, and its states follow from it from any day on."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.models import AssetClass, CashKind, FeeAllocation, FeeType, TradeKind
from apex_pipeline.settings import PROJECT_DIR
from apex_pipeline.store.db import Database
from apex_pipeline.store.migrate import MigrationRunner
from apex_pipeline.store.transaction import Merged
from tests.store.cash_book import (
    BEGINNING,
    FUTU,
    IB,
    balance,
    covered,
    fee,
    line,
    movement,
    report,
    rewritten,
    store,
    trade,
    trade_figures,
)
from tests.store.rows import query, tables_hash, value

MON, TUE, WED, THU, FRI = (date(2024, 7, day) for day in range(1, 6))
SUN = date(2024, 6, 30)
TABLES = ["cash_ledger", "cash_account_state"]
NOTHING = {name: Merged(0, 0) for name in TABLES}


def entries(db: Database) -> list[tuple[Any, ...]]:
    """(kind, booked, settles, amount) of all entries, in order."""
    text = "SELECT kind, booked_on, settle_date, amount FROM cash_ledger ORDER BY booked_on, kind, amount"
    return query(db.url, text)


def states(db: Database) -> list[tuple[Any, ...]]:
    """(day, total, settled, unsettled) of the US dollars of all accounts."""
    return query(
        db.url,
        "SELECT as_of, total_cash, settled_cash, unsettled_cash FROM cash_account_state WHERE currency = 'USD' "
        "ORDER BY account_id, as_of",
    )


def stored_at(db: Database) -> list[tuple[Any, ...]]:
    """Where every row stands and which transaction wrote it."""
    return query(
        db.url,
        "SELECT ctid::text, xmin::text FROM cash_ledger "
        "UNION ALL SELECT ctid::text, xmin::text FROM cash_account_state",
    )


def a_book(db: Database) -> None:
    """Two trades with fees that settle the day after, a dividend, and a report of what was there before."""
    store(
        db,
        [
            trade(IB, "1", MON, 10, "50", settle_date=TUE),
            fee(IB, "1", MON, "1.25"),
            trade(IB, "2", TUE, -4, "60", settle_date=THU),
            fee(IB, "2", TUE, "-0.10"),
            movement(IB, "3", WED, CashKind.DIVIDEND, "7.5"),
            report(IB, MON, FRI, startingCash="1000.000", endingCash="746.35"),
        ],
    )
    covered(db, IB, "ib_flex", MON, FRI)


def test_trades_fees_and_bookings_are_entries_of_what_was_there_before(db: Database) -> None:
    a_book(db)
    assert rewritten(db) == {"cash_ledger": Merged(6, 0), "cash_account_state": Merged(6, 0)}
    assert entries(db) == [
        ("OPENING", SUN, SUN, Decimal(1000)),
        ("FEE", MON, TUE, Decimal("-1.25")),
        ("TRADE", MON, TUE, Decimal(-500)),
        ("FEE", TUE, THU, Decimal("0.1")),
        ("TRADE", TUE, THU, Decimal(240)),
        ("DIVIDEND", WED, WED, Decimal("7.5")),
    ]


def test_cash_is_told_of_every_day_on_which_some_was_booked_or_settled_and_of_the_last(db: Database) -> None:
    a_book(db)
    rewritten(db)
    assert states(db) == [
        (SUN, Decimal(1000), Decimal(1000), Decimal(0)),
        (MON, Decimal("498.75"), Decimal(1000), Decimal("-501.25")),
        (TUE, Decimal("738.85"), Decimal("498.75"), Decimal("240.1")),
        (WED, Decimal("746.35"), Decimal("506.25"), Decimal("240.1")),
        (THU, Decimal("746.35"), Decimal("746.35"), Decimal(0)),
        (FRI, Decimal("746.35"), Decimal("746.35"), Decimal(0)),
    ]


def test_without_an_opening_only_changes_are_known(db: Database) -> None:
    store(db, [movement(IB, "1", MON, CashKind.DEPOSIT, "10")])
    rewritten(db)
    assert states(db) == [(MON, None, None, None)]


def test_what_was_booked_before_the_first_report_is_not_added_to_its_starting_cash(db: Database) -> None:
    a_book(db)
    store(db, [movement(IB, "0", date(2024, 6, 28), CashKind.DEPOSIT, "999")])
    rewritten(db)
    assert states(db)[:3] == [
        (date(2024, 6, 28), None, None, None),
        (SUN, Decimal(1000), Decimal(1000), Decimal(0)),
        (MON, Decimal("498.75"), Decimal(1000), Decimal("-501.25")),
    ]


@pytest.mark.parametrize("day", [BEGINNING, MON, WED, FRI, date(2024, 8, 1)])
def test_a_second_run_from_any_day_writes_nothing(db: Database, day: date) -> None:
    a_book(db)
    rewritten(db)
    before = stored_at(db)
    assert rewritten(db, day) == NOTHING
    assert stored_at(db) == before


def test_days_that_come_one_by_one_in_any_order_make_the_same_tables(db: Database, empty_url: str) -> None:
    a_book(db)
    rewritten(db)
    later: dict[date, list[Any]] = {
        WED: [movement(IB, "3", WED, CashKind.DIVIDEND, "7.5")],
        MON: [trade(IB, "1", MON, 10, "50", settle_date=TUE), fee(IB, "1", MON, "1.25")],
        TUE: [trade(IB, "2", TUE, -4, "60", settle_date=THU), fee(IB, "2", TUE, "-0.10")],
    }
    with Database(empty_url) as other:
        MigrationRunner(other, PROJECT_DIR / "migrations").run()
        for day, rows in later.items():
            store(other, rows)
            rewritten(other, day)
        store(other, [report(IB, MON, FRI, startingCash="1000.000", endingCash="746.35")])
        covered(other, IB, "ib_flex", MON, FRI)
        rewritten(other, FRI)
    assert tables_hash(empty_url, TABLES) == tables_hash(db.url, TABLES)


def test_the_state_of_a_last_day_goes_when_a_later_day_is_the_last(db: Database) -> None:
    a_book(db)
    rewritten(db)
    monday = date(2024, 7, 8)
    covered(db, IB, "ib_flex", monday, monday)
    assert rewritten(db, monday)["cash_account_state"] == Merged(1, 0, 1)
    assert [day for day, *_ in states(db)][-2:] == [THU, monday]


def test_a_trade_that_is_corrected_or_gone_changes_its_entry_and_the_days_since(db: Database) -> None:
    a_book(db)
    rewritten(db)
    store(db, [trade(IB, "2", TUE, -4, "61", settle_date=THU)])
    assert rewritten(db, TUE) == {"cash_ledger": Merged(0, 1), "cash_account_state": Merged(0, 4)}
    query(db.url, "DELETE FROM trades_norm WHERE broker_trade_id = '2'")
    assert rewritten(db, TUE)["cash_ledger"] == Merged(0, 1, 1)  # its fee settles on its own day now
    assert states(db)[-1] == (FRI, Decimal("506.35"), Decimal("506.35"), Decimal(0))


def test_the_brokers_proceeds_come_before_a_product(db: Database) -> None:
    bought = trade(IB, "1", MON, 3, "33.333333")
    store(db, [bought, trade_figures(bought, proceeds="-99.99")])
    rewritten(db)
    assert entries(db) == [("TRADE", MON, MON, Decimal("-99.99"))]


def test_a_cancelled_trade_and_its_cancel_are_booked_each_on_the_day_of_its_report(db: Database) -> None:
    taken_back: dict[str, Any] = {"effective": False}
    tax = fee(IB, "1", MON, "2", trade_uid=None, fee_uid=f"IB_{IB}_1_TAX", fee_type=FeeType.TAX)
    store(
        db,
        [
            trade(IB, "1", MON, 10, "50", **taken_back),
            tax,
            trade(IB, "2", MON, -10, "50", kind=TradeKind.CANCEL, report_date=TUE, **taken_back),
            trade(IB, "3", MON, 10, "49", report_date=TUE),
            # the fee that stayed on the original is borne by the trade in force, but it was paid when it was charged
            FeeAllocation(tax.fee_uid, f"IB_{IB}_3", tax.broker, IB, tax.amount),
        ],
    )
    rewritten(db)
    assert [(kind, day, amount) for kind, day, _, amount in entries(db)] == [
        ("FEE", MON, Decimal(-2)),
        ("TRADE", MON, Decimal(-500)),
        ("TRADE", TUE, Decimal(-490)),
        ("TRADE", TUE, Decimal(500)),
    ]


def test_a_busted_fill_that_nothing_takes_back_moves_no_cash(db: Database) -> None:
    store(
        db,
        [trade(FUTU, "1", MON, 10, "50", effective=False), trade(IB, "2", MON, 1, "9", effective=False, source="TWS")],
    )
    rewritten(db)
    assert entries(db) == []


def test_an_expiry_and_a_trade_of_unknown_amount_make_no_entry(db: Database) -> None:
    store(
        db,
        [
            trade(IB, "1", MON, 1, "0", kind=TradeKind.EXPIRATION, asset_class=AssetClass.OPTION),
            trade(FUTU, "2", MON, 1, "5", multiplier=None, amount=None),
        ],
    )
    rewritten(db)
    assert entries(db) == []


def test_a_conversion_is_booked_by_its_legs_and_its_commission(db: Database) -> None:
    store(
        db,
        [
            trade(IB, "5", MON, 1000, "7.8", asset_class=AssetClass.FX, symbol="FX.USD.HKD", currency="HKD"),
            fee(IB, "5", MON, "2"),
            movement(IB, "5_BASE", MON, CashKind.FX, "1000", settle_date=WED),
            movement(IB, "5_QUOTE", MON, CashKind.FX, "-7800", currency="HKD", settle_date=WED),
        ],
    )
    rewritten(db)
    assert entries(db) == [
        ("FEE", MON, MON, Decimal(-2)),
        ("FX", MON, WED, Decimal(-7800)),
        ("FX", MON, WED, Decimal(1000)),
    ]


def test_a_future_moves_its_gain_to_the_close_and_then_its_margin(db: Database) -> None:
    future: dict[str, Any] = {"asset_class": AssetClass.FUTURE, "symbol": "US.ESZ4", "multiplier": Decimal(50)}
    bought = trade(IB, "1", MON, 1, "5000", amount=Decimal(250000), **future)
    margin = line(IB, "77", TUE, "-120", "0", symbol="US.ESZ4", description="MTM")
    store(db, [bought, trade_figures(bought, proceeds="-250000", net_cash="35.5", mtm_pnl="37.5"), margin])
    query(db.url, "INSERT INTO instruments (symbol, asset_class) VALUES ('US.ESZ4', 'FUTURE')")
    rewritten(db)
    assert entries(db) == [("TRADE", MON, MON, Decimal("37.5")), ("OTHER", TUE, TUE, Decimal(-120))]


def test_what_futu_books_for_trades_and_fees_is_not_counted_twice(db: Database) -> None:
    store(
        db,
        [
            trade(FUTU, "1", MON, 10, "50"),
            fee(FUTU, "1", MON, "1"),
            movement(FUTU, "1", MON, CashKind.TRADE, "-500"),
            movement(FUTU, "2", TUE, CashKind.FEE, "-1"),
            movement(FUTU, "3", TUE, CashKind.INTEREST, "3"),
        ],
    )
    rewritten(db)
    assert [(kind, amount) for kind, _, _, amount in entries(db)] == [
        ("FEE", Decimal(-1)),
        ("TRADE", Decimal(-500)),
        ("INTEREST", Decimal(3)),
    ]


@pytest.mark.parametrize("words", ["ADR custody fee", "行情订阅费", "Market Data", "存管费"])
def test_a_fee_of_no_order_is_an_entry_of_its_own(db: Database, words: str) -> None:
    store(
        db,
        [
            trade(FUTU, "1", MON, 10, "50"),
            movement(FUTU, "2", MON, CashKind.FEE, "-2", description=words),
            movement(FUTU, "3", MON, CashKind.FEE, "-9", description="Fees"),
        ],
    )
    rewritten(db)
    assert [(kind, amount) for kind, _, _, amount in entries(db)] == [("FEE", Decimal(-2)), ("TRADE", Decimal(-500))]


def test_a_booking_of_a_trade_counts_where_nothing_was_traded_for_a_week(db: Database) -> None:
    store(db, [trade(FUTU, "1", MON, 10, "50"), movement(FUTU, "2", date(2024, 7, 9), CashKind.TRADE, "-44")])
    rewritten(db)
    assert entries(db)[-1] == ("TRADE", date(2024, 7, 9), date(2024, 7, 9), Decimal(-44))


def test_an_assignment_that_was_read_from_the_cash_flow_has_its_money_there(db: Database) -> None:
    store(
        db,
        [
            trade(FUTU, "L1_S", MON, 100, "130", kind=TradeKind.ASSIGNMENT, source="futu_cash"),
            movement(FUTU, "1", MON, CashKind.ASSIGNMENT, "0", symbol="US.KO 2024-07-01 P 130"),
            movement(FUTU, "2", MON, CashKind.OTHER, "-13000"),
        ],
    )
    rewritten(db)
    assert [(kind, amount) for kind, _, _, amount in entries(db)] == [("OTHER", Decimal(-13000))]


def test_the_opening_at_futu_is_what_is_left_of_a_quiet_days_balance(db: Database) -> None:
    covered(db, FUTU, "futu_cash", MON, FRI)
    store(db, [movement(FUTU, "1", MON, CashKind.DEPOSIT, "300"), balance(FUTU, FRI, "450.0")])
    rewritten(db)
    assert entries(db)[0] == ("OPENING", SUN, SUN, Decimal(150))
    assert states(db) == [(SUN, Decimal(150), Decimal(150), Decimal(0)), (MON, Decimal(450), Decimal(450), Decimal(0))]
    # a later balance does not move it, and neither does what happens after it
    store(db, [movement(FUTU, "2", date(2024, 7, 8), CashKind.FEE, "-5"), balance(FUTU, date(2024, 7, 9), "1")])
    rewritten(db, date(2024, 7, 8))
    assert entries(db)[0] == ("OPENING", SUN, SUN, Decimal(150))
    # a correction of what was before does
    store(db, [movement(FUTU, "1", MON, CashKind.DEPOSIT, "301")])
    rewritten(db, MON)
    assert entries(db)[0] == ("OPENING", SUN, SUN, Decimal(149))
    assert states(db)[0] == (SUN, Decimal(149), Decimal(149), Decimal(0))


def test_an_opening_is_not_computed_over_days_whose_cash_flow_is_not_known(db: Database) -> None:
    covered(db, FUTU, "futu_cash", TUE, FRI)
    store(db, [movement(FUTU, "1", MON, CashKind.DEPOSIT, "300"), balance(FUTU, FRI, "450")])
    rewritten(db)
    assert states(db) == [(MON, None, None, None)]
    covered(db, FUTU, "futu_cash", MON, MON)
    rewritten(db, FRI)
    assert states(db)[0] == (SUN, Decimal(150), Decimal(150), Decimal(0))


def test_a_balance_of_a_day_with_bookings_proves_nothing(db: Database) -> None:
    covered(db, FUTU, "futu_cash", MON, FRI)
    store(db, [movement(FUTU, "1", MON, CashKind.DEPOSIT, "300"), balance(FUTU, MON, "450")])
    rewritten(db)
    assert states(db) == [(MON, None, None, None)]


def test_other_accounts_are_left_alone(db: Database) -> None:
    a_book(db)
    store(db, [movement(FUTU, "1", MON, CashKind.DEPOSIT, "300")])
    rewritten(db, BEGINNING, IB)
    assert value(db.url, "SELECT count(*) FROM cash_ledger WHERE account_id = %s", FUTU) == 0
    before = stored_at(db)
    rewritten(db, BEGINNING, FUTU)
    assert set(before) <= set(stored_at(db))


def test_an_entry_never_settles_before_it_is_booked(db: Database) -> None:
    store(db, [trade(IB, "1", MON, 1, "5", settle_date=TUE, report_date=WED)])
    rewritten(db)
    assert entries(db) == [("TRADE", WED, WED, Decimal(-5))]


def test_the_settlement_by_the_rule_of_the_market_comes_before_the_brokers_date(db: Database) -> None:
    bought = trade(IB, "1", MON, 1, "5", settle_date=THU)
    store(db, [bought, replace(fee(IB, "1", MON, "1"), trade_uid=bought.trade_uid)])
    query(
        db.url,
        "INSERT INTO settlement_tracking (trade_uid, broker, account_id, symbol, trade_date, settlement_date, status) "
        "VALUES (%s, 'IB', 'U1', 'US.KO', '2024-07-01', '2024-07-02', 'SETTLED')",
        bought.trade_uid,
    )
    rewritten(db)
    assert [(kind, settles) for kind, _, settles, _ in entries(db)] == [("FEE", TUE), ("TRADE", TUE)]
