"""What an engine, a notebook or a script imports; synchronous by design."""

from apex_pipeline.domain.engine import PortfolioPosition, PortfolioState, PyramidingState
from apex_pipeline.live.futu_orders import FutuOrderRepository
from apex_pipeline.live.history import HistoryLoaderService, LoadResult, LoadStatus
from apex_pipeline.live.portfolio import PortfolioStateManager
from apex_pipeline.live.positions import PositionSyncService, SyncResult
from apex_pipeline.live.snapshots import SnapshotService
from apex_pipeline.live.state import DatabaseStateManager
from apex_pipeline.live.strategies import StrategyClassifierV1, StrategyType
from apex_pipeline.live.value import snapshot_portfolio
from apex_pipeline.live.warm_start import WarmStartResult, WarmStartService
from apex_pipeline.store.db import Database
from apex_pipeline.store.limiter import RateLimiter
from apex_pipeline.store.migrate import MigrationRunner
from apex_pipeline.store.repositories.bars import ExchangeRepository, OHLCVRepository
from apex_pipeline.store.repositories.book import PositionRepository, TradeRepository, TradeStatistics
from apex_pipeline.store.repositories.broker_rows import (
    FutuDealRepository,
    FutuFeeRepository,
    IbCommissionRepository,
    IbExecutionRepository,
)
from apex_pipeline.store.repositories.generic import Repository
from apex_pipeline.store.repositories.overview import Store
from apex_pipeline.store.repositories.results import (
    BacktestRepository,
    LlmAnalysisRepository,
    ResearchRepository,
    SystemEventRepository,
)
from apex_pipeline.store.repositories.signals import RiskSignalRepository, TradeSignalRepository
from apex_pipeline.store.repositories.snapshots import (
    AccountSnapshotRepository,
    PositionSnapshotRepository,
    RiskSnapshotRepository,
)
from apex_pipeline.store.repositories.sync import SyncStateRepository

__all__ = [
    "AccountSnapshotRepository",
    "BacktestRepository",
    "Database",
    "DatabaseStateManager",
    "ExchangeRepository",
    "FutuDealRepository",
    "FutuFeeRepository",
    "FutuOrderRepository",
    "HistoryLoaderService",
    "IbCommissionRepository",
    "IbExecutionRepository",
    "LlmAnalysisRepository",
    "LoadResult",
    "LoadStatus",
    "MigrationRunner",
    "OHLCVRepository",
    "PortfolioPosition",
    "PortfolioState",
    "PortfolioStateManager",
    "PositionRepository",
    "PositionSnapshotRepository",
    "PositionSyncService",
    "PyramidingState",
    "RateLimiter",
    "Repository",
    "ResearchRepository",
    "RiskSignalRepository",
    "RiskSnapshotRepository",
    "SnapshotService",
    "Store",
    "StrategyClassifierV1",
    "StrategyType",
    "SyncResult",
    "SyncStateRepository",
    "SystemEventRepository",
    "TradeRepository",
    "TradeSignalRepository",
    "TradeStatistics",
    "WarmStartResult",
    "WarmStartService",
    "snapshot_portfolio",
]
