"""What is measured of risk, and the limits that a person sets: a warning and a breach of a metric. Pure.

A limit as text: `drawdown=0.1:0.2` warns at 0.1 and is breached at 0.2; `drawdown=0.1:` only warns, `drawdown=:0.2` is
only breached. Several stand behind each other with commas.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from enum import StrEnum

from apex_pipeline.errors import ConfigError


class RiskMetric(StrEnum):
    """A figure of risk of an account, or of all accounts; `domain.risk` says how each one is measured."""

    GROSS_EXPOSURE = "gross_exposure"
    NET_EXPOSURE = "net_exposure"
    LONG_EXPOSURE = "long_exposure"
    SHORT_EXPOSURE = "short_exposure"
    CONCENTRATION = "concentration"
    MARGIN_USED = "margin_used"
    CASH_SHARE = "cash_share"
    DRAWDOWN = "drawdown"
    POSITION_COUNT = "position_count"


LESS_IS_WORSE = frozenset({RiskMetric.CASH_SHARE})
"""Metrics that pass a limit downwards."""

SIZED = frozenset({RiskMetric.NET_EXPOSURE, RiskMetric.DRAWDOWN})
"""Metrics of which the size counts: a book that is short by 1.5 is as exposed as one that is long by it, and a drawdown
of 10 % is written as 0.1 by some and as -0.1 by others."""

LEVELS = ("warning", "breach")


@dataclass(frozen=True, slots=True)
class RiskLimit:
    """A limit of one metric, in its unit; None for a level that is never reached. Reached is passed."""

    metric: RiskMetric
    warning: Decimal | None = None
    breach: Decimal | None = None

    def __str__(self) -> str:
        warning, breach = ("" if level is None else f"{level:f}" for level in (self.warning, self.breach))
        return f"{self.metric}={warning}:{breach}"


def limit_of(metric: str, levels: Mapping[str, str | None]) -> RiskLimit:
    """The limit that `warning` and `breach` tell as text; ConfigError for what cannot be meant."""
    if metric not in list(RiskMetric):
        raise ConfigError(f"risk.limits has no metric {metric!r}; the nearest known one is {nearest(metric)!r}")
    known = RiskMetric(metric)
    warning, breach = (_level(known, name, levels.get(name)) for name in LEVELS)
    if warning is None and breach is None:
        raise ConfigError(f"the limit of {metric} tells neither warning nor breach")
    if warning is not None and breach is not None and _is_worse(known, warning, breach):
        order = "below" if known in LESS_IS_WORSE else "above"
        raise ConfigError(f"the warning of {metric}, {warning:f}, is {order} its breach, {breach:f}: exchange the two")
    return RiskLimit(known, warning, breach)


def risk_limits(text: str) -> tuple[RiskLimit, ...]:
    """The limits that a text tells, in the order of the metrics; ConfigError for what cannot be meant."""
    found: dict[RiskMetric, RiskLimit] = {}
    for item in filter(None, map(str.strip, text.split(","))):
        metric, equals, levels = item.partition("=")
        warning, colon, breach = levels.partition(":")
        if not equals or not colon:
            raise ConfigError(f"the limit {item!r} cannot be read; write it as drawdown=0.1:0.2 (warning:breach)")
        limit = limit_of(metric.strip(), {"warning": warning.strip() or None, "breach": breach.strip() or None})
        if limit.metric in found:
            raise ConfigError(f"the limit of {limit.metric} is told twice")
        found[limit.metric] = limit
    return tuple(found[metric] for metric in RiskMetric if metric in found)


def limits_text(limits: Iterable[RiskLimit]) -> str:
    """The text that `risk_limits` reads as these."""
    return ",".join(map(str, limits))


def nearest(metric: str) -> str:
    """The known metric whose name is most like this one."""
    return get_close_matches(metric, [one.value for one in RiskMetric], n=1, cutoff=0.0)[0]


def _is_worse(metric: RiskMetric, one: Decimal, other: Decimal) -> bool:
    return one < other if metric in LESS_IS_WORSE else one > other


def _level(metric: RiskMetric, name: str, text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    value = abs(value) if metric in SIZED else value
    if not value.is_finite() or (value <= 0 and metric not in LESS_IS_WORSE):
        what = "a number" if metric in LESS_IS_WORSE else "a number above 0"
        raise ConfigError(f"the {name} of {metric} is {text!r}; it must be {what}, such as 0.25 for 25 %")
    return value
