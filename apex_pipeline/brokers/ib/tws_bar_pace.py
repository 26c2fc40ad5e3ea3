"""IB's rules of pace for one contract; a violation is answered with an error, many end the connection."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Hashable
from typing import final

BUDGET = "ib:bars"
REQUESTS_PER_WINDOW = 60
"""What `acquire` may allow under BUDGET in `IB_TWS_WINDOW_SECONDS`, ten minutes at IB itself, of all programs."""

SAME_REQUEST_SECONDS = 15
SAME_CONTRACT_REQUESTS, SAME_CONTRACT_SECONDS = 5, 2
_SLACK = 0.05
"""Seconds by which requests may drift together on their way."""


@final
class Pace:
    """Keeps the requests of one session apart: not the same within 15 s, not more than 5 of a contract within 2 s."""

    def __init__(self, sleep: Callable[[float], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._sleep, self._clock = sleep, clock
        self._asked: dict[Hashable, float] = {}
        self._of_contract: defaultdict[Hashable, deque[float]] = defaultdict(
            lambda: deque(maxlen=SAME_CONTRACT_REQUESTS)
        )

    def wait(self, contract: Hashable, request: Hashable) -> None:
        """Return when this request of a contract may be sent."""
        recent, now, whole = self._of_contract[contract], self._clock(), (contract, request)
        self._asked = {key: at for key, at in self._asked.items() if at > now - SAME_REQUEST_SECONDS - 1}
        free_at = [self._asked[whole] + SAME_REQUEST_SECONDS] if whole in self._asked else []
        if len(recent) == SAME_CONTRACT_REQUESTS:
            free_at.append(recent[0] + SAME_CONTRACT_SECONDS)
        pause = max(free_at) + _SLACK - now if free_at else 0
        if pause > 0:
            self._sleep(pause)

    def sent(self, contract: Hashable, request: Hashable) -> None:
        """Count a request as sent now; between its wait and this the caller may have waited for more."""
        now = self._clock()
        self._asked[contract, request] = now
        self._of_contract[contract].append(now)
