"""Asks IB Gateway or TWS for historical bars, as fast as IB allows and in as many requests as it takes.

An error is never taken for an empty answer, and a part never for the whole.
"""

import time
from collections import Counter
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn, final

from apex_pipeline.brokers.contract import Acquire, BarSession
from apex_pipeline.brokers.ib import tws_messages as messages
from apex_pipeline.brokers.ib.tws_bar_complaints import UNKNOWN_CONTRACT, Meaning, Refused, meaning_of, refusal, remedy
from apex_pipeline.brokers.ib.tws_bar_line import Question, Told, TwsLine
from apex_pipeline.brokers.ib.tws_bar_pace import BUDGET, Pace
from apex_pipeline.brokers.ib.tws_bar_rows import Subject, bars_of, closed_days, is_complete, subject_of
from apex_pipeline.brokers.ib.tws_bar_windows import Walk, Window
from apex_pipeline.brokers.ib.tws_client import TwsEndpoint
from apex_pipeline.brokers.ib.tws_messages import Row
from apex_pipeline.brokers.ib.tws_time import instant_of_execution
from apex_pipeline.domain.market import Bar, BarAnswer, BarAsk, BarQuota
from apex_pipeline.errors import BrokerSilent, BrokerUnavailable, UnknownPayload

if TYPE_CHECKING:
    from apex_pipeline.brokers.ib.tws_gateway import Complaint, Gateway

CLIENT_ID_STEP = 1
"""Added to the configured client id: a long session for bars must not lock out who asks about today."""

_EMPTY_IN_A_ROW = 5
"""After so many answers without a bar IB is asked when its oldest is: a stock may have been listed only then."""


@dataclass(frozen=True, slots=True)
class BarPatience:
    """How long each step may take, in seconds."""

    login: float = 10
    contract: float = 10
    bars: float = 60


def utc_now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


@contextmanager
def bar_session(
    endpoint: TwsEndpoint,
    acquire: Acquire,
    sleep: Callable[[float], None] = time.sleep,
    patience: BarPatience = BarPatience(),
    now: Callable[[], datetime] = utc_now,
) -> Generator[BarSession]:
    """An open session. BrokerUnavailable, BrokerRefused (the client id is in use), ConfigError (no ib_async)."""
    line = TwsLine(replace(endpoint, client_id=endpoint.client_id + CLIENT_ID_STEP), patience.login)
    try:
        _ = line.open()
        yield TwsBarSession(line, acquire, Pace(sleep), patience, now)
    finally:
        line.close()


@final
class TwsBarSession:
    """Bars by conid, of regular hours; see `BarSession`."""

    def __init__(
        self, line: TwsLine, acquire: Acquire, pace: Pace, patience: BarPatience, now: Callable[[], datetime]
    ) -> None:
        self._line, self._acquire, self._pace = line, acquire, pace
        self._patience, self._now = patience, now
        self._subjects: dict[tuple[str, str], Subject] = {}
        self._empty: Counter[str] = Counter()
        self._oldest: dict[str, datetime] = {}

    def quota(self) -> BarQuota | None:
        """None: IB counts requests, not instruments."""
        return None

    def bars(self, ask: BarAsk) -> BarAnswer:
        """All bars of the ask that have ended; a refusal is of this instrument only. BrokerUnavailable."""
        try:
            return BarAnswer(self._walked(ask, self._subject(ask)))
        except Refused as refused:
            return BarAnswer((), str(refused))
        except UnknownPayload as error:
            return BarAnswer((), f"what Interactive Brokers told about {ask} cannot be read: {error}")

    def _walked(self, ask: BarAsk, subject: Subject) -> list[Bar]:
        walk = Walk(ask, subject.zone, subject.overnight, self._now(), closed_days(ask, subject))
        found: dict[datetime, Bar] = {}
        end = walk.end
        while end > max(walk.begin, self._oldest.get(ask.code, walk.begin)):
            window = walk.window(end)
            told = [bar for bar in self._window(ask, subject, window) if bar.opened_at < end]
            end = walk.before(window, min((bar.opened_at for bar in told), default=None))
            found |= {bar.opened_at: bar for bar in told if bar.opened_at >= max(end, walk.begin)}
            self._empty[ask.code] = 0 if told else self._empty[ask.code] + 1
            if self._empty[ask.code] == _EMPTY_IN_A_ROW:
                self._learn_oldest(ask, subject)
        ordered = [found[at] for at in sorted(found)]
        return [bar for bar in ordered if is_complete(bar, ask, subject.zone, walk.now)]

    def _window(self, ask: BarAsk, subject: Subject, window: Window) -> list[Bar]:
        """The bars of one request; asked a second time where IB finds that it was asked too fast."""
        told = self._history(ask, subject, window)
        if told.complaint is not None and meaning_of(told.complaint) is Meaning.PACED:
            told = self._history(ask, subject, window)
        if told.replies:
            return bars_of(told.replies[0], ask, subject)
        if told.complaint is None:
            raise self._silent(str(ask), self._patience.bars)
        if meaning_of(told.complaint) is not Meaning.EMPTY:
            self._fail(ask, told.complaint)
        return []

    def _fail(self, ask: BarAsk, complaint: "Complaint") -> NoReturn:
        if meaning_of(complaint) is Meaning.REFUSED:
            raise Refused(refusal(ask, complaint))
        said = f"{complaint.code}: {complaint.text[:200].rstrip('. ')}"
        raise BrokerUnavailable(
            f"the gateway at {self._line.endpoint} could not tell {ask} now ({said}): {remedy(complaint)}"
        )

    def _silent(self, what: str, seconds: float) -> BrokerSilent:
        return BrokerSilent(
            f"the gateway at {self._line.endpoint} did not tell {what} within {seconds:g} s: try again later"
        )

    def _history(self, ask: BarAsk, subject: Subject, window: Window) -> Told:
        def send(gateway: "Gateway") -> int:
            return gateway.ask_bars(subject.contract, window, subject.what)

        self._take_turn(ask, subject, window)
        question = Question(send, _is_replied, self._patience.bars, lambda line, it: line.cancelHistoricalData(it))
        return self._line.ask(question)

    def _learn_oldest(self, ask: BarAsk, subject: Subject) -> None:
        """Note when the oldest bar that IB has of a contract begins, where it says so: none is asked for before."""

        def send(gateway: "Gateway") -> int:
            return gateway.ask_head(subject.contract, subject.what)

        self._take_turn(ask, subject, "oldest")
        question = Question(send, _is_replied, self._patience.contract, lambda line, it: line.cancelHeadTimeStamp(it))
        told = self._line.ask(question)
        oldest = instant_of_execution(told.replies[0][-1], None) if told.replies else None
        if oldest is not None:
            self._oldest[ask.code] = oldest

    def _take_turn(self, ask: BarAsk, subject: Subject, request: Hashable) -> None:
        contract = ask.code, subject.what
        self._pace.wait(contract, request)
        _ = self._acquire(BUDGET)  # last of all: a grant counts from when it is taken, not from when its request leaves
        self._pace.sent(contract, request)

    def _subject(self, ask: BarAsk) -> Subject:
        key = ask.code, ask.exchange
        if key not in self._subjects:
            self._subjects[key] = subject_of(ask, self._details(ask))
        return self._subjects[key]

    def _details(self, ask: BarAsk) -> Row | None:
        """What IB knows under a conid; None where its answer is empty, as of a bond. Refused where nobody knows it."""
        told = self._contract(ask, expired=False)
        expired = told.complaint is not None and told.complaint.code == UNKNOWN_CONTRACT
        if expired:
            told = self._contract(ask, expired=True)
        if told.complaint is not None:
            self._fail(ask, told.complaint)
        if not told.is_whole:
            raise self._silent(f"what {ask.symbol} is", self._patience.contract)
        rows = (messages.details(fields, self._line.server_version) for fields in told.replies)
        return next(({**row, "includeExpired": expired} for row in rows if row is not None), None)

    def _contract(self, ask: BarAsk, *, expired: bool) -> Told:
        def send(gateway: "Gateway") -> int:
            return gateway.ask_contract(ask.code, expired=expired)

        return self._line.ask(Question(send, _has_ended, self._patience.contract))


def _is_replied(gateway: "Gateway", request: int) -> bool:
    return request in gateway.heard.replies


def _has_ended(gateway: "Gateway", request: int) -> bool:
    return (messages.CONTRACTS_END, request) in gateway.heard.ended
