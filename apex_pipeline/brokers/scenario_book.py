"""The position book of one account while a scenario is made: what is open, and what it may close.

It keeps trade ideas (groups) beside net quantities, so that a close never sells what another idea needs
and an open never meets an opposite position. Quantities are whole shares and contracts.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal

from apex_pipeline.brokers.scenario import Contract, Event, Fill, Holding, ScenarioOrder
from apex_pipeline.domain.models import AssetClass, Broker, OptionRight, Side, TradeKind

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Piece:
    """A member of a trade idea: signed quantity of one contract per unit of the idea."""

    contract: Contract
    per_unit: int


@dataclass(slots=True, eq=False)
class Idea:
    """An open trade idea. `ready_at`: when its last fill is done; `assign_on`: day of an early assignment."""

    group: int
    strategy: str
    pieces: list[Piece]
    units: int
    ready_at: datetime
    expiry: date | None = None
    assign_on: date | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """An option position that ceased: `qty` is the signed position it was."""

    contract: Contract
    qty: int
    kind: TradeKind


@dataclass(slots=True)
class Book:
    """What one account holds."""

    ideas: list[Idea] = field(default_factory=list)
    net: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    _busy: dict[int, datetime] = field(default_factory=dict)
    _short_calls: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def admits(self, pieces: Iterable[Piece], at: datetime) -> bool:
        """Whether opening these at that time meets no opposite or still moving position."""
        return all(self._admits(piece, at) for piece in pieces)

    def _admits(self, piece: Piece, at: datetime) -> bool:
        held = self.net[piece.contract.conid] * piece.per_unit
        return held > 0 or (held == 0 and self._busy.get(piece.contract.conid, _LONG_AGO) < at)

    def add(self, idea: Idea) -> None:
        """Take an idea in."""
        self.ideas.append(idea)
        self._move(idea.pieces, idea.units, idea.ready_at)

    def reduce(self, idea: Idea, units: int, until: datetime) -> None:
        """Close units of an idea; its last fill is done at `until`."""
        self._move(idea.pieces, -units, until)
        idea.units -= units
        if not idea.units:
            self.ideas.remove(idea)

    def _move(self, pieces: Iterable[Piece], units: int, until: datetime) -> None:
        for piece in pieces:
            contract = piece.contract
            self.net[contract.conid] += piece.per_unit * units
            self._busy[contract.conid] = max(until, self._busy.get(contract.conid, until))
            if contract.right == OptionRight.CALL and piece.per_unit < 0:
                self._short_calls[contract.code] -= piece.per_unit * units * int(contract.multiplier)

    def free_shares(self, share: Contract) -> int:
        """Long shares that no short call needs; never below zero."""
        return max(self.net[share.conid] - self._short_calls[share.code], 0)

    def closable(self, market: str, at: datetime) -> list[Idea]:
        """Ideas that may be closed now; shares under a call and planned assignments stay."""
        return [
            i for i in self.ideas
            if i.ready_at < at and i.pieces[0].contract.market == market and self.may_close(i, at)
        ]  # fmt: skip

    def may_close(self, idea: Idea, at: datetime) -> bool:
        """Whether nothing of the idea is still being filled or needed elsewhere."""
        if idea.ready_at >= at or idea.assign_on:
            return False
        first = idea.pieces[0]
        bare_long = len(idea.pieces) == 1 and first.contract.asset_class is AssetClass.STOCK and first.per_unit > 0
        return not bare_long or self.free_shares(first.contract) >= idea.units * first.per_unit

    def settle(self, day: date, close_of: Callable[[Contract], Decimal]) -> list[Settled]:
        """Expire or assign what ends on this day; what remains of an idea is its shares."""
        due = [i for i in self.ideas if day in (i.expiry, i.assign_on)]
        ended: dict[tuple[int, TradeKind], Settled] = {}
        for idea in due:
            for piece in idea.pieces:
                if piece.contract.right is None:
                    continue
                qty = piece.per_unit * idea.units
                kind = TradeKind.ASSIGNMENT if idea.assign_on else _fate(piece.contract, qty, close_of(piece.contract))
                known = ended.get((piece.contract.conid, kind))
                total = qty + (known.qty if known else 0)
                ended[piece.contract.conid, kind] = Settled(piece.contract, total, kind)
            self._strip(idea)
        return list(ended.values())

    def _strip(self, idea: Idea) -> None:
        """Drop the options of an idea."""
        options = [p for p in idea.pieces if p.contract.right is not None]
        self._move(options, -idea.units, idea.ready_at)
        idea.pieces = [p for p in idea.pieces if p.contract.right is None]
        if not idea.pieces:
            self.ideas.remove(idea)
        else:
            _become_stock(idea)

    def deliver(self, share: Contract, qty: int, at: datetime, group: int) -> None:
        """Book shares that an option brought (positive) or took (negative): first against what is held."""
        left = self._offset(share, qty, at)
        if left:
            strategy, sign = ("LONG_STOCK", 1) if left > 0 else ("SHORT_STOCK", -1)
            self.add(Idea(group, strategy, [Piece(share, sign)], abs(left), at))

    def _offset(self, share: Contract, qty: int, at: datetime) -> int:
        holders = [i for i in self.ideas if i.pieces[0].contract == share and i.pieces[0].per_unit * qty < 0]
        for idea in sorted(holders, key=lambda i: len(i.pieces)):
            if not qty:
                break
            if len(idea.pieces) > 1:
                idea = self._split(idea)  # noqa: PLW2901
            taken = min(idea.units, abs(qty))
            self.reduce(idea, taken, at)
            qty += taken if qty < 0 else -taken
        return qty

    def _split(self, idea: Idea) -> Idea:
        """Part an idea of shares and options in two; returns the one of shares."""
        shares = Idea(idea.group, idea.strategy, idea.pieces[:1], idea.units, idea.ready_at)
        _become_stock(shares)
        idea.pieces = idea.pieces[1:]
        idea.strategy = "SHORT_CALL"
        self.ideas.append(shares)
        return shares


def _become_stock(idea: Idea) -> None:
    piece = idea.pieces[0]
    sign = 1 if piece.per_unit > 0 else -1
    idea.units *= abs(piece.per_unit)
    idea.pieces = [Piece(piece.contract, sign)]
    idea.strategy = "LONG_STOCK" if sign > 0 else "SHORT_STOCK"
    idea.expiry = idea.assign_on = None


def _fate(option: Contract, qty: int, close: Decimal) -> TradeKind:
    assert option.strike is not None
    inside = close > option.strike if option.right == OptionRight.CALL else close < option.strike
    if not inside:
        return TradeKind.EXPIRATION
    return TradeKind.EXERCISE if qty > 0 else TradeKind.ASSIGNMENT


def final_holdings(
    orders: Sequence[ScenarioOrder], events: Sequence[Event], mark: Callable[[Contract], Decimal]
) -> tuple[Holding, ...]:
    """Positions left when everything is replayed in the order of time, with their average price."""
    moves: list[tuple[datetime, int, Broker, str, Fill | Event]] = [
        (f.at, f.fill_id, o.broker, o.account_id, f) for o in orders for f in o.fills
    ]
    moves += [(e.at, e.event_id, e.broker, e.account_id, e) for e in events]
    held: dict[tuple[Broker, str, int], tuple[Contract, Decimal, Decimal]] = {}
    for _, _, broker, account, move in sorted(moves, key=lambda m: m[:2]):
        key = (broker, account, move.contract.conid)
        _, qty, average = held.get(key, (move.contract, Decimal(0), Decimal(0)))
        signed = move.qty if move.side == Side.BUY else -move.qty
        held[key] = (move.contract, qty + signed, _average(qty, average, signed, move.price))
    return tuple(
        Holding(broker, account, contract, qty, average.quantize(Decimal("0.000001")), mark(contract))
        for (broker, account, _), (contract, qty, average) in sorted(held.items())
        if qty
    )


def _average(qty: Decimal, average: Decimal, signed: Decimal, price: Decimal) -> Decimal:
    if qty * signed >= 0:
        return (qty * average + signed * price) / (qty + signed)
    return average if abs(signed) <= abs(qty) else price
