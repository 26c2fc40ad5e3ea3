"""The stage of matching: what moved positions, the lots that follow, and what closing them gained.

Instruments that only trade are matched by statements over all of them at once, the others row by row by `domain.lots`.
Both begin at the first changed day of an instrument, from the lots that were open then, and give the same rows.
"""

from collections.abc import Callable
from datetime import date

from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.matching_rules import match_eventful
from apex_pipeline.store.repositories.openings import rewrite_openings
from apex_pipeline.store.repositories.positions import extend_positions, rewrite_positions
from apex_pipeline.store.tables import LEDGER_TABLES
from apex_pipeline.store.transaction import Merged, Transaction

Observe = Callable[[str, int, int], None]

_SOURCES = {
    "lots": "lots_new",
    "lot_moves": "lot_moves_new",
    "realized_pnl": "realized_rated",
    "ledger_stops": "ledger_stops_new",
}
"""The tables of the ledger that matching writes, and where their new rows stand."""


def silent(_what: str, _done: int, _total: int) -> None:
    """The observer that tells nobody."""


class MatchRepository:
    """Keeps movements, lots and realized P&L in step with the trades."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def match(self, from_date: date, to_date: date, observe: Observe = silent) -> dict[str, Merged]:
        """Match the account-days of the range and those that changed, in one transaction; returns rows per table."""
        with self._db.sealed() as tx:
            changed = match_lots(tx, from_date, to_date, observe)
            observe("following positions", 0, 0)
            changed |= _follow(tx, from_date, to_date)
            tx.execute("match_mark")
        return changed


def match_lots(tx: Transaction, from_date: date, to_date: date, observe: Observe = silent) -> dict[str, Merged]:
    """The part up to lots and gains; leaves the temporary tables `due` and `touched` for what follows from them."""
    tx.execute("match_begin")
    observe("collecting what moved positions", 0, 0)
    due = tx.fetch("movements_due", from_date=from_date, to_date=to_date)
    openings = rewrite_openings(tx, [row["account_id"] for row in due])
    (rebuilt,) = tx.fetch("movements_rebuild")
    moved = Merged(rebuilt["inserted"], rebuilt["updated"], rebuilt["deleted"])
    tx.analyze_changed(["opening_balances", "position_movements"])
    observe("matching lots", 0, 0)
    # Where nothing is marked or touched there is no first day; no row is as late as this one.
    dirty_since = rebuilt["dirty_since"] or date.max
    (touched,) = tx.fetch("match_touched", dirty_since=dirty_since)
    since = touched["since"] or date.max
    _match_plain(tx, since, observe)
    observe("matching lots by every rule", 0, 0)
    match_eventful(tx, observe)
    observe("writing lots and gains", 0, 0)
    return {"opening_balances": openings, "position_movements": moved, **_write(tx, since, dirty_since)}


def _match_plain(tx: Transaction, since: date, observe: Observe) -> None:
    """Match the touched instruments that only trade; `since` is the first day from which on any is touched."""
    tx.execute("match_prepare", since=since)
    observe("matching first in, first out", 0, 0)
    tx.execute("match_units", since=since)
    tx.execute("match_pieces")
    observe("telling lots and gains", 0, 0)
    tx.execute("match_plain_rows")


def _write(tx: Transaction, since: date, dirty_since: date) -> dict[str, Merged]:
    (removed,) = tx.fetch("match_remove", since=since)
    tx.execute("match_rates", dirty_since=dirty_since)
    written = {
        name: tx.merge_from(LEDGER_TABLES[name], source) + Merged(0, 0, removed[name])
        for name, source in _SOURCES.items()
    }
    tx.analyze_changed(_SOURCES)
    return written


def _follow(tx: Transaction, from_date: date, to_date: date) -> dict[str, Merged]:
    """The positions of what was matched, and of accounts of which days became known although nothing was traded."""
    changed = rewrite_positions(tx)
    due = tx.fetch("match_accounts", from_date=from_date, to_date=to_date)
    first_day = min((row["first_day"] for row in due), default=from_date)
    extended = extend_positions(tx, [row["account_id"] for row in due], first_day)
    return changed | {"positions_daily": changed["positions_daily"] + extended}
