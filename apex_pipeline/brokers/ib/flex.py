"""Flex statement XML as a stream of statements, sections and rows; nothing here knows what they mean.

The reader survives hostile and growing input: no document type, capped depth, attribute dictionaries of
whatever IB sends. Attributes stay text, and nothing of the document is kept.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol
from xml.parsers import expat

from apex_pipeline.domain.records import CHUNK
from apex_pipeline.errors import UnknownPayload

MAX_DEPTH = 32
ROOT = "FlexQueryResponse"
STATEMENTS = "FlexStatements"
STATEMENT = "FlexStatement"
_DOCTYPE = b"<!DOCTYPE"
_ENCODING = re.compile(rb"<\?xml[^>]*?\bencoding\s*=\s*[\"']([^\"']*)[\"']")
_ASCII_BASED = frozenset({b"utf-8", b"utf8", b"us-ascii", b"ascii", b"iso-8859-1"})


@dataclass(frozen=True, slots=True)
class Statement:
    """One account's statement; `number` counts from 0 in document order."""

    number: int
    attributes: dict[str, str]

    @property
    def account_id(self) -> str:
        """The account of the statement; empty where IB does not say."""
        return self.attributes.get("accountId", "").strip()


class Sink(Protocol):
    """What takes the parts of a document as they come. Attributes are the taker's to keep."""

    def document(self, attributes: dict[str, str]) -> None:
        """The root element."""
        ...

    def begin(self, statement: Statement) -> None: ...

    def section(self, name: str, attributes: dict[str, str]) -> None:
        """A section begins; some have attributes and are their own only row."""
        ...

    def row(self, tag: str, attributes: dict[str, str]) -> None:
        """An element of the current section, at any depth below it."""
        ...

    def end(self) -> None:
        """The statement is over."""
        ...


class Ignored:
    """A sink for those who only want to know the statements of a document."""

    def document(self, attributes: dict[str, str]) -> None: ...

    def begin(self, statement: Statement) -> None: ...

    def section(self, name: str, attributes: dict[str, str]) -> None: ...

    def row(self, tag: str, attributes: dict[str, str]) -> None: ...

    def end(self) -> None: ...


@dataclass(slots=True)
class FlexReader:
    """Reads one document into a sink, and says what stands around the statements.

    UnknownPayload: `doctype`, `encoding`, `not_well_formed`, `too_deep` or `not_flex`.
    """

    sink: Sink
    statements: list[Statement] = field(default_factory=list)
    declared_counts: list[str] = field(default_factory=list)
    _depth: int = 0
    _section_depth: int = 0
    _parser: Any = None

    def read(self, chunks: Iterable[bytes]) -> Iterator[None]:
        """Pauses after each chunk, so that what the sink took can be passed on before more comes."""
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._outside
        parser.EndElementHandler = self._end
        self._parser = parser
        for chunk in checked(chunks):
            _feed(parser, chunk, final=False)
            yield
        _feed(parser, b"", final=True)
        yield  # newer XML parsers may put off the last elements until here

    def _deeper(self) -> int:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UnknownPayload("too_deep", f"the statement nests deeper than {MAX_DEPTH} elements")
        return self._depth

    def _outside(self, tag: str, attributes: dict[str, str]) -> None:
        depth = self._deeper()
        if depth == 1:
            if tag != ROOT:
                raise UnknownPayload("not_flex", f"the document is a {tag[:40]!r}, not a {ROOT}")
            self.sink.document(attributes)
        elif tag == STATEMENT:
            self.statements.append(Statement(len(self.statements), attributes))
            self._section_depth = depth + 1
            self._parser.StartElementHandler = self._inside
            self.sink.begin(self.statements[-1])
        elif tag == STATEMENTS and "count" in attributes:
            self.declared_counts.append(attributes["count"])

    def _inside(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth = depth = self._depth + 1
        if depth == self._section_depth:
            self.sink.section(tag, attributes)
        elif depth > MAX_DEPTH:
            raise UnknownPayload("too_deep", f"the statement nests deeper than {MAX_DEPTH} elements")
        else:
            self.sink.row(tag, attributes)

    def _end(self, _tag: str) -> None:
        self._depth -= 1
        if self._section_depth and self._depth < self._section_depth - 1:
            self._section_depth = 0
            self._parser.StartElementHandler = self._outside
            self.sink.end()


def checked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of at most `CHUNK`, or UnknownPayload before the piece that holds a document type.

    Entities of a document type can forge values and crash the XML parser. The check reads bytes, so only encodings
    that write ASCII as ASCII are let through.
    """
    seen = b""
    for number, piece in enumerate(_pieces(chunks)):
        if number == 0:
            _check_encoding(piece)
        if _DOCTYPE in seen + piece:
            raise UnknownPayload(
                "doctype", "the statement holds a document type, which Interactive Brokers never sends"
            )
        seen = (seen + piece)[-len(_DOCTYPE) + 1 :]
        yield piece


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for offset in range(0, len(chunk), CHUNK):
            yield chunk[offset : offset + CHUNK]


def _check_encoding(head: bytes) -> None:
    declared = _ENCODING.search(head[:200])
    if b"\x00" in head[:4] or head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UnknownPayload("encoding", "the statement is not written in UTF-8")
    if declared and declared[1].strip().lower() not in _ASCII_BASED:
        raise UnknownPayload("encoding", "the statement declares an encoding other than UTF-8 or Latin-1")


def root_of(chunks: Iterable[bytes]) -> str:
    """The name of the root element of a whole document; fast, without reading what it holds.

    UnknownPayload `doctype`, `encoding` or `not_well_formed`.
    """
    parser = expat.ParserCreate()
    found: list[str] = []

    def first(tag: str, _attributes: dict[str, str]) -> None:
        found.append(tag)
        parser.StartElementHandler = None

    parser.StartElementHandler = first
    for chunk in checked(chunks):
        _feed(parser, chunk, final=False)
    _feed(parser, b"", final=True)
    return found[0]


def texts_of(content: bytes) -> tuple[str, dict[str, str]]:
    """The root element's name and the text inside each element of a small document, by element name.

    UnknownPayload `doctype`, `encoding` or `not_well_formed`.
    """
    parser = expat.ParserCreate()
    names: list[str] = []
    texts: dict[str, str] = {}

    def start(tag: str, _attributes: dict[str, str]) -> None:
        names.append(tag)
        texts[tag] = ""

    def text(data: str) -> None:
        texts[names[-1]] += data

    parser.StartElementHandler = start
    parser.CharacterDataHandler = text
    for chunk in checked((content,)):
        _feed(parser, chunk, final=False)
    _feed(parser, b"", final=True)
    return names[0], texts


def _feed(parser: Any, data: bytes, *, final: bool) -> None:
    try:
        parser.Parse(data, final)
    except expat.ExpatError as error:
        reason = f"the statement breaks off or is not well-formed XML (line {error.lineno})"
        raise UnknownPayload("not_well_formed", reason) from None
