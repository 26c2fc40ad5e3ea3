"""Rows that repeat executions in another shape: closed lots, sums by instrument and asset class, trade
confirmations, the parts of a commission, transaction taxes, and currency conversions.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

from apex_pipeline.brokers.ib.statement_extras import FX_CONID, FX_CURRENCY, FX_SYMBOL, Conversion
from apex_pipeline.brokers.ib.statement_format import number
from apex_pipeline.brokers.ib.statement_ledger import Entry, Piece
from apex_pipeline.brokers.ib.statement_rates import BASE_CURRENCY, rate
from apex_pipeline.brokers.ib.statement_rows import (
    INSTRUMENT,
    contract_values,
    fx_rate,
    local_time,
    notes_of,
    order_id_of,
    order_words,
    per_unit,
    venue,
)
from apex_pipeline.brokers.scenario import Contract, Event
from apex_pipeline.domain.models import AssetClass, Side

CONFIRM_ATTRIBUTES = (
    f"accountId acctAlias model currency {INSTRUMENT} multiplier strike expiry putCall principalAdjustFactor "
    "transactionType tradeID orderID execID brokerageOrderID orderReference volatilityOrderLink clearingFirmID "
    "origTradePrice origTradeDate origTradeID orderTime dateTime reportDate settleDate tradeDate exchange buySell "
    "quantity price amount proceeds netCash commission brokerExecutionCommission brokerClearingCommission "
    "thirdPartyExecutionCommission thirdPartyClearingCommission thirdPartyRegulatoryCommission otherCommission "
    "commissionCurrency tax code orderType levelOfDetail traderID isAPIOrder allocatedTo accruedInt"
).split()
UNBUNDLED_ATTRIBUTES = (
    f"accountId acctAlias model currency fxRateToBase {INSTRUMENT} multiplier strike expiry putCall "
    "principalAdjustFactor dateTime exchange buySell quantity price tradeID orderReference totalCommission "
    "brokerExecutionCharge brokerClearingCharge thirdPartyExecutionCharge thirdPartyClearingCharge "
    "thirdPartyRegulatoryCharge regFINRATradingActivityFee regSection31TransactionFee regOther other"
).split()
TAX_ATTRIBUTES = (
    f"accountId acctAlias model currency fxRateToBase {INSTRUMENT} multiplier strike expiry putCall "
    "principalAdjustFactor date taxDescription quantity reportDate taxAmount tradeId tradePrice source code "
    "levelOfDetail"
).split()

_ZERO = Decimal(0)
_FEE_DIGITS = Decimal("0.00000001")
_SEVERAL = "MULTI"
Row = Mapping[str, str]
"""The values of a row by attribute."""


def closed_lot_values(entry: Entry, piece: Piece) -> dict[str, str]:
    """A row of level CLOSED_LOT: price, cost, id and time of the opening, direction of the close, net gain."""
    move, source = entry.move, entry.move.source
    opened = local_time(piece.opened.source.at)
    units = piece.qty * source.contract.multiplier
    return {
        **contract_values(source.contract), "accountId": move.account_id, "levelOfDetail": "CLOSED_LOT",
        "fxRateToBase": fx_rate(source.contract, move.report_date), "reportDate": f"{move.report_date:%Y%m%d}",
        "dateTime": local_time(source.at), "tradeDate": f"{source.trade_date:%Y%m%d}",
        "exchange": "--" if isinstance(source, Event) else venue(source.contract, move.transaction_id),
        "quantity": number(abs(piece.qty)), "tradePrice": number(per_unit(piece.basis, units)),
        "openCloseIndicator": "C", "notes": "ST", "cost": number(piece.basis),
        "fifoPnlRealized": number(piece.realized), "transactionID": str(piece.opened.transaction_id),
        "buySell": source.side.value, "openDateTime": opened, "holdingPeriodDateTime": opened,
        "fineness": "0.0", "weight": "0.0",
    }  # fmt: skip


def symbol_summary_values(contract: Contract, rows: Sequence[Row]) -> dict[str, str]:
    """A row of level SYMBOL_SUMMARY: the sums of one instrument's executions of one side.

    Where their texts differ it says MULTI.
    """
    qty, money = _sum(rows, "quantity"), _sum(rows, "tradeMoney")
    price = (money / qty / contract.multiplier).quantize(_FEE_DIGITS) if qty else _ZERO
    told = ("accountId", "reportDate", "dateTime", "tradeDate", "settleDateTarget", "exchange", "buySell")
    return {
        **contract_values(contract), "levelOfDetail": "SYMBOL_SUMMARY",
        **{name: _same(rows, name) for name in told}, **{name: number(_sum(rows, name)) for name in _SUMMED},
        "tradePrice": number(price), "ibCommissionCurrency": contract.currency,
    }  # fmt: skip


def asset_summary_values(entries: Sequence[Entry]) -> dict[str, str]:
    """A row of level ASSET_SUMMARY: the sums of one asset class, money in the base currency."""
    moves = [(e.move, rate(e.move.source.contract.currency, e.move.report_date)) for e in entries]
    sums = {
        "quantity": sum((m.qty for m, _ in moves), _ZERO),
        "proceeds": sum((m.proceeds * to_base for m, to_base in moves), _ZERO),
        "taxes": sum((m.taxes * to_base for m, to_base in moves), _ZERO),
        "ibCommission": sum((m.commission * to_base for m, to_base in moves), _ZERO),
    }
    category = contract_values(moves[0][0].source.contract)["assetCategory"]
    return {
        "accountId": moves[0][0].account_id, "levelOfDetail": "ASSET_SUMMARY", "assetCategory": category,
        **{name: number(value) for name, value in sums.items()},
    }  # fmt: skip


def confirm_values(entry: Entry) -> dict[str, str]:
    """A trade confirmation, in its own words: execID, orderID, price, commission, tax, code, settleDate."""
    move, source = entry.move, entry.move.source
    order = move.order
    codes = [*entry.effect.split(";"), notes_of(entry)]
    return {
        **contract_values(source.contract), **(order_words(order) if order else {}), "accountId": move.account_id,
        "transactionType": "ExchTrade", "tradeID": move.trade_id, "orderID": order_id_of(order) if order else "",
        "execID": move.exec_id, "origTradePrice": "0", "dateTime": local_time(source.at),
        "reportDate": f"{move.report_date:%Y%m%d}", "settleDate": f"{move.settle_date:%Y%m%d}",
        "tradeDate": f"{source.trade_date:%Y%m%d}", "exchange": venue(source.contract, move.transaction_id),
        "buySell": source.side.value, "quantity": number(move.qty), "price": number(source.price),
        "amount": number(-move.proceeds), "proceeds": number(move.proceeds),
        "netCash": number(move.proceeds + move.commission + move.taxes), "commission": number(move.commission),
        "commissionCurrency": source.contract.currency, "tax": number(move.taxes),
        "code": ";".join(code for code in codes if code), "levelOfDetail": "EXECUTION", "isAPIOrder": "N",
        "accruedInt": "0", "otherCommission": "0",
    }  # fmt: skip


def unbundled_values(entry: Entry) -> dict[str, str]:
    """The parts of a commission, negative when paid; what no exchange or authority takes is the broker's."""
    move, source = entry.move, entry.move.source
    money, stock = abs(move.proceeds), source.contract.asset_class is AssetClass.STOCK
    sold = source.side is Side.SELL and source.contract.market == "US"
    section31 = -(money * Decimal("0.0000278")).quantize(_FEE_DIGITS) if sold else _ZERO
    finra = -(source.qty * Decimal("0.000166")).quantize(_FEE_DIGITS) if sold and stock else _ZERO
    clearing = -(source.qty * Decimal("0.0002" if stock else "0.025")).quantize(_FEE_DIGITS)
    execution = -(source.qty * Decimal("0.0003" if stock else "0.01")).quantize(_FEE_DIGITS)
    regulatory = section31 + finra
    brokers = move.commission - regulatory - clearing - execution
    charges = {
        "totalCommission": move.commission, "brokerExecutionCharge": brokers,
        "brokerClearingCharge": _ZERO, "thirdPartyExecutionCharge": execution, "thirdPartyClearingCharge": clearing,
        "thirdPartyRegulatoryCharge": regulatory, "regFINRATradingActivityFee": finra,
        "regSection31TransactionFee": section31, "regOther": _ZERO, "other": _ZERO,
    }  # fmt: skip
    return {
        **contract_values(source.contract), "accountId": move.account_id, "dateTime": local_time(source.at),
        "fxRateToBase": fx_rate(source.contract, move.report_date), "buySell": source.side.value,
        "exchange": venue(source.contract, move.transaction_id), "quantity": number(move.qty),
        "price": number(source.price), "tradeID": move.trade_id, **{n: number(v) for n, v in charges.items()},
    }  # fmt: skip


def tax_values(entry: Entry) -> dict[str, str]:
    """A transaction tax of an execution, negative when paid; it names the trade in `tradeId`."""
    move, source = entry.move, entry.move.source
    return {
        **contract_values(source.contract), "accountId": move.account_id, "date": f"{source.trade_date:%Y%m%d}",
        "fxRateToBase": fx_rate(source.contract, move.report_date), "reportDate": f"{move.report_date:%Y%m%d}",
        "taxDescription": "Hong Kong Stamp Duty", "quantity": number(move.qty), "tradePrice": number(source.price),
        "taxAmount": number(move.taxes), "tradeId": move.trade_id, "source": "TRADE", "levelOfDetail": "DETAIL",
    }  # fmt: skip


def conversion_values(deal: Conversion, level: str = "EXECUTION") -> dict[str, str]:
    """A currency conversion: quantity in US dollars, price and proceeds in Hong Kong dollars, netCash 0.

    Its rate to the base is that of the end of the day, not the one that was dealt.
    """
    to_base = rate(FX_CURRENCY, deal.trade_date)
    close = (1 / to_base).quantize(Decimal("0.000001"))
    values = {
        "accountId": deal.account_id, "currency": FX_CURRENCY, "fxRateToBase": number(to_base), "assetCategory": "CASH",
        "symbol": FX_SYMBOL, "description": FX_SYMBOL, "conid": str(FX_CONID), "multiplier": "1",
        "reportDate": f"{deal.trade_date:%Y%m%d}", "dateTime": local_time(deal.at), "levelOfDetail": level,
        "tradeDate": f"{deal.trade_date:%Y%m%d}", "settleDateTarget": f"{deal.settle_date:%Y%m%d}",
        "quantity": number(deal.qty), "tradePrice": number(deal.price), "tradeMoney": number(-deal.proceeds),
        "proceeds": number(deal.proceeds), "taxes": "0", "ibCommission": number(deal.commission),
        "ibCommissionCurrency": BASE_CURRENCY, "netCash": "0", "closePrice": "0", "cost": "0", "fifoPnlRealized": "0",
        "mtmPnl": number((deal.qty * (close - deal.price)).quantize(Decimal("0.000001"))),
        "buySell": "BUY" if deal.qty > 0 else "SELL", "ibOrderID": str(deal.order_id), "orderType": "LMT",
        "orderTime": local_time(deal.at), "fineness": "0.0", "weight": "0.0",
    }  # fmt: skip
    if level == "ORDER":
        return values | {"openCloseIndicator": "-"}
    return values | {
        "transactionType": "ExchTrade", "exchange": "IDEALFX", "transactionID": str(deal.transaction_id),
        "tradeID": conversion_trade_id(deal), "ibExecID": deal.exec_id, "exchOrderId": "N/A", "extExecID": "N/A",
        "origTradePrice": "0", "origOrderID": "0", "isAPIOrder": "N",
    }  # fmt: skip


def conversion_trade_id(deal: Conversion) -> str:
    """The tradeID of a conversion."""
    return str(deal.transaction_id // 3 - 9_000_000_000)


def conversion_confirm_values(deal: Conversion) -> dict[str, str]:
    """The trade confirmation of a conversion."""
    row = conversion_values(deal)
    return row | {
        "orderID": row["ibOrderID"], "execID": row["ibExecID"], "settleDate": row["settleDateTarget"],
        "price": row["tradePrice"], "amount": row["tradeMoney"], "commission": row["ibCommission"], "tax": "0",
        "commissionCurrency": BASE_CURRENCY, "code": "", "otherCommission": "0", "accruedInt": "0",
    }  # fmt: skip


def within(deals: Iterable[Conversion], first: date, last: date) -> list[Conversion]:
    """The conversions that belong to these days."""
    return [deal for deal in deals if first <= deal.trade_date <= last]


_SUMMED = (
    "quantity", "tradeMoney", "proceeds", "taxes", "ibCommission", "netCash", "cost", "fifoPnlRealized", "mtmPnl",
)  # fmt: skip


def _sum(rows: Iterable[Row], name: str) -> Decimal:
    return sum((Decimal(row[name]) for row in rows), _ZERO)


def _same(rows: Iterable[Row], name: str) -> str:
    texts = {row[name] for row in rows}
    return texts.pop() if len(texts) == 1 else _SEVERAL
