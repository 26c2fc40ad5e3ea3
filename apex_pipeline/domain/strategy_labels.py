"""What people corrected, and the same as labels: orders whose groups are known, to measure and calibrate with."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.models import AssetClass, Broker, OptionRight
from apex_pipeline.domain.strategies.legs import OPTIONS, STOCKS, ClassifiableOrder, Contract, OrderLeg, PositionChange

ACTIONS = ("OPEN", "CLOSE", "ROLL", "ADJUST")
_TYPES = {OptionRight.CALL: "call", OptionRight.PUT: "put"}


@dataclass(frozen=True, slots=True)
class StrategyCorrection:
    """A person's word: these orders are one strategy of this type. In force as long as `revoked_at` is None."""

    correction_uid: str
    broker: Broker
    account_id: str
    underlying: str
    order_uids: list[str]
    strategy_type: str
    action: str
    reason: str | None
    made_by: str
    made_at: datetime
    revoked_at: datetime | None


def label_file(
    corrections: Iterable[StrategyCorrection],
    orders: Sequence[ClassifiableOrder],
    moves: Iterable[PositionChange],
) -> dict[str, Any]:
    """The input of `apex classify` with what was corrected under `truth`, ready for JSON, decimals exact.

    All given orders are told, for a group is read beside its neighbours; of `moves` those before the first order of
    their account. A combination that is one order is told as an order for each leg.
    """
    legs = {order.order_uid: list(_legs(order)) for order in orders}
    first = {order.account_id: order.sort_key[0] for order in sorted(orders, key=lambda o: o.sort_key, reverse=True)}
    return {
        "positions_open": [
            {"account": move.account_id, **_terms(move.contract), "qty": move.qty}
            for move in moves
            if _is_told(move.contract) and (move.at is None or move.at < first.get(move.account_id, move.at))
        ],
        "spots": [],
        "orders": [row for order in sorted(orders, key=lambda order: order.sort_key) for row in legs[order.order_uid]],
        "fills": [],
        "truth": [_truth(correction, legs) for correction in corrections],
    }


def _truth(correction: StrategyCorrection, legs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    told = [row["order_id"] for uid in sorted(correction.order_uids) for row in legs.get(uid, ())]
    return {
        "group": correction.correction_uid,
        "orders": told,
        "type": correction.strategy_type,
        "action": correction.action,
    }


def _legs(order: ClassifiableOrder) -> Iterator[dict[str, Any]]:
    """One row for a plain order, one for each leg of a combination; none for what the file has no word for."""
    if not order.legs:
        if order.side is not None and _is_told(order.contract):
            yield _row(order, OrderLeg(order.contract, order.side, Decimal(1)), order.order_uid, order.combo_id)
        return
    for number, leg in enumerate(order.legs, 1):
        if _is_told(leg.contract):
            yield _row(order, leg, f"{order.order_uid}/{number}", order.order_uid)


def _row(order: ClassifiableOrder, leg: OrderLeg, uid: str, combo_id: str | None) -> dict[str, Any]:
    at = None if order.at is None else order.at.isoformat()
    told: dict[str, Any] = {
        "order_id": uid,
        "broker": order.broker.value,
        "account": order.account_id,
        "market": leg.contract.symbol.partition(".")[0],
        **_terms(leg.contract),
        "side": leg.side.value,
        "qty": None if order.qty is None else order.qty * leg.ratio,
        "filled_qty": None if order.filled_qty is None else order.filled_qty * leg.ratio,
        "avg_price": None if order.legs else order.avg_price,
        "lot": leg.contract.multiplier or Decimal(1),
        "order_time": at,
        "first_fill": at,
    }
    return told if combo_id is None else {**told, "combo_id": combo_id}


def _is_told(contract: Contract) -> bool:
    return contract.asset_class in STOCKS or (contract.asset_class in OPTIONS and contract.is_named_option)


def _terms(contract: Contract) -> dict[str, Any]:
    if contract.asset_class in (AssetClass.STOCK, AssetClass.FUND) or contract.option_right is None:
        return {"underlying": contract.family, "type": "stock"}
    expiry = None if contract.expiry is None else contract.expiry.isoformat()
    return {
        "underlying": contract.family,
        "type": _TYPES[contract.option_right],
        "strike": contract.strike,
        "expiry": expiry,
    }
