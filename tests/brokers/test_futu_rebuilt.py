"""Orders that only their deals tell, deals of doubtful state, and fees split over deals."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.brokers.futu.normalize import normalize
from apex_pipeline.domain.models import AssetClass, OrderStatus, Side
from apex_pipeline.domain.records import Record
from tests.brokers.futu_rows import ACC, DAY, deal, fee, order

NEAR, FAR = "PEP260918P120000", "PEP261120P120000"


def test_an_order_is_rebuilt_from_its_deals_with_nothing_they_do_not_say() -> None:
    deals = [deal("1", qty=Decimal(1), price=Decimal("10.01")), deal("2", qty=Decimal(2), price=Decimal("10.02"))]
    busted = deal("3", qty=Decimal(5), status=1, day=date(2026, 3, 3))
    [got] = normalize([*deals, busted]).orders
    assert (got.order_uid, got.source, got.status, got.broker_status) == (
        f"FUTU_{ACC}_A1", "futu_deals", OrderStatus.UNKNOWN, None,
    )  # fmt: skip
    assert (got.qty, got.filled_qty, got.avg_price) == (None, 3, Decimal("10.016666666667"))
    assert (got.created_at, got.order_type, got.limit_price, got.trade_date) == (None, None, None, DAY)
    assert (got.symbol, got.side, got.currency, got.multiplier) == ("US.AAPL", Side.BUY, "USD", 1)


def test_the_real_order_replaces_the_rebuilt_one_under_the_same_id() -> None:
    [rebuilt] = normalize([deal("1")]).orders
    [real] = normalize([deal("1"), order()]).orders
    assert (rebuilt.order_uid, rebuilt.source) == (real.order_uid, "futu_deals")
    assert (real.source, real.status, real.qty) == ("futu_orders", OrderStatus.FILLED, 100)


def test_a_deal_that_names_no_order_makes_none() -> None:
    assert normalize([deal("1", order_id=None)]).orders == []


def test_an_order_that_cannot_be_read_is_not_rebuilt_around_its_reject() -> None:
    made = normalize([order(qty="NaN"), deal("1")])
    assert (made.orders, len(made.rejects)) == ([], 1)


def legs(near: str, far: str) -> list[Record]:
    return [
        deal("1", code=NEAR, qty=Decimal(near), price=Decimal("1.2")),
        deal("2", code=FAR, qty=Decimal(far), price=Decimal("3.05"), trdSide=3),
    ]


def test_deals_of_several_instruments_are_a_combination() -> None:
    made = normalize(legs("4", "2"))
    [got] = made.orders
    assert (got.asset_class, got.symbol, got.combo_id, got.underlying) == (
        AssetClass.COMBO, "US.COMBO A1", "A1", "US.PEP",
    )  # fmt: skip
    assert (got.filled_qty, got.avg_price, got.side) == (2, None, None)
    assert got.legs == [
        {"symbol": "US.PEP 2026-09-18 P 120", "side": "BUY", "ratio": 2},
        {"symbol": "US.PEP 2026-11-20 P 120", "side": "SELL", "ratio": 1},
    ]
    assert got.symbol in {instrument.symbol for instrument in made.instruments}


def counted(*records: Record) -> list[bool]:
    return [trade.effective for trade in normalize(records).trades]


@pytest.mark.parametrize("status", [2, 99])
def test_a_doubtful_deal_counts_as_the_order_says(status: int) -> None:
    replaced = [deal("1", qty=Decimal(60), status=status), deal("2", qty=Decimal(100))]
    needed = [deal("1", qty=Decimal(40), status=status), deal("2", qty=Decimal(60))]
    assert counted(order(), *replaced) == [False, True]
    assert counted(order(), *needed) == [True, True]
    # without the order, or where nothing adds up, the status alone decides: changed is a fill, unknown is none
    assert counted(*replaced) == counted(order(fillQty=Decimal(7)), *replaced) == [status == 2, True]


def test_doubtful_deals_of_a_combination_are_weighed_leg_by_leg() -> None:
    wire_legs = [
        {"security": {"market": 11, "code": code}, "side": side, "qtyRatio": Decimal(1)}
        for code, side in ((NEAR, 1), (FAR, 3))
    ]
    combined = order(code="PEP260918P120/261120P120", qty=Decimal(2), fillQty=Decimal(2), comboLegs=wire_legs)
    changed = deal("0", code=NEAR, qty=Decimal(2), status=2)
    assert counted(combined, changed, *legs("2", "2")) == [False, True, True]


def test_a_deal_without_a_known_side_takes_that_of_its_order() -> None:
    made = normalize([order(trdSide=3), deal("1", trdSide=99)])
    assert (made.trades[0].side, made.trades[0].position_effect, made.rejects) == (Side.SELL, "OPEN", [])
    assert [(drift.field, drift.value) for drift in made.drifts] == [("trdSide", "99")]


def parts(*records: Record) -> dict[tuple[str, str], Decimal]:
    return {
        (row.fee_uid.rpartition("A1_")[2], row.trade_uid.rpartition("_")[2]): row.amount
        for row in normalize(records).fee_allocations
    }


def test_a_fee_is_borne_by_the_trades_in_proportion_to_their_amount() -> None:
    deals = [deal("1", qty=Decimal(1), price=Decimal(30)), deal("2", qty=Decimal(2), price=Decimal(5))]
    got = parts(order(), *deals, deal("3", status=1), fee("1.01", ("Commission", "1"), ("ORF", "0.01")))
    assert got == {
        ("1_commission", "1"): Decimal("0.75"), ("1_commission", "2"): Decimal("0.25"),
        ("1_orf", "1"): Decimal("0.01"), ("1_orf", "2"): 0,
    }  # fmt: skip


def test_by_quantity_where_the_size_of_a_contract_is_unknown() -> None:
    hk: dict[str, Any] = {"code": "TCH260828C42500", "secMarket": 1}
    deals = [deal("1", qty=Decimal(3), price=Decimal(1), **hk), deal("2", qty=Decimal(1), price=Decimal(9), **hk)]
    assert parts(*deals, fee("8", ("Commission", "8"))) == {("1_commission", "1"): 6, ("1_commission", "2"): 2}


def test_the_fee_of_a_combination_is_counted_once_and_split_over_its_legs() -> None:
    records = [*legs("1", "1"), fee("4.25", ("Commission", "4.25"))]
    assert parts(*records) == {("1_commission", "1"): Decimal("1.20"), ("1_commission", "2"): Decimal("3.05")}
    assert sum(row.amount for row in normalize(records).fees) == Decimal("4.25")


def test_the_order_in_which_deals_arrive_moves_no_cent() -> None:
    deals = [deal(key, qty=Decimal(1), price=Decimal(1)) for key in "123"]
    charged = fee("0.10", ("Commission", "0.10"))
    assert {tuple(sorted(parts(*some, charged).items())) for some in permutations(deals)} == {
        tuple(sorted(parts(*deals, charged).items()))
    }


MONEY = st.decimals("-500", "5000", places=3)


@given(st.lists(st.tuples(st.integers(1, 900), st.decimals("0", "900", places=3)), min_size=1, max_size=9), MONEY)
def test_what_the_trades_bear_sums_to_the_fee(traded: list[tuple[int, Decimal]], total: Decimal) -> None:
    deals = [deal(str(n), qty=Decimal(qty), price=price) for n, (qty, price) in enumerate(traded)]
    made = normalize([*deals, fee(str(total))])
    assert sum(row.amount for row in made.fee_allocations) == total == sum(row.amount for row in made.fees)
    assert len(made.fee_allocations) == len(deals)


def test_both_half_past_ones_of_the_november_night_are_told_apart_by_their_timestamps() -> None:
    def at(stamp: int | None) -> Any:
        row = order(createTime="2026-11-01 01:30:00", createTimestamp=stamp)
        return normalize([replace(row, business_date=date(2026, 11, 1))]).orders[0].created_at

    first, second = at(1793511000), at(1793514600)
    assert (first.isoformat(), second.isoformat()) == ("2026-11-01T05:30:00+00:00", "2026-11-01T06:30:00+00:00")
    assert at(None) == first  # text alone cannot tell: the first, always
