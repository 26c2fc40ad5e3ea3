"""Puts assets, checks, jobs, schedules, sensors and resources together."""

import dagster as dg

from apex_pipeline import settings
from apex_pipeline.orchestration.alerting import alerts
from apex_pipeline.orchestration.assets import ASSETS
from apex_pipeline.orchestration.checks import checks
from apex_pipeline.orchestration.executors import executor
from apex_pipeline.orchestration.jobs import JOBS
from apex_pipeline.orchestration.resources import Progress, resources
from apex_pipeline.orchestration.schedules import SCHEDULES
from apex_pipeline.orchestration.sensors import SENSORS


def definitions(progress: Progress | None = None) -> dg.Definitions:
    """Everything Dagster knows of the pipeline; `progress` is told what the stages do."""
    return dg.Definitions(
        assets=ASSETS,
        asset_checks=[checks],
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=[alerts, *SENSORS],
        resources=resources(progress),
        executor=executor(settings.load().execution.executor),
    )
