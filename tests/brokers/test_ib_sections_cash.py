"""CashTransactions and conversions of currencies as bookings of cash."""

import random
from datetime import date
from decimal import Decimal

import pytest

from apex_pipeline.brokers.ib.statement_facts import add_sections
from apex_pipeline.domain.models import CashKind
from apex_pipeline.domain.records import Normalized, RecordKind, Reject
from tests.brokers.ib.sections import CASH, facts, made_of, records_in
from tests.brokers.ib.statements import ACCOUNT, STOCK, records_of, row

FX = {
    **STOCK, "assetCategory": "CASH", "symbol": "EUR.USD", "currency": "USD", "quantity": "1000", "tradePrice": "1.1",
    "proceeds": "-1100", "reportDate": "20260303", "transactionID": "9200", "ibExecID": "FX.1", "notes": "AFx",
    "ibCommission": "-2", "description": "EUR.USD",
}  # fmt: skip
FX_CANCEL = {
    **FX, "transactionType": "TradeCancel", "notes": "Ca", "quantity": "-1000", "proceeds": "1100",
    "transactionID": "9201", "ibExecID": "", "origTransactionID": "9200", "buySell": "BUY (Ca.)", "ibCommission": "0",
}  # fmt: skip


def cash(**changes: str) -> Normalized:
    return facts(row(CASH, tag="CashTransaction", **changes), "CashTransactions")


def test_a_booking_becomes_a_movement() -> None:
    (made,) = cash().cash_movements
    assert made.cash_uid == f"IB_{ACCOUNT}_C8001"
    assert (made.kind, made.broker_kind, made.symbol) == (CashKind.DIVIDEND, "Dividends", "US.AAPL")
    assert (made.amount, made.currency) == (Decimal("12.50"), "USD")
    assert (made.booked_on, made.settle_date, made.event_date) == (date(2026, 3, 4), date(2026, 3, 5), None)
    assert (made.description, made.source, made.broker_cash_id) == ("AAPL CASH DIVIDEND", "FLEX", "8001")


@pytest.mark.parametrize(
    ("words", "amount", "kind"),
    [
        ("Deposits/Withdrawals", "100", CashKind.DEPOSIT),
        ("Deposits/Withdrawals", "-100", CashKind.WITHDRAWAL),
        ("Deposits &amp; Withdrawals", "-100", CashKind.WITHDRAWAL),
        ("Withholding Tax", "-3", CashKind.TAX),
        ("871(m) Withholding", "-3", CashKind.TAX),
        ("Payment In Lieu Of Dividends", "3", CashKind.DIVIDEND),
        ("Payment in Lieu of Dividends", "3", CashKind.DIVIDEND),
        ("Broker Interest Paid", "-3", CashKind.INTEREST),
        ("Bond Interest Received", "3", CashKind.INTEREST),
        ("Other Fees", "-3", CashKind.FEE),
        ("Commission Adjustments", "3", CashKind.FEE),
        ("Moon Dust", "3", CashKind.OTHER),
    ],
)
def test_ibs_words_for_bookings_have_a_kind(words: str, amount: str, kind: CashKind) -> None:
    (made,) = cash(type=words.replace("&amp;", "&"), amount=amount).cash_movements
    assert (made.kind, made.amount) == (kind, Decimal(amount))


def test_a_reversal_is_a_booking_with_the_opposite_sign() -> None:
    body = row(CASH, tag="CashTransaction") + row(CASH, tag="CashTransaction", amount="-12.50", transactionID="8002")
    made = facts(body, "CashTransactions").cash_movements
    assert [(one.broker_cash_id, one.amount, one.kind) for one in made] == [
        ("8001", Decimal("12.50"), CashKind.DIVIDEND),
        ("8002", Decimal("-12.50"), CashKind.DIVIDEND),
    ]


def test_a_sum_of_bookings_is_a_figure_and_no_cash() -> None:
    body = row(CASH, tag="CashTransaction") + row(
        CASH, tag="CashTransaction", levelOfDetail="SUMMARY", transactionID=""
    )
    made = facts(body, "CashTransactions")
    assert len(made.cash_movements) == 1
    (figures,) = made.statements.broker_figures
    assert (figures.section, figures.subject, figures.figures) == (
        "CashTransactions",
        "Dividends",
        {"amount": Decimal("12.50")},
    )
    assert (figures.from_date, figures.to_date) == (date(2026, 3, 2), date(2026, 3, 6))


def test_money_stands_whatever_becomes_of_the_name_of_its_contract() -> None:
    (made,) = cash(assetCategory="OPT", symbol="AAPL  260918C00132500", strike="13x2").cash_movements
    assert (made.symbol, made.amount) == (None, Decimal("12.50"))
    assert [one.symbol for one in cash(assetCategory="").cash_movements] == [None]


@pytest.mark.parametrize(("field", "text"), [("amount", "1,250.00"), ("amount", ""), ("settleDate", "soon")])
def test_a_booking_that_cannot_be_read_is_refused_alone(field: str, text: str) -> None:
    body = row(CASH, tag="CashTransaction", **{field: text}) + row(CASH, tag="CashTransaction", transactionID="8002")
    made = facts(body, "CashTransactions")
    assert [(one.kind, one.key) for one in made.rejects] == [(RecordKind.CASH, "8001")]
    assert [one.broker_cash_id for one in made.cash_movements] == ["8002"]


def test_a_conversion_moves_both_currencies() -> None:
    made = made_of(records_of(row(FX))).cash_movements
    assert [(one.cash_uid, one.amount, one.currency) for one in made] == [
        (f"IB_{ACCOUNT}_T9200_BASE", Decimal(1000), "EUR"),
        (f"IB_{ACCOUNT}_T9200_QUOTE", Decimal(-1100), "USD"),
    ]
    assert {(one.kind, one.symbol, one.broker_kind) for one in made} == {(CashKind.FX, "FX.EUR.USD", "ExchTrade")}
    assert {(one.booked_on, one.event_date) for one in made} == {(date(2026, 3, 3), date(2026, 3, 2))}


def test_a_conversion_without_proceeds_is_paid_at_its_price() -> None:
    (_, quote) = made_of(records_of(row(FX, without=["proceeds"]))).cash_movements
    assert quote.amount == Decimal("-1100.0")


def test_the_cancel_of_a_conversion_moves_both_legs_back() -> None:
    made = made_of(records_of(row(FX), row(FX_CANCEL))).cash_movements
    assert sum(one.amount for one in made if one.currency == "EUR") == 0
    assert sum(one.amount for one in made if one.currency == "USD") == 0
    assert len(made) == 4


def test_trades_of_stocks_are_no_conversions() -> None:
    assert made_of(records_of(row())).cash_movements == []


def test_a_conversion_that_brings_money_on_both_sides_is_refused() -> None:
    made = made_of(records_of(row(FX, proceeds="1100")))
    assert made.cash_movements == []
    assert [(one.key, one.reason_code) for one in made.rejects] == [("9200#cash", "contradicting_cash")]


def test_a_conversion_that_was_refused_as_a_trade_moves_no_cash() -> None:
    records = records_of(row(FX))
    trade = records[0]
    refused = Normalized()
    refused.rejects.append(Reject(trade.kind, trade.account_id, trade.key, trade.business_date, "x", "x", {}))
    add_sections(records, refused)
    assert refused.cash_movements == []
    assert len(made_of(records).cash_movements) == 2


def test_the_order_of_records_does_not_matter() -> None:
    records = records_in(row(CASH, tag="CashTransaction"), "CashTransactions") + records_of(row(FX), row(FX_CANCEL))
    expected = made_of(records)
    for seed in range(4):
        shuffled = list(records)
        random.Random(seed).shuffle(shuffled)
        assert made_of(shuffled) == expected
