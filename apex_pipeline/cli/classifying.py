"""Names the strategies of a file of orders and fills: no database, no broker, no settings."""

import json
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from apex_pipeline.domain.strategies.order_file import UnreadableFile, classify_file
from apex_pipeline.errors import ConfigError

STDIN = Path("-")


def classify(source: Path, target: Path | None) -> None:
    """Read `source` (`-`: standard input) and write the predictions to `target`, else to standard output.

    ConfigError names what cannot be read or written; nothing is written then.
    """
    if target is not None and (target.is_dir() or not target.parent.is_dir()):
        raise ConfigError(f"--out {target}: not a file in a folder that exists")
    content = _content(source)
    try:
        told = classify_file(content)
    except UnreadableFile as error:
        raise ConfigError(f"{_name(source)}: {' '.join(str(error).split())}") from error
    _write(_text(told), target)


def _content(source: Path) -> dict[str, Any]:
    name = _name(source)
    try:
        text = (sys.stdin.buffer.read() if source == STDIN else source.read_bytes()).decode("utf-8-sig")
        content: object = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except OSError as error:
        raise ConfigError(f"{name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name} is no text in UTF-8") from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"{name} is no JSON: {error.msg} in line {error.lineno}, column {error.colno}") from error
    except (ValueError, RecursionError) as error:  # a number that is none, or longer than Python reads; endless nesting
        raise ConfigError(f"{name} is no JSON that can be read: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{name} must hold one JSON object with a list of orders under 'orders'")
    return content


def _text(told: Mapping[str, Any]) -> str:
    """JSON with one order per line, which is ten times faster than indenting a year and as easy to read."""
    rows = ",\n".join(f"    {json.dumps(uid)}: {json.dumps(said)}" for uid, said in told["predictions"].items())
    version = json.dumps(told["classifier_version"])
    return f'{{\n  "classifier_version": {version},\n  "predictions": {{\n{rows}\n  }}\n}}\n'


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is not a number")


def _write(text: str, target: Path | None) -> None:
    if target is None:
        sys.stdout.write(text)
        return
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}") from error


def _name(source: Path) -> str:
    return "standard input" if source == STDIN else str(source)
