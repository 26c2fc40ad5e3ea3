"""OpenPositions as positions and lots, and CashReport as balances."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from apex_pipeline.domain.models import AssetClass, BrokerBalance
from apex_pipeline.domain.records import Normalized, Record
from tests.brokers.ib.sections import (
    APPLE_CALL,
    LOT,
    POSITION,
    facts,
    made_of,
    records_in,
    records_of_sections,
    undated,
)
from tests.brokers.ib.statements import ACCOUNT, row

WRITTEN = datetime(2026, 3, 9, 9, tzinfo=UTC)
"""05:00 in New York, when these statements say that they were written."""

CASH = {"accountId": ACCOUNT, "currency": "USD", "endingCash": "100.5", "startingCash": "90", "levelOfDetail": ""}
NAV = {"accountId": ACCOUNT, "fromDate": "20260302", "toDate": "20260306", "endingValue": "5000", "startingValue": "1"}
EQUITY = {"accountId": ACCOUNT, "reportDate": "20260306", "total": "5001.25", "currency": "USD"}


def held(*rows: str) -> Normalized:
    return facts("".join(rows), "OpenPositions")


def position(**changes: str) -> str:
    return row(POSITION, tag="OpenPosition", **changes)


def lot(**changes: str) -> str:
    return row(LOT, tag="OpenPosition", **changes)


def test_a_position_is_told_as_it_was_at_the_end_of_the_day() -> None:
    made = held(position())
    (told,) = made.positions
    assert (told.business_date, told.broker_position_id, told.symbol) == (date(2026, 3, 6), "265598", "US.AAPL")
    assert (told.qty, told.average_cost, told.mark_price) == (Decimal(10), Decimal("200.6"), Decimal(210))
    assert (told.market_value, told.unrealized_pnl, told.realized_pnl) == (Decimal(2100), Decimal(94), None)
    assert (told.asset_class, told.currency, told.as_of) == (AssetClass.STOCK, "USD", WRITTEN)
    assert [one.name for one in made.instruments] == ["APPLE INC"]


def test_a_statement_of_unknown_age_tells_the_end_of_its_day_in_new_york() -> None:
    (told,) = made_of(undated(records_in(position(), "OpenPositions"))).positions
    assert told.as_of == datetime(2026, 3, 7, 5, tzinfo=UTC)


def test_a_short_option_has_a_negative_quantity_and_the_symbol_of_its_trades() -> None:
    (told,) = held(row({**POSITION, **APPLE_CALL}, tag="OpenPosition", position="-2")).positions
    assert (told.symbol, told.underlying) == ("US.AAPL 2026-09-18 C 132.5", "US.AAPL")
    assert (told.qty, told.asset_class) == (Decimal(-2), AssetClass.OPTION)


def test_lots_beside_their_position_are_not_counted_twice() -> None:
    made = held(position(), lot(position="4"), lot(position="6", originatingTransactionID="9002"))
    assert [one.qty for one in made.positions] == [Decimal(10)]
    assert [one.qty for one in made.statements.broker_lots] == [Decimal(4), Decimal(6)]


def test_a_lot_says_when_and_by_which_trade_it_was_opened() -> None:
    (made,) = held(lot()).statements.broker_lots
    assert made.opened_at == datetime(2026, 3, 2, 14, 31, 5, tzinfo=UTC)
    assert (made.open_trade_id, made.open_price, made.cost_basis) == ("9001", Decimal("200.6"), Decimal(2006))
    assert made.lot_uid == f"IB_{ACCOUNT}_2026-03-06_265598_9001#1"


def test_two_equal_lots_are_two() -> None:
    first, second = held(lot(), lot()).statements.broker_lots
    assert first.lot_uid != second.lot_uid
    assert replace(first, lot_uid="") == replace(second, lot_uid="")


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = [lot(position="4"), lot(position="6"), lot(position="6", openDateTime="20260301;101010"), position()]
    assert held(*rows) == held(*reversed(rows))


def test_a_query_with_lots_only_tells_positions_as_their_sum() -> None:
    rows = (lot(position="4", costBasisPrice="200", positionValue="840", fifoPnlUnrealized="40"),
            lot(position="6", costBasisPrice="201", positionValue="1260", fifoPnlUnrealized="54"))  # fmt: skip
    (told,) = held(*rows).positions
    assert (told.qty, told.average_cost) == (Decimal(10), Decimal("200.6"))
    assert (told.market_value, told.unrealized_pnl) == (Decimal(2100), Decimal(94))


def test_lots_without_a_cost_per_unit_have_the_one_of_their_money() -> None:
    option = {**LOT, **APPLE_CALL, "costBasisPrice": ""}
    rows = [row(option, tag="OpenPosition", position="2", costBasisMoney="871.5")]
    rows.append(row(option, tag="OpenPosition", position="1", costBasisMoney="400"))
    (told,) = held(*rows).positions
    assert (told.qty, told.average_cost) == (Decimal(3), Decimal("4.238333333333"))


def test_the_cost_of_bonds_is_never_made_of_their_money() -> None:
    bond = {**LOT, "assetCategory": "BOND", "symbol": "T 2 1/4 03/31/24", "conid": "553749289"}
    told = held(*(row(bond, tag="OpenPosition", costBasisPrice=price) for price in ("97", "98"))).positions
    untold = held(*(row(bond, tag="OpenPosition", costBasisPrice=price) for price in ("97", ""))).positions
    assert [one.average_cost for one in (*told, *untold)] == [Decimal("97.5"), None]


def test_what_a_lot_does_not_tell_makes_the_sum_unknown() -> None:
    (told,) = held(lot(position="4"), lot(position="6", positionValue="")).positions
    assert (told.qty, told.market_value) == (Decimal(10), None)


def test_levels_are_known_by_their_words_or_by_what_only_lots_say() -> None:
    made = held(position(levelOfDetail=""), lot(levelOfDetail=""))
    assert (len(made.positions), len(made.statements.broker_lots)) == (1, 1)


@pytest.mark.parametrize(("field", "text"), [("position", "1,000"), ("position", ""), ("markPrice", "NaN")])
def test_an_unreadable_row_does_not_take_the_others_with_it(field: str, text: str) -> None:
    made = held(position(**{field: text}), row({**POSITION, **APPLE_CALL}, tag="OpenPosition"))
    assert [one.broker_position_id for one in made.positions] == ["700001"]
    assert [(one.kind, one.key) for one in made.rejects] == [("positions", "flex:2026-03-06#1")]


def test_an_account_without_positions_has_none() -> None:
    made = held()
    assert (made.positions, made.rejects) == ([], [])


def test_what_another_interface_told_of_positions_is_left_out() -> None:
    (record,) = records_in(position(), "OpenPositions")
    told = replace(record, key="tws:1", payload={**record.payload, "_source": "TWS"})
    assert made_of([told]).positions == []
    assert len(made_of([record]).positions) == 1


def cash(**changes: str) -> str:
    return row(CASH, tag="CashReportCurrency", **changes)


def balances(records: list[Record]) -> list[tuple[str, Decimal | None, Decimal | None]]:
    return [(one.currency, one.cash, one.net_liquidation) for one in made_of(records).balances]


def test_each_currency_is_a_balance_and_their_sum_is_none() -> None:
    rows = cash(currency="BASE_SUMMARY", levelOfDetail="BaseCurrency", endingCash="300") + cash() + cash(currency="EUR")
    assert balances(records_in(rows, "CashReport")) == [
        ("EUR", Decimal("100.5"), None),
        ("USD", Decimal("100.5"), None),
    ]


def test_the_parts_of_an_account_are_not_counted_beside_the_whole() -> None:
    (made,) = facts(cash(endingCashSec="60", endingCashCom="40.5"), "CashReport").balances
    assert (made.cash, made.as_of, made.business_date) == (Decimal("100.5"), WRITTEN, date(2026, 3, 6))


def test_the_worth_of_the_account_stands_on_the_row_of_its_base_currency() -> None:
    parts = [("CashReport", cash() + cash(currency="EUR")), ("ChangeInNAV", row(NAV, tag="ChangeInNAV"))]
    account = ("AccountInformation", row({"accountId": ACCOUNT, "currency": "EUR"}, tag="AccountInformation"))
    assert balances(records_of_sections(*parts, account)) == [
        ("EUR", Decimal("100.5"), Decimal(5000)),
        ("USD", Decimal("100.5"), None),
    ]
    unknown_base = balances(records_of_sections(*parts))
    assert {worth for _, _, worth in unknown_base} == {None}


def test_the_summary_of_equity_goes_before_the_change_in_worth() -> None:
    equity = ("EquitySummaryInBase", row(EQUITY, tag="EquitySummaryByReportDateInBase"))
    nav = ("ChangeInNAV", row(NAV, tag="ChangeInNAV"))
    assert balances(records_of_sections(("CashReport", cash()), nav, equity)) == [
        ("USD", Decimal("100.5"), Decimal("5001.25"))
    ]


def test_the_worth_of_another_day_is_not_told() -> None:
    equity = ("EquitySummaryInBase", row(EQUITY, tag="EquitySummaryByReportDateInBase", reportDate="20260305"))
    assert balances(records_of_sections(("CashReport", cash()), equity)) == [("USD", Decimal("100.5"), None)]


def test_a_base_currency_without_cash_has_a_row_for_the_worth_of_the_account() -> None:
    equity = ("EquitySummaryInBase", row(EQUITY, tag="EquitySummaryByReportDateInBase", currency="CHF"))
    assert balances(records_of_sections(("CashReport", cash()), equity)) == [
        ("CHF", None, Decimal("5001.25")),
        ("USD", Decimal("100.5"), None),
    ]


def test_of_reports_that_end_on_one_day_the_newest_is_told() -> None:
    older = records_in(cash(endingCash="1"), "CashReport", whenGenerated="20260307;050000", fromDate="20260306")
    newer = records_in(cash(endingCash="2"), "CashReport")
    for records in (older + newer, newer + older):
        assert balances(records) == [("USD", Decimal(2), None)]


def test_models_of_an_account_are_added_up_and_a_repeated_row_is_not() -> None:
    rows = (
        cash(model="Growth", endingCash="1")
        + cash(model="Income", endingCash="2")
        + cash(model="Income", endingCash="2")
    )
    assert balances(records_in(rows, "CashReport")) == [("USD", Decimal(3), None)]


def test_two_sums_of_one_currency_contradict_each_other() -> None:
    made = facts(cash(endingCash="1") + cash(endingCash="2"), "CashReport")
    assert [(one.key, one.reason_code) for one in made.rejects] == [
        ("flex:2026-03-02:2026-03-06#2", "repeated_currency")
    ]
    (told,) = made.balances
    assert isinstance(told, BrokerBalance)
    assert told.cash == Decimal(1)


def test_an_unreadable_sum_refuses_its_currency_once() -> None:
    made = facts(cash(endingCash="1,000") + cash(currency="EUR"), "CashReport")
    assert [one.currency for one in made.balances] == ["EUR"]
    assert [(one.key, one.reason_code) for one in made.rejects] == [("flex:2026-03-02:2026-03-06#1", "bad_number")]
