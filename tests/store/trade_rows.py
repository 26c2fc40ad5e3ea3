"""Trades, charges, rates and bookings as IB and Futu tell them, loaded and read: a test changes a word of theirs."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from apex_pipeline.brokers.futu.normalize import normalize as read_futu
from apex_pipeline.brokers.ib.normalize import normalize as read_ib
from apex_pipeline.domain.checks import CheckName
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.reconciliation import Finding
from apex_pipeline.domain.records import ALL_MARKETS, Ask, Call, Delivery, Normalized, Record, WholeDelivery
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.ledger import NormalizeRepository
from apex_pipeline.store.repositories.loads import LoadRepository
from tests.brokers.ib.statements import RECEIVED, STOCK, delivered, document, row, statement
from tests.store import check_rows

MON, TUE, WED, THU, FRI = (date(2026, 3, day) for day in range(2, 7))
FUTURE = {
    **STOCK,
    "assetCategory": "FUT",
    "symbol": "ESH6",
    "conid": "700900",
    "listingExchange": "CME",
    "multiplier": "50",
}
CONVERSION = {
    **STOCK,
    "assetCategory": "CASH",
    "symbol": "USD.HKD",
    "conid": "700901",
    "listingExchange": "",
    "currency": "HKD",
}
OTHER_ACCOUNT = "U1000002"

Reader = Callable[[Sequence[Record]], Normalized]


def uid(number: int, account: str = STOCK["accountId"]) -> str:
    """The name of the execution of a number in our tables."""
    return f"IB_{account}_{exec_id(number)}"


def exec_id(number: int, revision: int = 1) -> str:
    return f"0000aa01.65e2{number:04d}.01.{revision:02d}"


def ids(number: int) -> dict[str, str]:
    """Ids under which IB tells the execution of a number."""
    return {
        "transactionID": str(9000 + number), "tradeID": str(71000 + number), "ibOrderID": str(5000 + number),
        "ibExecID": exec_id(number),
    }  # fmt: skip


def execution(number: int, qty: str, price: str, base: Mapping[str, str] = STOCK, /, **told: str) -> str:
    """An execution of Monday whose figures agree with each other; `told` is told instead, whatever follows from it."""
    size, fee = Decimal(qty) * Decimal(base["multiplier"]), Decimal(told.pop("fee", "-1"))
    money, gain = -size * Decimal(price), size * Decimal(3)
    is_future, is_conversion = base["assetCategory"] == "FUT", base["assetCategory"] == "CASH"
    net = Decimal(0) if is_conversion else (gain if is_future else money) + fee
    figures = {
        "quantity": qty, "tradePrice": price, "buySell": "SELL" if size < 0 else "BUY", "proceeds": f"{money:f}",
        "tradeMoney": f"{-money:f}", "ibCommission": f"{fee:f}", "netCash": f"{net:f}", "fxRateToBase": "1",
        "closePrice": f"{Decimal(price) + 3:f}", "mtmPnl": f"{gain:f}", "cost": f"{-money - fee:f}",
        "fifoPnlRealized": "0",
    }  # fmt: skip
    return row({**base, **ids(number), **figures, "ibCommissionCurrency": base["currency"]}, **told)


def entry(number: int, qty: str, price: str, base: Mapping[str, str] = STOCK, /, **told: str) -> str:
    """A book entry: an assignment without a charge."""
    usual = {
        "transactionType": "BookTrade", "notes": "A", "ibExecID": "", "ibOrderID": str(9000 + number), "fee": "0",
    }  # fmt: skip
    return execution(number, qty, price, base, **{**usual, **told})


def cancel(number: int, of: int, qty: str, price: str, base: Mapping[str, str] = STOCK, /, **told: str) -> str:
    """What takes an execution of this signed quantity back."""
    turned = f"{-Decimal(qty):f}"
    usual = {
        "transactionType": "TradeCancel", "notes": "Ca", "ibExecID": "", "tradeID": "", "fee": "0",
        "buySell": f"{'SELL' if Decimal(qty) < 0 else 'BUY'} (Ca.)", "origTransactionID": str(9000 + of),
        "origTradeID": str(71000 + of), "origTradeDate": "20260302", "ibOrderID": str(5000 + of),
    }  # fmt: skip
    return execution(number, turned, price, base, **{**usual, **told})


def parts(number: int, total: str = "-1", **told: str) -> str:
    """What a commission is made of: by default a quarter is the exchange's."""
    whole = Decimal(total)
    charges = {
        "totalCommission": total, "brokerExecutionCharge": f"{whole * 3 / 4:f}", "brokerClearingCharge": "0",
        "thirdPartyExecutionCharge": f"{whole / 4:f}", "thirdPartyClearingCharge": "0",
        "thirdPartyRegulatoryCharge": "0", "regOther": "-0.5", "other": "0",
    }  # fmt: skip
    names = ("accountId", "currency", "symbol", "conid", "assetCategory", "dateTime")
    base = {name: STOCK[name] for name in names} | {"tradeID": str(71000 + number)} | charges
    return row(base, tag="UnbundledCommissionDetail", **told)


def line(number: int, amount: str, base: Mapping[str, str] = STOCK, /, **told: str) -> str:
    """A line of the statement of funds about a transaction of Monday."""
    names = ("accountId", "currency", "symbol", "conid", "assetCategory", "multiplier", "listingExchange")
    base = {name: base[name] for name in names} | {
        "levelOfDetail": "Currency", "activityCode": "BUY", "transactionID": str(9000 + number),
        "tradeID": str(71000 + number), "reportDate": "20260302", "date": "20260302", "amount": amount, "balance": "0",
        "activityDescription": "a line",
    }  # fmt: skip
    return row(base, tag="StatementOfFundsLine", **told)


def booking(number: int, kind: str, amount: str, day: str = "20260302", **told: str) -> str:
    """A booking of cash about a stock and an action."""
    names = ("accountId", "currency", "symbol", "conid", "assetCategory", "listingExchange")
    base = {name: STOCK[name] for name in names} | {
        "type": kind, "amount": amount, "transactionID": str(9000 + number), "actionID": "801", "reportDate": day,
        "dateTime": day, "settleDate": day, "levelOfDetail": "DETAIL", "description": "AAPL CASH DIVIDEND USD 0.5",
    }  # fmt: skip
    return row(base, tag="CashTransaction", **told)


def rate(day: str, value: str, currency: str = "HKD") -> str:
    """The rate of a currency to US dollars at the end of a day."""
    told = {"reportDate": day, "fromCurrency": currency, "toCurrency": "USD", "rate": value}
    return row(told, tag="ConversionRate")


def tell(db: Database, *rows: str, **sections: Sequence[str]) -> None:
    """What IB tells of the week: rows of Trades, and rows of other sections by their name."""
    some = [statement("".join(inner), section=name) for name, inner in sections.items()]
    _keep(db, Broker.IB, delivered(document(statement("".join(rows)), *some)), read_ib)


def tell_futu(db: Database, *records: Record) -> None:
    """What Futu tells of its orders and deals."""
    _keep(db, Broker.FUTU, WholeDelivery((), records, (), ()), read_futu)


def _keep(db: Database, broker: Broker, delivery: Delivery, read: Reader) -> None:
    loads, rows = LoadRepository(db, broker), NormalizeRepository(db, broker)
    with loads.run(Ask(MON, FRI, FRI)) as run_id:
        _ = loads.store(run_id, Call("told", None, ALL_MARKETS, MON, FRI), delivery, RECEIVED)
    _ = rows.rewrite(rows.days(MON, FRI), read)


def found(db: Database, check: CheckName, first: date = MON, last: date = FRI) -> list[Finding]:
    """What a check says about the week."""
    return check_rows.findings(db, check, first, last)


def only(db: Database, check: CheckName) -> Finding:
    """The one finding of a check."""
    [finding] = found(db, check)
    return finding


def set_right(db: Database, finding: Finding) -> list[dict[str, Any]]:
    """Make the changes that a finding proposes, and tell them."""
    proposals: list[dict[str, Any]] = finding.evidence["set_right"]
    with db.transaction() as tx:
        for proposal in proposals:
            _ = tx.change(proposal)
    return proposals


def changed(proposals: Sequence[Mapping[str, Any]], table: str) -> list[dict[str, Any]]:
    """The new values of the rows of a table."""
    return [one["row"] for one in proposals if one["table"] == table and one["do"] == "update"]
