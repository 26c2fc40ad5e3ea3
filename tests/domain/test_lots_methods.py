"""The methods that an account may choose beside first in, first out."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.ledger import BasisSource, LotMethod, LotSelection
from apex_pipeline.domain.lots import Matched, match
from tests.domain.lot_rows import closed, lot_of, movement, num, on, opening


def average(_day: date) -> LotMethod:
    return LotMethod.AVERAGE


def specific(rows: Sequence[tuple[str, int, int]], chosen: Mapping[str, int]) -> Matched:
    """Buys and one sale 's', of which `chosen` names the lots."""
    movements = [movement(uid, qty, price, minute=n) for n, (uid, qty, price) in enumerate(rows)]
    selections = {"s": [LotSelection("s", uid, num(qty)) for uid, qty in chosen.items()]}
    return match(movements, method=lambda _: LotMethod.SPECIFIC, selections=selections)


def test_at_the_average_every_unit_costs_the_same() -> None:
    rows = [movement("a", 10, 10, fees=1), movement("b", 10, 20, minute=1, fees=3), movement("s", -15, 30, day=1)]
    matched = match(rows, method=average)
    first, second = closed(matched, "s:a"), closed(matched, "s:b")
    assert (first.open_price, first.open_fees, first.cost_basis, first.realized_pnl) == (15, 2, 152, 148)
    assert (second.qty, second.cost_basis, second.realized_pnl) == (5, 76, 74)
    lot = lot_of(matched, "b")
    assert (lot.cost_basis, lot.remaining_qty, lot.remaining_cost) == (203, 5, 76)
    assert (lot.method, first.method) == (LotMethod.AVERAGE, LotMethod.AVERAGE)


def test_a_later_purchase_moves_the_average() -> None:
    rows = [
        movement("a", 10, 10),
        movement("b", 10, 20, minute=1),
        movement("s", -15, 30, day=1),
        movement("c", 5, 25, day=2),
        movement("t", -10, 30, day=3),
    ]
    matched = match(rows, method=average)
    assert [closed(matched, uid).cost_basis for uid in ("t:b", "t:c")] == [100, 100]  # (75 + 125) / 10 each


def test_an_average_that_is_no_round_number_is_kept_exactly() -> None:
    rows = [movement("a", 1, 10), movement("b", 2, 11, minute=1), movement("s", -1, 12, day=1)]
    piece = closed(match(rows, method=average), "s:a")
    assert (piece.cost_basis, piece.open_price) == (num("10.6666666667"), num("10.6666666667"))
    lot = lot_of(match(rows, method=average), "b")
    assert lot.remaining_cost == num("21.3333333333")


def test_one_unknown_lot_makes_the_average_unknown_until_the_position_is_flat() -> None:
    rows = [
        opening("o", 10, None),
        movement("a", 10, 20),
        movement("s", -10, 30, day=1),
        movement("t", -10, 30, day=2),
        movement("b", 10, 20, day=3),
        movement("u", -10, 30, day=4),
    ]
    matched = match(rows, method=average)
    assert [piece.realized_pnl for piece in matched.realized] == [None, None, 100]
    assert closed(matched, "t:a").basis_source is BasisSource.UNKNOWN


def test_the_method_is_that_of_the_day_of_the_closing() -> None:
    def from_day_two(day: date) -> LotMethod:
        return LotMethod.AVERAGE if day >= on(2) else LotMethod.FIFO

    rows = [
        movement("a", 10, 10),
        movement("b", 10, 20, minute=1),
        movement("s", -5, 30, day=1),
        movement("t", -5, 30, day=2),
    ]
    matched = match(rows, method=from_day_two)
    assert closed(matched, "s:a").cost_basis == 50
    assert closed(matched, "t:a").cost_basis == num("83.3333333333")  # 250 / 15 x 5


def test_what_is_bought_after_averaging_ended_has_its_own_cost() -> None:
    def on_day_one(day: date) -> LotMethod:
        return LotMethod.AVERAGE if day == on(1) else LotMethod.FIFO

    rows = [
        movement("a", 10, 10),
        movement("b", 10, 20, minute=1),
        movement("s", -5, 30, day=1),
        movement("c", 10, 100, day=2),
        movement("t", -20, 30, day=3),
    ]
    matched = match(rows, method=on_day_one)
    assert [closed(matched, uid).cost_basis for uid in ("s:a", "t:a", "t:b", "t:c")] == [75, 75, 150, 500]


def test_chosen_lots_are_closed_before_the_first() -> None:
    matched = specific([("a", 10, 10), ("b", 10, 20), ("c", 10, 30), ("s", -12, 40)], {"c": 4, "b": 3})
    assert {piece.lot_uid: piece.qty for piece in matched.realized} == {"a": 5, "b": 3, "c": 4}
    assert closed(matched, "s:c").realized_pnl == 40


def test_a_lot_that_is_chosen_and_first_is_one_piece() -> None:
    matched = specific([("a", 10, 10), ("b", 10, 20), ("s", -8, 40)], {"a": 3})
    assert {piece.realized_uid: piece.qty for piece in matched.realized} == {"s:a": 8}


def test_a_choice_of_more_than_there_is_takes_what_there_is() -> None:
    matched = specific([("a", 10, 10), ("b", 10, 20), ("s", -12, 40)], {"b": 50, "nothing": 3})
    assert {piece.lot_uid: piece.qty for piece in matched.realized} == {"b": 10, "a": 2}
    assert {lot.lot_uid: lot.remaining_qty for lot in matched.lots} == {"a": 8, "b": 0}


def test_an_opening_is_chosen_by_its_own_uid() -> None:
    rows = [opening("o", 10, 5, day=-9), opening("p", 10, 6, day=-8), movement("s", -4, 9)]
    selections = {"s": [LotSelection("s", "p", num(4))]}
    matched = match(rows, method=lambda _: LotMethod.SPECIFIC, selections=selections)
    assert [piece.lot_uid for piece in matched.realized] == ["p"]


def test_a_choice_counts_only_where_the_account_chooses() -> None:
    rows = [movement("a", 10, 10), movement("b", 10, 20, minute=1), movement("s", -5, 30, day=1)]
    matched = match(rows, selections={"s": [LotSelection("s", "b", num(5))]})
    assert [piece.lot_uid for piece in matched.realized] == ["a"]


SIZES = st.lists(
    st.tuples(
        st.integers(-500, 500).filter(bool), st.integers(1, 10**6), st.integers(-99, 99), st.sampled_from(LotMethod)
    ),
    min_size=1,
    max_size=25,
)


@given(SIZES)
def test_whatever_methods_follow_each_other_no_cost_is_lost(sizes: list[tuple[int, int, int, LotMethod]]) -> None:
    rows = [
        movement(f"m{n:02}", f"{qty}E-3", f"{price}E-2", day=n, fees=f"{fees}E-2")
        for n, (qty, price, fees, _) in enumerate(sizes)
    ]
    methods = {on(n): one[3] for n, one in enumerate(sizes)}
    matched = match(rows, method=methods.__getitem__)
    paid = sum((row.qty * (row.price or 0) + (row.fees or 0) for row in rows), Decimal(0))
    left = sum((lot.remaining_cost or Decimal(0) for lot in matched.lots), Decimal(0))
    assert sum((piece.realized_pnl or Decimal(0) for piece in matched.realized), Decimal(0)) == left - paid
    assert sum(lot.remaining_qty for lot in matched.lots) == sum(row.qty for row in rows)
