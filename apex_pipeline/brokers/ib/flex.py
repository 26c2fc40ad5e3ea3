"""Flex statement XML as a stream of statements and elements; nothing here knows what they mean.

The reader survives hostile and growing input: no document type, capped depth, attribute dictionaries of
whatever IB sends. Attributes stay text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from apex_pipeline.errors import UnknownPayload

MAX_DEPTH = 32
ROOT = "FlexQueryResponse"
STATEMENTS = "FlexStatements"
STATEMENT = "FlexStatement"
_CHUNK = 65_536
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


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a statement. The section element itself comes first, with `tag` equal to `section`."""

    statement: Statement
    section: str
    tag: str
    attributes: dict[str, str]


@dataclass(slots=True)
class FlexReader:
    """Reads one document: iterate once, then see `statements` and `declared_counts`.

    UnknownPayload: `doctype`, `encoding`, `not_well_formed`, `too_deep` or `not_flex`.
    """

    content: bytes
    statements: list[Statement] = field(default_factory=list)
    declared_counts: list[str] = field(default_factory=list)
    _path: list[str] = field(default_factory=list)
    _ready: list[Element] = field(default_factory=list)
    _inside: int | None = None

    def __iter__(self) -> Iterator[Element]:
        refuse_document_type(self.content)
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        view = memoryview(self.content)
        for offset in range(0, len(view), _CHUNK):
            _feed(parser, bytes(view[offset : offset + _CHUNK]), final=False)
            yield from self._ready
            self._ready.clear()
        _feed(parser, b"", final=True)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        path = self._path
        path.append(tag)
        if len(path) > MAX_DEPTH:
            raise UnknownPayload("too_deep", f"the statement nests deeper than {MAX_DEPTH} elements")
        if len(path) == 1 and tag != ROOT:
            raise UnknownPayload("not_flex", f"the document is a {tag[:40]!r}, not a {ROOT}")
        if self._inside is not None:
            section = path[self._inside]
            self._ready.append(Element(self.statements[-1], section, tag, attributes))
        elif tag == STATEMENT:
            self._inside = len(path)
            self.statements.append(Statement(len(self.statements), attributes))
        elif tag == STATEMENTS and "count" in attributes:
            self.declared_counts.append(attributes["count"])

    def _end(self, _tag: str) -> None:
        self._path.pop()
        if self._inside is not None and len(self._path) < self._inside:
            self._inside = None


def refuse_document_type(content: bytes) -> None:
    """Nothing, or UnknownPayload: entities of a document type can forge values and crash the XML parser.

    The check reads bytes, so only encodings that write ASCII as ASCII are let through.
    """
    declared = _ENCODING.search(content[:200])
    if b"\x00" in content[:4] or content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UnknownPayload("encoding", "the statement is not written in UTF-8")
    if declared and declared[1].strip().lower() not in _ASCII_BASED:
        raise UnknownPayload("encoding", "the statement declares an encoding other than UTF-8 or Latin-1")
    if b"<!DOCTYPE" in content:
        raise UnknownPayload("doctype", "the statement holds a document type, which Interactive Brokers never sends")


def root_of(content: bytes) -> str:
    """The name of the root element of a whole document; fast, without reading what it holds.

    UnknownPayload `doctype`, `encoding` or `not_well_formed`.
    """
    refuse_document_type(content)
    parser = expat.ParserCreate()
    found: list[str] = []

    def first(tag: str, _attributes: dict[str, str]) -> None:
        found.append(tag)
        parser.StartElementHandler = None

    parser.StartElementHandler = first
    _feed(parser, content, final=True)
    return found[0]


def texts_of(content: bytes) -> tuple[str, dict[str, str]]:
    """The root element's name and the text inside each element of a small document, by element name.

    UnknownPayload `doctype`, `encoding` or `not_well_formed`.
    """
    refuse_document_type(content)
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
    _feed(parser, content, final=True)
    return names[0], texts


def _feed(parser: Any, data: bytes, *, final: bool) -> None:
    try:
        parser.Parse(data, final)
    except expat.ExpatError as error:
        reason = f"the statement breaks off or is not well-formed XML (line {error.lineno})"
        raise UnknownPayload("not_well_formed", reason) from None
