"""Who may ask: programs and pages of this machine that name this server as it is. Pure.

A page of another site can make a browser ask 127.0.0.1, also under a name of its own that it points here (DNS
rebinding). It cannot forge `Host`, `Origin` and `Sec-Fetch-Site`, which the browser writes; no answer carries
permission for other origins either.
"""

from collections.abc import Iterable
from dataclasses import dataclass

METHODS = ("GET", "HEAD")
_NAMES = ("127.0.0.1", "localhost", "[::1]")
_OWN_SITES = frozenset({"same-origin", "none"})
"""`none` is a person who typed the address; `same-site` would be any other port of this machine."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is given before anything is looked up."""

    status: int
    reason: str


def refusal(method: str, headers: Iterable[tuple[bytes, bytes]], port: int) -> Refusal | None:
    """Why a request is refused, or None; `headers` with lower-case names, as ASGI tells them."""
    told: dict[str, list[str]] = {}
    for name, value in headers:
        told.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1").strip().lower())
    hosts = told.get("host", [])
    if len(hosts) != 1 or hosts[0] not in own_hosts(port):
        return Refusal(403, f"this server answers to 127.0.0.1:{port} and localhost:{port} only")
    if any(origin not in {f"http://{host}" for host in own_hosts(port)} for origin in told.get("origin", [])):
        return Refusal(403, "other sites may not ask this server")
    if any(site not in _OWN_SITES for site in told.get("sec-fetch-site", [])):
        return Refusal(403, "other sites may not ask this server")
    if method not in METHODS:
        return Refusal(405, "this server only tells: use GET or HEAD")
    return None


def own_hosts(port: int) -> frozenset[str]:
    """What `Host` may say; port 80 goes without saying."""
    names = {f"{name}:{port}" for name in _NAMES}
    return frozenset(names | set(_NAMES) if port == 80 else names)
