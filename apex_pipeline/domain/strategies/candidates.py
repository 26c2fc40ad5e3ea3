"""Every reading of a run of orders: what opens, closes and rolls, from the parts in time order."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from apex_pipeline.domain.strategies.closings import closes, forced, opposed, taken, unwound
from apex_pipeline.domain.strategies.holdings import OpenStrategy, Term
from apex_pipeline.domain.strategies.openings import openings
from apex_pipeline.domain.strategies.readings import (
    BURST,
    Node,
    Part,
    Pending,
    Reading,
    Situation,
    name_of,
    signature,
)
from apex_pipeline.domain.strategies.rolls import rolls
from apex_pipeline.domain.strategies.taxonomy import CUSTOM_MULTI_LEG

_CONTRARY_RUN = 8
"""Parts of a run in which closing orders are also tried as openings; in a longer one chance makes too many."""


def all_readings(parts: Sequence[Part], pendings: Sequence[Pending], situation: Situation) -> list[Reading]:
    """Every reading of these parts in time order; the places of `pendings` come before those of `parts`."""
    terms = situation.holdings.terms
    opening: list[Node] = [_pending_node(1 << place, pending, terms) for place, pending in enumerate(pendings)]
    closing: list[Node] = []
    for place, part in enumerate(parts, len(pendings)):
        if part.closes:
            closing.append(Node(1 << place, (part,), ((part.contract, part.sign * part.qty),), 0))
        else:
            qty = part.sign * part.qty
            legs = ((part.contract, qty),)
            opening.append(Node(1 << place, (part,), legs, signature(terms[part.contract], qty)))
    if opening and len(parts) <= _CONTRARY_RUN:
        opening += _contrary(closing, terms)
    found: list[Reading] = []
    if opening:
        opening += _split_legs(opening)
        opening.sort(key=_time_of)
        found += openings(opening, situation)
    if closing:
        closing += _split_legs(closing)
        ends = closes(closing, situation)
        found += ends
        found += unwound(ends, closing, situation)
        found += rolls(ends, opening, situation)
        found += _unseen(closing, situation)
        found += forced(closing, found, situation)
    return found


def _contrary(closing: Sequence[Node], terms: Sequence[Term]) -> list[Node]:
    """Closing orders as legs of something new: a spread may stand beside another that holds the same contract."""
    return [
        Node(node.mask, node.parts, node.legs, signature(terms[contract], qty), contrary=True)
        for node in closing
        for contract, qty in node.legs
    ]


def _unseen(closing: Sequence[Node], situation: Situation) -> list[Reading]:
    """What the broker calls a close of contracts that are not held: named as the opening that was not seen."""
    terms = situation.holdings.terms
    nodes = [
        Node(node.mask, node.parts, ((contract, -qty),), signature(terms[contract], -qty))
        for node in sorted(closing, key=_time_of)
        for contract, qty in node.legs
        if not opposed(node.parts[0], situation.holdings)
    ]
    found = openings(nodes, situation) if nodes else []
    return [replace(reading, action="CLOSE", opening=(), resulting=None) for reading in found]


def unnamed(parts: Sequence[Part], situation: Situation) -> Reading:
    """Orders that belong together by the broker's word and form nothing that has a name as it stands.

    What they would open if nothing were held is named; else they are a custom combination. Whatever
    they close is taken from the open strategies.
    """
    terms, holdings = situation.holdings.terms, situation.holdings
    legs: dict[int, int] = {}
    for part in parts:
        legs[part.contract] = legs.get(part.contract, 0) + part.sign * part.qty
    meant = [(contract, qty) for contract, qty in legs.items() if qty]
    mask = (1 << len(parts)) - 1
    reduced: list[tuple[OpenStrategy, int, int]] = []
    for part in parts:
        if part.closes:
            node = Node(mask, (part,), ((part.contract, part.sign * part.qty),), 0)
            reduced += taken(opposed(part, holdings), [node])
    opening = tuple(part for part in parts if not part.closes)
    match = name_of(meant, terms, situation.spot)
    if not opening:
        undone = name_of([(contract, -qty) for contract, qty in meant], terms)
        name = undone.shape.id if undone else CUSTOM_MULTI_LEG
        origin = reduced[0][0] if reduced else None
        return Reading(mask, 0.0, "CLOSE", name, tuple(parts), (), tuple(reduced), origin)
    if match is not None and not reduced:
        name = match.shape.id
        return Reading(mask, 0.0, "OPEN", name, tuple(parts), opening, (), None, name, match.rivals, match.units)
    origin = reduced[0][0] if reduced else None
    name = match.shape.id if match else _without_shape(meant, terms)
    action = "ADJUST" if reduced and match is None else "OPEN"
    return Reading(mask, 0.0, action, name, tuple(parts), opening, tuple(reduced), origin, name, ())


def _without_shape(legs: Sequence[tuple[int, int]], terms: Sequence[Term]) -> str:
    """Two contracts of the underlying itself against each other are futures of different months."""
    outright = [qty for contract, qty in legs if terms[contract].future]
    return "FUTURES_CALENDAR" if len(outright) == len(legs) == 2 and not sum(outright) else CUSTOM_MULTI_LEG


def _time_of(node: Node) -> tuple[float, int]:
    return node.parts[0].at, node.mask


def _pending_node(mask: int, pending: Pending, terms: Sequence[Term]) -> Node:
    legs: dict[int, int] = {}
    for part in pending.parts:
        legs[part.contract] = legs.get(part.contract, 0) + part.sign * part.qty
    total = sum(signature(terms[contract], qty) for contract, qty in legs.items())
    return Node(mask, pending.parts, tuple(legs.items()), total, pending)


def _split_legs(nodes: Sequence[Node]) -> list[Node]:
    """Two orders of one side in one contract, close in time, as one leg."""
    found: list[Node] = []
    by_contract: dict[tuple[int, int], list[Node]] = {}
    for node in nodes:
        if node.pending is None and not node.contrary:
            by_contract.setdefault((node.parts[0].contract, node.parts[0].sign), []).append(node)
    for same in by_contract.values():
        for one, two in _neighbours(same):
            if two.parts[0].at - one.parts[0].at <= BURST:
                contract, qty = one.legs[0]
                legs = ((contract, qty + two.legs[0][1]),)
                found.append(Node(one.mask | two.mask, (*one.parts, *two.parts), legs, one.signature))
    return found


def _neighbours(nodes: Sequence[Node]) -> Iterator[tuple[Node, Node]]:
    """Each with the next two: what is further away was not the other half of one leg."""
    for index, one in enumerate(nodes):
        for two in nodes[index + 1 : index + 3]:
            yield one, two
