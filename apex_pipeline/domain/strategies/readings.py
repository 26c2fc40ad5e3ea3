"""What a run of orders may have been: the vocabulary of readings, and how contracts are named.

A `Part` is one order, or the part of it on one side of zero. A `Node` is a part, two parts that are one
leg sent as two orders, or a recent opening that may still be completed. A `Reading` is a set of nodes
with a name; which readings were meant together is decided by `partition`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise

from apex_pipeline.domain.models import Side
from apex_pipeline.domain.strategies.holdings import CALL, PUT, STOCK, Holdings, OpenStrategy, Term
from apex_pipeline.domain.strategies.shapes import RIGHTS, Match, name_legs
from apex_pipeline.domain.strategies.taxonomy import Shape, taxonomy
from apex_pipeline.domain.strategies.weights import Logs

SINGLE_NAMES: Mapping[tuple[int, bool], str] = {
    (STOCK, True): "LONG_STOCK",
    (STOCK, False): "SHORT_STOCK",
    (CALL, True): "LONG_CALL",
    (CALL, False): "SHORT_CALL",
    (PUT, True): "LONG_PUT",
    (PUT, False): "SHORT_PUT",
}
"""How one contract by itself is called: by kind and whether it is bought."""

BURST = 45.0
"""Seconds within which a group is sent in one go; further orders are legs that come later."""

_DIGITS: Mapping[tuple[int, bool], int] = {key: 8**place for place, key in enumerate(SINGLE_NAMES)}


@dataclass(frozen=True, slots=True)
class Part:
    """One order of one contract as far as it opens or closes; quantities unsigned, in units of the underlying."""

    order: int
    contract: int
    sign: int
    qty: int
    filled: int
    at: float
    closes: bool


@dataclass(slots=True, eq=False)
class Pending:
    """An opening of the last minutes that further orders may complete."""

    group: int
    parts: tuple[Part, ...]
    strategy: OpenStrategy
    log: float
    start: float


@dataclass(slots=True, eq=False)
class Node:
    """One leg, or the legs of a pending opening, as one thing to be grouped.

    `contrary`: it is read as an opening although it could close what is held.
    """

    mask: int
    parts: tuple[Part, ...]
    legs: tuple[tuple[int, int], ...]
    signature: int
    pending: Pending | None = None
    contrary: bool = False


@dataclass(slots=True, eq=False)
class Reading:
    """One way to read some orders. `log` is relative to nothing: only differences between readings count.

    `taken` are signed changes of open strategies, `opening` the parts that open something new;
    `strategy_type` is the answer, `resulting` what an opening or roll leaves behind. `carried` are the
    legs that stay when only some of a strategy roll: they go on with what is opened. `unseen`: what it
    closes was held before the history begins.
    """

    mask: int
    log: float
    action: str
    strategy_type: str
    parts: tuple[Part, ...]
    opening: tuple[Part, ...] = ()
    taken: tuple[tuple[OpenStrategy, int, int], ...] = ()
    origin: OpenStrategy | None = None
    resulting: str | None = None
    rivals: tuple[str, ...] = ()
    units: int = 1
    joined: tuple[Pending, ...] = ()
    carried: Mapping[int, int] = field(default_factory=dict[int, int])
    unseen: bool = False


@dataclass(slots=True)
class Situation:
    """What readings are judged against: the holdings, the weights, and when each part's group would start.

    `unseen`: how likely a close is one of a position from before the history that nobody told of.
    """

    holdings: Holdings
    logs: Logs
    starts: Mapping[int, float]
    free_stock: int
    spot: float | None = None
    unseen: float = 0.0


def signature(term: Term, qty: int) -> int:
    """A digit of base eight per kind and side: signatures add up as legs do."""
    return _DIGITS.get((term.kind, qty > 0), 0)


def shape_signatures() -> Iterator[tuple[int, Shape]]:
    """Every shape of the catalogue with the sum of its legs' digits."""
    for item in taxonomy().shapes.values():
        yield sum(_digits(item)), item


def _digits(item: Shape) -> list[int]:
    digits = [_DIGITS[RIGHTS[leg.right], leg.side is Side.BUY] for leg in item.legs]
    return digits if item.stock is None else [*digits, _DIGITS[STOCK, item.stock.side is Side.BUY]]


def _begun() -> Iterator[int]:
    """The signatures of everything that further legs may turn into a shape."""
    for item in taxonomy().shapes.values():
        digits = _digits(item)
        for count in range(1, len(digits)):
            yield from (sum(some) for some in combinations(digits, count))


WHOLE = frozenset(total for total, _ in shape_signatures())
BEGUN = frozenset(_begun())
"""Signatures of the shapes, and of what further legs may turn into one."""


def mask_of(nodes: Sequence[Node]) -> int:
    """The places that these nodes cover."""
    mask = 0
    for node in nodes:
        mask |= node.mask
    return mask


def when(part: Part) -> tuple[float, int]:
    """The order of parts in time."""
    return part.at, part.order


def pace(parts: Sequence[Part], logs: Logs) -> float:
    """How likely these orders were sent at these times as one group."""
    times = sorted([part.at for part in parts])
    if times[-1] - times[0] <= BURST:
        return logs.span(len(times), times[-1] - times[0])
    weight, first, count = 0.0, times[0], 1
    for before, after in pairwise(times):
        if after - before > BURST / 2:
            weight += logs.span(count, before - first) + logs.legged(after - before)
            first, count = after, 1
        else:
            count += 1
    return weight + logs.span(count, times[-1] - first)


def name_of(legs: Sequence[tuple[int, int]], terms: Sequence[Term], spot: float | None = None) -> Match | None:
    """The shape of contracts with signed quantities; None where no shape can speak of them together.

    That is so for other kinds of contract, classes of different lots, and two classes that differ only by
    name (SPX and SPXW of one date).

    `spot`: the price of the underlying on the scale of strikes, where it is known.
    """
    lot = stock = 0
    options: list[tuple[int, int, int, int]] = []
    for contract, qty in legs:
        term = terms[contract]
        if term.kind == STOCK:
            stock += qty
        elif term.kind in (CALL, PUT) and term.lot in (lot, lot or term.lot):
            lot = term.lot
            options.append((term.kind, term.strike, term.expiry, qty))
        else:
            return None
    if len(options) > 1 and len({option[:3] for option in options}) < len(options):
        return None
    context = _context(options, spot) if spot is not None and len(options) == 2 else frozenset[str]()
    found = name_legs(options, stock, context) if options else None
    return found and replace(found, units=max(1, found.units // lot))


def _context(options: Sequence[tuple[int, int, int, int]], spot: float) -> frozenset[str]:
    """What the catalogue asks of a diagonal that stands in for a covered call or put, as far as it holds."""
    near, far = sorted(options, key=lambda option: option[2])
    held: set[str] = set()
    if far[2] - near[2] >= 30:
        held.add("E2-E1>=30d")
    if far[0] == CALL and far[1] < spot * 0.97:
        held.add("long leg deep ITM (delta>=.6 or K1<spot*0.97)")
    if far[0] == PUT and far[1] > spot * 1.03:
        held.add("long leg deep ITM")
    return frozenset(held)
