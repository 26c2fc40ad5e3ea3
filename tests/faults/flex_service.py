"""A Flex Web Service of its own over a made-up book: answers in the given form, counts requests, and fails on demand.

Shares no code with the product or its simulator.
"""

import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.faults.flex_book import Book

TOKEN, QUERY = "904455667788990011223344", "771100"

Render = Callable[[Book], str]
"""The document over a part of the book."""


@dataclass(frozen=True)
class Request:
    """One request as it arrived; `at` in monotonic seconds."""

    at: float
    service: str
    told: dict[str, str]


@dataclass(frozen=True)
class Trouble:
    """One bad answer instead of the right one.

    `status` and `body` are sent as they are; `code` is one of IB's error codes; `cut` sends the right answer's
    first half under its whole length; `dropped` closes the connection without a byte; `slow` sends the right
    answer one byte every 20 ms, and `silent` nothing at all for as long as the service listens.
    """

    status: int = 200
    body: str | None = None
    code: int | None = None
    cut: bool = False
    dropped: bool = False
    slow: bool = False
    silent: bool = False


DROPPED, CUT, SLOW, SILENT = Trouble(dropped=True), Trouble(cut=True), Trouble(slow=True), Trouble(silent=True)
UNAVAILABLE = Trouble(503, "<html><body>Service Unavailable</body></html>")
WEB_PAGE = Trouble(200, "<!doctype html><html><body>We are down for maintenance.</body></html>")
HALF_A_DOCUMENT = Trouble(200, "<FlexQueryResponse queryName='x' type='AF'><FlexStatements count='1'><FlexStat")
TEXTS = {
    1001: "Statement could not be generated at this time. Please try again shortly.",
    1018: "Too many requests have been made from this token. Please try again shortly.",
    1019: "Statement generation in progress. Please try again shortly.",
}


@dataclass
class FlexService:
    """Listens on a free port of this machine until closed.

    `in_progress`: how often 1019 comes before each statement. `on_order`, `on_poll`: troubles to come, each once,
    at the next SendRequest or GetStatement.
    """

    book: Book
    render: Render
    in_progress: int = 0
    on_order: deque[Trouble] = field(default_factory=deque[Trouble])
    on_poll: deque[Trouble] = field(default_factory=deque[Trouble])
    requests: list[Request] = field(default_factory=list[Request])
    _ordered: dict[str, tuple[date, date]] = field(default_factory=dict[str, tuple[date, date]])
    _polls: dict[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        owner = self
        self._lock, self._closed = threading.Lock(), threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.serve(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "FlexService":
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self.server.shutdown()
        self.server.server_close()

    def times(self, token: str | None = None) -> list[float]:
        """When each request arrived, of one token or of all, in order."""
        return sorted(one.at for one in self.requests if token is None or one.told.get("t") == token)

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        at, parts = time.monotonic(), urlsplit(handler.path)
        told = {name: values[0] for name, values in parse_qs(parts.query).items()}
        service = parts.path.rsplit("/", 1)[-1]
        with self._lock:
            self.requests.append(Request(at, service, told))
            waiting = self.on_order if service == "SendRequest" else self.on_poll
            trouble = waiting.popleft() if waiting else Trouble()
        if trouble.silent:
            _ = self._closed.wait(60)
        if trouble.dropped or trouble.silent:
            _hang_up(handler.connection)
        elif trouble.body is not None:
            _send(handler, trouble.status, trouble.body.encode())
        elif trouble.code is not None:
            _send(handler, 200, failure("Fail", trouble.code).encode())
        else:
            content = self._answer(service, told).encode()
            _head(handler, 200, len(content))
            with suppress(OSError):
                for part in _parts(content, trouble):
                    handler.wfile.write(part)
                    handler.wfile.flush()
                    _ = trouble.slow and self._closed.wait(0.02)

    def _answer(self, service: str, told: dict[str, str]) -> str:
        if not told.get("t", "").startswith(TOKEN) or told.get("v") != "3":
            return failure("Fail", 1015)
        if service == "GetStatement":
            return self._deliver(told.get("q", ""))
        if told.get("q") != QUERY:
            return failure("Fail", 1014)
        first, last = (datetime.strptime(told[name], "%Y%m%d").date() for name in ("fd", "td"))  # noqa: DTZ007  # a date
        if not 0 <= (last - first).days < 365:
            return failure("Fail", 1020)
        with self._lock:
            reference = str(8_100_000_000 + len(self._ordered))
            self._ordered[reference] = (first, last)
        return (
            "<FlexStatementResponse timestamp='20 November, 2026 09:00 AM EST'><Status>Success</Status>"
            f"<ReferenceCode>{reference}</ReferenceCode><Url>{self.url}/GetStatement</Url></FlexStatementResponse>"
        )

    def _deliver(self, reference: str) -> str:
        if reference not in self._ordered:
            return failure("Fail", 1017)
        with self._lock:
            polls = self._polls[reference] = self._polls.get(reference, 0) + 1
        if polls <= self.in_progress:
            return failure("Warn", 1019)
        return self.render(self.book.part(*self._ordered[reference]))


def failure(status: str, code: int) -> str:
    """A short answer that says no."""
    return (
        f"<FlexStatementResponse timestamp='20 November, 2026 09:00 AM EST'><Status>{status}</Status>"
        f"<ErrorCode>{code}</ErrorCode><ErrorMessage>{TEXTS.get(code, 'No.')}</ErrorMessage></FlexStatementResponse>"
    )


def _parts(content: bytes, trouble: Trouble) -> list[bytes]:
    if trouble.slow:
        return [content[number : number + 1] for number in range(len(content))]
    return [content[: len(content) // 2] if trouble.cut else content]


def _send(handler: BaseHTTPRequestHandler, status: int, content: bytes) -> None:
    _head(handler, status, len(content))
    with suppress(OSError):
        handler.wfile.write(content)


def _head(handler: BaseHTTPRequestHandler, status: int, length: int) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "text/xml;charset=utf-8")
    handler.send_header("Content-Length", str(length))
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True


def _hang_up(connection: socket.socket) -> None:
    """End the connection with a reset, so that the other side cannot take it for an empty answer."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
