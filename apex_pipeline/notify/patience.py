"""An end to what may take for ever: time limits of sockets begin anew with every byte that drips in."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotFinished
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T], abandon: Callable[[], None]) -> T:
    """What `work` returns; TimeoutError after so many seconds, when `abandon` closes what it waits for."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)
    pool.shutdown(wait=False)
    try:
        return future.result(seconds)
    except NotFinished:
        if future.done():  # the work itself raised it
            raise
        abandon()
        raise TimeoutError(f"no end within {seconds:g} s") from None
