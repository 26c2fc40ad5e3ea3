"""The Flex Web Service, version 3: order a statement for a window, wait for it, return its bytes.

Every error code has its own treatment (see `answers`). Version 3 without dates may answer one single
business day, so a window is always sent. The token is a URL parameter and appears in nothing that leaves
this module.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from http import HTTPStatus
from typing import NoReturn
from urllib.parse import urlsplit

from apex_pipeline.brokers.contract import Acquire
from apex_pipeline.brokers.ib.answers import MAX_ANSWER_BYTES, Advice, Answer, answer_of, remedy_of
from apex_pipeline.brokers.ib.flex import ROOT, root_of
from apex_pipeline.brokers.ib.settings import IbSettings, trusted_url
from apex_pipeline.brokers.ib.transport import Fault, Reply, Transport
from apex_pipeline.domain.records import Content
from apex_pipeline.errors import BrokerRefused, BrokerUnavailable, UnknownPayload

RETRY_SECONDS = (5.0, 15.0, 45.0)
SLOW_DOWN_SECONDS = (60.0, 600.0)
_WEB_PAGE = re.compile(rb"<!doctype\s+html|<html[\s>]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Window:
    """The days a statement is asked for, inclusive."""

    from_date: date
    to_date: date

    def __str__(self) -> str:
        return f"{self.from_date}..{self.to_date}"


class _Restart(Exception):
    """The ordered statement cannot be had: order it anew. The text is IB's own reason."""


@dataclass(slots=True)
class FlexClient:
    """Talks to the service with one token; not safe for threads.

    `acquire` is called with the token's budget before every request, polls included.
    """

    settings: IbSettings
    acquire: Acquire
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    _transport: Transport = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self._transport = Transport(
            settings.secret, settings.max_bytes, settings.scale, sleep=self.sleep, monotonic=self.monotonic
        )

    def close(self) -> None:
        """Release the connections."""
        self._transport.close()

    def statement(self, window: Window) -> Content | None:
        """The statement of this window, byte for byte; None where IB says there is none (code 1003).

        Well-formed and without a document type. BrokerUnavailable, BrokerRefused.
        """
        deadline = self.monotonic() + self.settings.total_deadline_seconds
        for last_try in (False, True):
            try:
                return _Conversation(self, self._transport, window, deadline).run()
            except _Restart as error:
                if last_try:
                    raise BrokerUnavailable(
                        f"Interactive Brokers did not hand out the ordered statement of {window}, ordered twice "
                        f"({error}): run the same command again later"
                    ) from None
        raise AssertionError  # the last try returns or raises


@dataclass(slots=True)
class _Conversation:
    """Send, wait, poll: one window from the order to what came."""

    client: FlexClient
    transport: Transport
    window: Window
    deadline: float

    def run(self) -> Content | None:
        settings = self.client.settings
        base = settings.flex_url.rstrip("/")
        days = {"fd": f"{self.window.from_date:%Y%m%d}", "td": f"{self.window.to_date:%Y%m%d}"}
        order = {"t": settings.secret, "q": settings.query_id.strip(), "v": "3", **days}
        ticket = self._until_told([f"{base}/SendRequest"], order)
        if ticket is None or isinstance(ticket, Content):
            return ticket
        self._wait(settings.poll_seconds)
        poll = {"t": settings.secret, "q": ticket.reference, "v": "3"}
        own = f"{base}/GetStatement"
        answered = trusted_url(ticket.url, settings.flex_url) or own
        told = self._until_told([answered] if answered == own else [answered, own], poll)
        if isinstance(told, Answer):
            self._unavailable("answered a poll with a new reference instead of a statement")
        return told

    def _until_told(self, urls: Sequence[str], params: Mapping[str, str]) -> Answer | Content | None:
        """Repeat a request until a success or a statement comes; None for "not available"."""
        retries, slow_downs = iter(RETRY_SECONDS), iter(SLOW_DOWN_SECONDS)
        while True:
            told = self._usable(urls, params)
            if isinstance(told, Content) or told.success:
                return told
            match told.advice:
                case Advice.NOT_AVAILABLE:
                    return None
                case Advice.POLL:
                    self._wait(self.client.settings.poll_seconds)
                case Advice.SLOW_DOWN:
                    self._wait_scaled(next(slow_downs, None), told)
                case Advice.RETRY:
                    pause = next(retries, None)
                    if pause is None and "GetStatement" in urls[-1]:
                        raise _Restart(self._words(told))
                    self._wait_scaled(pause, told)
                case Advice.RESTART:
                    raise _Restart(self._words(told))
                case _:
                    self._refuse(told)

    def _usable(self, urls: Sequence[str], params: Mapping[str, str]) -> Answer | Content:
        """One answer that can be understood; faults of the way there are repeated a few times."""
        pauses = (*RETRY_SECONDS, None)
        for attempt, pause in enumerate(pauses):
            url = urls[attempt % len(urls)]
            self.client.acquire(self.client.settings.budget)
            reply = self.transport.get(url, params, self.deadline)
            told = reply if isinstance(reply, Fault) else self._understood(reply, may_move=len(urls) > 1)
            if not isinstance(told, Fault):
                return told
            hopeless = told.dead and not self.client.settings.patient and attempt + 1 >= len(urls)
            if pause is None or hopeless or self._seconds_left() <= 0:
                self._unavailable(f"gave no usable answer ({told.reason})", urlsplit(url).hostname)
            self._wait(pause * self.client.settings.scale)
        raise AssertionError  # the last pause is None

    def _understood(self, reply: Reply, *, may_move: bool) -> Answer | Content | Fault:
        answer = answer_of(reply.content)
        if answer is not None:
            return Fault("an answer that says neither success nor an error") if answer.says_nothing else answer
        status = reply.status
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return Answer("Fail", 1018, "HTTP 429, too many requests", "", "")
        moved = may_move and status == HTTPStatus.NOT_FOUND
        client_error = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
        if client_error and not moved and status != HTTPStatus.REQUEST_TIMEOUT:
            raise BrokerRefused(f"the Flex service answered HTTP {status}: check IB_FLEX_URL")
        if status != HTTPStatus.OK:
            redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
            return Fault(f"HTTP {status}{', a redirect, which is never followed' if redirect else ''}")
        return _statement_in(reply.content)

    def _seconds_left(self) -> float:
        return self.deadline - self.client.monotonic()

    def _wait_scaled(self, seconds: float | None, told: Answer) -> None:
        if seconds is None:
            self._unavailable(f"says again and again: {self._words(told)}")
        self._wait(seconds * self.client.settings.scale)

    def _wait(self, seconds: float) -> None:
        if seconds >= self._seconds_left():
            limit = self.client.settings.total_deadline_seconds
            self._unavailable(f"did not finish within {limit:g} seconds")
        self.client.sleep(seconds)

    def _unavailable(self, what: str, host: str | None = None) -> NoReturn:
        host = host or urlsplit(self.client.settings.flex_url).hostname
        raise BrokerUnavailable(
            f"Interactive Brokers' Flex service at {host} {what}; days {self.window} are not loaded: "
            "check the connection and run the same command again later"
        )

    def _refuse(self, told: Answer) -> NoReturn:
        words = self._words(told)
        match told.advice:
            case Advice.LATER:
                raise BrokerUnavailable(
                    f"Interactive Brokers has not finished this day's books ({words}): run again in 30 to 60 minutes"
                )
            case Advice.CREDENTIAL:
                remedy = remedy_of(told.code)
                raise BrokerRefused(f"Interactive Brokers refuses the token ({words}): {remedy}")
            case Advice.CONFIGURATION:
                raise BrokerRefused(
                    f"Interactive Brokers refuses the query ({words}): set IB_FLEX_QUERY_ID to an Activity Flex Query"
                )
            case _:
                raise BrokerRefused(f"Interactive Brokers refuses: {words}; check IB_FLEX_TOKEN and IB_FLEX_QUERY_ID")

    def _words(self, told: Answer) -> str:
        code = told.code if told.code is not None else (told.status or "no code")
        return self.transport.redact(f"{code}: {told.message}")


def _statement_in(content: Content) -> Content | Fault:
    """This content if they are a whole statement; Fault for web pages and broken bodies.

    BrokerRefused for a document type.
    """
    head = next(content.chunks(), b"")
    if not content.size or (content.size < MAX_ANSWER_BYTES and not content.whole().strip()):
        return Fault("an empty answer")
    if _WEB_PAGE.search(head[:1024]):
        return Fault("a web page instead of a statement")
    try:
        root = root_of(content.chunks())
    except UnknownPayload as error:
        if error.reason_code == "not_well_formed":
            return Fault(str(error))
        refusal = str(error)
    else:
        return content if root == ROOT else Fault(f"a {root[:40]!r} document instead of a statement")
    raise BrokerRefused(f"{refusal}: check IB_FLEX_URL and what stands between this machine and IB")
