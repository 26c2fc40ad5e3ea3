"""What the report holds, in reading order: sections of tiles, figures and tables."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from apex_pipeline.domain.strategies.cards import display_name
from apex_pipeline.reports.anonymous import OWN, Names
from apex_pipeline.reports.figures import (
    Figure,
    coverage_figures,
    equity_figures,
    fee_figures,
    gains_by_month,
    gains_by_name,
)
from apex_pipeline.reports.reading import MOST_STRATEGIES, Read, break_row, facts, open_breaks, read_all
from apex_pipeline.reports.reconciliation import AGREES
from apex_pipeline.reports.summary import Tile, counted, tiles_of
from apex_pipeline.reports.tables import Reader, ReportTable, first_rows
from apex_pipeline.store.db import Database


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page."""

    name: str
    title: str
    intro: str = ""
    tiles: tuple[Tile, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[ReportTable, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """All of it."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    is_anonymous: bool = False

    def with_tables(self, changed: Callable[[ReportTable], ReportTable]) -> "Report":
        """The same report with every table changed."""
        return replace(self, sections=tuple(_changed(section, changed) for section in self.sections))


def _changed(section: Section, changed: Callable[[ReportTable], ReportTable]) -> Section:
    figures = tuple(replace(figure, table=changed(figure.table)) for figure in section.figures)
    return replace(section, figures=figures, tables=tuple(map(changed, section.tables)))


def read_report(db: Database, reader: Reader = UTC, now: datetime | None = None, names: Names = OWN) -> Report:
    """The report of what is stored now, for this reader; `names` are told in place of account numbers."""
    read = read_all(db, reader, names)
    sections = (
        _summary(read), _value(read), _gains(read), _fees(read), _breaks(read), _positions(read), _strategies(read),
        _coverage(read), _quarantine(read), _unknown(read),
    )  # fmt: skip
    at = now or datetime.now(UTC)
    told = ReportTable("made", "", [{"at": at}]).at(reader)
    scope = read.scope
    period = f"{scope['from_date']} to {scope['to_date']}, " if scope["from_date"] else ""
    subtitle = f"{period}{counted(scope['accounts'], 'account')}; made {told.cells(told.rows[0])[0]}"
    return Report("APEX report", subtitle, sections, is_anonymous=bool(names.by_account)).with_tables(
        lambda table: table.at(reader)
    )


def _summary(read: Read) -> Section:
    intro = "" if read.scope["from_date"] else "Nothing is loaded yet: run `apex backfill`."
    passed = read.tables["risk_signals"]
    return Section("summary", "Summary", intro, tuple(tiles_of(read)), tables=(passed,) if passed.rows else ())


def _value(read: Read) -> Section:
    rows = read.rows
    intro = (
        "What each account was worth in its own base currency, and how far below its highest so far. Deposits and "
        "withdrawals move the value; the drawdown is of the time-weighted return, which they do not move."
    )
    worth = ReportTable("worth", "Newest known value of each account", rows["worth"], "no account has a value yet")
    tables = (worth, read.tables["cash"], read.tables["performance"])
    return Section("value", "Value", intro, (), tuple(equity_figures(rows["equity"], read.step)), tables)


def _gains(read: Read) -> Section:
    rows = read.rows
    figures = (
        *gains_by_month(rows["by_month"]),
        *gains_by_name(rows["by_strategy"], "strategy"),
        *gains_by_name(rows["by_underlying"], "underlying"),
    )
    intro = (
        "Net of the fees of opening and closing, in the currency of the instrument, by the exchange's date of the "
        "closing. By strategy: that of the orders that opened what was closed."
    )
    return Section("gains", "Realized P&L", intro, (), figures, (read.tables["realized"],))


def _fees(read: Read) -> Section:
    figures = tuple(fee_figures(read.tables["fees_by_month"].rows))
    return Section("fees", "Fees", "Positive is paid, negative is a rebate.", (), figures)


def _breaks(read: Read) -> Section:
    intro = (
        "What does not agree, the worst first. `apex breaks --explain UID` shows both sides and the evidence, "
        "`apex why UID` the rows, records and bytes behind it. A break closes by itself once the sides agree."
    )
    tables = (
        ReportTable("break_ages", "Open breaks by age in business days", read.rows["ages"], AGREES),
        open_breaks(read.rows["open"]),
        ReportTable("settled_breaks", "Accounted for", [break_row(row) for row in read.rows["settled"]]),
    )
    return Section("breaks", "Open breaks", intro, tables=tables)


def _positions(read: Read) -> Section:
    intro = "Open positions on the last day that each account is known of, from the ledger; prices are the broker's."
    return Section("positions", "Positions", intro, tables=(read.tables["positions"],))


def _strategies(read: Read) -> Section:
    chains = [
        {**row, "first_type": display_name(row["first_type"]), "current_type": display_name(row["current_type"])}
        for row in read.rows["chains"]
    ]
    none = "no chain was rolled, adjusted or assigned"
    title = "Chains that were rolled, adjusted or assigned, newest first"
    listed = first_rows("chains", title, chains, MOST_STRATEGIES, none)
    timelines = ReportTable("strategy_timelines", "These chains step by step", read.rows["timelines"], none)
    tables = (
        listed,
        timelines,
        read.tables["wheels"], read.tables["strategy_types"], read.tables["strategy_cards"], read.tables["review"],
    )  # fmt: skip
    intro = "A chain is one idea from opening to end: the strategies that rolls and adjustments join."
    return Section("chains", "Roll chains and strategies", intro, tables=tables)


def _coverage(read: Read) -> Section:
    intro = (
        "Days of which the broker told everything that was asked. A day of an account is loaded when every kind of its "
        "data covers it; weekends and holidays need no data."
    )
    figures = tuple(coverage_figures(read.rows["calendar"]))
    return Section("coverage", "Coverage", intro, (), figures, (read.tables["coverage"],))


def _quarantine(read: Read) -> Section:
    intro = (
        "Records that no rule could read. They are kept as received and are in no number of this page. They are "
        "read again with every load; if the reason names a field that the query lacks, add it and load those days "
        "with --force."
    )
    return Section("quarantine", "Quarantine", intro, tables=(read.tables["quarantine"],))


def _unknown(read: Read) -> Section:
    rows = facts(read.rows["unknown"])
    intro = (
        "Unknown is never counted as zero: it is left out of a sum, and counted here. Amounts of different currencies "
        "are never added. Values include the broker's accruals where the broker told the value, and not where the "
        "ledger computed it. This is bookkeeping, not tax advice."
    )
    table = ReportTable("unknown", "What the numbers do not know", rows, "nothing that this page knows of")
    return Section(
        "unknown", "What the numbers are not", intro, tables=(table, read.tables["totals"], read.tables["sums"])
    )
