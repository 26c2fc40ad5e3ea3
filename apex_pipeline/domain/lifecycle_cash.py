"""Bookings of cash that name the end of an option. Pure.

A broker may book one end as two rows: one that names the option and moves nothing, and one that moves the money and
names nothing; `lifecycle_money` finds the second.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from apex_pipeline.domain.models import CashKind, CashMovement, Side, TradeKind

_KINDS = {
    CashKind.ASSIGNMENT: TradeKind.ASSIGNMENT,
    CashKind.EXERCISE: TradeKind.EXERCISE,
    CashKind.EXPIRATION: TradeKind.EXPIRATION,
}


@dataclass(frozen=True, slots=True)
class Event:
    """A booking that names how an option ended; `day` is that of the end, on the exchange."""

    movement: CashMovement
    kind: TradeKind
    symbol: str
    day: date

    @property
    def key(self) -> str:
        """The broker's id of the booking."""
        return self.movement.broker_cash_id

    @property
    def was_long(self) -> bool:
        """Whether the account held the option; it was short where it was assigned."""
        return self.kind is TradeKind.EXERCISE

    @property
    def closing_side(self) -> Side:
        """The side that closes the option."""
        return Side.SELL if self.was_long else Side.BUY


def events_of(movements: Iterable[CashMovement]) -> list[Event]:
    """The ends that bookings name, oldest first, expiries last of their day and once per option."""
    found: dict[object, Event] = {}
    for movement in sorted(movements, key=place_of):
        kind = _KINDS.get(movement.kind)
        if kind is None or movement.symbol is None:
            continue
        event = Event(movement, kind, movement.symbol, movement.event_date or movement.booked_on)
        once = event.symbol if kind is TradeKind.EXPIRATION else event.key
        found.setdefault((kind, once), event)
    return in_order(found.values())


def in_order(events: Iterable[Event]) -> list[Event]:
    """Events by their day, expiries last, as the broker numbered them."""
    return sorted(events, key=lambda one: (one.day, one.kind is TradeKind.EXPIRATION, place_of(one.movement)))


def place_of(movement: CashMovement) -> tuple[date, list[int], str]:
    """The order in which a broker numbered its bookings."""
    numbers = [int(digits) for digits in re.findall(r"\d+", movement.broker_cash_id)]
    return movement.booked_on, numbers, movement.cash_uid
