"""Orders to classify, what they were classified as, and what that changed of what was said before.

An account is read in one transaction and classified family by family (an underlying, with its options), each
family as a whole: a later order may tell what an earlier one was for. A family is classified again only where
its orders, its other movements, its corrections or the classifier differ from the last time.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from apex_pipeline.domain.models import Broker, Instrument, Order
from apex_pipeline.domain.strategies.classify import (
    CLASSIFIER_VERSION,
    Classified,
    StrategyAssignment,
    StrategyPosition,
)
from apex_pipeline.domain.strategies.legs import ClassifiableOrder, Contract, Correction, PositionChange, classifiable
from apex_pipeline.domain.strategy_history import (
    Named,
    StrategyFamily,
    cause_of,
    changes_between,
    holdings,
    untraded,
)
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.openings import rewrite_openings
from apex_pipeline.store.repositories.positions import relink_round_trips
from apex_pipeline.store.tables import (
    STRATEGIES,
    STRATEGY_CHANGES,
    STRATEGY_FAMILIES,
    STRATEGY_POSITIONS,
    as_row,
    columns_of,
    row_as,
)
from apex_pipeline.store.transaction import Merged, Row, Transaction

Classify = Callable[
    [Sequence[ClassifiableOrder], Sequence[PositionChange], Sequence[Correction], None, Container[tuple[str, str]]],
    Classified,
]
"""As `domain.strategies.classify.classify`: no prices, and the accounts whose holdings are known from the start."""

ORDERS_AT_ONCE = 2000
"""Families are read together up to about so many orders: memory stays flat, and small ones need few round trips."""

GONE = "order gone"
"""The cause of a change where the order is no longer there or no longer filled."""


@dataclass(slots=True)
class _Run:
    """One account being classified. `told` as `classify` wants it; `removed` are days of rows that are gone."""

    tx: Transaction
    account_id: str
    now: datetime
    told: Container[tuple[str, str]]
    changed: Merged = field(default_factory=lambda: Merged(0, 0))
    removed: list[date] = field(default_factory=list[date])


@dataclass(frozen=True, slots=True)
class _Due:
    """A family to classify again, how many orders it has, and why."""

    family: StrategyFamily
    orders: int
    cause: str


class StrategyRepository:
    """Keeps `order_strategy_map` and what open strategies hold in step with orders and movements."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def accounts(self, from_date: date, to_date: date) -> list[str]:
        """Accounts with orders in the range, with days that changed, or classified by another version."""
        scope: dict[str, Any] = {"from_date": from_date, "to_date": to_date, "version": CLASSIFIER_VERSION}
        return [row["account_id"] for row in self._db.fetch("accounts_to_classify", **scope)]

    def by_type(self, from_date: date, to_date: date) -> dict[date, list[Row]]:
        """Strategies of each day by type and action: how many, of how many orders, with which mean confidence."""
        found: dict[date, list[Row]] = {}
        for row in self._db.fetch("strategies_by_type", from_date=from_date, to_date=to_date):
            found.setdefault(row.pop("day"), []).append(row)
        return found

    def named(self, order_uids: Sequence[str]) -> list[Row]:
        """What these orders were read as."""
        return self._db.fetch("strategies_named", orders=list(order_uids))

    def open_strategies(self) -> list[Row]:
        """What every open strategy holds, as people read it."""
        return self._db.fetch("strategies_open")

    def inputs(
        self, account_id: str, underlyings: Sequence[str]
    ) -> tuple[list[ClassifiableOrder], list[PositionChange]]:
        """All that the strategies of some underlyings are made of."""
        with self._db.transaction() as tx:
            tx.fetch("strategy_inputs", account_id=account_id)
            return _orders(tx, underlyings), _moves(tx, account_id, underlyings)

    def reclassify(self, account_id: str, classify: Classify) -> Merged:
        """Classify the families of the account whose inputs changed; returns changed rows of orders and holdings."""
        with self._db.sealed() as tx:
            # The marks go first: what commits after this line marks its days again.
            tx.execute("dirty_clear", stage="classify", account_id=account_id)
            rewrite_openings(tx, [account_id])
            inputs = tx.fetch("strategy_inputs", account_id=account_id)
            told = {(row["broker"], account_id) for row in inputs if row["is_told"]}
            run = _Run(tx, account_id, tx.fetch("now")[0]["now"], told)
            corrections = _corrections(tx, account_id)
            for batch in _batches(_due(account_id, inputs)):
                _classify_families(run, batch, corrections, classify)
            _remove_gone(run)
            if run.changed.changed:
                brokers = sorted({row["broker"] for row in inputs})
                _tell(run, brokers)
        return run.changed


def _due(account_id: str, inputs: Iterable[Mapping[str, Any]]) -> list[_Due]:
    version = CLASSIFIER_VERSION
    found: list[_Due] = []
    for row in inputs:
        key = Broker(row["broker"]), account_id, row["family"]
        new = StrategyFamily(*key, row["orders_hash"], row["moves_hash"], row["corrections_hash"], version)
        before = (row["old_orders_hash"], row["old_moves_hash"], row["old_corrections_hash"], row["old_version"])
        cause = cause_of(None if row["old_version"] is None else StrategyFamily(*key, *before), new)
        if cause:
            found.append(_Due(new, row["orders"], cause))
    return found


def _batches(due: Sequence[_Due]) -> Iterator[list[_Due]]:
    """Neighbours together until their orders are enough."""
    batch: list[_Due] = []
    for item in due:
        batch.append(item)
        if sum(one.orders for one in batch) >= ORDERS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _classify_families(
    run: _Run, batch: Sequence[_Due], corrections: Mapping[str, Sequence[Correction]], classify: Classify
) -> None:
    families = sorted({item.family.underlying for item in batch})
    orders = _orders(run.tx, families)
    said = [correction for family in families for correction in corrections.get(family, ())]
    moves = _moves(run.tx, run.account_id, families)
    classified = classify(orders, moves, said, None, run.told)
    traded = {(order.broker, order.family) for order in orders}
    beside = untraded(move for move in moves if (move.broker, move.contract.family) not in traded)
    _write_changes(run, batch, orders, classified.assignments)
    uids = [order.order_uid for order in orders]
    merged = run.tx.merge(STRATEGIES, map(as_row, classified.assignments))
    removed = run.tx.fetch(
        "strategies_remove_stale",
        processed=uids,
        orders=[row.order_uid for row in classified.assignments],
        strategies=[row.strategy_uid for row in classified.assignments],
    )
    run.removed += [row["trade_date"] for row in removed]
    held = _write_holdings(run, families, [*classified.positions, *beside])
    run.changed += merged + Merged(0, 0, len(removed)) + held
    run.tx.merge(STRATEGY_FAMILIES, [as_row(item.family) for item in batch])


def _write_holdings(run: _Run, families: Sequence[str], positions: Sequence[StrategyPosition]) -> Merged:
    rows = holdings(positions)
    removed = run.tx.execute(
        "strategy_positions_remove_stale",
        account_id=run.account_id,
        families=families,
        brokers=[row.broker.value for row in rows],
        underlyings=[row.underlying for row in rows],
        symbols=[row.symbol for row in rows],
        places=[row.place for row in rows],
    )
    return run.tx.merge(STRATEGY_POSITIONS, map(as_row, rows)) + Merged(0, 0, removed)


def _write_changes(
    run: _Run, batch: Sequence[_Due], orders: Sequence[ClassifiableOrder], rows: Sequence[StrategyAssignment]
) -> None:
    """Keep what is said otherwise now of orders that had a name before, family by family with its cause."""
    named = [Named(*(getattr(row, name) for name in columns_of(Named))) for row in rows]
    family_of = {order.order_uid: (order.broker, order.family) for order in orders}
    found = run.tx.fetch("strategies_of_orders", orders=list(family_of))
    before = [row_as(Named, row) for row in found]
    for item in batch if before else ():
        key = item.family.broker, item.family.underlying
        old = [row for row in before if family_of[row.order_uid] == key]
        new = [row for row in named if family_of[row.order_uid] == key]
        told = changes_between(old, new, run.account_id, item.cause, run.now)
        run.tx.add(STRATEGY_CHANGES, map(as_row, told))


def _remove_gone(run: _Run) -> None:
    """Rows of orders that are gone, and families of which nothing is left."""
    gone = [row_as(Named, row) for row in run.tx.fetch("strategies_of_gone_orders", account_id=run.account_id)]
    if gone:
        told = changes_between(gone, (), run.account_id, GONE, run.now)
        run.tx.add(STRATEGY_CHANGES, map(as_row, told))
        uids = sorted({row.order_uid for row in gone})
        removed = run.tx.fetch("strategies_remove_stale", processed=uids, orders=[], strategies=[])
        run.removed += [row["trade_date"] for row in removed]
        run.changed += Merged(0, 0, len(removed))
    held = run.tx.execute("strategy_families_remove_gone", account_id=run.account_id)
    run.changed += Merged(0, 0, held)


def _tell(run: _Run, brokers: Sequence[str]) -> None:
    """Have everything that follows from names of strategies made again."""
    run.tx.analyze_changed([STRATEGIES.name, STRATEGY_POSITIONS.name])
    relink_round_trips(run.tx, [run.account_id])
    removed_on = min(run.removed, default=None)
    for broker in brokers:
        run.tx.execute("strategies_mark_changed", account_id=run.account_id, broker=broker, removed_on=removed_on)


def _orders(tx: Transaction, families: Sequence[str]) -> list[ClassifiableOrder]:
    """Every order of these families with its first fill and the terms of its contracts."""
    found = tx.fetch("strategy_instruments", families=list(families))
    instruments = {row["symbol"]: row_as(Instrument, row) for row in found}
    return [
        classifiable(row_as(Order, row), instruments, row["first_fill_at"])
        for row in tx.fetch("strategy_orders", families=list(families))
    ]


def _moves(tx: Transaction, account_id: str, families: Sequence[str]) -> list[PositionChange]:
    """What openings, book entries, corporate actions and transfers did to the positions of these families."""
    return [
        PositionChange(Broker(row["broker"]), account_id, row_as(Contract, row), row["qty"], row["at"])
        for row in tx.fetch("strategy_moves", families=list(families))
    ]


def _corrections(tx: Transaction, account_id: str) -> dict[str, list[Correction]]:
    """The corrections in force by family."""
    found: dict[str, list[Correction]] = {}
    for row in tx.fetch("strategy_corrections_in_force", account_id=account_id):
        said = Correction(frozenset(row["order_uids"]), row["strategy_type"], row["action"])
        found.setdefault(row["underlying"], []).append(said)
    return found
