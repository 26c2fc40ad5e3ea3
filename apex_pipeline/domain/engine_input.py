"""What an engine tells of its state, in whatever form it has it, as the rows that are stored.

Numbers may come as Decimal, whole number, text, or as a float (also of numpy), of which the shortest text that means it
is taken: what was written as 52000.1 is stored as 52000.1. Instants must tell their zone.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_type_hints

T = TypeVar("T")


def row_of(cls: type[T], told: T | Mapping[str, Any]) -> T:
    """The row that an engine told, with exact numbers and instants in UTC; ValueError for what cannot be meant."""
    values = told if isinstance(told, Mapping) else {name: getattr(told, name) for name in _kinds(cls)}
    return cls(**_exact_values(cls, values))


def changed(row: T, changes: Mapping[str, Any]) -> T:
    """The row with these changes, taken as above."""
    return replace(row, **_exact_values(type(row), changes))  # pyright: ignore[reportArgumentType, reportCallIssue]


def _exact_values(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    kinds = _kinds(cls)
    for name in values:
        if name not in kinds:
            nearest = get_close_matches(str(name), kinds, n=1, cutoff=0.0)[0]
            raise ValueError(f"{cls.__name__} has no {name!r}; the nearest is {nearest!r}")
    return {name: _exact(name, kinds[name], value) for name, value in values.items()}


def number(name: str, value: Decimal | float | str) -> Decimal:
    """A finite number, exact; ValueError for anything else."""
    try:
        # of a float, also of numpy, the shortest text that means it
        exact = Decimal(value if isinstance(value, (Decimal, int, str)) else str(value))
    except (InvalidOperation, TypeError, ValueError):
        exact = Decimal("NaN")
    if isinstance(value, bool) or not exact.is_finite():
        raise ValueError(f"{name} must be a number, not {value!r}")
    return exact


def instant(name: str, value: datetime | str) -> datetime:
    """An instant in UTC; ValueError for one without a zone."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(f"{name} must be an instant with its zone, not {value!r}") from None
    if not isinstance(at, datetime) or at.tzinfo is None:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"{name} must be an instant with its zone, not {value!r}: datetime.now(UTC), for example")
    return at.astimezone(UTC)


def _exact(name: str, kind: type, value: Any) -> Any:
    if value is None:
        return None
    if kind is Decimal:
        return number(name, value)
    if kind is datetime:
        return instant(name, value)
    if issubclass(kind, Enum):
        return _member(name, kind, value)
    return value


def _member(name: str, kind: type[Enum], value: Any) -> Enum:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(one.value) for one in kind)
        raise ValueError(f"{name} is {value!r}; it is one of {known}") from None


@cache
def _kinds(cls: type) -> Mapping[str, type]:
    """The plain class of each field."""
    hints = get_type_hints(cls)
    return {name: _plain(hints[name]) for name in (f.name for f in fields(cls))}  # pyright: ignore[reportArgumentType]


def _plain(hint: Any) -> type:
    parts = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return next((part for part in parts if isinstance(part, type) and part is not NoneType), object)
