"""Asks IB Gateway or TWS what happened today, within a total deadline, and returns it as plain data.

The TWS API is not encrypted and has no password: the gateway belongs on this machine or behind a tunnel, and its
"Trusted IPs" decide who may connect. Nothing is ever ordered; a gateway set to read-only serves everything.
ib_async runs in an event loop and a thread of its own, so a caller's loop is never disturbed.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from apex_pipeline.brokers.ib import tws_messages as messages
from apex_pipeline.brokers.ib.tws_login import is_notice, log_in, new_gateway
from apex_pipeline.brokers.ib.tws_loop import PrivateLoop
from apex_pipeline.brokers.ib.tws_messages import Row, contract_of
from apex_pipeline.errors import BrokerUnavailable

if TYPE_CHECKING:
    from apex_pipeline.brokers.ib.tws_gateway import Gateway

COMBINATION = "BAG"


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
        loop = PrivateLoop()
        try:
            return loop.run(_Conversation(self.endpoint, self.patience).run, self.patience.total + 1)
        except TimeoutError:
            raise BrokerUnavailable(
                f"the gateway at {self.endpoint} could not be asked within {self.patience.total:g} s: "
                "check IB_TWS_HOST, and that the gateway is up"
            ) from None
        finally:
            loop.stop()


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
        gateway = new_gateway()
        try:
            await log_in(gateway, self.endpoint, self._within(self.patience.login), self.patience.login)
            return await self._ask(gateway)
        finally:
            gateway.leave()

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
            complaints=tuple(f"{item.code}: {item.text}" for item in heard.complaints if not is_notice(item)),
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


def _over(gateway: "Gateway", message: str, number: int) -> bool:
    """Whether an answer ended, or was refused."""
    heard = gateway.heard
    return (message, number) in heard.ended or (number >= 0 and heard.complaint_about(number) is not None)
