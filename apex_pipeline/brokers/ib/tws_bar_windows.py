"""How an ask for bars is cut into requests that IB allows, from its last day back. Pure.

What IB counts as a day of a duration is not documented: 24 hours, or a session, which for a future begins on the
evening before. The steps here leave no hole under either reading.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from apex_pipeline.domain.market import BarAsk, Timeframe

MOST_DAYS = {
    Timeframe.MINUTE: 1,
    Timeframe.FIVE_MINUTES: 7,
    Timeframe.QUARTER: 7,
    Timeframe.HALF_HOUR: 30,
    Timeframe.HOUR: 30,
    Timeframe.DAY: 365,
}
"""Days of one request, by IB's table of durations and the smallest bars they allow (1 D: 1 min, 1 W: 3 mins, 1 M:
30 mins, 1 Y: 1 day)."""

_BAR_SIZES = {
    Timeframe.MINUTE: "1 min",
    Timeframe.FIVE_MINUTES: "5 mins",
    Timeframe.QUARTER: "15 mins",
    Timeframe.HALF_HOUR: "30 mins",
    Timeframe.HOUR: "1 hour",
    Timeframe.DAY: "1 day",
}
_OPTION = re.compile(r"\S+ (?P<expiry>\d{4}-\d{2}-\d{2}) [CP] \S+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Window:
    """What one request asks for: so many days up to `end`, an instant in UTC that is not included."""

    timeframe: Timeframe
    end: datetime
    days: int

    @property
    def end_text(self) -> str:
        """The end as IB reads it, in UTC."""
        return f"{self.end:%Y%m%d-%H:%M:%S}"

    @property
    def duration(self) -> str:
        """The length as IB reads it."""
        return f"{self.days} D"

    @property
    def bar_size(self) -> str:
        """The length of a bar as IB reads it."""
        return _BAR_SIZES[self.timeframe]


@dataclass(frozen=True, slots=True)
class Walk:
    """The way through the days of an ask, newest first.

    `zone` is the exchange's, `now` the present in UTC. `overnight`: its sessions may run over midnight. `closed`: days
    that are known to have no session; none where sessions may run over midnight.
    """

    ask: BarAsk
    zone: tzinfo
    overnight: bool
    now: datetime
    closed: frozenset[date] = frozenset()

    @property
    def begin(self) -> datetime:
        """Where the walk ends: the first midnight of the ask, in UTC."""
        return self.midnight(self.ask.from_date)

    @property
    def end(self) -> datetime:
        """Where the walk begins: the last midnight of the ask, or now where that is earlier, in UTC."""
        return self._over_closed(min(self.midnight(self.ask.to_date + timedelta(1)), self.now.replace(microsecond=0)))

    def window(self, end: datetime) -> Window:
        """The next request, as long as IB allows and the ask needs."""
        days = (self._day_before(end) - self.ask.from_date).days + 1
        return Window(self.ask.timeframe, end, min(days, MOST_DAYS[self.ask.timeframe]))

    def before(self, window: Window, earliest: datetime | None) -> datetime:
        """The end of the request after this one; all bars since then were told. `earliest` of the bars that were.

        Sessions over midnight: the answer may begin inside a day, so the next ends where it begins. Others: the days
        of the answer are done. Where it reaches less far back than asked, the rest is asked for again; where days are
        counted as sessions, it reaches farther.
        """
        covered = self.midnight(self._day_before(window.end) - timedelta(window.days - 1))
        if earliest is None or earliest >= window.end:
            return self._over_closed(covered)
        if self.overnight:
            return earliest
        reached = self.midnight(self.day_of(earliest))
        is_whole = window.end == self.midnight(self.day_of(window.end))
        return self._over_closed(reached if is_whole else max(reached, covered))

    def day_of(self, at: datetime) -> date:
        """The day of an instant at the exchange."""
        return at.astimezone(self.zone).date()

    def midnight(self, day: date) -> datetime:
        """When a day of the exchange begins, in UTC."""
        return datetime.combine(day, time(), self.zone).astimezone(UTC)

    def _over_closed(self, end: datetime) -> datetime:
        while self._day_before(end) in self.closed:
            end = self.midnight(self._day_before(end))
        return end

    def _day_before(self, end: datetime) -> date:
        return self.day_of(end - timedelta(microseconds=1))


def may_have(ask: BarAsk, today: date) -> bool:
    """Whether IB can have such bars: it knows the conid only, and tells nothing of expired options.

    Bars of a minute and longer have no documented limit of age. Futures are told until two years after they expired,
    which a conid does not show: there IB refuses.
    """
    option = _OPTION.fullmatch(ask.symbol)
    expired = option is not None and option["expiry"] < today.isoformat()
    return ask.code.isascii() and ask.code.isdigit() and ask.from_date <= today and not expired
