"""Dagster's PostgreSQL storage, named in `dagster.yaml`: connections are kept, and events are stored in batches.

The storage of dagster-postgres opens a connection for every statement outside of the webserver: a backfill of
a year opened 12,000 of them and spent more than a minute on it. It stores one event after the other, with
several statements each, unless all events of a batch are materializations (dagster 1.13.27, measured, two cores).

This overrides and calls private methods of Dagster, which is pinned to a minor version; tests compare the rows
with those that Dagster writes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import sqlalchemy as sa
from dagster import AssetCheckKey, DagsterEventType, EventLogEntry, PartitionsDefinition
from dagster._core.errors import DagsterInvariantViolationError
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.asset_check_state import AssetCheckState
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage
from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import pg_url_from_config

RECYCLE_SECONDS = 3600
MOST_CONNECTIONS = 20

STORED_TOGETHER = frozenset(
    {
        DagsterEventType.ASSET_MATERIALIZATION,
        DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
        DagsterEventType.ASSET_OBSERVATION,
        DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
        DagsterEventType.ASSET_CHECK_EVALUATION,
    }
)
EXECUTION = ("asset_key", "check_name", "run_id", "partition")
"""What names one execution of a check: its row is made when it is planned and filled when it is evaluated."""
RESULT = (
    "execution_status",
    "evaluation_event",
    "evaluation_event_timestamp",
    "evaluation_event_storage_id",
    "materialization_event_storage_id",
)


class _Stored(NamedTuple):
    """An event with its row of `event_logs`."""

    event: EventLogEntry
    event_id: int
    row: Mapping[str, Any]


class _Remembered(NamedTuple):
    """The state of a check as of an event; every change of a check or a run is one, and so is a wipe."""

    newest: int | None
    days: PartitionsDefinition | None
    state: AssetCheckState


def _is_known(remembered: _Remembered | None, newest: int | None, days: PartitionsDefinition | None) -> bool:
    return remembered is not None and (remembered.newest, remembered.days) == (newest, days)


class BatchedEventLogStorage(PostgresEventLogStorage):
    """The same rows as `PostgresEventLogStorage`, those of a batch in one transaction of few statements."""

    def __init__(self, postgres_url: str, *, should_autocreate_tables: bool = True) -> None:
        self._tables_seen: set[str] = set()
        self._check_states: dict[AssetCheckKey, _Remembered] = {}
        super().__init__(postgres_url, should_autocreate_tables)

    def has_table(self, table_name: str) -> bool:
        """Whether the table is there; asked once, because Dagster wants to know it for every event of a check."""
        if table_name not in self._tables_seen and super().has_table(table_name):
            self._tables_seen.add(table_name)
        return table_name in self._tables_seen

    def _has_asset_key_col_on_connection(self, conn: sa.Connection, column_name: str) -> bool:
        """Remembered as tables are: Dagster asks for every asset of a page."""
        name = f"asset_keys.{column_name}"
        if name not in self._tables_seen and super()._has_asset_key_col_on_connection(conn, column_name):
            self._tables_seen.add(name)
        return name in self._tables_seen

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store all of the events or none; Dagster then tries them one by one.

        Other types of events than those of assets and checks, and events outside of a run, are left to Dagster.
        """
        if not events or not all(event.run_id and event.dagster_event_type in STORED_TOGETHER for event in events):
            super().store_event_batch(events)
            return
        rows = [self._event_to_row(event) for event in events]
        events_table = SqlEventLogStorageTable
        returning_ids = events_table.insert().returning(events_table.c.id, sort_by_parameter_order=True)
        with self.index_transaction() as connection:
            ids = connection.execute(returning_ids, rows).scalars().all()
            stored = [_Stored(*each) for each in zip(events, ids, rows, strict=True)]
            self._store_asset_event_tags(connection, events, ids)
            self._store_asset_keys(connection, stored)
            _store_planned_checks(connection, stored)
            _store_evaluations(connection, stored)

    def get_asset_check_state(
        self, keys: Sequence[tuple[AssetCheckKey, PartitionsDefinition | None]]
    ) -> Mapping[AssetCheckKey, AssetCheckState]:
        """Which days of each check passed and failed, made anew only after something happened.

        Dagster makes it of every day of every check for every request of its page, half a second for a year.
        """
        with self.index_connection() as connection:
            newest = connection.execute(sa.select(sa.func.max(SqlEventLogStorageTable.c.id))).scalar()
        unknown = [(key, days) for key, days in keys if not _is_known(self._check_states.get(key), newest, days)]
        if unknown:
            made = super().get_asset_check_state(unknown)
            self._check_states |= {key: _Remembered(newest, days, made[key]) for key, days in unknown}
        return {key: self._check_states[key].state for key, _ in keys}

    def _store_asset_keys(self, connection: sa.Connection, stored: Iterable[_Stored]) -> None:
        """Note the last event of each type for each asset, in an order that two runs cannot lock each other in."""
        last = {
            (str(each.row["asset_key"]), each.event.dagster_event_type): each
            for each in stored
            if each.event.dagster_event_type in ASSET_EVENTS
        }
        for each in sorted(last.values(), key=lambda each: (each.row["asset_key"], each.event_id)):
            self._store_asset_event(connection, each.event, each.event_id)


def _store_planned_checks(connection: sa.Connection, stored: Iterable[_Stored]) -> None:
    rows = [
        _execution(each, planned, partition, AssetCheckExecutionRecordStatus.PLANNED)
        for each, planned in _of_type(stored, DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED)
        for partition in (planned.partitions_subset.get_partition_keys() if planned.partitions_subset else [None])
    ]
    if rows:
        connection.execute(AssetCheckExecutionsTable.insert(), rows)


def _store_evaluations(connection: sa.Connection, stored: Iterable[_Stored]) -> None:
    """Fill the planned executions, and add those that nobody planned; the last of several evaluations holds."""
    newest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each, evaluation in _of_type(stored, DagsterEventType.ASSET_CHECK_EVALUATION):
        status = AssetCheckExecutionRecordStatus
        row = _execution(
            each, evaluation, evaluation.partition, status.SUCCEEDED if evaluation.passed else status.FAILED
        )
        target = evaluation.target_materialization_data
        row["materialization_event_storage_id"] = target.storage_id if target else None
        newest[tuple(row[name] for name in EXECUTION)] = row
    if not newest:
        return
    filled = [tuple(row) for row in connection.execute(_filling(list(newest.values())))]
    planned = set(filled)
    if len(filled) > len(planned):
        raise DagsterInvariantViolationError("an asset check was planned twice for the same partition of a run")
    if unplanned := [row for execution, row in newest.items() if execution not in planned]:
        connection.execute(AssetCheckExecutionsTable.insert(), unplanned)


def _filling(rows: Sequence[Mapping[str, Any]]) -> sa.Executable:
    """UPDATE .. FROM unnest(an array for each column) .. RETURNING the executions that were planned."""
    executions, names = AssetCheckExecutionsTable, (*EXECUTION, *RESULT)
    arrays = [sa.cast([row[name] for row in rows], sa.ARRAY(executions.c[name].type)) for name in names]
    told = sa.func.unnest(*arrays).table_valued(*names).render_derived(name="told")
    return (
        executions.update()
        .where(*(executions.c[name] == told.c[name] for name in EXECUTION[:-1]))
        .where(executions.c.partition.is_not_distinct_from(told.c.partition))
        .values({name: told.c[name] for name in RESULT})
        .returning(*(executions.c[name] for name in EXECUTION))
    )


def _of_type(stored: Iterable[_Stored], wanted: DagsterEventType) -> Iterator[tuple[_Stored, Any]]:
    """The events of this type, each with what it says."""
    for each in stored:
        if each.event.dagster_event_type is wanted:
            yield each, each.event.get_dagster_event().event_specific_data


def _execution(
    stored: _Stored, check: Any, partition: str | None, status: AssetCheckExecutionRecordStatus
) -> dict[str, Any]:
    """A row of `asset_check_executions`; `check` is what the event says about it."""
    return {
        "asset_key": check.asset_key.to_string(),
        "check_name": check.check_name,
        "partition": partition,
        "run_id": stored.event.run_id,
        "execution_status": status.value,
        "evaluation_event": stored.row["event"],
        "evaluation_event_timestamp": stored.row["timestamp"],
        "evaluation_event_storage_id": stored.event_id,
    }


class RememberingScheduleStorage(PostgresScheduleStorage):
    """The same rows as `PostgresScheduleStorage`; what is there is looked for once, not once for each schedule."""

    def __init__(self, postgres_url: str, *, should_autocreate_tables: bool = True) -> None:
        self._there: set[str] = set()
        super().__init__(postgres_url, should_autocreate_tables)

    def has_built_index(self, migration_name: str) -> bool:
        """Whether a migration of Dagster's was done."""
        if migration_name not in self._there and super().has_built_index(migration_name):
            self._there.add(migration_name)
        return migration_name in self._there

    def _has_instigators_table(self, conn: sa.Connection) -> bool:
        if "instigators" not in self._there and super()._has_instigators_table(conn):
            self._there.add("instigators")
        return "instigators" in self._there


class PooledPostgresStorage(DagsterPostgresStorage):
    """The same tables and settings as `DagsterPostgresStorage`; one connection at rest for each of its three parts."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, inst_data=inst_data)
        self._event_log_storage = BatchedEventLogStorage(postgres_url, should_autocreate_tables=False)
        self._schedule_storage = RememberingScheduleStorage(postgres_url, should_autocreate_tables=False)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Made by Dagster from its instance file."""
        made = cls(pg_url_from_config(config_value), inst_data=inst_data)
        for part in (made.event_log_storage, made.run_storage, made.schedule_storage):
            part.optimize_for_webserver(
                statement_timeout=0, pool_recycle=RECYCLE_SECONDS, max_overflow=MOST_CONNECTIONS
            )
        return made
