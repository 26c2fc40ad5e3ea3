"""Cases of public references, read from two JSON files: single groups with their name, books with their partition.

Legs are written `+2C102.5@2024-02-16`: signed contracts, C or P, strike, expiry; without a date the case's own
expiry holds. `-490S` is stock in shares (or futures), which one `lot` of an option turns into lots. The label is
the reference's word; `expected` is the catalogue's id, judged by the legs and never taken from the label alone.
A case is `disputed`, with the reason, where label and legs or two references do not agree.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from apex_pipeline.domain.models import OptionRight
from apex_pipeline.domain.strategies.shapes import ShapeLeg

HERE = Path(__file__).parent
LEG = re.compile(r"(?P<qty>[+-]\d+)(?P<right>[CPS])(?P<strike>\d+(?:\.\d+)?)?(?:@(?P<expiry>\d{4}-\d\d-\d\d))?")


@dataclass(frozen=True, slots=True)
class Source:
    """Where cases come from. `repository` is None where the public index names none."""

    key: str
    repository: str | None
    path: str
    kind: str
    note: str | None


@dataclass(frozen=True, slots=True)
class GroupCase:
    """Legs that belong together, and their name; `expected` None means that no shape of the catalogue holds.

    `context_of` is a shape whose required context holds here. `units` is None where it is not of interest.
    """

    source: str
    label: str
    legs: tuple[ShapeLeg, ...]
    expected: str | None
    units: int | None
    context_of: str | None
    disputed: str | None


@dataclass(frozen=True, slots=True)
class Group:
    """One group of a partition: its name (None: no shape), how many units, and all of its legs."""

    name: str | None
    units: int
    legs: tuple[ShapeLeg, ...]


@dataclass(frozen=True, slots=True)
class BookCase:
    """Positions of one underlying and every partition that the reference accepts.

    `uncovered_shorts` is how many sold contracts any right answer leaves uncovered, None where the case does not
    say. No partition and a number mean that the reference asserts the number alone.
    """

    source: str
    title: str
    positions: tuple[ShapeLeg, ...]
    partitions: tuple[tuple[Group, ...], ...]
    uncovered_shorts: int | None
    disputed: str | None


@cache
def sources() -> Mapping[str, Source]:
    """Every source by its key."""
    found = {**_content("strategy_cases_groups.json")["sources"], **_content("strategy_cases_books.json")["sources"]}
    return {
        key: Source(key, item["repository"], item["path"], item["kind"], item.get("note"))
        for key, item in found.items()
    }


@cache
def group_cases() -> Sequence[GroupCase]:
    """All single groups, disputed ones included."""
    return [
        GroupCase(
            source=row["source"],
            label=row["label"],
            legs=_legs(row["legs"], row),
            expected=row["expected"],
            units=row.get("units"),
            context_of=row.get("context_of"),
            disputed=row.get("disputed"),
        )
        for row in _content("strategy_cases_groups.json")["groups"]
    ]


@cache
def book_cases() -> Sequence[BookCase]:
    """All books of positions, disputed ones included."""
    return [
        BookCase(
            source=row["source"],
            title=row["title"],
            positions=_legs(row["positions"], row),
            partitions=tuple(tuple(_group(text, row) for text in groups) for groups in row["partitions"]),
            uncovered_shorts=row.get("uncovered_shorts"),
            disputed=row.get("disputed"),
        )
        for row in _content("strategy_cases_books.json")["books"]
    ]


def _content(name: str) -> dict[str, Any]:
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def _group(text: str, row: Mapping[str, Any]) -> Group:
    """`IRON_CONDOR*2: +2P90 …`; the name `-` means that no shape holds."""
    head, legs = text.split(": ")
    name, _, units = head.partition("*")
    return Group(None if name == "-" else name, int(units or 1), _legs(legs, row))


def _legs(text: str, row: Mapping[str, Any]) -> tuple[ShapeLeg, ...]:
    return tuple(leg(word, row["expiry"], Decimal(row.get("lot", "100"))) for word in text.split())


def leg(text: str, expiry: str, lot: Decimal) -> ShapeLeg:
    """One leg as it is written in the files; ValueError if it cannot be read."""
    found = LEG.fullmatch(text)
    if found is None or (found["right"] == "S") != (found["strike"] is None):
        raise ValueError(f"a leg that cannot be read: {text}")
    qty = Decimal(found["qty"])
    if found["right"] == "S":
        return ShapeLeg(qty / lot)
    day = date.fromisoformat(found["expiry"] or expiry)
    return ShapeLeg(qty, OptionRight(found["right"]), Decimal(found["strike"]), day)
