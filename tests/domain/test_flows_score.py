"""The measures are what their definitions say, on cases that can be counted by hand."""

import math
import random
from typing import Any

import pytest

from apex_pipeline.domain.flows.generate import TruthGroup, generate
from apex_pipeline.domain.flows.levels import Level
from apex_pipeline.domain.flows.score import PredictedGroup, Score, predicted_groups, score

CONDOR, VERTICAL, CALL = "IRON_CONDOR", "BULL_CALL_SPREAD", "LONG_CALL"


def truth(name: str, orders: str, kind: str, action: str = "OPEN", *tags: str) -> TruthGroup:
    """A truth group; each letter of `orders` is one order."""
    return TruthGroup(name, frozenset(orders), kind, action, None, None, frozenset(tags))


def said(
    group: str, kind: str, action: str | None = "OPEN", confidence: float | None = 1.0, **more: Any
) -> dict[str, Any]:
    return {"group": group, "type": kind, "action": action, "confidence": confidence, "alternatives": [], **more}


def answers(**groups: tuple[str, str, str | None, float]) -> dict[str, dict[str, Any]]:
    """`g=("ab", type, action, confidence)` as `apex classify` would write it."""
    return {
        order: said(name, kind, action, sure)
        for name, (orders, kind, action, sure) in groups.items()
        for order in orders
    }


TRUTH = (truth("1", "abcd", CONDOR), truth("2", "ef", VERTICAL, "CLOSE", "partial"), truth("3", "g", CALL))


def exactly(made: tuple[TruthGroup, ...]) -> dict[str, dict[str, Any]]:
    return {order: said(group.group, group.type, group.action) for group in made for order in group.orders}


def assert_perfect(found: Score) -> None:
    assert found.strict.value == found.strict_multi.value == found.types.value == found.families.value == 1
    assert found.groups.f1 == found.groups_multi.f1 == found.pairs.f1 == found.precision_at_80 == 1
    assert found.ece == found.brier == found.aurc == 0
    assert found.log_loss == pytest.approx(0, abs=1e-5)


def test_the_truth_itself_is_perfect() -> None:
    assert_perfect(score(TRUTH, exactly(TRUTH)))


@pytest.mark.parametrize("level", list(Level))
def test_the_truth_of_a_generated_flow_is_perfect(level: Level) -> None:
    made = generate(level, 2, 200, 0.5)
    assert_perfect(score(made.truth, exactly(made.truth)))


def test_groups_of_one_order_find_exactly_the_groups_of_one_order() -> None:
    made = generate(Level.L2, 2, 400)
    kinds = {order: (group.type, group.action) for group in made.truth for order in group.orders}
    found = score(made.truth, {order: said(order, *kind) for order, kind in kinds.items()})
    alone = sum(len(group.orders) == 1 for group in made.truth)
    assert found.strict.hits == alone
    assert found.strict_multi.value == 0
    assert found.types.value == 1
    assert (found.groups.found, found.groups.said, found.groups.there) == (alone, len(kinds), len(made.truth))
    assert (found.pairs.said, found.pairs.f1, found.pairs.precision) == (0, 0, None)
    assert found.ece == pytest.approx(1 - alone / len(kinds))


def test_a_wrong_action_is_not_strict_but_an_unspoken_one_is() -> None:
    wrong = score(TRUTH, answers(x=("ef", VERTICAL, "OPEN", 0.9)))
    silent = score(TRUTH, answers(x=("ef", VERTICAL, None, 0.9)))
    assert (wrong.by_action["CLOSE"].hits, silent.by_action["CLOSE"].hits) == (0, 1)
    assert [item.accuracy for item in wrong.reliability if item.low == 0.9] == [1]


def test_a_wrong_type_or_one_order_more_or_less_is_not_strict() -> None:
    for orders, kind in (("ef", CONDOR), ("efg", VERTICAL), ("e", VERTICAL)):
        assert score(TRUTH, answers(x=(orders, kind, "CLOSE", 0.9))).by_size[2].hits == 0


def test_orders_nobody_speaks_of_are_unclassified_groups_of_their_own() -> None:
    found = score(TRUTH, {})
    assert (found.strict.hits, found.strict.total) == (0, 3)
    assert (found.groups.found, found.groups.said) == (1, 7)
    assert (found.types.hits, found.types.total) == (0, 7)
    assert found.ece == found.brier == 0


def test_what_is_said_of_unfilled_orders_is_left_out() -> None:
    assert_perfect(score(TRUTH, exactly(TRUTH) | {"z": said("1", CONDOR), "y": said("other", CALL, "OPEN", 0.5)}))


def test_shares_are_told_by_action_size_tag_and_type() -> None:
    found = score(TRUTH, answers(x=("abcd", CONDOR, "OPEN", 1.0), y=("ef", CONDOR, "CLOSE", 1.0)))
    assert {name: item.hits for name, item in found.by_action.items()} == {"CLOSE": 0, "OPEN": 1}
    assert {size: (item.hits, item.total) for size, item in found.by_size.items()} == {1: (0, 1), 2: (0, 1), 4: (1, 1)}
    assert {tag: item.total for tag, item in found.by_tag.items()} == {"partial": 1}
    assert found.by_type[CONDOR].value == 1


def test_pairs_count_orders_that_share_a_group() -> None:
    found = score(TRUTH, answers(x=("abe", CONDOR, "OPEN", 1.0), y=("cd", CONDOR, "OPEN", 1.0)))
    assert (found.pairs.found, found.pairs.said, found.pairs.there) == (2, 4, 7)
    assert found.pairs.precision == 0.5
    assert found.pairs.recall == pytest.approx(2 / 7)


def test_families_are_looser_than_types() -> None:
    found = score(TRUTH, answers(x=("ef", "BEAR_CALL_SPREAD", "CLOSE", 1.0)))
    assert (found.types.hits, found.families.hits) == (0, 2)


def test_confidence_is_judged_in_ten_bins() -> None:
    """Right at .9 and .95, wrong at .55 and 0: bins .9 (2 groups), .5 and 0 (1 each)."""
    known = (truth("1", "a", CALL), truth("2", "b", CALL), truth("3", "c", CALL), truth("4", "d", CALL))
    given = [
        (name, CALL if name in "ab" else VERTICAL, sure)
        for name, sure in zip("abcd", (0.9, 0.95, 0.55, 0.0), strict=True)
    ]
    found = score(known, {name: said(name, kind, "OPEN", sure) for name, kind, sure in given})
    assert [(item.low, item.count, item.accuracy) for item in found.reliability] == [
        (0, 1, 0),
        (0.5, 1, 0),
        (0.9, 2, 1),
    ]
    assert found.ece == pytest.approx((2 * 0.075 + 0.55) / 4)
    assert found.brier == pytest.approx((0.01 + 0.0025 + 0.3025) / 4)
    assert found.log_loss == pytest.approx(-(math.log(0.9) + math.log(0.95) + math.log(0.45)) / 4, abs=1e-4)
    assert found.precision_at_80 == 0.5
    assert found.aurc == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)


def test_full_confidence_belongs_to_the_last_bin() -> None:
    assert [item.low for item in score(TRUTH, exactly(TRUTH)).reliability] == [0.9]


def test_precision_at_80_leaves_the_least_sure_fifth_out() -> None:
    known = tuple(truth(name, name, CALL) for name in "abcde")
    given = {
        name: said(name, CALL if name != "e" else VERTICAL, "OPEN", 0.5 if name == "e" else 0.9) for name in "abcde"
    }
    assert score(known, given).precision_at_80 == 1


def test_equal_confidences_count_by_their_mean_whatever_the_order() -> None:
    known = tuple(truth(name, name, CALL) for name in "abcde")
    given = {name: said(name, CALL if name != "a" else VERTICAL, "OPEN", 0.9) for name in "abcde"}
    backwards = dict(reversed(given.items()))
    assert score(known, given) == score(known[::-1], backwards)
    assert score(known, given).precision_at_80 == pytest.approx(0.8)


def test_the_confidence_of_a_group_is_the_mean_over_its_orders() -> None:
    given = {"e": said("x", VERTICAL, "CLOSE", 0.4), "f": said("x", VERTICAL, "CLOSE", 0.8)}
    (group,) = predicted_groups(given)
    assert (group.orders, group.type, group.action) == (frozenset("ef"), VERTICAL, "CLOSE")
    assert group.confidence == pytest.approx(0.6)


def test_an_order_of_two_groups_is_found_in_both() -> None:
    flip = (truth("1", "a", CALL, "CLOSE"), truth("2", "a", "SHORT_CALL", "OPEN"))
    other = {"group": "y", "type": "SHORT_CALL", "action": "OPEN", "confidence": 0.7}
    assert score(flip, {"a": said("x", CALL, "CLOSE", 0.7)}).strict.hits == 1
    assert score(flip, {"a": said("x", CALL, "CLOSE", 0.7, also_in=[other])}).strict.hits == 2
    assert score(flip, {"a": said("x", CALL, "CLOSE", 0.7, also_in=other)}).strict.hits == 2


def test_an_order_may_name_a_further_group_by_its_id_alone() -> None:
    given = {"a": said("x", CALL, also_in=["y"]), "b": said("y", VERTICAL, "OPEN", 0.8)}
    groups = {group.orders: group for group in predicted_groups(given)}
    assert groups[frozenset("ab")] == PredictedGroup(frozenset("ab"), VERTICAL, "OPEN", 0.8)
    assert groups[frozenset("a")].type == CALL


def test_a_fuller_list_of_groups_replaces_the_predictions() -> None:
    listed = [PredictedGroup(group.orders, group.type, group.action, 1.0) for group in TRUTH]
    assert_perfect(score(TRUTH, {}, listed))


def test_shuffled_input_changes_nothing() -> None:
    made = generate(Level.L1, 2, 200)
    given = list(exactly(made.truth).items())
    given = [(order, answer | {"confidence": (len(answer["type"]) % 7) / 7}) for order, answer in given]
    mixed = list(given)
    random.Random(1).shuffle(mixed)
    assert score(made.truth, dict(given)) == score(made.truth[::-1], dict(mixed))


def test_nothing_at_all_has_unknown_shares() -> None:
    found = score((), {})
    assert found.strict.value is found.groups.f1 is None
    assert found.ece == 0
