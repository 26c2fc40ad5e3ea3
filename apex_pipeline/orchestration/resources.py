"""What assets are given: the database, the brokers, and somebody to tell of progress.

Nothing of a broker stands in their fields: a secret is read from the settings where it is used, so that Dagster never
sees it, and a broker that is left out needs none. The address of the database comes in as an `EnvVar`, which Dagster
shows by its name.
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
        """The database for the time of a step, with as many connections as the settings allow."""
        with Database(replace(settings.load(), database_url=self.url)) as db:
            yield db


class Futu(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Futu through OpenD; host, port and limits as in the environment."""

    def loader(self, db: Database) -> HistoryLoaderService:
        """Loads Futu into this database."""
        return HistoryLoaderService(db, settings.load())


class IbFlex(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Interactive Brokers' Flex Web Service; token, query and limits as in the environment."""

    def loader(self, db: Database) -> HistoryLoaderService:
        """Loads Interactive Brokers into this database."""
        return HistoryLoaderService(db, settings.load())


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
        "ib_flex": IbFlex(),
        "market": Market(),
        "watch": Watch(),
        "progress": progress or Progress(),
    }
