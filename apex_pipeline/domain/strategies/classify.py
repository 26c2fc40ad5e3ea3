"""Orders to rows of `order_strategy_map`: replay every account and underlying, write down what and why.

Same orders, same rows, whatever their order in the input. Accounts and underlyings do not know of each
other: what changed in one is classified again without the rest.
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Any

from apex_pipeline.domain.strategies.calibration import calibration
from apex_pipeline.domain.strategies.decisions import Decided, ranked
from apex_pipeline.domain.strategies.legs import ClassifiableOrder, Correction, PositionChange
from apex_pipeline.domain.strategies.replay import Held, Replay, Spots
from apex_pipeline.domain.strategies.story import evidence, leg_role
from apex_pipeline.domain.strategies.taxonomy import CUSTOM_MULTI_LEG, UNCLASSIFIED, taxonomy
from apex_pipeline.domain.strategies.weights import Logs, default_logs

RULES_VERSION = "v1"
CLASSIFIER_VERSION = f"{RULES_VERSION}+taxonomy-{taxonomy().version}+calibration-{calibration().version}"
"""What a name and a confidence depend on beside the data: the rules, the catalogue and the calibration."""
_THOUSANDTH = Decimal("0.001")

Family = tuple[str, str, str]
"""Broker, account, underlying: what is classified by itself."""


@dataclass(frozen=True, slots=True)
class StrategyAssignment:
    """The part of one order in one strategy, a row of `order_strategy_map`.

    `qty_in_strategy` is the filled quantity in units of the order. `confidence` lies between 0 and 1
    with three places: the calibrated probability that exactly these orders are one idea of this type.
    `chain_uid` is the `strategy_uid` of the first strategy of the chain that opens, rolls and closes
    share; None for a close of something opened before the history. `sub_type` says how a ROLL or CLOSE
    went, `resulting_type` what is held afterwards. `evidence` and `alternatives` ({type, confidence}) are
    ready for JSON, numbers in them are text.
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
    sub_type: str | None = None
    resulting_type: str | None = None


@dataclass(frozen=True, slots=True)
class StrategyPosition:
    """What is left of a strategy in one contract after the last order; `qty` signed, in contracts or shares.

    Both uids are None for what was held before the history.
    """

    broker: str
    account_id: str
    underlying: str
    symbol: str
    strategy_uid: str | None
    chain_uid: str | None
    strategy_type: str | None
    qty: Decimal


@dataclass(frozen=True, slots=True)
class Classified:
    """The rows of all orders, and what their strategies hold at the end."""

    assignments: list[StrategyAssignment]
    positions: list[StrategyPosition]


def classify(
    orders: Iterable[ClassifiableOrder],
    changes: Iterable[PositionChange] = (),
    corrections: Iterable[Correction] = (),
    spots: Mapping[str, Spots] | None = None,
    told: Container[tuple[str, str]] | None = None,
) -> Classified:
    """One row per filled order and strategy, sorted by both; an order with nothing filled has none.

    `changes` are positions held before the first order and book entries since (expiry, assignment,
    exercise, transfer): without them a close of an older position reads as an opening, and assigned
    stock covers no call. All orders of an account and underlying that may matter must be given, from
    the first day on. `corrections` are a person's; they hold whatever else is found. `spots` by underlying.
    `told`: the (broker, account) whose holdings before the first order are in `changes`, or were none; where
    it is not given, those with any. Of other accounts an early order may close what nobody told of.
    """
    parts = [_written(key, replay) for key, replay in replays(orders, changes, corrections, spots, told)]
    rows = [row for part in parts for row in part.assignments]
    return Classified(
        sorted(rows, key=lambda row: (row.order_uid, row.strategy_uid)),
        [position for part in parts for position in part.positions],
    )


def replays(
    orders: Iterable[ClassifiableOrder],
    changes: Iterable[PositionChange] = (),
    corrections: Iterable[Correction] = (),
    spots: Mapping[str, Spots] | None = None,
    told: Container[tuple[str, str]] | None = None,
    *,
    logs: Logs | None = None,
) -> Iterator[tuple[Family, Replay]]:
    """Every account and underlying that has orders, to be run; arguments as those of `classify`."""
    families: defaultdict[Family, tuple[list[ClassifiableOrder], list[PositionChange]]] = defaultdict(lambda: ([], []))
    for order in orders:
        families[order.broker, order.account_id, order.family][0].append(order)
    known: set[tuple[str, str]] = set()
    for change in changes:
        families[change.broker, change.account_id, change.contract.family][1].append(change)
        if change.at is None:
            known.add((change.broker, change.account_id))
    pinned, known_of = list(corrections), known if told is None else told
    for key, (some, moves) in sorted(families.items()):
        if some:
            prices = (spots or {}).get(key[2])
            yield key, Replay(some, moves, pinned, prices, logs or default_logs(), told=key[:2] in known_of)


def strategy_uid(account_id: str, order_uids: Iterable[str]) -> str:
    """The identity of a group: the account and its filled orders, whatever the order they come in."""
    text = "\x1f".join([account_id, *sorted(order_uids)])
    return "S_" + sha256(text.encode()).hexdigest()[:24]


def _written(key: Family, replay: Replay) -> Classified:
    groups = replay.run()
    uids = _uids(groups, replay.orders)
    rows = [row for group in groups for row in _group_rows(group, uids, replay)]
    rows += [_sideless(order) for order in replay.orders if order.filled and order.side is None and not order.legs]
    return Classified(rows, [_position(key, item, replay, uids) for item in replay.held()])


def _position(key: Family, item: Held, replay: Replay, uids: Mapping[int, str]) -> StrategyPosition:
    broker, account_id, underlying = key
    strategy, chain = replay.standing(item.strategy.group), replay.standing(item.strategy.chain)
    return StrategyPosition(
        broker,
        account_id,
        underlying,
        item.symbol,
        None if strategy is None else uids[strategy],
        None if chain is None else uids[chain],
        item.strategy.strategy_type,
        item.qty,
    )


def _uids(groups: Sequence[Decided], orders: Sequence[ClassifiableOrder]) -> dict[int, str]:
    """The identity of each group by its number; an order that serves two names its part."""
    serves: defaultdict[int, int] = defaultdict(int)
    for group in groups:
        for index in group.quantities:
            serves[index] += 1
    return {
        group.number: strategy_uid(
            orders[next(iter(group.quantities))].account_id,
            (
                orders[index].order_uid + (f"/{group.reading.action}" if serves[index] > 1 else "")
                for index in group.quantities
            ),
        )
        for group in groups
    }


def _group_rows(group: Decided, uids: Mapping[int, str], replay: Replay) -> list[StrategyAssignment]:
    reading, orders = group.reading, replay.orders
    members = [orders[index] for index in group.quantities]
    sure = _sure(group)
    why = evidence(group, members, replay, uids)
    chain = replay.standing(group.chain)
    chain_uid = None if chain is None else uids[chain]
    # Alternatives share what the confidence leaves over as they shared what the posterior left over.
    share = (1 - float(sure)) / max(1 - group.features.posterior, 1e-9)
    others = [
        {"type": name, "confidence": str(_rounded(min(1 - float(sure), share * posterior)))}
        for name, posterior in ranked(group.alternatives)
    ]
    return [
        StrategyAssignment(
            order_uid=order.order_uid,
            strategy_uid=uids[group.number],
            account_id=order.account_id,
            underlying=order.underlying,
            strategy_type=reading.strategy_type,
            action=reading.action,
            leg_role=leg_role(order, group, replay),
            qty_in_strategy=replay.quantity(index, group),
            confidence=sure,
            method=group.method,
            classifier_version=CLASSIFIER_VERSION,
            evidence=why | _declared(order),
            alternatives=others,
            chain_uid=chain_uid,
            trade_date=order.trade_date,
            sub_type=group.sub_type,
            resulting_type=reading.resulting,
        )
        for index, order in zip(group.quantities, members, strict=True)
    ]


def _sideless(order: ClassifiableOrder) -> StrategyAssignment:
    """A filled order of which nobody told the side: it has its row, and no name."""
    uid = strategy_uid(order.account_id, [order.order_uid])
    return StrategyAssignment(
        order_uid=order.order_uid,
        strategy_uid=uid,
        account_id=order.account_id,
        underlying=order.underlying,
        strategy_type=UNCLASSIFIED,
        action="OPEN",
        leg_role=order.asset_class.value,
        qty_in_strategy=order.filled_qty or Decimal(0),
        confidence=Decimal(0),
        method="single",
        classifier_version=CLASSIFIER_VERSION,
        evidence={"orders": 1, "side": None} | _declared(order),
        alternatives=[],
        chain_uid=uid,
        trade_date=order.trade_date,
    )


def _sure(group: Decided) -> Decimal:
    """The confidence of a group; a person's word is certain, and what has no name is worth at most a half."""
    if group.method == "manual":
        return Decimal(1)
    name = group.reading.strategy_type
    most = 0.0 if name == UNCLASSIFIED else 0.5 if name == CUSTOM_MULTI_LEG else 1.0
    return _rounded(min(most, calibration().confidence(group.features)))


def _rounded(share: float) -> Decimal:
    return Decimal(share).quantize(_THOUSANDTH)


def _declared(order: ClassifiableOrder) -> dict[str, Any]:
    """What the broker itself said about this order, where it said anything."""
    said = {
        "declared_strategy": order.declared_strategy,
        "combo_id": order.combo_id,
        "position_effect": order.position_effect,
    }
    return {name: value for name, value in said.items() if value is not None}
