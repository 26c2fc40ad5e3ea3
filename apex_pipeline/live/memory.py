"""The state of an engine that has no database: the same words as `live.state`, and gone with the process."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal

from apex_pipeline.domain.engine import PortfolioPosition, PortfolioState, PositionStatus
from apex_pipeline.errors import StaleVersion


@dataclass(slots=True)
class MemoryState:
    """Positions and capital of one process, shared by its threads."""

    _positions: dict[str, PortfolioPosition] = field(default_factory=dict[str, PortfolioPosition])
    _state: PortfolioState | None = None
    _turn: threading.RLock = field(default_factory=threading.RLock)

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All of the block or nothing of it, and no other thread meanwhile."""
        with self._turn:
            before = dict(self._positions), self._state
            try:
                yield
            except BaseException:
                self._positions, self._state = before
                raise

    def save_position(self, position: PortfolioPosition) -> PortfolioPosition:
        """Keep a new position (version 0) or a change of one that was read; StaleVersion if it changed since."""
        with self._turn:
            known = self._positions.get(position.position_id)
            if position.version != (known.version if known else 0):
                raise StaleVersion(f"position {position.position_id} was changed meanwhile: load it again")
            stored = replace(position, version=position.version + 1)
            self._positions[position.position_id] = stored
            return stored

    def get_position(self, position_id: str, *, fresh: bool = False) -> PortfolioPosition | None:  # noqa: ARG002
        """A position, None if there is none of this id."""
        return self._positions.get(position_id)

    def get_all_open_positions(self) -> list[PortfolioPosition]:
        """Positions that are not closed, by their id."""
        with self._turn:
            rows = sorted(self._positions.items())
        return [row for _, row in rows if row.status is not PositionStatus.CLOSED]

    def begin_portfolio(self, initial_capital: Decimal) -> PortfolioState:
        """The capital, begun with `initial_capital` if there is none yet."""
        with self._turn:
            self._state = self._state or PortfolioState(initial_capital, initial_capital, version=1)
            return self._state

    def get_portfolio_state(self, *, fresh: bool = False) -> PortfolioState | None:  # noqa: ARG002
        """The capital, None before `begin_portfolio`."""
        return self._state

    def earn(self, earned: Decimal) -> PortfolioState:
        """Add what was realized to the closed equity; ValueError before `begin_portfolio`."""
        with self._turn:
            if self._state is None:
                raise ValueError("the portfolio has no capital yet: call begin_portfolio first")
            state = self._state
            self._state = replace(state, closed_equity=state.closed_equity + earned, version=state.version + 1)
            return self._state
