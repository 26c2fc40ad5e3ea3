"""Loads the made-up spring as a person does who lives in it: whole, in windows of any order, or day by day."""

import random
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

from apex_pipeline import settings
from apex_pipeline.brokers.contract import Acquire, BrokerPort, Session
from apex_pipeline.brokers.futu.port import FutuBroker, FutuSettings
from apex_pipeline.domain.records import Account, Ask, Call, Delivery, LoadScope, WholeDelivery
from apex_pipeline.live.history import HistoryLoaderService
from apex_pipeline.store.db import Database
from tests.cli.book_wire import Style
from tests.cli.opend import Login, OpenD
from tests.faults.futu_endings import DAY, FIRST, LAST, LOOKED_AT, Life, weekdays
from tests.faults.futu_endings_wire import told_at


@dataclass
class Reader:
    """Reads a life through an OpenD of its own into a database."""

    db: Database
    home: Path
    life: Life
    style: Style = field(default_factory=Style)

    def whole(self, first: date = FIRST, *, cash: bool = True) -> None:
        """All days in one load, as on the last of them."""
        with OpenD(self._known(LAST)) as server:
            self._load(server, first, LAST, LAST, cash=cash)

    def by_day(self, days: Sequence[date] | None = None) -> None:
        """A load on each weekday, when OpenD knows no more than it did then."""
        with OpenD(Login()) as server:
            for day in days or weekdays(FIRST, LAST):
                server.login = self._known(day)
                self._load(server, max(FIRST, day - 4 * DAY), day, day)

    def shuffled(self, seed: int) -> None:
        """Windows of some days in any order, some twice, all as on the last day."""
        dice = random.Random(seed)
        firsts = [FIRST + DAY * n for n in range(0, (LAST - FIRST).days + 1, 6)]
        windows = [(first, min(first + 7 * DAY, LAST)) for first in firsts]
        windows += dice.sample(windows, 2)
        dice.shuffle(windows)
        with OpenD(self._known(LAST)) as server:
            for first, last in windows:
                self._load(server, first, last, LAST)

    def _known(self, day: date) -> Login:
        return told_at(self.life, looked_at(day), self.style)

    def _load(self, server: OpenD, first: date, last: date, today: date, *, cash: bool = True) -> None:
        service = _AsOf(self.db, self.home, server.port, looked_at(today))
        ask = Ask(first, last, today, force=True)
        service.extract("futu", ask)
        if cash:
            service.extract("futu", replace(ask, scope=LoadScope.CASH))
        service.derive(first, last)


def looked_at(day: date) -> datetime:
    """The instant of a day's load."""
    return datetime.combine(day, LOOKED_AT, UTC)


class _AsOf(HistoryLoaderService):
    """The loader at another instant, with limits that are over at once."""

    def __init__(self, db: Database, home: Path, port: int, now: datetime) -> None:
        super().__init__(db, settings.load({"APEX_HOME": str(home), "FUTU_WINDOW_SECONDS": "0.1"}))
        self._broker = _Dated(FutuSettings(home, port=port, window_seconds=0.1), now)

    def port(self, broker: str, *, patient: bool = True) -> BrokerPort:  # noqa: ARG002
        return self._broker

    def limit(self, broker: str) -> Acquire:  # noqa: ARG002
        return lambda _: None


class _Dated(FutuBroker):
    """The broker at another instant: states are of then."""

    def __init__(self, config: FutuSettings, now: datetime) -> None:
        super().__init__(config, today=now.date)
        self._now = now

    @contextmanager
    def connect(self, acquire: Acquire) -> Generator[Session]:
        with super().connect(acquire) as session:
            yield _At(session, self._now)


@dataclass
class _At:
    """A session whose states were told at `now`."""

    session: Session
    now: datetime

    def accounts(self) -> Sequence[Account]:
        """The session's."""
        return self.session.accounts()

    def fetch(self, call: Call) -> Delivery:
        """The session's; what it dates by the clock is of `now`."""
        told = self.session.fetch(call)
        if not isinstance(told, WholeDelivery):
            return told
        dated = [replace(one, generated_at=self.now) if one.generated_at else one for one in told.records]
        return replace(told, records=dated)
