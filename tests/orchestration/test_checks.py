"""A check says what holds now, whatever a person chose to run with it."""

from collections.abc import Sequence

import dagster as dg

from apex_pipeline.domain.reconciliation import CheckName
from apex_pipeline.orchestration.assets import ASSETS
from apex_pipeline.orchestration.location import definitions
from tests.orchestration.conftest import FIRST, LAST, Place, keys

FILLED = CheckName.ORDER_FILLED_QUANTITY_IS_THE_SUM_OF_ITS_TRADES
HISTORY_FILLS = 2222
"""OpenD's protocol id of past deals."""
RECONCILED = ("order_strategy_map", "recon_breaks")


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
