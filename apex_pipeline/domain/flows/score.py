"""How well predictions find the truth of a flow.

Strict accuracy is the headline: the share of truth groups for which some predicted group has exactly the same
orders, the same type and, where it says one, the same action. Confidences are judged against the event that a
predicted group has exactly the orders and the type of some truth group.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeVar

from apex_pipeline.domain.flows.generate import TruthGroup
from apex_pipeline.domain.strategies.taxonomy import UNCLASSIFIED, taxonomy

BINS = 10
_TINY = 1e-6
_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class PredictedGroup:
    """Orders said to be one strategy. `action` None: nothing is said of it. `confidence` lies between 0 and 1."""

    orders: frozenset[str]
    type: str
    action: str | None
    confidence: float


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many; the value of none of none is unknown."""

    hits: int
    total: int

    @property
    def value(self) -> float | None:
        return self.hits / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class Finding:
    """Precision, recall and their harmonic mean; each is None where nothing was said or nothing was there."""

    found: int
    said: int
    there: int

    @property
    def precision(self) -> float | None:
        return self.found / self.said if self.said else None

    @property
    def recall(self) -> float | None:
        return self.found / self.there if self.there else None

    @property
    def f1(self) -> float | None:
        return 2 * self.found / (self.said + self.there) if self.said + self.there else None


@dataclass(frozen=True, slots=True)
class Bin:
    """One of ten equal bins of confidence: how many predicted groups, how sure, how often right."""

    low: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Score:
    """All measures of one flow.

    `groups` compares order sets, `pairs` orders that share a group. `types` and `families` are shares of orders.
    `brier`, `log_loss`, `ece`, `aurc` (area under the curve of error over coverage) are better when smaller;
    `precision_at_80` is the accuracy among the four fifths of the predicted groups of highest confidence. Equal
    confidences count by their mean, so that no order of the input matters.
    """

    strict: Share
    strict_multi: Share
    by_action: Mapping[str, Share]
    by_size: Mapping[int, Share]
    by_tag: Mapping[str, Share]
    by_type: Mapping[str, Share]
    groups: Finding
    groups_multi: Finding
    pairs: Finding
    types: Share
    families: Share
    ece: float
    brier: float
    log_loss: float
    aurc: float
    precision_at_80: float
    reliability: tuple[Bin, ...]


def score(
    truth: Iterable[TruthGroup],
    predictions: Mapping[str, Mapping[str, Any]],
    groups: Sequence[PredictedGroup] | None = None,
) -> Score:
    """The measures of `predictions` (as `apex classify` writes them) or, if given, of the fuller list `groups`.

    Filled orders that no group has are groups of their own: UNCLASSIFIED with confidence 0. What is said of orders
    that were not filled is left out.
    """
    known = tuple(truth)
    orders = frozenset[str]().union(*(group.orders for group in known))
    said = _completed(predicted_groups(predictions) if groups is None else groups, orders)
    strict = [(group, any(_is_strict(group, item) for item in said.get(group.orders, ()))) for group in known]
    flat = [item for items in said.values() for item in items]
    events = _events(known, flat)
    multi = [(group, hit) for group, hit in strict if len(group.orders) > 1]
    return Score(
        strict=_share(hit for _, hit in strict),
        strict_multi=_share(hit for _, hit in multi),
        by_action=_shares((group.action, hit) for group, hit in strict),
        by_size=_shares((len(group.orders), hit) for group, hit in strict),
        by_tag=_shares((tag, hit) for group, hit in strict for tag in group.tags),
        by_type=_shares((group.type, hit) for group, hit in strict),
        groups=_finding({item.orders for item in flat}, {group.orders for group in known}),
        groups_multi=_finding(
            {item.orders for item in flat if len(item.orders) > 1}, {group.orders for group, _ in multi}
        ),
        pairs=_finding(_pairs(item.orders for item in flat), _pairs(group.orders for group in known)),
        types=_typed(known, flat, str),
        families=_typed(known, flat, family),
        ece=sum(item.count * abs(item.confidence - item.accuracy) for item in _bins(events)) / max(len(events), 1),
        brier=_mean((confidence - hit) ** 2 for confidence, hit in events),
        log_loss=_mean(-math.log(max(_TINY, confidence if hit else 1 - confidence)) for confidence, hit in events),
        aurc=_aurc(events),
        precision_at_80=_precision_at(events, 0.8),
        reliability=tuple(_bins(events)),
    )


def predicted_groups(predictions: Mapping[str, Mapping[str, Any]]) -> list[PredictedGroup]:
    """Orders under one `group` as one group; its type and action are those that most of its orders are given.

    `also_in` of an order lists further groups, by id or as objects with `group` and, where it is not said
    elsewhere, `type`, `action` and `confidence`.
    """
    members: defaultdict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for order, said in predictions.items():
        members[str(said["group"])][order] = said
    for order, said in predictions.items():
        for other in _also(said.get("also_in")):
            members[str(other["group"])].setdefault(order, other)
    return [_group(said) for said in members.values()]


def _also(value: Any) -> list[Mapping[str, Any]]:
    if value is None:
        return []
    listed: list[Any] = value if isinstance(value, list) else [value]
    return [item if isinstance(item, Mapping) else {"group": item} for item in listed]


def _group(said: Mapping[str, Mapping[str, Any]]) -> PredictedGroup:
    spoken = [item for item in said.values() if "type" in item]
    confidences = [float(item["confidence"]) for item in spoken if item.get("confidence") is not None]
    return PredictedGroup(
        frozenset(said),
        _most(str(item["type"]) for item in spoken) or UNCLASSIFIED,
        _most(str(item["action"]) for item in spoken if item.get("action") is not None),
        sum(confidences) / len(confidences) if confidences else 0.0,
    )


def _most(names: Iterable[str]) -> str | None:
    counted = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
    return counted[0][0] if counted else None


def _completed(groups: Iterable[PredictedGroup], orders: frozenset[str]) -> dict[frozenset[str], list[PredictedGroup]]:
    """Predicted groups by their orders, with one for every order that nobody spoke of."""
    said: defaultdict[frozenset[str], list[PredictedGroup]] = defaultdict(list)
    missing = set(orders)
    for group in groups:
        known = group.orders & orders
        if known:
            said[known].append(PredictedGroup(known, group.type, group.action, group.confidence))
            missing -= known
    for order in sorted(missing):
        said[frozenset({order})].append(PredictedGroup(frozenset({order}), UNCLASSIFIED, None, 0.0))
    return said


def _is_strict(group: TruthGroup, said: PredictedGroup) -> bool:
    return said.type == group.type and said.action in (None, group.action)


def _events(known: Iterable[TruthGroup], said: Iterable[PredictedGroup]) -> list[tuple[float, bool]]:
    right = {(group.orders, group.type) for group in known}
    return [(group.confidence, (group.orders, group.type) in right) for group in said]


def _share(hits: Iterable[bool]) -> Share:
    counted = list(hits)
    return Share(sum(counted), len(counted))


def _shares(hits: Iterable[tuple[_Key, bool]]) -> dict[_Key, Share]:
    found: defaultdict[_Key, list[bool]] = defaultdict(list)
    for key, hit in hits:
        found[key].append(hit)
    return {key: _share(found[key]) for key in sorted(found, key=lambda key: (str(type(key)), key))}


def _finding(said: set[frozenset[str]], there: set[frozenset[str]]) -> Finding:
    return Finding(len(said & there), len(said), len(there))


def _pairs(groups: Iterable[frozenset[str]]) -> set[frozenset[str]]:
    return {frozenset(pair) for group in groups for pair in combinations(sorted(group), 2)}


def family(name: str) -> str:
    """The family of a shape; a context type is a family of its own."""
    found = taxonomy().shapes.get(name)
    return found.family if found else name


def _typed(known: Iterable[TruthGroup], said: Iterable[PredictedGroup], reading: Callable[[str], str]) -> Share:
    """The share of orders of which some group is given a type that one of their truth groups has."""
    right: defaultdict[str, set[str]] = defaultdict(set)
    given: defaultdict[str, set[str]] = defaultdict(set)
    for group in known:
        for order in group.orders:
            right[order].add(reading(group.type))
    for group in said:
        for order in group.orders:
            given[order].add(reading(group.type))
    return _share(bool(right[order] & given[order]) for order in right)


def _bins(events: Iterable[tuple[float, bool]]) -> list[Bin]:
    held: defaultdict[int, list[tuple[float, bool]]] = defaultdict(list)
    for confidence, hit in events:
        held[min(int(confidence * BINS), BINS - 1)].append((confidence, hit))
    return [
        Bin(index / BINS, len(items), _mean(item[0] for item in items), _mean(item[1] for item in items))
        for index, items in sorted(held.items())
    ]


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.fsum(listed) / len(listed) if listed else 0.0


def _ranked(events: Iterable[tuple[float, bool]]) -> list[float]:
    """How often right, from the surest group down; groups that are equally sure share their mean."""
    levels: defaultdict[float, list[bool]] = defaultdict(list)
    for confidence, hit in events:
        levels[confidence].append(hit)
    return [_mean(levels[level]) for level in sorted(levels, reverse=True) for _ in levels[level]]


def _precision_at(events: Sequence[tuple[float, bool]], coverage: float) -> float:
    ranked = _ranked(events)
    return _mean(ranked[: math.ceil(coverage * len(ranked))])


def _aurc(events: Sequence[tuple[float, bool]]) -> float:
    wrong, risks = 0.0, list[float]()
    for count, right in enumerate(_ranked(events), start=1):
        wrong += 1 - right
        risks.append(wrong / count)
    return _mean(risks)
