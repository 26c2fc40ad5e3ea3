"""The HTTP side of the Flex simulator: one request, one answer, and the ways in which a body can fail to arrive."""

import gzip
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event
from typing import ClassVar, final
from urllib.parse import parse_qsl, urlsplit

from apex_pipeline.brokers.ib.simulator_answers import Answer

ROOT = "/AccountManagement/FlexWebService"
_DRIP_SECONDS = 0.05
_FILLER = b" " * 65_536


@final
class FlexServer(ThreadingHTTPServer):
    """Listens on the loopback interface and asks `answer` (call, parameters, User-Agent) what to say.

    `stopped` ends bodies that would never end.
    """

    daemon_threads: bool = True

    def __init__(self, port: int, answer: Callable[[str, Mapping[str, str], str | None], Answer]) -> None:
        self.answer = answer
        self.stopped = Event()
        super().__init__(("127.0.0.1", port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version: str = "HTTP/1.1"
    server_version: str = "FlexSimulator"
    disable_nagle_algorithm: ClassVar[bool] = True

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        assert isinstance(self.server, FlexServer)
        call = parts.path.removeprefix(ROOT).strip("/")
        answer = self.server.answer(call, dict(parse_qsl(parts.query)), self.headers.get("User-Agent"))
        self.close_connection: bool = answer.transfer != "whole" or self.close_connection
        if answer.transfer == "drop":
            return
        packed = gzip.compress(answer.body) if "gzip" in answer.transfer else answer.body
        sent = packed[: len(packed) // 2] if answer.transfer == "broken gzip" else packed
        self._head(answer, len(sent))
        with suppress(ConnectionError):
            self._body(answer.transfer, sent, self.server.stopped)

    def _head(self, answer: Answer, size: int) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.media_type)
        if "gzip" in answer.transfer:
            self.send_header("Content-Encoding", "gzip")
        if answer.transfer == "endless":
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(size))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _body(self, transfer: str, body: bytes, stopped: Event) -> None:
        match transfer:
            case "cut":
                _ = self.wfile.write(body[: len(body) // 2])
            case "drip":
                for place in range(len(body)):
                    _ = self.wfile.write(body[place : place + 1])
                    if stopped.wait(_DRIP_SECONDS):
                        return
            case "endless":
                _ = self.wfile.write(body[: len(body) // 2])
                while not stopped.is_set():
                    _ = self.wfile.write(_FILLER)
            case _:
                _ = self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server gives it
        """Silent: the request line holds the token."""
