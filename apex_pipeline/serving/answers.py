"""What each address tells: one function an address, from parameters to what is written as JSON.

Every answer has `as_of`, the instant of what it tells, its `age_seconds`, and `source`, who knew it. An answer about
several accounts is as old as its oldest part. Brokers are never asked.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from simplejson import RawJSON

from apex_pipeline.domain.last_known import account_summary, summary
from apex_pipeline.domain.risk_portfolio import most_common
from apex_pipeline.domain.valuation import Rates
from apex_pipeline.serving.parameters import currency_of, page_of, scope_of
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.last_known import LastKnown, Page
from apex_pipeline.store.repositories.status import StatusRepository

Told = dict[str, str]
Answer = dict[str, Any]
DATABASE = "DATABASE"
"""The source of what the database says of itself."""


@dataclass(frozen=True, slots=True)
class Address:
    """What is told at a path, and the parameters that it takes."""

    answer: Callable[[Told], Answer]
    parameters: tuple[str, ...] = ()


class Answers:
    """The addresses of a server over one database."""

    def __init__(self, db: Database, status: StatusRepository, started: datetime) -> None:
        self._known = LastKnown(db)
        self._status = status
        self._started = started
        account = ("account", "broker")
        page = (*account, "symbol", "limit", "offset")
        self.addresses: Mapping[str, Address] = {
            "/": Address(self.index),
            "/health": Address(self.health),
            "/db/status": Address(self.db_status),
            "/snapshots/latest": Address(self.snapshots, account),
            "/portfolio/summary": Address(self.portfolio, (*account, "currency")),
            "/positions": Address(self.positions, page),
            "/trades": Address(self.trades, (*page, "since")),
            "/fills": Address(self.fills, (*page, "since")),
        }

    def index(self, _told: Told) -> Answer:
        """The addresses and their parameters."""
        return {"addresses": {path: list(one.parameters) for path, one in self.addresses.items() if path != "/"}}

    def health(self, _told: Told) -> Answer:
        """That the server and its database answer."""
        now = self._known.clock()
        up = round((now - self._started).total_seconds(), 3)
        return {"status": "ok", "database": "ok", "uptime_seconds": up, **_now(now)}

    def db_status(self, _told: Told) -> Answer:
        """What `apex status --json` tells."""
        told = self._status.status()
        return {**told, "age_seconds": 0, "source": DATABASE}

    def snapshots(self, told: Told) -> Answer:
        """The newest snapshot of each account and kind."""
        found = self._known.snapshots(scope_of(told))
        told_rows = {kind: [RawJSON(row["row"]) for row in rows] for kind, rows in found.items()}
        return {**_oldest(row for rows in found.values() for row in rows), **told_rows}

    def portfolio(self, told: Told) -> Answer:
        """Worth, cash, positions and results of all accounts together, and of each."""
        wanted = currency_of(told)
        known = self._known.known(scope_of(told))
        accounts = [account_summary(one) for one in known]
        target = wanted or most_common(one.currency for one in accounts)
        currencies = {one.currency for one in accounts if one.currency} | ({target} if target else set())
        days = [one.as_of.date() for one in accounts if one.as_of]
        rates = self._known.rates(currencies, min(days)) if len(currencies) > 1 and days else Rates(())
        found = summary(known, rates, target)
        now = self._known.clock()
        rows = [{**_fields(one), "age_seconds": _age(one.as_of, now)} for one in found.accounts]
        return {**_fields(found), "age_seconds": _age(found.as_of, now), "accounts": rows}

    def positions(self, told: Told) -> Answer:
        """What is held, by account and symbol."""
        page = page_of(told)
        rows, sources, more = self._known.positions(scope_of(told), page)
        return {**_oldest(sources), **_paging(page, len(rows), more=more), "accounts": sources, "positions": rows}

    def trades(self, told: Told) -> Answer:
        """Round trips, the newest first."""
        page = page_of(told)
        return self._rows("trades", told, page, self._known.trades(scope_of(told), _one_more(page)))

    def fills(self, told: Told) -> Answer:
        """Executions, the newest first."""
        page = page_of(told)
        return self._rows("fills", told, page, self._known.fills(scope_of(told), _one_more(page)))

    def _rows(self, name: str, told: Told, page: Page, rows: list[str]) -> Answer:
        known = self._known.told(scope_of(told))
        shown = [RawJSON(row) for row in rows[: page.limit]]
        return {
            "as_of": known["as_of"],
            "age_seconds": known["age_seconds"],
            "source": "LEDGER",
            **_paging(page, len(shown), more=len(rows) > len(shown)),
            name: shown,
        }


def _one_more(page: Page) -> Page:
    """With a row too many, which tells that there are more."""
    return Page(page.limit + 1, page.offset, page.since)


def _paging(page: Page, count: int, *, more: bool) -> Answer:
    return {"limit": page.limit, "offset": page.offset, "count": count, "more": more}


def _now(now: datetime) -> Answer:
    return {"as_of": now, "age_seconds": 0, "source": DATABASE}


def _oldest(rows: Iterable[Mapping[str, Any]]) -> Answer:
    row = min(rows, key=lambda row: row["as_of"], default=None)
    return {name: row[name] if row else None for name in ("as_of", "age_seconds", "source")}


def _fields(row: Any) -> Answer:
    return {name: getattr(row, name) for name in type(row).__dataclass_fields__ if name != "accounts"}


def _age(at: datetime | None, now: datetime) -> Decimal | None:
    return None if at is None else Decimal((now - at) // (now.resolution * 1000)) / 1000
