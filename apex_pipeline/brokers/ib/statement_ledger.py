"""What IB would have booked for a scenario: one entry per execution and book trade, with basis and P&L.

FIFO by (time, transaction id), commissions and taxes in the basis. An exercised or assigned option shows
P&L 0; its premium moves into the shares that it delivers. A cancelled execution takes its lot away; its fee moves
into the lot of the rebook.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import final

from apex_pipeline.brokers.scenario import Contract, Event, Fill, Scenario, ScenarioOrder
from apex_pipeline.brokers.scenario_days import settled_on
from apex_pipeline.domain.models import Broker, FeeType, Side, TradeKind

_ZERO = Decimal(0)
_WEEKEND = 5
_EXACT = Decimal("0.00000001")


@dataclass(frozen=True, slots=True)
class Move:
    """An execution or a book trade before it is booked. `order` is None and `exec_id` blank for the latter.

    Money has IB's signs: `proceeds` positive when received, `commission` and `taxes` negative when paid.
    `cancels` and `rebooks` name the execution that was taken back, on the two rows that do it.
    """

    transaction_id: int
    account_id: str
    source: Fill | Event
    order: ScenarioOrder | None
    exec_id: str
    report_date: date
    cancels: int | None = None
    rebooks: int | None = None

    @property
    def place(self) -> tuple[datetime, int]:
        """Where it stands in the order of FIFO."""
        return self.source.at, self.transaction_id

    @property
    def trade_id(self) -> str:
        """IB's tradeID: a rebook repeats the one of the cancelled execution, a cancel has none."""
        return "" if self.cancels is not None else trade_id_of(self.rebooks or self.transaction_id)

    @property
    def qty(self) -> Decimal:
        """Signed quantity."""
        return self.source.qty if self.source.side == Side.BUY else -self.source.qty

    @property
    def proceeds(self) -> Decimal:
        """Minus signed quantity x price x multiplier."""
        return -self.qty * self.source.price * self.source.contract.multiplier

    @property
    def commission(self) -> Decimal:
        """Negative when paid, positive when it is a rebate."""
        return -self._charged(FeeType.COMMISSION)

    @property
    def taxes(self) -> Decimal:
        """Negative when paid."""
        return -self._charged(FeeType.STAMP_DUTY)

    def _charged(self, kind: FeeType) -> Decimal:
        if isinstance(self.source, Event):
            return _ZERO
        return sum((c.amount for c in self.source.charges if c.fee_type == kind), _ZERO)

    @property
    def settle_date(self) -> date:
        """When it is paid for, by the rule of its market."""
        return settled_on(self.source.contract, self.source.trade_date)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a lot that a move closed: signed quantity and basis of the part, and what it gained."""

    opened: Move
    qty: Decimal
    basis: Decimal
    realized: Decimal


@dataclass(frozen=True, slots=True)
class Entry:
    """A booked move. `effect` is O, C or C;O, blank for a cancel; the gains of `closed` sum to `realized`."""

    move: Move
    cost: Decimal
    realized: Decimal
    effect: str
    closed: tuple[Piece, ...] = ()


@dataclass(slots=True)
class Lot:
    """What is left of an opening: signed quantity and its basis (negative for a short)."""

    qty: Decimal
    basis: Decimal
    opened: Move


@dataclass(slots=True)
class Position:
    """The lots of one contract in one account."""

    contract: Contract
    lots: deque[Lot] = field(default_factory=deque[Lot])

    @property
    def qty(self) -> Decimal:
        """Signed quantity."""
        return sum((lot.qty for lot in self.lots), _ZERO)

    @property
    def basis(self) -> Decimal:
        """Cost of what is held; negative for a short position."""
        return sum((lot.basis for lot in self.lots), _ZERO)

    def put(self, lot: Lot) -> None:
        """Add a lot at its place; only a rebook comes late."""
        self.lots.append(lot)
        if len(self.lots) > 1 and self.lots[-2].opened.place > lot.opened.place:
            self.lots = deque(sorted(self.lots, key=lambda held: held.opened.place))

    def take(self, qty: Decimal) -> list[Lot]:
        """Close against the oldest lots; returns what left of each, with signed quantity and basis."""
        taken: list[Lot] = []
        left = abs(qty)
        while left and self.lots and qty * self.lots[0].qty < 0:
            lot = self.lots[0]
            part = min(abs(lot.qty), left).copy_sign(lot.qty)
            share = lot.basis if part == lot.qty else (lot.basis * part / lot.qty).quantize(_EXACT)
            taken.append(Lot(part, share, lot.opened))
            left -= abs(part)
            lot.qty, lot.basis = lot.qty - part, lot.basis - share
            if not lot.qty:
                _ = self.lots.popleft()
        return taken


@final
class Ledger:
    """Books moves in the order given and knows the positions that remain."""

    def __init__(self) -> None:
        self.positions: dict[tuple[str, int], Position] = {}
        self._premiums: dict[int, Decimal] = {}
        self._fees: dict[int, Decimal] = {}

    def book(self, move: Move) -> Entry:
        """Close the oldest lots first, then open with what is left."""
        key = (move.account_id, move.source.contract.conid)
        position = self.positions.setdefault(key, Position(move.source.contract))
        if move.cancels is not None:
            return self._undo(position, move, move.cancels)
        net = move.proceeds + move.commission + move.taxes
        taken = position.take(move.qty)
        gone = sum((lot.qty for lot in taken), _ZERO)
        basis = sum((lot.basis for lot in taken), _ZERO)
        opened = move.qty + gone
        net_opened = (net * opened / move.qty).quantize(_EXACT) if gone and opened else (net if opened else _ZERO)
        carried = self._carried(move)
        carried_opened = (carried * opened / move.qty).quantize(_EXACT) if opened else _ZERO
        if opened:
            kept_fee = self._fees.pop(move.rebooks, _ZERO) if move.rebooks is not None else _ZERO
            position.put(Lot(opened, -net_opened - carried_opened - kept_fee, move))
        realized = net - net_opened - basis + carried - carried_opened if gone else _ZERO
        if self._carries(move):
            self._premiums[move.transaction_id] = realized
            realized = _ZERO
        effect = "C;O" if gone and opened else "C" if gone else "O"
        return Entry(move, -basis - net_opened, realized, effect, _pieces(taken, basis, realized))

    def _undo(self, position: Position, move: Move, original: int) -> Entry:
        """Take the lot of a cancelled execution away; nothing was closed from it."""
        lot = next(held for held in position.lots if held.opened.transaction_id == original)
        position.lots.remove(lot)
        self._fees[original] = lot.opened.commission + lot.opened.taxes
        return Entry(move, -move.proceeds, _ZERO, "")

    def _carried(self, move: Move) -> Decimal:
        related = move.source.related if isinstance(move.source, Event) else None
        return self._premiums.pop(related, _ZERO) if related is not None else _ZERO

    @staticmethod
    def _carries(move: Move) -> bool:
        return (
            isinstance(move.source, Event)
            and move.source.kind in (TradeKind.ASSIGNMENT, TradeKind.EXERCISE)
            and move.source.related is None
        )


def trade_id_of(transaction_id: int) -> str:
    """The tradeID that belongs to an execution or book trade."""
    return str(transaction_id // 3 - 9_000_000_000)


def _pieces(taken: Sequence[Lot], basis: Decimal, realized: Decimal) -> tuple[Piece, ...]:
    """The gain spread over the closed parts by quantity beside their own basis; the last one takes the rest."""
    if not taken:
        return ()
    gone = sum((lot.qty for lot in taken), _ZERO)
    before_basis = realized + basis if realized else _ZERO
    pieces: list[Piece] = []
    left = realized
    for lot in taken[:-1]:
        gain = (before_basis * lot.qty / gone).quantize(_EXACT) - lot.basis if realized else _ZERO
        pieces.append(Piece(lot.opened, lot.qty, lot.basis, gain))
        left -= gain
    return (*pieces, Piece(taken[-1].opened, taken[-1].qty, taken[-1].basis, left))


def moves_of(scenario: Scenario) -> list[Move]:
    """All IB executions and book trades, in the order in which they are booked."""
    members: dict[int, list[int]] = defaultdict(list)
    orders = [o for o in scenario.orders if o.broker == Broker.IB]
    for order in sorted(orders, key=lambda o: o.number):
        if order.combo is not None:
            members[order.combo].append(order.number)
    moves = [m for order in orders for m in _executions(order, members)]
    moves += [
        Move(e.event_id, e.account_id, e, None, "", _reported(e.trade_date, scenario.end))
        for e in scenario.events
        if e.broker == Broker.IB
    ]
    return sorted(moves, key=lambda m: (m.source.at, m.transaction_id))


def _executions(order: ScenarioOrder, members: Mapping[int, list[int]]) -> Iterable[Move]:
    """Legs of a combination share session and sequence and count from 02; 01 is the combination itself."""
    together = members[order.combo] if order.combo is not None else []
    leg = together.index(order.number) + 2 if together else 1
    first = together[0] if together else order.number
    session = "0000e0d5" if order.contract.market == "US" else "00018a3c"
    for part, fill in enumerate(order.fills):
        exec_id = f"{session}.{0x68A00000 + first * 8 + part:08x}.{leg:02d}.01"
        yield Move(fill.fill_id, order.account_id, fill, order, exec_id, fill.trade_date)


def _reported(trade_date: date, end: date) -> date:
    """A Friday's expiry stands in Monday's statement, unless the scenario ends before."""
    monday = trade_date + timedelta(3)
    return monday if trade_date.weekday() == _WEEKEND - 1 and monday <= end else trade_date
