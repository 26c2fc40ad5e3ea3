"""What a group of orders is called: linkage, closeness in time, positions held, and never twice."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_pipeline.domain.models import AssetClass, Broker, Instrument, OptionRight, Order, OrderStatus, Side
from apex_pipeline.domain.strategies.classify import CLASSIFIER_VERSION, StrategyAssignment, classify, strategy_uid
from apex_pipeline.domain.strategies.legs import ClassifiableOrder, Contract, OrderLeg, PositionChange, classifiable
from apex_pipeline.domain.strategies.taxonomy import strategy_ids

START = datetime(2026, 7, 13, 14, 0, tzinfo=UTC)
NEAR, FAR = date(2026, 8, 21), date(2026, 9, 18)
STOCK = Contract("US.AAPL", "US.AAPL", AssetClass.STOCK)
C, P = OptionRight.CALL, OptionRight.PUT


def option(right: OptionRight, strike: int, expiry: date = NEAR, lot: int = 100) -> Contract:
    symbol = f"US.AAPL {expiry} {right.value} {strike}"
    return Contract(symbol, "US.AAPL", AssetClass.OPTION, right, Decimal(strike), expiry, Decimal(lot))


def order(number: int, contract: Contract, qty: int, seconds: float, **changes: Any) -> ClassifiableOrder:
    """A filled order; `qty` is signed, `seconds` count from the start of the day."""
    made = ClassifiableOrder(
        order_uid=f"IB_U1_{number}",
        broker=Broker.IB,
        account_id="U1",
        symbol=contract.symbol,
        underlying=contract.underlying,
        asset_class=contract.asset_class,
        option_right=contract.option_right,
        strike=contract.strike,
        expiry=contract.expiry,
        multiplier=contract.multiplier,
        side=Side.BUY if qty > 0 else Side.SELL,
        qty=Decimal(abs(qty)),
        filled_qty=Decimal(abs(qty)),
        at=START + timedelta(seconds=seconds),
        trade_date=START.date(),
    )
    return replace(made, **changes)


def spread(first: int, legs: dict[Contract, int], seconds: float, gap: float = 1, **changes: Any) -> list[Any]:
    """One order per leg, `gap` seconds apart."""
    return [
        order(first + index, contract, qty, seconds + index * gap, **changes)
        for index, (contract, qty) in enumerate(legs.items())
    ]


def opposite(legs: dict[Contract, int]) -> dict[Contract, int]:
    return {contract: -qty for contract, qty in legs.items()}


def held(contract: Contract, qty: int, at: datetime | None = None) -> PositionChange:
    return PositionChange(Broker.IB, "U1", contract, Decimal(qty), at)


def answers(rows: list[StrategyAssignment]) -> dict[str, tuple[str, str, str]]:
    return {row.order_uid.rpartition("_")[2]: (row.strategy_type, row.action, row.method) for row in rows}


def answer(*orders: ClassifiableOrder, changes: tuple[PositionChange, ...] = ()) -> list[tuple[str, str, str]]:
    """Type, action and method per order, in order of uid."""
    return list(answers(classify(orders, changes)).values())


CONDOR = {option(P, 90): 1, option(P, 95): -1, option(C, 105): -1, option(C, 110): 1}
VERTICAL = {option(C, 100): 2, option(C, 105): -2}


def test_legs_within_five_seconds_are_one_strategy_and_a_later_one_is_not() -> None:
    assert answer(*spread(1, VERTICAL, 0, gap=5)) == [("BULL_CALL_SPREAD", "OPEN", "window")] * 2
    assert answer(*spread(1, VERTICAL, 0, gap=5.001)) == [
        ("LONG_CALL", "OPEN", "single"),
        ("SHORT_CALL", "OPEN", "single"),
    ]


def test_the_window_starts_at_the_first_order_and_does_not_roll_on() -> None:
    assert {found[2] for found in answer(*spread(1, CONDOR, 0, gap=1.6))} == {"window"}
    assert answer(*spread(1, CONDOR, 0, gap=2))[3] == ("LONG_CALL", "OPEN", "single")


def test_orders_of_other_accounts_or_underlyings_never_join() -> None:
    first, second = spread(1, VERTICAL, 0)
    other_account = replace(second, account_id="U2", order_uid="IB_U2_2")
    other_stock = replace(second, underlying="US.MSFT", symbol="US.MSFT 2026-08-21 C 105")
    assert {row.method for row in classify([first, other_account])} == {"single"}
    assert {row.method for row in classify([first, other_stock])} == {"single"}


def test_orders_of_unknown_time_never_join() -> None:
    assert {row.method for row in classify([replace(item, at=None) for item in spread(1, VERTICAL, 0)])} == {"single"}


def test_orders_that_form_no_named_shape_stay_alone() -> None:
    legs = {option(C, strike): 1 for strike in (90, 95, 100)}
    assert answer(*spread(1, legs, 0)) == [("LONG_CALL", "OPEN", "single")] * 3


def test_two_orders_of_one_contract_are_not_a_strategy_of_two() -> None:
    rows = classify([order(1, option(C, 100), 1, 0), order(2, option(C, 100), 1, 1)])
    assert len({row.strategy_uid for row in rows}) == 2


def test_a_leg_split_into_two_orders_is_added_up() -> None:
    orders = [order(1, option(C, 100), 2, 0), order(2, option(C, 105), -1, 1), order(3, option(C, 105), -1, 2)]
    assert answer(*orders) == [("BULL_CALL_SPREAD", "OPEN", "window")] * 3


def test_a_declared_combination_joins_legs_that_are_minutes_apart() -> None:
    rows = classify(spread(1, CONDOR, 0, gap=120, combo_id="77"))
    assert {(row.strategy_type, row.method) for row in rows} == {("IRON_CONDOR", "linked")}
    assert {row.confidence for row in rows} == {Decimal("0.950")}
    assert len({row.strategy_uid for row in rows}) == 1


def test_a_stranger_inside_the_window_does_not_disturb_a_declared_combination() -> None:
    orders = [*spread(1, CONDOR, 0, combo_id="77"), order(9, option(C, 120), 1, 2)]
    assert answers(classify(orders))["9"] == ("LONG_CALL", "OPEN", "single")
    assert answers(classify(orders))["1"] == ("IRON_CONDOR", "OPEN", "linked")


def test_a_combination_id_that_one_order_alone_carries_declares_nothing() -> None:
    orders = [replace(item, combo_id=item.order_uid) for item in spread(1, VERTICAL, 0)]
    assert answer(*orders) == [("BULL_CALL_SPREAD", "OPEN", "window")] * 2


def test_a_declared_combination_without_a_name_is_custom() -> None:
    legs = {option(C, 90): 1, option(C, 95): 1, option(P, 95): 2, option(P, 80): 1, option(C, 120): -7}
    rows = classify(spread(1, legs, 0, combo_id="5"))
    assert {(row.strategy_type, row.action, row.method) for row in rows} == {("CUSTOM_MULTI_LEG", "OPEN", "linked")}


def test_a_rejected_leg_does_not_change_what_the_combination_was() -> None:
    first, second = spread(1, VERTICAL, 0, combo_id="5")
    (row,) = classify([first, replace(second, filled_qty=Decimal(0))])
    assert (row.order_uid, row.strategy_type, row.method) == (first.order_uid, "BULL_CALL_SPREAD", "linked")
    assert row.evidence["ordered_but_never_filled"] == [second.order_uid]


def test_partial_fills_do_not_turn_a_vertical_into_a_ratio() -> None:
    first, second = spread(1, {option(C, 100): 3, option(C, 105): -3}, 0)
    rows = classify([first, replace(second, filled_qty=Decimal(2))])
    assert {row.strategy_type for row in rows} == {"BULL_CALL_SPREAD"}
    assert [row.qty_in_strategy for row in rows] == [3, 2]


def combination(number: int, legs: dict[Contract, int], seconds: float, side: Side, qty: int = 2) -> ClassifiableOrder:
    inside = tuple(
        OrderLeg(item, Side.BUY if ratio > 0 else Side.SELL, Decimal(abs(ratio))) for item, ratio in legs.items()
    )
    combo = Contract("US.AAPL260821C100/260821C105", "US.AAPL", AssetClass.COMBO)
    made = order(number, combo, qty, seconds, legs=inside, declared_strategy="SPREAD")
    return replace(made, side=side)


def test_one_order_with_legs_is_linked_and_its_close_keeps_the_type() -> None:
    opened = combination(1, {option(C, 100): 1, option(C, 105): -1}, 0, Side.BUY)
    closed = combination(2, {option(C, 100): -1, option(C, 105): 1}, 900, Side.SELL)
    rows = classify([opened, closed])
    assert answers(rows) == {
        "1": ("BULL_CALL_SPREAD", "OPEN", "linked"),
        "2": ("BULL_CALL_SPREAD", "CLOSE", "linked"),
    }
    assert rows[1].chain_uid == rows[0].strategy_uid
    assert [row.leg_role for row in rows] == ["COMBO", "COMBO"]
    assert rows[0].evidence["declared_strategy"] == "SPREAD"


def test_the_stock_leg_of_a_combination_counts_shares_not_lots() -> None:
    assert answer(combination(1, {STOCK: 100, option(C, 105): -1}, 0, Side.BUY)) == [("COVERED_CALL", "OPEN", "linked")]
    hk = option(C, 105, lot=500)
    assert answer(combination(1, {STOCK: 500, hk: -1}, 0, Side.BUY)) == [("COVERED_CALL", "OPEN", "linked")]
    assert answer(combination(1, {STOCK: 100, hk: -1}, 0, Side.BUY)) == [("CUSTOM_MULTI_LEG", "OPEN", "linked")]


def test_closing_an_iron_condor_is_not_a_reverse_iron_condor() -> None:
    rows = classify([*spread(1, CONDOR, 0), *spread(11, opposite(CONDOR), 900)])
    assert {(row.strategy_type, row.action) for row in rows if int(row.order_uid[6:]) > 10} == {
        ("IRON_CONDOR", "CLOSE")
    }
    assert len({row.chain_uid for row in rows}) == 1
    without_history = classify(spread(11, opposite(CONDOR), 900))
    assert {(row.strategy_type, row.action) for row in without_history} == {("REVERSE_IRON_CONDOR", "OPEN")}


def test_the_brokers_own_close_flag_is_believed_without_history() -> None:
    rows = classify(spread(1, opposite(CONDOR), 0, position_effect="CLOSE"))
    assert {(row.strategy_type, row.action) for row in rows} == {("IRON_CONDOR", "CLOSE")}
    assert {row.chain_uid for row in rows} == {None}


def test_legs_taken_out_one_by_one_have_their_own_names() -> None:
    rows = classify([*spread(1, VERTICAL, 0), order(8, option(C, 105), 2, 600), order(9, option(C, 100), -2, 900)])
    found = answers(rows)
    assert found["8"] == ("SHORT_CALL", "CLOSE", "single")
    assert found["9"] == ("LONG_CALL", "CLOSE", "single")


def test_two_singles_closed_in_one_window_stay_the_two_singles_they_were() -> None:
    orders = [order(1, option(C, 105), 1, 0), order(2, option(P, 95), 1, 600)]
    orders += [order(3, option(C, 105), -1, 900), order(4, option(P, 95), -1, 901)]
    found = answers(classify(orders))
    assert (found["3"], found["4"]) == (("LONG_CALL", "CLOSE", "single"), ("LONG_PUT", "CLOSE", "single"))


def test_a_partial_close_leaves_the_rest_to_be_closed_under_the_same_type() -> None:
    half = {contract: -qty // 2 for contract, qty in VERTICAL.items()}
    rows = classify([*spread(1, VERTICAL, 0), *spread(11, half, 600), *spread(21, half, 900)])
    assert {row.strategy_type for row in rows} == {"BULL_CALL_SPREAD"}
    assert [row.action for row in rows] == ["OPEN", "CLOSE", "CLOSE", "OPEN", "CLOSE", "CLOSE"]


def test_condors_that_share_a_strike_are_closed_as_condors() -> None:
    shifted = {option(P, 95): 1, option(P, 100): -1, option(C, 115): -1, option(C, 120): 1}
    rows = classify(
        [
            *spread(1, CONDOR, 0, combo_id="a"),
            *spread(11, shifted, 600, combo_id="b", position_effect="OPEN"),
            *spread(21, opposite(CONDOR), 1200, combo_id="c"),
            *spread(31, opposite(shifted), 1800, combo_id="d"),
        ]
    )
    assert {row.strategy_type for row in rows} == {"IRON_CONDOR"}
    assert {row.order_uid for row in rows if row.action == "CLOSE"} == {
        f"IB_U1_{number}" for number in (21, 22, 23, 24, 31, 32, 33, 34)
    }


def test_a_short_call_on_free_stock_is_covered_and_the_next_one_is_not() -> None:
    orders = [order(1, STOCK, 150, 0), order(2, option(C, 105), -1, 600), order(3, option(C, 110), -1, 900)]
    assert answer(*orders) == [
        ("LONG_STOCK", "OPEN", "single"),
        ("COVERED_CALL", "OPEN", "single"),
        ("SHORT_CALL", "OPEN", "single"),
    ]


def test_stock_is_free_again_after_its_covered_call_is_bought_back() -> None:
    orders = [order(1, option(C, 105), -1, 0), order(2, option(C, 105), 1, 60), order(3, option(C, 110), -1, 120)]
    assert answer(*orders, changes=(held(STOCK, 100),)) == [
        ("COVERED_CALL", "OPEN", "single"),
        ("COVERED_CALL", "CLOSE", "single"),
        ("COVERED_CALL", "OPEN", "single"),
    ]


def test_an_expired_covered_call_frees_its_stock_even_without_the_brokers_entry() -> None:
    written = order(1, option(C, 105), -1, 0)
    on_expiry = order(2, option(C, 110, FAR), -1, 600, trade_date=NEAR)
    after = replace(on_expiry, trade_date=NEAR + timedelta(days=1))
    assert answer(written, on_expiry, changes=(held(STOCK, 100),))[1][0] == "SHORT_CALL"
    assert answer(written, after, changes=(held(STOCK, 100),))[1][0] == "COVERED_CALL"


def test_an_inherited_short_call_already_stands_on_inherited_stock() -> None:
    before = (held(STOCK, 100), held(option(C, 120), -1))
    assert answer(order(1, option(C, 105), -1, 0), changes=before) == [("SHORT_CALL", "OPEN", "single")]


def test_stock_from_an_assignment_covers_a_call_afterwards() -> None:
    put = option(P, 95)
    assigned = START + timedelta(days=1)
    changes = (held(put, 1, assigned), held(STOCK, 100, assigned))
    rows = classify([order(1, put, -1, 0), order(2, option(C, 105, FAR), -1, 90_000)], changes)
    assert answers(rows) == {"1": ("SHORT_PUT", "OPEN", "single"), "2": ("COVERED_CALL", "OPEN", "single")}


def test_stock_and_call_within_the_window_are_a_covered_call_of_two_orders() -> None:
    rows = classify([order(1, STOCK, 200, 0), order(2, option(C, 105), -2, 2)])
    assert {(row.strategy_type, row.method) for row in rows} == {("COVERED_CALL", "window")}
    assert [row.leg_role for row in rows] == ["LONG_STOCK", "SHORT_CALL"]


def test_a_stock_sale_that_reduces_a_holding_closes_long_stock() -> None:
    assert answer(order(1, STOCK, -60, 0), changes=(held(STOCK, 100),)) == [("LONG_STOCK", "CLOSE", "single")]
    assert answer(order(1, STOCK, -60, 0)) == [("SHORT_STOCK", "OPEN", "single")]


def test_a_sale_beyond_the_holding_counts_as_its_larger_part_and_says_so() -> None:
    (row,) = classify([order(1, STOCK, -150, 0)], [held(STOCK, 100)])
    assert (row.strategy_type, row.action) == ("LONG_STOCK", "CLOSE")
    assert (row.evidence["closed_qty"], row.evidence["opened_qty"]) == ("100", "50")
    assert row.alternatives == [{"type": "SHORT_STOCK", "confidence": "0.500"}]
    bought_back = classify([order(1, STOCK, -150, 0), order(2, STOCK, 50, 60)], [held(STOCK, 100)])
    assert answers(bought_back)["2"] == ("SHORT_STOCK", "CLOSE", "single")


@pytest.mark.parametrize(
    ("to", "sub_type"),
    [
        (option(P, 95, FAR), "ROLL_OUT"),
        (option(P, 90, FAR), "ROLL_DOWN_OUT"),
        (option(P, 100), "ROLL_UP"),
    ],
)
def test_moving_a_short_put_on_is_a_roll_of_its_chain(to: Contract, sub_type: str) -> None:
    put = option(P, 95)
    rows = classify([order(1, put, -2, 0), order(2, put, 2, 600), order(3, to, -2, 602), order(4, to, 2, 9000)])
    assert answers(rows) == {
        "1": ("SHORT_PUT", "OPEN", "single"),
        "2": ("ROLL", "ROLL", "window"),
        "3": ("ROLL", "ROLL", "window"),
        "4": ("SHORT_PUT", "CLOSE", "single"),
    }
    assert rows[1].evidence["sub_type"] == sub_type
    assert rows[1].evidence["resulting_strategy"] == "SHORT_PUT"
    assert [row.leg_role for row in rows[1:3]] == ["CLOSE_SHORT_PUT", "OPEN_SHORT_PUT"]
    assert {row.chain_uid for row in rows} == {rows[0].strategy_uid}


def test_the_same_legs_without_a_position_are_a_calendar() -> None:
    legs = {option(P, 95): 2, option(P, 95, FAR): -2}
    assert answer(*spread(1, legs, 0)) == [("SHORT_PUT_CALENDAR", "OPEN", "window")] * 2


def test_a_close_and_an_opening_of_unequal_size_are_no_roll() -> None:
    put = option(P, 95)
    orders = [order(1, put, -2, 0), order(2, put, 2, 600), order(3, option(P, 95, FAR), -1, 602)]
    assert {row.method for row in classify(orders)} == {"single"}


def test_a_rolled_covered_call_is_still_covered() -> None:
    near, far = option(C, 105), option(C, 110, FAR)
    orders = [order(1, near, -1, 0), order(2, near, 1, 600), order(3, far, -1, 601), order(4, far, 1, 900)]
    rows = classify([*orders, order(5, option(C, 120), -1, 700)], [held(STOCK, 100)])
    assert answers(rows)["4"] == ("COVERED_CALL", "CLOSE", "single")
    assert answers(rows)["5"] == ("SHORT_CALL", "OPEN", "single")


def test_a_vertical_rolled_as_one_combination_is_one_roll() -> None:
    later = {replace_expiry(contract): qty for contract, qty in VERTICAL.items()}
    rolled = spread(11, opposite(VERTICAL) | later, 600, combo_id="r")
    rows = classify([*spread(1, VERTICAL, 0), *rolled, *spread(21, opposite(later), 900)])
    assert [row.strategy_type for row in rows if row.action == "ROLL"] == ["ROLL"] * 4
    assert {row.strategy_type for row in rows if row.action == "CLOSE"} == {"BULL_CALL_SPREAD"}
    assert len({row.chain_uid for row in rows}) == 1


def replace_expiry(contract: Contract) -> Contract:
    assert contract.option_right is not None
    assert contract.strike is not None
    return option(contract.option_right, int(contract.strike), FAR)


def test_orders_without_fills_have_no_row_and_cancelled_partial_fills_have_one() -> None:
    cancelled = order(1, option(C, 100), 5, 0, filled_qty=Decimal(2))
    rows = classify([cancelled, order(2, STOCK, 1, 9, filled_qty=Decimal(0)), order(3, STOCK, 1, 99, filled_qty=None)])
    assert [(row.order_uid, row.qty_in_strategy) for row in rows] == [("IB_U1_1", Decimal(2))]


def test_asset_classes_outside_the_catalogue_are_unclassified_without_confidence() -> None:
    (row,) = classify([order(1, Contract("FX.USD.CHF", None, AssetClass.FX), 1000, 0)])
    assert (row.strategy_type, row.action, row.leg_role) == ("UNCLASSIFIED", "OPEN", "LONG_FX")
    assert row.confidence == Decimal("0.000")


def test_two_option_classes_of_one_date_are_never_netted() -> None:
    weekly = replace_symbol(option(C, 100), "US.AAPLW 2026-08-21 C 100")
    rows = classify(spread(1, {option(C, 100): 1, weekly: -1}, 0, combo_id="x"))
    assert {row.strategy_type for row in rows} == {"CUSTOM_MULTI_LEG"}


def replace_symbol(contract: Contract, symbol: str) -> Contract:
    return replace(contract, symbol=symbol)


def test_a_window_lists_what_each_leg_would_be_alone() -> None:
    rows = classify(spread(1, VERTICAL, 0))
    assert [row.alternatives for row in rows] == [
        [{"type": "LONG_CALL", "confidence": "0.400"}],
        [{"type": "SHORT_CALL", "confidence": "0.400"}],
    ]


def test_an_order_of_the_store_becomes_classifiable_with_the_terms_of_its_instruments() -> None:
    symbol = "US.AAPL 2026-08-21 C 105"
    terms = (symbol, "US.AAPL", AssetClass.OPTION, Decimal(105), NEAR, C, Decimal(100), "USD")
    instruments = {symbol: Instrument(*terms, None, None, None, None, None)}
    stored = Order(
        order_uid="FUTU_1_7", broker=Broker.FUTU, account_id="1", broker_order_id="7", market="US",
        symbol="US.AAPL260821C105/…", underlying="US.AAPL", asset_class=AssetClass.COMBO, side=Side.BUY,
        position_effect=None, order_type=None, status=OrderStatus.FILLED, broker_status=None, qty=Decimal(2),
        filled_qty=None, limit_price=None, avg_price=None, currency="USD", multiplier=None, created_at=START,
        updated_at=None, trade_date=START.date(), combo_id=None,
        legs=[{"symbol": symbol, "side": "SELL", "ratio": "1.0"}, {"symbol": "US.AAPL", "side": "BUY", "ratio": 100}],
        declared_strategy="COVERED", remark=None, source="futu_orders",
    )  # fmt: skip
    stock = ("US.AAPL", "US.AAPL", AssetClass.STOCK, None, None, None, Decimal(1), "USD")
    instruments["US.AAPL"] = Instrument(*stock, None, None, None, None, None)
    made = classifiable(stored, instruments, START + timedelta(seconds=3))
    assert (made.filled_qty, made.at) == (Decimal(2), START + timedelta(seconds=3))
    assert answer(made) == [("COVERED_CALL", "OPEN", "linked")]
    without_terms = classifiable(stored, {}, None)
    assert answer(without_terms) == [("CUSTOM_MULTI_LEG", "OPEN", "linked")]


contracts = st.sampled_from(
    [STOCK, *(option(right, strike, day) for right in (C, P) for strike in (95, 100, 105) for day in (NEAR, FAR))]
)
drawn = st.tuples(
    contracts,
    st.integers(-3, 3).filter(bool),
    st.integers(0, 40),
    st.sampled_from([None, None, "1", "2"]),
    st.sampled_from([None, None, None, "OPEN", "CLOSE"]),
    st.integers(0, 3),
)


@st.composite
def flows(draw: st.DrawFn) -> list[ClassifiableOrder]:
    """Few contracts and little time, so that positions open, close, flip and roll all over each other."""
    return [
        order(
            number,
            contract,
            qty * (100 if contract is STOCK else 1),
            seconds,
            combo_id=combo,
            position_effect=effect,
            filled_qty=Decimal(min(filled, abs(qty)) * (100 if contract is STOCK else 1)),
        )
        for number, (contract, qty, seconds, combo, effect, filled) in enumerate(draw(st.lists(drawn, max_size=14)))
    ]


@settings(max_examples=300, deadline=None)
@given(flows(), st.randoms(use_true_random=False))
def test_shuffling_the_input_changes_nothing(orders: list[ClassifiableOrder], random: Any) -> None:
    expected = classify(orders)
    shuffled = list(orders)
    random.shuffle(shuffled)
    assert classify(shuffled) == expected


@settings(max_examples=300, deadline=None)
@given(flows())
def test_every_filled_order_is_in_exactly_one_strategy_with_all_its_quantity(orders: list[ClassifiableOrder]) -> None:
    rows = classify(orders, [held(STOCK, 100)])
    filled = {item.order_uid: item.filled_qty for item in orders if item.filled}
    assert {row.order_uid: row.qty_in_strategy for row in rows} == filled
    assert len(rows) == len(filled)
    assert {row.strategy_type for row in rows} <= strategy_ids()
    assert all(0 <= row.confidence <= 1 and row.confidence.as_tuple().exponent == -3 for row in rows)
    assert {row.classifier_version for row in rows} <= {CLASSIFIER_VERSION}
    for uid in {row.strategy_uid for row in rows}:
        members = [row for row in rows if row.strategy_uid == uid]
        assert uid == strategy_uid("U1", [row.order_uid for row in members])
        assert len({(row.strategy_type, row.action, row.confidence, row.chain_uid) for row in members}) == 1


@settings(max_examples=200, deadline=None)
@given(flows())
def test_what_happens_later_never_changes_an_earlier_answer(orders: list[ClassifiableOrder]) -> None:
    unlinked = [replace(item, combo_id=None) for item in orders]
    later = order(99, option(C, 100), -1, 3600)
    assert [row for row in classify([*unlinked, later]) if row.order_uid != later.order_uid] == classify(unlinked)
