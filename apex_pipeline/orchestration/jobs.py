"""Jobs. Every one that loads or derives is a selection of the same assets; the partitions of the run say the days."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from apex_pipeline.orchestration.assets import ASSETS, DERIVED, MARKET
from apex_pipeline.orchestration.checks import checks
from apex_pipeline.orchestration.maintenance import maintenance_job
from apex_pipeline.orchestration.snapshots import snapshot_job
from apex_pipeline.orchestration.steps import CASH_STEP, STEPS, main_step
from apex_pipeline.orchestration.tags import NEVER_RETRIED, RETRIED_WHEN_LOST

everything = dg.AssetSelection.assets(*ASSETS) | dg.AssetSelection.checks(checks)


def intraday_config(*steps: str) -> Mapping[str, Any]:
    """The run config by which these steps ask for today only."""
    return {"ops": {step: {"config": {"intraday": True}} for step in steps}}


backfill_job = dg.define_asset_job(
    "backfill_job",
    selection=everything,
    tags=RETRIED_WHEN_LOST,
    description="Load, normalize, classify and reconcile a range of days.",
)
daily_job = dg.define_asset_job(
    "daily_job",
    selection=everything,
    tags=RETRIED_WHEN_LOST,
    description="The same for the newest days; what the schedules run.",
)
intraday_job = dg.define_asset_job(
    "intraday_job",
    selection=everything - dg.AssetSelection.assets(*STEPS["futu"][CASH_STEP], *MARKET),
    config=intraday_config(*map(main_step, STEPS)),
    tags=NEVER_RETRIED,
    description="Today's executions, positions and funds of Futu and of IB's TWS API, and what follows from them.",
)
bars_job = dg.define_asset_job(
    "bars_job",
    selection=dg.AssetSelection.assets(*MARKET),
    tags=RETRIED_WHEN_LOST,
    description="Bars alone: more of them, other lengths or symbols, as the run config says.",
)
derive_job = dg.define_asset_job(
    "derive_job",
    selection=dg.AssetSelection.assets(*DERIVED) | dg.AssetSelection.checks(checks),
    tags=RETRIED_WHEN_LOST,
    description="Everything that follows from what is stored, with all checks; asks no broker.",
)

JOBS = (backfill_job, daily_job, intraday_job, bars_job, derive_job, snapshot_job, maintenance_job)
