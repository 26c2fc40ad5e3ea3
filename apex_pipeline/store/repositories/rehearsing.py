"""What a diagnosis tries on stored rows, in a rehearsal that is rolled back, and what mending repeats for good."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import product
from typing import Any

import psycopg2

from apex_pipeline.domain.models import Broker
from apex_pipeline.store.connection import reason
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.ledger import Day, mark_changed
from apex_pipeline.store.tables import is_named, key_of

Json = Mapping[str, Any]


class RehearsalRepository:
    """Changes rows as a diagnosis proposes, and reads what the stages make of it."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def change(self, proposals: Iterable[Json]) -> None:
        """Make the proposed changes: {"do": insert, update or delete, "table", "key", "row"}.

        ValueError for a table or column that there is not, and for a row that the database refuses.
        """
        with self._db.transaction() as tx:
            for proposal in proposals:
                if not is_named(str(proposal.get("table"))):
                    raise ValueError(f"a proposal names no table of ours: {proposal.get('table')!r}")
                try:
                    tx.change(proposal)
                except (psycopg2.DataError, psycopg2.IntegrityError) as error:
                    raise ValueError(f"a proposal does not fit its table: {reason(error)}") from error

    def mark(self, days: Mapping[Broker, set[Day]]) -> None:
        """Have the stages look at these days again, and tell the strategies of their accounts anew."""
        accounts = sorted({account for some in days.values() for account, _ in some})
        with self._db.transaction() as tx:
            tx.execute("strategies_forget", accounts=accounts)
            for broker, some in days.items():
                mark_changed(tx, broker, some)

    def forget_movements(self, accounts: Sequence[str]) -> None:
        """Have positions and lots of these accounts made again from their beginning."""
        self._db.execute("movements_forget", accounts=sorted(set(accounts)))

    def remove_without_record(self, days: Iterable[Day]) -> None:
        """Remove trades and bookings of these account-days of whose broker's record nothing is kept."""
        with self._db.sealed() as tx:
            for (account_id, day), table in product(sorted(days), ("trades_norm", "cash_movements")):
                scope = {"table_name": table, "account_id": account_id, "business_date": day}
                for found in tx.fetch("rows_without_record", **scope):
                    key = {column: found["row"][column] for column in key_of(table)}
                    tx.change({"do": "delete", "table": table, "key": key})

    def rows(self, table: str, account_id: str, day: date) -> dict[str, Json]:
        """Rows of an account-day of a sealed table by their key, texts joined by slashes."""
        scope: dict[str, Any] = {"table_name": table, "account_id": account_id, "business_date": day}
        found = [row["row"] for row in self._db.fetch("sealed_rows", **scope)]
        return {"/".join(str(row[column]) for column in key_of(table)): row for row in found}

    def brokers(self, accounts: Sequence[str]) -> dict[str, Broker]:
        """The broker of each account, of those that were loaded."""
        rows = self._db.fetch("brokers_of_accounts", accounts=sorted(set(accounts)))
        return {row["account_id"]: Broker(row["broker"]) for row in rows}
