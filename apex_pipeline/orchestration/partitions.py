"""One partition per calendar day: the exchange's trade date, whichever the market.

The definition turns over with Hong Kong and reaches one day ahead, so that today's Hong Kong session has
its key while New York still has yesterday's. No day is left out: markets differ in their holidays, and a
day without data materializes with no rows.
"""

from collections.abc import Sequence
from datetime import date

import dagster as dg

from apex_pipeline import settings

TIMEZONE = "Asia/Hong_Kong"

daily = dg.DailyPartitionsDefinition(
    start_date=settings.load().history_start.isoformat(), timezone=TIMEZONE, end_offset=1
)
single_run = dg.BackfillPolicy.single_run()


def span(keys: Sequence[str]) -> tuple[date, date]:
    """First and last day of a run's partitions."""
    return date.fromisoformat(min(keys)), date.fromisoformat(max(keys))
