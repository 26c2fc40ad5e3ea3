"""Snapshots of positions and funds to rows: signs, costs, totals, and what cannot be read."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.brokers.futu.normalize import normalize
from apex_pipeline.domain.models import AssetClass, BrokerPosition
from apex_pipeline.domain.records import RecordKind
from tests.brokers.futu_rows import ACC, funds, position, snapshot

POSITIONS, BALANCES = RecordKind.POSITIONS, RecordKind.BALANCES


def only(**fields: Any) -> BrokerPosition:
    made = normalize([snapshot(POSITIONS, position(**fields))])
    assert made.rejects == []
    return made.positions[0]


def test_a_position_carries_exact_numbers_and_the_average_cost() -> None:
    got = only()
    assert (got.business_date, got.as_of) == (date(2026, 3, 2), datetime(2026, 3, 2, 14, tzinfo=UTC))
    assert (got.broker_position_id, got.symbol, got.qty) == ("6596101776329286054", "US.AAPL", 400)
    assert (got.average_cost, got.mark_price, got.market_value) == (Decimal("53.975"), Decimal("49.4"), 19760)
    assert (got.unrealized_pnl, got.realized_pnl, got.currency) == (Decimal("-1830.0"), Decimal("12.5"), "USD")


@pytest.mark.parametrize("sign", [1, -1])
def test_a_short_position_is_negative_whatever_sign_the_wire_gives_it(sign: int) -> None:
    got = only(positionSide=1, qty=Decimal(3) * sign, val=Decimal("148.2") * sign)
    assert (got.qty, got.market_value) == (-3, Decimal("-148.2"))


def test_diluted_cost_is_never_taken_for_average_cost() -> None:
    assert only(averageCostPrice=None).average_cost is None
    future = only(averageCostPrice=None, code="HSI2609", secMarket=1, trdMarket=5, val=Decimal("0.0"))
    assert (future.asset_class, future.average_cost, future.market_value) == (
        AssetClass.FUTURE, Decimal("51.5"), None,
    )  # fmt: skip


def test_missing_optional_numbers_are_unknown_and_not_zero() -> None:
    got = only(unrealizedPL=None, realizedPL=None, averageCostPrice=None, currency=None, trdMarket=None)
    assert (got.unrealized_pnl, got.realized_pnl, got.average_cost, got.currency) == (None, None, None, "USD")


def test_of_a_combination_only_the_legs_are_kept() -> None:
    rows = [position(positionID=str(n), positionType=kind) for n, kind in ((1, 1), (2, 2), (3, 0), (4, None))]
    made = normalize([snapshot(POSITIONS, *rows)])
    assert [got.broker_position_id for got in made.positions] == ["2", "3", "4"]


def test_positions_without_an_id_or_with_the_same_one_stay_apart() -> None:
    rows = [position(positionID="0"), position(positionID="7"), position(positionID="7", code="MSFT")]
    made = normalize([snapshot(POSITIONS, *rows)])
    assert [(got.broker_position_id, got.symbol) for got in made.positions] == [
        ("US.AAPL", "US.AAPL"), ("7", "US.AAPL"), ("7#2", "US.MSFT"),
    ]  # fmt: skip


def test_the_value_of_a_position_tells_the_size_of_its_contract() -> None:
    told = position(code="MIU260828C42500", secMarket=1, qty=Decimal(-2), price=Decimal("1.25"), val=Decimal(-2500))
    assert normalize([snapshot(POSITIONS, told)]).instruments[0].multiplier == 1000
    assert normalize([snapshot(POSITIONS, {**told, "val": Decimal(-2501)})]).instruments[0].multiplier is None


def test_one_unreadable_row_hides_no_other_and_does_not_disappear() -> None:
    made = normalize([snapshot(POSITIONS, position(), position(qty=None), position(code=""))])
    assert len(made.positions) == 1
    [reject] = made.rejects
    assert (reject.reason_code, reject.key, len(reject.payload["rows"])) == ("missing_field", "2026-03-02", 2)


@pytest.mark.parametrize("change", [{"payload": {"rows": None}}, {"generated_at": None}])
def test_a_snapshot_without_rows_or_instant_is_set_aside_whole(change: dict[str, Any]) -> None:
    made = normalize([replace(one, **change) for one in (snapshot(POSITIONS, position()), snapshot(BALANCES, funds()))])
    assert (made.positions, made.balances, len(made.rejects)) == ([], [], 2)


def test_an_empty_snapshot_is_no_position_and_no_error() -> None:
    made = normalize([snapshot(POSITIONS)])
    assert (made.positions, made.rejects) == ([], [])


def test_cash_stands_by_currency_and_totals_only_once() -> None:
    rows = {row.currency: row for row in normalize([snapshot(BALANCES, funds())]).balances}
    assert {currency: row.cash for currency, row in rows.items()} == {"HKD": Decimal("-12.5"), "USD": Decimal("3.24")}
    assert (rows["HKD"].net_liquidation, rows["HKD"].market_value) == (
        Decimal("289932.0404"), Decimal("197003.0448"),
    )  # fmt: skip
    assert (rows["USD"].net_liquidation, rows["USD"].market_value, rows["USD"].account_id) == (None, None, ACC)


def test_totals_in_a_currency_without_cash_get_a_row_of_their_own() -> None:
    rows = {row.currency: row for row in normalize([snapshot(BALANCES, funds(currency=5))]).balances}
    assert (rows["SGD"].cash, rows["SGD"].net_liquidation) == (None, Decimal("289932.0404"))
    assert rows["HKD"].net_liquidation is None


def test_an_account_of_one_currency_may_not_name_it() -> None:
    one = funds(currency=None, cashInfoList=[{"currency": 2, "cash": Decimal(7)}])
    assert [row.currency for row in normalize([snapshot(BALANCES, one)]).balances] == ["USD"]
    bare = funds(currency=None, cashInfoList=None)
    [row] = normalize([snapshot(BALANCES, bare, trdMarket=2)]).balances
    assert (row.currency, row.cash) == ("USD", Decimal("25.18"))
    assert [reject.reason_code for reject in normalize([snapshot(BALANCES, bare)]).rejects] == ["unknown_currency"]


def test_cash_of_an_unknown_currency_is_kept_under_its_number() -> None:
    made = normalize([snapshot(BALANCES, funds(cashInfoList=[{"currency": 77, "cash": Decimal(9)}]))])
    assert {row.currency: row.cash for row in made.balances} == {"HKD": None, "77": 9}
    assert [(drift.field, drift.value) for drift in made.drifts] == [("cashInfoList.currency", "77")]
