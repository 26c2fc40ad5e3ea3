"""Loading statements on disk without Dagster: each file in one transaction, then everything that follows from them."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from apex_pipeline.brokers.ib.coverage import DATA_TYPE
from apex_pipeline.brokers.ib.delivery import days_named
from apex_pipeline.brokers.ib.files import StatementFile, Unpacked, delivery_of, statement_files
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import ALL_MARKETS, Ask, Call
from apex_pipeline.errors import UnknownPayload
from apex_pipeline.extraction import FRIDAY, Observe, days_of
from apex_pipeline.live.history import HistoryLoaderService, LoadStatus, today
from apex_pipeline.pipeline import silent
from apex_pipeline.settings import Settings
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.loads import LoadRepository


@dataclass(frozen=True, slots=True)
class Days:
    """Days of one account, both included."""

    account_id: str
    from_date: date
    to_date: date

    def __str__(self) -> str:
        return str(self.from_date) if self.from_date == self.to_date else f"{self.from_date}..{self.to_date}"


@dataclass(frozen=True, slots=True)
class FileResult:
    """What one statement brought, in records, and the days it covers; `error` says why it was refused."""

    file: str
    error: str | None = None
    records: int = 0
    new_versions: int = 0
    unchanged: int = 0
    superseded: int = 0
    quarantined: int = 0
    days: tuple[Days, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportResult:
    """How an import ended.

    `uncovered`: for each imported account the weekdays without a statement between its first and its last
    covered day, those of earlier loads included. `unreadable`: stored records of the touched days that no
    rule could read.
    """

    files: tuple[FileResult, ...]
    uncovered: dict[str, tuple[Days, ...]] = field(default_factory=dict[str, "tuple[Days, ...]"])
    unreadable: int = 0
    duration_seconds: float = 0.0

    @property
    def status(self) -> LoadStatus:
        """SUCCESS: every file was read, and every row of it. FAILED: no file was."""
        refused = [file for file in self.files if file.error]
        if len(refused) == len(self.files):
            return LoadStatus.FAILED
        whole = not refused and not self.unreadable and not any(file.quarantined for file in self.files)
        return LoadStatus.SUCCESS if whole else LoadStatus.PARTIAL

    def as_json(self) -> dict[str, Any]:
        """The result for `--json`; dates are ISO text."""
        told = {"status": self.status.value, **asdict(self)}
        return {name: _plain(value) for name, value in told.items()}


class StatementImporter:
    """Loads Flex statements from disk, of any age, in any order, as often as one likes.

    A file that cannot be read is told in the result and does not keep the others out. Raises StorageError for
    a database that cannot be used. `config`: the settings in force if None.
    """

    def __init__(self, db: Database, config: Settings | None = None) -> None:
        self._db = db
        self._history = HistoryLoaderService(db, config)
        self._loads = LoadRepository(db, Broker.IB, self._history.config.batch_size)

    def load_paths(self, paths: Sequence[Path], observe: Observe = silent) -> ImportResult:
        """Load what these files and folders hold; ConfigError for a path without any statement."""
        return self.load(statement_files(paths), observe)

    def load(self, files: Sequence[StatementFile], observe: Observe = silent) -> ImportResult:
        """Load these files and do everything that follows from them."""
        started = time.monotonic()
        results: list[FileResult] = []
        touched: set[date] = set()
        total = sum(file.members for file in files)
        with self._db.lock(f"apex:ingest:{Broker.IB}", lambda: observe("waiting for another load", 0, 0)):
            for statement in (statement for file in files for statement in file.unpack()):
                observe(f"loading {statement.name}", len(results), total)
                results.append(self._load(statement, touched))
        unreadable = self._history.derive(min(touched), max(touched), observe) if touched else 0
        accounts = {days.account_id for result in results for days in result.days}
        return ImportResult(tuple(results), self._uncovered(accounts), unreadable, round(time.monotonic() - started, 3))

    def _load(self, statement: Unpacked, touched: set[date]) -> FileResult:
        """Store one statement, and add to `touched` the days it is about."""
        if statement.content is None:
            return FileResult(statement.shown, statement.refusal)
        received_at = datetime.now(UTC)
        first, last = days_named(statement.content) or (received_at.date(), received_at.date())
        try:
            delivery = delivery_of(statement.content, statement.name, received_at)
            with self._loads.run(Ask(first, last, today())) as run_id:
                call = Call(DATA_TYPE, None, ALL_MARKETS, first, last)
                loaded = self._loads.store(run_id, call, delivery, received_at)
        except UnknownPayload as error:
            return FileResult(statement.shown, str(error))
        touched.update(delivery.days)
        return FileResult(
            statement.shown,
            None,
            loaded.records,
            loaded.new_versions,
            loaded.unchanged,
            loaded.superseded,
            loaded.quarantined,
            tuple(Days(scope.account_id, scope.from_date, scope.to_date) for scope in delivery.covered),
            loaded.notes,
        )

    def _uncovered(self, accounts: Iterable[str]) -> dict[str, tuple[Days, ...]]:
        """Weekdays between the first and the last covered day of each account that no statement tells about."""
        told = self._loads.covered_days((DATA_TYPE,), date.min, date.max)
        found: dict[str, tuple[Days, ...]] = {}
        for account in sorted(accounts):
            own = [part for part in told if part.account_id == account]
            covered = {day for part in own for day in days_of(part.from_date, part.to_date)}
            runs = _runs(days_of(min(covered), max(covered)), covered)
            found[account] = tuple(Days(account, first, last) for first, last in runs)
        return found


def _runs(days: Iterable[date], covered: set[date]) -> list[tuple[date, date]]:
    """First and last of each run of weekdays that are not covered; a weekend does not end a run."""
    runs: list[list[date]] = [[]]
    for day in days:
        if day in covered:
            runs.append([])
        elif day.isoweekday() <= FRIDAY:
            runs[-1].append(day)
    return [(run[0], run[-1]) for run in runs if run]


def _plain(value: Any) -> Any:
    """The value with its dates as text."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value
