"""The verb writes one page, or a file per table, and prints what a terminal holds."""

from dataclasses import replace
from pathlib import Path

import pytest

from apex_pipeline import settings
from apex_pipeline.cli import report
from apex_pipeline.cli.opening import Opened
from apex_pipeline.store.db import Database
from tests.reports import book


@pytest.fixture
def found(db: Database, tmp_path: Path) -> Opened:
    """A filled database below a home of its own."""
    book.filled(db)
    configured = replace(settings.load({}), home=tmp_path / "home", database_url=db.url)
    return Opened(configured, db, db.url, is_own_server=True)


def test_a_page_is_one_file_below_the_home_unless_a_folder_is_named(found: Opened, tmp_path: Path) -> None:
    (usual,) = report.write(found, None, "html", anonymize=False)
    assert usual == tmp_path / "home" / "reports" / "report.html"
    (named,) = report.write(found, tmp_path / "there", "html", anonymize=False)
    assert named == tmp_path / "there" / "report.html"
    assert [path.name for path in named.parent.iterdir()] == ["report.html"]


def test_without_account_numbers_neither_files_nor_the_terminal_have_one(
    found: Opened, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = [path for form in ("html", "csv") for path in report.write(found, tmp_path / form, form, anonymize=True)]
    report.tell(found, anonymize=True)
    texts = [*(path.read_text("utf-8") for path in written), capsys.readouterr().out]
    assert not [text for text in texts if book.IB in text or book.FUTU in text]
    report.tell(found, anonymize=False)
    assert book.IB in capsys.readouterr().out, "control"
