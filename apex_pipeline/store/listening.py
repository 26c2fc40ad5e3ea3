"""Hearing of what other processes change, as they commit it.

A connection of its own waits for notifications. While it is not there, nobody hears of anything: `is_listening` says
so, and whoever remembers rows must then ask the database instead.
"""

import logging
import os
import select
import threading
from collections.abc import Callable

from psycopg2 import sql
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT, connection

from apex_pipeline.store.connection import connect

RECONNECT_SECONDS = 0.5
_log = logging.getLogger("apex_pipeline.listening")


class Listener:
    """Calls `heard(payload)` for each notification of `channel`, and `lost()` whenever it can hear no more.

    Both are called in a thread of its own. `lost` is called before `is_listening` turns true as well: whatever was
    remembered from before may have changed unheard.
    """

    def __init__(self, url: str, channel: str, heard: Callable[[str], None], lost: Callable[[], None]) -> None:
        self._url, self._channel = url, channel
        self._heard, self._lost = heard, lost
        self._listening = threading.Event()
        self._woken, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._run, name=f"listen-{channel}", daemon=True)
        self._pid = os.getpid()
        self._ending = threading.Lock()
        self._is_ended = False

    @property
    def is_listening(self) -> bool:
        """Whether every change is heard of now."""
        return self._listening.is_set() and self._pid == os.getpid()

    def start(self, wait_seconds: float = 5.0) -> None:
        """Begin to listen; returns once it does, or after `wait_seconds` at the latest."""
        self._thread.start()
        self._listening.wait(wait_seconds)

    def stop(self) -> None:
        """End the thread and its connection; a second time does nothing."""
        with self._ending:
            if self._pid != os.getpid() or self._is_ended:
                return
            self._is_ended = True
            os.write(self._wake, b"x")
            self._thread.join()
            os.close(self._wake)

    def _run(self) -> None:
        while not self._is_told_to_end(0):
            try:
                self._listen(connect(self._url, watchful=True))
            # whatever it is, it is tried again: a thread that ended would leave every read to the database for good
            except Exception as error:  # noqa: BLE001
                _log.warning("changes of other processes are not heard of for now: %s", error)
            finally:
                self._listening.clear()
                self._lost()
            if self._is_told_to_end(RECONNECT_SECONDS):
                break
        os.close(self._woken)

    def _listen(self, one: connection) -> None:
        try:
            one.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
            with one.cursor() as cursor:
                cursor.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            self._lost()
            self._listening.set()
            while not self._is_told_to_end(None, one):
                one.poll()
                while one.notifies:
                    self._heard(one.notifies.pop(0).payload)
        finally:
            self._listening.clear()
            one.close()

    def _is_told_to_end(self, seconds: float | None, *others: connection) -> bool:
        """Wait for the end, or for something to come in at `others`; whether it is the end."""
        waiting = select.poll()  # unlike select(), of a process with any number of open files
        for one in (self._woken, *others):
            waiting.register(one, select.POLLIN)
        ready = waiting.poll(None if seconds is None else seconds * 1000)
        return any(one == self._woken for one, _ in ready)
