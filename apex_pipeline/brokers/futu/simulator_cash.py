"""Scenario to cash flow rows, as OpenD words them.

Of real rows only the type 'Others' of assignments and their remarks are public; the other types and remarks
are ours, in the same manner.
"""

from collections import defaultdict
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple, final

from apex_pipeline.brokers.futu.simulator_messages import CURRENCIES, wire_code
from apex_pipeline.brokers.futu.simulator_rules import Language
from apex_pipeline.brokers.futu.simulator_wire import protobuf
from apex_pipeline.brokers.scenario import CashBooking, Scenario, ScenarioAccount
from apex_pipeline.brokers.scenario_cash import cash_by_currency, cash_flow
from apex_pipeline.brokers.scenario_days import settled_on
from apex_pipeline.brokers.scenario_market import currency_of
from apex_pipeline.domain.models import CashKind

_FIRST_ID = 16_001
_OTHERS = ("Others", "其他")
_TYPES = {
    CashKind.DEPOSIT: ("Deposit", "存入资金"),
    CashKind.WITHDRAWAL: ("Withdrawal", "提取资金"),
    CashKind.TRANSFER: ("Fund Transfer", "资金划转"),
    CashKind.TRADE: ("Trade", "交易"),
    CashKind.FEE: ("Fees", "费用"),
    CashKind.DIVIDEND: ("Dividend", "股息"),
    CashKind.TAX: ("Tax", "税费"),
    CashKind.INTEREST: ("Interest", "利息"),
    CashKind.FX: ("Currency Exchange", "货币兑换"),
}
_ENDINGS = {CashKind.ASSIGNMENT: "ASS", CashKind.EXERCISE: "EXE"}
"""Words of a remark for an option that ended; only ASS is known from a real account."""


class Line(NamedTuple):
    """A row before it is worded: its id, its booking, and whether it only names the option that ended."""

    flow_id: int
    booking: CashBooking
    naming: bool


@final
class CashBook:
    """The cash flow of one account. Ids are small and count from the same number in every account.

    `one_row_endings`: an assignment is one row with remark and amount; otherwise, as in the public example,
    a row without money names the option and the next one holds the money without a remark.
    """

    def __init__(
        self, scenario: Scenario, account: ScenarioAccount, language: Language, *, one_row_endings: bool
    ) -> None:
        self._chinese = language == "zh"
        self._one_row = one_row_endings
        self._lines: defaultdict[date, list[Line]] = defaultdict(list)
        bookings = cash_flow(scenario, account)
        flow_id = _FIRST_ID
        for booking in bookings:
            naming = (True, False) if booking.kind in _ENDINGS and not one_row_endings else (False,)
            for each in naming:
                self._lines[booking.booked_on].append(Line(flow_id, booking, each))
                flow_id += 1
        self.cash: dict[str, Decimal] = {currency_of(market): Decimal(0) for market in account.markets}
        self.cash |= cash_by_currency(bookings)

    def rows(self, day: date) -> list[Any]:
        """The FlowSummaryInfo messages of a clearing date."""
        return [self._row(line) for line in self._lines.get(day, ())]

    def _row(self, line: Line) -> Any:
        booking = line.booking
        amount = Decimal(0) if line.naming else booking.amount
        names = booking.contract if line.naming else None
        settles_on = settled_on(names, booking.booked_on) if names else booking.settles_on
        return protobuf("Trd_FlowSummary_pb2").FlowSummaryInfo(
            clearingDate=booking.booked_on.isoformat(),
            settlementDate=settles_on.isoformat(),
            currency=CURRENCIES[booking.currency],
            cashFlowType=_TYPES.get(booking.kind, _OTHERS)[self._chinese],
            cashFlowDirection=0 if not amount else 1 if amount > 0 else 2,
            cashFlowAmount=float(amount),
            cashFlowRemark=self._remark(line),
            cashFlowID=line.flow_id,
        )

    def _remark(self, line: Line) -> str:
        booking = line.booking
        contract, qty = booking.contract, booking.qty
        if booking.kind in _ENDINGS:
            return _ending(booking) if line.naming or self._one_row else ""
        if contract is None or qty is None:
            return ""
        if booking.kind == CashKind.TRADE:
            return f"{'Buy' if qty > 0 else 'Sell'} {wire_code(contract)} {abs(qty):f}"
        what = "WITHHOLDING TAX" if booking.kind == CashKind.TAX else "DIVIDENDS"
        return f"{contract.code} {qty:f} SHARES {what} {booking.per_share:f} {booking.currency} PER SHARE"


def _ending(booking: CashBooking) -> str:
    """`Opt ASS-P-JXC250227P13000-20250227`."""
    option = booking.contract
    assert option is not None
    assert option.right is not None
    return f"Opt {_ENDINGS[booking.kind]}-{option.right}-{wire_code(option)}-{booking.booked_on:%Y%m%d}"
