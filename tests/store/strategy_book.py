"""Orders, trades and positions as normalizing writes them, short to write, for tests of strategies in the database."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar, get_type_hints

from apex_pipeline.domain.models import (
    AssetClass,
    Broker,
    BrokerPosition,
    Instrument,
    OptionRight,
    Order,
    OrderStatus,
    Side,
    Trade,
    TradeKind,
)
from apex_pipeline.pipeline import classify_strategies
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.ledger import mark_changed
from apex_pipeline.store.tables import BROKER_POSITIONS, INSTRUMENTS, ORDERS, TRADES, as_row
from apex_pipeline.store.transaction import Merged
from tests.store.check_rows import made
from tests.store.rows import query

ACCOUNT = "U1"
DAY = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 17, tzinfo=UTC)
KO, PEP = "US.KO", "US.PEP"
EARLY, LATE = date(2026, 3, 20), date(2026, 6, 19)


def option(right: str, strike: int, expiry: date = LATE, stock: str = KO) -> str:
    """The symbol of an option."""
    return f"{stock} {expiry} {right} {strike}"


def terms(symbol: str) -> dict[str, Any]:
    """The columns that a symbol decides."""
    stock, *rest = symbol.split(" ")
    return {
        "symbol": symbol,
        "underlying": stock,
        "asset_class": AssetClass.OPTION if rest else AssetClass.STOCK,
        "multiplier": Decimal(100 if rest else 1),
        "instrument_id": symbol,
    }


def instrument(symbol: str) -> Instrument:
    """The contract of a symbol."""
    _, *rest = symbol.split(" ")
    told = dict(zip(("expiry", "option_right", "strike"), rest, strict=False))
    known = {
        "expiry": date.fromisoformat(told["expiry"]) if rest else None,
        "option_right": OptionRight(told["option_right"]) if rest else None,
        "strike": Decimal(told["strike"]) if rest else None,
    }
    return row_of(Instrument, terms(symbol), known)


Row = TypeVar("Row")


def row_of(cls: type[Row], *told: dict[str, Any]) -> Row:
    """A row of what is told, the later before the earlier, without what its class does not know."""
    known: dict[str, Any] = {}
    for values in told:
        known |= values
    names = get_type_hints(cls)
    return made(cls, **{name: value for name, value in known.items() if name in names})


class Book:
    """What one account did; every order has one trade."""

    def __init__(self, db: Database, broker: Broker = Broker.IB, account_id: str = ACCOUNT) -> None:
        self.db = db
        self.own: dict[str, Any] = {"broker": broker, "account_id": account_id}

    def order(self, number: int, symbol: str, qty: int, seconds: float = 0, **values: Any) -> str:
        """A filled order so many seconds after noon of the first day; returns its uid."""
        at = NOON + timedelta(seconds=seconds)
        side, size = Side.BUY if qty > 0 else Side.SELL, Decimal(abs(qty))
        uid = f"{self.own['broker']}_{self.own['account_id']}_{number}"
        usual = {"status": OrderStatus.FILLED, "filled_qty": size, "avg_price": Decimal(1), "created_at": at}
        who = {"order_uid": uid, "broker_order_id": str(number), "side": side, "qty": size, "trade_date": at.date()}
        order = row_of(Order, self.own, terms(symbol), usual, who, values)
        self._write([instrument(symbol)], [order])
        self.trade(number, symbol, qty, seconds, order_uid=uid)
        return uid

    def trade(self, number: int, symbol: str, qty: int, seconds: float = 0, **values: Any) -> None:
        """An execution; without an order a book entry."""
        at = NOON + timedelta(seconds=seconds)
        side = Side.BUY if qty > 0 else Side.SELL
        known = {"trade_uid": f"T{self.own['account_id']}_{number}", "broker_trade_id": str(number), "effective": True}
        usual = {"kind": TradeKind.TRADE, "executed_at": at, "trade_date": at.date(), "price": Decimal(1)}
        size = {"side": side, "qty": Decimal(abs(qty))}
        row = row_of(Trade, self.own, terms(symbol), known, usual, size, values)
        self._write([instrument(symbol)], [], [row])

    def snapshot(self, seconds: float, held: dict[str, int]) -> None:
        """Positions that the broker told at an instant."""
        at = NOON + timedelta(seconds=seconds)
        load = query(
            self.db.url,
            "WITH run AS (INSERT INTO load_runs (broker, from_date, to_date, started_at) "
            "VALUES (%s, current_date, current_date, now()) RETURNING run_id, broker) "
            "INSERT INTO loads (run_id, broker, data_type, account_id, market, from_date, to_date, status, started_at, "
            "finished_at) SELECT run_id, broker, 'positions', %s, 'ALL', %s, %s, 'COMPLETE', now(), now() FROM run "
            "RETURNING load_id",
            self.own["broker"], self.own["account_id"], at.date(), at.date(),
        )[0][0]  # fmt: skip
        query(
            self.db.url,
            "INSERT INTO positions_raw_futu VALUES (%s, %s, NULL, %s, '{\"rows\": []}', %s, %s, %s)",
            self.own["account_id"], str(at), at.date(), at, at, load,
        )  # fmt: skip
        told = {"business_date": at.date(), "as_of": at}
        rows = [
            row_of(BrokerPosition, self.own, terms(symbol), told, {"broker_position_id": symbol, "qty": Decimal(qty)})
            for symbol, qty in held.items()
        ]
        with self.db.transaction() as tx:
            tx.merge(INSTRUMENTS, [as_row(instrument(symbol)) for symbol in held])
            tx.merge(BROKER_POSITIONS, map(as_row, rows))
            mark_changed(tx, self.own["broker"], {(self.own["account_id"], at.date())})

    def _write(self, instruments: list[Instrument], orders: list[Order], trades: list[Trade] | None = None) -> None:
        with self.db.transaction() as tx:
            tx.merge(INSTRUMENTS, map(as_row, instruments))
            tx.merge(ORDERS, map(as_row, orders))
            tx.merge(TRADES, map(as_row, trades or []))
            days = {(row.account_id, row.trade_date) for row in (*orders, *(trades or []))}
            mark_changed(tx, self.own["broker"], days)


def classified(db: Database) -> Merged:
    """Classify what changed."""
    return classify_strategies(db, DAY, DAY)


def named(db: Database) -> dict[str, tuple[str, str]]:
    """Type and action by the number of the order."""
    rows = query(
        db.url, "SELECT order_uid, strategy_type, action FROM order_strategy_map ORDER BY order_uid, strategy_uid"
    )
    return {uid.rpartition("_")[2]: (kind, action) for uid, kind, action in rows}


def held(db: Database) -> list[tuple[Any, ...]]:
    """What strategies hold: symbol, type and quantity."""
    return query(db.url, "SELECT symbol, strategy_type, qty FROM strategy_positions ORDER BY symbol, place")


def changes(db: Database) -> list[tuple[Any, ...]]:
    """The trail: number of the order, from, to, why."""
    rows = query(
        db.url,
        "SELECT order_uid, from_action, from_type, to_action, to_type, cause FROM strategy_changes "
        "ORDER BY changed_at, order_uid, from_type",
    )
    return [
        (uid.rpartition("_")[2], " ".join((was or "", of or "")).strip(), " ".join((now or "", to or "")).strip(), why)
        for uid, was, of, now, to, why in rows
    ]
