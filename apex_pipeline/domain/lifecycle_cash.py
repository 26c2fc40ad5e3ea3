"""Bookings of cash that name the end of an option, and the bookings that hold their money. Pure.

A broker may book one end as two rows: one that names the option and moves nothing, and one that moves the money and
names nothing. Two such rows belong together only if the money is a whole number of contracts, flows the right way,
and is of the same day and currency.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from apex_pipeline.domain.lifecycle_terms import Terms, Undecided
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
    for movement in sorted(movements, key=_place):
        kind = _KINDS.get(movement.kind)
        if kind is None or movement.symbol is None:
            continue
        event = Event(movement, kind, movement.symbol, movement.event_date or movement.booked_on)
        once = event.symbol if kind is TradeKind.EXPIRATION else event.key
        found.setdefault((kind, once), event)
    return sorted(found.values(), key=lambda one: (one.day, one.kind is TradeKind.EXPIRATION, _place(one.movement)))


def paired(
    events: Sequence[Event],
    movements: Iterable[CashMovement],
    terms_of: Callable[[str], Terms],
    held: Callable[[str, date], Decimal],
) -> dict[str, CashMovement]:
    """The money of events that move none themselves, by the key of the event; unclear ones are left out."""
    free = {movement.cash_uid: movement for movement in sorted(movements, key=_place) if _is_nameless(movement)}
    found: dict[str, CashMovement] = {}
    silent = [event for event in events if event.kind is not TradeKind.EXPIRATION and not event.movement.amount]
    for cash_settled in (False, True):
        # money of a delivery is recognized by its amount, that of a cash settlement only by what is left
        waiting = {
            event.key: (event, candidates)
            for event in silent
            if (candidates := _candidates(event, free.values(), terms_of, held, cash_settled=cash_settled))
        }
        for key, movement in _matched(waiting).items():
            found[key] = movement
            free.pop(movement.cash_uid)
    return found


def _is_nameless(movement: CashMovement) -> bool:
    return bool(movement.amount) and movement.kind is CashKind.OTHER and not (movement.symbol or movement.description)


def _candidates(
    event: Event,
    movements: Iterable[CashMovement],
    terms_of: Callable[[str], Terms],
    held: Callable[[str, date], Decimal],
    *,
    cash_settled: bool,
) -> list[CashMovement]:
    """What may be the money of an event; only what pays for the whole position where there is such."""
    try:
        terms = terms_of(event.symbol)
    except Undecided:
        return []
    if terms.cash_settled is not cash_settled:
        return []
    own = event.movement
    near = [one for one in movements if one.booked_on == own.booked_on and one.currency == own.currency]
    if cash_settled:
        return [one for one in near if (one.amount > 0) == event.was_long]
    fitting = [(one, contracts) for one in near if (contracts := _contracts(terms, one, event)) is not None]
    position = abs(held(event.symbol, event.day))
    whole = [one for one, contracts in fitting if contracts == position]
    return whole or [one for one, _ in fitting]


def _contracts(terms: Terms, movement: CashMovement, event: Event) -> Decimal | None:
    try:
        return terms.contracts_for(movement.amount, event.kind)
    except Undecided:
        return None


def _matched(waiting: dict[str, tuple[Event, list[CashMovement]]]) -> dict[str, CashMovement]:
    """One movement per event: first where only one is possible, then the next one after the event's own id."""
    found: dict[str, CashMovement] = {}
    taken: set[str] = set()

    def left(key: str) -> list[CashMovement]:
        return [one for one in waiting[key][1] if one.cash_uid not in taken]

    while len(found) < len(waiting):
        open_keys = [key for key in waiting if key not in found and left(key)]
        if not open_keys:
            break
        key = next((key for key in open_keys if len(left(key)) == 1), open_keys[0])
        after = [one for one in left(key) if _place(one) > _place(waiting[key][0].movement)]
        found[key] = (after or left(key))[0]
        taken.add(found[key].cash_uid)
    return found


def _place(movement: CashMovement) -> tuple[date, list[int], str]:
    """The order in which a broker numbered its bookings."""
    numbers = [int(digits) for digits in re.findall(r"\d+", movement.broker_cash_id)]
    return movement.booked_on, numbers, movement.cash_uid
