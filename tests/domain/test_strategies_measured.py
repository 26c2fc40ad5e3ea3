"""What the engine reaches on flow with known truth: the bounds that no change may fall below.

The figures of record are in docs/strategies.md, from more seeds; these few are the guard in the suite.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from apex_pipeline.domain.flows.generate import Flow, generate
from apex_pipeline.domain.flows.levels import Level
from apex_pipeline.domain.flows.score import Score, score
from apex_pipeline.domain.strategies.order_file import classify_file

SEEDS = (31, 32, 33)
STRICT = {Level.L0: 0.99, Level.L1: 0.94, Level.L2: 0.85, Level.L3: 0.70}
STRICT_LINKED = {Level.L0: 0.99, Level.L1: 0.96, Level.L2: 0.90, Level.L3: 0.77}
ECE = {Level.L0: 0.05, Level.L1: 0.05, Level.L2: 0.05, Level.L3: 0.08}


def scored(flow: Flow) -> Score:
    return score(flow.truth, classify_file(flow.document)["predictions"])


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def strict(items: Sequence[Score]) -> float:
    return sum(item.strict.hits for item in items) / sum(item.strict.total for item in items)


@pytest.mark.parametrize("level", Level)
def test_orders_without_ids_are_grouped_and_named(level: Level) -> None:
    found = [scored(generate(level, seed, 300)) for seed in SEEDS]
    assert strict(found) >= STRICT[level]
    assert mean([item.ece for item in found]) <= ECE[level]


@pytest.mark.parametrize("level", Level)
def test_declared_combinations_help(level: Level) -> None:
    found = [scored(generate(level, seed, 300, linkage=0.6)) for seed in SEEDS]
    assert strict(found) >= STRICT_LINKED[level]
    assert mean([item.ece for item in found]) <= ECE[level]


@pytest.mark.parametrize(("level", "least"), [(Level.L1, 0.97), (Level.L2, 0.90)])
def test_what_it_is_surest_of_is_right(level: Level, least: float) -> None:
    found = [scored(generate(level, seed, 300)) for seed in SEEDS]
    assert mean([item.precision_at_80 for item in found]) >= least


def test_names_without_a_position_book_fall_below_the_bound() -> None:
    """The control: the same answers with every close read as an opening, as tools without a book do."""
    flow = generate(Level.L0, SEEDS[0], 300)
    told = classify_file(flow.document)["predictions"]
    blind = {order: answer | {"action": "OPEN"} for order, answer in told.items()}
    assert strict([score(flow.truth, blind)]) < STRICT[Level.L2]


def test_the_order_of_the_file_does_not_matter() -> None:
    document = generate(Level.L3, SEEDS[0], 200).document
    shuffled: dict[str, Any] = {name: list(rows) for name, rows in document.items()}
    for rows in shuffled.values():
        Random(1).shuffle(rows)
    assert classify_file(shuffled) == classify_file(document)
