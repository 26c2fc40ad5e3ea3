"""Captures what is held now, and says what an engine would be started from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from apex_pipeline.cli.console import DONE, UNFINISHED, line, out, say, show
from apex_pipeline.cli.opening import Opened, require_brokers
from apex_pipeline.domain.market import AccountSnapshot, PositionSnapshot
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.snapshots import UnusableSnapshot, positions_hash
from apex_pipeline.domain.told_values import Key
from apex_pipeline.errors import BrokerError
from apex_pipeline.live.broker_snapshots import capture_broker, capture_ledger, tells_of_today
from apex_pipeline.live.warm_start import Restored, WarmStartService
from apex_pipeline.reports.tables import ReportTable
from apex_pipeline.settings import Settings
from apex_pipeline.store.repositories.snapshot_keeping import SnapshotKeeper

MOST_POSITIONS = 1000
SHOWN = ("symbol", "qty", "avg_cost", "mark_price", "market_value", "unrealized_pnl", "currency")


@dataclass(slots=True)
class Capture:
    """What was captured of a broker; `errors` in one line each, `note`: why the ledger was captured instead."""

    broker: str
    positions: Sequence[PositionSnapshot] = ()
    accounts: Sequence[AccountSnapshot] = ()
    errors: list[str] = field(default_factory=list[str])
    note: str | None = None


def check(configured: Settings) -> None:
    """ConfigError for credentials that are missing, before any connection."""
    require_brokers(configured, [one for one in configured.brokers if tells_of_today(configured, one)])


def capture(found: Opened, *, as_json: bool) -> int:
    """Capture every configured broker, or the ledger where it does not tell; returns the exit code."""
    captures = [_captured(found, broker) for broker in found.settings.brokers]
    if as_json:
        out.print_json(json.dumps({one.broker: _as_json(one) for one in captures}, default=str))
    for one in captures:
        for error in one.errors:
            say(f"apex: {one.broker}: {error}")
        if one.note and not as_json:
            say(f"{one.broker}: {one.note}")
        for snapshot in () if as_json else one.positions:
            line(_sentence(snapshot, one.accounts))
    return UNFINISHED if any(one.errors for one in captures) else DONE


def _captured(found: Opened, broker: str) -> Capture:
    if not tells_of_today(found.settings, broker):
        note = "it tells of today only through TWS (IB_TWS_HOST): its positions are those of the ledger"
        return Capture(broker, capture_ledger(found.db, broker), note=note)
    try:
        told = capture_broker(found.db, found.settings, broker)
    except BrokerError as error:
        note = "its positions are those of the ledger, or stay as they were told before"
        return Capture(broker, capture_ledger(found.db, broker), errors=[str(error)], note=note)
    return Capture(broker, told.positions, told.accounts, [f"not captured: {why}" for why in told.refused])


def _sentence(snapshot: PositionSnapshot, accounts: Sequence[AccountSnapshot]) -> str:
    worth = next((one for one in accounts if one.account_id == snapshot.account_id), None)
    value = "" if worth is None or worth.net_liquidation is None else _worth(worth)
    return f"{snapshot.broker} {snapshot.account_id}: {_counted(snapshot.position_count)}{value} ({snapshot.source})"


def _worth(account: AccountSnapshot) -> str:
    return f", worth {account.net_liquidation:,.2f} {account.currency or ''}".rstrip()


def _counted(number: int) -> str:
    return f"{number} position{'' if number == 1 else 's'}"


def _as_json(one: Capture) -> dict[str, Any]:
    return {
        "positions": [
            {
                "account_id": snapshot.account_id,
                "captured_at": snapshot.captured_at.isoformat(),
                "position_count": snapshot.position_count,
                "source": snapshot.source,
            }
            for snapshot in one.positions
        ],
        "accounts": [
            {"account_id": row.account_id, "net_liquidation": row.net_liquidation, "currency": row.currency}
            for row in one.accounts
        ],
        "errors": one.errors,
        "note": one.note,
    }


def tell_warm_start(found: Opened, max_age: float, *, as_json: bool) -> int:
    """Print what a warm start would hand over of every known account, or why it would be refused."""
    keys, now = _known(found), datetime.now(UTC)
    if not keys:
        return _refused("no account is known yet: run `apex snapshot`", as_json=as_json)
    try:
        restored = WarmStartService(found.db, max_age).read(keys, now, wants_accounts=True, wants_risk=True)
    except UnusableSnapshot as error:
        return _refused(str(error), as_json=as_json)
    if as_json:
        out.print_json(json.dumps(_restored_json(restored, now), default=str))
        return DONE
    for key, rows in restored.positions.items():
        account = restored.accounts.get(key)
        value = "" if account is None or account.net_liquidation is None else _worth(account)
        line(f"{key[0]} {key[1]}: {_counted(len(rows))}{value}, captured {_age(restored, key, now):.0f} s ago")
        told = [{name: row[name] for name in SHOWN} for row in rows]
        if told:
            show(ReportTable("positions", f"{key[0]} {key[1]}", told), MOST_POSITIONS)
    return DONE


def _refused(reason: str, *, as_json: bool) -> int:
    if as_json:
        out.print_json(json.dumps({"success": False, "error": reason, "accounts": []}))
    say(f"apex: a warm start would be refused: {reason}")
    return UNFINISHED


def _known(found: Opened) -> list[Key]:
    """Accounts that were captured before, and those that were loaded."""
    rows = [*SnapshotKeeper(found.db).newest()["position_snapshots"], *found.db.fetch("known_accounts")]
    return sorted({(Broker(row["broker"]), row["account_id"]) for row in rows})


def _age(restored: Restored, key: Key, now: datetime) -> float:
    return max(0.0, (now - restored.captured[key]).total_seconds())


def _restored_json(restored: Restored, now: datetime) -> dict[str, Any]:
    accounts = [
        {
            "broker": key[0],
            "account_id": key[1],
            "age_seconds": round(_age(restored, key, now), 3),
            "positions_hash": positions_hash(rows),
            "positions": rows,
            "net_liquidation": getattr(restored.accounts.get(key), "net_liquidation", None),
        }
        for key, rows in restored.positions.items()
    ]
    return {"success": True, "error": None, "accounts": accounts, "has_risk": restored.risk is not None}
