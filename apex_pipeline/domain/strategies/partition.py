"""The best way to divide some orders into groups, and how probable each group is.

Each reading covers a set of places (bits of a mask) and has a weight; the weight of a division is the
product of its readings' weights. All divisions are summed exactly, from the lowest uncovered place on,
so that the share of the divisions which contain a reading is its posterior probability.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_STATES = 256


@dataclass(frozen=True, slots=True)
class Division:
    """The numbers of the readings chosen, and the posterior probability of every reading."""

    chosen: tuple[int, ...]
    posterior: Sequence[float]


def divide(places: int, masks: Sequence[int], weights: Sequence[float]) -> Division:
    """The most probable division of `places` places; every place must be covered by some reading alone.

    Equal probabilities go to the reading that stands first. Of a crowd of orders that is all alike only the
    most probable beginnings are followed, so that no run of orders takes long.
    """
    total = (1 << places) - 1
    starting: list[list[int]] = [[] for _ in range(places)]
    for number, mask in enumerate(masks):
        starting[(mask & -mask).bit_length() - 1].append(number)
    reached: list[dict[int, float]] = [{} for _ in range(places + 1)]
    reached[0][0] = 1.0
    best: dict[int, tuple[float, int, int]] = {0: (1.0, -1, 0)}
    edges: list[tuple[int, int, int]] = []
    for place in range(places):
        for covered, sum_before in _followed(reached[place], best):
            best_before = best[covered][0]
            for number in starting[place]:
                mask = masks[number]
                if mask & covered:
                    continue
                after = covered | mask
                weight = weights[number]
                edges.append((covered, number, after))
                free = ~after & total
                level = (free & -free).bit_length() - 1 if free else places
                level_sums = reached[level]
                level_sums[after] = level_sums.get(after, 0.0) + sum_before * weight
                product = best_before * weight
                if after not in best or product > best[after][0]:
                    best[after] = (product, number, covered)
    return Division(_walk(best, total), _posterior(reached, edges, weights, total, places))


def _followed(reached: dict[int, float], best: dict[int, tuple[float, int, int]]) -> Iterable[tuple[int, float]]:
    if len(reached) <= _STATES:
        return reached.items()
    likely = sorted(reached, key=lambda covered: (-best[covered][0], covered))[:_STATES]
    return [(covered, reached[covered]) for covered in likely]


def _walk(best: dict[int, tuple[float, int, int]], total: int) -> tuple[int, ...]:
    chosen: list[int] = []
    at = total
    while at:
        _, number, at = best[at]
        chosen.append(number)
    return tuple(reversed(chosen))


def _posterior(
    reached: Sequence[dict[int, float]],
    edges: Sequence[tuple[int, int, int]],
    weights: Sequence[float],
    total: int,
    places: int,
) -> list[float]:
    """The share of all divisions, by weight, that contain each reading: what leads to it times what follows."""
    follows = {total: 1.0}
    sums = {covered: value for level in reached for covered, value in level.items()}
    everything = reached[places][total]
    posterior = [0.0] * len(weights)
    for covered, number, after in reversed(edges):
        share = weights[number] * follows.get(after, 0.0)
        follows[covered] = follows.get(covered, 0.0) + share
        posterior[number] += sums[covered] * share / everything
    return posterior
