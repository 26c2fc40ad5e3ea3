"""What engines and analysts find and write: risk, backtests, events, questions to models, rows of research.

Returns, drawdowns and ratios are fractions (0.01 is 1 %); a drawdown is negative or zero. What the database counts or
stamps itself (`…_id`, the uid and the instant of a new row) is None until it is stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from apex_pipeline.domain.fingerprints import fingerprint_of
from apex_pipeline.domain.market import ReadByName

LIMITS = "LIMITS"
"""The source of risk signals that follow from the limits of the settings."""

PORTFOLIO = "PORTFOLIO"
"""The scope of figures over all accounts."""


class RiskLevel(StrEnum):
    """How far a limit was passed."""

    WARNING = "WARNING"
    BREACH = "BREACH"


class EventSeverity(StrEnum):
    """How much an event matters, from least to most."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"

    @classmethod
    def named(cls, name: str) -> "EventSeverity":
        """The severity of a name in any case, `warn` and `fatal` too; ValueError for another."""
        return cls({"WARN": "WARNING", "FATAL": "CRITICAL"}.get(name.upper(), name.upper()))

    @property
    def and_above(self) -> tuple["EventSeverity", ...]:
        """This one and those that matter more."""
        told = tuple(EventSeverity)
        return told[told.index(self) :]


class ResearchKind(StrEnum):
    """What a row of research is."""

    TWEET = "TWEET"
    TWEET_SENTIMENT = "TWEET_SENTIMENT"
    REDDIT_POST = "REDDIT_POST"
    REDDIT_SENTIMENT = "REDDIT_SENTIMENT"
    SYMBOL_SENTIMENT = "SYMBOL_SENTIMENT"
    AGGREGATED_SENTIMENT = "AGGREGATED_SENTIMENT"
    CONFLUENCE_SCORE = "CONFLUENCE_SCORE"
    OPTIONS_FLOW = "OPTIONS_FLOW"
    OPTIONS_PATTERN = "OPTIONS_PATTERN"


@dataclass(frozen=True, slots=True)
class RiskSnapshot(ReadByName):
    """Figures of risk at `captured_at`, of an account (its number) or of everything (PORTFOLIO)."""

    scope: str
    captured_at: datetime
    metrics: Mapping[str, Any]
    source: str = "ENGINE"


@dataclass(frozen=True, slots=True)
class RiskSignal:
    """A limit that was passed: `value` of `metric` reached `threshold`; `resolved_at` None while it still holds."""

    signal_type: str
    level: RiskLevel
    metric: str
    value: Decimal | None
    threshold: Decimal | None
    scope: str
    source: str = "ENGINE"
    raised_at: datetime | None = None
    resolved_at: datetime | None = None
    payload: Mapping[str, Any] = field(default_factory=dict[str, Any])
    signal_uid: str | None = None


@dataclass(frozen=True, slots=True)
class Backtest:
    """The result of one backtest."""

    strategy: str
    started_on: date
    ended_on: date
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    total_return: Decimal | None = None
    sharpe: Decimal | None = None
    max_drawdown: Decimal | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict[str, Any])
    created_at: datetime | None = None
    backtest_uid: str | None = None


@dataclass(frozen=True, slots=True)
class SystemEvent:
    """Something that happened in an engine or service."""

    event_type: str
    severity: EventSeverity
    message: str
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    occurred_at: datetime | None = None
    event_id: int | None = None


@dataclass(frozen=True, slots=True)
class LlmCall:
    """A question to a language model and its answer; `cost` in USD."""

    model: str
    prompt: str
    response: str | None = None
    tokens: int | None = None
    cost: Decimal | None = None
    latency_ms: int | None = None
    error: str | None = None
    called_at: datetime | None = None
    call_id: int | None = None


@dataclass(frozen=True, slots=True)
class ResearchRecord:
    """A row from outside as its source told it, `at` the moment that the source says; the same `fingerprint` is one.

    An empty fingerprint follows from the rest (see `research_fingerprint`) when the row is stored.
    """

    kind: ResearchKind
    symbol: str | None
    source: str
    at: datetime
    fingerprint: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict[str, Any])
    recorded_at: datetime | None = None
    record_id: int | None = None


def research_fingerprint(
    kind: ResearchKind | str, symbol: str | None, source: str, at: datetime, payload: Mapping[str, Any]
) -> str:
    """The fingerprint of a row of research: equal for the same row, whatever the order of keys and form of numbers."""
    return "RES_" + fingerprint_of(kind, symbol, source, at, payload)
