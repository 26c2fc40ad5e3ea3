"""Each level is as hard as it says, each habit does what it is asked for, and every shape can be proposed."""

from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from apex_pipeline.domain.flows.generate import Flow, TruthGroup
from apex_pipeline.domain.flows.levels import Habits, Level, habits_of
from apex_pipeline.domain.flows.market import UNDERLYINGS, Market, expiries, seeded
from apex_pipeline.domain.flows.recipes import catalogue, propose
from apex_pipeline.domain.strategies.taxonomy import taxonomy
from tests.domain.test_flows import LEVELS, Key, changed, flow, key, orders, replayed, seconds, share

# the levels


def test_closes_and_rolls_have_their_share_at_every_level() -> None:
    for level in LEVELS:
        made = flow(level, 11, 1600)
        found = Counter(group.action for group in made.truth)
        assert 0.25 <= found["CLOSE"] / len(made.truth) <= 0.33
        assert 0.08 <= found["ROLL"] / len(made.truth) <= 0.13


@pytest.mark.parametrize(
    ("level", "overlap", "partial", "incomplete", "legging", "split", "disturbed"),
    [
        (Level.L0, (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0)),
        (Level.L1, (0.1, 0.25), (0.13, 0.27), (0, 0.03), (0, 0.05), (0, 0.03), (0.05, 0.14)),
        (Level.L2, (0.27, 0.5), (0.25, 0.45), (0.02, 0.09), (0.05, 0.15), (0.01, 0.08), (0.13, 0.28)),
        (Level.L3, (0.55, 0.8), (0.4, 0.65), (0.06, 0.16), (0.12, 0.28), (0.05, 0.17), (0.3, 0.52)),
    ],
)
def test_difficulties_have_the_share_of_their_level(
    level: Level,
    overlap: tuple[float, float],
    partial: tuple[float, float],
    incomplete: tuple[float, float],
    legging: tuple[float, float],
    split: tuple[float, float],
    disturbed: tuple[float, float],
) -> None:
    """Of the groups that it can happen to: strangers are beside the count, legs need more than one."""
    groups = [group for group in flow(level, 11, 1600).truth if "stranger" not in group.tags]
    several = [group for group in groups if len(group.orders) > 1]
    opened = [group for group in several if group.action == "OPEN"]

    def within(tag: str, among: list[TruthGroup], bounds: tuple[float, float]) -> bool:
        return bounds[0] <= sum(tag in group.tags for group in among) / len(among) <= bounds[1]

    assert within("overlap", groups, overlap)
    assert within("partial", groups, partial)
    assert within("incomplete", [group for group in several if group.action != "ROLL"], incomplete)
    assert within("legging", opened, legging)
    assert within("split", several, split)
    seconds_on_top = sum("overlap" in group.tags for group in groups) / 2
    beside = sum("disturbed" in group.tags for group in groups) / (len(groups) - seconds_on_top)
    assert disturbed[0] <= beside <= disturbed[1]


@pytest.mark.parametrize(("level", "longest"), [(Level.L0, 2.6), (Level.L1, 6.1), (Level.L2, 15.1), (Level.L3, 20.1)])
def test_legs_are_sent_within_the_spread_of_the_level_unless_legged_into(level: Level, longest: float) -> None:
    made = flow(level, groups=600)
    known = orders(made)
    together = [seconds(known, group) for group in made.truth if "legging" not in group.tags]
    assert longest / 2 < max(together) <= longest
    apart = [seconds(known, group) for group in made.truth if "legging" in group.tags and len(group.orders) > 1]
    assert all(value > 30 for value in apart)


def test_verticals_singles_and_covered_structures_are_opened_most() -> None:
    made = flow(Level.L0, 11, 1600)
    opened = Counter(taxonomy().shapes[group.type].family for group in made.truth if group.action == "OPEN")
    assert {"vertical", "single", "covered"} == {name for name, _ in opened.most_common(3)}
    assert len({group.type for group in made.truth}) > 65


def test_both_markets_accounts_and_several_lots_trade() -> None:
    flows = [flow(Level.L2, seed, 400) for seed in (1, 2, 3)]
    options = [order for made in flows for order in made.document["orders"] if order["type"] != "stock"]
    assert {order["lot"] for order in options} == {100, 400, 500, 1000}
    assert {(order["broker"], order["market"]) for order in options} == {
        (broker, market) for broker in ("FUTU", "IB") for market in ("US", "HK")
    }


# what can be asked for


def test_an_order_that_flips_a_position_is_in_two_groups() -> None:
    made = changed(flips=1.0)
    flips = [group for group in made.truth if "flip" in group.tags]
    assert flips
    by_orders: defaultdict[frozenset[str], list[str]] = defaultdict(list)
    for group in flips:
        by_orders[group.orders].append(group.action)
    assert {tuple(found) for found in by_orders.values()} == {("CLOSE", "OPEN")}
    names = {order for group in flips for order in group.orders}
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for name, _, held, change in replayed(made):
        first.setdefault(name, held)
        last[name] = held + change
    assert all(first[name] * last[name] < 0 for name in names)


def test_a_pair_is_two_stocks_against_each_other() -> None:
    made = changed(pairs=0.3)
    pairs = [group for group in made.truth if group.type == "PAIR_TRADE" and group.action == "OPEN"]
    assert pairs
    known = orders(made)
    for group in pairs:
        traded = [known[name] for name in group.orders]
        assert {order["side"] for order in traded} == {"BUY", "SELL"}
        assert len({order["underlying"] for order in traded}) == 2


def final_positions(made: Flow) -> dict[Key, int]:
    held: Counter[Key] = Counter()
    for position in made.document["positions_open"]:
        held[key(position)] += position["qty"]
    for _, order, _, change in replayed(made):
        held[key(order)] += change
    for event in made.events:
        strike = event.contract.strike
        text = "" if strike is None else str(int(strike) if strike == int(strike) else float(strike))
        expiry = event.contract.expiry.isoformat() if event.contract.expiry else ""
        held[event.account, event.contract.underlying, event.contract.kind, text, expiry] += event.qty
    return {contract: qty for contract, qty in held.items() if qty}


@pytest.mark.parametrize("assigned", [0.0, 0.8])
def test_a_history_cut_in_the_middle_ends_with_the_same_positions(assigned: float) -> None:
    whole, tail = (changed(cold_start=cut, assigned=assigned) for cut in (0.0, 0.5))
    assert 0.3 < len(tail.truth) / len(whole.truth) < 0.7
    assert final_positions(whole) == final_positions(tail)
    assert any("cold" in group.tags and group.action == "CLOSE" for group in tail.truth)
    assert not any("cold" in group.tags for group in whole.truth)


def test_positions_of_a_cold_start_can_be_untold() -> None:
    assert changed(cold_start=0.5, cold_start_told=False).document["positions_open"] == []


def test_opening_stock_can_be_untold() -> None:
    made = changed(opening_stock=5, opening_stock_told=False)
    assert made.document["positions_open"] == []
    assert share(made, "untold_stock") > 0
    assert share(changed(opening_stock=5), "untold_stock") == 0


def test_exercises_move_stock_and_expiries_move_none() -> None:
    made = changed(assigned=1.0)
    kinds = Counter(event.kind for event in made.events)
    assert all(kinds[kind] for kind in ("EXPIRATION", "EXERCISE", "ASSIGNMENT"))
    moved = [event for event in made.events if event.contract.strike is None]
    assert len(moved) * 2 == kinds["EXERCISE"] + kinds["ASSIGNMENT"]
    assert {event.kind for event in changed().events} == {"EXPIRATION"}


def test_only_the_recipes_asked_for_are_opened() -> None:
    made = changed(recipes={"IRON_CONDOR": 1.0}, thin_tail=0.0, overwrites=0.0, hedges=0.0, strangers=0.0, rejected=0.0)
    assert {group.type for group in made.truth if group.action == "OPEN"} == {"IRON_CONDOR"}


def test_single_units_alone_can_be_asked_for() -> None:
    made = changed(multi_unit=0.0, thin_tail=0.0, opening_stock=0, recipes={"BULL_CALL_SPREAD": 1.0}, strangers=0.0)
    assert {order["qty"] for order in made.document["orders"] if order["type"] != "stock"} == {1}


def test_linked_orders_sent_at_once_share_an_instant() -> None:
    made = changed(linkage=1.0, at_once=1.0)
    linked = [group for group in made.truth if "linked" in group.tags]
    assert linked
    assert max(seconds(orders(made), group) for group in linked) < 0.1


def test_groups_follow_each_other_faster_from_level_to_level() -> None:
    """The median over all groups of an account from its predecessor's first order to its own."""
    medians: list[float] = []
    for level in LEVELS:
        known = orders(flow(level))
        starts: defaultdict[str, list[datetime]] = defaultdict(list)
        for group in flow(level).truth:
            told = [known[name] for name in group.orders]
            starts[told[0]["account"]].append(min(datetime.fromisoformat(order["order_time"]) for order in told))
        gaps = [
            (after - before).total_seconds() for times in starts.values() for before, after in pairwise(sorted(times))
        ]
        medians.append(sorted(gaps)[len(gaps) // 2])
    assert medians == sorted(medians, reverse=True)
    assert medians[0] > 600
    assert medians[3] < 60


def test_levels_are_ordered_by_difficulty() -> None:
    hard = [habits_of(level) for level in LEVELS]

    def rises(values: list[float]) -> bool:
        return values == sorted(values) and len(set(values)) == len(values)

    for name in ("overlap", "partial", "incomplete", "legging", "split", "strangers", "fill_delay"):
        assert rises([getattr(habits, name) for habits in hard])
    assert rises([habits.spread[1] for habits in hard])
    assert rises([-habits.gap[0] for habits in hard])
    assert isinstance(hard[0], Habits)


# the market


@pytest.mark.parametrize("shape_id", catalogue())
def test_every_shape_can_be_proposed(shape_id: str) -> None:
    market, rng = Market(1, date(2025, 1, 6)), seeded("shapes")
    stocks = [stock for stock in UNDERLYINGS if stock.market == "US"]
    ideas = [propose(rng, shape_id, stock, market, date(2025, 3, 4)) for stock in stocks]
    assert any(ideas)
    assert all(idea is None or idea.type == shape_id for idea in ideas)


@pytest.mark.parametrize("stock", UNDERLYINGS, ids=lambda stock: stock.code)
def test_expiries_are_sorted_sessions_from_today_to_next_january_and_beyond(stock: Any) -> None:
    for day in (date(2025, 1, 6) + timedelta(days=n) for n in range(0, 400, 7)):
        listed = expiries(stock.market, stock.dailies, day)
        assert list(listed) == sorted(set(listed))
        assert listed[0] >= day
        assert (listed[-1] - day).days > 360
        assert all(item.weekday() < 5 for item in listed)
