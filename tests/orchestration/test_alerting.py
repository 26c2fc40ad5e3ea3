"""Failed runs of real jobs are told: each once, after its last attempt, and only while it is news."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent

from apex_pipeline import settings
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.orchestration import alerting
from apex_pipeline.orchestration.alerting import LATELY, alerts, failed_runs
from apex_pipeline.orchestration.location import definitions
from apex_pipeline.orchestration.resources import Storage
from apex_pipeline.orchestration.tags import BROKER_TAG, NEVER_RETRIED
from apex_pipeline.settings import AlertSettings, Settings
from tests.notify.servers import Answer, Hook, hooked
from tests.orchestration.conftest import Place, made_place

WRONG_TOKEN = "canary-of-a-token-5512"
NONE: set[str] = set()


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook on this machine."""
    with hooked() as server:
        yield server


@pytest.fixture
def refused(server_url: str, scenario: Scenario, tmp_path: Path, hook: Hook) -> Iterator[Place]:
    """A product whose Flex token is refused and whose alerts go to the webhook."""

    def wrong(told: Settings) -> Settings:
        return replace(told, ib=replace(told.ib, token=WRONG_TOKEN), alerts=AlertSettings(hook.url))

    with made_place(server_url, scenario, tmp_path, wrong) as place:
        yield place


def ticked(place: Place) -> str:
    """What a tick of the sensor says."""
    context = dg.build_sensor_context(instance=place.instance, definitions=definitions())
    told = alerts(context, storage=Storage(url=place.db.url))
    assert isinstance(told, dg.SkipReason)
    return told.skip_message or ""


def failing(
    place: Place, tags: dict[str, str] | None = None, job: str = "derive_job", error: str = "the process died"
) -> dg.DagsterRun:
    """A run that ended badly, and is not started again unless its tags say so."""
    run = begun(place, dict(NEVER_RETRIED) if tags is None else tags, job)
    place.instance.report_run_failed(run, error)
    return run


def succeeding(place: Place, tags: dict[str, str] | None = None, job: str = "derive_job") -> dg.DagsterRun:
    """A run that ended well."""
    run = begun(place, tags or {}, job)
    event = DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, job_name=job)
    place.instance.report_dagster_event(event, run.run_id)
    ended = place.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.SUCCESS
    return run


def begun(place: Place, tags: dict[str, str], job: str) -> dg.DagsterRun:
    return place.instance.create_run_for_job(definitions().resolve_job_def(job), tags=tags)


def now() -> datetime:
    return datetime.now(UTC)


def test_a_refused_token_is_told_with_its_run_and_nothing_else(refused: Place, hook: Hook) -> None:
    failed, derived = refused.run()
    assert (failed.succeeded, derived.succeeded) == (False, True)
    assert ticked(refused) == "2 new alerts, told webhook"
    (text,) = hook.texts
    assert text.startswith("APEX: 1 refusal of a broker, 1 failed run\n\nInteractive Brokers refuses")
    assert f"run {failed.run_id[:8]} of {refused.days[0]}..{refused.days[1]}: ib_history: Interactive" in text
    assert f"/runs/{failed.run_id}" in text
    assert "apex doctor" in text
    for canary in (WRONG_TOKEN, *(account for each in refused.scenario.accounts.values() for account in each)):
        assert canary not in text
    assert ticked(refused) == "0 new alerts, nobody was told"


def test_a_run_that_will_be_tried_again_is_told_only_if_nobody_tries(place: Place) -> None:
    waiting = failing(place, {"dagster/will_retry": "true"})
    assert failed_runs(place.instance, NONE, now()) == []
    assert [run.run_id for run in failed_runs(place.instance, NONE, now() + timedelta(hours=1))] == [waiting.run_id]
    last = failing(place, {"dagster/root_run_id": waiting.run_id, "dagster/will_retry": "false"})
    place.instance.add_run_tags(waiting.run_id, {"dagster/auto_retry_run_id": last.run_id})
    (told,) = failed_runs(place.instance, NONE, now() + timedelta(hours=1))
    assert (told.run_id, told.first_run_id, told.job) == (last.run_id, waiting.run_id, "derive_job")


def test_a_run_without_a_failed_step_says_why_it_ended(place: Place) -> None:
    run = failing(place)
    (told,) = failed_runs(place.instance, NONE, now())
    assert told.errors == ["the process died"]
    (told,) = failed_runs(place.instance, {f"run:{run.run_id}"}, now())
    assert told.errors == [], "what is known is not read again"


def test_an_old_failure_is_no_news_and_a_success_is_none(place: Place) -> None:
    failed = failing(place)
    succeeding(place)
    assert [run.run_id for run in failed_runs(place.instance, NONE, now())] == [failed.run_id]
    assert failed_runs(place.instance, NONE, now() + LATELY + timedelta(minutes=1)) == []


def test_a_broker_that_is_away_for_hours_is_told_once_until_it_answers(refused: Place, hook: Hook) -> None:
    """A capture fails every five minutes, with other seconds in its words each time."""
    new: list[str] = []
    for seconds in range(12):
        failing(refused, job="snapshot_job", error=f"OpenD cannot be reached within {seconds} s")
        new.append(ticked(refused).split(",")[0])
    assert new == ["1 new alerts", *["0 new alerts"] * 11]
    assert "Failed: snapshot_job" in hook.texts[0]
    succeeding(refused, job="snapshot_job")
    assert ticked(refused).startswith("0 new alerts")
    failing(refused, job="snapshot_job", error="OpenD cannot be reached within 1 s")
    assert ticked(refused).startswith("1 new alerts"), "control: it came back"
    for _ in range(2):
        failing(refused)
    assert ticked(refused).startswith("2 new alerts"), "control: each run of another job is told"


def test_errors_that_come_in_turns_are_told_once_each(refused: Place) -> None:
    new: list[str] = []
    for error in ("it is away", "it is mute") * 3:
        failing(refused, job="snapshot_job", error=error)
        new.append(ticked(refused)[0])
    assert new == ["1", "1", "0", "0", "0", "0"]


def test_a_broker_that_answers_ends_nothing_of_the_other_one(place: Place) -> None:
    futu, ib = ({**NEVER_RETRIED, BROKER_TAG: broker} for broker in ("futu", "ib"))
    failing(place, futu, "intraday_job")
    failing(place, ib, "intraday_job")
    assert len({run.fingerprint for run in failed_runs(place.instance, NONE, now())}) == 2
    succeeding(place, futu, "intraday_job")
    (left,) = failed_runs(place.instance, NONE, now())
    assert "/ib:" in left.fingerprint


def test_a_failure_is_found_behind_any_number_of_those_of_frequent_jobs(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "MOST_RUNS", 3)
    daily = failing(place, job="daily_job")
    for _ in range(7):
        failing(place, job="snapshot_job")
    assert failed_runs(place.instance, NONE, now())[0].run_id == daily.run_id
    later = [failing(place, job="daily_job").run_id for _ in range(3)]
    told = [run.run_id for run in failed_runs(place.instance, NONE, now()) if run.job == "daily_job"]
    assert told == later, "control: so many of others, the newest"


def test_without_a_channel_the_sensor_says_how_to_have_one(place: Place) -> None:
    assert settings.load().alerts == AlertSettings()
    assert ticked(place) == "no channel is configured: see docs/alerts.md"


def test_a_webhook_that_fails_fails_no_tick(refused: Place, hook: Hook) -> None:
    hook.answers = [Answer(500)]
    failing(refused)
    assert ticked(refused) == ("1 new alerts, nobody was told; the webhook answered HTTP 500, not a success")


def test_the_sensor_runs_from_the_start() -> None:
    started = {sensor.name for sensor in definitions().sensors or () if _is_started(sensor)}
    assert "alerts" in started


def _is_started(sensor: dg.SensorDefinition) -> bool:
    return sensor.default_status is dg.DefaultSensorStatus.RUNNING
