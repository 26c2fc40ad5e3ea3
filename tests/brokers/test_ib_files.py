"""Statements on disk: what is found, how it is unpacked, and what is refused with one clear line."""

import gzip
import os
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from apex_pipeline.brokers.ib.files import StatementFile, Unpacked, delivery_of, statement_files
from apex_pipeline.domain.records import Content, WholeDelivery
from apex_pipeline.errors import ConfigError, UnknownPayload
from tests.brokers.ib.statements import RECEIVED, document, of_rows, row, statement, whole

CONTENT = of_rows(row())
LIMIT = 100_000
BOMB = b"<FlexQueryResponse>" + b" " * (2 * LIMIT)


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    """An archive with these members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def written(path: Path, content: bytes) -> Path:
    """A file with this content, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _ = path.write_bytes(content)
    return path


def unpacked(path: Path, most_bytes: int = LIMIT) -> list[Unpacked]:
    return list(StatementFile(path).unpack(most_bytes))


def read(content: bytes, received: datetime = RECEIVED) -> WholeDelivery:
    """What a file with this content tells."""
    return whole(delivery_of(Content.of((content,)), "a.xml", received))


def bytes_of(one: Unpacked) -> bytes | None:
    return one.content and one.content.whole()


def size_of(path: Path) -> int:
    content = unpacked(path)[0].content
    return content.size if content else 0


def refusal(path: Path) -> str:
    """The one line that says why this file is refused."""
    (only,) = unpacked(path)
    assert only.content is None
    assert only.refusal
    assert len(only.refusal.splitlines()) == 1
    return only.refusal


def test_every_statement_below_a_folder_is_found_and_nothing_else(tmp_path: Path) -> None:
    wanted = [
        written(tmp_path / "a.xml", CONTENT),
        written(tmp_path / "deep" / "er" / "B.XML", CONTENT),
        written(tmp_path / "deep" / "c.xml.gz", gzip.compress(CONTENT)),
        zipped(tmp_path / "d.zip", {"x.xml": CONTENT, "folder/y.xml.gz": gzip.compress(CONTENT)}),
    ]
    written(tmp_path / "notes.txt", b"x")
    written(tmp_path / "deep" / "._a.xml", b"resource fork")
    zipped(tmp_path / "photos.zip", {"cat.jpg": b"x", "__MACOSX/._x.xml": b"x"})
    (tmp_path / "folder.xml").mkdir()
    found = statement_files([tmp_path])
    assert {file.path for file in found} == set(wanted)
    assert sum(file.members for file in found) == 5
    assert [bytes_of(one) for file in found for one in file.unpack()] == [CONTENT] * 5


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    first, _ = written(tmp_path / "a.xml", CONTENT), written(tmp_path / "b.xml", CONTENT)
    (tmp_path / "link.xml").symlink_to(first)
    assert len(statement_files([first, tmp_path, tmp_path / "." / "a.xml"])) == 2


def test_links_that_go_round_in_circles_end(tmp_path: Path) -> None:
    written(tmp_path / "a.xml", CONTENT)
    (tmp_path / "again").symlink_to(tmp_path)
    assert len(statement_files([tmp_path])) == 1


def test_a_path_without_any_statement_is_a_usage_error(tmp_path: Path) -> None:
    good = written(tmp_path / "good.xml", CONTENT)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.xml")
    for path, reason in (
        (tmp_path / "nowhere.xml", "does not exist"),
        (tmp_path / "folder", "holds no statement"),
        (zipped(tmp_path / "cat.zip", {"cat.jpg": b"x"}), "holds no statement"),
        (zipped(tmp_path / "empty.zip", {}), "holds no statement"),
        (tmp_path / "pipe.xml", "is neither a file nor a folder"),
    ):
        with pytest.raises(ConfigError, match=rf"{path.name} {reason}"):
            statement_files([good, path])
    assert len(statement_files([good])) == 1


def test_the_bytes_inside_a_file_are_kept_exactly(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + CONTENT + b"\r\n"
    for path in (
        written(tmp_path / "a.xml", content),
        written(tmp_path / "a.xml.gz", gzip.compress(content)),
        written(tmp_path / "gzip_in_truth.xml", gzip.compress(content)),
        written(tmp_path / "plain_in_truth.zip", content),
        zipped(tmp_path / "a.zip", {"a.xml": content}),
        zipped(tmp_path / "b.zip", {"a.xml.gz": gzip.compress(content)}),
        written(tmp_path / "parts.xml.gz", gzip.compress(content[:99]) + gzip.compress(content[99:])),
    ):
        assert [bytes_of(one) for one in unpacked(path)] == [content], path


def test_names_that_are_kept_tell_no_folder_and_no_command_for_a_terminal(tmp_path: Path) -> None:
    members = {"/home/me/a.xml": CONTENT, "C:\\me\\b.xml": CONTENT, "x/\x1b[2Jc\n.xml": CONTENT}
    names = [one.name for one in unpacked(zipped(tmp_path / "z.zip", members))]
    assert names == ["z.zip/a.xml", "z.zip/b.xml", "z.zip/?[2Jc?.xml"]
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff.xml"))
    assert [one.name for one in unpacked(written(odd, CONTENT))] == ["odd?.xml"]


def test_a_broken_file_is_refused_in_one_line(tmp_path: Path) -> None:
    packed, archive = gzip.compress(CONTENT), zipped(tmp_path / "whole.zip", {"a.xml": CONTENT}).read_bytes()
    assert "empty" in refusal(written(tmp_path / "a.xml", b""))
    assert "not a whole gzip" in refusal(written(tmp_path / "b.xml.gz", packed[:-20]))
    assert "not a whole gzip" in refusal(written(tmp_path / "c.xml.gz", packed[:-8] + b"12345678"))
    assert "not a whole gzip" in refusal(written(tmp_path / "d.xml.gz", packed[:2] + bytes(30)))
    assert "not a whole zip" in refusal(written(tmp_path / "e.zip", archive[:-30]))
    assert "cannot be read" in refusal(tmp_path / "gone.xml")


def test_a_broken_archive_is_found_so_that_it_can_be_refused(tmp_path: Path) -> None:
    whole = zipped(tmp_path / "whole.zip", {"a.xml": CONTENT}).read_bytes()
    written(tmp_path / "broken.zip", whole[:-30])
    assert [file.path.name for file in statement_files([tmp_path])] == ["broken.zip", "whole.zip"]


def test_a_damaged_member_does_not_keep_the_others_out(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a.xml", "b.xml", "c.xml"):
            archive.writestr(name, CONTENT.replace(b"queryName", name.encode()))
    content = path.read_bytes()
    spoilt = content.replace(b'b.xml="all"', b'b.xml="ill"', 1)
    assert spoilt != content
    told = unpacked(written(path, spoilt))
    assert [one.content is not None for one in told] == [True, False, True]
    assert "damaged" in str(told[1].refusal)


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.xml": CONTENT})
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in refusal(written(path, bytes(content)))


def test_a_way_of_packing_that_is_unknown_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.xml": CONTENT})
    content = bytearray(path.read_bytes())
    content[8] = content[content.index(b"PK\x01\x02") + 10] = 99
    assert "does not know" in refusal(written(path, bytes(content)))


def test_a_bomb_is_refused_at_the_limit(tmp_path: Path) -> None:
    within = BOMB[:LIMIT]
    for name, pack in (("a.xml", bytes), ("a.xml.gz", gzip.compress)):
        assert size_of(written(tmp_path / name, pack(within))) == LIMIT
        assert "larger than 100000 bytes" in refusal(written(tmp_path / name, pack(BOMB)))
    assert "larger than 100000 bytes" in refusal(zipped(tmp_path / "a.zip", {"a.xml": BOMB}))
    assert "larger than 100000 bytes" in refusal(zipped(tmp_path / "b.zip", {"a.xml.gz": gzip.compress(BOMB)}))
    assert size_of(zipped(tmp_path / "c.zip", {"a.xml": within})) == LIMIT


def test_an_archive_that_lies_about_its_sizes_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.xml": BOMB})
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = (10).to_bytes(4, "little")
    assert "damaged" in refusal(written(path, bytes(content)))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.xml", CONTENT)
    path.chmod(0)
    assert "Permission denied" in refusal(path)


ANSWER = (
    b"<FlexStatementResponse timestamp='x'><Status>Warn</Status><ErrorCode>1019</ErrorCode>"
    b"<ErrorMessage>Statement generation in progress.</ErrorMessage></FlexStatementResponse>"
)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (CONTENT[:-30], "breaks off or is not well-formed"),
        (b"Dear client, your statement is attached.", "not well-formed"),
        (b"<html><body>maintenance</body></html>", "'html'"),
        (b'<!DOCTYPE x [<!ENTITY a "U1">]>' + CONTENT, "document type"),
        (CONTENT.decode().encode("utf-16"), "not written in UTF-8"),
        (document(), "holds no statement"),
        (document(statement(fromDate="absent", whenGenerated="absent")), "does not say its days"),
        (ANSWER, "1019 Statement generation in progress"),
    ],
)
def test_what_is_not_a_whole_activity_statement_is_refused(content: bytes, reason: str) -> None:
    assert read(CONTENT).records
    with pytest.raises(UnknownPayload, match=reason) as refused:
        read(content)
    assert len(str(refused.value).splitlines()) == 1


def test_a_file_tells_what_the_web_service_would_and_is_kept_under_its_name() -> None:
    delivery = read(CONTENT)
    (kept,) = delivery.documents
    assert (kept.content.whole(), dict(kept.request)) == (CONTENT, {"service": "file", "file": "a.xml"})
    assert [(scope.from_date, scope.to_date) for scope in delivery.covered] == [(date(2026, 3, 2), date(2026, 3, 6))]


def test_a_statement_that_does_not_say_when_it_was_written_is_as_old_as_it_can_be() -> None:
    told = read(CONTENT)
    assert {record.generated_at for record in told.records} == {datetime(2026, 3, 9, 9, tzinfo=UTC)}
    content = document(statement(row(), whenGenerated="absent"))
    silent = read(content)
    assert {record.generated_at for record in silent.records} == {datetime(2026, 3, 7, 5, tzinfo=UTC)}
    assert silent.documents[0].generated_at is None
    endless = document(statement(row(tradeDate="99991231"), whenGenerated="absent", toDate="absent"))
    assert {record.generated_at for record in read(endless).records} == {datetime(2026, 3, 11, 4, tzinfo=UTC)}


def test_days_that_were_not_over_when_a_statement_was_written_do_not_count_as_loaded() -> None:
    def covered(received: datetime, **attributes: str) -> list[date]:
        content = document(statement(row(), **attributes))
        return [scope.to_date for scope in read(content, received).covered]

    assert covered(RECEIVED) == [date(2026, 3, 6)]
    assert covered(RECEIVED, toDate="20991231") == [date(2026, 3, 9)]
    assert covered(RECEIVED, toDate="20991231", whenGenerated="absent") == [date(2026, 3, 9)]
    assert covered(RECEIVED, whenGenerated="20260305;200000") == [date(2026, 3, 5)]
    assert covered(RECEIVED, fromDate="20990101", toDate="20991231") == []
