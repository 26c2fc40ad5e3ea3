"""The rows of one account, found by creation time, id, code, status and market.

Times of a request are wall clock texts; in which zone a gateway reads them is not documented, so it is an
argument. Nothing here knows a connection.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, final
from zoneinfo import ZoneInfo

from apex_pipeline.brokers.futu.simulator_accounts import is_paper
from apex_pipeline.brokers.futu.simulator_messages import (
    LIVE_STATUSES,
    TRD_MARKETS,
    ZONES,
    fill_row,
    order_id,
    order_id_ex,
    order_row,
)
from apex_pipeline.brokers.futu.simulator_rules import RefusalError
from apex_pipeline.brokers.scenario import Holding, Scenario, ScenarioAccount, ScenarioOrder
from apex_pipeline.domain.models import Broker

ROW_ZONE = "row"
"""Server zone meaning that each row is compared in the zone of its own market."""

_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?", re.ASCII)
_WHOLE_SECOND = timedelta(microseconds=999_999)


@dataclass(frozen=True, slots=True)
class Row:
    """A message with what it is found by; `live` marks orders that are not in a final state."""

    at: datetime
    market: str
    code: str
    number: int
    order_id_ex: str
    message: Any
    status: int = 0
    live: bool = False

    @property
    def local_date(self) -> date:
        """The calendar date of its creation in its market."""
        return self.at.astimezone(ZONES[self.market]).date()


def order_rows(orders: Iterable[ScenarioOrder], *, paper: bool) -> list[Row]:
    """All orders of an account; of a paper account without its combinations, which cannot be queried."""
    return [_order(order, order_row(order, paper=paper)) for order in orders if not (paper and order.legs)]


def _order(order: ScenarioOrder, message: Any) -> Row:
    status = message.orderStatus
    return Row(
        order.created_at, order.contract.market, message.code, message.orderID, message.orderIDEx, message,
        status=status, live=status in LIVE_STATUSES,
    )  # fmt: skip


def fill_rows(orders: Iterable[ScenarioOrder]) -> list[Row]:
    """All executions of an account."""
    return [row for order in orders if order.fills for row in _fills(order)]


def _fills(order: ScenarioOrder) -> Iterator[Row]:
    name, number = order_id_ex(order), order_id(order)
    for fill in order.fills:
        message = fill_row(order, fill, name, number)
        yield Row(fill.at, fill.contract.market, message.code, fill.fill_id, name, message)


@dataclass(frozen=True, slots=True)
class Window:
    """Begin and end of a request as written there, both inclusive."""

    begin: datetime
    end: datetime

    @property
    def days(self) -> int:
        """Distance of the two dates; the documented default window has 90."""
        return (self.end.date() - self.begin.date()).days


def parse_window(begin: str, end: str, error: str) -> Window:
    """The window of two texts. Raises RefusalError with `error` when one is no `YYYY-MM-DD HH:MM:SS[.MS]`."""
    if not (_TIME.fullmatch(begin) and _TIME.fullmatch(end)):
        raise RefusalError(error)
    try:
        first, last = datetime.fromisoformat(begin), datetime.fromisoformat(end)
    except ValueError as wrong:
        raise RefusalError(error) from wrong
    return Window(first, last if "." in end else last + _WHOLE_SECOND)


class RowIndex:
    """Rows of one kind of one account."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows: dict[str, list[Row]] = {}
        for row in sorted(rows, key=lambda r: (r.at, r.number)):
            self._rows.setdefault(row.market, []).append(row)
        self._times = {market: [row.at for row in rows] for market, rows in self._rows.items()}

    def within(self, window: Window, server_zone: str) -> list[Row]:
        """Rows created within the window, newest first."""
        found: list[Row] = []
        for market, rows in self._rows.items():
            zone = ZONES[market] if server_zone == ROW_ZONE else ZoneInfo(server_zone)
            times = self._times[market]
            first = bisect_left(times, _instant(window.begin, zone, fold=0))
            found += rows[first : bisect_right(times, _instant(window.end, zone, fold=1))]
        return _newest_first(found)

    def of_today(self, today: date) -> list[Row]:
        """Rows of this date in their market and live orders, newest first."""
        begin = datetime.combine(today, time(), UTC) - timedelta(days=1)
        return self._where(lambda row: row.live or (row.at >= begin and row.local_date == today))

    def _where(self, keep: Callable[[Row], bool]) -> list[Row]:
        return _newest_first(row for rows in self._rows.values() for row in rows if keep(row))


def _instant(wall: datetime, zone: ZoneInfo, *, fold: int) -> datetime:
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _newest_first(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda r: (r.at, r.number), reverse=True)


def matching(rows: Iterable[Row], conditions: Any, statuses: Iterable[int] = ()) -> list[Row]:
    """Those rows that pass the filters of a request (TrdFilterConditions); its times were applied before."""
    tests: list[Callable[[Row], bool]] = []
    if codes := set(conditions.codeList):
        tests.append(lambda row: row.code in codes)
    if numbers := set(conditions.idList):
        tests.append(lambda row: row.number in numbers)
    if names := set(conditions.orderIDExList):
        tests.append(lambda row: row.order_id_ex in names)
    if market := conditions.filterMarket:
        tests.append(lambda row: TRD_MARKETS[row.market] == market)
    if wanted := set(statuses):
        tests.append(lambda row: row.status in wanted)
    return [row for row in rows if all(test(row) for test in tests)]


@final
class Ledger:
    """All rows of one account, built once."""

    def __init__(self, account: ScenarioAccount, scenario: Scenario, orders: Sequence[ScenarioOrder]) -> None:
        self.account = account
        self.paper = is_paper(account)
        self.holdings: list[Holding] = [
            h for h in scenario.holdings if h.broker == Broker.FUTU and h.account_id == account.account_id and h.qty
        ]
        self.orders = RowIndex(order_rows(orders, paper=self.paper))
        self.fills = RowIndex(fill_rows(orders))
        self.by_order_id = {order_id_ex(order): order for order in orders}
