"""Readings that close something: open strategies whole, in part, or some of their legs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, islice, product
from math import gcd, log

from apex_pipeline.domain.strategies.holdings import STOCK, Holdings, OpenStrategy, Term
from apex_pipeline.domain.strategies.readings import (
    SINGLE_NAMES,
    Node,
    Part,
    Reading,
    Situation,
    mask_of,
    name_of,
    pace,
    when,
)
from apex_pipeline.domain.strategies.taxonomy import CUSTOM_MULTI_LEG, UNCLASSIFIED

_WITH_SHARES = 0.2
"""How often the stock under an overwritten call goes with it; much more often than by chance in these seconds."""
_TRIED, _WAYS, _WAYS_OF_PARTS = 256, 64, 8
"""Ways of choosing equal orders for the legs of one close that are looked at, the earliest first."""
_IN_PART = -1.5
_FORCED = -2.0
"""Log-weights of taking out a part of one leg, and of closing what no open strategy holds as it is."""


def closes(nodes: Sequence[Node], situation: Situation) -> list[Reading]:
    """Every way in which these orders end open strategies: whole, in part, or some legs of them.

    Of strategies of one name that the same orders may close, the likeliest is meant: one that they close
    whole before one that they reduce, the oldest of those that are alike.
    """
    by_contract: dict[int, list[Node]] = {}
    for node in nodes:
        by_contract.setdefault(node.parts[0].contract, []).append(node)
    best: dict[tuple[int, str], Reading] = {}
    choice = -log(max(1, len(situation.holdings.strategies(situation.holdings.by_contract))))
    for item in _candidates(situation.holdings, by_contract):
        contracts = [contract for contract in item[0].legs if contract in by_contract]
        held = {contract: sum(one.legs[contract] for one in item) for contract in contracts}
        for count in range(1, len(contracts) + 1):
            for some in combinations(contracts, count):
                ways = _WAYS if count == len(item[0].legs) else _WAYS_OF_PARTS
                for chosen, share in islice(_alike(some, by_contract, held, item[0].ratio), ways):
                    reading = _close(item, chosen, share, choice, situation)
                    key = reading.mask, reading.strategy_type
                    if key not in best or reading.log > best[key].log:
                        best[key] = reading
    return list(best.values())


def _candidates(holdings: Holdings, touched: Mapping[int, Sequence[Node]]) -> Iterator[tuple[OpenStrategy, ...]]:
    """Open strategies that may be closed, and those of the same contracts together."""
    same: dict[tuple[tuple[int, int], ...], list[OpenStrategy]] = {}
    for item in holdings.strategies(touched):
        yield (item,)
        same.setdefault(_proportions(item), []).append(item)
    for items in same.values():
        if len(items) > 1:
            yield tuple(items)


def _proportions(item: OpenStrategy) -> tuple[tuple[int, int], ...]:
    unit = gcd(*item.legs.values())
    return tuple(sorted((contract, qty // unit) for contract, qty in item.legs.items()))


def _alike(
    contracts: Sequence[int],
    nodes: Mapping[int, Sequence[Node]],
    held: Mapping[int, int],
    ratio: Mapping[int, int],
) -> Iterator[tuple[tuple[Node, ...], bool]]:
    """Nodes that close the same share of each contract, and whether it is all of it."""
    fitting: list[list[Node]] = []
    for contract in contracts:
        left = held[contract]
        able = [node for node in nodes[contract] if node.legs[0][1] * left < 0 and abs(node.legs[0][1]) <= abs(left)]
        if not able:
            return
        fitting.append(able)
    for chosen in islice(product(*fitting), _TRIED):
        whole = all(node.legs[0][1] == -held[node.legs[0][0]] for node in chosen)
        if whole or _in_proportion(chosen, ratio):
            yield chosen, whole


def _in_proportion(chosen: Sequence[Node], ratio: Mapping[int, int]) -> bool:
    contract, qty = chosen[0].legs[0]
    unit = abs(ratio.get(contract, 1))
    return all(abs(node.legs[0][1]) * unit == abs(qty * ratio.get(node.legs[0][0], 1)) for node in chosen[1:])


def _close(
    items: Sequence[OpenStrategy], chosen: Sequence[Node], whole: bool, choice: float, situation: Situation
) -> Reading:
    """These nodes as the close of these strategies."""
    item, logs = items[0], situation.logs
    parts = tuple(part for node in chosen for part in node.parts)
    complete = len(chosen) == len(item.legs)
    weight = choice + situation.starts[min(parts, key=when).order] + pace(parts, logs)
    weight += logs.split * (len(parts) - len(chosen))
    if not complete:
        weight += logs.leg_out - log(len(item.legs)) if len(chosen) == 1 else logs.leg_out_many
        weight += 0.0 if whole else _IN_PART
    elif whole:
        weight += logs.close_whole
    else:
        contract = chosen[0].parts[0].contract
        weight += logs.close_part - log(max(1, abs(item.legs[contract]) // situation.holdings.terms[contract].lot))
    name, rivals = _closed_name(item, chosen, complete, situation.holdings.terms)
    reduced = tuple(taken(items, chosen))
    return Reading(mask_of(chosen), weight, "CLOSE", name, parts, (), reduced, item, None, rivals)


def _closed_name(
    item: OpenStrategy, chosen: Sequence[Node], complete: bool, terms: Sequence[Term]
) -> tuple[str, tuple[str, ...]]:
    """A close keeps the name under which it was opened; some of its legs have their own."""
    if complete and item.strategy_type is not None and item.whole:
        return item.strategy_type, ()
    rivals = () if item.strategy_type is None else (item.strategy_type,)
    legs = [(contract, -qty) for node in chosen for contract, qty in node.legs]
    if len(legs) == 1:
        contract, qty = legs[0]
        return SINGLE_NAMES.get((terms[contract].kind, qty > 0), UNCLASSIFIED), rivals
    match = name_of(legs, terms)
    if match is not None:
        return match.shape.id, rivals
    return item.strategy_type or CUSTOM_MULTI_LEG, ()


def taken(items: Sequence[OpenStrategy], chosen: Sequence[Node]) -> Iterator[tuple[OpenStrategy, int, int]]:
    """What is filled of each node, out of the oldest strategy first."""
    for node in chosen:
        contract, sign = node.parts[0].contract, node.parts[0].sign
        left = sum(part.filled for part in node.parts)
        for item in items:
            amount = min(left, abs(item.legs[contract]))
            if amount:
                yield item, contract, sign * amount
                left -= amount


def unwound(ends: Sequence[Reading], nodes: Sequence[Node], situation: Situation) -> Iterator[Reading]:
    """Calls that were sold on stock already held, bought back with as much of the stock sold beside them."""
    holdings, logs = situation.holdings, situation.logs
    shares = [node for node in nodes if holdings.terms[node.parts[0].contract].kind == STOCK and node.legs[0][1] < 0]
    for end in ends if shares else ():
        origin = end.origin
        if origin is None or origin.strategy_type != "COVERED_CALL" or end.strategy_type != "COVERED_CALL":
            continue
        bought = sum(part.qty for part in end.parts)
        for node in shares:
            if -node.legs[0][1] != bought or node.mask & end.mask:
                continue
            parts = tuple(sorted((*end.parts, *node.parts), key=when))
            weight = end.log - pace(end.parts, logs) + pace(parts, logs) + log(_WITH_SHARES)
            weight += situation.starts[parts[0].order] - situation.starts[min(end.parts, key=when).order]
            stock = holdings.by_contract[node.parts[0].contract]
            reduced = (*end.taken, *taken([item for item in stock if item.legs[node.parts[0].contract] > 0], [node]))
            yield replace(end, mask=end.mask | node.mask, log=weight, parts=parts, taken=reduced)


def forced(nodes: Sequence[Node], found: Sequence[Reading], situation: Situation) -> Iterator[Reading]:
    """An order that closes parts of several strategies at once, where nothing else covers it alone."""
    alone = {reading.mask for reading in found}
    holdings, logs = situation.holdings, situation.logs
    for node in nodes:
        if node.mask in alone or len(node.parts) != 1:
            continue
        part = node.parts[0]
        items = opposed(part, holdings)
        kind = holdings.terms[part.contract].kind
        name = SINGLE_NAMES.get((kind, part.sign < 0), UNCLASSIFIED)
        weight = situation.starts[part.order] + logs.leg_out + _FORCED
        reduced = tuple(taken(items, [node]))
        yield Reading(node.mask, weight, "CLOSE", name, node.parts, (), reduced, items[0] if items else None)


def opposed(part: Part, holdings: Holdings) -> list[OpenStrategy]:
    """The open strategies that an order of this side can reduce."""
    items = holdings.by_contract.get(part.contract, ())
    return [item for item in items if (item.legs[part.contract] > 0) != (part.sign > 0)]
