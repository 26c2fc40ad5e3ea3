"""The job that captures what is held and worth now, beside the loads: it waits for none of them and delays none.

Its ops write the tables of the assets in the group `snapshots` and tell of that as materializations of today; nothing
of history is materialized. A broker that does not tell fails its own op; the next capture comes in minutes, so nothing
is tried again.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import dagster as dg

from apex_pipeline.errors import ApexError
from apex_pipeline.live.broker_snapshots import capture_broker, capture_ledger, tells_of_today, value_portfolios
from apex_pipeline.live.history import HistoryLoaderService
from apex_pipeline.orchestration.resources import Futu, IbFlex, Storage
from apex_pipeline.orchestration.tags import NEVER_RETRIED

MINUTES = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)
"""Steps that divide an hour: others would not be regular."""

POSITIONS, ACCOUNTS = "position_snapshots", "account_snapshots"


def cron_of(seconds: float) -> str:
    """The schedule that comes nearest to an interval, and not less often."""
    step = max((minutes for minutes in MINUTES if minutes * 60 <= seconds), default=1)
    return "0 * * * *" if step == 60 else f"*/{step} * * * *"


@dg.op(out=dg.Out(dg.Nothing))
def capture_futu(context: dg.OpExecutionContext, storage: Storage, futu: Futu) -> Iterator[Any]:
    """Positions and funds of Futu's accounts as OpenD tells them now."""
    with storage.open() as db:
        yield from _captured(context, futu.loader(db), "futu")


@dg.op(out=dg.Out(dg.Nothing))
def capture_ib(context: dg.OpExecutionContext, storage: Storage, ib_flex: IbFlex) -> Iterator[Any]:
    """Positions and balances of IB's accounts as the gateway tells them now; without one, the ledger's positions."""
    with storage.open() as db:
        yield from _captured(context, ib_flex.loader(db), "ib")


@dg.op(out=dg.Out(dg.Nothing))
def value_accounts_hourly(context: dg.OpExecutionContext, storage: Storage) -> None:
    """What every account is worth by its newest known day: one row of performance_metrics an hour."""
    with storage.open() as db:
        written = value_portfolios(db)
    context.log.info(f"{written} accounts were valued for this hour")


@dg.job(
    description="What is held and worth now, from the brokers directly; loads and materializes no history.",
    executor_def=dg.in_process_executor,
    tags=NEVER_RETRIED,
)
def snapshot_job() -> None:
    """All three, none waiting for another."""
    capture_futu()
    capture_ib()
    value_accounts_hourly()


def _captured(context: dg.OpExecutionContext, loader: HistoryLoaderService, broker: str) -> Iterator[Any]:
    """Capture one broker and say how much; its failure in one line, which is not retried."""
    config, db = loader.config, loader.db
    if broker not in config.brokers:
        context.log.info(f"{broker} is not among the configured brokers")
    elif not tells_of_today(config, broker):
        context.log.info(f"{broker} tells nothing about today: its positions are those of the ledger")
        snapshots = capture_ledger(db, broker)
        yield from _told({POSITIONS: len(snapshots)}, [one.captured_at.date() for one in snapshots], broker)
    else:
        try:
            captured = capture_broker(db, config, broker)
        except ApexError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        counts = {POSITIONS: len(captured.positions), ACCOUNTS: len(captured.accounts)}
        yield from _told(counts, [captured.at.date()], broker)
        if captured.refused:
            raise dg.Failure(f"not captured: {'; '.join(captured.refused)}", allow_retries=False)
    yield dg.Output(None)


def _told(counts: dict[str, int], days: Sequence[date], broker: str) -> Iterator[dg.AssetMaterialization]:
    """That snapshots of today (UTC) were written, by table."""
    for table, count in counts.items():
        if count:
            metadata = {"snapshots": count, "broker": broker}
            yield dg.AssetMaterialization(table, partition=max(days).isoformat(), metadata=metadata)
