"""Loads: what was asked of a broker, what came, which days are covered by it, and the raw record itself."""

import hashlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import Ask, Call, Delivery, Document, Done, Record, RecordKind, Reject
from apex_pipeline.errors import BrokerError, BrokerRefused, UnknownPayload
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import LOAD_GAPS, QUARANTINE, LoadGap, QuarantineRow, as_row, raw_table
from apex_pipeline.store.transaction import RawMerged, Transaction

BATCH_SIZE = 2000
"""Records that are written at once, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """One stored load, in records; records = new_versions + unchanged + superseded + quarantined."""

    load_id: int
    records: int
    new_versions: int
    unchanged: int
    superseded: int
    quarantined: int
    notes: tuple[str, ...]


class LoadRepository:
    """Writes loads whole: documents, records, quarantine, coverage and watermarks in one transaction."""

    def __init__(self, db: Database, broker: Broker, batch_size: int = BATCH_SIZE) -> None:
        self._db = db
        self._broker = broker
        self._batch_size = batch_size

    @contextmanager
    def run(self, ask: Ask) -> Generator[int]:
        """A run under its id; what it loaded need not be repeated for a day if it does not end well."""
        run_id = self.begin_run(ask)
        try:
            yield run_id
        except (BrokerError, UnknownPayload) as error:
            self.end_run(run_id, complete=False, refusal=str(error) if isinstance(error, BrokerRefused) else None)
            raise
        self.end_run(run_id, complete=True)

    def begin_run(self, ask: Ask) -> int:
        """Open a run; its loads stay reusable for a day if it never ends."""
        return int(self._db.fetchval("run_begin", broker=self._broker, from_date=ask.from_date, to_date=ask.to_date))

    def end_run(self, run_id: int, *, complete: bool, refusal: str | None = None) -> None:
        """Close a run. A complete one also settles the interrupted runs before it; `refusal`: what ended the other."""
        with self._db.transaction() as tx:
            tx.execute("run_end", run_id=run_id, outcome="DONE" if complete else "INCOMPLETE", refusal=refusal)
            if complete:
                tx.execute("runs_close_older", broker=self._broker, run_id=run_id)

    def done(self, ask: Ask, final_after_days: int) -> list[Done]:
        """Loads that need not be repeated: final days, and days told to an interrupted run."""
        rows = self._db.fetch(
            "coverage_done",
            broker=self._broker,
            from_date=ask.from_date,
            to_date=ask.to_date,
            final_after_days=final_after_days,
        )
        gaps = self._gaps(ask.from_date, ask.to_date)
        return [part for row in rows for part in _without_gaps(Done(**row), gaps)]

    def covered_days(self, data_types: Sequence[str], from_date: date, to_date: date) -> list[Done]:
        """Covered ranges per account and data type, clipped to the asked days and without known gaps."""
        rows = self._db.fetch(
            "coverage_list", broker=self._broker, data_types=list(data_types), from_date=from_date, to_date=to_date
        )
        gaps = self._gaps(from_date, to_date)
        return [part for row in rows for part in _without_gaps(Done(**row), gaps)]

    def store(self, run_id: int, call: Call, delivery: Delivery, started_at: datetime) -> Loaded:
        """Commit everything one call brought, or nothing of it."""
        with self._db.sealed() as tx:
            begun = tx.fetch("load_begin", **self._scope(run_id, call), started_at=started_at)[0]
            load_id: int = begun["load_id"]
            merged = self._store_records(tx, load_id, delivery.records, begun["finished_at"])
            self._store_documents(tx, load_id, delivery.documents)
            self._store_rejects(tx, load_id, delivery.rejects, begun["finished_at"])
            self._store_coverage(tx, load_id, delivery)
            loaded = _loaded(load_id, merged, delivery)
            tx.execute("load_end", **{**_counts(loaded), "notes": list(loaded.notes), "load_id": load_id})
        return loaded

    def store_failure(self, run_id: int, call: Call, error: Exception, started_at: datetime) -> None:
        """Keep a failed call for people to see; it covers nothing."""
        told: dict[str, Any] = {"error": str(error), "is_refused": isinstance(error, BrokerRefused)}
        self._db.execute("load_failed", **self._scope(run_id, call), started_at=started_at, **told)

    def density(self) -> dict[str, Decimal]:
        """Records per covered day of an account so far, by data type: what to expect of days not asked yet."""
        return {row["data_type"]: row["density"] for row in self._db.fetch("coverage_density", broker=self._broker)}

    def holds(self, kind: RecordKind, account_id: str, from_date: date, to_date: date) -> bool:
        """Whether any record of a kind is stored for these days of an account."""
        scope: dict[str, Any] = {"broker": self._broker, "account_id": account_id, "kind": kind}
        return bool(self._db.fetchval("raw_holds", from_date=from_date, to_date=to_date, **scope))

    def outlines(self, account_id: str, from_date: date, to_date: date, fields: Sequence[str]) -> list[Record]:
        """Current orders, trades and fees of an account by business date, their payloads cut down to `fields`."""
        rows = self._db.fetch(
            "raw_outlines",
            broker=self._broker,
            account_id=account_id,
            from_date=from_date,
            to_date=to_date,
            fields=list(fields),
        )
        return [record_of(row) for row in rows]

    def replace_gaps(
        self, account_id: str, from_date: date, to_date: date, incomplete: Mapping[str, Iterable[date]]
    ) -> None:
        """Make the known gaps of an account between these days exactly these, by data type."""
        days = [(data_type, day) for data_type, some in incomplete.items() for day in some]
        found = [(data_type, day) for data_type, day in days if from_date <= day <= to_date]
        scope = {"broker": self._broker, "account_id": account_id, "from_date": from_date, "to_date": to_date}
        with self._db.transaction() as tx:
            now: datetime = tx.fetch("now")[0]["now"]
            rows = [LoadGap(self._broker, account_id, data_type, day, now) for data_type, day in found]
            tx.merge(LOAD_GAPS, map(as_row, rows))
            tx.execute(
                "gaps_close", **scope, data_types=[gap.data_type for gap in rows], days=[r.business_date for r in rows]
            )

    def _gaps(self, from_date: date, to_date: date) -> list[dict[str, Any]]:
        return self._db.fetch("gaps_between", broker=self._broker, from_date=from_date, to_date=to_date)

    def _scope(self, run_id: int, call: Call) -> dict[str, Any]:
        return {
            "run_id": run_id,
            "broker": self._broker,
            "data_type": call.data_type,
            "account_id": call.account_id,
            "market": call.market,
            "from_date": call.from_date,
            "to_date": call.to_date,
        }

    def _store_documents(self, tx: Transaction, load_id: int, documents: Iterable[Document]) -> None:
        for document in documents:
            row = tx.fetch(
                "document_add",
                sha256=document.content.sha256,
                media_type=document.media_type,
                byte_size=document.content.size,
                content=document.content.packed,
                received_at=document.received_at,
            )[0]
            tx.execute(
                "observation_add",
                load_id=load_id,
                document_id=row["document_id"],
                broker=self._broker,
                interface=document.interface,
                request=dict(document.request),
                received_at=document.received_at,
                generated_at=document.generated_at,
            )

    def _store_records(
        self, tx: Transaction, load_id: int, records: Iterable[Record], fetched_at: datetime
    ) -> RawMerged:
        """Merge the records part by part, so that a delivery of any size needs the memory of one part only."""
        total = RawMerged(0, 0, 0)
        for part in _parts(records, self._batch_size):
            for batch in _once_per_key(part):
                rows = [_raw_row(record, fetched_at, load_id) for record in batch]
                total += tx.merge_raw(raw_table(self._broker, batch[0].kind), rows, self._broker, load_id)
            tx.execute(
                "quarantine_resolve_ingested",
                broker=self._broker,
                kinds=[part[0].kind.value] * len(part),
                accounts=[record.account_id for record in part],
                keys=[record.key for record in part],
            )
        return total

    def _store_rejects(self, tx: Transaction, load_id: int, rejects: Sequence[Reject], seen_at: datetime) -> None:
        tx.merge(QUARANTINE, quarantine_rows("ingest", self._broker, rejects, seen_at, load_id))

    def _store_coverage(self, tx: Transaction, load_id: int, delivery: Delivery) -> None:
        told_at = min((one.generated_at for one in delivery.documents if one.generated_at), default=None)
        for scope in delivery.covered:
            watermark = {
                "broker": self._broker,
                "account_id": scope.account_id,
                "data_type": scope.data_type,
                "market": scope.market,
                "records": scope.records,
            }
            days = {"from_date": scope.from_date, "to_date": scope.to_date}
            tx.execute("coverage_add", load_id=load_id, told_at=told_at, **days, **watermark)
            tx.execute("sync_state_move", last_record_at=scope.last_record_at, **watermark)


def _without_gaps(told: Done, gaps: Iterable[Mapping[str, Any]]) -> Iterator[Done]:
    """The parts of a covered range between its known gaps."""
    own = sorted(
        gap["business_date"]
        for gap in gaps
        if (gap["account_id"], gap["data_type"]) == (told.account_id, told.data_type)
        and told.from_date <= gap["business_date"] <= told.to_date
    )
    first = told.from_date
    for day in own:
        if first < day:
            yield replace(told, from_date=first, to_date=day - timedelta(days=1))
        first = day + timedelta(days=1)
    if first <= told.to_date:
        yield replace(told, from_date=first)


def record_of(row: Mapping[str, Any]) -> Record:
    """A row of `raw_records` as the record it was."""
    return Record(
        kind=RecordKind(row["kind"]),
        account_id=row["account_id"],
        key=row["record_key"],
        business_date=row["business_date"],
        payload=row["payload"],
        order_id=row["order_id"],
        generated_at=row["generated_at"],
    )


def quarantine_rows(
    stage: str, broker: Broker, rejects: Iterable[Reject], seen_at: datetime, load_id: int | None
) -> list[dict[str, Any]]:
    """Quarantine rows of rejected records; one row per record, however often it is rejected."""
    return [
        as_row(
            QuarantineRow(
                quarantine_uid=_quarantine_uid(stage, broker, reject),
                stage=stage,
                broker=broker,
                kind=reject.kind,
                account_id=reject.account_id,
                broker_key=reject.key,
                business_date=reject.business_date,
                reason_code=reject.reason_code,
                reason=reject.reason,
                payload=_as_mapping(reject.payload),
                load_id=load_id,
                first_seen_at=seen_at,
                resolved_at=None,
            )
        )
        for reject in rejects
    ]


def _as_mapping(payload: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", payload) if isinstance(payload, dict) else {"text": str(payload)}


def _quarantine_uid(stage: str, broker: Broker, reject: Reject) -> str:
    own = reject.key or hashlib.sha256(repr(reject.payload).encode()).hexdigest()
    parts = (stage, broker, reject.kind, reject.account_id or "", own)
    return "Q_" + hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:24]


def _parts(records: Iterable[Record], most: int) -> Iterator[list[Record]]:
    """The records as lists of one kind, none longer than `most`."""
    waiting: dict[RecordKind, list[Record]] = {}
    for record in records:
        own = waiting.setdefault(record.kind, [])
        own.append(record)
        if len(own) >= most:
            yield waiting.pop(record.kind)
    yield from waiting.values()


def _once_per_key(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Split records so that each part holds a key once, older versions in earlier parts."""
    epoch = datetime.min.replace(tzinfo=UTC)
    rest = sorted(records, key=lambda record: record.generated_at or epoch)
    while rest:
        first: dict[tuple[str, str], Record] = {}
        later: list[Record] = []
        for record in rest:
            identity = (record.account_id, record.key)
            if identity in first:
                later.append(record)
            else:
                first[identity] = record
        yield list(first.values())
        rest = later


def _raw_row(record: Record, fetched_at: datetime, load_id: int) -> dict[str, Any]:
    return {
        "account_id": record.account_id,
        "record_key": record.key,
        "order_id": record.order_id,
        "business_date": record.business_date,
        "payload": record.payload,
        "fetched_at": fetched_at,
        "generated_at": record.generated_at,
        "load_id": load_id,
    }


def _loaded(load_id: int, merged: RawMerged, delivery: Delivery) -> Loaded:
    return Loaded(
        load_id=load_id,
        records=merged.told + len(delivery.rejects),
        new_versions=merged.new_versions,
        unchanged=merged.unchanged,
        superseded=merged.superseded,
        quarantined=len(delivery.rejects),
        notes=tuple(delivery.notes),
    )


def _counts(loaded: Loaded) -> dict[str, int]:
    return {
        "records": loaded.records,
        "new_versions": loaded.new_versions,
        "unchanged": loaded.unchanged,
        "superseded": loaded.superseded,
        "quarantined": loaded.quarantined,
    }
