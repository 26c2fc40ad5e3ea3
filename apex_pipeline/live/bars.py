"""Loading bars without Dagster: what the asset calls, and what a script may call itself."""

from apex_pipeline.bar_extraction import BarsLoaded
from apex_pipeline.brokers.contract import Limit
from apex_pipeline.brokers.registry import bar_requests, bar_source
from apex_pipeline.domain.bar_plan import BarWish
from apex_pipeline.extraction import Observe
from apex_pipeline.pipeline import load_bars, silent
from apex_pipeline.settings import Settings
from apex_pipeline.store.db import Database
from apex_pipeline.store.limiter import RateLimiter

MOST_SECONDS = 120.0
"""How long a load of bars asks for more unless told; what it leaves is loaded by the next one."""


def load_market_data(
    db: Database, config: Settings, wish: BarWish, most_seconds: float = MOST_SECONDS, observe: Observe = silent
) -> BarsLoaded:
    """Load the bars that are wanted from every configured broker that tells any; what failed is told by the result."""
    told = [(bar_source(broker, config), _limit(broker, config, db)) for broker in config.brokers]
    sources = [(source, acquire) for source, acquire in told if source is not None]
    return load_bars(db, sources, wish, most_seconds, observe)


def _limit(broker: str, config: Settings, db: Database) -> Limit:
    """Requests for bars that a broker allows all programs together."""
    return RateLimiter(*bar_requests(broker, config), db).acquire
