"""IB's own bookkeeping of the made-up year, by the plainest means: lots in a queue, first in first out, in fractions.

Commissions and taxes are part of the basis. An assigned or exercised option shows no gain of its own: what it brought
or cost is carried by the shares, in proportion to what of them closes and what opens. A cancel takes the row away as
if it had never been. What stays charged on a cancelled row belongs to its rebook.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

from tests.faults.ib_year_events import Action, Deal, Event, Lot, Move, Paper, Piece

NONE = Fraction(0)


@dataclass
class Figures:
    """What IB tells in one row."""

    cost: Fraction = NONE
    pnl: Fraction = NONE
    effect: str = ""
    pieces: list[Piece] = field(default_factory=list[Piece])


@dataclass
class Book:
    """Open lots by conid, oldest first, and the figures of every row by `id()`."""

    open: dict[int, deque[Lot]] = field(default_factory=lambda: defaultdict[int, deque[Lot]](deque))
    rows: dict[int, Figures] = field(default_factory=dict[int, Figures])

    def held(self, paper: Paper) -> Fraction:
        return sum((lot.qty for lot in self.open[paper.conid]), NONE)


def kept(events: Iterable[Event], until: date) -> Book:
    """The books as they are once everything reported until that day is known."""
    known = [one for one in events if one.report_date <= until]
    void = {id(one.original) for one in known if isinstance(one, Deal) and one.original is not None}
    book, carried = Book(), dict[int, Fraction]()
    for one in sorted(known, key=_order):
        if isinstance(one, Deal):
            if one.kind != "CANCEL" and id(one) not in void and one.paper.category != "CASH":
                _deal(book, one, carried)
        elif isinstance(one, Action):
            _action(book, one)
        else:
            _move(book, one)
    return book


def _order(one: Event) -> tuple[datetime, int, int]:
    """By time, then what a day starts with, trades, ends of options and the shares of them, then by number."""
    if not isinstance(one, Deal):
        return one.at, 0, 0
    return one.at, (2 if one.paper.category == "OPT" else 3) if one.kind == "BOOK" else 1, one.transaction_id


def charge(deal: Deal) -> Decimal:
    """What stayed charged on the row that this one was booked for."""
    total, one = Decimal(0), deal.rebook_of
    while one is not None:
        total += one.commission if one.commission_currency == one.paper.currency else 0
        one = one.rebook_of
    return total


def _deal(book: Book, deal: Deal, carried: dict[int, Fraction]) -> None:
    told, qty, net = Figures(), Fraction(deal.qty), Fraction(deal.net) + Fraction(charge(deal))
    carry = carried.get(id(deal), NONE)
    pieces = _taken(book.open[deal.paper.conid], qty)
    closed = -sum((piece.qty for piece in pieces), NONE)
    part = closed / qty
    basis = sum((piece.cost for piece in pieces), NONE)
    told.cost = -basis - (1 - part) * Fraction(deal.net)
    told.effect = "C;O" if pieces and part != 1 else ("C" if pieces else "O")
    if deal.delivers is not None:
        carried[id(deal.delivers)] = part * net - basis
    else:
        told.pnl = part * (net + carry) - basis
        for piece in pieces:
            piece.pnl = -piece.qty / qty * (net + carry) - piece.cost
    told.pieces = pieces
    book.rows[id(deal)] = told
    if part != 1:
        cost = -(1 - part) * (net + carry)
        book.open[deal.paper.conid].append(
            Lot(deal.paper, qty - closed, cost, deal.at, deal.price, deal.transaction_id)
        )


def _taken(lots: deque[Lot], qty: Fraction) -> list[Piece]:
    """Take lots of the other direction from the front of the queue."""
    pieces: list[Piece] = []
    left = qty
    while left and lots and (lots[0].qty > 0) != (left > 0):
        lot = lots[0]
        size = min(abs(left), abs(lot.qty)) * (1 if lot.qty > 0 else -1)
        cost = lot.cost * size / lot.qty
        pieces.append(Piece(size, cost, NONE, lot.opened_at, lot.open_price, lot.opened_by))
        lot.qty, lot.cost, left = lot.qty - size, lot.cost - cost, left + size
        if not lot.qty:
            _ = lots.popleft()
    return pieces


def _action(book: Book, action: Action) -> None:
    told = book.rows[id(action)] = Figures()
    if action.kind == "FS":
        for lot in book.open[action.rows[0][0].conid]:
            lot.qty, lot.open_price = lot.qty * action.ratio, _split(lot.open_price, action.ratio)
    elif action.kind in ("RS", "IC"):
        (new, _, _), (old, _, _) = action.rows
        for lot in book.open.pop(old.conid):
            lot.qty, lot.open_price, lot.paper = lot.qty * action.ratio, _split(lot.open_price, action.ratio), new
            book.open[new.conid].append(lot)
    elif action.kind == "TC":
        paper, _, qty = action.rows[0]
        told.pieces = _taken(book.open[paper.conid], Fraction(qty))
        told.cost = -sum((piece.cost for piece in told.pieces), NONE)
        told.pnl = Fraction(action.proceeds) + told.cost
        for piece in told.pieces:
            piece.pnl = piece.qty / -Fraction(qty) * Fraction(action.proceeds) - piece.cost
    else:
        paper, _, qty = action.rows[0]
        book.open[paper.conid].append(Lot(paper, Fraction(qty), NONE, action.at, Decimal(0), None))


def _split(price: Decimal, ratio: Fraction) -> Decimal:
    """The price of a unit after a split, as IB rounds it."""
    return (price * ratio.denominator / ratio.numerator).quantize(Decimal("0.000000001"))


def _move(book: Book, move: Move) -> None:
    book.rows[id(move)] = Figures()
    for qty, cost, opened, price in move.lots:
        book.open[move.paper.conid].append(Lot(move.paper, Fraction(qty), Fraction(cost), opened, price, None))
    if move.qty < 0:
        _ = _taken(book.open[move.paper.conid], Fraction(move.qty))
