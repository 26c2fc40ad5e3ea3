"""The Dagster home: the committed `dagster.yaml` and `workspace.yaml` put in place, and its storage ready.

`python -m apex_pipeline.orchestration.home` puts them into `DAGSTER_HOME`, for programs that others start.
"""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from apex_pipeline import settings
from apex_pipeline.settings import PROJECT_DIR, Executor, sqlalchemy_url

SQLALCHEMY_URL = "APEX_DAGSTER_SQLALCHEMY_URL"
CODE_SERVER_PORT = "APEX_CODE_SERVER_PORT"
EVENT_BATCH = "500"
"""Events written at once in long runs: a batch is one transaction of few statements (decision 0006)."""


INSTANCES = {Executor.CELERY: PROJECT_DIR / "deploy" / "celery" / "dagster.yaml"}
"""Dagster's instance where it is not the project's own."""


def prepare(home: Path, dagster_database_url: str, executor: Executor = Executor.IN_PROCESS) -> Path:
    """Lay out the Dagster home below `home` and point this process and its children to it."""
    folder = home / "dagster"
    lay_out(folder, executor)
    os.environ["DAGSTER_HOME"] = str(folder)
    os.environ[SQLALCHEMY_URL] = sqlalchemy_url(dagster_database_url)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", EVENT_BATCH)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    return folder


def lay_out(folder: Path, executor: Executor) -> None:
    """Put Dagster's instance for this executor, and its workspace, into the folder; what was there is replaced."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(INSTANCES.get(executor, PROJECT_DIR / "dagster.yaml"), folder / "dagster.yaml")
    shutil.copyfile(PROJECT_DIR / "workspace.yaml", folder / "workspace.yaml")


@contextmanager
def instance() -> Generator[dg.DagsterInstance]:
    """Dagster's instance of the prepared home; its tables are created at first use."""
    with dg.DagsterInstance.get() as opened:
        yield opened


if __name__ == "__main__":
    lay_out(Path(os.environ["DAGSTER_HOME"]), settings.load().execution.executor)
