"""A Flex Web Service of version 3 on the loopback interface, telling a scenario.

It keeps the habits of the real service that matter to a client: two steps, `1019` with status Warn while
a statement is made, the limits of 1018, windows of at most 365 days, one business day when no window is
asked for. The token is compared, never stored in the request log and never printed.
"""

import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import ClassVar, Self, final
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

from apex_pipeline.brokers.ib.simulator_answers import (
    LONGEST_WINDOW,
    Answer,
    FlexError,
    accepted,
    day_of,
    default_window,
    refusal,
)
from apex_pipeline.brokers.ib.statement_writer import StatementWriter
from apex_pipeline.brokers.scenario import Scenario

NEW_YORK = ZoneInfo("America/New_York")
ROOT = "/AccountManagement/FlexWebService"
_PER_MINUTE = 10
_SECOND_STEP_CODES = {1004, 1019, 1021}
_ERROR_FAULT = re.compile(r"error_(\d{4})_once")
_UNAVAILABLE = Answer(b"<html><body>Service unavailable</body></html>", "503", 503, "text/html")
_MAINTENANCE = Answer(
    b"<!DOCTYPE html><html><body><h1>System maintenance</h1></body></html>", "html", media_type="text/html"
)


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request as it was seen: parameters without the token, and how it was answered.

    `seconds` is a monotonic clock. `answer` is "Success", "statement", an error code or an HTTP status.
    """

    seconds: float
    call: str
    parameters: Mapping[str, str]
    answer: str


@dataclass(slots=True)
class Ticket:
    """A statement that was asked for; `polls` counts the answers 1019 still to give."""

    from_date: date
    to_date: date
    polls: int


@final
class FlexSimulator:
    """Serves one scenario until `stop`; `with` starts and stops it, `serve_forever` stays in the foreground.

    `time_scale` divides the windows of the request limits (one per second, ten per minute): 60 makes a
    minute pass in a second. `polls_before_ready` answers 1019 so often for each reference. `expired_tokens`
    get 1012, any other unknown token 1015. `today` is the New York date the service believes in; by default
    the clock's, and everything in the scenario counts as published.

    `faults` may be changed while it runs: `http_503_once`, `html_page_once`, `cut_body_once`,
    `error_<code>_once` (1004, 1019 and 1021 strike the second step, all others the first), `malformed_row`,
    `one_day_only`, `wrong_count`, `stuck_1019`, `no_data_1003` (a window without executions gives 1003).
    """

    def __init__(
        self,
        scenario: Scenario,
        token: str,
        query_id: str,
        port: int = 0,
        *,
        time_scale: float = 1.0,
        polls_before_ready: int = 1,
        expired_tokens: Iterable[str] = (),
        faults: Iterable[str] = (),
        today: date | None = None,
    ) -> None:
        self.faults = set(faults)
        self.requests: list[LoggedRequest] = []
        self._token, self._query_id = token, query_id
        self._expired = frozenset(expired_tokens)
        self._scale, self._polls = time_scale, polls_before_ready
        self._scenario, self._today = scenario, today
        self._writer = StatementWriter(scenario)
        self._tickets: dict[str, Ticket] = {}
        self._accepted: list[float] = []
        self._lock = Lock()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.simulator = self
        self._serving = Event()

    @property
    def url(self) -> str:
        """The base URL; `/SendRequest` and `/GetStatement` are appended to it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{ROOT}"

    def start(self) -> Self:
        """Serve in a thread of its own."""
        Thread(target=self.serve_forever, name="flex-simulator", daemon=True).start()
        _ = self._serving.wait()
        return self

    def stop(self) -> None:
        """Stop serving, also `serve_forever` in another thread, and free the port."""
        if self._serving.is_set():
            self._server.shutdown()
        self._server.server_close()

    def serve_forever(self) -> None:
        """Serve in this thread until it is interrupted or stopped."""
        self._serving.set()
        try:
            self._server.serve_forever(0.05)
        finally:
            self._serving.clear()
            self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def statement(self, from_date: date, to_date: date, generated_at: datetime | None = None) -> bytes:
        """The statement of a window (inclusive) without HTTP; `generated_at` is an aware instant, default now."""
        at = generated_at or datetime.now(UTC)
        return self._writer.render(from_date, to_date, at, malformed="malformed_row" in self.faults)

    def answer(self, call: str, parameters: Mapping[str, str], agent: str | None) -> Answer:
        """What the service answers to one request; also keeps the log."""
        arrived = time.monotonic()
        with self._lock:
            answer = self._answer(call, parameters, agent, arrived)
            shown = {name: value for name, value in parameters.items() if name != "t"}
            self.requests.append(LoggedRequest(arrived, call, shown, answer.label))
        return answer

    def _answer(self, call: str, parameters: Mapping[str, str], agent: str | None, arrived: float) -> Answer:
        steps = {"SendRequest": self._send_request, "GetStatement": self._get_statement}
        if not agent:
            return Answer(b"a User-Agent header is required", "403", 403, "text/plain")
        if call not in steps:
            return Answer(b"not found", "404", 404, "text/plain")
        if self._strikes("http_503_once"):
            return _UNAVAILABLE
        if self._strikes("html_page_once"):
            return _MAINTENANCE
        try:
            self._authorize(parameters, arrived)
            self._fail_once(call)
            return steps[call](parameters)
        except FlexError as error:
            return refusal(error)

    def _authorize(self, parameters: Mapping[str, str], arrived: float) -> None:
        token = parameters.get("t", "")
        if token in self._expired:
            raise FlexError(1012)
        if not compare_digest(token.encode(), self._token.encode()):
            raise FlexError(1015)
        if parameters.get("v") != "3":
            raise FlexError(1020)
        self._meter(arrived)

    def _meter(self, arrived: float) -> None:
        """One request a second and ten a minute; what is refused does not count."""
        minute, second = 60 / self._scale, 0.98 / self._scale
        self._accepted = [at for at in self._accepted if arrived - at < minute]
        if len(self._accepted) >= _PER_MINUTE or any(arrived - at < second for at in self._accepted):
            raise FlexError(1018)
        self._accepted.append(arrived)

    def _fail_once(self, call: str) -> None:
        for fault in sorted(self.faults):
            found = _ERROR_FAULT.fullmatch(fault)
            if found and (int(found[1]) in _SECOND_STEP_CODES) == (call == "GetStatement"):
                self.faults.discard(fault)
                raise FlexError(int(found[1]))

    def _strikes(self, fault: str) -> bool:
        struck = fault in self.faults
        self.faults.discard(fault)
        return struck

    def _send_request(self, parameters: Mapping[str, str]) -> Answer:
        if parameters.get("q") != self._query_id:
            raise FlexError(1014)
        from_date, to_date = self._window(parameters)
        reference = str(7_310_000_000 + 137 * len(self._tickets))
        self._tickets[reference] = Ticket(from_date, to_date, self._polls)
        return accepted(reference, f"{self.url}/GetStatement")

    def _get_statement(self, parameters: Mapping[str, str]) -> Answer:
        ticket = self._tickets.get(parameters.get("q", ""))
        if ticket is None:
            raise FlexError(1017)
        if ticket.polls > 0 or "stuck_1019" in self.faults:
            ticket.polls -= 1
            raise FlexError(1019)
        first = ticket.to_date if "one_day_only" in self.faults else ticket.from_date
        body = self.statement(first, ticket.to_date)
        if "no_data_1003" in self.faults and b"<Trade " not in body:
            raise FlexError(1003)
        if "wrong_count" in self.faults:
            body = body.replace(b'<FlexStatements count="', b'<FlexStatements count="1', 1)
        return Answer(body, "statement", cut=self._strikes("cut_body_once"))

    def _window(self, parameters: Mapping[str, str]) -> tuple[date, date]:
        """The days asked for, without those that are not published yet."""
        published = self._published()
        if "fd" not in parameters and "td" not in parameters:
            return default_window(parameters.get("p"), published)
        from_date, to_date = day_of(parameters.get("fd")), day_of(parameters.get("td"))
        if to_date < from_date or (to_date - from_date).days >= LONGEST_WINDOW:
            raise FlexError(1020)
        if from_date > published:
            raise FlexError(1003)
        return from_date, min(to_date, published)

    def _published(self) -> date:
        if self._today is not None:
            return self._today - timedelta(1)
        return max(datetime.now(NEW_YORK).date() - timedelta(1), self._scenario.end)


class _Server(ThreadingHTTPServer):
    simulator: FlexSimulator
    daemon_threads: bool = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version: str = "HTTP/1.1"
    server_version: str = "FlexSimulator"
    disable_nagle_algorithm: ClassVar[bool] = True

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        assert isinstance(self.server, _Server)
        call = parts.path.removeprefix(ROOT).strip("/")
        answer = self.server.simulator.answer(call, dict(parse_qsl(parts.query)), self.headers.get("User-Agent"))
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.media_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        sent = answer.body[: len(answer.body) // 2] if answer.cut else answer.body
        self.close_connection: bool = answer.cut or self.close_connection
        with suppress(ConnectionError):
            _ = self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server gives it
        """Silent: the request line holds the token."""
