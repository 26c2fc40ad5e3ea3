"""The connection of a session for bars: one question at a time, each with a deadline."""

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, final

from apex_pipeline.brokers.ib.tws_bar_complaints import is_final
from apex_pipeline.brokers.ib.tws_client import TwsEndpoint
from apex_pipeline.brokers.ib.tws_login import log_in, new_gateway
from apex_pipeline.brokers.ib.tws_loop import PrivateLoop
from apex_pipeline.errors import BrokerError, BrokerUnavailable

if TYPE_CHECKING:
    from apex_pipeline.brokers.ib.tws_gateway import Complaint, Gateway

_LEAVE_SECONDS = 2

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Question:
    """One request: `send` makes it and returns its number, `is_told` looks for the end of its answer.

    `cancel` withdraws one that was not answered within `seconds`.
    """

    send: Callable[["Gateway"], int]
    is_told: Callable[["Gateway", int], bool]
    seconds: float
    cancel: Callable[["Gateway", int], object] | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """How the gateway answered: with messages to the end (`is_whole`), of which there may be none, or with an error.

    With neither where it did not answer in time.
    """

    replies: list[list[str]]
    complaint: "Complaint | None"
    is_whole: bool


@final
class TwsLine:
    """A connection to a gateway and the loop that serves it; made anew by the question after it was lost."""

    def __init__(self, endpoint: TwsEndpoint, login_seconds: float) -> None:
        self.endpoint = endpoint
        self._login_seconds = login_seconds
        self._loop = PrivateLoop()
        self._gateway: Gateway | None = None

    def open(self) -> "Gateway":
        """The gateway, connected and logged in. BrokerUnavailable, BrokerRefused, ConfigError (no ib_async)."""
        gateway = self._gateway
        if gateway is None or gateway.heard.closed is not None or not gateway.isReady():
            self._leave()
            gateway = self._gateway = self._run(self._logged_in, self._login_seconds)
        return gateway

    @property
    def server_version(self) -> int:
        """What the gateway speaks; its messages differ."""
        return self.open().serverVersion()

    def close(self) -> None:
        """Leave the gateway and end the loop."""
        try:
            self._leave()
        finally:
            self._loop.stop()

    def ask(self, question: Question) -> Told:
        """The answer to a question. BrokerUnavailable where the connection was lost, the gateway's own to IB too."""
        gateway = self.open()
        return self._run(lambda: self._asked(gateway, question), question.seconds)

    async def _asked(self, gateway: "Gateway", question: Question) -> Told:
        heard, number = gateway.heard, question.send(gateway)

        def complaint() -> "Complaint | None":
            return next((item for item in heard.complaints if item.request == number and is_final(item)), None)

        def is_over() -> bool:
            return question.is_told(gateway, number) or complaint() is not None or heard.is_cut_off

        await heard.until(is_over, time.monotonic() + question.seconds)
        is_told = question.is_told(gateway, number)
        told = Told(heard.replies.get(number, []) if is_told else [], complaint(), is_told)
        heard.forget(number)
        if not is_told and told.complaint is None:
            self._check(gateway)
            if question.cancel is not None:
                question.cancel(gateway, number)
        return told

    def _check(self, gateway: "Gateway") -> None:
        heard = gateway.heard
        if heard.closed is not None:
            raise BrokerUnavailable(
                f"the gateway at {self.endpoint} ended the connection while it was asked for bars ({heard.closed}): "
                "try again later"
            )
        if heard.is_cut_off:
            raise BrokerUnavailable(
                f"the gateway at {self.endpoint} has lost its connection to Interactive Brokers (1100): try again later"
            )

    async def _logged_in(self) -> "Gateway":
        gateway, seconds = new_gateway(), self._login_seconds
        try:
            await log_in(gateway, self.endpoint, time.monotonic() + seconds, seconds)
        except BrokerError:
            gateway.leave()
            raise
        return gateway

    def _leave(self) -> None:
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            self._run(lambda: _left(gateway), _LEAVE_SECONDS)

    def _run(self, begin: Callable[[], Coroutine[Any, Any, Result]], seconds: float) -> Result:
        try:
            return self._loop.run(begin, seconds + 1)
        except (TimeoutError, ConnectionError):
            raise BrokerUnavailable(
                f"the gateway at {self.endpoint} could not be asked for bars: check IB_TWS_HOST, and that it is up"
            ) from None


async def _left(gateway: "Gateway") -> None:
    gateway.leave()  # in the loop that reads its socket
