"""Values of one row of a JSON file; ValueError says in one line what is wrong with which column.

A column that is absent and one that is null are the same: unknown.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

_Value = TypeVar("_Value")

Row = Mapping[str, Any]

_LARGEST, _SMALLEST = Decimal(10) ** 15, Decimal(10) ** -12
"""What lies outside is a mistake, and would make whole numbers of absurd length."""


def text_of(row: Row, column: str) -> str:
    """An identity or name: text, or a whole number told as one; never empty."""
    value = row.get(column)
    if value is None or value == "":
        raise ValueError(f"{column} is missing")
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{column} is {str(value)[:40]}, neither text nor a whole number")


def choice_of(row: Row, column: str, names: Iterable[str], usual: str | None = None) -> str:
    """One of these names, whatever its case; `usual` where the row is silent."""
    value = required(usual if row.get(column) is None else row[column], column)
    name = str(value).upper()
    if name not in names:
        raise ValueError(f"{column} is {' or '.join(names)}, not {str(value)[:40]!r}")
    return name


def required(value: _Value | None, column: str) -> _Value:
    """The value of a column that a row cannot do without."""
    if value is None:
        raise ValueError(f"{column} is missing")
    return value


def date_of(row: Row, column: str) -> date:
    """A date; what follows its ten characters is not looked at."""
    value = text_of(row, column)
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        raise ValueError(f"{column} is {value[:40]!r}; it must be a date like 2026-01-31") from None


def instant_of(row: Row, column: str) -> datetime | None:
    """An instant in UTC; the text must name its zone."""
    value = row.get(column)
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(text_of(row, column))
        told = at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{column} is {str(value)[:40]!r}; it must be a time like 2026-01-31T14:30:00Z") from None
    if at.tzinfo is None:
        raise ValueError(f"{column} is {value}, which has no zone")
    return told


def unsigned_of(row: Row, column: str) -> Decimal | None:
    """A number that is not below zero."""
    number = number_of(row, column)
    if number is not None and number < 0:
        raise ValueError(f"{column} is {number}, below zero")
    return number


def number_of(row: Row, column: str) -> Decimal | None:
    """A number of either sign, told as a number or as text."""
    value = row.get(column)
    if value is None:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{column} is {str(value)[:40]!r}, no number") from None
    if not number.is_finite() or (number and not _SMALLEST <= abs(number) <= _LARGEST):
        raise ValueError(f"{column} is {str(value)[:40]}, no number that a contract can have")
    return number
