"""When a TWS execution happened, and which trading day it belongs to. Pure.

The gateway writes `20260310 09:31:05 US/Eastern`, `20260310-13:31:05` (UTC, a setting of TWS), or, in older versions,
`20260310  09:31:05` in the zone of its login, which it names only when a client connects.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apex_pipeline.brokers.ib.attributes import Attributes
from apex_pipeline.brokers.ib.exchanges import market_of, zone_of
from apex_pipeline.brokers.ib.times import NEW_YORK
from apex_pipeline.domain.records import Record

_WRITTEN = re.compile(
    r"(?P<day>\d{8}|\d{4}-\d{2}-\d{2})(?P<gap>\s+|-|T|;)(?P<clock>\d{1,2}:\d{2}:\d{2})(?:\.\d+)?(?:\s+(?P<zone>\S.*))?",
    re.ASCII,
)
_NAMES = {
    "EST": "America/New_York", "EDT": "America/New_York", "ET": "America/New_York", "MST": "America/Denver",
    "CDT": "America/Chicago", "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles", "UTC": "UTC", "GMT": "UTC",
    "Z": "UTC", "CET": "Europe/Berlin", "CEST": "Europe/Berlin", "MET": "Europe/Berlin", "HKT": "Asia/Hong_Kong",
    "SGT": "Asia/Singapore", "JST": "Asia/Tokyo", "AEST": "Australia/Sydney", "AEDT": "Australia/Sydney",
    "EASTERN STANDARD TIME": "America/New_York", "EASTERN DAYLIGHT TIME": "America/New_York",
    "CENTRAL STANDARD TIME": "America/Chicago", "CENTRAL DAYLIGHT TIME": "America/Chicago",
    "PACIFIC STANDARD TIME": "America/Los_Angeles", "PACIFIC DAYLIGHT TIME": "America/Los_Angeles",
    "GREENWICH MEAN TIME": "UTC", "COORDINATED UNIVERSAL TIME": "UTC", "BRITISH SUMMER TIME": "Europe/London",
    "CENTRAL EUROPEAN STANDARD TIME": "Europe/Berlin", "CENTRAL EUROPEAN TIME": "Europe/Berlin",
    "CENTRAL EUROPEAN SUMMER TIME": "Europe/Berlin", "HONG KONG TIME": "Asia/Hong_Kong",
    "HONG KONG STANDARD TIME": "Asia/Hong_Kong", "CHINA STANDARD TIME": "Asia/Shanghai",
    "SINGAPORE STANDARD TIME": "Asia/Singapore", "SINGAPORE TIME": "Asia/Singapore",
    "JAPAN STANDARD TIME": "Asia/Tokyo",
}  # fmt: skip
"""What Java writes for a zone. Standard names are used in summer too, so they name the place and not the offset;
names that mean several places (CST, IST, BST) are left out."""

_ASIAN_MARKETS = frozenset({"HK", "JP", "AU", "SG", "KR", "TW", "IN"})
"""Markets whose session is another calendar day in New York."""

_LOGIN_PLACES = (
    "America/New_York", "Asia/Hong_Kong", "Europe/London", "Europe/Berlin", "America/Chicago", "America/Los_Angeles",
    "Asia/Tokyo", "Australia/Sydney", "UTC",
)  # fmt: skip
"""Where a clock that is so far from UTC is likeliest to be; a place knows when its summer time began, an offset not."""

_FUTURES = frozenset({"FUT", "FOP"})
_DAY_ENDS = time(17)
_SATURDAY = 5
_FARTHEST = timedelta(hours=15)
_QUARTER = timedelta(minutes=15)


def zone_named(name: str | None) -> tzinfo | None:
    """The zone that this text names; None if that is not certain."""
    words = " ".join((name or "").split())
    known = _NAMES.get(words.upper(), words)
    if not known:
        return None
    try:
        return UTC if known == "UTC" else ZoneInfo(known)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def login_zone(greeting: str, current_time: str) -> tzinfo | None:
    """The zone of the gateway's login: as it named it, else by how far its clock is from UTC; None if neither tells.

    `greeting`: the time it wrote when it was connected. `current_time`: its clock then, in epoch seconds.
    """
    match = _WRITTEN.fullmatch(greeting.strip())
    if match is None:
        return None
    named = zone_named(match["zone"])
    if named is not None or not current_time.isdigit():
        return named
    now = datetime.fromtimestamp(int(current_time), UTC)
    ahead = _wall(match).replace(tzinfo=UTC) - now
    rounded = round(ahead / _QUARTER) * _QUARTER
    if abs(ahead - rounded) > timedelta(minutes=2) or abs(rounded) > _FARTHEST:
        return None
    likely = (place for place in _LOGIN_PLACES if now.astimezone(ZoneInfo(place)).utcoffset() == rounded)
    return next(map(ZoneInfo, likely), timezone(rounded))


def instant_of_execution(text: str, login: tzinfo | None) -> datetime | None:
    """The aware UTC instant of an execution's time; None where its zone or the time itself cannot be told.

    `login`: the zone of times without one. In the repeated hour of November the earlier one is meant.
    """
    written = text.strip()
    if written.isascii() and written.isdigit() and len(written) > len("20260310"):
        return datetime.fromtimestamp(int(written), UTC)
    match = _WRITTEN.fullmatch(written)
    if match is None:
        return None
    bare = UTC if match["gap"] == "-" else login
    zone = zone_named(match["zone"]) if match["zone"] else bare
    try:
        return _wall(match).replace(tzinfo=zone).astimezone(UTC) if zone is not None else None
    except (ValueError, OverflowError):
        return None


def written_date(text: str) -> date | None:
    """The date as written, in whatever zone; None if there is none."""
    match = _WRITTEN.fullmatch(text.strip())
    try:
        return _wall(match).date() if match else None
    except ValueError:
        return None


def trading_day(at: datetime, record: Record) -> date:
    """The business date of an execution, given its contract in Flex's words.

    New York's date; in Asia and Australia the market's own; for currencies and US futures after 17:00 in New York
    the next business day, as their sessions begin in the evening.
    """
    row = Attributes(record)
    category = row.text("assetCategory")
    local = at.astimezone(NEW_YORK)
    market = market_of(row, by_venue=category in _FUTURES)
    if category == "CASH" or (category in _FUTURES and market == "US"):
        return _business_day(local.date() + timedelta(days=1) if local.time() >= _DAY_ENDS else local.date())
    own = zone_of(market) if market in _ASIAN_MARKETS else None
    return local.date() if own is None else at.astimezone(own).date()


def _business_day(day: date) -> date:
    while day.weekday() >= _SATURDAY:
        day += timedelta(days=1)
    return day


def _wall(match: re.Match[str]) -> datetime:
    digits = match["day"].replace("-", "")
    hour, minute, second = (int(part) for part in match["clock"].split(":"))
    return datetime(int(digits[:4]), int(digits[4:6]), int(digits[6:]), hour, minute, second)  # noqa: DTZ001 - the zone is set by who asks
