"""The file `apex.yaml`: its keys and values as texts, with `${NAME}` replaced, named by their variables.

Every value is read by its text, so that 0.1 is 0.1 and an account number keeps its zeros.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import yaml

from apex_pipeline.configuration.names import FILE_KEYS, RISK_LIMITS
from apex_pipeline.domain.risk_limits import LEVELS, RiskMetric, limit_of, limits_text
from apex_pipeline.errors import ConfigError

_LIMITS = "risk.limits."
_LIMIT_KEYS = tuple(f"{_LIMITS}{metric}.{level}" for metric in RiskMetric for level in LEVELS)
_AS_WRITTEN = ("int", "float", "timestamp")


class _Texts(yaml.SafeLoader):
    """Numbers and dates stay as they are written."""


_Texts.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in some if tag.rsplit(":", 1)[-1] not in _AS_WRITTEN]
    for first, some in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def file_values(path: Path, env: Mapping[str, str]) -> dict[str, str]:
    """What the file tells, by the variable that means the same; empty without a file. Raises ConfigError."""
    if not path.is_file():
        return {}
    flat = _flattened(_document(path))
    for key, value in flat.items():
        if value is not None or not _is_section(key):
            _require_known(path.name, key)
    told = {key: _expanded(path.name, str(value), env) for key, value in flat.items() if value is not None}
    limits = {key: told.pop(key) for key in _LIMIT_KEYS if key in told}
    values = {FILE_KEYS[key]: text for key, text in told.items()}
    return values | ({RISK_LIMITS: _limits_text(limits)} if limits else {})


def _document(path: Path) -> dict[str, Any]:
    try:
        document: Any = yaml.load(path.read_text("utf-8"), _Texts) or {}  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path.name} is not valid YAML{where}: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path.name} cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path.name} must hold keys and values")
    return cast("dict[str, Any]", document)


def _flattened(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in document.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat |= _flattened(cast("dict[str, Any]", value), f"{name}.")
        else:
            flat[name] = ",".join(map(str, cast("list[Any]", value))) if isinstance(value, list) else value
    return flat


def _require_known(file: str, key: str) -> None:
    known = (*FILE_KEYS, *_LIMIT_KEYS)
    if key not in known:
        nearest = get_close_matches(key, known, n=1, cutoff=0.0)[0]
        raise ConfigError(f"{file} has an unknown key {key!r}; the nearest known one is {nearest!r}")


def _is_section(key: str) -> bool:
    """Whether known keys begin with this one; a section without any of them tells nothing."""
    return any(known.startswith(f"{key}.") for known in (*FILE_KEYS, *_LIMIT_KEYS))


def _limits_text(told: Mapping[str, str]) -> str:
    metrics = dict.fromkeys(key.removeprefix(_LIMITS).partition(".")[0] for key in told)
    levels = {metric: {level: told.get(f"{_LIMITS}{metric}.{level}") for level in LEVELS} for metric in metrics}
    return limits_text(limit_of(metric, some) for metric, some in levels.items())


def _expanded(file: str, text: str, env: Mapping[str, str]) -> str:
    def read(match: re.Match[str]) -> str:
        if match[1] not in env:
            raise ConfigError(f"{file} refers to ${{{match[1]}}}, which is not set in the environment")
        return env[match[1]]

    return re.sub(r"\$\{(\w+)\}", read, text)
