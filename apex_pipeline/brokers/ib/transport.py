"""One HTTP GET at a time, bounded in time and bytes, that can never tell the token it carries.

httpx keeps the request, and with it the URL and its token, on every exception; so nothing of httpx leaves
this module: a failure becomes a `Fault`, a plain value.
"""

import logging
import platform
import socket
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import quote, quote_plus

import httpx

from apex_pipeline.domain.records import Content
from apex_pipeline.errors import BrokerRefused

PHASE_SECONDS = 30.0
"""How long the server may stay silent within one request."""

_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered, whole."""

    status: int
    content: Content


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no usable answer, in words without secrets. `dead`: nobody could be reached at all."""

    reason: str
    dead: bool = False


@dataclass(slots=True)
class Transport:
    """Sends requests one after the other, at least `gap_seconds` apart."""

    secret: str = field(repr=False)
    max_bytes: int
    gap_seconds: float
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    _client: httpx.Client = field(init=False)
    _last: float | None = None

    def __post_init__(self) -> None:
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(headers=_headers(), limits=limits, follow_redirects=False, trust_env=False)

    def close(self) -> None:
        """Release the connections."""
        self._client.close()

    def get(self, url: str, params: Mapping[str, str], deadline: float) -> Reply | Fault:
        """The server's answer, or the fault; ends at `deadline` (monotonic seconds) whatever the server does.

        BrokerRefused if the answer is larger than `max_bytes`.
        """
        self._keep_distance()
        remaining = deadline - self.monotonic()
        if remaining <= 0:
            return Fault("the total time for one window is over")
        outcome = self._exchange(url, params, remaining)
        if outcome is None:
            raise BrokerRefused(
                f"the answer of Interactive Brokers is larger than {self.max_bytes} bytes: ask for fewer days at a time"
            )
        return outcome

    def redact(self, text: str) -> str:
        """One short line without the token."""
        for form in _forms(self.secret):
            text = text.replace(form, "***")
        return " ".join(text.split())[:200]

    def _keep_distance(self) -> None:
        if self._last is not None:
            wait = self._last + self.gap_seconds - self.monotonic()
            if wait > 0:
                self.sleep(wait)
        self._last = self.monotonic()

    def _exchange(self, url: str, params: Mapping[str, str], remaining: float) -> Reply | Fault | None:
        timeout = httpx.Timeout(min(PHASE_SECONDS, remaining))
        with _cutoff(remaining) as cutoff:
            try:
                options: dict[str, Any] = {"timeout": timeout, "extensions": {"trace": cutoff.watch}}
                with self._client.stream("GET", url, params=dict(params), **options) as response:
                    outcome = Reply(response.status_code, Content.of(_body(response, self.max_bytes)))
            except _TooLarge:
                outcome = None
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, zlib.error, OSError) as error:
                dead = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                name = "" if isinstance(error, zlib.error) else f"{type(error).__name__}: "
                outcome = Fault(self.redact(f"{name}{error}"), dead)
            return Fault("the answer dripped in too slowly") if cutoff.fired else outcome


@dataclass(slots=True)
class _Cutoff:
    """Ends the connection from outside, because a socket timeout starts anew with every byte that drips in."""

    fired: bool = False
    sockets: list[socket.socket] = field(default_factory=list)

    def watch(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            found = info["return_value"].get_extra_info("socket")
            if isinstance(found, socket.socket):
                self.sockets.append(found.dup())

    def fire(self) -> None:
        self.fired = True
        for item in self.sockets:
            with suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)


@contextmanager
def _cutoff(seconds: float) -> Generator[_Cutoff]:
    cutoff = _Cutoff()
    timer = threading.Timer(seconds, cutoff.fire)
    timer.daemon = True
    timer.start()
    try:
        yield cutoff
    finally:
        timer.cancel()
        timer.join()
        for item in cutoff.sockets:
            item.close()


@contextmanager
def silent_loggers(secret: str) -> Generator[None]:
    """While open, the HTTP libraries log no line that holds the secret, whatever level someone sets."""

    def clean(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return not any(form in text for form in _forms(secret))

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(clean)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(clean)


def _forms(secret: str) -> set[str]:
    """The ways in which a URL or a log line can show the secret."""
    return {secret, quote(secret, safe=""), quote_plus(secret)} - {""}


class _TooLarge(Exception):
    """The body is larger than a statement may be."""


def _body(response: httpx.Response, max_bytes: int) -> Iterator[bytes]:
    """The decoded body, until it exceeds `max_bytes`; a compressed bomb is never unpacked beyond that."""
    packed = response.headers.get("content-encoding", "identity").lower() in ("gzip", "x-gzip", "deflate")
    unpacker = zlib.decompressobj(wbits=47) if packed else None
    size = 0
    for chunk in response.iter_raw():
        part = unpacker.decompress(chunk, max_bytes - size + 1) if unpacker else chunk
        size += len(part)
        if size > max_bytes:
            raise _TooLarge
        yield part
    if unpacker and not unpacker.eof:
        raise zlib.error("the compressed answer breaks off")


def _headers() -> dict[str, str]:
    agent = f"apex-pipeline/{_own_version()} Python/{platform.python_version()}"
    return {"User-Agent": agent, "Accept": "application/xml, text/xml", "Accept-Encoding": "gzip, identity"}


def _own_version() -> str:
    try:
        return version("apex-pipeline")
    except PackageNotFoundError:
        return "0"
