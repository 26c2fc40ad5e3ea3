"""The story: ingest, normalize, classify, match, value, reconcile; one function a stage, each safe to run again.

A stage reads what the stage before it wrote, works on the asked days and on the days that changed since
it last ran, and returns counts. Nothing here knows Dagster, SQL or a broker's words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from apex_pipeline.bar_extraction import BarExtraction, BarsLoaded
from apex_pipeline.brokers.contract import Acquire, BarSource, BrokerPort, Limit
from apex_pipeline.brokers.registry import normalizing_ports
from apex_pipeline.diagnosis import Days, Diagnosis
from apex_pipeline.domain.bar_plan import BarWish
from apex_pipeline.domain.checks import CHECKS, CheckName
from apex_pipeline.domain.explanations import Ages, explained_by_rule, with_proofs
from apex_pipeline.domain.lifecycle import endings
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.reconciliation import (
    Break,
    BreakRule,
    BreakState,
    Compared,
    Explanation,
    Finding,
    Known,
    changes,
    finding_of,
    is_news,
    reconcile,
)
from apex_pipeline.domain.records import Account, Ask, Call, LoadScope
from apex_pipeline.domain.results import RiskSignal
from apex_pipeline.domain.risk import follow, judge, measure
from apex_pipeline.domain.risk_limits import RiskLimit
from apex_pipeline.domain.strategies.classify import classify
from apex_pipeline.domain.strategies.telling import tell
from apex_pipeline.extraction import Extraction, Ingested, Observe, askable, done_before, missing_days
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.breaks import BreakRepository
from apex_pipeline.store.repositories.chains import ChainRepository
from apex_pipeline.store.repositories.endings import EndingRepository
from apex_pipeline.store.repositories.ledger import Day, NormalizeRepository
from apex_pipeline.store.repositories.loads import BATCH_SIZE, LoadRepository
from apex_pipeline.store.repositories.matching import MatchRepository
from apex_pipeline.store.repositories.rehearsing import RehearsalRepository
from apex_pipeline.store.repositories.risk import RiskRepository
from apex_pipeline.store.repositories.strategies import StrategyRepository
from apex_pipeline.store.repositories.valuing import ValueRepository
from apex_pipeline.store.transaction import Merged

SEALED = CheckName.STORED_ROWS_ARE_WHAT_THEIR_RECORDS_MAKE
FRESH = CheckName.THE_NEWEST_DATA_IS_FRESH
"""The check that only says something of a run that reaches the newest day."""

DAYS_PER_TRANSACTION = 45
"""Days normalized in one transaction: few enough to keep memory flat, enough to make round trips rare."""


def silent(_what: str, _done: int, _total: int) -> None:
    """The observer that tells nobody."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What every check found and compared."""

    findings: dict[CheckName, list[Finding]]
    compared: list[Compared]


@dataclass(frozen=True, slots=True)
class Reconciled(Checked):
    """The same, and the break rows that changed."""

    breaks: Merged


@dataclass(frozen=True, slots=True)
class Watched:
    """What watching risk changed, and the signals of limits that stand now."""

    rows: dict[str, Merged]
    standing: list[RiskSignal]


def ingest(
    db: Database,
    broker: BrokerPort,
    acquire: Acquire,
    ask: Ask,
    observe: Observe = silent,
    *,
    batch_size: int = BATCH_SIZE,
) -> Ingested:
    """Fetch what the asked days still lack and store it, call by call; raises BrokerError at the first refusal.

    `batch_size`: records that are written at once.
    """
    loads = LoadRepository(db, broker.name, batch_size)
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


def load_bars(
    db: Database,
    sources: Sequence[tuple[BarSource, Limit]],
    wish: BarWish,
    most_seconds: float,
    observe: Observe = silent,
) -> BarsLoaded:
    """Ask brokers for the bars that are wanted and not known; one that cannot be asked leaves the others."""
    with db.lock("apex:bars", lambda: observe("waiting for another load of bars", 0, 0)):
        return BarExtraction(db, sources, wish, observe, most_seconds).run()


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


def watch_risk(db: Database, limits: Sequence[RiskLimit], now: datetime) -> Watched:
    """Measure how exposed accounts are by the newest that is known at `now`, and raise and resolve signals of limits.

    Writes figures to risk_snapshots and signals to risk_signals, both of the source LIMITS; those of an engine stay.
    """
    with db.lock("apex:risk"), db.transaction() as tx:
        repository = RiskRepository(tx, now)
        figures = [measure(book) for book in repository.books()]
        judged = [one for some in figures for one in judge(some, limits)]
        steps = follow(repository.standing(), judged, {one.scope: one.as_of for one in figures})
        return Watched(repository.save(figures, steps), [*steps.kept, *steps.raised])


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


def reconcile_days(
    db: Database, from_date: date, to_date: date, observe: Observe = silent, made_by: str = "pipeline"
) -> Reconciled:
    """Run every check over the asked and the changed days, find what follows from what, and update the breaks."""
    repository = BreakRepository(db)
    with db.lock("apex:reconcile"):
        from_date, to_date = repository.dirty_span(from_date, to_date)
        run_id = repository.begin(from_date, to_date, made_by)
        told = _checked(repository, from_date, to_date, observe)
        diagnosis = Diagnosis(db, write_again, follow_again, (from_date, to_date))
        told.findings[SEALED] = diagnosis.name_rows(told.findings[SEALED])
        found = [finding for some in told.findings.values() for finding in some]
        existing = repository.existing(from_date, to_date)
        now = datetime.now(UTC)
        ages = Ages(repository.sessions(min(_days_of(found), default=now.date()), now.date()))
        explanations = _explained(diagnosis, found, existing, repository.elsewhere(from_date, to_date))
        known = Known(explanations, repository.worths(found), ages.age)
        reaches = repository.reaches_newest(to_date)
        rows = reconcile(existing, found, lambda check, _day: reaches or check != FRESH.value, now, known)
        steps = changes(existing, rows, f"run {run_id} of {made_by}", now, run_id)
        breaks = repository.save(run_id, (from_date, to_date), rows, steps, told.compared)
    return Reconciled(told.findings, told.compared, breaks)


def _checked(repository: BreakRepository, from_date: date, to_date: date, observe: Observe) -> Checked:
    findings: dict[CheckName, list[Finding]] = {}
    compared: list[Compared] = []
    for number, check in enumerate(CHECKS):
        observe(f"checking {check.value.replace('_', ' ')}", number, len(CHECKS))
        findings[check] = repository.findings(check, from_date, to_date)
        compared += repository.compared(check, from_date, to_date)
    return Checked(findings, compared)


def _explained(
    diagnosis: Diagnosis, found: Sequence[Finding], existing: Sequence[Break], elsewhere: Sequence[Break]
) -> dict[str, Explanation]:
    """What rules and proofs explain, by the uid of the break. What was found before just so is not proven again.

    `elsewhere` are the breaks of other days, which may be the cause.
    """
    by_rule = explained_by_rule(found, [finding_of(row) for row in elsewhere])
    # what time explains may have a cause all the same, which says more
    told = {uid for uid, explanation in by_rule.items() if explanation.follows}
    others = [one for one in found if one.break_uid not in told]
    if is_news(others, existing):
        earlier = [finding_of(row) for row in elsewhere if row.state is not BreakState.EXPLAINED]
        proven = diagnosis.causes(others, [one for one in found if one.break_uid in told], earlier)
    else:
        proven = {row.break_uid: tuple(row.follows) for row in existing if row.rule == BreakRule.FOLLOWS}
    return with_proofs(by_rule, proven)


def mend(db: Database, breaks: Sequence[Break]) -> int:
    """Have the stages write the account-days anew whose stored rows these open breaks are about; returns how many."""
    days: dict[Broker, set[Day]] = {}
    for row in breaks:
        is_changed = row.check_name == SEALED and row.state is BreakState.OPEN
        if is_changed and row.broker and row.account_id and row.business_date:
            days.setdefault(row.broker, set()).add((row.account_id, row.business_date))
    if days:
        write_again(db, days)
    return sum(map(len, days.values()))


def write_again(db: Database, days: Days) -> None:
    """Write the normalized rows of these account-days and everything that follows from them anew.

    Trades and bookings that no record makes are removed first: what follows must not rest on them.
    """
    rehearsal, every = RehearsalRepository(db), [day for some in days.values() for day in some]
    rehearsal.remove_without_record(every)
    for port in normalizing_ports():
        if some := days.get(port.name):
            NormalizeRepository(db, port.name).rewrite(sorted(some), port.normalize)
    rehearsal.forget_movements([account for account, _ in every])
    follow_again(db, days)


def follow_again(db: Database, days: Days) -> None:
    """Compute everything that follows from the normalized rows of these account-days anew."""
    rehearsal = RehearsalRepository(db)
    rehearsal.mark(days)  # how options ended is made of marked days, and marks others
    for port in normalizing_ports():
        if port.name in days:
            end_options(db, port)
    rehearsal.mark(days)
    nothing = date.max, date.min
    classify_strategies(db, *nothing)
    match_lots(db, *nothing)
    value_accounts(db, *nothing)
    tell_strategies(db)


def _days_of(findings: Sequence[Finding]) -> list[date]:
    return [one.business_date for one in findings if one.business_date]


def _parts(days: Sequence[Day]) -> list[list[Day]]:
    parts: list[list[Day]] = []
    for day in days:
        if parts and (day[1] - parts[-1][0][1]).days < DAYS_PER_TRANSACTION:
            parts[-1].append(day)
        else:
            parts.append([day])
    return parts
