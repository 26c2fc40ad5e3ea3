"""What a script gets from `apex_pipeline.live`, and the limiter it may use on its own."""

import time
from inspect import signature
from pathlib import Path

import pytest

from apex_pipeline.errors import ConfigError
from apex_pipeline.live import Database, HistoryLoaderService, LoadResult, MigrationRunner, RateLimiter
from apex_pipeline.settings import PROJECT_DIR

LIMIT, WINDOW = 3, 0.4


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A process without settings: no variable and no file."""
    monkeypatch.delenv("APEX_DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def places(method: object) -> list[str]:
    """The names of a method's parameters that may be given by place."""
    assert callable(method)
    found = signature(method).parameters.values()
    return [one.name for one in found if one.kind is one.POSITIONAL_OR_KEYWORD and one.name != "self"]


def test_arguments_may_be_given_by_place() -> None:
    days = ["from_date", "to_date", "force"]
    assert places(HistoryLoaderService) == ["db", "config", "dry_run"]
    assert places(HistoryLoaderService.load_futu_history) == ["account_id", "market", *days]
    assert places(HistoryLoaderService.load_ib_history) == ["account_id", *days]
    assert places(HistoryLoaderService.load_all_history) == days
    assert places(RateLimiter)[:2] == ["requests_per_window", "window_seconds"]


def test_a_result_has_the_documented_names() -> None:
    names = {"status", "orders_loaded", "deals_loaded", "fees_loaded", "duration_seconds", "errors"}
    assert names <= set(LoadResult.__slots__)


def test_a_migrated_database_is_made_with_what_live_offers(empty_url: str) -> None:
    with Database(empty_url) as db:
        MigrationRunner(db, PROJECT_DIR / "migrations").run()
        assert HistoryLoaderService(db).get_sync_status() == []


def test_a_limiter_without_a_database_counts_where_the_setting_points(
    bare: pytest.MonkeyPatch, database_url: str, db: Database
) -> None:
    bare.setenv("APEX_DATABASE_URL", database_url)
    limiters = RateLimiter(LIMIT, WINDOW), RateLimiter(LIMIT, WINDOW, db)
    started = time.monotonic()
    for turn in range(LIMIT):
        limiters[turn % 2].acquire()
    assert time.monotonic() - started < WINDOW, "control: what the limit allows does not wait"
    limiters[LIMIT % 2].acquire()
    assert time.monotonic() - started >= WINDOW


def test_a_limiter_without_any_database_says_which_setting_is_missing(bare: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="APEX_DATABASE_URL"):
        RateLimiter(LIMIT, WINDOW)
