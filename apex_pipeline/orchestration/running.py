"""Runs the Dagster job in this process over a range of days, as `apex backfill` and the demo do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG

from apex_pipeline import settings
from apex_pipeline.errors import ConfigError
from apex_pipeline.orchestration.assets import DERIVED, MARKET
from apex_pipeline.orchestration.dead_runs import end_dead_runs, sign_of_life
from apex_pipeline.orchestration.failures import INTERACTIVE_TAG
from apex_pipeline.orchestration.home import instance
from apex_pipeline.orchestration.location import definitions
from apex_pipeline.orchestration.resources import Progress
from apex_pipeline.orchestration.steps import BARS_STEP, CASH_STEP, STEPS, main_step
from apex_pipeline.orchestration.tags import NEVER_RETRIED, RANGE_END, RANGE_START
from apex_pipeline.store.db import Database

NO_LIMIT = "0"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: errors per broker in one line each, days whose ERROR checks failed, counts per asset."""

    run_id: str
    succeeded: bool
    errors: Mapping[str, str]
    failed_checks: Sequence[tuple[str, str]]
    metadata: Mapping[str, Mapping[str, Any]]


def run_range(
    first: date,
    last: date,
    brokers: Sequence[str],
    config: Mapping[str, Any],
    progress: Progress,
    *,
    cash: bool = True,
    bars: Mapping[str, Any] | None = None,
) -> list[Outcome]:
    """Load these brokers over the range and do everything downstream, with what is stored if a load failed.

    `cash`: whether to ask for cash flow too, which Futu tells day by day only. `bars`: the run config of bars.
    """
    steps = [step for broker in brokers for step in STEPS[broker] if cash or step != CASH_STEP]
    configs = {**dict.fromkeys(steps, config), BARS_STEP: bars or {}}
    with instance() as opened, _database() as db, sign_of_life(db) as alive:
        end_dead_runs(opened, db)
        tags = {**alive, **_range_tags(first, last)}
        outcome = _run(opened, tags, steps, configs, progress)
        failed = outcome.errors.keys() & set(steps)
        if not failed or all(main_step(broker) in failed for broker in brokers):
            return [outcome]
        return [outcome, _run(opened, tags, [], {}, progress)]


def _database() -> Database:
    configured = settings.load()
    if not configured.database_url:
        raise ConfigError("APEX_DATABASE_URL must be set in the process that runs Dagster")
    return Database(configured)


def _range_tags(first: date, last: date) -> dict[str, str]:
    return {
        RANGE_START: first.isoformat(),
        RANGE_END: last.isoformat(),
        INTERACTIVE_TAG: "true",
        MAX_RUNTIME_SECONDS_TAG: NO_LIMIT,  # its life is told by its lock, and a person watches it
        **NEVER_RETRIED,
    }


def _run(
    opened: dg.DagsterInstance,
    tags: Mapping[str, str],
    steps: Sequence[str],
    configs: Mapping[str, Mapping[str, Any]],
    progress: Progress,
) -> Outcome:
    # without a load all checks look at what is stored, those of the raw tables too
    job = definitions(progress).resolve_job_def("backfill_job" if steps else "derive_job")
    result = job.execute_in_process(
        run_config={
            "ops": {step: {"config": dict(config)} for step, config in configs.items()},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
        instance=opened,
        raise_on_error=False,
        asset_selection=_selection(steps) if steps else None,
        tags=dict(tags),
    )
    return Outcome(result.run_id, result.success, _errors(result), _failed_checks(result), _load_metadata(result))


def _selection(steps: Sequence[str]) -> list[dg.AssetKey]:
    """The tables of these loading steps and everything that follows."""
    loaded = [dg.AssetKey(table) for each in STEPS.values() for step in steps for table in each.get(step, ())]
    return [*loaded, *(key for asset in (*MARKET, *DERIVED) for key in asset.keys)]


def _errors(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    errors: dict[str, str] = {}
    for event in result.filter_events(lambda e: e.is_step_failure):
        failure = event.step_failure_data
        text = failure.user_failure_data.description if failure.user_failure_data else None
        cause = failure.error.cause or failure.error if failure.error else None
        errors[event.step_key or "run"] = text or (cause.message.strip().splitlines()[0] if cause else "failed")
    return errors


def _failed_checks(result: dg.ExecuteInProcessResult) -> list[tuple[str, str]]:
    return [
        (evaluation.check_name, evaluation.partition or "")
        for evaluation in result.get_asset_check_evaluations()
        if not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR
    ]


def _load_metadata(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """The counts of each extraction, from its last materialization."""
    found: dict[str, dict[str, Any]] = {}
    for event in result.get_asset_materialization_events():
        materialization = event.materialization
        found[materialization.asset_key.to_user_string()] = {
            name: value.value for name, value in materialization.metadata.items()
        }
    return found
