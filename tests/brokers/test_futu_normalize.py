"""Futu records to rows: states, prices, contract sizes, combinations, fees, and what cannot be read."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.brokers.futu.fees import named
from apex_pipeline.brokers.futu.normalize import normalize
from apex_pipeline.domain.models import AssetClass, FeeType, Order, OrderStatus, Side, TradeKind
from apex_pipeline.domain.records import Normalized, Record, RecordKind

ACC = "281756478396547854"
DAY = date(2026, 3, 2)
CREATED = Decimal("1772461800.5")


def order(**fields: Any) -> Record:
    row: dict[str, Any] = {
        "trdSide": 1, "orderType": 1, "orderStatus": 11, "orderID": "66", "orderIDEx": "A1", "code": "AAPL",
        "name": "Apple", "qty": Decimal("100.0"), "price": Decimal("127.5"), "createTime": "2026-03-02 09:30:00.500",
        "updateTime": "2026-03-02 09:31:00", "fillQty": Decimal("100.0"), "fillAvgPrice": Decimal("127.4"),
        "secMarket": 2, "createTimestamp": CREATED, "currency": 2, "trdMarket": 2, **fields,
    }  # fmt: skip
    row = {name: value for name, value in row.items() if value is not None}
    return Record(RecordKind.ORDERS, ACC, row["orderIDEx"], DAY, row, order_id=row["orderIDEx"])


def deal(key: str = "5056208452274069375", order_id: str | None = "A1", day: date = DAY, **fields: Any) -> Record:
    row = {
        "trdSide": 1, "fillID": key, "fillIDEx": "X1", "orderIDEx": order_id, "code": "AAPL", "name": "Apple",
        "qty": Decimal("60.0"), "price": Decimal("127.4"), "createTime": "2026-03-02 09:30:10", "secMarket": 2,
        "createTimestamp": CREATED, "status": 0, **fields,
    }  # fmt: skip
    row = {name: value for name, value in row.items() if value is not None}
    return Record(RecordKind.TRADES, ACC, key, day, row, order_id=order_id)


def fee(total: str | None, *parts: tuple[str, str], order_id: str = "A1") -> Record:
    row: dict[str, Any] = {"orderIDEx": order_id}
    if total is not None:
        row["feeAmount"] = Decimal(total)
    if parts:
        row["feeList"] = [{"title": title, "value": Decimal(value)} for title, value in parts]
    return Record(RecordKind.FEES, ACC, order_id, DAY, row, order_id=order_id)


def only_order(*records: Record) -> Order:
    made = normalize(records)
    assert made.rejects == []
    assert len(made.orders) == 1
    return made.orders[0]


def test_an_order_and_its_deal_carry_exact_numbers_and_stable_ids() -> None:
    made = normalize([order(), deal()])
    row, trade = made.orders[0], made.trades[0]
    assert row.order_uid == trade.order_uid == f"FUTU_{ACC}_A1"
    assert trade.trade_uid == f"FUTU_{ACC}_5056208452274069375"
    assert (row.side, row.qty, row.limit_price, row.avg_price) == (Side.BUY, 100, Decimal("127.5"), Decimal("127.4"))
    assert (trade.amount, trade.currency, trade.multiplier) == (Decimal("7644.000"), "USD", 1)
    assert row.created_at == trade.executed_at == datetime(2026, 3, 2, 14, 30, 0, 500000, tzinfo=UTC)
    assert trade.exec_id == "X1"
    assert [(i.symbol, i.futu_code, i.currency) for i in made.instruments] == [("US.AAPL", "US.AAPL", "USD")]


@pytest.mark.parametrize("code", ["AAPL", "AAPL210402C132500", "COMP123"])
def test_a_deal_names_its_instrument_by_its_whole_code(code: str) -> None:
    (trade,) = normalize([order(), deal(code=code)]).trades
    assert trade.instrument_id == f"US.{code}"


@pytest.mark.parametrize(
    ("number", "filled", "name", "status"),
    [
        (-1, "0", "N/A", OrderStatus.UNKNOWN),
        (0, "0", "UNSUBMITTED", OrderStatus.PENDING),
        (3, "0", "SUBMIT_FAILED", OrderStatus.REJECTED),
        (4, "0", "TIMEOUT", OrderStatus.UNKNOWN),
        (5, "0", "SUBMITTED", OrderStatus.OPEN),
        (10, "40", "FILLED_PART", OrderStatus.PARTIAL),
        (10, "0", "FILLED_PART", OrderStatus.OPEN),
        (11, "100", "FILLED_ALL", OrderStatus.FILLED),
        (12, "40", "CANCELLING_PART", OrderStatus.PARTIAL),
        (13, "0", "CANCELLING_ALL", OrderStatus.OPEN),
        (14, "40", "CANCELLED_PART", OrderStatus.PARTIAL_CANCELLED),
        (15, "0", "CANCELLED_ALL", OrderStatus.CANCELLED),
        (21, "0", "FAILED", OrderStatus.REJECTED),
        (22, "0", "DISABLED", OrderStatus.REJECTED),
        (23, "0", "DELETED", OrderStatus.CANCELLED),
        (24, "0", "FILL_CANCELLED", OrderStatus.CANCELLED),
        (99, "0", "99", OrderStatus.UNKNOWN),
    ],
)
def test_every_state_keeps_the_brokers_name(number: int, filled: str, name: str, status: OrderStatus) -> None:
    row = only_order(order(orderStatus=number, fillQty=Decimal(filled)))
    assert (row.broker_status, row.status) == (name, status)


def test_an_order_that_never_filled_has_no_average_price() -> None:
    row = only_order(order(orderStatus=15, fillQty=Decimal("0.0"), fillAvgPrice=Decimal("0.0")))
    assert (row.filled_qty, row.avg_price) == (0, None)
    assert only_order(order(fillQty=None, fillAvgPrice=None)).filled_qty is None


def test_a_market_order_has_no_limit_price() -> None:
    assert only_order(order(orderType=2, price=Decimal("0.0"))).limit_price is None
    assert only_order(order(price=None)).limit_price is None


@pytest.mark.parametrize(
    ("number", "side", "effect"), [(1, "BUY", None), (2, "SELL", None), (3, "SELL", "OPEN"), (4, "BUY", "CLOSE")]
)
def test_short_sales_and_buybacks_are_sells_and_buys_that_say_open_or_close(
    number: int, side: str, effect: str | None
) -> None:
    made = normalize([order(trdSide=number), deal(trdSide=number)])
    assert (made.orders[0].side, made.orders[0].position_effect) == (side, effect)
    assert (made.trades[0].side, made.trades[0].position_effect) == (side, effect)


def hk_option(**fields: Any) -> dict[str, Any]:
    return {"code": "MIU260828C42500", "secMarket": 1, "trdMarket": 1, "currency": 1, "qty": Decimal("2.0"), **fields}


def test_the_size_of_a_hong_kong_option_comes_from_the_orders_amount_and_its_deals_take_it() -> None:
    fields = hk_option(price=Decimal("1.25"), orderAmount=Decimal("2500.0"))
    made = normalize([order(**fields), deal(**hk_option(price=Decimal("1.24")))])
    assert made.orders[0].multiplier == made.trades[0].multiplier == 1000
    assert made.trades[0].amount == Decimal(2480)
    assert made.instruments[0].multiplier == 1000


@pytest.mark.parametrize("amount", [None, "0.0", "2.5", "3001.7"])
def test_a_size_that_nothing_tells_is_unknown_and_never_a_hundred(amount: str | None) -> None:
    fields = hk_option(price=Decimal("1.25"), orderAmount=Decimal(amount) if amount else None)
    made = normalize([order(**fields), deal(**hk_option())])
    assert made.orders[0].multiplier is None
    assert made.trades[0].amount is None


def test_a_standard_us_option_is_a_hundred_shares_but_an_adjusted_one_is_unknown() -> None:
    assert only_order(order(code="AAPL261218C132500")).multiplier == 100
    assert only_order(order(code="CMCS1261218C40000")).multiplier is None


def combo() -> Record:
    def leg(code: str, side: int, ratio: str) -> dict[str, Any]:
        return {"security": {"market": 11, "code": code}, "side": side, "qtyRatio": Decimal(ratio)}

    legs = [leg("PEP260918P120000", 1, "1.0"), leg("PEP261120P120000", 3, "1.0")]
    return order(
        code="PEP260918P120/261120P120", qty=Decimal("2.0"), price=Decimal("-0.35"), orderAmount=Decimal("-70.0"),
        fillQty=Decimal("2.0"), fillAvgPrice=Decimal("-0.36"), strategyType=15, comboLegs=legs,
    )  # fmt: skip


def test_a_combination_is_one_order_with_its_legs_beside_it() -> None:
    made = normalize([combo(), deal(code="PEP260918P120000", qty=Decimal(2), price=Decimal("1.1"))])
    row = made.orders[0]
    assert (row.asset_class, row.underlying, row.combo_id) == (AssetClass.COMBO, "US.PEP", "A1")
    assert (row.declared_strategy, row.limit_price, row.multiplier) == ("CALENDAR_SPREAD", Decimal("-0.35"), 100)
    assert row.legs == [
        {"symbol": "US.PEP 2026-09-18 P 120", "side": "BUY", "ratio": 1},
        {"symbol": "US.PEP 2026-11-20 P 120", "side": "SELL", "ratio": 1},
    ]
    assert made.trades[0].amount == Decimal("220.0")
    assert {i.futu_code for i in made.instruments} == {
        "US.PEP260918P120/261120P120", "US.PEP260918P120000", "US.PEP261120P120000",
    }  # fmt: skip


def test_an_order_with_legs_is_a_combination_whatever_its_code() -> None:
    record = combo()
    row = only_order(Record(record.kind, ACC, "A1", DAY, {**record.payload, "code": "SOMETHING NEW"}, order_id="A1"))
    assert (row.asset_class, row.symbol, row.underlying) == (AssetClass.COMBO, "US.SOMETHING NEW", "US.PEP")


def test_deals_that_were_taken_back_stay_but_do_not_count() -> None:
    states = {"1": 0, "2": 1, "3": 2, "4": 3, "5": None}
    made = normalize([deal(key, status=status) for key, status in states.items()])
    assert [(t.kind, t.effective) for t in made.trades] == [
        (TradeKind.TRADE, True), (TradeKind.CANCEL, False), (TradeKind.TRADE, True), (TradeKind.OTHER, False),
        (TradeKind.TRADE, True),
    ]  # fmt: skip


def test_a_deal_without_its_order_still_names_it_and_takes_the_currency_of_its_market() -> None:
    made = normalize([deal(), deal("7", order_id=None)])
    assert [t.order_uid for t in made.trades] == [f"FUTU_{ACC}_A1", None]
    assert {t.currency for t in made.trades} == {"USD"}


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (deal("2", trdSide=0), "unknown_side"),
        (deal("2", trdSide=99), "unknown_side"),
        (deal("2", price=None), "missing_field"),
        (deal("2", qty="NaN"), "bad_number"),
        (deal("2", qty=Decimal(0)), "bad_quantity"),
        (deal("2", code=""), "missing_field"),
        (order(qty="Infinity"), "bad_number"),
    ],
)
def test_an_unreadable_record_is_set_aside_and_its_neighbours_load(record: Record, code: str) -> None:
    made = normalize([deal("1"), record])
    assert [reject.reason_code for reject in made.rejects] == [code]
    assert "1" in {trade.broker_trade_id for trade in made.trades}


def fees_of(*records: Record) -> dict[str, Decimal]:
    return {row.fee_uid.removeprefix(f"FUTU_{ACC}_A1_"): row.amount for row in normalize(records).fees}


def test_a_fee_is_its_parts_and_they_sum_to_the_total() -> None:
    us_option = [("Commission", "5.85"), ("Platform Fee", "2.7"), ("ORF", "0.11"), ("OCC Fee", "0.18")]
    made = normalize([order(), fee("10.46", *us_option, ("Option Settlement Fees", "1.62"))])
    assert sum(row.amount for row in made.fees) == Decimal("10.46")
    assert {row.fee_type for row in made.fees} == {
        FeeType.COMMISSION, FeeType.PLATFORM, FeeType.REGULATORY, FeeType.CLEARING, FeeType.SETTLEMENT,
    }  # fmt: skip
    assert {(row.order_uid, row.currency, row.trade_uid) for row in made.fees} == {(f"FUTU_{ACC}_A1", "USD", None)}


def test_what_the_parts_leave_is_a_part_of_its_own() -> None:
    assert fees_of(fee("2.25", ("Commission", "0.99"), ("Platform Fee", "1.0"))) == {
        "1_commission": Decimal("0.99"), "1_platform_fee": Decimal("1.0"), "1_unallocated": Decimal("0.26"),
    }  # fmt: skip


def test_zero_is_a_record_and_a_pending_fee_is_none() -> None:
    assert fees_of(fee("0.0")) == {"1_unallocated": 0}
    assert fees_of(fee("0.0", ("Commission", "0.0"))) == {"1_commission": 0}
    assert fees_of(fee("3.1")) == {"1_unallocated": Decimal("3.1")}
    assert fees_of(fee(None, ("Commission", "1.0"))) == {}


def test_the_language_of_opend_and_the_order_of_the_parts_change_no_identity() -> None:
    english = fees_of(fee("4", ("Commission", "1"), ("Commission", "2"), ("Stamp Duty", "1")))
    chinese = fees_of(fee("4", ("印花税", "1"), ("佣金", "2"), ("佣金", "1")))
    assert english == chinese == {"1_commission": 1, "2_commission": 2, "1_stamp_duty": 1}


def test_an_unknown_title_is_kept_under_its_own_words() -> None:
    assert named("Some New  Levy!") == ("some_new_levy", FeeType.OTHER)
    assert named("新费用") == ("新费用", FeeType.OTHER)
    made = normalize([fee("1", ("Some New Levy!", "1"))])
    assert (made.fees[0].broker_fee_name, made.fees[0].fee_type) == ("Some New Levy!", FeeType.OTHER)


def test_a_fee_is_charged_on_the_day_of_the_last_effective_deal() -> None:
    later, busted = date(2026, 3, 4), date(2026, 3, 5)
    records = [order(), deal("1"), deal("2", day=later), deal("3", day=busted, status=1), fee("1")]
    assert normalize(records).fees[0].charged_on == later
    assert normalize([order(), fee("1")]).fees[0].charged_on == DAY


def test_the_same_records_in_any_order_make_the_same_rows() -> None:
    records = [order(), deal("1"), deal("2"), fee("2", ("Commission", "1")), combo()]

    def rows(made: Normalized) -> set[str]:
        return {repr(row) for row in [*made.orders, *made.trades, *made.fees]}

    assert rows(normalize(records)) == rows(normalize(records[::-1]))
