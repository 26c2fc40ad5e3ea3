"""What Dagster stores of a run: every day of every asset and of every check, and nothing on other days."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pytest

from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.domain.checks import CHECKS, CheckName
from apex_pipeline.orchestration.assets import ASSETS
from apex_pipeline.orchestration.location import definitions
from apex_pipeline.orchestration.resources import Progress
from apex_pipeline.orchestration.running import Outcome, run_range
from apex_pipeline.store.db import Database
from tests.orchestration.conftest import BROKERS, DAYS, FIRST, LAST, Place, keys, made_place

PASSED, FAILED = "SUCCEEDED", "FAILED"
FILLED = CheckName.ORDER_FILLED_QUANTITY_IS_THE_SUM_OF_ITS_TRADES
TOLD = CheckName.COVERED_DAYS_HOLD_WHAT_THE_BROKER_SAYS
COMPLETE = CheckName.RAW_IS_NORMALIZED_PLUS_QUARANTINED
HISTORY_FILLS = 2222
"""OpenD's protocol id of past deals."""


@pytest.fixture(scope="module")
def loaded(
    server_url: str, scenario: Scenario, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Place, Outcome]]:
    """Twenty days of both brokers, loaded in one run; tests here only read, or touch days of their own."""
    with made_place(server_url, scenario, tmp_path_factory.mktemp("loaded")) as place:
        (outcome,) = place.run()
        yield place, outcome


def all_assets() -> set[str]:
    return {key.to_user_string() for asset in ASSETS for key in asset.keys}


def evaluations(place: Place, run_id: str, check: CheckName) -> dict[str | None, dg.AssetCheckEvaluation]:
    found = [
        event.asset_check_evaluation_data for event in place.events(run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    ]
    return {evaluation.partition: evaluation for evaluation in found if evaluation.check_name == check.value}


def table(evaluation: dg.AssetCheckEvaluation) -> list[dict[str, Any]]:
    value = evaluation.metadata["offenders"]
    assert isinstance(value, dg.TableMetadataValue)
    return [dict(record.data) for record in value.records]


def test_a_range_is_one_run_that_succeeds(loaded: tuple[Place, Outcome]) -> None:
    place, outcome = loaded
    assert (outcome.succeeded, outcome.errors, outcome.failed_checks) == (True, {}, [])
    assert [run.run_id for run in place.instance.get_runs()] == [outcome.run_id]


@pytest.mark.parametrize("asset", sorted(all_assets()))
def test_a_range_run_materializes_every_day_of_every_asset(loaded: tuple[Place, Outcome], asset: str) -> None:
    assert loaded[0].materialized(asset) == set(keys())


@pytest.mark.parametrize("check", CHECKS)
def test_a_range_run_stores_a_check_result_for_every_day(loaded: tuple[Place, Outcome], check: CheckName) -> None:
    place, outcome = loaded
    assert place.check_status(check) == dict.fromkeys(keys(), PASSED)
    assert evaluations(place, outcome.run_id, check).keys() == set(keys())


def test_without_its_materialization_a_partitioned_result_is_not_seen(loaded: tuple[Place, Outcome]) -> None:
    """The control of the test above: what Dagster does with an evaluation that names no target."""
    place, outcome = loaded
    day = keys()[0]
    targets = {e.partition: e.target_materialization_data for e in evaluations(place, outcome.run_id, FILLED).values()}
    assert all(target is not None and target.run_id == outcome.run_id for target in targets.values())
    assert len({target.storage_id for target in targets.values() if target}) == len(keys()), day


def test_the_counts_of_a_day_are_the_rows_of_that_day(loaded: tuple[Place, Outcome]) -> None:
    place, outcome = loaded
    events = place.events(outcome.run_id, dg.DagsterEventType.ASSET_MATERIALIZATION)
    told = {
        event.partition: event.materialization.metadata["dagster/partition_row_count"].value
        for event in events
        if event.asset_key == dg.AssetKey("orders_norm")
    }
    expected = dict.fromkeys(keys(), 0)
    for order in place.scenario.orders:
        if order.broker == "FUTU" or order.fills:
            expected[order.trade_date.isoformat()] += 1
    assert told == expected
    assert 0 in told.values(), "a day without data materializes too"
    assert sum(told.values()) > 0


def test_a_run_of_one_day_stores_that_day_only(place: Place) -> None:
    day = LAST - timedelta(days=1)
    (outcome,) = place.run((day, day))
    assert outcome.succeeded
    for asset in all_assets():
        assert place.materialized(asset) == {day.isoformat()}
    for check in CHECKS:
        assert place.check_status(check) == {day.isoformat(): PASSED}


def test_lost_deals_fail_the_check_on_their_own_days_with_the_orders_in_the_evidence(place: Place) -> None:
    place.futu.faults.add("lost_rows")
    place.futu.fault_protocols.clear()
    place.futu.fault_protocols.add(HISTORY_FILLS)
    (outcome,) = place.run()
    assert place.futu.fault_hits["lost_rows"]
    held = {row["subject"]: row["business_date"].isoformat() for row in open_breaks(place, FILLED)}
    days = set(held.values())
    assert held
    assert len(days) < DAYS
    assert outcome.succeeded, "a failed check of a day does not stop the others"
    assert {day for name, day in outcome.failed_checks if name == FILLED.value} == days
    assert {name for name, _ in outcome.failed_checks} == {
        FILLED.value, TOLD.value, "cash_flow_equals_trades_and_fees", "every_filled_order_has_trades",
    }  # fmt: skip
    assert place.check_status(FILLED) == {day: FAILED if day in days else PASSED for day in keys()}
    assert place.check_status(COMPLETE) == dict.fromkeys(keys(), PASSED)
    for day, evaluation in evaluations(place, outcome.run_id, FILLED).items():
        if day in days:
            assert {row["subject"] for row in table(evaluation)} == {uid for uid, on in held.items() if on == day}
            assert evaluation.severity is dg.AssetCheckSeverity.ERROR
        else:
            assert "offenders" not in evaluation.metadata

    place.futu.faults.clear()
    (repaired,) = place.run(force=True)
    assert repaired.failed_checks == []
    assert place.check_status(FILLED) == dict.fromkeys(keys(), PASSED)


def open_breaks(place: Place, check: CheckName) -> list[dict[str, Any]]:
    rows = place.db.fetch("breaks_between", from_date=FIRST, to_date=LAST)
    return [dict(row) for row in rows if row["check_name"] == check.value and row["state"] == "OPEN"]


def test_a_row_that_vanishes_after_normalizing_fails_the_checks_of_its_day_only(place: Place) -> None:
    lost: list[tuple[str, str, str]] = []

    def observe(what: str, _done: int, _total: int) -> None:
        if what.startswith("checking") and not lost:
            lost.append(_lose_a_trade(place))

    (outcome,) = run_range(*place.days, BROKERS, {}, Progress(observe))
    ((trade_key, day, order_uid),) = lost
    assert outcome.succeeded
    others = {
        "stored_rows_are_what_their_records_make", "every_filled_order_has_trades", "positions_roll_from_day_to_day",
        "the_balance_of_funds_runs",
    }  # fmt: skip
    assert set(outcome.failed_checks) == {(name, day) for name in (FILLED.value, COMPLETE.value, *others)}
    for check, named in ((FILLED, order_uid), (COMPLETE, trade_key)):
        assert place.check_status(check) == {**dict.fromkeys(keys(), PASSED), day: FAILED}
        evaluation = evaluations(place, outcome.run_id, check)[day]
        (row,) = table(evaluation)
        assert row["subject"] in (evaluation.description or "")
        told = evaluation.metadata["what_to_do"].value
        assert named in str(told).replace("\\", "")


def test_a_check_that_is_executed_alone_looks_again(place: Place) -> None:
    place.run()
    _, day, _ = _lose_a_trade(place)
    alone = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("orders_norm"), FILLED.value))
    job = dg.define_asset_job("alone", selection=alone)
    code = dg.Definitions.merge(definitions(), dg.Definitions(jobs=[job]))
    result = code.resolve_job_def("alone").execute_in_process(instance=place.instance, tags=_range_of(FIRST, LAST))
    assert result.success
    assert place.check_status(FILLED) == {**dict.fromkeys(keys(), PASSED), day: FAILED}
    assert place.check_status(COMPLETE) == dict.fromkeys(keys(), PASSED), "control: the other check was not executed"


def _range_of(first: date, last: date) -> dict[str, str]:
    return {
        "dagster/asset_partition_range_start": first.isoformat(),
        "dagster/asset_partition_range_end": last.isoformat(),
    }


def _lose_a_trade(place: Place) -> tuple[str, str, str]:
    """Delete one trade behind the pipeline's back; the broker's id, day and order."""
    with Database(place.db.url) as other, other.autocommit() as cursor:
        cursor.execute(
            "DELETE FROM trades_norm WHERE trade_uid = (SELECT min(trade_uid) FROM trades_norm"
            " WHERE broker = 'IB' AND order_uid IS NOT NULL) RETURNING broker_trade_id, trade_date, order_uid"
        )
        ((trade_key, day, order_uid),) = cursor.fetchall()
    return str(trade_key), day.isoformat(), str(order_uid)


def test_a_malformed_row_of_a_statement_is_quarantined_and_the_days_stay_whole(place: Place) -> None:
    place.flex.faults.add("malformed_row")
    (outcome,) = place.run()
    assert outcome.succeeded
    assert outcome.metadata["trades_norm"]["quarantined"] == 1
    assert [row["reason_code"] for row in place.db.fetch("report_quarantine")]
    assert place.check_status(COMPLETE) == dict.fromkeys(keys(), PASSED)
