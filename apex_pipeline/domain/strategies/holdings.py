"""What one account holds of one underlying, as open strategies, replayed in time.

Quantities are whole numbers of units of the underlying (one US contract is 100), signed: positive long,
negative short. Contracts are numbers that the replay gives them; `Term` says what they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

STOCK, CALL, PUT, OTHER = 0, 1, 2, 3
"""Kinds of contract. OTHER takes part in no shape."""

NEVER = 10**9
"""A day number after every expiry."""


@dataclass(frozen=True, slots=True)
class Term:
    """A contract of the underlying.

    `strike` is on the replay's own scale, `expiry` a day number, `lot` units of the underlying per contract;
    `future`: the underlying itself is a future.
    """

    symbol: str
    kind: int
    strike: int = 0
    expiry: int = NEVER
    lot: int = 1
    future: bool = False


@dataclass(slots=True, eq=False)
class OpenStrategy:
    """What is left of a strategy; `strategy_type` None: not known, it was there before the history.

    `ratio` is what one unit of it was meant to hold, by contract, and `size` the number of those contracts:
    with fewer left, its name no longer fits. `covered`: its short calls stand on stock. `sure`: how probable
    the reading is that opened it.
    """

    group: int | None
    chain: int | None
    strategy_type: str | None
    legs: dict[int, int]
    ratio: Mapping[int, int]
    covered: bool
    number: int
    sure: float = 1.0
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = len(self.ratio)

    @property
    def whole(self) -> bool:
        """Whether it still has every contract that it was opened with."""
        return len(self.legs) == self.size


class Holdings:
    """The open strategies of one account and underlying, oldest first."""

    def __init__(self, terms: list[Term]) -> None:
        self.terms = terms
        self.by_contract: dict[int, list[OpenStrategy]] = {}
        self._count = 0
        self._next_expiry = NEVER

    def closable(self, contract: int, sign: int) -> int:
        """How many units an order of this side can close of the contract."""
        held = 0
        for item in self.by_contract.get(contract, ()):
            qty = item.legs[contract]
            if (qty > 0) != (sign > 0):
                held += abs(qty)
        return held

    def open(
        self,
        legs: Mapping[int, int],
        ratio: Mapping[int, int],
        strategy: tuple[int | None, int | None, str | None],
        *,
        covered: bool,
        sure: float = 1.0,
    ) -> OpenStrategy:
        """Enter a strategy: the group that opened it, the first group of its chain, and its type."""
        self._count += 1
        item = OpenStrategy(*strategy, dict(legs), ratio, covered, self._count, sure)
        for contract in item.legs:
            self.by_contract.setdefault(contract, []).append(item)
            self._next_expiry = min(self._next_expiry, self.terms[contract].expiry)
        return item

    def reduce(self, item: OpenStrategy, contract: int, qty: int) -> None:
        """Take a signed quantity out of one leg; no more than is there, the leg goes when nothing is left."""
        left = item.legs[contract] + qty
        if left and (left > 0) == (item.legs[contract] > 0):
            item.legs[contract] = left
            return
        del item.legs[contract]
        rest = [other for other in self.by_contract[contract] if other is not item]
        if rest:
            self.by_contract[contract] = rest
        else:
            del self.by_contract[contract]

    def take(self, preferred: OpenStrategy, contract: int, qty: int) -> None:
        """Reduce what is held of a contract, this strategy first, then the oldest: two closes may want the same one."""
        self._reduce([preferred, *self.by_contract.get(contract, ())], contract, qty)

    def expire(self, today: int) -> None:
        """Drop what expired before this day, whether or not the broker's entry of it is there."""
        if self._next_expiry >= today:
            return
        for contract in [number for number in self.by_contract if self.terms[number].expiry < today]:
            for item in self.by_contract.pop(contract):
                del item.legs[contract]
        self._next_expiry = min((self.terms[number].expiry for number in self.by_contract), default=NEVER)

    def change(self, moves: Mapping[int, int]) -> None:
        """Changes of one instant that no order made: each reduces the oldest that hold it, the rest is of unknown type.

        Stock that comes as an option goes was delivered by it, and continues the option's chain.
        """
        chain: int | None = None
        left: dict[int, int] = {}
        for contract, qty in sorted(moves.items(), key=lambda move: self.terms[move[0]].kind == STOCK):
            items = list(self.by_contract.get(contract, ()))
            if self.terms[contract].kind in (CALL, PUT) and chain is None:
                chain = next((item.chain for item in items if (item.legs[contract] > 0) != (qty > 0)), None)
            left[contract] = self._reduce(items, contract, qty)
        for contract, qty in left.items():
            kind = self.terms[contract].kind
            # Whether an inherited short call is covered cannot be known; counting it so never frees stock twice.
            covered = qty < 0 and kind == CALL
            known = kind == STOCK and chain is not None
            name = ("LONG_STOCK" if qty > 0 else "SHORT_STOCK") if known else None
            if qty:
                self.open({contract: qty}, {contract: qty}, (None, chain if known else None, name), covered=covered)

    def _reduce(self, items: Iterable[OpenStrategy], contract: int, qty: int) -> int:
        """Take from these in turn what opposes the quantity; returns what is left of it."""
        left = qty
        for item in items:
            held = item.legs.get(contract, 0)
            if left and held and (held > 0) != (left > 0):
                amount = min(abs(left), abs(held)) * (1 if left > 0 else -1)
                self.reduce(item, contract, amount)
                left -= amount
        return left

    def free_stock(self) -> int:
        """Long units of the underlying that no short call stands on; never below zero."""
        stock = committed = 0
        for contract, items in self.by_contract.items():
            kind = self.terms[contract].kind
            if kind == STOCK:
                stock += sum(item.legs[contract] for item in items)
            elif kind == CALL:
                committed -= sum(item.legs[contract] for item in items if item.covered and item.legs[contract] < 0)
        return max(0, stock - committed)

    def strategies(self, contracts: Iterable[int]) -> list[OpenStrategy]:
        """The open strategies that hold any of these contracts, oldest first."""
        found = {item.number: item for contract in contracts for item in self.by_contract.get(contract, ())}
        return [found[number] for number in sorted(found)]
