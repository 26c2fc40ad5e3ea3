"""Tags of runs that decide who tries again: a step tries a dead connection again by itself, a run only a lost process.

A broker's refusal must never be repeated by machines, whatever an instance is configured to: accounts get locked.
"""

from collections.abc import Mapping

BROKER_TAG = "apex/broker"
"""The broker that a run of a schedule loads."""
SESSION_TAG = "apex/session"
"""The session that a run was due for, as `US 2026-03-09`."""
CATCH_UP_TAG = "apex/catch_up"
"""The missing days that a run is to bring, with the day on which that is tried."""

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"

RETRIED_WHEN_LOST: Mapping[str, str] = {"dagster/retry_on_asset_or_op_failure": "false"}
"""A run whose process was lost is started again (`run_retries` of the instance); one that failed is not."""
NEVER_RETRIED: Mapping[str, str] = {**RETRIED_WHEN_LOST, "dagster/max_retries": "0"}
"""For runs that the next tick replaces, and for those that a person started and watches."""
