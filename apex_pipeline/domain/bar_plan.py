"""Which bars to ask which broker for: the days that are wanted and not known, the least costly teller first. Pure.

Wanted are daily bars of what is traded or held (and of underlyings), minutes of the days with fills, so that the fills
can be compared with them, and whatever a person names. A day is known if none of its bars is missing, or a reason was
given that holds.

One series is told by one broker as long as it can: prices as traded and prices that were adjusted for later splits must
not alternate; while that broker is away, the series waits for it. A broker that counts instruments (Futu) is asked
where it was asked for the instrument already, or where no other can tell; what was traded last comes first, so that the
quota ends where it is missed least.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import zip_longest

from apex_pipeline.domain.market import BarAsk, BarQuota, Timeframe
from apex_pipeline.domain.models import Broker

MINUTES_DAYS = 30
"""Of so many days before the end of a load, minutes of days with fills are wanted."""

MENDED_DAYS = 30
"""So many days before a load are looked at again: what could not be told then may be told now."""

TRADED_DAYS = 90
"""What was traded within so many days before a load, and is held no longer, still gets daily bars."""

SESSIONS_AT_ONCE = {Timeframe.MINUTE: 5}
MOST_SESSIONS_AT_ONCE = 25
"""Sessions of one ask of bars of these lengths, or of others: an answer is stored as a whole, and a limit of requests
that ends it in the middle leaves nothing. Both are five requests at IB. Days are one ask."""

ASKED_AGAIN_AFTER = timedelta(days=7)
"""A broker that had nothing to give is asked again after this time."""


@dataclass(frozen=True, slots=True)
class BarWish:
    """What to load: days of exchanges, both included.

    `daily`: daily bars of what is traded or held. `minutes_days`: see MINUTES_DAYS. `symbols` are wanted in addition,
    with bars of these `timeframes` of every day. `again`: also ask what a broker had nothing to give of lately.
    """

    first: date
    last: date
    today: date
    daily: bool = True
    minutes_days: int = MINUTES_DAYS
    symbols: tuple[str, ...] = ()
    timeframes: tuple[Timeframe, ...] = (Timeframe.DAY,)
    again: bool = False

    @property
    def since(self) -> date:
        """The first day that is looked at."""
        return self.first - timedelta(days=MENDED_DAYS)


@dataclass(frozen=True, slots=True)
class Listed:
    """An instrument whose bars may be wanted.

    `codes`: its names at the brokers that know it. `fills`: the days on which it was traded, oldest first. `last_on`:
    when it, or what is derived from it, was traded last.
    `is_followed`: held, traded lately, or the underlying of what is.
    """

    symbol: str
    exchange: str
    codes: Mapping[Broker, str]
    expiry: date | None = None
    fills: tuple[date, ...] = ()
    last_on: date | None = None
    is_followed: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """Days of one series to ask for; `told_by`: who told it before; `refused_by`: who had none of these lately."""

    listed: Listed
    timeframe: Timeframe
    days: tuple[date, ...]
    told_by: Broker | None = None
    refused_by: frozenset[Broker] = frozenset()


@dataclass(frozen=True, slots=True)
class Teller:
    """A broker that tells bars: what it can have, and how many more instruments; `is_away`: it cannot be asked now."""

    broker: Broker
    offers: Callable[[BarAsk, date], bool]
    quota: BarQuota | None = None
    is_away: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask each broker, in order; what a quota does not allow, and what waits for a broker that is away.

    What no broker tells is in none of them.
    """

    asks: Mapping[Broker, Sequence[BarAsk]]
    left: Sequence[Wanted]
    waiting: Sequence[Wanted]


def wanted_days(listed: Listed, wish: BarWish) -> dict[Timeframe, list[date]]:
    """The days that are wanted of an instrument, by length; those without a session too."""
    told: dict[Timeframe, list[date]] = {}
    last = min(wish.last, listed.expiry or wish.last)
    if listed.symbol in wish.symbols:
        told.update(dict.fromkeys(wish.timeframes, _days(wish.first, last)))
    if wish.daily and listed.is_followed and wish.since <= last:
        begun = max(wish.since, listed.fills[0]) if listed.fills else wish.since
        told.setdefault(Timeframe.DAY, _days(begun, last))
    newest = wish.last - timedelta(days=wish.minutes_days)
    if fills := [day for day in listed.fills if newest < day <= last]:
        told.setdefault(Timeframe.MINUTE, fills)
    return {timeframe: days for timeframe, days in told.items() if days}


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def plan(wanted: Iterable[Wanted], tellers: Sequence[Teller], wish: BarWish, sessions: Sequence[date]) -> Plan:
    """Who is asked for what. `sessions`: days on which any exchange trades; neighbours among them are one ask."""
    asks: defaultdict[Broker, list[BarAsk]] = defaultdict(list)
    left: list[Wanted] = []
    waiting: list[Wanted] = []
    budget = {teller.broker: _Budget(teller.quota) for teller in tellers}
    for one in sorted(wanted, key=_rank):
        each = {teller.broker: _asks(one, teller, wish, sessions) for teller in tellers}
        able = [teller for teller in tellers if each[teller.broker]]
        if any(teller.is_away and teller.broker is one.told_by for teller in able):
            waiting.append(one)
            continue
        able = [teller for teller in able if not teller.is_away]
        paid = [t for t in able if budget[t.broker].allows(one.listed.codes[t.broker])]
        if not paid:
            left.extend([one] if able else ())
            continue
        best = min(paid, key=lambda t: (t.broker != one.told_by, budget[t.broker].costs(one.listed.codes[t.broker])))
        budget[best.broker].spend(one.listed.codes[best.broker])
        asks[best.broker] += each[best.broker]
    return Plan({broker: _alternating(some) for broker, some in asks.items()}, left, waiting)


def _alternating(asks: Sequence[BarAsk]) -> list[BarAsk]:
    """Daily bars and others in turns, each in their order: neither waits until all of the other is told."""
    whole = [ask for ask in asks if ask.timeframe is Timeframe.DAY]
    parts = [ask for ask in asks if ask.timeframe is not Timeframe.DAY]
    return [ask for turn in zip_longest(parts, whole) for ask in turn if ask is not None]


def askable(wanted: Iterable[Wanted], tellers: Sequence[Teller], wish: BarWish) -> set[Broker]:
    """The brokers that may tell any of this."""
    some = list(wanted)
    return {teller.broker for teller in tellers if any(_asks(one, teller, wish, ()) for one in some)}


def _rank(one: Wanted) -> tuple[int, bool, bool, str, str]:
    """What was traded last comes first: the underlying before what expires, daily bars before others."""
    last_on, expires = one.listed.last_on or date.min, one.listed.expiry is not None
    return -last_on.toordinal(), expires, one.timeframe is not Timeframe.DAY, one.listed.symbol, one.timeframe


class _Budget:
    """What is left of a quota while a plan is made."""

    def __init__(self, quota: BarQuota | None) -> None:
        self._left = None if quota is None else quota.remaining
        self._asked = set(quota.asked) if quota else set[str]()

    def costs(self, code: str) -> bool:
        """Whether asking for this instrument takes from the quota."""
        return self._left is not None and code not in self._asked

    def allows(self, code: str) -> bool:
        return not self.costs(code) or bool(self._left)

    def spend(self, code: str) -> None:
        if self._left is not None and self.costs(code):
            self._left -= 1
            self._asked.add(code)


def _asks(one: Wanted, teller: Teller, wish: BarWish, sessions: Sequence[date]) -> list[BarAsk]:
    """The asks of a series that a teller may have an answer to, newest days first."""
    listed = one.listed
    code = listed.codes.get(teller.broker)
    if code is None or (teller.broker in one.refused_by and not wish.again):
        return []
    ranges = _ranges(one.days, sessions, one.timeframe)
    asks = (BarAsk(listed.symbol, code, listed.exchange, one.timeframe, first, last) for first, last in ranges)
    return [ask for ask in asks if teller.offers(ask, wish.today)]


def _ranges(days: Sequence[date], sessions: Sequence[date], timeframe: Timeframe) -> list[tuple[date, date]]:
    """Days as few ranges, newest first: one for daily bars, else of days with no other session between them."""
    if not days:
        return []
    if timeframe is Timeframe.DAY:
        return [(min(days), max(days))]
    most = SESSIONS_AT_ONCE.get(timeframe, MOST_SESSIONS_AT_ONCE)
    place = {day: n for n, day in enumerate(sorted({*sessions, *days}))}
    parts: list[tuple[date, date]] = []
    for day in sorted(days, reverse=True):
        if parts and place[parts[-1][0]] - place[day] == 1 and place[parts[-1][1]] - place[day] < most:
            parts[-1] = day, parts[-1][1]
        else:
            parts.append((day, day))
    return parts
