"""Asks IB Gateway or TWS what happened today, within a total deadline, and returns it as plain data.

The TWS API is not encrypted and has no password: the gateway belongs on this machine or behind a tunnel, and its
"Trusted IPs" decide who may connect. Nothing is ever ordered; a gateway set to read-only serves everything.
ib_async runs in an event loop and a thread of its own, so a caller's loop is never disturbed.
"""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import TimeoutError as NoResult
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Thread
from typing import TYPE_CHECKING, Any, NoReturn

from apex_pipeline.brokers.ib import tws_messages as messages
from apex_pipeline.brokers.ib.tws_messages import Row, contract_of
from apex_pipeline.errors import BrokerRefused, BrokerUnavailable, ConfigError

if TYPE_CHECKING:
    from apex_pipeline.brokers.ib.tws_gateway import Complaint, Gateway

CLIENT_ID_IN_USE = 326
COMBINATION = "BAG"
_NEVER_OPEN = "there was no connection"
_NOTICES = range(2100, 2200)
"""Codes that tell the state of market data, not of an account."""


@dataclass(frozen=True, slots=True)
class TwsEndpoint:
    """Where the gateway listens, and under which client id it is asked."""

    host: str
    port: int
    client_id: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each step may take, in seconds; `total` bounds them all."""

    total: float = 20
    login: float = 10
    answer: float = 8
    again: float = 5
    quiet: float = 3
    """Without a new commission report for so long, the missing ones are taken as late."""


@dataclass(frozen=True, slots=True)
class TwsAnswers:
    """What the gateway told in one conversation, every field as the text it sent.

    `positions` and `summary` are None where the gateway did not tell them to their end: unknown, not empty.
    `greeting` is its own time, with its zone, when it was connected; `current_time` its clock in epoch seconds.
    `unreadable`: messages of these kinds that lack fields.
    """

    server_version: int
    greeting: str
    current_time: str
    accounts: tuple[str, ...]
    executions: tuple[Row, ...]
    commissions: tuple[Row, ...]
    positions: tuple[Row, ...] | None
    summary: tuple[Row, ...] | None
    unreadable: tuple[list[str], ...] = ()
    complaints: tuple[str, ...] = ()
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class TwsClient:
    """Asks one gateway; each `fetch` is a connection of its own."""

    endpoint: TwsEndpoint
    patience: Patience = Patience()

    def fetch(self) -> TwsAnswers:
        """Executions, commissions, positions and the account summary of all accounts of the login.

        BrokerUnavailable, BrokerRefused (the client id is in use) or ConfigError (ib_async is missing), in one
        line and within the total deadline.
        """
        try:
            return _in_private_loop(_Conversation(self.endpoint, self.patience).run, self.patience.total + 1)
        except NoResult:
            raise BrokerUnavailable(
                f"the gateway at {self.endpoint} could not be asked within {self.patience.total:g} s: "
                "check IB_TWS_HOST, and that the gateway is up"
            ) from None


def _in_private_loop(run: Callable[[], Coroutine[Any, Any, TwsAnswers]], seconds: float) -> TwsAnswers:
    """The result of a coroutine in a loop and thread of its own; TimeoutError after `seconds`."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=_serve, args=(loop,), name="tws", daemon=True)
    thread.start()
    outcome = asyncio.run_coroutine_threadsafe(run(), loop)
    try:
        return outcome.result(seconds)
    finally:
        outcome.cancel()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(1)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        loop.run_until_complete(_end(asyncio.all_tasks(loop)))
    finally:
        loop.close()


async def _end(left: set[asyncio.Task[Any]]) -> None:
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await asyncio.sleep(0)  # a closed socket is let go in the next round of the loop


@dataclass(slots=True)
class _Conversation:
    """Log in, ask everything at once, wait for each answer to end, leave."""

    endpoint: TwsEndpoint
    patience: Patience
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    deadline: float = 0.0

    async def run(self) -> TwsAnswers:
        """Everything the gateway told."""
        self.deadline = time.monotonic() + self.patience.total
        try:
            from apex_pipeline.brokers.ib.tws_gateway import Gateway
        except ImportError as error:
            raise ConfigError(
                f"IB_TWS_HOST is set, but the package {error.name} is missing: run `make setup`, or unset IB_TWS_HOST"
            ) from error
        gateway = Gateway()
        try:
            await self._log_in(gateway)
            return await self._ask(gateway)
        finally:
            gateway.leave()

    async def _log_in(self, gateway: "Gateway") -> None:
        heard, end = gateway.heard, self._within(self.patience.login)
        place, most = self.endpoint, self.patience.total
        login = asyncio.ensure_future(gateway.connectAsync(place.host, place.port, place.client_id, most))
        login.add_done_callback(lambda _: heard.changed.set())
        await heard.until(lambda: login.done() or _in_use(heard.complaints), end)
        closed = heard.closed if heard.closed is not None or gateway.conn.isConnected() else _NEVER_OPEN
        login.cancel()
        (failure,) = await asyncio.gather(login, return_exceptions=True)
        if _in_use(heard.complaints):
            raise BrokerRefused(
                f"client id {place.client_id} is in use at the gateway {place}: set IB_TWS_CLIENT_ID to another "
                "number, or end the program that uses it"
            )
        if failure is not None:
            self._no_login(gateway, failure, closed)

    def _no_login(self, gateway: "Gateway", failure: BaseException, closed: str | None) -> NoReturn:
        heard, place = gateway.heard, self.endpoint
        if closed is _NEVER_OPEN:
            reason = _reason(failure) or f"no answer within {self.patience.login:g} s"
            raise BrokerUnavailable(
                f"nobody listens for the TWS API at {place} ({reason}): start IB Gateway or TWS with its API enabled, "
                "and check IB_TWS_HOST and IB_TWS_PORT"
            ) from None
        if closed is not None:
            words = _words(heard.complaints) or closed
            raise BrokerUnavailable(
                f"the gateway at {place} ended the connection before the login ({words}): allow this machine under "
                'its API settings, "Trusted IPs", and check IB_TWS_CLIENT_ID'
            ) from None
        state = "told no accounts" if heard.greeting else "did not answer as a gateway does"
        raise BrokerUnavailable(
            f"{place} accepted the connection and {state} within {self.patience.login:g} s{_told(heard.complaints)}: "
            "log in to IB Gateway or TWS, close its dialogs, and check IB_TWS_PORT"
        ) from None

    async def _ask(self, gateway: "Gateway") -> TwsAnswers:
        heard = gateway.heard
        accounts = heard.accounts
        gateway.reqCurrentTime()
        executions = [gateway.ask_executions(account) for account in accounts]
        gateway.reqPositions()
        summary = gateway.ask_summary()
        await self._executions(gateway, executions)
        await self._commissions(gateway)
        positions_told, summary_told = await self._states(gateway, summary)
        if heard.is_cut_off:
            raise BrokerUnavailable(
                f"the gateway at {self.endpoint} has lost its connection to Interactive Brokers (1100): try again later"
            )
        return TwsAnswers(
            server_version=gateway.serverVersion() or heard.serverVersion,
            greeting=heard.greeting,
            current_time=heard.time,
            accounts=accounts,
            executions=tuple(heard.executions.values()),
            commissions=tuple(heard.commissions.values()),
            positions=tuple(heard.positions.values()) if positions_told else None,
            summary=tuple(heard.summary.values()) if summary_told else None,
            unreadable=tuple(heard.unreadable),
            complaints=tuple(f"{item.code}: {item.text}" for item in heard.complaints if not _is_notice(item)),
            asked_at=self.asked_at,
        )

    async def _executions(self, gateway: "Gateway", requests: list[int]) -> None:
        """Wait for the end of every list; some gateways never answer a filter, so a blank one is tried as well."""
        heard = gateway.heard
        asked = list(requests)

        def over() -> bool:
            return all(_over(gateway, messages.EXECUTIONS_END, number) for number in asked)

        def told() -> bool:
            return all((messages.EXECUTIONS_END, number) in heard.ended for number in asked)

        await heard.until(over, self._within(self.patience.answer))
        if not told() and heard.closed is None:
            asked[:] = [gateway.ask_executions("")]
            await heard.until(over, self._within(self.patience.again))
        if told():
            return
        refused = next((found for number in (*requests, *asked) if (found := heard.complaint_about(number))), None)
        reason = f"refused it ({refused.code}: {refused.text[:200]})" if refused else "never ended its answer"
        reason = f"ended the connection ({heard.closed})" if heard.closed is not None and not refused else reason
        raise BrokerUnavailable(
            f"the gateway at {self.endpoint} was asked for today's executions and {reason}, so nothing of it was "
            "loaded: restart IB Gateway or TWS if this repeats"
        )

    async def _commissions(self, gateway: "Gateway") -> None:
        """Wait until every execution has its report or none has come for a while: late ones stay unknown."""
        heard, begun = gateway.heard, time.monotonic()
        fills = {row["execId"] for row in heard.executions.values() if contract_of(row).get("secType") != COMBINATION}
        while not fills <= heard.commissions.keys():
            since = max(heard.last_commission_at, begun)
            end = min(self.deadline, since + self.patience.quiet)

            def moved(known: float = since) -> bool:
                return fills <= heard.commissions.keys() or heard.last_commission_at > known

            if not await heard.until(moved, end):
                return

    async def _states(self, gateway: "Gateway", summary: int) -> tuple[bool, bool]:
        """Whether positions and summary were told to their end."""
        heard = gateway.heard
        ends = (messages.POSITIONS_END, -1), (messages.SUMMARY_END, summary)
        await heard.until(lambda: all(_over(gateway, *end) for end in ends), self._within(self.patience.again))
        told = ends[0] in heard.ended, ends[1] in heard.ended
        if heard.closed is None:
            gateway.cancelPositions()
            gateway.cancelAccountSummary(summary)
        return told

    def _within(self, seconds: float) -> float:
        return min(self.deadline, time.monotonic() + seconds)


def _reason(failure: BaseException) -> str:
    """Why a connection failed, in the words of the system; asyncio's own repeat the address."""
    if not isinstance(failure, OSError) or failure.errno is None:
        return ""
    return os.strerror(failure.errno) if failure.errno > 0 else failure.strerror or ""


def _over(gateway: "Gateway", message: str, number: int) -> bool:
    """Whether an answer ended, or was refused."""
    heard = gateway.heard
    return (message, number) in heard.ended or (number >= 0 and heard.complaint_about(number) is not None)


def _in_use(complaints: "list[Complaint]") -> bool:
    return any(item.code == CLIENT_ID_IN_USE for item in complaints)


def _words(complaints: "list[Complaint]") -> str:
    """What the gateway complained about last; notices about its data farms are none."""
    return next((f"{item.code}: {item.text[:200]}" for item in reversed(complaints) if not _is_notice(item)), "")


def _is_notice(complaint: "Complaint") -> bool:
    return complaint.code in _NOTICES


def _told(complaints: "list[Complaint]") -> str:
    words = _words(complaints)
    return f" ({words})" if words else ""
