"""The measures of a classification against the truth, written from their definitions alone.

Strict: some predicted group has exactly the orders, the type and (where one is told) the action of the truth. The
event that a confidence is held against is exact orders and exact type. Orders without a prediction are groups of their
own, UNCLASSIFIED, confidence 0. A group whose orders are told different types has the type MIXED.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from tests.faults.strategy_flow_shapes import families

Json = dict[str, Any]
Orders = frozenset[str]


@dataclass(frozen=True)
class Said:
    """One predicted group."""

    orders: Orders
    type: str
    action: str | None
    confidence: float


@dataclass(frozen=True)
class Score:
    """All measures of one flow; shares between 0 and 1, nan where nothing was counted."""

    figures: dict[str, float]
    slices: dict[str, tuple[int, float]]
    reliability: list[tuple[int, float, float]]
    mistakes: list[tuple[str, int]]


def groups_of(predictions: Json, orders: Iterable[str]) -> list[Said]:
    """The predicted groups, every order of the file in one."""
    members: dict[str, list[str]] = defaultdict(list)
    alone: list[Said] = []
    for key in sorted(orders):
        if key in predictions:
            members[str(predictions[key]["group"])].append(key)
        else:
            alone.append(Said(frozenset([key]), "UNCLASSIFIED", None, 0.0))
    found = alone
    for keys in members.values():
        rows = [predictions[key] for key in keys]
        types, actions = {row["type"] for row in rows}, {row.get("action") for row in rows}
        mean = sum(float(row["confidence"]) for row in rows) / len(rows)
        name = types.pop() if len(types) == 1 else "MIXED"
        found.append(Said(frozenset(keys), name, actions.pop() if len(actions) == 1 else "MIXED", mean))
    return found


def score(told: Json, predictions: Json) -> Score:
    """Measures predictions (by order id) against a file with its truth."""
    said = groups_of(predictions, (row["order_id"] for row in told["input"]["orders"]))
    by_orders = {one.orders: one for one in said}
    truth: list[Json] = told["truth"]
    hits = [_hit(one, by_orders) for one in truth]
    lenient = [_hit(one, by_orders, rivals=True) for one in truth]
    events = _events(truth, said)
    bins = _bins(events)
    return Score(
        _figures(truth, said, hits, lenient, events, bins),
        _slices(truth, hits),
        bins,
        _mistakes(truth, hits, by_orders),
    )


def _hit(one: Json, by_orders: dict[Orders, Said], *, rivals: bool = False) -> bool:
    said = by_orders.get(frozenset(one["orders"]))
    labels = [one, *one.get("rivals", [])] if rivals else [one]
    return said is not None and any(
        said.type == label["type"] and said.action in {None, label["action"]} for label in labels
    )


def _events(truth: list[Json], said: list[Said]) -> list[tuple[float, bool]]:
    """Confidence and whether orders and type are exact, per predicted group, most confident first."""
    types = {frozenset(one["orders"]): one["type"] for one in truth}
    ranked = sorted(said, key=lambda one: (-one.confidence, min(one.orders)))
    return [(one.confidence, types.get(one.orders) == one.type) for one in ranked]


def _bins(events: list[tuple[float, bool]]) -> list[tuple[int, float, float]]:
    """Ten bins of equal width: count, mean confidence, share that was right."""
    found: list[tuple[int, float, float]] = []
    for place in range(10):
        inside = [one for one in events if min(int(one[0] * 10), 9) == place]
        count = len(inside)
        mean = sum(one[0] for one in inside) / count if count else 0.0
        found.append((count, mean, sum(one[1] for one in inside) / count if count else 0.0))
    return found


def _share(flags: Iterable[bool]) -> float:
    told = list(flags)
    return sum(told) / len(told) if told else math.nan


def _f1(true: int, right: int, said: int) -> float:
    return 2 * right / (true + said) if true + said else math.nan


def _pairs(groups: Iterable[Iterable[str]]) -> set[tuple[str, str]]:
    return {pair for one in groups for pair in combinations(sorted(one), 2)}


def _figures(
    truth: list[Json],
    said: list[Said],
    hits: list[bool],
    lenient: list[bool],
    events: list[tuple[float, bool]],
    bins: list[tuple[int, float, float]],
) -> dict[str, float]:
    sets, told = {frozenset(one["orders"]) for one in truth}, {one.orders for one in said}
    pairs, said_pairs = _pairs(sets), _pairs(told)
    kept = events[: math.ceil(len(events) * 0.8)]
    many, said_many = {one for one in sets if len(one) > 1}, {one for one in told if len(one) > 1}
    return {
        "groups": len(truth),
        "orders": sum(len(one) for one in sets),
        "strict": _share(hits),
        "strict, rival labels accepted": _share(lenient),
        "strict, undisputed labels": _share(h for h, one in zip(hits, truth, strict=True) if not one.get("rivals")),
        "strict, several orders": _share(h for h, one in zip(hits, truth, strict=True) if len(one["orders"]) > 1),
        "group precision": len(sets & told) / len(told),
        "group recall": len(sets & told) / len(sets),
        "group F1": _f1(len(sets), len(sets & told), len(told)),
        "group F1, several orders": _f1(len(many), len(many & said_many), len(said_many)),
        "pair F1": _f1(len(pairs), len(pairs & said_pairs), len(said_pairs)),
        **_by_order(truth, said),
        "ECE": sum(count * abs(mean - right) for count, mean, right in bins) / len(events),
        "Brier": sum((confidence - right) ** 2 for confidence, right in events) / len(events),
        "log loss": sum(_log_loss(confidence, right) for confidence, right in events) / len(events),
        "AURC": _risk(events),
        "precision at 80 % coverage": _share(right for _, right in kept),
    }


def _by_order(truth: list[Json], said: list[Said]) -> dict[str, float]:
    family = families()
    types = {key: one["type"] for one in truth for key in one["orders"]}
    told = {key: one.type for one in said for key in one.orders}
    return {
        "type accuracy": _share(told[key] == name for key, name in types.items()),
        "family accuracy": _share(
            family.get(told[key], told[key]) == family.get(name, name) for key, name in types.items()
        ),
    }


def _log_loss(confidence: float, right: bool) -> float:
    held = min(max(confidence if right else 1 - confidence, 1e-6), 1.0)
    return -math.log(held)


def _risk(events: list[tuple[float, bool]]) -> float:
    """Area under the risk-coverage curve: mean share of wrong groups over all coverages."""
    wrong, risks = 0, list[float]()
    for place, (_, right) in enumerate(events, 1):
        wrong += not right
        risks.append(wrong / place)
    return sum(risks) / len(risks)


def _slices(truth: list[Json], hits: list[bool]) -> dict[str, tuple[int, float]]:
    cuts: dict[str, Callable[[Json], list[str]]] = {
        "action": lambda one: [one["action"]],
        "sub type": lambda one: [one["sub_type"]] if one["sub_type"] else [],
        "size": lambda one: [str(min(len(one["orders"]), 5))],
        "tag": lambda one: one["tags"] or ["plain"],
    }
    found: dict[str, list[bool]] = defaultdict(list)
    for name, cut in cuts.items():
        for one, hit in zip(truth, hits, strict=True):
            for key in cut(one):
                found[f"{name} {key}"].append(hit)
    return {key: (len(flags), _share(flags)) for key, flags in sorted(found.items())}


def _mistakes(truth: list[Json], hits: list[bool], by_orders: dict[Orders, Said]) -> list[tuple[str, int]]:
    """Kinds of misses, most frequent first: what it was and how it was read."""
    owner = {key: one for one in by_orders.values() for key in one.orders}
    found: Counter[str] = Counter()
    for one, hit in zip(truth, hits, strict=True):
        if hit:
            continue
        readings = {owner[key] for key in one["orders"]}
        same = frozenset(one["orders"]) in by_orders
        names = sorted(f"{said.action} {said.type} ({len(said.orders)})" for said in readings)
        label = f"{one['action']} {one['type']} ({len(one['orders'])})"
        found[f"{label} {'named' if same else 'grouped'} as {' + '.join(names)}"] += 1
    return found.most_common()


def report(made: Score, mistakes: int = 0) -> str:
    """The measures as a table for people."""
    lines = [f"{name:32} {value:8.3f}" for name, value in made.figures.items()]
    lines += ["", f"{'slice':32} {'groups':>8} {'strict':>8}"]
    lines += [f"{name:32} {count:8} {share:8.3f}" for name, (count, share) in made.slices.items()]
    lines += ["", f"{'confidence':32} {'groups':>8} {'mean':>8} {'right':>8}"]
    lines += [
        f"{f'{place / 10:.1f} to {(place + 1) / 10:.1f}':32} {count:8} {mean:8.3f} {right:8.3f}"
        for place, (count, mean, right) in enumerate(made.reliability)
    ]
    lines += ["", *[f"{count:4} {kind}" for kind, count in made.mistakes[:mistakes]]] if mistakes else []
    return "\n".join(lines)
