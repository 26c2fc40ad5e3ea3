"""What keeping snapshots needs beside finding them: the ledger as a snapshot and beside one, newest ones, cleaning up.

Here: reading whole and removing. Not here: single snapshots by account and time, which are in `snapshots`, nor what a
snapshot must hold to be started from, which is in `domain.snapshots`.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any, LiteralString, TypeVar

from apex_pipeline.domain.market import PositionSnapshot
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.snapshots import FIELDS, LEDGER, LedgerLine, LedgerView
from apex_pipeline.errors import StorageError
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import row_as
from apex_pipeline.store.transaction import Transaction

T = TypeVar("T")

NEWEST: Mapping[str, LiteralString] = {
    "position_snapshots": "position_snapshots_newest",
    "account_snapshots": "account_snapshots_newest",
    "risk_snapshots": "risk_snapshots_newest",
}
FORGET: Mapping[str, LiteralString] = {
    "position_snapshots": "position_snapshots_forget",
    "account_snapshots": "account_snapshots_forget",
    "risk_snapshots": "risk_snapshots_forget",
}
CLEAR: Mapping[str, LiteralString] = {
    "position_snapshots": "position_snapshots_clear",
    "account_snapshots": "account_snapshots_clear",
    "risk_snapshots": "risk_snapshots_clear",
}
PART = 2000
"""Snapshots that are removed in one transaction."""


class SnapshotKeeper:
    """The snapshot tables as a whole."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def at_one_moment(self, read: Callable[[], T]) -> T:
        """What `read` returns, which sees the database of one moment whatever others write, and can write nothing.

        StorageError within a transaction, which sees what others commit meanwhile.
        """
        if self._db.in_transaction:
            raise StorageError("what is read together is read as of one moment: not within an open transaction")

        def work(tx: Transaction) -> T:
            tx.execute("read_at_one_moment")
            return read()

        return self._db.run(work)

    def of_ledger(self, at: datetime, broker: Broker | None = None) -> list[PositionSnapshot]:
        """What the ledger holds at a moment, of all its accounts or those of a broker, captured then.

        Left out are accounts of which a broker or an engine has told since, and the ledger has not caught up.
        """
        rows = self._db.fetch("snapshot_of_ledger", at=at, broker=broker)
        return [
            _of_ledger(Broker(name), account_id, list(some), at)
            for (name, account_id), some in groupby(rows, lambda row: (row["broker"], row["account_id"]))
        ]

    def beside(self, snapshot: PositionSnapshot) -> LedgerView:
        """The ledger at the watermark of a snapshot that is stored, and since."""
        key: dict[str, Any] = {
            "broker": snapshot.broker,
            "account_id": snapshot.account_id,
            "captured_at": snapshot.captured_at,
        }
        rows = self._db.fetch("snapshot_beside_ledger", **key)
        lines = [row_as(LedgerLine, row) for row in rows if row["instrument_id"] is not None]
        return LedgerView(rows[0]["movements"], rows[0]["is_comparable"], lines)

    def newest(self) -> dict[str, list[dict[str, Any]]]:
        """When every account and scope was captured last, by table, with what is told at a glance."""
        return {table: self._db.fetch(query) for table, query in NEWEST.items()}

    def forget(self, before: datetime) -> dict[str, int]:
        """Remove what was captured before a moment, part by part, so that nobody waits; returns how many by table."""
        gone = dict.fromkeys(FORGET, 0)
        for table, query in FORGET.items():
            while removed := self._db.execute(query, before=before, most=PART):
                gone[table] += removed
        return gone

    def clear(self) -> dict[str, int]:
        """Remove all snapshots, all or none; returns how many by table."""
        return self._db.run(lambda tx: {table: tx.execute(query) for table, query in CLEAR.items()})


def _of_ledger(broker: Broker, account_id: str, rows: Iterable[Mapping[str, Any]], at: datetime) -> PositionSnapshot:
    all_rows = list(rows)
    positions = [{name: row[name] for name in FIELDS} for row in all_rows if row["instrument_id"] is not None]
    mark, movements = all_rows[0]["mark"] or at, all_rows[0]["movements"]
    return PositionSnapshot(broker, account_id, at, len(positions), positions, LEDGER, mark, movements)
