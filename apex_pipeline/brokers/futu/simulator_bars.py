"""What a simulated OpenD answers about history K-lines and their quota.

K-lines are named by their end in the wall clock of their market, those of a day by its midnight; a stretch in which
nothing was traded is a blank one. Pages follow each other by a key that names the day and the place of the next row.
"""

import time as clock
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cached_property
from itertools import islice
from typing import Any, final

from apex_pipeline.brokers.futu.simulator_messages import ZONES, epoch, wire_code
from apex_pipeline.brokers.futu.simulator_rules import Language, RefusalError, text
from apex_pipeline.brokers.futu.simulator_wire import HISTORY_KL, protobuf
from apex_pipeline.brokers.scenario import Contract, Scenario
from apex_pipeline.brokers.scenario_minutes import Minutes, Stretch, Trading
from apex_pipeline.domain.models import AssetClass

QUOTE_MARKETS = {1: "HK", 2: "HK", 11: "US"}
MAX_ROWS = 1000

_DAY_TYPE = 2
_MINUTES_OF_TYPE = {1: 1, 6: 5, 7: 15, 8: 30, 9: 60, 10: 3, 12: 10}
_NOT_OF_OPTIONS = {8, 10, 12}
_FLAGS = {
    1: "highPrice", 2: "openPrice", 4: "lowPrice", 8: "closePrice", 16: "lastClosePrice", 32: "volume", 64: "turnover",
}  # fmt: skip
_TIME_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d")


@dataclass(frozen=True, slots=True)
class QuoteRules:
    """What the login may ask for: `markets` whose quotes it may see, `quota` of instruments."""

    language: Language
    markets: frozenset[str]
    quota: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: a day, and a row of it."""

    day: date
    row: int


@final
class BarDesk:
    """The K-lines of a scenario. `admit` takes from the rate limit of a protocol; it raises RefusalError.

    `spoil` applies the faults of lists.
    """

    def __init__(
        self, scenario: Scenario, rules: QuoteRules, admit: Callable[[int], None], spoil: Callable[[int, Any], None]
    ) -> None:
        self._rules = rules
        self._admit = admit
        self._spoil = spoil
        self._scenario = scenario
        self._asked: dict[tuple[int, str], float] = {}

    @cached_property
    def _minutes(self) -> Minutes:
        return Minutes(self._scenario)

    @cached_property
    def _contracts(self) -> dict[tuple[str, str], Contract]:
        return {(c.market, wire_code(c)): c for c in self._minutes.contracts}

    def quota(self, c2s: Any, s2c: Any, _: object) -> None:
        """Tell how many instruments were asked for and how many may still be."""
        s2c.usedQuota = len(self._asked)
        s2c.remainQuota = max(self._rules.quota - len(self._asked), 0)
        for (market, code), at in self._asked.items() if c2s.bGetDetail else ():
            item = s2c.detailList.add(requestTimeStamp=int(at), name=self._contracts[QUOTE_MARKETS[market], code].name)
            item.requestTime = f"{datetime.fromtimestamp(at, ZONES['HK']):%Y-%m-%d %H:%M:%S}"
            item.security.market, item.security.code = market, code

    def history(self, c2s: Any, s2c: Any, _: object) -> None:
        """Tell one page of K-lines. Raises RefusalError."""
        if not c2s.nextReqKey:
            self._admit(HISTORY_KL)
        contract = self._contract(c2s.security)
        if c2s.klType != _DAY_TYPE and c2s.klType not in _MINUTES_OF_TYPE:
            raise self._refusal("kl_type")
        if contract.asset_class == AssetClass.OPTION and c2s.klType in _NOT_OF_OPTIONS:
            raise self._refusal("kl_type")
        begin, end = self._time(c2s.beginTime, time()), self._time(c2s.endTime, time(23, 59, 59))
        self._use_quota(c2s.security)
        most = min(c2s.maxAckKLNum, MAX_ROWS) if c2s.maxAckKLNum > 0 else None
        place = self._place(c2s.nextReqKey) if c2s.nextReqKey else Place(begin.date(), 0)
        rows = self._rows(contract, c2s.klType, place, begin, end)
        s2c.security.CopyFrom(c2s.security)
        s2c.name = contract.name
        s2c.klList.extend(_wanted(row, c2s.needKLFieldsFlag) for _, row in islice(rows, most))
        following = next(rows, None)
        if following is not None:
            s2c.nextReqKey = f"{following[0].day}/{following[0].row}".encode()
        self._spoil(HISTORY_KL, s2c.klList)

    def _rows(
        self, contract: Contract, kind: int, place: Place, begin: datetime, end: datetime
    ) -> Iterator[tuple[Place, Any]]:
        """The rows from a place on, each with its own."""
        for day in self._minutes.days(contract, place.day, end.date()):
            first = place.row if day == place.day else 0
            stretches = enumerate(self._stretches(contract, kind, day))
            for number, (named_at, stretch) in islice(stretches, first, None):
                wall = named_at.astimezone(ZONES[contract.market]).replace(tzinfo=None)
                if begin <= wall <= end:
                    yield Place(day, number), _row(contract, wall, named_at, stretch.trading)

    def _stretches(self, contract: Contract, kind: int, day: date) -> Iterator[tuple[datetime, Stretch]]:
        """The stretches of a day with the instants that name them; a day without any trading has no K-line."""
        if kind != _DAY_TYPE:
            yield from ((s.ends_at, s) for s in self._minutes.stretches(contract, day, _MINUTES_OF_TYPE[kind]))
            return
        whole = self._minutes.whole_day(contract, day)
        if whole.trading is not None:
            yield datetime.combine(day, time(), ZONES[contract.market]), whole

    def _contract(self, security: Any) -> Contract:
        market = QUOTE_MARKETS.get(security.market, "")
        contract = self._contracts.get((market, security.code))
        if contract is None:
            raise self._refusal("unknown_stock", code=security.code)
        if market not in self._rules.markets:
            raise self._refusal(f"no_quotes_{market}", code=f"{market}.{security.code}")
        return contract

    def _use_quota(self, security: Any) -> None:
        key = (security.market, security.code)
        if key not in self._asked and len(self._asked) >= self._rules.quota:
            raise self._refusal("kl_quota")
        self._asked[key] = clock.time()

    def _time(self, told: str, otherwise: time) -> datetime:
        for form in _TIME_FORMATS:
            try:
                at = datetime.strptime(told, form).replace(tzinfo=UTC)
            except ValueError:
                continue
            return (at if " " in told else datetime.combine(at, otherwise)).replace(tzinfo=None)
        raise self._refusal("time")

    def _place(self, key: bytes) -> Place:
        day, _, row = key.decode(errors="replace").partition("/")
        try:
            return Place(date.fromisoformat(day), int(row))
        except ValueError as error:
            raise self._refusal("body") from error

    def _refusal(self, key: str, **values: object) -> RefusalError:
        return RefusalError(text(key, self._rules.language, **values))


def _row(contract: Contract, wall: datetime, named_at: datetime, trading: Trading | None) -> Any:
    """The KLine message of a stretch; its turnover is told as if all was traded at the close."""
    row = protobuf("Qot_Common_pb2").KLine(
        time=f"{wall:%Y-%m-%d %H:%M:%S}", isBlank=trading is None, timestamp=epoch(named_at)
    )
    if trading is not None:
        row.openPrice, row.highPrice = float(trading.open), float(trading.high)
        row.lowPrice, row.closePrice = float(trading.low), float(trading.close)
        row.volume = int(trading.volume)
        row.turnover = float(trading.close * trading.volume * contract.multiplier)
    return row


def _wanted(row: Any, flags: int) -> Any:
    """The row with the fields that were asked for; all where none were named."""
    for flag, name in _FLAGS.items():
        if flags and not flags & flag:
            row.ClearField(name)
    return row
