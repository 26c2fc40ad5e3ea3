"""Groups to rows of `order_strategy_map`: replay the accounts in time, judge each group, write down why.

Same orders, same rows, whatever their order in the input.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

from apex_pipeline.domain.models import Side
from apex_pipeline.domain.strategies.book import Book, Effect, OpenStrategy
from apex_pipeline.domain.strategies.grouping import Group, Grouping, Method, group_orders
from apex_pipeline.domain.strategies.legs import ClassifiableOrder, Contract, GroupLeg, PositionChange, group_legs
from apex_pipeline.domain.strategies.taxonomy import UNCLASSIFIED, taxonomy
from apex_pipeline.domain.strategies.verdict import Action, Verdict, judge, single_type

CLASSIFIER_VERSION = "rules-1"


@dataclass(frozen=True, slots=True)
class StrategyAssignment:
    """The part of one order in one strategy, a row of `order_strategy_map`.

    `qty_in_strategy` is the filled quantity in units of the order. `confidence` lies between 0 and 1
    with three places, provisional. `chain_uid` is the `strategy_uid` of the first strategy of the
    chain that opens, rolls and closes share; None for a close of something opened before the history.
    `evidence` and `alternatives` ({type, confidence}) are ready for JSON, numbers in them are text.
    """

    order_uid: str
    strategy_uid: str
    account_id: str
    underlying: str | None
    strategy_type: str
    action: str
    leg_role: str
    qty_in_strategy: Decimal
    confidence: Decimal
    method: str
    classifier_version: str
    evidence: dict[str, Any]
    alternatives: list[dict[str, Any]]
    chain_uid: str | None
    trade_date: date


def classify(
    orders: Iterable[ClassifiableOrder],
    changes: Iterable[PositionChange] = (),
    grouping: Grouping = group_orders,
) -> list[StrategyAssignment]:
    """One row per filled order, sorted by `order_uid`; an order with nothing filled has none.

    `changes` are positions held before the first order and book entries since (expiry, assignment,
    exercise, transfer): without them a close of an older position reads as an opening, and assigned
    stock covers no call. All orders of an account that may matter must be given, from its first day.
    """
    groups: defaultdict[tuple[str, str], list[Group]] = defaultdict(list)
    for group in grouping(orders):
        groups[group.orders[0].broker, group.orders[0].account_id].append(group)
    moves: defaultdict[tuple[str, str], list[PositionChange]] = defaultdict(list)
    for change in changes:
        moves[change.broker, change.account_id].append(change)
    rows = [row for account in groups for row in _replay(groups[account], moves[account])]
    return sorted(rows, key=lambda row: row.order_uid)


def strategy_uid(account_id: str, order_uids: Iterable[str]) -> str:
    """The identity of a group: the account and its filled orders, whatever the order they come in."""
    text = "\x1f".join([account_id, *sorted(order_uids)])
    return "S_" + sha256(text.encode()).hexdigest()[:24]


def _replay(groups: Sequence[Group], changes: Sequence[PositionChange]) -> list[StrategyAssignment]:
    """The rows of one account; a book entry at the instant of an order goes before it."""
    book = Book()
    rows: list[StrategyAssignment] = []
    pending = sorted(changes, key=_change_key, reverse=True)
    for group in groups:
        while pending and _is_due(pending[-1].at, group.sort_key[0]):
            change = pending.pop()
            book.apply(change.contract, change.qty)
        rows.extend(_decide(group, book))
    return rows


def _change_key(change: PositionChange) -> tuple[bool, str, str, Decimal]:
    at = "" if change.at is None else change.at.isoformat()
    return change.at is not None, at, change.contract.symbol, change.qty


def _is_due(at: datetime | None, now: datetime) -> bool:
    return at is None or at <= now


def _decide(group: Group, book: Book) -> list[StrategyAssignment]:
    verdict = judge(group, book)
    if verdict is None:
        return [row for single in group.alone() for row in _decide(single, book)]
    uid = strategy_uid(group.orders[0].account_id, (order.order_uid for order in group.orders))
    singles = _types_alone(group, book) if group.method is Method.WINDOW else {}
    chain_uid = _record(uid, verdict, book)
    evidence = _evidence(group, verdict)
    return [
        StrategyAssignment(
            order_uid=order.order_uid,
            strategy_uid=uid,
            account_id=order.account_id,
            underlying=order.underlying,
            strategy_type=verdict.strategy_type,
            action=verdict.action,
            leg_role=_leg_role(order, verdict),
            qty_in_strategy=order.filled_qty or Decimal(0),
            confidence=verdict.confidence,
            method=group.method,
            classifier_version=CLASSIFIER_VERSION,
            evidence=evidence | _declared(order),
            alternatives=_alternatives(verdict, singles.get(order.order_uid)),
            chain_uid=chain_uid,
            trade_date=order.trade_date,
        )
        for order in group.orders
    ]


def _record(uid: str, verdict: Verdict, book: Book) -> str | None:
    """Enter what the group did into the book; returns the chain it belongs to."""
    effects = [(leg, book.effect(leg)) for leg in verdict.legs]
    origin_chain = verdict.origin.chain_uid if verdict.origin else None
    chain_uid = uid if verdict.action in (Action.OPEN, Action.ADJUST) else origin_chain
    if verdict.action is Action.ROLL:
        chain_uid = origin_chain or uid
    closing = [leg for leg, effect in effects if effect.closing]
    if closing:
        book.close(closing)
    opened = [(leg.contract, _opened(leg, effect)) for leg, effect in effects if effect.opening]
    if opened:
        legs = {contract.symbol: qty for contract, qty in opened}
        strategy = OpenStrategy(uid, chain_uid or uid, verdict.resulting, legs, verdict.covered)
        book.open(strategy, [contract for contract, _ in opened])
    return chain_uid


def _opened(leg: GroupLeg, effect: Effect) -> Decimal:
    return effect.opening if leg.qty > 0 else -effect.opening


def _types_alone(group: Group, book: Book) -> dict[str, str]:
    """What each order would be called if the window had not joined it with the others."""
    return {
        order.order_uid: single_type(leg, book, order.trade_date)
        for order in group.orders
        for leg in group_legs([order])
        if leg.qty
    }


def _leg_role(order: ClassifiableOrder, verdict: Verdict) -> str:
    """LONG_CALL, SHORT_PUT, LONG_STOCK …: the position that the leg opens or ends; COMBO for a whole combination.

    In a roll the role begins with OPEN_ or CLOSE_.
    """
    if order.legs or order.side is None:
        return "COMBO"
    effect = next((leg.effect for leg in verdict.legs if leg.contract.symbol == order.symbol), None)
    closes = verdict.action is Action.CLOSE or effect == "CLOSE"
    direction = "LONG" if (order.side is Side.BUY) is not closes else "SHORT"
    role = f"{direction}_{_thing(order.contract)}"
    if verdict.action is Action.ROLL:
        return f"{'CLOSE' if closes else 'OPEN'}_{role}"
    return role


def _thing(contract: Contract) -> str:
    if contract.option_right is None:
        return contract.asset_class.value
    return contract.option_right.name


def _evidence(group: Group, verdict: Verdict) -> dict[str, Any]:
    evidence: dict[str, Any] = {"orders": len(group.orders), "taxonomy_version": taxonomy().version}
    if len(group.orders) > 1:
        evidence["span_seconds"] = None if group.span_seconds is None else str(group.span_seconds)
    unfilled = [order.order_uid for order in group.planned if not order.filled]
    if unfilled:
        evidence["ordered_but_never_filled"] = unfilled
    if verdict.origin is not None and verdict.origin.strategy_uid is not None:
        evidence["closes"] = verdict.origin.strategy_uid
    return evidence | verdict.evidence


def _declared(order: ClassifiableOrder) -> dict[str, Any]:
    """What the broker itself said about this order, where it said anything."""
    said = {
        "declared_strategy": order.declared_strategy,
        "combo_id": order.combo_id,
        "position_effect": order.position_effect,
    }
    return {name: value for name, value in said.items() if value is not None}


def _alternatives(verdict: Verdict, alone: str | None) -> list[dict[str, Any]]:
    """Other readings, best first, sharing what the confidence leaves over."""
    names = [name for name in (alone, *verdict.rivals) if name not in (None, verdict.strategy_type, UNCLASSIFIED)]
    distinct = list(dict.fromkeys(names))
    if not distinct:
        return []
    share = ((1 - verdict.confidence) / len(distinct)).quantize(Decimal("0.001"))
    return [{"type": name, "confidence": str(share)} for name in distinct]
