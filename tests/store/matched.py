"""Books of trades written straight into the database, and what the ledger should make of them by the reference."""

import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TypeVar

from psycopg2 import sql
from psycopg2.extras import RealDictCursor

from apex_pipeline.domain.ledger import Lot, LotMove, PositionMovement, RealizedPnl
from apex_pipeline.domain.lots import match
from apex_pipeline.domain.models import AssetClass, Broker, Fee, FeeType, Side, Trade, TradeKind
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.matching import MatchRepository
from apex_pipeline.store.tables import DIRTY_DAYS, FEES, TRADES, as_row, row_as
from apex_pipeline.store.transaction import Merged
from tests.store.rows import connected, query, tables_hash

T = TypeVar("T")

ACCOUNT = "U1"
START = date(2026, 1, 5)
LEDGER = ("position_movements", "lots", "lot_moves", "realized_pnl", "ledger_stops")


def day(number: int) -> date:
    """The day with this number, from 0."""
    return START + timedelta(number)


def trade(number: int, side: str, qty: str, price: str = "10", **changes: object) -> Trade:
    """A stock trade with this number as id, one minute after the one before it, on the day 0."""
    told = Trade(
        trade_uid=f"IB_{ACCOUNT}_{number:06d}",
        order_uid=f"IB_{ACCOUNT}_{number}",
        broker=Broker.IB,
        account_id=ACCOUNT,
        broker_trade_id=str(number),
        exec_id=None,
        market=None,
        symbol="US.AAPL",
        underlying="US.AAPL",
        asset_class=AssetClass.STOCK,
        kind=TradeKind.TRADE,
        effective=True,
        side=Side(side),
        qty=Decimal(qty),
        price=Decimal(price),
        multiplier=Decimal(1),
        amount=None,
        currency="USD",
        executed_at=datetime.combine(START, time(15), UTC) + timedelta(minutes=number),
        trade_date=START,
        settle_date=None,
        position_effect=None,
        link_id=None,
        source="FLEX",
        report_date=None,
        instrument_id="265598",
    )
    return replace(told, **changes)


def fee(of: Trade, amount: str, currency: str | None = "USD") -> Fee:
    """The commission of a trade."""
    return Fee(
        fee_uid=f"{of.trade_uid}_C",
        order_uid=of.order_uid,
        trade_uid=of.trade_uid,
        broker=of.broker,
        account_id=of.account_id,
        fee_type=FeeType.COMMISSION,
        broker_fee_name="ibCommission",
        amount=Decimal(amount),
        currency=currency,
        charged_on=of.trade_date,
    )


def put(db: Database, trades: Iterable[Trade], fees: Iterable[Fee] = ()) -> None:
    """Write trades and fees as normalizing does, with the marks of their days."""
    some = list(trades)
    days = {(one.broker, one.account_id, one.trade_date) for one in some}
    with db.transaction() as tx:
        tx.merge(TRADES, map(as_row, some))
        tx.merge(FEES, map(as_row, fees))
        tx.add(DIRTY_DAYS, [mark(broker, account, on) for broker, account, on in sorted(days)])


def mark(broker: str, account_id: str, on: date) -> dict[str, object]:
    """A mark that a day is to be matched again."""
    return {"stage": "match", "broker": broker, "account_id": account_id, "business_date": on}


def matched(db: Database) -> dict[str, Merged]:
    """Match what is marked; the asked range is empty."""
    return MatchRepository(db).match(date(1990, 1, 2), date(1990, 1, 1))


def contents(url: str) -> dict[str, str]:
    """A hash of every table that matching writes."""
    return tables_hash(url, LEDGER)


def written_at(url: str, table: str) -> dict[str, str]:
    """For every row of a table by its key, the transaction that wrote it."""
    key = {"lots": "lot_uid", "realized_pnl": "realized_uid", "position_movements": "movement_uid"}[table]
    text = sql.SQL("SELECT {}, xmin::text FROM {}").format(sql.Identifier(key), sql.Identifier(table))
    return {uid: xmin for uid, xmin in query(url, text)}  # noqa: C416


def by_reference(db: Database) -> tuple[set[Lot], set[LotMove], set[RealizedPnl]]:
    """What the reference engine makes of the stored movements, every instrument alone and from its beginning."""
    movements: dict[tuple[str, str], list[PositionMovement]] = defaultdict(list)
    for row in rows_of(db.url, "position_movements", PositionMovement):
        movements[row.account_id, row.instrument_id].append(row)
    results = [match(some) for some in movements.values()]
    return (
        {row for result in results for row in result.lots},
        {row for result in results for row in result.moves},
        {row for result in results for row in result.realized},
    )


def stored(db: Database) -> tuple[set[Lot], set[LotMove], set[RealizedPnl]]:
    """The stored rows, without the columns in base currency."""
    realized = {
        replace(row, fx_rate_to_base=None, realized_pnl_base=None, base_currency=None)
        for row in rows_of(db.url, "realized_pnl", RealizedPnl)
    }
    return set(rows_of(db.url, "lots", Lot)), set(rows_of(db.url, "lot_moves", LotMove)), realized


def rows_of(url: str, table: str, row: type[T]) -> list[T]:
    """All rows of a table."""
    with connected(url) as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
        return [row_as(row, told) for told in cursor.fetchall()]


def random_trades(count: int, seed: int, *, instruments: int = 7, days: int = 20) -> tuple[list[Trade], list[Fee]]:
    """A random book: whole and fractional units, flips, several multipliers, equal instants, fees that are missing."""
    chance = random.Random(seed)
    trades: list[Trade] = []
    fees: list[Fee] = []
    held: dict[int, int] = defaultdict(int)
    for number in range(count):
        which, on = chance.randrange(instruments), number * days // count
        units = chance.choice((1, 2, 5, 10, chance.randrange(1, 10**6)))
        is_buy = chance.random() < (0.3 if held[which] > 0 else 0.7)
        held[which] += units if is_buy else -units
        scale = (1, 1, 10, 10**4, 10**8)[which % 5]
        told = trade(
            number,
            "BUY" if is_buy else "SELL",
            str(Decimal(units) / scale),
            str(Decimal(chance.randrange(1, 10**6)) / 10**4),
            executed_at=datetime.combine(day(on), time(14 + chance.randrange(6), chance.randrange(3)), UTC),
            trade_date=day(on),
            instrument_id=str(which),
            symbol=f"US.S{which}",
            account_id=f"U{which % 2}",
            multiplier=Decimal((1, 100, 1, 50, 1)[which % 5]),
        )
        trades.append(told)
        if chance.random() < 0.9:
            fees.append(fee(told, str(Decimal(chance.randrange(-50, 500)) / 10 ** chance.randrange(2, 7))))
    return trades, fees
