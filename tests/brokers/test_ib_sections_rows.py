"""Funds, corporate actions, transfers, accruals, ends of options, closed lots, rates and instruments."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from apex_pipeline.brokers.ib.attributes import Attributes
from apex_pipeline.brokers.ib.symbols import instrument_of
from apex_pipeline.domain.models import AssetClass, Instrument
from apex_pipeline.domain.records import RecordKind
from apex_pipeline.domain.statements import OptionEvent
from tests.brokers.ib.sections import APPLE, APPLE_CALL, CASH, LOT, facts, made_of, records_of_sections
from tests.brokers.ib.statements import ACCOUNT, OPTION, STOCK, records_of, row

FUNDS = {
    **APPLE, "accountId": ACCOUNT, "date": "20260303", "reportDate": "20260304", "settleDate": "20260305",
    "activityCode": "BUY", "activityDescription": "Buy 10 APPLE INC", "amount": "-2006", "balance": "94",
    "levelOfDetail": "Currency", "transactionID": "9001", "tradeID": "71001",
}  # fmt: skip
SPLIT = {
    **APPLE, "accountId": ACCOUNT, "reportDate": "20260304", "dateTime": "20260303;202500", "type": "FS",
    "transactionID": "8100", "actionID": "55", "quantity": "30", "amount": "0", "proceeds": "0", "value": "0",
    "fifoPnlRealized": "0", "actionDescription": "AAPL SPLIT 4 FOR 1", "description": "AAPL SPLIT 4 FOR 1 (AAPL)",
}  # fmt: skip
TRANSFER = {
    **APPLE, "accountId": ACCOUNT, "date": "20260304", "type": "ACATS", "direction": "IN", "quantity": "12",
    "transferPrice": "200", "positionAmount": "2400", "cashTransfer": "0", "account": "X1", "transactionID": "8200",
    "settleDate": "20260306",
}  # fmt: skip
ACCRUAL = {
    **APPLE, "accountId": ACCOUNT, "date": "20260304", "exDate": "20260304", "payDate": "20260320", "quantity": "10",
    "grossRate": "0.25", "grossAmount": "2.5", "tax": "0.375", "fee": "0", "netAmount": "2.125", "code": "Po",
}  # fmt: skip
ASSIGNED = {
    **APPLE_CALL, "accountId": ACCOUNT, "date": "20260306", "transactionType": "Assignment", "quantity": "1",
    "tradePrice": "0", "proceeds": "0", "costBasis": "80", "realizedPnl": "0", "tradeID": "72001",
}  # fmt: skip
DELIVERED = {
    **APPLE, "accountId": ACCOUNT, "date": "20260306", "transactionType": "Sell", "quantity": "-100",
    "tradePrice": "132.5", "tradeID": "72002",
}  # fmt: skip
CLOSED = {
    **STOCK, "levelOfDetail": "CLOSED_LOT", "buySell": "SELL", "quantity": "10", "tradePrice": "200.5", "cost": "2006",
    "fifoPnlRealized": "12.5", "openDateTime": "20260302;093105", "dateTime": "20260305;101010",
    "tradeDate": "20260305", "reportDate": "20260305", "notes": "ST",
}  # fmt: skip
RATE = {"reportDate": "20260304", "fromCurrency": "EUR", "toCurrency": "USD", "rate": "1.1023"}
SECURITY = {
    **APPLE_CALL, "issuer": "", "type": "", "underlyingCategory": "STK", "settlementPolicyMethod": "P",
}  # fmt: skip


def test_a_line_of_funds_keeps_amount_and_balance() -> None:
    (made,) = facts(row(FUNDS, tag="StatementOfFundsLine"), "StmtFunds").statements.broker_funds
    assert (made.level, made.currency, made.activity_code) == ("Currency", "USD", "BUY")
    assert (made.amount, made.balance) == (Decimal(-2006), Decimal(94))
    assert (made.business_date, made.activity_date) == (date(2026, 3, 4), date(2026, 3, 3))
    assert (made.symbol, made.broker_trade_id, made.broker_transaction_id) == ("US.AAPL", "71001", "9001")
    assert made.settle_date == date(2026, 3, 5)


def test_the_opening_balance_is_a_line_without_a_transaction() -> None:
    told = {"accountId": ACCOUNT, "currency": "USD", "date": "20260302", "activityDescription": "Starting Balance",
            "amount": "0", "balance": "2100", "levelOfDetail": "BaseCurrency", "transactionID": ""}  # fmt: skip
    (made,) = facts(row(told, tag="StatementOfFundsLine"), "StmtFunds").statements.broker_funds
    assert (made.description, made.balance) == ("Starting Balance", Decimal(2100))
    assert (made.broker_transaction_id, made.symbol) == (None, None)


def test_both_rows_of_a_split_keep_their_action() -> None:
    body = row(SPLIT, tag="CorporateAction") + row(
        SPLIT, tag="CorporateAction", transactionID="8101", quantity="-10", symbol="AAPL.OLD"
    )
    made = facts(body, "CorporateActions")
    new, old = made.statements.corporate_actions
    assert (new.broker_action_id, old.broker_action_id) == ("55", "55")
    assert (new.qty, old.qty, new.symbol, old.symbol) == (Decimal(30), Decimal(-10), "US.AAPL", "US.AAPL.OLD")
    assert (new.broker_kind, new.happened_at) == ("FS", datetime(2026, 3, 4, 1, 25, tzinfo=UTC))
    assert new.description == "AAPL SPLIT 4 FOR 1"
    assert [one.name for one in made.instruments] == [None, None]


def test_a_corporate_action_without_a_contract_is_refused() -> None:
    made = facts(row(SPLIT, tag="CorporateAction", symbol=""), "CorporateActions")
    assert [(one.kind, one.key, one.reason_code) for one in made.rejects] == [
        (RecordKind.SECTIONS, "CorporateActions/8100:", "missing_symbol")
    ]


def test_a_transfer_says_what_came_from_where() -> None:
    (made,) = facts(row(TRANSFER, tag="Transfer"), "Transfers").statements.transfers
    assert (made.broker_kind, made.direction, made.symbol, made.qty) == ("ACATS", "IN", "US.AAPL", Decimal(12))
    assert (made.position_amount, made.cash_amount, made.other_account) == (Decimal(2400), Decimal(0), "X1")
    assert (made.broker_transaction_id, made.settle_date) == ("8200", date(2026, 3, 6))


def test_a_transfer_of_cash_has_no_symbol() -> None:
    text = row(TRANSFER, tag="Transfer", symbol="--", conid="", assetCategory="CASH", cashTransfer="-500", quantity="")
    (made,) = facts(text, "Transfers").statements.transfers
    assert (made.symbol, made.asset_class, made.qty, made.cash_amount) == (None, None, None, Decimal(-500))


def test_the_lots_of_a_transfer_are_not_transfers_beside_it() -> None:
    body = row(TRANSFER, tag="Transfer") + row(TRANSFER, tag="TransferLot", quantity="5", transactionID="")
    assert len(facts(body, "Transfers").statements.transfers) == 1


def test_a_transferred_trade_is_a_transfer() -> None:
    told = {**STOCK, "direction": "In", "tradeMoney": "2005", "netCash": "0", "brokerAccount": "B7"}
    (made,) = facts(row(told, tag="TradeTransfer"), "TradeTransfers").statements.transfers
    assert (made.broker_kind, made.direction, made.price) == ("ExchTrade", "In", Decimal("200.5"))
    assert (made.position_amount, made.other_account) == (Decimal(2005), "B7")


def test_accruals_are_posted_and_taken_back() -> None:
    body = row(ACCRUAL, tag="ChangeInDividendAccrual") + row(
        ACCRUAL, tag="ChangeInDividendAccrual", code="Re", grossAmount="-2.5", netAmount="-2.125", date="20260306"
    )
    posted, reversed_ = facts(body, "ChangeInDividendAccruals").statements.dividend_accruals
    assert (posted.codes, posted.net_amount, posted.gross_rate) == ("Po", Decimal("2.125"), Decimal("0.25"))
    assert (reversed_.codes, reversed_.net_amount) == ("Re", Decimal("-2.125"))
    assert (posted.ex_date, posted.pay_date, posted.tax) == (date(2026, 3, 4), date(2026, 3, 20), Decimal("0.375"))


def test_open_accruals_are_figures_and_not_changes() -> None:
    made = facts(row(ACCRUAL, tag="OpenDividendAccrual"), "OpenDividendAccruals").statements
    assert made.dividend_accruals == []
    assert [one.subject for one in made.broker_figures] == ["US.AAPL"]


def events(*rows: str) -> list[OptionEvent]:
    return facts("".join(rows), "OptionEAE").statements.option_events


def eae(base: dict[str, str], **changes: str) -> str:
    return row(base, tag="OptionEAE", **changes)


def test_the_end_of_an_option_and_its_shares_are_two_events() -> None:
    option, stock = sorted(events(eae(ASSIGNED), eae(DELIVERED)), key=lambda one: one.broker_trade_id or "")
    assert (option.broker_kind, option.symbol, option.qty) == (
        "Assignment", "US.AAPL 2026-09-18 C 132.5", Decimal(1),
    )  # fmt: skip
    assert (stock.broker_kind, stock.asset_class, stock.price) == ("Sell", AssetClass.STOCK, Decimal("132.5"))
    assert (option.link_id, stock.link_id) == (None, None)


@pytest.mark.parametrize(
    ("option", "stock"),
    [("72002", ""), ("", "72001"), ("72002", "72001")],
)
def test_rows_that_name_each_others_trade_are_linked(option: str, stock: str) -> None:
    made = events(eae(ASSIGNED, relatedTradeID=option), eae(DELIVERED, relatedTradeID=stock))
    assert len({one.link_id for one in made}) == 1
    assert made[0].link_id is not None


def test_a_closed_lot_tells_both_ends_and_the_trade_that_opened_it() -> None:
    (made,) = facts(row(CLOSED, tag="Lot"), "Trades").statements.broker_closed_lots
    assert (made.qty, made.broker_side, made.open_trade_id) == (Decimal(10), "SELL", "9001")
    assert made.opened_at == datetime(2026, 3, 2, 14, 31, 5, tzinfo=UTC)
    assert made.closed_at == datetime(2026, 3, 5, 15, 10, 10, tzinfo=UTC)
    assert (made.open_price, made.cost_basis, made.realized_pnl) == (Decimal("200.5"), Decimal(2006), Decimal("12.5"))
    assert (made.notes, made.business_date) == ("ST", date(2026, 3, 5))


def test_a_rate_is_told_for_its_day() -> None:
    (made,) = facts(row(RATE, tag="ConversionRate"), "ConversionRates").statements.conversion_rates
    assert (made.from_currency, made.to_currency, made.rate) == ("EUR", "USD", Decimal("1.1023"))
    assert (made.account_id, made.business_date) == (ACCOUNT, date(2026, 3, 4))


def instruments(*parts: tuple[str, str], known: list[Instrument] | None = None) -> dict[str, Instrument]:
    made = made_of(records_of_sections(*parts), known or [])
    return {one.symbol: one for one in made.instruments}


def traded(base: dict[str, str]) -> Instrument:
    return instrument_of(Attributes(records_of(row(base))[0])).instrument


def test_a_contract_has_one_symbol_in_every_section() -> None:
    lot, security = row({**LOT, **APPLE_CALL}, tag="OpenPosition"), row(SECURITY, tag="SecurityInfo")
    made = instruments(("OpenPositions", lot), ("SecuritiesInfo", security), ("OptionEAE", eae(ASSIGNED)))
    assert list(made) == [traded(OPTION).symbol]


def test_instruments_that_trades_told_are_enriched_and_never_changed() -> None:
    bare = replace(traded(OPTION), name=None, exchange=None)
    changed = row(SECURITY, tag="SecurityInfo", description="AAPL CALL", multiplier="10")
    made = instruments(("SecuritiesInfo", changed), known=[bare])[bare.symbol]
    assert (made.name, made.exchange, made.multiplier) == ("AAPL CALL", "CBOE", Decimal(100))


def test_another_contract_of_the_same_symbol_adds_nothing() -> None:
    bare = replace(traded(OPTION), name=None)
    other = row(SECURITY, tag="SecurityInfo", conid="700002")
    assert instruments(("SecuritiesInfo", other), known=[bare]) == {bare.symbol: bare}


def test_a_contract_of_an_unknown_market_gets_no_symbol() -> None:
    nowhere = row(SECURITY, tag="SecurityInfo", listingExchange="MOON", without=["currency"])
    assert instruments(("SecuritiesInfo", nowhere)) == {}
    placed = row(SECURITY, tag="SecurityInfo", without=["currency"])
    assert list(instruments(("SecuritiesInfo", placed))) == [traded(OPTION).symbol]


def test_elements_that_no_rule_knows_are_kept_and_not_read() -> None:
    body = row(CASH, tag="CashTransaction") + row(
        {"accountId": ACCOUNT, "moon": "1", "reportDate": "20260304"}, tag="X"
    )
    made = facts(body, "StmtFunds")
    assert (made.statements.broker_funds, made.rejects) == ([], [])


def test_the_order_of_records_does_not_matter() -> None:
    records = records_of_sections(
        ("OptionEAE", eae(ASSIGNED, relatedTradeID="72002") + eae(DELIVERED)),
        ("SecuritiesInfo", row(SECURITY, tag="SecurityInfo")),
        ("OpenPositions", row({**LOT, **APPLE_CALL}, tag="OpenPosition")),
        ("CorporateActions", row(SPLIT, tag="CorporateAction")),
        ("Transfers", row(TRANSFER, tag="Transfer", quantity="x")),
        ("ConversionRates", row(RATE, tag="ConversionRate")),
    )
    expected = made_of(records)
    assert len(expected.rejects) == 1
    for seed in range(4):
        shuffled = list(records)
        random.Random(seed).shuffle(shuffled)
        assert made_of(shuffled) == expected


def test_a_section_without_rows_makes_none() -> None:
    assert records_of_sections(("Trades", ""), ("CorporateActions", "")) == []
