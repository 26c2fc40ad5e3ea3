"""Flex statements of a scenario: XML text in IB's own attribute sets, signs and time zone.

One `FlexStatement` per account, or per account and weekday. The window selects by report date, as IB's statements do;
positions are those of the window's last day. Which sections a statement has, and in which order, stands here.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import final

from apex_pipeline.brokers.ib.statement_books import AccountBooks
from apex_pipeline.brokers.ib.statement_cash import cash_facts, lines_of
from apex_pipeline.brokers.ib.statement_extras import conversions, reversals
from apex_pipeline.brokers.ib.statement_format import NEW_YORK, Pen
from apex_pipeline.brokers.ib.statement_funds import (
    ACCRUAL_ATTRIBUTES,
    CASH_TRANSACTION_ATTRIBUTES,
    FUNDS_ATTRIBUTES,
    OPEN_ACCRUAL_ATTRIBUTES,
    TRANSFER_ATTRIBUTES,
    accrual_rows,
    cash_transaction_rows,
    funds_rows,
    open_accrual_rows,
    transfer_rows,
)
from apex_pipeline.brokers.ib.statement_ledger import Entry, Ledger, Position, moves_of
from apex_pipeline.brokers.ib.statement_rates import weekdays
from apex_pipeline.brokers.ib.statement_rows import (
    POSITION_ATTRIBUTES,
    SECURITY_ATTRIBUTES,
    contract_values,
    open_lot_values,
    position_values,
)
from apex_pipeline.brokers.ib.statement_sums import (
    CASH_ATTRIBUTES,
    EQUITY_ATTRIBUTES,
    GAIN_ATTRIBUTES,
    NAV_ATTRIBUTES,
    PRIOR_ATTRIBUTES,
    RATE_ATTRIBUTES,
    cash_rows,
    equity_rows,
    gain_rows,
    nav_values,
    prior_rows,
    rate_rows,
)
from apex_pipeline.brokers.ib.statement_trades import TradeSections
from apex_pipeline.brokers.scenario import Contract, Scenario
from apex_pipeline.brokers.scenario_market import mark_price
from apex_pipeline.domain.models import Broker

LEVELS = ("all", "executions")
"""Every level that a section can show, or only executions, details and whole positions."""


@dataclass(slots=True)
class _Cursor:
    """The positions of one account, moved forward from statement to statement."""

    books: AccountBooks
    ledger: Ledger
    booked: int = 0

    def held(self, day: date) -> list[Position]:
        """What is open at the end of a day, which must not be before the last one asked for."""
        entries = self.books.entries
        while self.booked < len(entries) and entries[self.booked].move.report_date <= day:
            _ = self.ledger.book(entries[self.booked].move)
            self.booked += 1
        return [position for position in self.ledger.positions.values() if position.lots]


@dataclass(frozen=True, slots=True)
class _Window:
    """What one statement is about."""

    first: date
    last: date
    spoiled: int | None


@final
class StatementWriter:
    """Renders statements of all IB accounts of a scenario.

    `extras` adds currency conversions and a cancelled and rebooked purchase, which the scenario does not count.
    `dates` is one of `statement_format.FORMATS`, `levels` one of `LEVELS`; `breakout_by_day` makes a statement of each
    weekday. `malformed_id` is the transaction that can be spoiled.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        extras: bool = False,
        dates: str = "compact",
        levels: str = "all",
        breakout_by_day: bool = False,
    ) -> None:
        if levels not in LEVELS:
            raise ValueError(f"levels must be one of {', '.join(LEVELS)}, not {levels!r}")
        self._scenario = scenario
        self._pen = Pen(dates)
        self._all_levels = levels == "all"
        self._by_day = breakout_by_day
        self._marks: dict[tuple[int, date], Decimal] = {}
        moves = moves_of(scenario)
        middle = moves[len(moves) // 2 :]
        self.malformed_id = next((m.transaction_id for m in middle if m.order), 0)
        self._trades = TradeSections(self._pen, self._mark, self._all_levels)
        self._books = self._opened(scenario, extras=extras)

    def render(self, from_date: date, to_date: date, generated_at: datetime, *, malformed: bool = False) -> bytes:
        """One response with a statement per account; `malformed` spoils the price of one trade."""
        spoiled = self.malformed_id if malformed else None
        windows = [_Window(first, last, spoiled) for first, last in self._windows(from_date, to_date)]
        statements: list[str] = []
        for books in self._books:
            cursor = _Cursor(books, Ledger())
            for window in windows:
                sections = self._sections(cursor, window)
                statements.append(self._statement(books.account, window, generated_at, sections))
        return _response("AF", "apex", statements)

    def render_confirms(self, from_date: date, to_date: date, generated_at: datetime) -> bytes:
        """One response of a Trade Confirmation query: executions only, as they were confirmed on the day."""
        window = _Window(from_date, to_date, None)
        statements: list[str] = []
        for books in self._books:
            rows = self._pen.section("TradeConfirms", self._trades.confirms(books, from_date, to_date))
            statements.append(self._statement(books.account, window, generated_at, rows))
        return _response("TCF", "apex confirms", statements)

    def _opened(self, scenario: Scenario, *, extras: bool) -> list[AccountBooks]:
        """The books of each account, everything in the order in which it was reported."""
        moves = moves_of(scenario)
        moves += reversals(scenario, moves) if extras else []
        moves.sort(key=lambda move: (move.report_date, move.place))
        ledger = Ledger()
        entries: dict[str, list[Entry]] = defaultdict(list)
        for move in moves:
            entries[move.account_id].append(ledger.book(move))
        deals, facts = conversions(scenario) if extras else [], cash_facts(scenario)
        books: list[AccountBooks] = []
        for account in scenario.accounts[Broker.IB]:
            own_deals = [deal for deal in deals if deal.account_id == account]
            own_facts = [fact for fact in facts if fact.account_id == account]
            books.append(
                AccountBooks(
                    account,
                    entries=entries[account],
                    lines=lines_of(entries[account], own_deals, own_facts),
                    conversions=own_deals,
                    facts=own_facts,
                    days=(scenario.start, scenario.end),
                    mark=self._mark,
                )
            )
        return books

    def _windows(self, first: date, last: date) -> list[tuple[date, date]]:
        days = weekdays(first, last) if self._by_day else []
        return [(day, day) for day in days] or [(first, last)]

    def _statement(self, account: str, window: _Window, at: datetime, sections: Iterable[str]) -> str:
        values = {
            "accountId": account, "fromDate": f"{window.first:%Y%m%d}", "toDate": f"{window.last:%Y%m%d}",
            "period": "", "whenGenerated": f"{at.astimezone(NEW_YORK):%Y%m%d;%H%M%S}",
        }  # fmt: skip
        opened = f"<FlexStatement {self._pen.attributes(list(values), values)}>"
        return "\n".join((opened, *sections, "</FlexStatement>"))

    def _sections(self, cursor: _Cursor, window: _Window) -> Iterator[str]:
        pen, books, first, last = self._pen, cursor.books, window.first, window.last
        prior = [(p.contract, p.qty) for p in cursor.held(date.fromordinal(first.toordinal() - 1))]
        positions = cursor.held(last)
        entries = books.entries_between(first, last)
        facts = [line.fact for line in books.lines_between(first, last) if line.fact is not None]
        gains = gain_rows(books.account, entries, positions, last, self._mark)
        yield pen.row("AccountInformation", _ACCOUNT_ATTRIBUTES, _account_information(books.account))
        yield from pen.rows("EquitySummaryInBase", "EquitySummaryByReportDateInBase", EQUITY_ATTRIBUTES,
                              equity_rows(books, first, last))  # fmt: skip
        yield pen.row("ChangeInNAV", NAV_ATTRIBUTES, nav_values(books, first, last))
        yield from pen.rows("CashReport", "CashReportCurrency", CASH_ATTRIBUTES, cash_rows(books, first, last))
        yield from pen.rows("StmtFunds", "StatementOfFundsLine", FUNDS_ATTRIBUTES, funds_rows(books, first, last))
        yield from pen.rows("FIFOPerformanceSummaryInBase", "FIFOPerformanceSummaryUnderlying", GAIN_ATTRIBUTES, gains)
        yield from pen.section("OpenPositions", self._open_positions(books, positions, last))
        yield from pen.rows("PriorPeriodPositions", "PriorPeriodPosition", PRIOR_ATTRIBUTES,
                              prior_rows(books.account, prior, first, self._mark))  # fmt: skip
        yield from pen.section("Trades", self._trades.trades(books, first, last, window.spoiled))
        yield from self._trades.of_executions(entries, single_day=first == last)
        yield from pen.rows("CashTransactions", "CashTransaction", CASH_TRANSACTION_ATTRIBUTES,
                              cash_transaction_rows(facts, summaries=self._all_levels))  # fmt: skip
        yield from pen.section("CorporateActions", ())
        yield from pen.rows("Transfers", "Transfer", TRANSFER_ATTRIBUTES, transfer_rows(facts))
        yield from pen.section("UnsettledTransfers", ())
        yield from pen.rows("ChangeInDividendAccruals", "ChangeInDividendAccrual", ACCRUAL_ATTRIBUTES,
                              accrual_rows(books.facts, first, last))  # fmt: skip
        yield from pen.rows("OpenDividendAccruals", "OpenDividendAccrual", OPEN_ACCRUAL_ATTRIBUTES,
                              open_accrual_rows(books.open_accruals(last), last))  # fmt: skip
        contracts = {e.move.source.contract.conid: e.move.source.contract for e in entries}
        contracts |= {p.contract.conid: p.contract for p in positions}
        yield from pen.rows("SecuritiesInfo", "SecurityInfo", SECURITY_ATTRIBUTES,
                              map(contract_values, contracts.values()))  # fmt: skip
        yield from pen.rows("ConversionRates", "ConversionRate", RATE_ATTRIBUTES, rate_rows(first, last))

    def _open_positions(self, books: AccountBooks, positions: Sequence[Position], day: date) -> Iterator[str]:
        net, named = books.net(day), {"accountId": books.account}
        for position in positions:
            mark = self._mark(position.contract, day)
            yield self._pen.row("OpenPosition", POSITION_ATTRIBUTES, position_values(position, day, mark, net) | named)
            for lot in position.lots if self._all_levels else ():
                values = open_lot_values(position, lot, day, mark) | named
                yield self._pen.row("OpenPosition", POSITION_ATTRIBUTES, values)

    def _mark(self, contract: Contract, day: date) -> Decimal:
        key = (contract.conid, day)
        if key not in self._marks:
            self._marks[key] = mark_price(self._scenario.closes, contract, day)
        return self._marks[key]


_ACCOUNT_ATTRIBUTES = (
    "accountId", "acctAlias", "model", "currency", "name", "accountType", "customerType", "accountCapabilities",
    "tradingPermissions", "registeredRepName", "registeredRepPhone", "dateOpened", "dateFunded", "dateClosed",
    "masterName", "ibEntity", "primaryEmail", "lastTradedDate",
)  # fmt: skip


def _account_information(account: str) -> dict[str, str]:
    return {
        "accountId": account, "currency": "USD", "name": "Demo Trader", "accountType": "Individual",
        "customerType": "Individual", "accountCapabilities": "Margin", "tradingPermissions": "Stocks,Options",
        "dateOpened": "20190102", "dateFunded": "20190104",
    }  # fmt: skip


def _response(kind: str, name: str, statements: Sequence[str]) -> bytes:
    parts = [f'<FlexQueryResponse queryName="{name}" type="{kind}">', f'<FlexStatements count="{len(statements)}">']
    return "\n".join([*parts, *statements, "</FlexStatements>", "</FlexQueryResponse>", ""]).encode()
