"""One broker's failure: said in one line, retried only where nobody waits, and never the other broker's problem."""

import dagster as dg
import pytest

from apex_pipeline.domain.reconciliation import CHECKS
from apex_pipeline.orchestration import failures
from apex_pipeline.orchestration.location import definitions
from tests.orchestration.conftest import FIRST, LAST, Place, keys

START, RETRY = dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_UP_FOR_RETRY
RAW = {"futu": "orders_raw_futu", "ib": "orders_raw_ib"}
STEPS = {"futu": "futu_history", "ib": "ib_history"}
BROKERS_ROWS = "SELECT count(*) FROM orders_norm WHERE broker = %s"


def attempts(place: Place, run_id: str, step: str) -> int:
    """How often a step was begun."""
    restarts = place.events(run_id, dg.DagsterEventType.STEP_RESTARTED)
    return len([event for event in (*place.events(run_id, START), *restarts) if event.step_key == step])


def stop(place: Place, broker: str) -> None:
    (place.futu if broker == "futu" else place.flex).stop()


def orders_of(place: Place, broker: str) -> int:
    with place.db.autocommit() as cursor:
        cursor.execute(BROKERS_ROWS, (broker.upper(),))
        ((count,),) = cursor.fetchall()
    return int(count)


@pytest.mark.parametrize(("broken", "whole"), [("futu", "ib"), ("ib", "futu")])
def test_a_broker_that_is_away_fails_its_own_load_only(place: Place, broken: str, whole: str) -> None:
    stop(place, broken)
    first, second = place.run()
    assert list(first.errors) == [STEPS[broken]]
    (line,) = first.errors.values()
    assert line == line.strip()
    assert "\n" not in line
    assert "Traceback" not in line
    assert (first.succeeded, second.succeeded) == (False, True)
    assert attempts(place, first.run_id, STEPS[broken]) == 1
    assert place.events(first.run_id, RETRY) == []
    assert place.materialized(RAW[whole]) == set(keys())
    assert place.materialized(RAW[broken]) == set()
    for asset in ("orders_norm", "order_strategy_map", "recon_breaks"):
        assert place.materialized(asset) == set(keys())
    assert orders_of(place, whole) > 0
    assert orders_of(place, broken) == 0
    for check in CHECKS:
        assert place.check_status(check) == dict.fromkeys(keys(), "SUCCEEDED")


def test_a_run_that_nobody_waits_for_tries_a_dead_connection_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above: the count of attempts does see retries."""
    monkeypatch.setattr(failures, "RETRY_SECONDS", 0)
    place.futu.stop()
    result = (
        definitions()
        .resolve_job_def("daily_job")
        .execute_in_process(
            instance=place.instance,
            raise_on_error=False,
            asset_selection=[dg.AssetKey(name) for name in ("orders_raw_futu", "trades_raw_futu", "fees_raw_futu")],
            tags={
                "dagster/asset_partition_range_start": FIRST.isoformat(),
                "dagster/asset_partition_range_end": LAST.isoformat(),
            },
        )
    )
    assert not result.success
    assert attempts(place, result.run_id, "futu_history") == 1 + failures.RETRIES


def test_both_brokers_away_fail_with_a_line_each(place: Place) -> None:
    stop(place, "futu")
    stop(place, "ib")
    outcomes = place.run()
    said = {step: line for outcome in outcomes for step, line in outcome.errors.items()}
    assert said.keys() == set(STEPS.values())
    assert not any(outcome.succeeded for outcome in outcomes)
    assert place.materialized("orders_norm") == set()
