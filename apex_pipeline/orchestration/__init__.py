"""The only room that knows Dagster: assets, checks, partitions, resources, schedules."""

import warnings

from dagster import PreviewWarning

# Checks with partitions are a preview of Dagster 1.13, which is pinned; a test watches what they store.
warnings.filterwarnings("ignore", category=PreviewWarning)
