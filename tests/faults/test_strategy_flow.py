"""The flow that the classifier is judged by holds what it promises, and its measures tell right from wrong."""

import json
import subprocess
import sys
from collections import Counter
from copy import deepcopy
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.faults.strategy_flow import make
from tests.faults.strategy_flow_file import file_of
from tests.faults.strategy_flow_market import ZONES, Paper, segments
from tests.faults.strategy_flow_rules import by_window
from tests.faults.strategy_flow_score import report, score
from tests.faults.strategy_flow_shapes import name_of

Json = dict[str, Any]
APEX = Path(sys.executable).parent / "apex"
LEVELS = ("L0", "L1", "L2", "L3")


@cache
def told(level: str, seed: int = 1, linkage: float = 0.0) -> Json:
    return file_of(make(level, seed, 400, linkage))


def orders(flow: Json) -> dict[str, Json]:
    return {row["order_id"]: row for row in flow["input"]["orders"]}


def paper_of(row: Json) -> Paper:
    strike = Decimal(str(row["strike"])) if "strike" in row else None
    return Paper(row["underlying"], row["type"], strike, date.fromisoformat(row["expiry"]) if "expiry" in row else None)


def signed(row: Json, column: str) -> int:
    return int(row[column]) if row["side"] == "BUY" else -int(row[column])


def wanted(group: Json, flow: Json) -> dict[Paper, int]:
    """The ordered legs of a truth group."""
    found: Counter[Paper] = Counter()
    for key in group["orders"]:
        row = orders(flow)[key]
        found[paper_of(row)] += signed(row, "qty")
    return dict(found)


def spot_on(flow: Json, row: Json) -> Decimal | None:
    day = row["order_time"][:10]
    spots = {(one["date"], one["underlying"]): one["spot"] for one in flow["input"]["spots"]}
    return Decimal(str(spots[day, row["underlying"]])) if (day, row["underlying"]) in spots else None


def true_predictions(flow: Json) -> Json:
    return {
        key: {"group": one["group"], "type": one["type"], "action": one["action"], "confidence": 1.0}
        for one in flow["truth"]
        for key in one["orders"]
    }


def misnamed(flow: Json) -> list[str]:
    """Groups of options alone, opened as one idea, whose orders do not have the shape of their type."""
    wrong: list[str] = []
    for one in flow["truth"]:
        row = orders(flow)[one["orders"][0]]
        if one["action"] == "OPEN" and not {"overwrite", "hedge"} & set(one["tags"]):
            lot = max(orders(flow)[key]["lot"] for key in one["orders"])
            name = name_of(wanted(one, flow), lot, spot_on(flow, row))
            if name != one["type"] and "DIAGONAL" not in one["type"]:
                wrong.append(f"{one['group']} {one['type']} {name}")
    return wrong


def overreaching(flow: Json) -> list[str]:
    """Orders that close more than is held, or open against what is held."""
    held: Counter[tuple[str, Paper]] = Counter()
    for row in flow["input"]["positions_open"]:
        held[row["account"], paper_of(row)] += row["qty"]
    actions = {key: one["action"] for one in flow["truth"] for key in one["orders"]}
    wrong: list[str] = []
    for row in flow["input"]["orders"]:
        key, before = (row["account"], paper_of(row)), held[row["account"], paper_of(row)]
        held[key] += signed(row, "filled_qty")
        against = before * signed(row, "qty") < 0
        crossed = before * held[key] < 0
        if (
            crossed
            or (actions[row["order_id"]] == "OPEN" and against)
            or (actions[row["order_id"]] == "CLOSE" and not against)
        ):
            wrong.append(row["order_id"])
    return wrong


def tagged(flow: Json, tag: str) -> float:
    return sum(tag in one["tags"] for one in flow["truth"]) / len(flow["truth"])


def test_equal_arguments_give_an_equal_flow_and_another_seed_another() -> None:
    assert file_of(make("L2", 5, 60, 0.6)) == file_of(make("L2", 5, 60, 0.6))
    assert file_of(make("L2", 5, 60, 0.6)) != file_of(make("L2", 6, 60, 0.6))


@pytest.mark.parametrize("level", LEVELS)
def test_every_order_has_one_true_group_and_its_fills_are_its_filled_quantity(level: str) -> None:
    flow = told(level)
    rows, owners = orders(flow), Counter(key for one in flow["truth"] for key in one["orders"])
    filled: Counter[str] = Counter()
    for fill in flow["input"]["fills"]:
        filled[fill["order_id"]] += fill["qty"]
    assert set(owners) == set(rows)
    assert set(owners.values()) == {1}
    assert dict(filled) == {key: row["filled_qty"] for key, row in rows.items()}
    assert all(0 < row["filled_qty"] <= row["qty"] for row in rows.values())


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_opened_has_the_shape_of_its_type(level: str) -> None:
    assert misnamed(told(level)) == []


def test_a_leg_of_the_other_side_would_be_noticed() -> None:
    flow = deepcopy(told("L0"))
    spread = next(one for one in flow["truth"] if one["type"] == "BULL_PUT_SPREAD" and one["action"] == "OPEN")
    orders(flow)[spread["orders"][0]]["side"] = "BUY"
    orders(flow)[spread["orders"][1]]["side"] = "BUY"
    assert misnamed(flow) == [f"{spread['group']} BULL_PUT_SPREAD None"]


@pytest.mark.parametrize("level", LEVELS)
def test_nobody_closes_more_than_is_held_or_opens_against_it(level: str) -> None:
    assert overreaching(told(level)) == []


def test_a_close_without_a_position_would_be_noticed() -> None:
    flow = deepcopy(told("L1"))
    close = next(one for one in flow["truth"] if one["type"] == "LONG_STOCK" and one["action"] == "CLOSE")
    flow["input"]["positions_open"] = []
    assert set(close["orders"]) & set(overreaching(flow))


@pytest.mark.parametrize("level", LEVELS)
def test_orders_are_sent_in_open_sessions(level: str) -> None:
    for row in told(level)["input"]["orders"]:
        sent = datetime.fromisoformat(row["order_time"])
        pieces = segments(row["market"], sent.astimezone(ZONES[row["market"]]).date())
        assert any(start <= sent <= end for start, end in pieces), row


def test_the_levels_are_as_harsh_as_they_are_described() -> None:
    shares = {level: {tag: tagged(told(level), tag) for tag in ("partial", "overlap", "noise")} for level in LEVELS}
    assert shares["L0"] == {"partial": 0, "overlap": 0, "noise": 0}
    for tag in ("partial", "overlap", "noise"):
        assert shares["L1"][tag] < shares["L2"][tag] < shares["L3"][tag]
    for level in LEVELS:
        actions = Counter(one["action"] for one in told(level)["truth"])
        assert 80 <= actions["CLOSE"] <= 150
        assert 20 <= actions["ROLL"] <= 60


def test_a_flow_has_most_of_the_catalogue_and_mostly_what_people_trade() -> None:
    opened = Counter(one["type"] for seed in range(5) for one in told("L1", seed)["truth"] if one["action"] == "OPEN")
    assert len(opened) > 60
    assert sum(count for _, count in opened.most_common(12)) > 0.6 * opened.total()


def test_six_of_ten_combinations_are_declared_and_no_single_order_is() -> None:
    flow = told("L2", 1, 0.6)
    several = [one for one in flow["truth"] if len(one["orders"]) > 1]
    declared = [one for one in several if all("combo_id" in orders(flow)[key] for key in one["orders"])]
    assert 0.5 < len(declared) / len(several) < 0.7
    alone = [one for one in flow["truth"] if len(one["orders"]) == 1]
    assert not any("combo_id" in orders(flow)[key] for one in alone for key in one["orders"])


def test_a_cold_start_tells_what_was_held_and_a_blind_one_does_not() -> None:
    flow = make("L1", 1, 200, 0.0)
    whole, cold, blind = file_of(flow), file_of(flow, 80), file_of(flow, 80, blind=True)
    assert [one["group"] for one in cold["truth"]] == [one["group"] for one in whole["truth"]][80:]
    assert {row["order_id"] for row in cold["input"]["orders"]} == {
        key for one in cold["truth"] for key in one["orders"]
    }
    assert any(row["type"] != "stock" for row in cold["input"]["positions_open"])
    assert blind["input"]["positions_open"] == []
    assert blind["input"]["orders"] == cold["input"]["orders"]


def test_the_truth_scores_one_everywhere() -> None:
    figures = score(told("L3"), true_predictions(told("L3"))).figures
    assert {key for key, value in figures.items() if value != 1} == {
        "groups",
        "orders",
        "ECE",
        "Brier",
        "log loss",
        "AURC",
    }
    assert figures["ECE"] == figures["Brier"] == figures["AURC"] == 0


def test_a_wrong_action_a_wrong_type_and_a_torn_group_each_cost_their_group() -> None:
    flow, said = told("L0"), true_predictions(told("L0"))
    pair = next(one for one in flow["truth"] if len(one["orders"]) == 2 and one["action"] == "OPEN")
    for change in ({"action": "CLOSE"}, {"type": "LONG_BOX"}, {"group": "torn"}):
        spoilt = deepcopy(said)
        spoilt[pair["orders"][0]] |= change
        assert score(flow, spoilt).figures["strict"] == pytest.approx(399 / 400)


def test_orders_without_a_prediction_are_wrong_with_confidence_zero() -> None:
    flow, said = told("L0"), true_predictions(told("L0"))
    for key in flow["truth"][0]["orders"]:
        del said[key]
    made = score(flow, said)
    assert made.figures["strict"] == pytest.approx(399 / 400)
    assert made.reliability[0] == (len(flow["truth"][0]["orders"]), 0.0, 0.0)


def test_a_constant_confidence_is_found_out() -> None:
    flow, said = told("L0"), true_predictions(told("L0"))
    for row in said.values():
        row["confidence"] = 0.65
    assert score(flow, said).figures["ECE"] == pytest.approx(0.35)


@pytest.mark.parametrize(
    ("level", "low", "high"), [("L0", 0.4, 0.7), ("L1", 0.25, 0.45), ("L2", 0.1, 0.27), ("L3", 0.05, 0.18)]
)
def test_the_usual_rules_fail_here_as_they_do_elsewhere(level: str, low: float, high: float) -> None:
    found = [score(one, by_window(one["input"])).figures["strict"] for one in (told(level, seed) for seed in range(3))]
    assert low < sum(found) / len(found) < high


@pytest.mark.slow
@pytest.mark.parametrize("linkage", [0.0, 0.6])
@pytest.mark.parametrize("level", LEVELS)
def test_the_classifier_reads_a_strange_flow(level: str, linkage: float, tmp_path: Path) -> None:
    """Prints the table of one level over three seeds."""
    for seed in (101, 202, 303):
        flow = told(level, seed, linkage)
        asked, answer = tmp_path / f"{seed}.json", tmp_path / f"{seed}-said.json"
        asked.write_text(json.dumps(flow["input"]))
        subprocess.run([APEX, "classify", str(asked), "--out", str(answer)], check=True, timeout=250)
        made = score(flow, json.loads(answer.read_text())["predictions"])
        sys.stdout.write(f"\n{level} linkage {linkage} seed {seed}\n{report(made, 15)}\n")
        assert made.figures["orders"] == len(flow["input"]["orders"])
