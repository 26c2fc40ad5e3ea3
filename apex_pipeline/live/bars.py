"""Loading bars without Dagster: what the asset calls, and what a script may call itself."""

from apex_pipeline import settings
from apex_pipeline.bar_extraction import BarsLoaded
from apex_pipeline.brokers.contract import Limit
from apex_pipeline.brokers.registry import bar_source
from apex_pipeline.domain.bar_plan import BarWish
from apex_pipeline.extraction import Observe
from apex_pipeline.pipeline import load_bars, silent
from apex_pipeline.settings import Settings
from apex_pipeline.store.db import Database
from apex_pipeline.store.limiter import RateLimiter

MOST_SECONDS = 120.0
"""How long a load of bars asks for more unless told; what it leaves is loaded by the next one."""

_REQUESTS = 60
_IB_SECONDS, _IB_STATEMENTS_PER_MINUTE = 600.0, 10


def load_market_data(
    db: Database, config: Settings, wish: BarWish, most_seconds: float = MOST_SECONDS, observe: Observe = silent
) -> BarsLoaded:
    """Load the bars that are wanted from every configured broker that tells any; what failed is told by the result."""
    told = [(bar_source(broker, config), _limit(broker, config, db)) for broker in config.brokers]
    sources = [(source, acquire) for source, acquire in told if source is not None]
    return load_bars(db, sources, wish, most_seconds, observe)


def _limit(broker: str, config: settings.Settings, db: Database) -> Limit:
    """Requests for bars that a broker allows: 60 in Futu's window, 60 in ten minutes at IB, by all programs."""
    if broker == "futu":
        return RateLimiter(_REQUESTS, config.futu.window_seconds, db).acquire
    # a service that allows more statements a minute is not IB's own, nor is the gateway beside it
    pace = min(1.0, _IB_STATEMENTS_PER_MINUTE / config.ib.requests_per_minute)
    return RateLimiter(_REQUESTS, _IB_SECONDS * pace, db).acquire
