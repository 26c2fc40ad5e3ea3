"""Checks cry wolf never: where everything that both brokers tell agrees, no break is open or explained."""

from pathlib import Path

import pytest

from apex_pipeline.domain.checks import CHECKS, CheckName
from apex_pipeline.pipeline import reconcile_days
from tests.faults.clean_worlds import CLEAN_WORLDS, QUICK, SLOW, CleanWorld, Way, load, told
from tests.store.rows import query

NOTHING_TO_COMPARE = {
    CheckName.TOLD_STATEMENTS_STAY_AS_THEY_WERE: "no statement is told twice",
    CheckName.EVERY_PROVISIONAL_TRADE_IS_CONFIRMED: "TWS tells nothing",
    CheckName.NO_ORDER_LEAVES_A_FINAL_STATUS: "no order is told twice",
    CheckName.REALIZED_PNL_FITS_FUTUS_COSTS: "the scenario's OpenD tells one cost twice",
    CheckName.DAY_TRADES_EQUAL_THE_BROKERS_COUNT: "the scenario's OpenD tells no count of day trades",
    CheckName.EVERY_BAR_IS_IN_A_SESSION: "no bars are stored",
    CheckName.NO_BAR_IS_MISSING: "no bars are stored",
    CheckName.EVERY_BAR_HAS_A_POSSIBLE_SHAPE: "no bars are stored",
    CheckName.FILL_PRICES_ARE_INSIDE_THEIR_BARS: "no bars are stored",
    CheckName.SIGNALS_ARE_UNIQUE_AND_STABLE: "no signals are stored",
    CheckName.SNAPSHOTS_EQUAL_THE_LEDGER: "no snapshots were taken",
    CheckName.WARM_START_EQUALS_COLD_START: "no snapshots were taken",
}
"""Checks that find nothing to compare in a scenario, so that their silence says nothing here, and why."""

NOT_CLOSED = (
    "SELECT check_name, state, account_id, business_date, subject, expected, actual, cause, evidence "
    "FROM recon_breaks WHERE state <> 'CLOSED' OR %s ORDER BY 1, 4, 5"
)
WRITTEN = "SELECT ctid::text, xmin::text, b::text FROM recon_breaks b ORDER BY break_uid"


@pytest.mark.parametrize(
    "clean",
    [*QUICK, *(pytest.param(one, marks=[pytest.mark.slow, pytest.mark.timeout(1500)]) for one in SLOW)],
    ids=str,
)
def test_a_clean_world_opens_no_break_and_reconciles_the_same_twice(
    clean: CleanWorld, database_url: str, tmp_path: Path
) -> None:
    with told(clean, database_url, tmp_path) as world:
        load(clean, world)
        assert query(database_url, NOT_CLOSED, clean.stays_silent) == []
        before = query(database_url, WRITTEN)
        assert world.derive().breaks.changed == 0
        assert query(database_url, WRITTEN) == before


def test_a_world_that_lost_a_row_is_no_clean_world(database_url: str, tmp_path: Path) -> None:
    with told(QUICK[0], database_url, tmp_path) as world:
        load(QUICK[0], world)
        query(database_url, "DELETE FROM trades_norm WHERE trade_uid = (SELECT max(trade_uid) FROM trades_norm)")
        reconcile_days(world.db, world.scenario.start, world.today)
    assert query(database_url, NOT_CLOSED, QUICK[0].stays_silent)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_silence_is_not_that_nothing_was_compared(database_url: str, tmp_path: Path) -> None:
    clean = next(one for one in SLOW if one.extras and one.by_day and one.way is Way.AT_ONCE)
    with told(clean, database_url, tmp_path) as world:
        load(clean, world)
        counted = world.derive().compared
    compared = {one.check_name for one in counted if one.compared}
    assert {check for check in CHECKS if check not in compared} <= NOTHING_TO_COMPARE.keys()


def test_there_are_twenty_worlds_and_no_two_alike() -> None:
    assert len(CLEAN_WORLDS) == len({one.seed for one in CLEAN_WORLDS}) >= 20
    assert {one.way for one in CLEAN_WORLDS} == set(Way)
    assert (min(one.orders for one in CLEAN_WORLDS), max(one.orders for one in CLEAN_WORLDS)) == (20, 400)
    assert (min(one.days for one in CLEAN_WORLDS), max(one.days for one in CLEAN_WORLDS)) == (30, 400)
    assert {one.end.isoweekday() for one in CLEAN_WORLDS} == set(range(1, 8))
