"""Captures positions and balances from the brokers directly, beside the loads: nothing but snapshots is written.

Each broker is asked for the state of its accounts as it is now, within its request limits, and each is its own failure.
A broker that is busy with another capture is left alone. Of a broker that tells nothing about today the ledger is
captured.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from apex_pipeline.brokers.contract import BrokerPort
from apex_pipeline.domain.market import AccountSnapshot, PositionSnapshot
from apex_pipeline.domain.models import Broker, BrokerBalance, BrokerPosition, Instrument
from apex_pipeline.domain.records import Ask, LoadScope, Normalized, Record, RecordKind, Reject
from apex_pipeline.domain.snapshots import AccountFigures
from apex_pipeline.errors import BrokerUnavailable, UnknownPayload
from apex_pipeline.extraction import wanted
from apex_pipeline.live.history import HistoryLoaderService, today
from apex_pipeline.live.value import snapshot_portfolio
from apex_pipeline.settings import Settings
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.snapshot_keeping import SnapshotKeeper
from apex_pipeline.store.repositories.snapshots import AccountSnapshotRepository, PositionSnapshotRepository

STATES = (RecordKind.POSITIONS, RecordKind.BALANCES)

CLIENT_ID_STEP = 2
"""IB's gateway takes one client of a number: loads have the configured one, bars the next, captures the one after."""

Refusals = dict[tuple[str, str], str]
"""Why something could not be read, by the kind of record and the account."""


@dataclass(frozen=True, slots=True)
class Captured:
    """What a broker told at `at`, already stored; `refused`: what could not be read of which account, and why."""

    broker: Broker
    at: datetime
    positions: Sequence[PositionSnapshot] = ()
    accounts: Sequence[AccountSnapshot] = ()
    refused: Sequence[str] = field(default_factory=tuple[str, ...])


def capture_broker(
    db: Database, config: Settings, broker: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Captured:
    """Ask a broker for its positions and balances now and store them as snapshots, of every account that can be read.

    BrokerError where it does not tell; ConfigError for settings that cannot be meant. See `tells_of_today`.
    """
    loader = HistoryLoaderService(db, _beside_loads(config))
    port = loader.port(broker, patient=False)
    with db.lock(f"apex:snapshot:{port.name}", lambda: _busy(port.name)):
        at = now()
        records, rejects = _asked(loader, port, broker)
        told = port.normalize(records)
        refused = {(reject.kind, reject.account_id or ""): reject.reason for reject in (*rejects, *told.rejects)}
        captured = Captured(
            port.name,
            at,
            _positions(port.name, at, records, told, refused),
            _accounts(port, at, records, told, refused),
            [f"{kind} of {account_id or 'an account'}: {why}" for (kind, account_id), why in sorted(refused.items())],
        )
        for positions in captured.positions:
            PositionSnapshotRepository(db).insert(positions)
        for account in captured.accounts:
            AccountSnapshotRepository(db).insert(account)
    return captured


def tells_of_today(config: Settings, broker: str) -> bool:
    """Whether a broker is configured to tell the state of now: IB tells it only through TWS or IB Gateway."""
    return broker != "ib" or config.ib.tws_host is not None


def capture_ledger(
    db: Database, broker: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Sequence[PositionSnapshot]:
    """Store what the ledger holds now of a broker's accounts, as far as nobody has told better since; returns that."""
    snapshots = SnapshotKeeper(db).of_ledger(now(), Broker.named(broker))
    for snapshot in snapshots:
        PositionSnapshotRepository(db).insert(snapshot)
    return snapshots


def value_portfolios(db: Database, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> int:
    """Write the HOUR row of every account that has none of this hour yet; returns how many were written."""
    at = now()
    due = db.fetch("portfolio_hours_due", hour=at.replace(minute=0, second=0, microsecond=0))
    return sum(snapshot_portfolio(db, row["account_id"], at) is not None for row in due)


def _beside_loads(config: Settings) -> Settings:
    """The settings under which a load can run at the same time."""
    return replace(config, ib=replace(config.ib, tws_client_id=config.ib.tws_client_id + CLIENT_ID_STEP))


def _busy(broker: Broker) -> None:
    raise BrokerUnavailable(f"another capture of {broker} is under way: try again in a minute")


def _asked(loader: HistoryLoaderService, port: BrokerPort, broker: str) -> tuple[list[Record], list[Reject]]:
    """The states of all accounts as records, and what could not be read of the answers."""
    ask = Ask(today(), today(), today(), scope=LoadScope.INTRADAY)
    records: list[Record] = []
    rejects: list[Reject] = []
    with port.connect(loader.limit(broker)) as session:
        for call in port.plan_states(ask, wanted(session.accounts(), ask)):
            delivery = session.fetch(call)
            records += [record for record in delivery.records if record.kind in STATES]
            rejects += [reject for reject in delivery.rejects if reject.kind in STATES]
    return records, rejects


def _positions(
    broker: Broker, at: datetime, records: Sequence[Record], told: Normalized, refused: Refusals
) -> list[PositionSnapshot]:
    """One for every account whose positions were told whole, those without any included."""
    ids = {one.symbol: _own_id(broker, one) for one in told.instruments}
    accounts = {record.account_id for record in records if record.kind is RecordKind.POSITIONS}
    made: list[PositionSnapshot] = []
    for account_id in sorted(accounts):
        if (RecordKind.POSITIONS, account_id) in refused:
            continue
        rows = _joined([row for row in told.positions if row.account_id == account_id], ids)
        made.append(PositionSnapshot(broker, account_id, at, len(rows), rows, broker.value, None, None))
    return made


def _own_id(broker: Broker, instrument: Instrument) -> str | None:
    return instrument.futu_code if broker is Broker.FUTU else instrument.ib_conid


def _joined(positions: Sequence[BrokerPosition], ids: dict[str, str | None]) -> list[dict[str, Any]]:
    """Positions as snapshots keep them; several of one instrument are added up, and their cost is then not known."""
    rows: dict[str, dict[str, Any]] = {}
    for one in positions:
        row: dict[str, Any] = {
            "symbol": one.symbol,
            "instrument_id": ids.get(one.symbol),
            "qty": one.qty,
            "avg_cost": one.average_cost,
            "mark_price": one.mark_price,
            "market_value": one.market_value,
            "unrealized_pnl": one.unrealized_pnl,
            "currency": one.currency,
            "asset_class": one.asset_class.value,
        }
        if (other := rows.get(one.symbol)) is not None:
            row |= {name: _sum(row[name], other[name]) for name in ("qty", "market_value", "unrealized_pnl")}
            row["avg_cost"] = None
        rows[one.symbol] = row
    return [row for row in rows.values() if row["qty"]]


def _sum(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other


def _accounts(
    port: BrokerPort, at: datetime, records: Sequence[Record], told: Normalized, refused: Refusals
) -> list[AccountSnapshot]:
    """One for every account whose balances were told; those that cannot be read are added to `refused`."""
    made: list[AccountSnapshot] = []
    for record in records:
        key = RecordKind.BALANCES, record.account_id
        if record.kind is not RecordKind.BALANCES or key in refused:
            continue
        try:
            figures = port.figures(record)
        except UnknownPayload as error:
            refused[key] = str(error)
            continue
        balances = [row for row in told.balances if row.account_id == record.account_id]
        made.append(_account(port.name, record.account_id, at, figures, balances))
    return made


def _account(
    broker: Broker, account_id: str, at: datetime, figures: AccountFigures, balances: Sequence[BrokerBalance]
) -> AccountSnapshot:
    cash = {row.currency: row.cash for row in balances}
    market_value = next((row.market_value for row in balances if row.market_value is not None), None)
    payload = {"cash": cash, "market_value": market_value, "source": broker.value}
    return AccountSnapshot(broker, account_id, at, **asdict(figures), payload=payload)
