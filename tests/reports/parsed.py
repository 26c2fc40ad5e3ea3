"""A page of HTML as its parts, for tests: what elements there are, what they say and what they would ask for."""

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "input", "img", "hr"}
ASKING = ("src", "href", "action", "srcset", "data", "poster", "formaction", "background", "ping", "manifest")


@dataclass
class Element:
    """An element, its attributes, and everything inside it."""

    tag: str
    attributes: dict[str, str]
    parent: "Element | None" = None
    children: "list[Element]" = field(default_factory=list["Element"])
    own: list[str] = field(default_factory=list[str])
    said: list[str] = field(default_factory=list[str])

    @property
    def text(self) -> str:
        """All text in it, in order."""
        return "".join(self.said)

    def all(self, tag: str | None = None) -> "Iterator[Element]":
        """What is inside, of this tag if one is named."""
        for child in self.children:
            if tag in (None, child.tag):
                yield child
            yield from child.all(tag)

    def one(self, tag: str) -> "Element":
        """The only one of this tag."""
        (found,) = self.all(tag)
        return found

    def above(self, tag: str) -> "Element | None":
        """The nearest around it of this tag."""
        node = self.parent
        while node is not None and node.tag != tag:
            node = node.parent
        return node


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.here = Element("root", {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs}, self.here)
        self.here.children.append(made)
        if tag not in VOID:
            self.here = made

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.here.tag == tag, f"</{tag}> closes <{self.here.tag}>"
        assert self.here.parent is not None
        self.here = self.here.parent

    def handle_data(self, data: str) -> None:
        node: Element | None = self.here
        while node is not None:
            node.said.append(data)
            node = node.parent


def parsed(page: str) -> Element:
    """The page; fails where an element is not closed in its order."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.here is reader.root, f"<{reader.here.tag}> is not closed"
    return reader.root


def asked_for(root: Element) -> list[str]:
    """Everything that a browser would fetch or run besides the page: addresses, handlers, styles on elements."""
    found: list[str] = []
    for element in root.all():
        for name, value in element.attributes.items():
            is_address = name in ASKING and not value.startswith(("#", "data:"))
            if is_address or name.startswith("on") or name in ("style", "xlink:href"):
                found.append(f"{element.tag} {name}={value}")
        if element.tag == "style":
            found += re.findall(r"url\([^)]*\)|@import[^;]*", element.text)
        if element.tag == "script":
            found += re.findall(
                r"https?:[^\s\"']*|\beval\b|\bFunction\b|\bfetch\b|XMLHttpRequest|innerHTML", element.text
            )
        if element.tag in ("iframe", "object", "embed", "img", "video", "audio", "base"):
            found.append(element.tag)
    return found


def allowed(root: Element) -> dict[str, list[str]]:
    """The policy of the page, by directive."""
    (meta,) = (one for one in root.all("meta") if one.attributes.get("http-equiv") == "Content-Security-Policy")
    parts = (part.split() for part in meta.attributes["content"].split(";"))
    return {words[0]: words[1:] for words in parts if words}


def hash_of(text: str) -> str:
    """As a policy names what it lets run."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
