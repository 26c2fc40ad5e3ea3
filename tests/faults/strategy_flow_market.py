"""The made-up market of the option flow: underlyings, sessions, expiries, strikes and model prices.

Choices: US options come in lots of 100, Hong Kong ones in their class's size; the year begins on 2 September 2025 (one
change of clocks, three Hong Kong holidays); spots walk log-normally from day to day and drift within the day;
premiums are Black-Scholes with a skew, rounded to the tick. Prices are modelled in floats and become Decimal at once.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from random import Random
from typing import Literal, final
from zoneinfo import ZoneInfo

Kind = Literal["stock", "call", "put"]
FIRST_DAY = date(2025, 9, 2)
ZONES = {"US": ZoneInfo("America/New_York"), "HK": ZoneInfo("Asia/Hong_Kong")}
HOURS = {
    "US": ((time(9, 30), time(16)),),
    "HK": ((time(9, 30), time(12)), (time(13), time(16))),
}
_CLOSED = {
    "US": "2025-11-27 2025-12-25 2026-01-01 2026-01-19 2026-02-16 2026-04-03 2026-05-25 2026-06-19 2026-07-03",
    "HK": "2025-10-01 2025-10-07 2025-10-29 2025-12-25 2025-12-26 2026-01-01 2026-02-17 2026-02-18 2026-02-19 "
    "2026-04-03 2026-04-06 2026-04-07 2026-05-01 2026-05-25 2026-06-19 2026-07-01",
}
HOLIDAYS = {market: frozenset(date.fromisoformat(one) for one in days.split()) for market, days in _CLOSED.items()}


@dataclass(frozen=True)
class Underlying:
    """One stock with options: `lot` in shares per contract, `step` between strikes, yearly volatility."""

    name: str
    market: Literal["US", "HK"]
    lot: int
    spot: float
    volatility: float
    step: Decimal


UNDERLYINGS = (
    Underlying("AAPL", "US", 100, 231.0, 0.26, Decimal("2.5")),
    Underlying("NVDA", "US", 100, 173.5, 0.42, Decimal("2.5")),
    Underlying("TSLA", "US", 100, 335.0, 0.58, Decimal(5)),
    Underlying("SPY", "US", 100, 642.0, 0.15, Decimal(5)),
    Underlying("AMD", "US", 100, 162.0, 0.50, Decimal("2.5")),
    Underlying("KO", "US", 100, 68.6, 0.17, Decimal(1)),
    Underlying("00700", "HK", 100, 598.0, 0.33, Decimal(10)),
    Underlying("00005", "HK", 400, 100.4, 0.22, Decimal("2.5")),
    Underlying("09988", "HK", 500, 133.0, 0.45, Decimal("2.5")),
    Underlying("01810", "HK", 1000, 54.2, 0.44, Decimal(1)),
)


@dataclass(frozen=True)
class Paper:
    """One contract, or the shares of an underlying (`strike` and `expiry` None)."""

    underlying: str
    kind: Kind
    strike: Decimal | None = None
    expiry: date | None = None

    @property
    def terms(self) -> tuple[Decimal, date]:
        """Strike and expiry of an option."""
        assert self.strike is not None
        assert self.expiry is not None
        return self.strike, self.expiry


def is_open(market: str, day: date) -> bool:
    """Whether the exchange trades on a day."""
    return day.weekday() < 5 and day not in HOLIDAYS[market]


def segments(market: str, day: date) -> list[tuple[datetime, datetime]]:
    """The trading hours of a day in UTC: one piece in New York, two around the lunch break in Hong Kong."""
    if not is_open(market, day):
        return []
    zone = ZONES[market]
    return [
        (datetime.combine(day, a, zone).astimezone(UTC), datetime.combine(day, b, zone).astimezone(UTC))
        for a, b in HOURS[market]
    ]


def has_room(market: str, at: datetime, room: timedelta) -> bool:
    """Whether the exchange has been open for ten seconds and will be for as long as `room`."""
    day = at.astimezone(ZONES[market]).date()
    return any(start + timedelta(seconds=10) <= at and at + room <= end for start, end in segments(market, day))


def next_open(markets: tuple[str, ...], at: datetime) -> datetime:
    """The first opening (of a day or after lunch) of any of the markets after an instant."""
    starts = [
        start
        for market in markets
        for ahead in range(-1, 12)
        for start, _ in segments(market, at.astimezone(ZONES[market]).date() + timedelta(ahead))
        if start > at
    ]
    return min(starts)


@lru_cache(maxsize=4096)
def expiries(market: str, day: date) -> tuple[date, ...]:
    """The listed expiries after a day, by date.

    Choices: US Fridays of nine weeks and third Fridays of a year (the trading day before, if closed); Hong Kong the
    last trading day but one of each month of a year.
    """
    found: set[date] = set()
    for month in range(14):
        first = date(day.year + (day.month - 1 + month) // 12, (day.month - 1 + month) % 12 + 1, 1)
        days = [first + timedelta(n) for n in range(31) if (first + timedelta(n)).month == first.month]
        if market == "HK":
            found.add([one for one in days if is_open("HK", one)][-2])
        else:
            found.add([one for one in days if one.weekday() == 4][2])
    if market == "US":
        found |= {day + timedelta(4 - day.weekday() + 7 * week) for week in range(9)}
    while closed := {one for one in found if not is_open(market, one)}:
        found = (found - closed) | {one - timedelta(1) for one in closed}
    return tuple(sorted(one for one in found if one > day))


def tick(paper: Paper, market: str, price: float) -> Decimal:
    """The smallest step of a price: a cent, except options in New York from 3 dollars on (five cents)."""
    return Decimal("0.05") if market == "US" and paper.kind != "stock" and price >= 3 else Decimal("0.01")


def _normal(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


@final
class Market:
    """Spots and premiums of a seed, a pure function of instrument and instant."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._closes: dict[str, list[float]] = {}
        self.underlyings = {one.name: one for one in UNDERLYINGS}

    def spot(self, name: str, at: datetime) -> Decimal:
        """The share price at an instant, in the market's currency."""
        one = self.underlyings[name]
        local = at.astimezone(ZONES[one.market])
        day = (local.date() - FIRST_DAY).days
        opened, closed = self._close(one, day), self._close(one, day + 1)
        part = min(max((local.hour * 60 + local.minute - 570) / 390, 0.0), 1.0)
        return Decimal(str(round(opened + (closed - opened) * part, 2)))

    def premium(self, paper: Paper, at: datetime) -> Decimal:
        """The model price of a share or of an option per share, on its tick and at least one tick."""
        one, spot = self.underlyings[paper.underlying], float(self.spot(paper.underlying, at))
        worth = spot if paper.kind == "stock" else self._option(one, paper, spot, at)
        step = tick(paper, one.market, worth)
        return max((Decimal(str(round(worth, 6))) / step).quantize(Decimal(1)) * step, step)

    def strike(self, name: str, at: datetime, offset: int) -> Decimal:
        """The strike `offset` steps above (below, if negative) the one nearest to the spot."""
        one = self.underlyings[name]
        return ((self.spot(name, at) / one.step).quantize(Decimal(1)) + offset) * one.step

    def _option(self, one: Underlying, paper: Paper, spot: float, at: datetime) -> float:
        strike, expiry = float(paper.terms[0]), paper.terms[1]
        years = max((expiry - at.astimezone(ZONES[one.market]).date()).days + 0.3, 0.1) / 365
        smile = one.volatility * (1 + 0.35 * max(math.log(spot / strike), -0.2))
        width = smile * math.sqrt(years)
        up = (math.log(spot / strike) + 0.03 * years + width * width / 2) / width
        call = spot * _normal(up) - strike * math.exp(-0.03 * years) * _normal(up - width)
        return call if paper.kind == "call" else call - spot + strike * math.exp(-0.03 * years)

    def _close(self, one: Underlying, day: int) -> float:
        walk = self._closes.setdefault(one.name, [one.spot])
        while len(walk) <= day:
            dice = Random(f"{self._seed}:{one.name}:{len(walk)}")
            walk.append(walk[-1] * math.exp(dice.gauss(0, one.volatility / math.sqrt(365))))
        return walk[max(day, 0)]


def expiry_near(market: str, day: date, days: int) -> date | None:
    """The first listed expiry at least so many days ahead; None if none is listed."""
    listed = expiries(market, day)
    place = bisect_left(listed, day + timedelta(days))
    return listed[place] if place < len(listed) else None
