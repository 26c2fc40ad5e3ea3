"""Figures of the report: drawings and, behind them, the table that says the same in exact numbers.

What is not known is a gap in a line and empty in a table, never a zero. Currencies are never added up.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from apex_pipeline.domain.strategies.cards import display_name
from apex_pipeline.reports.drawings import Series, bar_chart, calendar, column_chart, line_chart
from apex_pipeline.reports.scales import percent
from apex_pipeline.reports.tables import ReportTable
from apex_pipeline.store.db import Database

Rows = Sequence[Mapping[str, Any]]

MOST_POINTS = 420
"""Points of a line; a longer history is told by weeks, then by months. The exports always hold every day."""
MOST_BARS = 16
LEAST_FALL = Decimal("-0.01")
"""How far the axis of drawdowns reaches at least."""
LOOKS = {"C": "covered", "P": "partly", "G": "partly", "M": "missing", ".": "closed"}
"""Of a calendar: states of a day and how they look."""
MISSING = {"M": "missing", "G": "fewer rows than the broker says"}
UNKNOWN_CURRENCY = "unknown currency"
NO_STRATEGY = "no strategy"


@dataclass(frozen=True, slots=True)
class Drawing:
    """A title and its SVG."""

    title: str
    svg: str


@dataclass(frozen=True, slots=True)
class Figure:
    """Drawings that share a table; `legend` names their series in the order of colours; `note` says what is missing."""

    name: str
    title: str
    drawings: tuple[Drawing, ...]
    table: ReportTable
    legend: tuple[str, ...] = ()
    note: str = ""


def step_of(days: int) -> str:
    """How a history of so many days is told: by day, week or month."""
    return "day" if days <= MOST_POINTS else "week" if days <= MOST_POINTS * 5 else "month"


def equity_rows(db: Database, step: str = "day") -> list[dict[str, Any]]:
    """What each account was worth by day, week or month."""
    return db.fetch("report_equity", step=step)


def equity_figures(rows: Rows, step: str = "day") -> list[Figure]:
    """The worth of accounts and how far each fell below its highest, one figure per base currency."""
    return [_equity(currency, list(some), step) for currency, some in groupby(rows, lambda row: row["currency"])]


def _equity(currency: str | None, rows: Rows, step: str) -> Figure:
    unit = currency or UNKNOWN_CURRENCY
    days = sorted({row["day"] for row in rows})
    accounts = sorted({_account(row) for row in rows})
    worth, fell = _by_place(rows, "net_liquidation"), _by_place(rows, "drawdown")
    table = [
        {"day": day}
        | {name: worth.get((day, name)) for name in accounts}
        | {f"{name} drawdown": fell.get((day, name)) for name in accounts}
        for day in days
    ]
    values = [Series(name, [worth.get((day, name)) for day in days]) for name in accounts]
    falls = [Series(name, [_negative(fell.get((day, name))) for day in days]) for name in accounts]
    said = f"in {unit}, {days[0]} to {days[-1]}; the table after it holds every point."
    below = line_chart(days, falls, f"Drawdown {said}", words=percent, reaching=(Decimal(0), LEAST_FALL))
    name = f"equity_{unit.replace(' ', '_')}"
    return Figure(
        name,
        f"Value in {unit}, by {step}",
        (
            Drawing(f"Value, {unit}", line_chart(days, values, f"Value {said}")),
            Drawing("Drawdown: below the highest so far", below),
        ),
        ReportTable(name, f"Value and drawdown by {step}, {unit}", table),
        tuple(accounts),
        _unknown_days(rows, accounts),
    )


def _by_place(rows: Rows, column: str) -> dict[tuple[date, str], Decimal | None]:
    return {(row["day"], _account(row)): row[column] for row in rows}


def _negative(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else -amount


def _unknown_days(rows: Rows, accounts: Sequence[str]) -> str:
    """Which accounts have days of unknown value, in one sentence; nothing where none has."""
    gaps: list[str] = []
    for name in accounts:
        own = [row for row in rows if _account(row) == name]
        unknown = sum(row["days_unknown"] for row in own)
        if unknown:
            gaps.append(f"{name}: {unknown} of {sum(row['days'] for row in own)} days")
    why = "a position without a price, or a currency without a rate"
    return f"Not known, and not drawn ({why}): {'; '.join(gaps)}." if gaps else ""


def _account(row: Mapping[str, Any]) -> str:
    return f"{row['broker']} {row['account_id']}"


def gains_by_month(rows: Rows) -> list[Figure]:
    """What was realized by month, one figure per currency."""

    def drawn(unit: str, some: Rows) -> str:
        said = f"Realized P&L by month in {unit}; the table after it has the amounts."
        return column_chart([row["month"] for row in some], [Series("", _gains(some))], unit, said)

    return _by_currency(rows, "gains_by_month", "Realized P&L by month", drawn)


def gains_by_name(rows: Rows, what: str) -> list[Figure]:
    """What was realized by the values of a column (`strategy`, `underlying`), one figure per currency."""

    def drawn(unit: str, some: Rows) -> str:
        known = [(str(row[what]), row["realized_pnl"]) for row in some if row["realized_pnl"] is not None]
        shown = known if len(known) <= MOST_BARS else [*known[: MOST_BARS // 2], *known[-MOST_BARS // 2 :]]
        left = len(known) - len(shown)
        between = f", the {left} between them are in the table" if left else ""
        return bar_chart(shown, unit, f"Realized P&L by {what} in {unit}: the most and the least{between}.")

    return _by_currency(rows, f"gains_by_{what}", f"Realized P&L by {what}", drawn)


def _gains(rows: Rows) -> list[Decimal | None]:
    return [row["realized_pnl"] for row in rows]


def named_strategies(rows: Rows) -> list[dict[str, Any]]:
    """Rows with a `type` of the taxonomy, which people read by its name."""
    return [
        {
            "strategy": display_name(row["type"]) if row["type"] else NO_STRATEGY,
            **{k: v for k, v in row.items() if k != "type"},
        }
        for row in rows
    ]


def _by_currency(rows: Rows, name: str, title: str, drawn: Callable[[str, Rows], str]) -> list[Figure]:
    figures: list[Figure] = []
    for currency, grouped in groupby(sorted(rows, key=_unit), _unit):
        some = list(grouped)
        about = f"{title}, {currency}"
        unknown = sum(row.get("basis_unknown") or 0 for row in some)
        note = f"{unknown} closings have no known basis: they are counted, not summed." if unknown else ""
        table = ReportTable(f"{name}_{currency.replace(' ', '_')}", about, some)
        figures.append(Figure(table.name, about, (Drawing(about, drawn(currency, some)),), table, note=note))
    return figures


def _unit(row: Mapping[str, Any]) -> str:
    return row["currency"] or UNKNOWN_CURRENCY


def fee_figures(rows: Rows) -> list[Figure]:
    """Fees by month, stacked by type, one figure per currency; rebates go below zero."""
    figures: list[Figure] = []
    for unit, grouped in groupby(sorted(rows, key=_unit), _unit):
        some = list(grouped)
        months, types = sorted({row["month"] for row in some}), _by_size(some)
        paid: dict[tuple[str, str], Decimal] = {}
        for row in some:
            key = row["month"], row["fee_type"]
            paid[key] = paid.get(key, Decimal(0)) + row["total"]
        table = [
            {"month": month} | {kind: paid.get((month, kind)) for kind in types}
            | {"all": sum(paid.get((month, kind), Decimal(0)) for kind in types)}
            for month in months
        ]  # fmt: skip
        series = [Series(kind, [paid.get((month, kind)) for month in months]) for kind in types]
        said = f"Fees by month and type in {unit}; the table after it has the amounts."
        drawing = Drawing(f"Fees by month, {unit}", column_chart(months, series, unit, said))
        name = f"fees_{unit.replace(' ', '_')}"
        figures.append(
            Figure(name, f"Fees by month and type, {unit}", (drawing,),
                   ReportTable(name, f"Fees by month and type, {unit} (paid is positive)", table), tuple(types))
        )  # fmt: skip
    return figures


def _by_size(rows: Rows) -> list[str]:
    sizes: dict[str, Decimal] = {}
    for row in rows:
        sizes[row["fee_type"]] = sizes.get(row["fee_type"], Decimal(0)) + abs(row["total"])
    return sorted(sizes, key=lambda kind: (-sizes[kind], kind))


def coverage_figures(rows: Rows) -> list[Figure]:
    """Which days of its history each account was loaded for, one figure per account."""
    return [_coverage(list(some)) for _, some in groupby(rows, _account)]


def _coverage(rows: Rows) -> Figure:
    name = _account(rows[0])
    first = min(row["first_day"] for row in rows)
    states = combined(first, rows)
    counts = {letter: states.count(letter) for letter in LOOKS}
    wanted = len(states) - counts["."]
    last = first + timedelta(len(states) - 1)
    told = (
        f"Days loaded of {name}, {first} to {last}: {counts['C']} of {wanted} trading days in full, "
        f"{counts['P'] + counts['G']} partly, {counts['M']} missing."
    )
    table = ReportTable(
        f"missing_{rows[0]['broker']}_{rows[0]['account_id']}",
        f"Days not loaded in full: {name}",
        missing_days(rows),
        f"none: all {wanted} trading days from {first} to {last} are loaded",
    )
    drawing = Drawing(name, calendar(first, states, LOOKS, f"{told} The table after it names those not in full."))
    return Figure(table.name, name, (drawing,), table, note=told)


def combined(first: date, rows: Rows) -> str:
    """One letter a day over all kinds of data of an account: C all cover it, M none does, P only some."""
    length = max((row["first_day"] - first).days + len(row["states"]) for row in rows)
    padded = [(" " * (row["first_day"] - first).days + row["states"]).ljust(length) for row in rows]
    return "".join(_letter(set(letters) - {" "}) for letters in zip(*padded, strict=True))


def _letter(letters: set[str]) -> str:
    if len(letters) == 1:
        return letters.pop()
    return "P" if letters - {"."} else "."


def missing_days(rows: Rows) -> list[dict[str, Any]]:
    """The days that are not loaded in full, as ranges by kind of data, with the command that loads them.

    Closed days do not end a range: a missing week is one row.
    """
    return [_range(row, state, days) for row in rows for state, days in _runs(row) if state in MISSING]


def _runs(row: Mapping[str, Any]) -> Iterator[tuple[str, list[date]]]:
    """The trading days of a kind of data, divided where their state changes."""
    dated = ((row["first_day"] + timedelta(place), state) for place, state in enumerate(row["states"]))
    for state, days in groupby((one for one in dated if one[1] != "."), lambda one: one[1]):
        yield state, [day for day, _ in days]


def _range(row: Mapping[str, Any], state: str, days: Sequence[date]) -> dict[str, Any]:
    command = f"apex backfill --broker {row['broker'].lower()} --force --from-date {days[0]} --to-date {days[-1]}"
    return {
        **{name: row[name] for name in ("broker", "account_id", "data_type", "market")},
        "state": MISSING[state], "from_date": days[0], "to_date": days[-1], "trading_days": len(days),
        "what_to_do": command,
    }  # fmt: skip
