"""The parent's side of the child that owns Futu's SDK: start it, ask it under a deadline, kill it, classify errors.

A child that failed in any way but a clear text of OpenD is never used again: the SDK cannot recover from
a half-received answer. Nothing here waits without a bound.
"""

import contextlib
import os
import selectors
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NoReturn

import apex_pipeline
from apex_pipeline.brokers.futu import wire
from apex_pipeline.brokers.futu.failures import AnswerTimedOut, ConnectionLost, LoginLost, login_lost, server_error
from apex_pipeline.brokers.futu.wire import Failure, Frame
from apex_pipeline.errors import BrokerRefused, BrokerUnavailable, ConfigError

WORKER = "apex_pipeline.brokers.futu.worker"

PROBE_SECONDS = 6.0
IMPORT_SECONDS = 45.0
CONNECT_SECONDS = 7.0
REACHED_SECONDS = 14.0
QUERY_SECONDS = 30.0
"""Deadlines: a reachable name and port, the SDK's import on a busy machine, InitConnect, all three where
the machine is fast enough, and one answer (the SDK itself gives up after 12 s)."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where OpenD listens, with which key, and the folder that the SDK may write to."""

    host: str
    port: int
    rsa_key_file: str | None
    home: Path

    def __str__(self) -> str:
        return f"FUTU_HOST={self.host} FUTU_PORT={self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of OpenD: its bytes as decrypted, its rows, and what stands beside them, known and not."""

    content: bytes
    media_type: str
    rows: list[dict[str, Any]]
    received_at: datetime
    unknown: dict[str, str] = field(default_factory=dict[str, str])
    beside: dict[str, Any] = field(default_factory=dict[str, Any])


class Client:
    """A connection to OpenD that is made when needed and thrown away with its process when it breaks."""

    def __init__(self, endpoint: Endpoint, *, for_accounts: bool = True) -> None:
        """Contacts nobody. `for_accounts` False asks for no accounts: who wants quotes needs none."""
        self._endpoint = endpoint
        self._for_accounts = for_accounts
        self._child: Child | None = None
        self.accounts: list[dict[str, Any]] = []
        """TrdAcc rows of the login, as the newest connection listed them."""

    def connect(self) -> None:
        """Connect unless connected. Raises BrokerUnavailable within 15 s, ConfigError for a bad key or SDK."""
        if self._child is not None:
            return
        connected = False
        try:
            self._start()
            connected = True
        finally:
            if not connected:
                self.close()

    def _start(self) -> None:
        started = time.monotonic()
        self._child = Child(self._endpoint.home)
        address = self._reach()
        self._ask({"op": "import", "home": str(self._endpoint.home)}, IMPORT_SECONDS)
        deadline = started + REACHED_SECONDS
        request = {"op": "connect", "address": address, "port": self._endpoint.port, "rsa_key_file": self._key()}
        try:
            self._ask(request, min(CONNECT_SECONDS, max(3.0, deadline - time.monotonic())))
            self.accounts = self._list_accounts(deadline) if self._for_accounts else []
        except (AnswerTimedOut, ConnectionLost) as error:
            raise BrokerUnavailable(
                f"OpenD at {self._endpoint} accepts connections but does not answer: start OpenD again and log in,"
                " check that this is its API port, and set FUTU_RSA_KEY_FILE if and only if OpenD encrypts"
            ) from error
        except (BrokerRefused, LoginLost) as error:
            raise BrokerRefused(f"OpenD at {self._endpoint} refused the connection: {error}") from error

    def query(self, interface: str, c2s: dict[str, Any]) -> Answer:
        """Make one request, connecting first if needed. Raises one of `failures` or BrokerRefused."""
        self.connect()
        return self._query(interface, c2s)

    def _query(self, interface: str, c2s: dict[str, Any], seconds: float = QUERY_SECONDS) -> Answer:
        frame = self._ask({"op": "query", "interface": interface, "c2s": c2s}, seconds)
        asked, told = c2s.get("header", {}), frame.header["beside"].get("header", {})
        if told.get("accID") != asked.get("accID"):
            self.close()
            raise ConnectionLost(f"OpenD answered {interface} for another account than was asked")
        split = frame.header["body"]
        media_type = "application/json" if frame.header["json"] else "application/x-protobuf"
        rows = wire.load_rows(frame.body[split:])
        unknown, beside = frame.header["unknown"], frame.header["beside"]
        return Answer(frame.body[:split], media_type, rows, datetime.now(UTC), unknown, beside)

    def close(self) -> None:
        """End the child process and wait for it; safe to repeat."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def _list_accounts(self, deadline: float) -> list[dict[str, Any]]:
        """Securities accounts, and futures accounts where the login may see them."""
        securities = {"userID": "0", "trdCategory": 1, "needGeneralSecAccount": True}
        rows = self._query("Trd_GetAccList", securities, max(5.0, deadline - time.monotonic())).rows
        with contextlib.suppress(BrokerRefused):
            futures = {"userID": "0", "trdCategory": 2}
            rows += self._query("Trd_GetAccList", futures, max(5.0, deadline - time.monotonic())).rows
        return rows

    def _reach(self) -> str:
        endpoint = self._endpoint
        request = {"op": "probe", "host": endpoint.host, "port": endpoint.port, "seconds": PROBE_SECONDS - 1}
        try:
            return str(self._ask(request, PROBE_SECONDS).header["address"])
        except AnswerTimedOut as error:
            reason = f"no connection within {PROBE_SECONDS:.0f} s"
            raise _unreachable(endpoint, reason) from error

    def _key(self) -> str | None:
        # the child runs in another folder
        return str(Path(self._endpoint.rsa_key_file).resolve()) if self._endpoint.rsa_key_file else None

    def _ask(self, request: dict[str, Any], seconds: float) -> Frame:
        child = self._child
        if child is None:
            raise ConnectionLost("the connection to OpenD is closed")
        answered = False
        try:
            frame = child.ask(request, seconds)
            answered = bool(frame.header["ok"]) or frame.header["failure"] == Failure.SERVER
        finally:
            if not answered:
                self.close()
        if not frame.header["ok"]:
            self._fail(Failure(frame.header["failure"]), frame.header["text"])
        return frame

    def _fail(self, failure: Failure, text: str) -> NoReturn:
        match failure:
            case Failure.UNREACHABLE:
                raise _unreachable(self._endpoint, text)
            case Failure.KEY_FILE:
                raise ConfigError(f"FUTU_RSA_KEY_FILE is {self._endpoint.rsa_key_file!r}: {text}")
            case Failure.SDK:
                raise ConfigError(f"this program does not fit the installed {text}: install futu-api 10.11")
            case Failure.TIMEOUT:
                raise AnswerTimedOut(f"OpenD did not answer in time ({text})")
            case Failure.TRANSPORT:
                raise ConnectionLost(f"the connection to OpenD broke: {text}")
            case Failure.LOGIN:
                raise login_lost(text)
            case Failure.SERVER:
                raise server_error(text)


class Child:
    """One worker process and its pipes."""

    def __init__(self, home: Path) -> None:
        try:
            home.mkdir(parents=True, exist_ok=True)
            # an unnamed file: a crash can be explained, and nothing stays behind
            self._errors: IO[bytes] = tempfile.TemporaryFile(dir=home)  # noqa: SIM115 - lives as long as the child
        except OSError as error:
            raise ConfigError(f"the folder {home} for the Futu SDK cannot be written: {error.strerror}") from error
        self._process = subprocess.Popen(  # noqa: S603 - our own module under our own interpreter
            [sys.executable, "-W", "ignore", "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=Path(apex_pipeline.__file__).parent.parent,
            # a terminal's Ctrl-C is for the parent, which then ends the child
            start_new_session=True,
        )

    def ask(self, request: dict[str, Any], seconds: float) -> Frame:
        """Send a request and wait for its reply; raises AnswerTimedOut or ConnectionLost."""
        deadline = time.monotonic() + seconds
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(wire.encode(request))
            self._process.stdin.flush()
            return wire.read_frame(lambda count: self._read(count, deadline))
        except BrokenPipeError as error:
            raise ConnectionLost(self._last_words()) from error

    def kill(self) -> None:
        """End the process at once and release its pipes."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            # closing flushes what the dead process will never read
            with contextlib.suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()

    def _read(self, count: int, deadline: float) -> bytes:
        content = bytearray()
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while len(content) < count:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise AnswerTimedOut("OpenD did not answer in time")
                piece = os.read(self._process.stdout.fileno(), min(count - len(content), 1 << 20))
                if not piece:
                    raise ConnectionLost(self._last_words())
                content += piece
        return bytes(content)

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"the process that holds Futu's SDK ended: {lines[-1] if lines else 'it left no message'}"


def _unreachable(endpoint: Endpoint, reason: str) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"OpenD is not reachable at {endpoint} ({reason}): start OpenD and log in, or correct these settings"
    )
