"""What a process does before it ends: when it is told to by SIGTERM, and when its interpreter exits.

One handler serves all who ask. It only wakes a thread, which does the work; then the process ends as it would have
without. What the program itself does on SIGTERM stays as it is: an earlier handler is called too.
"""

import atexit
import os
import signal
import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import FrameType
from typing import Any

Finish = Callable[[], object]


class Endings:
    """Who is to be told that the process ends. `finish` raises nothing, and may be called more than once."""

    def __init__(self) -> None:
        self._finishers: list[Finish] = []
        self._earlier: Any = signal.SIG_DFL
        self._told: SimpleQueue[bool] = SimpleQueue()
        self._pid = 0

    def add(self, finish: Finish, *, sigterm: bool | None = None) -> None:
        """Call `finish` at the end. `sigterm`: at SIGTERM too; None means where nobody else handles it.

        ValueError where SIGTERM is asked for outside of the main thread: Python allows it only there.
        """
        self._after_fork()
        if sigterm is not False:
            self._handle_sigterm(is_asked=bool(sigterm))
        self._finishers.append(finish)

    def remove(self, finish: Finish) -> None:
        """Leave it out from now on; the last one restores what was done on SIGTERM before."""
        self._after_fork()
        if finish in self._finishers:
            self._finishers.remove(finish)
        is_main = threading.current_thread() is threading.main_thread()
        if not self._finishers and is_main and signal.getsignal(signal.SIGTERM) == self._handler:
            signal.signal(signal.SIGTERM, self._earlier)

    def run(self) -> None:
        """Have everybody finish now."""
        if self._pid == os.getpid():
            for finish in list(self._finishers):
                finish()

    def _after_fork(self) -> None:
        """A child process has nobody to tell yet, and no thread."""
        if self._pid != os.getpid():
            self._pid, self._finishers, self._told = os.getpid(), [], SimpleQueue()
            atexit.register(self.run)
            threading.Thread(target=self._wait, args=(self._told,), name="endings", daemon=True).start()

    def _handle_sigterm(self, *, is_asked: bool) -> None:
        if threading.current_thread() is not threading.main_thread():
            if is_asked:
                raise ValueError("SIGTERM can be handled only by what the main thread starts")
            return
        earlier = signal.getsignal(signal.SIGTERM)
        if earlier != self._handler and (is_asked or earlier is signal.SIG_DFL):
            self._earlier = signal.SIG_DFL if earlier is None else earlier
            signal.signal(signal.SIGTERM, self._handler)

    def _handler(self, number: int, frame: FrameType | None) -> None:
        """Runs between any two instructions of the main thread: takes no lock and does no work."""
        is_default = self._earlier is signal.SIG_DFL
        if is_default:  # a second one ends the process at once
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if self._pid != os.getpid():  # a child of a fork, where nobody waits
            if is_default:
                os.kill(os.getpid(), signal.SIGTERM)
        else:
            self._told.put(is_default)
        if callable(self._earlier):
            self._earlier(number, frame)

    def _wait(self, told: "SimpleQueue[bool]") -> None:
        while True:
            ends_process = told.get()
            try:
                self.run()
            finally:
                if ends_process:
                    os.kill(os.getpid(), signal.SIGTERM)


of_this_process = Endings()
