"""Prints where a row comes from: what it was made of, down to the bytes received."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from apex_pipeline.cli.console import line
from apex_pipeline.cli.opening import Opened
from apex_pipeline.errors import ConfigError
from apex_pipeline.store.copy_text import to_json
from apex_pipeline.store.repositories.lineage import LineageRepository, Origin

_TOLD_ABOVE = frozenset({"account_id", "broker", "content", "payload", "excerpt", "evidence", "alternatives"})
_INDENT = "    "
LONGEST = 300
"""Characters of one value in the text for people."""


def why(found: Opened, name: str) -> list[Origin]:
    """The rows of this name with their origins; raises ConfigError if no table holds it."""
    origins = LineageRepository(found.db).origins(name)
    if not origins:
        raise ConfigError(
            f"no row is called {name[:80]!r}: give the uid of a row, or TABLE/KEY/… "
            "as in positions_daily/2026-01-02/U123/265598"
        )
    return origins


def tell(origins: Sequence[Origin]) -> None:
    """Print the trees for a person."""
    for origin in origins:
        for text in _lines(origin, 0):
            line(text)


def as_json(origins: Sequence[Origin]) -> list[dict[str, Any]]:
    """The trees for a program."""
    return [_as_json(origin) for origin in origins]


def _as_json(origin: Origin) -> dict[str, Any]:
    return {
        "table": origin.table,
        "key": origin.key,
        "row": origin.row,
        "made_of": as_json(origin.made_of),
        "not_shown": bool(origin.more),
    }


def _lines(origin: Origin, depth: int) -> Iterator[str]:
    indent = _INDENT * depth
    yield f"{indent}{origin.table}  {origin.key}"
    yield f"{indent}  {_values(origin.row)}"
    if "payload" in origin.row:
        yield f"{indent}  payload: {_readable(to_json(origin.row['payload']))}"
    if "excerpt" in origin.row:
        yield f"{indent}  excerpt: {_readable(str(origin.row['excerpt']))}"
    for each in origin.made_of:
        yield from _lines(each, depth + 1)
    if origin.more:
        yield f"{indent}{_INDENT}… and more rows"


def _values(row: Mapping[str, Any]) -> str:
    told = {name: value for name, value in row.items() if value is not None and name not in _TOLD_ABOVE}
    return "  ".join(f"{name}={_value(value)}" for name, value in told.items())


def _value(value: Any) -> str:
    """A value in one line; what is long, such as a request for many orders, is cut (`--json` has it whole)."""
    text = _readable(to_json(value) if isinstance(value, (dict, list)) else str(value))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _readable(text: str) -> str:
    """Bytes that were received may be anything: what a terminal would obey instead of show becomes a dot."""
    return "".join(character if character.isprintable() else "·" for character in text)
