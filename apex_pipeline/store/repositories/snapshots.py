"""Snapshots of positions, accounts and risk: the newest, the one of a moment, those of a time, series, days.

Instants are aware and in UTC; a time range holds both of its ends. Money and figures are Decimals.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from apex_pipeline.domain.market import AccountSnapshot, PositionSnapshot
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.results import PORTFOLIO, RiskSnapshot
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.generic import Repository
from apex_pipeline.store.selecting import Within
from apex_pipeline.store.tables import ACCOUNT_SNAPSHOTS, POSITION_SNAPSHOTS, RISK_SNAPSHOTS, row_as

T = TypeVar("T")

RETENTION_DAYS = 365
NEWEST = "-captured_at"


class Snapshots(Repository[T]):
    """What the snapshot tables have in common: an instant, `captured_at`."""

    def cleanup_old(self, retention_days: float = RETENTION_DAYS) -> int:
        """Remove what was captured longer ago than that; returns how many snapshots. ValueError below 0."""
        if retention_days < 0:
            raise ValueError(f"snapshots are kept for 0 days or more, not {retention_days}")
        now: datetime = self._db.fetchval("now")
        return self.delete_where(captured_at=Within(None, now - timedelta(days=retention_days)))


class AccountsSnapshots(Snapshots[T]):
    """Snapshots of single accounts."""

    def get_latest(self, broker: Broker | str, account_id: str) -> T | None:
        """The newest snapshot of an account, or None."""
        return self.get_at(broker, account_id, None)

    def get_at(self, broker: Broker | str, account_id: str, at: datetime | None) -> T | None:
        """The newest snapshot of an account that was captured not after `at`, or None."""
        found = self.find_where(1, NEWEST, **_of(broker, account_id), captured_at=Within(None, at))
        return next(iter(found), None)

    def get_by_time_range(
        self, broker: Broker | str, account_id: str, start: datetime | None = None, end: datetime | None = None
    ) -> list[T]:
        """The snapshots of an account from `start` to `end`, oldest first."""
        return self.find_where(None, "captured_at", **_of(broker, account_id), captured_at=Within(start, end))


class PositionSnapshotRepository(AccountsSnapshots[PositionSnapshot]):
    """Positions of accounts as they were captured."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, POSITION_SNAPSHOTS, PositionSnapshot)


class AccountSnapshotRepository(AccountsSnapshots[AccountSnapshot]):
    """What accounts were worth when they were captured."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, ACCOUNT_SNAPSHOTS, AccountSnapshot)


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """A figure of risk in the course of a day: of `count` snapshots."""

    first: Decimal
    last: Decimal
    min: Decimal
    max: Decimal
    mean: Decimal
    count: int


class RiskSnapshotRepository(Snapshots[RiskSnapshot]):
    """Figures of risk as they were captured, of an account (its number) or of everything (PORTFOLIO)."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, RISK_SNAPSHOTS, RiskSnapshot)

    def get_latest(self, scope: str = PORTFOLIO) -> RiskSnapshot | None:
        """The newest snapshot, or None."""
        return self.get_at(None, scope)

    def get_at(self, at: datetime | None, scope: str = PORTFOLIO) -> RiskSnapshot | None:
        """The newest snapshot that was captured not after `at`, or None."""
        return next(iter(self.find_where(1, NEWEST, scope=scope, captured_at=Within(None, at))), None)

    def get_latest_of_engine(self, scope: str = PORTFOLIO) -> RiskSnapshot | None:
        """The newest snapshot that an engine captured, not the pipeline itself, or None."""
        row = self._db.fetchrow("risk_of_engine", scope=scope)
        return row_as(RiskSnapshot, row) if row else None

    def get_by_time_range(
        self, start: datetime | None = None, end: datetime | None = None, scope: str = PORTFOLIO
    ) -> list[RiskSnapshot]:
        """The snapshots from `start` to `end`, oldest first."""
        return self.find_where(None, "captured_at", scope=scope, captured_at=Within(start, end))

    def get_time_series(
        self, metric: str, start: datetime | None = None, end: datetime | None = None, scope: str = PORTFOLIO
    ) -> list[tuple[datetime, Decimal]]:
        """Instants and values of a metric from `start` to `end`, oldest first; what is no number is left out."""
        told: Mapping[str, Any] = {"metric": metric, "scope": scope, "start": start, "end": end}
        return [(row["captured_at"], row["value"]) for row in self._db.fetch("risk_series", **told)]

    def get_daily_summary(self, day: date | int = 1, scope: str = PORTFOLIO) -> dict[date, dict[str, MetricSummary]]:
        """By day (of UTC) and metric, of `day`, or of so many days that end today; days without snapshots are left out.

        What is no number is left out. The mean is over the snapshots, rounded to ten decimals.
        """
        last = day if isinstance(day, date) else datetime.now(UTC).date()
        first = day if isinstance(day, date) else last - timedelta(days=day - 1)
        days: dict[date, dict[str, MetricSummary]] = {}
        for row in self._db.fetch("risk_days", scope=scope, first=first, last=last):
            told = {name: row[name] for name in ("first", "last", "min", "max", "mean", "count")}
            days.setdefault(row["day"], {})[row["metric"]] = MetricSummary(**told)
        return days


def _of(broker: Broker | str, account_id: str) -> dict[str, Any]:
    return {"broker": Broker.named(broker), "account_id": str(account_id)}
