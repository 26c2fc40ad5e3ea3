"""Generated flows are repeatable, as hard as their level says, and never do what their truth cannot explain."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apex_pipeline.domain.flows.generate import Flow, TruthGroup, generate
from apex_pipeline.domain.flows.levels import Level, habits_of
from apex_pipeline.domain.flows.market import UNDERLYINGS, is_session
from apex_pipeline.domain.flows.recipes import POOR_MANS
from apex_pipeline.domain.models import OptionRight
from apex_pipeline.domain.strategies.shapes import ShapeLeg, name_shape
from apex_pipeline.domain.strategies.taxonomy import shape, strategy_ids, taxonomy

LEVELS = list(Level)
ZONES = {"US": ZoneInfo("America/New_York"), "HK": ZoneInfo("Asia/Hong_Kong")}
LOTS = {stock.code: stock.lot for stock in UNDERLYINGS}
ORDER_KEYS = {
    "order_id", "broker", "account", "market", "underlying", "type", "side", "qty", "filled_qty", "avg_price", "lot",
    "order_time", "first_fill",
}  # fmt: skip
Key = tuple[str, str, str, str, str]
"""Account, underlying, type, strike, expiry."""


@cache
def flow(level: Level, seed: int = 5, groups: int = 1000, linkage: float = 0.0) -> Flow:
    return generate(level, seed, groups, linkage)


def changed(level: Level = Level.L1, seed: int = 5, groups: int = 600, **habits: Any) -> Flow:
    return generate(level, seed, groups, habits=replace(habits_of(level), **habits))


def key(row: Mapping[str, Any]) -> Key:
    return row["account"], row["underlying"], row["type"], str(row.get("strike", "")), row.get("expiry", "")


def orders(made: Flow) -> dict[str, dict[str, Any]]:
    return {order["order_id"]: order for order in made.document["orders"]}


def sign(order: Mapping[str, Any]) -> int:
    return 1 if order["side"] == "BUY" else -1


def seconds(known: Mapping[str, Mapping[str, Any]], group: TruthGroup) -> float:
    """Between the first and the last order of a group."""
    times = [datetime.fromisoformat(known[item]["order_time"]) for item in group.orders]
    return (max(times) - min(times)).total_seconds()


def replayed(made: Flow) -> Iterator[tuple[str, dict[str, Any], int, int]]:
    """Every fill in time: its order id, its order, what was held of the contract before, and the signed fill."""
    held: defaultdict[Key, int] = defaultdict(int)
    known = orders(made)
    for position in made.document["positions_open"]:
        held[key(position)] += position["qty"]
    for fill in sorted(made.document["fills"], key=lambda fill: datetime.fromisoformat(fill["time"])):
        order = known[fill["order_id"]]
        change = fill["qty"] * sign(order)
        yield fill["order_id"], order, held[key(order)], change
        held[key(order)] += change


def actions(made: Flow) -> dict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for group in made.truth:
        for order in group.orders:
            found[order].add(group.action)
    return found


def share(made: Flow, tag: str) -> float:
    return sum(tag in group.tags for group in made.truth) / len(made.truth)


# the same again


@pytest.mark.parametrize("level", LEVELS)
def test_the_same_seed_makes_the_same_flow(level: Level) -> None:
    first, second = generate(level, 3, 120, 0.3), generate(level, 3, 120, 0.3)
    assert json.dumps(first.document) == json.dumps(second.document)
    assert (first.truth, first.events) == (second.truth, second.events)


def test_another_seed_makes_another_flow() -> None:
    assert generate(Level.L1, 3, 60).document != generate(Level.L1, 4, 60).document


def test_one_account_trades_the_same_whoever_else_trades() -> None:
    both = generate(Level.L1, 3, 100)
    alone = generate(Level.L1, 3, 50, habits=replace(habits_of(Level.L1), accounts=(("FUTU", "281756457"),)))
    terms = [[(key(o), o["order_time"], o["qty"]) for o in made.document["orders"]] for made in (both, alone)]
    assert [term for term in terms[0] if term[0][0] == "281756457"] == terms[1]


# the file


@pytest.mark.parametrize("level", LEVELS)
def test_the_file_has_the_keys_of_the_contract_and_survives_a_json_writer(level: Level) -> None:
    made = flow(level, linkage=0.6)
    assert json.loads(json.dumps(made.document)) == made.document
    assert set(made.document) == {"positions_open", "spots", "orders", "fills"}
    for order in made.document["orders"]:
        terms: set[str] = set() if order["type"] == "stock" else {"strike", "expiry"}
        assert set(order) - {"combo_id"} == ORDER_KEYS | terms
        assert datetime.fromisoformat(order["order_time"]).utcoffset() is not None


@pytest.mark.parametrize("level", LEVELS)
def test_fills_add_up_to_their_orders(level: Level) -> None:
    made = flow(level)
    amount: Counter[str] = Counter()
    money: defaultdict[str, Decimal] = defaultdict(Decimal)
    first: dict[str, datetime] = {}
    for fill in made.document["fills"]:
        at = datetime.fromisoformat(fill["time"])
        first[fill["order_id"]] = min(at, first.get(fill["order_id"], at))
        amount[fill["order_id"]] += fill["qty"]
        money[fill["order_id"]] += fill["qty"] * Decimal(str(fill["price"]))
    for name, order in orders(made).items():
        assert amount[name] == order["filled_qty"] <= order["qty"]
        if not order["filled_qty"]:
            assert order["avg_price"] is order["first_fill"] is None
            continue
        assert first[name] == datetime.fromisoformat(order["first_fill"])
        assert first[name] >= datetime.fromisoformat(order["order_time"])
        assert abs(money[name] / amount[name] - Decimal(str(order["avg_price"]))) < Decimal("0.000001")


@pytest.mark.parametrize("level", LEVELS)
def test_orders_are_sent_and_filled_in_the_hours_of_their_exchange(level: Level) -> None:
    made = flow(level)
    for order in made.document["orders"]:
        zone = ZONES[order["market"]]
        for told in (order["order_time"], order["first_fill"] or order["order_time"]):
            at = datetime.fromisoformat(told).astimezone(zone)
            assert is_session(at.date())
            assert time(9, 30) <= at.time() <= time(16)
            assert order["market"] == "US" or not time(12, 0, 0, 1) <= at.time() < time(13)


def test_a_combination_id_joins_exactly_the_orders_of_one_group() -> None:
    made = flow(Level.L2, linkage=0.6)
    groups = {order: group.group for group in made.truth for order in group.orders}
    combos: defaultdict[str, set[str]] = defaultdict(set)
    for name, order in orders(made).items():
        if "combo_id" in order and name in groups:
            combos[order["combo_id"]].add(groups[name])
    assert combos
    assert all(len(found) == 1 for found in combos.values())


@pytest.mark.parametrize("linkage", [0.0, 0.3, 0.6, 0.9])
def test_linkage_is_the_share_of_groups_of_several_orders(linkage: float) -> None:
    made = flow(Level.L1, linkage=linkage)
    several = [group for group in made.truth if len(group.orders) > 1]
    assert sum("linked" in group.tags for group in several) / len(several) == pytest.approx(linkage, abs=0.05)


# the truth


@pytest.mark.parametrize("level", LEVELS)
def test_every_filled_order_is_in_exactly_one_group(level: Level) -> None:
    made = flow(level)
    counted = Counter(order for group in made.truth for order in group.orders)
    assert set(counted) == {name for name, order in orders(made).items() if order["filled_qty"]}
    assert set(counted.values()) == {1}


@pytest.mark.parametrize("level", LEVELS)
def test_a_group_trades_one_account_and_one_underlying(level: Level) -> None:
    known = orders(flow(level))
    for group in flow(level).truth:
        assert len({key(known[name])[:2] for name in group.orders}) == 1


@pytest.mark.parametrize("level", LEVELS)
def test_openings_never_reduce_and_closes_never_open(level: Level) -> None:
    made = flow(level)
    known = actions(made)
    for name, _, held, change in replayed(made):
        reduces = held * change < 0
        if known[name] == {"OPEN"}:
            assert not reduces
        elif known[name] == {"CLOSE"}:
            assert reduces
            assert abs(change) <= abs(held)


def test_opposite_trades_are_made_only_when_asked_for() -> None:
    made = changed(opposite=1.0, multi_unit=0.2, groups=1500)
    assert any("opposite" in group.tags for group in made.truth)
    known = actions(made)
    assert any(held * change < 0 for name, _, held, change in replayed(made) if known[name] == {"OPEN"})


@pytest.mark.parametrize("level", LEVELS)
def test_no_option_is_traded_after_its_expiry(level: Level) -> None:
    for order in flow(level).document["orders"]:
        if order["type"] != "stock":
            traded = datetime.fromisoformat(order["order_time"]).astimezone(ZONES[order["market"]]).date()
            assert traded <= date.fromisoformat(order["expiry"])


def test_types_are_ids_of_the_catalogue() -> None:
    for level in LEVELS:
        assert {group.type for group in flow(level).truth} <= strategy_ids()


def legs(known: Mapping[str, Mapping[str, Any]], group: TruthGroup) -> list[ShapeLeg]:
    """What was ordered, as the catalogue reads it."""
    found: list[ShapeLeg] = []
    for name in group.orders:
        order = known[name]
        qty = Decimal(order["qty"] * sign(order))
        if order["type"] == "stock":
            found.append(ShapeLeg(qty / LOTS[order["underlying"]]))
        else:
            right = OptionRight.CALL if order["type"] == "call" else OptionRight.PUT
            expiry = date.fromisoformat(order["expiry"])
            found.append(ShapeLeg(qty, right, Decimal(str(order["strike"])), expiry))
    return found


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_opened_is_named_by_its_ordered_legs(level: Level) -> None:
    """But not a call on free stock, nor a leg whose twin was rejected; the depth of a diagonal needs the spot."""
    known = orders(flow(level))
    for group in flow(level).truth:
        if group.action != "OPEN" or "overwrite" in group.tags or "rejected" in group.tags:
            continue
        context = frozenset(shape(group.type).context_required) if group.type in POOR_MANS else frozenset[str]()
        match = name_shape(legs(known, group), context)
        assert match is not None
        assert match.shape.id == group.type


def test_a_rejected_leg_leaves_the_intended_name_only_to_linked_orders() -> None:
    made = generate(Level.L2, 5, 800, habits=replace(habits_of(Level.L2), rejected=0.5, linkage=0.5))
    broken = [group for group in made.truth if "rejected" in group.tags]
    assert broken
    for group in broken:
        assert len(group.orders) == 1
        assert len(taxonomy().shapes[group.type].legs) == (2 if "linked" in group.tags else 1)


def test_a_call_is_an_overwrite_only_on_stock_that_is_held() -> None:
    made = flow(Level.L0)
    groups = {order: group for group in made.truth for order in group.orders}
    stock: defaultdict[tuple[str, str], int] = defaultdict(int)
    for position in made.document["positions_open"]:
        stock[position["account"], position["underlying"]] += position["qty"]
    seen = 0
    for name, order, _, change in replayed(made):
        if order["type"] == "stock":
            stock[order["account"], order["underlying"]] += change
        if "overwrite" in groups[name].tags:
            seen += 1
            assert groups[name].type == "COVERED_CALL"
            assert stock[order["account"], order["underlying"]] >= order["qty"] * LOTS[order["underlying"]]
    assert seen


def test_a_roll_closes_and_opens_the_same_quantity_of_each_right() -> None:
    made = flow(Level.L1)
    known = orders(made)
    rolls = [group for group in made.truth if group.action == "ROLL"]
    assert {group.sub_type for group in rolls} >= {"ROLL_OUT", "ROLL_UP_OUT", "VERTICAL_ROLL", "STRADDLE_ROLL"}
    for group in rolls:
        assert group.type == "ROLL"
        assert group.resulting_type in taxonomy().shapes
        net: Counter[str] = Counter()
        for name in group.orders:
            net[known[name]["type"]] += known[name]["qty"] * sign(known[name])
        assert set(net.values()) == {0}


def test_a_leg_out_is_named_as_the_position_of_its_leg() -> None:
    made = flow(Level.L1)
    known = orders(made)
    outs = [group for group in made.truth if group.sub_type == "LEG_OUT"]
    assert outs
    for group in outs:
        (name,) = group.orders
        held = "SHORT" if known[name]["side"] == "BUY" else "LONG"
        assert group.type == f"{held}_{known[name]['type'].upper()}"
