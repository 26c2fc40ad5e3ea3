"""Failed runs of real jobs are told: each once, after its last attempt, and only while it is news."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from apex_pipeline import settings
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.orchestration.alerting import LATELY, MOST_RUNS, alerts, failed_runs
from apex_pipeline.orchestration.location import definitions
from apex_pipeline.orchestration.resources import Storage
from apex_pipeline.orchestration.tags import NEVER_RETRIED
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


def failing(place: Place, tags: dict[str, str] | None = None) -> dg.DagsterRun:
    """A run that ended badly, and is not started again unless its tags say so."""
    told = dict(NEVER_RETRIED) if tags is None else tags
    run = place.instance.create_run_for_job(definitions().resolve_job_def("derive_job"), tags=told)
    place.instance.report_run_failed(run, "the process died")
    return run


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
    refused.run()
    assert ticked(refused) == "1 new alerts, nobody was told", "the next one waits for its turn"
    assert len(hook.posts) == 1


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
    failing(place)
    run = place.instance.create_run_for_job(definitions().resolve_job_def("derive_job"))
    place.instance.report_engine_event("ended well", run, run_id=run.run_id)
    assert len(failed_runs(place.instance, NONE, now())) == 1
    assert failed_runs(place.instance, NONE, now() + LATELY + timedelta(minutes=1)) == []
    assert MOST_RUNS > 100


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
