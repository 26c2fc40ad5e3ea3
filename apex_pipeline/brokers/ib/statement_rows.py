"""The attributes of Flex rows and how scenario facts fill them.

Every row carries its whole attribute set; what has no value is an empty text, as in real statements.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from zoneinfo import ZoneInfo

from apex_pipeline.brokers.ib.statement_ledger import Entry
from apex_pipeline.brokers.scenario import Contract, Event, ScenarioOrder
from apex_pipeline.domain.models import AssetClass, Side, TradeKind

_NEW_YORK = ZoneInfo("America/New_York")
_FIRST_ORDER_ID = 4_100_000_000
_INSTRUMENT = (
    "assetCategory subCategory symbol description conid securityID securityIDType cusip isin figi listingExchange "
    "underlyingConid underlyingSymbol underlyingSecurityID underlyingListingExchange issuer issuerCountryCode"
)
TRADE_ATTRIBUTES = (
    f"accountId acctAlias model currency fxRateToBase {_INSTRUMENT} tradeID multiplier relatedTradeID strike "
    "reportDate expiry dateTime putCall tradeDate principalAdjustFactor settleDateTarget transactionType exchange "
    "quantity tradePrice tradeMoney proceeds taxes ibCommission ibCommissionCurrency netCash closePrice "
    "openCloseIndicator notes cost fifoPnlRealized mtmPnl origTradePrice origTradeDate origTradeID origOrderID "
    "origTransactionID buySell clearingFirmID ibOrderID transactionID ibExecID relatedTransactionID rtn "
    "brokerageOrderID orderReference volatilityOrderLink exchOrderId extExecID orderTime openDateTime "
    "holdingPeriodDateTime whenRealized whenReopened levelOfDetail changeInPrice changeInQuantity orderType traderID "
    "isAPIOrder accruedInt initialInvestment positionActionID serialNumber deliveryType commodityType fineness weight"
).split()
EAE_ATTRIBUTES = (
    f"accountId acctAlias model currency fxRateToBase {_INSTRUMENT} multiplier strike expiry putCall "
    "principalAdjustFactor date transactionType quantity tradePrice markPrice proceeds commisionsAndTax costBasis "
    "realizedPnl fxPnl mtmPnl tradeID positionActionID"
).split()
POSITION_ATTRIBUTES = (
    f"accountId acctAlias model currency fxRateToBase {_INSTRUMENT} multiplier strike expiry putCall "
    "principalAdjustFactor reportDate position markPrice positionValue openPrice costBasisPrice costBasisMoney "
    "percentOfNAV fifoPnlUnrealized side levelOfDetail openDateTime holdingPeriodDateTime vestingDate code "
    "originatingOrderID originatingTransactionID accruedInt serialNumber deliveryType commodityType fineness weight"
).split()
SECURITY_ATTRIBUTES = (
    f"currency {_INSTRUMENT} multiplier strike expiry putCall principalAdjustFactor maturity issueDate "
    "settlementPolicyMethod code"
).split()

_STOCK_VENUES = {"US": ("ISLAND", "ARCA", "IBKRATS", "DRCTEDGE", "NYSE"), "HK": ("SEHK",)}
_OPTION_VENUES = {"US": ("CBOE", "ISE", "AMEX", "BOX", "PHLX"), "HK": ("HKFE",)}
_NOTES = {TradeKind.EXPIRATION: "Ep", TradeKind.ASSIGNMENT: "A", TradeKind.EXERCISE: "Ex"}
_EAE_TYPES = {
    TradeKind.EXPIRATION: "Expiration", TradeKind.ASSIGNMENT: "Assignment", TradeKind.EXERCISE: "Exercise"
}  # fmt: skip


def number(value: Decimal) -> str:
    """A decimal without exponent and trailing zeros; zero has no sign."""
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def fx_rate(contract: Contract) -> str:
    """The day's rate to US dollars, constant in a scenario."""
    return "1" if contract.currency == "USD" else "0.12795"


def local_time(at: datetime) -> str:
    """A time as statements write it: in New York."""
    return f"{at.astimezone(_NEW_YORK):%Y%m%d;%H%M%S}"


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
    """A row of level EXECUTION: a trade, or a book trade (expiry, assignment, exercise)."""
    move, source = entry.move, entry.move.source
    values = {
        **_shared(entry, close), "transactionID": str(move.transaction_id), "ibExecID": move.exec_id,
        "tradeID": str(move.transaction_id // 3 - 9_000_000_000), "levelOfDetail": "EXECUTION",
        "transactionType": "ExchTrade", "exchange": _venue(source.contract, move.transaction_id),
        "openCloseIndicator": entry.effect, "exchOrderId": "N/A", "extExecID": f"{move.transaction_id * 7919:x}",
        "origTradePrice": "0", "origOrderID": "0", "isAPIOrder": "N",
    }  # fmt: skip
    if isinstance(source, Event):
        link = source.related or source.event_id
        return values | {
            "transactionType": "BookTrade", "exchange": "--", "notes": _NOTES[source.kind], "extExecID": "N/A",
            "ibOrderID": str(move.transaction_id),
            "positionActionID": "" if source.kind == TradeKind.EXPIRATION else str(link // 3 - 10_000_000_000),
        }  # fmt: skip
    order = move.order
    return values | (_order_words(order) if order else {}) | {"notes": _notes(entry)}


def _notes(entry: Entry) -> str:
    order = entry.move.order
    return "P" if order and len(order.fills) > 1 else ""


def _shared(entry: Entry, close: Decimal) -> dict[str, str]:
    move, source = entry.move, entry.move.source
    net = move.proceeds + move.commission + move.taxes
    return {
        **contract_values(source.contract), "accountId": move.account_id, "fxRateToBase": fx_rate(source.contract),
        "reportDate": f"{move.report_date:%Y%m%d}", "dateTime": local_time(source.at),
        "tradeDate": f"{source.trade_date:%Y%m%d}", "settleDateTarget": f"{move.settle_date:%Y%m%d}",
        "quantity": number(move.qty), "tradePrice": number(source.price), "tradeMoney": number(-move.proceeds),
        "proceeds": number(move.proceeds), "taxes": number(move.taxes), "ibCommission": number(move.commission),
        "ibCommissionCurrency": source.contract.currency, "netCash": number(net), "closePrice": number(close),
        "cost": number(entry.cost), "fifoPnlRealized": number(entry.realized), "buySell": source.side.value,
        "mtmPnl": number(move.qty * (close - source.price) * source.contract.multiplier),
        "changeInPrice": "0", "changeInQuantity": "0", "accruedInt": "0", "fineness": "0.0", "weight": "0.0",
    }  # fmt: skip


def _order_words(order: ScenarioOrder) -> dict[str, str]:
    return {
        "ibOrderID": str(_FIRST_ORDER_ID + order.number), "orderTime": local_time(order.created_at),
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
        **_shared(entries[0], close), **(_order_words(order) if order else {}), "brokerageOrderID": "",
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


def _venue(contract: Contract, key: int) -> str:
    venues = (_STOCK_VENUES if contract.asset_class == AssetClass.STOCK else _OPTION_VENUES)[contract.market]
    return venues[key % len(venues)]
