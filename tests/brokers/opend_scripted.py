"""A gateway of a few lines that answers as a test says, over the real wire protocol."""

import asyncio
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from apex_pipeline.brokers.futu.simulator_wire import MODULES, Frame, body_of, pack_frame, protobuf, read_frame, sha1_of
from apex_pipeline.domain.records import Call, Delivery
from tests.brokers.opend_client import ACCOUNT, TODAY, broker, no_limit

NOTIFY, ACCOUNTS, FUNDS, POSITIONS, ORDERS, DEALS, FEES, CASH = 1003, 2001, 2101, 2102, 2221, 2222, 2225, 2226
HISTORY_KL, KL_QUOTA = 3103, 3104
"""Protocol ids."""


Reply = Callable[[Any, Any], None]
"""Fills a response from a request."""


class ScriptedGateway:
    """A gateway of a few lines that answers as a test says; what a test does not say is an empty success."""

    def __init__(self, script: dict[int, Reply], json_protocols: set[int] | None = None) -> None:
        self.script = script
        self.notices: dict[int, Any] = {}
        """Notify messages that are pushed before the answer to a protocol."""
        self._json_protocols = json_protocols or set[int]()
        self.asked: list[tuple[int, Any]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "ScriptedGateway":
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def asked_of(self, protocol: int) -> list[Any]:
        """The requests of one protocol so far."""
        return [request for asked, request in self.asked if asked == protocol]

    def _spawn(self, run: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._spawn(self._converse, peer)

    def _converse(self, peer: socket.socket) -> None:
        async def talk() -> None:
            reader, writer = await asyncio.open_connection(sock=peer)
            while frame := await read_frame(reader):
                if notice := self.notices.get(frame.proto_id):
                    body = notice.SerializeToString()
                    writer.write(pack_frame(Frame(NOTIFY, 0, 0, sha1_of(body), body)))
                writer.write(self._reply(frame))
                await writer.drain()
            writer.close()

        asyncio.run(talk())

    def _reply(self, frame: Frame) -> bytes:
        module = protobuf(MODULES[frame.proto_id])
        request, response = module.Request(), module.Response()
        request.ParseFromString(frame.body)
        response.retType = 0
        self.asked.append((frame.proto_id, request))
        if frame.proto_id == 1001:
            response.s2c.serverVer, response.s2c.loginUserID, response.s2c.connID = 1011, 7, 9
            response.s2c.connAESKey, response.s2c.keepAliveInterval = "", 10
        elif frame.proto_id == 2001 and frame.proto_id not in self.script:
            one_account(request, response)
        else:
            response.s2c.SetInParent()
            if hasattr(response.s2c, "header"):
                response.s2c.header.CopyFrom(request.c2s.header)
            self.script.get(frame.proto_id, lambda _asked, _answer: None)(request, response)
        in_json = frame.proto_id in self._json_protocols
        body = body_of(response, 1) if in_json else response.SerializePartialToString()
        return pack_frame(Frame(frame.proto_id, int(in_json), frame.serial, sha1_of(body), body))


def one_account(request: Any, response: Any) -> None:
    response.s2c.SetInParent()
    if request.c2s.trdCategory == 1:
        add_account(response, ACCOUNT)


def add_account(response: Any, acc_id: int, env: int = 1, **fields: Any) -> None:
    account = response.s2c.accList.add(trdEnv=env, accID=acc_id, **fields)
    account.trdMarketAuthList.extend([2, 1])


def refuse(text: str, ret_type: int = -1) -> Reply:
    def reply(_request: Any, response: Any) -> None:
        response.Clear()
        response.retType, response.retMsg = ret_type, text

    return reply


def fetch(tmp_path: Path, gateway: ScriptedGateway, data_type: str, days: int = 1, **fields: Any) -> Delivery:
    call = Call(data_type, str(ACCOUNT), "ALL", TODAY - timedelta(days=days - 1), TODAY, **fields)
    with broker(tmp_path, gateway.port, window_seconds=0.1).connect(no_limit) as session:
        return session.fetch(call)
