"""What a later run changed of the names of orders, why, and corrections as labels."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from apex_pipeline.domain.models import AssetClass, Broker, Side
from apex_pipeline.domain.strategies.classify import CLASSIFIER_VERSION, StrategyPosition, classify
from apex_pipeline.domain.strategies.legs import OrderLeg
from apex_pipeline.domain.strategies.order_file import read
from apex_pipeline.domain.strategy_history import (
    Named,
    StrategyChange,
    StrategyFamily,
    cause_of,
    changes_between,
    holdings,
    untraded,
)
from apex_pipeline.domain.strategy_labels import StrategyCorrection, label_file
from tests.domain.strategy_orders import STOCK, C, held, option, order

NOW = datetime(2026, 3, 2, tzinfo=UTC)
DAY = date(2026, 3, 2)
FAMILY = StrategyFamily(Broker.IB, "U1", "US.KO", "o", "m", "c", "v")


def named(uid: str, strategy: str, kind: str = "LONG_CALL", action: str = "OPEN") -> Named:
    return Named(uid, strategy, DAY, kind, action, Decimal("0.9"))


def changes(old: list[Named], new: list[Named]) -> list[StrategyChange]:
    return changes_between(old, new, "U1", "new orders", NOW)


def test_only_orders_that_had_another_name_before_are_told() -> None:
    old = [named("1", "S1"), named("2", "S2")]
    (found,) = changes(old, [named("1", "S9", "BULL_CALL_SPREAD"), named("2", "S2"), named("3", "S9")])
    assert (found.order_uid, found.from_type, found.to_type) == ("1", "LONG_CALL", "BULL_CALL_SPREAD")
    assert (found.cause, found.changed_at, found.trade_date) == ("new orders", NOW, DAY)
    assert changes(old, [replace(row, confidence=Decimal("0.1")) for row in old]) == [], "a confidence is no name"


def test_another_group_of_the_same_type_is_a_change_and_so_are_one_more_and_one_less() -> None:
    (moved,) = changes([named("1", "S1")], [named("1", "S2")])
    assert (moved.from_strategy_uid, moved.to_strategy_uid) == ("S1", "S2")
    split = [named("1", "S1", action="CLOSE"), named("1", "S2", "SHORT_CALL")]
    closed, opened = changes([named("1", "S0")], split)
    assert (closed.from_type, closed.to_action, opened.from_type, opened.to_type) == (
        "LONG_CALL",
        "CLOSE",
        None,
        "SHORT_CALL",
    )
    (gone,) = changes(split, split[:1])
    assert (gone.from_type, gone.to_type, gone.to_confidence) == ("SHORT_CALL", None, None)
    assert len({row.change_uid for row in (moved, closed, opened, gone)}) == 4


def test_the_cause_names_every_kind_of_input_that_changed() -> None:
    assert cause_of(FAMILY, FAMILY) == ""
    assert cause_of(None, FAMILY) == "new orders"
    assert cause_of(FAMILY, replace(FAMILY, corrections_hash="x")) == "correction"
    assert cause_of(FAMILY, replace(FAMILY, moves_hash="x")) == "new positions"
    assert cause_of(FAMILY, replace(FAMILY, classifier_version="x")) == "new classifier version"
    assert cause_of(FAMILY, replace(FAMILY, orders_hash="x", corrections_hash="x")) == "correction, new orders"


def test_the_version_is_the_one_that_rows_carry() -> None:
    (row,) = classify([order(1, STOCK, 100, 0)]).assignments
    assert row.classifier_version == CLASSIFIER_VERSION


def test_holdings_of_one_contract_are_counted_from_the_oldest() -> None:
    one = StrategyPosition("IB", "U1", "US.KO", "US.KO", None, None, None, Decimal(1))
    rows = holdings([one, replace(one, symbol="US.KO C"), replace(one, strategy_uid="S")])
    assert [(row.symbol, row.place, row.strategy_uid) for row in rows] == [
        ("US.KO", 1, None),
        ("US.KO C", 1, None),
        ("US.KO", 2, "S"),
    ]


def test_what_no_order_touched_is_summed_by_contract() -> None:
    rows = untraded([held(STOCK, 100), held(STOCK, -40), held(option(C, 100), 1), held(option(C, 100), -1)])
    assert [(row.symbol, row.qty, row.strategy_type) for row in rows] == [(STOCK.symbol, Decimal(60), None)]


def test_a_combination_is_a_label_leg_by_leg() -> None:
    legs = (OrderLeg(option(C, 100), Side.BUY, Decimal(1)), OrderLeg(option(C, 105), Side.SELL, Decimal(2)))
    combo = replace(order(1, STOCK, 3, 0), legs=legs, asset_class=AssetClass.COMBO)
    uid = combo.order_uid
    said = StrategyCorrection(
        "K", Broker.IB, combo.account_id, "US.X", [uid], "CALL_RATIO_SPREAD", "OPEN", None, "ann", NOW, None
    )
    content = label_file([said], [combo], [held(STOCK, 100)])
    assert content["truth"] == [
        {"group": "K", "orders": [f"{uid}/1", f"{uid}/2"], "type": "CALL_RATIO_SPREAD", "action": "OPEN"}
    ]
    orders, positions, _ = read(content)
    assert [(row.side, row.qty, row.combo_id) for row in orders] == [
        (Side.BUY, Decimal(3), uid),
        (Side.SELL, Decimal(6), uid),
    ]
    assert [change.qty for change in positions] == [Decimal(100)]
