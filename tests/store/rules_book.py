"""A small book for the tests of rules: trades with their movements, lots and closings, written as the stages do."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from apex_pipeline.domain.ledger import (
    BasisSource,
    Direction,
    Lot,
    LotMethod,
    MovementKind,
    Place,
    PositionMovement,
    RealizedPnl,
)
from apex_pipeline.domain.models import AssetClass, Broker, Instrument, OptionRight, Side, Trade, TradeKind
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.calendars import refresh_calendars
from apex_pipeline.store.repositories.rules import rewrite_rules
from apex_pipeline.store.tables import INSTRUMENTS, LEDGER_TABLES, TRADES, as_row
from apex_pipeline.store.transaction import Merged
from tests.store.rows import query, value

MONDAY = date(2025, 3, 3)
ALL = {"U1": date(2015, 1, 1), "U2": date(2015, 1, 1)}
RULE_TABLES = ("settlement_tracking", "day_trades", "trade_frequency_tracking", "wash_sale_flags")


NOTHING = {name: Merged(0, 0) for name in RULE_TABLES}


def day(number: int) -> date:
    """A weekday, so many after MONDAY."""
    return MONDAY + timedelta(days=number + number // 5 * 2)


def trade(
    uid: str,
    day: date,
    qty: int,
    *,
    account: str = "U1",
    symbol: str = "US.AAPL",
    order: str | None = None,
    minute: int = 0,
    market: str | None = "US",
    asset_class: AssetClass = AssetClass.STOCK,
    kind: TradeKind = TradeKind.TRADE,
    price: int = 10,
) -> Trade:
    """A trade at so many minutes after 15:00 UTC; `qty` is signed."""
    return Trade(
        trade_uid=uid,
        order_uid=f"O{order}" if order else None,
        broker=Broker.IB,
        account_id=account,
        broker_trade_id=uid,
        exec_id=None,
        market=market,
        symbol=symbol,
        underlying=symbol.split(" ", maxsplit=1)[0],
        asset_class=asset_class,
        kind=kind,
        effective=True,
        side=Side.BUY if qty > 0 else Side.SELL,
        qty=Decimal(abs(qty)),
        price=Decimal(price),
        multiplier=Decimal(1),
        amount=Decimal(abs(qty) * price),
        currency="USD",
        executed_at=datetime.combine(day, time(15), UTC) + timedelta(minutes=minute),
        trade_date=day,
        settle_date=None,
        position_effect=None,
        link_id=None,
        source="FLEX",
        report_date=None,
        instrument_id=symbol,
    )


def movement(of: Trade) -> PositionMovement:
    """What the trade did to its position."""
    assert of.executed_at is not None
    return PositionMovement(
        movement_uid=of.trade_uid,
        broker=of.broker,
        account_id=of.account_id,
        instrument_id=of.symbol,
        symbol=of.symbol,
        underlying=of.underlying,
        asset_class=of.asset_class,
        business_date=of.trade_date,
        moved_at=of.executed_at,
        ordered_at=of.executed_at,
        place=Place.TRADE,
        sequence=None,
        kind=MovementKind(of.kind),
        action=None,
        qty=of.qty if of.side is Side.BUY else -of.qty,
        price=of.price,
        multiplier=of.multiplier,
        fees=None,
        money=None,
        currency=of.currency,
        position_effect=None,
        link_id=None,
        broker_cost=None,
    )


def lot(of: Trade, closed_on: date | None = None, origin: MovementKind = MovementKind.TRADE) -> Lot:
    """The long lot that a purchase opened, with what was left of it when all is done."""
    left = Decimal(0) if closed_on else of.qty
    return Lot(
        lot_uid=of.trade_uid,
        broker=of.broker,
        account_id=of.account_id,
        instrument_id=of.symbol,
        symbol=of.symbol,
        underlying=of.underlying,
        asset_class=of.asset_class,
        open_trade_uid=of.trade_uid,
        origin=origin,
        opened_at=of.executed_at,
        opened_on=of.trade_date,
        started_on=of.trade_date,
        ordered_at=of.executed_at or datetime.combine(of.trade_date, time(), UTC),
        place=Place.TRADE,
        sequence=None,
        qty=of.qty,
        open_price=of.price,
        multiplier=of.multiplier,
        fees=None,
        carried_pnl=Decimal(0),
        cost_basis=of.amount,
        remaining_qty=left,
        remaining_cost=left * of.price,
        currency=of.currency,
        closed_at=None,
        closed_on=closed_on,
        method=LotMethod.FIFO,
        basis_source=BasisSource.TRADES,
    )


def closing(opened: Trade, closed: Trade, gained: int, direction: Direction = Direction.LONG) -> RealizedPnl:
    """A closed lot with what it gained."""
    return RealizedPnl(
        realized_uid=f"{closed.trade_uid}:{opened.trade_uid}",
        broker=closed.broker,
        account_id=closed.account_id,
        instrument_id=closed.symbol,
        symbol=closed.symbol,
        underlying=closed.underlying,
        asset_class=closed.asset_class,
        kind=MovementKind.TRADE,
        direction=direction,
        lot_uid=opened.trade_uid,
        open_trade_uid=opened.trade_uid,
        close_trade_uid=closed.trade_uid,
        qty=closed.qty,
        multiplier=closed.multiplier,
        open_price=opened.price,
        close_price=closed.price,
        open_fees=None,
        close_fees=None,
        carried_pnl=Decimal(0),
        cost_basis=None,
        realized_pnl=Decimal(gained),
        currency=closed.currency,
        fx_rate_to_base=None,
        realized_pnl_base=None,
        base_currency=None,
        opened_at=opened.executed_at,
        closed_at=closed.executed_at,
        opened_on=opened.trade_date,
        closed_on=closed.trade_date,
        method=LotMethod.FIFO,
        basis_source=BasisSource.TRADES,
    )


def option(symbol: str, right: OptionRight) -> Instrument:
    underlying = symbol.split(" ", maxsplit=1)[0]
    return Instrument(
        symbol, underlying, AssetClass.OPTION, None, None, right, Decimal(100), "USD", None, None, None, None, None
    )


def store(
    db: Database,
    trades: Iterable[Trade] = (),
    *,
    lots: Iterable[Lot] = (),
    closings: Iterable[RealizedPnl] = (),
    options: Iterable[Instrument] = (),
) -> None:
    """Write the rows, and a movement for every effective trade."""
    own = list(trades)
    with db.transaction() as tx:
        tx.merge(TRADES, map(as_row, own))
        moved = (movement(one) for one in own if one.effective)
        tx.merge(LEDGER_TABLES["position_movements"], map(as_row, moved))
        tx.merge(LEDGER_TABLES["lots"], map(as_row, lots))
        tx.merge(LEDGER_TABLES["realized_pnl"], map(as_row, closings))
        tx.merge(INSTRUMENTS, map(as_row, options))


def cover(url: str, account: str, first: date, last: date) -> None:
    """Have a broker tell everything of these days."""
    run = value(
        url,
        "INSERT INTO load_runs (broker, from_date, to_date, started_at) VALUES ('IB', %s, %s, now()) RETURNING run_id",
        first,
        last,
    )
    load = value(
        url,
        "INSERT INTO loads (run_id, broker, data_type, account_id, market, from_date, to_date, status, started_at, "
        "finished_at) VALUES (%s, 'IB', 'ib_flex', %s, '', %s, %s, 'COMPLETE', now(), now()) RETURNING load_id",
        run,
        account,
        first,
        last,
    )
    query(
        url,
        "INSERT INTO load_coverage VALUES (%s, 'IB', %s, 'ib_flex', '', %s, %s, 0, now())",
        load,
        account,
        first,
        last,
    )


def rewritten(db: Database, accounts_from: Mapping[str, date]) -> dict[str, Merged]:
    """Refresh the calendars and recompute the rules."""
    refresh_calendars(db)
    with db.transaction() as tx:
        return rewrite_rules(tx, accounts_from)


def not_effective(of: Trade) -> Trade:
    """A trade that was busted."""
    return replace(of, effective=False)


def random_trades(seed: int, days: int, a_day: int) -> list[Trade]:
    """Trades of two accounts in three shares, in orders of some fills, with flips and positions held over night."""
    rng = random.Random(seed)
    trades: list[Trade] = []
    for number in range(days):
        for minute in range(a_day):
            account, symbol = rng.choice(["U1", "U2"]), rng.choice(["US.A", "US.B", "US.C"])
            qty = rng.choice([-3, -2, -1, 1, 2, 3])
            order = f"{account}{symbol}{number}{rng.randrange(4)}{qty > 0}"
            uid = f"{number:03}-{minute:03}"
            trades.append(trade(uid, day(number), qty, account=account, symbol=symbol, order=order, minute=minute))
    return trades
