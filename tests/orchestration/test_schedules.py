"""What the schedules ask for, when they ask for nothing, and what they wait for; which days: see test_timetable."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, cast

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.schedule_definition import ScheduleExecutionData

from apex_pipeline import settings
from apex_pipeline.definitions import defs
from apex_pipeline.domain.calendars import CALENDARS
from apex_pipeline.orchestration.assets import ASSETS
from apex_pipeline.orchestration.checks import checks
from apex_pipeline.orchestration.dead_runs import UNFINISHED
from apex_pipeline.orchestration.location import definitions
from apex_pipeline.orchestration.partitions import FRESH, TIMEZONE, daily
from apex_pipeline.orchestration.resources import Storage
from apex_pipeline.orchestration.schedules import SCHEDULES
from apex_pipeline.orchestration.sensors import SENSORS
from apex_pipeline.orchestration.steps import CASH_STEP, RAW_TABLES, STEPS
from apex_pipeline.orchestration.tags import BROKER_TAG, RANGE_END, RANGE_START, SESSION_TAG
from apex_pipeline.orchestration.under_way import load_of_broker
from tests.domain.test_timetable import loaded, market
from tests.orchestration.conftest import Place
from tests.orchestration.simulated_days import add_trade, use_instance, write_load

BY_NAME = {schedule.name: schedule for schedule in SCHEDULES}
ALL = {key.to_user_string() for asset in ASSETS for key in asset.keys}
MONDAY_CLOSE = datetime(2026, 3, 9, 20, 30, tzinfo=UTC)
TUESDAY_MORNING = datetime(2026, 3, 10, 10, 30, tzinfo=UTC)
IN_SESSION = datetime(2026, 3, 9, 15, tzinfo=UTC)
SUNDAY = datetime(2026, 3, 8, 3, tzinfo=UTC)


@pytest.fixture
def product(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A product in whose ticks its own instance is used, with accounts that traded in the United States."""
    use_instance(monkeypatch, place.instance)
    for broker in ("futu", "ib"):
        add_trade(place.db, broker, "US")
    return place


def told(product: Place, name: str, at: datetime) -> ScheduleExecutionData:
    context = dg.build_schedule_context(
        instance=product.instance,
        scheduled_execution_time=at,
        repository_def=defs.get_repository_def(),
        resources={"storage": Storage(url=product.db.url)},
    )
    return BY_NAME[name].evaluate_tick(context)


def asked(product: Place, name: str, at: datetime) -> list[dg.RunRequest]:
    data = told(product, name, at)
    assert data.skip_message is None, data.skip_message
    return list(data.run_requests or [])


def skipped(product: Place, name: str, at: datetime) -> str:
    data = told(product, name, at)
    assert not data.run_requests
    return data.skip_message or ""


def with_gateway(product: Place) -> None:
    settings.export(replace(product.configured, ib=replace(product.configured.ib, tws_host="127.0.0.1")))


def tables(request: dg.RunRequest) -> set[str]:
    return {key.to_user_string() for key in request.asset_selection or ()}


def days(request: dg.RunRequest) -> tuple[str, str]:
    return request.tags[RANGE_START], request.tags[RANGE_END]


def start(product: Place, job: str, status: dg.DagsterRunStatus, **about: object) -> dg.DagsterRun:
    """A run as a person or a schedule began it."""
    made = definitions().resolve_job_def(job)
    return product.instance.create_run_for_job(made, status=status, **about)  # pyright: ignore[reportArgumentType]


def test_the_load_after_a_close_asks_futu_for_everything_since_the_session_before(product: Place) -> None:
    (request,) = asked(product, "after_close_us", MONDAY_CLOSE)
    assert days(request) == ("2026-03-07", "2026-03-10"), "the weekend, and the day that has begun in Hong Kong"
    assert tables(request) == ALL - set(RAW_TABLES["ib"])
    assert request.asset_check_keys is None, "no selection of checks: Dagster runs those of the selected assets"
    assert (request.tags[BROKER_TAG], request.tags[SESSION_TAG]) == ("futu", "US 2026-03-09")
    assert request.run_key == "US 2026-03-09 futu"
    assert request.run_config == {}


def test_where_a_gateway_tells_of_today_ib_is_asked_after_the_close_too(product: Place) -> None:
    with_gateway(product)
    futu, ib = asked(product, "after_close_us", MONDAY_CLOSE)
    assert (futu.tags[BROKER_TAG], ib.tags[BROKER_TAG]) == ("futu", "ib")
    assert tables(ib) == ALL - set(RAW_TABLES["futu"]) - {"ohlcv"}
    assert ib.run_config == {"ops": {"ib_history": {"config": {"intraday": True}}}}


def test_a_market_in_which_nobody_traded_is_skipped_with_that_reason(product: Place) -> None:
    assert skipped(product, "after_close_jp", datetime(2026, 3, 9, 7, tzinfo=UTC)) == (
        "no account ever traded or held anything in JP (XTKS)"
    )


def test_a_market_that_only_ib_trades_waits_for_the_statement_where_no_gateway_tells_of_today(product: Place) -> None:
    add_trade(product.db, "ib", "UK")
    close = datetime(2026, 3, 9, 17, tzinfo=UTC)
    assert skipped(product, "after_close_uk", close).startswith("IB_TWS_HOST is not set")
    with_gateway(product)
    (request,) = asked(product, "after_close_uk", close)
    assert request.tags[BROKER_TAG] == "ib"


def test_the_morning_asks_ib_for_the_statement_of_the_day_before(product: Place) -> None:
    (request,) = asked(product, "ib_daily", TUESDAY_MORNING)
    assert days(request) == ("2026-03-07", "2026-03-10")
    assert tables(request) == ALL - set(RAW_TABLES["futu"])
    assert skipped(product, "ib_daily", SUNDAY.replace(hour=10)).startswith("there is no statement of 2026-03-07")
    settings.export(replace(product.configured, brokers=("futu",)))
    assert skipped(product, "ib_daily", TUESDAY_MORNING) == "ib is not among the configured brokers"


def test_during_a_session_each_broker_that_tells_of_today_is_asked_without_checks(product: Place) -> None:
    (request,) = asked(product, "during_sessions_every_quarter", IN_SESSION)
    assert tables(request) == ALL - set(RAW_TABLES["ib"]) - {"ohlcv", *STEPS["futu"][CASH_STEP]}
    assert request.asset_check_keys == []
    assert request.run_config == {"ops": {"futu_history": {"config": {"intraday": True}}}}
    with_gateway(product)
    assert [one.tags[BROKER_TAG] for one in asked(product, "during_sessions_every_quarter", IN_SESSION)] == [
        "futu",
        "ib",
    ]


def test_outside_of_sessions_nothing_is_asked(product: Place) -> None:
    reason = skipped(product, "during_sessions_every_quarter", SUNDAY)
    assert "futu: XNYS is closed on 2026-03-07 (Saturday)" in reason
    assert "ib: tells nothing of today, because IB_TWS_HOST is not set" in reason
    assert skipped(product, "snapshots_every_few_minutes", SUNDAY.replace(hour=12)) == (
        "XNYS is closed on 2026-03-08 (Sunday)"
    )
    assert asked(product, "snapshots_every_few_minutes", IN_SESSION)


def test_snapshots_that_are_switched_off_are_not_taken(product: Place) -> None:
    settings.export(replace(product.configured, snapshots=replace(product.configured.snapshots, enabled=False)))
    assert skipped(product, "snapshots_every_few_minutes", IN_SESSION) == "snapshots.enabled is false"


@pytest.mark.parametrize("status", UNFINISHED)
def test_a_load_that_goes_on_keeps_every_other_of_its_broker_waiting(
    product: Place, status: dg.DagsterRunStatus
) -> None:
    run = start(product, "backfill_job", status)  # by hand: it carries no tag of a schedule
    words = f"run {run.run_id[:8]} of backfill_job is {status.value.lower().replace('_', ' ')}"
    for broker in ("futu", "ib"):
        assert load_of_broker(product.instance, broker) == words
    assert words in skipped(product, "during_sessions_every_quarter", IN_SESSION)
    assert words in skipped(product, "weekly_reread", SUNDAY)
    assert words in skipped(product, "catch_up", IN_SESSION)
    assert asked(product, "after_close_us", MONDAY_CLOSE), "a session is not given up: its load waits in the queue"


def test_runs_that_ask_no_broker_or_another_one_keep_nothing_waiting(product: Place) -> None:
    started = dg.DagsterRunStatus.STARTED
    start(product, "derive_job", started)
    start(product, "snapshot_job", started)
    start(product, "daily_job", started, asset_selection=frozenset({dg.AssetKey("trades_raw_ib")}))
    start(product, "backfill_job", dg.DagsterRunStatus.SUCCESS)
    assert load_of_broker(product.instance, "futu") is None
    assert load_of_broker(product.instance, "ib") is not None
    assert asked(product, "during_sessions_every_quarter", IN_SESSION)


@pytest.mark.parametrize(
    ("name", "at", "job"),
    [
        ("after_close_us", MONDAY_CLOSE, "daily_job"),
        ("ib_daily", TUESDAY_MORNING, "daily_job"),
        ("snapshots_every_few_minutes", IN_SESSION, "snapshot_job"),
        ("monthly_reconciliation", datetime(2026, 4, 2, 7, tzinfo=UTC), "derive_job"),
        ("maintenance_daily", datetime(2026, 4, 1, 22, 20, tzinfo=UTC), "maintenance_job"),
    ],
)
def test_a_schedule_whose_run_goes_on_starts_none_beside_it(product: Place, name: str, at: datetime, job: str) -> None:
    write_load(product.db, "futu", date(2025, 6, 23), date(2025, 6, 23), at)
    assert asked(product, name, at), "control"
    start(product, job, dg.DagsterRunStatus.STARTED, tags={"dagster/schedule_name": name})
    assert "still going on" in skipped(product, name, at)


def test_the_weekly_load_repeats_ninety_days_and_cash_not_at_all(product: Place) -> None:
    futu, ib = asked(product, "weekly_reread", SUNDAY)
    assert days(futu) == days(ib) == ("2025-12-09", "2026-03-08")
    assert futu.run_config == {"ops": {"futu_history": {"config": {"force": True}}}}
    assert ib.run_config == {"ops": {"ib_history": {"config": {"force": True}}}}
    assert CASH_STEP not in futu.run_config["ops"]


def test_the_monthly_reconciliation_runs_every_check_on_every_year_that_was_loaded(product: Place) -> None:
    april = datetime(2026, 4, 2, 7, tzinfo=UTC)
    assert skipped(product, "monthly_reconciliation", april) == "nothing was ever loaded"
    write_load(product.db, "futu", date(2025, 6, 23), date(2026, 1, 15), april)
    requests = asked(product, "monthly_reconciliation", april)
    assert [one.run_key for one in requests] == ["2026-04 2025", "2026-04 2026"]
    assert days(requests[0])[1] == "2025-12-31"
    assert days(requests[1]) == ("2026-01-01", "2026-01-15")
    assert {one.name for one in requests[0].asset_check_keys or ()} == {key.name for key in checks.check_keys}
    assert tables(requests[0]) == {"recon_breaks", "reconciliation_report"}


@pytest.mark.parametrize("name", BY_NAME)
def test_the_same_tick_always_asks_for_the_same_runs(product: Place, name: str) -> None:
    at = {"ib_daily": TUESDAY_MORNING, "weekly_reread": SUNDAY}.get(name, MONDAY_CLOSE)
    first, again = told(product, name, at), told(product, name, at)
    assert [one.run_key for one in first.run_requests or ()] == [one.run_key for one in again.run_requests or ()]
    assert all(one.run_key for one in first.run_requests or ())


def test_the_days_asked_for_are_partitions_when_the_schedules_tick(product: Place) -> None:
    without_today = dg.DailyPartitionsDefinition(start_date="2015-01-01", timezone=TIMEZONE)
    for name, at in (("after_close_us", MONDAY_CLOSE), ("ib_daily", TUESDAY_MORNING)):
        (request,) = asked(product, name, at)
        with partition_loading_context(at):
            assert all(daily.has_partition_key(day) for day in days(request))
            assert not without_today.has_partition_key(days(request)[1]), "control: the day has only begun"


def test_whoever_starts_the_product_has_all_schedules_and_sensors_running() -> None:
    assert {schedule.default_status for schedule in SCHEDULES} == {dg.DefaultScheduleStatus.RUNNING}
    assert {sensor.default_status for sensor in SENSORS} == {dg.DefaultSensorStatus.RUNNING}
    assert len(SCHEDULES) == len(CALENDARS) + 7


def test_a_product_without_ib_starts_every_run_that_its_schedules_ask_for(
    product: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.export(replace(product.configured, brokers=("futu",), ib=replace(product.configured.ib, token=None)))
    job = definitions().resolve_job_def("snapshot_job")
    result = job.execute_in_process(instance=product.instance, raise_on_error=False)
    assert result.success


def test_no_weekend_makes_an_asset_look_stale_and_no_feast_makes_it_overdue() -> None:
    us, hk = (sorted(loaded(market(name)).values()) for name in ("US", "HK"))
    statements = [at + timedelta(hours=14) for at in us]
    warn, fail = (cast("Any", FRESH).__getattribute__(name).to_timedelta() for name in ("warn_window", "fail_window"))
    waits = [after - before for times in (us, hk, statements) for before, after in pairwise(times)]
    assert max(wait for wait in waits if wait <= timedelta(days=3, hours=1)) < warn
    assert max(waits) < fail
    assert max(waits) > warn, "control: the longest feast is longer than a weekend"


@pytest.mark.parametrize(
    ("name", "at", "asked_from"),
    [
        ("after_close_us", MONDAY_CLOSE, "2026-03-07"),
        ("ib_daily", TUESDAY_MORNING, "2026-03-07"),
        ("weekly_reread", SUNDAY, "2025-12-09"),
    ],
)
def test_no_schedule_asks_for_days_before_the_history_begins(
    product: Place, name: str, at: datetime, asked_from: str
) -> None:
    """They have no partitions: Dagster fails a run that names one."""
    start = date(2026, 3, 8)
    settings.export(replace(product.configured, history_start=start))
    assert {days(request)[0] for request in asked(product, name, at)} == {start.isoformat()}
    settings.export(replace(product.configured, history_start=date(2015, 1, 1)))
    assert {days(request)[0] for request in asked(product, name, at)} == {asked_from}, "control: an older history"


def test_every_load_of_a_young_history_names_days_that_there_are(product: Place) -> None:
    settings.export(replace(product.configured, history_start=date(2026, 3, 9)))
    with_gateway_young = replace(settings.load(), ib=replace(product.configured.ib, tws_host="127.0.0.1"))
    settings.export(with_gateway_young)
    for name in ("after_close_us", "during_sessions_every_quarter"):
        for request in asked(product, name, MONDAY_CLOSE if name == "after_close_us" else IN_SESSION):
            assert "2026-03-09" <= days(request)[0] <= days(request)[1]
