"""Rows that move cash, with everything filled in that a test does not care about."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.models import (
    AssetClass,
    Broker,
    BrokerBalance,
    CashKind,
    CashMovement,
    Fee,
    FeeAllocation,
    FeeType,
    Side,
    Trade,
    TradeKind,
)
from apex_pipeline.domain.statements import BrokerFigures, BrokerTradeFigures, ConversionRate, FundsLine
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.cash import rewrite_cash
from apex_pipeline.store.tables import (
    BROKER_BALANCES,
    CASH_MOVEMENTS,
    FEE_ALLOCATIONS,
    FEES,
    STATEMENT_TABLES,
    TRADES,
    Table,
    as_row,
)
from apex_pipeline.store.transaction import Merged
from tests.store.rows import query, value

IB, FUTU = "U1", "100"
BEGINNING = date(2000, 1, 1)
_TABLES: dict[type, Table] = {
    Trade: TRADES,
    Fee: FEES,
    FeeAllocation: FEE_ALLOCATIONS,
    CashMovement: CASH_MOVEMENTS,
    BrokerBalance: BROKER_BALANCES,
    BrokerFigures: STATEMENT_TABLES["broker_figures"],
    BrokerTradeFigures: STATEMENT_TABLES["broker_trade_figures"],
    ConversionRate: STATEMENT_TABLES["conversion_rates"],
    FundsLine: STATEMENT_TABLES["broker_funds"],
}


def store(db: Database, rows: Iterable[Any]) -> None:
    """Write these rows to the tables they belong to."""
    with db.transaction() as tx:
        for row in rows:
            tx.merge(_TABLES[type(row)], [as_row(row)])


def rewritten(db: Database, from_day: date = BEGINNING, *accounts: str) -> dict[str, Merged]:
    """The cash of these accounts, or of both, made anew from a day on."""
    with db.transaction() as tx:
        return rewrite_cash(tx, dict.fromkeys(accounts or (IB, FUTU), from_day))


def broker_of(account: str) -> Broker:
    return Broker.IB if account.startswith("U") else Broker.FUTU


def trade(account: str, key: str, day: date, signed: int, price: str, **changes: Any) -> Trade:
    """A trade of US shares; `signed` is negative for a sale."""
    broker = broker_of(account)
    qty, side = Decimal(abs(signed)), Side.BUY if signed > 0 else Side.SELL
    told: dict[str, Any] = {
        "trade_uid": f"{broker}_{account}_{key}", "order_uid": None, "broker": broker, "account_id": account,
        "broker_trade_id": key, "exec_id": None, "market": "US", "symbol": "US.KO", "underlying": "US.KO",
        "asset_class": AssetClass.STOCK, "kind": TradeKind.TRADE, "effective": True, "side": side, "qty": qty,
        "price": Decimal(price), "multiplier": Decimal(1), "amount": qty * Decimal(price), "currency": "USD",
        "executed_at": datetime(day.year, day.month, day.day, 15, tzinfo=UTC), "trade_date": day, "settle_date": None,
        "position_effect": None, "link_id": None, "source": "FLEX" if broker is Broker.IB else "futu_deals",
        "report_date": None, "instrument_id": None,
    }  # fmt: skip
    return Trade(**{**told, **changes})


def fee(account: str, key: str, day: date, amount: str, **changes: Any) -> Fee:
    broker = broker_of(account)
    told: dict[str, Any] = {
        "fee_uid": f"{broker}_{account}_{key}_COMMISSION", "order_uid": None,
        "trade_uid": f"{broker}_{account}_{key}", "broker": broker, "account_id": account,
        "fee_type": FeeType.COMMISSION, "broker_fee_name": "commission", "amount": Decimal(amount), "currency": "USD",
        "charged_on": day,
    }  # fmt: skip
    return Fee(**{**told, **changes})


def movement(account: str, key: str, day: date, kind: CashKind, amount: str, **changes: Any) -> CashMovement:
    broker = broker_of(account)
    told: dict[str, Any] = {
        "cash_uid": f"{broker}_{account}_C{key}", "broker": broker, "account_id": account, "broker_cash_id": key,
        "kind": kind, "broker_kind": None, "symbol": None, "amount": Decimal(amount), "currency": "USD",
        "booked_on": day, "settle_date": None, "event_date": None, "description": None, "source": "test",
    }  # fmt: skip
    return CashMovement(**{**told, **changes})


def trade_figures(of: Trade, **figures: str) -> BrokerTradeFigures:
    told = dict.fromkeys(("proceeds", "net_cash", "cost_basis", "realized_pnl", "mtm_pnl", "fx_rate_to_base"))
    numbers = {name: Decimal(text) for name, text in figures.items()}
    return BrokerTradeFigures(
        trade_uid=of.trade_uid, broker=of.broker, account_id=of.account_id, business_date=of.trade_date,
        symbol=of.symbol, currency=of.currency, position_effect=None, source="FLEX", **{**told, **numbers},
    )  # fmt: skip


def report(account: str, first: date, last: date, currency: str = "USD", **figures: str) -> BrokerFigures:
    """A cash report; `figures` under the broker's names."""
    return sums(account, "CashReport", first, last, currency, **figures)


def sums(account: str, section: str, first: date, last: date, currency: str = "USD", **figures: str) -> BrokerFigures:
    return BrokerFigures(
        figures_uid=f"{account}/{section}/{currency}/{first}/{last}", broker=Broker.IB, account_id=account,
        business_date=last, section=section, subject=currency, from_date=first, to_date=last, currency=currency,
        figures={name: Decimal(text) for name, text in figures.items()}, source="FLEX",
    )  # fmt: skip


def line(account: str, key: str, day: date, amount: str | None, balance: str, **changes: Any) -> FundsLine:
    """A line of the statement of funds; without an amount the first or last balance of a statement."""
    told: dict[str, Any] = {
        "line_uid": f"{account}/{key}/{day}", "broker": Broker.IB, "account_id": account, "business_date": day,
        "level": "Currency", "currency": "USD", "activity_code": None, "description": None, "symbol": None,
        "amount": None if amount is None else Decimal(amount), "balance": Decimal(balance), "activity_date": None,
        "settle_date": None, "broker_trade_id": None, "broker_transaction_id": key if amount else None,
        "from_date": None, "to_date": None, "source": "FLEX",
    }  # fmt: skip
    return FundsLine(**{**told, **changes})


def balance(account: str, day: date, cash: str, currency: str = "USD", **changes: Any) -> BrokerBalance:
    told: dict[str, Any] = {
        "business_date": day, "broker": broker_of(account), "account_id": account, "currency": currency,
        "cash": Decimal(cash), "net_liquidation": None, "market_value": None,
        "as_of": datetime(day.year, day.month, day.day, 23, tzinfo=UTC), "source": "test",
    }  # fmt: skip
    return BrokerBalance(**{**told, **changes})


def rate(account: str, day: date, source: str, units: str, target: str = "USD") -> ConversionRate:
    return ConversionRate(f"{account}/{day}/{source}", Broker.IB, account, day, source, target, Decimal(units), "FLEX")


def covered(db: Database, account: str, data_type: str, first: date, last: date) -> None:
    """Say that everything of these days was loaded."""
    broker = broker_of(account)
    text = "INSERT INTO load_runs (broker, from_date, to_date, started_at) VALUES (%s, %s, %s, now()) RETURNING run_id"
    run = value(db.url, text, broker, first, last)
    text = (
        "INSERT INTO loads (run_id, broker, data_type, market, from_date, to_date, status, started_at, finished_at) "
        "VALUES (%s, %s, %s, '', %s, %s, 'COMPLETE', now(), now()) RETURNING load_id"
    )
    load = value(db.url, text, run, broker, data_type, first, last)
    text = "INSERT INTO load_coverage VALUES (%s, %s, %s, %s, '', %s, %s, 0, now())"
    query(db.url, text, load, broker, account, data_type, first, last)
