"""Flex records as trades, orders, fees and instruments."""

import random
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from apex_pipeline.brokers.ib.normalize import normalize
from apex_pipeline.domain.models import AssetClass, FeeType, OrderStatus, Side, Trade, TradeKind
from apex_pipeline.domain.records import RecordKind
from tests.brokers.ib.statements import ACCOUNT, OPTION, normalized, records_of, row

CANCEL = {
    "transactionType": "TradeCancel", "notes": "Ca", "buySell": "BUY (Ca.)", "quantity": "-10", "transactionID": "9050",
    "tradeID": "", "ibExecID": "", "ibCommission": "0", "origTransactionID": "9001", "origTradeID": "71001",
    "openCloseIndicator": "", "orderTime": "",
}  # fmt: skip
BOOKED = {
    "transactionType": "BookTrade", "tradePrice": "0", "ibExecID": "", "ibOrderID": "9300", "transactionID": "9300",
    "ibCommission": "0", "orderType": "", "orderTime": "", "dateTime": "20260306;162000",
}  # fmt: skip


def one_trade(text: str) -> Trade:
    result = normalized(text)
    assert result.rejects == []
    return result.trades[0]


def test_an_execution_becomes_a_trade() -> None:
    trade = one_trade(row())
    assert trade.trade_uid == f"IB_{ACCOUNT}_0000aa01.65e2b001.01.01"
    assert trade.order_uid == f"IB_{ACCOUNT}_5001"
    assert (trade.broker_trade_id, trade.exec_id) == ("9001", "0000aa01.65e2b001.01.01")
    assert (trade.market, trade.symbol, trade.asset_class) == ("US", "US.AAPL", AssetClass.STOCK)
    assert (trade.kind, trade.effective, trade.side) == (TradeKind.TRADE, True, Side.BUY)
    assert (trade.qty, trade.price, trade.amount) == (Decimal(10), Decimal("200.5"), Decimal(2005))
    assert trade.executed_at == datetime(2026, 3, 2, 14, 31, 5, tzinfo=UTC)
    assert (trade.trade_date, trade.settle_date) == (date(2026, 3, 2), date(2026, 3, 3))
    assert (trade.position_effect, trade.link_id, trade.source) == ("OPEN", None, "FLEX")


def test_amounts_are_exact_beyond_28_digits() -> None:
    trade = one_trade(row(quantity="1234567890.12345678", tradePrice="98765.4321098765", multiplier="100"))
    assert trade.amount == Decimal("12193263113702174.098917895888767000")


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [
        ("quantity", "10,5", "bad_number"),
        ("tradePrice", "NaN", "bad_number"),
        ("tradePrice", "1E+400", "bad_number"),
        ("quantity", "١٠", "bad_number"),
        ("quantity", "", "missing_quantity"),
        ("tradePrice", "--", "missing_tradePrice"),
        ("dateTime", "20260302;256199", "bad_time"),
        ("symbol", "", "missing_symbol"),
        ("multiplier", "x", "bad_number"),
    ],
)
def test_a_row_that_cannot_be_read_is_rejected_and_the_others_load(field: str, text: str, reason: str) -> None:
    result = normalized(row(**{field: text}), row(transactionID="9002", ibExecID="0000aa01.65e2b002.01.01"))
    assert [(item.key, item.reason_code) for item in result.rejects if item.kind == "trades"] == [("9001", reason)]
    assert [trade.broker_trade_id for trade in result.trades] == ["9002"]


def test_an_unknown_commission_makes_no_fee_and_zero_makes_one() -> None:
    assert normalized(row(ibCommission="", taxes="")).fees == []
    (fee,) = normalized(row(ibCommission="0")).fees
    assert (fee.amount, fee.fee_type) == (Decimal(0), FeeType.COMMISSION)


def test_a_commission_is_positive_when_paid_and_taxes_are_a_row_of_their_own() -> None:
    commission, tax = normalized(row(taxes="-0.21", ibCommissionCurrency="EUR")).fees
    assert commission.fee_uid == f"IB_{ACCOUNT}_9001_COMMISSION"
    assert (commission.amount, commission.currency) == (Decimal("1.0055"), "EUR")
    assert commission.trade_uid == f"IB_{ACCOUNT}_0000aa01.65e2b001.01.01"
    assert commission.order_uid == tax.order_uid == f"IB_{ACCOUNT}_5001"
    assert (tax.fee_uid, tax.amount, tax.currency, tax.trade_uid) == (
        f"IB_{ACCOUNT}_9001_TAX", Decimal("0.21"), "USD", None,
    )  # fmt: skip
    assert commission.charged_on == date(2026, 3, 2)


def test_a_rebate_is_negative() -> None:
    assert normalized(row(ibCommission="0.35")).fees[0].amount == Decimal("-0.35")


def test_one_bad_amount_rejects_its_fee_and_keeps_the_trade() -> None:
    result = normalized(row(ibCommission="1,0"))
    assert [trade.broker_trade_id for trade in result.trades] == ["9001"]
    assert [(item.kind, item.reason_code) for item in result.rejects] == [("fees", "bad_number")]


def test_a_cancel_takes_its_original_back_and_both_stay_visible() -> None:
    result = normalized(row(), row(**CANCEL))
    original, cancel = result.trades
    assert (original.effective, cancel.effective) == (False, False)
    assert (cancel.kind, cancel.side, cancel.qty) == (TradeKind.CANCEL, Side.SELL, Decimal(10))
    assert cancel.trade_uid == f"IB_{ACCOUNT}_T9050"
    assert [fee.fee_uid for fee in result.fees] == [f"IB_{ACCOUNT}_9001_COMMISSION"]
    (order,) = result.orders
    assert (order.status, order.filled_qty, order.avg_price, order.side) == (
        OrderStatus.CANCELLED, Decimal(0), None, Side.BUY,
    )  # fmt: skip


def test_a_cancelled_sale_is_bought_back() -> None:
    sale = {"quantity": "-10", "buySell": "SELL"}
    cancel = {**CANCEL, "quantity": "10", "buySell": "SELL (Ca.)"}
    assert [trade.side for trade in normalized(row(**sale), row(**cancel)).trades] == [Side.SELL, Side.BUY]


@pytest.mark.parametrize("transaction", ["", "0", "absent"])
def test_without_an_original_transaction_the_trade_id_tells_which_row_is_taken_back(transaction: str) -> None:
    cancel = {**CANCEL, "origTransactionID": transaction}
    dropped = ["origTransactionID"] if transaction == "absent" else []
    rebook = row(transactionID="9051", ibExecID="0000aa01.65e2b001.01.02", tradePrice="200.4")
    result = normalized(rebook, row(**cancel, without=dropped), row())
    assert {trade.broker_trade_id: trade.effective for trade in result.trades} == {
        "9001": False, "9050": False, "9051": True,
    }  # fmt: skip
    assert result.orders[0].filled_qty == Decimal(10)
    assert result.orders[0].avg_price == Decimal("200.4")


def relatives(kind: RecordKind, **changes: str) -> dict[str, str]:
    """What a row asks for of records of a kind, by field."""
    asked = normalized(row(**changes)).relatives
    assert {relative.account_id for relative in asked} == {ACCOUNT}
    return {relative.field: relative.value for relative in asked if relative.kind is kind}


def test_every_trade_asks_who_takes_it_back_and_a_cancel_also_for_its_original() -> None:
    trades = RecordKind.TRADES
    assert relatives(trades) == {"origTransactionID": "9001", "origTradeID": "71001"}
    assert relatives(trades, **CANCEL) == {"origTransactionID": "9050", "transactionID": "9001", "tradeID": "71001"}
    older = {**CANCEL, "origTransactionID": "0"}
    assert relatives(trades, **older) == {"origTransactionID": "9050", "tradeID": "71001"}


def test_every_trade_asks_for_the_parts_of_its_charges_and_for_what_was_told_before_it() -> None:
    assert relatives(RecordKind.SECTIONS) == {"tradeID": "71001", "tradeId": "71001"}
    assert relatives(RecordKind.PROVISIONAL) == {"_root": "0000aa01.65e2b001.01"}


def test_a_rebook_is_not_taken_back_by_the_cancel_before_it() -> None:
    rebook = row(transactionID="9051", ibExecID="0000aa01.65e2b001.01.02", tradePrice="200.4")
    result = normalized(rebook, row(**{**CANCEL, "origTransactionID": ""}))
    assert {trade.broker_trade_id: trade.effective for trade in result.trades} == {"9050": False, "9051": True}


def test_a_row_that_repeats_the_execution_id_of_a_reversed_one_has_a_uid_of_its_own() -> None:
    correction = {"transactionType": "TradeCorrect", "transactionID": "9060", "origTransactionID": "9001"}
    result = normalized(row(), row(**correction, quantity="9"))
    assert [(trade.trade_uid, trade.effective) for trade in result.trades] == [
        (f"IB_{ACCOUNT}_0000aa01.65e2b001.01.01", False),
        (f"IB_{ACCOUNT}_T9060", True),
    ]
    assert [fee.trade_uid for fee in result.fees] == [trade.trade_uid for trade in result.trades]
    assert result.rejects == []


@pytest.mark.parametrize("transaction", ["TradeCancel", "TradeCorrect"])
def test_a_row_that_takes_back_an_unnamed_trade_is_rejected(transaction: str) -> None:
    nameless = row(**{**CANCEL, "transactionType": transaction, "origTransactionID": "0", "origTradeID": ""})
    result = normalized(row(), nameless)
    assert [(item.key, item.reason_code) for item in result.rejects] == [("9050", "missing_original")]
    assert [trade.broker_trade_id for trade in result.trades] == ["9001"]


def test_a_cancel_of_another_account_takes_nothing_back() -> None:
    records = [*records_of(row()), *records_of(row(**CANCEL, accountId="U2"))]
    assert [trade.effective for trade in normalize(records).trades] == [True, False]


def test_a_correction_takes_the_original_back_and_counts_itself() -> None:
    corrected = row(
        transactionType="TradeCorrect", transactionID="9060", ibExecID="", origTransactionID="9001", quantity="9"
    )
    assert [(t.broker_trade_id, t.effective) for t in normalized(row(), corrected).trades] == [
        ("9001", False),
        ("9060", True),
    ]


@pytest.mark.parametrize(
    ("notes", "kind"),
    [
        ("A", TradeKind.ASSIGNMENT),
        ("C;Ex", TradeKind.EXERCISE),
        ("Ep; L", TradeKind.EXPIRATION),
        ("Ep, L", TradeKind.EXPIRATION),
        ("", TradeKind.OTHER),
        ("NewCode", TradeKind.OTHER),
    ],
)
def test_book_trades_tell_what_they_are_and_belong_to_no_order(notes: str, kind: TradeKind) -> None:
    result = normalized(row(OPTION, **BOOKED, notes=notes))
    (trade,) = result.trades
    assert (trade.kind, trade.order_uid, trade.effective) == (kind, None, True)
    assert trade.trade_uid == f"IB_{ACCOUNT}_T9300"
    assert result.orders == []
    assert result.fees == []


def test_both_legs_of_an_assignment_have_its_kind_and_share_a_link() -> None:
    option = row(OPTION, **BOOKED, notes="A", positionActionID="77")
    stock = {**BOOKED, "transactionID": "9301", "ibOrderID": "9301", "tradePrice": "132.5", "ibCommission": "-1.5"}
    result = normalized(option, row(**stock, notes="A", positionActionID="77"))
    assert {(trade.kind, trade.link_id) for trade in result.trades} == {(TradeKind.ASSIGNMENT, "77")}
    assert [(fee.amount, fee.order_uid) for fee in result.fees] == [(Decimal("1.5"), None)]


def test_the_kind_of_a_usual_execution_does_not_follow_its_notes() -> None:
    assert one_trade(row(notes="A;P")).kind is TradeKind.TRADE


@pytest.mark.parametrize(
    ("told", "effect"), [("O", "OPEN"), ("C", "CLOSE"), ("C;O", "CLOSE_OPEN"), ("-", None), ("", None), ("X", None)]
)
def test_the_position_effect_is_the_indicator(told: str, effect: str | None) -> None:
    assert one_trade(row(openCloseIndicator=told)).position_effect == effect


def test_without_buy_or_sell_the_sign_tells_the_side() -> None:
    assert one_trade(row(buySell="", quantity="-3")).side is Side.SELL
    assert one_trade(row(buySell="", quantity="3")).side is Side.BUY


def test_an_order_is_the_sum_of_its_executions() -> None:
    fills = [
        row(quantity="10", tradePrice="200"),
        row(transactionID="9002", ibExecID="0000aa01.65e2b002.01.01", quantity="20", tradePrice="200.1",
            dateTime="20260302;100000", orderTime="20260302;093059"),
    ]  # fmt: skip
    (order,) = normalized(*fills).orders
    assert order.order_uid == f"IB_{ACCOUNT}_5001"
    assert (order.status, order.qty, order.filled_qty) == (OrderStatus.FILLED, Decimal(30), Decimal(30))
    assert order.avg_price == Decimal("200.066666666667")
    assert order.created_at == datetime(2026, 3, 2, 14, 30, 59, tzinfo=UTC)
    assert order.updated_at == datetime(2026, 3, 2, 15, tzinfo=UTC)
    assert (order.order_type, order.remark, order.position_effect) == ("LMT", "swing", "OPEN")


def test_an_order_row_enriches_and_alone_makes_no_order() -> None:
    order_row = row(tag="Order", levelOfDetail="ORDER", transactionID="", quantity="25")
    assert normalized(row(), order_row).orders[0].qty == Decimal(25)
    alone = normalized(order_row)
    assert (alone.orders, alone.trades, alone.rejects) == ([], [], [])


def test_legs_of_a_combination_share_their_link() -> None:
    legs = [
        row(OPTION, ibExecID="0000bb02.65e2c000.02.01", ibOrderID="5201", transactionID="9201"),
        row(OPTION, ibExecID="0000bb02.65e2c000.03.01", ibOrderID="5202", transactionID="9202",
            symbol="AAPL  260918C00140000", strike="140", conid="700002", quantity="-2", buySell="SELL"),
    ]  # fmt: skip
    result = normalized(*legs)
    assert {trade.link_id for trade in result.trades} == {"0000bb02.65e2c000"}
    assert {order.combo_id for order in result.orders} == {"0000bb02.65e2c000"}
    assert len(result.orders) == 2
    assert normalized(row()).orders[0].combo_id is None


def test_an_fx_conversion_is_one_trade() -> None:
    trade = one_trade(
        row(assetCategory="CASH", symbol="USD.CHF", conid="12087820", currency="CHF", listingExchange="",
            exchange="IDEALFX", quantity="-1143.28313142", tradePrice="0.8812345", buySell="SELL")
    )  # fmt: skip
    assert (trade.symbol, trade.asset_class, trade.market) == ("FX.USD.CHF", AssetClass.FX, None)
    assert (trade.qty, trade.amount) == (Decimal("1143.28313142"), Decimal("1007.500538675337990"))


def test_a_row_without_transaction_id_is_named_by_its_content() -> None:
    trade = one_trade(row(without=["transactionID"], ibExecID=""))
    assert trade.broker_trade_id.startswith("H")
    assert trade.trade_uid == f"IB_{ACCOUNT}_T{trade.broker_trade_id}"


def test_the_older_pair_of_trade_date_and_trade_time_is_a_time() -> None:
    trade = one_trade(row(without=["dateTime"], tradeTime="093406"))
    assert trade.executed_at == datetime(2026, 3, 2, 14, 34, 6, tzinfo=UTC)


def test_two_rows_of_one_execution_are_not_counted_twice() -> None:
    result = normalized(row(), row(transactionID="9002"))
    assert len(result.trades) == 1
    assert [item.reason_code for item in result.rejects] == ["same_execution"]


def test_a_repeated_record_counts_once_and_the_newest_version_wins() -> None:
    first, later = records_of(row()), records_of(row(tradePrice="201"))
    newest = [
        type(item)(item.kind, item.account_id, item.key, item.business_date, item.payload, item.order_id,
                   datetime(2026, 3, 10, tzinfo=UTC))
        for item in later
    ]  # fmt: skip
    for records in ([*first, *newest], [*newest, *first], [*first, *newest, *newest]):
        result = normalize(records)
        assert [trade.price for trade in result.trades] == [Decimal(201)]


def test_the_result_does_not_depend_on_the_order_of_records() -> None:
    records = records_of(
        row(),
        row(**CANCEL),
        row(transactionID="9051", ibExecID="0000aa01.65e2b001.01.02", tradePrice="200.4"),
        row(OPTION),
        row(OPTION, **BOOKED, notes="Ep"),
    )
    expected = normalize(records)
    shuffle = random.Random(3)
    for _ in range(20):
        shuffle.shuffle(records)
        assert normalize(records) == expected
