"""Rows as a test of checks needs them: short to write, everything that does not matter filled in."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

from apex_pipeline.domain.checks import CheckName
from apex_pipeline.domain.ledger import (
    BasisSource,
    Direction,
    LedgerStop,
    Lot,
    LotMethod,
    LotMove,
    MovementKind,
    PositionMovement,
    RealizedPnl,
)
from apex_pipeline.domain.models import AssetClass, Broker, BrokerPosition, Instrument, Side, Trade, TradeKind
from apex_pipeline.domain.reconciliation import Finding
from apex_pipeline.domain.statements import BrokerFigures, BrokerLot, BrokerTradeFigures, ClosedLot
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.breaks import BreakRepository
from apex_pipeline.store.tables import (
    BROKER_POSITIONS,
    INSTRUMENTS,
    LEDGER_TABLES,
    STATEMENT_TABLES,
    TRADES,
    RawRow,
    as_row,
    raw_table,
)
from tests.store.rows import query

ACCOUNT, CONID, SYMBOL = "U1", "265598", "AAPL"
TABLES = {
    Trade: TRADES,
    Instrument: INSTRUMENTS,
    BrokerPosition: BROKER_POSITIONS,
    PositionMovement: LEDGER_TABLES["position_movements"],
    Lot: LEDGER_TABLES["lots"],
    LotMove: LEDGER_TABLES["lot_moves"],
    RealizedPnl: LEDGER_TABLES["realized_pnl"],
    LedgerStop: LEDGER_TABLES["ledger_stops"],
    BrokerLot: STATEMENT_TABLES["broker_lots"],
    ClosedLot: STATEMENT_TABLES["broker_closed_lots"],
    BrokerTradeFigures: STATEMENT_TABLES["broker_trade_figures"],
    BrokerFigures: STATEMENT_TABLES["broker_figures"],
}
USUAL: Mapping[str, Any] = {
    "broker": Broker.IB,
    "account_id": ACCOUNT,
    "instrument_id": CONID,
    "symbol": SYMBOL,
    "underlying": SYMBOL,
    "asset_class": AssetClass.STOCK,
    "multiplier": Decimal(1),
    "currency": "USD",
    "source": "FLEX",
    "method": LotMethod.FIFO,
    "basis_source": BasisSource.TRADES,
    "carried_pnl": Decimal(0),
    "place": 3,
}

Row = TypeVar("Row")


def made(cls: type[Row], **values: Any) -> Row:
    """A row with these values; what is not given is as usual, or unknown where it may be."""
    hints = get_type_hints(cls)
    whole = {name: USUAL.get(name) for name in hints} | values
    lacking = [name for name, hint in hints.items() if whole[name] is None and NoneType not in get_args(hint)]
    assert not lacking, f"{cls.__name__} needs {lacking}"
    return cls(**whole)


def at(day: date, hour: int = 15) -> datetime:
    """An instant of a day, by default in New York's session."""
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def movement(uid: str, qty: int | str, on: date, **values: Any) -> PositionMovement:
    """A trade, unless told otherwise."""
    moved = values.pop("moved_at", at(on))
    usual: dict[str, Any] = {"kind": MovementKind.TRADE, "price": Decimal(10), "ordered_at": moved, "moved_at": moved}
    return made(PositionMovement, movement_uid=uid, qty=Decimal(qty), business_date=on, **(usual | values))


def trade(uid: str, qty: int | str, on: date, **values: Any) -> Trade:
    """A trade of a signed quantity."""
    signed = Decimal(qty)
    usual: dict[str, Any] = {
        "kind": TradeKind.TRADE, "effective": True, "side": Side.BUY if signed > 0 else Side.SELL, "qty": abs(signed),
        "price": Decimal(10), "executed_at": at(on), "trade_date": on, "broker_trade_id": uid,
    }  # fmt: skip
    return made(Trade, trade_uid=uid, **(usual | values))


def position(qty: int | str, on: date, **values: Any) -> BrokerPosition:
    """What a broker holds for the account at the end of a day."""
    usual: dict[str, Any] = {"broker_position_id": CONID, "as_of": at(on, 22)}
    return made(BrokerPosition, business_date=on, qty=Decimal(qty), **(usual | values))


def lot(uid: str, qty: int, cost: int | str | None, on: date, **values: Any) -> Lot:
    """An open lot of ours."""
    size, basis = Decimal(qty), None if cost is None else Decimal(cost)
    usual: dict[str, Any] = {
        "origin": MovementKind.TRADE, "opened_at": at(on), "opened_on": on, "started_on": on, "ordered_at": at(on),
        "qty": size, "cost_basis": basis, "remaining_qty": size, "remaining_cost": basis,
    }  # fmt: skip
    return made(Lot, lot_uid=uid, **(usual | values))


def realized(uid: str, qty: int, on: date, **values: Any) -> RealizedPnl:
    """A piece of a long that a trade closed."""
    usual: dict[str, Any] = {"kind": MovementKind.TRADE, "direction": Direction.LONG, "closed_at": at(on)}
    return made(RealizedPnl, realized_uid=uid, qty=Decimal(qty), closed_on=on, **(usual | values))


def told_lot(uid: str, qty: int, cost: int | str | None, on: date, opened: date, **values: Any) -> BrokerLot:
    """An open lot as the broker tells it at the end of a day."""
    basis = None if cost is None else Decimal(cost)
    usual: dict[str, Any] = {"opened_at": at(opened), "open_price": Decimal(10), "open_trade_id": uid}
    return made(
        BrokerLot, lot_uid=f"{uid}_{on}", business_date=on, qty=Decimal(qty), cost_basis=basis, **(usual | values)
    )


def figures(uid: str, realized_pnl: str | None, on: date, **values: Any) -> BrokerTradeFigures:
    """What the broker computed for a trade."""
    gain = None if realized_pnl is None else Decimal(realized_pnl)
    return made(BrokerTradeFigures, trade_uid=uid, business_date=on, realized_pnl=gain, **values)


def write(db: Database, *rows: Any) -> None:
    """Write rows to the tables of their classes."""
    with db.transaction() as tx:
        for cls in dict.fromkeys(type(row) for row in rows):
            tx.merge(TABLES[cls], [as_row(row) for row in rows if type(row) is cls])


LOADED = (
    "WITH run AS (INSERT INTO load_runs (broker, from_date, to_date, started_at) "
    "VALUES (%s, current_date, current_date, now()) RETURNING run_id, broker) "
    "INSERT INTO loads (run_id, broker, data_type, account_id, market, from_date, to_date, status, "
    "started_at, finished_at) "
    "SELECT run_id, broker, %s, %s, 'ALL', %s, %s, 'COMPLETE', now(), now() FROM run RETURNING load_id"
)


def loaded(db: Database, broker: Broker, data_type: str, first: date, last: date) -> int:
    """The id of a load of these days."""
    return query(db.url, LOADED, broker, data_type, ACCOUNT, first, last)[0][0]


def snapshot(db: Database, broker: Broker, day: date, *, as_of: datetime | None = None, key: str | None = None) -> None:
    """The raw record that says that a broker told its positions."""
    load, told = loaded(db, broker, "positions", day, day), as_of or at(day, 22)
    record = RawRow(ACCOUNT, key or f"flex:{day}", None, day, {"rows": []}, told, told, load)
    with db.transaction() as tx:
        tx.merge(raw_table(broker, "positions"), [as_row(record)])


def covered(db: Database, first: date, last: date) -> None:
    """Days of which IB told everything."""
    load = loaded(db, Broker.IB, "ib_flex", first, last)
    text = "INSERT INTO load_coverage VALUES (%s, 'IB', %s, 'ib_flex', 'ALL', %s, %s, 0, now())"
    query(db.url, text, load, ACCOUNT, first, last)


def findings(db: Database, check: CheckName, first: date, last: date | None = None) -> list[Finding]:
    """What a check says about some days."""
    return BreakRepository(db).findings(check, first, last or first)


def compared(db: Database, check: CheckName, first: date, last: date | None = None) -> int:
    """How many things a check compares on some days."""
    return sum(BreakRepository(db).subjects(check, first, last or first).values())


def differences(rows: Iterable[Finding]) -> list[tuple[str, Decimal | None, Decimal | None, str | None]]:
    """Findings as subject, expected, actual and cause."""
    return [(row.subject, row.expected, row.actual, row.cause) for row in rows]
