"""Chains tell strategies from open to ended, wheels join them, and a gain belongs to whoever opened the piece."""

from decimal import Decimal

import pytest

from apex_pipeline.domain.strategies.chain_book import ChainStatus, WheelStage
from apex_pipeline.domain.strategies.chains import StrategyChain
from apex_pipeline.domain.strategies.telling import Told, tell
from tests.domain.strategy_story import LATER, STOCK, C, P, Story, at, option

D = Decimal
PUT, CALL = option(P, 60), option(C, 65)


def chains(story: Story) -> dict[str, StrategyChain]:
    return {row.chain_uid: row for row in tell(story.family).chains}


def events(row: StrategyChain) -> list[str]:
    return [" ".join(filter(None, (event["action"], event["sub_type"]))) for event in row.events]


def total(told: Told) -> Decimal:
    return sum((row.realized_pnl or D(0) for row in told.chains), D(0))


@pytest.fixture
def story() -> Story:
    return Story()


def sell_put(story: Story, uid: str, day: int, qty: int = -1) -> None:
    story.strategy(uid, "SHORT_PUT", [(PUT, qty, "1.5")], day)


# From open to ended ---------------------------------------------------------------------------------------------


def test_a_chain_is_open_while_it_holds_anything(story: Story) -> None:
    sell_put(story, "A", 0, -2)
    story.strategy("B", "SHORT_PUT", [(PUT, 1, "1")], 1, action="CLOSE", chain="A", sub_type="CLOSE_PARTIAL")
    row = chains(story)["A"]
    assert (row.status, row.ended_at, row.held) == (ChainStatus.OPEN, None, [{"symbol": PUT, "qty": "-1"}])
    story.strategy("C", "SHORT_PUT", [(PUT, 1, "1")], 2, action="CLOSE", chain="A", sub_type="CLOSE_FULL")
    row = chains(story)["A"]
    assert (row.status, row.ended_at, row.held) == (ChainStatus.CLOSED, at(2), [])
    assert events(row) == ["OPEN", "CLOSE CLOSE_PARTIAL", "CLOSE CLOSE_FULL"]
    assert (row.net_premium, row.fees) == (D(100), D(3))


def test_a_roll_goes_on_with_the_chain_under_the_name_of_what_is_held_afterwards(story: Story) -> None:
    sell_put(story, "A", 0)
    legs = [(PUT, 1, "2"), (option(P, 58, LATER), -1, "2.5")]
    story.strategy("B", "ROLL", legs, 1, action="ROLL", chain="A", sub_type="ROLL_DOWN_OUT", resulting_type="SHORT_PUT")
    row = chains(story)["A"]
    assert (row.status, row.rolls, row.first_type, row.current_type) == (ChainStatus.OPEN, 1, "SHORT_PUT", "SHORT_PUT")
    assert row.held == [{"symbol": option(P, 58, LATER), "qty": "-1"}]
    assert [event["net_premium"] for event in row.events] == ["150", "50"]
    assert row.net_premium == D(200)


def test_what_is_left_after_a_leg_out_has_its_own_name(story: Story) -> None:
    condor = [(option(P, 50), 1, "1"), (option(P, 55), -1, "2"), (CALL, -1, "2"), (option(C, 70), 1, "1")]
    story.strategy("A", "IRON_CONDOR", condor, 0)
    out = [(CALL, 1, "1"), (option(C, 70), -1, "0.5")]
    story.strategy("B", "BEAR_CALL_SPREAD", out, 1, action="CLOSE", chain="A", sub_type="LEG_OUT")
    row = chains(story)["A"]
    assert (row.first_type, row.current_type, row.adjustments) == ("IRON_CONDOR", "BULL_PUT_SPREAD", 1)


@pytest.mark.parametrize("first", ["A", "Z"])
def test_book_entries_end_chains_by_their_kind_the_older_first(story: Story, first: str) -> None:
    second = "M"
    sell_put(story, first, 0)
    sell_put(story, second, 1)
    story.expire("e", PUT, 1, 18)
    rows = chains(story)
    assert (rows[first].status, rows[first].ended_at) == (ChainStatus.EXPIRED, at(18, 3600))
    assert rows[second].status is ChainStatus.OPEN, "control: one contract ends one chain"


def test_of_a_spread_that_is_assigned_and_expires_on_one_day_the_assignment_is_told(story: Story) -> None:
    story.strategy("A", "BULL_PUT_SPREAD", [(option(P, 55), 1, "1"), (PUT, -1, "2")], 0)
    story.expire("e", option(P, 55), -1, 18)
    story.deliver("a", PUT, 1, 100, 18)
    row = chains(story)["A"]
    assert (row.status, row.current_type, row.stock_held) == (ChainStatus.ASSIGNED, "BULL_PUT_SPREAD", D(100))
    assert row.wheel_uid is None, "the assigned part of a spread is no wheel"


def test_a_close_of_something_older_than_the_history_makes_no_chain(story: Story) -> None:
    story.strategy("A", "SHORT_PUT", [(PUT, 1, "1")], 0, action="CLOSE", chain=None)
    told = tell(story.family)
    assert (len(told.strategies), told.chains) == (1, [])


def test_an_order_that_closes_contracts_of_another_chain_is_told_there_too(story: Story) -> None:
    sell_put(story, "A", 0)
    sell_put(story, "B", 1)
    story.strategy("C", "SHORT_PUT", [(PUT, 2, "1")], 2, action="CLOSE", chain="A")
    rows = chains(story)
    assert [row.status for row in rows.values()] == [ChainStatus.CLOSED] * 2
    assert [row.net_premium for row in rows.values()] == [D(-50), D(150)], "its premium counts once"
    assert events(rows["B"]) == ["OPEN", "CLOSE"]


# Wheels ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def wheel(story: Story) -> Story:
    """A put assigned, a call expired, a call that takes the shares away, and a put after the end."""
    sell_put(story, "A", 0)
    story.deliver("a", PUT, 1, 100, 18)
    story.strategy("B", "COVERED_CALL", [(option(C, 62, LATER), -1, "1")], 20)
    story.expire("b", option(C, 62, LATER), 1, 46)
    story.strategy("C", "COVERED_CALL", [(option(C, 63, LATER), -1, "0.8")], 22)
    story.deliver("c", option(C, 63, LATER), 1, -100, 46)
    story.strategy("D", "SHORT_PUT", [(option(P, 61, LATER), -1, "1")], 47)
    return story


def test_a_wheel_joins_the_assigned_put_and_the_calls_on_its_shares_until_they_are_called_away(wheel: Story) -> None:
    rows = chains(wheel)
    assert {uid: (row.wheel_uid, row.wheel_stage) for uid, row in rows.items()} == {
        "A": ("A", WheelStage.ASSIGNED),
        "B": ("A", WheelStage.COVERED_CALL),
        "C": ("A", WheelStage.CALLED_AWAY),
        "D": (None, None),
    }
    assert [row.status for row in rows.values()] == [
        ChainStatus.ASSIGNED, ChainStatus.EXPIRED, ChainStatus.ASSIGNED, ChainStatus.OPEN,
    ]  # fmt: skip
    assert rows["A"].stock_held == 0


def test_shares_that_an_option_delivered_belong_to_its_chain(wheel: Story) -> None:
    wheel.gain("a" + "S", "c" + "S", "530")
    told = tell(wheel.family)
    row = next(row for row in told.chains if row.chain_uid == "A")
    assert (row.realized_pnl, row.stock_pnl, row.pieces) == (D(530), D(530), 1)
    assert row.events[-1]["realized"] == "530"
    assert [(gain.chain_uid, gain.delivered) for gain in told.gains] == [("A", True)]


def test_a_put_sold_while_the_wheel_holds_shares_belongs_to_it_and_one_sold_before_does_not(story: Story) -> None:
    story.strategy("O", "SHORT_PUT", [(option(P, 50, LATER), -1, "1")], 0)
    sell_put(story, "A", 1)
    story.deliver("a", PUT, 1, 100, 18)
    story.strategy("B", "SHORT_PUT", [(option(P, 55, LATER), -1, "1")], 20)
    rows = chains(story)
    assert (rows["B"].wheel_uid, rows["B"].wheel_stage) == ("A", WheelStage.CSP)
    assert rows["O"].wheel_uid is None


def test_a_wheel_ends_when_its_shares_are_sold(story: Story) -> None:
    sell_put(story, "A", 0)
    story.deliver("a", PUT, 1, 100, 18)
    story.strategy("S", "LONG_STOCK", [(STOCK, -100, "59")], 20, action="CLOSE", chain=None)
    story.strategy("B", "COVERED_CALL", [(option(C, 62, LATER), -1, "1")], 21)
    rows = chains(story)
    assert (rows["A"].stock_held, rows["B"].wheel_uid) == (D(0), None)
    assert events(rows["A"]) == ["OPEN", "ASSIGNMENT", "ASSIGNMENT", "CLOSE"]


# Gains ----------------------------------------------------------------------------------------------------------


def test_a_gain_belongs_to_the_chain_that_opened_the_piece_and_not_to_the_one_that_closed_it(story: Story) -> None:
    sell_put(story, "A", 0)
    sell_put(story, "B", 1)
    story.strategy("C", "SHORT_PUT", [(PUT, 1, "1")], 2, action="CLOSE", chain="B")
    story.gain("A0", "C0", "48")
    rows = chains(story)
    assert (rows["A"].realized_pnl, rows["B"].realized_pnl) == (D(48), D(0))


def test_a_piece_of_an_order_in_two_strategies_is_split_to_the_cent_and_the_sum_stays(story: Story) -> None:
    for uid, qty in (("A", -1), ("B", -1), ("C", -1)):
        story.member("o", uid, "SHORT_PUT", "OPEN", qty, at(0).date(), uid)
    story.fill("o", PUT, -3, "1.5", at(0), order_uid="o")
    story.gain("o", "x", "100.00")
    told = tell(story.family)
    assert [gain.amount for gain in told.gains] == [D("33.34"), D("33.33"), D("33.33")]
    assert total(told) == D(100)


def test_pieces_that_nobody_known_opened_or_in_another_currency_belong_to_no_chain(story: Story) -> None:
    sell_put(story, "A", 0)
    story.gain(None, "x", "7")
    story.gain("gone", "x", "8")
    story.gain("A0", "x", "9", currency="EUR")
    assert tell(story.family).gains == []
    story.gain("A0", "x", "10")
    assert [gain.amount for gain in tell(story.family).gains] == [D(10)], "control"


def test_a_piece_without_a_basis_is_counted_and_never_taken_for_zero(story: Story) -> None:
    sell_put(story, "A", 0)
    story.gain("A0", "x", None)
    row = chains(story)["A"]
    assert (row.realized_pnl, row.pieces, row.pieces_unknown) == (None, 1, 1)
    story.gain("A0", "x", "5")
    row = chains(story)["A"]
    assert (row.realized_pnl, row.pieces, row.pieces_unknown) == (D(5), 2, 1)
