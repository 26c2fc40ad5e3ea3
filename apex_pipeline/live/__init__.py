"""What an engine, a notebook or a script imports; synchronous by design."""

from apex_pipeline.domain.engine import PortfolioPosition, PortfolioState, PyramidingState
from apex_pipeline.live.history import HistoryLoaderService, LoadResult, LoadStatus
from apex_pipeline.live.portfolio import PortfolioStateManager
from apex_pipeline.live.positions import PositionSyncService, SyncResult
from apex_pipeline.live.state import DatabaseStateManager
from apex_pipeline.live.strategies import StrategyClassifierV1, StrategyType
from apex_pipeline.store.db import Database
from apex_pipeline.store.limiter import RateLimiter
from apex_pipeline.store.migrate import MigrationRunner
from apex_pipeline.store.repositories.bars import ExchangeRepository, OHLCVRepository
from apex_pipeline.store.repositories.book import PositionRepository, TradeRepository, TradeStatistics

__all__ = [
    "Database",
    "DatabaseStateManager",
    "ExchangeRepository",
    "HistoryLoaderService",
    "LoadResult",
    "LoadStatus",
    "MigrationRunner",
    "OHLCVRepository",
    "PortfolioPosition",
    "PortfolioState",
    "PortfolioStateManager",
    "PositionRepository",
    "PositionSyncService",
    "PyramidingState",
    "RateLimiter",
    "StrategyClassifierV1",
    "StrategyType",
    "SyncResult",
    "TradeRepository",
    "TradeStatistics",
]
