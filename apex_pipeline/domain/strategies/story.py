"""Why a group was read as it was, in figures; the sentence is `cards`'."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.models import Side
from apex_pipeline.domain.strategies.decisions import Decided
from apex_pipeline.domain.strategies.legs import ClassifiableOrder, Contract
from apex_pipeline.domain.strategies.replay import Replay


def evidence(
    group: Decided, members: Sequence[ClassifiableOrder], replay: Replay, uids: Mapping[int, str]
) -> dict[str, Any]:
    """What the reading of a group rests on, ready for JSON."""
    found: dict[str, Any] = {"orders": len(members), "units": group.reading.units}
    if len(members) > 1:
        span = _span(members)
        found["span_seconds"] = None if span is None else str(span)
    done = set(group.quantities)
    unfilled = sorted({replay.orders[part.order].order_uid for part in group.reading.parts if part.order not in done})
    if unfilled:
        found["ordered_but_never_filled"] = unfilled
    closes = replay.standing(group.closes)
    if closes is not None:
        found["closes"] = uids[closes]
    if group.reading.unseen:
        found["held_before_the_history"] = True
    if group.reading.action == "ROLL":
        found |= {"sub_type": group.sub_type, "resulting_strategy": group.reading.resulting}
    return found


def leg_role(order: ClassifiableOrder, group: Decided, replay: Replay) -> str:
    """LONG_CALL, SHORT_STOCK and so on: what the order holds or held; in a roll whether it opens or closes."""
    if order.legs or order.side is None:
        return "COMBO"
    index = next(number for number in group.quantities if replay.orders[number] is order)
    closes = any(part.order == index for part in group.reading.parts if part not in group.reading.opening)
    direction = "LONG" if (order.side is Side.BUY) is not closes else "SHORT"
    role = f"{direction}_{_thing(order.contract)}"
    return f"{'CLOSE' if closes else 'OPEN'}_{role}" if group.reading.action == "ROLL" else role


def _thing(contract: Contract) -> str:
    return contract.asset_class.value if contract.option_right is None else contract.option_right.name


def _span(members: Sequence[ClassifiableOrder]) -> Decimal | None:
    times = [order.at for order in members if order.at is not None]
    if len(times) < len(members):
        return None
    return Decimal((max(times) - min(times)) // timedelta(milliseconds=1)) / 1000
