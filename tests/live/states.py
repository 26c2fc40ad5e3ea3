"""A position of an engine, and how long what another process did may take to be seen."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from apex_pipeline.domain.engine import PortfolioPosition

NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)
LONG = PortfolioPosition(
    "Long_1", "BANK_NIFTY", is_base_position=True, entry_price=Decimal("52000.05"), lots=Decimal(3),
    entry_timestamp=NOON, current_stop=Decimal(51650), limiter="RISK", payload={"atr": Decimal("350.25")},
)  # fmt: skip

NOTICED_SECONDS = 5.0
"""Long enough for a busy machine; the promised 100 ms are measured by the benchmark."""


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + NOTICED_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)
