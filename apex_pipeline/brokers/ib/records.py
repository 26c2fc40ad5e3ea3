"""A statement as records: under which kind, key and day each of its rows is kept.

EXECUTION rows of Trades are facts, ORDER rows are kept beside them, and every other row of every section has a
record of its own or a place in its section's snapshot. Payloads are the attributes as sent; names that begin with an
underscore are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from apex_pipeline.brokers.ib import layout
from apex_pipeline.brokers.ib.flex import Statement
from apex_pipeline.brokers.ib.identity import (
    day_of,
    execution_root,
    id_of,
    is_summary,
    level_of,
    text_of,
    window_subject,
)
from apex_pipeline.brokers.ib.row_keys import RowKeys
from apex_pipeline.brokers.ib.snapshots import query_record, snapshot_records
from apex_pipeline.brokers.ib.times import UNDECIDED, date_of
from apex_pipeline.brokers.ib.told import DATES_MARK, FROM, ROWS, SECTION, TAG, TO, Stamp, Told, begun
from apex_pipeline.brokers.ib.unnumbered import UnnumberedLines, content_of_line, is_unnumbered, line_key
from apex_pipeline.domain.records import Record, RecordKind, Reject
from apex_pipeline.errors import UnknownPayload

FEE_ATTRIBUTES = (
    "accountId", "transactionID", "tradeID", "ibExecID", "ibOrderID", "tradeDate", "dateTime", "reportDate",
    "transactionType", "notes", "currency", "ibCommission", "ibCommissionCurrency", "taxes", "symbol", "assetCategory",
)  # fmt: skip

_TRADES = frozenset({"Trades", "Trade", "Orders", "Order"})
_KINDS = {
    "CashTransactions": RecordKind.CASH,
    "TradeConfirms": RecordKind.PROVISIONAL,
    "Trade": RecordKind.TRADES,
    "Order": RecordKind.ORDERS,
}
"""What a row would have become, by section or else by element, for the quarantine."""

_TRADE_DAYS = ("tradeDate", "dateTime", "reportDate", "orderTime")
_CACHED_DAYS = 4096
_LOOKED_AT = 1000
"""Rows of a section whose attributes are noted one by one; after them only those of a row of another width."""
_LOT = "Lot"
_TRADE = RecordKind.TRADES
_EXECUTION = "EXECUTION"
_EXECUTIONS = frozenset({"", _EXECUTION})


Taker = Callable[[str, dict[str, str]], None]


@dataclass(slots=True)
class Collector:
    """Takes the parts of one document (see `flex.Sink`) and makes records of them.

    `ready` is emptied by whoever reads the document. `order`: how its slashed dates are read. `stamp`: when a
    statement that does not say so was written; None leaves that open.
    """

    order: str = UNDECIDED
    stamp: Stamp | None = None
    ready: list[Record] = field(default_factory=list[Record])
    rejects: list[Reject] = field(default_factory=list[Reject])
    told: list[Told] = field(default_factory=list[Told])
    keys: RowKeys = field(default_factory=RowKeys)
    query: dict[str, str] = field(default_factory=dict[str, str])
    _now: Told = field(init=False, repr=False)
    _section: str = ""
    _own: dict[str, str] | None = None
    _names: set[str] = field(default_factory=set[str])
    _widths: set[int] = field(default_factory=set[int])
    _looked_at: int = 0
    _take: Taker = field(init=False, repr=False)
    _accounts: dict[str | None, str] = field(default_factory=dict["str | None", str])
    _days: dict[str, date] = field(default_factory=dict[str, date])
    _snapshots: dict[str, list[dict[str, str]]] = field(default_factory=dict[str, "list[dict[str, str]]"])
    _unnumbered: UnnumberedLines = field(default_factory=UnnumberedLines)

    # what the reader calls ---------------------------------------------------------------------------------------

    def document(self, attributes: dict[str, str]) -> None:
        """The root element: name and type of the query."""
        self.query = attributes

    def begin(self, statement: Statement) -> None:
        """A statement begins."""
        self._now = begun(statement, self.order, self.stamp)
        self.told.append(self._now)
        self._snapshots.clear()
        self._unnumbered.clear()
        self.keys.order = self.order
        self.keys.begin(statement.account_id)
        self._accounts.clear()

    def section(self, name: str, attributes: dict[str, str]) -> None:
        """A section begins; one with attributes and without rows is its own only row."""
        self._close()
        self._section = name
        self._names = self._now.sections.setdefault(name, set())
        self._widths.clear()
        self._looked_at = 0
        self._take = self._trade if name in _TRADES else self._snapshot if name in layout.SNAPSHOTS else self._other
        if name in layout.SNAPSHOTS:
            self._snapshots.setdefault(name, [])
        self._own = attributes

    def row(self, tag: str, attributes: dict[str, str]) -> None:
        """One element; whatever is unreadable becomes a reject and blocks nothing."""
        self._own = None
        if len(attributes) not in self._widths or self._looked_at < _LOOKED_AT:
            self._widths.add(len(attributes))
            self._looked_at += 1
            self._names.update(attributes)
        try:
            self._take(tag, attributes)
        except UnknownPayload as error:
            self.rejects.append(self._reject(tag, attributes, error))

    def end(self) -> None:
        """The statement is over: its snapshots are whole, and what the query delivers is known."""
        self._close()
        for section, rows in self._snapshots.items():
            days = self._snapshot_days(section, rows)
            if days or not rows:  # rows that cannot be read are not an empty section
                self._keep_snapshots(section, days)
        for record in self._unnumbered.records(self._now, self.order):
            self.ready.append(record)
            self._now.records[record.account_id, record.business_date] += bool(record.payload[ROWS])
        query = query_record(self._now, self.query)
        self.ready.extend([query] if query else ())

    def _close(self) -> None:
        own, self._own = self._own, None
        if own:
            self.row(self._section, own)

    # rows --------------------------------------------------------------------------------------------------------

    def _trade(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "Trade" and (attributes.get("levelOfDetail") == _EXECUTION or level_of(attributes) in _EXECUTIONS):
            self._now.executions += 1
            self._execution(attributes)
        elif tag == "Order" or (tag == "Trade" and level_of(attributes) == "ORDER"):
            self._now.orders += 1
            key = id_of(attributes, "ibOrderID") or self.keys.of_fact(self._section, tag, attributes)
            self._add(
                RecordKind.ORDERS, key, self._trade_day(attributes), attributes, order_id=id_of(attributes, "ibOrderID")
            )
        else:
            self._other(tag, attributes)

    def _execution(self, attributes: dict[str, str]) -> None:
        """The row that matters most and comes most often: nothing here asks twice or calls what it can do without."""
        told, now = attributes.get, self._now
        day = self._days.get(told("tradeDate", "")) or self._trade_day(attributes)
        key = _own_id(attributes, "transactionID") or self.keys.of_fact(self._section, "Trade", attributes)
        account = self._accounts.get(told("accountId")) or self._account(attributes)
        payload: dict[str, Any] = attributes
        if self.order:
            payload[DATES_MARK] = self.order
        written = now.written_at or now.generated_at(day)
        record = Record(_TRADE, account, key, day, payload, _own_id(attributes, "ibOrderID"), written)
        self.ready.append(record)
        now.records[account, day] += 1
        if "ibCommission" in attributes or "taxes" in attributes:
            self.ready.append(self._fee(record, attributes))
        if day >= now.newest_day:
            moment = told("dateTime", "")
            now.newest = max(now.newest, moment) if day == now.newest_day else moment
            now.newest_day = day

    def _fee(self, trade: Record, attributes: dict[str, str]) -> Record:
        """The charges of an execution; a row may lack what others have."""
        payload: dict[str, Any] = {name: attributes[name] for name in FEE_ATTRIBUTES if name in attributes}
        if self.order:
            payload[DATES_MARK] = self.order
        key, day, order_id = trade.key, trade.business_date, trade.order_id
        return Record(RecordKind.FEES, trade.account_id, key, day, payload, order_id, trade.generated_at)

    def _snapshot(self, tag: str, attributes: dict[str, str]) -> None:
        self._count(tag, attributes)
        self._snapshots[self._section].append({**attributes, TAG: tag})

    def _other(self, tag: str, attributes: dict[str, str]) -> None:
        self._count(tag, attributes)
        if self._section == "CashTransactions" and level_of(attributes) != "SUMMARY":
            key = self.keys.of_booking(self._section, tag, attributes)
            self._add(RecordKind.CASH, key, self._day(attributes, layout.CASH_DAYS), attributes)
        elif tag == _LOT and self._section in _TRADES:
            self._snapshots.setdefault(_LOT, []).append({**attributes, TAG: tag})
        elif tag == "TradeConfirm" and level_of(attributes) in _EXECUTIONS:
            self._confirmation(tag, attributes)
        else:
            self._section_row(tag, attributes)

    def _confirmation(self, tag: str, attributes: dict[str, str]) -> None:
        """An execution that a statement has yet to confirm."""
        execution, day = id_of(attributes, "execID"), self._trade_day(attributes)
        own = execution or id_of(attributes, "tradeID") or self.keys.by_content(self._section, tag, attributes)
        marks = {**self._marks(tag), "_root": execution_root(execution or "")}
        order_id = id_of(attributes, "orderID")
        self._add(RecordKind.PROVISIONAL, f"confirm:{own}", day, attributes, order_id=order_id, marks=marks)

    def _section_row(self, tag: str, attributes: dict[str, str]) -> None:
        """A row of its own, or one that belongs to the days of its statement."""
        if tag == layout.LINE and self._is_kept_by_day(tag, attributes):
            return
        day = day_of(attributes, layout.DAYS, self.order)
        master = self._section in layout.MASTERS
        if not master and (day is None or is_summary(self._section, tag, attributes)):
            self._window_row(tag, attributes)
            return
        key = self.keys.of_row(self._section, tag, attributes)
        day = day or self._day(attributes, ())
        self._add(RecordKind.SECTIONS, key, day, attributes, marks=self._marks(tag))

    def _is_kept_by_day(self, tag: str, attributes: dict[str, str]) -> bool:
        """Keep a line of funds that has no id with its day; False for every other line."""
        account = self._account(attributes)
        self._unnumbered.see(account, attributes)
        if not is_unnumbered(self._section, tag, attributes, self.order):
            return False
        if not self._unnumbered.take(account, {**attributes, TAG: tag}, self._now, self.order):
            day = self._day(attributes, layout.DAYS)
            content = content_of_line(attributes, self.order)
            key = line_key(day, content, self.keys.number(f"{account}/{day}/{content}"))
            self._add(RecordKind.SECTIONS, key, day, attributes, marks=self._marks(tag))
        return True

    def _window_row(self, tag: str, attributes: dict[str, str]) -> None:
        """A row that sums up the days of its statement is told once for each window."""
        day = self._now.last_day or self._day(attributes, layout.DAYS)
        first = self._now.first_day(day)
        subject = window_subject(tag, attributes)
        key = f"{self._section}/{first}/{day}/{subject}#{self.keys.number(f'{self._section}/{subject}')}"
        marks = {**self._marks(tag), FROM: first.isoformat(), TO: day.isoformat()}
        self._add(RecordKind.SECTIONS, key, day, attributes, marks=marks)

    # records -----------------------------------------------------------------------------------------------------

    def _add(
        self,
        kind: RecordKind,
        key: str,
        day: date,
        attributes: dict[str, str],
        *,
        order_id: str | None = None,
        marks: dict[str, Any] | None = None,
    ) -> None:
        payload: dict[str, Any] = attributes
        if marks:
            payload.update(marks)
        if self.order:
            payload[DATES_MARK] = self.order
        now = self._now
        account = self._accounts.get(attributes.get("accountId")) or self._account(attributes)
        written = now.generated_at(day)
        self.ready.append(Record(kind, account, key, day, payload, order_id, written))
        now.records[account, day] += 1

    def _keep_snapshots(self, section: str, days: dict[tuple[str, date], list[dict[str, str]]]) -> None:
        for record in snapshot_records(section, days, self._now, self.order):
            self.ready.append(record)
            self._now.records[record.account_id, record.business_date] += 1

    def _snapshot_days(self, section: str, rows: list[dict[str, str]]) -> dict[tuple[str, date], list[dict[str, str]]]:
        """The rows of a section that is kept whole, by account and day."""
        named = layout.SNAPSHOTS[section].day
        days: dict[tuple[str, date], list[dict[str, str]]] = {}
        for row in rows:
            try:
                day = self._day(row, (named,) if named else ())
                days.setdefault((self._now.account_of(row), day), []).append(row)
            except UnknownPayload as error:
                self.rejects.append(self._reject(row[TAG], row, error))
        return days

    def _reject(self, tag: str, attributes: dict[str, str], error: UnknownPayload) -> Reject:
        kind = _KINDS.get(self._section if self._section in _KINDS else tag, RecordKind.SECTIONS)
        try:
            day = day_of(attributes, _TRADE_DAYS, self.order)
        except UnknownPayload:
            day = None
        key = self.keys.of_reject(kind, self._section, attributes)
        account = text_of(attributes, "accountId") or self._now.statement.account_id or None
        return Reject(kind, account, key, day, error.reason_code, str(error), dict(attributes))

    # parts of a record -------------------------------------------------------------------------------------------

    def _count(self, tag: str, attributes: dict[str, str]) -> None:
        self._now.rows[self._section, tag, attributes.get("levelOfDetail", "").strip()] += 1

    def _marks(self, tag: str) -> dict[str, Any]:
        return {SECTION: self._section, TAG: tag}

    def _account(self, attributes: dict[str, str]) -> str:
        account = self._now.account_of(attributes)
        self._accounts[attributes.get("accountId")] = account
        return account

    def _trade_day(self, attributes: dict[str, str]) -> date:
        day = day_of(attributes, _TRADE_DAYS, self.order)
        if day is None:
            reason = "the row has no tradeDate, dateTime or reportDate: add tradeDate to the query"
            raise UnknownPayload("missing_date", reason)
        text = attributes.get("tradeDate", "")
        if text and date_of(text, self.order) == day and len(self._days) < _CACHED_DAYS:
            self._days[text] = day
        return day

    def _day(self, attributes: dict[str, str], names: tuple[str, ...]) -> date:
        day = day_of(attributes, names, self.order) or self._now.last_day
        if day is None:
            raise UnknownPayload("missing_date", "neither the row nor its statement names a day")
        return day


def _own_id(attributes: dict[str, str], name: str) -> str | None:
    """As `id_of`, without its care where the text is plainly a number."""
    text = attributes.get(name, "")
    return text if text.isdigit() and text[0] != "0" else id_of(attributes, name)
