"""What can be traded in a flow: underlyings, contracts, strikes, expiries, model prices and sessions.

Prices are model values: they are computed with floats and become money only once rounded to a tick.
Sessions are whole: weekdays without the fixed holidays, and the Hong Kong lunch break.
"""

import math
import random
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

ZONES = {"US": ZoneInfo("America/New_York"), "HK": ZoneInfo("Asia/Hong_Kong")}
STOCK, CALL, PUT = "stock", "call", "put"
CENT = Decimal("0.01")
_FRIDAY = 4
_HK_TICKS = ((10.0, "0.01"), (20.0, "0.02"), (100.0, "0.05"), (200.0, "0.1"), (500.0, "0.2"))
_HOURS = {
    "HK": ((time(9, 30), time(12, 0)), (time(13, 0), time(16, 0))),
    "US": ((time(9, 30), time(16, 0)),),
}
_HOLIDAYS = frozenset({(1, 1), (12, 25)})


@dataclass(frozen=True, slots=True)
class Underlying:
    """A stock with options. `lot`: shares of one contract; `step`: between strikes; `dailies`: expires every day."""

    market: str
    code: str
    spot: float
    lot: int
    step: Decimal
    volatility: float
    dailies: bool = False


class Contract(NamedTuple):
    """One tradable thing; stock has neither strike nor expiry. `lot`: shares of one option contract."""

    market: str
    underlying: str
    kind: str
    lot: int
    strike: Decimal | None = None
    expiry: date | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A stretch of continuous trading; instants are UTC, `day` is the exchange's own date."""

    market: str
    day: date
    opens_at: datetime
    closes_at: datetime


UNDERLYINGS = (
    Underlying("US", "AAPL", 228.0, 100, Decimal("2.5"), 0.28),
    Underlying("US", "MSFT", 425.0, 100, Decimal(5), 0.24),
    Underlying("US", "NVDA", 132.0, 100, Decimal(1), 0.45),
    Underlying("US", "AMD", 158.0, 100, Decimal("2.5"), 0.48),
    Underlying("US", "TSLA", 340.0, 100, Decimal(5), 0.60),
    Underlying("US", "SPY", 585.0, 100, Decimal(1), 0.15, dailies=True),
    Underlying("US", "QQQ", 495.0, 100, Decimal(1), 0.19, dailies=True),
    Underlying("US", "JPM", 212.0, 100, Decimal("2.5"), 0.22),
    Underlying("US", "KO", 68.0, 100, Decimal(1), 0.15),
    Underlying("US", "F", 11.4, 100, Decimal("0.5"), 0.35),
    Underlying("HK", "00700", 415.0, 100, Decimal(10), 0.32),
    Underlying("HK", "09988", 104.0, 500, Decimal("2.5"), 0.40),
    Underlying("HK", "00388", 330.0, 100, Decimal(10), 0.30),
    Underlying("HK", "01810", 44.5, 1000, Decimal(1), 0.42),
    Underlying("HK", "00005", 78.6, 400, Decimal("2.5"), 0.20),
    Underlying("HK", "00939", 6.48, 1000, Decimal("0.25"), 0.20),
)


def seeded(*parts: object) -> random.Random:
    """A source of chance that is the same for the same parts."""
    return random.Random(" ".join(map(str, parts)))  # noqa: S311 - must be repeatable, guards no secret


@dataclass(slots=True)
class Market:
    """Spots and prices of one flow; the same seed walks the same way."""

    seed: int
    start: date
    _walks: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    _sources: dict[str, random.Random] = field(default_factory=dict[str, random.Random])

    def spot(self, stock: Underlying, day: date) -> float:
        """The price of the stock on that day: one value a day."""
        walk = self._walks.setdefault(stock.code, [stock.spot])
        source = self._sources.setdefault(stock.code, seeded(self.seed, "walk", stock.code))
        while len(walk) <= (day - self.start).days:
            walk.append(walk[-1] * math.exp(source.gauss(0, stock.volatility / math.sqrt(365))))
        return walk[(day - self.start).days]

    def price(self, stock: Underlying, contract: Contract, at: date, noise: float) -> Decimal:
        """A model price on the tick, at least one tick; `noise` moves it by a small share."""
        spot = self.spot(stock, at)
        if contract.strike is None or contract.expiry is None:
            value = spot * (1 + noise / 20)
        else:
            years = max((contract.expiry - at).days, 0.2) / 365
            value = option_value(contract.kind, spot, float(contract.strike), years, stock.volatility) * (1 + noise)
        tick = _tick(contract, value)
        return max(round(value / float(tick)), 1) * tick

    def nearest_step(self, stock: Underlying, price: float) -> int:
        """How many strike steps from zero lie nearest to the price, at least 1."""
        return max(round(price / float(stock.step)), 1)


def stock_of(stock: Underlying) -> Contract:
    """The shares themselves."""
    return Contract(stock.market, stock.code, STOCK, stock.lot)


def option_value(kind: str, spot: float, strike: float, years: float, volatility: float) -> float:
    """What Black and Scholes say without interest, per share."""
    width = volatility * math.sqrt(years)
    upper = math.log(spot / strike) / width + width / 2
    call = spot * _normal(upper) - strike * _normal(upper - width)
    return call if kind == CALL else call - spot + strike


def _normal(value: float) -> float:
    return (1 + math.erf(value / math.sqrt(2))) / 2


def _tick(contract: Contract, value: float) -> Decimal:
    if contract.market == "US":
        return CENT if contract.kind == STOCK or value < 3 else Decimal("0.05")
    if contract.kind != STOCK:
        return CENT
    return Decimal(_HK_TICKS[min(bisect_right([limit for limit, _ in _HK_TICKS], value), len(_HK_TICKS) - 1)][1])


def is_session(day: date) -> bool:
    """Whether the flow's exchanges trade on that day."""
    return day.weekday() <= _FRIDAY and (day.month, day.day) not in _HOLIDAYS


def sessions(start: date) -> Iterator[Session]:
    """Every session from that day on, in time."""
    day = start
    while True:
        if is_session(day):
            for market, hours in _HOURS.items():
                for opens, closes in hours:
                    yield Session(market, day, _instant(market, day, opens), _instant(market, day, closes))
        day += timedelta(days=1)


def _instant(market: str, day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, ZONES[market]).astimezone(UTC)


@lru_cache(maxsize=4096)
def expiries(market: str, dailies: bool, day: date) -> tuple[date, ...]:
    """Listed expiries from that day on, sorted: days or weeks, then months, then quarters, then Januaries."""
    near = range(15 if dailies else 36)
    found = {day + timedelta(days=ahead) for ahead in near}
    found = {item for item in found if is_session(item) and (dailies or item.weekday() == _FRIDAY)}
    for ahead in (0, 1, 2, 3, 5, 8):
        month = day.month - 1 + ahead
        found.add(_monthly(market, day.year + month // 12, month % 12 + 1))
    found.update(_monthly(market, day.year + years, 1) for years in (1, 2))
    return tuple(sorted(item for item in found if item >= day))


def _monthly(market: str, year: int, month: int) -> date:
    """The third Friday; in Hong Kong the last session but one of the month."""
    if market == "US":
        first = date(year, month, 1)
        return first + timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14)
    last = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    ends = [last - timedelta(days=back) for back in range(8)]
    return [item for item in ends if is_session(item)][1]
