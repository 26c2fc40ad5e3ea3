"""Jobs and schedules. Every job is a selection of the same assets; the partitions of the run say the days."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from apex_pipeline.orchestration.assets import ASSETS, DERIVED, MARKET
from apex_pipeline.orchestration.checks import checks
from apex_pipeline.orchestration.partitions import TIMEZONE
from apex_pipeline.orchestration.snapshots import snapshot_job, snapshots_every_few_minutes
from apex_pipeline.orchestration.steps import CASH_STEP, RAW_TABLES, STEPS, main_step

NEW_YORK = "America/New_York"
everything = dg.AssetSelection.assets(*ASSETS) | dg.AssetSelection.checks(checks)
backfill_job = dg.define_asset_job(
    "backfill_job", selection=everything, description="Load, normalize, classify and reconcile a range of days."
)
daily_job = dg.define_asset_job(
    "daily_job", selection=everything, description="The same for the newest days; what the schedules run."
)

intraday_job = dg.define_asset_job(
    "intraday_job",
    selection=everything - dg.AssetSelection.assets(*STEPS["futu"][CASH_STEP], *MARKET),
    config={"ops": {step: {"config": {"intraday": True}} for step in map(main_step, STEPS)}},
    description="Today's executions, positions and funds of Futu and of IB's TWS API, and what follows from them.",
)
bars_job = dg.define_asset_job(
    "bars_job",
    selection=dg.AssetSelection.assets(*MARKET),
    description="Bars alone: more of them, other lengths or symbols, as the run config says.",
)
derive_job = dg.define_asset_job(
    "derive_job",
    selection=dg.AssetSelection.assets(*DERIVED) | dg.AssetSelection.checks(checks),
    description="Everything that follows from what is stored, with all checks; asks no broker.",
)


def _range(first: datetime, last: datetime) -> dict[str, str]:
    return {
        "dagster/asset_partition_range_start": first.date().isoformat(),
        "dagster/asset_partition_range_end": last.date().isoformat(),
    }


def _request(broker: str, context: dg.ScheduleEvaluationContext, zone: str) -> dg.RunRequest:
    """Yesterday and today; the load itself reads back what may have changed and what was missed."""
    now = context.scheduled_execution_time.astimezone(ZoneInfo(zone))
    tables = {*RAW_TABLES[broker], *(key.to_user_string() for asset in (*MARKET, *DERIVED) for key in asset.keys)}
    return dg.RunRequest(
        run_key=f"{broker}-{now.date().isoformat()}",
        tags={**_range(now - timedelta(days=1), now), "apex/broker": broker},
        asset_selection=[dg.AssetKey(table) for table in sorted(tables)],
    )


@dg.schedule(cron_schedule="30 6 * * *", job=daily_job, execution_timezone=TIMEZONE)
def futu_daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Every morning in Hong Kong, after the close in New York: Futu's yesterday and today."""
    return _request("futu", context, TIMEZONE)


@dg.schedule(cron_schedule="30 6 * * *", job=daily_job, execution_timezone=NEW_YORK)
def ib_daily(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Every morning in New York, when yesterday's Flex statement is ready."""
    return _request("ib", context, NEW_YORK)


JOBS = (backfill_job, daily_job, intraday_job, bars_job, derive_job, snapshot_job)
SCHEDULES = (futu_daily, ib_daily, snapshots_every_few_minutes)
