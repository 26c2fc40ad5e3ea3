"""Asset checks, named by the sentence they prove, with a result for every day of a run.

A range run must name the partition and its materialization in every evaluation, otherwise Dagster stores
one result for none of the days and shows them all as skipped (dagster 1.13, measured; a test watches it).
Evaluations are reported as a batch, which Dagster does for materializations only. The names for it are private:
Dagster is pinned to a minor version.
"""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.events import DagsterEventBatchMetadata, generate_event_batch_id

from apex_pipeline.domain.checks import CHECKS, CheckName, Severity
from apex_pipeline.domain.reconciliation import Break, BreakState
from apex_pipeline.orchestration.catalogue import PAGES_AT
from apex_pipeline.orchestration.partitions import daily, span
from apex_pipeline.orchestration.resources import Storage
from apex_pipeline.pipeline import reconcile_days
from apex_pipeline.reports.offenders import details, headline, narrow
from apex_pipeline.store.repositories.breaks import BreakRepository

# Checks with partitions are a preview of Dagster 1.13, which is pinned; a test watches what they store.
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

ROWS_SHOWN = 50
MORE = f"[When a check fails]({PAGES_AT}operations.md#when-a-check-fails) tells what each cause asks of you."


def _spec(check: CheckName) -> dg.AssetCheckSpec:
    about = CHECKS[check]
    return dg.AssetCheckSpec(
        check.value,
        asset=about.table,
        description=f"{about.check_id}: {about.description}",
        additional_deps=["recon_breaks"],
        partitions_def=daily,
    )


@dg.multi_asset_check(specs=[_spec(check) for check in CHECKS], can_subset=True)
def checks(context: dg.AssetCheckExecutionContext, storage: Storage) -> Iterator[Any]:
    """The state of every check on every day of the run, read from the breaks."""
    first, last = span(context.partition_keys)
    selected = {key.name for key in context.selected_asset_check_keys}
    with storage.open() as db:
        repository = BreakRepository(db)
        # Looked at again, unless this very run just did: a person may run any part of the job, and what nobody
        # compared must not pass.
        if repository.run_of(context.run.run_id, first, last) is None:
            reconcile_days(db, first, last, made_by=context.run.run_id)
        breaks = [row for row in repository.existing(first, last) if row.state is not BreakState.CLOSED]
        days = {row.break_uid: row.business_date for row in breaks}
        compared = repository.results(first, last)
        for check in (check for check in CHECKS if check.value in selected):
            own = [(row, _fails(row, days)) for row in breaks if row.check_name == check.value]
            yield from _reported(context, _evaluations(context, check, own, compared.get(check, {})))
            yield dg.Output(None, output_name=f"{CHECKS[check].table}_{check.value}")


def _fails(row: Break, days: Mapping[str, date | None]) -> bool:
    """Whether a break fails its check: an open one, and what follows from a break of the same day.

    What follows on other days does not: one fault is red on its own day only.
    """
    same_day = any(uid in days and days[uid] == row.business_date for uid in row.follows)
    return row.state is BreakState.OPEN or (row.state is BreakState.EXPLAINED and same_day)


def _reported(
    context: dg.AssetCheckExecutionContext, evaluations: Iterable[dg.AssetCheckEvaluation]
) -> Iterator[dg.DagsterEvent]:
    """The events that Dagster makes of yielded evaluations, but stored in one batch (dagster has none for them).

    A blocking check would not block: Dagster looks for that in what is yielded as an evaluation.
    """
    step, batch, told = context.get_step_execution_context(), generate_event_batch_id(), list(evaluations)
    for evaluation in told:
        outcome = "passed" if evaluation.passed else "did not pass"
        yield dg.DagsterEvent.from_step(
            dg.DagsterEventType.ASSET_CHECK_EVALUATION,
            step,
            evaluation,
            f"Asset check '{evaluation.check_name}' on '{evaluation.asset_key.to_user_string()}' {outcome}.",
            DagsterEventBatchMetadata(batch, is_end=evaluation is told[-1]),
        )


def _evaluations(
    context: dg.AssetCheckExecutionContext,
    check: CheckName,
    breaks: Sequence[tuple[Break, bool]],
    compared: Mapping[date, int],
) -> Iterator[dg.AssetCheckEvaluation]:
    asset = dg.AssetKey(CHECKS[check].table)
    targets = _materializations(context, asset)
    for key in context.partition_keys:
        day = date.fromisoformat(key)
        newest = key == context.partition_keys[-1]  # where what is not bound to a day is shown
        own = [(row, fails) for row, fails in breaks if row.business_date == day or (newest and not row.business_date)]
        own.sort(key=lambda one: (not one[1], one[0].state is not BreakState.OPEN, one[0].break_uid))
        told, failing = [row for row, _ in own], [row for row, fails in own if fails]
        errors = [row for row in failing if row.severity is Severity.ERROR]
        skipped = None if told or compared.get(day) else CHECKS[check].skipped
        yield dg.AssetCheckEvaluation(
            asset_key=asset,
            check_name=check.value,
            passed=not failing,
            severity=dg.AssetCheckSeverity.ERROR if errors else dg.AssetCheckSeverity.WARN,
            description=f"skipped: {skipped}" if skipped else headline(failing),
            metadata=_evidence(told, compared.get(day, 0), skipped),
            partition=key,
            target_materialization_data=targets.get(key),
        )


def _materializations(
    context: dg.AssetCheckExecutionContext, asset: dg.AssetKey
) -> dict[str, AssetCheckEvaluationTargetMaterializationData]:
    keys = list(context.partition_keys)
    found = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=asset, asset_partitions=keys), limit=2 * len(keys)
    )
    targets: dict[str, AssetCheckEvaluationTargetMaterializationData] = {}
    for record in found.records:
        targets.setdefault(
            record.partition_key or "",
            AssetCheckEvaluationTargetMaterializationData(
                run_id=record.run_id, storage_id=record.storage_id, timestamp=record.timestamp
            ),
        )
    return targets


def _evidence(breaks: Sequence[Break], compared: int, skipped: str | None) -> dict[str, Any]:
    """What was compared, or why nothing was; and the offenders with what to do about them."""
    if skipped:
        return {"compared": 0, "skipped": skipped}
    states = Counter(row.state for row in breaks)
    evidence: dict[str, Any] = {"compared": compared, "breaks": states[BreakState.OPEN]}
    evidence |= {state.lower(): count for state, count in states.items() if state is not BreakState.OPEN}
    if breaks:
        evidence["offenders"] = dg.MetadataValue.table(
            records=[dg.TableRecord(narrow(row)) for row in breaks[:ROWS_SHOWN]]
        )
        evidence["what_to_do"] = dg.MetadataValue.md(f"{details(breaks)}\n\n{MORE}")
    return evidence
