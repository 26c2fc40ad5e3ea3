"""Every section of a statement beside orders, trades and fees, as rows: which section goes where. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from apex_pipeline.brokers.ib import section_rows
from apex_pipeline.brokers.ib.balances import Worth, balances_of, worth_of
from apex_pipeline.brokers.ib.cash import conversion_legs, movement_of
from apex_pipeline.brokers.ib.fee_parts import check_part
from apex_pipeline.brokers.ib.figures import FIGURE_SECTIONS, FIGURE_TAGS, figures_of
from apex_pipeline.brokers.ib.positions import positions_of
from apex_pipeline.brokers.ib.query import gaps_of
from apex_pipeline.brokers.ib.rows import Row, read_each, reject_of, section_of
from apex_pipeline.brokers.ib.securities import Instruments, is_placed, named, without_name
from apex_pipeline.brokers.ib.symbols import Named
from apex_pipeline.brokers.ib.times import UNDECIDED
from apex_pipeline.brokers.ib.told import DATES_MARK, QUERY
from apex_pipeline.brokers.ib.unnumbered import content_of_line, is_unnumbered
from apex_pipeline.domain.models import Instrument
from apex_pipeline.domain.records import Normalized, Record, RecordKind, Reject
from apex_pipeline.domain.statements import BrokerFigures
from apex_pipeline.errors import UnknownPayload

_TWS = "TWS"
_Fact = TypeVar("_Fact")


def add_sections(records: Sequence[Record], result: Normalized) -> None:
    """Add the rows of all other sections to `result`, which holds trades and their rejects already.

    `records`: one version per key; those of orders, trades and fees may be among them. The result does not depend on
    their order. Instruments that trades told are only enriched. A conversion of currencies that was refused as a
    trade moves no cash.
    """
    ordered = sorted(records, key=lambda one: (one.kind, one.account_id, len(one.key), one.key))
    reading = _Reading(result)
    told = [one for one in ordered if one.kind in _READ and one.payload.get("_source") != _TWS]
    for record in told:
        reading.take(record)
    reports = [one for one in told if one.kind is RecordKind.BALANCES]
    reading.balances(reports, worth_of(told))
    reading.finish()
    _add_conversions([one for one in ordered if one.kind is RecordKind.TRADES], result)


def _add_conversions(trades: Iterable[Record], result: Normalized) -> None:
    refused = {(one.account_id, one.key) for one in result.rejects if one.kind == RecordKind.TRADES}
    for record in trades:
        if (record.account_id, record.key) in refused:
            continue
        try:
            result.cash_movements.extend(list(conversion_legs(record)))
        except UnknownPayload as error:
            result.rejects.append(replace(reject_of(record, error), key=f"{record.key}#cash"))


@dataclass(slots=True)
class _Reading:
    """Rows on their way into the result, and the instruments they name, by how much each section knows of them."""

    result: Normalized
    masters: list[Instrument] = field(default_factory=list[Instrument])
    holdings: list[Instrument] = field(default_factory=list[Instrument])
    mentions: list[Instrument] = field(default_factory=list[Instrument])
    figure_uids: set[str] = field(default_factory=set[str])
    line_uids: set[str] = field(default_factory=set[str])
    equal_lines: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    def take(self, record: Record) -> None:
        """Read one record; rows that cannot be read become rejects."""
        if section_of(record) == QUERY:
            self.result.statements.query_gaps.extend(gaps_of(record))
        elif record.kind is RecordKind.POSITIONS:
            positions, lots, instruments = positions_of(record, self.result.rejects)
            self.result.positions.extend(positions)
            self.result.statements.broker_lots.extend(lots)
            self.holdings.extend(instruments)
        else:
            read_each(record, self._reader(record), self.result.rejects)

    def balances(self, reports: Sequence[Record], worth: Worth) -> None:
        """The cash reports as balances; rows that are refused as figures already are refused once."""
        refused = {(one.account_id, one.key) for one in self.result.rejects}
        rejects: list[Reject] = []
        self.result.balances.extend(balances_of(reports, worth, rejects))
        self.result.rejects.extend(one for one in rejects if (one.account_id, one.key) not in refused)

    def finish(self) -> None:
        """The instruments of all rows: what trades told stands, then SecuritiesInfo, positions and the rest."""
        instruments = Instruments()
        instruments.add_all(self.result.instruments)
        for told in (self.masters, self.holdings, self.mentions):
            instruments.add_all(told)
        self.result.instruments[:] = instruments.by_symbol.values()
        events = self.result.statements.option_events
        events[:] = section_rows.joined(events)

    def _reader(self, record: Record) -> Callable[[Row], None]:
        section = section_of(record)
        if record.kind is RecordKind.CASH:
            return self._cash
        if record.kind is RecordKind.BALANCES or section in FIGURE_SECTIONS:
            return self._figures
        return self._by_tag if section in ("Trades", "Trade") else self._by_section

    def _by_tag(self, row: Row) -> None:
        if row.tag == "Lot" or (row.told.text("levelOfDetail") or "").upper() == "CLOSED_LOT":
            lot, about = section_rows.closed_lot(row)
            self.result.statements.broker_closed_lots.append(lot)
            self.mentions.append(about.instrument)
        elif row.tag in FIGURE_TAGS:
            self._figures(row)

    def _by_section(self, row: Row) -> None:
        facts = self.result.statements
        match row.section:
            case "StmtFunds":
                self._line_of_funds(row)
            case "ConversionRates":
                facts.conversion_rates.append(section_rows.conversion_rate(row))
            case "SecuritiesInfo":
                self._master(row)
            case "CashTransactions":
                self._figures(row)
            case "UnbundledCommissionDetails" | "TransactionTaxes" | "TransactionFees":
                check_part(row)
            case _:
                self._of_contracts(row)

    def _line_of_funds(self, row: Row) -> None:
        """A line under its own key, or the key of its day with its content and its number among equal lines.

        A line without an id that stands under the days of its statement was kept so before days were: its day tells it.
        """
        order = row.told.payload.get(DATES_MARK, UNDECIDED)
        uid = row.uid
        if row.number is not None:
            content = content_of_line(row.told.payload, order)
            self.equal_lines[uid, content] += 1
            uid = f"{uid}:{content}#{self.equal_lines[uid, content]}"
        elif row.days[0] and is_unnumbered(row.section, row.tag, row.told.payload, order):
            return
        line = section_rows.funds_line(row, uid)
        if uid not in self.line_uids:
            self.line_uids.add(uid)
            self.result.statements.broker_funds.append(line)

    def _of_contracts(self, row: Row) -> None:
        """Events of contracts; a row of any other section stays as it came, in its raw table."""
        facts = self.result.statements
        match row.section:
            case "CorporateActions":
                self._mention(*section_rows.corporate_action(row), facts.corporate_actions, has_name=False)
            case "Transfers":
                self._mention(*section_rows.transfer(row), facts.transfers, has_name=False)
            case "TradeTransfers":
                self._mention(*section_rows.trade_transfer(row), facts.transfers)
            case "ChangeInDividendAccruals":
                self._mention(*section_rows.dividend_accrual(row), facts.dividend_accruals)
            case "OptionEAE":
                self._mention(*section_rows.option_event(row), facts.option_events)
            case _:
                return

    def _mention(self, fact: _Fact, about: Named | None, into: list[_Fact], *, has_name: bool = True) -> None:
        into.append(fact)
        if about is not None:
            self.mentions.append(about.instrument if has_name else without_name(about.instrument))

    def _master(self, row: Row) -> None:
        about = named(row.told)
        if about is not None and is_placed(row.told, about):
            self.masters.append(about.instrument)

    def _cash(self, row: Row) -> None:
        self.result.cash_movements.append(movement_of(row))

    def _figures(self, row: Row) -> None:
        figures = figures_of(row)
        self.result.statements.broker_figures.append(_numbered(figures, self.figure_uids))


def _numbered(figures: BrokerFigures, taken: set[str]) -> BrokerFigures:
    """The figures under a uid of their own: a section may tell two rows of one thing."""
    uid, number = figures.figures_uid, 1
    while uid in taken:
        number += 1
        uid = f"{figures.figures_uid}#{number}"
    taken.add(uid)
    return replace(figures, figures_uid=uid)


_READ = frozenset({RecordKind.SECTIONS, RecordKind.CASH, RecordKind.POSITIONS, RecordKind.BALANCES})
