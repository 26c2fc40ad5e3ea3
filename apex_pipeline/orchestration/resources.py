"""What assets are given: the database, the brokers, and somebody to tell of progress.

Secrets come in as `EnvVar`, so Dagster shows their names and never their values.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

import dagster as dg

from apex_pipeline import settings
from apex_pipeline.bar_extraction import BarsLoaded
from apex_pipeline.domain.bar_plan import BarWish
from apex_pipeline.domain.risk_limits import RiskLimit
from apex_pipeline.extraction import Observe
from apex_pipeline.live.bars import load_market_data
from apex_pipeline.live.history import HistoryLoaderService
from apex_pipeline.pipeline import silent
from apex_pipeline.store.db import Database


class Storage(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]  # generic only for IO managers
    """The business database."""

    url: str

    @contextmanager
    def open(self) -> Generator[Database]:
        """A connection for the time of a step."""
        with Database(self.url) as db:
            yield db


class Futu(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Futu through OpenD; host, port and limits as in the environment."""

    def loader(self, db: Database) -> HistoryLoaderService:
        """Loads Futu into this database."""
        return HistoryLoaderService(db, settings.load())


class IbFlex(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Interactive Brokers' Flex Web Service."""

    token: str
    query_id: str

    def loader(self, db: Database) -> HistoryLoaderService:
        """Loads Interactive Brokers into this database."""
        configured = settings.load()
        own = replace(configured.ib, token=self.token, query_id=self.query_id)
        return HistoryLoaderService(db, replace(configured, ib=own))


class Market(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """The brokers that tell bars; hosts, ports and limits as in the environment."""

    def load(self, db: Database, wish: BarWish, most_seconds: float, observe: Observe) -> BarsLoaded:
        """Load bars into this database."""
        return load_market_data(db, settings.load(), wish, most_seconds, observe)


class Watch(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """The limits of risk, as in the environment."""

    def limits(self) -> tuple[RiskLimit, ...]:
        """The limits in force."""
        return settings.load().risk_limits


class Progress:
    """Tells a person what a stage is doing; the default tells nobody."""

    def __init__(self, observe: Observe = silent) -> None:
        self.observe = observe


def resources(progress: Progress | None = None) -> dict[str, object]:
    """The resources of the code location."""
    return {
        "storage": Storage(url=dg.EnvVar("APEX_DATABASE_URL")),
        "futu": Futu(),
        "ib_flex": IbFlex(token=dg.EnvVar("IB_FLEX_TOKEN"), query_id=dg.EnvVar("IB_FLEX_QUERY_ID")),
        "market": Market(),
        "watch": Watch(),
        "progress": progress or Progress(),
    }
