"""Shares for shares, and maybe money: the broker's own gain says what of the cost went with the money."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.ledger import Action, BasisSource, PositionMovement
from apex_pipeline.domain.lots import Matched, match
from tests.domain.lot_rows import OTHER, STOCK, closed, corporate, lot_of, move_of, movement, num, on, still_open


def bought(way: int = 1) -> list[PositionMovement]:
    """150 shares in two lots, at a cost of 4651.5."""
    return [movement("a", 100 * way, 30, fees=1), movement("b", 50 * way, 33, minute=1, fees="0.5")]


def exchange(units: str | int, money: str | int, gain: str | int, *, held: int = 150) -> list[PositionMovement]:
    """All shares for `units` others and money, of which the broker counts `gain` as gained."""
    out = replace(corporate("out", -held, Action.MERGER, money=money), broker_cost=num(money) - num(gain))
    into = replace(corporate("in", units, Action.MERGER, instrument=OTHER), broker_cost=num(0))
    return [out, into]


def cost_of(matched: Matched) -> Decimal:
    """What all open lots cost."""
    costs = [lot.remaining_cost for lot in matched.lots if lot.remaining_qty]
    return sum((cost for cost in costs if cost is not None), num(0))


@pytest.mark.parametrize(
    ("money", "gain", "cost"),
    [
        (0, 0, "4651.5"),  # the cost is carried on
        (300, 300, "4651.5"),  # the money is all gain
        (300, 120, "4471.5"),  # a part of it is
        (300, "-50", "4301.5"),
        (0, 1348, "5999.5"),  # counted as sold and bought
    ],
)
def test_the_new_shares_cost_what_the_gain_leaves(money: int, gain: int | str, cost: str) -> None:
    matched = match([*bought(), *exchange(75, money, gain)])
    assert matched.stops == []
    assert sum(piece.realized_pnl or 0 for piece in matched.realized) == num(gain)
    assert cost_of(matched) == num(cost)
    assert {lot.symbol: lot.remaining_qty for lot in matched.lots if lot.lot_uid == "a>in"} == {f"US.{OTHER}": 50}
    assert (lot_of(matched, "a>in").opened_on, lot_of(matched, "a>in").basis_source) == (on(0), BasisSource.TRADES)


def test_what_is_recognized_closes_no_unit_and_proves_nothing() -> None:
    matched = match([*bought(), *exchange(75, 300, 120)])
    piece = closed(matched, "out:a")
    assert (piece.qty, piece.realized_pnl, piece.cost_basis, piece.carried_pnl) == (0, 80, 120, 80)
    assert (piece.instrument_id, piece.basis_source) == (STOCK, BasisSource.BROKER_CLOSE)
    assert move_of(matched, "in:a").cost_basis == num(3001) - 120
    assert (lot_of(matched, "a").remaining_qty, lot_of(matched, "a").closed_on) == (0, on(1))


def test_short_shares_are_exchanged_as_well() -> None:
    out = replace(corporate("out", 150, Action.MERGER, money=-300), broker_cost=num(-240))
    into = replace(corporate("in", -75, Action.MERGER, instrument=OTHER), broker_cost=num(0))
    matched = match([*bought(-1), out, into])
    assert sum(piece.realized_pnl or 0 for piece in matched.realized) == -60
    assert cost_of(matched) == num("-4648.5") + 240


def test_lots_of_unknown_cost_stay_unknown() -> None:
    rows = [replace(one, price=None) for one in bought()]
    matched = match([*rows, *exchange(75, 300, 120)])
    lot = lot_of(matched, "a>in")
    assert (lot.cost_basis, lot.basis_source) == (None, BasisSource.UNKNOWN)
    assert sum(piece.realized_pnl or 0 for piece in matched.realized) == 120


def test_money_without_a_gain_stops() -> None:
    """The broker writes 0 where it does not know, and what of the money were cost nobody could tell."""
    [stop, _] = match([*bought(), *exchange(75, 300, 0)]).stops
    assert stop.reason_code == "MERGER_WITHOUT_GAIN"


def test_shares_that_become_worthless_are_closed_for_nothing() -> None:
    row = replace(corporate("m", -150, Action.MERGER, money=0), broker_cost=num("4651.5"))
    matched = match([*bought(), row])
    assert closed(matched, "m:a").realized_pnl == -3001
    assert closed(matched, "m:a").basis_source is BasisSource.TRADES
    [stop] = match([*bought(), replace(row, broker_cost=num(0))]).stops
    assert stop.reason_code == "MERGER_WITHOUT_MONEY"


def test_a_merger_of_lots_of_unknown_cost_gains_what_the_broker_says() -> None:
    rows = [replace(one, price=None) for one in bought()]
    row = replace(corporate("m", -150, Action.MERGER, money=6000), broker_cost=num(4000))
    matched = match([*rows, row])
    assert sum(piece.realized_pnl or 0 for piece in matched.realized) == 2000
    assert {piece.basis_source for piece in matched.realized} == {BasisSource.BROKER_CLOSE}
    untold = match([*rows, replace(row, broker_cost=num(6000))])
    assert {piece.realized_pnl for piece in untold.realized} == {None}


@given(
    qtys=st.lists(st.integers(1, 900), min_size=1, max_size=6),
    units=st.decimals("0.1", 5000, places=4),
    money=st.decimals(1, 9000, places=2),
    gain=st.decimals("-4000", 4000, places=6).filter(bool),
)
def test_no_cost_is_lost_and_a_restart_in_between_is_the_same(
    qtys: list[int], units: Decimal, money: Decimal, gain: Decimal
) -> None:
    rows = [movement(f"b{number}", qty, 7, minute=number, fees="0.35") for number, qty in enumerate(qtys)]
    out, into = exchange(1, 0, 0, held=sum(qtys))
    out, into = replace(out, money=money, broker_cost=money - gain), replace(into, qty=units)
    sale = movement("s", 1, 9, day=3, instrument=OTHER)
    sale = replace(sale, qty=-(units / 3).quantize(Decimal("0.0001")))
    whole = match([*rows, out, into, sale])
    first = match([*rows, out, into])
    cost = sum(7 * qty for qty in qtys) + Decimal("0.35") * len(qtys)
    assert sum(piece.realized_pnl or 0 for piece in first.realized) == gain
    assert cost_of(first) == cost - (money - gain)
    again = match([sale], held=still_open(first))
    key = {piece.realized_uid: piece for piece in whole.realized if piece.close_trade_uid == "s"}
    assert {piece.realized_uid: piece for piece in again.realized} == key
