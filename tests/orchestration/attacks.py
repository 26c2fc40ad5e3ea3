"""What web pages and programs of other people could send to Dagster's page, byte for byte, one case at a time.

Each attack but those on the token itself comes with the cookie of its victim: a page of another port of this machine
is of the same site, so that browsers add it.
"""

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from apex_pipeline.orchestration.ui_guard import GRAPHQL, Door

MUTATION = "mutation { setNuxSeen }"
JSON_BODY = json.dumps({"query": MUTATION})
ADDRESS = f"{GRAPHQL}?query=mutation%7BsetNuxSeen%7D"
TYPE = ("Content-Type", "application/json")
FOREIGN = "https://other.example"

ANSWER_SECONDS = 20


@dataclass(frozen=True)
class Attack:
    """A request and the rule that alone must refuse it. `{port}`, `{token}` and `{cookie}` stand for the victim's."""

    name: str
    rule: str
    method: str = "GET"
    path: str = "/runs"
    headers: Sequence[tuple[str, str]] = ()
    body: str = ""
    hosts: Sequence[str] = ("127.0.0.1:{port}",)
    cookie: str | None = "{cookie}={token}"
    is_socket: bool = False

    def __str__(self) -> str:
        return self.name

    def told(self, port: int, door: Door) -> list[tuple[str, str]]:
        """All headers of the request to the page on this port."""
        known = {"port": port, "token": door.token, "cookie": door.cookie}
        told = [("Host", host) for host in self.hosts] + list(self.headers)
        told += [("Cookie", self.cookie)] if self.cookie else []
        return [(name, value.format(**known)) for name, value in told]


OWN = ("Origin", "http://127.0.0.1:{port}")


def _post(
    name: str, rule: str, *headers: tuple[str, str], path: str = GRAPHQL, body: str = JSON_BODY, **more: str | None
) -> Attack:
    return Attack(name, rule, "POST", path, headers, body, cookie=more.get("cookie", "{cookie}={token}"))


def _socket(name: str, rule: str, *headers: tuple[str, str], path: str = GRAPHQL, cookie: str | None = "own") -> Attack:
    kept = "{cookie}={token}" if cookie == "own" else cookie
    return Attack(name, rule, "GET", path, headers, cookie=kept, is_socket=True)


ATTACKS = (
    Attack("a page under a name of its own that points here", "host", hosts=("rebound.example:{port}",)),
    Attack("the name of another port", "host", hosts=("127.0.0.1:1",)),
    Attack("the address without its port", "host", hosts=("127.0.0.1",)),
    Attack("a name that only begins as ours", "host", hosts=("127.0.0.1:{port}.example",)),
    _post("a mutation of another site", "origin", ("Origin", FOREIGN), TYPE),
    _post("a mutation out of a sandboxed frame", "origin", ("Origin", "null"), TYPE),
    _post("a mutation of another port of this machine", "origin", ("Origin", "http://127.0.0.1:8080"), TYPE),
    _post("two origins, ours first", "origin", OWN, ("Origin", FOREIGN), TYPE),
    Attack("a picture of another site that is our debug file", "site", path="/download_debug/x",
           headers=(("Sec-Fetch-Site", "cross-site"),)),
    Attack("a frame of another port of this machine", "site", headers=(("Sec-Fetch-Site", "same-site"),)),
    Attack("a request that asks whether it may", "method", "OPTIONS", GRAPHQL,
           (OWN, ("Access-Control-Request-Method", "POST"))),
    Attack("a put", "method", "PUT", GRAPHQL, (OWN, TYPE), JSON_BODY),
    Attack("a picture that is a mutation", "query-in-address", path=ADDRESS),
    Attack("the same with its name encoded", "query-in-address", path=ADDRESS.replace("query", "%71uery")),
    Attack("the same behind a slash", "query-in-address", path=ADDRESS.replace("?", "/?")),
    Attack("the same by HEAD", "query-in-address", "HEAD", ADDRESS),
    _post("plain text", "media-type", OWN, ("Content-Type", "text/plain")),
    _post("plain text that names JSON", "media-type", OWN, ("Content-Type", "text/plain; x=application/json")),
    _post("a type that begins as JSON", "media-type", OWN, ("Content-Type", "application/jsonx")),
    _post("a query as its own type", "media-type", OWN, ("Content-Type", "application/graphql"), body=MUTATION),
    _post("a form whose address is the mutation", "media-type", OWN,
          ("Content-Type", "application/x-www-form-urlencoded"), path=ADDRESS, body="x=1"),
    _post("a post without a type whose address is the mutation", "media-type", OWN, path=ADDRESS, body=""),
    _post("a program that names no origin", "writer", TYPE),
    _post("a forged materialization", "report", OWN, TYPE, path="/report_asset_materialization/orders_norm", body="{}"),
    _socket("a WebSocket that names no origin", "socket"),
    _socket("a WebSocket of another site", "origin", ("Origin", FOREIGN)),
    _socket("a WebSocket out of a sandboxed frame", "origin", ("Origin", "null")),
    _socket("a WebSocket with a query in its address", "query-in-address", OWN, path=ADDRESS),
    Attack("somebody without the token", "token", cookie=None),
    _post("a mutation without the token", "token", OWN, TYPE, cookie=None),
    _post("a mutation with the token of another page", "token", OWN, TYPE, cookie="apex_ui_1={token}"),
    _post("a mutation with a wrong token", "token", OWN, TYPE, cookie="{cookie}=wrong"),
    _post("a program with a wrong token", "token", ("Authorization", "Bearer wrong"), TYPE, cookie=None),
    Attack("an address with a wrong token", "token", path="/?token=wrong", cookie=None),
    _socket("a WebSocket without the token", "token", OWN, cookie=None),
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What came back: the status, the headers in lower case, the beginning of the body."""

    status: int
    headers: dict[str, str]
    body: str

    @property
    def was_obeyed(self) -> bool:
        """Whether the other side did what was asked, or told what was asked for."""
        return self.status in (101, 200) and '"errors"' not in self.body


def send(attack: Attack, port: int, door: Door) -> Answer:
    """Send it as it is, over a connection of its own."""
    told = attack.told(port, door)
    if attack.is_socket:
        told += [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
        told += [("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Protocol", "graphql-ws")]
    else:
        told += [("Connection", "close"), ("Content-Length", str(len(attack.body)))]
    lines = [f"{attack.method} {attack.path} HTTP/1.1", *(f"{name}: {value}" for name, value in told)]
    with socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n" + attack.body).encode())
        return _read(connection, ends_with_headers=attack.is_socket)


def _read(connection: socket.socket, *, ends_with_headers: bool) -> Answer:
    received = b""
    while part := connection.recv(65536):
        received += part
        if ends_with_headers and b"\r\n\r\n" in received:
            break
    head, _, body = received.decode("latin-1").partition("\r\n\r\n")
    first, *rest = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    return Answer(int(first.split(" ")[1]), headers, body)
