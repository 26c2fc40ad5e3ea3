"""All accounts as one book: in one currency, with the drawdown of what they are worth together. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from apex_pipeline.domain.ledger import Performance
from apex_pipeline.domain.performance import WIDE, Valuation, growth, rounded
from apex_pipeline.domain.results import PORTFOLIO
from apex_pipeline.domain.risk import Margin, RiskBook
from apex_pipeline.domain.valuation import RATE_DAYS, Rates

_ZERO = Decimal(0)


def together(books: Sequence[RiskBook], currency: str | None, drawdown: Decimal | None) -> RiskBook:
    """All books as one; they must be in `currency` already. A sum with an unknown part is unknown."""
    return RiskBook(
        scope=PORTFOLIO,
        as_of=max(book.as_of for book in books),
        currency=currency,
        net_liquidation=_total(book.net_liquidation for book in books),
        cash=_total(book.cash for book in books),
        held=[one for book in books for one in book.held],
        margin=_margins(books),
        drawdown=drawdown,
        origin={"accounts": {book.scope: dict(book.origin) for book in books}},
    )


def converted(book: RiskBook, currency: str, rate: Decimal | None) -> RiskBook:
    """The book in another currency, `rate` units of which are one of the book's; all unknown without a rate."""

    def told(amount: Decimal | None) -> Decimal | None:
        if rate is None or amount is None:
            return None
        return rounded(WIDE.multiply(amount, rate))

    margin = book.margin
    used = None if margin is None else told(margin.used)
    return replace(
        book,
        currency=currency,
        net_liquidation=told(book.net_liquidation),
        cash=told(book.cash),
        held=[replace(one, value=told(one.value)) for one in book.held],
        margin=None if margin is None or used is None else Margin(used, told(margin.net_liquidation), margin.as_of),
    )


def most_common(currencies: Iterable[str | None]) -> str | None:
    """The currency of most accounts, the first by name of several; None where none is known."""
    counts: dict[str, int] = {}
    for currency in currencies:
        if currency is not None:
            counts[currency] = counts.get(currency, 0) + 1
    return min(counts, key=lambda name: (-counts[name], name), default=None)


def portfolio_drawdown(history: Mapping[str, Sequence[Performance]], rates: Rates, currency: str) -> Decimal | None:
    """How far all accounts together stand below their highest point so far, on their newest known day.

    `history`: the days of each account, oldest first. An account that begins later is paid in on its first known day. A
    day without a value of its own has that of the days before, at most as many as a rate may be old.
    """
    series = [_Series(rows, rates, currency) for rows in history.values()]
    days = sorted({row.business_date for rows in history.values() for row in rows})
    values = [
        Valuation(day, None, _total(one.worth(day) for one in series), _total(one.paid(day) for one in series))
        for day in days
    ]
    known = (one.drawdown for one in reversed(growth(values)))
    return next((drawdown for drawdown in known if drawdown is not None), None)


class _Series:
    """What one account was worth, and what was paid into it, by day in the currency of all."""

    def __init__(self, rows: Sequence[Performance], rates: Rates, currency: str) -> None:
        self._rates, self._currency = rates, currency
        self._rows = {row.business_date: row for row in rows}
        self._known = [row.business_date for row in rows if row.net_liquidation is not None]

    def worth(self, day: date) -> Decimal | None:
        """At the end of a day; 0 before it begins and after it was emptied, None where it is not known."""
        place = bisect_right(self._known, day)
        if not place:
            return _ZERO
        newest = self._rows[self._known[place - 1]]
        if newest.net_liquidation and (day - newest.business_date).days > RATE_DAYS:
            return None
        return self._in_common(newest, newest.net_liquidation, day)

    def paid(self, day: date) -> Decimal | None:
        """Paid in (negative: out) on a day."""
        if not self._known or day < self._known[0] or day not in self._rows:
            return _ZERO
        row = self._rows[day]
        return self._in_common(row, row.net_liquidation if day == self._known[0] else row.net_flow, day)

    def _in_common(self, row: Performance, amount: Decimal | None, day: date) -> Decimal | None:
        if not amount or row.currency is None:
            return _ZERO if amount is not None and not amount else None
        rate = self._rates.of(row.account_id, row.currency, self._currency, day)
        return None if rate is None else WIDE.multiply(amount, rate)


def _total(amounts: Iterable[Decimal | None]) -> Decimal | None:
    told = list(amounts)
    known = [amount for amount in told if amount is not None]
    return sum(known, _ZERO) if len(known) == len(told) else None


def _margins(books: Sequence[RiskBook]) -> Margin | None:
    """The margin of all accounts, against what they are worth; None where one is not known."""
    told = [book.margin for book in books if book.margin is not None]
    if len(told) < len(books):
        return None
    worths = _total(
        book.net_liquidation if margin.net_liquidation is None else margin.net_liquidation
        for book, margin in zip(books, told, strict=True)
    )
    return Margin(sum((margin.used for margin in told), _ZERO), worths, max(margin.as_of for margin in told))
