"""Values as PostgreSQL reads them in text: the lines of COPY, the JSON of a jsonb column.

Here: how one value is written, so that it comes back equal (Decimals exact, NULL and an empty text apart).
Not here: which table or column it goes to, which is in `db`.
"""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import simplejson

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\N{REPLACEMENT CHARACTER}"})
_ESCAPED = re.compile(r"[\\\t\n\r\0]")


def is_of_numpy(value: Any) -> bool:
    """Whether a value is a number or an array of numpy, which `item` and `tolist` turn into Python's own."""
    return hasattr(value, "dtype") and hasattr(value, "tolist")


def require_zone(value: Any) -> Any:
    """The value; ValueError for an instant without a zone, which the server would take for one of UTC."""
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError(f"the instant {value} needs a zone: tell datetime.now(UTC), for example")
    return value


def copy_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> tuple[io.StringIO, int]:
    """Rows in COPY's text format, where NULL and an empty text stay different."""
    lines = ["\t".join(_field(row[column]) for column in columns) for row in rows]
    return io.StringIO("".join(f"{line}\n" for line in lines)), len(lines)


def _field(value: Any) -> str:
    match value:
        case None:
            return "\\N"
        case Enum():
            return _escaped(str(value.value))
        case dict() | list():
            return _escaped(to_json(value))
        case Decimal():
            return format(value, "f")
        case datetime() | date():
            return require_zone(value).isoformat()
        case bool():
            return "t" if value else "f"
        case bytes():
            return "\\\\x" + value.hex()
        case _:
            return _escaped(str(value))


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES) if _ESCAPED.search(text) else text


def to_json(value: Any) -> str:
    """JSON for a jsonb column: Decimals exact, and NUL (which jsonb cannot hold) made visible.

    The exact bytes stay in `raw_documents`, so nothing is lost by the replacement.
    """
    text = simplejson.dumps(value, use_decimal=True, default=_plain, separators=(",", ":"))
    return text.replace("\\u0000", "\\ufffd")


def _plain(value: Any) -> Any:
    if is_of_numpy(value):
        return value.tolist()
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")
