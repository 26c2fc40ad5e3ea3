"""When the schedules tick and which days they ask for: every morning of a year, also when clocks change."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._utils.schedules import schedule_execution_time_iterator

from apex_pipeline.definitions import defs
from apex_pipeline.orchestration.assets import ASSETS, RAW_TABLES
from apex_pipeline.orchestration.jobs import SCHEDULES
from apex_pipeline.orchestration.partitions import TIMEZONE, daily

YEAR = datetime(2025, 1, 1, tzinfo=UTC)
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
BY_NAME = {schedule.name: schedule for schedule in SCHEDULES if schedule.job_name == "daily_job"}
BROKER = {"futu_daily": "futu", "ib_daily": "ib"}
DAYS_BACK = {"futu_daily": 1, "ib_daily": 1}

every_schedule = pytest.mark.parametrize("name", BY_NAME)


def ticks(name: str, since: datetime = YEAR) -> Iterator[datetime]:
    """The instants of a schedule after `since`, as the daemon finds them; they carry the schedule's zone."""
    schedule = BY_NAME[name]
    return schedule_execution_time_iterator(since.timestamp(), schedule.cron_schedule, schedule.execution_timezone)


def asked(name: str, tick: datetime) -> dg.RunRequest:
    """The one run that a schedule asks for at a tick."""
    context = dg.build_schedule_context(scheduled_execution_time=tick, repository_def=defs.get_repository_def())
    told = BY_NAME[name].evaluate_tick(context)
    assert told.skip_message is None
    (request,) = told.run_requests or []
    return request


def days(request: dg.RunRequest) -> tuple[date, date]:
    """First and last day of the range that a run is asked for."""
    return date.fromisoformat(request.tags[RANGE[0]]), date.fromisoformat(request.tags[RANGE[1]])


@pytest.mark.parametrize(
    ("name", "day", "expected"),
    [
        ("ib_daily", date(2025, 3, 8), "2025-03-08T11:30"),
        ("ib_daily", date(2025, 3, 9), "2025-03-09T10:30"),  # New York's clocks went forward at two
        ("ib_daily", date(2025, 3, 10), "2025-03-10T10:30"),
        ("ib_daily", date(2025, 11, 1), "2025-11-01T10:30"),
        ("ib_daily", date(2025, 11, 2), "2025-11-02T11:30"),  # and back at two
        ("ib_daily", date(2025, 11, 3), "2025-11-03T11:30"),
        ("futu_daily", date(2025, 3, 9), "2025-03-08T22:30"),
        ("futu_daily", date(2025, 11, 2), "2025-11-01T22:30"),
    ],
)
def test_a_schedule_ticks_at_half_past_six_on_both_sides_of_a_change_of_clocks(
    name: str, day: date, expected: str
) -> None:
    zone = ZoneInfo(BY_NAME[name].execution_timezone or "UTC")
    tick = next(ticks(name, datetime(day.year, day.month, day.day, tzinfo=zone)))
    assert tick.astimezone(UTC).strftime("%Y-%m-%dT%H:%M") == expected
    assert days(asked(name, tick)) == (day - timedelta(days=DAYS_BACK[name]), day)


@every_schedule
def test_a_schedule_ticks_once_on_every_day_of_a_year(name: str) -> None:
    zone = ZoneInfo(BY_NAME[name].execution_timezone or "UTC")
    local = [tick.astimezone(zone) for tick in islice(ticks(name, YEAR.replace(tzinfo=zone)), 365)]
    assert [tick.date() for tick in local] == [YEAR.date() + timedelta(days=n) for n in range(365)]
    assert {(tick.hour, tick.minute) for tick in local} == {(6, 30)}


@every_schedule
def test_one_mornings_days_meet_the_next_mornings_and_no_run_is_asked_for_twice(name: str) -> None:
    requests = [asked(name, tick) for tick in islice(ticks(name), 365)]
    for before, after in pairwise(requests):
        assert days(after)[0] <= days(before)[1] < days(after)[1]
    assert len({request.run_key for request in requests}) == len(requests)


@every_schedule
def test_the_days_asked_for_are_partitions_when_the_schedule_ticks(name: str) -> None:
    without_today = dg.DailyPartitionsDefinition(start_date="2015-01-01", timezone=TIMEZONE)
    reached: set[bool] = set()
    for tick in islice(ticks(name), 0, 365, 7):
        first, last = days(asked(name, tick))
        with partition_loading_context(tick):
            assert daily.has_partition_key(first.isoformat())
            assert daily.has_partition_key(last.isoformat())
            reached.add(without_today.has_partition_key(last.isoformat()))
    if name == "futu_daily":
        assert reached == {False}, "control: without the day that has begun, the newest key is missing"


@every_schedule
def test_a_schedule_asks_for_its_own_broker_and_everything_downstream(name: str) -> None:
    request = asked(name, next(ticks(name)))
    all_tables = {key.to_user_string() for asset in ASSETS for key in asset.keys}
    others = {table for broker, tables in RAW_TABLES.items() if broker != BROKER[name] for table in tables}
    assert {key.to_user_string() for key in request.asset_selection or ()} == all_tables - others
    assert request.tags["apex/broker"] == BROKER[name]
    assert request.asset_check_keys is None, "no selection of checks: Dagster runs those of the selected assets"
