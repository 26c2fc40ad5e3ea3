"""The story: ingest, normalize, classify, reconcile; one function a stage, each safe to run again.

A stage reads what the stage before it wrote, works on the asked days and on the days that changed since
it last ran, and returns counts. Nothing here knows Dagster, SQL or a broker's words.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from apex_pipeline.brokers.contract import Acquire, BrokerPort, Session
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.reconciliation import CHECKS, CheckName, Finding, reconcile
from apex_pipeline.domain.records import Account, Ask, Call
from apex_pipeline.domain.strategies.classify import classify
from apex_pipeline.errors import BrokerError, ConfigError
from apex_pipeline.store.db import Database, Merged
from apex_pipeline.store.repositories.ledger import BreakRepository, Day, NormalizeRepository, StrategyRepository
from apex_pipeline.store.repositories.loads import Loaded, LoadRepository

DAYS_PER_TRANSACTION = 45
"""Days normalized in one transaction: few enough to keep memory flat, enough to make round trips rare."""

FEE_LOOKBACK_DAYS = 90
"""Fees that were pending are asked again for orders this old."""

FRIDAY = 5

Observe = Callable[[str, int, int], None]
"""Told of progress: what is being done, steps finished, steps known so far."""


def silent(_what: str, _done: int, _total: int) -> None:
    """The observer that tells nobody."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one extraction brought, in records, and what stayed uncovered."""

    broker: Broker
    calls: int = 0
    records: int = 0
    new_versions: int = 0
    unchanged: int = 0
    superseded: int = 0
    quarantined: int = 0
    notes: tuple[str, ...] = ()
    missing_days: tuple[date, ...] = ()
    skipped_calls: int = 0


@dataclass(slots=True)
class _Tally:
    run_id: int = 0
    calls: int = 0
    loads: list[Loaded] = field(default_factory=list)

    def ingested(self, broker: Broker, missing: Sequence[date]) -> Ingested:
        return Ingested(
            broker,
            self.calls,
            sum(load.records for load in self.loads),
            sum(load.new_versions for load in self.loads),
            sum(load.unchanged for load in self.loads),
            sum(load.superseded for load in self.loads),
            sum(load.quarantined for load in self.loads),
            tuple(dict.fromkeys(note for load in self.loads for note in load.notes)),
            tuple(missing),
        )


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Findings and compared subjects of one check, by day; and the break rows that changed."""

    findings: dict[CheckName, dict[date, list[Finding]]]
    subjects: dict[CheckName, dict[date, int]]
    breaks: Merged


def ingest(db: Database, broker: BrokerPort, acquire: Acquire, ask: Ask, observe: Observe = silent) -> Ingested:
    """Fetch what the asked days still lack and store it, call by call; raises BrokerError at the first refusal.

    A call that was stored stays stored, so an interrupted run is continued by the next one.
    """
    with db.lock(f"apex:ingest:{broker.name}", lambda: observe("waiting for another load", 0, 0)):
        return _ingest(LoadRepository(db, broker.name), broker, acquire, ask, observe)


def _ingest(loads: LoadRepository, broker: BrokerPort, acquire: Acquire, ask: Ask, observe: Observe) -> Ingested:
    tally = _Tally()
    ask = _askable(ask, broker)
    if ask.to_date < ask.from_date:
        return tally.ingested(broker.name, ())
    done = [] if ask.force else loads.done(ask, broker.final_after_days)
    tally.run_id = loads.begin_run(ask)
    try:
        with broker.connect(acquire) as session:
            accounts = _wanted(session.accounts(), ask)
            _load(loads, session, broker.plan(ask, accounts, done), tally, observe)
            _load(loads, session, _fee_calls(loads, broker, accounts, ask), tally, observe)
    except BrokerError:
        loads.end_run(tally.run_id, complete=False)
        raise
    loads.end_run(tally.run_id, complete=True)
    return tally.ingested(broker.name, missing_days(loads, broker, accounts, ask))


def ingest_plan(db: Database, broker: BrokerPort, accounts: Sequence[Account], ask: Ask) -> list[Call]:
    """The calls that an ingest of these days would make now, fees left out; asks and writes nothing."""
    ask = _askable(ask, broker)
    if ask.to_date < ask.from_date:
        return []
    done = [] if ask.force else LoadRepository(db, broker.name).done(ask, broker.final_after_days)
    return broker.plan(ask, accounts, done)


def _load(loads: LoadRepository, session: Session, calls: Sequence[Call], tally: _Tally, observe: Observe) -> None:
    for number, call in enumerate(calls):
        observe(str(call), number, len(calls))
        started_at = datetime.now(UTC)
        try:
            delivery = session.fetch(call)
        except BrokerError as error:
            loads.store_failure(tally.run_id, call, error, started_at)
            raise
        tally.calls += 1
        tally.loads.append(loads.store(tally.run_id, call, delivery, started_at))


def _askable(ask: Ask, broker: BrokerPort) -> Ask:
    last = min(ask.to_date, broker.last_day(ask.today))
    return Ask(ask.from_date, last, ask.today, ask.account_id, ask.market, ask.force)


def _wanted(accounts: Sequence[Account], ask: Ask) -> list[Account]:
    wanted = [account for account in accounts if ask.account_id in (None, account.account_id)]
    if accounts and not wanted:
        known = ", ".join(account.account_id for account in accounts)
        raise ConfigError(f"account {ask.account_id} is not among the accounts of this login: {known}")
    return wanted


def _fee_calls(loads: LoadRepository, broker: BrokerPort, accounts: Sequence[Account], ask: Ask) -> list[Call]:
    """Fees of every filled order that has none yet, over all windows: asking per window would cost more calls."""
    if broker.fee_data_type is None:
        return []
    since = min(ask.from_date, ask.today - timedelta(days=FEE_LOOKBACK_DAYS)) - timedelta(days=1)
    calls: list[Call] = []
    for account in accounts:
        records = loads.records_between(account.account_id, since, ask.today + timedelta(days=1))
        calls += broker.plan_fees(account, broker.orders_without_fees(records), ask)
    return calls


def missing_days(loads: LoadRepository, broker: BrokerPort, accounts: Sequence[Account], ask: Ask) -> list[date]:
    """Asked weekdays that some account was not covered for; all of them when no account was."""
    rows = loads.covered_days(broker.covering_data_types, ask.from_date, ask.to_date)
    told = accounts or [Account(account_id) for account_id in sorted({row["account_id"] for row in rows})]
    asked = _days(ask.from_date, ask.to_date)
    missing = set[date]() if told else set(asked)
    for account in told:
        for data_type in broker.covering_data_types if account.has_trades else broker.covering_data_types[:1]:
            ranges = [r for r in rows if r["account_id"] == account.account_id and r["data_type"] == data_type]
            missing |= {day for day in asked if not any(r["from_date"] <= day <= r["to_date"] for r in ranges)}
    return sorted(day for day in missing if day.isoweekday() <= FRIDAY)


def normalize(
    db: Database, broker: BrokerPort, from_date: date, to_date: date, observe: Observe = silent
) -> tuple[dict[str, Merged], int]:
    """Turn raw records into rows for the asked and the changed days; returns changed rows per table, rejects."""
    repository = NormalizeRepository(db, broker.name)
    total: dict[str, Merged] = {}
    rejected = 0
    with db.lock(f"apex:normalize:{broker.name}"):
        parts = _parts(repository.days(from_date, to_date))
        for number, days in enumerate(parts):
            observe(f"normalizing {broker.name} {days[0][1]}..{days[-1][1]}", number, len(parts))
            written = repository.rewrite(days, broker.normalize)
            rejected += written.quarantined
            total = {name: total.get(name, Merged(0, 0)) + merged for name, merged in written.rows.items()}
    return total, rejected


def classify_strategies(db: Database, from_date: date, to_date: date, observe: Observe = silent) -> Merged:
    """Name the trade idea of every filled order of the accounts that have orders or changes in the range."""
    repository = StrategyRepository(db)
    total = Merged(0, 0)
    with db.lock("apex:classify"):
        accounts = repository.accounts(from_date, to_date)
        for number, account_id in enumerate(accounts):
            observe("classifying orders", number, len(accounts))
            assignments = classify(repository.orders(account_id), repository.book_entries(account_id))
            total += repository.replace(account_id, assignments)
    return total


def reconcile_days(db: Database, from_date: date, to_date: date, observe: Observe = silent) -> Reconciled:
    """Run every check over the asked and the changed days and update the breaks."""
    repository = BreakRepository(db)
    findings: dict[CheckName, list[Finding]] = {}
    subjects: dict[CheckName, dict[date, int]] = {}
    with db.lock("apex:reconcile"):
        from_date, to_date = repository.dirty_span(from_date, to_date)
        for number, check in enumerate(CHECKS):
            observe(f"checking {check.value.replace('_', ' ')}", number, len(CHECKS))
            findings[check] = repository.findings(check, from_date, to_date)
            subjects[check] = repository.subjects(check, from_date, to_date)
        existing = repository.existing(from_date, to_date)
        found = [finding for some in findings.values() for finding in some]
        rows = reconcile(existing, found, lambda _check, day: day is not None, datetime.now(UTC))
        breaks = repository.save(rows, from_date, to_date)
    return Reconciled({check: _by_day(some) for check, some in findings.items()}, subjects, breaks)


def _by_day(findings: Sequence[Finding]) -> dict[date, list[Finding]]:
    days: dict[date, list[Finding]] = {}
    for finding in findings:
        if finding.business_date is not None:
            days.setdefault(finding.business_date, []).append(finding)
    return days


def _days(from_date: date, to_date: date) -> list[date]:
    return [from_date + timedelta(days=n) for n in range((to_date - from_date).days + 1)]


def _parts(days: Sequence[Day]) -> list[list[Day]]:
    parts: list[list[Day]] = []
    for day in days:
        if parts and (day[1] - parts[-1][0][1]).days < DAYS_PER_TRANSACTION:
            parts[-1].append(day)
        else:
            parts.append([day])
    return parts
