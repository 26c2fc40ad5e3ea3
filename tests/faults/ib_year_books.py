"""The money of the made-up year: every line of cash, balances of any day, and what the account was worth."""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import final

from tests.faults.ib_year_days import BIRTH, DAY, FIRST, LAST, next_open, open_days
from tests.faults.ib_year_events import ZERO, Action, Booking, Deal, Event, Lot, Move, Paper
from tests.faults.ib_year_ledger import Book, Figures, kept
from tests.faults.ib_year_life import Life
from tests.faults.ib_year_market import BASE

CURRENCIES = ("EUR", "HKD", "USD")


@dataclass(frozen=True)
class Line:
    """One movement of cash: `parts` are its shares by column of the cash report."""

    day: date
    settles: date
    currency: str
    parts: tuple[tuple[str, Decimal], ...]
    code: str
    text: str
    source: Deal | Booking | Action | None = None
    paper: Paper | None = None
    number: int = 0

    @property
    def amount(self) -> Decimal:
        return sum((amount for _, amount in self.parts), ZERO)


@dataclass(frozen=True)
class Bridge:
    """How the value came from the day before `first` to `last`, in the base currency."""

    starting: Decimal
    ending: Decimal
    parts: dict[str, Decimal]


@final
class Books:
    """All that is to be told of a life."""

    def __init__(self, life: Life) -> None:
        self.life, self.market = life, life.market
        self.end = kept(life.events, LAST)
        self._books: dict[date, Book] = {LAST: self.end}
        self._changed, self._held = self._sums()

    def at(self, day: date) -> Book:
        """The lots as of a day's statement."""
        if day not in self._books:
            self._books[day] = kept(self.life.events, day)
        return self._books[day]

    def figures(self, event: Event) -> Figures:
        """What IB's row says of an event, by what was known on the day it was told."""
        if isinstance(event, Deal) and event.kind == "CANCEL" and event.original is not None:
            return self._undone(event, event.original)
        return self.end.rows.get(id(event)) or self.at(event.report_date).rows.get(id(event)) or Figures()

    def _undone(self, cancel: Deal, original: Deal) -> Figures:
        if cancel.paper.category == "CASH":
            return Figures()
        told = self.figures(original)
        if told.effect == "O":
            return Figures(-Fraction(cancel.net))
        return Figures(-told.cost, Fraction(cancel.net) - told.cost)

    def lots(self, day: date) -> list[Lot]:
        """What is open at the end of a day's statement, but what never traded there."""
        return [lot for lots in self.at(day).open.values() for lot in lots]

    def positions(self, day: date) -> dict[Paper, Fraction]:
        """What is held by the end of a day's statement: the plain sum of all rows, with no lots at all."""
        place = bisect_right(self._changed, day)
        return self._held[place - 1] if place else {}

    def _sums(self) -> tuple[list[date], list[dict[Paper, Fraction]]]:
        rows: list[tuple[date, Paper, Decimal]] = []
        for one in self.life.events:
            if isinstance(one, Action):
                rows += [(one.report_date, paper, qty) for paper, _, qty in one.rows]
            elif one.paper.category != "CASH":
                rows.append((one.report_date, one.paper, one.qty))
        changed = sorted({day for day, _, _ in rows})
        held, states = dict[Paper, Fraction](), list[dict[Paper, Fraction]]()
        for day in changed:
            for _, paper, qty in (row for row in rows if row[0] == day):
                held[paper] = held.get(paper, Fraction(0)) + Fraction(qty)
            states.append({paper: qty for paper, qty in held.items() if qty})
        return changed, states

    @cached_property
    def lines(self) -> list[Line]:
        """All movements of cash, by day."""
        made: list[Line] = []
        for one in self.life.events:
            if isinstance(one, Deal):
                made += self._of_deal(one)
            elif isinstance(one, Action) and one.proceeds:
                made.append(Line(one.report_date, next_open(one.report_date), one.rows[0][0].currency,
                                 (("other", one.proceeds),), "CORP", "Merger", one, one.rows[0][0]))  # fmt: skip
        for one in self.life.bookings:
            made.append(Line(one.report_date, one.settle_date, one.currency, ((one.part, one.amount),),
                             _CODES.get(one.part, "OFEE"), one.text, one, one.paper))  # fmt: skip
        return sorted([*made, *self._futures()], key=lambda line: (line.day, line.settles))

    def _of_deal(self, deal: Deal) -> list[Line]:
        told = deal.report_date, max(deal.settle_date, deal.report_date)
        code = "BUY" if deal.qty > 0 else "SELL"
        text = f"{code.title()} {deal.qty} {deal.paper.symbol}"
        commission = ("commissions", deal.commission)
        if deal.paper.category == "CASH":
            base, quote = deal.paper.symbol.split(".")
            return [
                Line(*told, base, (_traded(deal.qty),), "FOREX", text, deal, deal.paper),
                Line(*told, quote, (_traded(deal.proceeds),), "FOREX", text, deal, deal.paper),
                *([Line(*told, deal.commission_currency, (commission,), "FOREX", text, deal, deal.paper)]
                  if deal.commission else []),
            ]  # fmt: skip
        future = deal.paper.category == "FUT"
        money = ("cashSettlingMtm", self.mtm(deal)) if future else _traded(deal.proceeds)
        parts = [money, ("transactionTax", deal.taxes)]
        if deal.commission_currency == deal.paper.currency:
            return [Line(*told, deal.paper.currency, (*parts, commission), code, text, deal, deal.paper)]
        return [
            Line(*told, deal.paper.currency, tuple(parts), code, text, deal, deal.paper),
            Line(*told, deal.commission_currency, (commission,), code, text, deal, deal.paper),
        ]

    def mtm(self, deal: Deal) -> Decimal:
        """What a row gained until the close of the day it was told."""
        if deal.paper.category == "CASH":
            return ZERO
        return deal.qty * self.market.close(deal.paper, deal.report_date) * deal.paper.point + deal.proceeds

    def _futures(self) -> list[Line]:
        """The daily settlement of what was held the day before."""
        made: list[Line] = []
        for paper in self.life.papers.values():
            deals = [one for one in self.life.events if isinstance(one, Deal) and one.paper is paper]
            if paper.category != "FUT" or not deals:
                continue
            for day in open_days(BIRTH + DAY, LAST):
                before = max(one for one in open_days(day - 7 * DAY, day - DAY))
                held = sum((one.qty for one in deals if one.report_date < day), ZERO)
                moved = held * (self.market.close(paper, day) - self.market.close(paper, before)) * paper.point
                if moved:
                    made.append(Line(day, day, paper.currency, (("cashSettlingMtm", moved),), "FUTMTM",
                                     f"Cash settling MTM {paper.symbol}", None, paper,
                                     2_000_000_000 + len(made)))  # fmt: skip
        return made

    def between(self, first: date, last: date, currency: str | None = None) -> list[Line]:
        return [one for one in self.lines if first <= one.day <= last and currency in (None, one.currency)]

    def cash(self, currency: str, day: date) -> Decimal:
        return sum((one.amount for one in self.lines if one.day <= day and one.currency == currency), ZERO)

    def settled(self, currency: str, day: date) -> Decimal:
        known = [one for one in self.lines if one.currency == currency and one.day <= day]
        return sum((one.amount for one in known if one.settles <= day), ZERO)

    def worth(self, paper: Paper, qty: Fraction, day: date) -> Decimal:
        """The value of a position; of a future, what IB writes although it is no part of the account's value."""
        return decimal(qty) * self.market.close(paper, day) * paper.point

    def accrued(self, day: date) -> Decimal:
        return sum((one.gross - one.tax for one in self.life.accruals if one.report_date <= day), ZERO)

    @cached_property
    def balances(self) -> dict[date, dict[str, tuple[Decimal, Decimal, Decimal]]]:
        """Cash, securities and accruals by currency at the end of every open day."""
        found: dict[date, dict[str, tuple[Decimal, Decimal, Decimal]]] = {}
        cash, lines = defaultdict[str, Decimal](Decimal), iter(self.lines)
        line = next(lines, None)
        for day in open_days(BIRTH, LAST):
            while line is not None and line.day <= day:
                cash[line.currency] += line.amount
                line = next(lines, None)
            if day < FIRST - 7 * DAY:
                continue
            worth = defaultdict[str, Decimal](Decimal)
            for paper, qty in self.positions(day).items():
                if paper.category != "FUT":
                    worth[paper.currency] += self.worth(paper, qty, day)
            owed = {BASE: self.accrued(day)}
            found[day] = {one: (cash[one], worth[one], owed.get(one, ZERO)) for one in CURRENCIES}
        return found

    def net(self, day: date) -> Decimal:
        return sum((sum(told, ZERO) * self.market.rate(c, day) for c, told in self.balances[day].items()), ZERO)

    def bridge(self, first: date, last: date) -> Bridge:
        """The change of value by cause; what moved with the rates is translation."""
        parts = defaultdict[str, Decimal](Decimal)
        shown = [day for day in open_days(first, last) if day in self.balances]
        before = max(day for day in self.balances if day < first)
        start = before
        for day in shown:
            for currency in CURRENCIES:
                self._step(parts, currency, before, day)
            before = day
        return Bridge(self.net(start), self.net(before), dict(parts))

    def _step(self, parts: dict[str, Decimal], currency: str, before: date, day: date) -> None:
        rate = self.market.rate(currency, day)
        old, new = self.balances[before][currency], self.balances[day][currency]
        parts["fxTranslation"] += sum(old, ZERO) * (rate - self.market.rate(currency, before))
        parts["changeInDividendAccruals"] += (new[2] - old[2]) * rate
        parts["mtm"] += (new[1] - old[1]) * rate
        for line in self.between(before + DAY, day, currency):
            for part, amount in line.parts:
                pair = line.paper is not None and line.paper.category == "CASH" and part != "commissions"
                parts["netFxTrading" if pair else _NAV.get(part, "mtm")] += amount * rate
        for one in self.life.events:
            if isinstance(one, Move) and before < one.report_date <= day and one.paper.currency == currency:
                moved = self.worth(one.paper, Fraction(one.qty), day) * rate
                parts["assetTransfers"] += moved
                parts["mtm"] -= moved


_CODES = {"deposits": "DEP", "withdrawals": "WITH", "dividends": "DIV", "paymentInLieu": "PIL",
          "withholdingTax": "FRTAX", "brokerInterest": "INTR", "bondInterest": "INTR"}  # fmt: skip
_NAV = {
    "deposits": "depositsWithdrawals", "withdrawals": "depositsWithdrawals", "dividends": "dividends",
    "paymentInLieu": "dividends", "withholdingTax": "withholdingTax", "brokerInterest": "interest",
    "bondInterest": "interest", "otherFees": "otherFees", "commissions": "commissions",
    "transactionTax": "transactionTax",
}  # fmt: skip


def _traded(amount: Decimal) -> tuple[str, Decimal]:
    return ("netTradesSales" if amount > 0 else "netTradesPurchases"), amount


def decimal(number: Fraction | Decimal, places: int = 9) -> Decimal:
    """The number as a statement prints it: exact where that takes no more than these places."""
    if isinstance(number, Decimal):
        return number
    exact = Decimal(round(number * 10**places)) / Decimal(10) ** places
    return exact.quantize(Decimal(1)) if exact == exact.to_integral_value() else exact.normalize()
