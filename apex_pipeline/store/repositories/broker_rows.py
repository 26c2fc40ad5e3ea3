"""Orders, trades and fees of one broker: typed rows to read, raw records to append.

What is appended becomes rows when the pipeline reads the days of it (`apex backfill`, or the assets). Nothing is ever
deleted: what a broker told stays, and a later version of it stands in front.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NoReturn, TypeVar

from apex_pipeline.domain.models import AssetClass, Broker, Fee, Order, OrderStatus, Trade
from apex_pipeline.domain.records import ALL_MARKETS, Ask, Call, Content, Document, Record, RecordKind, WholeDelivery
from apex_pipeline.errors import StorageError
from apex_pipeline.store.copy_text import to_json
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.generic import Finder, refusals_told
from apex_pipeline.store.repositories.loads import LoadRepository
from apex_pipeline.store.selecting import Within
from apex_pipeline.store.tables import FEES, ORDERS, TRADES, RawRow, Table, as_row, raw_table
from apex_pipeline.store.transaction import RawMerged, Transaction

T = TypeVar("T")

FILLED = (OrderStatus.FILLED, OrderStatus.PARTIAL, OrderStatus.PARTIAL_CANCELLED)
OPTIONS = (AssetClass.OPTION, AssetClass.FUTURE_OPTION)
INTERFACE = "engine"
"""How records are marked that an engine appended."""


class BrokerRows(Finder[T]):
    """Rows of one broker, found as in every table; `insert` and `upsert` append raw records behind them."""

    def __init__(self, db: Database, table: Table, row: type[T], broker: Broker, kind: RecordKind) -> None:
        super().__init__(db, table, row, broker=broker)
        self._broker = broker
        self._kind = kind
        self._raw_table = raw_table(broker, kind)
        self._raw: Finder[RawRow] = Finder(db, self._raw_table, RawRow)

    def insert(self, record: RawRow) -> RawRow | None:
        """Append a record; returns it as it is stored, or None where one of its key stands already (and stays)."""
        with self._db.transaction() as tx:
            tx.claim(self._raw_table)
            if self._raw.exists(account_id=record.account_id, record_key=record.record_key):
                return None
            return self.upsert(record)

    def upsert(self, record: RawRow) -> RawRow:
        """Append a record, or a version of it if it tells something new; returns the current one."""
        self.upsert_many([record])
        return self._raw.find_by_id(record.account_id, record.record_key) or record

    def upsert_many(self, records: Iterable[RawRow]) -> RawMerged:
        """Append records, all or none; what tells nothing new is not written. The days of the others are read again."""
        told = list(records)
        if not told:
            return RawMerged(0, 0, 0)
        with refusals_told(self._raw_table), self._db.transaction() as tx:
            tx.claim(self._raw_table)  # what completes a record is what stands when it is stored
            return self._appended(tx, [self._completed(record) for record in told])

    def _appended(self, tx: Transaction, given: list[RawRow]) -> RawMerged:
        first, last = min(row.business_date for row in given), max(row.business_date for row in given)
        accounts = {row.account_id for row in given}
        call = Call(f"engine_{self._kind}", accounts.pop() if len(accounts) == 1 else None, ALL_MARKETS, first, last)
        now = datetime.now(UTC)
        loads = LoadRepository(self._db, self._broker)
        run_id = loads.begin_run(Ask(first, last, today=last))
        loaded = loads.store(run_id, call, self._delivery(given, now), now)
        tx.execute("run_end", run_id=run_id, outcome="DONE", refusal=None)
        return RawMerged(loaded.new_versions, loaded.unchanged, loaded.superseded)

    def delete(self, *_: Any) -> NoReturn:
        """Refused: what a broker told is kept for good."""
        raise self._kept()

    def delete_where(self, **_: Any) -> NoReturn:
        """Refused: what a broker told is kept for good."""
        raise self._kept()

    def _completed(self, record: RawRow) -> RawRow:
        """The record with what is known of it already; the place for a broker's own rules."""
        return record

    def _delivery(self, rows: list[RawRow], now: datetime) -> WholeDelivery:
        content = to_json([{**as_row(row), "fetched_at": None, "load_id": None} for row in rows])
        document = Document(INTERFACE, {"kind": self._kind}, Content.of([content.encode()]), "application/json", now)
        records = [
            Record(
                self._kind,
                row.account_id,
                row.record_key,
                row.business_date,
                dict(row.payload),
                row.order_id,
                row.generated_at,
            )
            for row in rows
        ]
        return WholeDelivery([document], records, (), ())

    def _kept(self) -> StorageError:
        return StorageError(
            f"{self._table.name} of {self._broker} are kept for good: what a broker told is never deleted, and a "
            "correction is appended (upsert)"
        )

    def _uids(self, order_id: str) -> list[str]:
        """The orders that the broker calls so, in any account."""
        return [row["order_uid"] for row in self._db.fetch("order_uids", broker=self._broker, order_id=str(order_id))]


class FutuOrderRows(BrokerRows[Order]):
    """Orders of Futu."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, ORDERS, Order, Broker.FUTU, RecordKind.ORDERS)

    def find_by_order_id(self, order_id: str) -> Order | None:
        """The order that Futu calls so."""
        return self.find_one_where(broker_order_id=str(order_id))

    def find_by_account(self, account: str, market: str | None = None, limit: int | None = 100) -> list[Order]:
        """Orders of an account, and of a market of it, the newest day first."""
        return self.find_where(limit, "-trade_date", account_id=str(account), **_market(market))

    def find_by_date_range(
        self, start: date, end: date, account: str | None = None, market: str | None = None, limit: int | None = None
    ) -> list[Order]:
        """Orders of these days of their exchange, both included, the oldest day first."""
        told: dict[str, Any] = {**_account(account), **_market(market)}
        return self.find_where(limit, "trade_date", trade_date=Within(start, end), **told)

    def find_filled_orders(self, account: str, start_date: date | None = None, limit: int | None = None) -> list[Order]:
        """Orders of an account with fills, of this day and later, the oldest day first; partly filled ones too."""
        since = {"trade_date": Within(start_date)}
        return self.find_where(limit, "trade_date", account_id=str(account), status=FILLED, **since)


class FutuDealRepository(BrokerRows[Trade]):
    """Deals of Futu."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, TRADES, Trade, Broker.FUTU, RecordKind.TRADES)

    def find_by_deal_id(self, deal_id: str) -> Trade | None:
        """The deal that Futu calls so."""
        return self.find_one_where(broker_trade_id=str(deal_id))

    def find_by_order_id(self, order_id: str) -> list[Trade]:
        """The deals of the order that Futu calls so, the earliest first."""
        return self.find_where(None, "executed_at", order_uid=self._uids(order_id))

    def get_total_volume_by_code(
        self, account: str | None = None, start: date | None = None, end: date | None = None
    ) -> dict[str, Decimal]:
        """What was bought and sold together, by Futu's code; of an account and of these days if they are told."""
        told: dict[str, Any] = {"account_id": account and str(account), "start": start, "end": end}
        return {row["code"]: row["qty"] for row in self._db.fetch("futu_volumes", **told)}


class FeeRows(BrokerRows[Fee]):
    """Fees of one broker."""

    def _sums(
        self, account: str | None, start: date | None, end: date | None, *, only_trades: bool = False
    ) -> dict[str, Decimal]:
        """By currency; an unnamed one stands under an empty text."""
        told: dict[str, Any] = {"account_id": account and str(account), "start": start, "end": end}
        rows = self._db.fetch("fees_by_currency", broker=self._broker, only_trades=only_trades, **told)
        return {row["currency"] or "": row["amount"] for row in rows}


class FutuFeeRepository(FeeRows):
    """Fees of Futu's orders, in parts."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, FEES, Fee, Broker.FUTU, RecordKind.FEES)

    def find_by_order_id(self, order_id: str) -> list[Fee]:
        """The parts of the fee of the order that Futu calls so."""
        return self.find_where(None, None, order_uid=self._uids(order_id))

    def get_total_fees(
        self, account: str | None = None, start: date | None = None, end: date | None = None
    ) -> dict[str, Decimal]:
        """What was charged, by currency (positive when paid); an unnamed currency stands under an empty text."""
        return self._sums(account, start, end)

    def get_missing_fee_order_ids(self, account: str | None = None) -> list[str]:
        """Orders with fills of which Futu told no fee yet, the newest day first."""
        rows = self._db.fetch("futu_orders_without_fees", account_id=account and str(account))
        return [row["broker_order_id"] for row in rows]


class IbExecutionRepository(BrokerRows[Trade]):
    """Executions of Interactive Brokers."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, TRADES, Trade, Broker.IB, RecordKind.TRADES)

    def find_by_exec_id(self, exec_id: str) -> Trade | None:
        """The execution that IB calls so."""
        return self.find_one_where(exec_id=str(exec_id))

    def find_by_perm_id(self, perm_id: str | int, account: str | None = None) -> list[Trade]:
        """The executions of the order to which TWS gave this permanent id, also once a statement tells them."""
        return self._rows(self._db.fetch("ib_by_perm_id", perm_id=str(perm_id), account_id=account and str(account)))

    def find_options_by_underlying(
        self, underlying: str, account: str | None = None, limit: int | None = None
    ) -> list[Trade]:
        """Executions in options on an underlying (its symbol, `US.AAPL`), the newest day first."""
        return self.find_where(limit, "-trade_date", underlying=underlying, asset_class=OPTIONS, **_account(account))


class IbCommissionRepository(FeeRows):
    """What Interactive Brokers charges for executions: commissions, their parts, and taxes."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, FEES, Fee, Broker.IB, RecordKind.FEES)

    def find_by_exec_id(self, exec_id: str) -> list[Fee]:
        """The commission of the execution that IB calls so, in its parts."""
        trades = [row["trade_uid"] for row in self._db.fetch("ib_trade_uids", exec_id=str(exec_id))]
        return self.find_where(None, None, trade_uid=trades)

    def get_total_commissions(
        self, account: str | None = None, start: date | None = None, end: date | None = None
    ) -> dict[str, Decimal]:
        """Commissions by currency (positive when paid), without taxes; of an account and of these days if told."""
        return self._sums(account, start, end, only_trades=True)


def record_of_row(record: Record, at: datetime) -> RawRow:
    """A record as a raw row that can be appended."""
    return RawRow(
        record.account_id, record.key, record.order_id, record.business_date, record.payload, at, record.generated_at, 0
    )


def _account(account: str | None) -> dict[str, str]:
    return {} if account is None else {"account_id": str(account)}


def _market(market: str | None) -> dict[str, str]:
    return {} if market is None or market == ALL_MARKETS else {"market": market}
