"""An engine that is killed at any moment recovers what it had acknowledged, or the change in flight: nothing else."""

from random import Random
from typing import Any

import pytest

from tests.live.killed_engine import engine_code, killed, signals, stored, truths
from tests.store.rows import query

FEW, MANY = 15, 300
SIGNALS = 60
LONGEST_SECONDS = 0.12


def kill_and_compare(url: str, kills: int, seed: int) -> list[int]:
    """How many signals each life of the engine had handled when it was killed."""
    code, draw = engine_code(), Random(seed)
    made = signals(seed, SIGNALS)
    expected = truths(made)
    ends: list[int] = []
    count = 0
    for _ in range(kills):
        # a restarted engine is told all signals again and acknowledges the old ones as well
        acknowledged = max(count, killed(code, url, made, draw.uniform(0, LONGEST_SECONDS)))
        found = stored(url)
        count = found[3]
        assert count in (acknowledged, acknowledged + 1)
        assert found == expected[count]
        ends.append(count)
        if count == len(made):
            _begin_again(url)
            count = 0
    return ends


def _begin_again(url: str) -> None:
    tables = "portfolio_positions, portfolio_state, pyramiding_state, signal_log"
    query(url, f"TRUNCATE {tables} CASCADE")


def test_an_engine_that_is_killed_recovers_what_it_acknowledged_or_the_change_in_flight(database_url: str) -> None:
    ends = kill_and_compare(database_url, FEW, seed=7)
    assert len(set(ends)) > 2, "control: it is killed at different places"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_three_hundred_kills_at_random_moments_lose_nothing_and_mix_nothing(database_url: str) -> None:
    ends = kill_and_compare(database_url, MANY, seed=11)
    assert len(set(ends)) > 20, "control: it is killed at different places"


def test_an_engine_that_stores_in_parts_would_be_caught(database_url: str) -> None:
    code: dict[str, Any] = engine_code()
    made = signals(7, SIGNALS)
    engine = code["Engine"](database_url)
    engine.state.log_signal(made[0]["id"], made[0]["type"], made[0]["instrument"], made[0])
    assert stored(database_url) != truths(made)[1]
    engine.state.close()
