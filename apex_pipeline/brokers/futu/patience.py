"""One request to OpenD within its limits: the budget first, and a full window of waiting where OpenD says too many."""

import time
from dataclasses import dataclass
from typing import Any

from apex_pipeline.brokers.contract import Acquire
from apex_pipeline.brokers.futu.client import Answer, Client
from apex_pipeline.brokers.futu.failures import RateLimited
from apex_pipeline.errors import BrokerUnavailable

RATE_LIMIT_WAITS = 3


@dataclass(frozen=True, slots=True)
class Patience:
    """A client that waits. `window_seconds`: how long OpenD counts requests."""

    client: Client
    acquire: Acquire
    window_seconds: float

    def answer(self, interface: str, budget: str, c2s: dict[str, Any]) -> Answer:
        """The answer to one request; an empty `budget` takes from none. Raises as `Client.query`, BrokerUnavailable
        where OpenD still limits after several windows."""
        waits = 0
        while True:
            if budget:
                self.acquire(budget)
            try:
                return self.client.query(interface, c2s)
            except RateLimited as error:
                waits += 1
                if waits > RATE_LIMIT_WAITS:
                    raise BrokerUnavailable(f"OpenD still limits {interface} after {waits} tries: {error}") from error
                time.sleep(self.window_seconds)
