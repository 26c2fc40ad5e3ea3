"""A card says exactly what a strategy brought, what it can win and lose, and why it has its name."""

import random
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from apex_pipeline.domain.models import OptionRight
from apex_pipeline.domain.strategies.cards import Strategy
from apex_pipeline.domain.strategies.members import Charge
from apex_pipeline.domain.strategies.payoff import OptionUnits, payoff
from apex_pipeline.domain.strategies.telling import tell
from tests.domain.strategy_story import LATER, STOCK, C, P, Story, at, option

D = Decimal
CONDOR = [
    (option(P, 540), 3, "2.10"),
    (option(P, 545), -3, "2.90"),
    (option(C, 580), -3, "3.05"),
    (option(C, 585), 3, "2.50"),
]


def card(kind: str, legs: list[tuple[str, int, str]], **told: Any) -> Strategy:
    story = Story()
    story.strategy("S", kind, legs, 0, **told)
    (row,) = tell(story.family).strategies
    return row


def test_an_iron_condor_says_its_credit_width_bounds_and_break_evens() -> None:
    row = card("IRON_CONDOR", CONDOR, evidence={"units": 3})
    assert (row.name, row.orders, row.units, row.net_premium, row.stock_cost) == ("Iron Condor", 4, 3, D(405), None)
    assert (row.width, row.max_profit, row.max_loss, row.loss_unlimited) == (D(5), D(405), D(1095), False)
    assert row.break_evens == ["543.65", "581.35"]
    assert (row.fees, row.first_fill_at, row.last_fill_at) == (D(4), at(0), at(0, 3))
    assert [leg["symbol"] for leg in row.legs] == [symbol for symbol, _, _ in CONDOR]


def test_the_sentence_gives_the_evidence_the_reading_and_the_rival() -> None:
    told = {
        "evidence": {"units": 3, "span_seconds": "11.2"},
        "alternatives": [
            {"type": "BULL_PUT_SPREAD", "confidence": "0.05"},
            {"type": "SHORT_PUT", "confidence": "0.01"},
        ],
    }
    row = card("IRON_CONDOR", CONDOR, **told)
    assert row.why == (
        "4 orders within 11.2 s, 3 units, strikes 540/545/580/585, all opening, net credit 1.35: "
        "Iron Condor 0.94. Otherwise: Bull Put Spread 0.05"
    )
    assert (row.rival_type, row.rival_confidence) == ("BULL_PUT_SPREAD", D("0.05"))
    assert "Otherwise" not in card("IRON_CONDOR", CONDOR).why, "control: without a rival none is told"


@pytest.mark.parametrize(
    ("kind", "legs", "bounds"),
    [
        ("LONG_CALL", [(option(C, 60), 1, "2")], (None, True, D(200), False, ["62"])),
        ("SHORT_CALL", [(option(C, 60), -1, "2")], (D(200), False, None, True, ["62"])),
        ("SHORT_PUT", [(option(P, 60), -1, "2")], (D(200), False, D(5800), False, ["58"])),
        ("LONG_STRADDLE", [(option(C, 60), 1, "2"), (option(P, 60), 1, "1")],
         (None, True, D(300), False, ["57", "63"])),
        ("COVERED_CALL", [(STOCK, 100, "58"), (option(C, 60), -1, "1")], (D(300), False, D(5700), False, ["57"])),
        ("CALL_BACKSPREAD", [(option(C, 60), -1, "3"), (option(C, 65), 2, "1")],
         (None, True, D(400), False, ["61", "69"])),
    ],
)  # fmt: skip
def test_the_bounds_are_those_of_the_payoff(kind: str, legs: list[Any], bounds: tuple[Any, ...]) -> None:
    row = card(kind, legs)
    assert (row.max_profit, row.profit_unlimited, row.max_loss, row.loss_unlimited, row.break_evens) == bounds


def test_a_box_that_always_wins_loses_less_than_nothing_and_never_breaks_even() -> None:
    box = [(option(C, 60), 1, "3"), (option(C, 65), -1, "1"), (option(P, 60), -1, "1"), (option(P, 65), 1, "3")]
    row = card("LONG_BOX", [*box[:3], (option(P, 65), 1, "3.5")])
    assert (row.max_profit, row.max_loss, row.break_evens) == (D(50), D(-50), [])


@pytest.mark.parametrize(
    ("kind", "legs", "told"),
    [
        ("LONG_CALL_CALENDAR", [(option(C, 60), -1, "1"), (option(C, 60, LATER), 1, "2")], {}),
        ("COVERED_CALL", [(option(C, 60), -1, "1")], {}),
        ("SHORT_PUT", [(option(P, 60), 1, "1")], {"action": "CLOSE"}),
        ("LONG_STOCK", [(STOCK, 100, "58")], {}),
    ],
)
def test_where_the_payoff_of_the_legs_is_not_that_of_the_strategy_there_are_no_bounds(
    kind: str, legs: list[Any], told: dict[str, Any]
) -> None:
    row = card(kind, legs, **told)
    assert (row.max_profit, row.profit_unlimited, row.max_loss, row.loss_unlimited, row.break_evens) == (None,) * 5


def test_an_unknown_price_or_multiplier_leaves_the_money_unknown_and_never_zero() -> None:
    for changes in ({"price": None}, {"multiplier": None}):
        story = Story()
        story.strategy("S", "LONG_CALL", [(option(C, 60), 1, "2")], 0)
        story.fills = [replace(story.fills[0], **changes)]
        (row,) = tell(story.family).strategies
        assert (row.net_premium, row.max_loss, row.loss_unlimited) == (None, None, None)
        assert row.legs[0]["qty"] == "1"


def test_fees_are_unknown_while_an_order_has_none_and_when_they_are_in_another_currency() -> None:
    story = Story()
    story.strategy("S", "BULL_CALL_SPREAD", [(option(C, 60), 1, "2"), (option(C, 65), -1, "1")], 0)
    assert tell(story.family).strategies[0].fees == D(2)
    del story.charges[1]
    assert tell(story.family).strategies[0].fees is None


def test_an_order_in_two_strategies_is_divided_and_nothing_is_lost() -> None:
    story = Story()
    story.fill("o", option(P, 60), 3, "1.01", at(1), order_uid="o")
    story.fill("o2", option(P, 60), 2, "1.02", at(1), order_uid="o")
    for uid, action, qty in (("A", "CLOSE", 3), ("B", "OPEN", 2)):
        story.member("o", uid, "LONG_PUT", action, qty, at(1).date(), uid)
    story.charges.append(Charge("o", STOCK, "USD", D("1.01")))
    first, second = tell(story.family).strategies
    assert [leg["qty"] for leg in (*first.legs, *second.legs)] == ["3", "2"]
    assert first.net_premium is not None
    assert second.net_premium is not None
    assert first.net_premium + second.net_premium == D("-507")
    assert (first.fees, second.fees) == (D("0.61"), D("0.40"))


def test_what_an_order_realized_is_told_by_the_strategy_that_closed() -> None:
    story = Story()
    story.strategy("A", "LONG_PUT", [(option(P, 60), 1, "1")], 0)
    story.strategy("B", "LONG_PUT", [(option(P, 60), -1, "3")], 1, action="CLOSE", chain="A")
    story.gain("A0", "B0", "198")
    opened, closed = tell(story.family).strategies
    assert (opened.realized_pnl, closed.realized_pnl) == (None, D(198))
    story.gain("A0", "B0", None)
    assert tell(story.family).strategies[1].realized_pnl is None, "one piece without a basis leaves the sum unknown"


def test_the_rows_do_not_depend_on_the_order_of_the_facts() -> None:
    story = Story()
    story.strategy("A", "IRON_CONDOR", CONDOR, 0)
    story.strategy("B", "LONG_CALL", [(option(C, 600), 1, "2")], 1)
    told = tell(story.family)
    for seed in range(5):
        for facts in (story.members, story.fills, story.charges):
            random.Random(seed).shuffle(facts)
        assert tell(story.family) == told


@pytest.mark.parametrize("seed", range(40))
def test_the_bounds_hold_at_every_price(seed: int) -> None:
    draw = random.Random(seed)
    options = [
        OptionUnits(D(draw.choice((-200, -100, 100, 200))), draw.choice(list(OptionRight)), D(draw.randint(1, 12) * 5))
        for _ in range(draw.randint(1, 5))
    ]
    shares, cash = D(draw.choice((-100, 0, 100))), D(draw.randint(-900, 900))
    found = payoff(options, shares, cash)

    def profit(price: D) -> D:
        worth = [
            one.units * max(price - one.strike if one.right is OptionRight.CALL else one.strike - price, D(0))
            for one in options
        ]
        return cash + shares * price + sum(worth, D(0))

    values = [profit(D(cents) / 4) for cents in range(1200)]
    assert found.max_profit is None or max(values) <= found.max_profit
    assert found.max_loss is None or -min(values) <= found.max_loss
    assert found.max_profit is not None or profit(D(10**6)) > max(values)
    assert found.max_loss is not None or profit(D(10**6)) < min(values)
    assert all(abs(profit(price)) < D("0.0001") for price in found.break_evens)
    crossings = sum((one < 0) != (two < 0) for one, two in pairwise(values))
    assert crossings <= len(found.break_evens)
