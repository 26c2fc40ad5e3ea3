"""Readings that open something: single orders, and every set of legs that has a name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd, log

from apex_pipeline.domain.strategies.holdings import STOCK
from apex_pipeline.domain.strategies.readings import (
    BEGUN,
    SINGLE_NAMES,
    WHOLE,
    Node,
    Reading,
    Situation,
    mask_of,
    name_of,
    pace,
)
from apex_pipeline.domain.strategies.taxonomy import UNCLASSIFIED, taxonomy

_LARGEST_RATIO = 3
"""Exchanges take complex orders up to three to one (Cboe); wider ratios of unlinked orders are rarely one idea."""
_LEGS_AT_MOST = 5
_REACHED = WHOLE | BEGUN
_NEGLIGIBLE = 0.001
_READINGS = 150
"""Readings that begin with one order and are looked at; only a crowd of like orders has more."""
_CONTRARY = -4.0
"""Log-weight of opening a leg in a contract that is held the other way, for each such leg."""


def openings(nodes: Sequence[Node], situation: Situation) -> list[Reading]:
    """Every reading of nodes in time order that opens something."""
    alone = (node for node in nodes if node.pending is None and not node.contrary)
    found = [reading for node in alone for reading in _alone(node, situation)]
    search = _Search(nodes, _compatible(nodes), situation, found)
    for index, node in enumerate(nodes):
        if search.compatible[index]:
            search.extend([node], search.compatible[index], node.signature, len(found) + _READINGS)
    if situation.unseen > _NEGLIGIBLE:
        found += [other for reading in found for other in _unseen(reading, situation)]
    return found


@dataclass(frozen=True, slots=True)
class _Search:
    """A walk over sets of nodes that may all be legs of one shape; `compatible` has the later partners as bits."""

    nodes: Sequence[Node]
    compatible: Sequence[int]
    situation: Situation
    found: list[Reading]

    def extend(self, chosen: list[Node], allowed: int, total: int, most: int) -> None:
        """Add every reading of these nodes with further ones, until there are `most` in all."""
        while allowed and len(self.found) < most:
            bit = allowed & -allowed
            allowed ^= bit
            index = bit.bit_length() - 1
            grown = total + self.nodes[index].signature
            if grown not in _REACHED:
                continue
            together = [*chosen, self.nodes[index]]
            if grown in WHOLE and (reading := _opening(together, self.situation)) is not None:
                self.found.append(reading)
            further = allowed & self.compatible[index]
            if further and grown in BEGUN and len(together) < _LEGS_AT_MOST:
                self.extend(together, further, grown, most)


def _compatible(nodes: Sequence[Node]) -> list[int]:
    """For each node, as bits, the later nodes that may be legs beside it."""
    compatible: list[int] = []
    for index, one in enumerate(nodes):
        bits = 0
        for other in range(index + 1, len(nodes)):
            two = nodes[other]
            if not one.mask & two.mask and _beside(one.legs, two.legs) and one.signature + two.signature in _REACHED:
                bits |= 1 << other
        compatible.append(bits)
    return compatible


def _beside(one: Sequence[tuple[int, int]], two: Sequence[tuple[int, int]]) -> bool:
    for contract, qty in one:
        for other, further in two:
            if contract == other:
                return False
            unit = gcd(qty, further) * _LARGEST_RATIO
            if abs(qty) > unit or abs(further) > unit:
                return False
    return True


def _alone(node: Node, situation: Situation) -> Iterator[Reading]:
    """One leg by itself; a call sold against free stock is a covered call."""
    part, logs = node.parts[0], situation.logs
    term = situation.holdings.terms[part.contract]
    qty = abs(node.legs[0][1])
    name = SINGLE_NAMES.get((term.kind, part.sign > 0))
    units = max(1, qty // term.lot)
    weight = situation.starts[part.order] + logs.size(units)
    if len(node.parts) > 1:
        weight += logs.split + logs.span(2, node.parts[1].at - part.at)
    if name is None:
        yield Reading(node.mask, weight + logs.contract, "OPEN", UNCLASSIFIED, node.parts, node.parts)
        return
    if name == "SHORT_CALL" and 0 < qty <= situation.free_stock:
        yield Reading(
            node.mask,
            weight + logs.overwrite,
            "OPEN",
            "COVERED_CALL",
            node.parts,
            node.parts,
            resulting="COVERED_CALL",
            rivals=(name,),
            units=units,
        )
        return
    rivals = ("RATIO_COVERED_CALL",) if name == "SHORT_CALL" and situation.free_stock else ()
    weight += logs.openings[name]
    yield Reading(node.mask, weight, "OPEN", name, node.parts, node.parts, resulting=name, rivals=rivals, units=units)


def _opening(chosen: Sequence[Node], situation: Situation) -> Reading | None:
    """Legs that form a shape, weighed; None when they form none."""
    match = name_of([leg for node in chosen for leg in node.legs], situation.holdings.terms, situation.spot)
    if match is None:
        return None
    logs = situation.logs
    joined = tuple(node.pending for node in chosen if node.pending is not None)
    if all(node.contrary or node.pending is not None for node in chosen):
        return None
    parts = tuple(part for node in chosen for part in node.parts)
    weight = logs.openings[match.shape.id] + logs.size(match.units) + pace(parts, logs)
    weight += joined[0].start if joined else situation.starts[chosen[0].parts[0].order]
    for node in chosen:
        weight += _CONTRARY * node.contrary
        if node.pending is None:
            weight += logs.split * (len(node.parts) - 1)
        else:
            weight -= node.pending.log
    name = match.shape.id
    return Reading(
        mask_of(chosen), weight, "OPEN", name, parts, parts, (), None, name, match.rivals, match.units, joined
    )


def _unseen(reading: Reading, situation: Situation) -> Iterator[Reading]:
    """The same orders as the close or roll of something that was held before the history begins."""
    if reading.joined or reading.strategy_type == UNCLASSIFIED:
        return
    logs, terms = situation.logs, situation.holdings.terms
    certain = reading.log - logs.openings[reading.strategy_type] + log(situation.unseen)
    closed = _INVERSE.get(reading.strategy_type)
    if closed is not None:
        weight = certain + logs.close + logs.openings[closed]
        yield replace(
            reading,
            log=weight,
            action="CLOSE",
            strategy_type=closed,
            opening=(),
            resulting=None,
            rivals=(),
            unseen=True,
        )
    if len(reading.parts) != 2 or terms[reading.parts[0].contract].kind != terms[reading.parts[1].contract].kind:
        return
    for old, new in (reading.parts, reversed(reading.parts)):
        if old.sign != new.sign and old.qty == new.qty and terms[old.contract].kind != STOCK:
            held = SINGLE_NAMES[terms[new.contract].kind, new.sign > 0]
            weight = certain + logs.roll + logs.openings[held] + logs.rolled_contract
            rivals = (reading.strategy_type,)
            yield replace(
                reading,
                log=weight,
                action="ROLL",
                strategy_type="ROLL",
                opening=(new,),
                resulting=held,
                rivals=rivals,
                unseen=True,
            )


_INVERSE: Mapping[str, str] = {
    item.id: item.inverse for item in taxonomy().shapes.values() if item.inverse is not None
} | {one: SINGLE_NAMES[kind, not bought] for (kind, bought), one in SINGLE_NAMES.items()}
"""What a shape closes when its orders are closing ones."""
