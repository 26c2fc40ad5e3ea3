"""Day trades of one security and day, by the two ways of counting.

What is closed counts only as far as it was opened on the same day, and what was opened that day is taken to be closed
first, in the order of opening. Shares held over night and sold before any purchase are no day trade.

* DIRECTION_CHANGE: every change from opening to closing is one, however many fills and orders it took.
* ORDER_PAIR: every pair of an order that opened and an order that closed what it opened is one.

The store counts all days at once in SQL; this is the same rule for one security, as one reads it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

_ZERO = Decimal(0)


class Method(StrEnum):
    ORDER_PAIR = "ORDER_PAIR"
    DIRECTION_CHANGE = "DIRECTION_CHANGE"


@dataclass(frozen=True, slots=True)
class Fill:
    """One fill; `qty` is signed: positive bought."""

    trade_uid: str
    order_uid: str
    qty: Decimal


@dataclass(frozen=True, slots=True)
class FoundDayTrade:
    """One day trade: the fills that opened and closed `qty` (positive), in their order."""

    method: Method
    open_trade_uids: tuple[str, ...]
    close_trade_uids: tuple[str, ...]
    qty: Decimal


@dataclass(frozen=True, slots=True)
class _Piece:
    """A quantity that one fill opened and another closed; `change` numbers the changes of direction."""

    opened: Fill
    closed: Fill
    qty: Decimal
    change: int


def day_trades(held: Decimal, fills: Sequence[Fill]) -> list[FoundDayTrade]:
    """The day trades of one security on one day; `held` is the signed position before the first fill.

    `fills` stand in their order. Pieces of one change, and of one pair of orders, are one day trade.
    """
    pieces = _pieces(held, fills)
    by_change: dict[int, list[_Piece]] = {}
    by_orders: dict[tuple[str, str], list[_Piece]] = {}
    for piece in pieces:
        by_change.setdefault(piece.change, []).append(piece)
        by_orders.setdefault((piece.opened.order_uid, piece.closed.order_uid), []).append(piece)
    return [
        *(_found(Method.DIRECTION_CHANGE, own) for own in by_change.values()),
        *(_found(Method.ORDER_PAIR, own) for own in by_orders.values()),
    ]


def _pieces(held: Decimal, fills: Iterable[Fill]) -> list[_Piece]:
    position = overnight = held
    opened: list[tuple[Fill, Decimal]] = []
    pieces: list[_Piece] = []
    changes = 0
    for fill in fills:
        against = position * fill.qty < 0
        own = abs(position) - abs(overnight)
        closing = min(abs(fill.qty), own) if against else _ZERO
        opened = _close(opened, fill, closing, changes, pieces)
        opening = max(abs(fill.qty) - abs(position), _ZERO) if against else abs(fill.qty)
        position += fill.qty
        if overnight * position <= 0:
            overnight = _ZERO
        elif abs(position) < abs(overnight):
            overnight = position
        if opening:
            opened.append((fill, opening))
            changes += 1
    return pieces


def _close(
    opened: list[tuple[Fill, Decimal]], fill: Fill, closing: Decimal, changes: int, pieces: list[_Piece]
) -> list[tuple[Fill, Decimal]]:
    """Close the oldest of what was opened; returns what is left of it and adds the pieces."""
    left: list[tuple[Fill, Decimal]] = []
    for opening, qty in opened:
        taken = min(qty, closing)
        closing -= taken
        if taken:
            pieces.append(_Piece(opening, fill, taken, changes))
        if qty > taken:
            left.append((opening, qty - taken))
    return left


def _found(method: Method, pieces: Sequence[_Piece]) -> FoundDayTrade:
    opened = dict.fromkeys(piece.opened.trade_uid for piece in pieces)
    closed = dict.fromkeys(piece.closed.trade_uid for piece in pieces)
    return FoundDayTrade(method, tuple(opened), tuple(closed), sum((piece.qty for piece in pieces), _ZERO))
