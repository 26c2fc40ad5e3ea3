"""Positions of one underlying to the strategies that they most likely are, with nothing known of the orders.

The best division has the fewest groups, then the fewest sold options that nothing covers, then the most
specific shapes, then the narrowest strikes. A group counts once however many units it has. Learnt from the
cases of public position matchers, which agree on this far more often than on any one order of definitions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from operator import mul

from apex_pipeline.domain.strategies.holdings import CALL, PUT, STOCK, Term
from apex_pipeline.domain.strategies.position_patterns import Cost, Patterns
from apex_pipeline.domain.strategies.readings import SINGLE_NAMES

_CONTRACTS_AT_MOST = 12
_MOVES_AT_MOST = 40_000
"""Groups that are looked at before the search takes the most promising one each time: half a second."""

Amounts = tuple[int, ...]
"""What is left of each contract, unsigned, by place."""


@dataclass(frozen=True, slots=True)
class PositionGroup:
    """Some of the positions under one name; `legs` are signed quantities by contract, None means no shape."""

    strategy_type: str | None
    units: int
    legs: Mapping[int, int]


def partition_positions(positions: Mapping[int, int], terms: Sequence[Term]) -> list[PositionGroup]:
    """Every position in groups, quantities preserved; positions are signed, in units of the underlying.

    Same positions, same groups, whatever their order. Up to twelve contracts are divided at once; the division
    is the best there is unless many sizes that fit nothing make the search endless. Larger books are divided
    expiry by expiry, each with the stock that is left by those before it; what stands alone in the end is
    divided once more, across expiries.
    """
    held = {contract: positions[contract] for contract in sorted(positions, key=_rank(terms)) if positions[contract]}
    if len(held) <= _CONTRACTS_AT_MOST:
        return _Search(held, terms, _MOVES_AT_MOST).best()
    found: list[PositionGroup] = []
    moves = _MOVES_AT_MOST * _CONTRACTS_AT_MOST // len(held)
    alone: dict[int, int] = {}
    stock = {contract: qty for contract, qty in held.items() if terms[contract].kind == STOCK}
    for part in _expiries(held, terms):
        groups = _Search(part | stock, terms, moves).best()
        found += [group for group in groups if len(group.legs) > 1]
        left = {contract: qty for group in groups if len(group.legs) == 1 for contract, qty in group.legs.items()}
        stock = {contract: qty for contract, qty in left.items() if terms[contract].kind == STOCK}
        alone |= {contract: qty for contract, qty in left.items() if contract not in stock}
    for part in _parts(sorted(alone | stock, key=_rank(terms)), _CONTRACTS_AT_MOST):
        found += _Search({contract: (alone | stock)[contract] for contract in part}, terms, moves).best()
    return found


def _rank(terms: Sequence[Term]) -> Callable[[int], tuple[int, int, int, int, str]]:
    """By expiry and strike, stock last: no answer may depend on the order of the rows."""
    return lambda contract: (
        terms[contract].expiry,
        terms[contract].strike,
        terms[contract].kind,
        terms[contract].lot,
        terms[contract].symbol,
    )


def _expiries(held: Mapping[int, int], terms: Sequence[Term]) -> Iterator[dict[int, int]]:
    """The options and whatever else is no stock, by expiry, with room for stock beside them."""
    others = [contract for contract in held if terms[contract].kind != STOCK]
    for _, some in groupby(others, key=lambda contract: terms[contract].expiry):
        for part in _parts(list(some), _CONTRACTS_AT_MOST - 1):
            yield {contract: held[contract] for contract in part}


def _parts(contracts: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(contracts), size):
        yield contracts[start : start + size]


@dataclass(frozen=True, slots=True)
class _Move:
    """One group taken out: what it costs, and what is left."""

    cost: Cost
    strategy_type: str | None
    units: int
    taken: tuple[tuple[int, int], ...]
    rest: Amounts


_Division = tuple[Cost, tuple[_Move, ...]]
_NOTHING: Cost = (0, 0, 0, 0)
_EVERYTHING: Cost = (10**9, 0, 0, 0)


class _Search:
    """Branch and bound over what is left of the positions.

    For each remainder its best division is remembered, or a cost that no division of it stays below.
    """

    def __init__(self, held: Mapping[int, int], terms: Sequence[Term], moves: int) -> None:
        self._left = moves
        self._contracts = list(held)
        self._terms = [terms[contract] for contract in held]
        self._signs = [1 if qty > 0 else -1 for qty in held.values()]
        self._amounts = tuple(abs(qty) for qty in held.values())
        self._patterns = Patterns(self._terms, self._signs)
        self._known: dict[Amounts, _Division] = {(0,) * len(held): (_NOTHING, ())}
        self._floors: dict[Amounts, Cost] = {}
        self._least = cache(self._least_groups)
        self._groups = self._patterns.masks()
        self._specific = self._patterns.most_specific()
        self._sold = self._sold_beyond(CALL, 1), self._sold_beyond(PUT, -1)
        lots = [term.lot for term in self._terms] or [1]
        self._smallest_lot, self._largest_lot = min(lots), max(lots)

    def best(self) -> list[PositionGroup]:
        """The groups of the best division."""
        division = self._best(self._amounts, _EVERYTHING)
        assert division is not None
        return [
            PositionGroup(
                move.strategy_type,
                move.units,
                {self._contracts[place]: self._signs[place] * amount for place, amount in move.taken},
            )
            for move in division[1]
        ]

    def _best(self, left: Amounts, limit: Cost) -> _Division | None:
        """The best division of what is left that costs less than `limit`, if there is one."""
        known = self._known.get(left)
        if known is not None:
            return known if known[0] < limit else None
        if limit <= self._floors.get(left, (-1, 0, 0, 0)):
            return None
        found: _Division | None = None
        for bound, move in self._moves(left):
            least = limit if found is None else found[0]
            if bound >= least or (self._left < 0 and found is not None):
                break
            further = self._best(move.rest, _minus(least, move.cost))
            if further is not None:
                found = _plus(move.cost, further[0]), (move, *further[1])
            if self._left < 0:
                break
        if found is None:
            self._floors[left] = limit
        else:
            self._known[left] = found
        return found

    def _moves(self, left: Amounts) -> list[tuple[Cost, _Move]]:
        """Groups that hold the first position that is left, by the least cost that they may lead to."""
        live = _mask(left)
        first = (live & -live).bit_length() - 1
        moves = [self._single(first, left)]
        for pattern in self._patterns.at(first, live, left):
            units = min(left[place] // part for place, part in pattern.parts)
            if units:
                taken = tuple((place, part * units) for place, part in pattern.parts)
                rest = _without(left, taken)
                moves.append(_Move(pattern.cost(units), pattern.strategy_type, units * pattern.named, taken, rest))
        self._left -= len(moves)
        bounded = [(_plus(move.cost, self._bound(move.rest)), move) for move in moves]
        return sorted(bounded, key=lambda item: (item[0], item[1].taken))

    def _single(self, place: int, left: Amounts) -> _Move:
        term, amount, bought = self._terms[place], left[place], self._signs[place] > 0
        uncovered = 0 if bought or term.kind not in (CALL, PUT) else amount // term.lot
        name = SINGLE_NAMES.get((term.kind, bought))
        taken = ((place, amount),)
        return _Move((10, uncovered, 0, 0), name, max(1, amount // term.lot), taken, _without(left, taken))

    def _bound(self, left: Amounts) -> Cost:
        """Nothing that can be done with these amounts costs less."""
        sold = sum(max(0, sum(map(mul, left, weights))) for weights in self._sold)
        specific = sum(map(mul, left, self._specific))
        return self._least(_mask(left)), sold // self._largest_lot, specific // self._smallest_lot, 0

    def _sold_beyond(self, kind: int, deliverer: int) -> list[int]:
        """By place, what a unit adds to the sold options of a right that nothing held can cover."""
        return [
            -sign if term.kind == kind else -1 if term.kind == STOCK and sign == deliverer else 0
            for term, sign in zip(self._terms, self._signs, strict=True)
        ]

    def _least_groups(self, live: int) -> int:
        """No fewer groups, in tenths, can hold these places, whatever the amounts."""
        if not live:
            return 0
        first = live & -live
        least = 10 + self._least(live ^ first)
        for mask, cost in self._groups:
            if mask & first and mask & live != first and cost < least:
                least = min(least, cost + self._least(live & ~mask))
        return least


def _plus(one: Cost, other: Cost) -> Cost:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3]


def _minus(one: Cost, other: Cost) -> Cost:
    return one[0] - other[0], one[1] - other[1], one[2] - other[2], one[3] - other[3]


def _mask(left: Amounts) -> int:
    return sum(1 << place for place, amount in enumerate(left) if amount)


def _without(left: Amounts, taken: Sequence[tuple[int, int]]) -> Amounts:
    rest = list(left)
    for place, amount in taken:
        rest[place] -= amount
    return tuple(rest)
