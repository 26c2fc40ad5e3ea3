"""Options that are assigned and exercised: the premium goes into the shares, as both brokers book it."""

from dataclasses import replace

from apex_pipeline.domain.ledger import Action, BasisSource, MovementKind, PositionMovement
from apex_pipeline.domain.lots import Matched, match
from tests.domain.lot_rows import (
    OPTION,
    OTHER,
    closed,
    corporate,
    delivered,
    ended,
    lot_of,
    movement,
    num,
    option,
)  # fmt: skip

ASSIGNED, EXERCISED = MovementKind.ASSIGNMENT, MovementKind.EXERCISE


def assigned_put(*, puts: int = 1, fees: int = 1) -> list[PositionMovement]:
    """Sold at 2, one assigned at a strike of 50."""
    return [option("p", -puts, 2, fees=fees), ended("x", 1, ASSIGNED), delivered("d", 100, 50, ASSIGNED)]


def test_an_assigned_put_lowers_the_basis_of_the_shares() -> None:
    matched = match([*assigned_put(), movement("s", -100, 52, day=5, fees=1)])
    piece, lot = closed(matched, "x:p"), lot_of(matched, "d")
    assert (piece.realized_pnl, piece.carried_pnl, piece.cost_basis) == (0, -199, -199)
    assert (lot.open_price, lot.carried_pnl, lot.cost_basis, lot.origin) == (50, 199, 4801, ASSIGNED)
    sold = closed(matched, "s:d")
    assert (sold.carried_pnl, sold.cost_basis, sold.realized_pnl) == (199, 4801, 398)


def test_an_assigned_call_raises_the_gain_of_the_shares_it_takes() -> None:
    matched = match(
        [
            movement("a", 100, 48, fees=1),
            option("c", -1, 3, fees=1, minute=1),
            ended("x", 1, ASSIGNED),
            delivered("d", -100, 50, ASSIGNED),
        ]
    )
    piece = closed(matched, "d:a")
    assert (piece.carried_pnl, piece.cost_basis, piece.realized_pnl) == (299, 4801, 498)
    assert closed(matched, "x:c").realized_pnl == 0


def test_an_exercised_call_raises_the_basis_of_the_shares() -> None:
    matched = match([option("c", 1, 2, fees=1), ended("x", -1, EXERCISED), delivered("d", 100, 50, EXERCISED)])
    assert closed(matched, "x:c").carried_pnl == 201
    assert (lot_of(matched, "d").carried_pnl, lot_of(matched, "d").cost_basis) == (-201, 5201)


def test_an_exercised_put_lowers_the_gain_of_the_shares_it_sells() -> None:
    matched = match(
        [
            movement("a", 100, 48),
            option("p", 1, 2, fees=1),
            ended("x", -1, EXERCISED),
            delivered("d", -100, 50, EXERCISED),
        ]
    )
    assert closed(matched, "d:a").realized_pnl == -1  # 200 - 200 - 1


def test_of_a_partly_assigned_position_only_that_part_is_carried() -> None:
    matched = match(assigned_put(puts=3, fees=3))
    assert lot_of(matched, "d").carried_pnl == 199
    rest = lot_of(matched, "p")
    assert (rest.remaining_qty, rest.remaining_cost) == (-2, -398)


def test_shares_that_close_and_open_share_the_premium() -> None:
    matched = match([movement("a", -60, 45), *assigned_put()])
    piece, lot = closed(matched, "d:a"), lot_of(matched, "d")
    assert (piece.carried_pnl, piece.realized_pnl) == (num("119.4"), num("-180.6"))
    assert (lot.qty, lot.carried_pnl, lot.cost_basis) == (40, num("79.6"), num("1920.4"))


def test_several_deliveries_of_one_link_share_the_premium_by_quantity() -> None:
    rows = [
        *assigned_put()[:2],
        delivered("d1", 30, 50, ASSIGNED),
        delivered("d2", 70, 50, ASSIGNED),
    ]
    matched = match(rows)
    assert [lot_of(matched, uid).carried_pnl for uid in ("d1", "d2")] == [num("59.7"), num("139.3")]


def test_several_pieces_of_the_option_are_carried_together() -> None:
    rows = [
        option("p1", -1, 2, fees=1),
        option("p2", -1, 3, minute=1, fees=1),
        ended("x", 2, ASSIGNED),
        delivered("d", 200, 50, ASSIGNED),
    ]
    assert lot_of(match(rows), "d").carried_pnl == 199 + 299


def test_an_option_that_is_settled_in_cash_keeps_its_result() -> None:
    assert closed(match(assigned_put()[:2]), "x:p").realized_pnl == 199


def test_links_of_other_options_are_left_alone() -> None:
    rows = [*assigned_put()[:2], delivered("d", 100, 50, ASSIGNED, link="another")]
    matched = match(rows)
    assert (closed(matched, "x:p").realized_pnl, lot_of(matched, "d").carried_pnl) == (199, 0)


def test_shares_that_a_broker_books_before_the_option_carry_its_premium() -> None:
    rows = assigned_put()[:2]
    early = replace(delivered("d", 100, 50, ASSIGNED), ordered_at=rows[0].ordered_at)
    assert lot_of(match([early, *rows]), "d").carried_pnl == 199


def unknown_premium() -> Matched:
    return match([ended("x", 1, ASSIGNED), delivered("d", 100, 50, ASSIGNED), movement("s", -100, 52, day=5)])


def test_with_an_unknown_premium_the_basis_of_the_shares_is_unknown() -> None:
    matched = unknown_premium()
    lot = lot_of(matched, "d")
    assert (lot.open_price, lot.cost_basis, lot.basis_source) == (None, None, BasisSource.UNKNOWN)
    assert closed(matched, "s:d").realized_pnl is None
    assert closed(matched, "x:?").realized_pnl is None


def test_with_an_unknown_premium_the_gain_of_the_shares_it_takes_is_unknown() -> None:
    rows = [movement("a", 100, 48), ended("x", 1, ASSIGNED), delivered("d", -100, 50, ASSIGNED)]
    piece = closed(match(rows), "d:a")
    assert (piece.cost_basis, piece.realized_pnl, piece.basis_source) == (4800, None, BasisSource.UNKNOWN)


def test_the_premium_may_be_known_from_the_broker_alone() -> None:
    rows = [ended("x", 1, ASSIGNED, broker_cost="-199"), delivered("d", 100, 50, ASSIGNED)]
    matched = match(rows)
    assert (closed(matched, "x:?").realized_pnl, closed(matched, "x:?").carried_pnl) == (0, -199)
    assert lot_of(matched, "d").cost_basis == 4801


def test_where_the_options_ledger_has_stopped_the_premium_is_unknown() -> None:
    stop = corporate("u", 1, Action.UNKNOWN, instrument=OPTION, day=1)
    matched = match([*assigned_put(), stop])
    assert lot_of(matched, "d").cost_basis is None
    assert not matched.realized


def test_shares_of_a_stopped_instrument_keep_their_part_of_the_premium_from_the_others() -> None:
    stop = corporate("u", 1, Action.UNKNOWN)
    others = [replace(delivered(uid, 1, 50, ASSIGNED), instrument_id=OTHER) for uid in ("d2", "d3")]
    matched = match([*assigned_put()[:2], stop, delivered("d1", 1, 50, ASSIGNED), *others])
    carried = [lot_of(matched, uid).carried_pnl for uid in ("d2", "d3")]
    assert carried == [num("66.3333333334"), num("66.3333333333")]


def test_an_end_without_a_multiplier_is_of_the_unit_of_its_lot() -> None:
    rows = [option("p", -1, 2), replace(ended("x", 1, MovementKind.EXPIRATION, link=None), multiplier=None)]
    assert closed(match(rows), "x:p").realized_pnl == 200


def test_an_end_beyond_the_lots_opens_nothing_even_if_no_effect_is_told() -> None:
    end = ended("x", 1, MovementKind.EXPIRATION, link=None)
    matched = match([replace(end, position_effect=None)])
    assert not matched.lots
    assert closed(matched, "x:?").qty == 1
