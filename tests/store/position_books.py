"""A small ledger of movements, stored with the lots that follow from it, as matching leaves it to the positions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.ledger import Action, MovementKind, Place, PositionMovement
from apex_pipeline.domain.lots import Matched, match
from apex_pipeline.domain.models import AssetClass, Broker, BrokerPosition
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.positions import rewrite_positions
from apex_pipeline.store.tables import BROKER_POSITIONS, LEDGER_TABLES, as_row
from apex_pipeline.store.transaction import Merged, Transaction

ACCOUNT, STOCK, OTHER = "U1", "265598", "8314"
MONDAY = date(2024, 3, 4)
TABLES = "positions_daily", "position_events", "round_trips"

Key = tuple[str, str]
"""An account and an instrument."""


def day(number: int) -> date:
    """The day so many days after the first Monday."""
    return MONDAY + timedelta(days=number)


def move(
    uid: str,
    on: int | date,
    qty: str | int,
    price: str | int | None = None,
    *,
    fees: str | int | None = "1",
    kind: MovementKind = MovementKind.TRADE,
    account: str = ACCOUNT,
    instrument: str = STOCK,
    symbol: str | None = None,
    asset_class: AssetClass = AssetClass.STOCK,
    multiplier: str | int | None = 1,
    hour: int = 15,
    action: Action | None = None,
    link: str | None = None,
    money: str | None = None,
    broker: Broker = Broker.IB,
) -> PositionMovement:
    """One movement; `on` counts days from the first Monday."""
    on_date = day(on) if isinstance(on, int) else on
    place = Place.OPENING if kind is MovementKind.OPENING else Place.TRADE
    return PositionMovement(
        uid,
        broker,
        account,
        instrument,
        symbol or f"US.S{instrument}",
        f"US.S{instrument}",
        asset_class,
        on_date,
        at(on_date, hour),
        at(on_date, hour),
        Place.CORPORATE_ACTION if kind is MovementKind.CORPORATE_ACTION else place,
        None,
        kind,
        action,
        Decimal(qty),
        known(price),
        known(multiplier),
        known(fees),
        known(money),
        "USD",
        None,
        link,
        None,
    )


def at(on: date, hour: int) -> datetime:
    return datetime.combine(on, time(hour), UTC)


def known(value: str | int | None) -> Decimal | None:
    return None if value is None else Decimal(value)


@dataclass
class Book:
    """The movements of a ledger; its lots are matched from them."""

    movements: list[PositionMovement] = field(default_factory=list[PositionMovement])

    def store(self, db: Database, touched: Mapping[Key, date] | None = None) -> dict[str, Merged]:
        """Make the tables hold exactly this book, and rewrite the positions of `touched` (all of them if None)."""
        with db.transaction() as tx:
            matched = [self.matched(account) for account in sorted({row.account_id for row in self.movements})]
            rows: dict[str, Sequence[Any]] = {
                "position_movements": self.movements,
                "lots": [lot for one in matched for lot in one.lots],
                "realized_pnl": [piece for one in matched for piece in one.realized],
                "lot_moves": [moved for one in matched for moved in one.moves],
                "ledger_stops": [stop for one in matched for stop in one.stops],
            }
            for table, some in rows.items():
                tx.run_script(f"DELETE FROM {table}")
                tx.merge(LEDGER_TABLES[table], map(as_row, some))
            touch(tx, self.first_days() if touched is None else touched)
            return rewrite_positions(tx)

    def matched(self, account: str) -> Matched:
        return match(row for row in self.movements if row.account_id == account)

    def first_days(self) -> dict[Key, date]:
        days: dict[Key, date] = {}
        for row in self.movements:
            key = row.account_id, row.instrument_id
            days[key] = min(days.get(key, row.business_date), row.business_date)
        return days


def touch(tx: Transaction, days: Mapping[Key, date]) -> None:
    """Make the table that matching leaves for the positions."""
    tx.run_script(
        'CREATE TEMPORARY TABLE touched (account_id text COLLATE "C", instrument_id text COLLATE "C", '
        'broker text COLLATE "C", from_day date, PRIMARY KEY (account_id, instrument_id)) ON COMMIT DROP'
    )
    for (account, instrument), from_day in days.items():
        tx.run_script(f"INSERT INTO touched VALUES ('{account}', '{instrument}', 'IB', '{from_day}')")


def cover(db: Database, first: int, last: int, *, account: str = ACCOUNT, data_type: str = "ib_flex") -> None:
    """A load that asked for the trades of these days."""
    with db.transaction() as tx:
        tx.run_script(
            "WITH run AS (INSERT INTO load_runs (broker, from_date, to_date, started_at) "
            f"VALUES ('IB', '{day(first)}', '{day(last)}', now()) RETURNING run_id), "
            "load AS (INSERT INTO loads (run_id, broker, data_type, market, from_date, to_date, status, started_at, "
            f"finished_at) SELECT run_id, 'IB', '{data_type}', '', '{day(first)}', '{day(last)}', 'COMPLETE', now(), "
            "now() FROM run RETURNING load_id) "
            f"INSERT INTO load_coverage SELECT load_id, 'IB', '{account}', '{data_type}', '', '{day(first)}', "
            f"'{day(last)}', 0, now() FROM load"
        )


def snapshot(db: Database, on: int, marks: Mapping[str, str | None], *, account: str = ACCOUNT) -> None:
    """What the broker says about a day: a mark per instrument."""
    rows = [
        BrokerPosition(
            business_date=day(on),
            broker=Broker.IB,
            account_id=account,
            broker_position_id=instrument,
            symbol=f"US.S{instrument}",
            underlying=None,
            asset_class=AssetClass.STOCK,
            qty=Decimal(1),
            average_cost=None,
            mark_price=known(mark),
            market_value=None,
            unrealized_pnl=None,
            realized_pnl=None,
            currency="USD",
            as_of=at(day(on), 22),
            source="ib_flex",
        )
        for instrument, mark in marks.items()
    ]
    with db.transaction() as tx:
        tx.merge(BROKER_POSITIONS, map(as_row, rows))
