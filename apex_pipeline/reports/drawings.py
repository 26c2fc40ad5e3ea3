"""SVG of lines, columns, bars and calendars, without any size of its own: places across are percentages.

So a drawing is as wide as its place, and its words are not scaled with it. Nothing is styled here: colours are classes
(`s0` to `s7` for series, `gain`, `loss`, and the states of a calendar), and what they mean stands in `plots.css`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from html import escape
from itertools import groupby
from types import MappingProxyType

from apex_pipeline.domain.instruments import plain
from apex_pipeline.reports.scales import Scale, along, grouped, marks, number, scale, short, thinned

SERIES = 8
"""Colours of series; further ones begin again."""
TOP, PLOT, FOOT = 16, 200, 22
"""Pixels above the plot, of it, and below it for the words of the axis."""
BAR_ROW, BAR = 40, 10
WEEK, CELL, WEEKS = 11, 14, 54
"""Of a calendar: units across a week, pixels down a day, weeks in a row: a year and its two broken weeks."""

ZERO = Decimal(0)
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Series:
    """A name and one amount per place; None where it is not known, which is drawn as a gap."""

    name: str
    amounts: Sequence[Decimal | None]


def line_chart(
    days: Sequence[date],
    series: Sequence[Series],
    said: str,
    *,
    words: Callable[[Decimal], str] = short,
    reaching: Sequence[Decimal] = (),
) -> str:
    """One line per series over days, on an axis that reaches these amounts too; a day that stands alone is a dot."""
    known = [amount for one in series for amount in one.amounts if amount is not None]
    axis = scale([*known, *reaching], PLOT, with_zero=False)
    places = [along(day, days[0], days[-1]) for day in days]
    lines = [
        _line(points, f"s{n % SERIES}") for n, one in enumerate(series) for points in _parts(places, one.amounts, axis)
    ]
    inner = (
        f'<svg class="marks" x="0" y="{TOP}" width="100%" height="{PLOT}" viewBox="0 0 1000 {PLOT}" '
        f'preserveAspectRatio="none">{"".join(lines)}</svg>'
    )
    below = [(along(day, days[0], days[-1]), text) for day, text in marks(days[0], days[-1])]
    about = {"days": " ".join(str((day - days[0]).days) for day in days)}
    return _svg("lines", said, TOP + PLOT + FOOT, [*_grid(axis), inner, *_ticks(axis, words), *_below(below)], about)


def _parts(places: Sequence[Decimal], amounts: Sequence[Decimal | None], axis: Scale) -> Iterator[list[str]]:
    """The points of each unbroken part of a line."""
    told = zip(places, amounts, strict=True)
    for is_known, part in groupby(told, lambda one: one[1] is not None):
        if is_known:
            yield [f"{number(place * 10)},{number(axis.at(amount))}" for place, amount in part if amount is not None]


def _line(points: Sequence[str], kind: str) -> str:
    drawn, dot = (points, "") if len(points) > 1 else ([*points, *points], " dot")
    return f'<polyline class="series {kind}{dot}" points="{" ".join(drawn)}"/>'


def column_chart(names: Sequence[str], series: Sequence[Series], unit: str, said: str) -> str:
    """Columns by name, series stacked: what is negative goes below zero. One series alone is gain or loss."""
    axis = scale([total for place in range(len(names)) for total in _totals(series, place)], PLOT)
    band = Decimal(100) / len(names)
    drawn = [_column(axis, band, place, series, name=name, unit=unit) for place, name in enumerate(names)]
    below = [(band * place + band / 2, text) for place, text in thinned(names)]
    return _svg("columns", said, TOP + PLOT + FOOT, [*_grid(axis), *drawn, *_ticks(axis, short), *_below(below)])


def _totals(series: Sequence[Series], place: int) -> tuple[Decimal, Decimal]:
    amounts = [amount for one in series if (amount := one.amounts[place]) is not None]
    return sum((a for a in amounts if a > 0), ZERO), sum((a for a in amounts if a < 0), ZERO)


def _column(axis: Scale, band: Decimal, place: int, series: Sequence[Series], *, name: str, unit: str) -> str:
    reached = {True: ZERO, False: ZERO}
    parts: list[str] = []
    for n, one in enumerate(series):
        amount = one.amounts[place]
        if not amount:
            continue
        start = reached[amount > 0]
        reached[amount > 0] = end = start + amount
        kind = f"s{n % SERIES}" if len(series) > 1 else _sign(amount)
        top, bottom = axis.at(max(start, end)), axis.at(min(start, end))
        label = " ".join(filter(None, (name, one.name))) + f": {grouped(plain(amount))} {unit}"
        parts.append(
            f'<rect class="part {kind}" x="{number(band * place + band * Decimal("0.15"), 2)}%" '
            f'width="{number(band * Decimal("0.7"), 2)}%" y="{number(top + TOP)}" '
            f'height="{number(max(bottom - top, Decimal(1)))}"><title>{escape(label)}</title></rect>'
        )
    return "".join(parts)


def bar_chart(rows: Sequence[tuple[str, Decimal]], unit: str, said: str) -> str:
    """One bar per name, its words above it; what is negative goes to the left of zero."""
    amounts = [ZERO, *(amount for _, amount in rows)]
    low, high = min(amounts), max(amounts)
    whole = (high - low) or Decimal(1)
    zero = -low / whole * 100
    drawn = [
        _bar(n * BAR_ROW, name, f"{amount:,.2f} {unit}", zero=zero, share=amount / whole * 100)
        for n, (name, amount) in enumerate(rows)
    ]
    return _svg("bars", said, len(rows) * BAR_ROW, drawn)


def _bar(top: int, name: str, amount: str, *, zero: Decimal, share: Decimal) -> str:
    start = min(zero, zero + share)
    return (
        f'<text class="name" x="0" y="{top + 17}">{escape(name)}</text>'
        f'<text class="amount" x="100%" y="{top + 17}">{escape(amount)}</text>'
        f'<rect class="part {_sign(share)}" x="{number(start, 2)}%" width="{number(abs(share), 2)}%" y="{top + 23}" '
        f'height="{BAR}"/>'
        f'<line class="zero" x1="{number(zero, 2)}%" x2="{number(zero, 2)}%" y1="{top + 21}" y2="{top + 25 + BAR}"/>'
    )


def calendar(first: date, states: str, looks: Mapping[str, str], said: str) -> str:
    """One cell per day from `first` on, a column per week, Monday on top; `looks` names the class of each letter."""
    start = first - timedelta(first.weekday())
    weeks = (first.weekday() + len(states) + 6) // 7
    rows = -(-weeks // WEEKS)
    begin = weeks - rows * WEEKS  # the newest week ends the last row
    height = 7 * CELL
    drawn: list[str] = []
    for row in range(rows):
        left = begin + row * WEEKS
        top = row * (height + FOOT + TOP) + TOP
        paths = _cells(first, states, looks, start, left)
        drawn += _months_above(start, left, top, weeks)
        drawn.append(
            f'<svg class="marks" x="0" y="{top}" width="100%" height="{height}" viewBox="0 0 {WEEKS * WEEK} {height}" '
            f'preserveAspectRatio="none">{"".join(paths)}</svg>'
        )
    about = {"from": str(first), "states": states, "week": str(begin), "offset": str(first.weekday())}
    return _svg("calendar", said, rows * (height + FOOT + TOP), drawn, about)


def _cells(first: date, states: str, looks: Mapping[str, str], start: date, left: int) -> Iterator[str]:
    """One path for all days of a state: a few bytes a day."""
    cells: dict[str, list[str]] = {}
    offset = (first - start).days
    for place, letter in enumerate(states):
        week, weekday = divmod(offset + place, 7)
        if left <= week < left + WEEKS and letter in looks:
            cells.setdefault(letter, []).append(f"M{(week - left) * WEEK + 1} {weekday * CELL + 1}h9v12h-9z")
    for letter, drawn in sorted(cells.items()):
        yield f'<path class="{looks[letter]}" d="{"".join(drawn)}"/>'


def _months_above(start: date, left: int, top: int, weeks: int) -> Iterator[str]:
    """The month above the week in which it begins, with the year now and then; only quarters where there is no room."""
    has_year = False
    for week in range(max(left, 0), min(left + WEEKS - 3, weeks)):
        day = next((d for n in range(7) if (d := start + timedelta(week * 7 + n)).day == 1), None)
        if day is None:
            continue
        is_quarter = day.month % 3 == 1
        text = f"{day:%Y-%m}" if day.month == 1 or (is_quarter and not has_year) else f"{day:%m}"
        has_year |= is_quarter
        kind = "" if is_quarter else ' class="minor"'
        yield f'<text{kind} x="{number(Decimal(100) * (week - left) / WEEKS, 2)}%" y="{top - 4}">{text}</text>'


def _grid(axis: Scale) -> Iterator[str]:
    for tick in axis.ticks:
        place = number(axis.at(tick) + TOP)
        yield f'<line class="{"grid" if tick else "zero"}" x1="0" x2="100%" y1="{place}" y2="{place}"/>'


def _ticks(axis: Scale, words: Callable[[Decimal], str]) -> Iterator[str]:
    for tick in axis.ticks:
        yield f'<text class="tick" x="0" y="{number(axis.at(tick) + TOP - 3)}">{words(tick)}</text>'


def _below(places: Iterable[tuple[Decimal, str]]) -> Iterator[str]:
    for n, (place, text) in enumerate(places):
        where = "end" if place > 94 else "middle" if place > 6 else "start"
        kind = ' class="minor"' if n % 2 else ""
        yield f'<text{kind} x="{number(place, 2)}%" y="{TOP + PLOT + 16}" text-anchor="{where}">{text}</text>'


def _sign(amount: Decimal) -> str:
    return "loss" if amount < 0 else "gain"


def _svg(kind: str, said: str, height: int, parts: Iterable[str], about: Mapping[str, str] = NOTHING) -> str:
    """`about` is what the page's words beside the pointer are made of."""
    data = "".join(f' data-{name}="{escape(value)}"' for name, value in about.items())
    return (
        f'<svg class="plot {kind}" role="img" aria-label="{escape(said)}" width="100%" height="{height}"{data}>'
        f"{''.join(parts)}</svg>"
    )
