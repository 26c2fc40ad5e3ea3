"""One statement document as a delivery: its records, the days it covers, and what the person should know.

The web service and files on disk come through the same door. Records are made while they are read, so that a
statement of any size needs little memory; what they add up to is known when the last one was read.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any

from apex_pipeline.brokers.ib.coverage import accounts_of, covered, gaps, has_trades, lacks_executions
from apex_pipeline.brokers.ib.flex import FlexReader, Ignored
from apex_pipeline.brokers.ib.flex_client import Window
from apex_pipeline.brokers.ib.identity import window_of
from apex_pipeline.brokers.ib.records import Collector
from apex_pipeline.brokers.ib.sections import KNOWN_SECTIONS
from apex_pipeline.brokers.ib.times import BLANKS, NEW_YORK, UNDECIDED, has_slashes, order_within, slash_order
from apex_pipeline.brokers.ib.told import Told
from apex_pipeline.brokers.ib.vocabulary import TRADE_LEVELS, TRADE_ROWS
from apex_pipeline.domain.records import Content, Covered, Document, Record, Reject
from apex_pipeline.errors import UnknownPayload

INTERFACE = "flex"
_TRADES = "Trades"
_STATEMENT = re.compile(rb"<FlexStatement\b[^>]*>")
_DAYS = re.compile(rb"\b(fromDate|toDate)\s*=\s*[\"']([^\"']*)[\"']")
_LONGEST_TAG = 65_536
_HEAD = 4
"""Chunks that tell how a document writes its dates."""


@dataclass(slots=True)
class FlexDelivery:
    """Everything one Flex document tells (see `domain.records.Delivery`).

    `asked` None: a file, which covers the days it names. `stamp`: when a statement of a last day was written at the
    earliest, for those that do not say. `refused` makes of what is wrong with the document as a whole the error
    that whoever reads the records gets.
    """

    content: Content
    request: Mapping[str, Any]
    received_at: datetime
    asked: Window | None = None
    stamp: Callable[[date], datetime] | None = None
    refused: Callable[[UnknownPayload], Exception] = lambda error: error
    _collector: Collector = field(init=False)
    _reader: FlexReader = field(init=False)

    def __post_init__(self) -> None:
        self._collector = Collector(stamp=self.stamp)
        self._reader = FlexReader(self._collector)

    @property
    def records(self) -> Iterator[Record]:
        """The records in the order of the document; to be read once."""
        ready = self._collector.ready
        try:
            self._collector.order = _order_of(self.content, self.asked)
            for _ in self._reader.read(self.content.chunks()):
                yield from ready
                ready.clear()
        except UnknownPayload as error:
            raise self.refused(error) from None
        if not (self.days or self.rejects or any(told.window for told in self.told)):
            raise self.refused(UnknownPayload("nothing", "; ".join(self.notes) or "it holds nothing to load"))

    @property
    def documents(self) -> Sequence[Document]:
        """The document as it came, and when the newest of its statements was written."""
        written = max((told.written_at for told in self.told if told.written_at), default=None)
        return (Document(INTERFACE, self.request, self.content, "application/xml", self.received_at, written),)

    @property
    def rejects(self) -> Sequence[Reject]:
        """Rows that no rule can read."""
        return self._collector.rejects

    @property
    def covered(self) -> Sequence[Covered]:
        """The days that the statements tell of; a file, those of them that were over when it was written."""
        days = covered(self.told, self._collector.order, self.asked)
        last = self._last_known_day()
        return days if self.asked else [replace(d, to_date=min(d.to_date, last)) for d in days if d.from_date <= last]

    @property
    def days(self) -> set[date]:
        """First and last day of what was covered, and every day that a record or a reject belongs to."""
        days = {day for part in self.covered for day in (part.from_date, part.to_date)}
        days |= {day for told in self.told for _, day in told.records}
        return days | {reject.business_date for reject in self.rejects if reject.business_date}

    @property
    def notes(self) -> Sequence[str]:
        """What the person should know."""
        missed = gaps(self.asked, accounts_of(self.told), self.covered) if self.asked else self._beyond()
        return list(dict.fromkeys((*_notes(self._reader, self._collector), *missed)))

    def _beyond(self) -> Iterator[str]:
        last = self._last_known_day()
        if any(told.window and told.window[1] > last for told in self.told):
            yield f"the statement names days after {last}, which it cannot know yet: they do not count as loaded"

    def _last_known_day(self) -> date:
        """What a file can know at most: the day it was written, and the one before it was found."""
        written = self.documents[0].generated_at
        days = [self.received_at.astimezone(NEW_YORK).date() - timedelta(days=1)]
        return min([*days, written.astimezone(NEW_YORK).date()] if written else days)

    @property
    def told(self) -> Sequence[Told]:
        """What each statement told, in numbers."""
        return self._collector.told


def days_named(content: Content) -> tuple[date, date] | None:
    """First and last day that the statements of a document name, before it is read; None where none is plain."""
    order = _order_of(content, None)
    found: set[date] = set()
    rest = b""
    for chunk in content.chunks():
        rest += chunk
        for tag in _STATEMENT.finditer(rest):
            told = {name.decode(): text.decode("utf-8", "replace") for name, text in _DAYS.findall(tag[0])}
            found.update(window_of(told, order) or ())
        rest = rest[max(rest.rfind(b"<"), 0) :][-_LONGEST_TAG:]
    return (min(found), max(found)) if found else None


def _order_of(content: Content, asked: Window | None) -> str:
    """How the slashed dates of a document are read; where no date proves it, what puts its days inside the asked."""
    if not has_slashes(b"".join(islice(content.chunks(), _HEAD))):
        return UNDECIDED
    order = slash_order(content.chunks())
    if order != UNDECIDED or asked is None:
        return order
    reader = FlexReader(Ignored())
    for _ in reader.read(content.chunks()):
        pass
    named = [item.attributes.get(name, "") for item in reader.statements for name in ("fromDate", "toDate")]
    return order_within(named, asked.from_date, asked.to_date)


def _notes(reader: FlexReader, collector: Collector) -> Iterator[str]:
    declared = reader.declared_counts
    if not collector.told:
        yield "the answer holds no statement"
    if any(count.strip() != str(len(collector.told)) for count in declared[:1]):
        yield f"the document declares {declared[0]!r} statements and holds {len(collector.told)}; all were read"
    yield from _unknown_parts(collector)
    if collector.keys.without_id:
        yield (
            f"{collector.keys.without_id} rows have no transactionID or ibOrderID and are kept by their content: "
            "add these fields to the Flex query"
        )
    for told in collector.told:
        yield from _statement_notes(told)


def _unknown_parts(collector: Collector) -> Iterator[str]:
    """Sections, and rows of the trades, that no rule knows."""
    rows = sum((told.rows for told in collector.told), Counter[tuple[str, str, str]]())
    for section in sorted({name for told in collector.told for name in told.sections} - KNOWN_SECTIONS):
        count = sum(number for (name, _, _), number in rows.items() if name == section)
        yield f"section {section} is new: {f'its {count} rows are kept as they are' if count else 'it is empty'}"
    for (section, tag, level), count in sorted(rows.items()):
        known = tag == "Order" or (tag in TRADE_ROWS and (level in BLANKS or level.upper() in TRADE_LEVELS))
        if section == _TRADES and not known:
            named = f"{tag} of level {level}" if level else tag
            yield f"{named[:120]} is new in Trades: its {count} rows are kept as they are"


def _statement_notes(told: Told) -> Iterator[str]:
    account = told.statement.account_id or "of no account"
    if lacks_executions(told):
        yield (
            f"the statement {account} has no executions, only orders or confirmations, so its days stay open: "
            "add Trades with level Execution to the Flex query"
        )
    elif not has_trades(told):
        yield f"the statement {account} has no Trades section: if trades are expected, add it to the Flex query"
    if told.window is None:
        yield f"the statement {account} does not say its days (fromDate, toDate), so none counts as loaded"
