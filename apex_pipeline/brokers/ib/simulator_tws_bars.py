"""Bars of a scenario as IB cuts them: by the clock; the first hour of a session that begins at half past is short.

What they are made of are the scenario's own minutes, which every simulator retells.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import final

from apex_pipeline.brokers.scenario import Contract, Scenario
from apex_pipeline.brokers.scenario_days import ZONES, session_times
from apex_pipeline.brokers.scenario_minutes import Minutes, Trading, whole


@dataclass(frozen=True, slots=True)
class PathBar:
    """What was traded in one stretch that begins at `at` (UTC)."""

    at: datetime
    trading: Trading


@final
class PricePath:
    """What was traded of each contract of a scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self._minutes = Minutes(scenario)
        self._end = scenario.end
        self._contracts = {contract.conid: contract for contract in self._minutes.contracts}

    def contract(self, conid: int) -> Contract | None:
        """The contract of a conid: a stock, or an option that has not expired; None if there is none."""
        found = self._contracts.get(conid)
        return None if found is None or (found.expiry is not None and found.expiry < self._end) else found

    def first_minute(self, contract: Contract) -> datetime:
        """When the oldest bar begins, in UTC."""
        return self._begins(contract)[0]

    def begin_of_sessions(self, contract: Contract, end: datetime, count: int) -> datetime:
        """When the last `count` sessions that begin before `end` begin, in UTC."""
        last = [at for at in self._begins(contract) if at < end][-count:]
        return last[0] if last else end

    def bars(self, contract: Contract, begin: datetime, end: datetime, minutes: int | None) -> list[PathBar]:
        """Bars of so many minutes, or of days where None; of minutes in [begin, end)."""
        zone = ZONES[contract.market]
        groups: defaultdict[datetime, list[Trading]] = defaultdict(list)
        for day in self._minutes.days(contract, begin.astimezone(zone).date(), end.astimezone(zone).date()):
            opens_at, closes_at = session_times(contract.market, day)[0][0], session_times(contract.market, day)[-1][1]
            is_whole = minutes is None and begin <= opens_at and closes_at <= end
            for at, trading in self._parts(contract, day, is_whole=is_whole):
                if trading is not None and begin <= at < end:
                    groups[max(_aligned(at, minutes), opens_at) if minutes else opens_at].append(trading)
        return [PathBar(at, told) for at, parts in sorted(groups.items()) if (told := whole(parts)) is not None]

    def _parts(self, contract: Contract, day: date, *, is_whole: bool) -> Iterable[tuple[datetime, Trading | None]]:
        """The minutes of a day, or all of them as one."""
        if not is_whole:
            return self._minutes.minutes(contract, day).items()
        told = self._minutes.whole_day(contract, day)
        return [(told.begins_at, told.trading)]

    def _begins(self, contract: Contract) -> list[datetime]:
        days = self._minutes.days(contract, date.min, date.max)
        return [session_times(contract.market, day)[0][0] for day in days]


def _aligned(at: datetime, minutes: int) -> datetime:
    return at - timedelta(minutes=at.minute % minutes)
