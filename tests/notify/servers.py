"""A real HTTP server and a real SMTP server on this machine, which fail as tests ask them to."""

import asyncio
import json
import ssl
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message as Parsed
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, ClassVar, cast

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session


@dataclass
class Answer:
    """What the webhook answers. `drips`: bytes are sent one by one, without end."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    seconds: float = 0
    drips: bool = False
    hangs_up: bool = False


@dataclass
class Hook:
    """A webhook: what was posted to it, and the answers it gives in turn, the last of them for ever."""

    answers: list[Answer] = field(default_factory=lambda: [Answer()])
    posts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    paths: list[str] = field(default_factory=list[str])
    ended: Event = field(default_factory=Event)
    url: str = ""

    @property
    def texts(self) -> list[str]:
        """The texts that were posted."""
        return [post["text"] for post in self.posts]

    def next_answer(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Posts(BaseHTTPRequestHandler):
    """Answers as `hook` says."""

    hook: ClassVar[Hook]

    def do_POST(self) -> None:
        hook = self.hook
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        hook.paths.append(self.path)
        hook.headers.append({name.lower(): value for name, value in self.headers.items()})
        hook.posts.append(json.loads(content or b"{}"))
        answer = hook.next_answer()
        hook.ended.wait(answer.seconds)
        if answer.hangs_up:
            self.close_connection = True
        elif answer.drips:
            self._drip()
        else:
            self._answer(answer)

    do_GET = do_POST  # noqa: N815  # a redirect that is followed comes as GET

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {"Content-Length": "2", **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"ok")

    def _drip(self) -> None:
        with suppress(OSError):
            for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 10_000:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                if self.hook.ended.wait(0.05):
                    return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Says nothing."""


@contextmanager
def hooked(context: ssl.SSLContext | None = None) -> Generator[Hook]:
    """A webhook that listens; with a context it speaks TLS."""
    hook = Hook()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Posts", (_Posts,), {"hook": hook}))
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    scheme = "https" if context else "http"
    hook.url = f"{scheme}://127.0.0.1:{server.server_port}/services/T000/B000/hook-secret-canary"
    try:
        yield hook
    finally:
        hook.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Mailbox:
    """A mail server: what it took, who logged in, and how it fails."""

    mails: list[Parsed] = field(default_factory=list[Parsed])
    readers: list[list[str]] = field(default_factory=list[list[str]])
    logins: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    secure: list[bool] = field(default_factory=list[bool])
    refuses: frozenset[str] = frozenset()
    after_data: str = "250 OK"
    seconds: float = 0
    dies_after_data: bool = False
    port: int = 0

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refuses:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        await asyncio.sleep(self.seconds)
        if self.after_data.startswith("250"):
            self.mails.append(message_from_bytes(cast("bytes", envelope.content), policy=default))
            self.readers.append(list(envelope.rcpt_tos))
            self.secure.append(session.ssl is not None)
        if self.dies_after_data:
            cast("asyncio.Transport", server.transport).abort()
        return self.after_data

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, login: Any
    ) -> AuthResult:
        self.logins.append((login.login, login.password))
        return AuthResult(success=login.password == b"mail-password-canary", handled=False)


@contextmanager
def mailing(
    *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, asks_login: bool = False
) -> Generator[Mailbox]:
    """A mail server that listens: in clear, offering STARTTLS, or encrypted from the first byte."""
    box = Mailbox()
    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=_free_port(),
        ssl_context=tls,
        tls_context=starttls,
        authenticator=box.authenticate if asks_login else None,
        auth_require_tls=bool(starttls),
        auth_required=asks_login,
    )
    controller.start()
    box.port = controller.port
    try:
        yield box
    finally:
        controller.stop()


def _free_port() -> int:
    from apex_pipeline.orchestration.processes import free_port

    return free_port()


def certified(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """The context of a server that proves these names by this authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def elapsed(started: float) -> float:
    """Seconds since."""
    return time.monotonic() - started
