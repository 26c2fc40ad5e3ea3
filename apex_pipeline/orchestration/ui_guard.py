"""The guard before Dagster's page: what must be true of a request before Dagster sees it.

Dagster's webserver executes whatever a web page sends to 127.0.0.1 (measured with dagster 1.13: mutations by GET, by
text/plain and by forms, under any `Host`; forged materializations; run logs over WebSockets of any origin). Each rule
here closes one of these ways alone; a request must pass all of them, and then know the token. Every refusal names its
rule in the header `x-apex-refused`.
"""

import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote

from apex_pipeline.loopback import Headers, Refusal, foreign_host, foreign_origin, foreign_site, told_headers

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

READING, METHODS = ("GET", "HEAD"), ("GET", "HEAD", "POST")
GRAPHQL, REPORTS, PUBLIC = "/graphql", "/report_asset_", "/server_info"
"""Where Dagster takes queries and mutations; where programs tell of materializations; what everybody may know."""

TOKEN = "token"  # noqa: S105  # the name of the parameter
MOST_FIELDS = 20
"""Of an address that enters; one that Dagster's page makes may have more, and needs the cookie."""
A_YEAR = 365 * 24 * 3600
POLICY_VIOLATION = 1008

PROTECTION = (
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
"""Of every answer, beside Dagster's own headers: not in frames, not for other sites."""


@dataclass(frozen=True, slots=True)
class Door:
    """What opens the page: the names and origins that the server goes by, the token, and the cookie that keeps it."""

    hosts: frozenset[str]
    origins: frozenset[str]
    token: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A request; `path` as it is routed, `query` as it was sent."""

    is_socket: bool
    method: str
    path: str
    query: str
    headers: Headers

    @classmethod
    def of(cls, scope: Scope) -> "Asked":
        """The request that ASGI tells."""
        query = scope.get("query_string", b"").decode("latin-1")
        headers = told_headers(scope["headers"])
        return cls(scope["type"] == "websocket", scope.get("method", "GET"), scope["path"], query, headers)

    @property
    def is_for_graphql(self) -> bool:
        """Whether Dagster may take it for a query or mutation, with whatever slashes behind."""
        return self.path.rstrip("/") == GRAPHQL

    @property
    def bearer(self) -> str | None:
        """The token of a program, told as `Authorization: Bearer …`."""
        for told in self.headers.get("authorization", ()):
            scheme, _, token = told.partition(" ")
            if scheme.lower() == "bearer":
                return token.strip()
        return None

    def cookies(self, name: str) -> list[str]:
        """The values of a cookie: programs of other ports of this machine may have set some too."""
        parts = (part.strip().partition("=") for told in self.headers.get("cookie", ()) for part in told.split(";"))
        return [value for told, _, value in parts if told == name]


Rule = Callable[[Asked, Door], Refusal | None]


def _host(asked: Asked, door: Door) -> Refusal | None:
    return foreign_host(asked.headers, door.hosts)


def _origin(asked: Asked, door: Door) -> Refusal | None:
    return foreign_origin(asked.headers, door.origins)


def _site(asked: Asked, _door: Door) -> Refusal | None:
    return foreign_site(asked.headers)


def _method(asked: Asked, _door: Door) -> Refusal | None:
    return None if asked.method in METHODS else Refusal(405, f"the methods here are {', '.join(METHODS)}")


def _socket(asked: Asked, _door: Door) -> Refusal | None:
    """Browsers let every page open a WebSocket anywhere, and name its origin."""
    if not asked.is_socket or len(asked.headers.get("origin", ())) == 1:
        return None
    return Refusal(403, "a WebSocket must name one origin: this server's")


def _query_in_address(asked: Asked, _door: Door) -> Refusal | None:
    """Dagster executes mutations that stand in the address; a picture in any page can ask for one.

    The page names its operations there too, but in posts of JSON, of which Dagster reads the body only.
    """
    if asked.is_for_graphql and asked.query and asked.method != "POST":
        return Refusal(400, "GraphQL is told in the body of a POST, not in the address")
    return None


def _media_type(asked: Asked, _door: Door) -> Refusal | None:
    """Any page may send text and forms without asking first, but not JSON; Dagster only looks for the word in it."""
    if not asked.is_for_graphql or asked.method != "POST":
        return None
    told = asked.headers.get("content-type", ())
    is_json = len(told) == 1 and told[0].partition(";")[0].strip().lower() == "application/json"
    return None if is_json else Refusal(415, "GraphQL is told as application/json")


def _writer(asked: Asked, _door: Door) -> Refusal | None:
    """Browsers name the origin of whatever a page sends; a program shows its token instead."""
    if asked.method in READING or asked.headers.get("origin") or asked.bearer is not None:
        return None
    return Refusal(403, "what writes must name its origin, or show a token (Authorization: Bearer …)")


def _report(asked: Asked, _door: Door) -> Refusal | None:
    """No page reports materializations; a program that does shows its token."""
    if not asked.path.startswith(REPORTS) or asked.bearer is not None:
        return None
    return Refusal(403, "reports of materializations need a token (Authorization: Bearer …)")


def _token(asked: Asked, door: Door) -> Refusal | None:
    if asked.path == PUBLIC or enters(asked, door):
        return None
    shown = asked.cookies(door.cookie) if asked.bearer is None else [asked.bearer]
    if any(_is_token(one, door) for one in shown):
        return None
    return Refusal(401, "open the address with ?token=… that apex printed; the token stands in dagster/ui-token too")


RULES: Mapping[str, Rule] = {
    "host": _host,
    "origin": _origin,
    "site": _site,
    "method": _method,
    "socket": _socket,
    "query-in-address": _query_in_address,
    "media-type": _media_type,
    "writer": _writer,
    "report": _report,
    "token": _token,
}
"""By name, in the order in which they are asked."""


def refused(asked: Asked, door: Door, rules: Mapping[str, Rule] = RULES) -> tuple[str, Refusal] | None:
    """The first rule that refuses a request, and what it says; None if it may pass."""
    for name, rule in rules.items():
        refusal = rule(asked, door)
        if refusal is not None:
            return name, refusal
    return None


def enters(asked: Asked, door: Door) -> bool:
    """Whether this is a person who opens the printed address."""
    if asked.method != "GET" or asked.is_socket:
        return False
    told = parse_qs(asked.query).get(TOKEN, []) if asked.query.count("&") < MOST_FIELDS else []
    return any(_is_token(one, door) for one in told)


def _is_token(told: str, door: Door) -> bool:
    return hmac.compare_digest(told.encode("latin-1", "replace"), door.token.encode())


class Guard:
    """Dagster's application behind the rules. Nobody passes before `is_open` is set: first the guard is attacked."""

    def __init__(self, application: Application, door: Door, rules: Mapping[str, Rule] = RULES) -> None:
        self.is_open = False
        self._application = application
        self._door = door
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        asked = Asked.of(scope)
        found = refused(asked, self._door, self._rules)
        if found is not None:
            await _refuse(asked, *found, receive, send)
        elif not self.is_open:
            await _refuse(asked, "closed", Refusal(503, "starting: try again in a second"), receive, send)
        elif enters(asked, self._door):
            await _answer(send, 303, _entry(asked, self._door), b"")
        else:
            await self._application(scope, receive, _protected(send))


def _entry(asked: Asked, door: Door) -> list[tuple[bytes, bytes]]:
    """Keep the token where pages cannot read it, and leave the address that shows it."""
    cookie = f"{door.cookie}={door.token}; Path=/; Max-Age={A_YEAR}; HttpOnly; SameSite=Strict"
    place = "/" + quote(asked.path.lstrip("/\\"))
    return [(b"location", place.encode()), (b"set-cookie", cookie.encode()), (b"cache-control", b"no-store")]


async def _refuse(asked: Asked, rule: str, refusal: Refusal, receive: Receive, send: Send) -> None:
    if asked.is_socket:
        await receive()
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refusal.reason})
        return
    body, kind = f"{refusal.reason}\n", b"text/plain; charset=utf-8"
    if rule == "site" and asked.method == "GET" and asked.headers.get("sec-fetch-mode") == ["navigate"]:
        # a link in a message: the person goes on by a link of this page, which is no other site
        body, kind = '<!doctype html><title>APEX</title><p><a href="">Open this page of Dagster</a>\n', b"text/html"
    headers = [(b"content-type", kind), (b"x-apex-refused", rule.encode()), (b"cache-control", b"no-store")]
    await _answer(send, refusal.status, headers, body.encode())


async def _answer(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    told = [*headers, *PROTECTION, length]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})


def _protected(send: Send) -> Send:
    """Sends what Dagster answers with our headers beside its own."""

    async def sent(message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.accept"}:
            message = {**message, "headers": [*message.get("headers", ()), *PROTECTION]}
        await send(message)

    return sent
