"""Where a database is and how many connections it gets, of whatever a caller has: settings, a URL, a mapping."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

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


def place_of(config: str | Settings | Mapping[str, Any]) -> Place:
    """The place that a URL, settings, or a mapping with the keys of `database:` in apex.yaml name; else ConfigError."""
    if isinstance(config, Settings):
        return Place(_checked(config.database_url), config.pool)
    if isinstance(config, str):
        return Place(_checked(config), PoolSettings())
    return _of_mapping(config["database"] if isinstance(config.get("database"), Mapping) else config)


def _of_mapping(told: Mapping[str, Any]) -> Place:
    pool: Mapping[str, Any] = told.get("pool") or {}
    _require_known("database", told, _KNOWN)
    _require_known("database.pool", pool, _BOUNDS)
    parts = {name: str(told[name]) for name in _PARTS if told.get(name) is not None}
    bounds = {name: text for name, text in {**told, **pool}.items() if text is not None}
    default = PoolSettings()
    least, most = (_bound(name, bounds.get(name, getattr(default, name))) for name in _BOUNDS)
    return Place(_checked(database_url(parts)), pool_settings(least, most))


def _require_known(where: str, told: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in told:
        if key not in known:
            nearest = get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise ConfigError(f"{where} has an unknown key {key!r}; the nearest known one is {nearest!r}")


def _bound(name: str, told: Any) -> int:
    try:
        return int(told)
    except (TypeError, ValueError):
        raise ConfigError(f"{name} is {told!r}; it must be a whole number") from None


def _checked(url: str | None) -> str:
    if not url:
        raise ConfigError("no database is told: set APEX_DATABASE_URL, or database.url in apex.yaml")
    if not url.startswith(("postgresql://", "postgres://")):
        raise ConfigError("APEX_DATABASE_URL must begin with postgresql:// (unset it to use the embedded PostgreSQL)")
    return url
