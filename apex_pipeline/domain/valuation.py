"""What accounts were worth and gained by day, in their base currency, as rows of performance. Pure.

A sum of several currencies is converted at the broker's rate of the day, or at the newest of the five days before. It
is None as soon as one of its amounts or rates is not known: a sum with a hole is no sum. Bookings of days that have no
row of their own (Sundays, say) count on the next day that has one.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from apex_pipeline.domain.ledger import Performance
from apex_pipeline.domain.lot_shares import trimmed
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.performance import WIDE, Valuation, ValueSource, growth, win_rate

DAY, HOUR = "DAY", "HOUR"
OF_THE_ACCOUNT = ("ACCOUNT", "")
"""The scope of the rows about the whole account."""

RATE_DAYS = 5
"""How many days old a rate may be."""

_ZONES = {Broker.IB: ZoneInfo("America/New_York"), Broker.FUTU: ZoneInfo("Asia/Hong_Kong")}
_LAST_SECOND = time(23, 59, 59)
_MONEY, _RATE = Decimal(1).scaleb(-10), Decimal(1).scaleb(-12)
_ZERO = Decimal(0)

T = TypeVar("T")
Booked = dict[date, list[tuple[str | None, T]]]
"""What was booked on days, each with its currency; None where that is not known."""
Scope = tuple[str, str]
"""Scope and its id, as in `Performance`."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One unit of `source` is `rate` units of `target`, as the broker of `account_id` told it for a day."""

    account_id: str
    on_date: date
    source: str
    target: str
    rate: Decimal


class Rates:
    """Rates by pair; an account's own come first, then those of the others, then the reverse of the opposite rate."""

    def __init__(self, told: Iterable[Rate]) -> None:
        self._days: defaultdict[tuple[str | None, str, str], dict[date, Decimal]] = defaultdict(dict)
        for one in sorted(told, key=lambda rate: (rate.on_date, rate.account_id)):
            self._days[one.account_id, one.source, one.target][one.on_date] = one.rate
            self._days[None, one.source, one.target].setdefault(one.on_date, one.rate)

    def of(self, account_id: str, source: str, target: str, day: date) -> Decimal | None:
        """Units of `target` for one of `source`, of the day or the newest of the five before; None if not known."""
        if source == target:
            return Decimal(1)
        for back in range(RATE_DAYS + 1):
            on_date = day - timedelta(back)
            for owner in (account_id, None):
                rate = self._days.get((owner, source, target), {}).get(on_date)
                if rate is not None:
                    return rate
            opposite = self._days.get((None, target, source), {}).get(on_date)
            if opposite:
                return WIDE.divide(Decimal(1), opposite).quantize(_RATE, context=WIDE)
        return None


@dataclass(frozen=True, slots=True)
class Held:
    """What the positions of one currency are worth, and have gained since they were opened, at the end of a day."""

    value: Decimal | None
    unrealized: Decimal | None


@dataclass(frozen=True, slots=True)
class Result:
    """What was realized on a day in one currency; in `base` too, as far as the closings themselves know it."""

    realized: Decimal | None
    fees: Decimal | None
    base_realized: Decimal | None
    base: str | None


@dataclass(frozen=True, slots=True)
class Trips:
    """Closed round trips: how many made money, have a known result, and are there at all."""

    won: int = 0
    known: int = 0
    every: int = 0

    def __add__(self, other: "Trips") -> "Trips":
        return Trips(self.won + other.won, self.known + other.known, self.every + other.every)


@dataclass(slots=True)
class AccountFacts:
    """What is known of an account from a day on. `past`: its valuations before, oldest first.

    `bases`: base currencies by the day from which they hold, oldest first. `cash`: totals by currency and day, the
    last one before the first day included. `told`: the account's worth in a currency as its broker says it. `trips`:
    by the day of closing, all before the first day on `date.min`.
    """

    account_id: str
    broker: Broker
    days: list[date] = field(default_factory=list[date])
    bases: list[tuple[date, str]] = field(default_factory=list[tuple[date, str]])
    past: list[Valuation] = field(default_factory=list[Valuation])
    cash: dict[str, list[tuple[date, Decimal | None]]] = field(
        default_factory=lambda: defaultdict(list[tuple[date, Decimal | None]])
    )
    held: dict[date, dict[str | None, Held]] = field(default_factory=lambda: defaultdict(dict[str | None, Held]))
    results: dict[Scope, Booked[Result]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    fees: Booked[Decimal | None] = field(default_factory=lambda: defaultdict(list))
    flows: Booked[Decimal | None] = field(default_factory=lambda: defaultdict(list))
    told: dict[date, tuple[str | None, Decimal]] = field(default_factory=dict[date, tuple[str | None, Decimal]])
    trips: dict[Scope, dict[date, Trips]] = field(default_factory=lambda: defaultdict(dict[date, Trips]))


class Valuer:
    """Makes the rows of one account."""

    def __init__(self, facts: AccountFacts, rates: Rates) -> None:
        self._facts = facts
        self._rates = rates
        self._trips = {scope: _running(by_day) for scope, by_day in facts.trips.items()}
        self._fees = _by_row_day(facts.days, facts.fees)
        self._flows = _by_row_day(facts.days, facts.flows)
        self._results = _by_row_day(facts.days, facts.results.get(OF_THE_ACCOUNT, {}))

    def rows(self) -> list[Performance]:
        """A row of the account for each of its days, then those of strategies and underlyings on days with closings."""
        rows = [self.row(day, DAY, end_of_day(self._facts.broker, day)) for day in self._facts.days]
        return [*with_growth(self._facts.past, rows), *self._scopes()]

    def row(self, day: date, period: str, as_of: datetime) -> Performance:
        """The account at the end of a day, without its growth."""
        held = self._facts.held.get(day, {})
        cash, value = self._cash(day), self._sum(((c, one.value) for c, one in held.items()), day)
        told = self._told(day)
        ledger = None if cash is None or value is None else trimmed(cash + value)
        row = self._empty(OF_THE_ACCOUNT, day, period, as_of)
        return replace(
            row,
            net_liquidation=ledger if told is None else told,
            cash=cash,
            positions_value=value,
            realized_pnl=self._realized(self._results.get(day, []), day),
            unrealized_pnl=self._sum(((c, one.unrealized) for c, one in held.items()), day),
            fees=self._sum(self._fees.get(day, []), day),
            net_flow=self._sum(self._flows.get(day, []), day),
            source=ValueSource.LEDGER if told is None else ValueSource.BROKER,
        )

    def _scopes(self) -> Iterator[Performance]:
        for scope, by_day in sorted(self._facts.results.items()):
            for day, results in sorted(by_day.items()) if scope != OF_THE_ACCOUNT else ():
                yield replace(
                    self._empty(scope, day, DAY, end_of_day(self._facts.broker, day)),
                    realized_pnl=self._realized(results, day),
                    fees=self._sum(((currency, one.fees) for currency, one in results), day),
                )

    def _empty(self, scope: Scope, day: date, period: str, as_of: datetime) -> Performance:
        """A row with everything that is known without adding up money."""
        days, counts = self._trips.get(scope, ([], []))
        place = bisect_right(days, day)
        trips = counts[place - 1] if place else Trips()
        return Performance(
            account_id=self._facts.account_id,
            period=period,
            as_of=as_of,
            scope=scope[0],
            scope_id=scope[1],
            broker=self._facts.broker,
            business_date=day,
            currency=self._base(day),
            net_liquidation=None,
            cash=None,
            positions_value=None,
            realized_pnl=None,
            unrealized_pnl=None,
            fees=None,
            net_flow=None,
            daily_return=None,
            cumulative_return=None,
            drawdown=None,
            win_rate=win_rate(trips.won, trips.known),
            total_trades=trips.every,
            source=ValueSource.LEDGER,
        )

    def _told(self, day: date) -> Decimal | None:
        told = self._facts.told.get(day)
        return None if told is None else self._sum([(told[0] or self._base(day), told[1])], day)

    def _cash(self, day: date) -> Decimal | None:
        totals: list[tuple[str | None, Decimal | None]] = []
        for currency, states in self._facts.cash.items():
            place = bisect_right(states, day, key=_day_of)
            if place:
                totals.append((currency, states[place - 1][1]))
        return self._sum(totals, day) if totals else None

    def _realized(self, results: Iterable[tuple[str | None, Result]], day: date) -> Decimal | None:
        """As the closings themselves converted it, where they did so to the same base currency."""
        base = self._base(day)
        parts = [
            (base, one.base_realized)
            if one.base_realized is not None and base is not None and one.base == base
            else (currency, one.realized)
            for currency, one in results
        ]
        return self._sum(parts, day)

    def _sum(self, amounts: Iterable[tuple[str | None, Decimal | None]], day: date) -> Decimal | None:
        """Amounts in the base currency, to 10 places; None if one of them is not known in it."""
        base, total = self._base(day), _ZERO
        for currency, amount in amounts:
            if amount is not None and not amount:
                continue
            if amount is None or currency is None or base is None:
                return None
            rate = self._rates.of(self._facts.account_id, currency, base, day)
            if rate is None:
                return None
            total = WIDE.add(total, WIDE.multiply(amount, rate))
        return trimmed(total.quantize(_MONEY, context=WIDE))

    def _base(self, day: date) -> str | None:
        bases = self._facts.bases
        place = bisect_right(bases, day, key=_day_of)
        return bases[place - 1][1] if place else None


def with_growth(past: Sequence[Valuation], rows: Sequence[Performance]) -> list[Performance]:
    """Rows with their returns and drawdowns; `past`: the valuations before them."""
    grown = growth([*past, *map(valuation_of, rows)])[len(past) :]
    return [
        replace(
            row,
            daily_return=one.daily_return,
            cumulative_return=one.cumulative_return,
            drawdown=one.drawdown,
        )
        for row, one in zip(rows, grown, strict=True)
    ]


def valuation_of(row: Performance) -> Valuation:
    """What a row says the account was worth, by the ledger and by the broker."""
    ledger = None
    if row.cash is not None and row.positions_value is not None:
        ledger = trimmed(row.cash + row.positions_value)
    broker = row.net_liquidation if row.source == ValueSource.BROKER else None
    return Valuation(row.business_date, ledger, broker, row.net_flow)


def end_of_day(broker: Broker, day: date) -> datetime:
    """The last second of a business day where the broker is: New York for Interactive Brokers, Hong Kong for Futu."""
    return datetime.combine(day, _LAST_SECOND, _ZONES[broker]).astimezone(UTC)


def _day_of(one: tuple[date, Any]) -> date:
    return one[0]


def _running(by_day: Mapping[date, Trips]) -> tuple[list[date], list[Trips]]:
    days = sorted(by_day)
    return days, list(accumulate(by_day[day] for day in days))


def _by_row_day(days: Sequence[date], booked: Mapping[date, list[tuple[str | None, T]]]) -> Booked[T]:
    """Bookings by the day of the row on which they count: their own, else the next one."""
    found: Booked[T] = {}
    for on_date, amounts in sorted(booked.items(), key=_day_of):
        place = bisect_left(days, on_date)
        if place < len(days):
            found.setdefault(days[place], []).extend(amounts)
    return found
