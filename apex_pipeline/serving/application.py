"""The application that a web server runs (ASGI): guards a request, has it answered in a thread, writes JSON.

Numbers are written with all their digits, as numbers; instants as ISO 8601 in UTC. A failure of the database is told,
and the next request tries again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from apex_pipeline.errors import StorageError
from apex_pipeline.serving.answers import Address
from apex_pipeline.serving.guard import METHODS, refusal
from apex_pipeline.serving.parameters import BadParameter, read_parameters
from apex_pipeline.store.copy_text import to_json

Message = MutableMapping[str, Any]
HEADERS = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Of every answer: not kept, not guessed at, not for other sites."""


@dataclass(frozen=True, slots=True)
class Response:
    """What goes back."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Application:
    """Answers requests on `port`, as many at once as `threads`."""

    def __init__(self, addresses: Mapping[str, Address], port: int, threads: int) -> None:
        self._addresses = addresses
        self._port = port
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix="apex-serve")

    def close(self) -> None:
        """End the threads once their answers are given."""
        self._workers.shutdown()

    async def __call__(
        self,
        scope: Mapping[str, Any],
        _receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        refused = refusal(scope["method"], scope["headers"], self._port)
        if refused is not None:
            allow = ((b"allow", ", ".join(METHODS).encode()),) if refused.status == 405 else ()
            response = _failure(refused.status, refused.reason, allow)
        else:
            loop = asyncio.get_running_loop()
            response = await loop.run_in_executor(self._workers, self._answer, scope["path"], scope["query_string"])
        length = (b"content-length", str(len(response.body)).encode())
        headers = [*HEADERS, *response.headers, length]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else response.body
        await send({"type": "http.response.body", "body": body})

    def _answer(self, path: str, query: bytes) -> Response:
        address = self._addresses.get(path.rstrip("/") or "/")
        if address is None:
            return _failure(404, f"there is nothing at this address; see http://127.0.0.1:{self._port}/")
        try:
            told = address.answer(read_parameters(query, address.parameters))
        except BadParameter as error:
            return _failure(400, str(error))
        except StorageError as error:
            return _failure(503, str(error), ((b"retry-after", b"1"),))
        return Response(200, _json(told))


def _failure(status: int, reason: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Response:
    return Response(status, _json({"error": reason}), headers)


def _json(told: Mapping[str, Any]) -> bytes:
    return f"{to_json(told)}\n".encode()
