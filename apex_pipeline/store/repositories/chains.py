"""Strategies, chains and whose each gain is: told again for the accounts and underlyings of which something changed."""

import shlex
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from operator import attrgetter
from typing import Any, LiteralString, TypeVar

from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.strategies.members import Charge, Family, Fill, Gain, Member
from apex_pipeline.domain.strategies.telling import TELLING_VERSION, Told
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import CARDS, CHAIN_GAINS, CHAINS, Table, as_row, row_as
from apex_pipeline.store.transaction import Merged, Transaction

ORDERS_AT_ONCE = 5_000
"""Memberships read into memory at a time; a family is never divided."""

T = TypeVar("T", Member, Fill, Charge, Gain)


@dataclass(frozen=True, slots=True)
class Changed:
    """A family to be told again. `told_from` None: nothing of it is left."""

    underlying: str
    orders: int
    told_from: str | None


@dataclass(frozen=True, slots=True)
class Review:
    """A strategy that is worth a look, and the command that would accept the best other reading.

    `weight` is what it moved (realized P&L and net premium, in `currency`) times the doubt about its name.
    """

    strategy_uid: str
    broker: Broker
    account_id: str
    underlying: str
    strategy_type: str
    name: str
    action: str
    trade_date: date
    confidence: Decimal
    rival_type: str | None
    rival_confidence: Decimal | None
    net_premium: Decimal | None
    realized_pnl: Decimal | None
    currency: str | None
    why: str
    weight: Decimal
    order_uids: list[str]

    @property
    def command(self) -> str | None:
        """The `apex` line that gives its orders the rival's name; None without a rival."""
        if self.rival_type is None:
            return None
        action = "ROLL" if self.rival_type == "ROLL" else "OPEN" if self.action == "ROLL" else self.action
        return shlex.join(["apex", "strategy", "set", *self.order_uids, "--type", self.rival_type, "--action", action])


def review_queue(db: Database, limit: int) -> list[Review]:
    """The strategies of which a mistake would matter most, at most `limit`; what a person set is not among them."""
    return [row_as(Review, row) for row in db.fetch("review_queue", most=limit)]


class ChainRepository:
    """Reads what chains are told from and writes what is told, account by account."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def accounts(self) -> list[tuple[Broker, str]]:
        """Every account that has strategies, or had."""
        return [(Broker(row["broker"]), row["account_id"]) for row in self._db.fetch("chains_accounts")]

    def rewrite(self, broker: Broker, account_id: str, tell: Callable[[Family], Told]) -> dict[str, Merged]:
        """Tell the changed families of an account, in one transaction; returns changed rows per table."""
        account = {"broker": broker, "account_id": account_id}
        changed = {table.name: Merged(0, 0) for table in (CARDS, CHAINS, CHAIN_GAINS)}
        with self._db.sealed() as tx:
            rows = tx.fetch("chains_inputs", **account, version=TELLING_VERSION)
            families = [
                Changed(row["family"], row["orders"], row["told_from"])
                for row in rows
                if row["told_from"] != row["told_before"]
            ]
            for batch in _batches(families):
                for name, merged in _write(tx, account, batch, [tell(family) for family in _read(tx, account, batch)]):
                    changed[name] += merged
            tx.analyze_changed(changed)
        return changed


def _batches(families: Sequence[Changed]) -> Iterator[list[Changed]]:
    batch: list[Changed] = []
    for family in families:
        if batch and sum(one.orders for one in batch) + family.orders > ORDERS_AT_ONCE:
            yield batch
            batch = []
        batch.append(family)
    if batch:
        yield batch


def _read(tx: Transaction, account: Mapping[str, Any], batch: Sequence[Changed]) -> Iterator[Family]:
    names = [one.underlying for one in batch if one.told_from is not None]
    members = _by_family(tx, "chains_members", names, Member)
    fills = _by_family(tx, "chains_fills", names, Fill)
    entries = _by_family(tx, "chains_entries", names, Fill)
    charges = _by_family(tx, "chains_charges", names, Charge)
    gains = _by_family(tx, "chains_gains_of", names, Gain)
    for name in names:
        yield Family(
            account["broker"],
            account["account_id"],
            name,
            members[name],
            fills[name],
            entries[name],
            charges[name],
            gains[name],
        )


def _by_family(tx: Transaction, name: LiteralString, names: list[str], row_class: type[T]) -> Mapping[str, Sequence[T]]:
    found: defaultdict[str, list[T]] = defaultdict(list)
    for row in tx.fetch(name, families=names):
        found[row["family"]].append(row_as(row_class, row))
    return found


def _write(
    tx: Transaction, account: Mapping[str, Any], batch: Sequence[Changed], told: Sequence[Told]
) -> Iterator[tuple[str, Merged]]:
    """Make what is told of these families all that there is of them."""
    names = [one.underlying for one in batch]
    scope = {**account, "families": names}
    strategies = [row for one in told for row in one.strategies]
    chains = [row for one in told for row in one.chains]
    gains = [row for one in told for row in one.gains]
    pieces = {"pieces": list(map(attrgetter("realized_uid"), gains)), "chains": [row.chain_uid for row in gains]}
    yield CARDS.name, _replaced(tx, CARDS, strategies, "cards_remove_stale", scope | _keep(strategies, "strategy_uid"))
    yield CHAINS.name, _replaced(tx, CHAINS, chains, "chains_remove_stale", scope | _keep(chains, "chain_uid"))
    merged = _replaced(tx, CHAIN_GAINS, gains, "chains_gains_remove_stale", scope | pieces)
    yield CHAIN_GAINS.name, merged
    if merged.changed:
        tx.execute("chains_mark", **scope)
    tx.execute("chains_told", **scope, told_from=[one.told_from for one in batch])


def _keep(rows: Sequence[object], name: str) -> dict[str, list[str]]:
    return {"keep": [getattr(row, name) for row in rows]}


def _replaced(
    tx: Transaction, table: Table, rows: Sequence[object], stale: LiteralString, scope: Mapping[str, Any]
) -> Merged:
    merged = tx.merge(table, map(as_row, rows))
    return merged + Merged(0, 0, tx.execute(stale, **scope))
