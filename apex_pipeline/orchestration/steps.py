"""The names that the command line shares with Dagster: the steps that load each broker, and the tables they fill."""

from collections.abc import Mapping

STEPS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "futu": {
        "futu_history": (
            "orders_raw_futu",
            "trades_raw_futu",
            "fees_raw_futu",
            "positions_raw_futu",
            "balances_raw_futu",
        ),
        "futu_cash_flow": ("cash_raw_futu",),
    },
    "ib": {
        "ib_history": (
            "orders_raw_ib",
            "trades_raw_ib",
            "fees_raw_ib",
            "positions_raw_ib",
            "balances_raw_ib",
            "cash_raw_ib",
            "sections_raw_ib",
            "provisional_raw_ib",
        ),
    },
}
"""Raw tables by loading step, by broker. The first step of a broker is the one that nothing can do without."""

CASH_STEP = "futu_cash_flow"
BARS_STEP = "bars"

RAW_TABLES: Mapping[str, tuple[str, ...]] = {
    broker: tuple(table for tables in steps.values() for table in tables) for broker, steps in STEPS.items()
}


def main_step(broker: str) -> str:
    """The step that loads the trading history of a broker."""
    return next(iter(STEPS[broker]))


def broker_of(step: str) -> str | None:
    """The broker that a step loads; None for a step that serves all."""
    return next((broker for broker, steps in STEPS.items() if step in steps), None)
