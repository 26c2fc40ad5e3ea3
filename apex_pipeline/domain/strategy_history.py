"""What stays of classifying: what open strategies hold, what they were made of, and how later runs changed them.

Here belong the rows beside `order_strategy_map` and the comparison of two runs. How orders are read is in
`strategies`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from itertools import zip_longest

from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.strategies.classify import StrategyPosition
from apex_pipeline.domain.strategies.legs import PositionChange


@dataclass(frozen=True, slots=True)
class StrategyHolding:
    """What one open strategy holds of one contract; `qty` signed, in contracts or shares.

    `place` counts from 1, the oldest strategy that holds the contract. `strategy_uid` None: held before the history.
    """

    broker: Broker
    account_id: str
    underlying: str
    symbol: str
    place: int
    strategy_uid: str | None
    chain_uid: str | None
    strategy_type: str | None
    qty: Decimal


@dataclass(frozen=True, slots=True)
class StrategyFamily:
    """What the strategies of one account and underlying were last made of, as hashes; `""` means of nothing."""

    broker: Broker
    account_id: str
    underlying: str
    orders_hash: str
    moves_hash: str
    corrections_hash: str
    classifier_version: str


@dataclass(frozen=True, slots=True)
class Named:
    """One row of `order_strategy_map` as far as a later run is compared with it."""

    order_uid: str
    strategy_uid: str
    trade_date: date
    strategy_type: str
    action: str
    confidence: Decimal


@dataclass(frozen=True, slots=True)
class StrategyChange:
    """An order that had been classified got another group, type or action; `cause` names the inputs that changed.

    The `from_` columns are None when the order got one more group, the `to_` columns when it lost one.
    """

    change_uid: str
    account_id: str
    order_uid: str
    trade_date: date
    from_strategy_uid: str | None
    from_type: str | None
    from_action: str | None
    from_confidence: Decimal | None
    to_strategy_uid: str | None
    to_type: str | None
    to_action: str | None
    to_confidence: Decimal | None
    cause: str
    changed_at: datetime


def holdings(positions: Iterable[StrategyPosition]) -> list[StrategyHolding]:
    """The positions with the place of each among those of its contract; they must come oldest first."""
    places: defaultdict[tuple[str, str, str, str], int] = defaultdict(int)
    rows: list[StrategyHolding] = []
    for item in positions:
        key = item.broker, item.account_id, item.underlying, item.symbol
        places[key] += 1
        told = item.strategy_uid, item.chain_uid, item.strategy_type, item.qty
        rows.append(StrategyHolding(Broker(item.broker), *key[1:], places[key], *told))
    return rows


def untraded(moves: Iterable[PositionChange]) -> list[StrategyPosition]:
    """What is left of positions that no order ever touched, by contract: they belong to no strategy."""
    left: defaultdict[tuple[str, str, str, str], Decimal] = defaultdict(Decimal)
    for move in moves:
        left[move.broker, move.account_id, move.contract.family, move.contract.symbol] += move.qty
    return [StrategyPosition(*key, None, None, None, qty) for key, qty in sorted(left.items()) if qty]


def cause_of(old: StrategyFamily | None, new: StrategyFamily) -> str:
    """Which inputs of a family differ, in words; empty when none does."""
    if old is None:
        return "new orders"
    told = (
        ("correction", old.corrections_hash != new.corrections_hash),
        ("new orders", old.orders_hash != new.orders_hash),
        ("new positions", old.moves_hash != new.moves_hash),
        ("new classifier version", old.classifier_version != new.classifier_version),
    )
    return ", ".join(words for words, differs in told if differs)


def changes_between(
    old: Sequence[Named], new: Sequence[Named], account_id: str, cause: str, changed_at: datetime
) -> list[StrategyChange]:
    """How the names of orders differ that had one before; an order that is new makes none. Sorted by order."""
    before, after = _by_order(old), _by_order(new)
    return [
        _change(was, now, account_id, cause, changed_at)
        for order_uid in sorted(before)
        for was, now in _pairs(before[order_uid], after.get(order_uid, []))
    ]


def _by_order(rows: Iterable[Named]) -> dict[str, list[Named]]:
    found: defaultdict[str, list[Named]] = defaultdict(list)
    for row in rows:
        found[row.order_uid].append(row)
    return found


def _pairs(old: Sequence[Named], new: Sequence[Named]) -> Iterator[tuple[Named | None, Named | None]]:
    """The rows that are gone beside those that came, those of one action first."""
    kept = {_meaning(row) for row in old} & {_meaning(row) for row in new}
    gone = sorted((row for row in old if _meaning(row) not in kept), key=_meaning)
    came = sorted((row for row in new if _meaning(row) not in kept), key=_meaning)
    yield from zip_longest(gone, came)


def _meaning(row: Named) -> tuple[str, str, str]:
    return row.action, row.strategy_type, row.strategy_uid


def _change(was: Named | None, now: Named | None, account_id: str, cause: str, changed_at: datetime) -> StrategyChange:
    told = was or now
    assert told is not None
    text = "\x1f".join(
        (told.order_uid, was.strategy_uid if was else "", now.strategy_uid if now else "", str(changed_at))
    )
    old = (was.strategy_uid, was.strategy_type, was.action, was.confidence) if was else (None, None, None, None)
    new = (now.strategy_uid, now.strategy_type, now.action, now.confidence) if now else (None, None, None, None)
    uid = "C_" + sha256(text.encode()).hexdigest()[:24]
    return StrategyChange(uid, account_id, told.order_uid, told.trade_date, *old, *new, cause, changed_at)
