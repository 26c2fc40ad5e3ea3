"""What follows the question mark of an address, read strictly: BadParameter says in one line what is wrong."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from urllib.parse import parse_qsl

from apex_pipeline.domain.models import Broker
from apex_pipeline.store.repositories.last_known import Page, Scope

LIMIT, MOST_ROWS = 100, 1000
MOST_OFFSET = 1_000_000
_LONGEST = 100
_CURRENCY = re.compile(r"[A-Z]{3,5}")


class BadParameter(ValueError):
    """Whoever asked must ask otherwise; one line says how."""


def read_parameters(query: bytes, known: Iterable[str]) -> dict[str, str]:
    """The parameters by name; each of `known` may stand once and must say something."""
    names = tuple(known)
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError:
        raise BadParameter("the parameters cannot be read: write them as name=value&name=value") from None
    told: dict[str, str] = {}
    for name, value in pairs:
        if name not in names:
            raise BadParameter(_unknown(name, names))
        if name in told:
            raise BadParameter(f"{name} is told twice")
        if not value.strip() or len(value) > _LONGEST or not value.isprintable():
            raise BadParameter(f"{name} must be 1 to {_LONGEST} printable characters")
        told[name] = value.strip()
    return told


def scope_of(told: dict[str, str]) -> Scope:
    """Whose rows are asked for."""
    broker = told.get("broker")
    if broker is not None and broker.upper() not in Broker.__members__:
        raise BadParameter(f"broker is {broker[:20]!r}; it is one of {', '.join(Broker.__members__)}")
    return Scope(told.get("account"), broker.upper() if broker else None, told.get("symbol"))


def page_of(told: dict[str, str]) -> Page:
    """Which rows are asked for."""
    limit = _whole(told, "limit", LIMIT, 1, MOST_ROWS)
    return Page(limit, _whole(told, "offset", 0, 0, MOST_OFFSET), _instant(told))


def currency_of(told: dict[str, str]) -> str | None:
    """The currency of the sums, if one is asked for."""
    currency = told.get("currency")
    if currency is not None and not _CURRENCY.fullmatch(currency.upper()):
        raise BadParameter(f"currency is {currency[:20]!r}; it is a code such as USD")
    return currency.upper() if currency else None


def _whole(told: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    text = told.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
        raise BadParameter(f"{name} is {text[:20]!r}; it is a whole number from {least} to {most}")
    return int(text)


def _instant(told: dict[str, str]) -> datetime | None:
    """`since` as an instant; a date begins at midnight UTC. A space is a plus that was not escaped."""
    text = told.get("since")
    if text is None:
        return None
    wrong = f"since is {text[:40]!r}; it is a date such as 2026-01-31, or an instant such as 2026-01-31T09:30:00Z"
    try:
        at = datetime.fromisoformat(re.sub(r" (?=\d\d:?\d\d$)", "+", text)) if len(text) > 10 else None
        at = at or datetime.combine(date.fromisoformat(text), time(), UTC)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadParameter(wrong) from None
    raise BadParameter(f"since is {text[:40]!r}, which has no zone: end it with Z for UTC")


def _unknown(name: str, known: tuple[str, ...]) -> str:
    if not known:
        return "this address takes no parameters"
    nearest = get_close_matches(name, known, n=1, cutoff=0.0)[0]
    return f"there is no parameter {name[:40]!r} here; the nearest is {nearest!r}"
