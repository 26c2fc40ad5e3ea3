"""A bare OpenD client for tests: frames by hand, messages by futu-api's generated modules, nothing else."""

import hashlib
import socket
import struct
from types import TracebackType
from typing import Any, Self

from google.protobuf import json_format

from apex_pipeline.brokers.futu.simulator_wire import MODULES, protobuf

HEADER = struct.Struct("<1s1sI2B2I20s8s")


class OpenDSocket:
    """One connection; `ask` returns the decoded response."""

    def __init__(self, port: int, *, json: bool = False, hello: bool = True, timeout: float = 5) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.serial = 0
        self.json = json
        if hello:
            assert self.ask(1001, clientVer=300, clientID="test", packetEncAlgo=-1).retType == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()

    def send(self, proto_id: int, **c2s: Any) -> None:
        """Send one request; the fields of its c2s as keywords."""
        request = protobuf(MODULES.get(proto_id, "KeepAlive_pb2")).Request()
        json_format.ParseDict({"c2s": c2s}, request)
        body = json_format.MessageToJson(request).encode() if self.json else request.SerializeToString()
        self.serial += 1
        digest = hashlib.sha1(body).digest()
        head = HEADER.pack(b"F", b"T", proto_id, int(self.json), 0, self.serial, len(body), digest, bytes(8))
        self.socket.sendall(head + body)

    def receive(self) -> tuple[tuple[Any, ...], bytes]:
        """The header and the body of the next frame. Raises ConnectionError when the peer closed."""
        head = HEADER.unpack(self._exactly(HEADER.size))
        return head, self._exactly(head[6])

    def ask(self, proto_id: int, **c2s: Any) -> Any:
        """The response to one request."""
        self.send(proto_id, **c2s)
        head, body = self.receive()
        assert (head[2], head[5]) == (proto_id, self.serial)
        assert head[7] == hashlib.sha1(body).digest()
        response = protobuf(MODULES.get(proto_id, "KeepAlive_pb2")).Response()
        return json_format.Parse(body, response) if self.json else (response.ParseFromString(body), response)[1]

    def history(self, account: int, begin: str, end: str, proto_id: int = 2221, market: int = 2, **more: Any) -> Any:
        """Orders or deals between two wall clock times."""
        header = {"trdEnv": 1, "accID": str(account), "trdMarket": market}
        filters = {"beginTime": begin, "endTime": end, **more}
        return self.ask(proto_id, header=header, filterConditions=filters)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise ConnectionError(f"closed after {len(data)} of {size} bytes")
            data += piece
        return data
