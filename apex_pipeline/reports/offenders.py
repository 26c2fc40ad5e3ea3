"""What a person reads of one failing check: a line, a narrow table, and all the rest as Markdown with what to do.

Dagster's page has 550 pixels for this table where the window has 1440, and pushes all else out of the window where a
table needs more: of the identity of an order alone that are 370.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from shlex import quote
from typing import Any

from apex_pipeline.domain.instruments import plain
from apex_pipeline.domain.next_steps import meaning, next_step
from apex_pipeline.domain.reconciliation import SET_RIGHT, Break
from apex_pipeline.reports.strategies import markdown
from apex_pipeline.reports.tables import ReportTable
from apex_pipeline.store.copy_text import to_json

DETAILED = 5
"""Breaks told in full; the table above and `apex breaks` have all."""
EVIDENCE_SHOWN = 600
"""Characters of one piece of evidence; all of it is in the table of breaks."""
TOLD_APART = (SET_RIGHT, "rows")
UNKNOWN = "unknown"


def headline(breaks: Sequence[Break]) -> str | None:
    """The first break that fails in one line, and how many more there are; None if there is none."""
    if not breaks:
        return None
    first, others = breaks[0], len(breaks) - 1
    more = f", and {others} more" if others else ""
    expected, actual, _ = _sides(first)
    told = f"expected {expected}, actual {actual} {first.currency or ''}".strip() if expected else first.cause
    return f"{first.subject}: {told}{more}" if told else f"{first.subject}{more}"


def narrow(row: Break) -> dict[str, str]:
    """A break as a row that fits."""
    expected, actual, _ = _sides(row)
    return {"subject": row.subject, "expected": expected, "actual": actual}


def details(breaks: Sequence[Break]) -> str:
    """The first breaks in full as Markdown: what is known of each, and the commands that tell more or mend it."""
    sections = [f"{_table(row)}\n\n{_commands(row)}" for row in breaks[:DETAILED]]
    if len(breaks) > DETAILED:
        sections.append(f"… and {len(breaks) - DETAILED} more: `apex breaks`")
    return "\n\n".join(sections)


def _table(row: Break) -> str:
    told = [{"what": name, "told": value} for name, value in _facts(row).items() if value]
    return markdown([ReportTable("offender", row.subject, told)])


def _facts(row: Break) -> Mapping[str, str]:
    expected, actual, delta = _sides(row)
    evidence = {name: _evidence(value) for name, value in row.evidence.items() if name not in TOLD_APART}
    return {
        "break": row.break_uid,
        "state": f"{row.state.value}, {row.severity.value}",
        "expected": expected,
        "actual": actual,
        "difference": delta,
        "cause": f"{row.cause or ''}{meaning(row)}",
        "account": " ".join(filter(None, (row.broker, row.account_id))),
        "day": str(row.business_date or ""),
        "explained by": " ".join(filter(None, (row.rule or row.note, *row.follows))),
        **evidence,
    }


def _commands(row: Break) -> str:
    """One block that a person copies from, and what to do next."""
    lines = list(_told_by(row))
    width = max(len(command) for command, _ in lines)
    block = "\n".join(f"{command:<{width}}  # {why}" for command, why in lines)
    return f"```\n{block}\n```\n\nNext: {next_step(row)}. It closes by itself when both sides agree again."


def _told_by(row: Break) -> Iterator[tuple[str, str]]:
    yield f"apex breaks --explain {row.break_uid}", "both sides, the evidence, its history"
    yield f"apex why {row.break_uid}", "the rows, the records and the bytes behind it"
    for name in row.evidence.get("rows") or ():
        yield f"apex why {quote(' '.join(str(name).split()))}", "one of these rows alone"


def _sides(row: Break) -> tuple[str, str, str]:
    """What is expected, what is, and the difference; nothing where no amounts are compared."""
    if row.expected is None and row.actual is None:
        return "", "", ""
    return _number(row.expected), _number(row.actual), f"{_number(row.delta)} {row.currency or ''}".strip()


def _number(value: Decimal | None) -> str:
    return UNKNOWN if value is None else plain(value)


def _evidence(value: Any) -> str:
    return (value if isinstance(value, str) else to_json(value))[:EVIDENCE_SHOWN]
