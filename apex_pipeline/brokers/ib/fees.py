"""Fee records as fee rows: the commission of each execution, and its taxes where there are any.

IB writes charges as negative numbers; here paid is positive. A blank commission is unknown and makes no row. Where a
statement breaks a charge down the rows are its parts, and what the parts leave of the whole is UNALLOCATED.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import reduce

from apex_pipeline.brokers.ib.attributes import EXACT, Attributes
from apex_pipeline.brokers.ib.fee_parts import FeeParts, Part
from apex_pipeline.brokers.ib.trades import is_cancel, order_uid, trade_uid
from apex_pipeline.domain.models import Broker, Fee, FeeType
from apex_pipeline.domain.records import Record

_COMMISSION, _TAXES = "ibCommission", "taxes"


def fees_of(record: Record, parts: FeeParts | None = None) -> Iterator[Fee]:
    """The fee rows of one fee record; UnknownPayload if an amount cannot be read.

    `parts`: the breakdowns that are known (see `fee_parts.parts_of`). The rows of a charge sum to it exactly.
    """
    row = Attributes(record)
    parts = parts or FeeParts()
    commission, taxes = row.number(_COMMISSION), row.number(_TAXES)
    if commission is not None and (commission or _charges_commission(row)):
        currency = row.text("ibCommissionCurrency") or row.text("currency")
        told = parts.commission_of(record, currency) or [Part(FeeType.COMMISSION, _COMMISSION, commission)]
        names = [FeeType.COMMISSION.value, *(part.name for part in told[1:])]
        yield from _rows(row, told, names, currency, trade=trade_uid(row))
        yield from _remainder(row, commission, told, FeeType.UNALLOCATED, currency, trade=trade_uid(row))
    if taxes:
        currency = row.text("currency")
        told = parts.taxes_of(record, currency) or [Part(FeeType.TAX, _TAXES, taxes)]
        names = [FeeType.TAX.value, *(f"{FeeType.TAX}_{number}" for number in range(2, len(told) + 1))]
        yield from _rows(row, told, names, currency, trade=None)
        yield from _remainder(row, taxes, told, f"{FeeType.TAX}_{FeeType.UNALLOCATED}", currency, trade=None)


def _charges_commission(row: Attributes) -> bool:
    """True where a commission of 0 is information: an execution, not a book entry or a cancel."""
    return row.text("transactionType") != "BookTrade" and not is_cancel(row)


def _rows(
    row: Attributes, parts: Sequence[Part], names: Sequence[str], currency: str | None, *, trade: str | None
) -> Iterator[Fee]:
    for part, name in zip(parts, names, strict=True):
        yield _fee(row, part, name, currency, trade)


def _remainder(
    row: Attributes, whole: Decimal, parts: Sequence[Part], name: str, currency: str | None, *, trade: str | None
) -> Iterator[Fee]:
    """What the parts leave of the whole; IB rounds them, so a little may be left."""
    left = reduce(EXACT.subtract, (part.charged for part in parts), whole)
    if left:
        source = _TAXES if trade is None else _COMMISSION
        yield _fee(row, Part(FeeType.UNALLOCATED, source, left), name, currency, trade)


def _fee(row: Attributes, part: Part, name: str, currency: str | None, trade: str | None) -> Fee:
    account, key = row.record.account_id, row.record.key
    return Fee(
        fee_uid=f"IB_{account}_{key}_{name}",
        order_uid=order_uid(row),
        trade_uid=trade,
        broker=Broker.IB,
        account_id=account,
        fee_type=part.fee_type,
        broker_fee_name=part.name,
        amount=-part.charged if part.charged else Decimal(0),
        currency=currency,
        charged_on=row.record.business_date,
    )
