"""What the processes of an engine write whatever stands there: signals, equity, pyramiding, and which of them leads."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.engine import Instance, PortfolioState, PyramidingState
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.generic import refusals_told
from apex_pipeline.store.tables import PYRAMIDING, row_as


class SignalLog:
    """Signals that were received, each once."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, fingerprint: str, signal_type: str, **told: Any) -> bool:
        """Log a signal; whether it is new. Of several processes that log the same, one is told so."""
        usual = {"instrument": None, "payload": {}, "status": "RECEIVED", "instance_id": None}
        given: dict[str, Any] = {**usual, **told}
        return self._db.execute("signal_log_add", fingerprint=fingerprint, signal_type=signal_type, **given) == 1

    def has(self, fingerprint: str) -> bool:
        """Whether a signal of this fingerprint was logged."""
        return bool(self._db.fetchval("signal_log_has", fingerprint=fingerprint))

    def set_status(self, fingerprint: str, status: str) -> bool:
        """Say what became of a signal; whether there is one."""
        return self._db.execute("signal_log_status", fingerprint=fingerprint, status=status) == 1

    def cleanup(self, older_than: timedelta) -> int:
        """Remove signals received before so long ago; returns how many. They would be new again."""
        return int(self._db.fetchval("signal_log_cleanup", older_than=older_than))


class Equity:
    """The capital of an engine: one row, begun once."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def begin(self, initial_capital: Decimal) -> None:
        """Make the row, unless it stands: what was earned since stays."""
        self._db.execute("portfolio_state_begin", initial_capital=initial_capital)

    def earn(self, earned: Decimal) -> PortfolioState | None:
        """Add what was realized (negative for a loss), whoever else does at the same time; None before `begin`."""
        row = self._db.fetchrow("portfolio_state_earn", earned=earned)
        return row_as(PortfolioState, row) if row else None


class Pyramiding:
    """Where an engine added last, whoever wrote it before."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def put(self, state: PyramidingState) -> PyramidingState:
        """Store the row in the place of whatever is stored; returns it with its next version."""
        told = {name: getattr(state, name) for name in ("instrument", "last_pyramid_price", "base_position_id")}
        with refusals_told(PYRAMIDING):
            (row,) = self._db.fetch("pyramiding_state_put", **told)
        return row_as(PyramidingState, row)


class Instances:
    """The processes of an engine, by the clock of the database. At most one leads at any moment."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def beat(self, instance_id: str, metadata: Mapping[str, Any], lease_seconds: float) -> Instance:
        """Say that a process lives, which renews its lease if it leads; returns its row."""
        (row,) = self._db.fetch("instance_beat", instance_id=instance_id, metadata=metadata, lease=lease_seconds)
        return row_as(Instance, row)

    def lead(self, instance_id: str, lease_seconds: float) -> bool:
        """Whether the process leads now, for `lease_seconds` unless it renews."""
        return bool(self._db.fetch("instance_lead", instance_id=instance_id, lease=lease_seconds))

    def resign(self, instance_id: str) -> bool:
        """Give the lead up; whether it was had."""
        return self._db.execute("instance_resign", instance_id=instance_id) == 1

    def leader(self) -> Instance | None:
        """Who leads, None if no lease runs."""
        row = self._db.fetchrow("instance_leader")
        return row_as(Instance, row) if row else None

    def alive(self, within_seconds: float) -> list[Instance]:
        """Processes that said so lately, the latest first."""
        return [row_as(Instance, row) for row in self._db.fetch("instances_alive", within=within_seconds)]
