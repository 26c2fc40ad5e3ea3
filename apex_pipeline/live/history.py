"""Loading history without Dagster: what the assets of the extraction call, and what a script may call itself."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from apex_pipeline import settings
from apex_pipeline.brokers.contract import Acquire, BrokerPort
from apex_pipeline.brokers.registry import FLEX_WINDOW_SECONDS, futu_port, ib_port, normalizing_ports
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import ALL_MARKETS, Account, Ask, LoadScope, RecordKind
from apex_pipeline.errors import BrokerError
from apex_pipeline.extraction import Ingested, Observe
from apex_pipeline.pipeline import (
    classify_strategies,
    end_options,
    ingest,
    ingest_plan,
    normalize,
    reconcile_days,
    silent,
)
from apex_pipeline.settings import Settings
from apex_pipeline.store.coverage import first_missing_day, rows_by_day, sync_status
from apex_pipeline.store.db import Database
from apex_pipeline.store.limiter import RateLimiter
from apex_pipeline.store.tables import raw_table

ZONE = ZoneInfo("Asia/Hong_Kong")
"""Where the days of the record turn over."""

SCOPES = {"futu": (LoadScope.HISTORY, LoadScope.CASH), "ib": (LoadScope.HISTORY,)}
"""What a whole load of each broker consists of, in order."""

COUNTS = ("calls", "records", "new_versions", "unchanged", "superseded", "quarantined", "uncovered_days")


class LoadStatus(StrEnum):
    """SUCCESS: all that was asked is there. PARTIAL: some is missing or unreadable. FAILED: nothing could be asked."""

    SUCCESS = "SUCCESS"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class LoadResult:
    """How a load ended.

    `*_loaded` count the raw records that the asked days hold now; `counts` are what was asked and what the
    broker sent just now, named as in `COUNTS`. `errors` are one line each.
    """

    status: LoadStatus
    orders_loaded: int = 0
    deals_loaded: int = 0
    fees_loaded: int = 0
    duration_seconds: float = 0.0
    errors: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict[str, int])
    brokers: dict[str, "LoadResult"] = field(default_factory=dict[str, "LoadResult"])

    def as_json(self) -> dict[str, Any]:
        """The result for `--json`, its counts beside the rest."""
        told = asdict(self)
        each = {broker: result.as_json() for broker, result in self.brokers.items()}
        return {**{k: v for k, v in told.items() if k not in ("counts", "brokers")}, **self.counts, "brokers": each}


class HistoryLoaderService:
    """Loads the history of both brokers into the database and does everything that follows from it.

    `config`: the settings in force if None. `dry_run`: plan only; asks no broker and writes nothing.
    """

    def __init__(self, db: Database, config: Settings | None = None, dry_run: bool = False) -> None:  # noqa: FBT002
        self.db = db
        self.config = config or settings.load()
        self.dry_run = dry_run

    def load_futu_history(
        self,
        account_id: str | None = None,
        market: str = ALL_MARKETS,
        from_date: date | None = None,
        to_date: date | None = None,
        *,
        force: bool = False,
    ) -> LoadResult:
        """Futu's orders, deals, fees and cash flow; without dates what is missing."""
        return self._load("futu", from_date, to_date, account_id=account_id, market=market, force=force)

    def load_ib_history(
        self,
        account_id: str | None = None,
        from_date: date | None = None,
        to_date: date | None = None,
        *,
        force: bool = False,
    ) -> LoadResult:
        """What IB's Flex statements tell; without dates what is missing."""
        return self._load("ib", from_date, to_date, account_id=account_id, force=force)

    def load_all_history(
        self, from_date: date | None = None, to_date: date | None = None, *, force: bool = False
    ) -> LoadResult:
        """Every configured broker, one after the other; one that fails does not stop the next."""
        each = {broker: self._load(broker, from_date, to_date, force=force) for broker in self.config.brokers}
        return combined(each)

    def get_sync_status(self) -> list[dict[str, Any]]:
        """The rows of `sync_state`."""
        return sync_status(self.db)

    def extract(self, broker: str, ask: Ask, observe: Observe = silent, *, patient: bool = True) -> Ingested:
        """Fetch and store what the ask still lacks; raises BrokerError. `patient`: whether nobody waits."""
        return ingest(self.db, self.port(broker, patient=patient), self.limit(broker), ask, observe)

    def port(self, broker: str, *, patient: bool = True) -> BrokerPort:
        """The broker as configured, not yet connected."""
        if broker == "futu":
            return futu_port(self.config.futu, self.config.home)
        return ib_port(self.config.ib, patient=patient)

    def limit(self, broker: str) -> Acquire:
        """The broker's request limits, shared with every other process through the database."""
        if broker == "futu":
            futu = self.config.futu
            return RateLimiter(futu.requests_per_window, futu.window_seconds, self.db).acquire
        most = self.config.ib.requests_per_minute
        # a service that allows more than one a second is not IB's own
        per_second = RateLimiter(1, min(1.0, FLEX_WINDOW_SECONDS / most), self.db)
        per_minute = RateLimiter(most, FLEX_WINDOW_SECONDS, self.db)
        return lambda budget: per_minute.acquire(budget) + per_second.acquire(f"{budget}:second")

    def derive(self, first: date, last: date, observe: Observe = silent) -> int:
        """Normalize, classify and reconcile these days and whatever changed; returns the records nobody can read."""
        rejected = normalize_all(self.db, first, last, observe)
        classify_strategies(self.db, first, last, observe)
        reconcile_days(self.db, first, last, observe)
        return rejected

    def _load(self, broker: str, from_date: date | None, to_date: date | None, **wish: Any) -> LoadResult:
        started = time.monotonic()
        last = to_date or today()
        covering = {Broker(broker.upper()): self.port(broker).covering_data_types}
        first = from_date or first_missing_day(self.db, covering, last, self.config.lookback_days)
        ask = Ask(max(first, self.config.history_start), last, today(), **wish)
        if self.dry_run:
            return self._planned(broker, ask)
        ingested, errors = self._extracted(broker, ask)
        self.derive(ask.from_date, ask.to_date)
        result = loaded(self.db, broker, (ask.from_date, ask.to_date), total(ingested), errors)
        return replace(result, duration_seconds=round(time.monotonic() - started, 3))

    def _extracted(self, broker: str, ask: Ask) -> tuple[list[Ingested], list[str]]:
        """What each scope brought, up to the first that the broker refused, and its refusal."""
        ingested: list[Ingested] = []
        for scope in SCOPES[broker]:
            try:
                ingested += [self.extract(broker, replace(ask, scope=scope), patient=False)]
            except BrokerError as error:
                return ingested, [str(error)]
        return ingested, []

    def _planned(self, broker: str, ask: Ask) -> LoadResult:
        accounts = [Account(ask.account_id or "each account")]
        calls = [
            call
            for scope in SCOPES[broker]
            for call in ingest_plan(self.db, self.port(broker), accounts, replace(ask, scope=scope))
        ]
        return LoadResult(LoadStatus.SUCCESS, counts={"calls": len(calls)})


def normalize_all(db: Database, first: date, last: date, observe: Observe = silent) -> int:
    """Rows of both brokers for these days and whatever changed; returns the records nobody can read."""
    rejected = 0
    for port in normalizing_ports():
        rejected += normalize(db, port, first, last, observe)[1]
        end_options(db, port, observe)
    return rejected


def total(ingested: Sequence[Ingested]) -> dict[str, int]:
    """The counts of some extractions of one broker, added up; none of none."""
    if not ingested:
        return {}
    numbers = {name: sum(getattr(one, name) for one in ingested) for name in COUNTS if name != "uncovered_days"}
    return {**numbers, "uncovered_days": len({day for one in ingested for day in one.missing_days})}


def loaded(
    db: Database, broker: str, days: tuple[date, date], counts: dict[str, int], errors: Sequence[str]
) -> LoadResult:
    """The result of a load of one broker; without any count nothing could be asked."""

    def held(kind: RecordKind) -> int:
        return sum(rows_by_day(db, raw_table(Broker(broker.upper()), kind).name, *days).values())

    whole = counts and not errors and not counts["uncovered_days"] and not counts["quarantined"]
    status = LoadStatus.SUCCESS if whole else LoadStatus.PARTIAL if counts else LoadStatus.FAILED
    told = {name: counts.get(name, 0) for name in COUNTS}
    kinds = held(RecordKind.ORDERS), held(RecordKind.TRADES), held(RecordKind.FEES)
    return LoadResult(status, *kinds, errors=tuple(errors), counts=told)


def combined(each: dict[str, LoadResult]) -> LoadResult:
    """One result for several brokers."""
    results = list(each.values())
    states = {result.status for result in results}
    return LoadResult(
        states.pop() if len(states) == 1 else LoadStatus.PARTIAL,
        sum(result.orders_loaded for result in results),
        sum(result.deals_loaded for result in results),
        sum(result.fees_loaded for result in results),
        round(sum(result.duration_seconds for result in results), 3),
        tuple(error for result in results for error in result.errors),
        brokers=each,
    )


def today() -> date:
    """Today where the days of the record turn over."""
    return datetime.now(ZONE).date()
