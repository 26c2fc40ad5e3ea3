"""Who may ask a server of this machine: programs and pages that name it as it is. Pure.

A page of another site can make a browser ask 127.0.0.1, also under a name of its own that it points here (DNS
rebinding). It cannot forge `Host`, `Origin` and `Sec-Fetch-Site`, which the browser writes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

NAMES = ("127.0.0.1", "localhost", "[::1]")
"""The loopback interface as a browser calls it."""

_OWN_SITES = frozenset({"same-origin", "none"})
"""`none` is a person who typed the address; `same-site` would be any other port of this machine."""

Headers = Mapping[str, Sequence[str]]
"""What was told under each name, in lower case; one name may be told several times."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is given before anything is looked up: a status of HTTP and one line that says why."""

    status: int
    reason: str


def told_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers of a request, as ASGI tells them, by name."""
    told: dict[str, list[str]] = {}
    for name, value in headers:
        told.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1").strip())
    return told


def own_hosts(port: int, names: Iterable[str] = NAMES) -> frozenset[str]:
    """What `Host` may say of a server with these names; port 80 goes without saying."""
    known = frozenset(names)
    told = frozenset(f"{name}:{port}" for name in known)
    return told | known if port == 80 else told


def foreign_host(told: Headers, hosts: frozenset[str]) -> Refusal | None:
    """Refuses every name but the server's own, and a request that tells none or several."""
    named = told.get("host", ())
    if len(named) == 1 and named[0].lower() in hosts:
        return None
    return Refusal(403, f"this server answers to {' and '.join(sorted(hosts))} only")


def own_origins(hosts: Iterable[str]) -> frozenset[str]:
    """What `Origin` may say of a server that is called so."""
    return frozenset(f"http://{host}" for host in hosts)


def foreign_origin(told: Headers, origins: frozenset[str]) -> Refusal | None:
    """Refuses what pages of other origins ask; whoever tells no origin is no page, or reads only."""
    if all(origin.lower() in origins for origin in told.get("origin", ())):
        return None
    return Refusal(403, "pages of other sites may not ask this server")


def foreign_site(told: Headers) -> Refusal | None:
    """Refuses what a browser says that another site began, such as a picture or a link there."""
    if all(site.lower() in _OWN_SITES for site in told.get("sec-fetch-site", ())):
        return None
    return Refusal(403, "other sites may not ask this server")
