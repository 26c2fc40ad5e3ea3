"""What was decided of a run of orders: its best division, the group that a reading became, how sure it is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf

from apex_pipeline.domain.strategies.calibration import Features
from apex_pipeline.domain.strategies.partition import Division, divide
from apex_pipeline.domain.strategies.readings import Pending, Reading


@dataclass(slots=True)
class Decided:
    """A group of orders with its name.

    `quantities` is what of each order belongs to it: filled, in units of the underlying, by place in the
    orders. `chain` is the number of the first group of its chain, `closes` that of the group whose strategy
    it closes or rolls. `alternatives` are other readings of its orders: type and posterior probability.
    """

    number: int
    reading: Reading
    quantities: dict[int, int]
    features: Features
    alternatives: dict[str, float]
    method: str
    chain: int | None
    closes: int | None
    sub_type: str | None
    replaced_by: int | None = None


def keep_used(readings: Sequence[Reading], pendings: Sequence[Pending]) -> list[Pending]:
    """The pending openings that some reading completes; the places of the others are taken out of the masks."""
    used = 0
    for reading in readings:
        used |= reading.mask
    kept = [place for place in range(len(pendings)) if used >> place & 1]
    if len(kept) < len(pendings):
        for reading in readings:
            mask = reading.mask >> len(pendings) << len(kept)
            for number, place in enumerate(kept):
                mask |= (reading.mask >> place & 1) << number
            reading.mask = mask
    return [pendings[place] for place in kept]


def divided(places: int, readings: Sequence[Reading]) -> Division:
    """The division of these places; weights are relative to every order standing alone, which keeps them small."""
    base = [-inf] * places
    for reading in readings:
        mask = reading.mask
        if not mask & (mask - 1):
            place = mask.bit_length() - 1
            base[place] = max(base[place], reading.log)
    weights = [exp(reading.log - sum(base[place] for place in _places(reading.mask))) for reading in readings]
    return divide(places, [reading.mask for reading in readings], weights)


def quantities_of(reading: Reading) -> dict[int, int]:
    """What is filled of each order, in the order of their times."""
    quantities: dict[int, int] = {}
    for part in sorted(reading.parts, key=lambda part: (part.at, part.order)):
        if part.filled:
            quantities[part.order] = quantities.get(part.order, 0) + part.filled
    return quantities


def features_of(number: int, readings: Sequence[Reading], posterior: Sequence[float], method: str) -> Features:
    """What the confidence of one of these readings depends on."""
    reading = readings[number]
    times = [part.at for part in reading.parts]
    places, legging = 0, bool(reading.joined)
    for other in readings:
        places |= other.mask
        legging = legging or bool(other.joined and other.mask & reading.mask)
    return Features(
        posterior=min(1.0, posterior[number]),
        method=method,
        action=reading.action,
        orders=len(reading.parts),
        seconds=max(times) - min(times),
        places=places.bit_count(),
        origin=1.0 if reading.origin is None else reading.origin.sure,
        legging=legging,
    )


def alternatives_of(number: int, readings: Sequence[Reading], posterior: Sequence[float]) -> dict[str, float]:
    """Other names of the same legs, and of the readings that share orders with the group, with their probability.

    The name itself is among them where the same orders could be divided otherwise into groups of that name.
    """
    chosen = readings[number]
    best = dict.fromkeys(chosen.rivals, 0.0)
    for other, reading in enumerate(readings):
        same = reading.mask == chosen.mask and reading.strategy_type == chosen.strategy_type
        if not same and reading.parts and reading.mask & chosen.mask and posterior[other] >= 0.0005:
            best[reading.strategy_type] = max(best.get(reading.strategy_type, 0.0), min(1.0, posterior[other]))
    return best


def is_single(reading: Reading, method: str) -> bool:
    """Whether a group is one order that nothing links to another."""
    return method == "partition" and len(reading.parts) == 1


def ranked(alternatives: Mapping[str, float], at_most: int = 3) -> Iterable[tuple[str, float]]:
    """The alternatives, the most probable first, ties by name."""
    return sorted(alternatives.items(), key=lambda item: (-item[1], item[0]))[:at_most]


def _places(mask: int) -> Iterator[int]:
    while mask:
        bit = mask & -mask
        yield bit.bit_length() - 1
        mask ^= bit
