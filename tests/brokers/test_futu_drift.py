"""Words that no rule knows are told once a day, and their rows load."""

from datetime import date
from typing import Any

import pytest

from apex_pipeline.brokers.futu.normalize import normalize
from apex_pipeline.domain.records import Record, RecordKind
from tests.brokers.futu_rows import ACC, deal, fee, flow, funds, order, position, snapshot


def words(*records: Record) -> list[tuple[str, str]]:
    return [(drift.field, drift.value) for drift in normalize(records).drifts]


@pytest.mark.parametrize(
    "record",
    [
        order(), deal("1"), fee("1", ("Commission", "1"), ("佣金", "0")), flow(),
        snapshot(RecordKind.BALANCES, funds()), snapshot(RecordKind.POSITIONS, position()),
        order(session=1, timeInForce=3, trailType=2, strategyType=100),
    ],
)  # fmt: skip
def test_known_words_are_no_drift(record: Record) -> None:
    assert words(record) == []


@pytest.mark.parametrize("field", ["orderStatus", "orderType", "trdSide", "currency", "secMarket", "trdMarket",
                                   "strategyType", "timeInForce", "trailType", "session"])  # fmt: skip
def test_an_unknown_number_of_an_order_is_told_and_the_order_loads(field: str) -> None:
    changed: dict[str, Any] = {field: 987}
    made = normalize([order(**changed)])
    assert [(drift.field, drift.value) for drift in made.drifts] == [(field, "987")]
    assert (len(made.orders), made.rejects) == (1, [])


@pytest.mark.parametrize(
    ("record", "word"),
    [
        (deal("1", status=9), ("status", "9")),
        (snapshot(RecordKind.POSITIONS, position(positionType=9)), ("positionType", "9")),
        (snapshot(RecordKind.POSITIONS, position(positionSide=9)), ("positionSide", "9")),
        (snapshot(RecordKind.BALANCES, funds(currency=66)), ("currency", "66")),
        (flow(cashFlowDirection=9), ("cashFlowDirection", "9")),
        (flow(currency=66), ("currency", "66")),
        (fee("1", ("Moon Levy", "1")), ("feeList.title", "Moon Levy")),
        (order(code="AAPL26121800132500"), ("code", "US.AAPL26121800132500")),
    ],
)
def test_unknown_words_of_every_kind_are_told_and_their_rows_load(record: Record, word: tuple[str, str]) -> None:
    made = normalize([record])
    assert [(drift.field, drift.value) for drift in made.drifts] == [word]
    assert made.rejects == []


def test_legs_of_a_combination_are_looked_into() -> None:
    legs = [{"security": {"market": 55, "code": "X"}, "side": 9, "qtyRatio": 1}]
    assert words(order(code="AB/C", comboLegs=legs)) == [("comboLegs.security.market", "55"), ("comboLegs.side", "9")]


@pytest.mark.parametrize("unknown", [{"41": "c80201"}, ["41"], "41"])
def test_new_fields_are_told_where_they_stand(unknown: Any) -> None:
    assert words(order(_unknown=unknown)) == [("_unknown", "41")]
    assert words(snapshot(RecordKind.POSITIONS, position(_unknown=unknown))) == [("_unknown", "41")]
    inner = funds(cashInfoList=[{"currency": 1, "cash": 1, "_unknown": unknown}])
    assert words(snapshot(RecordKind.BALANCES, inner)) == [("cashInfoList._unknown", "41")]


def test_one_row_counts_the_records_of_an_account_and_day_and_names_the_first() -> None:
    later = deal("9", status=77, day=date(2026, 3, 3))
    records = [deal("2", status=77), deal("1", status=77), deal("3"), later]
    made = normalize(records)
    assert [(d.business_date, d.records, d.example_key, d.account_id, d.kind) for d in made.drifts] == [
        (date(2026, 3, 2), 2, "1", ACC, "trades"), (date(2026, 3, 3), 1, "9", ACC, "trades"),
    ]  # fmt: skip
    assert normalize(records[::-1]).drifts == made.drifts
