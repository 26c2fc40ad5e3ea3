"""Turns our errors into Dagster's: what may be retried, what must never be, and one clear line for a person."""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from apex_pipeline.errors import ApexError, BrokerUnavailable

INTERACTIVE_TAG = "apex/interactive"
"""Set on runs that a person waits for: they try a dead connection once."""

RETRIES = 3
RETRY_SECONDS = 60


def is_interactive(context: dg.AssetExecutionContext) -> bool:
    """Whether a person waits for this run."""
    return INTERACTIVE_TAG in context.run.tags


@contextmanager
def as_dagster_failure(context: dg.AssetExecutionContext) -> Generator[None]:
    """Raise Dagster's own failure instead of ours, without a chain that could hold a URL or a secret."""
    try:
        yield
    except BrokerUnavailable as error:
        if is_interactive(context):
            raise dg.Failure(str(error), allow_retries=False) from None
        context.log.warning(f"{error}; trying again in {RETRY_SECONDS} s")
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_SECONDS) from None
    except ApexError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
