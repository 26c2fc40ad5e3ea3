"""A process that is killed in mid-run leaves a run that looks alive; the next one ends it and is not held up by it."""

import json
import logging
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.errors import DagsterInvariantViolationError
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import GRPC_INFO_TAG, MAX_RUNTIME_SECONDS_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.monitoring.run_monitoring import check_run_timeout

from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.orchestration.dead_runs import LOCK_TAG, end_dead_runs
from apex_pipeline.orchestration.launching import MACHINE_TAG, ApexRunLauncher, this_machine
from apex_pipeline.orchestration.location import definitions
from apex_pipeline.orchestration.processes import free_port
from tests.orchestration.conftest import FIRST, LAST, Place, keys, made_place
from tests.pipeline.conftest import business_rows

START_SECONDS = 60
MODULE = "apex_pipeline.definitions"
GONE = "apex:run:of-a-process-that-is-gone"
HANGING = """
import sys, time
from datetime import date
from apex_pipeline.orchestration.resources import Progress
from apex_pipeline.orchestration.running import run_range

def observe(what, done, total):
    print(what, flush=True)
    time.sleep(600)

run_range(date.fromisoformat(sys.argv[1]), date.fromisoformat(sys.argv[2]), sys.argv[3:], {}, Progress(observe))
"""
"""Loads through Dagster and stops for ever at the first call to a broker, its run begun and its pool taken."""


KILLED = """
import os, signal, sys
from datetime import date
from apex_pipeline.orchestration.resources import Progress
from apex_pipeline.orchestration.running import run_range

steps = 0

def observe(what, done, total):
    global steps
    steps += 1
    if steps == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

run_range(date.fromisoformat(sys.argv[1]), date.fromisoformat(sys.argv[2]), ["futu", "ib"], {}, Progress(observe))
"""
"""Loads through Dagster and is killed without a word at the given step of its work."""


@contextmanager
def hanging_load(broker: str, home: Path | None = None) -> Generator[subprocess.Popen[str]]:
    """A process in the middle of loading from this broker, with its Dagster home copied to `home` if one is given."""
    environment = dict(os.environ)
    if home:
        shutil.copytree(environment["DAGSTER_HOME"], home / "dagster")
        environment["DAGSTER_HOME"] = str(home / "dagster")
    arguments = [sys.executable, "-c", HANGING, FIRST.isoformat(), LAST.isoformat(), broker]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment) as child:
        try:
            assert child.stdout is not None
            assert select.select([child.stdout], [], [], START_SECONDS)[0], "the load did not begin"
            assert child.stdout.readline()
            yield child
        finally:
            child.kill()


def status_of(place: Place, run_id: str) -> dg.DagsterRunStatus:
    run = place.instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.mark.timeout(120)
def test_a_killed_run_is_failed_by_the_next_one_which_is_not_held_up(place: Place) -> None:
    with hanging_load("ib") as child:
        (killed,) = place.instance.get_runs()
        assert killed.status is dg.DagsterRunStatus.STARTED
        child.send_signal(signal.SIGKILL)
    assert status_of(place, killed.run_id) is dg.DagsterRunStatus.STARTED, "control: nobody else notices"
    (outcome,) = place.run(brokers=["ib"])
    assert outcome.succeeded
    assert status_of(place, killed.run_id) is dg.DagsterRunStatus.FAILURE
    assert place.materialized("orders_raw_ib") == set(keys())


def test_a_run_that_was_killed_before_it_began_is_failed_too(place: Place) -> None:
    job = definitions().resolve_job_def("backfill_job")
    planned = place.instance.create_run_for_job(job, tags={LOCK_TAG: GONE})
    assert planned.status is dg.DagsterRunStatus.NOT_STARTED
    place.run((LAST, LAST))
    assert status_of(place, planned.run_id) is dg.DagsterRunStatus.FAILURE


@pytest.mark.timeout(120)
def test_a_run_whose_process_lives_is_left_alone_wherever_its_home_is(place: Place, tmp_path: Path) -> None:
    with hanging_load("ib", home=tmp_path / "elsewhere"):
        (living,) = place.instance.get_runs()
        (outcome,) = place.run((LAST, LAST), brokers=["futu"])
        assert outcome.succeeded
        assert status_of(place, living.run_id) is dg.DagsterRunStatus.STARTED


def served_run(place: Place, port: int) -> str:
    """A run as the UI starts it, which holds the pool of IB."""
    run_id, storage = begun_by(place, port), place.instance.event_log_storage
    storage.initialize_concurrency_limit_to_default("ib")
    assert storage.claim_concurrency_slot("ib", run_id, "ib_history").is_claimed
    return run_id


def begun_by(place: Place, port: int, machine: Sequence[str] | None = None, **tags: str) -> str:
    """A run that a code server on this port of a machine began."""
    server = {
        GRPC_INFO_TAG: json.dumps({"host": "127.0.0.1", "port": port}),
        MACHINE_TAG: "/".join(machine or this_machine()),
    }
    job = definitions().resolve_job_def("backfill_job")
    return place.instance.create_run_for_job(job, tags={**tags, **server}).run_id


@pytest.mark.timeout(120)
def test_a_run_of_a_code_server_that_is_gone_does_not_hold_up_the_next_one(place: Place) -> None:
    run_id = served_run(place, free_port())
    (outcome,) = place.run((LAST, LAST), brokers=["ib"])
    assert outcome.succeeded
    assert status_of(place, run_id) is dg.DagsterRunStatus.FAILURE


def test_a_run_is_judged_on_its_own_machine_and_never_outlives_a_start_of_it(place: Place) -> None:
    """After a power cut the next code server may listen on the same port; elsewhere 127.0.0.1 is another interface."""
    name, start = this_machine()
    elsewhere = begun_by(place, free_port(), ("another machine", start))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        living, before = begun_by(place, port), begun_by(place, port, (name, "an earlier start"))
        assert end_dead_runs(place.instance, place.db) == [before]
    assert end_dead_runs(place.instance, place.db) == [living], "control: nobody listens any more"
    assert status_of(place, elsewhere) is dg.DagsterRunStatus.NOT_STARTED


def test_a_run_that_took_over_the_tags_of_a_finished_one_lives_by_its_code_server(place: Place) -> None:
    """As with "Selected steps" in the UI, at a run of `apex backfill`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        begun_by(place, listening.getsockname()[1], **{LOCK_TAG: GONE})
        assert end_dead_runs(place.instance, place.db) == []
        (served,) = place.instance.get_runs()
        place.instance.report_run_failed(served, "its own end")
    job = definitions().resolve_job_def("backfill_job")
    target = LoadableTargetOrigin(module_name=MODULE, attribute="defs")
    repository = RemoteRepositoryOrigin(InProcessCodeLocationOrigin(target, location_name="apex"), "__repository__")
    code = JobPythonOrigin(job.name, RepositoryPythonOrigin(sys.executable, ModuleCodePointer(MODULE, "defs")))
    place.instance.create_run_for_job(
        job, tags={LOCK_TAG: GONE}, remote_job_origin=repository.get_job_origin(job.name), job_code_origin=code
    )
    assert end_dead_runs(place.instance, place.db) == [], "nor before the code server took it"
    by_itself = place.instance.create_run_for_job(job, tags={LOCK_TAG: GONE})
    assert by_itself.run_id in end_dead_runs(place.instance, place.db), "control: one that nobody launched"


def test_a_launcher_writes_down_its_machine_before_the_run_begins(place: Place) -> None:
    launcher = place.instance.run_launcher
    assert isinstance(launcher, ApexRunLauncher)
    run = place.instance.create_run_for_job(definitions().resolve_job_def("backfill_job"))
    with pytest.raises(DagsterInvariantViolationError):  # nobody serves it here
        launcher.launch_run(LaunchRunContext(run, workspace=None))
    begun = place.instance.get_run_by_id(run.run_id)
    assert begun is not None
    assert begun.tags[MACHINE_TAG] == "/".join(this_machine())


@pytest.mark.timeout(120)
def test_a_load_that_a_person_began_may_take_as_long_as_it_takes(place: Place) -> None:
    with hanging_load("ib"):
        (living,) = place.instance.get_run_records()
        check_run_timeout(place.instance, living, logging.getLogger(), 0.001)
        run_id = living.dagster_run.run_id
        assert status_of(place, run_id) is dg.DagsterRunStatus.STARTED
        place.instance.add_run_tags(run_id, {MAX_RUNTIME_SECONDS_TAG: "0.001"})
        (limited,) = place.instance.get_run_records()
        check_run_timeout(place.instance, limited, logging.getLogger(), 0.001)
        assert status_of(place, run_id) is not dg.DagsterRunStatus.STARTED, "control: a limit ends it"


@pytest.mark.timeout(180)
@pytest.mark.slow
def test_a_load_that_is_killed_again_and_again_ends_like_an_undisturbed_one(
    place: Place, server_url: str, scenario: Scenario, tmp_path: Path
) -> None:
    for step in (2, 4, 6, 9):
        arguments = [sys.executable, "-c", KILLED, FIRST.isoformat(), LAST.isoformat(), str(step)]
        assert subprocess.run(arguments, check=False).returncode == -signal.SIGKILL
    (outcome,) = place.run()
    assert outcome.succeeded
    with made_place(server_url, scenario, tmp_path / "undisturbed") as other:
        other.run()
        assert business_rows(place.db.url) == business_rows(other.db.url)
