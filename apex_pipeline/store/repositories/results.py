"""What engines and analysts found: backtests, events, questions to models, rows of research."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.results import (
    Backtest,
    EventSeverity,
    LlmCall,
    ResearchKind,
    ResearchRecord,
    SystemEvent,
    research_fingerprint,
)
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.generic import Repository
from apex_pipeline.store.selecting import Within
from apex_pipeline.store.tables import BACKTESTS, LLM_CALLS, RESEARCH, SYSTEM_EVENTS, row_as
from apex_pipeline.store.transaction import Row

FIGURES = ("total_return", "sharpe", "max_drawdown")
"""Figures of a backtest that have a column; all others are in its `metrics`."""


@dataclass(frozen=True, slots=True)
class StrategySummary:
    """The backtests of one strategy; returns and drawdowns are fractions, None where no backtest tells them."""

    strategy: str
    runs: int
    best_return: Decimal | None
    mean_return: Decimal | None
    worst_return: Decimal | None
    mean_sharpe: Decimal | None
    worst_drawdown: Decimal | None


class BacktestRepository(Repository[Backtest]):
    """Results of backtests."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, BACKTESTS, Backtest)

    def find_by_strategy(self, strategy: str, limit: int | None = 100) -> list[Backtest]:
        """The backtests of a strategy, the newest first."""
        return self.find_where(limit, "-created_at", strategy=strategy)

    def find_top_performers(self, metric: str = "sharpe", limit: int | None = 10) -> list[Backtest]:
        """The backtests that are highest in a column of FIGURES or in a number of `metrics`; others are left out.

        The highest drawdown is the smallest loss.
        """
        if metric in FIGURES:
            return self.find_where(limit, f"-{metric}", **{metric: Within()})
        return self._rows(self._db.fetch("backtests_by_metric", metric=metric, most=limit))

    def get_strategy_summary(self, strategy: str) -> StrategySummary:
        """All backtests of a strategy in one row; means are rounded to ten decimals."""
        (row,) = self._db.fetch("backtests_summary", strategy=strategy)
        return row_as(StrategySummary, row)


class SystemEventRepository(Repository[SystemEvent]):
    """What happened in engines and services."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, SYSTEM_EVENTS, SystemEvent)

    def log_event(
        self, event_type: str, severity: str, message: str, details: Mapping[str, Any] | None = None, **more: Any
    ) -> SystemEvent:
        """Store an event that happens now; `more` joins its details. ValueError for an unknown severity."""
        told = SystemEvent(event_type, EventSeverity.named(severity), message, {**(details or {}), **more})
        return self.upsert(told)

    def get_recent_events(self, severity: str | None = None, limit: int | None = 100) -> list[SystemEvent]:
        """The newest events first: of this severity and above, or of all."""
        at_least: dict[str, Any] = {} if severity is None else {"severity": EventSeverity.named(severity).and_above}
        return self.find_where(limit, "-occurred_at", **at_least)

    def cleanup_old(self, retention_days: float = 365) -> int:
        """Remove events of longer ago; returns how many."""
        return self.delete_where(occurred_at=Within(None, _before(self._db, retention_days)))


class LlmAnalysisRepository(Repository[LlmCall]):
    """Questions to language models and their answers."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, LLM_CALLS, LlmCall)

    def log(self, model: str, prompt: str, response: str | None = None, **told: Any) -> LlmCall:
        """Store a question asked now; `told`: tokens, cost (USD), latency_ms, error."""
        return self.upsert(LlmCall(model, prompt, response, **told))

    def get_recent(self, model: str | None = None, limit: int | None = 100) -> list[LlmCall]:
        """The newest questions first, of one model or of all."""
        return self.find_where(limit, "-called_at", **({} if model is None else {"model": model}))

    def get_total_cost(self, since: datetime | None = None) -> Decimal:
        """What the answers since then cost, in USD; those of unknown cost count nothing."""
        return self._db.fetchval("llm_cost", since=since)

    def cleanup_old(self, retention_days: float = 365) -> int:
        """Remove questions of longer ago; returns how many."""
        return self.delete_where(called_at=Within(None, _before(self._db, retention_days)))


class ResearchRepository(Repository[ResearchRecord]):
    """Rows from outside, each once: the same fingerprint is the same row."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, RESEARCH, ResearchRecord)

    def record(
        self,
        kind: ResearchKind | str,
        source: str,
        at: datetime,
        payload: Mapping[str, Any],
        *,
        symbol: str | None = None,
        fingerprint: str = "",
    ) -> bool:
        """Store a row as its source told it; whether it is new. Its fingerprint follows from the rest unless told."""
        told = ResearchRecord(ResearchKind(kind.upper()), symbol, source, at, fingerprint, payload)
        return self.insert(told) is not None

    def find_by_symbol(
        self, symbol: str, kind: ResearchKind | str | None = None, limit: int | None = 100
    ) -> list[ResearchRecord]:
        """What was told of a symbol, the newest first."""
        return self._told({"symbol": symbol}, kind, limit)

    def find_by_kind(self, kind: ResearchKind | str, limit: int | None = 100) -> list[ResearchRecord]:
        """Rows of one kind, the newest first."""
        return self._told({}, kind, limit)

    def get_by_time_range(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        kind: ResearchKind | str | None = None,
        symbol: str | None = None,
    ) -> list[ResearchRecord]:
        """Rows of what happened from `start` to `end`, both included, oldest first."""
        told: dict[str, Any] = {} if symbol is None else {"symbol": symbol}
        kinds = {} if kind is None else {"kind": ResearchKind(kind.upper())}
        return self.find_where(None, "at", at=Within(start, end), **told, **kinds)

    def _told(self, of: dict[str, Any], kind: str | None, limit: int | None) -> list[ResearchRecord]:
        kinds = {} if kind is None else {"kind": ResearchKind(kind.upper())}
        return self.find_where(limit, "-at", **of, **kinds)

    def _completed(self, values: Row) -> Row:
        if values.get("fingerprint"):
            return values
        told: dict[str, Any] = {name: values.get(name) for name in ("kind", "symbol", "source", "at")}
        made = research_fingerprint(**told, payload=values.get("payload") or {})
        return {**values, "fingerprint": made}


def _before(db: Database, days: float) -> datetime:
    if days < 0:
        raise ValueError(f"rows are kept for 0 days or more, not {days}")
    now: datetime = db.fetchval("now")
    return now - timedelta(days=days)
