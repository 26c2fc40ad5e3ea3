"""Records of Futu rows for tests: each with every field that a real one has, changed by name; None leaves one out."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.records import Delivery, Record, RecordKind

ACC = "281756478396547854"
DAY = date(2026, 3, 2)
AS_OF = datetime(2026, 3, 2, 14, tzinfo=UTC)


def first(delivery: Delivery) -> Record:
    """The first record of a delivery."""
    return next(iter(delivery.records))


def deal(key: str, order_id: str | None = "A1", day: date = DAY, **fields: Any) -> Record:
    row = _row({
        "trdSide": 1, "fillID": key, "orderIDEx": order_id, "code": "AAPL", "qty": Decimal("60.0"),
        "price": Decimal("127.4"), "createTime": "2026-03-02 09:30:10", "secMarket": 2, "status": 0,
    }, fields)  # fmt: skip
    return Record(RecordKind.TRADES, ACC, key, day, row, order_id=order_id)


def order(order_id: str = "A1", **fields: Any) -> Record:
    row = _row({
        "trdSide": 1, "orderType": 1, "orderStatus": 11, "orderIDEx": order_id, "code": "AAPL",
        "qty": Decimal("100.0"), "price": Decimal("127.5"), "createTime": "2026-03-02 09:30:00",
        "fillQty": Decimal("100.0"), "fillAvgPrice": Decimal("127.4"), "secMarket": 2, "currency": 2, "trdMarket": 2,
    }, fields)  # fmt: skip
    return Record(RecordKind.ORDERS, ACC, order_id, DAY, row, order_id=order_id)


def fee(total: str, *parts: tuple[str, str], order_id: str = "A1") -> Record:
    items = [{"title": title, "value": Decimal(value)} for title, value in parts]
    row = {"orderIDEx": order_id, "feeAmount": Decimal(total), "feeList": items}
    return Record(RecordKind.FEES, ACC, order_id, DAY, row, order_id=order_id)


def position(**fields: Any) -> dict[str, Any]:
    return _row({
        "positionID": "6596101776329286054", "positionSide": 0, "code": "AAPL", "name": "Apple Inc.",
        "qty": Decimal("400.0"), "price": Decimal("49.4"), "val": Decimal("19760.0"), "secMarket": 2, "trdMarket": 2,
        "averageCostPrice": Decimal("53.975"), "dilutedCostPrice": Decimal("51.5"), "costPrice": Decimal("51.5"),
        "unrealizedPL": Decimal("-1830.0"), "realizedPL": Decimal("12.5"), "currency": 2,
    }, fields)  # fmt: skip


def funds(**fields: Any) -> dict[str, Any]:
    cash = [{"currency": 1, "cash": Decimal("-12.5")}, {"currency": 2, "cash": Decimal("3.24")}]
    return _row({
        "totalAssets": Decimal("289932.0404"), "cash": Decimal("25.18"), "marketVal": Decimal("197003.0448"),
        "currency": 1, "cashInfoList": cash,
    }, fields)  # fmt: skip


def snapshot(kind: RecordKind, *rows: dict[str, Any], **payload: Any) -> Record:
    return Record(kind, ACC, DAY.isoformat(), DAY, {"rows": list(rows), **payload}, generated_at=AS_OF)


def flow(number: str = "16308", day: date = DAY, **fields: Any) -> Record:
    row = _row({
        "clearingDate": day.isoformat(), "settlementDate": "2026-03-04", "currency": 1, "cashFlowType": "Others",
        "cashFlowDirection": 0, "cashFlowAmount": Decimal("0.0"), "cashFlowRemark": "", "cashFlowID": number,
    }, fields)  # fmt: skip
    return Record(RecordKind.CASH, ACC, f"{day}:{number}", day, row)


def _row(told: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**told, **changed}.items() if value is not None}
