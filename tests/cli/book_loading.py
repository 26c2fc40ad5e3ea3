"""Loads a made-up book from an independent OpenD as on a certain day, and counts what was asked for it."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from math import ceil
from pathlib import Path

from apex_pipeline import settings
from apex_pipeline.brokers.contract import Acquire, BrokerPort
from apex_pipeline.brokers.futu.port import FutuBroker, FutuSettings
from apex_pipeline.domain.records import Ask, LoadScope
from apex_pipeline.extraction import Ingested
from apex_pipeline.live.history import HistoryLoaderService, normalize_all
from apex_pipeline.store.db import Database
from tests.cli import books
from tests.cli.books import Book
from tests.cli.opend import FEES, FILLS, FUNDS, ORDERS, POSITIONS, OpenD

SPARE = 4
"""Requests per account beyond those that no plan can save."""


@dataclass
class Loader:
    """Loads from an OpenD as on a certain day."""

    db: Database
    home: Path
    server: OpenD
    today: date
    seen: int = field(default=0)

    def load(
        self, first: date, last: date, market: str = "ALL", *, cash: bool = False, follow: bool = False
    ) -> Ingested:
        """Extract and normalize; `follow`: do everything that follows too, checks included. A refusal raises."""
        service = _AsOf(self.db, self.home, self.server.port, self.today)
        self.seen = len(self.server.asked)
        ask = Ask(first, last, self.today, market=market)
        told = service.extract("futu", ask)
        if cash:
            service.extract("futu", replace(ask, scope=LoadScope.CASH))
        if follow:
            service.derive(first, last)
        else:
            normalize_all(self.db, first, last)
        return told

    def requests(self) -> dict[int, Counter[int]]:
        """Requests of the newest load: account to protocol to how many."""
        counted: dict[int, Counter[int]] = {account: Counter() for account in books.MARKETS}
        for asked in self.server.asked[self.seen :]:
            if asked.account:
                counted[asked.account][asked.protocol] += 1
        return counted


class _AsOf(HistoryLoaderService):
    """The loader on another day, with limits that are over at once."""

    def __init__(self, db: Database, home: Path, port: int, day: date) -> None:
        super().__init__(db, settings.load({"APEX_HOME": str(home), "FUTU_WINDOW_SECONDS": "0.1"}))
        self._broker = FutuBroker(FutuSettings(home, port=port, window_seconds=0.1), today=lambda: day)

    def port(self, broker: str, *, patient: bool = True) -> BrokerPort:  # noqa: ARG002
        return self._broker

    def limit(self, broker: str) -> Acquire:  # noqa: ARG002
        return lambda _: None


def require_none(found: list[str]) -> None:
    """No difference; says the first of them."""
    assert not found, "\n".join(found)


def bound(one: Book, account: int) -> int:
    """The fewest orders, deals and fees calls that can tell the book of an account, and `SPARE`."""
    days = (one.today - one.first).days + 1
    return 2 * ceil(days / 90) + ceil(one.filled(account) / 400) + SPARE


def require_few_requests(loader: Loader, one: Book) -> None:
    """No more than the bound for each account, and never more than 90 dates at once."""
    for account, counted in loader.requests().items():
        asked = counted[ORDERS] + counted[FILLS] + counted[FEES]
        assert asked <= bound(one, account), f"{account}: {dict(counted)}, at most {bound(one, account)}"
        assert (counted[POSITIONS], counted[FUNDS]) == (1, 1)
    for request in loader.server.requests(ORDERS) + loader.server.requests(FILLS):
        conditions = request.content.filterConditions
        begin, end = (datetime.fromisoformat(text) for text in (conditions.beginTime, conditions.endTime))
        assert (end.date() - begin.date()).days < 90
