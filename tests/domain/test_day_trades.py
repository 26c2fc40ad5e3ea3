"""What counts as a day trade, by both ways of counting."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.day_trade_rule import Fill, FoundDayTrade, Method, day_trades


def fills(*rows: tuple[str, int]) -> list[Fill]:
    """Fills from (order, signed quantity); their uids are their numbers."""
    return [Fill(str(number), order, Decimal(qty)) for number, (order, qty) in enumerate(rows, 1)]


def counts(held: int, *rows: tuple[str, int]) -> tuple[int, int]:
    """How many by (changes of direction, pairs of orders)."""
    found = day_trades(Decimal(held), fills(*rows))
    changes = sum(1 for one in found if one.method is Method.DIRECTION_CHANGE)
    return changes, len(found) - changes


@pytest.mark.parametrize(
    ("held", "rows", "expected"),
    [
        (0, [("a", 100), ("b", -100)], (1, 1)),
        (0, [("a", -100), ("b", 100)], (1, 1)),
        (0, [("a", 100)], (0, 0)),
        (0, [("a", 50), ("a", 50), ("b", -70), ("b", -30)], (1, 1)),  # fills of two orders
        (0, [("a", 100), ("b", -50), ("c", -50)], (1, 2)),
        (0, [("a", 50), ("b", 50), ("c", -100)], (1, 2)),
        (0, [("a", 100), ("b", -50), ("c", 50), ("d", -100)], (2, 3)),  # d closes the rest of a, and c
        (100, [("a", -100)], (0, 0)),  # held over night
        (100, [("a", -100), ("b", 100)], (0, 0)),  # sold before the purchase
        (100, [("a", 100), ("b", -100)], (1, 1)),  # bought, then sold
        (100, [("a", 50), ("b", -150)], (1, 1)),  # only 50 of them
        (0, [("a", 100), ("b", -200), ("c", 100)], (2, 2)),  # a flip
        (100, [("a", -150), ("b", 50)], (1, 1)),  # the flip opened 50 short
        (-100, [("a", 100), ("b", -100)], (0, 0)),
    ],
)
def test_day_trades_are_counted(held: int, rows: list[tuple[str, int]], expected: tuple[int, int]) -> None:
    assert counts(held, *rows) == expected


def test_the_fills_that_opened_and_closed_are_named_in_their_order() -> None:
    found = day_trades(Decimal(100), fills(("a", 30), ("b", 20), ("c", -10), ("c", -140)))
    assert found == [
        FoundDayTrade(Method.DIRECTION_CHANGE, ("1", "2"), ("3", "4"), Decimal(50)),
        FoundDayTrade(Method.ORDER_PAIR, ("1",), ("3", "4"), Decimal(30)),
        FoundDayTrade(Method.ORDER_PAIR, ("2",), ("4",), Decimal(20)),
    ]


ROWS = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(-5, 5).filter(bool)), max_size=12)


@given(st.integers(-6, 6), ROWS)
def test_both_ways_count_the_same_quantity_and_never_more_than_was_traded(
    held: int, rows: list[tuple[str, int]]
) -> None:
    found = day_trades(Decimal(held), fills(*rows))
    by_method = {method: sum((one.qty for one in found if one.method is method), Decimal(0)) for method in Method}
    bought = sum(qty for _, qty in rows if qty > 0)
    sold = -sum(qty for _, qty in rows if qty < 0)
    assert by_method[Method.ORDER_PAIR] == by_method[Method.DIRECTION_CHANGE] <= min(bought, sold)
    assert all(one.qty > 0 for one in found)


@given(ROWS)
def test_from_flat_to_flat_everything_is_a_day_trade(rows: list[tuple[str, int]]) -> None:
    rest = -sum(qty for _, qty in rows)
    closed = [*rows, ("z", rest)] if rest else rows
    found = day_trades(Decimal(0), fills(*closed))
    traded = sum(one.qty for one in found if one.method is Method.DIRECTION_CHANGE)
    assert traded == sum(qty for _, qty in closed if qty > 0)
