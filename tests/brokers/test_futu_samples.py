"""Published rows of Futu become rows with the published values, to the last digit.

Skips where APEX_SAMPLES names no folder that holds them. Rows that were published as tables of the Python client
are put back into the fields of the wire, which is what is read here.
"""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apex_pipeline.brokers.futu import records, vocabulary
from apex_pipeline.brokers.futu.normalize import normalize
from apex_pipeline.domain.lifecycle import endings
from apex_pipeline.domain.models import AssetClass, CashKind, FeeType, Order, OrderStatus, Side, Trade
from apex_pipeline.domain.records import Normalized, Record, RecordKind
from tests.brokers.futu_rows import snapshot

ACC = "281756478396547854"
Row = dict[str, Any]
Samples = Callable[[str], list[Row]]

ORDER_COLUMNS = {
    "order_id": "orderIDEx", "qty": "qty", "price": "price", "create_time": "createTime", "updated_time": "updateTime",
    "dealt_qty": "fillQty", "dealt_avg_price": "fillAvgPrice", "remark": "remark", "amount": "orderAmount",
}  # fmt: skip
DEAL_COLUMNS = {
    "deal_id": "fillID", "order_id": "orderIDEx", "qty": "qty", "price": "price", "create_time": "createTime",
}  # fmt: skip
POSITION_COLUMNS = {
    "position_id": "positionID", "qty": "qty", "nominal_price": "price", "market_val": "val", "pl_val": "plVal",
    "cost_price": "costPrice", "average_cost": "averageCostPrice", "diluted_cost": "dilutedCostPrice",
    "unrealized_pl": "unrealizedPL", "realized_pl": "realizedPL",
}  # fmt: skip
FLOW_COLUMNS = {
    "cashflow_id": "cashFlowID", "clearing_date": "clearingDate", "settlement_date": "settlementDate",
    "cashflow_type": "cashFlowType", "cashflow_amount": "cashFlowAmount", "cashflow_remark": "cashFlowRemark",
}  # fmt: skip
SIDES = {"BUY": 1, "SELL": 2, "SELL_SHORT": 3, "BUY_BACK": 4}
MARKETS = {name: number for number, name in vocabulary.PREFIX_OF_SEC_MARKET.items()}
CURRENCIES = {name: number for number, name in vocabulary.CURRENCIES.items()}
STATES = {state[0]: number for number, state in vocabulary.ORDER_STATES.items()}
DEAL_STATES = {state[0]: number for number, state in vocabulary.DEAL_STATES.items()}
TYPES = {name: number for number, name in vocabulary.ORDER_TYPES.items()}


@pytest.fixture(scope="module")
def samples() -> Samples:
    folder = os.environ.get("APEX_SAMPLES")
    path = Path(folder or "") / "futu" / "samples.json"
    if not folder or not path.is_file():
        pytest.skip("APEX_SAMPLES names no folder with Futu samples")
    told = json.loads(path.read_text(), parse_float=Decimal)["samples"]
    by_id: dict[str, list[Row]] = {sample["id"]: sample["rows"] for sample in told}
    return by_id.__getitem__


def fields(row: Row, columns: dict[str, str]) -> Row:
    """The columns of a table as fields of the wire; 'N/A' is how the table says that there is none."""
    return {name: row[column] for column, name in columns.items() if row.get(column, "N/A") != "N/A"}


def code(row: Row) -> Row:
    market, name = row["code"].split(".", 1)
    return {"code": name, "secMarket": MARKETS[market]}


def order_fields(row: Row) -> Row:
    told = {**fields(row, ORDER_COLUMNS), **code(row), "trdSide": SIDES[row["trd_side"]]}
    told |= {"orderType": TYPES[row["order_type"]], "orderStatus": STATES[row["order_status"]]}
    return {**told, **({"currency": CURRENCIES[row["currency"]]} if "currency" in row else {})}


def deal_fields(row: Row) -> Row:
    told = {**fields(row, DEAL_COLUMNS), **code(row), "trdSide": SIDES[row["trd_side"]]}
    return {**told, "fillID": str(row["deal_id"]), "status": DEAL_STATES[row["status"]]}


def made_of(*told: Record) -> Normalized:
    made = normalize(told)
    assert made.rejects == []
    return made


def orders(*rows: Row) -> list[Order]:
    return made_of(*records.orders(ACC, rows).records.values()).orders


def deals(*rows: Row) -> list[Trade]:
    return made_of(*records.deals(ACC, rows, {}).records.values()).trades


def test_an_order_table(samples: Samples) -> None:
    [got] = orders(*map(order_fields, samples("futu-04")))
    assert got.order_uid == f"FUTU_{ACC}_6644468615272262086"
    assert (got.symbol, got.side, got.status, got.broker_status) == (
        "US.AAPL", Side.BUY, OrderStatus.CANCELLED, "CANCELLED_ALL",
    )  # fmt: skip
    assert (got.qty, got.limit_price, got.filled_qty, got.avg_price) == (100, 520, 0, None)
    assert got.created_at == datetime(2021, 9, 6, 14, 17, 52, 465000, tzinfo=UTC)
    assert got.updated_at == datetime(2021, 9, 7, 20, 10, 22, 806000, tzinfo=UTC)
    assert (got.remark, got.currency, got.trade_date) == ("asdfg+=@@@", "USD", date(2021, 9, 6))


def test_a_market_order_of_the_wire(samples: Samples) -> None:
    [got] = orders(*samples("futu-05"))
    assert got.broker_order_id == "20210330_15680495_SQSWWgSYCStLVb7BDmx7kgAARgy31Nc1"
    assert (got.symbol, got.order_type, got.limit_price) == ("US.FUTU", "MARKET", None)
    assert (got.filled_qty, got.avg_price, got.status) == (234, Decimal("127.635726495"), OrderStatus.FILLED)
    assert got.created_at == datetime(2021, 3, 30, 13, 34, 23, 627814, tzinfo=UTC)
    assert got.updated_at == datetime(2021, 3, 30, 13, 34, 24, 16447, tzinfo=UTC)


def test_paper_orders_of_hong_kong(samples: Samples) -> None:
    first, second = samples("futu-06")
    # the second row was published without the columns that it shares with the first
    got = orders(first, {**first, **second})
    assert [(o.symbol, o.qty, o.limit_price, o.trade_date) for o in got] == [
        ("HK.00700", 100, Decimal("649.5"), date(2021, 5, 31)), ("HK.00700", 400, 605, date(2021, 5, 27)),
    ]  # fmt: skip
    assert (got[0].avg_price, got[0].order_type, got[0].currency) == (Decimal("618.5"), "ABSOLUTE_LIMIT", "HKD")
    assert got[0].created_at == datetime(2021, 5, 31, 13, 1, 21, tzinfo=UTC)
    assert got[0].updated_at == datetime(2021, 6, 1, 1, 30, 7, tzinfo=UTC)


def test_deals_of_table_wire_and_push(samples: Samples) -> None:
    [table] = deals(*map(deal_fields, samples("futu-07")))
    assert (table.broker_trade_id, table.symbol, table.qty, table.price, table.amount) == (
        "5056208452274069375", "HK.00388", 100, 370, 37000,
    )  # fmt: skip
    assert table.executed_at == datetime(2020, 9, 17, 13, 15, 59, 979000, tzinfo=UTC)
    [wire] = deals(*({"trdSide": 1, "fillID": "1", **row} for row in samples("futu-08")))
    assert (wire.symbol, wire.price, wire.trade_date) == ("HK.00700", 480, date(2021, 9, 13))
    assert wire.executed_at == datetime(2021, 9, 13, 8, 40, 19, 182690, tzinfo=UTC)
    [push] = deals(*map(deal_fields, samples("futu-17")))
    assert (push.broker_trade_id, push.price) == ("2511067564122483295", 518)
    assert push.executed_at == datetime(2021, 11, 4, 15, 29, 41, 595000, tzinfo=UTC)


def test_pushed_and_paper_orders(samples: Samples) -> None:
    [pushed] = orders(*map(order_fields, samples("futu-16")))
    assert (pushed.status, pushed.broker_status, pushed.limit_price) == (OrderStatus.PENDING, "SUBMITTING", 518)
    [paper] = orders(*map(order_fields, samples("futu-18")))
    assert (paper.symbol, paper.order_type, paper.status) == ("HK.00700", "ABSOLUTE_LIMIT", OrderStatus.CANCELLED)


def fees_of(order_id: str, total: Decimal, items: list[Any]) -> dict[str, tuple[FeeType, Decimal]]:
    parts = [{"title": title, "value": value} for title, value in items]
    row = {"orderIDEx": order_id, "feeAmount": total, "feeList": parts}
    made = made_of(Record(RecordKind.FEES, ACC, order_id, date(2024, 3, 14), row, order_id=order_id))
    assert sum(fee.amount for fee in made.fees) == total
    assert made.drifts == []
    return {fee.fee_uid.rpartition(f"{order_id}_1_")[2]: (fee.fee_type, fee.amount) for fee in made.fees}


def test_fees_in_two_languages(samples: Samples) -> None:
    first, second = samples("futu-09")
    english = fees_of(first["order_id"], first["fee_amount"], first["fee_details"])
    assert english == fees_of(first["order_id"], first["fee_amount"], first["fee_details_zh"])
    assert {name: str(amount) for name, (_, amount) in english.items()} == {
        "commission": "5.85", "platform_fee": "2.7", "orf": "0.11", "occ_fee": "0.18", "option_settlement_fee": "1.62",
    }  # fmt: skip
    assert fees_of(second["order_id"], second["fee_amount"], second["fee_details_partial"])["unallocated"] == (
        FeeType.UNALLOCATED, Decimal("0.11"),
    )  # fmt: skip
    [chinese] = samples("futu-10")
    got = fees_of(chinese["orderIDEx"], chinese["feeAmount"], chinese["feeList"])
    assert {name: fee_type for name, (fee_type, _) in got.items()} == {
        "commission": FeeType.COMMISSION, "platform_fee": FeeType.PLATFORM, "settlement_fee": FeeType.SETTLEMENT,
        "sec_fee": FeeType.REGULATORY, "taf": FeeType.REGULATORY,
    }  # fmt: skip


def test_positions_of_table_and_wire(samples: Samples) -> None:
    [table] = samples("futu-11")
    told = {**fields(table, POSITION_COLUMNS), **code(table), "positionSide": 0, "currency": 2}
    rows = [told, *samples("futu-12")]
    first, second = made_of(snapshot(RecordKind.POSITIONS, *rows)).positions
    assert (first.broker_position_id, first.symbol, first.qty) == ("6596101776329286054", "US.AAPL", 400)
    assert (first.average_cost, first.mark_price, first.market_value) == (Decimal("53.975"), Decimal("49.4"), 19760)
    assert (first.unrealized_pnl, first.realized_pnl) == (0, 0)
    assert (second.broker_position_id, second.symbol, second.qty) == ("3411713033831199757", "HK.00700", 1900)
    assert (second.average_cost, second.mark_price, second.market_value) == (
        Decimal("454.558"), Decimal("479.8"), 911620,
    )  # fmt: skip
    assert (second.unrealized_pnl, second.currency) == (None, "HKD")


def test_funds(samples: Samples) -> None:
    [table] = samples("futu-13")
    cash = [{"currency": 1, "cash": table["hk_cash"]}, {"currency": 2, "cash": table["us_cash"]}]
    row = {"totalAssets": table["total_assets"], "marketVal": table["market_val"], "currency": 1, "cashInfoList": cash}
    hkd, usd = made_of(snapshot(RecordKind.BALANCES, row)).balances
    assert (hkd.currency, hkd.cash, hkd.net_liquidation, hkd.market_value) == (
        "HKD", 0, Decimal("289932.0404"), Decimal("197003.0448"),
    )  # fmt: skip
    assert (usd.currency, usd.cash, usd.net_liquidation) == ("USD", Decimal("3.24"), None)


def flows(rows: list[Row]) -> list[Record]:
    day = date(2025, 2, 27)
    directions = {"IN": 1, "OUT": 2}
    told = [
        {
            **fields(row, FLOW_COLUMNS), "cashFlowID": str(row["cashflow_id"]),
            "currency": CURRENCIES[row["currency"]],
            "cashFlowDirection": directions.get(row["cashflow_direction"], 0),
        }
        for row in rows
    ]  # fmt: skip
    return list(records.cash(ACC, told, day).records.values())


def test_the_cash_flow_of_an_assigned_put(samples: Samples) -> None:
    made = made_of(*flows(samples("futu-15")))
    by_id = {movement.broker_cash_id.rpartition(":")[2]: movement for movement in made.cash_movements}
    assert {number: (m.kind, str(m.amount), m.currency) for number, m in by_id.items()} == {
        "16308": (CashKind.ASSIGNMENT, "0.0", "HKD"), "16357": (CashKind.OTHER, "-104000.0", "HKD"),
        "16360": (CashKind.FUND, "23000.0", "USD"), "16384": (CashKind.FUND, "104108.96", "HKD"),
    }  # fmt: skip
    named = by_id["16308"]
    assert (named.symbol, named.event_date) == ("HK.JXC 2025-02-27 P 13", date(2025, 2, 27))
    assert (named.booked_on, by_id["16357"].settle_date) == (date(2025, 2, 27), date(2025, 3, 3))
    assert made.drifts == []


def test_that_put_was_eight_contracts_of_a_thousand_shares_once_its_size_and_stock_are_known(samples: Samples) -> None:
    made = made_of(*flows(samples("futu-15")))
    [put] = made.instruments
    unknown = endings([], made.cash_movements, [], {put.symbol: put}, frozenset())
    assert (unknown.trades, [reject.reason_code for reject in unknown.rejects]) == ([], ["unknown_underlying"])
    known = replace(put, underlying="HK.00358", multiplier=Decimal(1000))
    found = endings([], made.cash_movements, [], {put.symbol: known}, frozenset())
    assert [(t.symbol, t.side, t.qty, t.price, t.asset_class) for t in found.trades] == [
        (put.symbol, Side.BUY, 8, 0, AssetClass.OPTION), ("HK.00358", Side.BUY, 8000, 13, AssetClass.STOCK),
    ]  # fmt: skip
    assert found.trades[1].amount == 104000


def test_a_combination_of_a_real_account(samples: Samples) -> None:
    [told] = samples("futu-20")
    market, name = told["order.code"].split(".", 1)
    legs: list[Row] = []
    for text in told["combo_legs"]:
        leg = dict(part.split("=") for part in text.removeprefix("ComboLeg(").removesuffix(")").split(", "))
        security = {"market": 11, "code": leg["code"].split(".", 1)[1]}
        legs.append({"security": security, "side": SIDES[leg["trd_side"]], "qtyRatio": Decimal(leg["qty_ratio"])})
    row = {
        "trdSide": 1, "orderType": 1, "orderStatus": 11, "orderIDEx": "ABC", "code": name, "qty": Decimal(1),
        "createTime": "2026-09-13 10:00:00", "secMarket": MARKETS[market], "comboLegs": legs,
    }  # fmt: skip
    [got] = orders(row)
    assert (got.symbol, got.asset_class, got.underlying) == (told["order.code"], AssetClass.COMBO, "US.PEP")
    assert got.legs == [
        {"symbol": "US.PEP 2026-09-18 P 120", "side": "BUY", "ratio": 1},
        {"symbol": "US.PEP 2026-11-20 P 120", "side": "SELL", "ratio": 1},
    ]
