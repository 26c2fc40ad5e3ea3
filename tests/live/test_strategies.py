"""The engine as a script imports it: names, books in Decimal, and the catalogue for display."""

import doctest
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline import live
from apex_pipeline.domain.models import AssetClass, Broker, OptionRight, Side
from apex_pipeline.domain.strategies.classify import CLASSIFIER_VERSION
from apex_pipeline.domain.strategies.legs import ClassifiableOrder
from apex_pipeline.domain.strategies.shapes import ShapeLeg
from apex_pipeline.domain.strategies.taxonomy import strategy_ids
from apex_pipeline.live import StrategyClassifierV1, StrategyType, strategies

MAY, JUNE = date(2026, 5, 15), date(2026, 6, 19)
ENGINE = StrategyClassifierV1()


def leg(qty: int, right: OptionRight, strike: int) -> ShapeLeg:
    return ShapeLeg(Decimal(qty), right, Decimal(strike), MAY)


def told(rows: list[Any]) -> list[tuple[str, int]]:
    return sorted((str(group.strategy_type), group.units) for group in ENGINE.partition_positions(rows))


def test_the_engine_is_imported_from_live_and_says_its_version() -> None:
    assert live.StrategyClassifierV1 is StrategyClassifierV1
    assert ENGINE.version == CLASSIFIER_VERSION


def test_the_example_in_the_documentation_holds() -> None:
    result = doctest.testmod(strategies)
    assert result.attempted >= 6
    assert result.failed == 0


def test_every_type_has_a_name_of_ours_and_falls_back_to_it() -> None:
    types = ENGINE.types()
    assert {item.value for item in types} == strategy_ids()
    condor = types[StrategyType("IRON_CONDOR")]
    assert condor.by("Futu") == "IRON_CONDOR"
    assert condor.by("a source that has no word for it") == condor.name == "Iron Condor"
    assert types[StrategyType("CUSTOM_MULTI_LEG")].family is None


def test_legs_are_named_and_legs_without_a_shape_are_not() -> None:
    assert ENGINE.name([leg(1, OptionRight.CALL, 100), leg(-1, OptionRight.CALL, 105)]) == "BULL_CALL_SPREAD"
    assert ENGINE.name([leg(1, OptionRight.CALL, strike) for strike in (100, 105, 110, 115, 120)]) is None


def test_a_book_is_divided_and_every_quantity_is_kept() -> None:
    rows = [
        ("P", 90, MAY, 2),
        ("P", 95, MAY, -2),
        ("C", 105, MAY, -2),
        ("C", "110", MAY, 2),
        (None, None, None, "50.5"),
    ]
    assert told(rows) == [("IRON_CONDOR", 2), ("LONG_STOCK", 1)]
    legs = {(item.right, item.strike, item.qty) for group in ENGINE.partition_positions(rows) for item in group.legs}
    assert legs == {
        (OptionRight.PUT, 90, 2),
        (OptionRight.PUT, 95, -2),
        (OptionRight.CALL, 105, -2),
        (OptionRight.CALL, 110, 2),
        (None, None, Decimal("50.5")),
    }


def test_rows_of_one_contract_are_added_up_before_they_are_divided() -> None:
    assert told([(None, None, None, 100), (None, None, None, 100)]) == [("LONG_STOCK", 2)]
    assert told([("C", 100, MAY, 1), ("C", Decimal("100.00"), MAY, -1)]) == []


def test_stock_covers_as_much_as_a_contract_delivers() -> None:
    assert told([(None, None, None, 800), ("C", 60, MAY, -2, 400)]) == [("COVERED_CALL", 2)]
    control = told([(None, None, None, 200), ("C", 60, MAY, -2, 400)])
    assert ("COVERED_CALL", 2) not in control


def test_what_lives_in_two_expiries_may_be_one_strategy() -> None:
    assert told([("C", 100, MAY, -3), ("C", 100, JUNE, 3)]) == [("LONG_CALL_CALENDAR", 3)]


@pytest.mark.parametrize(
    "row",
    [
        ("C", 100, MAY, 1.5),
        ("C", 100, MAY, "many"),
        ("C", 100, MAY, Decimal("NaN")),
        ("C", None, MAY, 1),
        ("C", 100, None, 1),
        ("C", 100, "2026-05-15", 1),
        ("C", 100, MAY, 1, 0),
        ("X", 100, MAY, 1),
        (None, 100, None, 1),
    ],
)
def test_a_row_that_is_no_position_is_refused(row: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be|needs|neither|valid"):
        ENGINE.partition_positions([row])


def order(uid: str, side: Side, strike: int, second: int) -> ClassifiableOrder:
    return ClassifiableOrder(
        order_uid=uid,
        broker=Broker.IB,
        account_id="U1",
        symbol=f"US.AAPL {MAY} C {strike}",
        underlying="US.AAPL",
        asset_class=AssetClass.OPTION,
        option_right=OptionRight.CALL,
        strike=Decimal(strike),
        expiry=MAY,
        multiplier=Decimal(100),
        side=side,
        qty=Decimal(1),
        filled_qty=Decimal(1),
        at=datetime(2026, 4, 1, 14, 30, second, tzinfo=UTC),
        trade_date=date(2026, 4, 1),
    )


def test_orders_are_classified_with_prices_by_date() -> None:
    orders = [order("1", Side.BUY, 100, 0), order("2", Side.SELL, 105, 1)]
    found = ENGINE.classify(orders, spots={"US.AAPL": {date(2026, 4, 1): Decimal("101.5")}})
    assert {row.strategy_type for row in found.assignments} == {"BULL_CALL_SPREAD"}
    assert sum(item.qty for item in found.positions) == 0
    assert len(found.positions) == 2


def test_the_content_of_a_file_is_classified_and_a_wrong_one_is_refused() -> None:
    row = {
        "order_id": "1", "account": "U1", "underlying": "US.AAPL", "type": "stock", "side": "BUY", "qty": 100,
        "order_time": "2026-04-01T14:30:00Z",
    }  # fmt: skip
    assert ENGINE.classify_file({"orders": [row]})["predictions"]["1"]["type"] == "LONG_STOCK"
    with pytest.raises(ValueError, match="order 1"):
        ENGINE.classify_file({"orders": [{**row, "side": "HOLD"}]})
