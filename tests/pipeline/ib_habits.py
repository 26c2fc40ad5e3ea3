"""Small statements written by hand, in the words of IB, with IB's own figures told by the test."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import count

from tests.brokers.ib.statements import ACCOUNT, row, statement

Contract = dict[str, str]

_NUMBERS = count(1001)
FIRST, LAST = "20250102", "20250630"


def stock(symbol: str, conid: int, currency: str = "USD", exchange: str = "NASDAQ") -> Contract:
    return {
        "accountId": ACCOUNT, "currency": currency, "assetCategory": "STK", "symbol": symbol, "description": symbol,
        "conid": str(conid), "listingExchange": exchange, "multiplier": "1",
    }  # fmt: skip


def option(symbol: str, conid: int, strike: str, expiry: str, right: str, underlying: str) -> Contract:
    return {
        **stock(symbol, conid, exchange="CBOE"), "assetCategory": "OPT", "multiplier": "100", "strike": strike,
        "expiry": expiry, "putCall": right, "underlyingSymbol": underlying,
    }  # fmt: skip


def trade(
    of: Contract,
    at: str,
    qty: str,
    price: str,
    commission: str = "-1",
    effect: str = "O",
    *,
    cost: str = "",
    pnl: str = "0",
    **changes: str,
) -> str:
    """An execution; `cost` is IB's and by default that of an opening. A book entry has notes and no execution id."""
    number = next(_NUMBERS)
    proceeds = -Decimal(qty) * Decimal(price) * Decimal(of["multiplier"])
    net = proceeds + Decimal(commission) + Decimal(changes.get("taxes", "0"))
    booked = changes.get("transactionType", "ExchTrade") == "BookTrade"
    told = {
        **of, "tradeID": f"7{number}", "reportDate": at[:8], "dateTime": at, "tradeDate": at[:8], "quantity": qty,
        "settleDateTarget": "", "transactionType": "ExchTrade", "exchange": "--", "tradePrice": price, "taxes": "0",
        "proceeds": f"{proceeds}", "ibCommission": commission, "ibCommissionCurrency": of["currency"],
        "netCash": f"{net}", "openCloseIndicator": effect, "notes": "", "cost": cost or f"{-net}",
        "fifoPnlRealized": pnl, "mtmPnl": "0", "origTradeID": "", "origTransactionID": "0", "positionActionID": "",
        "transactionID": f"{number}", "buySell": "SELL" if qty.startswith("-") else "BUY",
        "ibOrderID": f"{number}" if booked else f"5{number}", "levelOfDetail": "EXECUTION",
        "ibExecID": "" if booked else f"0000aa01.{number:08x}.01.01", "orderTime": "", "orderType": "",
    }  # fmt: skip
    return row(told, **changes)


def ended(of: Contract, at: str, qty: str, price: str, note: str, effect: str, **told: str) -> str:
    """A book entry of the end of an option: of the option itself, or of the shares that it moved."""
    return trade(
        of, at, qty, price, told.pop("commission", "0"), effect, notes=note, transactionType="BookTrade", **told
    )


def action(of: Contract, kind: str, action_id: str, qty: str, **told: str) -> str:
    """A row of a corporate action of the evening of 3 March 2025."""
    return row(
        {
            **of, "reportDate": "20250304", "dateTime": "20250303;202500", "actionDescription": "told",
            "amount": "0", "proceeds": "0", "value": "0", "quantity": qty, "fifoPnlRealized": "0", "mtmPnl": "0",
            "type": kind, "transactionID": f"{next(_NUMBERS)}", "actionID": action_id, "levelOfDetail": "DETAIL",
        },
        tag="CorporateAction",
        **told,
    )  # fmt: skip


def held(of: Contract, qty: str, cost: str, *, day: str = LAST, opened: str = "") -> str:
    """What is held at the end of a day: a lot where it says when it was opened, else the whole."""
    unit = Decimal(cost) / Decimal(qty) / Decimal(of["multiplier"])
    worth = Decimal(qty) * 10 * Decimal(of["multiplier"])
    told = {
        **of, "reportDate": day, "position": qty, "markPrice": "10", "positionValue": f"{worth}",
        "openPrice": f"{unit:.9f}", "costBasisPrice": f"{unit:.9f}", "costBasisMoney": cost,
        "fifoPnlUnrealized": f"{worth - Decimal(cost)}",
        "levelOfDetail": "LOT" if opened else "SUMMARY", "openDateTime": opened,
        "originatingTransactionID": f"{next(_NUMBERS)}" if opened else "",
    }  # fmt: skip
    return row(told, tag="OpenPosition")


def rate(day: str, currency: str, base: str, value: str) -> str:
    told = {"reportDate": day, "fromCurrency": currency, "toCurrency": base, "rate": value}
    return row(told, tag="ConversionRate")


def told_days(first: str = FIRST, last: str = LAST, **sections: Sequence[str]) -> str:
    """A statement of some days with these sections, `Trades` always."""
    others = "".join(
        f"</Trades><{name}>{''.join(rows)}</{name}><Trades>" for name, rows in sections.items() if name != "Trades"
    )
    body = "".join(sections.get("Trades", ())) + others
    return statement(body, fromDate=first, toDate=last, whenGenerated=f"{last};233000")
