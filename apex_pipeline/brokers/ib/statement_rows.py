"""Rows about instruments: executions, orders, positions, option endings, and how scenario facts fill them.

Every row carries its whole attribute set; what has no value is an empty text, as in real statements. Values are
written in the compact date format; the pen turns them into others.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache

from apex_pipeline.brokers.ib.statement_format import NEW_YORK, number
from apex_pipeline.brokers.ib.statement_ledger import Entry, Lot, Move, Position, trade_id_of
from apex_pipeline.brokers.ib.statement_rates import rate
from apex_pipeline.brokers.scenario import Contract, Event, ScenarioOrder
from apex_pipeline.domain.models import AssetClass, Side, TradeKind

_FIRST_ORDER_ID = 4_100_000_000
INSTRUMENT = (
    "assetCategory subCategory symbol description conid securityID securityIDType cusip isin figi listingExchange "
    "underlyingConid underlyingSymbol underlyingSecurityID underlyingListingExchange issuer issuerCountryCode"
)
TRADE_ATTRIBUTES = (
    f"accountId acctAlias model currency fxRateToBase {INSTRUMENT} tradeID multiplier relatedTradeID strike "
    "reportDate expiry dateTime putCall tradeDate principalAdjustFactor settleDateTarget transactionType exchange "
    "quantity tradePrice tradeMoney proceeds taxes ibCommission ibCommissionCurrency netCash closePrice "
    "openCloseIndicator notes cost fifoPnlRealized mtmPnl origTradePrice origTradeDate origTradeID origOrderID "
    "origTransactionID buySell clearingFirmID ibOrderID transactionID ibExecID relatedTransactionID rtn "
    "brokerageOrderID orderReference volatilityOrderLink exchOrderId extExecID orderTime openDateTime "
    "holdingPeriodDateTime whenRealized whenReopened levelOfDetail changeInPrice changeInQuantity orderType traderID "
    "isAPIOrder accruedInt initialInvestment positionActionID serialNumber deliveryType commodityType fineness weight"
).split()
EAE_ATTRIBUTES = (
    f"accountId acctAlias model currency fxRateToBase {INSTRUMENT} multiplier strike expiry putCall "
    "principalAdjustFactor date transactionType quantity tradePrice markPrice proceeds commisionsAndTax costBasis "
    "realizedPnl fxPnl mtmPnl tradeID positionActionID"
).split()
POSITION_ATTRIBUTES = (
    f"accountId acctAlias model currency fxRateToBase {INSTRUMENT} multiplier strike expiry putCall "
    "principalAdjustFactor reportDate position markPrice positionValue openPrice costBasisPrice costBasisMoney "
    "percentOfNAV fifoPnlUnrealized side levelOfDetail openDateTime holdingPeriodDateTime vestingDate code "
    "originatingOrderID originatingTransactionID accruedInt serialNumber deliveryType commodityType fineness weight"
).split()
SECURITY_ATTRIBUTES = (
    f"currency {INSTRUMENT} multiplier strike expiry putCall principalAdjustFactor maturity issueDate "
    "settlementPolicyMethod code"
).split()

_STOCK_VENUES = {"US": ("ISLAND", "ARCA", "IBKRATS", "DRCTEDGE", "NYSE"), "HK": ("SEHK",)}
_OPTION_VENUES = {"US": ("CBOE", "ISE", "AMEX", "BOX", "PHLX"), "HK": ("HKFE",)}
_NOTES = {TradeKind.EXPIRATION: "Ep", TradeKind.ASSIGNMENT: "A", TradeKind.EXERCISE: "Ex"}
_EAE_TYPES = {
    TradeKind.EXPIRATION: "Expiration", TradeKind.ASSIGNMENT: "Assignment", TradeKind.EXERCISE: "Exercise"
}  # fmt: skip


def fx_rate(contract: Contract, day: date) -> str:
    """That day's rate of the contract's currency to US dollars."""
    return number(rate(contract.currency, day))


def order_id_of(order: ScenarioOrder) -> str:
    """The order's ibOrderID."""
    return str(_FIRST_ORDER_ID + order.number)


def local_time(at: datetime) -> str:
    """A time as statements write it: in New York."""
    return f"{at.astimezone(NEW_YORK):%Y%m%d;%H%M%S}"


def symbol_of(contract: Contract) -> str:
    """IB's symbol: Hong Kong stocks without leading zeros, options in the 21 characters of the OSI."""
    if contract.expiry is None or contract.strike is None or contract.right is None:
        return contract.code.lstrip("0") if contract.market == "HK" else contract.code
    return f"{contract.root:<6}{contract.expiry:%y%m%d}{contract.right.value}{int(contract.strike * 1000):08d}"


@cache
def contract_values(contract: Contract) -> dict[str, str]:
    """The attributes that name an instrument."""
    values = {
        "currency": contract.currency, "symbol": symbol_of(contract), "description": contract.name,
        "conid": str(contract.conid), "listingExchange": contract.exchange, "multiplier": number(contract.multiplier),
        "assetCategory": "STK", "subCategory": "COMMON", "issuerCountryCode": contract.market,
    }  # fmt: skip
    if contract.asset_class != AssetClass.OPTION or contract.strike is None or contract.right is None:
        return values
    underlying = contract.code.lstrip("0") if contract.market == "HK" else contract.code
    return {
        **values, "assetCategory": "OPT", "subCategory": contract.right.value, "strike": number(contract.strike),
        "expiry": f"{contract.expiry:%Y%m%d}", "putCall": contract.right.value, "underlyingSymbol": underlying,
        "underlyingConid": str(contract.underlying_conid or ""),
        "underlyingListingExchange": "SEHK" if contract.market == "HK" else "",
    }  # fmt: skip


def execution_values(entry: Entry, close: Decimal) -> dict[str, str]:
    """A row of level EXECUTION: a trade, its cancel, or a book trade (expiry, assignment, exercise)."""
    move, source = entry.move, entry.move.source
    values = {
        **_shared(entry, close), "transactionID": str(move.transaction_id), "ibExecID": move.exec_id,
        "tradeID": move.trade_id, "levelOfDetail": "EXECUTION",
        "transactionType": "ExchTrade", "exchange": venue(source.contract, move.transaction_id),
        "openCloseIndicator": entry.effect, "exchOrderId": "N/A", "extExecID": f"{move.transaction_id * 7919:x}",
        "origTradePrice": "0", "origOrderID": "0", "isAPIOrder": "N",
    }  # fmt: skip
    if isinstance(source, Event):
        return values | _booked(source, move)
    order = move.order
    values |= (order_words(order) if order else {}) | {"notes": notes_of(entry)}
    return values | (_cancelled(move, move.cancels) if move.cancels is not None else {})


def _booked(source: Event, move: Move) -> dict[str, str]:
    link = source.related or source.event_id
    return {
        "transactionType": "BookTrade", "exchange": "--", "notes": _NOTES[source.kind], "extExecID": "N/A",
        "ibOrderID": str(move.transaction_id),
        "positionActionID": "" if source.kind == TradeKind.EXPIRATION else str(link // 3 - 10_000_000_000),
    }  # fmt: skip


def _cancelled(move: Move, original: int) -> dict[str, str]:
    """What a cancel says otherwise: the direction of the original, and the ids that name it."""
    taken_back = Side.SELL if move.source.side == Side.BUY else Side.BUY
    return {
        "transactionType": "TradeCancel", "exchange": "--", "notes": "Ca", "extExecID": "N/A", "orderTime": "",
        "brokerageOrderID": "", "buySell": f"{taken_back.value} (Ca.)", "origTradePrice": number(move.source.price),
        "origTradeDate": f"{move.source.trade_date:%Y%m%d}", "origTradeID": trade_id_of(original),
        "origOrderID": order_id_of(move.order) if move.order else "0", "origTransactionID": str(original),
    }  # fmt: skip


def notes_of(entry: Entry) -> str:
    """P where an order was filled in parts."""
    order = entry.move.order
    return "P" if order and len(order.fills) > 1 else ""


def _shared(entry: Entry, close: Decimal) -> dict[str, str]:
    move, source = entry.move, entry.move.source
    net = move.proceeds + move.commission + move.taxes
    return {
        **contract_values(source.contract), "accountId": move.account_id,
        "fxRateToBase": fx_rate(source.contract, move.report_date),
        "reportDate": f"{move.report_date:%Y%m%d}", "dateTime": local_time(source.at),
        "tradeDate": f"{source.trade_date:%Y%m%d}", "settleDateTarget": f"{move.settle_date:%Y%m%d}",
        "quantity": number(move.qty), "tradePrice": number(source.price), "tradeMoney": number(-move.proceeds),
        "proceeds": number(move.proceeds), "taxes": number(move.taxes), "ibCommission": number(move.commission),
        "ibCommissionCurrency": source.contract.currency, "netCash": number(net), "closePrice": number(close),
        "cost": number(entry.cost), "fifoPnlRealized": number(entry.realized), "buySell": source.side.value,
        "mtmPnl": number(move.qty * (close - source.price) * source.contract.multiplier),
        "changeInPrice": "0", "changeInQuantity": "0", "accruedInt": "0", "fineness": "0.0", "weight": "0.0",
    }  # fmt: skip


def order_words(order: ScenarioOrder) -> dict[str, str]:
    """What an execution says of its order."""
    return {
        "ibOrderID": order_id_of(order), "orderTime": local_time(order.created_at),
        "orderType": "LMT" if order.limit_price is not None else "MKT",
        "brokerageOrderID": "" if order.combo else f"002ce642.00014acc.{0x60000000 + order.number:08x}.0001",
    }  # fmt: skip


def order_values(entries: Sequence[Entry], close: Decimal) -> dict[str, str]:
    """A row of level ORDER: the sums of the order's executions, without ids of executions."""
    moves = [e.move for e in entries]
    qty = sum((m.qty for m in moves), Decimal(0))
    money = sum((m.proceeds for m in moves), Decimal(0))
    commission = sum((m.commission for m in moves), Decimal(0))
    taxes = sum((m.taxes for m in moves), Decimal(0))
    contract, order = moves[0].source.contract, moves[0].order
    price = (-money / qty / contract.multiplier).quantize(Decimal("0.00000001"))
    return {
        **_shared(entries[0], close), **(order_words(order) if order else {}), "brokerageOrderID": "",
        "levelOfDetail": "ORDER", "quantity": number(qty), "tradePrice": number(price), "tradeMoney": number(-money),
        "proceeds": number(money), "taxes": number(taxes), "ibCommission": number(commission),
        "netCash": number(money + commission + taxes), "openCloseIndicator": "-",
        "cost": number(sum((e.cost for e in entries), Decimal(0))),
        "fifoPnlRealized": number(sum((e.realized for e in entries), Decimal(0))),
        "mtmPnl": number(qty * close * contract.multiplier + money),
    }  # fmt: skip


def event_values(entry: Entry, close: Decimal) -> dict[str, str]:
    """A row of OptionEAE; the delivered shares stand as Buy or Sell beside their option."""
    source = entry.move.source
    assert isinstance(source, Event)
    shares = "Buy" if source.side == Side.BUY else "Sell"
    row = execution_values(entry, close)
    return {
        **row, "date": row["tradeDate"], "transactionType": shares if source.related else _EAE_TYPES[source.kind],
        "markPrice": row["closePrice"], "commisionsAndTax": "0", "costBasis": row["cost"],
        "realizedPnl": row["fifoPnlRealized"], "fxPnl": "0",
    }  # fmt: skip


def venue(contract: Contract, key: int) -> str:
    """An exchange of the contract's market, always the same for the same key."""
    venues = (_STOCK_VENUES if contract.asset_class == AssetClass.STOCK else _OPTION_VENUES)[contract.market]
    return venues[key % len(venues)]


def position_values(position: Position, day: date, mark: Decimal, net: Decimal) -> dict[str, str]:
    """A row of level SUMMARY: a whole position at the end of a day; `net` is the account's value in US dollars."""
    held = _held_values(position.contract, position.qty, position.basis, day, mark)
    worth = position.qty * position.contract.multiplier * mark * rate(position.contract.currency, day)
    share = (worth / net * 100).quantize(Decimal("0.01")) if net else Decimal(0)
    return held | {"levelOfDetail": "SUMMARY", "percentOfNAV": number(share)}


def open_lot_values(position: Position, lot: Lot, day: date, mark: Decimal) -> dict[str, str]:
    """A row of level LOT: what is left of one opening."""
    opened = lot.opened
    return _held_values(position.contract, lot.qty, lot.basis, day, mark) | {
        "levelOfDetail": "LOT", "openDateTime": local_time(opened.source.at),
        "holdingPeriodDateTime": local_time(opened.source.at), "originatingTransactionID": str(opened.transaction_id),
        "originatingOrderID": order_id_of(opened.order) if opened.order else "",
    }  # fmt: skip


def _held_values(contract: Contract, qty: Decimal, basis: Decimal, day: date, mark: Decimal) -> dict[str, str]:
    units = qty * contract.multiplier
    return {
        **contract_values(contract), "fxRateToBase": fx_rate(contract, day), "reportDate": f"{day:%Y%m%d}",
        "position": number(qty), "markPrice": number(mark), "positionValue": number(units * mark),
        "openPrice": number(per_unit(basis, units)), "costBasisPrice": number(per_unit(basis, units)),
        "costBasisMoney": number(basis), "fifoPnlUnrealized": number(units * mark - basis),
        "side": "Long" if qty > 0 else "Short", "accruedInt": "0", "fineness": "0.0", "weight": "0.0",
    }  # fmt: skip


def per_unit(basis: Decimal, units: Decimal) -> Decimal:
    """A basis by unit, positive; to nine decimals."""
    return (basis / units).quantize(Decimal("0.000000001"))
