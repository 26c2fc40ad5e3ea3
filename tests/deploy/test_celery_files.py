"""The files of a deployment with Celery stay in step with those of one machine."""

import re
from typing import Any

import yaml
from dagster._config import validate_config
from dagster._core.instance.config import dagster_instance_config_schema

from apex_pipeline.configuration.names import FILE_KEYS
from apex_pipeline.settings import PROJECT_DIR

CELERY = PROJECT_DIR / "deploy" / "celery"
DIFFERENT = {("concurrency", "runs", "max_concurrent_runs")}
FROM_AN_INDEX = re.compile(r"(?:pip|uv|pipx)\b[^\n]* (?:install|add) [^\n]*apex[-_]pipeline")


def flat(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every value of a tree by its path."""
    if not isinstance(tree, dict):
        return {path: tree}
    return {found: value for key, below in tree.items() for found, value in flat(below, (*path, str(key))).items()}


def test_the_instance_of_celery_differs_from_the_projects_own_in_the_runs_that_wait_only() -> None:
    own = flat(yaml.safe_load((PROJECT_DIR / "dagster.yaml").read_text()))
    celery = flat(yaml.safe_load((CELERY / "dagster.yaml").read_text()))
    different = {path for path in own.keys() | celery.keys() if own.get(path) != celery.get(path)}
    assert different == DIFFERENT, "copy what changed in dagster.yaml to deploy/celery/dagster.yaml"


def test_dagster_accepts_the_instance_of_celery() -> None:
    told = yaml.safe_load((CELERY / "dagster.yaml").read_text())
    checked = validate_config(dagster_instance_config_schema(), told)
    assert checked.success, checked.errors
    told["concurrency"]["pols"] = {}
    assert not validate_config(dagster_instance_config_schema(), told).success, "control"


def test_every_setting_of_the_example_of_a_worker_is_one_that_is_read() -> None:
    lines = (CELERY / "worker.env.example").read_text().splitlines()
    told = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    assert told <= set(FILE_KEYS.values())


def test_nobody_is_told_to_install_this_project_from_an_index_where_a_stranger_may_have_its_name() -> None:
    pages = [*PROJECT_DIR.glob("*.md"), *(PROJECT_DIR / "docs").rglob("*.md"), *(PROJECT_DIR / "deploy").rglob("*.md")]
    assert not [page for page in pages if FROM_AN_INDEX.search(page.read_text())]
    assert FROM_AN_INDEX.search("pip install 'apex-pipeline[celery]'"), "control"
