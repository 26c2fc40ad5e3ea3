"""The state of a live engine: what it holds, is worth, has signalled, and which of its processes leads.

* Money is in the currency of the instrument, unless the engine keeps one currency for all.
* `lots` is how many are held, of `side`, never negative; `multiplier` is what one point of the price is worth for one.
* `version` counts the writes of a row, from 1; 0 is a row that was never written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from apex_pipeline.domain.models import Side


class PositionStatus(StrEnum):
    """Where a position stands; PARTIAL: some of it is closed."""

    OPEN = "open"
    CLOSED = "closed"
    PARTIAL = "partial"


class RolloverStatus(StrEnum):
    """How far a position is on its way into the next contract."""

    NONE = "none"
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    ROLLED = "rolled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PortfolioPosition:
    """A position of an engine's own book; `payload` is whatever else it wants to find again."""

    position_id: str
    instrument: str
    status: PositionStatus = PositionStatus.OPEN
    rollover_status: RolloverStatus = RolloverStatus.NONE
    is_base_position: bool = False
    side: Side = Side.BUY
    entry_price: Decimal | None = None
    lots: Decimal | None = None
    multiplier: Decimal = Decimal(1)
    entry_timestamp: datetime | None = None
    current_stop: Decimal | None = None
    limiter: str | None = None
    unrealized_pnl: Decimal | None = None
    exit_price: Decimal | None = None
    exit_timestamp: datetime | None = None
    exit_reason: str | None = None
    realized_pnl: Decimal | None = None
    payload: Mapping[str, Any] = field(default_factory=dict[str, Any])
    version: int = 0
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PortfolioState:
    """The capital that an engine began with, and that capital with everything it has realized since. `id` is 1."""

    initial_capital: Decimal
    closed_equity: Decimal
    version: int = 0
    updated_at: datetime | None = None
    id: int = 1


@dataclass(frozen=True, slots=True)
class PyramidingState:
    """Where an engine added to an instrument last, and the position it began with (None once that is deleted)."""

    instrument: str
    last_pyramid_price: Decimal | None = None
    base_position_id: str | None = None
    version: int = 0
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LoggedSignal:
    """A signal that an engine received; `fingerprint` is the same for the same signal."""

    fingerprint: str
    signal_type: str
    instrument: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict[str, Any])
    status: str = "RECEIVED"
    received_at: datetime | None = None
    instance_id: str | None = None
    signal_id: int | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """A process of an engine; `lease_expires_at`: until when it leads unless it renews, None if it never led."""

    instance_id: str
    started_at: datetime
    last_heartbeat: datetime
    is_leader: bool
    lease_expires_at: datetime | None
    metadata: Mapping[str, Any]
