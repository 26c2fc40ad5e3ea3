"""Strategies of a whole loaded world: every order and position has one, and what a person said stays."""

from datetime import timedelta
from typing import Any

import pytest

from apex_pipeline.domain.checks import CheckName
from apex_pipeline.pipeline import classify_strategies
from apex_pipeline.store.repositories.breaks import BreakRepository
from apex_pipeline.store.repositories.corrections import CorrectionRepository
from tests.pipeline.conftest import Stage, World, written_rows
from tests.store.rows import query, tables_hash

TABLES = ("order_strategy_map", "strategy_positions", "strategy_families", "strategy_changes")
CHECKS = [
    CheckName.EVERY_FILLED_ORDER_BELONGS_TO_A_STRATEGY,
    CheckName.EVERY_POSITION_BELONGS_TO_STRATEGIES,
    CheckName.CONFIDENCE_DOES_NOT_DRIFT,
    CheckName.OUR_READING_AGREES_WITH_THE_BROKERS_LABEL,
]


def of_orders(world: World, uids: list[str]) -> list[tuple[Any, ...]]:
    """Type, action, method and confidence of these orders."""
    return query(
        world.db.url,
        "SELECT DISTINCT strategy_type, action, method, confidence FROM order_strategy_map WHERE order_uid = ANY (%s)",
        uids,
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.value)
def test_every_check_compares_something_and_finds_nothing(loaded: World, check: CheckName) -> None:
    repository, days = BreakRepository(loaded.db), (loaded.scenario.start, loaded.today)
    assert repository.findings(check, *days) == []
    assert sum(repository.subjects(check, *days).values()) > 0


def test_a_second_run_writes_no_row_and_keeps_no_trail(loaded: World) -> None:
    written = written_rows(loaded.db.url, TABLES)
    assert written["strategy_positions"]
    assert written["strategy_families"]
    loaded.run(loaded.ask(force=True))
    assert written_rows(loaded.db.url, TABLES) == written


def test_history_that_comes_in_two_parts_ends_as_one_load_does(stage: Stage, loaded: World, empty_clone: str) -> None:
    """The newer half first: what it reads as openings may be closes of what the older half tells."""
    parts = stage.world(loaded.scenario, empty_clone)
    middle = loaded.scenario.start + (loaded.today - loaded.scenario.start) / 2
    parts.run(parts.ask(middle + timedelta(days=1)))
    names = ("order_strategy_map", "strategy_positions")
    newer = query(parts.db.url, "SELECT max(changed_at) FROM strategy_changes")
    parts.run(parts.ask(last=middle))
    parts.derive()
    assert newer == [(None,)]
    assert tables_hash(parts.db.url, names) == tables_hash(loaded.db.url, names)


def test_a_correction_survives_everything_that_is_loaded_and_classified_later(loaded: World) -> None:
    ((uids,),) = query(
        loaded.db.url,
        "SELECT array_agg(order_uid ORDER BY order_uid) FROM order_strategy_map WHERE action = 'OPEN' "
        "GROUP BY strategy_uid HAVING count(*) > 1 ORDER BY min(trade_date) LIMIT 1",
    )
    before = tables_hash(loaded.db.url, ("order_strategy_map",))
    correction, day = CorrectionRepository(loaded.db).correct(uids, "CUSTOM_MULTI_LEG", "OPEN", None, None)
    assert classify_strategies(loaded.db, day, day).changed > 0
    pinned = of_orders(loaded, uids)
    assert pinned == [("CUSTOM_MULTI_LEG", "OPEN", "manual", 1)]
    assert query(loaded.db.url, "SELECT stage FROM dirty_days WHERE stage = 'value'"), "results by strategy are due"
    loaded.run(loaded.ask(force=True))
    query(loaded.db.url, "UPDATE strategy_families SET classifier_version = 'old'")
    loaded.derive()
    assert of_orders(loaded, uids) == pinned
    assert loaded.breaks() == []
    CorrectionRepository(loaded.db).revoke(correction.correction_uid)
    classify_strategies(loaded.db, day, day)
    assert tables_hash(loaded.db.url, ("order_strategy_map",)) == before
