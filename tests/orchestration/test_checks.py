"""A check says what holds now, whatever a person chose to run with it."""

from collections.abc import Sequence
from dataclasses import replace

import dagster as dg
import pytest
from dagster_postgres.event_log import PostgresEventLogStorage

from apex_pipeline.domain.checks import CHECKS, CheckName
from apex_pipeline.orchestration.assets import ASSETS, DERIVED
from apex_pipeline.orchestration.location import definitions
from apex_pipeline.orchestration.storage import BatchedEventLogStorage
from tests.orchestration.conftest import FIRST, LAST, Place, keys

FILLED = CheckName.ORDER_FILLED_QUANTITY_IS_THE_SUM_OF_ITS_TRADES
HISTORY_FILLS = 2222
"""OpenD's protocol id of past deals."""
RECONCILED = ("order_strategy_map", "recon_breaks")
FOLLOWING = [key.to_user_string() for asset in DERIVED for key in asset.keys]
CHECKED = [check for check, about in CHECKS.items() if about.table in FOLLOWING]
"""The checks of what follows loading; those of raw tables run with the loading."""


def materialize(place: Place, tables: Sequence[str]) -> dg.ExecuteInProcessResult:
    """Run these tables and their checks over all days of the scenario."""
    return (
        definitions()
        .resolve_job_def("backfill_job")
        .execute_in_process(
            instance=place.instance,
            asset_selection=[dg.AssetKey(table) for table in tables],
            tags={
                "dagster/asset_partition_range_start": FIRST.isoformat(),
                "dagster/asset_partition_range_end": LAST.isoformat(),
            },
        )
    )


def failed_days(place: Place) -> set[str]:
    return {day for day, status in place.check_status(FILLED).items() if status == "FAILED"}


def test_a_check_does_not_pass_because_its_run_left_out_the_reconciliation(place: Place) -> None:
    place.futu.faults.add("lost_rows")
    place.futu.fault_protocols.clear()
    place.futu.fault_protocols.add(HISTORY_FILLS)
    tables = [key.to_user_string() for asset in ASSETS for key in asset.keys]
    assert materialize(place, [table for table in tables if table not in RECONCILED]).success
    assert place.futu.fault_hits["lost_rows"]
    assert place.materialized("recon_breaks") == set()
    found = failed_days(place)
    assert set() < found < set(keys())
    assert materialize(place, RECONCILED).success
    breaks = place.db.fetch("breaks_between", from_date=FIRST, to_date=LAST)
    held = {row["business_date"].isoformat() for row in breaks if row["check_name"] == FILLED.value}
    assert found == held, "control: the reconciliation finds the same days"


def of_checks(result: dg.ExecuteInProcessResult) -> list[tuple[str, str | None]]:
    """Every check and day of a run, as its process told them."""
    return sorted((told.check_name, told.partition) for told in result.get_asset_check_evaluations())


def stored_alone(place: Place, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Run what follows loading, with every check; the types of events of assets and checks that were stored alone."""
    alone: list[dg.EventLogEntry] = []
    store = BatchedEventLogStorage.store_event

    def watched(self: BatchedEventLogStorage, event: dg.EventLogEntry) -> None:
        alone.append(event)
        store(self, event)

    monkeypatch.setattr(BatchedEventLogStorage, "store_event", watched)
    result = materialize(place, FOLLOWING)
    assert result.success
    assert of_checks(result) == sorted((check.value, day) for check in CHECKED for day in keys())
    kinds = [event.dagster_event_type.value for event in alone if event.dagster_event_type]
    return [kind for kind in kinds if kind.startswith("ASSET_")]


def states(place: Place) -> dict[CheckName, dict[str, str]]:
    return {check: place.check_status(check) for check in CHECKED}


def test_what_a_run_tells_of_assets_and_checks_is_stored_in_batches(
    place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert stored_alone(place, monkeypatch) == []
    assert "Falling back" not in capfd.readouterr().err
    assert states(place) == dict.fromkeys(CHECKED, dict.fromkeys(keys(), "SUCCEEDED"))


def test_checks_are_stored_the_same_where_batches_are_switched_off(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE")
    alone = stored_alone(place, monkeypatch)
    assert alone.count("ASSET_CHECK_EVALUATION") == len(CHECKED) * len(keys()), "control: nothing was batched"
    assert states(place) == dict.fromkeys(CHECKED, dict.fromkeys(keys(), "SUCCEEDED"))


def test_checks_are_stored_the_same_by_dagsters_own_storage(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BatchedEventLogStorage, "store_event_batch", PostgresEventLogStorage.store_event_batch)
    alone = stored_alone(place, monkeypatch)
    assert alone.count("ASSET_CHECK_EVALUATION") == len(CHECKED) * len(keys()), "control: Dagster refuses such a batch"
    assert states(place) == dict.fromkeys(CHECKED, dict.fromkeys(keys(), "SUCCEEDED"))


@pytest.mark.slow  # the two storages above are those that a product has
def test_checks_are_stored_the_same_in_memory(place: Place) -> None:
    with dg.DagsterInstance.ephemeral() as memory:
        there = replace(place, instance=memory)
        assert materialize(there, FOLLOWING).success
        assert states(there) == dict.fromkeys(CHECKED, dict.fromkeys(keys(), "SUCCEEDED"))
