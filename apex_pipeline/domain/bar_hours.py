"""When bars are due: the hours of sessions without their pauses, as stretches in which trading never stops. Pure.

Instants are counted in microseconds since 1970 (UTC) here: a year of minutes is a hundred thousand of them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from apex_pipeline.domain.ledger import MarketDay
from apex_pipeline.domain.market import GapReason

Tick = int
"""Microseconds since 1970-01-01 UTC."""

Stretch = tuple[Tick, Tick]
"""From the first up to and without the second; nothing pauses within."""

DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class SeriesHours:
    """Where and when the bars of a series are due.

    `calendar` None: at hours that are not known here. `step`: the length of an intraday bar in microseconds; of daily
    bars, a day's. `is_sparse`: no trade makes no bar. `pause`: at midday, in the wall clock of the exchange.
    """

    calendar: str | None
    zone: ZoneInfo
    is_daily: bool
    step: Tick | None
    is_sparse: bool = False
    pause: tuple[time, time] | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A session of an exchange; without `parts` where its hours are not known."""

    on_date: date
    parts: tuple[Stretch, ...]


@dataclass(frozen=True, slots=True)
class Closure:
    """Hours in which an exchange usually trades and did not: a holiday, or the rest of a short session."""

    on_date: date
    reason: GapReason
    parts: tuple[Stretch, ...]


def tick(at: datetime) -> Tick:
    """An instant as a number."""
    return (at - _EPOCH) // _MICROSECOND


def instant(at: Tick) -> datetime:
    """A number as an instant, in UTC."""
    return _EPOCH + timedelta(microseconds=at)


def whole_day(day: date, zone: ZoneInfo) -> Stretch:
    """A day from midnight to midnight in a zone."""
    return tick(datetime.combine(day, time(), zone)), tick(datetime.combine(day + DAY, time(), zone))


def date_of_bar(at: Tick, hours: SeriesHours) -> date:
    """The exchange's date of a bar; a daily one may be dated by midnight in UTC, which is another day in America."""
    zone = UTC if hours.is_daily and at % (DAY // _MICROSECOND) == 0 else hours.zone
    return instant(at).astimezone(zone).date()


def sessions(days: Iterable[MarketDay], hours: SeriesHours) -> list[Session]:
    """The sessions among these days of a calendar, with the pause left out."""
    return [
        Session(day.on_date, _parts(day.on_date, day.opens_at, day.closes_at, hours)) for day in days if day.is_session
    ]


def closures(days: Sequence[MarketDay], hours: SeriesHours) -> Iterator[Closure]:
    """When the exchange did not trade although it usually does; weekends are not told.

    What is usual is the commonest opening and close of these days, by the clock of the exchange.
    """
    usual = _usual(days, hours.zone)
    if usual is None:
        return
    for day in days:
        opens_at, closes_at = (datetime.combine(day.on_date, clock, hours.zone) for clock in usual)
        if not day.is_session:
            if day.on_date.weekday() < _SATURDAY:
                yield Closure(day.on_date, GapReason.HOLIDAY, _parts(day.on_date, opens_at, closes_at, hours))
            continue
        if day.opens_at is None or day.closes_at is None:
            continue
        lost = (
            *_parts(day.on_date, opens_at, min(day.opens_at, closes_at), hours),
            *_parts(day.on_date, max(day.closes_at, opens_at), closes_at, hours),
        )
        if lost:
            yield Closure(day.on_date, GapReason.HALF_DAY, lost)


def _usual(days: Sequence[MarketDay], zone: ZoneInfo) -> tuple[time, time] | None:
    told: Counter[tuple[time, time]] = Counter(
        (day.opens_at.astimezone(zone).time(), day.closes_at.astimezone(zone).time())
        for day in days
        if day.opens_at and day.closes_at
    )
    return max(told, key=lambda clocks: (told[clocks], clocks[1])) if told else None


def _parts(day: date, opens_at: datetime | None, closes_at: datetime | None, hours: SeriesHours) -> tuple[Stretch, ...]:
    if opens_at is None or closes_at is None or opens_at >= closes_at:
        return ()
    begin, end = tick(opens_at), tick(closes_at)
    if hours.pause is None:
        return ((begin, end),)
    stops, goes_on = (tick(datetime.combine(day, clock, hours.zone)) for clock in hours.pause)
    both = (begin, min(end, stops)), (max(begin, goes_on), end)
    return tuple(part for part in both if part[0] < part[1])
