"""The file of `apex classify`: what it must hold, what may be missing, and that a wrong row is named."""

from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from apex_pipeline.domain.flows.generate import generate
from apex_pipeline.domain.flows.levels import Level
from apex_pipeline.domain.strategies.order_file import UnreadableFile, classify_file, read

CALL: Mapping[str, Any] = {
    "order_id": "1", "broker": "IB", "account": "U1", "market": "US", "underlying": "US.AAPL", "type": "call",
    "strike": 100, "expiry": "2026-08-21", "side": "BUY", "qty": 1, "filled_qty": 1, "avg_price": 3.5, "lot": 100,
    "order_time": "2026-07-13T14:00:00+00:00", "first_fill": "2026-07-13T14:00:01+00:00",
}  # fmt: skip
SOLD: Mapping[str, Any] = {
    **CALL, "order_id": "2", "strike": 105, "side": "SELL", "order_time": "2026-07-13T14:00:02+00:00",
}  # fmt: skip
HELD: Mapping[str, Any] = {
    "account": "U1", "underlying": "US.AAPL", "type": "call", "strike": 100, "expiry": "2026-08-21", "qty": -1,
}  # fmt: skip
FILL = {"fill_id": "F", "order_id": "1", "time": "2026-07-13T14:00:01+00:00", "qty": 1, "price": 3.5}
SPOT = {"date": "2026-07-13", "underlying": "US.AAPL", "spot": 101.5}


def file(**parts: Any) -> dict[str, Any]:
    return {"orders": [dict(CALL), dict(SOLD)], **parts}


def with_order(**columns: Any) -> dict[str, Any]:
    return file(orders=[{**CALL, **columns}, dict(SOLD)])


def without(row: Mapping[str, Any], column: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != column}


def answers(content: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    told = classify_file(content)["predictions"]
    return {uid: (said["type"], said["action"]) for uid, said in told.items()}


def spread(content: Mapping[str, Any]) -> bool:
    return set(answers(content).values()) == {("BULL_CALL_SPREAD", "OPEN")}


def complaint(content: Any) -> str:
    with pytest.raises(UnreadableFile) as refused:
        classify_file(content)
    text = str(refused.value)
    assert "\n" not in text
    assert len(text) < 200
    return text


def test_two_legs_are_one_group_with_everything_that_is_told_of_it() -> None:
    told = classify_file(file())
    first, second = told["predictions"]["1"], told["predictions"]["2"]
    assert first == second
    assert (first["type"], first["action"]) == ("BULL_CALL_SPREAD", "OPEN")
    assert 0.5 < first["confidence"] <= 1
    assert isinstance(first["alternatives"], list)
    assert told["classifier_version"]


def test_an_opening_position_makes_the_same_order_a_close() -> None:
    orders = [dict(CALL)]
    assert answers({"orders": orders})["1"] == ("LONG_CALL", "OPEN")
    assert answers({"orders": orders, "positions_open": [HELD]})["1"] == ("SHORT_CALL", "CLOSE")


def test_an_order_that_serves_two_groups_stands_under_the_larger_one() -> None:
    content = {"orders": [{**CALL, "qty": 5, "filled_qty": 5}], "positions_open": [{**HELD, "qty": -2}]}
    said = classify_file(content)["predictions"]["1"]
    assert (said["type"], said["action"]) == ("LONG_CALL", "OPEN")
    assert [(other["type"], other["action"]) for other in said["also_in"]] == [("SHORT_CALL", "CLOSE")]
    assert said["group"] != said["also_in"][0]["group"]


def test_an_order_of_which_nothing_was_filled_has_no_prediction() -> None:
    assert set(answers(with_order(filled_qty=0, first_fill=None))) == {"2"}


@pytest.mark.parametrize("column", ["broker", "market", "lot", "avg_price", "first_fill", "qty", "filled_qty"])
@pytest.mark.parametrize("absent", [True, False])
def test_what_may_be_missing_may_also_be_null(column: str, absent: bool) -> None:
    orders = [without(CALL, column) if absent else {**CALL, column: None}, dict(SOLD)]
    assert spread(file(orders=orders))


def test_numbers_may_be_text_and_ids_may_be_numbers() -> None:
    content = with_order(order_id=1, strike="100.00", qty="1", filled_qty="1.0", lot="100", avg_price="3.5")
    assert spread(content)


def test_columns_that_nobody_knows_are_not_looked_at() -> None:
    assert spread({**with_order(remark=[1, {}]), "note": "hello"})


def test_quantities_and_times_come_from_fills_where_the_order_is_silent() -> None:
    bare = without(without(without(CALL, "filled_qty"), "order_time"), "first_fill")
    later = {**FILL, "fill_id": "G", "time": "2026-07-13T10:00:01-04:00", "qty": 2}
    earlier = {**FILL, "time": "2026-07-13T15:59:59+02:00"}
    orders, _, _ = read({"orders": [{**bare, "qty": 9}], "fills": [later, earlier]})
    assert orders[0].filled_qty == 3
    assert orders[0].at == datetime(2026, 7, 13, 13, 59, 59, tzinfo=UTC)


def test_an_order_without_fills_in_a_file_with_fills_was_not_filled() -> None:
    orders = [without(CALL, "filled_qty"), dict(SOLD)]
    assert set(answers(file(orders=orders, fills=[{**FILL, "order_id": "2"}]))) == {"2"}


def test_the_trade_date_is_that_of_the_market() -> None:
    orders, _, _ = read({"orders": [{**CALL, "market": "HK", "order_time": "2026-07-13T23:30:00+00:00"}]})
    assert orders[0].trade_date == date(2026, 7, 14)
    orders, _, _ = read({"orders": [{**CALL, "market": "us", "order_time": "2026-07-14T01:30:00+00:00"}]})
    assert orders[0].trade_date == date(2026, 7, 13)


def test_a_number_that_several_orders_share_joins_them_and_an_empty_one_does_not() -> None:
    hours_apart = [{**CALL, "combo_id": "C7"}, {**SOLD, "combo_id": "C7", "order_time": "2026-07-13T18:00:00Z"}]
    assert spread(file(orders=hours_apart))
    nameless = [{**row, "combo_id": ""} for row in hours_apart]
    assert not spread(file(orders=nameless))


def test_a_lot_that_is_not_told_is_that_of_its_contract_whatever_the_order_of_rows() -> None:
    adjusted = {**SOLD, "order_id": "3", "strike": 50, "lot": 150}
    rows = [dict(CALL), dict(SOLD), adjusted]
    for orders in (rows, rows[::-1]):
        _, changes, _ = read(
            {"orders": orders, "positions_open": [HELD, {**HELD, "strike": 50}, {**HELD, "strike": 7}]}
        )
        assert [change.contract.multiplier for change in changes] == [100, 150, 100]


def test_a_decimal_is_kept_to_its_last_digit() -> None:
    orders, _, _ = read(with_order(type="stock", qty=Decimal("0.123456789012"), filled_qty=Decimal("0.123456789012")))
    assert orders[0].filled_qty == Decimal("0.123456789012")


@pytest.mark.parametrize("column", ["order_id", "account", "underlying", "type", "side", "strike", "expiry"])
@pytest.mark.parametrize("value", [None, "", [], {}, True])
def test_what_a_strategy_depends_on_must_be_there(column: str, value: object) -> None:
    assert column in complaint(with_order(**{column: value}))
    assert column in complaint(file(orders=[without(CALL, column), dict(SOLD)]))


@pytest.mark.parametrize("column", ["qty", "filled_qty", "strike", "lot"])
@pytest.mark.parametrize("value", [-1, "x", "", [], True, "NaN", "Infinity", "1e400000", "1e-400000", "9" * 5000])
def test_a_number_must_be_one_and_not_below_zero(column: str, value: object) -> None:
    assert complaint(with_order(**{column: value})).startswith(f"order 1 (1): {column} is ")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("type", "future"), ("side", "HOLD"), ("broker", "BANK"), ("lot", 0), ("expiry", "2026-02-30"),
        ("expiry", "21-08-2026"), ("combo_id", ["a"]), ("order_id", 1.5), ("avg_price", "cheap"),
    ],
)  # fmt: skip
def test_a_value_out_of_its_range_is_named(column: str, value: object) -> None:
    assert column in complaint(with_order(**{column: value}))


@pytest.mark.parametrize(
    "time",
    [
        "2026-07-13T14:00:00",
        "2026-07-13",
        "yesterday",
        1752415200,
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
    ],
)
def test_a_time_without_a_zone_is_no_time(time: object) -> None:
    assert "order_time is" in complaint(with_order(order_time=time))
    assert spread(with_order(order_time="2026-07-13T14:00:00Z"))


def test_an_order_id_stands_once() -> None:
    assert "order_id 2" in complaint(with_order(order_id="2"))


def test_an_order_of_unknown_size_is_refused() -> None:
    assert "qty is missing" in complaint(file(orders=[without(without(CALL, "qty"), "filled_qty")]))


@pytest.mark.parametrize("name", ["orders", "positions_open", "spots", "fills"])
@pytest.mark.parametrize("value", [5, "text", {"a": 1}, [1], [None], ["row"], [{}]])
def test_every_list_is_a_list_of_objects(name: str, value: object) -> None:
    assert complaint(file(**{name: value}))


@pytest.mark.parametrize("content", [{}, {"orders": None}])
def test_a_file_without_orders_is_refused_and_one_with_none_is_empty(content: dict[str, Any]) -> None:
    assert "orders" in complaint(content)
    assert classify_file({"orders": []})["predictions"] == {}


@pytest.mark.parametrize("column", ["account", "underlying", "type", "strike", "expiry", "qty"])
@pytest.mark.parametrize("value", [None, "", [], "x"])
def test_an_opening_position_must_be_whole(column: str, value: object) -> None:
    if value != "x" or column not in ("account", "underlying"):
        assert complaint(file(positions_open=[{**HELD, column: value}])).startswith("opening position 1: ")


@pytest.mark.parametrize("column", ["order_id", "time", "qty"])
def test_a_fill_must_be_whole(column: str) -> None:
    assert complaint(file(fills=[dict(FILL), {**FILL, column: None}])).startswith("fill 2 (F): ")
    assert spread(file(fills=[dict(FILL)]))


@pytest.mark.parametrize("change", [{"spot": None}, {"spot": "NaN"}, {"spot": -1}, {"date": "x"}, {"underlying": ""}])
def test_a_price_must_be_one(change: dict[str, Any]) -> None:
    assert complaint(file(spots=[{**SPOT, **change}])).startswith("spot 1: ")
    assert spread(file(spots=[dict(SPOT)]))


def test_the_order_of_rows_changes_no_answer() -> None:
    content = generate(Level.L2, 931, groups=120).document
    expected = classify_file(content)
    shuffled = deepcopy(content)
    for name in ("orders", "fills", "positions_open", "spots"):
        Random(4).shuffle(shuffled[name])
    assert classify_file(shuffled) == expected
