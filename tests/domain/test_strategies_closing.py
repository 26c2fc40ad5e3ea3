"""What ends, covers and moves: closes keep their name, calls stand on stock, rolls stay in their chain."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from apex_pipeline.domain.strategies.legs import Contract
from tests.domain.strategy_orders import (
    CONDOR,
    DAY,
    FAR,
    HOUR,
    NEAR,
    STOCK,
    VERTICAL,
    C,
    Legs,
    P,
    answer,
    answers,
    groups,
    held,
    number_of,
    opposite,
    option,
    order,
    rows_of,
    spread,
)


def later(legs: Legs) -> Legs:
    """The same contracts of a later expiry."""
    return {
        option(contract.option_right, int(contract.strike), FAR): qty
        for contract, qty in legs.items()
        if contract.option_right is not None and contract.strike is not None
    }


def test_closing_an_iron_condor_is_not_a_reverse_iron_condor() -> None:
    rows = rows_of([*spread(1, CONDOR, 0), *spread(11, opposite(CONDOR), 900)])
    assert groups(rows) == [("IRON_CONDOR", "OPEN", (1, 2, 3, 4)), ("IRON_CONDOR", "CLOSE", (11, 12, 13, 14))]
    assert len({row.chain_uid for row in rows}) == 1
    without_history = rows_of(spread(11, opposite(CONDOR), 900))
    assert {(row.strategy_type, row.action) for row in without_history} == {("REVERSE_IRON_CONDOR", "OPEN")}


def test_the_brokers_own_close_flag_is_believed_without_history() -> None:
    rows = rows_of(spread(1, opposite(CONDOR), 0, position_effect="CLOSE"))
    assert {(row.strategy_type, row.action) for row in rows} == {("IRON_CONDOR", "CLOSE")}
    assert {row.chain_uid for row in rows} == {None}


def test_the_brokers_own_open_flag_is_believed_against_what_is_held() -> None:
    opened = order(1, option(C, 100), 1, 0)
    assert answer(opened, order(2, option(C, 100), -1, HOUR))[1][:2] == ("LONG_CALL", "CLOSE")
    assert answer(opened, order(2, option(C, 100), -1, HOUR, position_effect="OPEN"))[1][:2] == ("SHORT_CALL", "OPEN")


def test_legs_taken_out_one_by_one_have_their_own_names() -> None:
    rows = rows_of([*spread(1, VERTICAL, 0), order(8, option(C, 105), 2, HOUR), order(9, option(C, 100), -2, 2 * HOUR)])
    assert answers(rows)[8] == ("SHORT_CALL", "CLOSE", "single")
    assert answers(rows)[9] == ("LONG_CALL", "CLOSE", "single")
    assert [row.sub_type for row in rows[2:]] == ["LEG_OUT", "CLOSE_FULL"]


def test_two_singles_closed_within_seconds_stay_the_two_singles_they_were() -> None:
    orders = [order(1, option(C, 105), 1, 0), order(2, option(P, 95), 1, HOUR)]
    orders += [order(3, option(C, 105), -1, 3 * HOUR), order(4, option(P, 95), -1, 3 * HOUR + 1)]
    found = answers(rows_of(orders))
    assert (found[3], found[4]) == (("LONG_CALL", "CLOSE", "single"), ("LONG_PUT", "CLOSE", "single"))


def test_a_partial_close_leaves_the_rest_to_be_closed_under_the_same_type() -> None:
    double = {contract: 2 * qty for contract, qty in CONDOR.items()}
    half, rest = spread(11, opposite(CONDOR), DAY), spread(21, opposite(CONDOR), 2 * DAY)
    rows = rows_of([*spread(1, double, 0), *half, *rest])
    assert {row.strategy_type for row in rows} == {"IRON_CONDOR"}
    told = {number_of(row.order_uid): (row.action, row.sub_type) for row in rows}
    assert (told[11], told[21]) == (("CLOSE", "CLOSE_PARTIAL"), ("CLOSE", "CLOSE_FULL"))


def test_condors_that_share_a_strike_are_closed_as_condors_where_the_broker_says_what_opens() -> None:
    shifted = {option(P, 95): 1, option(P, 100): -1, option(C, 115): -1, option(C, 120): 1}
    rows = rows_of(
        [
            *spread(1, CONDOR, 0, combo_id="a"),
            *spread(11, shifted, 600, combo_id="b", position_effect="OPEN"),
            *spread(21, opposite(CONDOR), 1200, combo_id="c"),
            *spread(31, opposite(shifted), 1800, combo_id="d"),
        ]
    )
    assert {row.strategy_type for row in rows} == {"IRON_CONDOR"}
    assert {number_of(row.order_uid) for row in rows if row.action == "CLOSE"} == {21, 22, 23, 24, 31, 32, 33, 34}


def test_a_short_call_on_free_stock_is_covered_and_the_next_one_is_not() -> None:
    orders = [order(1, STOCK, 150, 0), order(2, option(C, 105), -1, HOUR), order(3, option(C, 110), -1, 2 * HOUR)]
    assert answer(*orders) == [
        ("LONG_STOCK", "OPEN", "single"),
        ("COVERED_CALL", "OPEN", "single"),
        ("SHORT_CALL", "OPEN", "single"),
    ]


def test_stock_is_free_again_after_its_covered_call_is_bought_back() -> None:
    orders = [order(1, option(C, 105), -1, 0), order(2, option(C, 105), 1, 60), order(3, option(C, 110), -1, 120)]
    assert answer(*orders, changes=[held(STOCK, 100)]) == [
        ("COVERED_CALL", "OPEN", "single"),
        ("COVERED_CALL", "CLOSE", "single"),
        ("COVERED_CALL", "OPEN", "single"),
    ]


def test_an_expired_covered_call_frees_its_stock_even_without_the_brokers_entry() -> None:
    written = order(1, option(C, 105), -1, 0)
    on_expiry = order(2, option(C, 110, FAR), -1, HOUR, trade_date=NEAR)
    after = replace(on_expiry, trade_date=NEAR + timedelta(days=1))
    assert answer(written, on_expiry, changes=[held(STOCK, 100)])[1][0] == "SHORT_CALL"
    assert answer(written, after, changes=[held(STOCK, 100)])[1][0] == "COVERED_CALL"


def test_an_inherited_short_call_already_stands_on_inherited_stock() -> None:
    before = [held(STOCK, 100), held(option(C, 120), -1)]
    assert answer(order(1, option(C, 105), -1, 0), changes=before) == [("SHORT_CALL", "OPEN", "single")]


def test_stock_and_call_within_seconds_are_a_covered_call_of_two_orders() -> None:
    rows = rows_of([order(1, STOCK, 200, 0), order(2, option(C, 105), -2, 2)])
    assert {(row.strategy_type, row.method) for row in rows} == {("COVERED_CALL", "partition")}
    assert [row.leg_role for row in rows] == ["LONG_STOCK", "SHORT_CALL"]


def test_a_stock_sale_that_reduces_a_holding_closes_long_stock() -> None:
    assert answer(order(1, STOCK, -60, 0), changes=[held(STOCK, 100)]) == [("LONG_STOCK", "CLOSE", "single")]
    assert answer(order(1, STOCK, -60, 0)) == [("SHORT_STOCK", "OPEN", "single")]


def test_an_order_that_flips_a_position_serves_two_strategies_with_its_quantity() -> None:
    rows = rows_of([order(1, STOCK, -150, 0), order(2, STOCK, 50, HOUR)], held(STOCK, 100))
    told = {(number_of(row.order_uid), row.strategy_type, row.action, row.qty_in_strategy) for row in rows}
    assert told == {
        (1, "LONG_STOCK", "CLOSE", Decimal(100)),
        (1, "SHORT_STOCK", "OPEN", Decimal(50)),
        (2, "SHORT_STOCK", "CLOSE", Decimal(50)),
    }
    assert len({row.strategy_uid for row in rows}) == 3


def test_the_opening_half_of_a_flip_may_be_a_leg_of_a_spread() -> None:
    orders = [
        order(1, option(C, 100), -1, 0),
        order(2, option(C, 100), 3, HOUR),
        order(3, option(C, 105), -2, HOUR + 2),
    ]
    assert groups(rows_of(orders))[1:] == [("SHORT_CALL", "CLOSE", (2,)), ("BULL_CALL_SPREAD", "OPEN", (2, 3))]


@pytest.mark.parametrize(
    ("to", "sub_type"),
    [(option(P, 95, FAR), "ROLL_OUT"), (option(P, 90, FAR), "ROLL_DOWN_OUT"), (option(P, 100), "ROLL_UP")],
)
def test_moving_a_short_put_on_is_a_roll_of_its_chain(to: Contract, sub_type: str) -> None:
    put = option(P, 95)
    rows = rows_of([order(1, put, -2, 0), order(2, put, 2, 600), order(3, to, -2, 602), order(4, to, 2, 9000)])
    assert answers(rows) == {
        1: ("SHORT_PUT", "OPEN", "single"),
        2: ("ROLL", "ROLL", "partition"),
        3: ("ROLL", "ROLL", "partition"),
        4: ("SHORT_PUT", "CLOSE", "single"),
    }
    assert {(row.sub_type, row.resulting_type) for row in rows[1:3]} == {(sub_type, "SHORT_PUT")}
    assert [row.leg_role for row in rows[1:3]] == ["CLOSE_SHORT_PUT", "OPEN_SHORT_PUT"]
    assert {row.chain_uid for row in rows} == {rows[0].strategy_uid}


def test_the_same_legs_without_a_position_are_a_calendar() -> None:
    legs = {option(P, 95): 2, option(P, 95, FAR): -2}
    assert answer(*spread(1, legs, 0)) == [("SHORT_PUT_CALENDAR", "OPEN", "partition")] * 2


def test_a_close_and_an_opening_of_unequal_size_are_no_roll() -> None:
    put = option(P, 95)
    orders = [order(1, put, -2, 0), order(2, put, 2, 600), order(3, option(P, 95, FAR), -1, 602)]
    assert {row.method for row in rows_of(orders)} == {"single"}


def test_a_rolled_covered_call_is_still_covered() -> None:
    near, far = option(C, 105), option(C, 110, FAR)
    orders = [order(1, near, -1, 0), order(2, near, 1, 600), order(3, far, -1, 601), order(4, far, 1, 900)]
    found = answers(rows_of([*orders, order(5, option(C, 120), -1, 700)], held(STOCK, 100)))
    assert found[4] == ("COVERED_CALL", "CLOSE", "single")
    assert found[5] == ("SHORT_CALL", "OPEN", "single")


@pytest.mark.parametrize("combo_id", [None, "r"])
@pytest.mark.parametrize("to", [later(VERTICAL), {option(C, 110): 2, option(C, 115): -2}])
def test_a_vertical_rolled_within_seconds_is_one_roll(to: Legs, combo_id: str | None) -> None:
    rolled = spread(11, {**opposite(VERTICAL), **to}, DAY, combo_id=combo_id)
    rows = rows_of([*spread(1, VERTICAL, 0), *rolled, *spread(21, opposite(to), 2 * DAY)])
    assert groups(rows) == [
        ("BULL_CALL_SPREAD", "OPEN", (1, 2)),
        ("ROLL", "ROLL", (11, 12, 13, 14)),
        ("BULL_CALL_SPREAD", "CLOSE", (21, 22)),
    ]
    assert {row.sub_type for row in rows if row.action == "ROLL"} == {"VERTICAL_ROLL"}
    assert len({row.chain_uid for row in rows}) == 1
