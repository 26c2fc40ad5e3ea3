"""A Flex Web Service of version 3 on the loopback interface, telling a scenario.

It keeps the habits of the real service that matter to a client: two steps, `1019` with status Warn while
a statement is made, the limits of 1018, windows of at most 365 days, one business day when no window is
asked for. The token is compared, never stored in the request log and never printed.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hmac import compare_digest
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self, final
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
from apex_pipeline.brokers.ib.simulator_faults import (
    FOREIGN_URL,
    GET,
    SEND,
    Switch,
    before_answer,
    error_of,
    spoiled,
    switch_of,
    switches,
)
from apex_pipeline.brokers.ib.simulator_server import ROOT, FlexServer
from apex_pipeline.brokers.ib.statement_writer import StatementWriter
from apex_pipeline.brokers.scenario import Scenario

NEW_YORK = ZoneInfo("America/New_York")
_PER_MINUTE = 10
_FIRST_REFERENCE = 7_310_000_000


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
    confirms: bool


@final
class FlexSimulator:
    """Serves one scenario until `stop`; `with` starts and stops it, `serve_forever` stays in the foreground.

    `time_scale` divides the windows of the request limits (one per second, ten per minute): 60 makes a
    minute pass in a second. `polls_before_ready` answers 1019 so often for each reference. `expired_tokens`
    get 1012, any other unknown token 1015. `today` is the New York date the service believes in; by default
    the clock's, and everything in the scenario counts as published. `confirm_query_id` is a Trade Confirmation
    query (type TCF), which tells the executions of today as well. `extras`, `dates`, `levels` and `breakout_by_day`
    are those of `StatementWriter`.

    `faults` may be changed while it runs; a word is `NAME[_send|_get][_once]` (ValueError for any other).
    Refusals: `error_CODE` for any four digits (1004, 1017, 1019 and 1021 strike the second step, others the first),
    `error_CODE_try_again` with a text that asks for that.
    On the way: `http_429`, `http_500`, `http_503`, `html_page` (maintenance, status 200), `drop_connection` (before a
    byte), `drop_in_body` and `cut_body` (half of the promised bytes), `truncated_body` (HTTP whole, XML not),
    `slow_drip` (a byte at a time), `endless_body`, `empty_body`, `gzip`, `broken_gzip`, `redirect` (to a foreign host
    with the token), `missing_status`, `wrong_root`, `echo_token` (the refusal repeats the token).
    In what is told: `foreign_url` (the first step names a foreign host), `reference_lost` (1017 though it is known),
    `stuck_1019`, `no_data_1003` (for a window without executions), `one_day_only` (the last day instead of the window),
    `shrunk_window` (its second half), `wrong_count`, `malformed_row`.
    """

    def __init__(
        self,
        scenario: Scenario,
        token: str,
        query_id: str,
        port: int = 0,
        *,
        confirm_query_id: str = "",
        time_scale: float = 1.0,
        polls_before_ready: int = 1,
        expired_tokens: Iterable[str] = (),
        faults: Iterable[str] = (),
        today: date | None = None,
        extras: bool = False,
        dates: str = "compact",
        levels: str = "all",
        breakout_by_day: bool = False,
    ) -> None:
        self.faults = {switch_of(word).word for word in faults}
        self.requests: list[LoggedRequest] = []
        self._token, self._query_id, self._confirm_id = token, query_id, confirm_query_id
        self._expired = frozenset(expired_tokens)
        self._scale, self._polls = time_scale, polls_before_ready
        self._scenario, self._today = scenario, today
        self._writer = StatementWriter(
            scenario, extras=extras, dates=dates, levels=levels, breakout_by_day=breakout_by_day
        )
        self._tickets: dict[str, Ticket] = {}
        self._accepted: list[float] = []
        self._lock = Lock()
        self._server = FlexServer(port, self.answer)
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
        self._server.stopped.set()
        if self._serving.is_set():
            self._server.shutdown()
        self._server.server_close()

    def serve_forever(self) -> None:
        """Serve in this thread until it is interrupted or stopped."""
        self._serving.set()
        try:
            self._server.serve_forever(0.01)  # how long `stop` may take
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
        return self._writer.render(from_date, to_date, at, malformed=self._has("malformed_row"))

    def confirmations(self, from_date: date, to_date: date, generated_at: datetime | None = None) -> bytes:
        """The trade confirmations of a window (inclusive) without HTTP."""
        return self._writer.render_confirms(from_date, to_date, generated_at or datetime.now(UTC))

    def answer(self, call: str, parameters: Mapping[str, str], agent: str | None) -> Answer:
        """What the service answers to one request; also keeps the log."""
        arrived = time.monotonic()
        with self._lock:
            answer = self._answer(call, parameters, agent, arrived)
            shown = {name: value for name, value in parameters.items() if name != "t"}
            self.requests.append(LoggedRequest(arrived, call, shown, answer.label))
        return answer

    def _answer(self, call: str, parameters: Mapping[str, str], agent: str | None, arrived: float) -> Answer:
        steps = {SEND: self._send_request, GET: self._get_statement}
        if not agent:
            return Answer(b"a User-Agent header is required", "403", 403, "text/plain")
        if call not in steps:
            return Answer(b"not found", "404", 404, "text/plain")
        for switch in switches(self.faults, call):
            instead = before_answer(switch, self._token)
            if instead is not None:
                self._struck(switch)
                return instead
        try:
            self._authorize(parameters, arrived)
            self._fail(call)
            answer = steps[call](parameters)
        except FlexError as error:
            return refusal(error)
        return self._spoiled(call, answer)

    def _spoiled(self, call: str, answer: Answer) -> Answer:
        """The answer after the faults that only spoil it; on a refusal they wait."""
        for switch in switches(self.faults, call):
            changed = spoiled(switch, answer)
            if changed is not answer:
                self._struck(switch)
                return changed
        return answer

    def _struck(self, switch: Switch) -> None:
        if switch.once:
            self.faults.discard(switch.word)

    def _has(self, name: str) -> bool:
        """Whether a fault in what is told is set; one that strikes once is over then."""
        found = next((s for s in map(switch_of, sorted(self.faults)) if s.name == name), None)
        if found is not None:
            self._struck(found)
        return found is not None

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

    def _fail(self, call: str) -> None:
        for switch in switches(self.faults, call):
            error = error_of(switch)
            if error is not None:
                self._struck(switch)
                raise error

    def _send_request(self, parameters: Mapping[str, str]) -> Answer:
        query = parameters.get("q")
        confirms = bool(self._confirm_id) and query == self._confirm_id
        if query != self._query_id and not confirms:
            raise FlexError(1014)
        from_date, to_date = self._window(parameters, self._told_today() if confirms else self._published())
        reference = str(_FIRST_REFERENCE + 137 * len(self._tickets))
        self._tickets[reference] = Ticket(from_date, to_date, self._polls, confirms)
        return accepted(reference, FOREIGN_URL if self._has("foreign_url") else f"{self.url}/{GET}")

    def _get_statement(self, parameters: Mapping[str, str]) -> Answer:
        ticket = self._tickets.get(parameters.get("q", ""))
        if ticket is None or self._has("reference_lost"):
            raise FlexError(1017)
        if ticket.polls > 0 or self._has("stuck_1019"):
            ticket.polls -= 1
            raise FlexError(1019)
        body = self._told(ticket)
        if b"<Trade" not in body.replace(b"<Trades", b"").replace(b"<TradeConfirms", b"") and self._has("no_data_1003"):
            raise FlexError(1003)
        if self._has("wrong_count"):
            body = body.replace(b'<FlexStatements count="', b'<FlexStatements count="1', 1)
        return Answer(body, "statement")

    def _told(self, ticket: Ticket) -> bytes:
        first, last = ticket.from_date, ticket.to_date
        if self._has("one_day_only"):
            first = last
        if self._has("shrunk_window"):
            first += (last - first) // 2
        return self.confirmations(first, last) if ticket.confirms else self.statement(first, last)

    def _window(self, parameters: Mapping[str, str], newest: date) -> tuple[date, date]:
        """The days asked for, without those that are not told yet."""
        if "fd" not in parameters and "td" not in parameters:
            return default_window(parameters.get("p"), newest)
        from_date, to_date = day_of(parameters.get("fd")), day_of(parameters.get("td"))
        if to_date < from_date or (to_date - from_date).days >= LONGEST_WINDOW:
            raise FlexError(1020)
        if from_date > newest:
            raise FlexError(1003)
        return from_date, min(to_date, newest)

    def _published(self) -> date:
        """The newest day of statements, which are written after the day is over."""
        if self._today is not None:
            return self._today - timedelta(1)
        return max(datetime.now(NEW_YORK).date() - timedelta(1), self._scenario.end)

    def _told_today(self) -> date:
        """The newest day of confirmations: today."""
        return self._today or max(datetime.now(NEW_YORK).date(), self._scenario.end)
