"""Bookings of cash: the rows of CashTransactions, and the two legs of every conversion of currencies.

Amounts keep the sign they are told with; a reversal is a booking of its own with the opposite sign, and so is the
cancel of a conversion. Summaries of the same bookings (level SUMMARY) are figures, not cash.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from apex_pipeline.brokers.ib.attributes import EXACT, Attributes
from apex_pipeline.brokers.ib.rows import Row
from apex_pipeline.brokers.ib.securities import symbol_of
from apex_pipeline.brokers.ib.symbols import instrument_of
from apex_pipeline.brokers.ib.trades import SOURCE
from apex_pipeline.domain.models import Broker, CashKind, CashMovement
from apex_pipeline.domain.records import Record
from apex_pipeline.errors import UnknownPayload

CASH_TYPES = {
    "871(m) withholding": CashKind.TAX,
    "advisor fees": CashKind.FEE,
    "bill pay": CashKind.WITHDRAWAL,
    "bond interest paid": CashKind.INTEREST,
    "bond interest received": CashKind.INTEREST,
    "broker fees": CashKind.FEE,
    "broker interest paid": CashKind.INTEREST,
    "broker interest received": CashKind.INTEREST,
    "carbon credits": CashKind.OTHER,
    "commission adjustments": CashKind.FEE,
    "deposits & withdrawals": CashKind.DEPOSIT,
    "deposits/withdrawals": CashKind.DEPOSIT,
    "dividends": CashKind.DIVIDEND,
    "other fees": CashKind.FEE,
    "other income": CashKind.OTHER,
    "payment in lieu of dividends": CashKind.DIVIDEND,
    "price adjustments": CashKind.OTHER,
    "withholding tax": CashKind.TAX,
}
"""IB's words in small letters. Deposits and withdrawals share a word: the sign tells which."""

FX_CATEGORY = "CASH"


def movement_of(row: Row) -> CashMovement:
    """The booking of a cash transaction; UnknownPayload if its amount or a date cannot be read."""
    told, record = row.told, row.record
    amount = told.required_number("amount")
    return CashMovement(
        cash_uid=f"IB_{record.account_id}_C{record.key}",
        broker=Broker.IB,
        account_id=record.account_id,
        broker_cash_id=record.key,
        kind=kind_of(told.text("type"), amount),
        broker_kind=told.text("type"),
        symbol=symbol_of(told),
        amount=amount,
        currency=told.text("currency"),
        booked_on=record.business_date,
        settle_date=told.date("settleDate"),
        event_date=told.date("exDate"),
        description=told.text("description"),
        source=SOURCE,
    )


def kind_of(words: str | None, amount: Decimal) -> CashKind:
    """What IB's words for a booking mean; unknown words are OTHER."""
    kind = CASH_TYPES.get(" ".join((words or "").lower().split()), CashKind.OTHER)
    return CashKind.WITHDRAWAL if kind is CashKind.DEPOSIT and amount < 0 else kind


def conversion_legs(record: Record) -> Iterator[CashMovement]:
    """What a conversion moves: the currency that is bought or sold, and the one that pays for it.

    Nothing for trades of other asset classes. A row that takes one back moves both the other way, because it is told
    with the opposite quantity. UnknownPayload if an amount cannot be read.
    """
    row = Attributes(record)
    if row.text("assetCategory") != FX_CATEGORY:
        return
    quantity = row.required_number("quantity")
    symbol = instrument_of(row).instrument.symbol
    _, base, quote = symbol.split(".", 2)
    yield _leg(row, "BASE", symbol, quantity, base)
    yield _leg(row, "QUOTE", symbol, _paid(row, quantity), quote)


def _paid(row: Attributes, quantity: Decimal) -> Decimal:
    proceeds = row.number("proceeds")
    if proceeds is None or (not proceeds and quantity):
        return EXACT.multiply(-quantity, row.required_number("tradePrice"))
    if quantity and (proceeds > 0) == (quantity > 0):
        raise UnknownPayload("contradicting_cash", f"a conversion of {quantity} cannot bring {proceeds}")
    return proceeds


def _leg(row: Attributes, leg: str, symbol: str, amount: Decimal, currency: str) -> CashMovement:
    record = row.record
    return CashMovement(
        cash_uid=f"IB_{record.account_id}_T{record.key}_{leg}",
        broker=Broker.IB,
        account_id=record.account_id,
        broker_cash_id=f"{record.key}_{leg}",
        kind=CashKind.FX,
        broker_kind=row.text("transactionType"),
        symbol=symbol,
        amount=amount,
        currency=currency,
        booked_on=_booked_on(row),
        settle_date=row.date("settleDateTarget"),
        event_date=record.business_date,
        description=row.text("description"),
        source=SOURCE,
    )


def _booked_on(row: Attributes) -> date:
    return row.date("reportDate") or row.record.business_date
