"""Migrations are applied once, in order, and never change afterwards."""

from pathlib import Path

import pytest

from apex_pipeline.errors import ConfigError, MigrationChanged, SchemaError, SchemaOutdated
from apex_pipeline.settings import PROJECT_DIR
from apex_pipeline.store.db import Database
from apex_pipeline.store.migrate import MigrationRunner


def test_a_second_run_applies_nothing(empty_url: str) -> None:
    with Database(empty_url) as db:
        runner = MigrationRunner(db, PROJECT_DIR / "migrations")
        assert [migration.version for migration in runner.run()] == list(range(1, len(runner.status()) + 1))
        assert runner.run() == []
        assert runner.get_current_version() == len(runner.status())


def _folder(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name[1:]}.sql").write_text(text)
    return tmp_path


def test_an_edited_migration_is_refused(empty_url: str, tmp_path: Path) -> None:
    folder = _folder(tmp_path, _001_first="CREATE TABLE a (x int)")
    with Database(empty_url) as db:
        MigrationRunner(db, folder).run()
        _folder(tmp_path, _001_first="CREATE TABLE a (x bigint)")
        with pytest.raises(MigrationChanged, match=r"001_first\.sql was edited"):
            MigrationRunner(db, folder).run()


def test_a_failing_migration_leaves_nothing_and_says_its_number(empty_url: str, tmp_path: Path) -> None:
    folder = _folder(
        tmp_path, _001_first="CREATE TABLE a (x int)", _002_second="CREATE TABLE b (y int); SELECT nonsense"
    )
    with Database(empty_url) as db:
        with pytest.raises(SchemaError, match="Migration 002 failed: "):
            MigrationRunner(db, folder).run()
        assert MigrationRunner(db, folder).get_current_version() == 1
        assert db.fetchval("migrations_known")


def test_a_target_stops_before_later_migrations(empty_url: str, tmp_path: Path) -> None:
    folder = _folder(tmp_path, _001_first="CREATE TABLE a (x int)", _002_second="CREATE TABLE b (y int)")
    with Database(empty_url) as db:
        assert [migration.name for migration in MigrationRunner(db, folder).run(1)] == ["first"]
        with pytest.raises(SchemaOutdated, match="002 is pending"):
            MigrationRunner(db, folder).require_current()


def test_a_database_newer_than_the_program_is_refused(empty_url: str, tmp_path: Path) -> None:
    folder = _folder(tmp_path, _001_first="CREATE TABLE a (x int)", _002_second="CREATE TABLE b (y int)")
    with Database(empty_url) as db:
        MigrationRunner(db, folder).run()
        (folder / "002_second.sql").unlink()
        with pytest.raises(SchemaOutdated, match="update the program"):
            MigrationRunner(db, folder).run()


def test_a_gap_in_the_numbers_is_refused(empty_url: str, tmp_path: Path) -> None:
    folder = _folder(tmp_path, _001_first="SELECT 1", _003_third="SELECT 1")
    with Database(empty_url) as db, pytest.raises(SchemaError, match="without gaps"):
        MigrationRunner(db, folder).run()


def test_reset_is_refused_outside_test_databases(server_url: str, db: Database) -> None:
    with Database(server_url) as other, pytest.raises(ConfigError, match="not named as a test database"):
        MigrationRunner(other).reset()
    MigrationRunner(db).reset()
    assert not db.fetchval("migrations_known")
