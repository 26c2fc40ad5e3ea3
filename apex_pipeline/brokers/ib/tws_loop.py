"""An event loop in a thread of its own, so that a caller's loop is never disturbed."""

import asyncio
from collections.abc import Callable, Coroutine
from threading import Thread
from typing import Any, TypeVar, final

Result = TypeVar("Result")


@final
class PrivateLoop:
    """Runs coroutines for callers that have no loop, or another one; ends with `stop`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=_serve, args=(self._loop,), name="tws", daemon=True)
        self._thread.start()

    def run(self, begin: Callable[[], Coroutine[Any, Any, Result]], seconds: float) -> Result:
        """The result of a coroutine; TimeoutError after `seconds`."""
        outcome = asyncio.run_coroutine_threadsafe(begin(), self._loop)
        try:
            return outcome.result(seconds)
        finally:
            outcome.cancel()

    def stop(self) -> None:
        """End what still runs, and the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(1)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        loop.run_until_complete(_end(asyncio.all_tasks(loop)))
    finally:
        loop.close()


async def _end(left: set[asyncio.Task[Any]]) -> None:
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await asyncio.sleep(0)  # a closed socket is let go in the next round of the loop
