"""Fits the calibration that ships with the package: generated flow of many habits, and the labels of people.

The groups that the engine makes are right or wrong; from how sure it was and what they were like follows how
often such groups are right. No seed of these is used to measure.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from apex_pipeline.domain.flows.generate import Flow, generate
from apex_pipeline.domain.flows.levels import Habits, Level, habits_of
from apex_pipeline.domain.strategies.calibration import Features, calibration, fit
from apex_pipeline.domain.strategies.classify import replays
from apex_pipeline.domain.strategies.order_file import read
from apex_pipeline.settings import PROJECT_DIR

LEVELS = (Level.L0, Level.L1, Level.L2, Level.L3, Level.L3)
"""L3 twice: wrong groups are what there is most to learn from."""
SEEDS = range(201, 213)
HARSH_SEEDS = range(221, 245)
"""Flows harder than L3: without them confidences are too high where a day is busier than any level."""
GROUPS = 300
PLACES = 3
TARGET = PROJECT_DIR / "apex_pipeline" / "domain" / "strategies" / "calibration.json"

Sample = tuple[Features, bool]
Truth = Mapping[frozenset[str], str]
"""The type of each group of orders."""


def main(labels: Path | None) -> None:
    """Fit, write the file of the package and say what it was fitted on."""
    generated = [sample for flow in flows() for sample in samples(flow.document, _truth_of(flow))]
    labelled = list(labelled_samples(json.loads(labels.read_text(encoding="utf-8")))) if labels else []
    version = str(int(calibration().version) + 1)
    found = fit([*generated, *labelled], version)
    content = {
        "version": version,
        "fitted_on": {
            "levels": [level.value for level in LEVELS],
            "seeds": [SEEDS[0], SEEDS[-1]],
            "harsh_seeds": [HARSH_SEEDS[0], HARSH_SEEDS[-1]],
            "groups": GROUPS,
            "samples": len(generated),
            "right": sum(right for _, right in generated),
            "labels": len(labelled),
        },
        "coefficients": {name: round(value, PLACES) for name, value in found.coefficients.items()},
    }
    TARGET.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(content, indent=2))


def flows() -> Iterator[Flow]:
    """Flows around every level: each differs from it in several habits."""
    for place, level in enumerate(LEVELS):
        for seed in SEEDS:
            yield generate(level, seed, GROUPS, habits=varied(habits_of(level), Random(f"{place} {seed}")))
    for seed in HARSH_SEEDS:
        yield generate(Level.L3, seed, GROUPS, habits=harsh(habits_of(Level.L3), Random(f"harsh {seed}")))


def varied(habits: Habits, chance: Random) -> Habits:
    """These habits, some of them weaker or stronger."""
    return replace(
        habits,
        jitter=chance.choice((0.6, 1.0, 1.5)),
        overlap=min(0.9, habits.overlap * chance.choice((0.5, 1.0, 1.5))),
        legging=min(0.3, habits.legging * chance.choice((0.5, 1.0, 1.6))),
        strangers=min(0.6, habits.strangers * chance.choice((0.5, 1.0, 1.5))),
        linkage=chance.choice((0.0, 0.0, 0.3, 0.6)),
        thin_tail=chance.choice((0.03, 0.1, 0.2)),
        multi_unit=chance.choice((0.35, 0.6, 0.75)),
    )


def harsh(habits: Habits, chance: Random) -> Habits:
    """These habits of somebody who never pauses, with few sizes: most orders have company that fits."""
    return replace(
        habits,
        overlap=chance.choice((0.8, 0.95)),
        legging=chance.choice((0.3, 0.4)),
        strangers=chance.choice((0.4, 0.6)),
        linkage=chance.choice((0.0, 0.3, 0.6)),
        gap=chance.choice(((5.0, 60.0), (5.0, 120.0))),
        thin_tail=chance.choice((0.1, 0.3)),
        multi_unit=chance.choice((0.3, 0.6)),
        units=chance.choice(((2, 3), (2, 3, 5, 10))),
    )


def samples(content: Mapping[str, Any], truth: Truth, known: frozenset[str] | None = None) -> Iterator[Sample]:
    """The groups that the engine makes of a file, and whether each is right; of `known`, those with such an order."""
    orders, changes, spots = read(content)
    complete = {(order.broker, order.account_id) for order in orders} if "positions_open" in content else ()
    for _, replay in replays(orders, changes, (), spots, complete):
        for group in replay.run():
            members = frozenset(replay.orders[index].order_uid for index in group.quantities)
            if known is None or members & known:
                yield group.features, truth.get(members) == group.reading.strategy_type


def labelled_samples(content: Mapping[str, Any]) -> Iterator[Sample]:
    """What people said of some groups; of the orders beside them nothing is known, so that they teach nothing."""
    truth = {frozenset(str(uid) for uid in row["orders"]): str(row["type"]) for row in content["truth"]}
    return samples(content, truth, _union(truth))


def _truth_of(flow: Flow) -> Truth:
    return {group.orders: group.type for group in flow.truth}


def _union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*sets)
