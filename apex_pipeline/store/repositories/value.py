"""Daily values and results of accounts: reads what the ledger knows, has it valued, writes performance_metrics."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from apex_pipeline.domain.ledger import Performance
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.valuation import (
    HOUR,
    RATE_DAYS,
    AccountFacts,
    Held,
    Rate,
    Rates,
    Result,
    Trips,
    Valuer,
    valuation_of,
    with_growth,
)
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import LEDGER_TABLES, as_row, row_as
from apex_pipeline.store.transaction import Merged, Row, Transaction

PERFORMANCE = LEDGER_TABLES["performance_metrics"]
_BEGINNING = date.min


def rewrite_performance(tx: Transaction, accounts_from: Mapping[str, date]) -> dict[str, Merged]:
    """Make the DAY rows of these accounts anew from these days on; returns changed rows per table.

    Equal rows are not written, rows that no longer follow are removed. Positions, closings, round trips and cash must
    have been written before.
    """
    if not accounts_from:
        return {PERFORMANCE.name: Merged(0, 0)}
    past = _past(tx, accounts_from)
    after = {account: past[account][-1].business_date if past[account] else _BEGINNING for account in accounts_from}
    rows = [row for valuer in _valuers(tx, after, past) for row in valuer.rows()]
    written = tx.merge(PERFORMANCE, map(as_row, rows))
    removed = tx.execute(
        "performance_remove_stale",
        **_due(after),
        kept_accounts=[row.account_id for row in rows],
        kept_days=[row.business_date for row in rows],
        kept_scopes=[row.scope for row in rows],
        kept_ids=[row.scope_id for row in rows],
    )
    return {PERFORMANCE.name: written + Merged(0, 0, removed)}


def value_now(db: Database, account_id: str, now: datetime) -> Performance | None:
    """Write the HOUR row of an account, valued as its newest known day up to now; None if nothing is known of it.

    `as_of` is the beginning of the hour, so that a second call in an hour replaces the first. Growth is measured
    against the days before.
    """
    with db.sealed() as tx:
        past = _past(tx, {account_id: now.date() + timedelta(1)})
        if not past[account_id]:
            return None
        *before, newest = past[account_id]
        after = {account_id: before[-1].business_date if before else _BEGINNING}
        valuer = next(iter(_valuers(tx, after, {account_id: before})), None)
        if valuer is None:
            return None
        row = valuer.row(newest.business_date, HOUR, now.replace(minute=0, second=0, microsecond=0))
        row = with_growth([valuation_of(one) for one in before], [row])[0]
        tx.merge(PERFORMANCE, [as_row(row)])
        return row


def _past(tx: Transaction, accounts_from: Mapping[str, date]) -> dict[str, list[Performance]]:
    told = tx.fetch("performance_past", accounts=list(accounts_from), dates=list(accounts_from.values()))
    past: dict[str, list[Performance]] = {account: [] for account in accounts_from}
    for row in told:
        past[row["account_id"]].append(row_as(Performance, row))
    return past


def _valuers(tx: Transaction, after: Mapping[str, date], past: Mapping[str, Sequence[Performance]]) -> Iterable[Valuer]:
    """One for each of these accounts whose broker is known, with everything that happened after its day."""
    facts: dict[str, AccountFacts] = {}
    for row in tx.fetch("performance_accounts", accounts=list(after)):
        if row["broker"] is not None:
            facts[row["account_id"]] = _begun(row, past[row["account_id"]])
    due = {account: after[account] for account in facts}
    if not due:
        return []
    first_day = min(due.values())
    _read(tx, facts, _due(due), first_day)
    rates = _rates(tx, facts.values(), first_day)
    return [Valuer(one, rates) for one in facts.values()]


def _begun(row: Row, past: Sequence[Performance]) -> AccountFacts:
    said = list(zip(row["days"] or (), row["bases"] or (), strict=True))
    bases = [(_BEGINNING, row["base"])] if row["base"] else []
    return AccountFacts(
        row["account_id"], Broker(row["broker"]), bases=[*bases, *said], past=[valuation_of(one) for one in past]
    )


def _read(tx: Transaction, facts: Mapping[str, AccountFacts], due: Mapping[str, Any], first_day: date) -> None:
    for row in tx.fetch("performance_days", **due, first_day=first_day):
        facts[row["account_id"]].days.append(row["on_date"])
    for row in tx.fetch("performance_cash", **due):
        facts[row["account_id"]].cash[row["currency"]].append((row["as_of"], row["total_cash"]))
    for row in tx.fetch("performance_held", **due, first_day=first_day):
        held = Held(row["value"], row["unrealized"])
        facts[row["account_id"]].held[row["business_date"]][row["currency"]] = held
    for row in tx.fetch("performance_booked", **due, first_day=first_day):
        one = facts[row["account_id"]]
        booked = one.fees if row["is_fee"] else one.flows
        booked[row["booked_on"]].append((row["currency"], row["amount"]))
    for row in tx.fetch("performance_results", **due, first_day=first_day):
        result = Result(row["realized"], row["fees"], row["base_realized"], row["base"])
        scope = row["scope"], row["scope_id"]
        facts[row["account_id"]].results[scope][row["closed_on"]].append((row["currency"], result))
    for row in tx.fetch("performance_told", accounts=due["accounts"], first_day=first_day):
        facts[row["account_id"]].told[row["business_date"]] = (row["currency"], row["amount"])
    for row in tx.fetch("performance_trips", **due):
        trips = Trips(row["won"], row["known"], row["every"])
        scope = row["scope"], row["scope_id"]
        facts[row["account_id"]].trips[scope][row["closed_on"] or _BEGINNING] = trips


def _rates(tx: Transaction, facts: Iterable[AccountFacts], first_day: date) -> Rates:
    bases = sorted({base for one in facts for _, base in one.bases})
    since = first_day - timedelta(RATE_DAYS + 1) if first_day > _BEGINNING else first_day
    told = tx.fetch("performance_rates", currencies=bases, first_day=since)
    return Rates(Rate(row["account_id"], row["on_date"], row["source"], row["target"], row["rate"]) for row in told)


def _due(after: Mapping[str, date]) -> dict[str, Any]:
    return {"accounts": list(after), "after": list(after.values())}
