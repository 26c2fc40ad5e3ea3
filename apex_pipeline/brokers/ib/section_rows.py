"""Rows of a statement's sections as rows of ours: funds, corporate actions, transfers, accruals, ends of options, lots.

One function a section, each from one row to one row. Quantities and amounts keep the sign they are told with.
Every function raises UnknownPayload where a value cannot be read.
"""

from collections.abc import Iterable
from dataclasses import replace

from apex_pipeline.brokers.ib.corporate import action_of
from apex_pipeline.brokers.ib.rows import Row
from apex_pipeline.brokers.ib.securities import named, required, symbol_of
from apex_pipeline.brokers.ib.symbols import Named
from apex_pipeline.brokers.ib.trades import SOURCE
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.statements import (
    ClosedLot,
    ConversionRate,
    CorporateAction,
    DividendAccrual,
    FundsLine,
    OptionEvent,
    Transfer,
)


def funds_line(row: Row, line_uid: str) -> FundsLine:
    """A line of the statement of funds; the opening and closing balances are lines without an amount of their own.

    `from_date` and `to_date` are those of lines that belong to the days of their statement.
    """
    told, record = row.told, row.record
    first, last = row.days if row.number is None else (None, record.business_date)
    return FundsLine(
        line_uid=line_uid,
        broker=Broker.IB,
        account_id=record.account_id,
        business_date=record.business_date,
        level=told.text("levelOfDetail"),
        currency=told.text("currency"),
        activity_code=told.text("activityCode"),
        description=told.text("activityDescription"),
        symbol=symbol_of(told),
        amount=told.number("amount"),
        balance=told.number("balance"),
        activity_date=told.date("date"),
        settle_date=told.date("settleDate"),
        broker_trade_id=told.id("tradeID"),
        broker_transaction_id=told.id("transactionID"),
        from_date=first,
        to_date=last if first else None,
        source=SOURCE,
    )


def corporate_action(row: Row) -> tuple[CorporateAction, Named]:
    """One row of a corporate action, and the instrument it is about; the text of the action is never interpreted."""
    told, record, about = row.told, row.record, required(row.told)
    return CorporateAction(
        action_uid=row.uid,
        broker=Broker.IB,
        account_id=record.account_id,
        business_date=record.business_date,
        broker_transaction_id=told.id("transactionID"),
        broker_action_id=told.id("actionID"),
        broker_kind=told.text("type"),
        symbol=about.instrument.symbol,
        underlying=about.instrument.underlying,
        asset_class=about.instrument.asset_class,
        qty=told.number("quantity"),
        amount=told.number("amount"),
        proceeds=told.number("proceeds"),
        value=told.number("value"),
        realized_pnl=told.number("fifoPnlRealized"),
        currency=told.text("currency"),
        happened_at=told.instant("dateTime"),
        description=told.text("actionDescription") or told.text("description"),
        source=SOURCE,
        kind=action_of(told),
        instrument_id=about.instrument.ib_conid,
    ), about


def transfer(row: Row) -> tuple[Transfer, Named | None]:
    """A transfer between brokers or accounts, and its instrument where it is not of cash alone."""
    told, record, about = row.told, row.record, named(row.told)
    instrument = about.instrument if about else None
    return Transfer(
        transfer_uid=row.uid,
        broker=Broker.IB,
        account_id=record.account_id,
        business_date=record.business_date,
        broker_transaction_id=told.id("transactionID"),
        broker_kind=told.text("type"),
        direction=told.text("direction"),
        symbol=instrument.symbol if instrument else None,
        underlying=instrument.underlying if instrument else None,
        asset_class=instrument.asset_class if instrument else None,
        qty=told.number("quantity"),
        price=told.number("transferPrice"),
        position_amount=told.number("positionAmount"),
        cash_amount=told.number("cashTransfer"),
        currency=told.text("currency"),
        other_account=told.text("account"),
        settle_date=told.date("settleDate"),
        description=told.text("description"),
        source=SOURCE,
        instrument_id=instrument.ib_conid if instrument else None,
    ), about


def trade_transfer(row: Row) -> tuple[Transfer, Named | None]:
    """A trade that was transferred to or from another broker; it uses the words of a trade."""
    told = row.told
    moved, about = transfer(row)
    return replace(
        moved,
        broker_kind=told.text("transactionType"),
        direction=told.text("direction") or told.text("deliveredReceived"),
        price=told.number("tradePrice"),
        position_amount=told.number("tradeMoney"),
        cash_amount=told.number("netCash"),
        other_account=told.text("brokerAccount"),
        settle_date=told.date("settleDateTarget"),
    ), about


def conversion_rate(row: Row) -> ConversionRate:
    """The rate of a day, from one currency to another."""
    record = row.record
    return ConversionRate(
        rate_uid=row.uid,
        broker=Broker.IB,
        account_id=record.account_id,
        business_date=record.business_date,
        from_currency=row.told.required("fromCurrency"),
        to_currency=row.told.required("toCurrency"),
        rate=row.told.required_number("rate"),
        source=SOURCE,
    )


def dividend_accrual(row: Row) -> tuple[DividendAccrual, Named]:
    """A dividend accrued (code Po) or taken back from the accruals (Re), and its instrument."""
    told, record, about = row.told, row.record, required(row.told)
    return DividendAccrual(
        accrual_uid=row.uid,
        broker=Broker.IB,
        account_id=record.account_id,
        business_date=record.business_date,
        symbol=about.instrument.symbol,
        ex_date=told.date("exDate"),
        pay_date=told.date("payDate"),
        qty=told.number("quantity"),
        gross_rate=told.number("grossRate"),
        gross_amount=told.number("grossAmount"),
        tax=told.number("tax"),
        fee=told.number("fee"),
        net_amount=told.number("netAmount"),
        currency=told.text("currency"),
        codes=told.text("code"),
        broker_action_id=told.id("actionID"),
        source=SOURCE,
    ), about


def option_event(row: Row) -> tuple[OptionEvent, Named]:
    """How an option ended, or the shares that it moved, and the instrument of the row."""
    told, record, about = row.told, row.record, required(row.told)
    return OptionEvent(
        event_uid=row.uid,
        broker=Broker.IB,
        account_id=record.account_id,
        business_date=record.business_date,
        broker_kind=told.text("transactionType"),
        symbol=about.instrument.symbol,
        underlying=about.instrument.underlying,
        asset_class=about.instrument.asset_class,
        qty=told.number("quantity"),
        price=told.number("tradePrice"),
        proceeds=told.number("proceeds"),
        cost_basis=told.number("costBasis"),
        realized_pnl=told.number("realizedPnl"),
        currency=told.text("currency"),
        broker_trade_id=told.id("tradeID"),
        link_id=told.id("positionActionID") or told.id("relatedTradeID"),
        source=SOURCE,
    ), about


def joined(events: Iterable[OptionEvent]) -> list[OptionEvent]:
    """The events with one `link_id` for both rows of a pair: one of them names the trade of the other, or both do."""
    events = list(events)
    named_by = {(one.account_id, one.link_id) for one in events if one.link_id}

    def link(one: OptionEvent) -> str | None:
        own = one.broker_trade_id
        if one.link_id and own and (one.account_id, own) in named_by:
            return min(own, one.link_id, key=lambda text: (len(text), text))
        if one.link_id is None and (one.account_id, own) in named_by:
            return own
        return one.link_id

    return [replace(one, link_id=link(one)) for one in events]


def closed_lot(row: Row) -> tuple[ClosedLot, Named]:
    """A piece that a trade closed, and its instrument. IB writes the transactionID of the trade that opened it."""
    told, record, about = row.told, row.record, required(row.told)
    return ClosedLot(
        lot_uid=row.uid if row.number is None else f"{row.uid}#{row.number}",
        broker=Broker.IB,
        account_id=record.account_id,
        business_date=record.business_date,
        symbol=about.instrument.symbol,
        underlying=about.instrument.underlying,
        asset_class=about.instrument.asset_class,
        qty=told.required_number("quantity"),
        broker_side=told.text("buySell"),
        opened_at=told.instant("openDateTime"),
        closed_at=told.executed_at(),
        open_price=told.number("tradePrice"),
        cost_basis=told.number("cost"),
        realized_pnl=told.number("fifoPnlRealized"),
        currency=told.text("currency"),
        open_trade_id=told.id("transactionID"),
        notes=told.text("notes"),
        source=SOURCE,
        instrument_id=about.instrument.ib_conid,
    ), about
