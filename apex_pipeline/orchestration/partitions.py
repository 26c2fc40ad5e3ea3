"""One partition per calendar day: the exchange's trade date, whichever the market.

The definition turns over with Hong Kong and reaches one day ahead, so that today's Hong Kong session has
its key while New York still has yesterday's. No day is left out: markets differ in their holidays, and a
day without data materializes with no rows.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import dagster as dg

from apex_pipeline import settings

TIMEZONE = "Asia/Hong_Kong"

daily = dg.DailyPartitionsDefinition(
    start_date=settings.load().history_start.isoformat(), timezone=TIMEZONE, end_offset=1
)

FRESH = dg.FreshnessPolicy.time_window(warn_window=timedelta(days=3, hours=6), fail_window=timedelta(days=6, hours=6))
"""From the load of a Friday to that of a Monday are up to three days, over the longest feasts of Hong Kong six.

It is the coarse net, which tells also when nothing runs at all: within hours of business days, the check
`the_newest_data_is_fresh` tells the same, and `catch_up` mends it.
"""
FRESHNESS: Mapping[str, dg.FreshnessPolicy] = dict.fromkeys(("raw", "normalized", "reconciliation"), FRESH)
"""By group of assets: those that every load writes."""

single_run = dg.BackfillPolicy.single_run()


def span(keys: Sequence[str]) -> tuple[date, date]:
    """First and last day of a run's partitions."""
    return date.fromisoformat(min(keys)), date.fromisoformat(max(keys))
