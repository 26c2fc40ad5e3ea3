"""Fee records as fee rows: the commission of each execution, and its taxes where there are any.

IB writes charges as negative numbers; here paid is positive. A blank commission is unknown and makes no row.
"""

from collections.abc import Iterator
from decimal import Decimal

from apex_pipeline.brokers.ib.attributes import Attributes
from apex_pipeline.brokers.ib.trades import is_cancel, order_uid, trade_uid
from apex_pipeline.domain.models import Broker, Fee, FeeType
from apex_pipeline.domain.records import Record


def fees_of(record: Record) -> Iterator[Fee]:
    """The fee rows of one fee record; UnknownPayload if an amount cannot be read."""
    row = Attributes(record)
    commission, taxes = row.number("ibCommission"), row.number("taxes")
    if commission is not None and (commission or _charges_commission(row)):
        currency = row.text("ibCommissionCurrency") or row.text("currency")
        yield _fee(row, FeeType.COMMISSION, "ibCommission", commission, currency)
    if taxes:
        yield _fee(row, FeeType.TAX, "taxes", taxes, row.text("currency"))


def _charges_commission(row: Attributes) -> bool:
    """True where a commission of 0 is information: an execution, not a book entry or a cancel."""
    return row.text("transactionType") != "BookTrade" and not is_cancel(row)


def _fee(row: Attributes, fee_type: FeeType, name: str, charged: Decimal, currency: str | None) -> Fee:
    account, key = row.record.account_id, row.record.key
    return Fee(
        fee_uid=f"IB_{account}_{key}_{fee_type}",
        order_uid=order_uid(row),
        trade_uid=trade_uid(row) if fee_type is FeeType.COMMISSION else None,
        broker=Broker.IB,
        account_id=account,
        fee_type=fee_type,
        broker_fee_name=name,
        amount=-charged if charged else Decimal(0),
        currency=currency,
        charged_on=row.record.business_date,
    )
