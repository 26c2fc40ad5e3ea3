"""One load of bars: what is wanted and not known is asked for, broker beside broker, each answer stored as it comes.

An instrument that a broker refuses is written down and leaves the others; a broker that cannot be reached leaves the
other broker. What time or quota did not allow is asked for by the next load.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import zip_longest

from apex_pipeline.brokers.contract import Acquire, BarSession, BarSource
from apex_pipeline.domain.bar_plan import BarWish, Teller, Wanted, askable, plan
from apex_pipeline.domain.market import BarAsk, BarQuota
from apex_pipeline.domain.models import Broker
from apex_pipeline.errors import BrokerError, ConfigError
from apex_pipeline.extraction import Observe
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.bar_loads import BarLoadRepository


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
    """A load of bars under way; no ask begins more than `most_seconds` after the first.

    `sources`: brokers with the limit of their requests. `now` decides which sessions are over.
    """

    db: Database
    sources: Sequence[tuple[BarSource, Acquire]]
    wish: BarWish
    observe: Observe
    most_seconds: float
    now: datetime | None = None
    clock: Callable[[], float] = time.monotonic
    loaded: BarsLoaded = field(default_factory=BarsLoaded)

    def run(self) -> BarsLoaded:
        """Ask for everything that is wanted; connects to nobody where all is known."""
        bars = BarLoadRepository(self.db, self.now)
        tellers = [Teller(source.name, source.offers) for source, _ in self.sources]
        wanted = bars.unknown([one for one in bars.wanted(self.wish) if askable([one], tellers, self.wish)])
        with ExitStack() as stack:
            sessions = self._opened(stack, wanted)
            offers = {source.name: source.offers for source, _ in self.sources}
            tellers = [Teller(broker, offers[broker], quota) for broker, (_, quota) in sessions.items()]
            planned = plan(wanted, tellers, self.wish, bars.session_days(self.wish.since, self.wish.last))
            self.loaded.left += len(planned.left)
            if planned.left:
                self.loaded.notes.append(
                    f"{len(planned.left)} series of bars wait: the quota of instruments is used up"
                )
            self._ask(bars, {broker: session for broker, (session, _) in sessions.items()}, planned.asks, wanted)
        return self.loaded

    def _opened(self, stack: ExitStack, wanted: Sequence[Wanted]) -> dict[Broker, tuple[BarSession, BarQuota | None]]:
        """Sessions with the brokers that may tell any of this, and their quotas."""
        tellers = [Teller(source.name, source.offers) for source, _ in self.sources]
        needed = askable(wanted, tellers, self.wish)
        sessions: dict[Broker, tuple[BarSession, BarQuota | None]] = {}
        for source, acquire in self.sources:
            if source.name in needed:
                try:
                    session = stack.enter_context(source.connect_bars(acquire))
                    sessions[source.name] = session, session.quota()
                except (BrokerError, ConfigError) as error:
                    self.loaded.failures.append(str(error))
        return sessions

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
        ends_at, lost, told = self.clock() + self.most_seconds, set[Broker](), set[tuple[str, str]]()
        for number, (broker, ask) in enumerate(turns):
            if broker in lost or self.clock() > ends_at:
                self.loaded.left += 1
                continue
            self.observe(str(ask), number, len(turns))
            try:
                self._asked(bars, broker, sessions[broker], ask, fills[ask.symbol])
            except BrokerError as error:
                lost.add(broker)
                self.loaded.left += 1
                self.loaded.failures.append(str(error))
                continue
            told.add((ask.symbol, ask.timeframe.value))
        if told:
            bars.finish(sorted(told))

    def _asked(
        self, bars: BarLoadRepository, broker: Broker, session: BarSession, ask: BarAsk, fills: frozenset[date]
    ) -> None:
        answer = session.bars(ask)
        merged = bars.store(broker, ask, answer, fills)
        self.loaded.asks += 1
        self.loaded.new += merged.inserted
        self.loaded.changed += merged.updated
        if answer.refusal is not None:
            self.loaded.refused.append(answer.refusal)
