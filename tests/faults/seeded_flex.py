"""Changing what Interactive Brokers tells: single elements of a Flex answer, everything else as it was written."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from xml.etree import ElementTree as ET

Where = Callable[[ET.Element], bool]


class NoPlaceError(LookupError):
    """These days hold nothing that such a fault could befall."""


class Statements:
    """An answer of the Flex Web Service as elements; changed in place."""

    def __init__(self, content: bytes) -> None:
        self.root = ET.fromstring(content)
        self.cut: int | None = None
        """How many bytes arrive, where not all do."""

    def content(self) -> bytes:
        """The answer as it is told now."""
        return ET.tostring(self.root, encoding="utf-8")[: self.cut]

    def all(self) -> Iterator[ET.Element]:
        """Every statement."""
        return self.root.iter("FlexStatement")

    def rows(self, tag: str, where: Where | None = None, /, **told: str) -> list[ET.Element]:
        """Elements of this name with these values, in the order in which they are told."""
        found = (row for row in self.root.iter(tag) if all(row.get(name) == value for name, value in told.items()))
        return [row for row in found if where is None or where(row)]

    def one(self, dice: Random, tag: str, where: Where | None = None, /, **told: str) -> ET.Element:
        """Any of these elements; NoPlaceError where there is none."""
        return any_of(dice, self.rows(tag, where, **told))

    def statement_of(self, row: ET.Element) -> ET.Element:
        """The statement that tells a row."""
        return next(one for one in self.all() if any(inner is row for inner in one.iter()))

    def parent_of(self, row: ET.Element) -> ET.Element:
        """The section that holds a row."""
        return next(section for section in self.root.iter() if any(inner is row for inner in section))

    def day_of(self, row: ET.Element) -> date:
        """The last day of the statement that tells a row."""
        return day(self.statement_of(row).get("toDate", ""))

    def remove(self, *rows: ET.Element) -> None:
        """Leave rows out."""
        for row in rows:
            self.parent_of(row).remove(row)

    def twin(self, row: ET.Element, **changes: str) -> ET.Element:
        """A copy of a row behind it, with other values."""
        section, copy = self.parent_of(row), deepcopy(row)
        copy.attrib.update(changes)
        section.insert(list(section).index(row) + 1, copy)
        return copy

    def statement(self, account: str, on: date) -> ET.Element:
        """The statement of an account that ends on a day."""
        written = f"{on:%Y%m%d}"
        return next(one for one in self.all() if (one.get("accountId"), one.get("toDate")) == (account, written))

    def lots_of(self, trade: ET.Element) -> list[ET.Element]:
        """The closed lots that are told behind an execution."""
        section = list(self.parent_of(trade))
        behind = section[section.index(trade) + 1 :]
        ends = next((place for place, row in enumerate(behind) if row.tag != "Lot"), len(behind))
        return behind[:ends]


def any_of(dice: Random, rows: list[ET.Element]) -> ET.Element:
    """Any of these; NoPlaceError where there is none."""
    if not rows:
        raise NoPlaceError
    return dice.choice(rows)


def day(text: str) -> date:
    """A day as statements write it."""
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


def written(on: date) -> str:
    """A day as statements write it."""
    return f"{on:%Y%m%d}"


def amount(row: ET.Element, name: str) -> Decimal:
    """The number of an attribute."""
    return Decimal(row.get(name) or 0)


def put(row: ET.Element, **values: object) -> None:
    """Other values of a row; numbers are written plainly."""
    for name, value in values.items():
        row.set(name, f"{value:f}" if isinstance(value, Decimal) else str(value))


def later(moment: str, **step: int) -> str:
    """A moment of a statement, moved."""
    return f"{datetime.strptime(moment, '%Y%m%d;%H%M%S') + timedelta(**step):%Y%m%d;%H%M%S}"  # noqa: DTZ007 - New York's
