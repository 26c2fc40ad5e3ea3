"""One load from an OpenD into a database by plain function calls, timed stage by stage.

Arguments: database URL, port, first day, last day, a folder for futu-api. Tells one line of JSON.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TypeVar

from apex_pipeline.brokers.futu.port import FutuBroker, FutuSettings
from apex_pipeline.domain.records import Ask
from apex_pipeline.pipeline import Ingested, classify_strategies, ingest, normalize, reconcile_days
from apex_pipeline.store.db import Database
from apex_pipeline.store.limiter import RateLimiter

LIMIT, WINDOW = 10, 30.0
T = TypeVar("T")


def main() -> None:
    """Load, derive and tell the seconds of each stage, what came, and the most memory that was held."""
    url, port, home = sys.argv[1], int(sys.argv[2]), Path(sys.argv[5])
    first, last = date.fromisoformat(sys.argv[3]), date.fromisoformat(sys.argv[4])
    broker = FutuBroker(FutuSettings(home=home, port=port), today=lambda: last)
    seconds: dict[str, float] = {}
    with Database(url) as db:
        acquire = RateLimiter(LIMIT, WINDOW, db).acquire
        waited: list[float] = []
        ask = Ask(first, last, last)
        told = timed(seconds, "ingest", lambda: ingest(db, broker, lambda b: waited.append(acquire(b)), ask))
        timed(seconds, "normalize", lambda: normalize(db, broker, first, last))
        timed(seconds, "classify", lambda: classify_strategies(db, first, last))
        timed(seconds, "reconcile", lambda: reconcile_days(db, first, last))
    print(json.dumps({"seconds": seconds, "waited": sum(waited), **counts(told), **memory()}))


def timed(seconds: dict[str, float], name: str, stage: Callable[[], T]) -> T:
    """The result of a stage, whose seconds are noted."""
    begun = time.monotonic()
    result = stage()
    seconds[name] = time.monotonic() - begun
    return result


def counts(told: Ingested) -> dict[str, int]:
    """What came."""
    return {
        "calls": told.calls, "records": told.records, "quarantined": told.quarantined, "missing": len(told.missing_days)
    }  # fmt: skip


def memory() -> dict[str, float]:
    """The most memory of this process and of the largest of its children (the one that holds futu-api), in MB."""
    who = {"rss": resource.RUSAGE_SELF, "rss_child": resource.RUSAGE_CHILDREN}
    return {name: resource.getrusage(whose).ru_maxrss / 1024 for name, whose in who.items()}


if __name__ == "__main__":
    main()
