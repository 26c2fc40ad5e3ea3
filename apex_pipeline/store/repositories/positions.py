"""Positions from the ledger: what was held at the end of each day, what every movement did, and round trips.

Everything here runs in the transaction of matching and is computed in the database. Stored rows are a function of
movements, lots, closings, known days and marks: whatever the order in which those came, the same rows stand here.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import LiteralString

from apex_pipeline.store.tables import LEDGER_TABLES
from apex_pipeline.store.transaction import Merged, Transaction

NONE = Merged(0, 0)
_COMPUTED: Mapping[str, tuple[LiteralString, str]] = {
    "positions_daily": ("positions_daily_rewrite", "new_positions"),
    "position_events": ("positions_events_rewrite", "new_events"),
    "round_trips": ("round_trips_rewrite", "new_trips"),
}
"""The statement that computes a table's rows and removes those that no longer follow, and where it leaves them."""


def rewrite_positions(tx: Transaction) -> dict[str, Merged]:
    """Write the positions, their events and round trips of what was matched; returns changed rows per table.

    The transaction holds the temporary table `touched` (account_id, instrument_id, broker, from_day): the instruments
    that were matched again, each from its day on. Marks of other days are not looked at; see `extend_positions`.
    """
    accounts = [row["account_id"] for row in tx.fetch("positions_touched")]
    if not accounts:
        return dict.fromkeys(_COMPUTED, NONE)
    extended = _extend(tx, accounts)
    since = _begin(tx, matched=True)
    # Round trips are added up from the events, so these are written before.
    changed = {table: _rewrite(tx, table, since) for table in _COMPUTED}
    changed["positions_daily"] += extended
    return changed


def extend_positions(tx: Transaction, accounts: Sequence[str], from_date: date | None = None) -> Merged:
    """Carry the positions of these accounts on to days that became known, and follow marks that changed.

    `from_date`: the first day whose marks may have changed; None looks at all days. Days are known from what was
    asked of the broker, so this is due after every load, whether anything was traded or not.
    """
    if not accounts:
        return NONE
    extended = _extend(tx, accounts)
    since = _begin(tx, matched=False)
    opened = NONE if since is None else _rewrite(tx, "positions_daily", since)
    marked = tx.execute("positions_marks", accounts=list(accounts), from_date=from_date)
    return extended + opened + Merged(0, marked)


def relink_round_trips(tx: Transaction, accounts: Sequence[str]) -> Merged:
    """Have the round trips of these accounts name the strategy that their opening order is classified as now."""
    return Merged(0, tx.execute("round_trips_relink", accounts=list(accounts)))


def _extend(tx: Transaction, accounts: Sequence[str]) -> Merged:
    tx.execute("positions_days", accounts=list(accounts))
    (told,) = tx.fetch("positions_extend")
    return Merged(told["inserted"], 0, told["deleted"])


def _begin(tx: Transaction, *, matched: bool) -> date | None:
    """Find what is to be written again: what was matched if so asked, and what days before all known ones need.

    Returns the first day from which on anything is; None if nothing is.
    """
    (scope,) = tx.fetch("positions_scope", matched=matched)
    if scope["since"] is not None:
        tx.execute("positions_state", since=scope["since"])
        tx.execute("positions_steps", since=scope["since"])
    return scope["since"]


def _rewrite(tx: Transaction, table: str, since: date | None) -> Merged:
    statement, computed = _COMPUTED[table]
    removed = tx.execute(statement, since=since)
    written = tx.merge_from(LEDGER_TABLES[table], computed) + Merged(0, 0, removed)
    tx.analyze_changed([table])
    return written
