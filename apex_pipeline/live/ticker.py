"""Work that is done again and again in a thread of its own, at instants that do not drift."""

import threading
import time
from collections.abc import Callable


class Ticker:
    """Does `work` at its start + n x `interval` seconds, from n = 1 on; `first` seconds instead for the first time.

    Work that takes longer than the interval is not done twice at once: the instants that passed meanwhile are left out.
    `work` raises nothing.
    """

    def __init__(self, name: str, interval: float, work: Callable[[], object], first: float | None = None) -> None:
        self._interval = interval
        self._first = interval if first is None else first
        self._work = work
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the first instant counts from now."""
        self._thread.start()

    def end(self) -> None:
        """Do no more work after what is being done."""
        self._ended.set()

    def join(self, timeout: float) -> bool:
        """Wait for the end; whether it came within `timeout` seconds."""
        if self._thread is threading.current_thread():
            return True
        self._thread.join(max(0.0, timeout))
        return not self._thread.is_alive()

    def _run(self) -> None:
        due = time.monotonic() + self._first
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            self._work()
            missed = max(0.0, time.monotonic() - due) // self._interval
            due += self._interval * (missed + 1)
