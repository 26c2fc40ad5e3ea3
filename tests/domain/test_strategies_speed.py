"""How long the strategy engine may take over orders that lie close together, in processor time."""

import signal
from collections.abc import Callable, Sequence

import pytest

from apex_pipeline.domain.strategies.classify import Classified, classify
from apex_pipeline.domain.strategies.legs import ClassifiableOrder, PositionChange
from tests.domain.strategy_orders import (
    CONDOR,
    DAY,
    NEAR,
    STOCK,
    C,
    Legs,
    P,
    held,
    number_of,
    opposite,
    option,
    order,
    spread,
)

SECONDS_AT_MOST = 2.0


def within(seconds: float, work: Callable[[], Classified]) -> Classified:
    """What `work` returns; TimeoutError after so much processor time, however busy the machine is."""

    def stop(_number: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        return work()
    except TimeoutError:
        pass
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    # A traceback that a signal began may lack line numbers, which pytest cannot show.
    raise TimeoutError(f"took longer than {seconds} s")


def decided(orders: Sequence[ClassifiableOrder], moves: Sequence[PositionChange] = ()) -> Classified:
    return within(SECONDS_AT_MOST, lambda: classify(orders, moves))


def clips(first: int, legs: Legs, times: int, seconds: float) -> list[ClassifiableOrder]:
    """The same strategy several times within ten seconds, one order per leg."""
    gap = 10 / (times * len(legs))
    return [
        item
        for place in range(times)
        for item in spread(first + place * len(legs), legs, seconds + place * len(legs) * gap, gap=gap)
    ]


def endless() -> Classified:
    while True:
        pass


def test_the_limit_of_time_can_fail() -> None:
    with pytest.raises(TimeoutError):
        within(0.05, endless)


@pytest.mark.parametrize("times", [2, 4, pytest.param(5), pytest.param(10)])
def test_a_condor_sent_in_clips_within_ten_seconds_is_decided_in_time(times: int) -> None:
    rows = decided(clips(1, CONDOR, times, 0)).assignments
    assert len(rows) == 4 * times


@pytest.mark.parametrize("count", [16, pytest.param(20), pytest.param(40)])
def test_as_many_different_strikes_within_ten_seconds_are_decided_in_time(count: int) -> None:
    orders = [order(place, option(C, 100 + place), (1, -1)[place % 2], 10 * place / count) for place in range(count)]
    assert len(decided(orders).assignments) == count


@pytest.mark.parametrize("count", [16, pytest.param(60)])
def test_sixty_orders_in_one_second_are_decided_in_time(count: int) -> None:
    orders = [order(n, option((C, P)[n % 2], 90 + 5 * (n % 6)), (1, -1)[n // 3 % 2], 0) for n in range(count)]
    assert {row.order_uid for row in decided(orders).assignments} == {item.order_uid for item in orders}


def test_a_condor_of_five_units_closed_in_clips_is_decided_in_time() -> None:
    opened = spread(1, {contract: 5 * qty for contract, qty in CONDOR.items()}, 0)
    rows = decided([*opened, *clips(101, opposite(CONDOR), 5, DAY)]).assignments
    assert {row.action for row in rows if number_of(row.order_uid) > 100} == {"CLOSE"}


def test_stock_bought_in_many_lots_and_sold_in_many_orders_is_decided_in_time() -> None:
    orders = [order(place, STOCK, 100 if place < 150 else -100, place) for place in range(300)]
    assert decided(orders).positions == []


@pytest.mark.parametrize("seconds", [1, 20, 600])
def test_hundreds_of_opposite_trades_in_one_contract_are_decided_in_time(seconds: int) -> None:
    orders = [order(place, option(C, 100), (1, -1)[place % 2], seconds * place) for place in range(300)]
    result = decided(orders)
    assert result.positions == []
    assert len({row.order_uid for row in result.assignments}) == 300


@pytest.mark.parametrize("legs", [4, pytest.param(7), pytest.param(10)])
def test_a_combination_of_many_legs_rolled_at_once_is_decided_in_time(legs: int) -> None:
    opened = [order(place, option(C, 100 + place), -1, 0, combo_id="a") for place in range(legs)]
    closed = [order(100 + place, option(C, 100 + place), 1, DAY, combo_id="b") for place in range(legs)]
    moved = [order(200 + place, option(C, 120 + place), -1, DAY, combo_id="b") for place in range(legs)]
    assert len(decided([*opened, *closed, *moved]).assignments) == 3 * legs


@pytest.mark.parametrize("odd", [False, True])
def test_a_dozen_positions_of_a_cold_start_are_divided_in_time(odd: bool) -> None:
    sizes = [(1, -1)[place // 2 % 2] * (1 + place * 7 % 5 if odd else 1) for place in range(12)]
    moves = [held(option((C, P)[place % 2], 90 + place // 2), size) for place, size in enumerate(sizes)]
    assert {item.symbol for item in decided([order(1, STOCK, 1, 0)], moves).positions} >= {
        move.contract.symbol for move in moves
    }


def test_many_orders_of_one_combo_id_in_few_contracts_are_decided_in_time() -> None:
    orders = [order(n, option(C, 100 + n % 3, NEAR), (1, -1)[n % 2], n / 10, combo_id="a") for n in range(60)]
    assert len(decided(orders).assignments) == 60
