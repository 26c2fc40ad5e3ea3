"""Tells runs whose process died from runs that live, and ends the dead ones: nobody else would.

A dead run looks alive for ever and keeps its broker's pool, so that the next run would wait without end.

`python -m apex_pipeline.orchestration.dead_runs` does it once, before a code server starts whose port is always the
same: once it listens, runs that died with the one before it look like its own.
"""

import json
import socket
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import dagster as dg
from dagster._core.storage.tags import GRPC_INFO_TAG

from apex_pipeline import settings
from apex_pipeline.orchestration.launching import MACHINE_TAG, this_machine
from apex_pipeline.store.db import Database

LOCK_TAG = "apex/lock"
"""Names the lock in the business database that the process of a run holds while it lives, on whatever machine."""

LAST_WORDS = "the process of this run ended without a word; its finished loads are kept"
UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@contextmanager
def sign_of_life(db: Database) -> Generator[dict[str, str]]:
    """Tags for the runs of the block, by which others see that their process lives; the server drops the lock
    with the connection of a process that dies."""
    name = f"apex:run:{uuid4().hex}"
    with db.lock(name):
        yield {LOCK_TAG: name}


def end_dead_runs(opened: dg.DagsterInstance, db: Database) -> list[str]:
    """Fail the runs whose process is gone, and give back the pools that finished runs still hold; returns their ids."""
    dead = [run for run in opened.get_runs(filters=dg.RunsFilter(statuses=UNFINISHED)) if _is_dead(run, db)]
    for run in dead:
        opened.report_run_failed(run, LAST_WORDS)
    storage = opened.event_log_storage
    for run_id in storage.get_concurrency_run_ids():
        holder = opened.get_run_by_id(run_id)
        if holder is None or holder.is_finished:
            storage.free_concurrency_slots_for_run(run_id)
    return [run.run_id for run in dead]


def _is_dead(run: dg.DagsterRun, db: Database) -> bool:
    """What a launcher started lives with its code server, whatever lock the tags name that it took over."""
    if run.remote_job_origin is None and GRPC_INFO_TAG not in run.tags:
        lock = run.tags.get(LOCK_TAG)
        return lock is not None and _is_free(lock, db)
    server, told = run.tags.get(GRPC_INFO_TAG), run.tags.get(MACHINE_TAG)
    if server is None or told is None:
        return False  # it does not run yet, or another launcher started it: its own daemon knows
    machine, _, start = told.partition("/")
    here, since = this_machine()
    return machine == here and (start != since or _is_closed_here(json.loads(server)))


def _is_free(lock: str, db: Database) -> bool:
    free = bool(db.fetchval("lock_try", name=lock))
    if free:
        db.fetchval("lock_release", name=lock)
    return free


def _is_closed_here(server: Mapping[str, Any]) -> bool:
    """Whether the code server, which is on this machine, was on its loopback interface and does not listen any more."""
    host, port = server.get("host"), server.get("port")
    if host not in ("127.0.0.1", "localhost") or not isinstance(port, int):
        return False
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) != 0


def main() -> None:
    """End what is dead, and say which runs that were."""
    with dg.DagsterInstance.get() as opened, Database(settings.load()) as db:
        for run_id in end_dead_runs(opened, db):
            sys.stdout.write(f"ended run {run_id}: its process is gone\n")


if __name__ == "__main__":
    main()
