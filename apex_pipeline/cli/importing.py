"""Loads statements from disk and says, file by file, what each brought and which days are still missing."""

import json
from collections.abc import Sequence
from pathlib import Path

from apex_pipeline.brokers.ib.files import statement_files
from apex_pipeline.cli.console import DONE, UNFINISHED, line, out, progress, say
from apex_pipeline.cli.opening import opened
from apex_pipeline.live.files import Days, FileResult, ImportResult, StatementImporter
from apex_pipeline.live.history import LoadStatus
from apex_pipeline.settings import Settings

COUNTED = {"new_versions": "new", "unchanged": "unchanged", "superseded": "superseded", "quarantined": "quarantined"}
RUNS_SHOWN = 12


def load_statements(paths: Sequence[Path], configured: Settings, *, as_json: bool) -> int:
    """Import these files and folders; returns the exit code. ConfigError, before any connection, for a wrong path."""
    files = statement_files(paths)
    with opened(configured, writing=True) as found:
        with progress() as observe:
            result = StatementImporter(found.db, found.settings).load(files, observe)
        if as_json:
            out.print_json(json.dumps(result.as_json()))
        else:
            tell(result)
        complain(result)
    start = configured.history_start
    if any(days.from_date < start for file in result.files for days in file.days):
        say(f"days before APEX_HISTORY_START={start} are loaded, but Dagster has no partitions for them")
    return DONE if result.status is LoadStatus.SUCCESS else UNFINISHED


def tell(result: ImportResult) -> None:
    """Print what each file brought, and the weekdays that no statement tells about."""
    for file in (file for file in result.files if not file.error):
        line(f"{file.file}: {_counts(file)}; {_covers(file.days)}")
    read = sum(not file.error for file in result.files)
    total = {name: sum(getattr(file, name) for file in result.files) for name in COUNTED}
    told = ", ".join(f"{total[name]} {word}" for name, word in COUNTED.items())
    line(f"{read} of {len(result.files)} statements read: {told}")
    for account, runs in result.uncovered.items():
        line(f"{account}: {_missing(runs)}")


def complain(result: ImportResult) -> None:
    """Say on stderr what a person should know or mend; each note once, however many files it is about."""
    about: dict[str, list[str]] = {}
    for file in result.files:
        if file.error:
            say(f"apex: {file.file}: {file.error}")
        for note in file.notes:
            about.setdefault(note, []).append(file.file)
    for note, files in about.items():
        others = f" and {len(files) - 1} more" if len(files) > 1 else ""
        say(f"{files[0]}{others}: {note}")
    if rows := sum(file.quarantined for file in result.files):
        say(f"apex: {rows} records are in quarantine; `apex report` shows why")
    if result.unreadable:
        say(f"apex: {result.unreadable} stored records cannot be read; `apex report` shows why")


def _counts(file: FileResult) -> str:
    return ", ".join(f"{getattr(file, name)} {word}" for name, word in COUNTED.items())


def _covers(days: Sequence[Days]) -> str:
    return ", ".join(f"{item.account_id} {item}" for item in days) or "covers no day"


def _missing(runs: Sequence[Days]) -> str:
    if not runs:
        return "no weekday is missing between the first and the last covered day"
    shown = ", ".join(map(str, runs[:RUNS_SHOWN]))
    more = f" and {len(runs) - RUNS_SHOWN} more spans (--json tells all)" if len(runs) > RUNS_SHOWN else ""
    return f"no statement tells about {shown}{more} (holidays of the exchanges may have none)"
