"""The books of one account: what it held and was worth on any day, and what changed it over any days.

Everything is exact and additive over days, so that windows that touch agree. What came on a weekday is converted at
that day's rate; what was there before moves with the rates and shows as translation.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple, final

from apex_pipeline.brokers.ib.statement_cash import CashFact, Line, Running, accrued, sums_of
from apex_pipeline.brokers.ib.statement_extras import Conversion
from apex_pipeline.brokers.ib.statement_ledger import Entry
from apex_pipeline.brokers.ib.statement_rates import BASE_CURRENCY, CURRENCIES, on_weekday, rate, weekdays
from apex_pipeline.brokers.scenario import Contract
from apex_pipeline.domain.models import AssetClass

_ZERO = Decimal(0)
_DAY = timedelta(1)
_HUNDRED = Decimal(100)
Mark = Callable[[Contract, date], Decimal]
"""The price of a contract at the close of a day."""


class Worth(NamedTuple):
    """Values of one currency at the end of a day; short ones are negative."""

    stock_long: Decimal = _ZERO
    stock_short: Decimal = _ZERO
    option_long: Decimal = _ZERO
    option_short: Decimal = _ZERO

    @property
    def total(self) -> Decimal:
        """What all positions of the currency are worth."""
        return self.stock_long + self.stock_short + self.option_long + self.option_short


@dataclass(frozen=True, slots=True)
class Bridge:
    """What changed the net asset value over some days, in the base currency; `flows` by line of the cash report.

    `conversions`: what currency exchanges gained at the day's rate. `twr` is in percent, None without a value before.
    """

    starting: Decimal
    ending: Decimal
    flows: dict[str, Decimal]
    mtm: Decimal
    conversions: Decimal
    accruals: Decimal
    translation: Decimal
    twr: Decimal | None


@final
class AccountBooks:
    """All that one account did, sorted by report date, and sums over it."""

    def __init__(
        self,
        account: str,
        *,
        entries: Sequence[Entry],
        lines: Sequence[Line],
        conversions: Sequence[Conversion],
        facts: Sequence[CashFact],
        days: tuple[date, date],
        mark: Mark,
    ) -> None:
        self.account = account
        self.entries = entries
        self.lines = lines
        self.conversions = conversions
        self.facts = facts
        self._first, self._last = on_weekday(days[0]), on_weekday(days[1])
        self._mark = mark
        self._entry_days = [e.move.report_date for e in entries]
        self._line_days = [line.report_date for line in lines]

    def entries_between(self, first: date, last: date) -> Sequence[Entry]:
        """Executions and book trades reported on these days."""
        return self.entries[bisect_left(self._entry_days, first) : bisect_right(self._entry_days, last)]

    def lines_between(self, first: date, last: date) -> Sequence[Line]:
        """Movements of cash reported on these days."""
        return self.lines[bisect_left(self._line_days, first) : bisect_right(self._line_days, last)]

    def flows(self, first: date, last: date, currency: str | None) -> dict[str, Decimal]:
        """Sums by line of the cash report: of one currency in itself, or of all in the base currency (None)."""
        lines = self.lines_between(first, last)
        if currency is not None:
            return sums_of(line for line in lines if line.currency == currency)
        sums: defaultdict[str, Decimal] = defaultdict(Decimal)
        for line in lines:
            for part, amount in line.parts.items():
                sums[part] += amount * rate(line.currency, line.report_date)
        return dict(sums)

    def cash(self, currency: str, day: date) -> Decimal:
        """Cash of one currency at the end of a day, traded but not settled amounts included."""
        return self._cash[currency].at(day)

    def settled(self, currency: str, day: date) -> Decimal:
        """Cash of one currency that is settled at the end of a day."""
        lines = self.lines[: bisect_right(self._line_days, day)]
        return sum((x.amount for x in lines if x.currency == currency and x.settle_date <= day), _ZERO)

    def cash_in_base(self, day: date) -> Decimal:
        """All cash at that day's rates."""
        return sum((self.cash(c, day) * rate(c, day) for c in CURRENCIES), _ZERO)

    def cash_translation(self, first: date, last: date) -> Decimal:
        """What the cash gained because rates moved."""
        return sum(
            (self.cash(c, before) * (rate(c, day) - rate(c, before))
             for before, day in self._steps(first, last) for c in CURRENCIES if c != BASE_CURRENCY),
            _ZERO,
        )  # fmt: skip

    def worth(self, currency: str, day: date) -> Worth:
        """What the positions of one currency are worth at the close of a day."""
        told = self._worths.get(min(on_weekday(day), self._last))
        return told.get(currency, Worth()) if told else Worth()

    def accruals(self, currency: str, day: date) -> Decimal:
        """Dividends that are owed to the account, less the tax they will lose."""
        return self._accruals[currency].at(day)

    def net(self, day: date) -> Decimal:
        """Net asset value in the base currency."""
        return sum((self._total(c, day) * rate(c, day) for c in CURRENCIES), _ZERO)

    def open_accruals(self, day: date) -> list[CashFact]:
        """Dividends that are owed at the end of a day."""
        return [f for f in self.facts if f.ex_date and f.ex_date <= day < f.booked_on]

    def bridge(self, first: date, last: date) -> Bridge:
        """How the net asset value came from the day before `first` to `last`."""
        mtm = exchanged = accruals = translation = _ZERO
        for before, day in self._steps(first, last):
            for currency in CURRENCIES:
                today = rate(currency, day)
                gained = self.worth(currency, day).total - self.worth(currency, before).total
                mtm += (gained + self._proceeds[currency, day]) * today
                accruals += (self.accruals(currency, day) - self.accruals(currency, before)) * today
                translation += self._total(currency, before) * (today - rate(currency, before))
        for deal in self.conversions:
            if first <= deal.trade_date <= last:
                exchanged += deal.qty + deal.proceeds * rate("HKD", deal.trade_date)
        starting, ending = self.net(first - _DAY), self.net(last)
        flows = self.flows(first, last, None)
        return Bridge(starting, ending, flows, mtm, exchanged, accruals, translation, self._return(first, last))

    def _return(self, first: date, last: date) -> Decimal | None:
        """Time-weighted return in percent; deposits count as made before the day's open."""
        grown: Decimal | None = None
        for before, day in self._steps(first, last):
            begun = self.net(before) + self._external[day]
            if begun > 0:
                grown = ((grown or Decimal(1)) * self.net(day) / begun).quantize(Decimal("0.000000000001"))
        return None if grown is None else ((grown - 1) * _HUNDRED).quantize(Decimal("0.000000001"))

    def _steps(self, first: date, last: date) -> Iterable[tuple[date, date]]:
        """Each weekday of these days with the weekday before it; nothing is there before the first day of all."""
        days = weekdays(max(first, self._first), last)
        return zip([on_weekday(d - _DAY) for d in days], days, strict=True)

    def _total(self, currency: str, day: date) -> Decimal:
        return self.cash(currency, day) + self.worth(currency, day).total + self.accruals(currency, day)

    @cached_property
    def _cash(self) -> dict[str, Running]:
        running = {currency: Running() for currency in CURRENCIES}
        for line in self.lines:
            running[line.currency].add(line.report_date, line.amount)
        return running

    @cached_property
    def _accruals(self) -> dict[str, Running]:
        changes: list[tuple[date, str, Decimal]] = []
        for fact in self.facts:
            if fact.ex_date:
                gross, tax = accrued(fact)
                changes += [(fact.ex_date, fact.currency, gross - tax), (fact.booked_on, fact.currency, tax - gross)]
        running = {currency: Running() for currency in CURRENCIES}
        for day, currency, amount in sorted(changes):
            running[currency].add(day, amount)
        return running

    @cached_property
    def _proceeds(self) -> defaultdict[tuple[str, date], Decimal]:
        sums: defaultdict[tuple[str, date], Decimal] = defaultdict(Decimal)
        for entry in self.entries:
            sums[entry.move.source.contract.currency, entry.move.report_date] += entry.move.proceeds
        return sums

    @cached_property
    def _external(self) -> defaultdict[date, Decimal]:
        sums: defaultdict[date, Decimal] = defaultdict(Decimal)
        for fact in self.facts:
            if fact.part in ("deposits", "withdrawals", "internalTransfers"):
                sums[fact.booked_on] += fact.amount * rate(fact.currency, fact.booked_on)
        return sums

    @cached_property
    def _worths(self) -> dict[date, dict[str, Worth]]:
        """By weekday of the scenario; positions change on the days of reports."""
        held: dict[int, tuple[Contract, Decimal]] = {}
        place = 0
        found: dict[date, dict[str, Worth]] = {}
        for day in weekdays(self._first, self._last):
            while place < len(self.entries) and self._entry_days[place] <= day:
                move = self.entries[place].move
                contract = move.source.contract
                qty = held.get(contract.conid, (contract, _ZERO))[1] + move.qty
                held[contract.conid] = (contract, qty)
                if not qty:
                    del held[contract.conid]
                place += 1
            found[day] = self._valued(held.values(), day)
        return found

    def _valued(self, held: Iterable[tuple[Contract, Decimal]], day: date) -> dict[str, Worth]:
        sums: dict[str, list[Decimal]] = {currency: [_ZERO] * 4 for currency in CURRENCIES}
        for contract, qty in held:
            column = (0 if contract.asset_class is AssetClass.STOCK else 2) + (qty < 0)
            sums[contract.currency][column] += qty * contract.multiplier * self._mark(contract, day)
        return {currency: Worth(*values) for currency, values in sums.items()}
