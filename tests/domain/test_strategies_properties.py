"""What holds for any orders: nothing lost, nothing twice, nothing mixed, and the input's order does not matter."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apex_pipeline.domain.models import AssetClass, Side
from apex_pipeline.domain.strategies.classify import Classified, StrategyAssignment, classify
from apex_pipeline.domain.strategies.legs import ClassifiableOrder, Contract, Correction, PositionChange
from apex_pipeline.domain.strategies.taxonomy import strategy_ids
from tests.domain.strategy_orders import (
    DAY,
    FAR,
    NEAR,
    START,
    STOCK,
    C,
    P,
    combination,
    correction,
    held,
    number_of,
    option,
    order,
)

PAST = date(2026, 7, 1)
ODD = [
    Contract("US.AAPL 2026-07-01 C 100", "US.AAPL", AssetClass.OPTION, C, Decimal(100), PAST, Decimal(100)),
    Contract("US.AAPL B1", "US.AAPL", AssetClass.BOND),
    Contract("US.AAPL W1", "US.AAPL", AssetClass.WARRANT, multiplier=Decimal(10)),
    Contract("US.AAPL ???", "US.AAPL", AssetClass.OPTION, C, None, None, Decimal(100)),
]
USUAL = [STOCK, *(option(right, strike, day) for right in (C, P) for strike in (95, 100, 105) for day in (NEAR, FAR))]


def sized(contract: Contract, qty: int) -> int:
    return qty * 100 if contract is STOCK else qty


@st.composite
def flows(draw: st.DrawFn, *, usual: bool = False) -> list[ClassifiableOrder]:
    """Few contracts and little time, so that positions open, close, flip and roll all over each other."""
    contracts = st.sampled_from(USUAL if usual else [*USUAL, *ODD])
    drawn = st.tuples(
        contracts,
        st.integers(-3, 3).filter(bool),
        st.one_of(st.integers(0, 40), st.integers(0, 3000)),
        st.sampled_from([None, None, None, "1", "2"]),
        st.sampled_from([None, None, None, "OPEN", "CLOSE"]),
        st.integers(0, 3),
    )
    rows = draw(st.lists(drawn, max_size=12))
    return [
        order(
            number,
            contract,
            sized(contract, qty),
            seconds,
            combo_id=combo,
            position_effect=effect,
            filled_qty=Decimal(sized(contract, min(filled, abs(qty)))),
        )
        for number, (contract, qty, seconds, combo, effect, filled) in enumerate(rows)
    ]


changes = st.lists(
    st.builds(
        held,
        st.sampled_from(USUAL),
        st.integers(-3, 3).map(lambda qty: qty * 100),
        st.sampled_from([None, None, START + timedelta(seconds=20), START + timedelta(seconds=1500)]),
    ),
    max_size=3,
)


NOTHING = held(STOCK, 0)
"""An opening position of no size: what was held before the first order is known, and it is nothing."""


def by_order(rows: Iterable[StrategyAssignment]) -> Mapping[str, Decimal]:
    found: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        found[row.order_uid] += row.qty_in_strategy
    return found


def by_strategy(rows: Iterable[StrategyAssignment]) -> Mapping[str, Sequence[StrategyAssignment]]:
    found: defaultdict[str, list[StrategyAssignment]] = defaultdict(list)
    for row in rows:
        found[row.strategy_uid].append(row)
    return found


def net(orders: Iterable[ClassifiableOrder], moves: Iterable[PositionChange], ended: set[str]) -> dict[str, Decimal]:
    """What is held by symbol after all of them; contracts that may have expired on the way are left out."""
    found: defaultdict[str, Decimal] = defaultdict(Decimal)
    for item in orders:
        for contract, qty in item.changes(item.filled_qty):
            found[contract.symbol] += qty
    for move in moves:
        found[move.contract.symbol] += move.qty
    return {symbol: qty for symbol, qty in found.items() if qty and symbol not in ended}


def positions(result: Classified, ended: set[str]) -> dict[str, Decimal]:
    found: defaultdict[str, Decimal] = defaultdict(Decimal)
    for item in result.positions:
        found[item.symbol] += item.qty
    return {symbol: qty for symbol, qty in found.items() if qty and symbol not in ended}


SAME_INSTANT = [order(1, option(C, 100), 1, 0), order(2, option(C, 100), -1, 8), order(3, option(C, 95, FAR), 1, 8)]
"""A roll whose two orders have the same time: the shortest flow that tells whether the input's order matters."""


@settings(max_examples=200, deadline=None)
@example(SAME_INSTANT, [], Random(1))
@example(SAME_INSTANT, [], Random(2))
@example(SAME_INSTANT, [], Random(3))
@given(flows(), changes, st.randoms(use_true_random=False))
def test_shuffling_the_input_and_running_again_change_nothing(
    orders: list[ClassifiableOrder], moves: list[PositionChange], random: Random
) -> None:
    expected = classify(orders, moves)
    assert classify(orders, moves) == expected
    shuffled, moved = list(orders), list(moves)
    random.shuffle(shuffled)
    random.shuffle(moved)
    assert classify(shuffled, moved) == expected


@settings(max_examples=200, deadline=None)
@given(flows(), changes)
def test_every_filled_order_is_divided_over_its_strategies_with_exactly_its_quantity(
    orders: list[ClassifiableOrder], moves: list[PositionChange]
) -> None:
    rows = classify(orders, moves).assignments
    assert by_order(rows) == {item.order_uid: item.filled_qty for item in orders if item.filled}
    assert len({(row.order_uid, row.strategy_uid) for row in rows}) == len(rows)
    assert all(row.qty_in_strategy > 0 for row in rows)


@settings(max_examples=200, deadline=None)
@given(flows(), changes)
def test_names_are_of_the_catalogue_and_confidences_are_probabilities(
    orders: list[ClassifiableOrder], moves: list[PositionChange]
) -> None:
    rows = classify(orders, moves).assignments
    for row in rows:
        assert row.strategy_type in strategy_ids()
        assert row.resulting_type is None or row.resulting_type in strategy_ids()
        assert row.action in {"OPEN", "CLOSE", "ROLL", "ADJUST"}
        assert 0 <= row.confidence <= 1
        assert row.confidence.as_tuple().exponent == -3
        assert all(0 <= Decimal(other["confidence"]) <= 1 for other in row.alternatives)
    for members in by_strategy(rows).values():
        told = {(row.strategy_type, row.action, row.confidence, row.chain_uid, row.sub_type) for row in members}
        assert len(told) == 1


@settings(max_examples=200, deadline=None)
@given(flows(), changes)
def test_a_chain_is_named_after_a_strategy_that_is_there(
    orders: list[ClassifiableOrder], moves: list[PositionChange]
) -> None:
    result = classify(orders, moves)
    known = {row.strategy_uid for row in result.assignments} | {None}
    assert {row.chain_uid for row in result.assignments} <= known
    assert {item.strategy_uid for item in result.positions} <= known
    assert {item.chain_uid for item in result.positions} <= known
    assert all(row.chain_uid == row.strategy_uid for row in result.assignments if row.action == "OPEN")


@settings(max_examples=200, deadline=None)
@given(flows(), changes)
def test_positions_by_strategy_add_up_to_all_orders_and_changes(
    orders: list[ClassifiableOrder], moves: list[PositionChange]
) -> None:
    """That the history begins with nothing held is told here: a close of something unseen leaves no position."""
    some = [item if item.position_effect != "CLOSE" else replace(item, position_effect=None) for item in orders]
    ended = {ODD[0].symbol}
    known = [*moves, NOTHING]
    if some:
        assert positions(classify(some, known), ended) == net(some, known, ended)


@settings(max_examples=100, deadline=None)
@given(flows(), flows())
def test_accounts_and_underlyings_do_not_know_of_each_other(
    mine: list[ClassifiableOrder], others: list[ClassifiableOrder]
) -> None:
    yours = [replace(item, account_id="U2", order_uid=item.order_uid.replace("U1", "U2")) for item in others]
    together = classify([*mine, *yours])
    apart = [*classify(mine).assignments, *classify(yours).assignments]
    assert together.assignments == sorted(apart, key=lambda row: (row.order_uid, row.strategy_uid))
    for members in by_strategy(together.assignments).values():
        assert len({row.account_id for row in members}) == 1
        assert len({row.underlying for row in members}) == 1


@settings(max_examples=150, deadline=None)
@given(flows(), flows(usual=True))
def test_orders_of_a_later_day_change_nothing_earlier(
    early: list[ClassifiableOrder], late: list[ClassifiableOrder]
) -> None:
    next_day = [
        replace(
            item,
            order_uid=item.order_uid + "9999",
            at=item.at + timedelta(seconds=DAY) if item.at else None,
            trade_date=item.trade_date + timedelta(days=1),
            combo_id=None if item.combo_id is None else item.combo_id + "late",
        )
        for item in late
    ]
    known = {item.order_uid for item in early}
    rows = [row for row in classify([*early, *next_day]).assignments if row.order_uid in known]
    assert rows == classify(early).assignments


@settings(max_examples=150, deadline=None)
@given(flows(usual=True), st.data())
def test_a_correction_always_holds_whatever_surrounds_it(orders: list[ClassifiableOrder], data: st.DataObject) -> None:
    filled = [item for item in orders if item.filled]
    if not filled:
        return
    picked = data.draw(st.sets(st.sampled_from([number_of(item.order_uid) for item in filled]), min_size=1, max_size=4))
    wanted = data.draw(st.sampled_from(["IRON_CONDOR", "LONG_CALL", "CUSTOM_MULTI_LEG", "COVERED_CALL"]))
    action = data.draw(st.sampled_from(["OPEN", "CLOSE", "ROLL"]))
    said = correction(picked, wanted, action)
    result = classify(orders, [NOTHING], [said])
    rows = [row for row in result.assignments if row.order_uid in said.order_uids]
    assert {(row.strategy_type, row.action, row.method, row.confidence) for row in rows} == {
        (wanted, action, "manual", Decimal(1))
    }
    assert {row.order_uid for row in by_strategy(result.assignments)[rows[0].strategy_uid]} == said.order_uids
    assert by_order(result.assignments) == {item.order_uid: item.filled_qty for item in filled}


@settings(max_examples=100, deadline=None)
@given(flows(), st.permutations([0, 1, 2]))
def test_the_order_in_which_corrections_are_given_does_not_matter(
    orders: list[ClassifiableOrder], places: list[int]
) -> None:
    said = [correction([0, 1], "IRON_CONDOR"), correction([2], "LONG_CALL"), correction([3, 4], "COLLAR")]
    assert classify(orders, corrections=[said[place] for place in places]) == classify(orders, corrections=said)


def test_two_corrections_that_claim_one_order_are_settled_the_same_way_in_any_order() -> None:
    orders = [order(1, option(C, 100), 1, 0), order(2, option(C, 105), -1, 1)]
    said = [correction([1, 2], "CUSTOM_MULTI_LEG"), correction([1], "LONG_CALL")]
    assert classify(orders, corrections=said) == classify(orders, corrections=reversed(said))


quantities = st.sampled_from([None, Decimal(0), Decimal(1), Decimal("0.5"), Decimal(1000000)])


@st.composite
def unusual(draw: st.DrawFn) -> ClassifiableOrder:
    """An order with anything missing that a broker may leave out, or said in an unusual way."""
    number, contract = draw(st.integers(0, 10_000)), draw(st.sampled_from([*USUAL, *ODD, option(C, 101, lot=10)]))
    made = order(number, contract, 1, 0)
    if draw(st.booleans()):
        made = combination(number, {STOCK: 100, option(C, 105): -1}, 0)
    at = draw(st.sampled_from([None, 0, 0, 1, 30]))
    return replace(
        made,
        qty=draw(quantities),
        filled_qty=draw(quantities),
        side=draw(st.sampled_from([Side.BUY, Side.SELL, None])),
        at=None if at is None else START + timedelta(seconds=at),
        position_effect=draw(st.sampled_from([None, "OPEN", "CLOSE", "C;O", ""])),
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(unusual(), max_size=8, unique_by=lambda item: item.order_uid))
def test_whatever_a_broker_leaves_out_is_no_reason_to_fail(orders: list[ClassifiableOrder]) -> None:
    rows = classify(orders).assignments
    told = {item.order_uid for item in orders if item.filled and (item.side is not None or item.legs)}
    assert told <= {row.order_uid for row in rows} <= {item.order_uid for item in orders if item.filled}


def test_a_filled_order_of_unknown_side_has_a_row() -> None:
    rows = classify([order(1, option(C, 100), 1, 0, side=None)]).assignments
    assert [(row.strategy_type, row.qty_in_strategy) for row in rows] == [("UNCLASSIFIED", Decimal(1))]


@pytest.mark.parametrize("lot", [1, 5000])
def test_orders_that_nothing_links_are_still_named_with_small_and_large_lots(lot: int) -> None:
    orders = [order(1, option(C, 100, lot=lot), 3, 0), order(2, option(C, 105, lot=lot), -3, 1)]
    result = classify(orders)
    assert {row.strategy_type for row in result.assignments} == {"BULL_CALL_SPREAD"}
    assert positions(result, set()) == net(orders, (), set())


def test_these_properties_can_fail() -> None:
    """The control: a row lost and a position off by one are noticed."""
    orders = [order(1, STOCK, 100, 0), order(2, option(C, 105), -1, 2)]
    result = classify(orders)
    assert by_order(result.assignments[1:]) != {item.order_uid: item.filled_qty for item in orders}
    assert positions(result, set()) != net([*orders, order(3, STOCK, 1, 9)], (), set())


def test_a_multiplier_that_one_row_does_not_know_leaves_the_quantity_as_it_was() -> None:
    call = option(C, 100)
    rows = classify([order(1, call, 1, 0), order(2, call, 3, 900, multiplier=None)]).assignments
    assert by_order(rows) == {"IB_U1_1": Decimal(1), "IB_U1_2": Decimal(3)}


def test_an_adjusted_contract_beside_usual_ones_does_not_make_the_order_of_the_input_matter() -> None:
    orders = [order(1, STOCK, 100, 0), order(2, option(C, 95), 1, 900), order(3, option(C, 101, lot=10), 1, 1800)]
    assert classify(orders) == classify(orders[::-1])


def test_a_leg_closed_beside_a_roll_is_not_carried_over_by_it() -> None:
    opened = [order(1, option(C, 105), -2, 0, combo_id="a"), order(2, option(P, 95), -1, 0, combo_id="a")]
    rolled = [order(12, option(P, 95), 1, DAY + 10), order(13, option(P, 90), -1, DAY + 12)]
    orders = [*opened, order(11, option(C, 105), 1, DAY), *rolled]
    assert positions(classify(orders), set()) == net(orders, (), set())


def pinned(result: Classified, said: Correction) -> set[str]:
    return {row.method for row in result.assignments if row.order_uid in said.order_uids}


def test_a_correction_with_an_order_that_is_not_there_does_nothing() -> None:
    orders = [order(1, option(C, 100), 1, 0)]
    said = correction([1, 2], "BULL_CALL_SPREAD")
    assert pinned(classify(orders, corrections=[said]), said) == {"single"}
