"""The portfolio of an engine as it trades: positions that are open, what they gain, and the equity that was closed.

With a state manager every change is stored before it counts: a restart goes on where the last run ended, and several
processes may share a portfolio. Without one all of it is in memory and ends with the process.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.engine import PortfolioPosition, PositionStatus
from apex_pipeline.domain.engine_input import changed, instant, number, row_of
from apex_pipeline.domain.portfolio import closed, gain
from apex_pipeline.errors import StaleVersion
from apex_pipeline.live.memory import MemoryState
from apex_pipeline.live.state import DatabaseStateManager

Number = Decimal | float | str
Change = Callable[[PortfolioPosition], PortfolioPosition]

TRIES = 50
"""How often a change is decided anew because others changed the position meanwhile."""


class NoPosition(ValueError):
    """There is no position of that id."""


class PortfolioStateManager:
    """Open positions and equity, in step with the database of `db_manager` if there is one; usable by threads.

    `initial_capital` counts where no capital is stored yet. Numbers and instants are taken as `domain.engine_input`
    says. ValueError for a position that there is not, StaleVersion where others are faster time and again.
    """

    def __init__(self, initial_capital: Number, db_manager: DatabaseStateManager | None = None) -> None:
        self._kept = db_manager or MemoryState()
        self._begun = self._kept.begin_portfolio(number("initial_capital", initial_capital))

    @property
    def initial_capital(self) -> Decimal:
        """The capital that the portfolio began with."""
        return self._begun.initial_capital

    @property
    def closed_equity(self) -> Decimal:
        """The initial capital and everything that was realized since, by whatever process."""
        return (self._kept.get_portfolio_state() or self._begun).closed_equity

    @property
    def unrealized_pnl(self) -> Decimal:
        """What the open positions would gain, as far as it was told."""
        return sum((row.unrealized_pnl or Decimal(0) for row in self._kept.get_all_open_positions()), Decimal(0))

    @property
    def equity(self) -> Decimal:
        """Closed equity and what the open positions would gain."""
        return self.closed_equity + self.unrealized_pnl

    def get_position(self, position_id: str) -> PortfolioPosition | None:
        """A position, open or closed; None if there is none."""
        return self._kept.get_position(position_id)

    def get_open_positions(self) -> dict[str, PortfolioPosition]:
        """Positions that are not closed, by id."""
        return {row.position_id: row for row in self._kept.get_all_open_positions()}

    def add_position(self, position: PortfolioPosition | Mapping[str, Any]) -> PortfolioPosition:
        """Take a new position in; StaleVersion if there is one of this id."""
        return self._kept.save_position(row_of(PortfolioPosition, position))

    def update_position(self, position_id: str, **changes: Any) -> PortfolioPosition:
        """Change what is told of a position, and nothing else of it, whoever else changes it; returns it."""
        return self._changed(position_id, lambda row: changed(row, changes))

    def update_unrealized_pnl(
        self, prices: str | Mapping[str, Number], price: Number | None = None
    ) -> dict[str, Decimal]:
        """Value open positions at prices, told by position id or by instrument; the gain of each that was valued.

        Or of one alone: `update_unrealized_pnl(position_id, price)`. Left out is what cannot be valued: a position
        without entry price or lots, and one that another thread or process closed meanwhile.
        """
        told: Mapping[str, Any] = {prices: price} if isinstance(prices, str) else prices
        exact = {name: number(f"the price of {name}", value) for name, value in told.items()}
        gains: dict[str, Decimal] = {}
        for name, row in self.get_open_positions().items():
            at = exact.get(name, exact.get(row.instrument))
            if at is not None and (found := self._valued(name, at)) is not None:
                gains[name] = found
        return gains

    def close_position(
        self,
        position_id: str,
        exit_price: Number,
        exit_timestamp: datetime | str | None = None,
        reason: str | None = None,
        lots: Number | None = None,
    ) -> float:
        """Close a position, or `lots` of it; returns what that realized, before fees.

        The exact amount stands with the position and in the closed equity; the float is for showing. ValueError also
        for a position that is closed already or holds fewer lots.
        """
        price = number("exit_price", exit_price)
        at = None if exit_timestamp is None else instant("exit_timestamp", exit_timestamp)
        part = None if lots is None else number("lots", lots)
        realized = Decimal(0)

        def close(row: PortfolioPosition) -> PortfolioPosition:
            nonlocal realized
            realized = gain(row, price, part)
            return closed(row, price, at, reason, part)

        self._changed(position_id, close, lambda: self._kept.earn(realized))
        return float(realized)

    def _valued(self, position_id: str, price: Decimal) -> Decimal | None:
        """What a position would gain, as it stands now; None, and nothing is stored, where that cannot be said."""
        found: Decimal | None = None

        def value(row: PortfolioPosition) -> PortfolioPosition:
            nonlocal found
            is_known = row.status is not PositionStatus.CLOSED and row.entry_price is not None and row.lots is not None
            found = gain(row, price) if is_known else None
            return row if found is None else replace(row, unrealized_pnl=found)

        try:
            self._changed(position_id, value)
        except NoPosition:  # it was deleted meanwhile
            return None
        return found

    def _changed(
        self, position_id: str, change: Change, then: Callable[[], object] = lambda: None
    ) -> PortfolioPosition:
        """Change a position as it stands now, and what follows from it, together; nothing if it is to stay so."""
        for _ in range(TRIES):
            try:
                with self._kept.transaction():
                    row = self._kept.get_position(position_id, fresh=True)
                    if row is None:
                        raise NoPosition(f"there is no position {position_id!r}")
                    wanted = change(row)
                    if wanted is row:
                        return row
                    stored = self._kept.save_position(wanted)
                    then()
                    return stored
            except StaleVersion:
                continue
        raise StaleVersion(f"position {position_id} is changed by others time and again: try later")
