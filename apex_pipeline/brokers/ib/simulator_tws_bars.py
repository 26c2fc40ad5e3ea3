"""The prices of a scenario minute by minute, and bars of them.

A pure function of the scenario: the path runs from close to close as its model does, and every fill lies between low
and high of its minute. Sessions, half days and summer time are those of the real exchanges.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import final

from apex_pipeline.brokers.scenario import Contract, Fill, Scenario
from apex_pipeline.brokers.scenario_days import SESSIONS, ZONES, is_session, session_days, session_times
from apex_pipeline.brokers.scenario_market import STOCKS, Market, tick_of
from apex_pipeline.domain.models import AssetClass, Broker

MINUTE = timedelta(minutes=1)
_WIDEST = 3
"""Ticks that a minute may reach beyond its open and close."""

_QUIET_OPTION = 0.7
"""How likely nobody trades an option in a minute."""


@dataclass(frozen=True, slots=True)
class PathBar:
    """Prices of one stretch that begins at `at` (UTC); `volume` in shares or contracts."""

    at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    count: int


@final
class PricePath:
    """What was traded of each contract of a scenario, between its first and last day."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._fills: defaultdict[tuple[int, datetime], list[Fill]] = defaultdict(list)
        self.contracts: dict[int, Contract] = {}
        for fill in (fill for order in scenario.orders if order.broker is Broker.IB for fill in order.fills):
            self.contracts[fill.contract.conid] = fill.contract
            self._fills[fill.contract.conid, fill.at.astimezone(UTC).replace(second=0, microsecond=0)].append(fill)
        self._day = lru_cache(maxsize=1024)(self._minutes)

    @cached_property
    def _market(self) -> Market:
        start, end = self._scenario.start, self._scenario.end
        market = Market(self._scenario.seed, {name: session_days(name, start, end) for name in SESSIONS})
        for stock in STOCKS:
            self.contracts.setdefault(stock.conid, market.share(stock))
        return market

    def contract(self, conid: int) -> Contract | None:
        """The contract of a conid: a stock, or an option that was traded and has not expired; None if there is none."""
        _ = self._market
        found = self.contracts.get(conid)
        return None if found is None or _has_expired(found, self._scenario.end) else found

    def first_minute(self, contract: Contract) -> datetime:
        """When the oldest bar begins, in UTC."""
        return session_times(contract.market, self._market.sessions[contract.market][0])[0][0]

    def begin_of_sessions(self, contract: Contract, end: datetime, count: int) -> datetime:
        """When the last `count` sessions that begin before `end` begin, in UTC."""
        begins = (session_times(contract.market, day)[0][0] for day in self._market.sessions[contract.market])
        last = [at for at in begins if at < end][-count:]
        return last[0] if last else end

    def bars(self, contract: Contract, begin: datetime, end: datetime, minutes: int | None) -> list[PathBar]:
        """Bars of so many minutes, or of days where None; of minutes in [begin, end).

        As IB's, they are aligned to the full hour: the first hour of a session that begins at half past is short.
        """
        zone = ZONES[contract.market]
        first, last = begin.astimezone(zone).date(), end.astimezone(zone).date()
        groups: defaultdict[datetime, list[PathBar]] = defaultdict(list)
        for day in (first + timedelta(n) for n in range((last - first).days + 1)):
            told = self._day(contract, day)
            for bar in told:
                if begin <= bar.at < end:
                    groups[max(_aligned(bar.at, minutes), told[0].at) if minutes else told[0].at].append(bar)
        return [_joined(at, parts) for at, parts in sorted(groups.items())]

    def _minutes(self, contract: Contract, day: date) -> tuple[PathBar, ...]:
        inside = self._scenario.start <= day <= self._scenario.end
        if not inside or not is_session(contract.market, day) or _has_expired(contract, day):
            return ()
        return tuple(self._drawn(contract, day))

    def _drawn(self, contract: Contract, day: date) -> Iterator[PathBar]:
        rng = random.Random(f"{self._scenario.seed} bars {contract.conid} {day}")  # noqa: S311 - must be repeatable, guards no secret
        is_stock = contract.asset_class is AssetClass.STOCK
        for part in session_times(contract.market, day):
            for (minute, opening), (_, closing) in pairwise(self._prices(contract, day, part)):
                fills = self._fills.get((contract.conid, minute), [])
                if fills or is_stock or rng.random() > _QUIET_OPTION:
                    yield _bar(contract, minute, (opening, closing), fills, rng)

    def _prices(
        self, contract: Contract, day: date, part: tuple[datetime, datetime]
    ) -> Iterator[tuple[datetime, Decimal]]:
        """The price at every minute of a part of a session, its end included; as `Market.spot_at`, but faster."""
        market, stock = self._market, self._market.stock_of(contract)
        parts = session_times(contract.market, day)
        opens_at, length = parts[0][0], (parts[-1][1] - parts[0][0]) // MINUTE
        first = market.spot_at(stock, day, opens_at)
        step = (market.close(stock, day) - first) / length
        for n in range((part[0] - opens_at) // MINUTE, (part[1] - opens_at) // MINUTE + 1):
            yield opens_at + MINUTE * n, market.price(contract, day, first + step * n)


def _bar(
    contract: Contract, minute: datetime, ends: tuple[Decimal, Decimal], fills: list[Fill], rng: random.Random
) -> PathBar:
    tick = tick_of(contract.market, contract.asset_class, min(ends))
    traded = [*ends, *(fill.price for fill in fills)]
    high = max(traded) + tick * rng.randint(0, _WIDEST)
    low = max(min(traded) - tick * rng.randint(0, _WIDEST), min(tick, *traded))
    volume = sum((fill.qty for fill in fills), Decimal(contract.lot * rng.randint(1, 400)))
    return PathBar(minute, ends[0], high, low, ends[1], volume, len(fills) + rng.randint(1, 40))


def _joined(at: datetime, parts: list[PathBar]) -> PathBar:
    return PathBar(
        at, parts[0].open, max(bar.high for bar in parts), min(bar.low for bar in parts), parts[-1].close,
        sum((bar.volume for bar in parts), Decimal(0)), sum(bar.count for bar in parts),
    )  # fmt: skip


def _aligned(at: datetime, minutes: int) -> datetime:
    return at - timedelta(minutes=at.minute % minutes)


def _has_expired(contract: Contract, day: date) -> bool:
    return contract.expiry is not None and contract.expiry < day
