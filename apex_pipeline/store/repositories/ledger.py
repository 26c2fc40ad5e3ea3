"""Normalized rows: what is made of raw records, and which days are looked at again."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import Normalized, Record, RecordKind, Relative
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.loads import quarantine_rows, record_of
from apex_pipeline.store.tables import (
    BROKER_BALANCES,
    BROKER_POSITIONS,
    CASH_MOVEMENTS,
    DIRTY_DAYS,
    DRIFT,
    FEE_ALLOCATIONS,
    FEES,
    INSTRUMENTS,
    ORDERS,
    QUARANTINE,
    STATEMENT_TABLES,
    TRADES,
    as_row,
)
from apex_pipeline.store.transaction import Merged, Transaction

Day = tuple[str, date]
"""An account and a business date."""

_TRADES = (RecordKind.TRADES, RecordKind.PROVISIONAL)
_CHARGED = (RecordKind.FEES, RecordKind.PROVISIONAL)
_TRADE_FIGURES = "broker_trade_figures"

Identity = tuple[str, str, str]
"""Kind, account and key of a record."""


@dataclass(frozen=True, slots=True)
class Written:
    """Rows changed per table by one stage."""

    rows: Mapping[str, Merged]
    quarantined: int = 0

    @property
    def changed(self) -> int:
        return sum(merged.changed for merged in self.rows.values())


class NormalizeRepository:
    """Turns the raw records of some days into rows, in one transaction."""

    def __init__(self, db: Database, broker: Broker) -> None:
        self._db = db
        self._broker = broker

    def days(self, from_date: date, to_date: date) -> list[Day]:
        """Account-days with raw records in the range, and every dirty one, in order."""
        asked = self._db.fetch("raw_days", broker=self._broker, from_date=from_date, to_date=to_date)
        dirty = self._db.fetch("dirty_list", stage="normalize", brokers=[self._broker])
        return sorted(
            {(row["account_id"], row["business_date"]) for row in (*asked, *dirty)}, key=lambda d: (d[1], d[0])
        )

    def rewrite(self, days: Sequence[Day], normalize: Callable[[Sequence[Record]], Normalized]) -> Written:
        """Normalize these days with all that belongs to them; removes rows that no longer follow.

        To a day belong the whole of its orders and the relatives of its trades (what takes back what), of any day.
        """
        scope = {"broker": self._broker, **_arrays(days)}
        with self._db.sealed() as tx:
            # The dirty marks go first: a load that commits after this line marks its days again.
            tx.execute("dirty_take", stage="normalize", **scope)
            records, rows = self._closed(tx, _known(tx.fetch("raw_slice", **scope)), normalize)
            orders = self._orders_of(tx, records)
            written = self._write(tx, rows)
            tx.execute("multipliers_fill")
            self._remove_stale(tx, records, rows, orders)
            self._replace_drift(tx, days, rows)
            written |= self._replace_facts(tx, days, rows)
            traded = sorted({(r.account_id, r.business_date) for r in records if r.kind is RecordKind.TRADES})
            tx.execute("broker_trade_figures_remove_stale", broker=self._broker, **_arrays(traded))
            self._quarantine(tx, records, rows)
            mark_changed(tx, self._broker, _touched(days, records, rows))
            tx.analyze_changed(written)
        return Written(written, len(rows.rejects))

    def _closed(
        self, tx: Transaction, known: dict[Identity, Record], normalize: Callable[[Sequence[Record]], Normalized]
    ) -> tuple[list[Record], Normalized]:
        """These records and their relatives, until no other belongs to them, and the rows of all."""
        asked: set[Relative] = set()
        while True:
            records = list(known.values())
            rows = normalize(records)
            open_relatives = rows.relatives - asked
            found = self._relatives(tx, open_relatives) if open_relatives else {}
            if found.keys() <= known.keys():
                return records, rows
            asked |= open_relatives
            known = {**found, **known}

    def _relatives(self, tx: Transaction, relatives: Collection[Relative]) -> dict[Identity, Record]:
        """These records, and all others of the orders that they belong to."""
        found: dict[Identity, Record] = {}
        for kind, field in sorted({(relative.kind, relative.field) for relative in relatives}):
            asked = [relative for relative in relatives if (relative.kind, relative.field) == (kind, field)]
            scope = {"accounts": sorted({relative.account_id for relative in asked}), "kind": kind, "field": field}
            values = sorted({relative.value for relative in asked})
            found |= _known(tx.fetch("raw_relatives", broker=self._broker, **scope, values=values))
        return found

    def _write(self, tx: Transaction, rows: Normalized) -> dict[str, Merged]:
        return {
            INSTRUMENTS.name: tx.merge(INSTRUMENTS, map(as_row, rows.instruments)),
            ORDERS.name: tx.merge(ORDERS, map(as_row, rows.orders)),
            TRADES.name: tx.merge(TRADES, map(as_row, rows.trades)),
            FEES.name: tx.merge(FEES, map(as_row, rows.fees)),
            FEE_ALLOCATIONS.name: tx.merge(FEE_ALLOCATIONS, map(as_row, rows.fee_allocations)),
            CASH_MOVEMENTS.name: tx.merge(CASH_MOVEMENTS, map(as_row, rows.cash_movements)),
            BROKER_POSITIONS.name: tx.merge(BROKER_POSITIONS, map(as_row, rows.positions)),
            BROKER_BALANCES.name: tx.merge(BROKER_BALANCES, map(as_row, rows.balances)),
        }

    def _orders_of(self, tx: Transaction, records: Sequence[Record]) -> list[str]:
        """The orders that these records belong to, and those that their trades belonged to before."""
        known = {f"{self._broker}_{r.account_id}_{r.order_id}" for r in records if r.order_id}
        before = tx.fetch("orders_of_trades", broker=self._broker, **_keys(r for r in records if r.kind in _TRADES))
        return sorted(known | {row["order_uid"] for row in before})

    def _remove_stale(
        self, tx: Transaction, records: Sequence[Record], rows: Normalized, orders: Sequence[str]
    ) -> None:
        orders = list(orders)
        tx.execute("orders_remove_stale", processed=orders, keep=[order.order_uid for order in rows.orders])
        tx.execute("fees_remove_stale", processed=orders, keep=[fee.fee_uid for fee in rows.fees])
        tx.execute(
            "fee_allocations_remove_stale",
            charged=[f"{self._broker}_{r.account_id}_{r.key}" for r in records if r.kind in _CHARGED],
            fees=[part.fee_uid for part in rows.fee_allocations],
            trades=[part.trade_uid for part in rows.fee_allocations],
        )
        self._replace_snapshots(tx, records, rows)
        tx.execute(
            "trades_remove_stale",
            broker=self._broker,
            **_keys(record for record in records if record.kind in _TRADES),
            keep=[trade.trade_uid for trade in rows.trades],
        )
        tx.execute(
            "fees_without_order_remove_stale",
            broker=self._broker,
            **_keys(record for record in records if record.kind in _CHARGED),
            keep=[fee.fee_uid for fee in rows.fees],
        )
        moved = [(r.account_id, key) for r in records for key in _cash_ids(r)]
        tx.execute(
            "cash_remove_stale",
            broker=self._broker,
            accounts=[account for account, _ in moved],
            ids=[key for _, key in moved],
            keep=[movement.cash_uid for movement in rows.cash_movements],
        )

    def _replace_snapshots(self, tx: Transaction, records: Sequence[Record], rows: Normalized) -> None:
        """What the newest snapshot of a day does not hold is gone."""
        refused = {(reject.kind, reject.account_id, reject.key) for reject in rows.rejects}
        snapshots = [
            r
            for r in records
            if r.kind in (RecordKind.POSITIONS, RecordKind.BALANCES) and (r.kind, r.account_id, r.key) not in refused
        ]
        days = _arrays([(record.account_id, record.business_date) for record in snapshots])
        names = "held_accounts", "held_dates", "held_ids"
        held = _columns([(p.account_id, p.business_date, p.broker_position_id) for p in rows.positions], *names)
        tx.execute("broker_positions_remove_stale", broker=self._broker, **days, **held)
        held = _columns([(b.account_id, b.business_date, b.currency) for b in rows.balances], *names)
        tx.execute("broker_balances_remove_stale", broker=self._broker, **days, **held)

    def _replace_drift(self, tx: Transaction, days: Sequence[Day], rows: Normalized) -> None:
        """The unknown words of these days; of other days only parts were read."""
        drifts = [drift for drift in rows.drifts if (drift.account_id, drift.business_date) in set(days)]
        tx.merge(DRIFT, map(as_row, drifts))
        words = [(d.kind, d.account_id, d.business_date, d.field, d.value) for d in drifts]
        kept = _columns(words, "kinds", "word_accounts", "word_dates", "fields", "words")
        tx.execute("drift_remove_stale", broker=self._broker, **_arrays(days), **kept)

    def _replace_facts(self, tx: Transaction, days: Sequence[Day], rows: Normalized) -> dict[str, Merged]:
        """What the statements of these days say; of other days only parts were read.

        Figures of trades are written of every day: the uid of a trade may change with what is read beside it.
        """
        own, told = set(days), rows.statements
        facts = {
            name: [
                fact
                for fact in getattr(told, name)
                if name == _TRADE_FIGURES or (fact.account_id, fact.business_date) in own
            ]
            for name in STATEMENT_TABLES
        }
        return {
            name: tx.replace_days(STATEMENT_TABLES[name], map(as_row, facts[name]), self._broker, days)
            for name in STATEMENT_TABLES
        }

    def _quarantine(self, tx: Transaction, records: Sequence[Record], rows: Normalized) -> None:
        now: datetime = tx.fetch("now")[0]["now"]
        quarantined = quarantine_rows("normalize", self._broker, rows.rejects, now, None)
        tx.merge(QUARANTINE, quarantined)
        tx.execute(
            "quarantine_resolve_normalized",
            broker=self._broker,
            kinds=[record.kind.value for record in records],
            accounts=[record.account_id for record in records],
            keys=[record.key for record in records],
            still=[row["quarantine_uid"] for row in quarantined],
        )


def _known(rows: Iterable[Mapping[str, Any]]) -> dict[Identity, Record]:
    records = map(record_of, rows)
    return {(record.kind, record.account_id, record.key): record for record in records}


def _columns(rows: Sequence[tuple[Any, ...]], *names: str) -> dict[str, list[Any]]:
    """Rows as one list per column, the way a query unnests them."""
    return {name: [row[number] for row in rows] for number, name in enumerate(names)}


def _keys(records: Iterable[Record]) -> dict[str, list[str]]:
    told = list(records)
    return {"accounts": [record.account_id for record in told], "keys": [record.key for record in told]}


def _cash_ids(record: Record) -> tuple[str, ...]:
    """Ids that movements of a record can have: its own, or those of the two legs of a conversion."""
    if record.kind is RecordKind.TRADES:
        return f"{record.key}_BASE", f"{record.key}_QUOTE"
    return (record.key,) if record.kind is RecordKind.CASH else ()


def _arrays(days: Sequence[Day]) -> dict[str, Any]:
    return {"accounts": [account for account, _ in days], "dates": [day for _, day in days]}


def _touched(days: Sequence[Day], records: Sequence[Record], rows: Normalized) -> set[Day]:
    """The days to look at again; what was provisional may have gone from a day on which nothing is left."""
    provisional = {(r.account_id, r.business_date) for r in records if r.kind is RecordKind.PROVISIONAL}
    orders = {(order.account_id, order.trade_date) for order in rows.orders}
    return {*days, *provisional, *orders, *((trade.account_id, trade.trade_date) for trade in rows.trades)}


def mark_changed(tx: Transaction, broker: Broker, days: set[Day]) -> None:
    """Have the stages after normalizing look at these days again."""

    def rows() -> Iterator[dict[str, Any]]:
        for stage in ("classify", "match", "value", "reconcile"):
            for account, day in sorted(days):
                yield {"stage": stage, "broker": broker, "account_id": account, "business_date": day}

    tx.add(DIRTY_DAYS, rows())
