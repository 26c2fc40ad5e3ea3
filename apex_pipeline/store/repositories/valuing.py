"""The stage after matching: settlement, rules, cash and value, for the accounts whose days changed."""

from collections.abc import Callable
from datetime import date

from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.calendars import refresh_calendars
from apex_pipeline.store.repositories.cash import rewrite_cash
from apex_pipeline.store.repositories.rules import rewrite_rules
from apex_pipeline.store.repositories.value import rewrite_performance
from apex_pipeline.store.transaction import Merged


class ValueRepository:
    """Recomputes what follows from matched trades and cash, each account from its first changed day on."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def value(self, from_date: date, to_date: date, observe: Callable[[str, int, int], None]) -> dict[str, Merged]:
        """Value the accounts that have days in the range or changed ones; returns changed rows per table."""
        observe("reading the calendars of exchanges", 0, 0)
        changed = {"market_days": refresh_calendars(self._db)}
        with self._db.sealed() as tx:
            # The marks go first: what commits after this line marks its days again.
            rows = tx.fetch("value_take", from_date=from_date, to_date=to_date)
            first_days: dict[str, date] = {row["account_id"]: row["first_day"] for row in rows}
            if first_days:
                for what, rewrite in (
                    ("settling trades", rewrite_rules),
                    ("adding up cash", rewrite_cash),
                    ("valuing accounts", rewrite_performance),
                ):
                    observe(what, 0, 0)
                    rewritten = rewrite(tx, first_days)
                    tx.analyze_changed(rewritten)
                    changed |= rewritten
        return changed
