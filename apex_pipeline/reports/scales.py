"""From amounts to places in a drawing: round ticks, pixels, short words. Decimal until the last step, which is text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

_STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))
_UNITS = ((Decimal(10) ** 12, "T"), (Decimal(10) ** 9, "B"), (Decimal(10) ** 6, "M"), (Decimal(10) ** 3, "k"))
_MONTHS_BETWEEN = (1, 2, 3, 6, 12, 24, 60, 120)


@dataclass(frozen=True, slots=True)
class Scale:
    """Amounts between two round ticks, drawn over `height` pixels; the largest is at the top."""

    ticks: tuple[Decimal, ...]
    height: int

    @property
    def low(self) -> Decimal:
        return self.ticks[0]

    @property
    def high(self) -> Decimal:
        return self.ticks[-1]

    def at(self, amount: Decimal) -> Decimal:
        """Pixels from the top."""
        return (self.high - amount) / (self.high - self.low) * self.height


def scale(amounts: Iterable[Decimal], height: int, *, with_zero: bool = True, about: int = 4) -> Scale:
    """Room for these amounts (and for zero) between round ticks, about so many of them."""
    known = [*amounts, *([Decimal(0)] if with_zero else [])] or [Decimal(0)]
    low, high = min(known), max(known)
    if low == high:
        low, high = low - abs(low) / 100, high + (abs(high) / 100 or 1)
    step = _step((high - low) / about)
    first = (low / step).to_integral_value(ROUND_FLOOR)
    last = (high / step).to_integral_value(ROUND_CEILING)
    return Scale(tuple(step * n for n in range(int(first), int(last) + 1)), height)


def _step(least: Decimal) -> Decimal:
    """The smallest round number that is not less: 1, 2, 2.5 or 5 times a power of ten."""
    power = Decimal(1).scaleb(least.adjusted())
    return next(power * factor for factor in _STEPS if power * factor >= least)


def short(amount: Decimal) -> str:
    """At most four digits for an axis: 1.25M, -250k, 0.05."""
    for size, unit in _UNITS:
        if abs(amount) >= size:
            return f"{_trimmed(amount / size)}{unit}"
    return _trimmed(amount)


def percent(share: Decimal) -> str:
    """0.05 as 5%."""
    return f"{_trimmed(share * 100)}%"


def number(value: Decimal | float, places: int = 1) -> str:
    """A coordinate: short, never with an exponent."""
    text = f"{value:.{places}f}"
    trimmed = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if trimmed in ("-0", "") else trimmed


def grouped(text: str) -> str:
    """A plain number with commas between thousands; every digit stays."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, point, rest = digits.partition(".")
    return f"{sign}{int(whole):,}{point}{rest}" if whole.isdigit() else text


def along(day: date, first: date, last: date) -> Decimal:
    """How far a day is between two, in percent."""
    days = (last - first).days
    return Decimal(100) * (day - first).days / days if days else Decimal(50)


def marks(first: date, last: date, most: int = 7) -> list[tuple[date, str]]:
    """Days to write below an axis, with their words: beginnings of months, or single days where there are few."""
    if (last - first).days < 70:
        days = (last - first).days
        step = max(1, -(-days // (most - 1)))
        return [(first + timedelta(n), f"{first + timedelta(n):%m-%d}") for n in range(0, days + 1, step)]
    months = [month for month in _months(first, last) if month >= first]
    between = next((n for n in _MONTHS_BETWEEN if len(months) / n <= most), _MONTHS_BETWEEN[-1])
    return [(month, f"{month:%Y-%m}") for month in months if (month.year * 12 + month.month - 1) % between == 0]


def thinned(words: Sequence[str], most: int = 7) -> list[tuple[int, str]]:
    """At most so many words with their places, evenly."""
    step = max(1, -(-len(words) // most))
    return [(place, words[place]) for place in range(0, len(words), step)]


def _months(first: date, last: date) -> list[date]:
    start, end = first.year * 12 + first.month - 1, last.year * 12 + last.month - 1
    return [date(n // 12, n % 12 + 1, 1) for n in range(start, end + 1)]


def _trimmed(value: Decimal) -> str:
    return number(value, 4 if abs(value) < 1 else 2)
