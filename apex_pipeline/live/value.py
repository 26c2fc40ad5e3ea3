"""What an account is worth now, as a row among its values of days."""

from datetime import UTC, datetime

from apex_pipeline.domain.ledger import Performance
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.value import value_now


def snapshot_portfolio(db: Database, account_id: str, now: datetime | None = None) -> Performance | None:
    """Write one HOUR row of performance_metrics for the hour of `now` (else this one) and return it.

    None if nothing is known yet.

    It holds the newest known day of the account: cash, positions at the broker's marks, results of that day, and the
    growth since the days before, all in the base currency. Works while brokers are offline. A second call within an
    hour replaces the row of the first. ValueError for an instant without a zone.
    """
    at = datetime.now(UTC) if now is None else now
    if at.tzinfo is None:
        raise ValueError("snapshot_portfolio needs an aware instant: pass datetime.now(UTC)")
    return value_now(db, account_id, at.astimezone(UTC))
