"""Chains of strategies while their story is told: what each holds, what happened to it, which wheel it belongs to.

Quantities are signed: positive long. What an assignment or exercise delivered is kept apart from what orders opened.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from apex_pipeline.domain.instruments import plain

ZERO = Decimal(0)


class ChainStatus(StrEnum):
    """OPEN while anything that its orders opened is held; else how the last of it ended."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    EXPIRED = "EXPIRED"
    ASSIGNED = "ASSIGNED"
    EXERCISED = "EXERCISED"


class WheelStage(StrEnum):
    """The part of a chain in a wheel.

    WHEEL_ASSIGNED: its short put was assigned. WHEEL_COVERED_CALL: a call sold while the wheel held shares.
    WHEEL_CALLED_AWAY: such a call took shares away. WHEEL_CSP: a further put sold while the wheel held shares.
    """

    CSP = "WHEEL_CSP"
    ASSIGNED = "WHEEL_ASSIGNED"
    COVERED_CALL = "WHEEL_COVERED_CALL"
    CALLED_AWAY = "WHEEL_CALLED_AWAY"


STATUS_OF = {
    "ASSIGNMENT": ChainStatus.ASSIGNED,
    "EXERCISE": ChainStatus.EXERCISED,
    "EXPIRATION": ChainStatus.EXPIRED,
}
"""How a chain ended by the kind of what ended it, the telling ones first: a spread may end in two ways on one day."""


@dataclass(slots=True)
class Event:
    """A step in the life of a chain. `uid`: the strategy or book entry; `net_premium` and `realized` as on its card."""

    uid: str
    at: datetime | None
    on: date
    action: str
    sub_type: str | None
    strategy_uid: str | None
    what: str
    net_premium: Decimal | None = None
    realized: Decimal | None = None

    def told(self) -> dict[str, Any]:
        """As it stands in the table; numbers as text."""
        return {
            "at": None if self.at is None else self.at.isoformat(),
            "on": self.on.isoformat(),
            "action": self.action,
            "sub_type": self.sub_type,
            "strategy_uid": self.strategy_uid,
            "what": self.what,
            "net_premium": None if self.net_premium is None else plain(self.net_premium),
            "realized": None if self.realized is None else plain(self.realized),
        }


@dataclass(slots=True, eq=False)
class OpenChain:
    """A chain as far as it has been told. `ended_by`: kinds of what reduced it on its last day."""

    uid: str
    first_type: str
    current_type: str
    opened_at: datetime | None
    opened_on: date
    held: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    delivered: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    events: list[Event] = field(default_factory=list[Event])
    rolls: int = 0
    adjustments: int = 0
    ended_at: datetime | None = None
    ended_on: date | None = None
    ended_by: set[str] = field(default_factory=set[str])
    wheel_uid: str | None = None
    wheel_stage: WheelStage | None = None

    @property
    def status(self) -> ChainStatus:
        if self.held:
            return ChainStatus.OPEN
        return next((status for kind, status in STATUS_OF.items() if kind in self.ended_by), ChainStatus.CLOSED)

    def open(self, symbol: str, qty: Decimal) -> None:
        """Add a signed quantity to what its orders hold."""
        _add(self.held, symbol, qty)

    def deliver(self, symbol: str, qty: Decimal) -> None:
        """Add a signed quantity of what one of its options delivered."""
        _add(self.delivered, symbol, qty)

    def take(self, symbol: str, qty: Decimal, *, delivered: bool = False) -> Decimal:
        """Reduce by a signed quantity what opposes it; returns what is left of the quantity."""
        holdings = self.delivered if delivered else self.held
        held = holdings.get(symbol, ZERO)
        if held * qty >= 0:
            return qty
        taken = min(abs(held), abs(qty)).copy_sign(qty)
        _add(holdings, symbol, taken)
        return qty - taken

    def reduced(self, kind: str, at: datetime | None, on: date) -> None:
        """Note what made it smaller: if nothing is left, that is how it ended."""
        if self.ended_on != on:
            self.ended_by = set()
        self.ended_on, self.ended_at = on, at
        self.ended_by.add(kind)


def _add(holdings: dict[str, Decimal], symbol: str, qty: Decimal) -> None:
    total = holdings.get(symbol, ZERO) + qty
    if total:
        holdings[symbol] = total
    else:
        holdings.pop(symbol, None)


class ChainBook:
    """The chains of one account and underlying, oldest first."""

    def __init__(self) -> None:
        self.chains: dict[str, OpenChain] = {}
        self.deliveries: dict[str, list[tuple[str, Decimal]]] = {}
        """Of each delivery of shares the chains that hold them, with positive quantities."""
        self._wheel: str | None = None

    def take(self, symbol: str, qty: Decimal, first: Iterable[OpenChain] = ()) -> tuple[list[OpenChain], Decimal]:
        """Reduce those who hold what opposes it, `first` before the others; returns them and what is left."""
        touched: list[OpenChain] = []
        for chain, delivered in self._holders(first):
            left = chain.take(symbol, qty, delivered=delivered)
            if left != qty:
                touched.append(chain)
            qty = left
            if not qty:  # before the next is looked for: there may be thousands
                break
        return list(dict.fromkeys(touched)), qty

    def _holders(self, first: Iterable[OpenChain]) -> Iterator[tuple[OpenChain, bool]]:
        preferred = list(first)
        yield from ((chain, False) for chain in preferred)
        wheel = [chain for chain in self.chains.values() if self._wheel and chain.wheel_uid == self._wheel]
        yield from ((chain, True) for chain in (*preferred, *wheel, *self.chains.values()))
        yield from ((chain, False) for chain in self.chains.values())

    def wheel(self) -> str | None:
        """The wheel that holds shares now; one that holds none any more has ended."""
        if self._wheel is not None and not any(
            chain.wheel_uid == self._wheel and chain.delivered for chain in self.chains.values()
        ):
            self._wheel = None
        return self._wheel

    def assigned(self, chain: OpenChain) -> None:
        """A short put of the chain brought shares: it begins a wheel, or joins the one that holds shares."""
        self._wheel = self.wheel() or chain.uid
        chain.wheel_uid, chain.wheel_stage = self._wheel, WheelStage.ASSIGNED
