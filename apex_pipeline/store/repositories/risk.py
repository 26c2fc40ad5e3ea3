"""Risk of accounts: from the newest source that tells positions and worth together, to figures and standing signals.

An account is read from its newest known day in the ledger, or from snapshots where these were captured later: the
account and its positions within a quarter of an hour of each other.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.ledger import Performance
from apex_pipeline.domain.performance import WIDE, rounded
from apex_pipeline.domain.results import LIMITS, RiskSignal
from apex_pipeline.domain.risk import Exposed, Figures, Margin, RiskBook, Steps
from apex_pipeline.domain.risk_portfolio import converted, most_common, portfolio_drawdown, together
from apex_pipeline.domain.valuation import RATE_DAYS, Rate, Rates
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import RISK_SIGNALS, as_row, row_as
from apex_pipeline.store.transaction import Merged, Row, Transaction

DAY = timedelta(days=1)
MOST = 1000
"""Standing signals that are listed for people; those of limits are far fewer."""


def standing_signals(db: Database, most: int = MOST) -> list[RiskSignal]:
    """Signals that stand, of limits and of engines: breaches first, then by age."""
    rows = db.fetch("risk_signals_standing", source=None, most=most)
    return [row_as(RiskSignal, row) for row in rows]


@dataclass(frozen=True, slots=True)
class _Found:
    """An account as its source tells it, amounts of positions still in their own currencies."""

    broker: str
    account_id: str
    as_of: datetime
    on_date: date
    currency: str | None
    net_liquidation: Decimal | None
    cash: Decimal | None
    drawdown: Decimal | None
    origin: Mapping[str, Any]
    since: datetime
    """A snapshot that was captured later is newer."""
    positions_at: datetime | None = None
    """Of a snapshot: when its positions were captured."""


class RiskRepository:
    """What is needed to watch risk, and what follows from it, in the transaction `tx`."""

    def __init__(self, tx: Transaction, now: datetime) -> None:
        self._tx = tx
        self._now = now.astimezone(UTC)

    def books(self) -> list[RiskBook]:
        """Every account that is known, and all of them together (PORTFOLIO) last; none if nothing is known."""
        found = self._accounts()
        if not found:
            return []
        history = self._history(found)
        common = most_common(one.currency for one in found)
        rates = self._rates(found, history, common)
        held, margins = self._held(found), self._margins(found, rates)
        books = [
            RiskBook(
                scope=one.account_id,
                as_of=one.as_of,
                currency=one.currency,
                net_liquidation=one.net_liquidation,
                cash=one.cash,
                held=[_exposed(row, one, rates) for row in held.get(one.account_id, [])],
                margin=margins.get(one.account_id),
                drawdown=one.drawdown,
                origin=one.origin,
            )
            for one in found
        ]
        return [*books, _portfolio(found, books, history, rates, common)]

    def standing(self) -> list[RiskSignal]:
        """Signals of limits that stand."""
        rows = self._tx.fetch("risk_signals_standing", source=LIMITS, most=None)
        return [row_as(RiskSignal, row) for row in rows]

    def save(self, figures: Iterable[Figures], steps: Steps) -> dict[str, Merged]:
        """Write figures that changed and the steps of signals; returns changed rows per table."""
        written = sum(self._write(one) for one in figures)
        key = replace(RISK_SIGNALS, generated=frozenset())
        resolved = self._tx.merge(key, map(as_row, steps.resolved))
        raised = self._tx.merge(key, map(as_row, steps.raised))
        return {"risk_snapshots": Merged(written, 0), RISK_SIGNALS.name: resolved + raised}

    def _write(self, figures: Figures) -> int:
        metrics: dict[str, Any] = {str(metric): value for metric, value in figures.metrics.items()}
        about = {name: value for name, value in figures.evidence.items() if value is not None}
        told = {**metrics, "missing": {str(metric): what for metric, what in figures.missing.items()}, "about": about}
        return self._tx.execute("risk_snapshot_write", scope=figures.scope, captured_at=figures.as_of, metrics=told)

    def _accounts(self) -> list[_Found]:
        """Each account from the newest source that tells its worth and its positions."""
        ledger = {row["account_id"]: self._of_day(row) for row in self._tx.fetch("risk_accounts", now=self._now)}
        newest = dict(ledger)
        for row in self._tx.fetch("risk_captured", now=self._now):
            known = ledger.get(row["account_id"])
            if known is None or row["captured_at"] > known.since:
                newest[row["account_id"]] = _of_snapshot(row, known)
        return [newest[account] for account in sorted(newest)]

    def _of_day(self, row: Row) -> _Found:
        """The end of a day, or what is known of it while it lasts."""
        ended = row["as_of"] <= self._now
        return _Found(
            broker=row["broker"],
            account_id=row["account_id"],
            as_of=row["as_of"] if ended else self._now,
            on_date=row["business_date"],
            currency=row["currency"],
            net_liquidation=row["net_liquidation"],
            cash=row["cash"],
            drawdown=row["drawdown"],
            origin={"source": "LEDGER", "business_date": row["business_date"].isoformat()},
            since=row["as_of"] if ended else row["as_of"] - DAY,
        )

    def _held(self, found: Iterable[_Found]) -> dict[str, list[Row]]:
        days = [one for one in found if one.positions_at is None]
        captured = [one for one in found if one.positions_at is not None]
        rows = self._tx.fetch(
            "risk_held", accounts=[one.account_id for one in days], days=[one.on_date for one in days]
        ) + self._tx.fetch(
            "risk_captured_held",
            brokers=[one.broker for one in captured],
            accounts=[one.account_id for one in captured],
            instants=[one.positions_at for one in captured],
        )
        held: dict[str, list[Row]] = {}
        for row in rows:
            held.setdefault(row["account_id"], []).append(row)
        return held

    def _margins(self, found: Sequence[_Found], rates: Rates) -> dict[str, Margin]:
        accounts = {one.account_id: one for one in found}
        rows = self._tx.fetch(
            "risk_margins",
            brokers=[one.broker for one in found],
            accounts=list(accounts),
            instants=[one.as_of for one in found],
            now=self._now,
        )
        margins: dict[str, Margin] = {}
        for row in rows:
            one = accounts[row["account_id"]]
            used = _in(one, row["margin_used"], row["currency"], rates)
            if used is not None:
                worth = _in(one, row["net_liquidation"], row["currency"], rates)
                margins[one.account_id] = Margin(used, worth, row["captured_at"])
        return margins

    def _history(self, found: Sequence[_Found]) -> dict[str, list[Performance]]:
        """The days of all accounts, where there are several to add up."""
        if len(found) < 2:
            return {}
        dates = [one.on_date + DAY for one in found]
        told = self._tx.fetch("performance_past", accounts=[one.account_id for one in found], dates=dates)
        history: dict[str, list[Performance]] = {}
        for row in told:
            history.setdefault(row["account_id"], []).append(row_as(Performance, row))
        return history

    def _rates(self, found: Sequence[_Found], history: Mapping[str, Any], common: str | None) -> Rates:
        """Rates of the days of the accounts; of all days where their past is in several currencies."""
        bases = {row.currency for rows in history.values() for row in rows} | {one.currency for one in found}
        several = history and len(bases) > 1
        since = date.min if several else min(one.on_date for one in found) - timedelta(RATE_DAYS + 1)
        currencies = sorted({currency for currency in (*bases, common) if currency})
        rows = self._tx.fetch("performance_rates", currencies=currencies, first_day=since)
        return Rates(Rate(row["account_id"], row["on_date"], row["source"], row["target"], row["rate"]) for row in rows)


def _of_snapshot(row: Row, known: _Found | None) -> _Found:
    at: datetime = row["captured_at"].astimezone(UTC)
    return _Found(
        broker=row["broker"],
        account_id=row["account_id"],
        as_of=at,
        on_date=at.date(),
        currency=row["currency"] or (known.currency if known else None),
        net_liquidation=row["net_liquidation"],
        cash=row["total_cash_value"],
        drawdown=known.drawdown if known else None,
        origin={"source": "SNAPSHOT", "drawdown_of": known.on_date.isoformat() if known else None},
        since=at,
        positions_at=row["positions_at"],
    )


def _exposed(row: Row, one: _Found, rates: Rates) -> Exposed:
    return Exposed(row["symbol"], row["underlying"], _in(one, row["value"], row["currency"], rates))


def _in(one: _Found, amount: Decimal | None, currency: str | None, rates: Rates) -> Decimal | None:
    """An amount in the currency of the account; None where it or the rate is not known."""
    if amount is None or currency is None or one.currency is None:
        return amount if not amount else None
    rate = rates.of(one.account_id, currency, one.currency, one.on_date)
    return None if rate is None else rounded(WIDE.multiply(amount, rate))


def _portfolio(
    found: Sequence[_Found],
    books: Sequence[RiskBook],
    history: Mapping[str, Sequence[Performance]],
    rates: Rates,
    common: str | None,
) -> RiskBook:
    """All accounts in the currency of most of them."""
    if len(books) == 1 or common is None:
        drawdown = books[0].drawdown if len(books) == 1 else None
        return together(books, common, drawdown)
    told = [
        converted(book, common, rates.of(one.account_id, one.currency, common, one.on_date) if one.currency else None)
        for one, book in zip(found, books, strict=True)
    ]
    return together(told, common, portfolio_drawdown(history, rates, common))
