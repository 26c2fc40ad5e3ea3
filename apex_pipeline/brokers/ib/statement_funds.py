"""Rows about single movements of cash: statement of funds, cash transactions, transfers, dividend accruals."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from apex_pipeline.brokers.ib.statement_books import AccountBooks
from apex_pipeline.brokers.ib.statement_cash import TRANSFER, CashFact, Line, accrued
from apex_pipeline.brokers.ib.statement_extras import FX_CONID, FX_SYMBOL, Conversion
from apex_pipeline.brokers.ib.statement_format import number
from apex_pipeline.brokers.ib.statement_ledger import Entry
from apex_pipeline.brokers.ib.statement_levels import conversion_trade_id
from apex_pipeline.brokers.ib.statement_rates import BASE_CURRENCY, CURRENCIES, rate
from apex_pipeline.brokers.ib.statement_rows import INSTRUMENT, contract_values, local_time, notes_of, order_id_of
from apex_pipeline.brokers.scenario_days import booking_time

FUNDS_ATTRIBUTES = (
    f"accountId acctAlias model currency fxRateToBase {INSTRUMENT} multiplier strike expiry putCall "
    "principalAdjustFactor reportDate date settleDate activityCode activityDescription tradeID relatedTradeID orderID "
    "buySell tradeQuantity tradePrice tradeGross tradeCommission tradeTax debit credit amount tradeCode balance "
    "levelOfDetail transactionID relatedTransactionID origTransactionID actionID"
).split()
CASH_TRANSACTION_ATTRIBUTES = (
    f"accountId acctAlias model currency fxRateToBase {INSTRUMENT} multiplier strike expiry putCall "
    "principalAdjustFactor dateTime settleDate availableForTradingDate exDate amount type tradeID code transactionID "
    "reportDate clientReference actionID levelOfDetail serialNumber deliveryType commodityType fineness weight"
).split()
TRANSFER_ATTRIBUTES = (
    f"accountId acctAlias model currency fxRateToBase {INSTRUMENT} multiplier strike expiry putCall "
    "principalAdjustFactor reportDate date dateTime settleDate type direction company account accountName "
    "deliveringBroker quantity transferPrice positionAmount positionAmountInBase pnlAmount pnlAmountInBase "
    "cashTransfer code clientReference transactionID levelOfDetail positionInstructionID positionInstructionSetID"
).split()
_ACCRUAL = (
    f"accountId acctAlias model currency fxRateToBase {INSTRUMENT} multiplier strike expiry putCall "
    "principalAdjustFactor {when} exDate payDate quantity tax fee grossRate grossAmount netAmount code fromAcct toAcct"
)
ACCRUAL_ATTRIBUTES = [*_ACCRUAL.format(when="reportDate date").split(), "actionID", "levelOfDetail"]
OPEN_ACCRUAL_ATTRIBUTES = _ACCRUAL.replace("{when} ", "").split()

_DAY: Final = timedelta(1)
_ZERO = Decimal(0)
_DETAIL, _SUMMARY = "DETAIL", "SUMMARY"
_INTERNAL = "INTERNAL"


@dataclass(slots=True)
class _Balance:
    """A running balance, and the words that every line of it carries; `to_base` converts amounts or is None."""

    words: Mapping[str, str]
    amount: Decimal
    converts: bool

    def line(self, told: Line) -> dict[str, str]:
        factor = rate(told.currency, told.report_date) if self.converts else Decimal(1)
        amount = told.amount * factor
        self.amount += amount
        rated = "1" if self.converts else number(rate(told.currency, told.report_date))
        return {**_facts(told, factor), **self.words, "fxRateToBase": rated, **_sided(amount, self.amount)}

    def named(self, text: str, day: date, code: str = "", amount: Decimal = _ZERO) -> dict[str, str]:
        """A line without a booking behind it: a balance, or what the rates did to it."""
        self.amount += amount
        told = {"activityDescription": text, "activityCode": code}
        days = dict.fromkeys(("reportDate", "date", "settleDate"), f"{day:%Y%m%d}")
        sided = _sided(amount, self.amount)
        return {**self.words, **told, **days, **(sided if code else {"balance": sided["balance"]})}


def funds_rows(books: AccountBooks, first: date, last: date) -> Iterator[dict[str, str]]:
    """The statement of funds: each currency with its running balance, then everything in the base currency.

    In the base currency one line at the end tells what the rates did to the cash.
    """
    lines, before = books.lines_between(first, last), first - _DAY
    for currency in sorted(CURRENCIES):
        words = {"accountId": books.account, "currency": currency, "levelOfDetail": "Currency"}
        balance = _Balance(words, books.cash(currency, before), converts=False)
        yield balance.named("Starting Balance", first)
        yield from (balance.line(line) for line in lines if line.currency == currency)
        yield balance.named("Ending Balance", last)
    words = {"accountId": books.account, "currency": BASE_CURRENCY, "levelOfDetail": "BaseCurrency"}
    balance = _Balance(words, books.cash_in_base(before), converts=True)
    yield balance.named("Starting Balance", first)
    yield from (balance.line(line) for line in lines)
    translated = books.cash_translation(first, last)
    if translated:
        yield balance.named("FX Translations P&L", last, "ADJ", translated)
    yield balance.named("Ending Balance", last)


def _sided(amount: Decimal, balance: Decimal) -> dict[str, str]:
    side = "credit" if amount > 0 else "debit"
    return {"amount": number(amount), side: number(amount), "balance": number(balance)}


def _facts(line: Line, factor: Decimal) -> dict[str, str]:
    days = {"reportDate": f"{line.report_date:%Y%m%d}", "settleDate": f"{line.settle_date:%Y%m%d}"}
    if line.entry is not None:
        return days | _of_entry(line.entry, factor)
    if line.conversion is not None:
        return days | _of_conversion(line.conversion, line)
    return days | (_of_fact(line.fact) if line.fact is not None else {})


def _of_entry(entry: Entry, factor: Decimal) -> dict[str, str]:
    move, source = entry.move, entry.move.source
    bought = (move.qty > 0) == (move.cancels is None)
    codes = [*entry.effect.split(";"), "Ca" if move.cancels is not None else notes_of(entry)]
    verb = "Buy" if bought else "Sell"
    return {
        **contract_values(source.contract), "date": f"{source.trade_date:%Y%m%d}", "activityCode": verb.upper(),
        "activityDescription": f"{verb} {number(move.qty)} {source.contract.name}", "tradeID": move.trade_id,
        "orderID": order_id_of(move.order) if move.order else "", "buySell": verb.upper(),
        "tradeQuantity": number(move.qty), "tradePrice": number(source.price),
        "tradeGross": number(move.proceeds * factor), "tradeCommission": number(move.commission * factor),
        "tradeTax": number(move.taxes * factor), "tradeCode": ";".join(code for code in codes if code),
        "transactionID": str(move.transaction_id),
        "origTransactionID": str(move.cancels) if move.cancels is not None else "",
    }  # fmt: skip


def _of_conversion(deal: Conversion, line: Line) -> dict[str, str]:
    fee = "commissions" in line.parts
    text = "Commission from Forex Trade" if fee else f"Net cash activity in Forex Trade {FX_SYMBOL}"
    return {
        "assetCategory": "CASH", "symbol": FX_SYMBOL, "description": FX_SYMBOL, "conid": str(FX_CONID),
        "multiplier": "1", "date": f"{deal.trade_date:%Y%m%d}", "activityCode": "FOREX", "activityDescription": text,
        "tradeID": conversion_trade_id(deal), "tradeQuantity": "0", "tradePrice": "0", "tradeGross": "0",
        "tradeCommission": "0", "tradeTax": "0", "transactionID": str(deal.transaction_id),
    }  # fmt: skip


def _of_fact(fact: CashFact) -> dict[str, str]:
    return {
        **_instrument(fact), "date": f"{fact.booked_on:%Y%m%d}", "activityCode": fact.code,
        "activityDescription": fact.description, "transactionID": str(fact.transaction_id), "actionID": fact.action_id,
        "tradeQuantity": "0", "tradePrice": "0", "tradeGross": "0", "tradeCommission": "0", "tradeTax": "0",
    }  # fmt: skip


def cash_transaction_rows(facts: Iterable[CashFact], *, summaries: bool) -> Iterator[dict[str, str]]:
    """Bookings beside trades; with `summaries` first their sums, which repeat the same cash and have no id."""
    own = [fact for fact in facts if fact.kind != TRANSFER]
    groups: defaultdict[tuple[object, ...], list[CashFact]] = defaultdict(list)
    for fact in own:
        groups[fact.kind, fact.currency, fact.contract, fact.booked_on, fact.action_id].append(fact)
    for members in groups.values() if summaries else ():
        total = sum((fact.amount for fact in members), _ZERO)
        row = _cash_transaction(members[0], _SUMMARY)
        yield row | {"amount": number(total), "transactionID": "", "actionID": "", "dateTime": row["reportDate"]}
    yield from (_cash_transaction(fact, _DETAIL) for fact in own)


def _cash_transaction(fact: CashFact, level: str) -> dict[str, str]:
    day = f"{fact.booked_on:%Y%m%d}"
    at = local_time(booking_time(fact.booked_on)) if fact.contract else day
    return {
        **_instrument(fact), "accountId": fact.account_id, "currency": fact.currency, "dateTime": at,
        "fxRateToBase": number(rate(fact.currency, fact.booked_on)), "description": fact.description, "settleDate": day,
        "amount": number(fact.amount), "type": fact.kind, "transactionID": str(fact.transaction_id), "reportDate": day,
        "actionID": fact.action_id, "levelOfDetail": level, "fineness": "0.0", "weight": "0.0",
        "exDate": f"{fact.ex_date:%Y%m%d}" if fact.ex_date else "",
    }  # fmt: skip


def transfer_rows(facts: Iterable[CashFact]) -> Iterator[dict[str, str]]:
    """Cash that came from or went to another account."""
    for fact in facts:
        if fact.kind != TRANSFER:
            continue
        day = f"{fact.booked_on:%Y%m%d}"
        yield {
            "accountId": fact.account_id, "currency": fact.currency, "assetCategory": "CASH", "symbol": "--",
            "fxRateToBase": number(rate(fact.currency, fact.booked_on)), "description": fact.description,
            "reportDate": day, "date": day, "dateTime": day, "settleDate": day, "type": _INTERNAL,
            "direction": "IN" if fact.amount > 0 else "OUT", "company": "--", "account": "U7700001",
            "deliveringBroker": "--", "quantity": "0", "transferPrice": "0", "positionAmount": "0",
            "positionAmountInBase": "0", "pnlAmount": "0", "pnlAmountInBase": "0", "cashTransfer": number(fact.amount),
            "transactionID": str(fact.transaction_id), "levelOfDetail": "TRANSFER",
        }  # fmt: skip


def accrual_rows(facts: Sequence[CashFact], first: date, last: date) -> Iterator[dict[str, str]]:
    """What was accrued (Po) and, when it was paid, taken back (Re) on these days."""
    for fact in facts:
        if fact.ex_date and first <= fact.ex_date <= last:
            yield _accrual(fact, fact.ex_date, "Po", 1)
    for fact in facts:
        if fact.ex_date and first <= fact.booked_on <= last:
            yield _accrual(fact, fact.booked_on, "Re", -1)


def open_accrual_rows(facts: Iterable[CashFact], last: date) -> Iterator[dict[str, str]]:
    """What is still accrued at the end of the last day."""
    for fact in facts:
        yield _accrual(fact, last, "", 1)


def _accrual(fact: CashFact, day: date, code: str, sign: int) -> dict[str, str]:
    gross, tax = accrued(fact)
    written = f"{day:%Y%m%d}"
    return {
        **_instrument(fact), "accountId": fact.account_id, "reportDate": written, "date": written,
        "fxRateToBase": number(rate(fact.currency, day)), "exDate": f"{fact.ex_date:%Y%m%d}" if fact.ex_date else "",
        "payDate": f"{fact.booked_on:%Y%m%d}", "quantity": number(fact.qty or _ZERO), "tax": number(sign * tax),
        "fee": "0", "grossRate": number(fact.per_share or _ZERO), "grossAmount": number(sign * gross),
        "netAmount": number(sign * (gross - tax)), "code": code, "actionID": fact.action_id, "levelOfDetail": _DETAIL,
    }  # fmt: skip


def _instrument(fact: CashFact) -> dict[str, str]:
    return contract_values(fact.contract) if fact.contract else {}
