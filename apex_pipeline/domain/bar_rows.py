"""Bars as engines and notebooks tell them: rows by column name, made exact. Pure.

A float becomes the decimal number that it prints as, which is what its vendor wrote; text, int and Decimal stay exact.
What is not told has a default: the exchange of the symbol, regular hours, prices as traded, unknown volume.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from enum import Enum
from numbers import Integral, Real
from typing import Any

from apex_pipeline.domain.market import Adjustment, Bar, BarSession

TOLD_BY_AN_ENGINE = "ENGINE"
"""The source of bars that do not tell one."""

_COLUMNS = tuple(field.name for field in fields(Bar))
_PRICES = ("open", "high", "low", "close")
_NOTHING_OF_PANDAS = frozenset({"NAType", "NaTType"})
"""By name: rows may come from pandas, and need not."""

_REQUIRED = ("symbol", "timeframe", "opened_at", *_PRICES)


def bars_of(rows: Any) -> Iterable[Bar]:
    """Bars of Bar objects, of mappings by column name, or of a data frame; raises ValueError for what is none."""
    if hasattr(rows, "to_dict") and not isinstance(rows, Mapping):
        rows = rows.to_dict("records")
    return map(bar_of, rows)


def bar_of(row: Bar | Mapping[str, Any]) -> Bar:
    """One bar; raises ValueError that names the column and what is wrong with it."""
    told = _as_told(row)
    _refuse_others(told)
    prices = {name: _number(name, told[name]) for name in _PRICES}
    volume = told.get("volume")
    return Bar(
        symbol=_text("symbol", told["symbol"]),
        timeframe=_text("timeframe", told["timeframe"]),
        opened_at=_instant(told["opened_at"]),
        exchange=None if _is_unknown(told.get("exchange")) else _text("exchange", told["exchange"]),
        volume=None if _is_unknown(volume) else _number("volume", volume),
        session=_word(BarSession, told.get("session"), BarSession.REGULAR),
        adjustment=_word(Adjustment, told.get("adjustment"), Adjustment.NONE),
        source=TOLD_BY_AN_ENGINE if _is_unknown(told.get("source")) else _text("source", told["source"]),
        **prices,
    )


def _as_told(row: Any) -> Mapping[str, Any]:
    """A row by its column names."""
    match row:
        case Bar():
            return {name: getattr(row, name) for name in _COLUMNS}
        case Mapping():
            return row  # pyright: ignore[reportUnknownVariableType] - its names are looked at next
        case _:
            raise ValueError(f"a bar is a Bar or a mapping by column name, not {type(row).__name__}")


def _refuse_others(told: Mapping[str, Any]) -> None:
    for name in told:
        if name not in _COLUMNS:
            nearest = get_close_matches(str(name), _COLUMNS, n=1, cutoff=0.0)[0]
            raise ValueError(f"a bar has no column {name!r}; the nearest is {nearest!r}")
    lacking = [name for name in _REQUIRED if _is_unknown(told.get(name))]
    if lacking:
        raise ValueError(f"a bar needs {', '.join(lacking)}; it is told by {', '.join(map(str, told)) or 'nothing'}")


def _is_unknown(value: Any) -> bool:
    """Whether a value is none: None, NaN, or what a data frame has in its place."""
    if value is None or type(value).__name__ in _NOTHING_OF_PANDAS:
        return True
    return isinstance(value, Real) and value != value  # noqa: PLR0124 - only NaN differs from itself


def _number(name: str, value: Any) -> Decimal:
    number = _decimal(value)
    if number is None or not number.is_finite():
        raise ValueError(f"{name} of a bar is a number, not {value!r}")
    return number


def _decimal(value: Any) -> Decimal | None:
    """A number as the decimal that it prints as; None for what is no number."""
    match value:
        case bool():
            return None
        case Decimal():
            return value
        case Integral():
            return Decimal(int(value))
        case float() | str():
            return _read(str(value))
        case Real():  # a shorter float (numpy's float32) prints fewer digits than it has as a float
            return _read(str(value)) or Decimal(repr(float(value)))
        case _:
            return None


def _read(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _text(name: str, value: Any) -> str:
    text = value.value if isinstance(value, Enum) else value
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{name} of a bar is a text, not {value!r}")
    return text


def _word(kind: Any, value: Any, otherwise: Any) -> Any:
    if _is_unknown(value):
        return otherwise
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{value!r} is none of {', '.join(kind)}") from None


def _instant(value: Any) -> datetime:
    at = value
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"opened_at of a bar is an instant, not {value!r}") from None
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise ValueError(f"opened_at of a bar is an instant with its zone, such as UTC, not {value!r}")
    return at
