"""Rows of the position ledger as its checks compare them: stored positions, events, corporate actions, openings."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.ledger import (
    BasisSource,
    DailyPosition,
    LedgerStop,
    MovementKind,
    OpeningBalance,
    PositionEvent,
    PositionEventKind,
)
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.reconciliation import Finding
from apex_pipeline.domain.statements import CorporateAction, Transfer
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import LEDGER_TABLES, STATEMENT_TABLES, as_row
from tests.store import check_rows as rows
from tests.store.check_rows import at, made

MONDAY, TUESDAY, WEDNESDAY = date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 4)
THURSDAY, FRIDAY, SATURDAY, NEXT_MONDAY = date(2026, 3, 5), date(2026, 3, 6), date(2026, 3, 7), date(2026, 3, 9)
WEEK = (MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY)
FUTU: dict[str, Any] = {"broker": Broker.FUTU, "instrument_id": "US.AAPL"}
FUTU_TOLD: dict[str, Any] = {"broker": Broker.FUTU, "broker_position_id": "91"}

_TABLES = {
    **rows.TABLES,
    DailyPosition: LEDGER_TABLES["positions_daily"],
    PositionEvent: LEDGER_TABLES["position_events"],
    OpeningBalance: LEDGER_TABLES["opening_balances"],
    CorporateAction: STATEMENT_TABLES["corporate_actions"],
    Transfer: STATEMENT_TABLES["transfers"],
}


def write(db: Database, *some: Any) -> None:
    """Write rows to the tables of their classes."""
    with db.transaction() as tx:
        for cls in dict.fromkeys(type(row) for row in some):
            tx.merge(_TABLES[cls], [as_row(row) for row in some if type(row) is cls])


def held(
    qty: int | str, on: date, cost: int | str | None = None, mark: str | None = None, **values: Any
) -> DailyPosition:
    """A position of ours at the end of a day, worth its mark; `cost` is that of the whole."""
    size = Decimal(qty)
    basis, price = (None if value is None else Decimal(value) for value in (cost, mark))
    worth = None if price is None else size * price * values.pop("size", 1)
    usual: dict[str, Any] = {
        "avg_cost": None if basis is None else basis / size, "cost_basis": basis, "mark_price": price,
        "market_value": worth, "unrealized_pnl": None if basis is None or worth is None else worth - basis,
    }  # fmt: skip
    return made(DailyPosition, business_date=on, qty=size, **(usual | values))


def stop(on: date) -> LedgerStop:
    """From this day on the lots of the usual instrument are not known."""
    return made(LedgerStop, stop_uid=f"S_{on}", business_date=on, reason_code="UNKNOWN_ACTION", reason="a spin-off")


def event(
    uid: str, kind: PositionEventKind, qty: int, after: int, on: date, life: str = "life", **values: Any
) -> PositionEvent:
    """What a movement of this uid did: `qty` changed, `after` is held then."""
    usual: dict[str, Any] = {"event": kind, "at": at(on), "holding_days": 0}
    sizes = {"qty": Decimal(qty), "position_qty": Decimal(after)}
    return made(PositionEvent, event_uid=uid, position_uid=life, business_date=on, **sizes, **(usual | values))


def action(uid: str, qty: int | str, on: date, **values: Any) -> CorporateAction:
    """A row of a corporate action, a split of the usual instrument."""
    usual: dict[str, Any] = {"broker_action_id": "9", "broker_kind": "FS", "description": "AAPL SPLIT 2 FOR 1"}
    return made(CorporateAction, action_uid=uid, qty=Decimal(qty), business_date=on, **(usual | values))


def acted(uid: str, qty: int | str, on: date, **values: Any) -> Any:
    """The movement that a corporate action makes."""
    kind = {"kind": MovementKind.CORPORATE_ACTION, "place": 1, "price": None, "link_id": f"9@{on}"}
    return rows.movement(uid, qty, on, **(kind | values))


def opening(uid: str, qty: int | str, on: date, **values: Any) -> OpeningBalance:
    """What a person signed as held from a day on."""
    return made(OpeningBalance, opening_uid=uid, qty=Decimal(qty), opened_on=on, source=BasisSource.PERSON, **values)


def traded(db: Database, uid: str, qty: int | str, on: date, when: datetime | None = None, **values: Any) -> None:
    """A trade and the movement that it is."""
    moment = when or at(on)
    trade = rows.trade(uid, qty, on, executed_at=moment, report_date=on, **values)
    write(db, trade, rows.movement(uid, qty, on, moved_at=moment, **values))


def snapshots(db: Database, broker: Broker, days: Iterable[date]) -> None:
    """A readable snapshot of positions on each of these days: IB's at their end, Futu's at 22:00 UTC."""
    for day in days:
        rows.snapshot(db, broker, day, key=str(day) if broker is Broker.FUTU else None)


def told(found: Iterable[Finding]) -> list[tuple[str, date | None, Decimal | None, Decimal | None, str | None]]:
    """Findings as subject, day, expected, actual and cause."""
    return [(one.subject, one.business_date, one.expected, one.actual, one.cause) for one in found]
