"""Corporate actions and transfers: what leaves a lot keeps its cost, and what no rule covers stops the ledger."""

from dataclasses import replace

import pytest

from apex_pipeline.domain.ledger import Action, BasisSource, LotMethod, MovementKind, PositionMovement
from apex_pipeline.domain.lots import match
from tests.domain.lot_rows import (
    OTHER,
    STOCK,
    closed,
    corporate,
    lot_of,
    move_of,
    movement,
    num,
    on,
    option,
    still_open,
    transfer,
)

SPLIT, RENAME, MERGER, UNKNOWN = Action.SPLIT, Action.SYMBOL_CHANGE, Action.MERGER, Action.UNKNOWN
THIRD = "33.33333333"


def bought() -> list[PositionMovement]:
    return [movement("a", 100, 30, fees=1), movement("b", 50, 33, minute=1, fees="0.5")]


def test_a_split_scales_every_lot_and_keeps_its_cost() -> None:
    matched = match([*bought(), corporate("f", 300, SPLIT), movement("s", -400, 12, day=2, fees=0)])
    first, second = lot_of(matched, "a>f"), lot_of(matched, "b>f")
    assert (first.qty, first.open_price, first.fees, first.cost_basis) == (300, 10, 1, 3001)
    assert (second.qty, second.open_price, second.fees, second.cost_basis) == (150, 11, num("0.5"), num("1650.5"))
    assert (first.opened_on, first.started_on, first.open_trade_uid) == (on(0), on(1), "a")
    assert (first.origin, first.basis_source) == (MovementKind.CORPORATE_ACTION, BasisSource.TRADES)
    old, move = lot_of(matched, "a"), move_of(matched, "f:a")
    assert (old.remaining_qty, old.remaining_cost, old.closed_on) == (0, 0, on(1))
    assert (move.to_lot_uid, move.movement_uid, move.qty, move.cost_basis) == ("a>f", "f", 100, 3001)
    assert (closed(matched, "s:a>f").realized_pnl, closed(matched, "s:b>f").qty) == (599, 100)


def test_a_reverse_split_into_fractions_loses_no_cost() -> None:
    rows = [movement("a", 50, 10), movement("b", 50, 10, minute=1), corporate("r", "-66.66666667", SPLIT)]
    matched = match(rows)
    first, second = lot_of(matched, "a>r"), lot_of(matched, "b>r")
    assert (first.qty, second.qty) == (num("16.66666667"), num("16.66666666"))
    assert (first.open_price, second.open_price) == (num("29.999999994"), num("30.000000012"))
    # 16.66666667 x 29.999999994 = 499.99999999999999998: what the price leaves out is carried
    assert first.carried_pnl == num("-0.00000000000000002")
    assert (first.cost_basis, second.cost_basis) == (500, 500)


def test_a_split_of_a_short_scales_it_too() -> None:
    matched = match([movement("a", -100, 30, fees=1), corporate("f", -100, SPLIT)])
    lot = lot_of(matched, "a>f")
    assert (lot.qty, lot.open_price, lot.cost_basis, lot.remaining_cost) == (-200, 15, -2999, -2999)
    assert move_of(matched, "f:a").qty == -100


def test_a_split_scales_what_is_left_of_a_lot() -> None:
    matched = match([movement("a", 100, 30, fees=1), movement("s", -60, 31, day=1), corporate("f", 40, SPLIT, day=2)])
    lot = lot_of(matched, "a>f")
    assert (lot.qty, lot.open_price, lot.fees, lot.cost_basis) == (80, 15, num("0.4"), num("1200.4"))


def test_a_change_of_instrument_moves_lots_into_their_place_among_others() -> None:
    rows = [
        *bought(),
        movement("n", 10, 50, minute=2, instrument=OTHER),
        corporate("out", -150, RENAME),
        corporate("in", 150, RENAME, instrument=OTHER, symbol="US.NEW"),
        movement("s", -155, 40, day=2, instrument=OTHER),
    ]
    matched = match(rows)
    lot = lot_of(matched, "a>in")
    assert (lot.instrument_id, lot.symbol, lot.open_price, lot.cost_basis) == (OTHER, "US.NEW", 30, 3001)
    assert move_of(matched, "in:a").instrument_id == STOCK
    assert [piece.lot_uid for piece in matched.realized] == ["a>in", "b>in", "n"]


def test_a_split_may_change_the_instrument() -> None:
    rows = [*bought(), corporate("out", -150, SPLIT), corporate("in", 15, SPLIT, instrument=OTHER)]
    matched = match(rows)
    assert (lot_of(matched, "a>in").qty, lot_of(matched, "a>in").open_price) == (10, 300)
    assert (lot_of(matched, "b>in").qty, lot_of(matched, "b>in").cost_basis) == (5, num("1650.5"))


def test_a_split_and_its_reversal_come_to_nothing() -> None:
    rows = [*bought(), corporate("f", 300, SPLIT), corporate("back", -300, SPLIT)]
    matched = match(rows)
    assert {lot.lot_uid for lot in matched.lots} == {"a", "b"}
    assert (matched.moves, matched.stops) == ([], [])


def test_a_reversal_on_another_day_brings_the_lots_back() -> None:
    rows = [*bought(), corporate("f", 300, SPLIT), corporate("back", -300, SPLIT, day=2, link="B")]
    lot = lot_of(match(rows), "a>f>back")
    assert (lot.qty, lot.open_price, lot.cost_basis, lot.opened_on) == (100, 30, 3001, on(0))


def test_a_split_of_lots_with_an_unknown_basis_leaves_it_unknown() -> None:
    lot = lot_of(match([transfer("t", 100, day=0), corporate("f", 100, SPLIT)]), "t>f")
    assert (lot.qty, lot.cost_basis, lot.basis_source) == (200, None, BasisSource.UNKNOWN)


def test_a_cash_merger_closes_the_lots_at_its_money() -> None:
    matched = match([*bought(), corporate("m", -150, MERGER, money=6000)])
    piece = closed(matched, "m:a")
    assert (piece.kind, piece.close_price, piece.close_fees) == (MovementKind.CORPORATE_ACTION, 40, 0)
    assert (piece.realized_pnl, closed(matched, "m:b").realized_pnl) == (999, num("349.5"))


def test_the_money_of_a_merger_is_kept_to_the_last_digit() -> None:
    piece = closed(match([movement("a", 3, 30), corporate("m", -3, MERGER, money=100)]), "m:a")
    assert (piece.close_price, piece.close_fees) == (num("33.3333333333"), num("-0.0000000001"))
    assert piece.realized_pnl == 10


def test_a_merger_may_take_a_part_or_a_short() -> None:
    matched = match([*bought(), corporate("m", -100, MERGER, money=4000)])
    assert [lot.remaining_qty for lot in matched.lots] == [0, 50]
    short = closed(match([movement("a", -10, 30), corporate("m", 10, MERGER, money=-250)]), "m:a")
    assert (short.close_price, short.realized_pnl) == (25, 50)


def test_what_a_merger_costs_lowers_its_gain() -> None:
    row = replace(corporate("m", -150, MERGER, money=6000), fees=num(3))
    assert closed(match([*bought(), row]), "m:a").realized_pnl == 997


def test_a_bond_matures_at_the_unit_of_its_lots() -> None:
    rows = [movement("a", 10000, "98.5", multiplier="0.01"), corporate("m", -10000, MERGER, money=10000)]
    piece = closed(match(rows), "m:a")
    assert (piece.close_price, piece.realized_pnl) == (100, 150)


STOPS = {
    "UNKNOWN_WITHOUT_RULE": [corporate("u", 10, UNKNOWN)],
    "MERGER_WITHOUT_GAIN": [corporate("m", -150, MERGER), corporate("n", 75, MERGER, instrument=OTHER)],
    "MERGER_WITHOUT_RULE": [corporate(uid, -1, MERGER, instrument=uid) for uid in ("u", "v", "w")],
    "MERGER_WITHOUT_MONEY": [corporate("m", -150, MERGER, money=None)],
    "SPLIT_WITHOUT_GAIN": [corporate("f", -149, SPLIT, money=12)],
    "SPLIT_OF_MANY": [corporate(uid, 1, SPLIT, instrument=uid) for uid in ("u", "v", "w")],
    "SIDE_WOULD_CHANGE": [corporate("f", -150, SPLIT)],
    "REMOVED_IS_NOT_HELD": [corporate("out", -140, RENAME), corporate("in", 140, RENAME, instrument=OTHER)],
    "NOTHING_HELD": [corporate("f", 10, SPLIT, instrument=OTHER)],
    "LOT_TOO_SMALL": [corporate("f", "-149.99999999", SPLIT)],
    "CURRENCY_CHANGE": [
        corporate("out", -150, RENAME),
        replace(corporate("in", 150, RENAME, instrument=OTHER), currency="EUR"),
    ],
}


@pytest.mark.parametrize(("code", "rows"), STOPS.items())
def test_where_no_rule_covers_an_action_the_ledger_stops(code: str, rows: list[PositionMovement]) -> None:
    touched = {row.instrument_id for row in rows}
    after = [movement(f"after{uid}", -10, 40, day=2, instrument=uid) for uid in touched]
    matched = match([*bought(), *rows, *after])
    assert {stop.reason_code for stop in matched.stops} == {code}
    assert {stop.instrument_id for stop in matched.stops} == touched
    assert (matched.realized, matched.moves) == ([], [])
    assert {lot.lot_uid: lot.remaining_qty for lot in matched.lots} == {"a": 100, "b": 50}


def test_a_merger_of_more_than_is_held_stops() -> None:
    [stop] = match([*bought(), corporate("m", -151, MERGER, money=9)]).stops
    assert (stop.reason_code, stop.stop_uid, stop.business_date) == ("REMOVED_IS_NOT_HELD", "m", on(1))


def test_a_merger_that_takes_money_from_the_holder_stops() -> None:
    [stop] = match([*bought(), corporate("m", -150, MERGER, money=-9)]).stops
    assert stop.reason_code == "MERGER_WITHOUT_MONEY"


def test_lots_do_not_move_to_an_instrument_that_is_held_on_the_other_side() -> None:
    short = movement("n", -10, 50, instrument=OTHER)
    rows = [*bought(), short, corporate("out", -150, RENAME), corporate("in", 150, RENAME, instrument=OTHER)]
    stops = match(rows).stops
    assert [stop.reason_code for stop in stops] == ["OTHER_SIDE_HELD", "OTHER_SIDE_HELD"]


def test_what_is_made_is_named_by_the_first_row_that_goes_the_same_way() -> None:
    rows = [*bought(), corporate("1back", -300, SPLIT), corporate("2f", 300, SPLIT), corporate("3f", 300, SPLIT)]
    assert lot_of(match(rows), "a>2f").qty == 300


def test_an_action_happens_with_the_last_of_its_rows() -> None:
    late = replace(corporate("g", 150, SPLIT), ordered_at=movement("x", 1, 1, day=1, minute=5).ordered_at)
    rows = [*bought(), corporate("f", 150, SPLIT), movement("s", -75, 40, day=1), late]
    matched = match(rows)
    assert closed(matched, "s:a").qty == 75
    assert lot_of(matched, "b>f").qty == 250  # 75 + 300, two thirds of it


def test_rows_that_disagree_on_what_the_action_is_stop() -> None:
    [stop] = match([*bought(), corporate("f", 75, SPLIT), corporate("g", 75, RENAME)]).stops
    assert stop.reason_code == "UNKNOWN_WITHOUT_RULE"


def test_an_action_over_a_stopped_instrument_stops_the_others() -> None:
    rows = [
        *bought(),
        corporate("u", 10, UNKNOWN),
        corporate("out", -150, RENAME, day=3, link="B"),
        corporate("in", 150, RENAME, day=3, link="B", instrument=OTHER),
    ]
    stops = match(rows).stops
    assert [(stop.instrument_id, stop.reason_code) for stop in stops] == [
        (STOCK, "UNKNOWN_WITHOUT_RULE"),
        (OTHER, "STOPPED_BEFORE"),
    ]


def test_an_instrument_that_had_stopped_before_stays_so() -> None:
    [held, other] = still_open(match(bought()))
    matched = match([movement("s", -10, 40, day=4)], held=[held, other], stopped=[STOCK])
    assert matched.realized == []
    assert lot_of(matched, "a").remaining_qty == 100


def test_a_stop_of_one_instrument_leaves_the_others_alone() -> None:
    rows = [*bought(), corporate("u", 10, UNKNOWN, instrument=OTHER), movement("s", -100, 31, day=2)]
    assert closed(match(rows), "s:a").realized_pnl == 99


def test_the_order_of_the_rows_of_an_action_does_not_matter() -> None:
    rows = [*bought(), corporate("out", -150, RENAME), corporate("in", 150, RENAME, instrument=OTHER)]
    assert match(rows) == match(rows[::-1])


def test_what_is_transferred_out_takes_its_cost_along() -> None:
    matched = match([*bought(), transfer("t", -120)])
    assert matched.realized == []
    move = move_of(matched, "t:b")
    assert (move.to_lot_uid, move.qty, move.cost_basis) == (None, 20, num("660.2"))
    assert (lot_of(matched, "a").closed_on, lot_of(matched, "b").remaining_cost) == (on(1), num("990.3"))


def test_what_is_transferred_in_has_an_unknown_basis() -> None:
    lot = lot_of(match([transfer("t", 70)]), "t")
    assert (lot.qty, lot.cost_basis, lot.basis_source, lot.opened_on) == (70, None, BasisSource.UNKNOWN, on(1))
    assert (lot.origin, lot.open_trade_uid) == (MovementKind.TRANSFER, None)


def test_more_than_is_held_that_goes_out_stops_the_ledger_where_the_broker_says_out() -> None:
    matched = match([*bought(), transfer("t", -200, effect="CLOSE"), movement("s", -10, 40, day=2)])
    assert {lot.lot_uid: lot.remaining_qty for lot in matched.lots} == {"a": 100, "b": 50}
    assert (matched.moves, matched.realized) == ([], [])
    [stop] = matched.stops
    assert (stop.reason_code, stop.instrument_id) == ("TRANSFERRED_IS_NOT_HELD", STOCK)
    assert match([transfer("t", -200, effect="CLOSE")]).lots == []
    assert lot_of(match([*bought(), transfer("t", -200)]), "t").remaining_qty == -50


def test_an_option_keeps_its_multiplier_through_a_change_of_instrument() -> None:
    rows = [
        option("a", 2, 5, fees=1),
        corporate("out", -2, RENAME, instrument="700100"),
        corporate("in", 2, RENAME, instrument="700200"),
    ]
    lot = lot_of(match(rows), "a>in")
    assert (lot.multiplier, lot.open_price, lot.cost_basis) == (100, 5, 1001)


def test_an_averaged_position_is_split_at_its_average() -> None:
    rows = [*bought(), movement("s", -75, 40, minute=2), corporate("f", 75, SPLIT)]
    matched = match(rows, method=lambda _: LotMethod.AVERAGE)
    # 4651.5 for 150: 2325.75 for the 75 that are left, of which 25 are lot a's
    assert (lot_of(matched, "a>f").cost_basis, lot_of(matched, "b>f").cost_basis) == (num("775.25"), num("1550.5"))
