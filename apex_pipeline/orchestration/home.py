"""The Dagster home: the committed `dagster.yaml` and `workspace.yaml` put in place, and its storage ready."""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from apex_pipeline.settings import PROJECT_DIR, sqlalchemy_url

SQLALCHEMY_URL = "APEX_DAGSTER_SQLALCHEMY_URL"
CODE_SERVER_PORT = "APEX_CODE_SERVER_PORT"
EVENT_BATCH = "500"
"""Events written at once in long runs: a batch is one transaction of few statements (decision 0006)."""


def prepare(home: Path, dagster_database_url: str) -> Path:
    """Lay out the Dagster home below `home` and point this process and its children to it."""
    folder = home / "dagster"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copyfile(PROJECT_DIR / name, folder / name)
    os.environ["DAGSTER_HOME"] = str(folder)
    os.environ[SQLALCHEMY_URL] = sqlalchemy_url(dagster_database_url)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", EVENT_BATCH)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    return folder


@contextmanager
def instance() -> Generator[dg.DagsterInstance]:
    """Dagster's instance of the prepared home; its tables are created at first use."""
    with dg.DagsterInstance.get() as opened:
        yield opened
