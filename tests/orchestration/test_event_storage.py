"""A batch of events leaves the rows that Dagster leaves when it stores them one by one, or no rows."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import dagster as dg
import pytest
from dagster._check import CheckError
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.errors import DagsterInvariantViolationError
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    EventSpecificData,
    StepMaterializationData,
)
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage
from sqlalchemy.event import listen
from sqlalchemy.exc import IntegrityError

from apex_pipeline.orchestration.partitions import daily
from apex_pipeline.orchestration.storage import BatchedEventLogStorage, RememberingScheduleStorage
from apex_pipeline.settings import sqlalchemy_url
from tests.store.rows import connected

Kind = dg.DagsterEventType
ORDERS, TRADES = dg.AssetKey("orders_norm"), dg.AssetKey(["ledger", "trades_norm"])
DAYS = ["2025-06-02", "2025-06-03", "2025-06-04", "2025-06-05"]
RUN, OTHER_RUN = "run-1", "run-2"
TABLES = {
    "event_logs": "id",
    "asset_keys": "asset_key",
    "asset_event_tags": "event_id, key",
    "asset_check_executions": "run_id, check_name, partition, evaluation_event_storage_id",
}
"""The tables that events are stored in, and an order of their rows."""
NOT_COMPARED = {"id", "create_timestamp"}
START = datetime(2025, 6, 6, tzinfo=UTC).timestamp()

Tables = dict[str, list[dict[str, Any]]]


class Story:
    """Makes events a second after one another."""

    def __init__(self) -> None:
        self.told = 0

    def event(self, kind: dg.DagsterEventType, about: EventSpecificData | None, run_id: str = RUN) -> dg.EventLogEntry:
        self.told += 1
        event = dg.DagsterEvent(kind.value, "backfill_job", event_specific_data=about, step_key='step\'s \\ "name"')
        when = START + self.told
        return dg.EventLogEntry(None, 10, "", run_id, when, event.step_key, "backfill_job", event)

    def planned(self, asset: dg.AssetKey, day: str | None) -> dg.EventLogEntry:
        return self.event(Kind.ASSET_MATERIALIZATION_PLANNED, AssetMaterializationPlannedData(asset, day))

    def materialized(self, asset: dg.AssetKey, day: str) -> dg.EventLogEntry:
        made = dg.AssetMaterialization(asset, partition=day, tags={"dagster/data_version": day, "of": "us"})
        return self.event(Kind.ASSET_MATERIALIZATION, StepMaterializationData(made, []))

    def observed(self, asset: dg.AssetKey, day: str) -> dg.EventLogEntry:
        seen = dg.AssetObservation(asset, partition=day, tags={"dagster/data_version": "seen"})
        return self.event(Kind.ASSET_OBSERVATION, AssetObservationData(seen))

    def check_planned(self, name: str, days: Sequence[str] | None = DAYS) -> dg.EventLogEntry:
        subset = daily.empty_subset().with_partition_keys(days).to_serializable_subset() if days else None
        return self.event(
            Kind.ASSET_CHECK_EVALUATION_PLANNED,
            AssetCheckEvaluationPlanned(asset_key=ORDERS, check_name=name, partitions_subset=subset),
        )

    def checked(
        self, name: str, day: str | None, *, passed: bool = True, target: int | None = None, run_id: str = RUN
    ) -> dg.EventLogEntry:
        of = target and AssetCheckEvaluationTargetMaterializationData(storage_id=target, run_id=RUN, timestamp=START)
        evaluation = dg.AssetCheckEvaluation(
            ORDERS,
            name,
            passed,
            {"said": dg.MetadataValue.text('it\'s \\ "quoted"; 50 % :bound %(named)s 你好')},
            of or None,
            partition=day,
        )
        return self.event(Kind.ASSET_CHECK_EVALUATION, evaluation, run_id)


def whole_story(seed: int) -> list[dg.EventLogEntry]:
    """Every type of event of assets and checks, in an order of its own for each seed."""
    story = Story()
    plans = [story.check_planned("filled"), story.check_planned("fees"), story.check_planned("whole", None)]
    events = [
        *(story.planned(asset, day) for asset in (TRADES, ORDERS) for day in DAYS),
        story.planned(ORDERS, None),
        *(story.materialized(asset, day) for asset in (ORDERS, TRADES) for day in DAYS),
        *(story.observed(asset, DAYS[0]) for asset in (ORDERS, TRADES)),
        *(story.checked("filled", day, passed=day != DAYS[1], target=n + 1) for n, day in enumerate(DAYS[:3])),
        story.checked("filled", DAYS[1], target=7),
        story.checked("fees", DAYS[0]),
        story.checked("whole", None),
        story.checked("nobody_planned_it", DAYS[0]),
        story.checked("nobody_planned_it", DAYS[0], passed=False),
        story.checked("nobody_planned_it", None),
        story.checked("filled", DAYS[0], passed=False, run_id=OTHER_RUN),
    ]
    Random(seed).shuffle(events)
    return [*plans, *events]


@pytest.fixture
def storage(empty_url: str) -> Iterator[BatchedEventLogStorage]:
    """Our storage of events on a database of this test's own."""
    made = BatchedEventLogStorage(sqlalchemy_url(empty_url))
    yield made
    made.dispose()


@pytest.fixture
def dagsters_own(storage: BatchedEventLogStorage) -> PostgresEventLogStorage:
    """Dagster's storage of events on the same database."""
    return PostgresEventLogStorage(storage.postgres_url)


def stored(url: str) -> Tables:
    """All that is stored; numbers of events too, because the tables are counted from 1 for each story."""
    found: Tables = {}
    with connected(url) as connection, connection.cursor() as cursor:
        for table, order in TABLES.items():
            cursor.execute(f"SELECT * FROM {table} ORDER BY {order}")
            names = [column.name for column in cursor.description or ()]
            kept = {name for name in names if table == "event_logs" or name not in NOT_COMPARED}
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            found[table] = [{name: row[name] for name in names if name in kept} for row in rows]
    return found


def forget(url: str) -> None:
    with connected(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(TABLES)} RESTART IDENTITY")


@pytest.mark.parametrize("size", [2, 7, 500])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_batches_of_any_size_leave_the_rows_of_single_events(
    empty_url: str, storage: BatchedEventLogStorage, dagsters_own: PostgresEventLogStorage, size: int, seed: int
) -> None:
    events = whole_story(seed)
    for event in events:
        dagsters_own.store_event(event)
    expected = stored(empty_url)
    assert {table: len(rows) for table, rows in expected.items()} == {
        "event_logs": len(events),
        "asset_keys": 2,
        "asset_event_tags": 10,
        "asset_check_executions": 12,
    }
    forget(empty_url)
    for start in range(0, len(events), size):
        storage.store_event_batch(events[start : start + size])
    assert stored(empty_url) == expected

    forget(empty_url)
    storage.store_event_batch([*events[:-2], events[-1], events[-2]])
    assert stored(empty_url) != expected, "control: the comparison sees which event came last"


def test_a_plan_of_many_days_is_stored_in_the_order_it_was_told(
    empty_url: str, storage: BatchedEventLogStorage
) -> None:
    story = Story()
    days = [f"{year}-{month:02}-15" for year in range(1900, 2025) for month in range(1, 13)]
    storage.store_event_batch([story.planned(TRADES, day) for day in days])
    rows = stored(empty_url)["event_logs"]
    assert [(row["id"], row["partition"]) for row in rows] == list(enumerate(days, start=1))
    assert all(row["partition"] in row["event"] for row in rows)


def test_of_a_batch_that_fails_nothing_is_stored(empty_url: str, storage: BatchedEventLogStorage) -> None:
    story = Story()
    good = [story.check_planned("filled"), story.materialized(ORDERS, DAYS[0]), story.checked("filled", DAYS[0])]
    with pytest.raises(IntegrityError):
        storage.store_event_batch([*good, story.check_planned("filled", DAYS[2:])])
    assert not any(stored(empty_url).values())
    storage.store_event_batch(good)
    assert all(stored(empty_url).values()), "control: without the event that fails all tables have rows"


def test_a_check_that_was_planned_twice_without_a_partition_is_refused_as_dagster_refuses_it(
    empty_url: str, storage: BatchedEventLogStorage, dagsters_own: PostgresEventLogStorage
) -> None:
    story = Story()
    storage.store_event_batch([story.check_planned("whole", None), story.check_planned("whole", None)])
    before, event = stored(empty_url), story.checked("whole", None)
    with pytest.raises(DagsterInvariantViolationError):
        storage.store_event_batch([story.materialized(ORDERS, DAYS[0]), event])
    assert stored(empty_url) == before
    with pytest.raises(DagsterInvariantViolationError):
        dagsters_own.store_event(event)


def test_events_of_another_type_or_of_no_run_are_left_to_dagster(
    empty_url: str, storage: BatchedEventLogStorage
) -> None:
    story = Story()
    nothing = stored(empty_url)
    for other in (story.event(Kind.STEP_START, None), story.checked("filled", DAYS[0], run_id="")):
        with pytest.raises(CheckError, match="only currently supported events"):
            storage.store_event_batch([story.materialized(ORDERS, DAYS[0]), other])
    storage.store_event_batch([])
    assert stored(empty_url) == nothing
    outside = story.materialized(ORDERS, DAYS[0])._replace(run_id="")
    storage.store_event_batch([outside, outside])
    assert len(stored(empty_url)["event_logs"]) == 2


def test_a_table_is_looked_for_until_it_is_there(empty_url: str, storage: BatchedEventLogStorage) -> None:
    assert not storage.has_table("later")
    with connected(empty_url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE later ()")
        assert storage.has_table("later")
        cursor.execute("DROP TABLE later")
    assert storage.has_table("later"), "it is not asked for again"
    assert storage.supports_asset_checks


def statements(storage: PostgresEventLogStorage | PostgresScheduleStorage) -> list[str]:
    """Collects what a storage asks its database from now on."""
    asked: list[str] = []

    def noted(_connection: object, _cursor: object, text: str, *_: object) -> None:
        asked.append(text)

    listen(storage._engine, "before_cursor_execute", noted)  # pyright: ignore[reportPrivateUsage]
    return asked


def test_the_states_of_checks_are_made_anew_after_every_event_and_only_then(
    storage: BatchedEventLogStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    story, key = Story(), dg.AssetCheckKey(ORDERS, "filled")

    def states() -> dict[str, list[str]]:
        told = storage.get_asset_check_state([(key, daily)])[key].subsets
        days = {status.value: one.subset_value.get_partition_keys() for status, one in told.items()}
        return {status: sorted(some) for status, some in days.items() if some}

    with dg.instance_for_test() as instance:
        storage.register_instance(instance)
        monkeypatch.setattr(instance, "_event_storage", storage)
        storage.store_event_batch([story.checked("filled", DAYS[0])])
        asked = statements(storage)
        assert states() == {"SUCCEEDED": [DAYS[0]]}
        assert len(asked) > 1
        asked.clear()
        assert states() == {"SUCCEEDED": [DAYS[0]]}
        assert len(asked) == 1, "for the newest event"
        storage.store_event_batch([story.checked("filled", DAYS[1], passed=False)])
        assert states() == {"SUCCEEDED": [DAYS[0]], "FAILED": [DAYS[1]]}


def test_what_is_there_is_looked_for_once(empty_url: str, storage: BatchedEventLogStorage) -> None:
    ours, theirs = (kind(sqlalchemy_url(empty_url)) for kind in (RememberingScheduleStorage, PostgresScheduleStorage))
    assert ours.supports_batch_queries
    assert theirs.supports_batch_queries
    assert not ours.has_built_index("no_such_migration")
    asked, of_theirs = statements(ours), statements(theirs)
    assert ours.supports_batch_queries
    assert theirs.supports_batch_queries
    assert asked == []
    assert of_theirs, "control"
    assert storage.has_asset_key_col("cached_status_data")
    asked = statements(storage)
    assert storage.has_asset_key_col("cached_status_data")
    assert not storage.has_asset_key_col("no_such_column")
    assert all("cached_status_data" not in text for text in asked)
    ours.dispose()
    theirs.dispose()
