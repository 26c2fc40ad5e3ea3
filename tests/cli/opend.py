"""A second, minimal OpenD: own framing, messages from futu-api's generated modules, and habits of its own.

It shares no code with the simulators, so that an error which the product and its simulators have in common
shows. Its habits: bounds of history requests are read as UTC+8 for all rows and rows come oldest first, unless
`Habits` says otherwise; fees come shuffled and some are left out, futures accounts are not answered, empty lists
are empty contents. What rows hold is the login's affair.
"""

import hashlib
import importlib
import importlib.util
import random
import socketserver
import struct
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

HEADER = struct.Struct("<2sI2B2I20s8s")
UTC8 = timezone(timedelta(hours=8))
ZONES = {"US": ZoneInfo("America/New_York"), "HK": UTC8}
MARKETS = {"HK": 1, "US": 2}
MOST_FEES = 400
INIT, KEEP_ALIVE, ACC_LIST, ORDERS, FILLS, FEES = 1001, 1004, 2001, 2221, 2222, 2225
FUNDS, POSITIONS, CASH_FLOW = 2101, 2102, 2226
MODULES = {
    INIT: "InitConnect_pb2",
    KEEP_ALIVE: "KeepAlive_pb2",
    ACC_LIST: "Trd_GetAccList_pb2",
    ORDERS: "Trd_GetHistoryOrderList_pb2",
    FILLS: "Trd_GetHistoryOrderFillList_pb2",
    FEES: "Trd_GetOrderFee_pb2",
    FUNDS: "Trd_GetFunds_pb2",
    POSITIONS: "Trd_GetPositionList_pb2",
    CASH_FLOW: "Trd_FlowSummary_pb2",
}


def messages(name: str) -> ModuleType:
    """A generated module by its own name: importing futu itself takes seconds and takes over SIGINT."""
    spec = importlib.util.find_spec("futu")
    assert spec is not None
    assert spec.origin is not None
    folder = str(Path(spec.origin).parent / "common" / "pb")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)


@dataclass(frozen=True)
class Row:
    """One order or deal: its market, the instant it was made, and the fields of its message."""

    market: str
    at: datetime
    fields: dict[str, Any]


@dataclass
class Login:
    """What this OpenD knows. `fees`: order id to (total or None while pending, parts).

    `flows` None: it is an old one that does not know the cash flow protocol.
    """

    accounts: list[dict[str, Any]] = field(default_factory=list)
    orders: dict[int, list[Row]] = field(default_factory=dict)
    deals: dict[int, list[Row]] = field(default_factory=dict)
    fees: dict[int, dict[str, tuple[float | None, list[tuple[str, float]]]]] = field(default_factory=dict)
    positions: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    flows: dict[int, list[dict[str, Any]]] | None = None
    funds: dict[int, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Habits:
    """What no document says of OpenD. `bounds`: the zone of begin and end, None for the zone of each row."""

    bounds: tzinfo | None = UTC8
    newest_first: bool = False


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    protocol: int
    account: int
    content: Any


class OpenD:
    """Listens on a free port of the loopback interface until closed. `pause`: seconds before each history answer."""

    def __init__(self, login: Login, pause: float = 0, habits: Habits = Habits()) -> None:
        self.login = login
        self.habits = habits
        self.pause = pause
        self.asked: list[Asked] = []
        self.answered = threading.Condition()
        owner = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                owner.converse(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def __enter__(self) -> "OpenD":
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def requests(self, protocol: int) -> list[Asked]:
        """Requests of one kind so far."""
        return [asked for asked in self.asked if asked.protocol == protocol]

    def converse(self, connection: Any) -> None:
        """Answer frames until the client goes away."""
        while head := _exactly(connection, HEADER.size):
            _, protocol, _, _, serial, size, _, _ = HEADER.unpack(head)
            body = _exactly(connection, size)
            if body is None:
                return
            answer = self._answer(protocol, body).SerializeToString()
            digest = hashlib.sha1(answer).digest()
            frame = HEADER.pack(b"FT", protocol, 0, 0, serial, len(answer), digest, bytes(8)) + answer
            try:
                connection.sendall(frame)
            except OSError:
                return

    def _answer(self, protocol: int, body: bytes) -> Any:
        module = messages(MODULES[protocol])
        request, response = module.Request(), module.Response()
        request.ParseFromString(body)
        response.retType = 0
        response.s2c.SetInParent()
        account = int(request.c2s.header.accID) if protocol > ACC_LIST else 0
        with self.answered:
            self.asked.append(Asked(protocol, account, request.c2s))
            self.answered.notify_all()
        if account:
            time.sleep(self.pause)
            response.s2c.header.CopyFrom(request.c2s.header)
        if protocol in (ORDERS, FILLS):
            self._history(protocol, account, request.c2s, response)
        else:
            _ANSWERS[protocol](self.login, account, request.c2s, response)
        return response

    def _history(self, protocol: int, account: int, asked: Any, response: Any) -> None:
        known, told = (
            (self.login.orders, response.s2c.orderList)
            if protocol == ORDERS
            else (self.login.deals, response.s2c.orderFillList)
        )
        for row in _between(known.get(account, []), asked.filterConditions, self.habits):
            _fill(told.add(), row.fields)


def _init(_login: Login, _account: int, _asked: Any, response: Any) -> None:
    content = response.s2c
    content.serverVer, content.loginUserID, content.connID = 1009, 77, random.getrandbits(60)
    content.connAESKey, content.keepAliveInterval = "0123456789abcdef", 10


def _keep_alive(_login: Login, _account: int, _asked: Any, response: Any) -> None:
    response.s2c.time = int(time.time())


def _accounts(login: Login, _account: int, asked: Any, response: Any) -> None:
    if asked.trdCategory != 1:
        response.retType, response.retMsg = -1, "trdCategory is not supported"
        response.ClearField("s2c")
        return
    for account in login.accounts:
        _fill(response.s2c.accList.add(), account)


def _fees(login: Login, account: int, asked: Any, response: Any) -> None:
    if len(asked.orderIdExList) > MOST_FEES:
        response.retType, response.retMsg = -1, "too many ids"
        response.ClearField("s2c")
        return
    known = login.fees.get(account, {})
    ids = [order_id for order_id in asked.orderIdExList if order_id in known]
    random.Random(len(ids)).shuffle(ids)
    for order_id in ids:
        total, parts = known[order_id]
        fee = response.s2c.orderFeeList.add()
        fee.orderIDEx = order_id
        if total is not None:
            fee.feeAmount = total
        for title, value in parts:
            item = fee.feeList.add()
            item.title, item.value = title, value


def _funds(login: Login, account: int, _asked: Any, response: Any) -> None:
    required = ("power", "totalAssets", "cash", "marketVal", "frozenCash", "debtCash", "avlWithdrawalCash")
    _fill(response.s2c.funds, {**dict.fromkeys(required, 0), **login.funds.get(account, {})})


def _positions(login: Login, account: int, _asked: Any, response: Any) -> None:
    for position in login.positions.get(account, []):
        _fill(response.s2c.positionList.add(), position)


def _cash_flow(login: Login, account: int, asked: Any, response: Any) -> None:
    if login.flows is None:
        response.retType, response.retMsg = -1, "未知的协议ID"
        response.ClearField("s2c")
        return
    for flow in login.flows.get(account, []):
        if flow["clearingDate"] == asked.clearingDate:
            _fill(response.s2c.flowSummaryInfoList.add(), flow)


_ANSWERS = {
    FUNDS: _funds,
    POSITIONS: _positions,
    CASH_FLOW: _cash_flow,
    INIT: _init,
    KEEP_ALIVE: _keep_alive,
    ACC_LIST: _accounts,
    FEES: _fees,
}


def _between(rows: Sequence[Row], asked: Any, habits: Habits) -> list[Row]:
    bounds = {
        market: [
            datetime.fromisoformat(text).replace(tzinfo=habits.bounds or zone)
            for text in (asked.beginTime, asked.endTime)
        ]
        for market, zone in ZONES.items()
        if asked.filterMarket in (0, MARKETS[market])
    }
    inside = [row for row in rows if row.market in bounds and bounds[row.market][0] <= row.at <= bounds[row.market][1]]
    return sorted(inside, key=lambda row: row.at, reverse=habits.newest_first)


def _fill(message: Any, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if isinstance(value, dict):
            _fill(getattr(message, name), value)
        elif isinstance(value, list):
            for item in value:
                _add(getattr(message, name), item)
        else:
            setattr(message, name, value)


def _add(repeated: Any, item: Any) -> None:
    if isinstance(item, dict):
        _fill(repeated.add(), item)
    else:
        repeated.append(item)


def _exactly(connection: Any, size: int) -> bytes | None:
    content = b""
    while len(content) < size:
        try:
            piece = connection.recv(size - len(content))
        except OSError:
            return None
        if not piece:
            return None
        content += piece
    return content
