"""One connection to IB Gateway or TWS through ib_async, and everything it told, as text.

Imported only when a connection is made. ib_async opens the socket, agrees on the version, logs the client in and
writes the requests; its start-up requests and its decoding are not used (see `tws_messages`). Nothing here can
place an order.
"""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from ib_async.client import Client
from ib_async.contract import Contract
from ib_async.objects import ExecutionFilter

from apex_pipeline.brokers.ib import tws_messages as messages
from apex_pipeline.brokers.ib.tws_contract import number
from apex_pipeline.brokers.ib.tws_messages import Row

if TYPE_CHECKING:
    from apex_pipeline.brokers.ib.tws_bar_windows import Window

MOST_BYTES = 256 * 1024**2
SUMMARY_TAGS = "AccountType,NetLiquidation,TotalCashValue,SettledCash,GrossPositionValue,$LEDGER:ALL"

_LOST, _BACK = 1100, (1101, 1102)
_ANY_REQUEST = -1
_EPOCH_SECONDS = 2
"""`formatDate`: instants as seconds, so that no zone has to be guessed; daily bars as dates."""

_silent = logging.getLogger("apex_pipeline.tws")
_silent.disabled = True


@dataclass(frozen=True, slots=True)
class Complaint:
    """A message of the gateway: `request` is -1 where it is about none."""

    request: int
    code: int
    text: str


@dataclass(slots=True)
class Heard:
    """What the gateway told so far. Takes the place of ib_async's decoder.

    A later message replaces an earlier one about the same thing. `replies`: messages about bars and contracts as they
    came, by the number of their request. `changed` is set by each message.
    """

    serverVersion: int = 0  # noqa: N815 - set by ib_async under this name
    greeting: str = ""
    time: str = ""
    accounts: tuple[str, ...] = ()
    executions: dict[tuple[str, str], Row] = field(default_factory=dict[tuple[str, str], Row])
    commissions: dict[str, Row] = field(default_factory=dict[str, Row])
    positions: dict[tuple[str, str], Row] = field(default_factory=dict[tuple[str, str], Row])
    summary: dict[tuple[str, str, str], Row] = field(default_factory=dict[tuple[str, str, str], Row])
    replies: dict[int, list[list[str]]] = field(default_factory=dict[int, list[list[str]]])
    ended: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    complaints: list[Complaint] = field(default_factory=list[Complaint])
    unreadable: list[list[str]] = field(default_factory=list[list[str]])
    closed: str | None = None
    last_at: float = 0.0
    last_commission_at: float = 0.0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def interpret(self, fields: list[str]) -> None:
        """Take one message; what cannot be read is kept in `unreadable`."""
        self.last_at = time.monotonic()
        self.changed.set()
        try:
            self._take(fields)
        except (IndexError, ValueError):
            self.unreadable.append(fields)

    def _take(self, fields: list[str]) -> None:
        match fields[0]:
            case messages.MANAGED_ACCOUNTS:
                self.accounts = tuple(name.strip() for name in fields[2].split(",") if name.strip())
            case messages.ERROR:
                self.complaints.append(Complaint(int(fields[2]), int(fields[3]), " ".join(fields[4].split())))
            case messages.TIME:
                self.time = fields[2]
            case messages.EXECUTIONS_END | messages.SUMMARY_END | messages.CONTRACTS_END:
                self.ended.add((fields[0], int(fields[2])))
            case messages.POSITIONS_END:
                self.ended.add((fields[0], _ANY_REQUEST))
            case messages.EXECUTION | messages.COMMISSION | messages.POSITION | messages.SUMMARY:
                self._keep(fields)
            case messages.BARS | messages.HEAD:
                self.replies.setdefault(int(fields[1]), []).append(fields)
            case messages.CONTRACT:
                request = messages.request_of_details(fields, self.serverVersion)
                self.replies.setdefault(request, []).append(fields)
            case _:
                pass

    def _keep(self, fields: list[str]) -> None:
        row = _READ_BY[fields[0]](fields)
        if row is None:
            self.unreadable.append(fields)
        elif fields[0] == messages.EXECUTION:
            self.executions[(row["acctNumber"], row["execId"])] = row
        elif fields[0] == messages.COMMISSION:
            self.commissions[row["execId"]] = row
            self.last_commission_at = self.last_at
        elif fields[0] == messages.POSITION:
            self.positions[(row["account"], row["contract"]["conId"])] = row
        else:
            self.summary[(row["account"], row["tag"], row["currency"])] = row

    def complaint_about(self, request: int) -> Complaint | None:
        """Why this request was refused, or None."""
        return next((item for item in self.complaints if item.request == request), None)

    def forget(self, request: int) -> None:
        """Let go of what was told about a request."""
        self.replies.pop(request, None)
        self.complaints[:] = [item for item in self.complaints if item.request != request]
        self.ended.discard((messages.CONTRACTS_END, request))

    @property
    def is_cut_off(self) -> bool:
        """Whether the gateway said that it lost its own connection to IB, and not that it has it again."""
        told = [item.code for item in self.complaints if item.code in (_LOST, *_BACK)]
        return bool(told) and told[-1] == _LOST

    async def until(self, done: Callable[[], bool], deadline: float) -> bool:
        """Wait for what `done` looks for; False at the deadline (monotonic seconds) or when the peer is gone."""
        while not done():
            left = deadline - time.monotonic()
            if left <= 0 or self.closed is not None:
                return False
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), left)
            except TimeoutError:
                return done()
        return True


_READ_BY: dict[str, Callable[[Sequence[str]], Row | None]] = {
    messages.EXECUTION: messages.execution,
    messages.COMMISSION: messages.commission,
    messages.POSITION: messages.position,
    messages.SUMMARY: messages.summary,
}


class _Acknowledged:
    """The rest of what ib_async's client expects of its owner."""

    def connectAck(self) -> None:  # noqa: N802 - called by ib_async under this name
        """Nothing to do: the client starts the API itself."""

    def setEventsDone(self) -> None:  # noqa: N802 - called by ib_async under this name
        """Nothing: there are no subscriptions."""

    def connectionClosed(self) -> None:  # noqa: N802 - called by ib_async under this name
        """Nothing: `Gateway` notices it."""


class Gateway(Client):
    """ib_async's client, silent, with every message going to `heard` as it was sent."""

    def __init__(self) -> None:
        super().__init__(_Acknowledged())
        self.heard: Heard = Heard()
        self.decoder = cast("Any", self.heard)
        self._logger = _silent
        self._received: int = 0

    def _onSocketHasData(self, data: bytes) -> None:  # noqa: N802 - overrides ib_async's name
        self._received += len(data)
        if self._received > MOST_BYTES:
            self._give_up("sends more than an answer can be")
            return
        if not self.serverVersion():
            self._notice_greeting(data)
        try:
            super()._onSocketHasData(data)
        except (ValueError, IndexError):  # beyond what any gateway sends; eventkit would swallow it
            self._give_up("does not speak the TWS API")

    def _give_up(self, reason: str) -> None:
        self.heard.closed = reason
        self.heard.changed.set()
        self.disconnect()

    def _notice_greeting(self, data: bytes) -> None:
        """Keep the time that the gateway tells with its version: the only place where it names its own zone."""
        frame = self._data + data
        parts = frame[4 : 4 + int.from_bytes(frame[:4])].split(b"\0") if len(frame) > 4 else []
        if len(parts) == 3:
            self.heard.greeting = parts[1].decode(errors="replace")

    def _onSocketDisconnected(self, msg: str) -> None:  # noqa: N802 - overrides ib_async's name
        self.heard.closed = self.heard.closed or msg or "closed the connection"
        self.heard.changed.set()
        super()._onSocketDisconnected(msg)

    def ask_executions(self, account: str) -> int:
        """Ask for the executions of an account, or of all with a blank one; returns the number of the request."""
        request = self.getReqId()
        self.reqExecutions(request, ExecutionFilter(acctCode=account))
        return request

    def ask_summary(self) -> int:
        """Ask for the summary and the cash by currency of all accounts; returns the number of the request."""
        request = self.getReqId()
        self.reqAccountSummary(request, "All", SUMMARY_TAGS)
        return request

    def ask_contract(self, conid: str, *, expired: bool) -> int:
        """Ask what a conid names, also among expired futures; returns the number of the request."""
        request = self.getReqId()
        self.reqContractDetails(request, Contract(conId=int(conid), includeExpired=expired))
        return request

    def ask_bars(self, contract: Row, window: "Window", what: str) -> int:
        """Ask for the bars of regular hours in a window; returns the number of the request."""
        request, self._received = self.getReqId(), 0
        end, duration, size = window.end_text, window.duration, window.bar_size
        self.reqHistoricalData(
            request,
            _contract(contract),
            end,
            duration,
            size,
            what,
            1,
            _EPOCH_SECONDS,
            keepUpToDate=False,
            chartOptions=[],
        )
        return request

    def ask_head(self, contract: Row, what: str) -> int:
        """Ask when the oldest bar of regular hours begins; returns the number of the request."""
        request = self.getReqId()
        self.reqHeadTimeStamp(request, _contract(contract), what, 1, _EPOCH_SECONDS)
        return request

    def leave(self) -> None:
        """Close the connection; nothing if it is closed already."""
        if self.conn.isConnected():
            self.disconnect()


def _contract(row: Row) -> Contract:
    """The contract as it was told, so that nothing of it contradicts the conid."""
    strike, right = number(row.get("strike")), row.get("right", "")
    return Contract(
        conId=int(row["conId"]),
        symbol=row.get("symbol", ""),
        secType=row["secType"],
        lastTradeDateOrContractMonth=re.split(r"[ -]", row.get("lastTradeDateOrContractMonth", ""))[0],
        strike=float(strike) if strike else 0.0,
        right=right if right in ("C", "P", "CALL", "PUT") else "",
        multiplier=row.get("multiplier", ""),
        exchange=row["exchange"],
        primaryExchange=row.get("primaryExchange", ""),
        currency=row.get("currency", ""),
        localSymbol=row.get("localSymbol", ""),
        tradingClass=row.get("tradingClass", ""),
        includeExpired=row.get("includeExpired", False),
    )
