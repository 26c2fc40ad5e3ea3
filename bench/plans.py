"""Requests and least time of loading one Futu account: our plan beside the plans one writes first.

Wall time is that of a gateway that answers at once and enforces its sliding window; nothing is measured here.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil

from apex_pipeline.brokers.futu import plan
from apex_pipeline.domain.records import Account, Ask

LIMIT, WINDOW = 10, 30.0
"""Futu's documented limit: requests per interface and account, seconds."""

DAYS = 365
FILLED = 0.8
BATCH = 400
ACCOUNT = "281756478396547854"

Requests = Iterable[str]
"""Names of the interfaces in the order in which they are asked."""


@dataclass(frozen=True)
class Row:
    """One plan for one number of orders."""

    name: str
    requests: Counter[str]
    seconds: float

    @property
    def total(self) -> int:
        """All requests."""
        return sum(self.requests.values())


def least_seconds(budgets: Requests, limit: int = LIMIT, window: float = WINDOW) -> float:
    """Time of the last request when each is sent as soon as its budget allows, one after another."""
    now = 0.0
    sent: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=limit))
    for budget in budgets:
        recent = sent[budget]
        if len(recent) == limit:
            now = max(now, recent[0] + window)
        recent.append(now)
    return now


def forced_seconds(counts: Iterable[int], limit: int = LIMIT, window: float = WINDOW) -> float:
    """The least time in which so many requests per budget can be sent, whatever their order."""
    return max((window * (ceil(count / limit) - 1) for count in counts if count), default=0.0)


def rows(orders: int, today: date) -> list[Row]:
    """All plans for this many orders in a year."""
    filled = round(orders * FILLED)
    days = [today - timedelta(n) for n in range(DAYS)]
    every_day = [name for _ in days for name in ("orders", "deals", "fees")]
    return [
        _row("APEX: fewest windows, fees over all of them", _ours(filled, today)),
        _row("one run per day", every_day),
        Row("one run per day, one limiter for all", Counter(every_day), least_seconds("all" for _ in every_day)),
        _row("per day and market (HK, US)", [name for name in every_day for _ in range(2)]),
        _row("windows, fees of all orders, not the filled", _windows(ceil(orders / BATCH))),
        _row("windows, one fee call per filled order", _windows(filled)),
    ]


def _row(name: str, asked: Sequence[str]) -> Row:
    return Row(name, Counter(asked), least_seconds(asked))


def _ours(filled: int, today: date) -> list[str]:
    account = Account(ACCOUNT, ("HK", "US"))
    ask = Ask(today - timedelta(DAYS - 1), today, today)
    fees = plan.fee_calls(account, {f"ORDER{n}": today for n in range(filled)}, ask, BATCH)
    names = {plan.ORDERS: "orders", plan.DEALS: "deals", plan.FEES: "fees"}
    return [names[call.data_type] for call in [*plan.history_calls(ask, [account], []), *fees]]


def _windows(fee_calls: int) -> list[str]:
    windows = ceil(DAYS / (plan.WINDOW_DATES - 1))
    return [*(["orders", "deals"] * windows), *(["fees"] * fee_calls)]


def others(today: date) -> str:
    """What does not depend on the number of orders, as Markdown: a year of cash flow, and one day more."""
    account, ask = Account(ACCOUNT, ("HK", "US")), Ask(today - timedelta(DAYS - 1), today, today)
    cash = [call.data_type for call in plan.cash_calls(ask, [account], [])]
    again = frozenset(today - timedelta(n) for n in range(1, plan.REREAD_DAYS))
    daily = [call.data_type for call in plan.history_calls(Ask(today, today, today, again=again), [account], [])]
    lines = ["| whatever the number of orders | requests | least seconds |", "|---|---:|---:|"]
    for name, asked in (("cash flow of a year, a call per weekday", cash), ("daily increment without fees", daily)):
        lines.append(f"| {name} | {len(asked)} | {least_seconds(asked):,.0f} |")
    return "\n".join(lines)


def table(orders: int, today: date) -> str:
    """The rows as Markdown."""
    lines = [
        f"| {orders:,} orders, {round(orders * FILLED):,} filled | orders | deals | fees | requests | least seconds |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows(orders, today):
        counts = " | ".join(f"{row.requests[name]:,}" for name in ("orders", "deals", "fees"))
        lines.append(f"| {row.name} | {counts} | {row.total:,} | {row.seconds:,.0f} |")
    return "\n".join(lines)
