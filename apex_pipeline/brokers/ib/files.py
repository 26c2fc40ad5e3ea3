"""Flex statements on disk: where they are, how they are unpacked, and what a file tells.

Nothing is trusted of a file: not its suffix, not the sizes an archive declares, not the names inside it.
"""

import gzip
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from io import BufferedReader
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Protocol

from apex_pipeline.brokers.ib.answers import answer_of
from apex_pipeline.brokers.ib.delivery import FlexDelivery
from apex_pipeline.brokers.ib.times import NEW_YORK
from apex_pipeline.domain.records import Content
from apex_pipeline.errors import ConfigError, UnknownPayload

MOST_BYTES = 2 * 1024**3
"""Bytes of one statement, unpacked: what the web service may send at most."""

_CHUNK = 1024**2
_STATEMENT = (".xml", ".xml.gz")
_ZIP = ".zip"
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP_MAGIC = b"\x1f\x8b"
_ENCRYPTED = 0x1
_BROKEN = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Unpacked:
    """One statement of a file. `shown`: as the person named it; `name`: without folders, fit to be kept.

    `refusal` says why there is no content.
    """

    shown: str
    name: str
    content: Content | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class StatementFile:
    """A file that may hold statements. `members`: how many, as far as its table of contents tells."""

    path: Path
    members: int = 1

    def unpack(self, most_bytes: int = MOST_BYTES) -> Iterator[Unpacked]:
        """Its statements one after the other, each decompressed; what cannot be read says why instead."""
        shown, name = printable(str(self.path)), printable(self.path.name)
        try:
            with self.path.open("rb") as stream:
                if _is_zip(stream):
                    yield from _members(stream, Unpacked(shown, name), most_bytes)
                else:
                    yield _read(stream, Unpacked(shown, name), most_bytes)
        except OSError as error:
            yield Unpacked(shown, name, refusal=f"cannot be read: {error.strerror or type(error).__name__}")


def statement_files(paths: Sequence[Path]) -> list[StatementFile]:
    """The files below these paths, each once, in the order of their names.

    ConfigError for a path that does not exist, cannot be listed or holds no statement.
    """
    found: dict[Path, StatementFile] = {}
    for path in paths:
        files = [StatementFile(file, _count(file)) for file in _files_of(path)]
        holding = [file for file in files if file.members]
        if not holding:
            raise ConfigError(f"{printable(str(path))} holds no statement: files must end in .xml, .xml.gz or .zip")
        for file in holding:
            _ = found.setdefault(file.path.resolve(), file)
    return list(found.values())


def delivery_of(content: Content, name: str, received_at: datetime) -> FlexDelivery:
    """What a statement from disk tells; `name` is kept as its request. UnknownPayload if it is no statement.

    A file can be of any age: what does not say when it was written counts as written at the earliest possible time,
    when its last day was over in New York, or it would pass for the newest and displace newer ones.
    """
    answer = answer_of(content)
    if answer is not None:
        told = printable(" ".join(filter(None, (str(answer.code or ""), answer.message or answer.status))))
        raise UnknownPayload("not_flex", f"it is a short answer of the web service ({told}), not a statement")

    def earliest(last_day: date) -> datetime:
        day = min(last_day, received_at.date())
        return datetime.combine(day + timedelta(days=1), time(), NEW_YORK).astimezone(UTC)

    return FlexDelivery(content, {"service": "file", "file": name}, received_at, stamp=earliest)


def printable(text: str) -> str:
    """The text on one line, without what a terminal would obey or a database refuse."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(_below(path))
    if path.is_file():
        return [path]
    what = "is neither a file nor a folder" if path.exists() else "does not exist"
    raise ConfigError(f"{printable(str(path))} {what}")


def _below(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise ConfigError(f"{printable(str(error.filename))} cannot be listed: {error.strerror}")

    for parent, _, names in os.walk(folder, onerror=refuse):
        files = (Path(parent, name) for name in names if _is_named_like(name, (*_STATEMENT, _ZIP)))
        yield from (file for file in files if file.is_file())


def _is_named_like(name: str, suffixes: tuple[str, ...]) -> bool:
    """Whether a name has one of these suffixes; macOS writes `._name` beside files, which hold no data."""
    return name.lower().endswith(suffixes) and not name.startswith("._")


def _count(path: Path) -> int:
    """How many statements a file has; a broken archive counts as one, to be refused when it is read."""
    try:
        with path.open("rb") as stream:
            if not _is_zip(stream):
                return 1
            with zipfile.ZipFile(stream) as archive:
                return len(_statements_in(archive))
    except (OSError, *_BROKEN):
        return 1


def _is_zip(stream: BufferedReader) -> bool:
    magic = stream.read(4)
    _ = stream.seek(0)
    return magic in _ZIP_MAGIC


def _statements_in(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    inside = ((info, _bare(info.filename)) for info in archive.infolist() if not info.is_dir())
    return [info for info, name in inside if _is_named_like(name, _STATEMENT)]


def _bare(name: str) -> str:
    """A member's name without folders: they tell how somebody's machine is arranged."""
    return PurePosixPath(name.replace("\\", "/")).name


def _members(stream: BufferedReader, of: Unpacked, most_bytes: int) -> Iterator[Unpacked]:
    try:
        with zipfile.ZipFile(stream) as archive:
            for info in _statements_in(archive):
                name = printable(_bare(info.filename))
                yield _member(archive, info, Unpacked(f"{of.shown}/{name}", f"{of.name}/{name}"), most_bytes)
    except _BROKEN:
        yield replace(of, refusal="it is not a whole zip archive: copy or download it again")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, of: Unpacked, most_bytes: int) -> Unpacked:
    if info.flag_bits & _ENCRYPTED:
        return replace(of, refusal="it is encrypted: unpack it and import the file inside")
    try:
        with archive.open(info) as inside:
            return _read(inside, of, most_bytes)
    except NotImplementedError:
        return replace(of, refusal="it is packed in a way this program does not know: unpack it and import the file")
    except (OSError, *_BROKEN):
        return replace(of, refusal="the archive is damaged here: copy or download it again")


def _read(stream: Readable, of: Unpacked, most_bytes: int) -> Unpacked:
    try:
        head = stream.read(_CHUNK)
        whole = chain((head,), iter(lambda: stream.read(_CHUNK), b""))
        content = Content.of(_bounded(_unpacked(whole) if head[:2] == _GZIP_MAGIC else whole, most_bytes))
    except _TooLarge:
        return replace(of, refusal=f"it is larger than {most_bytes} bytes when unpacked: export fewer days at a time")
    except (gzip.BadGzipFile, zlib.error, EOFError):
        return replace(of, refusal="it is not a whole gzip file: copy or download it again")
    return (
        replace(of, content=content)
        if content.size
        else replace(of, refusal="it is empty: export or download it again")
    )


class _TooLarge(Exception):
    """More bytes than a statement may have."""


def _bounded(chunks: Iterable[bytes], most_bytes: int) -> Iterator[bytes]:
    """The same chunks, until they exceed `most_bytes`; a bomb is never unpacked beyond that."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > most_bytes:
            raise _TooLarge
        yield chunk


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The members of a gzip file one after the other; raises zlib.error or EOFError where it is not whole."""
    unpacker = zlib.decompressobj(wbits=31)
    for chunk in chunks:
        rest = chunk
        while rest:
            if unpacker.eof:
                if not rest.strip(b"\0"):
                    break
                unpacker = zlib.decompressobj(wbits=31)
            yield unpacker.decompress(rest, _CHUNK)
            rest = unpacker.unconsumed_tail or unpacker.unused_data
    if not unpacker.eof:
        raise EOFError
