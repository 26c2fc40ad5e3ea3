"""One code base for one machine and for many: a setting chooses who does the steps, a tag who may."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._check import CheckError
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.system_config.objects import ResolvedRunConfig
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import pack_value
from dagster_celery.config import TASK_EXECUTE_PLAN_NAME

from apex_pipeline import settings
from apex_pipeline.cli.opening import opened, with_dagster
from apex_pipeline.orchestration.assets import ASSETS
from apex_pipeline.orchestration.celery_steps import application
from apex_pipeline.orchestration.executors import ANY_WORKER, QUEUE_TAG, queued
from apex_pipeline.orchestration.location import definitions
from apex_pipeline.settings import PROJECT_DIR, ExecutionSettings, Executor
from tests.orchestration.conftest import Place, databases, environment_restored

CANARY = "canary-of-a-broker-5518"
QUEUES = {"futu_history": "futu", "futu_cash_flow": "futu", "ib_history": "ib", "bars": "futu"}


BROKER_URL = f"redis://:{CANARY}@127.0.0.1:1/0"
RESULT_URL = f"redis://:{CANARY}@127.0.0.1:1/1"


@pytest.fixture
def by_celery() -> Iterator[None]:
    """The environment of a deployment with Celery."""
    with environment_restored():
        os.environ["APEX_EXECUTOR"] = Executor.CELERY
        os.environ["APEX_CELERY_BROKER_URL"] = BROKER_URL
        os.environ["APEX_DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/nothing"
        yield


def executor_of(job: str) -> str:
    return definitions().resolve_job_def(job).executor_def.name


def test_steps_run_in_their_run_unless_a_setting_says_otherwise() -> None:
    assert executor_of("backfill_job") == "in_process"


@pytest.mark.usefixtures("by_celery")
def test_the_setting_gives_the_steps_of_every_load_to_celery_and_keeps_snapshots_where_they_are() -> None:
    assert {executor_of(job) for job in ("backfill_job", "daily_job", "intraday_job", "derive_job")} == {"celery"}
    assert executor_of("snapshot_job") == "in_process"


def celery_of(job: str) -> tuple[str, str]:
    """Where a run of this job gives its steps, and where it is told how they ended."""
    told = ResolvedRunConfig.build(definitions().resolve_job_def(job)).execution.execution_engine_config
    return told["broker"], told["backend"]


@pytest.mark.usefixtures("by_celery")
def test_the_results_of_steps_are_kept_by_their_broker_unless_a_setting_says_otherwise() -> None:
    assert celery_of("daily_job") == (BROKER_URL, BROKER_URL)
    os.environ["APEX_CELERY_RESULT_URL"] = RESULT_URL
    assert celery_of("daily_job") == (BROKER_URL, RESULT_URL)


@pytest.mark.parametrize("results", ["", f", celery_result_url: '{RESULT_URL}'"], ids=["the broker's", "its own"])
def test_a_run_finds_the_celery_that_only_a_file_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, results: str
) -> None:
    (tmp_path / "apex.yaml").write_text(f"execution: {{executor: celery, celery_broker_url: '{BROKER_URL}'{results}}}")
    monkeypatch.chdir(tmp_path)
    with environment_restored():
        os.environ["APEX_DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/nothing"
        assert celery_of("daily_job") == (BROKER_URL, RESULT_URL if results else BROKER_URL)


def test_on_kubernetes_each_step_is_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APEX_EXECUTOR", Executor.CELERY_K8S)
    assert executor_of("backfill_job") == "celery-k8s"


def test_what_asks_a_broker_waits_in_the_queue_of_that_broker_and_all_else_in_the_common_one() -> None:
    found = {asset.op.name: asset.op.tags.get(QUEUE_TAG, ANY_WORKER) for asset in ASSETS}
    assert {step: queue for step, queue in found.items() if queue != ANY_WORKER} == QUEUES


def test_nobody_need_wait_for_the_workers_of_a_broker_that_is_not_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APEX_BROKERS", "ib")
    assert queued("futu") == {QUEUE_TAG: ANY_WORKER}
    assert queued("futu", "ib") == {QUEUE_TAG: "ib"}


@pytest.mark.usefixtures("by_celery")
def test_no_address_of_a_broker_is_kept_with_the_job() -> None:
    job = definitions().resolve_job_def("backfill_job")
    told = dg.serialize_value(job.get_job_snapshot())
    assert CANARY not in told
    assert "futu_history" in told, "control: what is searched is the job"


def test_a_worker_without_a_database_that_others_reach_says_so(tmp_path: Path) -> None:
    environment = {**os.environ, "APEX_HOME": str(tmp_path)}
    environment.pop("APEX_DATABASE_URL", None)
    program = [sys.executable, "-c", "import apex_pipeline.worker"]
    ended = subprocess.run(program, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode
    assert "APEX_DATABASE_URL must be set" in ended.stderr


@pytest.fixture
def dagster_urls(server_url: str) -> Iterator[tuple[str, str]]:
    """A business database and Dagster's, which are dropped afterwards."""
    with databases(server_url) as urls:
        yield urls


@pytest.mark.parametrize(
    ("executor", "laid_out"), [(Executor.IN_PROCESS, "dagster.yaml"), (Executor.CELERY, "deploy/celery/dagster.yaml")]
)
def test_apex_lays_out_the_dagster_home_of_the_executor(
    dagster_urls: tuple[str, str], tmp_path: Path, executor: Executor, laid_out: str
) -> None:
    url, dagster_url = dagster_urls
    configured = replace(
        settings.load(environ={}, config_file=tmp_path / "no.yaml"),
        home=tmp_path,
        database_url=url,
        dagster_database_url=dagster_url,
        execution=ExecutionSettings(executor, celery_broker_url=BROKER_URL),
    )
    with environment_restored(), opened(configured, writing=True) as found:
        with_dagster(found)
    assert (tmp_path / "dagster" / "dagster.yaml").read_bytes() == (PROJECT_DIR / laid_out).read_bytes()


@pytest.mark.usefixtures("by_celery")
def test_a_worker_lays_out_the_dagster_home_of_celery(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "import apex_pipeline.worker"]
    subprocess.run(program, env={**os.environ, "APEX_HOME": str(tmp_path)}, cwd=tmp_path, check=True)
    celery = PROJECT_DIR / "deploy" / "celery" / "dagster.yaml"
    assert (tmp_path / "dagster" / "dagster.yaml").read_bytes() == celery.read_bytes()


@pytest.fixture
def step(place: Place) -> tuple[dg.DagsterRun, Any]:
    """A run, and what a worker is sent of its first step."""
    run = place.instance.create_run_for_job(definitions().resolve_job_def("derive_job"))
    sent = ExecuteStepArgs(
        job_origin=JobPythonOrigin("derive_job", repository_origin()),
        run_id=run.run_id,
        step_keys_to_execute=["normalized"],
        instance_ref=place.instance.get_ref(),
    )
    return run, pack_value(sent)


def repository_origin() -> RepositoryPythonOrigin:
    """Where a worker finds the definitions."""
    return RepositoryPythonOrigin(sys.executable, ModuleCodePointer("apex_pipeline.definitions", "defs"))


def test_a_step_of_a_run_that_is_over_is_not_begun(place: Place, step: tuple[dg.DagsterRun, Any]) -> None:
    run, sent = step
    task = application(ExecutionSettings(celery_broker_url="memory://", celery_result_url="cache+memory://")).tasks[
        TASK_EXECUTE_PLAN_NAME
    ]
    with pytest.raises(CheckError, match="ReconstructableJob"):
        task(sent, {})  # control: it is begun, and finds no job in what it was sent
    place.instance.report_run_failed(run)
    assert task(sent, {}) == []
