"""Orders to groups: what the broker declared first, then what was entered within a few seconds.

This is the part that a better engine replaces: it knows nothing of positions or shapes, and whoever
calls it needs only `Group`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from apex_pipeline.domain.strategies.legs import ClassifiableOrder

WINDOW = timedelta(seconds=5)
"""How long after its first order a group may grow, both ends included."""


class Method(StrEnum):
    """How orders came to be one group: the broker's word, closeness in time, or alone."""

    LINKED = "linked"
    WINDOW = "window"
    SINGLE = "single"


@dataclass(frozen=True, slots=True)
class Group:
    """Orders that may be one strategy, in time order.

    `orders` have fills. `planned` also holds members of the same declared combination that never
    filled: they tell what was intended.
    """

    orders: tuple[ClassifiableOrder, ...]
    planned: tuple[ClassifiableOrder, ...]
    method: Method

    @property
    def sort_key(self) -> tuple[datetime, str]:
        """Time of the first order, then identity."""
        return self.orders[0].sort_key

    @property
    def span_seconds(self) -> Decimal | None:
        """Seconds between the first and the last order; None where a time is unknown."""
        times = [order.at for order in self.orders if order.at is not None]
        if len(times) < len(self.orders):
            return None
        return Decimal((max(times) - min(times)) // timedelta(milliseconds=1)) / 1000

    def alone(self) -> "list[Group]":
        """Each order as a group of its own."""
        return [Group((order,), (order,), Method.SINGLE) for order in self.orders]


Grouping = Callable[[Iterable[ClassifiableOrder]], list[Group]]


def group_orders(orders: Iterable[ClassifiableOrder], window: timedelta = WINDOW) -> list[Group]:
    """Every filled order in exactly one group, groups in time order, whatever the order of the input."""
    linked, rest = _declared(sorted(orders, key=lambda order: order.sort_key))
    return sorted([*linked, *_windows(rest, window)], key=lambda group: group.sort_key)


def _declared(orders: Sequence[ClassifiableOrder]) -> tuple[list[Group], list[ClassifiableOrder]]:
    """Combinations by the broker's word, and the filled orders that belong to none.

    A combination id that only one order carries declares nothing.
    """
    combos: defaultdict[tuple[str, str, str], list[ClassifiableOrder]] = defaultdict(list)
    rest: list[ClassifiableOrder] = []
    for order in orders:
        if order.combo_id is not None:
            combos[order.broker, order.account_id, order.combo_id].append(order)
        else:
            rest.append(order)
    groups: list[Group] = []
    for members in combos.values():
        if len(members) > 1:
            groups.extend(_linked(members))
        else:
            rest.extend(members)
    groups.extend(group for order in rest if order.legs for group in _linked([order]))
    single = [order for order in rest if order.filled and not order.legs]
    return groups, sorted(single, key=lambda order: order.sort_key)


def _linked(members: Sequence[ClassifiableOrder]) -> list[Group]:
    filled = tuple(order for order in members if order.filled)
    return [Group(filled, tuple(members), Method.LINKED)] if filled else []


def _windows(orders: Iterable[ClassifiableOrder], window: timedelta) -> list[Group]:
    """Runs of orders of one account and underlying that start within `window` of the run's first order."""
    runs: list[list[ClassifiableOrder]] = []
    newest: dict[tuple[str, str, str], list[ClassifiableOrder]] = {}
    for order in orders:
        key = (order.broker, order.account_id, order.contract.family)
        run = newest.get(key)
        if run is None or not _within(run[0], order, window):
            run = newest[key] = []
            runs.append(run)
        run.append(order)
    return [Group(tuple(run), tuple(run), Method.WINDOW if len(run) > 1 else Method.SINGLE) for run in runs]


def _within(first: ClassifiableOrder, order: ClassifiableOrder, window: timedelta) -> bool:
    return first.at is not None and order.at is not None and order.at - first.at <= window
