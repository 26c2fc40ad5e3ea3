"""When a bar of Futu begins. Pure.

Futu names a bar of minutes by when it ENDS, in the wall clock of its market: the first minute of a session in New York
is 09:31:00, its last 16:00:00 (py-futu-api #253 and other public rows), and a bar of a day by its date. Bars are cut
from the opening of each part of a session on, so the last one of a part can be shorter: hours in New York end at 10:30,
11:30, ... 15:30 and 16:00, in Hong Kong at 10:30, 11:30, 12:00, 14:00, 15:00 and 16:00.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

from apex_pipeline.brokers.futu import market_time

OPENINGS: Mapping[str, tuple[time, ...]] = {
    "US": (time(9, 30),),
    "HK": (time(9, 30), time(13, 0)),
    "SH": (time(9, 30), time(13, 0)),
    "SZ": (time(9, 30), time(13, 0)),
    "SG": (time(9, 0),),
    "JP": (time(9, 0), time(12, 30)),
    "MY": (time(9, 0), time(14, 30)),
}
"""When the parts of a regular session open, by code prefix. An early close moves none of them."""

_INSTANT = timedelta(microseconds=1)


def begins_at(ended_at: datetime, length: timedelta, prefix: str) -> datetime | None:
    """The UTC instant at which the bar of a regular session begins that ends at `ended_at`.

    None for one that ends before a session opens, or as one of its parts does: that tells of no regular hours.
    """
    day = ended_at.astimezone(market_time.zone_of(prefix)).date()
    openings = [_at(day, clock, prefix) for clock in OPENINGS[prefix]]
    opened = [at for at in openings if at < ended_at]
    if not opened or ended_at in openings:
        return None
    return opened[-1] + (ended_at - opened[-1] - _INSTANT) // length * length


def midnight(day: date, prefix: str) -> datetime:
    """The UTC instant at which a day of the market begins."""
    return _at(day, time(), prefix)


def _at(day: date, clock: time, prefix: str) -> datetime:
    return datetime.combine(day, clock, market_time.zone_of(prefix)).astimezone(UTC)
