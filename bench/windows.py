"""What one writes first: orders of one underlying within five seconds are a group, named by its shape.

No positions, so that every group is an opening; one constant of confidence per kind of answer. Declared
combinations are groups of their own here too.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.strategies.legs import ClassifiableOrder
from apex_pipeline.domain.strategies.order_file import read
from apex_pipeline.domain.strategies.shapes import ShapeLeg, name_shape

WINDOW = timedelta(seconds=5)
USUAL_LOT = Decimal(100)
SURE = {True: 0.95, False: 0.7}
"""For a named group of several orders, and for everything else."""


def predictions(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Predictions in the form of `apex classify`."""
    orders = [order for order in read(content)[0] if order.filled and order.at is not None]
    told: dict[str, dict[str, Any]] = {}
    for number, group in enumerate(_groups(orders)):
        name = _name(group)
        said = {
            "group": str(number),
            "type": name or "CUSTOM_MULTI_LEG",
            "action": "OPEN",
            "confidence": SURE[name is not None and len(group) > 1],
            "alternatives": [],
        }
        told |= {order.order_uid: said for order in group}
    return told


def _groups(orders: Iterable[ClassifiableOrder]) -> Iterable[Sequence[ClassifiableOrder]]:
    kept: defaultdict[tuple[str, str, str], list[ClassifiableOrder]] = defaultdict(list)
    for order in orders:
        kept[order.account_id, order.family, order.combo_id or ""].append(order)
    for (_, _, combo), some in kept.items():
        if combo:
            yield some
            continue
        group: list[ClassifiableOrder] = []
        for order in sorted(some, key=lambda order: order.sort_key):
            if group and _at(order) - _at(group[0]) > WINDOW:
                yield group
                group = []
            group.append(order)
        yield group


def _at(order: ClassifiableOrder) -> datetime:
    return order.sort_key[0]


def _name(group: Sequence[ClassifiableOrder]) -> str | None:
    lot = next((order.multiplier for order in group if order.multiplier), USUAL_LOT)
    legs: list[ShapeLeg] = []
    for order in group:
        for contract, qty in order.changes(order.qty):
            is_stock = contract.option_right is None
            terms = (contract.option_right, contract.strike, contract.expiry)
            legs.append(ShapeLeg(qty / lot if is_stock else qty, *terms))
    match = name_shape(legs)
    return match.shape.id if match else None
