"""How the pipeline stands, of the database alone: what is loaded, how old it is, what waits for a person."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.results import RiskSignal
from apex_pipeline.store.connection import where
from apex_pipeline.store.db import Database
from apex_pipeline.store.migrate import MigrationRunner
from apex_pipeline.store.repositories.risk import standing_signals
from apex_pipeline.store.scopes import whatever_told_as_storage
from apex_pipeline.store.timescale import Timescale

SEVERITIES = ("ERROR", "WARN", "INFO")
OF_TABLES = (
    *("open_breaks", "error_breaks", "breaks_by_severity", "quarantined", "quarantine", "coverage", "watermarks"),
    *("recent_failures", "snapshots", "risk_signals", "instances"),
)
"""What is None until all migrations are applied."""


class StatusRepository:
    """Answers `status` of one database; brokers are not asked."""

    def __init__(self, db: Database, migrations: MigrationRunner) -> None:
        self._db = db
        self._migrations = migrations

    @whatever_told_as_storage()
    def status(self) -> dict[str, Any]:
        """Everything by the keys that docs/serving.md tells; OF_TABLES is None while a migration is pending.

        Raises SchemaError where the database does not fit this program, StorageError for whatever else it says.
        """
        server = self._db.fetchrow("status_server") or {}
        migrations = self._migrations.status()
        pending = [migration.version for migration in migrations if migration.applied_at is None]
        return {
            "as_of": server["as_of"],
            "database": where(self._db.url),
            "server_version": server["server_version"],
            "size_bytes": server["size_bytes"],
            "timescaledb": Timescale(self._db).state().as_json(),
            "migration": max((one.version for one in migrations if one.applied_at is not None), default=0),
            "pending_migrations": pending,
            **(dict.fromkeys(OF_TABLES) if pending else self._of_tables(server["as_of"])),
        }

    def _of_tables(self, as_of: datetime) -> dict[str, Any]:
        breaks = dict.fromkeys(SEVERITIES, 0) | {
            row["severity"]: row["breaks"] for row in self._db.fetch("status_breaks")
        }
        quarantine = self._db.fetch("status_quarantine")
        return {
            "open_breaks": sum(breaks.values()),
            "error_breaks": breaks["ERROR"],
            "breaks_by_severity": breaks,
            "quarantined": sum(row["records"] for row in quarantine),
            "quarantine": quarantine,
            "coverage": self._db.fetch("report_coverage"),
            "watermarks": self._db.fetch("status_watermarks"),
            "recent_failures": self._db.fetch("recent_failures"),
            "snapshots": self._db.fetch("status_snapshots"),
            "risk_signals": [_signal(one, as_of) for one in standing_signals(self._db)],
            "instances": self._db.fetch("status_instances"),
        }


def _signal(signal: RiskSignal, as_of: datetime) -> dict[str, Any]:
    names = ("signal_uid", "level", "signal_type", "metric", "scope", "value", "threshold", "source", "raised_at")
    raised = signal.raised_at or as_of
    age = Decimal((as_of - raised) // (as_of.resolution * 1000)) / 1000
    return {**{name: getattr(signal, name) for name in names}, "age_seconds": age}
