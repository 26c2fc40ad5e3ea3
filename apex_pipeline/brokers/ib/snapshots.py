"""Sections that are kept whole, and what a statement shows of the query behind it, as records. Pure."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from apex_pipeline.brokers.ib import layout
from apex_pipeline.brokers.ib.told import DATES_MARK, FROM, QUERY, ROWS, SECTION, TO, Told
from apex_pipeline.domain.records import Record, RecordKind

Row = dict[str, str]


def snapshot_records(
    section: str, days: Mapping[tuple[str, date], list[Row]], told: Told, order: str
) -> Iterator[Record]:
    """One record for each account and day of `days`.

    The account of the statement, and its segments that the statement tells of, have an empty snapshot of the last day
    where there are no rows, so that what is gone is gone; but not of lots, which no section tells to be all.
    """
    rule, own, last = layout.SNAPSHOTS[section], told.statement.account_id, told.last_day
    segments = {account for account, _ in told.records if own and account.startswith(own)}  # U1234567F holds futures
    without = {own, *segments} - {"", *(account for account, _ in days)}
    empty = {(account, last): list[Row]() for account in sorted(without) if last and not rule.section}
    found = {**days, **empty}
    for (account, day), rows in found.items():
        first = day if rule.day else told.first_day(day)
        payload: dict[str, Any] = {
            SECTION: rule.section or section, FROM: first.isoformat(), TO: day.isoformat(),
            ROWS: sorted(rows, key=_content) if rule.section else rows,
        }  # fmt: skip
        if order:
            payload[DATES_MARK] = order
        yield Record(rule.kind, account, _key(section, rule, first, day), day, payload, None, told.generated_at(day))


def query_record(told: Told, query: Mapping[str, str]) -> Record | None:
    """Which sections the query delivers, and with which attributes, as far as the rows of this statement show.

    `query`: the attributes of the root element. None where the statement names no account or no days.
    """
    account, day = told.statement.account_id, told.last_day
    if not account or day is None:
        return None
    seen = {name: sorted(names) for name, names in sorted(told.sections.items())}
    name, kind = query.get("queryName", "").strip(), query.get("type", "").strip()
    payload: dict[str, Any] = {SECTION: QUERY, "query": name, "type": kind, "sections": seen}
    key = f"{QUERY}/{name}/{told.first_day(day)}/{day}"
    return Record(RecordKind.SECTIONS, account, key, day, payload, None, told.generated_at(day))


def _content(row: Row) -> list[tuple[str, str]]:
    """What tells rows without an id apart, whatever their order in the document."""
    return sorted(row.items())


def _key(section: str, rule: layout.Snapshot, first: date, last: date) -> str:
    if rule.kind is RecordKind.SECTIONS:
        return f"{section}/{first}/{last}"
    return f"flex:{last}" if rule.day else f"flex:{first}:{last}"
