"""What one account holds: every contract by the strategy it was opened for, and the stock that is free.

Quantities are signed whole numbers: contracts for options, shares for stock.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random

from apex_pipeline.domain.flows.market import STOCK, Contract

OVERWRITE = "COVERED_CALL"
PLAIN_STOCK = "LONG_STOCK"


@dataclass(slots=True, eq=False)
class Lot:
    """One open strategy, or what is left of it.

    `unit` are the legs of one unit as opened, `legs` what is held now; `ready_at` is its last fill. `size` is
    how many contracts it had when opened: with fewer left its name no longer holds.
    """

    type: str
    underlying: str
    unit: Mapping[Contract, int]
    legs: dict[Contract, int]
    ready_at: datetime
    tags: frozenset[str] = frozenset()

    @property
    def whole(self) -> bool:
        """Whether every contract it was opened with is still held."""
        return len(self.legs) == len(self.unit)

    @property
    def units(self) -> int:
        """How many even units are held; 0 when the legs are out of proportion."""
        if not self.whole:
            return 0
        sizes = {self.legs[contract] / qty for contract, qty in self.unit.items()}
        size = sizes.pop()
        return int(size) if not sizes and size == int(size) else 0

    @property
    def is_stock(self) -> bool:
        """Whether nothing but stock is held long, under whatever name it came."""
        return len(self.legs) == 1 and all(leg.kind == STOCK and qty > 0 for leg, qty in self.legs.items())

    @property
    def is_overwrite(self) -> bool:
        """Whether it is a call sold alone against stock of another lot."""
        return self.type == OVERWRITE and len(self.unit) == 1


@dataclass(slots=True)
class Holdings:
    """The open lots of one account per underlying, and the net of every contract."""

    lots: defaultdict[str, list[Lot]] = field(default_factory=lambda: defaultdict(list))
    net: defaultdict[Contract, int] = field(default_factory=lambda: defaultdict(int))
    traded: dict[tuple[Contract, bool], datetime] = field(default_factory=dict[tuple[Contract, bool], datetime])

    def enter(self, lot: Lot) -> None:
        """Add an open strategy; one without any contract is nothing."""
        if lot.legs:
            self.lots[lot.underlying].append(lot)
            for contract, qty in lot.legs.items():
                self.net[contract] += qty

    def reduce(self, lot: Lot, contract: Contract, qty: int) -> None:
        """Take a signed trade out of a lot; what is empty goes."""
        self.net[contract] += qty
        lot.legs[contract] += qty
        if not lot.legs[contract]:
            del lot.legs[contract]
        if not lot.legs:
            self.lots[lot.underlying].remove(lot)

    def note_trade(self, contract: Contract, qty: int, at: datetime, *, closing: bool) -> None:
        """Remember when a contract was last bought or sold; a close keeps both sides from being opened at once."""
        for bought in {qty > 0, (qty > 0) is not closing}:
            self.traded[contract, bought] = max(at, self.traded.get((contract, bought), at))

    def opposes(self, contract: Contract, qty: int) -> bool:
        """Whether such a trade would go against what is held."""
        return self.net[contract] * qty < 0

    def turned(self, contract: Contract, qty: int, at: datetime, hold: timedelta) -> bool:
        """Whether the contract was traded the other way less than `hold` before that instant."""
        other = self.traded.get((contract, qty < 0))
        return other is not None and at - other < hold

    def expired(self, day: date) -> list[tuple[Lot, Contract, int]]:
        """Every contract held whose last day lies before that day, with its lot and signed quantity."""
        held = [(lot, *leg) for lots in self.lots.values() for lot in lots for leg in lot.legs.items()]
        return [(lot, leg, qty) for lot, leg, qty in held if leg.expiry is not None and leg.expiry < day]

    def deliver(self, contract: Contract, qty: int, at: datetime, exercised: Lot) -> None:
        """Stock that comes or goes by exercise: out of lots of the other sign, the exercised one first.

        What no lot takes is a lot of its own.
        """
        for lot in sorted(self.lots[contract.underlying], key=lambda lot: lot is not exercised):
            held = lot.legs.get(contract, 0)
            if held * qty < 0:
                taken = min(abs(held), abs(qty)) * (1 if qty > 0 else -1)
                self.reduce(lot, contract, taken)
                qty -= taken
        if qty:
            name = PLAIN_STOCK if qty > 0 else "SHORT_STOCK"
            self.enter(Lot(name, contract.underlying, {contract: qty}, {contract: qty}, at))

    def draw(self, rng: Random, underlying: str | None, before: datetime) -> Lot | None:
        """A lot at random whose last fill lies before that instant, of one underlying or any; None if hard to find."""
        names = [underlying] if underlying is not None else [name for name, lots in self.lots.items() if lots]
        if not names:
            return None
        for _ in range(6):
            lots = self.lots[rng.choice(names)]
            if lots and (lot := rng.choice(lots)).ready_at < before:
                return lot
        return None

    def free_stock(self, underlying: str, at: datetime) -> int:
        """Shares that no strategy stands on, bought before that instant."""
        plain = sum(sum(lot.legs.values()) for lot in self.lots[underlying] if lot.is_stock and lot.ready_at < at)
        return plain - self._overwritten(underlying)

    def loose_stock(self, underlying: str) -> int:
        """Shares on which an observer could see a call stand: all long stock without the calls sold against it."""
        total = 0
        for lot in self.lots[underlying]:
            shares = sum(qty for contract, qty in lot.legs.items() if contract.kind == STOCK)
            total += shares if lot.is_stock else max(shares - _called(lot), 0)
        return total - self._overwritten(underlying)

    def stock_lots(self, underlying: str, before: datetime) -> Iterator[Lot]:
        """Lots of nothing but long stock."""
        return (lot for lot in self.lots[underlying] if lot.is_stock and lot.ready_at < before)

    def _overwritten(self, underlying: str) -> int:
        """Shares that calls stand on beyond the stock of their own lots."""
        return sum(_bare(lot) for lot in self.lots[underlying])


def _bare(lot: Lot) -> int:
    """Shares that the calls of an overwrite stand for, or those of a structure with too little stock."""
    stock = sum(qty for contract, qty in lot.legs.items() if contract.kind == STOCK)
    return max(_called(lot) - stock, 0) if lot.is_overwrite or stock > 0 else 0


def _called(lot: Lot) -> int:
    """Shares that the calls sold by a lot stand for."""
    return sum(-qty * contract.lot for contract, qty in lot.legs.items() if contract.kind == "call" and qty < 0)
