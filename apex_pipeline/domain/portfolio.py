"""What positions of an engine gain, and what becomes of them when they are closed."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from apex_pipeline.domain.engine import PortfolioPosition, PositionStatus
from apex_pipeline.domain.models import Side


def gain(row: PortfolioPosition, price: Decimal, lots: Decimal | None = None) -> Decimal:
    """What closing `lots` (all if None) at a price would realize, before fees; negative for a loss.

    ValueError where the entry price or the lots are not known.
    """
    if row.entry_price is None or row.lots is None:
        raise ValueError(f"position {row.position_id} has no entry price or no lots: its gain is not known")
    points = price - row.entry_price if row.side is Side.BUY else row.entry_price - price
    return points * (row.lots if lots is None else lots) * row.multiplier


def closed(
    row: PortfolioPosition, price: Decimal, at: datetime | None, reason: str | None, lots: Decimal | None = None
) -> PortfolioPosition:
    """The position after closing `lots` of it (all if None) at a price; what was realized adds up.

    ValueError for one that is closed already or holds fewer lots.
    """
    if row.status is PositionStatus.CLOSED:
        raise ValueError(f"position {row.position_id} is closed already")
    realized = (row.realized_pnl or Decimal(0)) + gain(row, price, lots)
    assert row.lots is not None
    left = Decimal(0) if lots is None else row.lots - lots
    if left < 0 or (lots is not None and lots <= 0):
        raise ValueError(f"position {row.position_id} holds {row.lots} lots: {lots} of them cannot be closed")
    if left:
        return replace(row, status=PositionStatus.PARTIAL, lots=left, realized_pnl=realized, unrealized_pnl=None)
    return replace(
        row,
        status=PositionStatus.CLOSED,
        exit_price=price,
        exit_timestamp=at,
        exit_reason=reason,
        realized_pnl=realized,
        unrealized_pnl=None,
    )
