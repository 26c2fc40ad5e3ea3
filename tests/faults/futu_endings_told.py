"""How the tables of the ledger differ from a made-up life, and what is marked in them."""

from collections.abc import Hashable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from tests.cli.sql import rows
from tests.faults.futu_endings import FIRST, LAST, Life, held_on, weekdays
from tests.faults.futu_endings_ledger import Gains, Ledger

SMALLEST = Decimal("0.000001")
LEDGER = {
    "trades_norm": "trade_uid",
    "cash_movements": "cash_uid",
    "position_movements": "movement_uid",
    "lots": "lot_uid",
    "realized_pnl": "realized_uid",
    "positions_daily": "account_id, instrument_id, business_date",
    "position_events": "event_uid",
    "cash_ledger": "entry_uid",
}
_OF_SNAPSHOTS = {"mark_price", "market_value", "unrealized_pnl"}
"""Columns that depend on the days on which somebody looked."""

_Values = tuple[Decimal | None, ...]
_Key = TypeVar("_Key", bound=Hashable)


def differences(url: str, life: Life, but: frozenset[str] = frozenset()) -> list[str]:
    """How positions, costs and gains differ from the life, day by day; `but`: symbols that are left out."""
    gains = Ledger(life).kept(FIRST, LAST)
    found = _positions(url, life, gains, but) + _gains(url, gains, but) + _lots(url, gains, but)
    return [*found[:12], *([f"... and {len(found) - 12} more"] if len(found) > 12 else [])]


def _positions(url: str, life: Life, gains: Gains, but: frozenset[str]) -> list[str]:
    text = "SELECT business_date, account_id, symbol, qty, cost_basis FROM positions_daily"
    told = {
        (row["business_date"], (int(row["account_id"]), row["symbol"])): (row["qty"], row["cost_basis"])
        for row in rows(url, text)
        if row["symbol"] not in but
    }
    changes = life.changes()
    should = {
        (day, key): (qty, gains.costs.get((day, key), Decimal(0)))
        for day in weekdays(FIRST, LAST)
        for key, qty in held_on(changes, day).items()
        if key[1] not in but
    }
    return _compared("position", told, should)


def _gains(url: str, gains: Gains, but: frozenset[str]) -> list[str]:
    text = "SELECT account_id, symbol, closed_on, sum(realized_pnl) AS gain FROM realized_pnl GROUP BY 1, 2, 3"
    told = {
        ((int(row["account_id"]), row["symbol"]), row["closed_on"]): (row["gain"],)
        for row in rows(url, text)
        if row["symbol"] not in but and row["gain"] != 0
    }
    should = {key: (gain,) for key, gain in gains.realized.items() if abs(gain) > SMALLEST and key[0][1] not in but}
    return _compared("gain", told, should)


def _lots(url: str, gains: Gains, but: frozenset[str]) -> list[str]:
    text = "SELECT account_id, symbol, sum(remaining_cost) AS cost FROM lots WHERE closed_on IS NULL GROUP BY 1, 2"
    told = {
        (int(row["account_id"]), row["symbol"]): (row["cost"],) for row in rows(url, text) if row["symbol"] not in but
    }
    should = {key: (cost,) for (day, key), cost in gains.costs.items() if day == LAST and key[1] not in but}
    return _compared("open lots", told, should)


def _compared(what: str, told: Mapping[_Key, _Values], should: Mapping[_Key, _Values]) -> list[str]:
    return [
        f"{what} {key}: {told.get(key)}, should be {should.get(key)}"
        for key in sorted(told.keys() | should.keys(), key=str)
        if not _alike(told.get(key), should.get(key))
    ]


def _alike(have: _Values | None, want: _Values | None) -> bool:
    if have is None or want is None:
        return False
    pairs = zip(have, want, strict=True)
    return all(one is not None and other is not None and abs(one - other) <= SMALLEST for one, other in pairs)


def breaks(url: str) -> set[tuple[str, str]]:
    """The check and the subject of what is open or explained."""
    told = rows(url, "SELECT check_name, subject FROM recon_breaks WHERE state <> 'CLOSED'")
    return {(row["check_name"], row["subject"]) for row in told}


def quarantined(url: str) -> list[tuple[str, str]]:
    """The symbol and the reason of bookings that cannot be made out."""
    text = "SELECT payload ->> 'symbol' AS symbol, reason_code FROM quarantine WHERE resolved_at IS NULL ORDER BY 1, 2"
    return [(row["symbol"], row["reason_code"]) for row in rows(url, text)]


def require_all(url: str, life: Life) -> None:
    """Everything equals the life, and nothing is marked."""
    assert quarantined(url) == []
    found = differences(url, life)
    assert not found, "\n".join(found)
    assert breaks(url) == set()


def content(url: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of the ledger."""
    return {
        table: [
            {name: value for name, value in row.items() if name not in _OF_SNAPSHOTS}
            for row in rows(url, f"SELECT * FROM {table} ORDER BY {key}")
        ]
        for table, key in LEDGER.items()
    }


def versions(url: str) -> dict[str, list[str]]:
    """The physical version of every row of the ledger, which any writing changes."""
    return {
        table: [row["at"] for row in rows(url, f"SELECT concat(xmin, ' ', ctid) AS at FROM {table} ORDER BY {key}")]
        for table, key in LEDGER.items()
    }
