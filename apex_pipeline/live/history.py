"""Loading history without Dagster: what the assets of the extraction call, and what a script may call itself."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from apex_pipeline import settings
from apex_pipeline.brokers.contract import Acquire, BrokerPort
from apex_pipeline.brokers.registry import FLEX_WINDOW_SECONDS, futu_port, ib_port, normalizing_ports
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import ALL_MARKETS, Account, Ask, LoadScope, RecordKind
from apex_pipeline.errors import BrokerError, ConfigError
from apex_pipeline.extraction import Ingested, Observe
from apex_pipeline.pipeline import (
    classify_strategies,
    end_options,
    ingest,
    ingest_plan,
    match_lots,
    normalize,
    reconcile_days,
    silent,
    tell_strategies,
    value_accounts,
)
from apex_pipeline.settings import Settings
from apex_pipeline.store.coverage import rows_by_day, sync_status
from apex_pipeline.store.db import Database
from apex_pipeline.store.limiter import RateLimiter
from apex_pipeline.store.repositories.loads import LoadRepository
from apex_pipeline.store.tables import raw_table

ZONE = ZoneInfo("Asia/Hong_Kong")
"""Where the days of the record turn over."""

SCOPES = {"futu": (LoadScope.HISTORY, LoadScope.CASH), "ib": (LoadScope.HISTORY,)}
"""What a whole load of each broker consists of, in order."""

COUNTS = ("calls", "records", "new_versions", "unchanged", "superseded", "quarantined", "uncovered_days")


class LoadStatus(StrEnum):
    """SUCCESS: all that was asked is there. PARTIAL: some is missing or unreadable. FAILED: nothing was loaded."""

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
        own = {name: value for name, value in asdict(self).items() if name not in ("counts", "brokers")}
        each = {broker: result.as_json() for broker, result in self.brokers.items()}
        return {**own, **self.counts, **({"brokers": each} if each else {})}


@dataclass(frozen=True, slots=True)
class _Fetched:
    """What one broker brought of its ask; without an ask the result says why nothing was asked.

    `is_some`: whether any answer was stored.
    """

    ask: Ask | None = None
    counts: dict[str, int] = field(default_factory=dict[str, int])
    errors: tuple[str, ...] = ()
    seconds: float = 0.0
    is_some: bool = False
    result: LoadResult = LoadResult(LoadStatus.FAILED)


class HistoryLoaderService:
    """Loads the history of both brokers into the database and does everything that follows from it.

    What a broker or a setting refuses is told by the result; only a database that cannot be used is raised
    (StorageError). Days yet to come are left out. `config`: the settings in force if None. `dry_run`: plan
    only; asks no broker and writes nothing, and `counts["calls"]` tells how many calls would be made.
    """

    def __init__(self, db: Database, config: Settings | None = None, dry_run: bool = False) -> None:  # noqa: FBT002
        self.db = db
        self.config = config or settings.load()
        self.dry_run = dry_run

    def load_futu_history(
        self,
        account_id: str | int | None = None,
        market: str | None = ALL_MARKETS,
        from_date: date | None = None,
        to_date: date | None = None,
        force: bool = False,  # noqa: FBT002 - scripts give all five by place
    ) -> LoadResult:
        """Futu's orders, deals, fees and cash flow; without dates what is missing. `force` repeats finished windows.

        `market`: as Futu names it (US, HK, ...); cash flow is told for all markets together.
        """
        wish = {"account_id": str(account_id) if account_id else None, "market": (market or ALL_MARKETS).upper()}
        return self._load(["futu"], from_date, to_date, **wish, force=force)["futu"]

    def load_ib_history(
        self,
        account_id: str | None = None,
        from_date: date | None = None,
        to_date: date | None = None,
        force: bool = False,  # noqa: FBT002 - scripts give all four by place
    ) -> LoadResult:
        """What IB's Flex statements tell; without dates what is missing. `force` repeats finished windows.

        A statement tells every account of its query, whichever is asked for.
        """
        return self._load(["ib"], from_date, to_date, account_id=account_id, force=force)["ib"]

    def load_all_history(
        self,
        from_date: date | None = None,
        to_date: date | None = None,
        force: bool = False,  # noqa: FBT002 - scripts give all three by place
    ) -> LoadResult:
        """Every configured broker, one after the other; one that fails does not stop the next."""
        return combined(self._load(self.config.brokers, from_date, to_date, force=force))

    def sync_incremental(self) -> LoadResult:
        """Today's orders, trades, positions and funds of every configured broker, and what follows from them.

        For an engine that wants them each cycle: a few calls, no history, and the checks are left to scheduled loads.
        A broker that is offline does not stop the other. Of IB it needs the TWS API: Flex tells of days that are over.
        """
        each = {broker: self._synced(broker) for broker in self.config.brokers}
        first, last = _newest_days()
        self._derive_rows(first, last)
        return combined(each)

    def get_sync_status(self) -> list[dict[str, Any]]:
        """The rows of `sync_state`."""
        return sync_status(self.db)

    def extract(self, broker: str, ask: Ask, observe: Observe = silent, *, patient: bool = True) -> Ingested:
        """Fetch and store what the ask still lacks; raises BrokerError, and ConfigError for an account nobody has.

        `patient`: whether nobody waits.
        """
        port = self.port(broker, patient=patient)
        ingested = ingest(self.db, port, self.limit(broker), ask, observe)
        known = self._known(port) if broker == "ib" else []
        if known and ask.account_id and ask.account_id not in known:
            # IB names its accounts in the statements only, so this is known afterwards
            raise ConfigError(f"no statement of IB tells of account {ask.account_id}; they tell of {', '.join(known)}")
        return ingested

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
        rejected = self._derive_rows(first, last, observe)
        reconcile_days(self.db, first, last, observe)
        return rejected

    def _derive_rows(self, first: date, last: date, observe: Observe = silent) -> int:
        """The same without the checks."""
        rejected = normalize_all(self.db, first, last, observe)
        classify_strategies(self.db, first, last, observe)
        match_lots(self.db, first, last, observe)
        value_accounts(self.db, first, last, observe)
        tell_strategies(self.db, observe)
        return rejected

    def _synced(self, broker: str) -> LoadResult:
        started, days = time.monotonic(), _newest_days()
        if broker == "ib" and self.config.ib.tws_host is None:
            told = "IB_TWS_HOST is not set: Interactive Brokers tells of today only over the TWS API"
            return LoadResult(LoadStatus.FAILED, errors=(told,))
        try:
            ask = Ask(*days, today(), scope=LoadScope.INTRADAY)
            told = self.extract(broker, ask, patient=False)
            result = loaded(self.db, broker, days, total([told]), told.failures)
        except (BrokerError, ConfigError) as error:
            result = LoadResult(LoadStatus.FAILED, errors=(str(error),))
        return replace(result, duration_seconds=round(time.monotonic() - started, 3))

    def _load(
        self, brokers: Sequence[str], from_date: date | None, to_date: date | None, **wish: Any
    ) -> dict[str, LoadResult]:
        """What each of these brokers has of the wish, one after the other, and then what follows from all of it."""
        fetched = {broker: self._fetched(broker, from_date, to_date, wish) for broker in brokers}
        asks = [one.ask for one in fetched.values() if one.ask is not None]
        started = time.monotonic()
        if asks:
            self.derive(min(ask.from_date for ask in asks), max(ask.to_date for ask in asks))
        shared = (time.monotonic() - started) / len(fetched)
        return {broker: self._told(broker, one, shared) for broker, one in fetched.items()}

    def _fetched(self, broker: str, from_date: date | None, to_date: date | None, wish: dict[str, Any]) -> _Fetched:
        started = time.monotonic()
        try:
            ask = self._ask(self.port(broker), from_date, to_date, wish)
            if self.dry_run:
                return _Fetched(result=self._planned(self.port(broker), ask))
        except ConfigError as error:
            return _Fetched(result=LoadResult(LoadStatus.FAILED, errors=(str(error),)))
        ingested, errors, some = self._extracted(broker, ask)
        if not from_date and not errors and (first := self._continued(self.port(broker), ask)) < ask.from_date:
            # an account that was met for the first time just now has a past that nobody asked for
            ask = replace(ask, from_date=first)
            more, errors, _ = self._extracted(broker, ask)
            ingested += more
        return _Fetched(ask, total(ingested), tuple(errors), time.monotonic() - started, is_some=some)

    def _told(self, broker: str, one: _Fetched, shared_seconds: float) -> LoadResult:
        if one.ask is None:
            return one.result
        result = loaded(self.db, broker, (one.ask.from_date, one.ask.to_date), one.counts, one.errors)
        status = LoadStatus.PARTIAL if one.is_some and result.status is LoadStatus.FAILED else result.status
        return replace(result, status=status, duration_seconds=round(one.seconds + shared_seconds, 3))

    def _ask(self, port: BrokerPort, from_date: date | None, to_date: date | None, wish: dict[str, Any]) -> Ask:
        """The wish with its days; raises ConfigError for days that cannot be meant."""
        last, oldest = min(to_date or today(), today()), self.config.history_start
        if from_date and from_date > (to_date or last):
            raise ConfigError(f"from_date {from_date} is after to_date {to_date or last}")
        if (from_date or last) < oldest:
            raise ConfigError(f"{from_date or last} is before APEX_HISTORY_START={oldest}, the first day to load")
        ask = Ask(from_date or last, last, today(), **wish)
        return ask if from_date else replace(ask, from_date=self._continued(port, ask))

    def _continued(self, port: BrokerPort, ask: Ask) -> date:
        """The first day of a load that continues what was loaded before."""
        return max(first_missing_day(self.db, port, ask, self.config.lookback_days), self.config.history_start)

    def _extracted(self, broker: str, ask: Ask) -> tuple[list[Ingested], list[str], bool]:
        """What each scope brought, up to the first that was refused; its refusal; whether any answer was stored."""
        ingested: list[Ingested] = []
        asked: list[str] = []

        def observe(what: str, _done: int, of: int) -> None:
            asked.extend([what] if of else [])

        for scope in SCOPES[broker]:
            try:
                ingested += [self.extract(broker, replace(ask, scope=scope), observe, patient=False)]
            except (BrokerError, ConfigError) as error:
                # each call is stored before the next one is made
                return ingested, [str(error)], len(asked) > 1
        return ingested, [failure for one in ingested for failure in one.failures], True

    def _planned(self, port: BrokerPort, ask: Ask) -> LoadResult:
        known = [name for name in self._known(port) if ask.account_id in (None, name)]
        accounts = [Account(name) for name in known or [ask.account_id or "each account"]]
        asks = [replace(ask, scope=scope) for scope in SCOPES[port.name.lower()]]
        calls = [call for one in asks for call in ingest_plan(self.db, port, accounts, one)]
        return LoadResult(LoadStatus.SUCCESS, counts={"calls": len(calls)})

    def _known(self, port: BrokerPort) -> list[str]:
        """The accounts of a broker that were loaded before."""
        return sorted(row["account_id"] for row in self.db.fetch("known_accounts") if row["broker"] == port.name)


def first_missing_day(db: Database, port: BrokerPort, ask: Ask, lookback_days: int) -> date:
    """Where a load up to `ask.to_date` continues: the last day that each account has for the asked market.

    The day from which any account was ever told, where another account or the market was not told since then;
    the whole look-back where nothing was told.
    """
    whole = ask.to_date - timedelta(days=lookback_days - 1)
    rows = LoadRepository(db, port.name).covered_days(port.covering_data_types, whole, ask.to_date)
    rows = [row for row in rows if ask.account_id in (None, row.account_id)]
    begun = min((row.from_date for row in rows), default=whole)
    starts: list[date] = []
    for account_id in {row.account_id for row in rows}:
        told = [row for row in rows if row.account_id == account_id and row.market in (ALL_MARKETS, ask.market)]
        for data_type in {row.data_type for row in told}:
            own = [row for row in told if row.data_type == data_type]
            late = min(row.from_date for row in own) > begun
            starts.append(begun if late else max(row.to_date for row in own))
        starts.extend([] if told else [begun])
    return min(starts, default=whole)


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


def _newest_days() -> tuple[date, date]:
    """Yesterday and today, one of which is today in whatever market."""
    return today() - timedelta(days=1), today()


def today() -> date:
    """Today where the days of the record turn over."""
    return datetime.now(ZONE).date()
