"""The currency rates of the simulator: one a weekday, a pure function of the date.

A rate multiplies: one unit of the currency is so many US dollars, the base of every account. Weekends have the rate of
the Friday before.
"""

from datetime import date, timedelta
from decimal import Decimal
from functools import cache

BASE_CURRENCY = "USD"
CURRENCIES = ("USD", "HKD")
"""What accounts hold."""
QUOTED = ("CNH", "EUR", "HKD")
"""What rates are told of, beside the base currency."""

_MIDDLE = {"CNH": Decimal("0.13912"), "EUR": Decimal("1.08450"), "HKD": Decimal("0.12795")}
_SATURDAY = 5


def on_weekday(day: date) -> date:
    """The day itself, or the Friday before a weekend."""
    return day - timedelta(max(day.weekday() - _SATURDAY + 1, 0))


@cache
def rate(currency: str, day: date) -> Decimal:
    """US dollars for one unit of the currency at the end of a day: a slow wave of 0.2% with a small jitter."""
    if currency == BASE_CURRENCY:
        return Decimal(1)
    number = on_weekday(day).toordinal()
    wave = abs(number % 91 - 45) - 22
    jitter = number * 31 % 7 - 3
    return (_MIDDLE[currency] * (1 + Decimal(wave * 10 + jitter) / 100_000)).quantize(Decimal("0.000001"))


def weekdays(first: date, last: date) -> list[date]:
    """The weekdays between two dates, both inclusive; none if `first` is later."""
    span = (last - first).days + 1
    days = (first + timedelta(n) for n in range(max(span, 0)))
    return [day for day in days if day.weekday() < _SATURDAY]
