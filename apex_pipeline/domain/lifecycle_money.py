"""Which booking holds the money of an option's end that another booking only names. Pure.

Money may belong to an end if it is a whole number of contracts, no more than are held unless all of it is, flows the
right way, and is of the same day and currency, or of the next weekday where the day itself has none. As many ends as
possible get money, and only what every such distribution has in common is believed: the order of the bookings is no
evidence.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from apex_pipeline.domain.lifecycle_cash import Event, place_of
from apex_pipeline.domain.lifecycle_terms import Terms, Undecided
from apex_pipeline.domain.models import CashKind, CashMovement, TradeKind

_FRIDAY, _MONDAY_AFTER = 5, 8

_Page = tuple[date, str]
"""A day and a currency: bookings of one page may belong together."""
_Fitting = Mapping[str, AbstractSet[Decimal]]
"""Amounts that may be the money of an event, by its key."""


@dataclass(frozen=True, slots=True)
class Paired:
    """The money of events by their keys, and the keys of events whose money may be one or another."""

    money: dict[str, CashMovement] = field(default_factory=dict[str, CashMovement])
    unclear: set[str] = field(default_factory=set[str])


def paired(
    events: Sequence[Event],
    movements: Iterable[CashMovement],
    terms_of: Callable[[str], Terms],
    held: Callable[[str, date], Decimal],
) -> Paired:
    """The money of the events that move none themselves; those for which there is none are in neither part.

    `held` tells the signed position at the end of a day before any of these events.
    """
    rows: defaultdict[_Page, list[CashMovement]] = defaultdict(list)
    for movement in sorted(filter(_is_nameless, movements), key=place_of):
        rows[_page(movement)].append(movement)
    waiting: defaultdict[_Page, list[Event]] = defaultdict(list)
    for event in events:
        if event.kind is not TradeKind.EXPIRATION and not event.movement.amount:
            waiting[_page(event.movement)].append(event)
    later = {(_next_weekday(day), currency) for day, currency in waiting}
    found = Paired()
    for page in sorted(waiting.keys() | later):
        amounts = Counter(row.amount for row in rows[page])
        fitting = {one.key: _fitting(one, amounts, terms_of, held) for one in waiting[page]}
        _share_out([one for one in waiting[page] if fitting[one.key]], fitting, rows[page], found)
        left = [one for one in waiting[page] if not fitting[one.key] and _page(one.movement) == page]
        waiting[_next_weekday(page[0]), page[1]].extend(left)
    return found


def _share_out(events: Sequence[Event], fitting: _Fitting, rows: Sequence[CashMovement], found: Paired) -> None:
    """Give the events of a page the money that only they can have."""
    amounts = Counter(row.amount for row in rows)
    fitting = {one.key: fitting[one.key] for one in events}
    most = _most(fitting, amounts)
    alike: defaultdict[tuple[str, TradeKind, date], list[str]] = defaultdict(list)
    for event in events:
        alike[event.symbol, event.kind, event.day].append(event.key)
    free = list(rows)
    for keys in alike.values():
        possible = _possible(keys, fitting, amounts, most)
        certain = not any(_can_go_without(key, fitting, amounts, most) for key in keys)
        # which of several ends of one option has which money makes no difference
        if not certain or (len(possible) > 1 and sum(amounts[one] for one in possible) > len(keys)):
            found.unclear.update(keys)
            continue
        for key in keys:
            found.money[key] = next(row for row in free if row.amount in possible)
            free.remove(found.money[key])


def _possible(keys: Iterable[str], fitting: _Fitting, amounts: Counter[Decimal], most: int) -> set[Decimal]:
    """The amounts that one of these events has in some distribution of the most money."""
    return {
        amount
        for key in keys
        for amount in fitting[key]
        if _most(_without(fitting, key), amounts - Counter([amount])) == most - 1
    }


def _can_go_without(key: str, fitting: _Fitting, amounts: Counter[Decimal], most: int) -> bool:
    return _most(_without(fitting, key), amounts) == most


def _without(fitting: _Fitting, key: str) -> _Fitting:
    return {name: some for name, some in fitting.items() if name != key}


def _most(fitting: _Fitting, amounts: Counter[Decimal]) -> int:
    """How many events can have money at once: a largest matching, by augmenting paths."""
    places = [(amount, number) for amount in amounts for number in range(amounts[amount])]
    given: dict[tuple[Decimal, int], str] = {}

    def give(key: str, seen: set[tuple[Decimal, int]]) -> bool:
        for place in places:
            if place[0] in fitting[key] and place not in seen:
                seen.add(place)
                if place not in given or give(given[place], seen):
                    given[place] = key
                    return True
        return False

    return sum(give(key, set()) for key in fitting)


def _fitting(
    event: Event,
    amounts: Iterable[Decimal],
    terms_of: Callable[[str], Terms],
    held: Callable[[str, date], Decimal],
) -> set[Decimal]:
    """The amounts that may be the money of an event."""
    try:
        terms = terms_of(event.symbol)
    except Undecided:
        return set()
    if terms.cash_settled:
        return {amount for amount in amounts if (amount > 0) == event.was_long}
    contracts = {amount: qty for amount in amounts if (qty := _contracts(terms, amount, event)) is not None}
    position = held(event.symbol, event.day)
    was_held = abs(position) if (position > 0) == event.was_long else Decimal(0)
    # all of it is more than what is held only where trades are missing
    return {amount for amount, qty in contracts.items() if qty <= was_held} or set(contracts)


def _contracts(terms: Terms, amount: Decimal, event: Event) -> Decimal | None:
    try:
        return terms.contracts_for(amount, event.kind)
    except Undecided:
        return None


def _is_nameless(movement: CashMovement) -> bool:
    return bool(movement.amount) and movement.kind is CashKind.OTHER and not (movement.symbol or movement.description)


def _page(movement: CashMovement) -> _Page:
    return movement.booked_on, movement.currency or ""


def _next_weekday(day: date) -> date:
    return day + timedelta(days=_MONDAY_AFTER - day.isoweekday() if day.isoweekday() >= _FRIDAY else 1)
