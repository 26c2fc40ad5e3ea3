"""What some positions of a book may be together: their proportions that have a name, and what a group of them costs.

Contracts are places here, amounts are unsigned and in units of the underlying. Signs never change while a
book is divided, so every proportion is named once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from math import gcd

from apex_pipeline.domain.strategies.holdings import CALL, PUT, STOCK, Term
from apex_pipeline.domain.strategies.readings import WHOLE, name_of, shape_signatures, signature
from apex_pipeline.domain.strategies.taxonomy import taxonomy

Cost = tuple[int, int, int, int]
"""Groups in tenths, uncovered sold contracts, minus specificity times contracts, distance between strikes."""

_LARGEST = max(shape.contracts for shape in taxonomy().shapes.values())
_MOST_SPECIFIC = max(shape.specificity for shape in taxonomy().shapes.values())
_RATIOS = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Pattern:
    """Some places in a proportion that has a name. `parts` are what one unit takes; `named` units are in it."""

    strategy_type: str
    named: int
    mask: int
    parts: tuple[tuple[int, int], ...]
    unit_cost: Cost

    def cost(self, units: int) -> Cost:
        """What a group of so many units costs; groups and width do not grow with it."""
        groups, uncovered, specific, width = self.unit_cost
        return groups, uncovered * units, specific * units, width


class Patterns:
    """Every pattern of a book, by its first place. `signs` are those of the positions."""

    def __init__(self, terms: Sequence[Term], signs: Sequence[int]) -> None:
        self._terms, self._signs = terms, signs
        self._whole: dict[tuple[tuple[int, int], ...], Pattern | None] = {}
        self.starting: list[list[Pattern]] = [[] for _ in terms]
        self._open: list[list[tuple[int, ...]]] = [[] for _ in terms]
        for count in range(_LARGEST, 1, -1):
            for places in combinations(range(len(terms)), count):
                self._add(places)

    def at(self, first: int, live: int, left: Sequence[int]) -> Iterator[Pattern]:
        """Patterns of places that are live, from `first` on; those of all that is left where a shape is open to it."""
        for pattern in self.starting[first]:
            if pattern.mask & ~live == 0:
                yield pattern
        for places in self._open[first]:
            if all(left[place] for place in places):
                pattern = self._of_all(places, left)
                if pattern is not None:
                    yield pattern

    def masks(self) -> list[tuple[int, int]]:
        """The places of every group that there can be, with the least that it costs in groups."""
        found: dict[int, int] = {}
        for pattern in (pattern for patterns in self.starting for pattern in patterns):
            found[pattern.mask] = min(found.get(pattern.mask, pattern.unit_cost[0]), pattern.unit_cost[0])
        for places in (places for some in self._open for places in some):
            found[sum(1 << place for place in places)] = 10
        return sorted(found.items())

    def most_specific(self) -> list[int]:
        """By place, the most that one contract can take off the third part of a cost; 0 for stock."""
        best = [0 for _ in self._terms]
        for pattern in (pattern for patterns in self.starting for pattern in patterns):
            for place, _ in pattern.parts:
                best[place] = min(best[place], -taxonomy().shapes[pattern.strategy_type].specificity)
        for place in (place for some in self._open for places in some for place in places):
            best[place] = -_MOST_SPECIFIC
        return [0 if term.kind == STOCK else most for term, most in zip(self._terms, best, strict=True)]

    def _add(self, places: tuple[int, ...]) -> None:
        total = sum(signature(self._terms[place], self._signs[place]) for place in places)
        if total not in WHOLE:
            return
        fixed = _fixed_ratios().get(total)
        lot = next(self._terms[place].lot for place in places if self._terms[place].kind != STOCK)
        for ratio in product(_RATIOS, repeat=len(places)):
            if gcd(*ratio) == 1 and (fixed is None or tuple(sorted(ratio)) in fixed):
                pattern = self._named(tuple((place, part * lot) for place, part in zip(places, ratio, strict=True)))
                if pattern is not None:
                    self.starting[places[0]].append(pattern)
        if fixed is None:
            self._open[places[0]].append(places)

    def _of_all(self, places: Sequence[int], left: Sequence[int]) -> Pattern | None:
        """Everything that is left at these places, unless it is one of the small proportions."""
        lot = next(self._terms[place].lot for place in places if self._terms[place].kind != STOCK)
        unit = gcd(*(left[place] for place in places))
        if all(left[place] // unit in _RATIOS for place in places) and unit % lot == 0:
            return None
        parts = tuple((place, left[place]) for place in places)
        if parts not in self._whole:
            self._whole[parts] = self._named(parts)
        return self._whole[parts]

    def _named(self, parts: tuple[tuple[int, int], ...]) -> Pattern | None:
        legs = [(place, self._signs[place] * part) for place, part in parts]
        match = name_of(legs, self._terms)
        if match is None:
            return None
        mask = sum(1 << place for place, _ in parts)
        return Pattern(match.shape.id, match.units, mask, parts, self._cost(match.shape.id, dict(legs)))

    def _cost(self, name: str, legs: Mapping[int, int]) -> Cost:
        options = [self._terms[place] for place in legs if self._terms[place].kind != STOCK]
        expiries, strikes, lot = {term.expiry for term in options}, [term.strike for term in options], options[0].lot
        groups = 10 + 3 * (len(expiries) - 1) + (12 if _is_leftover(name) else 0)
        contracts = sum(abs(qty) for place, qty in legs.items() if self._terms[place].kind != STOCK) // lot
        specific = taxonomy().shapes[name].specificity * contracts
        return groups, -(-self._uncovered(legs) // lot), -specific, max(strikes) - min(strikes)

    def _uncovered(self, legs: Mapping[int, int]) -> int:
        """Sold units with neither a bought option of the same right that lives as long nor stock to deliver."""
        total = 0
        for kind, delivered in ((CALL, 1), (PUT, -1)):
            stock = sum(qty * delivered for place, qty in legs.items() if self._terms[place].kind == STOCK)
            total += _short(max(0, stock), [(self._terms[p].expiry, q) for p, q in legs.items() if self._is(p, kind)])
        return total

    def _is(self, place: int, kind: int) -> bool:
        return self._terms[place].kind == kind


def _short(cover: int, legs: Sequence[tuple[int, int]]) -> int:
    """What of the sold is left when cover, then what is bought for long enough, is used up; (expiry, quantity) each."""
    total = 0
    bought = sorted(leg for leg in legs if leg[1] > 0)
    for expiry, qty in sorted(leg for leg in legs if leg[1] < 0):
        need = max(0, -qty - cover)
        cover = max(0, cover + qty)
        for place, (until, amount) in enumerate(bought):
            used = min(need, amount) if until >= expiry else 0
            bought[place] = until, amount - used
            need -= used
        total += need
    return total


@cache
def _fixed_ratios() -> Mapping[int, frozenset[tuple[int, ...]] | None]:
    """By signature, the proportions of its shapes in ascending order; None where a shape leaves them open."""
    found: dict[int, frozenset[tuple[int, ...]] | None] = {}
    for total, shape in shape_signatures():
        ratios = [leg.ratio for leg in shape.legs] + ([shape.stock.ratio] if shape.stock else [])
        whole = [ratio for ratio in ratios if isinstance(ratio, int)]
        before = found.get(total, frozenset[tuple[int, ...]]())
        fits = before is not None and len(whole) == len(ratios)
        found[total] = before | {tuple(sorted(whole))} if before is not None and fits else None
    return found


def _is_leftover(name: str) -> bool:
    """Shapes that almost any odd remainder fits; as positions they are the last resort."""
    return "UNBALANCED" in name or name in ("PARTIAL_COVERED_CALL", "RATIO_COVERED_CALL")
