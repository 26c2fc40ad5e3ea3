"""One statement document as a delivery: its records, the days it covers, and what the person should know.

The web service and files on disk come through the same door.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from apex_pipeline.brokers.ib.flex import Element, FlexReader, Statement
from apex_pipeline.brokers.ib.flex_client import Window
from apex_pipeline.brokers.ib.records import Collector, generated_at
from apex_pipeline.brokers.ib.sections import KNOWN_SECTIONS
from apex_pipeline.brokers.ib.times import BLANKS, UNDECIDED, date_of, instant_of, order_within, slash_order
from apex_pipeline.brokers.ib.vocabulary import TRADE_LEVELS, TRADE_ROWS
from apex_pipeline.domain.records import ALL_MARKETS, Covered, Delivery, Document, Record, RecordKind
from apex_pipeline.errors import UnknownPayload

DATA_TYPE = "ib_flex"
INTERFACE = "flex"
_TRADES = "Trades"
_SATURDAY = 5
_DAY = timedelta(days=1)


def deliver(content: bytes, request: Mapping[str, Any], received_at: datetime, asked: Window | None = None) -> Delivery:
    """Everything one Flex document tells. `asked` None: a file, which covers the days it names.

    UnknownPayload if the document as a whole cannot be read (see `flex.FlexReader`).
    """
    reading = _read(content, asked)
    collector = reading.collector
    covered = [item for account in reading.accounts() for item in reading.covered(account, asked)]
    written = [stamp for item in reading.reader.statements if (stamp := generated_at(item, collector.order))]
    document = Document(INTERFACE, request, content, "application/xml", received_at, max(written, default=None))
    notes = [*reading.notes(), *(reading.gaps(asked, covered) if asked else ())]
    return Delivery((document,), collector.records, collector.rejects, covered, list(dict.fromkeys(notes)))


@dataclass(slots=True)
class _Reading:
    """One pass over a document."""

    reader: FlexReader
    collector: Collector
    sections: Counter[str] = field(default_factory=Counter[str])
    present: set[tuple[int, str]] = field(default_factory=set[tuple[int, str]])
    levels: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    def take(self, element: Element) -> None:
        self.collector.add(element)
        self.present.add((element.statement.number, element.section))
        if element.tag != element.section or element.attributes:
            self.sections[element.section] += 1
        if element.section == _TRADES and element.tag != _TRADES:
            self.levels[(element.tag, element.attributes.get("levelOfDetail", "").strip())] += 1

    def accounts(self) -> list[str]:
        return sorted({item.account_id for item in self.reader.statements if item.account_id})

    def lacks_executions(self, statement: Statement) -> bool:
        """True if this statement shows trades at another level than the one that is loaded."""
        read, number = self.collector.read, statement.number
        if read[(number, RecordKind.TRADES)]:
            return False
        return bool(read[(number, RecordKind.ORDERS)]) or (number, "TradeConfirms") in self.present

    def covered(self, account: str, asked: Window | None) -> Iterable[Covered]:
        days = _statement_days(self.reader.statements, account, self.collector.order, self.lacks_executions)
        days = _with_weekends(days, asked) if asked else days
        own = [record for record in self.collector.records if record.account_id == account]
        for first, last in _runs(days):
            inside = [record for record in own if first <= record.business_date <= last]
            newest = max(filter(None, map(_executed_at, inside)), default=None)
            yield Covered(account, DATA_TYPE, ALL_MARKETS, first, last, len(inside), newest)

    def notes(self) -> Iterable[str]:
        statements = self.reader.statements
        declared = self.reader.declared_counts
        if not statements:
            yield "the answer holds no statement"
        if any(count.strip() != str(len(statements)) for count in declared[:1]):
            yield f"the document declares {declared[0]!r} statements and holds {len(statements)}; all were read"
        yield from self._unknown_parts()
        if self.collector.without_id:
            yield (
                f"{self.collector.without_id} rows have no transactionID or ibOrderID and are kept by their content: "
                "add these fields to the Flex query"
            )
        for statement in statements:
            yield from self._statement_notes(statement)

    def _unknown_parts(self) -> Iterable[str]:
        """Sections, and rows of the trades, that no rule knows and no record carries."""
        for section in sorted({name for _, name in self.present} - KNOWN_SECTIONS):
            count = self.sections[section]
            rows = f"its {count} rows stay in the document and are not loaded" if count else "it is empty"
            yield f"section {section} is new: {rows}"
        for (tag, level), count in sorted(self.levels.items()):
            if tag == "Order" or (tag in TRADE_ROWS and (level in BLANKS or level.upper() in TRADE_LEVELS)):
                continue
            named = f"{tag} of level {level}" if level else tag
            yield f"{named[:120]} is new in Trades: its {count} rows stay in the document and are not loaded"

    def _statement_notes(self, statement: Statement) -> Iterable[str]:
        account = statement.account_id or "of no account"
        if self.lacks_executions(statement):
            yield (
                f"the statement {account} has no executions, only orders or confirmations, so its days stay open: "
                "add Trades with level Execution to the Flex query"
            )
        elif not {(statement.number, _TRADES), (statement.number, "Trade")} & self.present:
            yield f"the statement {account} has no Trades section: if trades are expected, add it to the Flex query"
        if _window_of(statement, self.collector.order) is None:
            yield f"the statement {account} does not say its days (fromDate, toDate), so none counts as loaded"

    def gaps(self, asked: Window, covered: Sequence[Covered]) -> Iterable[str]:
        """One sentence for each account whose statement leaves asked days out."""
        for account in self.accounts():
            own = [item for item in covered if item.account_id == account]
            told = {day for item in own for day in _span(item.from_date, item.to_date)}
            missing = [day for day in _span(asked.from_date, asked.to_date) if day not in told]
            if told and all(day.weekday() >= _SATURDAY for day in missing):
                continue
            if missing:
                runs = ", ".join(f"{first}..{last}" for first, last in _runs(set(missing)))
                yield f"account {account}: asked for {asked}, but the answer does not cover {runs}"


def _read(content: bytes, asked: Window | None) -> _Reading:
    order = slash_order(content)
    if order == UNDECIDED and asked is not None:
        order = _order_of_window(content, asked)
    reading = _Reading(FlexReader(content), Collector(order))
    for element in reading.reader:
        reading.take(element)
    return reading


def _order_of_window(content: bytes, asked: Window) -> str:
    """Where no slashed date proves its order: the one that puts the statements inside the asked days."""
    if b"/" not in content:
        return UNDECIDED
    reader = FlexReader(content)
    for _ in reader:
        pass
    named = [item.attributes.get(name, "") for item in reader.statements for name in ("fromDate", "toDate")]
    return order_within(named, asked.from_date, asked.to_date)


def _window_of(statement: Statement, order: str) -> Window | None:
    try:
        first = date_of(statement.attributes.get("fromDate"), order)
        last = date_of(statement.attributes.get("toDate"), order)
    except UnknownPayload:
        return None
    return Window(first, last) if first and last and first <= last else None


def _statement_days(
    statements: Sequence[Statement], account: str, order: str, skip: Callable[[Statement], bool]
) -> set[date]:
    windows = [_window_of(item, order) for item in statements if item.account_id == account and not skip(item)]
    return {day for window in windows if window for day in _span(window.from_date, window.to_date)}


def _with_weekends(days: set[date], asked: Window) -> set[date]:
    """The asked days among `days`, and the weekends that only touch covered days or the edge of the window.

    Statements of business days leave weekends out, on which nothing can have traded.
    """
    inside = {day for day in _span(asked.from_date, asked.to_date) if day in days}
    if not inside:
        return inside
    for first, last in _runs({day for day in _span(asked.from_date, asked.to_date) if day not in inside}):
        before, after = first - _DAY, last + _DAY
        only_weekend = all(day.weekday() >= _SATURDAY for day in _span(first, last))
        if only_weekend and (before in inside or after in inside):
            inside.update(_span(first, last))
    return inside


def _executed_at(record: Record) -> datetime | None:
    try:
        return instant_of(record.payload.get("dateTime"), record.payload.get("_dates", UNDECIDED))
    except UnknownPayload:
        return None


def _span(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _runs(days: Iterable[date]) -> list[tuple[date, date]]:
    """Consecutive days as (first, last)."""
    runs: defaultdict[int, list[date]] = defaultdict(list)
    for position, day in enumerate(sorted(days)):
        runs[day.toordinal() - position].append(day)
    return [(run[0], run[-1]) for run in runs.values()]
