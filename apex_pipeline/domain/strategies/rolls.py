"""Readings that roll: a close together with openings of the same right, side and size in other contracts."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from math import log

from apex_pipeline.domain.strategies.holdings import CALL, PUT, OpenStrategy, Term
from apex_pipeline.domain.strategies.readings import (
    SINGLE_NAMES,
    Node,
    Reading,
    Situation,
    mask_of,
    name_of,
    pace,
    when,
)
from apex_pipeline.domain.strategies.taxonomy import CUSTOM_MULTI_LEG

_WAYS = 64
"""Ways of choosing equal orders for the legs of one roll that are looked at, the earliest first."""
_UNEQUAL_MOVE = -2.0
"""Log-weight of each further move: legs of a rolled strategy mostly move alike."""
_ROLLS_OF_TWO: Mapping[str, str] = {"vertical": "VERTICAL_ROLL", "straddle": "STRADDLE_ROLL"}


def rolls(ends: Sequence[Reading], opening: Sequence[Node], situation: Situation) -> Iterator[Reading]:
    """Each close together with openings of the same right, side and size in other contracts."""
    terms = situation.holdings.terms
    fresh = [node for node in opening if node.pending is None and not node.contrary]
    nodes = [node for node in fresh if terms[node.parts[0].contract].kind in (CALL, PUT)]
    if not nodes:
        return
    for end in ends:
        held = _held(end)
        if any(terms[contract].kind not in (CALL, PUT) for contract in held):
            continue
        options = [[node for node in nodes if _moves(contract, qty, node, terms)] for contract, qty in held.items()]
        for chosen in islice(product(*options), _WAYS):
            if len({node.mask for node in chosen}) == len(chosen):
                yield _roll(end, list(held), chosen, situation)


def _moves(contract: int, qty: int, node: Node, terms: Sequence[Term]) -> bool:
    """Whether a node opens as much of the same right in another contract."""
    other, opened = node.legs[0]
    return opened == qty and other != contract and terms[other].kind == terms[contract].kind


def _held(end: Reading) -> dict[int, int]:
    """What a close ends, by contract: ordered quantities with the sign of the position."""
    held: dict[int, int] = {}
    for part in end.parts:
        held[part.contract] = held.get(part.contract, 0) - part.sign * part.qty
    return held


def _roll(end: Reading, closed: Sequence[int], chosen: Sequence[Node], situation: Situation) -> Reading:
    terms, holdings, logs = situation.holdings.terms, situation.holdings, situation.logs
    opening = tuple(part for node in chosen for part in node.parts)
    parts = tuple(sorted((*end.parts, *opening), key=when))
    origin = end.origin
    complete = origin is not None and len(closed) == len(origin.legs)
    weight = (logs.roll if complete else logs.roll_leg) + logs.rolled_contract + pace(parts, logs)
    weight += situation.starts[parts[0].order] - log(max(1, len(holdings.strategies(holdings.by_contract))))
    moves = {
        (terms[node.legs[0][0]].strike - terms[old].strike, terms[node.legs[0][0]].expiry - terms[old].expiry)
        for old, node in zip(closed, chosen, strict=True)
    }
    weight += _UNEQUAL_MOVE * (len(moves) - 1)
    weight += logs.split * (len(opening) - len(chosen))
    carried = _carried(end)
    name = _resulting(origin, closed, chosen, carried, situation)
    return Reading(
        end.mask | mask_of(chosen),
        weight,
        "ROLL",
        "ROLL",
        parts,
        opening,
        end.taken,
        origin,
        name,
        end.rivals,
        end.units,
        (),
        carried,
    )


def _carried(end: Reading) -> dict[int, int]:
    """The legs of the closed strategy that stay, as far as they belong to what is closed."""
    origin = end.origin
    if origin is None:
        return {}
    closed = {contract: qty for _, contract, qty in end.taken}
    _, contract, qty = end.taken[0] if end.taken else (None, 0, 0)
    whole = origin.legs.get(contract, 0)
    if not qty or not whole or len(closed) == len(origin.legs):
        return {}
    return {other: held * -qty // whole for other, held in origin.legs.items() if other not in closed}


def _resulting(
    origin: OpenStrategy | None,
    closed: Sequence[int],
    chosen: Sequence[Node],
    carried: Mapping[int, int],
    situation: Situation,
) -> str:
    """A covered call stays one when its call moves; all else is named by what is held of it afterwards."""
    if origin is not None and origin.covered and origin.strategy_type == "COVERED_CALL" and len(closed) == 1:
        return "COVERED_CALL"
    terms = situation.holdings.terms
    legs = [*(leg for node in chosen for leg in node.legs), *carried.items()]
    if len(legs) == 1:
        return SINGLE_NAMES[terms[legs[0][0]].kind, legs[0][1] > 0]
    match = name_of(legs, terms, situation.spot)
    return match.shape.id if match else CUSTOM_MULTI_LEG


def rolled(reading: Reading, terms: Sequence[Term]) -> str:
    """ROLL_UP_OUT and its like for one leg: the move in strike, then in expiry; else what kind of roll it was."""
    closed = sorted({contract for _, contract, _ in reading.taken})
    opened = sorted({part.contract for part in reading.opening})
    if len(closed) != 1 or len(opened) != 1:
        return _ROLLS_OF_TWO.get(_sides(closed, reading, terms), "SPREAD_ROLL") if len(closed) == 2 else "SPREAD_ROLL"
    before, after = terms[closed[0]], terms[opened[0]]
    strike = "" if before.strike == after.strike else "_UP" if after.strike > before.strike else "_DOWN"
    expiry = "" if before.expiry == after.expiry else "_OUT" if after.expiry > before.expiry else "_IN"
    return f"ROLL{strike}{expiry}"


def _sides(closed: Sequence[int], reading: Reading, terms: Sequence[Term]) -> str:
    kinds = {terms[contract].kind for contract in closed}
    signs = {qty > 0 for _, _, qty in reading.taken}
    if len(kinds) == 1:
        return "vertical" if len(signs) == 2 else "same"
    return "straddle" if len({terms[contract].strike for contract in closed}) == 1 else "spread"
