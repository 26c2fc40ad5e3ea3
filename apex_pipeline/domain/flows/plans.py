"""Decisions of an account before they are sent, and what single contracts are called."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from apex_pipeline.domain.flows.holdings import OVERWRITE, PLAIN_STOCK, Holdings, Lot
from apex_pipeline.domain.flows.market import CALL, PUT, STOCK, Contract

OPEN, CLOSE, ROLL = "OPEN", "CLOSE", "ROLL"
SINGLES: Mapping[tuple[str, bool], str] = {
    (CALL, True): "LONG_CALL", (CALL, False): "SHORT_CALL", (PUT, True): "LONG_PUT", (PUT, False): "SHORT_PUT",
    (STOCK, True): PLAIN_STOCK, (STOCK, False): "SHORT_STOCK",
}  # fmt: skip
"""The name of one contract alone, by kind and whether it is held long."""


@dataclass(frozen=True, slots=True)
class PlannedLeg:
    """One contract of a decision; `qty` is signed as traded, `origin` the lot that it reduces, None if it opens."""

    contract: Contract
    qty: int
    origin: Lot | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A decision: its truth, and the legs to be sent.

    `resulting_type` is what is held afterwards where something is opened; `joins` the lot that keeps the
    opened legs beside its own. `flip_type` names what a single order opens after it has closed `type`.
    """

    type: str
    action: str
    legs: tuple[PlannedLeg, ...]
    sub_type: str | None = None
    resulting_type: str | None = None
    tags: frozenset[str] = frozenset()
    joins: Lot | None = None
    flip_type: str | None = None

    @property
    def underlying(self) -> str:
        return self.legs[0].contract.underlying


def single_type(holdings: Holdings, leg: PlannedLeg, at: datetime) -> str | None:
    """What one opened contract is called; None for a call that free stock covers in part."""
    name = SINGLES[leg.contract.kind, leg.qty > 0]
    if name != "SHORT_CALL":
        return name
    if holdings.free_stock(leg.contract.underlying, at) >= -leg.qty * leg.contract.lot:
        return OVERWRITE
    return None if holdings.loose_stock(leg.contract.underlying) >= leg.contract.lot else name
