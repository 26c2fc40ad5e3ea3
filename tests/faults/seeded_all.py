"""Every kind of fault, in the order of the table."""

from tests.faults import (
    seeded_free,
    seeded_futu_book,
    seeded_futu_orders,
    seeded_ib_book,
    seeded_ib_cash,
    seeded_ib_events,
    seeded_ib_trades,
    seeded_ib_whole,
    seeded_market,
    seeded_stored_loads,
    seeded_stored_rows,
)
from tests.faults.seeded_fault import FAULTS

KINDS = (
    seeded_ib_trades, seeded_ib_book, seeded_ib_cash, seeded_ib_whole, seeded_ib_events, seeded_futu_orders,
    seeded_futu_book, seeded_stored_rows, seeded_stored_loads, seeded_market,
    seeded_free,
)  # fmt: skip
"""The modules that hold them: importing one adds its kinds."""

__all__ = ["FAULTS", "KINDS"]
