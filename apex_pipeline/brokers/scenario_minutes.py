"""The minutes of a scenario: what its stocks and options cost between two closes, and what was traded.

Prices go from close to close as far as the session has run, like those that orders are given at, with a seeded jitter.
Every fill of the scenario, of any broker, lies between the low and the high of its minute and is part of its volume.
Options trade in some minutes only. All is a pure function of the scenario.
"""

import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import final

from apex_pipeline.brokers.scenario import Contract, Fill, Scenario
from apex_pipeline.brokers.scenario_days import session_times
from apex_pipeline.brokers.scenario_market import STOCKS, model_price, on_tick, stock_contract, tick_of
from apex_pipeline.domain.models import AssetClass

_MINUTE = timedelta(minutes=1)
_LISTED = timedelta(days=130)
"""How long before its expiry an option is listed; none is traded earlier."""
_OPTION_TRADES = 0.3
_DAYS_KEPT, _WHOLE_DAYS_KEPT = 256, 16_384


@dataclass(frozen=True, slots=True)
class Trading:
    """Prices and volume of one stretch of time."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a regular session (UTC); `trading` None where nothing was traded in it."""

    begins_at: datetime
    ends_at: datetime
    trading: Trading | None


@final
class Minutes:
    """Prices of everything whose stock has closes in the scenario; `contracts` are those."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        shares = [stock_contract(stock) for stock in STOCKS]
        known = dict.fromkeys(c for c in (*shares, *_contracts(scenario)) if (c.market, c.code) in scenario.closes)
        self.contracts: tuple[Contract, ...] = tuple(known)
        self._before = {key: _days_before(closes) for key, closes in scenario.closes.items()}
        self._fills: defaultdict[tuple[Contract, date], list[Fill]] = defaultdict(list)
        for order in scenario.orders:
            for fill in order.fills:
                self._fills[fill.contract, fill.trade_date].append(fill)
        self._of_day = lru_cache(_DAYS_KEPT)(self._drawn)
        self._whole_day = lru_cache(_WHOLE_DAYS_KEPT)(self._joined)

    def days(self, contract: Contract, first: date, last: date) -> list[date]:
        """The session days between two dates, both included, on which the contract is listed."""
        if contract.expiry is not None:
            first, last = max(first, contract.expiry - _LISTED), min(last, contract.expiry)
        return [day for day in self._scenario.closes[contract.market, contract.code] if first <= day <= last]

    def stretches(self, contract: Contract, day: date, minutes: int) -> Iterator[Stretch]:
        """A session day in stretches of so many minutes, cut from the opening of each of its parts on."""
        trading = self._of_day(contract, day)
        for begin, stop in session_times(contract.market, day):
            at = begin
            while at < stop:
                end = min(at + minutes * _MINUTE, stop)
                yield Stretch(at, end, whole(trading[at + n * _MINUTE] for n in range((end - at) // _MINUTE)))
                at = end

    def whole_day(self, contract: Contract, day: date) -> Stretch:
        """A session day as one."""
        return self._whole_day(contract, day)

    def _joined(self, contract: Contract, day: date) -> Stretch:
        parts = session_times(contract.market, day)
        return Stretch(parts[0][0], parts[-1][1], whole(self._of_day(contract, day).values()))

    def minutes(self, contract: Contract, day: date) -> Mapping[datetime, Trading | None]:
        """What was traded in each minute of a session, by when it begins, in order."""
        return self._of_day(contract, day)

    def _drawn(self, contract: Contract, day: date) -> Mapping[datetime, Trading | None]:
        rng = random.Random(f"{self._scenario.seed} minutes {contract.name} {day}")  # noqa: S311 - guards no secret
        begins = [at for part in session_times(contract.market, day) for at in _minutes_of(*part)]
        fills: defaultdict[datetime, list[Fill]] = defaultdict(list)
        for fill in self._fills.get((contract, day), ()):
            fills[begins[max(bisect_right(begins, fill.at) - 1, 0)]].append(fill)
        prices = [model_price(contract, day, spot) for spot in self._spots(contract, day, begins)]
        return {
            at: _minute(contract, prices[n : n + 2], fills[at], rng) if _trades(contract, rng) or fills[at] else None
            for n, at in enumerate(begins)
        }

    def _spots(self, contract: Contract, day: date, begins: Sequence[datetime]) -> list[Decimal]:
        """The price of the stock at the beginning of each minute and at the close."""
        key = (contract.market, contract.code)
        closes = self._scenario.closes[key]
        before, close = closes[self._before[key][day]], closes[day]
        rng = random.Random(f"{self._scenario.seed} spots {key} {day}")  # noqa: S311 - guards no secret
        tick = tick_of(contract.market, AssetClass.STOCK, close)
        length = (begins[-1] + _MINUTE - begins[0]) // _MINUTE
        way = (
            before + (close - before) * ((at - begins[0]) // _MINUTE) / length + tick * rng.randint(-2, 2)
            for at in begins[1:]
        )
        return [before, *(on_tick(price, tick) for price in way), close]


def _contracts(scenario: Scenario) -> Iterator[Contract]:
    for order in scenario.orders:
        yield from (fill.contract for fill in order.fills)
        yield from (leg.contract for leg in order.legs)
        if not order.legs:
            yield order.contract
    yield from (holding.contract for holding in scenario.holdings)


def _days_before(closes: Mapping[date, Decimal]) -> dict[date, date]:
    """The session day before each; the first one stands before itself."""
    days = list(closes)
    return {day: before for before, day in pairwise([*days[:1], *days])}


def _minutes_of(begin: datetime, stop: datetime) -> list[datetime]:
    return [begin + n * _MINUTE for n in range((stop - begin) // _MINUTE)]


def _trades(contract: Contract, rng: random.Random) -> bool:
    return contract.asset_class != AssetClass.OPTION or rng.random() < _OPTION_TRADES


def _minute(contract: Contract, prices: Sequence[Decimal], fills: Sequence[Fill], rng: random.Random) -> Trading:
    """A minute between two prices, as wide as its fills need it."""
    tick = tick_of(contract.market, contract.asset_class, min(prices))
    traded = [fill.price for fill in fills]
    high = max(*prices, *traded) + tick * rng.randint(0, 2)
    low = min(*prices, *traded)
    low = max(low - tick * rng.randint(0, 2), min(low, tick))
    volume = rng.randint(1, 20) if contract.asset_class == AssetClass.OPTION else rng.randint(1, 400) * contract.lot
    return Trading(prices[0], high, low, prices[1], volume + sum((fill.qty for fill in fills), Decimal(0)))


def whole(minutes: Iterable[Trading | None]) -> Trading | None:
    """Minutes in order as one stretch; None where nothing was traded in any."""
    traded = [minute for minute in minutes if minute is not None]
    if not traded:
        return None
    return Trading(
        traded[0].open,
        max(minute.high for minute in traded),
        min(minute.low for minute in traded),
        traded[-1].close,
        sum((minute.volume for minute in traded), Decimal(0)),
    )
