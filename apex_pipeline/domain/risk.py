"""How exposed accounts are: figures of one account and of all together, and which limits they pass. Pure.

Ratios are fractions of what an account is worth (net liquidation): 1.5 is 150 %. Exposure counts every contract at its
market value: options at what they are worth, not at their delta; futures and contracts for difference at price ×
quantity × multiplier. Unknown is None, never 0: a figure with an unknown part is unknown, and says which part.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.performance import WIDE, rounded
from apex_pipeline.domain.results import LIMITS, RiskLevel, RiskSignal
from apex_pipeline.domain.risk_limits import LESS_IS_WORSE, SIZED, RiskLimit, RiskMetric

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Exposed:
    """A contract that is held: `value` is signed (negative is short), in the currency of its book."""

    symbol: str
    underlying: str
    value: Decimal | None


@dataclass(frozen=True, slots=True)
class Margin:
    """Margin in use, and the worth of the account that was told at the same moment, in one currency."""

    used: Decimal
    net_liquidation: Decimal | None
    as_of: datetime


@dataclass(frozen=True, slots=True)
class RiskBook:
    """What is known of an account (its number) or of all accounts (PORTFOLIO) at `as_of`, in one `currency`.

    `origin`: where that comes from, to be shown. `drawdown`: a fraction below the highest point, positive.
    """

    scope: str
    as_of: datetime
    currency: str | None
    net_liquidation: Decimal | None
    cash: Decimal | None
    held: Sequence[Exposed]
    margin: Margin | None = None
    drawdown: Decimal | None = None
    origin: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one book. `missing`: of those that are None, what is not known."""

    scope: str
    as_of: datetime
    metrics: Mapping[RiskMetric, Decimal | None]
    missing: Mapping[RiskMetric, str]
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A limit held against its figure. `level` None: the limit is not passed, or `value` is not known."""

    scope: str
    metric: RiskMetric
    value: Decimal | None
    level: RiskLevel | None
    threshold: Decimal | None
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Steps:
    """What happens to the signals: rows to write. `kept` stand as they are."""

    resolved: list[RiskSignal]
    raised: list[RiskSignal]
    kept: list[RiskSignal]


class _Unknown(Exception):
    """A part of a figure that is not known, in words."""


def measure(book: RiskBook) -> Figures:
    """Every figure of a book."""
    metrics: dict[RiskMetric, Decimal | None] = {}
    missing: dict[RiskMetric, str] = {}
    for metric in RiskMetric:
        try:
            metrics[metric] = _measured(metric, book)
        except _Unknown as unknown:
            metrics[metric] = None
            missing[metric] = str(unknown)
    return Figures(book.scope, book.as_of, metrics, missing, _evidence(book))


def judge(figures: Figures, limits: Iterable[RiskLimit]) -> list[Judgement]:
    """Which of these limits the figures pass; a limit that is reached is passed."""
    return [_judged(figures, limit) for limit in limits]


def follow(standing: Iterable[RiskSignal], judged: Iterable[Judgement], at: Mapping[str, datetime]) -> Steps:
    """What to raise, keep and resolve, given what stands. `at`: when the figures of each scope are of.

    A signal keeps its row while its level and threshold stay. A figure that is not known neither raises nor resolves.
    A signal without a limit any more is resolved; one of a scope that was not measured stays.
    """
    found = {(one.scope, str(one.metric)): one for one in judged}
    steps = Steps([], [], [])
    for signal in standing:
        key = signal.scope, signal.metric
        if signal.scope not in at or (key in found and _stands(signal, found[key])):
            steps.kept.append(signal)
            found.pop(key, None)
        else:
            steps.resolved.append(_resolved(signal, at[signal.scope], found.get(key)))
    for one in found.values():
        if one.level is not None:
            steps.raised.append(_raised(one, at[one.scope]))
    return steps


def _measured(metric: RiskMetric, book: RiskBook) -> Decimal:
    match metric:
        case RiskMetric.MARGIN_USED:
            return _margin_share(book)
        case RiskMetric.CASH_SHARE:
            return _share(_known(book.cash, "the cash"), book)
        case RiskMetric.DRAWDOWN:
            return _known(book.drawdown, "the drawdown: a value or a payment of the past")
        case RiskMetric.POSITION_COUNT:
            return Decimal(len(book.held))
        case RiskMetric.CONCENTRATION:
            return _share(max(map(abs, by_underlying(book).values()), default=_ZERO), book)
        case _:
            return _share(_exposure(metric, _values(book)), book)


def _exposure(metric: RiskMetric, values: Sequence[Decimal]) -> Decimal:
    long, short = sum((one for one in values if one > 0), _ZERO), -sum((one for one in values if one < 0), _ZERO)
    parts = {
        RiskMetric.GROSS_EXPOSURE: long + short,
        RiskMetric.NET_EXPOSURE: long - short,
        RiskMetric.LONG_EXPOSURE: long,
        RiskMetric.SHORT_EXPOSURE: short,
    }
    return parts[metric]


def by_underlying(book: RiskBook) -> dict[str, Decimal]:
    """The market value of all contracts of each underlying together."""
    _ = _values(book)
    sums: dict[str, Decimal] = {}
    for one in book.held:
        sums[one.underlying] = sums.get(one.underlying, _ZERO) + _known(one.value, one.symbol)
    return sums


def _values(book: RiskBook) -> list[Decimal]:
    unknown = sorted(one.symbol for one in book.held if one.value is None)
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise _Unknown(f"the market value of {', '.join(unknown[:3])}{more}")
    return [one.value for one in book.held if one.value is not None]


def _share(amount: Decimal, book: RiskBook) -> Decimal:
    return _over(amount, _known(book.net_liquidation, "the net liquidation"))


def _margin_share(book: RiskBook) -> Decimal:
    if book.margin is None:
        raise _Unknown("the margin in use")
    worth = book.margin.net_liquidation
    return _over(book.margin.used, _known(book.net_liquidation if worth is None else worth, "the net liquidation"))


def _over(amount: Decimal, worth: Decimal) -> Decimal:
    if worth <= 0:
        raise _Unknown("a ratio: the net liquidation is not positive")
    return rounded(WIDE.divide(amount, worth))


def _known(amount: Decimal | None, what: str) -> Decimal:
    if amount is None:
        raise _Unknown(what)
    return amount


def _evidence(book: RiskBook) -> dict[str, Any]:
    """What a person needs to understand the figures."""
    about: dict[str, Any] = {
        "currency": book.currency,
        "net_liquidation": book.net_liquidation,
        "cash": book.cash,
        "margin_used": None if book.margin is None else book.margin.used,
        **book.origin,
    }
    try:
        sums = by_underlying(book)
    except _Unknown:
        return about
    if sums:
        about["largest"] = max(sorted(sums), key=lambda name: abs(sums[name]))
    return about


def _judged(figures: Figures, limit: RiskLimit) -> Judgement:
    value = figures.metrics[limit.metric]
    evidence = {**figures.evidence, "missing": figures.missing.get(limit.metric)}
    plain = {name: told for name, told in evidence.items() if told is not None}
    for level, threshold in ((RiskLevel.BREACH, limit.breach), (RiskLevel.WARNING, limit.warning)):
        if value is not None and threshold is not None and _passes(limit.metric, value, threshold):
            return Judgement(figures.scope, limit.metric, value, level, threshold, plain)
    return Judgement(figures.scope, limit.metric, value, None, None, plain)


def _passes(metric: RiskMetric, value: Decimal, threshold: Decimal) -> bool:
    if metric in LESS_IS_WORSE:
        return value <= threshold
    return (abs(value) if metric in SIZED else value) >= threshold


def _stands(signal: RiskSignal, judged: Judgement) -> bool:
    unknown = judged.value is None
    return unknown or (signal.level is judged.level and signal.threshold == judged.threshold)


def _resolved(signal: RiskSignal, at: datetime, judged: Judgement | None) -> RiskSignal:
    since = signal.raised_at or at
    end = {"ended_by": "no limit any more"} if judged is None else {"value_then": judged.value}
    return replace(signal, resolved_at=max(since, at), payload={**signal.payload, **end})


def _raised(judged: Judgement, at: datetime) -> RiskSignal:
    assert judged.level is not None
    return RiskSignal(
        signal_type=judged.metric.value.upper(),
        level=judged.level,
        metric=judged.metric.value,
        value=judged.value,
        threshold=judged.threshold,
        scope=judged.scope,
        source=LIMITS,
        raised_at=at,
        payload=judged.evidence,
        signal_uid=f"{LIMITS}_{judged.scope}_{judged.metric.value}_{judged.level}_{at:%Y%m%dT%H%M%S%fZ}",
    )
