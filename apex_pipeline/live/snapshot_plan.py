"""When snapshots are taken and how long they are kept, of whatever a caller has: settings, a mapping, or nothing."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, cast

from apex_pipeline.errors import ConfigError
from apex_pipeline.settings import SnapshotSettings

USUAL = SnapshotSettings()
KEYS = tuple(field.name for field in fields(SnapshotSettings))
"""What `snapshots:` of apex.yaml may hold."""


@dataclass(frozen=True, slots=True)
class SnapshotPlan:
    """Seconds between the captures of each kind by an engine, and by the pipeline itself; days that are kept."""

    enabled: bool
    positions: float
    accounts: float
    risk: float
    pipeline: float
    capture_on_shutdown: bool
    retention_days: float


def plan_of(config: Any = None) -> SnapshotPlan:
    """The plan that settings, their `snapshots`, or a mapping of its keys tell; ConfigError for what cannot be meant.

    A mapping that tells `interval_seconds` alone means it for every kind; the default of a kind is a minute.
    """
    told = _told(config)
    each = told.get("interval_seconds") if isinstance(config, Mapping) else None
    return SnapshotPlan(
        enabled=_is_so(told, "enabled"),
        positions=_positive(told, "position_interval_sec", each or USUAL.position_interval_sec),
        accounts=_positive(told, "account_interval_sec", each or USUAL.account_interval_sec),
        risk=_positive(told, "risk_interval_sec", each or USUAL.risk_interval_sec),
        pipeline=_positive(told, "interval_seconds", USUAL.interval_seconds),
        capture_on_shutdown=_is_so(told, "capture_on_shutdown"),
        retention_days=_positive(told, "retention_days", USUAL.retention_days),
    )


def _told(config: Any) -> dict[str, Any]:
    """The keys that are told, by name."""
    if isinstance(config, Mapping):
        given = cast("Mapping[str, Any]", config)
        inner = given.get("snapshots", given)
        if not isinstance(inner, Mapping):
            return _attributes(inner)
        told = cast("Mapping[str, Any]", inner)
        for key in told:
            if key not in KEYS:
                nearest = get_close_matches(str(key), KEYS, n=1, cutoff=0.0)[0]
                raise ConfigError(f"snapshots has an unknown key {key!r}; the nearest known one is {nearest!r}")
        return {name: value for name, value in told.items() if value is not None}
    return _attributes(getattr(config, "snapshots", config))


def _attributes(of: Any) -> dict[str, Any]:
    return {name: value for name in KEYS if (value := getattr(of, name, None)) is not None}


def _is_so(told: Mapping[str, Any], name: str) -> bool:
    value = told.get(name, getattr(USUAL, name))
    word = str(value).strip().lower()
    if word not in ("true", "false", "1", "0", "yes", "no", "on", "off"):
        raise ConfigError(f"snapshots.{name} is {value!r}; it is true or false")
    return word in ("true", "1", "yes", "on")


def _positive(told: Mapping[str, Any], name: str, default: Any) -> float:
    value = told.get(name, default)
    try:
        number = -1.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 < number < math.inf:
        raise ConfigError(f"snapshots.{name} is {value!r}; it must be a number above 0")
    return number
