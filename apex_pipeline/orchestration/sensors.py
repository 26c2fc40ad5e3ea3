"""What is looked after between loads: runs that died with their machine."""

import dagster as dg

from apex_pipeline import settings
from apex_pipeline.orchestration.dead_runs import end_dead_runs
from apex_pipeline.orchestration.described import sensor
from apex_pipeline.orchestration.resources import Storage

STATUS = dg.DefaultSensorStatus.RUNNING if settings.load().schedules else dg.DefaultSensorStatus.STOPPED


@sensor(minimum_interval_seconds=300, default_status=STATUS)
def dead_runs(context: dg.SensorEvaluationContext, storage: Storage) -> dg.SkipReason:
    """Every five minutes: runs whose process is gone are ended, and give back the pools of brokers that they held."""
    with storage.open() as db:
        ended = end_dead_runs(context.instance, db)
    told = ", ".join(run_id[:8] for run_id in ended)
    return dg.SkipReason(f"ended {len(ended)} runs whose process is gone: {told}" if ended else "no run is dead")


SENSORS = (dead_runs,)
