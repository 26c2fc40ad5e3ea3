"""Where a database is and how many connections it gets, of whatever a caller has: settings, a URL, a mapping."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, cast

from apex_pipeline.errors import ConfigError
from apex_pipeline.settings import PoolSettings, Settings, database_url, pool_settings

_PARTS = ("url", "host", "port", "database", "user", "password")
_BOUNDS = ("min_connections", "max_connections")
_KNOWN = (*_PARTS, *_BOUNDS, "pool", "timescale", "dagster_url")


@dataclass(frozen=True, slots=True)
class Place:
    """A URL of PostgreSQL, and the bounds of the pool."""

    url: str
    pool: PoolSettings


def place_of(config: object) -> Place:
    """The place that a URL, settings, or a mapping with the keys of `database:` in apex.yaml name; else ConfigError."""
    match config:
        case Settings():
            return Place(_checked(config.database_url), config.pool)
        case str():
            return Place(_checked(config), PoolSettings())
        case Mapping():
            told = cast("Mapping[str, Any]", config)
            return _of_mapping(told["database"] if isinstance(told.get("database"), Mapping) else told)
        case _:
            raise ConfigError(f"a database is told by a URL, settings or a mapping, not by a {type(config).__name__}")


def _of_mapping(told: Mapping[str, Any]) -> Place:
    pool = told.get("pool") or {}
    if not isinstance(pool, Mapping):
        raise ConfigError(f"database.pool holds {' and '.join(_BOUNDS)}, not {pool!r}")
    _require_known("database", told, _KNOWN)
    _require_known("database.pool", pool, _BOUNDS)
    parts = {name: str(told[name]) for name in _PARTS if told.get(name) is not None}
    bounds = {name: value for part in (told, pool) for name, value in part.items() if value is not None}
    least, most = (_whole(name, bounds.get(name, getattr(PoolSettings(), name))) for name in _BOUNDS)
    if "max_connections" in bounds and "min_connections" not in bounds:
        least = min(least, most)
    return Place(_checked(database_url(parts)), pool_settings(least, most))


def _require_known(where: str, told: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in told:
        if key not in known:
            nearest = get_close_matches(str(key), known, n=1, cutoff=0.0)[0]
            raise ConfigError(f"{where} has an unknown key {key!r}; the nearest known one is {nearest!r}")


def _whole(name: str, value: Any) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise ConfigError(f"database.pool.{name} must be a whole number, not {value!r}") from None


def _checked(url: str | None) -> str:
    if not url:
        raise ConfigError("no database is told: set APEX_DATABASE_URL, or database.url in apex.yaml")
    if not url.startswith(("postgresql://", "postgres://")):
        raise ConfigError("APEX_DATABASE_URL must begin with postgresql:// (unset it to use the embedded PostgreSQL)")
    return url
