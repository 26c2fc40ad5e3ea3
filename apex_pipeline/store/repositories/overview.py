"""The record as a whole: how far it reaches, what a broker sent of one thing, what was held at a moment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apex_pipeline.domain.market import PositionSnapshot
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import RecordKind
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.snapshots import PositionSnapshotRepository
from apex_pipeline.store.tables import row_as

_KINDS = {"order": "orders", "trade": "trades", "deal": "trades", "deals": "trades", "fee": "fees"}
"""Other words for kinds of records."""


@dataclass(frozen=True, slots=True)
class DataBoundary:
    """The first and the last instant of some data (`orders`, `trades`, `fees`: midnight UTC of their days)."""

    broker: Broker
    account_id: str
    data_type: str
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class RawVersion:
    """One version of what a broker sent of a thing; `superseded_at` None for the current one."""

    account_id: str
    payload: Mapping[str, Any]
    fetched_at: datetime
    superseded_at: datetime | None


class Store:
    """What is stored, from outside."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._snapshots = PositionSnapshotRepository(db)

    def get_data_boundaries(self) -> list[DataBoundary]:
        """From when to when each account has orders, trades and fees; what it has none of is left out."""
        return [row_as(DataBoundary, row) for row in self._db.fetch("data_boundaries")]

    def query_raw_payload(
        self,
        broker: Broker | str,
        kind: RecordKind | str,
        id: str,  # noqa: A002 - the name that callers use
        account_id: str | None = None,
    ) -> dict[str, Any] | None:
        """The current payload of a record by the broker's own id, or None: an order, a trade, the fee of an order.

        `id`: of Futu the ids of order and deal; of IB the transactionID of an execution, the ibOrderID of an order.
        """
        versions = self.query_raw_versions(broker, kind, id, account_id)
        return next((dict(one.payload) for one in versions if one.superseded_at is None), None)

    def query_raw_versions(
        self,
        broker: Broker | str,
        kind: RecordKind | str,
        id: str,  # noqa: A002 - the name that callers use
        account_id: str | None = None,
    ) -> list[RawVersion]:
        """All versions of a record, the current one first."""
        told = RecordKind(_KINDS.get(kind.lower(), kind.lower()))
        scope: dict[str, Any] = {
            "broker": Broker.named(broker),
            "kind": told,
            "account_id": account_id and str(account_id),
        }
        return [row_as(RawVersion, row) for row in self._db.fetch("raw_payloads", record_key=str(id), **scope)]

    def save_position_snapshot(
        self,
        broker: Broker | str,
        account_id: str,
        positions: Iterable[Mapping[str, Any]],
        captured_at: datetime | None = None,
        source: str = "ENGINE",
    ) -> PositionSnapshot:
        """Store all positions of an account as of now, or of `captured_at`; returns the snapshot as it is stored."""
        held = [dict(one) for one in positions]
        at = captured_at or self._db.fetchval("now")
        told = PositionSnapshot(Broker.named(broker), str(account_id), at, len(held), held, source, None, None)
        return self._snapshots.upsert(told)

    def get_snapshot_at(self, broker: Broker | str, account_id: str, at: datetime) -> PositionSnapshot | None:
        """The newest snapshot of an account that was captured not after `at`, or None."""
        return self._snapshots.get_at(broker, account_id, at)
