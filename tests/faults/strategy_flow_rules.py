"""The usual rules as a yardstick of how hard a flow is: a window of five seconds, then a name by shape.

It is what public tools do, at its best: with the whole catalogue, without a position book. Every group opens.
"""

from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.faults.strategy_flow_market import Paper
from tests.faults.strategy_flow_shapes import name_of

Json = dict[str, Any]
WINDOW = timedelta(seconds=5)


def by_window(told: Json, *, links: bool = True) -> Json:
    """Predictions of the rules: orders within five seconds of a group's first, combination ids kept if `links`."""
    waiting: dict[tuple[str, str, str], list[list[Json]]] = defaultdict(list)
    for row in sorted(told["orders"], key=lambda one: (datetime.fromisoformat(one["order_time"]), one["order_id"])):
        combo = row.get("combo_id", "") if links else ""
        groups = waiting[row["account"], row["underlying"], combo]
        if groups and (combo or _sent(row) - _sent(groups[-1][0]) <= WINDOW):
            groups[-1].append(row)
        else:
            groups.append([row])
    return {row["order_id"]: _named(group) for groups in waiting.values() for group in groups for row in group}


def _sent(row: Json) -> datetime:
    return datetime.fromisoformat(row["order_time"])


def _named(group: list[Json]) -> Json:
    legs: dict[Paper, int] = defaultdict(int)
    for row in group:
        strike = Decimal(str(row["strike"])) if "strike" in row else None
        expiry = date.fromisoformat(row["expiry"]) if "expiry" in row else None
        paper = Paper(row["underlying"], row["type"], strike, expiry)
        legs[paper] += row["qty"] if row["side"] == "BUY" else -row["qty"]
    lot = max(row["lot"] for row in group)
    name = name_of({paper: qty for paper, qty in legs.items() if qty}, lot)
    return {"group": group[0]["order_id"], "type": name or "CUSTOM_MULTI_LEG", "action": "OPEN", "confidence": 0.9}
