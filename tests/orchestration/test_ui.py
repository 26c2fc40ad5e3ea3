"""What a person does on Dagster's web page, through the page's own calls, against the real programs.

One product is served for all tests here; each works on days of its own. A backfill is asked for first and
looked at last: the daemon looks after backfills every thirty seconds only.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any, cast

import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import ScheduleInstigatorData
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon import SchedulerDaemon, get_default_daemon_logger
from dagster._scheduler.scheduler import launch_scheduled_runs_for_schedule

from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.domain.checks import CHECKS as CATALOGUE
from apex_pipeline.domain.checks import CheckName
from apex_pipeline.orchestration.assets import ASSETS, RAW_TABLES
from apex_pipeline.orchestration.schedules import SCHEDULES
from apex_pipeline.store.tables import ROW_CLASSES
from tests.orchestration import graphql
from tests.orchestration.conftest import FIRST, Place, keys
from tests.orchestration.graphql import WORKSPACE, Ui, until
from tests.orchestration.served import Served, served_place

ALL = [key.to_user_string() for asset in ASSETS for key in asset.keys]
CHECKS = {check.value: about.table for check, about in CATALOGUE.items()}
FILLED = CheckName.ORDER_FILLED_QUANTITY_IS_THE_SUM_OF_ITS_TRADES.value
COMPLETE = CheckName.RAW_IS_NORMALIZED_PLUS_QUARANTINED.value

BACKFILLED = (FIRST, date(2025, 6, 17))
CHECKED = (date(2025, 6, 18), date(2025, 6, 20))
ONE_DAY = date(2025, 6, 23)
JOB_DAY = date(2025, 6, 24)
TABLE_DAY = date(2025, 6, 25)
TICK = datetime(2025, 6, 26, 20, 30, tzinfo=UTC)
"""Half an hour after the close of New York, where it is the 26th; in Hong Kong it is the 27th."""
TICK_DAYS = ["2025-06-26", "2025-06-27"]
BACKFILL_SECONDS = 150


@pytest.fixture(scope="module")
def served(server_url: str, scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The product as a person meets it, with nothing loaded."""
    with served_place(server_url, scenario, tmp_path_factory.mktemp("served")) as made:
        yield made


@pytest.fixture(scope="module")
def backfill(served: Served) -> str:
    """A backfill of every asset over ten days, asked for on the page."""
    return served.ui.backfill(ALL, keys(*BACKFILLED))


@pytest.fixture(scope="module")
def one_day(served: Served) -> dict[str, Any]:
    """The ended run of one day of every asset, asked for with the button of the asset graph."""
    return served.ui.finished(served.ui.materialize(ALL, ONE_DAY))


@pytest.fixture(scope="module")
def checked(served: Served) -> dict[str, Any]:
    """The ended single run of a range of days of every asset."""
    return served.ui.finished(served.ui.materialize(ALL, *CHECKED))


def orders_by_day(place: Place, first: date, last: date) -> dict[str, int]:
    with place.db.autocommit() as cursor:
        cursor.execute(
            "SELECT trade_date, count(*) FROM orders_norm WHERE trade_date BETWEEN %s AND %s GROUP BY 1", (first, last)
        )
        return {day.isoformat(): int(count) for day, count in cursor.fetchall()}


def invented(place: Place, first: date, last: date) -> dict[str, int]:
    """Orders of the scenario by day, as the brokers tell them: Interactive Brokers tells only filled ones."""
    days: dict[str, int] = {}
    for order in place.scenario.orders:
        if first <= order.trade_date <= last and (order.broker == "FUTU" or order.fills):
            days[order.trade_date.isoformat()] = days.get(order.trade_date.isoformat(), 0) + 1
    return days


def lose_a_trade(place: Place, day: date) -> str:
    """Delete one trade of a day behind the pipeline's back; returns its order."""
    with place.db.autocommit() as cursor:
        cursor.execute(
            "DELETE FROM trades_norm WHERE trade_uid ="
            " (SELECT min(trade_uid) FROM trades_norm WHERE trade_date = %s AND order_uid IS NOT NULL)"
            " RETURNING order_uid",
            (day,),
        )
        ((order_uid,),) = cursor.fetchall()
        return str(order_uid)


def compare_again(ui: Ui, first: date, last: date) -> None:
    """Run the reconciliation and every check over these days, without loading or normalizing them."""
    chosen = [{"assetKey": graphql.key(of), "name": check} for check, of in CHECKS.items()]
    told = {graphql.RANGE_START: first.isoformat(), graphql.RANGE_END: last.isoformat()}
    run_id = ui.launch("backfill_job", told, "{}", [graphql.key("recon_breaks")], chosen)
    assert ui.finished(run_id)["status"] == "SUCCESS"


def test_a_backfill_of_a_range_is_accepted_for_every_asset(served: Served, backfill: str) -> None:
    told = served.ui.ask(graphql.BACKFILL, backfillId=backfill)
    assert told["isAssetBackfill"]
    assert told["numPartitions"] == len(keys(*BACKFILLED))


def test_materializing_one_day_succeeds_and_its_rows_are_in_the_database(
    served: Served, one_day: dict[str, Any]
) -> None:
    assert one_day["status"] == "SUCCESS"
    assert one_day["stats"] == {"stepsSucceeded": 13, "stepsFailed": 0, "materializations": len(ALL)}
    assert {check["name"] for check in one_day["assetChecks"]} == set(CHECKS)
    expected = invented(served.place, ONE_DAY, ONE_DAY)
    assert expected
    assert orders_by_day(served.place, ONE_DAY, ONE_DAY) == expected


@pytest.mark.parametrize("asset", sorted(ALL))
def test_materializing_one_day_colours_that_day_and_not_its_neighbours(
    served: Served, one_day: dict[str, Any], asset: str
) -> None:
    bar = served.ui.partitions(asset)
    neighbours = {day: bar.get(day) for day in keys(date(2025, 6, 21), date(2025, 6, 24))}
    assert neighbours == {**dict.fromkeys(neighbours), ONE_DAY.isoformat(): "MATERIALIZED"}


def test_a_job_is_launched_for_a_day_from_its_own_page(served: Served) -> None:
    run = served.ui.finished(served.ui.materialize(ALL, JOB_DAY, job="backfill_job"))
    assert (run["status"], run["pipelineName"]) == ("SUCCESS", "backfill_job")
    assert orders_by_day(served.place, JOB_DAY, JOB_DAY) == invented(served.place, JOB_DAY, JOB_DAY)
    assert {served.ui.partitions(asset).get(JOB_DAY.isoformat()) for asset in ALL} == {"MATERIALIZED"}


def test_a_materialization_shows_its_rows_and_the_columns_of_its_table(served: Served, one_day: dict[str, Any]) -> None:
    day = ONE_DAY.isoformat()
    told = served.ui.ask(graphql.MATERIALIZATION, assetKey=graphql.key("orders_norm"), day=day)
    (materialization,) = told["assetMaterializations"]
    metadata = {entry["label"]: entry.get("intValue") for entry in materialization["metadataEntries"]}
    assert materialization["runId"] == one_day["id"] == told["definition"]["latestRunForPartition"]["id"]
    assert metadata["dagster/partition_row_count"] == invented(served.place, ONE_DAY, ONE_DAY)[day] > 0
    about = {entry["label"]: entry for entry in told["definition"]["metadataEntries"]}
    columns = about["dagster/column_schema"]["schema"]["columns"]
    assert [column["name"] for column in columns] == list(ROW_CLASSES["orders_norm"].__dataclass_fields__)
    nullable = {column["name"]: column["constraints"]["nullable"] for column in columns}
    assert (nullable["order_uid"], nullable["limit_price"]) == (False, True)
    assert about["dagster/table_name"]["text"] == "public.orders_norm"


def test_a_range_as_a_single_run_shows_every_day_of_every_check_as_passed(
    served: Served, checked: dict[str, Any]
) -> None:
    assert checked["status"] == "SUCCESS"
    for check, asset in CHECKS.items():
        bar = served.ui.check_partitions(asset, check)
        assert {day: bar.get(day) for day in keys(*CHECKED)} == dict.fromkeys(keys(*CHECKED), "SUCCEEDED"), check
        for day in keys(*CHECKED):
            (execution,) = served.ui.check_history(asset, check, day)
            assert (execution["status"], execution["partition"]) == ("SUCCEEDED", day)
            assert execution["evaluation"]["targetMaterialization"]["runId"] == checked["id"]


def test_a_trade_that_vanished_fails_the_checks_of_its_day_only(served: Served, checked: dict[str, Any]) -> None:
    assert checked["status"] == "SUCCESS"
    day = CHECKED[1]
    order_uid = lose_a_trade(served.place, day)
    compare_again(served.ui, *CHECKED)
    for check in (FILLED, COMPLETE):
        bar = served.ui.check_partitions(CHECKS[check], check)
        seen = {each: bar.get(each) for each in keys(*CHECKED)}
        assert seen == {**dict.fromkeys(seen, "SUCCEEDED"), day.isoformat(): "FAILED"}, check
    newest, before = served.ui.check_history(CHECKS[FILLED], FILLED, day.isoformat())
    assert (newest["status"], before["status"]) == ("FAILED", "SUCCEEDED")
    assert newest["evaluation"]["severity"] == "ERROR"
    (offenders,) = [e["table"] for e in newest["evaluation"]["metadataEntries"] if e["label"] == "offenders"]
    assert order_uid in offenders["records"][0]


def test_the_checks_step_of_an_old_run_looks_again_when_it_is_executed_again(
    served: Served, one_day: dict[str, Any]
) -> None:
    ui, day = served.ui, ONE_DAY.isoformat()
    assert ui.check_partitions(CHECKS[FILLED], FILLED)[day] == "SUCCEEDED", "control: nothing is lost yet"
    lose_a_trade(served.place, ONE_DAY)
    again = ui.finished(ui.launch_again(one_day, "checks"))
    assert (again["status"], again["stats"]["stepsSucceeded"]) == ("SUCCESS", 1)
    assert {ui.check_partitions(CHECKS[check], check)[day] for check in (FILLED, COMPLETE)} == {"FAILED"}


def test_one_table_alone_is_materialized_from_its_own_page(served: Served) -> None:
    run = served.ui.finished(served.ui.materialize(["orders_norm"], TABLE_DAY))
    assert (run["status"], run["stats"]["materializations"]) == ("SUCCESS", 1)
    day = TABLE_DAY.isoformat()
    coloured = {asset for asset in ALL if served.ui.partitions(asset).get(day)}
    assert coloured == {"orders_norm"}
    checked = {check for check, asset in CHECKS.items() if served.ui.check_partitions(asset, check).get(day)}
    assert checked == {check for check, asset in CHECKS.items() if asset == "orders_norm"}


def test_the_schedules_are_listed_with_their_hours_and_stopped_where_the_settings_say_so(served: Served) -> None:
    listed = served.ui.schedules()
    assert listed.keys() == {schedule.name for schedule in SCHEDULES}
    about = {name: (each["executionTimezone"], each["pipelineName"]) for name, each in listed.items()}
    assert about["after_close_us"] == ("America/New_York", "daily_job")
    assert about["ib_daily"] == ("America/New_York", "daily_job")
    assert about["snapshots_every_few_minutes"] == ("UTC", "snapshot_job")
    assert {each["scheduleState"]["status"] for each in listed.values()} == {"STOPPED"}


@pytest.mark.parametrize(
    ("schedule", "broker", "before", "days"),
    [
        ("after_close_us", "futu", datetime(2025, 6, 26, 20, tzinfo=UTC), ("2025-06-26", "2025-06-27")),
        ("ib_daily", "ib", datetime(2025, 6, 27, 10, tzinfo=UTC), ("2025-06-26", "2025-06-27")),
    ],
)
def test_a_tested_schedule_asks_for_its_brokers_newest_days(
    served: Served, schedule: str, broker: str, before: datetime, days: tuple[str, str]
) -> None:
    (asked,) = served.ui.dry_run(schedule, before)["runRequests"]
    told = {tag["key"]: tag["value"] for tag in asked["tags"]}
    assert (told[graphql.RANGE_START], told[graphql.RANGE_END]) == days
    (other,) = set(RAW_TABLES) - {broker}
    assert {key["path"][0] for key in asked["assetSelection"]} == set(ALL) - set(RAW_TABLES[other])


def test_a_started_schedule_launches_a_run_that_loads_its_days(served: Served) -> None:
    ui, place = served.ui, served.place
    started = ui.ask(graphql.START_SCHEDULE, selector={**WORKSPACE, "scheduleName": "after_close_us"})
    assert started["scheduleState"]["status"] == "RUNNING"
    tick_as_the_daemon_does(place, "after_close_us", TICK)
    stopped = ui.ask(graphql.STOP_SCHEDULE, id=started["scheduleState"]["id"])
    assert stopped["scheduleState"]["status"] == "STOPPED"
    (launched,) = ui.ask(graphql.RUNS, filter={"tags": [{"key": "apex/broker", "value": "futu"}]})["results"]
    run = ui.finished(launched["id"])
    assert (run["status"], run["pipelineName"]) == ("SUCCESS", "daily_job")
    asked = {check for check, asset in CHECKS.items() if asset not in RAW_TABLES["ib"]}
    assert {check["name"] for check in run["assetChecks"]} == asked
    for asset in ALL:
        bar = ui.partitions(asset)
        expected = None if asset in RAW_TABLES["ib"] else "MATERIALIZED"
        assert {bar.get(day) for day in TICK_DAYS} == {expected}, asset
    held = orders_by_day(place, date(2025, 6, 26), date(2025, 6, 27))
    assert held == {
        day: count
        for day in TICK_DAYS
        if (count := sum(o.broker == "FUTU" and o.trade_date.isoformat() == day for o in place.scenario.orders))
    }
    assert held


def tick_as_the_daemon_does(place: Place, name: str, tick: datetime) -> None:
    """Evaluate a started schedule at its tick with the daemon's own function; time is all that is invented."""
    target = WorkspaceFileTarget([str(place.folder / "workspace.yaml")])
    with WorkspaceProcessContext(place.instance, target) as workspace:
        (location,) = workspace.create_request_context().code_locations
        (repository,) = location.get_repositories().values()
        schedule = repository.get_schedule(name)
        (state,) = place.instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        since = ScheduleInstigatorData(schedule.cron_schedule, start_timestamp=tick.timestamp() - 1)
        settings = {"max_catchup_runs": 1, "max_tick_retries": 0, "tick_retention_settings": {}}
        launch_scheduled_runs_for_schedule(
            workspace,
            get_default_daemon_logger(SchedulerDaemon.__name__),
            schedule,
            state.with_data(since),
            tick,
            **cast("dict[str, Any]", settings),
            schedule_debug_crash_flags=None,
            submit_threadpool_executor=None,
            in_memory_last_iteration_timestamp=None,
        )


@pytest.mark.timeout(BACKFILL_SECONDS + 60)
def test_a_backfill_is_one_run_and_ends_with_every_day_of_every_asset(served: Served, backfill: str) -> None:
    def look() -> dict[str, Any]:
        return served.ui.ask(graphql.BACKFILL, backfillId=backfill)

    ended = until(look, lambda told: told["status"] not in ("REQUESTED", "CANCELING", "FAILING"), BACKFILL_SECONDS)
    assert (ended["status"], ended["error"]) == ("COMPLETED_SUCCESS", None)
    assert [run["status"] for run in ended["runs"]] == ["SUCCESS"]
    days = keys(*BACKFILLED)
    counts = {s["assetKey"]["path"][0]: s for s in ended["assetBackfillData"]["assetBackfillStatuses"]}
    assert counts.keys() == set(ALL)
    for asset, told in counts.items():
        assert (told["numPartitionsMaterialized"], told["numPartitionsFailed"]) == (len(days), 0)
        bar = served.ui.partitions(asset)
        assert {day: bar.get(day) for day in days} == dict.fromkeys(days, "MATERIALIZED")
    for check, asset in CHECKS.items():
        bar = served.ui.check_partitions(asset, check)
        assert {day: bar.get(day) for day in days} == dict.fromkeys(days, "SUCCEEDED"), check
    assert orders_by_day(served.place, *BACKFILLED) == invented(served.place, *BACKFILLED)
