"""A Flex server that answers from a script: one entry for each request, the last one for ever."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "canary0token1never2shown3"
QUERY = "987654"


def success(reference: str = "5566778899", url: str = "") -> bytes:
    """The answer to an accepted order."""
    return (
        "<FlexStatementResponse timestamp='02 March, 2026 05:00 AM EST'><Status>Success</Status>"
        f"<ReferenceCode>{reference}</ReferenceCode><Url>{url}</Url></FlexStatementResponse>"
    ).encode()


def failure(code: int | str, message: str = "said the server", status: str = "Fail") -> bytes:
    """The answer with an error code."""
    return (
        f"<FlexStatementResponse timestamp='02 March, 2026 05:00 AM EST'><Status>{status}</Status>"
        f"<ErrorCode>{code}</ErrorCode><ErrorMessage>{message}</ErrorMessage></FlexStatementResponse>"
    ).encode()


Write = Callable[[BaseHTTPRequestHandler], None]
Step = bytes | int | Write
"""A body, an HTTP status, or a function that writes the answer itself."""


@dataclass(slots=True)
class FlexServer:
    """`sends` and `gets` are the scripts of the two services; `requests` what came, in order."""

    sends: Sequence[Step]
    gets: Sequence[Step]
    requests: list[tuple[str, dict[str, str], dict[str, str]]] = field(
        default_factory=list[tuple[str, dict[str, str], dict[str, str]]]
    )
    url: str = ""

    def step(self, service: str) -> Step:
        script = self.sends if service == "SendRequest" else self.gets
        count = sum(1 for seen, _, _ in self.requests if seen == service)
        return script[min(count, len(script)) - 1]


@contextmanager
def serving(sends: Sequence[Step] | None = None, gets: Sequence[Step] = ()) -> Generator[FlexServer]:
    """A running server on a free loopback port."""
    script = FlexServer(sends if sends is not None else [success()], gets)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(script))
    server.daemon_threads = True
    script.url = f"http://127.0.0.1:{server.server_address[1]}/flex"
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(script: FlexServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            service = parts.path.rsplit("/", 1)[1]
            parameters = {name: values[0] for name, values in parse_qs(parts.query).items()}
            script.requests.append((service, parameters, dict(self.headers)))
            step = script.step(service)
            if callable(step):
                step(self)
            elif isinstance(step, int):
                answer(self, step, b"<html><body>no</body></html>")
            else:
                answer(self, 200, step)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name http.server gives it
            """Silent: the path holds the token."""

    return Handler


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    """Write a complete HTTP answer."""
    handler.send_response(status)
    for name, value in {"Content-Type": "text/xml", "Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    _ = handler.wfile.write(body)
