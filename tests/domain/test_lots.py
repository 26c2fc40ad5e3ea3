"""Lots of plain trades, with every expected number made by hand from the formulas."""

from decimal import Decimal

import pytest

from apex_pipeline.domain.ledger import BasisSource, Direction, LotMethod, MovementKind, Place
from apex_pipeline.domain.lots import match
from tests.domain.lot_rows import STOCK, at, closed, ended, lot_of, movement, num, on, opening, option, still_open


def test_the_first_lot_in_is_the_first_one_out_and_fees_are_shared_by_units() -> None:
    matched = match(
        [
            movement("a", 100, 10, fees=1),
            movement("b", 50, 12, minute=1, fees="0.5"),
            movement("s", -120, 15, day=1, fees="1.2"),
        ]
    )
    first, second = closed(matched, "s:a"), closed(matched, "s:b")
    assert (first.qty, first.open_fees, first.close_fees) == (100, 1, 1)
    assert (first.cost_basis, first.realized_pnl) == (1001, 498)
    assert (second.qty, second.open_fees, second.close_fees) == (20, num("0.2"), num("0.2"))
    assert (second.cost_basis, second.realized_pnl) == (num("240.2"), num("59.6"))
    lot = lot_of(matched, "b")
    assert (lot.qty, lot.cost_basis, lot.remaining_qty, lot.remaining_cost) == (50, num("600.5"), 30, num("360.3"))
    assert lot.closed_on is None


def test_a_closed_lot_and_its_piece_say_when_and_by_what() -> None:
    matched = match([movement("a", 100, 10), movement("s", -100, 11, day=2, minute=3)])
    lot, piece = lot_of(matched, "a"), closed(matched, "s:a")
    assert (lot.opened_on, lot.started_on, lot.opened_at) == (on(0), on(0), at(0, 0))
    assert (lot.closed_on, lot.closed_at, lot.remaining_qty, lot.remaining_cost) == (on(2), at(2, 3), 0, 0)
    assert (lot.origin, lot.open_trade_uid, lot.method) == (MovementKind.TRADE, "a", LotMethod.FIFO)
    assert (piece.lot_uid, piece.open_trade_uid, piece.close_trade_uid) == ("a", "a", "s")
    assert (piece.direction, piece.kind, piece.opened_on, piece.closed_on) == (
        Direction.LONG, MovementKind.TRADE, on(0), on(2),
    )  # fmt: skip
    assert (piece.basis_source, piece.method, piece.fx_rate_to_base) == (BasisSource.TRADES, LotMethod.FIFO, None)


def test_what_exceeds_the_lots_opens_the_other_way() -> None:
    matched = match([movement("a", 100, 10, fees=1), movement("s", -150, 11, day=1, fees="1.5")])
    assert closed(matched, "s:a").realized_pnl == 98  # 100 - 1 - 1.5 x 100/150
    lot = lot_of(matched, "s")
    assert (lot.qty, lot.fees, lot.cost_basis) == (-50, num("0.5"), num("-549.5"))
    assert (lot.remaining_qty, lot.remaining_cost) == (-50, num("-549.5"))


@pytest.mark.parametrize("effect", ["OPEN", "CLOSE_OPEN", None])
def test_positions_are_netted_whatever_a_broker_calls_it(effect: str | None) -> None:
    matched = match([movement("a", 100, 10), movement("s", -150, 11, day=1, effect=effect)])
    assert closed(matched, "s:a").qty == 100
    assert lot_of(matched, "s").qty == -50


def test_a_short_gains_when_it_is_bought_back_for_less() -> None:
    matched = match([option("a", -10, 20, fees=1), option("b", 4, 18, day=1, fees="0.4")])
    piece, lot = closed(matched, "b:a"), lot_of(matched, "a")
    assert (piece.direction, piece.qty, piece.multiplier) == (Direction.SHORT, 4, 100)
    assert (piece.cost_basis, piece.realized_pnl) == (num("-7999.6"), num("799.2"))
    assert (lot.remaining_qty, lot.remaining_cost) == (-6, num("-11999.4"))


def test_fractions_share_a_fee_to_its_last_digit() -> None:
    matched = match(
        [movement("a", "0.3", 100, fees="0.01")]
        + [movement(f"s{n}", "-0.1", 110, day=1, minute=n, fees="0.001") for n in (1, 2, 3)]
    )
    fees = [piece.open_fees for piece in matched.realized]
    assert fees == [num("0.0033333333"), num("0.0033333334"), num("0.0033333333")]
    gains = [piece.realized_pnl for piece in matched.realized]
    assert gains == [num("0.9956666667"), num("0.9956666666"), num("0.9956666667")]


def test_an_option_that_expires_keeps_its_premium() -> None:
    matched = match([option("p", -2, "1.5", fees=2), ended("x", 2, MovementKind.EXPIRATION, link=None)])
    piece = closed(matched, "x:p")
    assert (piece.kind, piece.close_price, piece.close_fees, piece.realized_pnl) == (MovementKind.EXPIRATION, 0, 0, 298)


def test_a_fee_that_is_not_known_counts_nothing_and_stays_unknown() -> None:
    matched = match([movement("a", 100, 10, fees=None), movement("s", -40, 11, day=1, fees=None)])
    piece, lot = closed(matched, "s:a"), lot_of(matched, "a")
    assert (piece.open_fees, piece.close_fees, piece.realized_pnl) == (None, None, 40)
    assert (lot.fees, lot.cost_basis, lot.remaining_cost) == (None, 1000, 600)
    assert lot_of(match([movement("a", 9, 1), movement("s", -10, 1, day=1, fees=None)]), "s").fees is None


def test_an_opening_without_a_price_has_an_unknown_basis() -> None:
    matched = match([opening("o", 100, None, fees=None), movement("s", -40, 11, fees=1)])
    piece, lot = closed(matched, "s:o"), lot_of(matched, "o")
    assert (piece.open_price, piece.cost_basis, piece.realized_pnl) == (None, None, None)
    assert (piece.close_price, piece.close_fees, piece.basis_source) == (11, 1, BasisSource.UNKNOWN)
    assert (lot.remaining_qty, lot.cost_basis, lot.remaining_cost) == (60, None, None)


@pytest.mark.parametrize("source", [BasisSource.PERSON, BasisSource.BROKER_LOT, BasisSource.BROKER_CLOSED_LOT])
def test_an_opening_says_where_its_basis_is_known_from(source: BasisSource) -> None:
    matched = match([opening("o", 100, 9, fees="-0.25", source=source), movement("s", -40, 11)])
    piece, lot = closed(matched, "s:o"), lot_of(matched, "o")
    assert (lot.basis_source, lot.open_trade_uid, lot.cost_basis) == (source, None, num("899.75"))
    assert (piece.basis_source, piece.open_fees, piece.realized_pnl) == (source, num("-0.1"), num("80.1"))


def test_lots_of_one_instant_are_ordered_by_place_then_sequence_then_uid() -> None:
    same = [
        movement("c", 1, 13),
        movement("b", 1, 12),
        movement("z", 1, 10, place=Place.OPENING, kind=MovementKind.OPENING),
    ]
    matched = match([*same, movement("s", -3, 20, day=1)])
    assert [piece.lot_uid for piece in matched.realized] == ["z", "b", "c"]


def test_a_correction_of_the_ticker_does_not_part_a_lot_from_its_closing() -> None:
    matched = match([movement("a", 10, 5, symbol="US.OLD"), movement("s", -10, 6, day=1, symbol="US.NEW")])
    assert (lot_of(matched, "a").symbol, closed(matched, "s:a").symbol) == ("US.OLD", "US.NEW")


def test_instruments_do_not_close_each_other() -> None:
    matched = match([movement("a", 10, 5), movement("s", -10, 6, day=1, instrument="4815")])
    assert not matched.realized
    assert {lot.lot_uid: lot.remaining_qty for lot in matched.lots} == {"a": 10, "s": -10}


def test_a_row_without_quantity_changes_nothing() -> None:
    assert match([movement("a", 0, 5, fees=1)]).lots == []


def test_a_closing_without_lots_takes_the_basis_that_the_broker_states() -> None:
    piece = closed(match([movement("s", -10, 20, fees=1, effect="CLOSE", broker_cost=150)]), "s:?")
    assert (piece.lot_uid, piece.open_trade_uid, piece.opened_at, piece.opened_on) == (None, None, None, None)
    assert (piece.qty, piece.open_price, piece.open_fees, piece.cost_basis) == (10, 15, 0, 150)
    assert (piece.realized_pnl, piece.basis_source, piece.direction) == (49, BasisSource.BROKER_CLOSE, Direction.LONG)


def test_the_basis_of_a_short_that_is_closed_without_a_lot_is_what_it_brought() -> None:
    piece = closed(match([movement("b", 10, 5, effect="CLOSE", broker_cost=-80)]), "b:?")
    assert (piece.direction, piece.open_price, piece.cost_basis, piece.realized_pnl) == (Direction.SHORT, 8, -80, 30)


def test_a_basis_that_is_no_round_price_is_kept_exactly() -> None:
    piece = closed(match([movement("s", -3, 40, effect="CLOSE", broker_cost=100)]), "s:?")
    assert (piece.open_price, piece.open_fees) == (num("33.3333333333"), num("0.0000000001"))
    assert (piece.cost_basis, piece.realized_pnl) == (100, 20)


def test_of_a_closing_that_is_partly_known_the_broker_tells_the_rest() -> None:
    matched = match(
        [movement("a", 4, 10, fees="0.4"), movement("s", -10, 20, day=1, fees=1, effect="CLOSE", broker_cost="140.4")]
    )
    assert closed(matched, "s:a").realized_pnl == num("39.2")  # 40 - 0.4 - 0.4
    rest = closed(matched, "s:?")
    assert (rest.qty, rest.cost_basis, rest.close_fees) == (6, 100, num("0.6"))
    assert (rest.open_price, rest.open_fees) == (num("16.6666666667"), num("-0.0000000002"))
    assert rest.realized_pnl == num("19.4")
    assert [lot.remaining_qty for lot in matched.lots] == [0]


def test_a_closing_of_which_nobody_states_a_basis_is_unknown() -> None:
    piece = closed(match([movement("s", -10, 20, fees=1, effect="CLOSE")]), "s:?")
    assert (piece.open_price, piece.cost_basis, piece.realized_pnl) == (None, None, None)
    assert (piece.basis_source, piece.close_price) == (BasisSource.UNKNOWN, 20)


def test_units_of_an_unknown_basis_share_what_the_broker_states() -> None:
    rows = [
        opening("o", 4, None),
        movement("b", 6, 10, fees=1),
        movement("s", -20, 20, effect="CLOSE", broker_cost=201),
    ]
    matched = match(rows)
    first, known, rest = closed(matched, "s:o"), closed(matched, "s:b"), closed(matched, "s:?")
    assert (first.cost_basis, known.cost_basis, rest.cost_basis) == (40, 61, 100)
    assert (first.basis_source, known.basis_source, rest.basis_source) == (
        BasisSource.BROKER_CLOSE, BasisSource.TRADES, BasisSource.BROKER_CLOSE,
    )  # fmt: skip
    assert (first.lot_uid, first.open_trade_uid, first.realized_pnl) == ("o", None, 40)
    assert (lot_of(matched, "o").cost_basis, lot_of(matched, "o").basis_source) == (None, BasisSource.UNKNOWN)


def test_a_part_of_what_the_broker_states_is_of_nobody() -> None:
    # Where a closing opens the other way, its cost is of both.
    matched = match([opening("o", 4, None), movement("s", -10, 20, broker_cost=150)])
    assert (closed(matched, "s:o").realized_pnl, closed(matched, "s:o").basis_source) == (None, BasisSource.UNKNOWN)


@pytest.mark.parametrize(("effect", "basis"), [("CLOSE", Decimal(0)), (None, None)])
def test_a_basis_of_nothing_counts_only_where_the_broker_knows_the_effect(
    effect: str | None, basis: Decimal | None
) -> None:
    end = movement(
        "x", -1, 0, effect=effect, broker_cost=0, kind=MovementKind.EXPIRATION, place=Place.OPTION_END, multiplier=100
    )
    piece = closed(match([end]), "x:?")
    assert piece.cost_basis == basis


def test_a_closing_never_opens_a_lot_even_on_the_side_that_is_held() -> None:
    matched = match([movement("a", 10, 5), movement("b", 3, 6, day=1, effect="CLOSE")])
    assert closed(matched, "b:?").direction is Direction.SHORT
    assert [(lot.lot_uid, lot.remaining_qty) for lot in matched.lots] == [("a", 10)]


def test_matching_goes_on_inside_a_lot_where_it_had_stopped() -> None:
    rows = [
        movement("a", "0.3", 100, fees="0.01"),
        movement("s1", "-0.1", 110, day=1),
        movement("s2", "-0.1", 110, day=2),
    ]
    before = match(rows[:2])
    [lot] = still_open(before)
    assert lot.taken == num("0.1")
    after = match(rows[2:], held=[lot])
    assert closed(after, "s2:a").open_fees == num("0.0033333334")
    assert lot_of(after, "a") == lot_of(match(rows), "a")
    assert lot_of(after, "a").instrument_id == STOCK


def test_a_held_lot_that_a_later_run_had_closed_is_open_again() -> None:
    done = match([movement("a", 10, 5), movement("s", -10, 6, day=2)])
    again = match([], held=[still_open(match([movement("a", 10, 5)]))[0]])
    assert lot_of(done, "a").closed_on == on(2)
    assert (lot_of(again, "a").closed_on, lot_of(again, "a").remaining_qty) == (None, 10)
