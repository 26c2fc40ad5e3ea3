"""What the Flex side needs to be told, and the checks that need no connection."""

from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from apex_pipeline.brokers.ib.tws_client import TwsEndpoint
from apex_pipeline.errors import ConfigError

FLEX_URL = "https://ndcdyn.interactivebrokers.com/AccountManagement/FlexWebService"
IB_DOMAIN = ".interactivebrokers.com"


@dataclass(frozen=True, slots=True)
class IbSettings:
    """Flex Web Service settings, and where the TWS API is. `token` is secret and is kept out of the repr.

    All pauses of the client scale with `poll_seconds`; 10 is what IB's limits ask for. `patient` False gives
    up at once where nobody listens, for a person who waits at a terminal. `tws` None: nothing asks the TWS API,
    whose connections have no encryption and no password.
    """

    flex_url: str = FLEX_URL
    token: str = field(default="", repr=False)
    query_id: str = ""
    poll_seconds: float = 10
    requests_per_minute: int = 10
    total_deadline_seconds: float = 900
    max_bytes: int = 2 * 1024**3
    patient: bool = True
    tws: TwsEndpoint | None = None

    @property
    def scale(self) -> float:
        """The factor of all pauses: 1 at the 10 seconds that IB's limits ask for."""
        return self.poll_seconds / 10

    @property
    def secret(self) -> str:
        """The token as it is sent."""
        return self.token.strip()

    @property
    def budget(self) -> str:
        """The name under which requests of this token are limited across processes; does not tell the token."""
        return f"ib:flex:{sha256(self.secret.encode()).hexdigest()[:12]}"

    def seconds_per_call(self) -> Decimal:
        """Predicted wall time of one window: two requests under the limits and the pause between them."""
        paced = Decimal(str(self.poll_seconds)) + Decimal(str(self.scale))
        limited = Decimal(120) / max(self.requests_per_minute, 1)
        return max(paced, limited)


def check_endpoint(settings: IbSettings) -> None:
    """Nothing, or ConfigError: https everywhere, plain http only to this machine."""
    parts = urlsplit(settings.flex_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ConfigError(f"IB_FLEX_URL must be a plain https address such as {FLEX_URL}")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigError(f"IB_FLEX_URL must use https: the token would travel readable to {parts.hostname}")
    if settings.poll_seconds < 0 or settings.requests_per_minute < 1:
        raise ConfigError("IB_FLEX_POLL_SECONDS must not be negative and IB_FLEX_REQUESTS_PER_MINUTE at least 1")


def check_credentials(settings: IbSettings) -> None:
    """Nothing, or ConfigError that names the missing setting."""
    if not settings.secret:
        raise ConfigError("IB_FLEX_TOKEN is not set: create it in IB's Client Portal under Flex Web Service")
    if not settings.query_id.strip():
        raise ConfigError("IB_FLEX_QUERY_ID is not set: it is the number of your Activity Flex Query")


def is_loopback(host: str) -> bool:
    """True for localhost and for addresses that never leave this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def trusted_url(answered: str, configured: str) -> str | None:
    """The address an answer names, if the token may be sent there; else None.

    Trusted are the origin that was configured and, where that is IB itself, IB's other hosts over https.
    """
    try:
        there, here = urlsplit(answered.strip()), urlsplit(configured)
        same = _origin(there) == _origin(here)
        ours = _is_ib(there) and _is_ib(here)
    except ValueError:
        return None
    if there.username is not None or there.password is not None or not (same or ours):
        return None
    return f"{there.scheme}://{there.netloc}{there.path}"


def _origin(parts: SplitResult) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _is_ib(parts: SplitResult) -> bool:
    return parts.scheme == "https" and (parts.hostname or "").endswith(IB_DOMAIN) and parts.port in (None, 443)
