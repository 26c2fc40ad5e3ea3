"""One text for equal contents: what names a row by what it says, whoever says it and in whatever order. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

_DIGITS = 32


def fingerprint_of(*parts: Any) -> str:
    """32 hexadecimal digits that equal contents share, whatever the order of keys.

    1, 1.0 and Decimal("1.00") are equal, and so is an instant in two zones. Parts are values of JSON, numbers of any
    kind, dates, instants, enumerations; TypeError for others, ValueError for numbers that are none.
    """
    return hashlib.sha256(canonical(parts).encode()).hexdigest()[:_DIGITS]


def canonical(value: Any) -> str:
    """JSON whose keys are sorted and whose numbers are written in one way."""
    match value:
        case None | bool():
            return json.dumps(value)
        case Enum():
            return canonical(value.value)
        case str():
            return json.dumps(value)
        case int() | float() | Decimal():
            return _number(Decimal(str(value)))
        case datetime():
            return json.dumps((value.astimezone(UTC) if value.tzinfo else value).isoformat())
        case date():
            return json.dumps(value.isoformat())
        case Mapping():
            pairs = sorted((json.dumps(str(key)), canonical(one)) for key, one in value.items())
            return "{" + ",".join(f"{key}:{one}" for key, one in pairs) + "}"
        case Sequence() if not isinstance(value, (bytes, bytearray)):
            return "[" + ",".join(map(canonical, value)) + "]"
        case _:
            raise TypeError(f"a {type(value).__name__} has no fingerprint")


def _number(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError(f"{value} is no number that can be compared")
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
