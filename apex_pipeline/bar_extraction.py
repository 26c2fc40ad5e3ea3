"""One load of bars: what is wanted and not known is asked for, broker beside broker, each answer stored as it comes.

An instrument that a broker refuses is written down and leaves the others, and so does one question without an answer; a
broker that cannot be reached leaves the other broker, but not the series that it told itself. What time, limits or a
quota did not allow is asked for by the next load.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import zip_longest

from apex_pipeline.brokers.contract import BarSession, BarSource, Limit
from apex_pipeline.domain.bar_plan import BarWish, Teller, Wanted, askable, plan
from apex_pipeline.domain.market import BarAsk, BarQuota
from apex_pipeline.domain.models import Broker
from apex_pipeline.errors import BrokerError, BrokerSilent, ConfigError, LimitReached, QuotaReached
from apex_pipeline.extraction import Observe
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.bar_loads import BarLoadRepository

Opened = Mapping[Broker, tuple[BarSession, BarQuota | None]]
"""The open sessions, and what is left of the quotas of their brokers."""

SILENT_IN_A_ROW = 2
"""A broker that left so many asks without an answer, one after the other, is asked no more."""


@dataclass(slots=True)
class BarsLoaded:
    """What a load of bars brought.

    `new` and `changed` count bars, `asks` what was asked for. `refused`: what brokers had none of, in one line each.
    `left`: asks and series that are still to come. `failures`: brokers that could not be asked any further. `notes`:
    what a person may want to know.
    """

    asks: int = 0
    new: int = 0
    changed: int = 0
    left: int = 0
    refused: list[str] = field(default_factory=list[str])
    failures: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class BarExtraction:
    """A load of bars under way; no ask begins, or waits for a limit, more than `most_seconds` after the first.

    `sources`: brokers with the limit of their requests. `now` decides which sessions are over.
    """

    db: Database
    sources: Sequence[tuple[BarSource, Limit]]
    wish: BarWish
    observe: Observe
    most_seconds: float
    now: datetime | None = None
    clock: Callable[[], float] = time.monotonic
    loaded: BarsLoaded = field(default_factory=BarsLoaded)
    _ends_at: float | None = None
    _lost: set[Broker] = field(default_factory=set[Broker])
    _silent: Counter[Broker] = field(default_factory=Counter[Broker])

    def run(self) -> BarsLoaded:
        """Ask for everything that is wanted; connects to nobody where all is known."""
        bars = BarLoadRepository(self.db, self.now)
        configured = [Teller(source.name, source.offers) for source, _ in self.sources]
        wanted = bars.unknown([one for one in bars.wanted(self.wish) if askable([one], configured, self.wish)])
        needed = askable(wanted, configured, self.wish)
        with ExitStack() as stack:
            sessions = self._opened(stack, needed)
            tellers = [self._teller(one, sessions) for one in configured if one.broker in needed]
            planned = plan(wanted, tellers, self.wish, bars.session_days(self.wish.since, self.wish.last))
            self._note("the quota of instruments is used up", len(planned.left))
            self._note("the broker that told them before is away", len(planned.waiting))
            self._ask(bars, {broker: session for broker, (session, _) in sessions.items()}, planned.asks, wanted)
        return self.loaded

    def _opened(self, stack: ExitStack, needed: Collection[Broker]) -> Opened:
        """Sessions with the brokers that may tell any of this, and their quotas."""
        sessions: dict[Broker, tuple[BarSession, BarQuota | None]] = {}
        for source, limit in self.sources:
            if source.name in needed:
                try:
                    session = stack.enter_context(source.connect_bars(self._in_time(limit)))
                    sessions[source.name] = session, session.quota()
                except (BrokerError, ConfigError) as error:
                    self.loaded.failures.append(str(error))
        return sessions

    def _in_time(self, limit: Limit) -> Callable[[str], object]:
        """A limit that waits no longer than the load does: meanwhile it keeps all other loads of bars out."""

        def acquire(budget: str) -> object:
            ends_at = self._ends_at
            return limit(budget, most_seconds=self.most_seconds if ends_at is None else ends_at - self.clock())

        return acquire

    def _teller(self, configured: Teller, sessions: Opened) -> Teller:
        if configured.broker not in sessions:
            return replace(configured, is_away=True)
        return replace(configured, quota=sessions[configured.broker][1])

    def _note(self, why: str, series: int) -> None:
        self.loaded.left += series
        if series:
            self.loaded.notes.append(f"{series} series of bars wait: {why}")

    def _ask(
        self,
        bars: BarLoadRepository,
        sessions: Mapping[Broker, BarSession],
        asks: Mapping[Broker, Sequence[BarAsk]],
        wanted: Sequence[Wanted],
    ) -> None:
        fills = {one.listed.symbol: frozenset(one.listed.fills) for one in wanted}
        each = [[(broker, ask) for ask in some] for broker, some in asks.items()]
        turns = [one for turn in zip_longest(*each) for one in turn if one is not None]
        self._ends_at = self.clock() + self.most_seconds
        for number, (broker, ask) in enumerate(turns):
            if broker in self._lost or self.clock() > self._ends_at:
                self.loaded.left += 1
                continue
            self.observe(str(ask), number, len(turns))
            try:
                self._asked(bars, broker, sessions[broker], ask, fills[ask.symbol])
            except BrokerError as error:
                self.loaded.left += 1
                self._failed(broker, error)
        if self.loaded.asks:
            bars.finish()

    def _asked(
        self, bars: BarLoadRepository, broker: Broker, session: BarSession, ask: BarAsk, fills: frozenset[date]
    ) -> None:
        answer = session.bars(ask)
        merged = bars.store(broker, ask, answer, fills)
        self._silent[broker] = 0
        self.loaded.asks += 1
        self.loaded.new += merged.inserted
        self.loaded.changed += merged.updated
        if answer.refusal is not None:
            self.loaded.refused.append(answer.refusal)

    def _failed(self, broker: Broker, error: BrokerError) -> None:
        """Tell why an ask has no answer, and give the broker up where its other asks would have none either."""
        match error:
            case QuotaReached():
                self._silent[broker] = 0
                self.loaded.notes.append(str(error))
            case LimitReached():
                self.loaded.notes.append(str(error))
                self._lost.add(broker)
            case BrokerSilent():
                self.loaded.failures.append(str(error))
                self._silent[broker] += 1
                if self._silent[broker] == SILENT_IN_A_ROW:
                    self._lost.add(broker)
            case _:
                self.loaded.failures.append(str(error))
                self._lost.add(broker)
