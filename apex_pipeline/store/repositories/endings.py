"""How options ended, where a broker tells it in cash and positions only: what the rule reads and what it makes."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from apex_pipeline.domain.lifecycle import REJECT_KIND, Ended, Holdings
from apex_pipeline.domain.models import Broker, CashMovement, Instrument, Trade
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.ledger import mark_changed
from apex_pipeline.store.repositories.loads import quarantine_rows
from apex_pipeline.store.tables import QUARANTINE, TRADES, as_row, row_as
from apex_pipeline.store.transaction import Merged


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known about the options of one account; see `domain.lifecycle.endings`."""

    trades: list[Trade]
    movements: list[CashMovement]
    snapshots: list[Holdings]
    instruments: dict[str, Instrument]
    cash_told: set[date]


class EndingRepository:
    """Reads what was observed of one broker's options and writes the trades that ended them."""

    def __init__(self, db: Database, broker: Broker, cash_data_type: str) -> None:
        self._db = db
        self._broker = broker
        self._cash_data_type = cash_data_type

    def accounts(self) -> list[str]:
        """Accounts with rows that changed."""
        rows = self._db.fetch("accounts_changed", broker=self._broker)
        return [row["account_id"] for row in rows]

    def observed(self, account_id: str) -> Observed:
        """Trades of options that may have ended with a position left, and all that may tell how."""
        scope: dict[str, Any] = {"broker": self._broker, "account_id": account_id}
        instruments = self._db.fetch("instruments_of_account", account_id=account_id)
        covered = self._db.fetch("covered_dates", **scope, data_type=self._cash_data_type)
        return Observed(
            [row_as(Trade, row) for row in self._db.fetch("option_trades_left_open", **scope, made=self._sources)],
            [row_as(CashMovement, row) for row in self._db.fetch("cash_of_account", **scope)],
            self._snapshots(scope),
            {row["symbol"]: row_as(Instrument, row) for row in instruments},
            {row["day"] for row in covered},
        )

    def replace(self, account_id: str, ended: Ended) -> Merged:
        """Make the account's endings exactly these, and quarantine what cannot be made out."""
        scope: dict[str, Any] = {"broker": self._broker, "account_id": account_id}
        with self._db.sealed() as tx:
            now: datetime = tx.fetch("now")[0]["now"]
            keep = [trade.trade_uid for trade in ended.trades]
            removed = tx.fetch("endings_remove_stale", **scope, made=self._sources, keep=keep)
            merged = tx.merge(TRADES, map(as_row, ended.trades))
            rejected = quarantine_rows("normalize", self._broker, ended.rejects, now, None)
            tx.merge(QUARANTINE, rejected)
            still = [row["quarantine_uid"] for row in rejected]
            tx.execute("quarantine_resolve_kind", **scope, kind=REJECT_KIND, still=still)
            if merged.changed or removed:
                days = {trade.trade_date for trade in ended.trades} | {row["trade_date"] for row in removed}
                mark_changed(tx, self._broker, {(account_id, day) for day in days})
        return merged + Merged(0, 0, len(removed))

    @property
    def _sources(self) -> list[str]:
        return [f"{self._broker.lower()}_cash", f"{self._broker.lower()}_positions"]

    def _snapshots(self, scope: dict[str, Any]) -> list[Holdings]:
        held: dict[datetime, dict[str, Any]] = {}
        for row in self._db.fetch("position_snapshots_of_account", **scope):
            quantities = held.setdefault(row["as_of"], {})
            if row["symbol"] is not None:
                quantities[row["symbol"]] = quantities.get(row["symbol"], 0) + row["qty"]
        return [Holdings(as_of, quantities) for as_of, quantities in held.items()]
