"""Flex statements of a scenario: XML text in IB's own attribute sets, signs and time zone.

One `FlexStatement` per account. The window selects by report date, as IB's statements do; positions are
those of the window's last day.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import final
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from apex_pipeline.brokers.ib.statement_ledger import Entry, Ledger, Position, moves_of
from apex_pipeline.brokers.ib.statement_rows import (
    EAE_ATTRIBUTES,
    POSITION_ATTRIBUTES,
    SECURITY_ATTRIBUTES,
    TRADE_ATTRIBUTES,
    contract_values,
    event_values,
    execution_values,
    fx_rate,
    number,
    order_values,
)
from apex_pipeline.brokers.scenario import Contract, Event, Scenario
from apex_pipeline.brokers.scenario_market import mark_price
from apex_pipeline.domain.models import Broker

NEW_YORK = ZoneInfo("America/New_York")
"""The zone of every time in a statement, whatever the venue."""

_SPECIAL = re.compile(r'[&<>"]')
_BLANK = ""


@final
class StatementWriter:
    """Renders statements of all IB accounts of a scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._moves = moves_of(scenario)
        ledger = Ledger()
        self._entries: dict[str, list[Entry]] = defaultdict(list)
        for move in self._moves:
            self._entries[move.account_id].append(ledger.book(move))
        self._marks: dict[tuple[int, date], Decimal] = {}
        middle = self._moves[len(self._moves) // 2 :]
        self.malformed_id = next(m.transaction_id for m in middle if m.order) if middle else 0

    def render(self, from_date: date, to_date: date, generated_at: datetime, *, malformed: bool = False) -> bytes:
        """One response with a statement per account; `malformed` spoils the price of one trade."""
        accounts = self._scenario.accounts[Broker.IB]
        window = f'fromDate="{from_date:%Y%m%d}" toDate="{to_date:%Y%m%d}" period=""'
        stamp = f'whenGenerated="{generated_at.astimezone(NEW_YORK):%Y%m%d;%H%M%S}"'
        parts = ['<FlexQueryResponse queryName="apex" type="AF">', f'<FlexStatements count="{len(accounts)}">']
        for account in accounts:
            parts.append(f'<FlexStatement accountId="{account}" {window} {stamp}>')
            parts += self._sections(account, from_date, to_date, malformed=malformed)
            parts.append("</FlexStatement>")
        parts += ["</FlexStatements>", "</FlexQueryResponse>", ""]
        return "\n".join(parts).encode()

    def _sections(self, account: str, from_date: date, to_date: date, *, malformed: bool) -> list[str]:
        entries = [e for e in self._entries[account] if from_date <= e.move.report_date <= to_date]
        positions = self._positions(account, to_date)
        contracts = {e.move.source.contract.conid: e.move.source.contract for e in entries}
        contracts |= {p.contract.conid: p.contract for p in positions}
        return [
            _account_information(account),
            *_section("OpenPositions", (self._position(account, p, to_date) for p in positions)),
            *_section("Trades", self._trades(entries, malformed=malformed)),
            *_section("OptionEAE", (self._exercise(e) for e in entries if isinstance(e.move.source, Event))),
            *_section("SecuritiesInfo", (_security(c) for c in contracts.values())),
        ]

    def _trades(self, entries: Sequence[Entry], *, malformed: bool) -> Iterable[str]:
        """Executions, each order's own row in front of them."""
        by_order: dict[int, list[Entry]] = defaultdict(list)
        for entry in entries:
            if entry.move.order:
                by_order[entry.move.order.number].append(entry)
        for entry in entries:
            mark = self._mark(entry.move.source.contract, entry.move.source.trade_date)
            own = by_order.pop(entry.move.order.number, None) if entry.move.order else None
            if own:
                yield _row("Order", TRADE_ATTRIBUTES, order_values(own, mark))
            values = execution_values(entry, mark)
            if malformed and entry.move.transaction_id == self.malformed_id:
                values["tradePrice"] = "abc"
            yield _row("Trade", TRADE_ATTRIBUTES, values)

    def _exercise(self, entry: Entry) -> str:
        mark = self._mark(entry.move.source.contract, entry.move.source.trade_date)
        return _row("OptionEAE", EAE_ATTRIBUTES, event_values(entry, mark))

    def _positions(self, account: str, day: date) -> list[Position]:
        ledger = Ledger()
        for entry in self._entries[account]:
            if entry.move.report_date <= day:
                _ = ledger.book(entry.move)
        return [p for p in ledger.positions.values() if p.lots]

    def _position(self, account: str, position: Position, day: date) -> str:
        contract, qty, basis = position.contract, position.qty, position.basis
        mark = self._mark(contract, day)
        units = qty * contract.multiplier
        values = {
            **contract_values(contract), "accountId": account, "fxRateToBase": fx_rate(contract),
            "reportDate": f"{day:%Y%m%d}", "position": number(qty), "markPrice": number(mark),
            "positionValue": number(units * mark), "openPrice": number(_per_unit(basis, units)),
            "costBasisPrice": number(_per_unit(basis, units)), "costBasisMoney": number(basis),
            "fifoPnlUnrealized": number(units * mark - basis), "side": "Long" if qty > 0 else "Short",
            "levelOfDetail": "SUMMARY",
        }  # fmt: skip
        return _row("OpenPosition", POSITION_ATTRIBUTES, values)

    def _mark(self, contract: Contract, day: date) -> Decimal:
        key = (contract.conid, day)
        if key not in self._marks:
            self._marks[key] = mark_price(self._scenario.closes, contract, day)
        return self._marks[key]


def _account_information(account: str) -> str:
    values = {
        "accountId": account, "currency": "USD", "name": "Demo Trader", "accountType": "Individual",
        "customerType": "Individual", "accountCapabilities": "Margin", "tradingPermissions": "Stocks,Options",
        "dateOpened": "20190102", "dateFunded": "20190104",
    }  # fmt: skip
    return _row("AccountInformation", ("accountId", "acctAlias", "model", *list(values)[1:]), values)


def _per_unit(basis: Decimal, units: Decimal) -> Decimal:
    return (basis / units).quantize(Decimal("0.000000001"))


def _security(contract: Contract) -> str:
    return _row("SecurityInfo", SECURITY_ATTRIBUTES, contract_values(contract))


def _section(name: str, rows: Iterable[str]) -> list[str]:
    lines = list(rows)
    return [f"<{name}>", *lines, f"</{name}>"] if lines else [f"<{name} />"]


def _row(element: str, attributes: Sequence[str], values: Mapping[str, str]) -> str:
    if _SPECIAL.search("".join(values.values())):
        values = {name: escape(value, {'"': "&quot;"}) for name, value in values.items()}
    told = values.get
    pairs = " ".join([f'{name}="{told(name, _BLANK)}"' for name in attributes])
    return f"<{element} {pairs} />"
