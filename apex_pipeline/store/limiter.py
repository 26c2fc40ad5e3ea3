"""A rate limit shared by every process through the database: a sliding window counted where all can see it."""

import time

from apex_pipeline import settings
from apex_pipeline.errors import ConfigError, LimitReached
from apex_pipeline.store.db import Database

ARRIVAL_MARGIN_SECONDS = 0.25
"""Grants are counted here, arrivals at the broker: a request may arrive later than an earlier one did."""


class RateLimiter:
    """At most `requests_per_window` requests in any `window_seconds`, for each named budget.

    Without `db` it counts in the database that APEX_DATABASE_URL names; raises ConfigError where it names none.
    """

    def __init__(self, requests_per_window: int, window_seconds: float, db: Database | None = None) -> None:
        self._db = db or Database(_configured_url())
        self._limit = requests_per_window
        self._window = window_seconds + min(ARRIVAL_MARGIN_SECONDS, window_seconds / 10)

    def acquire(self, budget: str = "default", most_seconds: float | None = None) -> float:
        """Block until the budget allows one more request; returns the seconds waited.

        `most_seconds`: raises LimitReached, at once, where it would take longer.
        """
        started = time.monotonic()
        while wait := self._db.fetchval("rate_acquire", budget=budget, limit=self._limit, window=self._window):
            if most_seconds is not None and time.monotonic() - started + wait > most_seconds:
                raise LimitReached(f"the limit of requests for {budget} allows the next one in {wait:.0f} s")
            time.sleep(wait)
        return time.monotonic() - started


def _configured_url() -> str:
    url = settings.load().database_url
    if not url:
        raise ConfigError("APEX_DATABASE_URL must be set for a limit that processes share, or pass db=")
    return url
