"""The current book of positions and the round trips: what an engine reads, and may write of its own.

Here: named questions and single writes. Not here: how the book is compared with a broker, which is in
`domain.book`, nor the ledger's own round trips, which `positions` writes.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.book import LEDGER, Life
from apex_pipeline.domain.ledger import BookPosition, RoundTrip
from apex_pipeline.domain.market import PositionSnapshot
from apex_pipeline.domain.models import Broker, BrokerPosition
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.generic import Finder
from apex_pipeline.store.tables import LEDGER_TABLES, as_row, row_as
from apex_pipeline.store.transaction import Merged, Transaction

POSITIONS = LEDGER_TABLES["positions"]
ROUND_TRIPS = LEDGER_TABLES["round_trips"]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an account: its broker, and when trades, positions and the book were told last (UTC)."""

    broker: Broker | None
    trades_at: datetime | None
    moved_at: datetime | None
    snapshot_date: date | None
    snapshot_at: datetime | None
    book_at: datetime | None
    book_source: str | None


@dataclass(frozen=True, slots=True)
class TradeStatistics:
    """Round trips closed in some days. `win_rate` is a fraction of those whose outcome is known; money by currency."""

    total_trades: int
    winning_trades: int
    losing_trades: int
    win_rate: Decimal | None
    realized_pnl: dict[str, Decimal]
    fees: dict[str, Decimal]


class PositionRepository(Finder[BookPosition]):
    """The current book."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, POSITIONS, BookPosition)

    def get_open_positions(self, account_id: str | None = None) -> list[BookPosition]:
        """Open positions, of all accounts if None."""
        return self._rows(self._db.fetch("book_positions_open", account_id=account_id))

    def get_position(self, symbol: str, account_id: str | None = None) -> BookPosition | None:
        """The open position in a symbol, else the one that was closed last, else None."""
        row = self._db.fetchrow("book_positions_by_symbol", symbol=symbol, account_id=account_id)
        return row_as(BookPosition, row) if row else None

    def update_position(self, position_id: str, **fields: Any) -> bool:
        """Change columns of a position and no other; whether there is one. TypeError for an unknown column.

        Of two that change one column the last wins.
        """
        with self._db.transaction() as tx:
            row = next(iter(tx.find(POSITIONS, {"position_id": position_id}, 1, to_change=True)), None)
            if row is None:
                return False
            tx.merge(POSITIONS, [as_row(replace(row_as(BookPosition, row), **fields))])
        return True

    def close_position(
        self,
        position_id: str,
        *,
        exit_price: Decimal | None = None,
        realized_pnl: Decimal | None = None,
        closed_at: datetime | None = None,
    ) -> bool:
        """Mark a position as closed, now unless told when; whether there is one. What is not told stays unknown."""
        at = closed_at or self._db.fetchval("now")
        told = {"exit_price": exit_price, "realized_pnl": realized_pnl}
        return self.update_position(
            position_id,
            status="CLOSED",
            unrealized_pnl=None,
            closed_at=at,
            **{name: value for name, value in told.items() if value is not None},
        )


class BookRepository:
    """What comparing the book of an account with its broker needs, and the writing of what came out."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def accounts(self) -> list[str]:
        """Accounts that anything is known of."""
        return [row["account_id"] for row in self._db.fetch("book_positions_accounts")]

    def known(self, account_id: str) -> Known:
        """Who keeps the account and when what was told."""
        (row,) = self._db.fetch("book_positions_known", account_id=account_id)
        return row_as(Known, row)

    def snapshot(self, account_id: str, known: Known) -> list[BrokerPosition]:
        """The positions of the newest snapshot that is stored; empty if the broker told that nothing is held."""
        asked: dict[str, Any] = {"account_id": account_id, "broker": known.broker, "business_date": known.snapshot_date}
        return [row_as(BrokerPosition, row) for row in self._db.fetch("book_positions_snapshot", **asked)]

    def captured(self, account_id: str, known: Known) -> PositionSnapshot | None:
        """The newest snapshot that a broker told, of its account and newer than whatever else is known; else None."""
        since = max((at for at in (known.snapshot_at, known.book_at) if at is not None), default=None)
        brokers = [known.broker] if known.broker else list(Broker)
        row = self._db.fetchrow(
            "book_positions_captured", account_id=account_id, brokers=[one.value for one in brokers], since=since
        )
        return row_as(PositionSnapshot, row) if row else None

    def in_turn(self, account_id: str) -> AbstractContextManager[None]:
        """A block in which no other process compares the book of this account."""
        return self._db.lock(f"apex:book:{account_id}")

    def book(self, account_id: str) -> list[BookPosition]:
        """Open positions, and closed ones whose outcome is not known yet."""
        return [row_as(BookPosition, row) for row in self._db.fetch("book_positions_of_account", account_id=account_id)]

    def lives(self, account_id: str, ids: Iterable[str]) -> list[Life]:
        """The open positions of the ledger, and those of these ids, open or not."""
        rows = self._db.fetch("book_positions_ledger", account_id=account_id, ids=list(ids))
        return [Life(row_as(RoundTrip, row), row["held_qty"]) for row in rows]

    def save(self, rows: Iterable[BookPosition], gone: Iterable[str]) -> Merged:
        """Write these positions and take away those of other names; equal rows are not written."""
        with self._db.transaction() as tx:
            removed = tx.execute("book_positions_remove", ids=list(gone))
            return tx.merge(POSITIONS, map(as_row, rows)) + Merged(0, 0, removed)


class TradeRepository(Finder[RoundTrip]):
    """Round trips: those of the ledger to read, those of an engine to read and write."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, ROUND_TRIPS, RoundTrip)

    def insert(self, trip: RoundTrip) -> bool:
        """Add a round trip of an engine; whether it is new. ValueError if it claims to be the ledger's."""
        if trip.source == LEDGER:
            raise ValueError("the ledger writes its own round trips: name another source")
        with self._db.transaction() as tx:
            if _trip(tx, trip.trade_id) is not None:
                return False
            return tx.merge(ROUND_TRIPS, [as_row(trip)]).inserted == 1

    def update(self, trade_id: str, **fields: Any) -> bool:
        """Change columns of an engine's round trip; whether there is one. ValueError for one of the ledger."""
        with self._db.transaction() as tx:
            trip = _trip(tx, trade_id, to_change=True)
            if trip is None:
                return False
            if LEDGER in (trip.source, fields.get("source")):
                raise ValueError(f"{trade_id} follows from the ledger: correct its trades instead")
            tx.merge(ROUND_TRIPS, [as_row(replace(trip, **fields))])
        return True

    def get_by_id(self, trade_id: str) -> RoundTrip | None:
        """One round trip."""
        return self.find_by_id(trade_id)

    def get_recent(self, limit: int = 50) -> list[RoundTrip]:
        """Round trips, the newest first by their end, or by their beginning while they are open."""
        return self._recent(None, limit)

    def get_by_symbol(self, symbol: str, limit: int = 100) -> list[RoundTrip]:
        """Round trips in one symbol, the newest first."""
        return self._recent(symbol, limit)

    def get_statistics(self, days: int = 30) -> TradeStatistics:
        """Round trips that were closed in the last `days` days, today (UTC) included."""
        rows = self._db.fetch("round_trips_statistics", days=days)
        won, decided = (sum(row[name] for row in rows) for name in ("won", "decided"))
        return TradeStatistics(
            total_trades=sum(row["trades"] for row in rows),
            winning_trades=won,
            losing_trades=sum(row["lost"] for row in rows),
            win_rate=round(Decimal(won) / decided, 10) if decided else None,
            realized_pnl=_by_currency(rows, "realized_pnl"),
            fees=_by_currency(rows, "fees"),
        )

    def _recent(self, symbol: str | None, limit: int) -> list[RoundTrip]:
        return self._rows(self._db.fetch("round_trips_recent", symbol=symbol, most=limit))


def _trip(tx: Transaction, trade_id: str, *, to_change: bool = False) -> RoundTrip | None:
    row = next(iter(tx.find(ROUND_TRIPS, {"trade_id": trade_id}, 1, to_change=to_change)), None)
    return row_as(RoundTrip, row) if row else None


def _by_currency(rows: Iterable[Mapping[str, Any]], name: str) -> dict[str, Decimal]:
    """Sums that are known; an unnamed currency stands under an empty text."""
    return {row["currency"] or "": row[name] for row in rows if row[name] is not None}
