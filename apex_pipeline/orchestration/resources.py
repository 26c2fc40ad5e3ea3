"""What assets are given: the database, the brokers, and somebody to tell of progress.

Secrets come in as `EnvVar`, so Dagster shows their names and never their values.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from zoneinfo import ZoneInfo

import dagster as dg

from apex_pipeline import settings
from apex_pipeline.brokers.contract import Acquire, BrokerPort
from apex_pipeline.brokers.registry import FLEX_WINDOW_SECONDS, futu_port, ib_port
from apex_pipeline.orchestration.partitions import TIMEZONE
from apex_pipeline.pipeline import Observe, silent
from apex_pipeline.store.db import Database
from apex_pipeline.store.limiter import RateLimiter

ZONE = ZoneInfo(TIMEZONE)


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

    def port(self) -> BrokerPort:
        """The broker, not yet connected."""
        configured = settings.load()
        return futu_port(configured.futu, configured.home)

    def limit(self, db: Database) -> Acquire:
        """OpenD's limit per interface and account, shared with every other process."""
        futu = settings.load().futu
        return RateLimiter(db, futu.requests_per_window, futu.window_seconds).acquire


class IbFlex(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Interactive Brokers' Flex Web Service."""

    token: str
    query_id: str

    def port(self, *, patient: bool) -> BrokerPort:
        """The broker, not yet connected; `patient` if nobody waits for the run."""
        return ib_port(replace(settings.load().ib, token=self.token, query_id=self.query_id), patient=patient)

    def limit(self, db: Database) -> Acquire:
        """IB's limits per token (one a second and so many a minute), shared with every other process."""
        most = settings.load().ib.requests_per_minute
        # a service that allows more than one a second is not IB's own
        per_second = RateLimiter(db, 1, min(1.0, FLEX_WINDOW_SECONDS / most))
        per_minute = RateLimiter(db, most, FLEX_WINDOW_SECONDS)

        def acquire(budget: str) -> float:
            return per_minute.acquire(budget) + per_second.acquire(f"{budget}:second")

        return acquire


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
        "progress": progress or Progress(),
    }
