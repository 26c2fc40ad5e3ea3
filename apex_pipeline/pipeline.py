"""The story: ingest, normalize, classify, match, value, reconcile; one function a stage, each safe to run again.

A stage reads what the stage before it wrote, works on the asked days and on the days that changed since
it last ran, and returns counts. Nothing here knows Dagster, SQL or a broker's words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from apex_pipeline.brokers.contract import Acquire, BrokerPort
from apex_pipeline.domain.lifecycle import endings
from apex_pipeline.domain.reconciliation import CHECKS, CheckName, Finding, reconcile
from apex_pipeline.domain.records import Account, Ask, Call, LoadScope
from apex_pipeline.domain.strategies.classify import classify
from apex_pipeline.domain.strategies.telling import tell
from apex_pipeline.extraction import Extraction, Ingested, Observe, askable, done_before, missing_days
from apex_pipeline.store.db import Database, Merged
from apex_pipeline.store.repositories.chains import ChainRepository
from apex_pipeline.store.repositories.endings import EndingRepository
from apex_pipeline.store.repositories.ledger import BreakRepository, Day, NormalizeRepository
from apex_pipeline.store.repositories.loads import LoadRepository
from apex_pipeline.store.repositories.matching import MatchRepository
from apex_pipeline.store.repositories.strategies import StrategyRepository
from apex_pipeline.store.repositories.valuing import ValueRepository

DAYS_PER_TRANSACTION = 45
"""Days normalized in one transaction: few enough to keep memory flat, enough to make round trips rare."""


def silent(_what: str, _done: int, _total: int) -> None:
    """The observer that tells nobody."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Findings and compared subjects of one check, by day; and the break rows that changed."""

    findings: dict[CheckName, dict[date, list[Finding]]]
    subjects: dict[CheckName, dict[date, int]]
    breaks: Merged


def ingest(db: Database, broker: BrokerPort, acquire: Acquire, ask: Ask, observe: Observe = silent) -> Ingested:
    """Fetch what the asked days still lack and store it, call by call; raises BrokerError at the first refusal."""
    loads = LoadRepository(db, broker.name)
    with db.lock(f"apex:ingest:{broker.name}", lambda: observe("waiting for another load", 0, 0)):
        ask = askable(ask, broker, loads)
        extraction = Extraction(loads, broker, ask, observe)
        if ask.to_date < ask.from_date and not broker.plan_states(ask, ()):
            return extraction.told(())
        done = done_before(ask, broker, loads)
        with loads.run(ask) as extraction.run_id, broker.connect(acquire) as session:
            accounts = extraction.run(session, done)
        return extraction.told(missing_days(loads, broker, accounts, ask))


def ingest_plan(db: Database, broker: BrokerPort, accounts: Sequence[Account], ask: Ask) -> list[Call]:
    """The calls that an ingest of these days would make now; asks and writes nothing.

    Fees are planned of the orders that are stored: those of orders yet to come are not known.
    """
    loads = LoadRepository(db, broker.name)
    ask = askable(ask, broker, loads)
    if ask.to_date < ask.from_date:
        return broker.plan_states(ask, accounts)
    extraction = Extraction(loads, broker, ask, silent)
    fees = [] if ask.scope is LoadScope.CASH else extraction.fee_calls(extraction.audits(accounts))
    history = broker.plan(ask, accounts, done_before(ask, broker, loads))
    return [*history, *fees, *broker.plan_states(ask, accounts)]


def predicted_seconds(db: Database, broker: BrokerPort, calls: Sequence[Call]) -> Decimal:
    """The wall time to expect of these calls, judged by the broker's limits and by what came before."""
    return broker.seconds(calls, LoadRepository(db, broker.name).density())


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


def end_options(db: Database, broker: BrokerPort, observe: Observe = silent) -> Merged:
    """Make trades of assignments, exercises and expiries, where the broker tells them in cash and positions only."""
    total = Merged(0, 0)
    if broker.cash_data_type is None:
        return total
    repository = EndingRepository(db, broker.name, broker.cash_data_type)
    with db.lock(f"apex:endings:{broker.name}"):
        accounts = repository.accounts()
        for number, account_id in enumerate(accounts):
            observe("ending options", number, len(accounts))
            seen = repository.observed(account_id)
            ended = endings(seen.trades, seen.movements, seen.snapshots, seen.instruments, seen.cash_told)
            total += repository.replace(account_id, ended)
    return total


def classify_strategies(db: Database, from_date: date, to_date: date, observe: Observe = silent) -> Merged:
    """Name the trade idea of every filled order of accounts with orders or changes in the range; returns changed rows.

    Only underlyings whose inputs changed are classified again.
    """
    repository = StrategyRepository(db)
    total = Merged(0, 0)
    # Strategies begin with the same openings as lots: the ledger must not write them at the same time.
    with db.lock("apex:classify"), db.lock("apex:match"):
        accounts = repository.accounts(from_date, to_date)
        for number, account_id in enumerate(accounts):
            observe("classifying orders", number, len(accounts))
            total += repository.reclassify(account_id, classify)
    return total


def match_lots(db: Database, from_date: date, to_date: date, observe: Observe = silent) -> dict[str, Merged]:
    """Match trades with the lots they close and follow the positions; returns changed rows per table."""
    with db.lock("apex:match"):
        return MatchRepository(db).match(from_date, to_date, observe)


def value_accounts(db: Database, from_date: date, to_date: date, observe: Observe = silent) -> dict[str, Merged]:
    """Settle, count and value what was matched: cash, rules, performance; returns changed rows per table."""
    with db.lock("apex:value"):
        return ValueRepository(db).value(from_date, to_date, observe)


def tell_strategies(db: Database, observe: Observe = silent) -> dict[str, Merged]:
    """Tell strategies and their chains where orders, trades, fees or gains changed; returns changed rows per table."""
    repository = ChainRepository(db)
    total: dict[str, Merged] = {}
    with db.lock("apex:tell"):
        accounts = repository.accounts()
        for number, (broker, account_id) in enumerate(accounts):
            observe("telling strategies", number, len(accounts))
            changed = repository.rewrite(broker, account_id, tell)
            total = {name: total.get(name, Merged(0, 0)) + merged for name, merged in changed.items()}
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
        rows = reconcile(existing, found, lambda _check, _day: True, datetime.now(UTC))
        breaks = repository.save(rows, from_date, to_date)
    return Reconciled({check: _by_day(some) for check, some in findings.items()}, subjects, breaks)


def _by_day(findings: Sequence[Finding]) -> dict[date, list[Finding]]:
    days: dict[date, list[Finding]] = {}
    for finding in findings:
        if finding.business_date is not None:
            days.setdefault(finding.business_date, []).append(finding)
    return days


def _parts(days: Sequence[Day]) -> list[list[Day]]:
    parts: list[list[Day]] = []
    for day in days:
        if parts and (day[1] - parts[-1][0][1]).days < DAYS_PER_TRANSACTION:
            parts[-1].append(day)
        else:
            parts.append([day])
    return parts
