"""Runs the checks, and shows, explains and accepts breaks."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from getpass import getuser
from typing import Any

from apex_pipeline.cli.console import DONE, UNFINISHED, line, progress, show
from apex_pipeline.cli.opening import Opened
from apex_pipeline.domain.checks import CHECKS, CheckName, Severity
from apex_pipeline.domain.next_steps import meaning, next_step
from apex_pipeline.domain.reconciliation import SET_RIGHT, Break, BreakState, accept, changes, explain
from apex_pipeline.errors import ConfigError
from apex_pipeline.live.history import today
from apex_pipeline.pipeline import mend, reconcile_days
from apex_pipeline.reports.reconciliation import reconciliation_tables
from apex_pipeline.reports.tables import ReportTable
from apex_pipeline.store.copy_text import to_json
from apex_pipeline.store.repositories.breaks import BreakRepository
from apex_pipeline.store.tables import as_row

MADE_BY = "apex reconcile"
EVER = date(1990, 1, 1)
STANDING = (BreakState.OPEN, BreakState.EXPLAINED, BreakState.ACCEPTED)
"""The states of what does not agree."""

Said = Callable[[Break, datetime], Break]


def reconcile(
    found: Opened, from_date: date | None, to_date: date | None, *, as_json: bool, again: bool = False
) -> int:
    """Run every check over these days, all that is loaded if none are named; 1 if an error stays open.

    `again`: have the stages write again what was changed beside them, and look once more.
    """
    first, last = _days(found, from_date, to_date)
    with progress() as observe:
        reconcile_days(found.db, first, last, observe, made_by=MADE_BY)
        if again and mend(found.db, BreakRepository(found.db).existing(first, last)):
            reconcile_days(found.db, first, last, observe, made_by=MADE_BY)
    tables = reconciliation_tables(found.db, first, last, found.settings.display)
    if as_json:
        line(to_json({table.name: [dict(row) for row in table.rows] for table in tables}))
    for table in () if as_json else tables:
        show(table)
    rows = BreakRepository(found.db).existing(first, last)
    failing = [row for row in rows if row.state is BreakState.OPEN and row.severity is Severity.ERROR]
    return UNFINISHED if failing else DONE


def _days(found: Opened, from_date: date | None, to_date: date | None) -> tuple[date, date]:
    covered = found.db.fetchrow("covered_days_all") or {}
    first, last = from_date or covered.get("from_date"), to_date or max(covered.get("to_date") or today(), today())
    if first is None:
        raise ConfigError("nothing is loaded yet: run `apex backfill`")
    if first > last:
        raise ConfigError(f"--from-date {first} is after --to-date {last}")
    return first, last


def list_breaks(found: Opened, states: Sequence[BreakState], *, as_json: bool) -> None:
    """Print the breaks in these states, offenders first."""
    everything: dict[str, Any] = {"from_date": EVER, "to_date": date.max}
    if as_json:
        rows = [row for row in BreakRepository(found.db).existing(*everything.values()) if row.state in states]
        line(to_json([as_row(row) for row in rows]))
        return
    if BreakState.OPEN in states:
        opened = found.db.fetch("report_recon_open", **everything)
        show(ReportTable("breaks", "Open breaks", opened, "none: every check agrees"))
    others = [row for row in found.db.fetch("report_recon_settled", **everything) if BreakState(row["state"]) in states]
    if others:
        show(ReportTable("settled", "Accounted for", others))


def tell_break(found: Opened, uid: str) -> None:
    """Print all that is known of a break: what was compared, both sides, the evidence, and its history."""
    row = _named(found, uid)
    about = CHECKS[CheckName(row.check_name)]
    line(f"{row.break_uid}  {row.state}  {row.severity}  {about.check_id}")
    line(f"  should hold: {about.description}")
    line(f"  subject: {row.subject}")
    line(f"  account: {row.account_id}  day: {row.business_date}  age in business days: {row.age_bd}")
    line(f"  expected {row.expected}, actual {row.actual}, difference {row.delta} {row.currency or ''}".rstrip())
    for name in ("cause", "rule", "note", "owner", "accepted_until", "explained_amount", "delta_base", "closed_by"):
        if getattr(row, name) is not None:
            line(f"  {name.replace('_', ' ')}: {getattr(row, name)}{meaning(row) if name == 'cause' else ''}")
    for cause in BreakRepository(found.db).named(list(row.follows)):
        line(f"  follows from {cause.break_uid}: {cause.check_name.replace('_', ' ')}, {cause.subject}")
    unread = found.db.fetch("quarantine_of_day", broker=row.broker, account_id=row.account_id, on=row.business_date)
    for record in unread:
        line(f"  in quarantine: {row.broker} {record['kind']} {record['broker_key']}: {record['reason']}")
    for name, value in row.evidence.items():
        if name not in ("rows", SET_RIGHT):
            line(f"  {name}: {value if isinstance(value, str) else to_json(value)}")
    for proposal in row.evidence.get(SET_RIGHT, ()):
        line(f"  would agree with: {to_json(proposal)}")
    for step in found.db.fetch("break_history", uid=row.break_uid):
        because = f" ({step['reason']})" if step["reason"] else ""
        change = f"{step['from_state'] or 'NEW'} to {step['to_state']}{because}, by {step['changed_by']}"
        line(f"  {step['changed_at']:%Y-%m-%d %H:%M}Z {change}")
    for name in row.evidence.get("rows", ()):
        line(f"  apex why {name}")
    line(f"  next: {next_step(row, unread=bool(unread))}")


def accept_break(found: Opened, uid: str, reason: str, until: date | None, by: str | None) -> None:
    """Sign a break off for its present amount, to a last day."""
    _sign(found, uid, by, lambda row, now: accept(row, reason, now, until, by or getuser()))


def explain_break(found: Opened, uid: str, reason: str, by: str | None) -> None:
    """Account for all of a break's present amount."""
    _sign(found, uid, by, lambda row, now: explain(row, reason, now, by or getuser()))


def _sign(found: Opened, uid: str, by: str | None, said: Said) -> None:
    row, now = _named(found, uid), datetime.now(UTC)
    try:
        after = said(row, now)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    steps = changes([row], [after], by or getuser(), now)
    BreakRepository(found.db).sign(after, steps)
    until = f" until {after.accepted_until}" if after.accepted_until else ""
    line(f"{after.break_uid} {after.state}{until}: {after.note}")


def _named(found: Opened, uid: str) -> Break:
    rows = BreakRepository(found.db).named([uid])
    if not rows:
        raise ConfigError(f"no break is called {uid[:80]!r}: `apex breaks` lists them")
    return rows[0]
