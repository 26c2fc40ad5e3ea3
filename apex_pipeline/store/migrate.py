"""Applies the numbered plain SQL files of `migrations/`, once each, in order, under a lock.

A file that was applied must never change: its checksum is compared at every run.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import psycopg2

from apex_pipeline.errors import ConfigError, MigrationChanged, SchemaError, SchemaOutdated
from apex_pipeline.store.db import Database
from apex_pipeline.store.transaction import Row

MINIMUM_SERVER = 150000
_FILE = re.compile(r"(\d{3})_([a-z0-9_]+)\.sql")
_TEST_NAMES = re.compile(r"(^|_)test(s|_|$)")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file; `applied_at` is None while it is pending."""

    version: int
    name: str
    sha256: str
    path: Path
    applied_at: datetime | None = None


class MigrationRunner:
    """Brings a database to the schema of this program.

    Raises MigrationChanged for an edited file, SchemaOutdated for a database newer than the files,
    SchemaError ("Migration 001 failed: …") when a statement fails; that file is then rolled back whole.
    """

    def __init__(self, db: Database, migrations_dir: Path | str = "migrations") -> None:
        self._db = db
        self._dir = Path(migrations_dir)

    def run(self, target_version: int | None = None) -> list[Migration]:
        """Apply what is pending, up to `target_version`; returns what was applied."""
        with self._db.lock("apex:migrate"):
            self._require_server()
            pending = [
                m for m in self.get_pending_migrations() if target_version is None or m.version <= target_version
            ]
            for migration in pending:
                self._apply(migration)
        return pending

    def get_pending_migrations(self) -> list[Migration]:
        """Files that were not applied yet, in order."""
        return [migration for migration in self.status() if migration.applied_at is None]

    def get_applied_migrations(self) -> list[Migration]:
        """Files that were applied, in order."""
        return [migration for migration in self.status() if migration.applied_at is not None]

    def get_current_version(self) -> int:
        """The highest applied number, 0 for an empty database."""
        return max((migration.version for migration in self.get_applied_migrations()), default=0)

    def status(self) -> list[Migration]:
        """Every file with the instant it was applied; refuses edited and unknown ones."""
        applied = {row["version"]: row for row in self._applied_rows()}
        known = self._files()
        newer = sorted(set(applied) - {migration.version for migration in known})
        if newer:
            raise SchemaOutdated(
                f"the database has migration {newer[-1]:03d}, this program does not: update the program"
            )
        return [self._with_state(migration, applied.get(migration.version)) for migration in known]

    def require_current(self) -> None:
        """Raise SchemaOutdated unless every migration is applied."""
        if pending := self.get_pending_migrations():
            raise SchemaOutdated(f"migration {pending[0].version:03d} is pending: run `apex migrate`")

    def reset(self) -> None:
        """Drop everything in a test database, refused for any other."""
        name = str(self._db.fetchval("current_database"))
        if not _TEST_NAMES.search(name):
            raise ConfigError(f"reset drops every table and is refused: {name!r} is not named as a test database")
        self._db.execute("reset_schema")

    def _applied_rows(self) -> list[Row]:
        if not self._db.fetchval("migrations_known"):
            return []
        return self._db.fetch("migrations_applied")

    def _files(self) -> list[Migration]:
        if not self._dir.is_dir():
            raise ConfigError(f"no migrations at {self._dir}: run from the project's checkout")
        found = [self._read(path) for path in sorted(self._dir.glob("*.sql"))]
        if [migration.version for migration in found] != list(range(1, len(found) + 1)):
            raise SchemaError(f"the files in {self._dir} are not numbered 001, 002, … without gaps")
        return found

    @staticmethod
    def _read(path: Path) -> Migration:
        match = _FILE.fullmatch(path.name)
        if not match:
            raise SchemaError(f"{path.name} is not named like 001_what_it_does.sql")
        return Migration(int(match[1]), match[2], hashlib.sha256(path.read_bytes()).hexdigest(), path)

    @staticmethod
    def _with_state(migration: Migration, row: Row | None) -> Migration:
        if row is None:
            return migration
        if row["sha256"] != migration.sha256:
            raise MigrationChanged(
                f"{migration.path.name} was edited after it was applied: restore it and put the change in a new file"
            )
        return replace(migration, applied_at=row["applied_at"])

    def _require_server(self) -> None:
        number = int(self._db.fetchval("server_version"))
        if number < MINIMUM_SERVER:
            raise ConfigError(
                f"PostgreSQL {number // 10000} is too old: APEX_DATABASE_URL needs PostgreSQL 15 or newer"
            )

    def _apply(self, migration: Migration) -> None:
        try:
            with self._db.transaction() as tx:
                tx.execute("migration_timeouts")
                tx.execute("migrations_table")
                tx.run_script(migration.path.read_text("utf-8"))
                tx.execute("migration_record", version=migration.version, name=migration.name, sha256=migration.sha256)
        except (psycopg2.Error, SchemaOutdated) as error:
            said = error if isinstance(error, psycopg2.Error) else error.__cause__
            reason = str(said).strip().splitlines()[0] if str(said).strip() else type(said).__name__
            raise SchemaError(f"Migration {migration.version:03d} failed: {reason}") from error
