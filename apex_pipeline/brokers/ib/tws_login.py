"""Logs in to a gateway, and says in one line why that failed."""

import asyncio
import os
from typing import TYPE_CHECKING, NoReturn

from apex_pipeline.errors import BrokerRefused, BrokerUnavailable, ConfigError

if TYPE_CHECKING:
    from apex_pipeline.brokers.ib.tws_client import TwsEndpoint
    from apex_pipeline.brokers.ib.tws_gateway import Complaint, Gateway

CLIENT_ID_IN_USE = 326
_NEVER_OPEN = "there was no connection"
_NOTICES = range(2100, 2200)
"""Codes that tell the state of market data, not of an account."""


def new_gateway() -> "Gateway":
    """A gateway that is not connected yet; ConfigError where ib_async is missing."""
    try:
        from apex_pipeline.brokers.ib.tws_gateway import Gateway
    except ImportError as error:
        raise ConfigError(
            f"IB_TWS_HOST is set, but the package {error.name} is missing: run `make setup`, or unset IB_TWS_HOST"
        ) from error
    return Gateway()


async def log_in(gateway: "Gateway", place: "TwsEndpoint", end: float, seconds: float) -> None:
    """Connect and log in until `end` (monotonic), `seconds` from now. BrokerUnavailable, BrokerRefused."""
    heard = gateway.heard
    login = asyncio.ensure_future(gateway.connectAsync(place.host, place.port, place.client_id, seconds + 1))
    login.add_done_callback(lambda _: heard.changed.set())
    await heard.until(lambda: login.done() or _in_use(heard.complaints), end)
    closed = heard.closed if heard.closed is not None or gateway.conn.isConnected() else _NEVER_OPEN
    login.cancel()
    (failure,) = await asyncio.gather(login, return_exceptions=True)
    if _in_use(heard.complaints):
        raise BrokerRefused(
            f"client id {place.client_id} is in use at the gateway {place}: set IB_TWS_CLIENT_ID to another "
            "number, or end the program that uses it"
        )
    if failure is not None:
        _no_login(gateway, place, failure, closed, seconds)


def is_notice(complaint: "Complaint") -> bool:
    """Whether a message only tells the state of market data."""
    return complaint.code in _NOTICES


def _no_login(
    gateway: "Gateway", place: "TwsEndpoint", failure: BaseException, closed: str | None, seconds: float
) -> NoReturn:
    heard = gateway.heard
    if closed is _NEVER_OPEN:
        reason = _reason(failure) or f"no answer within {seconds:g} s"
        raise BrokerUnavailable(
            f"nobody listens for the TWS API at {place} ({reason}): start IB Gateway or TWS with its API enabled, "
            "and check IB_TWS_HOST and IB_TWS_PORT"
        ) from None
    if closed is not None:
        words = _words(heard.complaints) or closed
        raise BrokerUnavailable(
            f"the gateway at {place} ended the connection before the login ({words}): allow this machine under "
            'its API settings, "Trusted IPs", and check IB_TWS_CLIENT_ID'
        ) from None
    state = "told no accounts" if heard.greeting else "did not answer as a gateway does"
    raise BrokerUnavailable(
        f"{place} accepted the connection and {state} within {seconds:g} s{_told(heard.complaints)}: "
        "log in to IB Gateway or TWS, close its dialogs, and check IB_TWS_PORT"
    ) from None


def _reason(failure: BaseException) -> str:
    """Why a connection failed, in the words of the system; asyncio's own repeat the address."""
    if not isinstance(failure, OSError) or failure.errno is None:
        return ""
    return os.strerror(failure.errno) if failure.errno > 0 else failure.strerror or ""


def _in_use(complaints: "list[Complaint]") -> bool:
    return any(item.code == CLIENT_ID_IN_USE for item in complaints)


def _words(complaints: "list[Complaint]") -> str:
    """What the gateway complained about last; notices about its data farms are none."""
    return next((f"{item.code}: {item.text[:200]}" for item in reversed(complaints) if not is_notice(item)), "")


def _told(complaints: "list[Complaint]") -> str:
    words = _words(complaints)
    return f" ({words})" if words else ""
