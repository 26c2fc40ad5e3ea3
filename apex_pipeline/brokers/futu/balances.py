"""Snapshots of funds to cash by currency and the totals of the account. Pure.

Futu tells totals in the currency that was asked; they stand only on the row of that currency, because adding
them over the rows would count the account once per currency.
"""

from datetime import datetime
from decimal import Decimal

from apex_pipeline.brokers.futu import amounts, vocabulary
from apex_pipeline.brokers.futu.snapshot_rows import Row, Snapshot, read_each, rows_of
from apex_pipeline.domain.models import Broker, BrokerBalance
from apex_pipeline.domain.records import Record
from apex_pipeline.domain.snapshots import AccountFigures
from apex_pipeline.errors import UnknownPayload

SOURCE = "futu_funds"


def read(record: Record) -> Snapshot[BrokerBalance]:
    """The balances of a snapshot, one per currency; an unreadable row is its reject."""
    parts = read_each(record, lambda row, as_of: _balances(record, row, as_of))
    by_currency = {balance.currency: balance for part in parts.made for balance in part}
    return Snapshot(list(by_currency.values()), parts.reject)


def _balances(record: Record, row: Row, as_of: datetime) -> list[BrokerBalance]:
    cash = _cash_by_currency(row)
    base = _base_currency(record, row, cash)
    # an account of one currency may tell its cash only as the total
    cash = cash or {base: amounts.number(row, "cash")}
    return [
        BrokerBalance(
            business_date=record.business_date,
            broker=Broker.FUTU,
            account_id=record.account_id,
            currency=currency,
            cash=cash.get(currency),
            net_liquidation=amounts.number(row, "totalAssets") if currency == base else None,
            market_value=amounts.number(row, "marketVal") if currency == base else None,
            as_of=as_of,
            source=SOURCE,
        )
        for currency in sorted({base, *cash})
    ]


def _cash_by_currency(row: Row) -> dict[str, Decimal | None]:
    told: list[Row] = row.get("cashInfoList") or []
    return {_named(one.get("currency")): amounts.number(one, "cash") for one in told if one.get("currency")}


def _named(number: object) -> str:
    """The currency of a number; the number itself where no rule knows it, so that the cash is not lost."""
    return vocabulary.CURRENCIES.get(number, str(number)) if isinstance(number, int) else str(number)


def _base_currency(record: Record, row: Row, cash: dict[str, Decimal | None]) -> str:
    """The currency of the totals: as told, else the only one there is, else that of the market asked."""
    if row.get("currency"):
        return _named(row["currency"])
    if len(cash) == 1:
        return next(iter(cash))
    prefix = vocabulary.PREFIX_OF_TRD_MARKET.get(record.payload.get("trdMarket", 0))
    currency = vocabulary.CURRENCY_OF_PREFIX.get(prefix or "")
    if currency is None:
        raise UnknownPayload("unknown_currency", "the funds do not say in which currency their totals are")
    return currency


def figures(record: Record) -> AccountFigures:
    """What a snapshot of funds says of the whole account, in the currency of its totals. UnknownPayload."""
    told = next(iter(rows_of(record)), None)
    if told is None:
        return AccountFigures()
    return AccountFigures(
        net_liquidation=amounts.number(told, "totalAssets"),
        total_cash_value=amounts.number(told, "cash"),
        unrealized_pnl=amounts.number(told, "unrealizedPL"),
        realized_pnl=amounts.number(told, "realizedPL"),
        margin_used=amounts.number(told, "initialMargin"),
        currency=_base_currency(record, told, _cash_by_currency(told)),
    )
