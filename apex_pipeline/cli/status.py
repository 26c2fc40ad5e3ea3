"""What `apex status` prints: what needs a person first, then what is loaded and how old it is.

A line that needs a person begins with `!`. Lines are at most 100 columns wide, whatever they tell.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from apex_pipeline.cli.console import line
from apex_pipeline.cli.opening import Opened
from apex_pipeline.settings import DisplaySettings
from apex_pipeline.store.copy_text import to_json
from apex_pipeline.store.repositories.status import StatusRepository

WIDTH = 100
_DAY, _HOUR, _MINUTE = 86_400, 3_600, 60
OLD_LOAD, OLD_SNAPSHOT, LATE_HEARTBEAT = 3 * _DAY, _DAY, 60
"""Seconds after which a load (weekends are longer than a day), a snapshot and a heartbeat need a person."""

WELL = frozenset({"COMPLETE", "SUCCESS"})
"""States of a load that needs nobody."""

Line = tuple[bool, str, str]
"""Whether it needs a person, what it is about, and what it says."""

Cells = tuple[bool, Sequence[str]]


def tell_status(found: Opened, *, as_json: bool) -> None:
    """Print it, for a program or for a person on the clocks of the display time zone."""
    told = StatusRepository(found.db, found.migrations).status()
    for text in [to_json(told)] if as_json else status_lines(told, found.settings.display):
        line(text)


def status_lines(told: Mapping[str, Any], forms: DisplaySettings) -> list[str]:
    """The status as lines of plain text."""
    known = told["open_breaks"] is not None
    heads = [*_server(told), *(_work(told) if known else ()), *(_engine(told) if known else ())]
    lines = [
        f"{'!' if bad else ' '} {name:<12} {text}" for bad, name, text in sorted(heads, key=lambda one: not one[0])
    ]
    if known:
        lines += [*_coverage(told, forms), *_snapshots(told), *_signals(told), *_failures(told, forms)]
    return [text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…" for text in lines]


def _server(told: Mapping[str, Any]) -> Iterable[Line]:
    pending = told["pending_migrations"]
    size = f"{told['size_bytes'] / 2**20:,.0f} MB"
    yield False, "database", f"{told['database']}, PostgreSQL {told['server_version']}, {size}"
    if not pending:
        yield False, "schema", f"migration {told['migration']}, none pending"
    elif told["migration"]:
        numbers = ", ".join(map(str, pending))
        yield True, "schema", f"migration {told['migration']}; pending: {numbers}: run `apex migrate` to see the rest"
    else:
        yield True, "schema", "no migration was applied yet: run `apex backfill`, or `apex migrate`"
    extension = told["timescaledb"]
    yield False, "timescaledb", " ".join(str(one) for one in (extension["state"].lower(), extension["version"]) if one)


def _work(told: Mapping[str, Any]) -> Iterable[Line]:
    counts = told["breaks_by_severity"]
    some = ", ".join(f"{count} {severity}" for severity, count in counts.items() if count)
    yield counts["ERROR"] > 0, "breaks", f"{some} open: see `apex breaks`" if some else "none open"
    waiting = ", ".join(f"{row['records']} {row['broker']} {row['kind']}" for row in told["quarantine"])
    yield told["quarantined"] > 0, "quarantine", f"{told['quarantined']} records: {waiting}" if waiting else "empty"
    late = [row for row in told["watermarks"] if _is_late(row)]
    loaded = f"{len(told['watermarks'])} kinds of data, the oldest told {_oldest(told['watermarks'])}"
    nothing = "nothing is loaded yet: run `apex backfill`"
    yield bool(late), "loads", (f"{loaded}; {len(late)} late" if late else loaded) if told["watermarks"] else nothing
    signals = told["risk_signals"]
    words = ", ".join(f"{row['level']} {row['metric']} of {row['scope']}" for row in signals[:3])
    yield bool(signals), "risk", f"{len(signals)} limits are passed: {words}" if signals else "no limit is passed"


def _engine(told: Mapping[str, Any]) -> Iterable[Line]:
    snapshots = told["snapshots"]
    old = any(row["age_seconds"] > OLD_SNAPSHOT for row in snapshots)
    yield old, "snapshots", f"{len(snapshots)}, the oldest {_oldest(snapshots)}" if snapshots else "none was captured"
    instances = told["instances"]
    leader = next((row for row in instances if row["leads"]), None)
    if not instances:
        yield False, "engine", "none has run"
    elif leader is None:
        yield True, "engine", f"nobody leads; the last heartbeat was {_ago(instances[0]['age_seconds'])}"
    else:
        alive = sum(row["age_seconds"] <= LATE_HEARTBEAT for row in instances)
        said = f"{leader['instance_id']} leads, heartbeat {_ago(leader['age_seconds'])}; {alive} alive"
        yield leader["age_seconds"] > LATE_HEARTBEAT, "engine", said


def _coverage(told: Mapping[str, Any], forms: DisplaySettings) -> list[str]:
    marks = {_name(row): row for row in told["watermarks"]}
    rows: list[Cells] = []
    for row in told["coverage"]:
        mark = marks.get(_name(row))
        late = mark is not None and _is_late(mark)
        rows.append((late, [*_name(row), *_dates(row, forms), *_told(mark, forms)]))
    names = ("broker", "account", "data", "market", "from", "to", "newest row", "told")
    return _table(names, rows)


def _snapshots(told: Mapping[str, Any]) -> list[str]:
    rows: list[Cells] = [
        (
            row["age_seconds"] > OLD_SNAPSHOT,
            [
                *(row["kind"], row["broker"] or "", row["account_id"], row["source"] or ""),
                *("" if row["position_count"] is None else str(row["position_count"]), _ago(row["age_seconds"])),
            ],
        )
        for row in told["snapshots"]
    ]
    return _table(("snapshot", "broker", "account", "source", "positions", "captured"), rows)


def _signals(told: Mapping[str, Any]) -> list[str]:
    rows: list[Cells] = [
        (
            True,
            [
                *(row["level"], row["metric"], row["scope"], _number(row["value"]), _number(row["threshold"])),
                *(row["source"], _ago(row["age_seconds"])),
            ],
        )
        for row in told["risk_signals"]
    ]
    return _table(("risk", "metric", "scope", "value", "limit", "source", "raised"), rows)


def _failures(told: Mapping[str, Any], forms: DisplaySettings) -> list[str]:
    rows: list[Cells] = [
        (
            False,
            [
                row["broker"],
                row["data_type"],
                f"{row['finished_at'].astimezone(forms.timezone):{forms.datetime_format}}",
                " ".join((row["error"] or "").split()),
            ],
        )
        for row in told["recent_failures"]
    ]
    return _table(("failed load", "data", "at", "why"), rows)


def _table(names: Sequence[str], rows: Iterable[Cells]) -> list[str]:
    """A titled table, the rows that need a person first; nothing without rows."""
    shown = sorted(rows, key=lambda row: not row[0])
    if not shown:
        return []
    widths = [max(len(cells[place]) for cells in (names, *(row for _, row in shown))) for place in range(len(names))]
    texts = [(False, names), *shown]
    return ["", *(f"{'!' if bad else ' '} {_padded(cells, widths)}" for bad, cells in texts)]


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    return " ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _told(mark: Mapping[str, Any] | None, forms: DisplaySettings) -> tuple[str, str]:
    """The date of the newest row, and when the broker told last; its status where that is not the usual one."""
    if mark is None:
        return "", ""
    at = mark["last_record_at"]
    status = "" if mark["status"] in WELL else f"{mark['status']} "
    return f"{at.astimezone(forms.timezone):{forms.date_format}}" if at else "", f"{status}{_ago(mark['age_seconds'])}"


def _is_late(mark: Mapping[str, Any]) -> bool:
    return mark["age_seconds"] > OLD_LOAD or mark["status"] not in WELL


def _name(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return row["broker"], row["account_id"], row["data_type"], row["market"]


def _oldest(rows: Sequence[Mapping[str, Any]]) -> str:
    return _ago(max((row["age_seconds"] for row in rows), default=0))


def _ago(seconds: Any) -> str:
    for unit, size in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _dates(row: Mapping[str, Any], forms: DisplaySettings) -> tuple[str, str]:
    return f"{row['from_date']:{forms.date_format}}", f"{row['to_date']:{forms.date_format}}"


def _number(value: Any) -> str:
    return "" if value is None else f"{value:f}"
