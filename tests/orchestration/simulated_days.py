"""Days that pass in minutes: Dagster's own scheduler, instance and storage, with a clock that a test moves.

The scheduler evaluates the real schedules at every tick in order and makes real runs. What a run would load is written
into the table of loads by the rule of its broker, instead of asking one: runs are what is tested elsewhere.
"""

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.scheduler.instigation import InstigatorTick
from dagster._core.storage.schedules.sql_schedule_storage import SqlScheduleStorage
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._scheduler.scheduler import ScheduleIterationTimes, launch_scheduled_runs
from dagster_shared.error import SerializableErrorInfo

from apex_pipeline import settings
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.timetable import STATEMENT_ZONE
from apex_pipeline.orchestration import location, schedules
from apex_pipeline.orchestration.home import instance, prepare
from apex_pipeline.orchestration.tags import BROKER_TAG, RANGE_END, RANGE_START, SESSION_TAG
from apex_pipeline.settings import Settings
from apex_pipeline.store.db import Database
from tests.orchestration.conftest import databases, environment_restored

ACCOUNTS = {"futu": ("F1", "F2"), "ib": ("U1",)}
DATA_TYPES = {"futu": ("futu_orders", "futu_deals"), "ib": ("ib_flex",)}

BEGIN = """
WITH run AS (
    INSERT INTO load_runs (broker, from_date, to_date, started_at, ended_at, outcome)
    VALUES (%(broker)s, %(first)s, %(last)s, %(at)s, %(at)s, 'DONE') RETURNING run_id
)
INSERT INTO loads (run_id, broker, data_type, account_id, market, from_date, to_date, status, started_at, finished_at)
SELECT run_id, %(broker)s, %(data_type)s, %(account)s, 'ALL', %(first)s, %(last)s, 'COMPLETE', %(at)s, %(at)s FROM run
RETURNING load_id
"""
COVER = """
INSERT INTO load_coverage (load_id, broker, account_id, data_type, market, from_date, to_date, records, covered_at)
VALUES (%(load_id)s, %(broker)s, %(account)s, %(data_type)s, 'ALL', %(first)s, %(last)s, 0, %(at)s)
"""


@dataclass(frozen=True)
class Run:
    """A run that a schedule asked for."""

    asked_at: datetime
    job: str
    key: str
    broker: str | None
    session: str | None
    first: date | None
    last: date | None


Length = Callable[[Run], timedelta | None]
"""How long a run takes; None for one that fails at once."""


@dataclass
class Simulation:
    """The clock, and what happened so far."""

    db: Database
    instance: dg.DagsterInstance
    workspace: WorkspaceProcessContext
    now: datetime
    length: Length = lambda _: timedelta(minutes=3)
    runs: list[Run] = field(default_factory=list[Run])
    errors: list[str] = field(default_factory=list[str])
    asleep: Sequence[tuple[datetime, datetime]] = ()
    _times: dict[str, ScheduleIterationTimes] = field(default_factory=dict[str, ScheduleIterationTimes])
    _running: list[tuple[datetime, Run, dg.DagsterRun]] = field(default_factory=list[Any])

    def pass_by(self, hours: int, step: timedelta) -> Iterator[datetime]:
        """Pass so many hours, and yield the instants on the way at which a person may look."""
        end = self.now + timedelta(hours=hours)
        while self.now < end:
            self.pass_until(min(end, self.now + step))
            yield self.now

    def pass_until(self, end: datetime) -> None:
        """Have the scheduler look whenever a tick is due, until `end`; runs end in between."""
        self._look()
        while (following := self._next()) <= end:
            self.now = max((until for since, until in self.asleep if since <= following < until), default=following)
            self._end_runs()
            self._look()
        self.now = end
        self._end_runs()

    def sessions(self, prefix: str) -> list[str]:
        """The sessions that were asked for, as often as they were."""
        sessions = [run.session for run in self.runs if run.session]
        return [session.removeprefix(f"{prefix} ") for session in sessions if session.startswith(f"{prefix} ")]

    def ticks(self, name: str) -> list[InstigatorTick]:
        """What a schedule did, oldest first."""
        states = self.instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        (state,) = [one for one in states if one.instigator_name == name]
        return list(reversed(self.instance.get_ticks(state.instigator_origin_id, state.selector_id)))

    def reasons(self, name: str) -> dict[str, str]:
        """Why a schedule skipped its ticks, by instant."""
        return {
            f"{datetime.fromtimestamp(tick.timestamp, UTC):%Y-%m-%d %H:%M}": tick.skip_reason or ""
            for tick in self.ticks(name)
            if tick.skip_reason
        }

    def load(self, broker: str, first: date, last: date, at: datetime) -> None:
        """Write that a broker told of these days; a statement tells of days that are over in New York."""
        if broker == "ib":
            last = min(last, at.astimezone(STATEMENT_ZONE).date() - timedelta(days=1))
        if first <= last:
            write_load(self.db, broker, first, last, at)

    def _next(self) -> datetime:
        """The next instant at which anything is due."""
        due = [datetime.fromtimestamp(times.next_iteration_timestamp, UTC) for times in self._times.values()]
        return max(min(due), self.now + timedelta(seconds=1)) if due else self.now + timedelta(minutes=1)

    def _look(self) -> None:
        with freeze_time(self.now):
            quiet = logging.getLogger("simulated")
            quiet.setLevel(logging.CRITICAL)
            for error in launch_scheduled_runs(self.workspace, quiet, self.now, self._times):
                if isinstance(error, SerializableErrorInfo):
                    self.errors.append(error.to_string())
        for queued in self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])):
            if not any(one.run_id == queued.run_id for _, _, one in self._running):
                self._take(queued)

    def _take(self, queued: dg.DagsterRun) -> None:
        tags = queued.tags
        days = [date.fromisoformat(tags[name]) if name in tags else None for name in (RANGE_START, RANGE_END)]
        broker, session = tags.get(BROKER_TAG), tags.get(SESSION_TAG)
        run = Run(self.now, queued.job_name, tags.get("dagster/run_key", ""), broker, session, *days)
        self.runs.append(run)
        length = self.length(run)
        if length is None:
            self.instance.report_run_failed(queued)
        else:
            self._running.append((self.now + length, run, queued))

    def _end_runs(self) -> None:
        for ends_at, run, queued in list(self._running):
            if ends_at > self.now:
                continue
            self._running.remove((ends_at, run, queued))
            if run.job == "daily_job" and run.broker and run.first and run.last and not self._is_today(queued):
                self.load(run.broker, run.first, run.last, ends_at)
            self.instance.report_run_canceled(queued)  # ended, in the cheapest way

    def _is_today(self, queued: dg.DagsterRun) -> bool:
        return any(step["config"].get("intraday") for step in cast("Any", queued.run_config).get("ops", {}).values())


@contextmanager
def simulated(
    server_url: str,
    home: Path,
    begin: datetime,
    patch: pytest.MonkeyPatch,
    only: Sequence[dg.ScheduleDefinition] = (),
    change: Callable[[Settings], Settings] = lambda told: told,
) -> Generator[Simulation]:
    """A product whose schedules all run (or `only` these), at an instant of the past; nothing is loaded."""
    with ExitStack() as stack:
        url, dagster_url = stack.enter_context(databases(server_url))
        stack.enter_context(environment_restored())
        usual = settings.load(environ={}, config_file=home / "no.yaml")
        settings.export(
            change(replace(usual, home=home, database_url=url, ib=replace(usual.ib, token="token", query_id="1")))
        )
        prepare(home, dagster_url)
        # fewer tables, and no notes between ticks, make the same runs in less time
        patch.setattr(schedules, "DERIVED", schedules.DERIVED[-1:])
        patch.setattr("dagster._scheduler.scheduler.LAST_ITERATION_CHECKPOINT_INTERVAL_SECONDS", 10**9)
        if only:
            patch.setattr(location, "SCHEDULES", only)
            patch.setattr("apex_pipeline.definitions.defs", location.definitions())
        patch.setattr(SqlScheduleStorage, "has_instigators_table", _always)
        opened = stack.enter_context(instance())
        origin = InProcessCodeLocationOrigin(
            LoadableTargetOrigin(module_name="apex_pipeline.definitions", attribute="defs"), location_name="apex"
        )
        workspace = create_test_daemon_workspace_context(InProcessWorkspaceLoadTarget([origin]), opened)
        db = stack.enter_context(Database(url))
        made = Simulation(db, opened, stack.enter_context(workspace), begin)
        # a tick opens the instance anew, which takes longer than everything else that it does
        use_instance(patch, opened)
        yield made


def use_instance(patch: pytest.MonkeyPatch, opened: dg.DagsterInstance) -> None:
    """Have schedules and sensors use an open instance instead of opening one at every tick."""

    def found(_: object) -> AbstractContextManager[dg.DagsterInstance]:
        return nullcontext(opened)

    patch.setattr(dg.DagsterInstance, "from_ref", found)


def _always(_: object) -> bool:
    return True


def write_load(db: Database, broker: str, first: date, last: date, at: datetime) -> None:
    """Write that a broker told everything of these days, of every account."""
    for account in ACCOUNTS[broker]:
        for data_type in DATA_TYPES[broker]:
            scope = {"broker": Broker.named(broker), "account": account, "data_type": data_type}
            told = {**scope, "first": first, "last": last, "at": at}
            with db.autocommit() as cursor:
                cursor.execute(BEGIN, told)
                ((load_id,),) = cursor.fetchall()
                cursor.execute(COVER, {**told, "load_id": load_id})


def add_trade(db: Database, broker: str, market: str) -> None:
    """An account of a broker once traded in a market."""
    with db.autocommit() as cursor:
        cursor.execute(
            "INSERT INTO broker_positions (business_date, broker, account_id, broker_position_id, symbol, asset_class,"
            " qty, as_of, source) VALUES ('2020-01-02', %s, %s, %s, %s, 'STOCK', 1, '2020-01-02', 'test')",
            (Broker.named(broker), ACCOUNTS[broker][0], f"{broker}-{market}", f"{market}.X"),
        )


def override(db: Database, calendar: str, day: date, reason: str, closes_at: str | None = None) -> None:
    """What a person said about a day: closed, or closing at a wall clock time."""
    with db.autocommit() as cursor:
        cursor.execute(
            "INSERT INTO calendar_overrides (calendar, on_date, is_session, is_settlement_day, closes_at, reason)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            (calendar, day, closes_at is not None, closes_at is not None, closes_at, reason),
        )


def trading_days(calendar: str, first: date, last: date, without: Sequence[date] = ()) -> Iterator[str]:
    """The sessions of a calendar, as the library alone says."""
    from apex_pipeline.reference.exchanges import market_days

    return (
        day.on_date.isoformat()
        for day in market_days(calendar, first, last)
        if day.is_session and day.on_date not in without
    )
