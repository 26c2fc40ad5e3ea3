"""A stand-in for OpenD that retells a scenario over the real wire protocol, for tests and for the demo.

The server, its thread and its connections belong here. What it answers is in `simulator_answers`, what it
refuses in `simulator_rules`, what can go wrong in `simulator_faults`, rows in `simulator_rows`,
`simulator_messages`, `simulator_accounts`, `simulator_cash` and `simulator_bars`, bytes in `simulator_wire`.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import date
from threading import Event, Lock, Thread
from typing import Any, NamedTuple, Self, final

from apex_pipeline.brokers.futu.simulator_answers import Gateway, Settings
from apex_pipeline.brokers.futu.simulator_faults import Fault, FaultPlan
from apex_pipeline.brokers.futu.simulator_login import Peer
from apex_pipeline.brokers.futu.simulator_rows import ROW_ZONE
from apex_pipeline.brokers.futu.simulator_rules import MAX_CONNECTIONS, Language, text
from apex_pipeline.brokers.futu.simulator_wire import (
    MODULES,
    NOTIFY,
    Frame,
    SessionCipher,
    body_of,
    login_lost_notice,
    pack_frame,
    parse_request,
    read_frame,
    sha1_of,
)
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.errors import ConfigError, UnknownPayload

_SLOW_PIECES, _SLOW_PAUSE = 40, 0.01


class Request(NamedTuple):
    """One received request: monotonic seconds, protocol id, account (0 without one), what it asked for."""

    at: float
    proto_id: int
    acc_id: int
    summary: str


@final
class OpenDSimulator:
    """An OpenD on a TCP port in a thread of its own.

    `port` 0 takes a free one; `port` tells it after `start`. `time_scale` divides the 30 seconds of the rate
    limits. `server_zone` is the zone in which begin and end of requests are read: a zone name, or `row` for
    the zone of each row's market. `language` of texts and fee titles. `rsa_key`: PKCS#1 PEM of 1024 bits;
    with it clients must encrypt their handshake. `firms`: security firm numbers by account id. `today`: the
    day of the today lists, the scenario's last one if absent. `count_refused`: refused requests use up
    the rate limit too. `limits`: requests per 30 seconds by protocol id, 10 where absent. `row_cap`: history
    answers hold so many of their newest rows and do not say so. `one_row_endings`: see `CashBook`. `quote_markets`:
    those whose K-lines the login may see, of `kl_quota` instruments.

    `requests` logs what came in, `times` tells when, `violations` what came too often. `faults` holds the names
    of the faults that are on (see `Fault`), `fault_times` how often each still strikes, `fault_protocols` the
    protocol ids that are hit and `fault_hits` how often each struck.
    """

    def __init__(
        self, scenario: Scenario, port: int = 0, host: str = "127.0.0.1", time_scale: float = 1.0,
        server_zone: str = ROW_ZONE, *, language: Language = "en", rsa_key: str | None = None,
        firms: Mapping[str, int] | None = None, today: date | None = None, count_refused: bool = False,
        limits: Mapping[int, int] | None = None, row_cap: int | None = None, one_row_endings: bool = False,
        quote_markets: Collection[str] = ("HK", "US"), kl_quota: int = 100,
    ) -> None:  # fmt: skip
        self.host = host
        self.port = port
        self.requests: list[Request] = []
        self._plan = FaultPlan()
        self._scenario = scenario
        self._settings = Settings(
            time_scale, server_zone, language, today or scenario.end, count_refused, firms or {}, limits or {}, row_cap,
            one_row_endings, frozenset(quote_markets), kl_quota,
        )  # fmt: skip
        self._rsa_key = rsa_key
        self._gateway: Gateway | None = None
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._starting = Lock()
        self._ready = Event()
        self._failure: OSError | None = None
        self._conversations: set[asyncio.Task[None]] = set()

    @property
    def faults(self) -> set[str]:
        """Names of the faults that are on; add and discard at any time."""
        return self._plan.active

    def times(self, proto_id: int, acc_id: int) -> list[float]:
        """When each request of a protocol about an account came, in monotonic seconds."""
        return [request.at for request in self.requests if (request.proto_id, request.acc_id) == (proto_id, acc_id)]

    @property
    def violations(self) -> list[tuple[int, int]]:
        """(protocol id, account) of every request that was refused for coming too often."""
        return self._gateway.violations if self._gateway else []

    @property
    def late_seconds(self) -> float:
        """How late a LATE_ANSWER is; futu-api gives up after 12 seconds."""
        return self._plan.late_seconds

    @late_seconds.setter
    def late_seconds(self, seconds: float) -> None:
        self._plan.late_seconds = seconds

    @property
    def fault_times(self) -> dict[str, int]:
        """How often a fault still strikes before it switches itself off."""
        return self._plan.times

    @property
    def fault_protocols(self) -> set[int]:
        """Protocol ids whose answers are hit; all data requests at first."""
        return self._plan.protocols

    @property
    def lost_fills(self) -> set[int]:
        """Deals (`fill_id` of the scenario) that are never told."""
        return self._plan.lost_fills

    @property
    def fault_hits(self) -> Counter[str]:
        """How often each fault struck."""
        return self._plan.hits

    def start(self) -> Self:
        """Listen and return. Raises ConfigError when the port cannot be taken."""
        if self._thread is not None:
            return self
        self._gateway = Gateway(self._scenario, self._settings, self._plan)
        SessionCipher(self._rsa_key)
        self._ready.clear()
        self._failure = None
        self._thread = Thread(target=self._run, name="opend-simulator", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread = None
            raise ConfigError(f"cannot listen on {self.host}:{self.port}: choose another port") from self._failure
        return self

    def stop(self) -> None:
        """Close the port and all connections; does nothing when it is not running. Any thread may call it."""
        with self._starting:
            thread, self._thread = self._thread, None
        if thread is None or self._loop is None or self._stopping is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join()

    def serve_forever(self) -> None:
        """Listen until the calling thread is interrupted or `stop` is called, then close everything."""
        self.start()
        thread = self._thread
        try:
            while thread is not None and thread.is_alive():
                thread.join(1)  # a join without end would not let an interrupt through on every system
        finally:
            self.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._failure = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._conversations) >= MAX_CONNECTIONS:
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the peer left, or the gateway stops: either way this connection is over
        finally:
            self._conversations.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._plan.strikes(Fault.MUTE):
            while await reader.read(65536):
                pass
            return
        peer = Peer(SessionCipher(self._rsa_key))
        while frame := await read_frame(reader):
            answer = self._answer(frame, peer)
            if answer is not None and peer.notice:
                await self._notify(frame, writer, peer)
            if answer is None or not await self._send(writer, frame, answer, peer):
                return

    async def _notify(self, frame: Frame, writer: asyncio.StreamWriter, peer: Peer) -> None:
        """Push the notice that waits for this connection."""
        notice = body_of(login_lost_notice(peer.notice), frame.body_format)
        peer.notice = ""
        writer.write(self._packed(frame._replace(proto_id=NOTIFY, serial=0), notice, peer))
        await writer.drain()

    def _answer(self, frame: Frame, peer: Peer) -> Any | None:
        """The response to a frame, or None when it cannot be decrypted and the connection must end."""
        assert self._gateway is not None
        try:
            body = peer.cipher.decrypt(frame.proto_id, frame.body)
            if sha1_of(body) != frame.sha1:
                return None
            known = frame.proto_id in MODULES
            request = parse_request(frame.proto_id, body, frame.body_format) if known else None
        except UnknownPayload as error:
            if error.reason_code == "bad_cipher":
                return None
            return self._gateway.refusal(frame.proto_id, text("body", self._settings.language))
        self._log(frame.proto_id, request)
        if peer.conn_id and self._plan.strikes(Fault.LOGIN_LOST, frame.proto_id):
            peer.notice = text("login_lost", self._settings.language)
            return self._gateway.refusal(frame.proto_id, peer.notice)
        return self._gateway.answer(frame.proto_id, request, peer)

    def _log(self, proto_id: int, request: Any) -> None:
        c2s = getattr(request, "c2s", None)
        account = getattr(getattr(c2s, "header", None), "accID", 0)
        summary = " ".join(str(c2s or "").replace("\n", " ").split())[:200]
        self.requests.append(Request(time.monotonic(), proto_id, account, summary))

    async def _send(self, writer: asyncio.StreamWriter, frame: Frame, answer: Any, peer: Peer) -> bool:
        """Send the answer as the faults allow; False when the connection is to be closed."""
        proto_id = frame.proto_id
        if self._plan.strikes(Fault.NO_ANSWER, proto_id):
            return True
        if self._plan.strikes(Fault.DROP_BETWEEN_FRAMES, proto_id):
            return False
        if self._plan.strikes(Fault.LATE_ANSWER, proto_id):
            await asyncio.sleep(self._plan.late_seconds)
        if self._plan.strikes(Fault.OTHER_SERIAL, proto_id):
            frame = frame._replace(serial=frame.serial + 1_000)
        data = self._packed(frame, self._body(answer, frame), peer)
        if self._plan.strikes(Fault.DROP_INSIDE_FRAME, proto_id):
            writer.write(data[: len(data) // 2])
            await writer.drain()
            return False
        if self._plan.strikes(Fault.SLOW_BYTES, proto_id):
            await _trickle(writer, data)
        else:
            writer.write(data)
            await writer.drain()
        return True

    def _body(self, answer: Any, frame: Frame) -> bytes:
        newer = Fault.UNKNOWN_FIELD in self._plan.active and frame.proto_id in self._plan.protocols
        return body_of(answer, frame.body_format, unknown_keys=newer)

    def _packed(self, frame: Frame, body: bytes, peer: Peer) -> bytes:
        if self._plan.strikes(Fault.CUT_BODY, frame.proto_id):
            body = body[: len(body) // 2]
        digest = bytes(20) if self._plan.strikes(Fault.WRONG_SHA1, frame.proto_id) else sha1_of(body)
        secret = peer.cipher.encrypt(frame.proto_id, body)
        return pack_frame(frame._replace(sha1=digest, body=secret))


async def _trickle(writer: asyncio.StreamWriter, data: bytes) -> None:
    step = max(len(data) // _SLOW_PIECES, 1)
    for start in range(0, len(data), step):
        writer.write(data[start : start + step])
        await writer.drain()
        await asyncio.sleep(_SLOW_PAUSE)
