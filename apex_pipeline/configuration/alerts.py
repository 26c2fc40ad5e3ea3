"""Where alerts are told, as settings: a webhook, a mail server, addresses. No message holds what was written there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, quote, unquote, urlsplit

from apex_pipeline.errors import ConfigError

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")
_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class MailServer:
    """A server that takes mail. `tls_first`: TLS from the first byte (smtps); else it must offer STARTTLS, unless it is
    this machine. The password never shows in a repr."""

    host: str
    port: int
    tls_first: bool
    user: str | None = None
    password: str | None = None

    @property
    def is_here(self) -> bool:
        """Whether it is this machine."""
        return is_loopback(self.host)

    @property
    def url(self) -> str:
        """The same as a URL, without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        return f"{'smtps' if self.tls_first else 'smtp'}://{user}{host}:{self.port}"

    def __repr__(self) -> str:
        return f"MailServer(host={self.host!r}, port={self.port}, tls_first={self.tls_first}, login=<hidden>)"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its own words."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def webhook_url(values: Mapping[str, str], name: str) -> str | None:
    """An address that messages are posted to: https, or http to this machine. It is a secret."""
    text = values.get(name)
    if not text:
        return None
    parts = _parts(text, name)
    if parts.scheme not in ("https", "http") or not parts.hostname or not text.isprintable() or " " in text:
        raise ConfigError(f"{name} must be the https address of an incoming webhook")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigError(f"{name} is http: an address of another machine must be https")
    if parts.username or parts.password:
        raise ConfigError(f"{name} must not hold a login")
    return text


def mail_server(values: Mapping[str, str], name: str, password_name: str) -> MailServer | None:
    """smtp[s]://user:password@host:port; the password is percent-encoded there, and as it is in its own variable."""
    text = values.get(name)
    if not text:
        return None
    parts = _parts(text, name)
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigError(f"{name} must be smtp://user:password@host:587 or smtps://user:password@host:465")
    user = unquote(parts.username or "") or None
    password = values.get(password_name) or unquote(parts.password or "") or None
    if (user is None) != (password is None):
        raise ConfigError(f"{name} names a user without a password or a password without a user; see {password_name}")
    return MailServer(parts.hostname, parts.port or _PORTS[parts.scheme], parts.scheme == "smtps", user, password)


def addresses(values: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Plain addresses of mail, separated by commas."""
    told = tuple(one.strip() for one in values.get(name, "").split(",") if one.strip())
    for one in told:
        if not _ADDRESS.fullmatch(one):
            raise ConfigError(f"{name} holds {one!r}, which is no address like me@example.com")
    return told


def _parts(text: str, name: str) -> SplitResult:
    """The parts of a URL, without telling it when it is none."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ConfigError(f"{name} cannot be read as a URL") from None
    return parts
