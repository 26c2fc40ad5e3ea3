"""What moves the cash of an account in a statement, booking by booking, and what an account holds of it.

Deposits, dividends, interest and fees come from the scenario's own draw of cash facts; settlements follow from
trades and conversions.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from apex_pipeline.brokers.ib.statement_extras import FX_CURRENCY, Conversion, sessions_of
from apex_pipeline.brokers.ib.statement_ledger import Entry
from apex_pipeline.brokers.ib.statement_rates import BASE_CURRENCY, on_weekday
from apex_pipeline.brokers.scenario import CashBooking, Contract, Scenario
from apex_pipeline.brokers.scenario_cash import drawn_bookings
from apex_pipeline.domain.models import Broker, CashKind, Side

_ZERO = Decimal(0)
_FIRST_FACT = 39_000_000_000
_FIRST_ACTION = 150_000_000
_HELD_DAYS = 14
_WITHHELD = Decimal("0.30")
_CENT = Decimal("0.01")
_CORRECTED_AFTER = 3
DEPOSITS = "Deposits/Withdrawals"
IN_LIEU = "Payment In Lieu Of Dividends"
TRANSFER = "Transfer"


@dataclass(frozen=True, slots=True)
class CashFact:
    """A booking beside trades. `kind` is IB's type, `code` its activity code, `part` the line of the cash report.

    `action_id` is shared by a dividend, its tax and their reversals. `ex_date` only on dividends that were accrued.
    """

    transaction_id: int
    account_id: str
    kind: str
    code: str
    part: str
    booked_on: date
    currency: str
    amount: Decimal
    description: str
    contract: Contract | None = None
    action_id: str = ""
    qty: Decimal | None = None
    per_share: Decimal | None = None
    ex_date: date | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One movement of one currency; `parts` are its amounts by line of the cash report.

    Exactly one of `entry`, `conversion` and `fact` says where it comes from.
    """

    currency: str
    report_date: date
    settle_date: date
    parts: Mapping[str, Decimal]
    amount: Decimal
    entry: Entry | None = None
    conversion: Conversion | None = None
    fact: CashFact | None = None


@dataclass(slots=True)
class Running:
    """A sum that grows day by day; `add` in the order of days, then `at`."""

    days: list[date] = field(default_factory=list[date])
    sums: list[Decimal] = field(default_factory=list[Decimal])

    def add(self, day: date, amount: Decimal) -> None:
        """Take an amount in."""
        self.sums.append((self.sums[-1] if self.sums else _ZERO) + amount)
        self.days.append(day)

    def at(self, day: date) -> Decimal:
        """The sum at the end of a day."""
        place = bisect_right(self.days, day)
        return self.sums[place - 1] if place else _ZERO


def cash_facts(scenario: Scenario) -> list[CashFact]:
    """The bookings of all IB accounts beside trades, in the order in which they are numbered."""
    own = [a for a in scenario.account_details if a.broker == Broker.IB]
    days = sessions_of(scenario)
    drawn = drawn_bookings(scenario.seed, own, scenario.orders, scenario.events, days)
    facts = [_drawn_fact(booking) for booking in drawn if booking.kind is not CashKind.FX]
    for place, account in enumerate(own):
        facts += _corrected([f for f in facts if f.account_id == account.account_id], days)
        facts += _monthly(account.account_id, days, place)
    if own and days:
        facts.append(_transfer(own[0].account_id, days[len(days) // 2]))
    facts.sort(key=lambda f: (f.booked_on, f.account_id, f.code, f.action_id))
    return [replace(fact, transaction_id=_FIRST_FACT + n) for n, fact in enumerate(facts, 1)]


def lines_of(entries: Iterable[Entry], deals: Iterable[Conversion], facts: Iterable[CashFact]) -> list[Line]:
    """Every movement of cash of one account, oldest report date first."""
    found = [line for entry in entries if (line := _of_entry(entry)) is not None]
    found += [line for deal in deals for line in _of_conversion(deal)]
    found += [Line(f.currency, f.booked_on, f.booked_on, {f.part: f.amount}, f.amount, fact=f) for f in facts]
    return sorted(found, key=lambda line: line.report_date)


def sums_of(lines: Iterable[Line]) -> dict[str, Decimal]:
    """Amounts by line of the cash report."""
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in lines:
        for part, amount in line.parts.items():
            sums[part] += amount
    return dict(sums)


def accrued(fact: CashFact) -> tuple[Decimal, Decimal]:
    """Gross amount and tax of a dividend while it is accrued; the tax is positive when it will be withheld."""
    owed = fact.contract is not None and fact.contract.market == "US" and fact.amount > 0
    return fact.amount, (fact.amount * _WITHHELD).quantize(_CENT) if owed else _ZERO


def _of_entry(entry: Entry) -> Line | None:
    move = entry.move
    if not (move.proceeds or move.commission or move.taxes):
        return None
    bought = (move.source.side == Side.BUY) == (move.cancels is None)
    traded = "netTradesPurchases" if bought else "netTradesSales"
    parts = {traded: move.proceeds, "commissions": move.commission, "transactionTax": move.taxes}
    settles = max(move.settle_date, move.report_date)
    amount = move.proceeds + move.commission + move.taxes
    return Line(move.source.contract.currency, move.report_date, settles, parts, amount, entry=entry)


def _of_conversion(deal: Conversion) -> Iterable[Line]:
    """Both currencies; what comes in stands under the sales, as IB shows it."""
    for currency, amount in ((FX_CURRENCY, deal.proceeds), (BASE_CURRENCY, deal.qty)):
        part = "netTradesSales" if amount > 0 else "netTradesPurchases"
        yield Line(currency, deal.trade_date, deal.settle_date, {part: amount}, amount, conversion=deal)
    fee = {"commissions": deal.commission}
    yield Line(BASE_CURRENCY, deal.trade_date, deal.settle_date, fee, deal.commission, conversion=deal)


def _drawn_fact(booking: CashBooking) -> CashFact:
    kind, code, part, text = _words(booking)
    dividend = booking.kind is CashKind.DIVIDEND
    accrues = dividend or booking.kind is CashKind.TAX
    action = ""
    if accrues and booking.contract is not None:
        action = str(_FIRST_ACTION + booking.contract.conid % 1_000_003 * 97 + booking.booked_on.toordinal() % 9_973)
    ex_date = on_weekday(booking.booked_on - timedelta(_HELD_DAYS)) if dividend else None
    return CashFact(
        0, booking.account_id, kind, code, part, booking.booked_on, booking.currency, booking.amount, text,
        booking.contract, action, booking.qty, booking.per_share, ex_date,
    )  # fmt: skip


def _words(booking: CashBooking) -> tuple[str, str, str, str]:
    """IB's type, activity code, line of the cash report and description."""
    month = f"{booking.booked_on - timedelta(booking.booked_on.day):%b-%Y}".upper()
    match booking.kind:
        case CashKind.DEPOSIT:
            return DEPOSITS, "DEP", "deposits", "CASH RECEIPTS / ELECTRONIC FUND TRANSFERS"
        case CashKind.WITHDRAWAL:
            return DEPOSITS, "WITH", "withdrawals", "DISBURSEMENT / ELECTRONIC FUND TRANSFERS"
        case CashKind.INTEREST:
            text = f"{booking.currency} CREDIT INT FOR {month}"
            return "Broker Interest Received", "CINT", "brokerInterest", text
        case CashKind.TAX:
            return "Withholding Tax", "FRTAX", "withholdingTax", f"{_dividend_text(booking)} - US TAX"
        case CashKind.DIVIDEND if booking.amount < 0:
            return IN_LIEU, "PIL", "paymentInLieu", f"{_dividend_text(booking)} (Payment in Lieu of Dividend)"
        case CashKind.DIVIDEND:
            return "Dividends", "DIV", "dividends", f"{_dividend_text(booking)} (Ordinary Dividend)"
        case _:
            return TRANSFER, "TRAN", "internalTransfers", "CASH TRANSFER"


def _dividend_text(booking: CashBooking) -> str:
    code = booking.contract.code.lstrip("0") if booking.contract else ""
    return f"{code} CASH DIVIDEND {booking.currency} {booking.per_share} PER SHARE"


def _corrected(facts: Sequence[CashFact], days: Sequence[date]) -> list[CashFact]:
    """The first dividend that lost a tax, taken back and booked again some days later."""
    taxed = next((f for f in facts if f.code == "FRTAX"), None)
    if taxed is None:
        return []
    later = [day for day in days if day > taxed.booked_on][_CORRECTED_AFTER:][:1]
    both = [f for f in facts if f.action_id == taxed.action_id]
    found: list[CashFact] = []
    for day in later:
        again = [replace(f, booked_on=day, ex_date=None) for f in both]
        found += [replace(f, amount=-f.amount, description=f"{f.description} - REVERSAL") for f in again]
        found += again
    return found


def _monthly(account: str, days: Sequence[date], place: int) -> Iterable[CashFact]:
    """A fee for market data at each turn of a month, and in some months interest for borrowed shares."""
    for before, day in pairwise(days):
        if before.month == day.month:
            continue
        month = f"{before:%b-%Y}".upper()
        text = f"P******{account[-2:]}:MARKET DATA FOR {month}"
        fee = -Decimal(150 + 300 * (day.month % 2)) * _CENT
        yield CashFact(0, account, "Other Fees", "OFEE", "otherFees", day, BASE_CURRENCY, fee, text)
        if day.month % 3 == place % 3:
            text = f"{FX_CURRENCY} BORROW FEES FOR {month}"
            cost = -Decimal(211 + 17 * day.month) * _CENT
            kind = "Broker Interest Paid"
            yield CashFact(0, account, kind, "DINT", "brokerInterest", day, FX_CURRENCY, cost, text)


def _transfer(account: str, day: date) -> CashFact:
    text = f"CASH TRANSFER FROM U7700001 TO {account}"
    return CashFact(0, account, TRANSFER, "TRAN", "internalTransfers", day, BASE_CURRENCY, Decimal(25_000), text)
