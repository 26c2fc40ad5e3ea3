"""The tiles of the summary: what a person wants to know first. Rounded to the cent; tables have all digits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any

from apex_pipeline.reports.figures import UNKNOWN_CURRENCY, Rows, combined
from apex_pipeline.reports.reading import Read
from apex_pipeline.reports.scales import grouped

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the summary; `look` is "bad" or "warn" where a person is needed."""

    label: str
    value: str
    hint: str = ""
    look: str = ""


def tiles_of(read: Read) -> list[Tile]:
    """All tiles, in reading order."""
    rows, tables = read.rows, read.tables
    passed = len(tables["risk_signals"].rows)
    return [
        *_worth_tiles(rows["worth"]),
        *_sum_tiles("Realized P&L", rows["by_month"], "realized_pnl", "closings"),
        *_sum_tiles("Fees paid", tables["fees_by_month"].rows, "total"),
        Tile("Orders", grouped(str(read.scope["orders"])), counted(read.scope["trades"], "trade")),
        _break_tile(rows["ages"]),
        _count_tile("Quarantine", len(tables["quarantine"].rows), "records that could not be read"),
        _coverage_tile(rows["calendar"]),
        Tile("Open positions", grouped(str(len(tables["positions"].rows))), _without_mark(read)),
        *([_count_tile("Limits of risk", passed, "that are passed")] if passed else ()),
    ]


def _by_currency(rows: Rows) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    def unit(row: Mapping[str, Any]) -> str:
        return row["currency"] or UNKNOWN_CURRENCY

    for currency, some in groupby(sorted(rows, key=unit), unit):
        yield currency, list(some)


def _worth_tiles(rows: Rows) -> list[Tile]:
    """The newest known value by currency; unknown where one account's is."""
    return [_worth_tile(currency, some) for currency, some in _by_currency(rows)]


def _worth_tile(currency: str, rows: Rows) -> Tile:
    known = [row["net_liquidation"] for row in rows if row["net_liquidation"] is not None]
    if len(known) < len(rows):
        return Tile(f"Value, {currency}", "unknown", f"known of {len(known)} of {counted(len(rows), 'account')}")
    oldest = min(row["known_on"] for row in rows)
    return Tile(f"Value, {currency}", money(sum(known)), f"{counted(len(rows), 'account')}, as known on {oldest}")


def _sum_tiles(label: str, rows: Rows, column: str, column_of_count: str = "") -> list[Tile]:
    return [_sum_tile(f"{label}, {unit}", some, column, column_of_count) for unit, some in _by_currency(rows)]


def _sum_tile(label: str, rows: Rows, column: str, column_of_count: str) -> Tile:
    known = [row[column] for row in rows if row[column] is not None]
    unknown = sum(row.get("basis_unknown", 0) for row in rows)
    count = sum(row[column_of_count] for row in rows) if column_of_count else 0
    hint = counted(count, "closing") if column_of_count else "rebates taken off"
    told = f"{hint}, {grouped(str(unknown))} of them unknown" if unknown else hint
    return Tile(label, money(sum(known)) if known else "unknown", told)


def counted(count: int, one: str) -> str:
    """1 account, 2 accounts, 1,234 accounts."""
    return f"{grouped(str(count))} {one if count == 1 else f'{one}s'}"


def money(amount: Decimal | int) -> str:
    """An amount to the cent, for a glance; tables have all digits."""
    return grouped(f"{Decimal(amount).quantize(CENT):f}")


def _break_tile(ages: Rows) -> Tile:
    counts = {row["severity"]: row["breaks"] for row in ages}
    if not counts:
        return Tile("Open breaks", "none", "every check agrees")
    words = ", ".join(f"{count} {severity}" for severity, count in counts.items())
    return Tile("Open breaks", grouped(str(sum(counts.values()))), words, "bad" if counts.get("ERROR") else "warn")


def _count_tile(label: str, count: int, hint: str) -> Tile:
    return Tile(label, grouped(str(count)) if count else "empty", hint, "warn" if count else "")


def _coverage_tile(rows: Rows) -> Tile:
    states = [_states(list(some)) for _, some in groupby(rows, lambda row: (row["broker"], row["account_id"]))]
    wanted = sum(len(one) - one.count(".") for one in states)
    missing = sum(one.count("M") + one.count("P") + one.count("G") for one in states)
    if not wanted:
        return Tile("Days loaded", "none")
    return Tile(
        "Days missing",
        grouped(str(missing)) if missing else "none",
        f"of {grouped(str(wanted))} trading days of accounts",
        "warn" if missing else "",
    )


def _states(rows: Rows) -> str:
    return combined(min(row["first_day"] for row in rows), rows)


def _without_mark(read: Read) -> str:
    count = sum(row["mark_price"] is None for row in read.tables["positions"].rows)
    return f"{count} without a price" if count else "all with a price"
