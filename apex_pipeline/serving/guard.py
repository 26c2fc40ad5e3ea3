"""Who may ask `apex serve`: programs and pages of this machine, and only to be told. Pure."""

from collections.abc import Iterable

from apex_pipeline.loopback import (
    Refusal,
    foreign_host,
    foreign_origin,
    foreign_site,
    own_hosts,
    own_origins,
    told_headers,
)

METHODS = ("GET", "HEAD")


def refusal(method: str, headers: Iterable[tuple[bytes, bytes]], port: int) -> Refusal | None:
    """Why a request is refused, or None."""
    told, hosts = told_headers(headers), own_hosts(port)
    foreign = foreign_host(told, hosts) or foreign_origin(told, own_origins(hosts)) or foreign_site(told)
    if foreign is None and method not in METHODS:
        return Refusal(405, "this server only tells: use GET or HEAD")
    return foreign
