"""Changing what OpenD answers: single rows of its lists, whenever and by whatever request they are asked for."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from apex_pipeline.brokers.futu.simulator_wire import (
    CASH_FLOW,
    FEES,
    FILLS,
    FUNDS,
    HISTORY_FILLS,
    HISTORY_ORDERS,
    ORDERS,
    POSITIONS,
)

Row = Any
"""A protobuf message of a list."""
Key = tuple[int, str]
"""The account and the id of a row; positions are known by their code, cash by its day and number."""
Change = Callable[[Row], None]

_LISTS: dict[int, tuple[str, str, Callable[[Row], str]]] = {
    HISTORY_ORDERS: ("orders", "orderList", lambda row: row.orderIDEx),
    ORDERS: ("orders", "orderList", lambda row: row.orderIDEx),
    HISTORY_FILLS: ("deals", "orderFillList", lambda row: str(row.fillID)),
    FILLS: ("deals", "orderFillList", lambda row: str(row.fillID)),
    FEES: ("fees", "orderFeeList", lambda row: row.orderIDEx),
    POSITIONS: ("positions", "positionList", lambda row: row.code),
    CASH_FLOW: ("cash", "flowSummaryInfoList", lambda row: f"{row.clearingDate} {row.cashFlowID}"),
}
_EVERYBODYS_MARKET = 2
_NOTHING: Sequence[Change] = ()


@dataclass
class Answers:
    """What is told otherwise. Kinds of rows: orders, deals, fees, positions and cash; `funds` is one row."""

    dropped: set[tuple[str, Key]] = field(default_factory=set[tuple[str, Key]])
    changed: defaultdict[tuple[str, Key], list[Change]] = field(default_factory=lambda: defaultdict(list))
    added: defaultdict[tuple[str, Key], list[Change]] = field(default_factory=lambda: defaultdict(list))
    moved: dict[tuple[str, Key], int] = field(default_factory=dict[tuple[str, Key], int])
    funds: list[Callable[[int, Row], None]] = field(default_factory=list[Callable[[int, Row], None]])
    seen: set[tuple[str, Key]] = field(default_factory=set[tuple[str, Key]])
    """Rows that were told, and told otherwise."""

    def drop(self, kind: str, key: Key) -> None:
        """Never tell a row."""
        self.dropped.add((kind, key))

    def change(self, kind: str, key: Key, change: Change) -> None:
        """Tell a row with other values."""
        self.changed[kind, key].append(change)

    def twin(self, kind: str, key: Key, change: Change) -> None:
        """Tell a changed copy beside a row."""
        self.added[kind, key].append(change)

    def move(self, kind: str, key: Key, account: int) -> None:
        """Tell a row as one of another account, whenever that is asked."""
        self.moved[kind, key] = account

    def instead_of(self, answer: Callable[[Any, int, Any, Any], Any]) -> Callable[[Any, int, Any, Any], Any]:
        """The gateway's method `answer`, telling this."""

        def told(gateway: Any, proto_id: int, request: Any, peer: Any) -> Any:
            response = answer(gateway, proto_id, request, peer)
            if response.retType == 0 and proto_id in _LISTS:
                for source in self._sources(proto_id, request):
                    other = type(request)()
                    other.CopyFrom(request)
                    other.c2s.header.accID, other.c2s.header.trdMarket = source, _EVERYBODYS_MARKET
                    self._take(proto_id, answer(gateway, proto_id, other, peer).s2c, response.s2c)
                self._list(proto_id, response.s2c)
            if response.retType == 0 and proto_id == FUNDS:
                for change in self.funds:
                    change(response.s2c.header.accID, response.s2c.funds)
            return response

        return told

    def _sources(self, proto_id: int, request: Any) -> set[int]:
        """The accounts whose rows are told of the asked one."""
        kind, account = _LISTS[proto_id][0], request.c2s.header.accID
        return {key[0] for (of, key), target in self.moved.items() if of == kind and target == account}

    def _take(self, proto_id: int, given: Any, taken: Any) -> None:
        """Add what another account's answer holds and this one is to tell."""
        kind, name, key_of = _LISTS[proto_id]
        for row in getattr(given, name):
            key = (kind, (given.header.accID, key_of(row)))
            if self.moved.get(key) == taken.header.accID:
                getattr(taken, name).append(row)
                self.seen.add(key)

    def _list(self, proto_id: int, s2c: Any) -> None:
        kind, name, key_of = _LISTS[proto_id]
        account, rows = s2c.header.accID, getattr(s2c, name)
        told: list[Row] = []
        for row in rows:
            key = (kind, (account, key_of(row)))
            copies = [_changed(row, [change]) for change in self.added.get(key, _NOTHING)]
            if key not in self.dropped and self.moved.get(key, account) == account:
                told.append(_changed(row, self.changed.get(key, _NOTHING)))
            told += copies
            if copies or key in self.dropped or key in self.changed:
                self.seen.add(key)
        del rows[:]
        rows.extend(told)


def _changed(row: Row, changes: Sequence[Change]) -> Row:
    copy = type(row)()
    copy.CopyFrom(row)
    for change in changes:
        change(copy)
    return copy
