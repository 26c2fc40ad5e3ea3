"""Signals: limits of risk that were passed, and what engines want to be done."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.market import SignalStatus, TradeSignal, signal_uid_of
from apex_pipeline.domain.models import Side
from apex_pipeline.domain.results import RiskSignal
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.generic import Repository
from apex_pipeline.store.tables import RISK_SIGNALS, SIGNALS, as_row
from apex_pipeline.store.transaction import Row

NEWEST = "-created_at"


class RiskSignalRepository(Repository[RiskSignal]):
    """Limits that were passed."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, RISK_SIGNALS, RiskSignal)

    def find_by_type(self, signal_type: str, limit: int | None = 100) -> list[RiskSignal]:
        """Signals of one type, the newest first."""
        return self.find_where(limit, "-raised_at", signal_type=signal_type)

    def find_breaches(self, since: datetime | None = None, limit: int | None = 100) -> list[RiskSignal]:
        """Breaches that were raised not before `since`: those that still stand first, then the newest."""
        return self._rows(self._db.fetch("risk_breaches", since=since, most=limit))

    def get_signal_counts_by_type(self, since: datetime | None = None) -> dict[str, int]:
        """How many signals of each type were raised not before `since`."""
        rows = self._db.fetch("risk_signal_counts", since=since)
        return {row["signal_type"]: row["signals"] for row in rows}

    def resolve(self, signal_uid: str, at: datetime | None = None) -> bool:
        """Say that a signal holds no more, since now unless told; whether it still stood."""
        return self._db.execute("risk_signal_resolve", signal_uid=signal_uid, at=at) == 1


class TradeSignalRepository(Repository[TradeSignal]):
    """What engines want to be done. A signal without a uid gets the one that follows from what it says."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, SIGNALS, TradeSignal)

    def log(
        self,
        source: str,
        symbol: str,
        side: Side | str | None = None,
        strength: Decimal | None = None,
        payload: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        created_at: datetime | None = None,
    ) -> TradeSignal:
        """Store a pending signal and return it as it is stored; the same one told again stays as it is.

        `key`: the engine's own, equal in every run over the same data; without one every call is a signal of its own.
        """
        signal = TradeSignal(
            "",
            source,
            key,
            symbol,
            None if side is None else Side(side.upper()),
            strength,
            payload or {},
            SignalStatus.PENDING,
            created_at or self._db.fetchval("now"),
            None,
        )
        told = self._completed(as_row(signal))
        return self.insert(told) or self._found_again({"signal_uid": told["signal_uid"]})

    def find_by_source(self, source: str, limit: int | None = 100) -> list[TradeSignal]:
        """Signals of one source, the newest first."""
        return self.find_where(limit, NEWEST, source=source)

    def find_pending(self, limit: int | None = 100) -> list[TradeSignal]:
        """Signals that wait, the oldest first."""
        return self.find_where(limit, "created_at", status=SignalStatus.PENDING)

    def mark_executed(self, signal_uid: str, executed_at: datetime | None = None) -> bool:
        """Mark a pending signal, now unless told when; of several who mark the same one, one is told True."""
        return self._end(signal_uid, SignalStatus.EXECUTED, executed_at)

    def cancel(self, signal_uid: str) -> bool:
        """Give a pending signal up; whether it was pending."""
        return self._end(signal_uid, SignalStatus.CANCELLED, None)

    def expire_old(self, max_age_hours: float = 24.0) -> int:
        """Mark pending signals of longer ago as expired; returns how many."""
        return self._db.execute("trade_signals_expire", hours=max_age_hours)

    def _end(self, signal_uid: str, status: SignalStatus, executed_at: datetime | None) -> bool:
        told: dict[str, Any] = {"signal_uid": signal_uid, "status": status, "executed_at": executed_at}
        return self._db.execute("trade_signal_end", **told) == 1

    def _completed(self, values: Row) -> Row:
        if values.get("signal_uid"):
            return values
        names = ("source", "signal_key", "symbol", "side", "strength", "payload", "created_at")
        told: dict[str, Any] = {name: values.get(name) for name in names}
        if told["signal_key"] is None and told["created_at"] is None:
            return {name: value for name, value in values.items() if name != "signal_uid"}
        return {**values, "signal_uid": signal_uid_of(**told)}
