"""Instants and exchange dates of Futu rows.

A row tells each time twice: as UTC epoch seconds, and as wall-clock text without a zone. The epoch is
exact, so it is used where it is present; the text needs the zone of the row's market, and in the hour
that a clock change repeats it is read as the first of the two.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from apex_pipeline.brokers.futu import vocabulary
from apex_pipeline.errors import UnknownPayload

HONG_KONG = ZoneInfo("Asia/Hong_Kong")
NEW_YORK = ZoneInfo("America/New_York")

_ZONE_OF_PREFIX = {
    "US": NEW_YORK,
    "SG": ZoneInfo("Asia/Singapore"),
    "JP": ZoneInfo("Asia/Tokyo"),
    "AU": ZoneInfo("Australia/Sydney"),
    "MY": ZoneInfo("Asia/Kuala_Lumpur"),
    "CA": ZoneInfo("America/Toronto"),
}
"""Zones that are not UTC+8. US is confirmed by published rows; the zones of the others are the exchange's own."""

_TEXT = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d{1,6})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_EPOCH = Decimal(7_258_118_400)


def zone_of(prefix: str | None) -> ZoneInfo:
    """The zone of a code's prefix ("US"); UTC+8 where it is not known."""
    return _ZONE_OF_PREFIX.get(prefix, HONG_KONG) if prefix else HONG_KONG


def exchange_zone(row: Mapping[str, Any]) -> ZoneInfo:
    """The zone of a row's market: by its security market, else by its trading market, else UTC+8."""
    return zone_of(market_of(row))


def market_of(row: Mapping[str, Any]) -> str | None:
    """The code prefix of a row ("US"), or None where neither of its markets is known."""
    prefix = vocabulary.PREFIX_OF_SEC_MARKET.get(row.get("secMarket", 0))
    return prefix or vocabulary.PREFIX_OF_TRD_MARKET.get(row.get("trdMarket", 0))


def instant(row: Mapping[str, Any], which: str) -> datetime:
    """The UTC instant of `which` ("create" or "update"), exact to the microsecond.

    Raises UnknownPayload("bad_time") where neither the epoch nor the text can be read.
    """
    epoch = at_epoch(row.get(f"{which}Timestamp"))
    return epoch if epoch is not None else at_wall_clock(row.get(f"{which}Time"), _text_zone(row))


def exchange_date(row: Mapping[str, Any], which: str) -> date:
    """The calendar date of `which` in the zone of the row's market; raises UnknownPayload("bad_time")."""
    return instant(row, which).astimezone(exchange_zone(row)).date()


def at_epoch(value: Any) -> datetime | None:
    """The UTC instant of epoch seconds; None where there are none, or none of this age."""
    try:
        seconds = Decimal(str(value)) if value is not None else Decimal(0)
        if not 0 < seconds < _LATEST_EPOCH:
            return None
    except InvalidOperation:
        return None
    micros = int((seconds * 1_000_000).to_integral_value(ROUND_HALF_EVEN))
    return _EPOCH + timedelta(microseconds=micros)


def at_wall_clock(text: Any, zone: ZoneInfo) -> datetime:
    """The UTC instant of a wall-clock text of this zone; raises UnknownPayload("bad_time")."""
    found = _TEXT.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise UnknownPayload("bad_time", f"{str(text)[:40]!r} is not a time of the form YYYY-MM-DD HH:MM:SS")
    try:
        local = datetime.fromisoformat(f"{found[1]}T{found[2]}").replace(tzinfo=zone)
    except ValueError as error:
        raise UnknownPayload("bad_time", f"{str(text)[:40]!r} is not a time: {error}") from error
    micros = int((found[3] or ".0")[1:].ljust(6, "0"))
    return local.astimezone(UTC) + timedelta(microseconds=micros)


def _text_zone(row: Mapping[str, Any]) -> ZoneInfo:
    # OpenD writes futures times in one zone of its own setting, whose default is UTC+8
    return HONG_KONG if row.get("trdMarket") in vocabulary.FUTURES_MARKETS else exchange_zone(row)
