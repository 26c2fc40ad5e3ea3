"""Asset checks, named by the sentence they prove, with a result for every day of a run.

A range run must name the partition and its materialization in every evaluation, otherwise Dagster stores
one result for none of the days and shows them all as skipped (dagster 1.13, measured; a test watches it).
Evaluations are reported as a batch, which Dagster does for materializations only. The names for it are private:
Dagster is pinned to a minor version.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.events import DagsterEventBatchMetadata, generate_event_batch_id

from apex_pipeline.domain.reconciliation import CHECKS, Break, CheckName, Severity
from apex_pipeline.orchestration.partitions import daily, span
from apex_pipeline.orchestration.resources import Storage
from apex_pipeline.pipeline import reconcile_days
from apex_pipeline.store.copy_text import to_json
from apex_pipeline.store.repositories.ledger import BreakRepository

# Checks with partitions are a preview of Dagster 1.13, which is pinned; a test watches what they store.
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

CHECKED_ASSETS = {
    CheckName.ORDER_FILLED_QUANTITY_IS_THE_SUM_OF_ITS_TRADES: "orders_norm",
    CheckName.EVERY_FILLED_ORDER_HAS_ITS_FEES: "fees_norm",
    CheckName.RAW_IS_NORMALIZED_PLUS_QUARANTINED: "trades_norm",
    CheckName.EVERY_ORDER_IS_TOLD_BY_ITS_BROKER: "orders_norm",
    CheckName.FEES_OF_ORDERS_ARE_ALLOCATED_TO_THEIR_TRADES: "fee_allocations",
    CheckName.COVERED_DAYS_HOLD_WHAT_THE_BROKER_SAYS: "trades_norm",
    CheckName.EVERY_WORD_OF_THE_BROKER_IS_KNOWN: "payload_drift",
    CheckName.EVERY_PROVISIONAL_TRADE_IS_CONFIRMED: "trades_norm",
    CheckName.THE_QUERY_TELLS_WHAT_IS_NEEDED: "query_gaps",
    CheckName.POSITIONS_EQUAL_THE_BROKERS: "positions_daily",
    CheckName.OPEN_LOTS_EQUAL_THE_BROKERS: "lots",
    CheckName.NO_OPTION_OUTLIVES_ITS_EXPIRY: "positions_daily",
    CheckName.EVERY_DELIVERY_HAS_BOTH_LEGS: "positions_daily",
    CheckName.EVERY_MOVEMENT_HAS_A_RULE: "ledger_stops",
    CheckName.REALIZED_PNL_EQUALS_THE_BROKERS: "realized_pnl",
    CheckName.NAV_BRIDGE_CLOSES: "broker_figures",
    CheckName.ENDING_CASH_EQUALS_THE_CASH_REPORT: "cash_ledger",
    CheckName.THE_BALANCE_OF_FUNDS_RUNS: "cash_ledger",
    CheckName.CASH_FLOW_EQUALS_TRADES_AND_FEES: "cash_ledger",
    CheckName.SETTLEMENT_DATES_EQUAL_THE_BROKERS: "settlement_tracking",
    CheckName.TIME_WEIGHTED_RETURN_EQUALS_THE_BROKERS: "performance_metrics",
    CheckName.PROFIT_OF_CHAINS_EQUALS_THE_LEDGER: "strategy_chains",
    CheckName.EVERY_FILLED_ORDER_BELONGS_TO_A_STRATEGY: "order_strategy_map",
    CheckName.EVERY_POSITION_BELONGS_TO_STRATEGIES: "order_strategy_map",
    CheckName.CONFIDENCE_DOES_NOT_DRIFT: "order_strategy_map",
    CheckName.OUR_READING_AGREES_WITH_THE_BROKERS_LABEL: "order_strategy_map",
}
ROWS_SHOWN = 50
EVIDENCE_SHOWN = 300
"""Characters of a break's evidence, enough to name a row; all of it is in the table."""


def _spec(check: CheckName) -> dg.AssetCheckSpec:
    about = CHECKS[check]
    return dg.AssetCheckSpec(
        check.value,
        asset=CHECKED_ASSETS[check],
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
        # Looked at again, because a person may run any part of the job: what nobody compared must not pass.
        reconcile_days(db, first, last)
        repository = BreakRepository(db)
        breaks = [b for b in repository.existing(first, last) if b.state in ("OPEN", "EXPLAINED")]
        for check in (check for check in CHECKS if check.value in selected):
            compared = repository.subjects(check, first, last)
            yield from _reported(
                context, _evaluations(context, check, [b for b in breaks if b.check_name == check], compared)
            )
            yield dg.Output(None, output_name=f"{CHECKED_ASSETS[check]}_{check.value}")


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
    context: dg.AssetCheckExecutionContext, check: CheckName, breaks: Sequence[Break], compared: dict[date, int]
) -> Iterator[dg.AssetCheckEvaluation]:
    asset = dg.AssetKey(CHECKED_ASSETS[check])
    targets = _materializations(context, asset)
    for key in context.partition_keys:
        day = date.fromisoformat(key)
        newest = key == context.partition_keys[-1]  # where what is not bound to a day is shown
        offenders = [b for b in breaks if b.business_date == day or (b.business_date is None and newest)]
        errors = [b for b in offenders if b.severity is Severity.ERROR]
        yield dg.AssetCheckEvaluation(
            asset_key=asset,
            check_name=check.value,
            passed=not offenders,
            severity=dg.AssetCheckSeverity.ERROR if errors else dg.AssetCheckSeverity.WARN,
            metadata=_evidence(offenders, compared.get(day, 0)),
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


def _evidence(breaks: Sequence[Break], compared: int) -> dict[str, Any]:
    evidence: dict[str, Any] = {"compared": compared, "breaks": len(breaks)}
    if breaks:
        evidence["offenders"] = dg.MetadataValue.table(records=[_record(b) for b in breaks[:ROWS_SHOWN]])
    return evidence


def _record(row: Break) -> dg.TableRecord:
    values = {
        "subject": row.subject,
        "severity": row.severity.value,
        "expected": row.expected,
        "actual": row.actual,
        "delta": row.delta,
        "cause": row.cause,
        "account_id": row.account_id,
        "evidence": to_json(row.evidence)[:EVIDENCE_SHOWN] if row.evidence else None,
        "break_uid": row.break_uid,
    }
    return dg.TableRecord({name: str(value) if value is not None else "" for name, value in values.items()})
