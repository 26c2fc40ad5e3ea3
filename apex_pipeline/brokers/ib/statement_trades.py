"""The sections of a statement that tell executions: trades at every level, confirmations, and parts of executions."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from apex_pipeline.brokers.ib.statement_books import AccountBooks, Mark
from apex_pipeline.brokers.ib.statement_format import Pen
from apex_pipeline.brokers.ib.statement_ledger import Entry
from apex_pipeline.brokers.ib.statement_levels import (
    CONFIRM_ATTRIBUTES,
    TAX_ATTRIBUTES,
    UNBUNDLED_ATTRIBUTES,
    asset_summary_values,
    closed_lot_values,
    confirm_values,
    conversion_confirm_values,
    conversion_values,
    symbol_summary_values,
    tax_values,
    unbundled_values,
    within,
)
from apex_pipeline.brokers.ib.statement_rows import (
    EAE_ATTRIBUTES,
    TRADE_ATTRIBUTES,
    event_values,
    execution_values,
    order_values,
)
from apex_pipeline.brokers.scenario import Contract, Event, Fill


@dataclass(frozen=True, slots=True)
class TradeSections:
    """Writes these sections; without `all_levels` executions only. `mark` is the price at the close of a day."""

    pen: Pen
    mark: Mark
    all_levels: bool

    def trades(self, books: AccountBooks, first: date, last: date, spoiled: int | None) -> Iterator[str]:
        """Executions; with all levels the sums first, each order's row before it, closed lots behind it.

        `spoiled`: the transaction whose price is no number.
        """
        entries = books.entries_between(first, last)
        rows = [execution_values(entry, self._close(entry)) for entry in entries]
        orders = self._orders(entries) if self.all_levels else {}
        if self.all_levels:
            yield from self._summaries(entries, rows)
        for entry, values in zip(entries, rows, strict=True):
            number = entry.move.order.number if entry.move.order else None
            own = orders.pop(number, None) if number is not None else None
            if own:
                yield self.pen.row("Order", TRADE_ATTRIBUTES, order_values(own, self._close(own[0])))
            spoil = {"tradePrice": "abc"} if entry.move.transaction_id == spoiled else {}
            yield self.pen.row("Trade", TRADE_ATTRIBUTES, values | spoil)
            for piece in entry.closed if self.all_levels else ():
                yield self.pen.row("Lot", TRADE_ATTRIBUTES, closed_lot_values(entry, piece))
        for deal in within(books.conversions, first, last):
            if self.all_levels:
                yield self.pen.row("Order", TRADE_ATTRIBUTES, conversion_values(deal, "ORDER"))
            yield self.pen.row("Trade", TRADE_ATTRIBUTES, conversion_values(deal))

    def _orders(self, entries: Sequence[Entry]) -> dict[int, list[Entry]]:
        """The executions of each order as they were filled, without what was taken back or booked again later."""
        by_order: dict[int, list[Entry]] = defaultdict(list)
        for entry in entries:
            move = entry.move
            if move.order and move.cancels is None and move.rebooks is None:
                by_order[move.order.number].append(entry)
        return by_order

    def _summaries(self, entries: Sequence[Entry], rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
        by_class: dict[str, list[Entry]] = defaultdict(list)
        by_symbol: dict[tuple[int, str], tuple[Contract, list[Mapping[str, str]]]] = {}
        for entry, row in zip(entries, rows, strict=True):
            contract = entry.move.source.contract
            by_class[row["assetCategory"]].append(entry)
            by_symbol.setdefault((contract.conid, row["buySell"]), (contract, []))[1].append(row)
        for members in by_class.values():
            yield self.pen.row("AssetSummary", TRADE_ATTRIBUTES, asset_summary_values(members))
        for contract, members in by_symbol.values():
            yield self.pen.row("SymbolSummary", TRADE_ATTRIBUTES, symbol_summary_values(contract, members))

    def confirms(self, books: AccountBooks, first: date, last: date) -> Iterator[str]:
        """Trade confirmations; a cancel is no confirmation, its rebook is."""
        for entry in books.entries_between(first, last):
            if isinstance(entry.move.source, Fill) and entry.move.cancels is None:
                yield self.pen.row("TradeConfirm", CONFIRM_ATTRIBUTES, confirm_values(entry))
        for deal in within(books.conversions, first, last):
            yield self.pen.row("TradeConfirm", CONFIRM_ATTRIBUTES, conversion_confirm_values(deal))

    def _close(self, entry: Entry) -> Decimal:
        """The close of the trade's day; of the day of its report where it takes back or repeats an older one."""
        move = entry.move
        late = move.cancels is not None or move.rebooks is not None
        return self.mark(move.source.contract, move.report_date if late else move.source.trade_date)

    def of_executions(self, entries: Sequence[Entry], *, single_day: bool) -> Iterator[str]:
        """Sections about parts of executions; IB breaks commissions down in statements of a single day only."""
        traded = [e for e in entries if isinstance(e.move.source, Fill) and e.move.cancels is None]
        charged = [e for e in traded if e.move.commission and single_day]
        yield from self.pen.rows("UnbundledCommissionDetails", "UnbundledCommissionDetail", UNBUNDLED_ATTRIBUTES,
                              map(unbundled_values, charged))  # fmt: skip
        yield from self.pen.rows("TransactionTaxes", "TransactionTax", TAX_ATTRIBUTES,
                              (tax_values(e) for e in traded if e.move.taxes))  # fmt: skip
        ended = [e for e in entries if isinstance(e.move.source, Event)]
        yield from self.pen.rows(
            "OptionEAE", "OptionEAE", EAE_ATTRIBUTES, (event_values(e, self._close(e)) for e in ended)
        )
