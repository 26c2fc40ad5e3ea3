"""The TWS API's socket seen from the gateway: greeting, frames, and messages in the order of their fields.

After `API\\0` and a frame with the client's versions comes a frame with the server's version and time; then
frames of texts, each ended by a zero byte, in both directions.
"""

import re
import socket
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import final

from apex_pipeline.brokers.ib import tws_messages as messages
from apex_pipeline.brokers.ib.tws_messages import CONTRACT_FIELDS, EXECUTION_FIELDS, Row

MOST_BYTES = 1_048_576
NO_REQUEST = "-1"
_GREETING = b"API\0"
_VERSIONS = re.compile(rb"v(\d+)(?:\.\.(\d+))?")
_PRICE_REVISION_SINCE = 178
_REJECT_JSON_SINCE = 166
_SUGGESTED_SIZE_IN = 163
_HOURS = ("20260310:0930-20260310:1600", "20260310:0930-20260310:1600", "", "", "0", "1", "", "", "26", "", "COMMON")
"""The last fields of message 10: hours, no identifiers, group, no underlying, rules, no expiration, kind of stock."""


class NotTheApi(Exception):
    """The client speaks something else, or left."""


@final
class Wire:
    """One accepted connection. Messages may be sent from several threads."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._lock = Lock()
        self.version = 0

    def greet(self, version: int, time: str) -> None:
        """Agree on a version, at most `version`; NotTheApi if the client does not begin as one of the API does."""
        if self._exactly(len(_GREETING)) != _GREETING:
            raise NotTheApi
        told = _VERSIONS.match(self._frame())
        if told is None:
            raise NotTheApi
        self.version = min(version, int(told[2] or told[1]))
        self.send(str(self.version), time)

    def requests(self) -> Iterator[list[str]]:
        """The client's messages as fields, until it leaves."""
        while True:
            try:
                yield self._frame().decode(errors="replace").split("\0")[:-1]
            except (NotTheApi, OSError):
                return

    def send(self, *fields: str) -> None:
        """One message; OSError if the client is gone."""
        body = "".join(f"{field}\0" for field in fields).encode()
        with self._lock:
            self._socket.sendall(len(body).to_bytes(4) + body)

    def error(self, request: str, code: int, text: str) -> None:
        """An error or a notice."""
        last = ("",) if self.version >= _REJECT_JSON_SINCE else ()
        self.send(messages.ERROR, "2", request, str(code), text, *last)

    def execution(self, request: str, row: Row) -> None:
        """One execution, as an answer to a request."""
        own = EXECUTION_FIELDS if self.version >= _PRICE_REVISION_SINCE else EXECUTION_FIELDS[:-1]
        self.send(messages.EXECUTION, request, row["orderId"], *_contract(row), *(row[name] for name in own))

    def commission(self, row: Row) -> None:
        """One commission report."""
        self.send(messages.COMMISSION, "1", *(row[name] for name in messages.COMMISSION_FIELDS))

    def position(self, row: Row) -> None:
        """One position."""
        self.send(messages.POSITION, "3", row["account"], *_contract(row), row["position"], row["avgCost"])

    def summary(self, request: str, row: Row) -> None:
        """One value of an account."""
        self.send(messages.SUMMARY, "1", request, *(row[name] for name in messages.SUMMARY_FIELDS))

    def details(self, request: str, row: Row) -> None:
        """What a conid names: message 10, then the end of the answer."""
        newer = self.version >= messages.UNVERSIONED_DETAILS
        names = [name for name in messages.DETAIL_FIELDS if not newer or name != "mdSizeMultiplier"]
        sizes = ("1", "1", "100") if newer else ("1",) if self.version == _SUGGESTED_SIZE_IN else ()
        head = (request,) if newer else ("8", request)
        self.send(messages.CONTRACT, *head, *(row.get(name, "") for name in names), *_HOURS, *sizes)
        self.send(messages.CONTRACTS_END, "1", request)

    def bars(self, request: str, start: str, end: str, rows: Sequence[Row]) -> None:
        """The bars of one request."""
        fields = (row[name] for row in rows for name in messages.BAR_FIELDS)
        self.send(messages.BARS, request, start, end, str(len(rows)), *fields)

    def _frame(self) -> bytes:
        size = int.from_bytes(self._exactly(4))
        if size > MOST_BYTES:
            raise NotTheApi
        return self._exactly(size)

    def _exactly(self, count: int) -> bytes:
        parts: list[bytes] = []
        while count:
            part = self._socket.recv(count)
            if not part:
                raise NotTheApi
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def _contract(row: Row) -> tuple[str, ...]:
    return tuple(row["contract"][name] for name in CONTRACT_FIELDS)
