"""Matching of the instruments that need every rule: rows to `domain.lots` and back, some instruments at a time."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from apex_pipeline.domain.ledger import Lot, LotMethod, LotSelection, PositionMovement
from apex_pipeline.domain.lots import Matched, OpenLot, match
from apex_pipeline.store.tables import LEDGER_TABLES, as_row, row_as
from apex_pipeline.store.transaction import Transaction

_MOVEMENTS_AT_ONCE = 5_000
"""Movements that are read and matched together: few enough to keep memory flat, enough to make round trips rare."""


@dataclass(frozen=True, slots=True)
class Group:
    """Instruments of one account that links join, so that they are matched together."""

    account_id: str
    instruments: frozenset[str]
    movements: int


class Methods:
    """The lot methods that people chose, by account and day; FIFO where nobody did."""

    def __init__(self, rules: Iterable[tuple[str, date, LotMethod]]) -> None:
        self._rules: dict[str, list[tuple[date, LotMethod]]] = defaultdict(list)
        for account_id, from_date, method in sorted(rules):
            self._rules[account_id].append((from_date, method))

    def of(self, account_id: str) -> Callable[[date], LotMethod]:
        """The method of an account as a function of the day of closing."""
        rules = self._rules.get(account_id, [])
        days = [from_date for from_date, _ in rules]

        def on(day: date) -> LotMethod:
            place = bisect_right(days, day)
            return rules[place - 1][1] if place else LotMethod.FIFO

        return on


def match_eventful(tx: Transaction, observe: Callable[[str, int, int], None]) -> None:
    """Match the touched instruments that are not plain, and stage the rows that follow."""
    groups = grouped(tx.fetch("match_eventful"))
    rules = tx.fetch("match_methods") if groups else []
    methods = Methods((row["account_id"], row["from_date"], LotMethod(row["value"])) for row in rules)
    done, total = 0, len(groups)
    for batch in batches(groups):
        observe("matching lots by every rule", done, total)
        _stage(tx, _matched(tx, batch, methods.of(batch[0].account_id)))
        done += len(batch)


def grouped(rows: Iterable[dict[str, Any]]) -> list[Group]:
    """Instruments with their links as groups, in the order of their first instruments."""
    told = list(rows)
    leader = list(range(len(told)))

    def first(number: int) -> int:
        while leader[number] != number:
            leader[number] = number = leader[leader[number]]
        return number

    seen: dict[tuple[str, str], int] = {}
    for number, row in enumerate(told):
        for link in row["links"]:
            one, other = sorted((first(number), first(seen.setdefault((row["account_id"], link), number))))
            leader[other] = one
    members: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for number, row in enumerate(told):
        members[first(number)].append(row)
    return [
        Group(
            some[0]["account_id"],
            frozenset(row["instrument_id"] for row in some),
            sum(row["movements"] for row in some),
        )
        for some in members.values()
    ]


def batches(groups: Sequence[Group]) -> Iterator[list[Group]]:
    """Groups of one account that are read together."""
    batch: list[Group] = []
    for group in groups:
        if batch and (
            group.account_id != batch[0].account_id
            or sum(one.movements for one in batch) + group.movements > _MOVEMENTS_AT_ONCE
        ):
            yield batch
            batch = []
        batch.append(group)
    if batch:
        yield batch


def _matched(tx: Transaction, batch: Sequence[Group], method: Callable[[date], LotMethod]) -> list[Matched]:
    scope = {
        "account_id": batch[0].account_id,
        "instruments": sorted(instrument for group in batch for instrument in group.instruments),
    }
    movements: dict[str, list[PositionMovement]] = defaultdict(list)
    for row in tx.fetch("match_movements", **scope):
        movements[row["instrument_id"]].append(row_as(PositionMovement, row))
    held: dict[str, list[OpenLot]] = defaultdict(list)
    for row in tx.fetch("match_held", **scope):
        held[row["instrument_id"]].append(OpenLot(row_as(Lot, row), row["taken"]))
    stopped = {row["instrument_id"] for row in tx.fetch("match_stopped", **scope)}
    selections: dict[str, list[LotSelection]] = defaultdict(list)
    for row in tx.fetch("match_selections", **scope):
        selections[row["close_trade_uid"]].append(row_as(LotSelection, row))
    return [
        match(
            [movement for instrument in group.instruments for movement in movements[instrument]],
            held=[lot for instrument in group.instruments for lot in held[instrument]],
            stopped=stopped & group.instruments,
            method=method,
            selections=selections,
        )
        for group in batch
    ]


def _stage(tx: Transaction, results: Sequence[Matched]) -> None:
    tx.copy(LEDGER_TABLES["lots"], "lots_new", (as_row(row) for one in results for row in one.lots))
    tx.copy(LEDGER_TABLES["lot_moves"], "lot_moves_new", (as_row(row) for one in results for row in one.moves))
    tx.copy(LEDGER_TABLES["realized_pnl"], "realized_new", (as_row(row) for one in results for row in one.realized))
    tx.copy(LEDGER_TABLES["ledger_stops"], "ledger_stops_new", (as_row(row) for one in results for row in one.stops))
