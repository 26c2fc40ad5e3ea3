"""`apex import flex` as an outsider runs it: what it says, how it ends, what is in the tables afterwards."""

import re
import socket
import zipfile
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.cli import traded
from tests.cli.flex import Flex
from tests.cli.program import Apex
from tests.cli.sql import business_rows, rows
from tests.cli.test_backfill import require_equal


@pytest.fixture
def strange(flex: Flex) -> bytes:
    """The strange service's document of all its days, as a person may have saved it."""
    flex.in_progress = 0
    days = {"fd": f"{traded.FIRST:%Y%m%d}", "td": f"{traded.FRIDAY:%Y%m%d}"}
    asked = urlencode({"t": flex.token, "q": flex.query_id, "v": "3", **days})
    found = re.search("<ReferenceCode>(.*)</ReferenceCode>", flex.answer(f"/SendRequest?{asked}"))
    assert found
    return flex.answer("/GetStatement?" + urlencode({"t": flex.token, "q": found[1], "v": "3"})).encode()


def test_all_that_a_strange_file_tells_is_in_the_tables(apex: Apex, database_url: str, strange: bytes) -> None:
    with zipfile.ZipFile(apex.folder / "all.zip", "w") as archive:
        archive.writestr("years/all.xml", strange)
    ended = apex("import", "flex", "all.zip")
    assert ended.code == 0, ended.text
    require_equal(database_url, "IB", traded.ib_expected())
    first, total, *accounts = ended.out.splitlines()
    assert re.match(r"all\.zip/all\.xml: \d+ new, 0 unchanged, 0 superseded, 0 quarantined; ", first)
    assert total.startswith("1 of 1 statements read: ")
    assert [line.split(":")[0] for line in accounts] == sorted([traded.IB, traded.IB_OTHER])


def test_a_second_import_changes_nothing_and_json_says_so(apex: Apex, database_url: str, strange: bytes) -> None:
    _ = (apex.folder / "all.xml").write_bytes(strange)
    assert apex("import", "flex", ".").code == 0
    before = business_rows(database_url)
    ended = apex("import", "flex", "all.xml", "--json")
    assert ended.code == 0, ended.text
    told = ended.json()
    (file,) = told["files"]
    assert (told["status"], file["file"], file["new_versions"]) == ("SUCCESS", "all.xml", 0)
    assert file["unchanged"] == file["records"] > 0
    assert set(told["uncovered"]) == {traded.IB, traded.IB_OTHER}
    assert business_rows(database_url) == before


def test_a_day_that_no_file_tells_is_named_at_the_end(apex: Apex, flex: Flex, strange: bytes) -> None:
    missing = traded.back(2)
    text = re.sub(
        rf'<FlexStatement [^>]*fromDate="{missing}".*?</FlexStatement>', "", strange.decode(), flags=re.DOTALL
    )
    _ = (apex.folder / "most.xml").write_text(text)
    ended = apex("import", "flex", "most.xml")
    assert ended.code == 0, ended.text
    assert f"{traded.IB}: no statement tells about {missing} " in ended.out


def test_a_file_that_cannot_be_read_is_one_line_and_exit_code_1(apex: Apex, database_url: str, strange: bytes) -> None:
    _ = (apex.folder / "good.xml").write_bytes(strange)
    _ = (apex.folder / "half.xml").write_bytes(strange[: len(strange) // 2])
    _ = (apex.folder / "other.xml").write_text("<html/>")
    ended = apex("import", "flex", ".")
    assert ended.code == 1, ended.text
    assert [complaint.split(": ")[1] for complaint in ended.complaints] == ["half.xml", "other.xml"]
    assert "Traceback" not in ended.err
    assert "1 of 3 statements read" in ended.out
    require_equal(database_url, "IB", traded.ib_expected())


def test_a_row_in_quarantine_is_told_with_exit_code_1(apex: Apex, database_url: str, strange: bytes) -> None:
    spoilt = strange.replace(f'tradeDate="{traded.back(11)}"'.encode(), b'tradeDate="soon"', 1)
    assert spoilt != strange
    _ = (apex.folder / "all.xml").write_bytes(spoilt)
    ended = apex("import", "flex", "all.xml")
    assert ended.code == 1, ended.text
    assert any("1 records are in quarantine" in complaint for complaint in ended.complaints)
    assert len(rows(database_url, "SELECT FROM quarantine WHERE resolved_at IS NULL")) == 1


@pytest.mark.parametrize(
    ("paths", "pattern"),
    [(["nowhere"], "^apex: nowhere does not exist"), (["empty"], "^apex: empty holds no statement"), ([], "Usage")],
)
def test_a_path_without_a_statement_is_told_before_any_connection(
    tmp_path: Path, paths: list[str], pattern: str
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"postgresql://nobody@127.0.0.1:{port}/nothing"
    apex = Apex(tmp_path, {"PATH": "/usr/bin:/bin", "APEX_HOME": str(tmp_path / "state"), "APEX_DATABASE_URL": url})
    (tmp_path / "empty").mkdir()
    _ = (tmp_path / "good.xml").write_text("<FlexQueryResponse/>")
    ended = apex("import", "flex", *paths, *(["good.xml"] if paths else []))
    assert (ended.code, ended.out) == (2, ""), ended.text
    assert re.search(pattern, ended.err), ended.text
    assert "Traceback" not in ended.err
    assert not apex.home.exists()
