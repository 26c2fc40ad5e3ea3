"""Orders in time against what is held: traps of real accounts, what brokers declare, and what a person says."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from apex_pipeline.domain.models import AssetClass, Side
from apex_pipeline.domain.strategies.classify import classify
from apex_pipeline.domain.strategies.legs import Contract
from tests.domain.strategy_orders import (
    CONDOR,
    DAY,
    FAR,
    HOUR,
    START,
    STOCK,
    VERTICAL,
    C,
    Legs,
    P,
    answer,
    combination,
    correction,
    groups,
    held,
    number_of,
    opposite,
    option,
    order,
    rows_of,
    spread,
)

SHIFTED: Legs = {option(P, 95): 1, option(P, 100): -1, option(C, 115): -1, option(C, 120): 1}
"""A condor that buys the very put which CONDOR sells."""


# Traps of real accounts


def test_a_vertical_whose_second_leg_was_rejected_keeps_the_intended_type_only_where_it_was_declared() -> None:
    bought, sold = spread(1, VERTICAL, 0)
    rejected = replace(sold, filled_qty=Decimal(0))
    assert groups(rows_of([bought, rejected])) == [("LONG_CALL", "OPEN", (1,))]
    declared = [replace(item, combo_id="7") for item in (bought, rejected)]
    assert groups(rows_of(declared)) == [("BULL_CALL_SPREAD", "OPEN", (1,))]


def test_a_contract_bought_and_sold_in_the_same_minute_is_opened_and_closed() -> None:
    rows = rows_of([order(1, option(C, 100), 1, 0), order(2, option(C, 100), -1, 30)])
    assert groups(rows) == [("LONG_CALL", "OPEN", (1,)), ("LONG_CALL", "CLOSE", (2,))]


def test_a_contract_entered_again_is_no_roll() -> None:
    orders = [
        order(1, option(C, 100), 1, 0),
        order(2, option(C, 100), -1, HOUR),
        order(3, option(C, 100), 1, HOUR + 20),
    ]
    assert groups(rows_of(orders)) == [
        ("LONG_CALL", "OPEN", (1,)),
        ("LONG_CALL", "CLOSE", (2,)),
        ("LONG_CALL", "OPEN", (3,)),
    ]


def test_a_spread_opened_and_closed_within_a_minute_is_both() -> None:
    for gap in (5, 30, 55):
        rows = rows_of([*spread(1, VERTICAL, 0), *spread(11, opposite(VERTICAL), gap)])
        assert groups(rows) == [("BULL_CALL_SPREAD", "OPEN", (1, 2)), ("BULL_CALL_SPREAD", "CLOSE", (11, 12))]


def test_two_identical_condors_seconds_apart_are_two_groups_and_less_certain_than_one() -> None:
    rows = rows_of([*spread(1, CONDOR, 0), *spread(11, CONDOR, 6)])
    assert groups(rows) == [("IRON_CONDOR", "OPEN", (1, 2, 3, 4)), ("IRON_CONDOR", "OPEN", (11, 12, 13, 14))]
    assert max(row.confidence for row in rows) < rows_of(spread(1, CONDOR, 0))[0].confidence


def test_the_other_way_to_divide_two_identical_condors_is_reported() -> None:
    rows = rows_of([*spread(1, CONDOR, 0), *spread(11, CONDOR, 6)])
    assert all(row.alternatives for row in rows if row.confidence < Decimal("0.9"))


def test_two_different_condors_sent_through_each_other_are_told_apart() -> None:
    other = {option(P, 80): 2, option(P, 85): -2, option(C, 115): -2, option(C, 120): 2}
    rows = rows_of([*spread(1, CONDOR, 0, gap=2), *spread(11, other, 1, gap=2)])
    assert groups(rows) == [("IRON_CONDOR", "OPEN", (1, 2, 3, 4)), ("IRON_CONDOR", "OPEN", (11, 12, 13, 14))]


def test_the_same_spread_opened_twice_on_one_day_is_two_groups_and_one_order_per_leg_closes_both() -> None:
    opened = [*spread(1, VERTICAL, 0), *spread(11, VERTICAL, 2 * HOUR)]
    result = classify([*opened, *spread(21, opposite(VERTICAL, 2), 4 * HOUR)])
    assert groups(result.assignments) == [
        ("BULL_CALL_SPREAD", "OPEN", (1, 2)),
        ("BULL_CALL_SPREAD", "OPEN", (11, 12)),
        ("BULL_CALL_SPREAD", "CLOSE", (21, 22)),
    ]
    assert result.positions == []


def test_of_two_equal_spreads_the_older_is_closed_first() -> None:
    opened = [*spread(1, VERTICAL, 0), *spread(11, VERTICAL, 2 * HOUR)]
    rows = rows_of([*opened, *spread(21, opposite(VERTICAL), 4 * HOUR), *spread(31, opposite(VERTICAL), 6 * HOUR)])
    chains = {number_of(row.order_uid): row.chain_uid for row in rows}
    assert (chains[21], chains[31]) == (chains[1], chains[11])
    assert chains[1] != chains[11]


def test_legs_that_expire_on_the_day_they_were_opened_are_gone_the_day_after() -> None:
    today = {option(C, 100, START.date()): 1, option(C, 105, START.date()): -1}
    assert groups(rows_of([*spread(1, today, 0), *spread(11, opposite(today), HOUR)]))[1][1] == "CLOSE"
    assert [item.symbol for item in classify([*spread(1, today, 0), order(9, STOCK, 1, DAY)]).positions] == ["US.AAPL"]


def test_a_contract_traded_after_its_expiry_closes_nothing_and_fails_nothing() -> None:
    past = option(C, 100, date(2026, 7, 1))
    rows = rows_of([order(1, past, 1, 0), order(2, past, -1, HOUR)])
    assert [(row.action, row.qty_in_strategy) for row in rows] == [("OPEN", 1), ("OPEN", 1)]


def test_a_put_assigned_at_the_weekend_leaves_stock_that_covers_calls() -> None:
    put, saturday = option(P, 95), START + timedelta(days=5)
    moves = [held(put, 2, saturday), held(STOCK, 200, saturday)]
    orders = [
        order(1, put, -2, 0),
        order(2, option(C, 105, FAR), -1, 7 * DAY),
        order(3, option(C, 105, FAR), -1, 8 * DAY),
    ]
    result = classify([*orders, order(4, option(C, 110, FAR), -1, 9 * DAY)], moves)
    told = [row.strategy_type for row in result.assignments]
    assert told == ["SHORT_PUT", "COVERED_CALL", "COVERED_CALL", "SHORT_CALL"]
    assert put.symbol not in {item.symbol for item in result.positions}


def test_stock_called_away_is_no_longer_there_to_cover() -> None:
    call, at = option(C, 105), START + timedelta(days=2)
    orders = [order(1, STOCK, 100, 0), order(2, call, -1, HOUR), order(3, option(C, 110, FAR), -1, 3 * DAY)]
    rows = rows_of(orders, held(call, 1, at), held(STOCK, -100, at))
    assert [row.strategy_type for row in rows] == ["LONG_STOCK", "COVERED_CALL", "SHORT_CALL"]


@pytest.mark.parametrize("month", [1, 7])
def test_summer_time_and_the_lunch_break_of_hong_kong_move_nothing(month: int) -> None:
    """Instants are UTC; 12:00 and 13:00 of Hong Kong are an hour apart in both halves of the year."""
    before = datetime(2026, month, 13, 3, 59, 50, tzinfo=UTC)
    legs = spread(1, {option(C, 400, lot=100): 1, option(C, 410, lot=100): -1}, 0)
    day = before.date()
    near = [replace(item, at=before + timedelta(seconds=place), trade_date=day) for place, item in enumerate(legs)]
    apart = [replace(item, at=before + timedelta(hours=place), trade_date=day) for place, item in enumerate(legs)]
    assert {row.strategy_type for row in rows_of(near)} == {"BULL_CALL_SPREAD"}
    assert {row.strategy_type for row in rows_of(apart)} == {"LONG_CALL", "SHORT_CALL"}


# Closes and rolls of parts


def test_a_condor_taken_out_side_by_side_names_the_sides() -> None:
    calls = {option(C, 105): 1, option(C, 110): -1}
    puts = {option(P, 90): -1, option(P, 95): 1}
    rows = rows_of([*spread(1, CONDOR, 0), *spread(11, calls, DAY), *spread(21, puts, 2 * DAY)])
    assert groups(rows)[1:] == [("BEAR_CALL_SPREAD", "CLOSE", (11, 12)), ("BULL_PUT_SPREAD", "CLOSE", (21, 22))]
    assert [row.sub_type for row in rows if number_of(row.order_uid) in (11, 21)] == ["LEG_OUT", "CLOSE_FULL"]
    assert len({row.chain_uid for row in rows}) == 1


def test_rolling_the_near_leg_of_a_calendar_leaves_a_calendar() -> None:
    calendar = {option(C, 100): -1, option(C, 100, FAR): 1}
    middle = option(C, 100, date(2026, 8, 28))
    orders = [*spread(1, calendar, 0), order(11, option(C, 100), 1, DAY), order(12, middle, -1, DAY + 2)]
    closing = spread(21, {middle: 1, option(C, 100, FAR): -1}, 2 * DAY)
    rows = rows_of([*orders, *closing])
    assert groups(rows)[1:] == [("ROLL", "ROLL", (11, 12)), ("LONG_CALL_CALENDAR", "CLOSE", (21, 22))]
    assert {(row.sub_type, row.resulting_type) for row in rows if row.action == "ROLL"} == {
        ("ROLL_OUT", "LONG_CALL_CALENDAR")
    }


def test_rolling_one_leg_of_a_condor_leaves_what_its_legs_are_afterwards() -> None:
    orders = [*spread(1, CONDOR, 0), order(11, option(C, 105), 1, DAY), order(12, option(C, 107), -1, DAY + 2)]
    result = classify(orders)
    assert groups(result.assignments)[1] == ("ROLL", "ROLL", (11, 12))
    assert {(item.strategy_type, len(result.positions)) for item in result.positions} == {
        ("BROKEN_WING_IRON_CONDOR", 4)
    }


def test_rolling_one_side_of_a_condor_leaves_a_condor_in_the_same_chain() -> None:
    moved = {option(P, 90): -1, option(P, 95): 1, option(P, 94): 1, option(P, 99): -1}
    after = {option(P, 94): -1, option(P, 99): 1, option(C, 105): 1, option(C, 110): -1}
    rows = rows_of([*spread(1, CONDOR, 0), *spread(11, moved, DAY), *spread(21, after, 2 * DAY)])
    assert groups(rows)[1:] == [("ROLL", "ROLL", (11, 12, 13, 14)), ("IRON_CONDOR", "CLOSE", (21, 22, 23, 24))]
    assert len({row.chain_uid for row in rows}) == 1


def test_a_close_after_a_cold_start_takes_its_name_from_the_positions_that_were_there() -> None:
    before = [held(contract, 2 * qty) for contract, qty in CONDOR.items()]
    result = classify(spread(1, opposite(CONDOR), 0), before)
    assert groups(result.assignments) == [("IRON_CONDOR", "CLOSE", (1, 2, 3, 4))]
    assert {(item.strategy_type, abs(item.qty)) for item in result.positions} == {("IRON_CONDOR", Decimal(1))}
    known = rows_of([*spread(1, CONDOR, 0), *spread(11, opposite(CONDOR), DAY)])
    assert result.assignments[0].confidence < known[-1].confidence


def test_a_group_and_its_rival_of_the_same_orders_are_not_more_than_certain_together() -> None:
    sold = {option(C, 95): -1, option(C, 100): 2, option(C, 105): -1}
    for row in rows_of(spread(1, sold, 0)):
        assert row.confidence + max(Decimal(other["confidence"]) for other in row.alternatives) <= 1


# Strategies that share a contract on opposite sides


def test_declared_condors_that_share_a_strike_are_closed_as_condors() -> None:
    opened = [*spread(1, CONDOR, 0, combo_id="a"), *spread(11, SHIFTED, DAY, combo_id="b")]
    closed = [
        *spread(21, opposite(CONDOR), 2 * DAY, combo_id="c"),
        *spread(31, opposite(SHIFTED), 3 * DAY, combo_id="d"),
    ]
    assert [found[:2] for found in groups(rows_of([*opened, *closed]))] == [
        ("IRON_CONDOR", "OPEN"),
        ("IRON_CONDOR", "OPEN"),
        ("IRON_CONDOR", "CLOSE"),
        ("IRON_CONDOR", "CLOSE"),
    ]


def test_a_condor_beside_another_that_it_shares_a_strike_with_is_a_condor() -> None:
    rows = rows_of([*spread(1, CONDOR, 0), *spread(11, SHIFTED, DAY)])
    assert groups(rows)[1] == ("IRON_CONDOR", "OPEN", (11, 12, 13, 14))


def test_a_second_vertical_that_begins_where_the_first_ends_is_at_least_a_rival_of_the_roll() -> None:
    second = {option(C, 105): 1, option(C, 110): -1}
    rows = [
        row for row in rows_of([*spread(1, VERTICAL, 0), *spread(11, second, DAY)]) if number_of(row.order_uid) > 10
    ]
    assert all(
        row.action == "OPEN" or any(Decimal(other["confidence"]) > Decimal("0.1") for other in row.alternatives)
        for row in rows
    )


# What brokers declare


def test_a_futu_combination_is_one_order_and_half_of_it_is_closed_by_one_order() -> None:
    legs = {option(P, 90): 1, option(P, 95): -1, option(C, 105): -1, option(C, 110): 1}
    opened = combination(1, legs, 0, qty=2, declared_strategy="IRON_CONDOR")
    closed = combination(2, opposite(legs), DAY, Side.SELL, qty=1)
    result = classify([opened, closed])
    told = [(row.strategy_type, row.action, row.qty_in_strategy) for row in result.assignments]
    assert told == [("IRON_CONDOR", "OPEN", 2), ("IRON_CONDOR", "CLOSE", 1)]
    assert {item.symbol: item.qty for item in result.positions} == {leg.symbol: qty for leg, qty in legs.items()}


def test_legs_of_one_combo_id_join_over_minutes_while_others_trade_between_them() -> None:
    others = [order(21, STOCK, 100, 100), order(22, option(C, 120), 1, 250)]
    rows = rows_of([*spread(1, CONDOR, 0, gap=180, combo_id="a"), *others])
    assert groups(rows)[0] == ("IRON_CONDOR", "OPEN", (1, 2, 3, 4))
    assert {row.method for row in rows if number_of(row.order_uid) < 10} == {"linked"}


def test_a_combination_over_two_underlyings_keeps_the_brokers_link_in_its_evidence() -> None:
    other = Contract("US.MSFT", "US.MSFT", AssetClass.STOCK)
    rows = rows_of([order(1, STOCK, 100, 0, combo_id="p"), order(2, other, -100, 1, combo_id="p")])
    assert [row.strategy_type for row in rows] == ["LONG_STOCK", "SHORT_STOCK"]
    assert {row.evidence["combo_id"] for row in rows} == {"p"}


def test_one_order_over_two_underlyings_is_one_custom_combination() -> None:
    other = Contract("US.MSFT", "US.MSFT", AssetClass.STOCK)
    assert answer(combination(1, {STOCK: 100, other: -100}, 0)) == [("CUSTOM_MULTI_LEG", "OPEN", "linked")]


# What a person says


@pytest.mark.xfail(strict=True, reason="a correction over two underlyings is ignored without a word")
def test_a_pair_that_a_person_declares_is_a_pair() -> None:
    other = Contract("US.MSFT", "US.MSFT", AssetClass.STOCK)
    orders = [order(1, STOCK, 100, 0), order(2, other, -100, 1)]
    result = classify(orders, corrections=[correction([1, 2], "PAIR_TRADE")])
    assert groups(result.assignments) == [("PAIR_TRADE", "OPEN", (1, 2))]


def test_a_person_divides_what_the_engine_joined_and_joins_what_it_divided() -> None:
    divided = [correction([1], "LONG_CALL"), correction([2], "SHORT_CALL")]
    assert groups(classify(spread(1, VERTICAL, 0), corrections=divided).assignments) == [
        ("LONG_CALL", "OPEN", (1,)),
        ("SHORT_CALL", "OPEN", (2,)),
    ]
    joined = classify(spread(1, VERTICAL, 0, gap=3 * DAY), corrections=[correction([1, 2], "BULL_CALL_SPREAD")])
    assert groups(joined.assignments) == [("BULL_CALL_SPREAD", "OPEN", (1, 2))]


def test_what_a_person_named_is_closed_under_that_name() -> None:
    orders = [*spread(1, VERTICAL, 0), *spread(11, opposite(VERTICAL), DAY)]
    rows = classify(orders, corrections=[correction([1, 2], "CUSTOM_MULTI_LEG")]).assignments
    assert groups(rows)[1] == ("CUSTOM_MULTI_LEG", "CLOSE", (11, 12))


def test_a_persons_word_stands_above_the_brokers() -> None:
    result = classify(spread(1, VERTICAL, 0, combo_id="7"), corrections=[correction([1], "LONG_CALL")])
    assert groups(result.assignments)[0] == ("LONG_CALL", "OPEN", (1,))
    assert result.assignments[0].confidence == 1


def test_beside_what_a_person_said_nothing_else_is_probable() -> None:
    result = classify(spread(1, VERTICAL, 0), corrections=[correction([1, 2], "CUSTOM_MULTI_LEG")])
    assert all(Decimal(other["confidence"]) == 0 for row in result.assignments for other in row.alternatives)
