"""A simulated OpenD as a process of its own, so that a load's memory and processor time are its own.

Arguments: orders, days, end. Tells {"port", "accounts", "start", "orders", "trades", "seconds"} as JSON on one line,
and for each line of standard input what came since the last: {"requests": {"protocol account": count},
"violations": count}.
"""

import json
import sys
import time
from collections import Counter
from datetime import date

from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.scenario import truth
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.models import Broker

SEED = 1


def main() -> None:
    """Serve until standard input ends."""
    orders, days, end = int(sys.argv[1]), int(sys.argv[2]), date.fromisoformat(sys.argv[3])
    begun = time.monotonic()
    scenario = generate(SEED, orders, days, end)
    told = truth(scenario)[Broker.FUTU]
    with OpenDSimulator(scenario) as running:
        ready = {
            "port": running.port, "accounts": len(scenario.accounts[Broker.FUTU]), "start": scenario.start.isoformat(),
            "orders": told.orders, "trades": told.trades, "seconds": time.monotonic() - begun,
        }  # fmt: skip
        print(json.dumps(ready), flush=True)
        for _ in sys.stdin:
            requests = Counter(f"{r.proto_id} {r.acc_id}" for r in running.requests if r.acc_id)
            print(json.dumps({"requests": requests, "violations": len(running.violations)}), flush=True)
            running.requests.clear()
            running.violations.clear()


if __name__ == "__main__":
    main()
