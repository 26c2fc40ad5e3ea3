"""An engine that can be killed at any moment: it starts warm, handles every signal once, and goes on where it was.

Run it twice: the second time every signal is known, and the positions are those of the first time. It writes to the
tables of an engine (`portfolio_positions`, `portfolio_state`, `signal_log`), never to the record.
"""

from decimal import Decimal
from typing import Any

from apex_pipeline import settings
from apex_pipeline.live import Database, DatabaseStateManager, PortfolioStateManager, SnapshotService, WarmStartService

SIGNALS = (
    {"id": "example-1", "type": "BASE_ENTRY", "instrument": "GOLD", "price": Decimal("2400.5")},
    {"id": "example-2", "type": "BASE_ENTRY", "instrument": "SILVER", "price": Decimal("30.25")},
    {"id": "example-3", "type": "EXIT", "instrument": "GOLD", "price": Decimal("2412.0")},
)


def started(db: Database) -> None:
    """Hand over what the accounts hold: from the newest snapshots, else from the ledger."""
    accounts = db.fetch("SELECT DISTINCT broker AS name, account_id FROM orders_norm ORDER BY 1, 2")
    for how in ("the newest snapshots", "the ledger"):
        warm = WarmStartService(db, max_age_seconds=3600).warm_start(accounts, on_positions_loaded=held)
        if warm.success:
            print(f"started from {how}: {warm.positions_loaded} positions")
            return
        print(f"not from {how}: {warm.error}")
        SnapshotService(db).capture_all_now()  # without functions of an engine the ledger is captured


def held(broker: str, account_id: str, positions: list[dict[str, Any]]) -> None:
    print(f"  {broker} {account_id}: {', '.join(sorted(row['symbol'] for row in positions)) or 'flat'}")


def handled(state: DatabaseStateManager, portfolio: PortfolioStateManager, signal: dict[str, Any]) -> bool:
    """Act on a signal once; all that it changes is stored together, or nothing."""
    with state.transaction():
        if not state.log_signal(signal["id"], signal["type"], signal["instrument"], signal):
            return False
        if signal["type"] == "BASE_ENTRY":
            entry = {"position_id": signal["id"], "instrument": signal["instrument"], "is_base_position": True}
            portfolio.add_position({**entry, "entry_price": signal["price"], "lots": 1})
        else:
            for name, row in portfolio.get_open_positions().items():
                if row.instrument == signal["instrument"]:
                    portfolio.close_position(name, signal["price"], reason=signal["type"])
    return True


def main() -> None:
    with Database(settings.load()) as db:
        started(db)
        state = DatabaseStateManager(db, "example")
        portfolio = PortfolioStateManager(1_000_000, state)
        for signal in SIGNALS:
            print(f"{signal['id']}: {'handled' if handled(state, portfolio, signal) else 'known'}")
        for name, row in sorted(portfolio.get_open_positions().items()):
            print(f"open: {name} {row.lots} {row.instrument} at {row.entry_price}")


if __name__ == "__main__":
    main()
