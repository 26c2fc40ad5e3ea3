"""What a year of a real account holds beside a scenario: currency conversions, a cancelled and rebooked trade.

They are pure functions of the scenario. They change trades and fees, so a simulator tells them only when asked.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

from apex_pipeline.brokers.ib.statement_ledger import Ledger, Move
from apex_pipeline.brokers.ib.statement_rates import BASE_CURRENCY, on_weekday, rate
from apex_pipeline.brokers.scenario import Fill, Scenario
from apex_pipeline.brokers.scenario_days import exchanged_on
from apex_pipeline.brokers.scenario_market import CENT
from apex_pipeline.domain.models import AssetClass, Broker, Side

FX_CURRENCY = "HKD"
FX_SYMBOL = f"{BASE_CURRENCY}.{FX_CURRENCY}"
FX_CONID = 12_345_777
_NEW_YORK = ZoneInfo("America/New_York")
_FIRST_DEAL = 38_000_000_011
_FIRST_ORDER = 4_190_000_000
_COMMISSION = Decimal(-2)
_NOON, _EVENING = time(11, 4, 9), time(18, 5, 41)
_DAY = timedelta(1)


@dataclass(frozen=True, slots=True)
class Conversion:
    """US dollars bought (positive `qty`) or sold for Hong Kong dollars; the commission is in US dollars, negative.

    What is traded after 17:00 in New York belongs to the next business day.
    """

    transaction_id: int
    order_id: int
    account_id: str
    at: datetime
    trade_date: date
    qty: Decimal
    price: Decimal
    commission: Decimal = _COMMISSION

    @property
    def proceeds(self) -> Decimal:
        """Hong Kong dollars: positive when received."""
        return -self.qty * self.price

    @property
    def settle_date(self) -> date:
        """Two business days after the trade."""
        return exchanged_on(self.trade_date)

    @property
    def exec_id(self) -> str:
        """Its execution id."""
        return f"CUSTHSFX.{self.transaction_id % 0xFFFFFFFF:08x}.01.01"


def sessions_of(scenario: Scenario, market: str | None = None) -> list[date]:
    """The session days of a scenario, of one market or of any."""
    told = (closes for (own, _), closes in scenario.closes.items() if market in (None, own))
    return sorted({day for closes in told for day in closes})


def conversions(scenario: Scenario) -> list[Conversion]:
    """One conversion per account in every third month, at least one; every other one in the evening."""
    days = sessions_of(scenario)[1:]
    months: defaultdict[tuple[int, int], list[date]] = defaultdict(list)
    for day in days:
        months[day.year, day.month].append(day)
    found: list[Conversion] = []
    for place, account in enumerate(scenario.accounts[Broker.IB]):
        chosen = [members[len(members) // 2] for (_, month), members in months.items() if month % 3 == place % 3]
        for number, day in enumerate(chosen or days[len(days) // 2 :][:1]):
            found.append(_conversion(account, len(found), number, day))
    return found


def _conversion(account: str, counted: int, number: int, day: date) -> Conversion:
    evening = number % 2 == 0
    local = datetime.combine(on_weekday(day - _DAY) if evening else day, _EVENING if evening else _NOON, _NEW_YORK)
    qty = Decimal(1_000) * (3 + (counted * 7 + day.day) % 22)
    dealt = (1 / rate(FX_CURRENCY, day)).quantize(Decimal("0.00001")) + Decimal("0.00025") * (1 if number % 3 else -1)
    return Conversion(
        _FIRST_DEAL + 3 * counted, _FIRST_ORDER + counted, account, local.astimezone(UTC), day,
        qty if number % 2 else -qty, dealt,
    )  # fmt: skip


def reversals(scenario: Scenario, moves: Sequence[Move]) -> list[Move]:
    """A cancel and its rebook for one stock purchase of each account and year, reported a session later."""
    following = _following(scenario)
    by_year: defaultdict[tuple[str, int], list[Move]] = defaultdict(list)
    for move in _untouched(moves, following):
        by_year[move.account_id, move.report_date.year].append(move)
    chosen = (candidates[len(candidates) // 2] for candidates in by_year.values())
    return [row for move in chosen for row in _pair(move, following[_session_of(move)])]


def _following(scenario: Scenario) -> dict[tuple[str, date], date]:
    """The next session of the market after each one of it."""
    markets = sorted({market for market, _ in scenario.closes})
    return {(market, day): after for market in markets for day, after in pairwise(sessions_of(scenario, market))}


def _session_of(move: Move) -> tuple[str, date]:
    return move.source.contract.market, move.report_date


def _untouched(moves: Sequence[Move], following: Mapping[tuple[str, date], date]) -> Iterable[Move]:
    """Opening purchases of shares from which nothing was sold before the end of the next session."""
    sold: defaultdict[tuple[str, int], list[Move]] = defaultdict(list)
    for move in moves:
        if move.source.side == Side.SELL:
            sold[move.account_id, move.source.contract.conid].append(move)
    ledger = Ledger()
    for move in moves:
        opened = ledger.book(move).effect == "O"
        next_day = following.get(_session_of(move))
        if not (opened and next_day and _is_plain_purchase(move)):
            continue
        later = sold[move.account_id, move.source.contract.conid]
        if not any(move.place < other.place and other.report_date <= next_day for other in later):
            yield move


def _is_plain_purchase(move: Move) -> bool:
    share = isinstance(move.source, Fill) and move.source.contract.asset_class == AssetClass.STOCK
    return share and move.source.side == Side.BUY and move.order is not None and move.order.combo is None


def _pair(move: Move, day: date) -> tuple[Move, Move]:
    fill = move.source
    assert isinstance(fill, Fill)
    back = Side.SELL if fill.side == Side.BUY else Side.BUY
    cancel = replace(
        move, transaction_id=move.transaction_id + 1, source=replace(fill, side=back, charges=()), exec_id="",
        report_date=day, cancels=move.transaction_id,
    )  # fmt: skip
    rebook = replace(
        move, transaction_id=move.transaction_id + 2, report_date=day, rebooks=move.transaction_id,
        source=replace(fill, price=fill.price - CENT, charges=()), exec_id=f"{move.exec_id.rpartition('.')[0]}.02",
    )  # fmt: skip
    return cancel, rebook
