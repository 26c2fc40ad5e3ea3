"""The orders of one account and underlying, replayed in time: each run of orders is divided and entered.

A run is a stretch of orders without a longer pause. Its readings are judged against what is held when it
begins; its best division is entered before the next run is looked at. An opening stays completable for some
minutes: a later order may still turn out to be its next leg.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby, pairwise
from math import exp, inf

from apex_pipeline.domain.strategies.candidates import all_readings, unnamed
from apex_pipeline.domain.strategies.decisions import (
    Decided,
    alternatives_of,
    divided,
    features_of,
    is_single,
    keep_used,
    quantities_of,
)
from apex_pipeline.domain.strategies.holdings import STOCK, Holdings, OpenStrategy, Term
from apex_pipeline.domain.strategies.legs import ClassifiableOrder, Correction, PositionChange
from apex_pipeline.domain.strategies.partition import Division
from apex_pipeline.domain.strategies.positions import partition_positions
from apex_pipeline.domain.strategies.readings import Part, Pending, Reading, Situation
from apex_pipeline.domain.strategies.rolls import rolled
from apex_pipeline.domain.strategies.tickets import STRIKE_SCALE, Terms, Ticket, corrected, day_prices, tickets
from apex_pipeline.domain.strategies.weights import Logs

RUN_GAP = 24.0
"""Seconds without an order that end a run."""
RUN_LENGTH = 16
"""Orders of a run that are divided at once; a longer run is cut at its longest pause."""
PENDING_SECONDS = 1200.0
"""How long an opening may wait for its next leg."""
PENDINGS = 6

Spots = Mapping[int, float]
"""Prices of the underlying by day number; only their order beside strikes matters, never an amount."""


@dataclass(frozen=True, slots=True)
class Held:
    """One contract of an open strategy; `qty` signed, in contracts or shares."""

    symbol: str
    strategy: OpenStrategy
    qty: Decimal


class _Unseen:
    """How likely a close is one of a position that nobody told of: less with every day and every other group."""

    def __init__(self, share: float, days: float) -> None:
        self._share, self._groups, self._days = share, 4.0, days
        self._first: int | None = None

    def on(self, today: int) -> float:
        """The share on a day."""
        if self._first is None:
            self._first = today
        return self._share * exp((self._first - today) / self._days)

    def learn(self, readings: Sequence[Reading], posterior: Sequence[float], mask: int) -> None:
        """Count one more group, as far as it was the close of something unseen."""
        if self._share:
            found = sum(
                share
                for reading, share in zip(readings, posterior, strict=True)
                if reading.unseen and reading.mask & mask
            )
            self._share = (self._share * self._groups + min(1.0, found)) / (self._groups + 1)
            self._groups += 1


class Replay:
    """One account and underlying. `run` gives the groups; indexes in them are places in `orders`."""

    def __init__(
        self,
        orders: Sequence[ClassifiableOrder],
        changes: Sequence[PositionChange],
        corrections: Sequence[Correction],
        spots: Spots | None,
        logs: Logs,
        *,
        told: bool = True,
    ) -> None:
        self.orders = sorted(orders, key=lambda order: order.sort_key)
        self.groups: list[Decided] = []
        quantities = [*(order.filled_qty for order in orders), *(change.qty for change in changes)]
        self.terms = Terms(quantities, self.orders)
        self._logs = logs
        self._spots = day_prices(self.orders) | dict(spots or {})
        self._corrections = corrected(orders, corrections)
        self._holdings = Holdings(self.terms.terms)
        self._changes = sorted(changes, key=_change_key, reverse=True)
        self._pendings: list[Pending] = []
        self._unseen = _Unseen(0.0 if told else logs.weights.unseen, logs.weights.unseen_days)

    def run(self) -> list[Decided]:
        """Every group that stands, in the order in which they were decided."""
        self._hold_what_was_there()
        for run in self._runs():
            self._apply_changes(run[0].at)
            self._holdings.expire(run[0].today)
            for together in _linked(run):
                self._decide_linked(together)
            waiting = [ticket for ticket in run if ticket.link is None]
            while waiting:
                waiting = self._decide_run(waiting)
        self._apply_changes(inf)
        return [group for group in self.groups if group.replaced_by is None]

    def held(self) -> list[Held]:
        """What the open strategies hold at the end, by contract and age; expiries without an entry are still there."""
        return sorted(
            (
                Held(self.terms.terms[contract].symbol, item, self.terms.quantity(contract, item.legs[contract]))
                for contract, items in self._holdings.by_contract.items()
                for item in items
            ),
            key=lambda held: (held.symbol, held.strategy.number),
        )

    def standing(self, number: int | None) -> int | None:
        """The group that this one became when further orders completed it; itself otherwise."""
        while number is not None and (later := self.groups[number].replaced_by) is not None:
            number = later
        return number

    def quantity(self, index: int, group: Decided) -> Decimal:
        """What of an order belongs to a group, in the order's own units."""
        order = self.orders[index]
        if order.legs:
            return order.filled_qty or Decimal(0)
        return self.terms.quantity(self.terms.number(order.contract), group.quantities[index])

    def _hold_what_was_there(self) -> None:
        """Positions from before the first order, divided into what they most likely are."""
        positions: dict[int, int] = {}
        while self._changes and self._changes[-1].at is None:
            change = self._changes.pop()
            number = self.terms.number(change.contract)
            positions[number] = positions.get(number, 0) + self.terms.whole(change.contract, change.qty)
        for group in partition_positions(positions, self.terms.terms):
            covered = _stands_on_stock(group.legs, self.terms.terms)
            known = len(group.legs) > 1
            name = group.strategy_type if known else None
            self._holdings.open(group.legs, group.legs, (None, None, name), covered=covered, sure=0.7 if known else 0.9)

    def _apply_changes(self, until: float) -> None:
        """Enter what changed positions without an order up to this instant, what happened at once together."""
        while self._changes and _instant(self._changes[-1]) <= until:
            at, moves = self._changes[-1].at, dict[int, int]()
            while self._changes and self._changes[-1].at == at:
                change = self._changes.pop()
                number = self.terms.number(change.contract)
                moves[number] = moves.get(number, 0) + self.terms.whole(change.contract, change.qty)
            self._holdings.change(moves)

    def _runs(self) -> Iterator[list[Ticket]]:
        run: list[Ticket] = []
        for ticket in tickets(self.orders, self._corrections, self.terms):
            if run and (ticket.at - run[-1].at > RUN_GAP or not (ticket.timed and run[-1].timed)):
                yield run
                run = []
            run.append(ticket)
        if run:
            yield run

    def _decide_run(self, run: Sequence[Ticket]) -> list[Ticket]:
        """Decide the first orders of a run; returns those that must wait because they end what these open."""
        parts, rest = self._parts(run)
        pendings = self._recent(parts[0].at)
        readings = all_readings(parts, pendings, self._situation(self._starts(parts), run[0].today))
        pendings = keep_used(readings, pendings)
        alone = len(readings)
        readings += [Reading(1 << place, 0.0, "", "", ()) for place in range(len(pendings))]
        division = divided(len(pendings) + len(parts), readings)
        for place, pending in enumerate(pendings):
            self._doubt(pending, division.posterior[alone + place], readings, division)
        for number in division.chosen:
            if readings[number].parts:
                self._unseen.learn(readings, division.posterior, readings[number].mask)
                self._enter(number, readings, division.posterior, "partition")
        return rest

    def _decide_linked(self, run: Sequence[Ticket]) -> None:
        """Name what the broker or a person declares to be one combination."""
        parts, _ = self._parts(run, linked=True)
        situation = self._situation(dict.fromkeys((part.order for part in parts), 0.0), run[0].today)
        full = (1 << len(parts)) - 1
        readings = [reading for reading in all_readings(parts, (), situation) if reading.mask == full]
        readings = sorted(readings or [unnamed(parts, situation)], key=lambda reading: -reading.log)
        weights = [exp(reading.log - readings[0].log) for reading in readings]
        correction = self._corrections.get(run[0].link or "")
        if correction is not None:
            readings.insert(0, _as_corrected(readings, correction))
            weights.insert(0, sum(weights))
        total = sum(weights)
        self._enter(0, readings, [weight / total for weight in weights], "manual" if correction else "linked")

    def _situation(self, starts: Mapping[int, float], today: int) -> Situation:
        price = self._spots.get(today)
        spot = None if price is None else price * STRIKE_SCALE
        unseen = self._unseen.on(today)
        return Situation(self._holdings, self._logs, starts, self._holdings.free_stock(), spot, unseen)

    def _parts(self, run: Sequence[Ticket], *, linked: bool = False) -> tuple[list[Part], list[Ticket]]:
        """The orders of a run as parts, as far as none ends what another of the run opens."""
        if not linked and len(run) > RUN_LENGTH:
            cut = max(range(1, RUN_LENGTH + 1), key=lambda place: (run[place].at - run[place - 1].at, place))
            parts, rest = self._parts(run[:cut])
            return parts, [*rest, *run[cut:]]
        parts: list[Part] = []
        left: dict[tuple[int, int], int] = {}
        opened: set[tuple[int, int]] = set()
        for place, ticket in enumerate(run):
            key = ticket.contract, ticket.sign
            able = left[key] if key in left else self._holdings.closable(*key)
            effect = self.orders[ticket.order].position_effect
            turns = able < ticket.filled and effect != "OPEN" and (ticket.contract, -ticket.sign) in opened
            if turns and not linked:
                return parts, list(run[place:])
            closing = 0 if effect == "OPEN" else ticket.filled if effect == "CLOSE" else min(able, ticket.filled)
            left[key] = max(0, able - closing)
            parts += _split(ticket, closing, able)
            if closing < ticket.filled:
                opened.add(key)
        return parts, []

    def _recent(self, now: float) -> list[Pending]:
        self._pendings = [item for item in self._pendings if now - item.parts[-1].at <= PENDING_SECONDS][-PENDINGS:]
        return self._pendings

    def _starts(self, parts: Sequence[Part]) -> dict[int, float]:
        """How probable it is that a group starts with each order, by the pause before it."""
        starts = {parts[0].order: self._logs.first_start}
        for before, part in pairwise(parts):
            starts.setdefault(part.order, self._logs.start(part.at - before.at))
        return starts

    def _doubt(self, pending: Pending, alone: float, readings: Sequence[Reading], division: Division) -> None:
        """Lower the probability of an opening that later orders might have completed."""
        group = self.groups[pending.group]
        group.features = replace(group.features, posterior=group.features.posterior * min(1.0, alone), legging=True)
        pending.strategy.sure = group.features.posterior
        for number, reading in enumerate(readings):
            if pending in reading.joined and reading.strategy_type != group.reading.strategy_type:
                before = group.alternatives.get(reading.strategy_type, 0.0)
                group.alternatives[reading.strategy_type] = max(before, division.posterior[number])

    def _enter(self, number: int, readings: Sequence[Reading], posterior: Sequence[float], method: str) -> None:
        """Write down a group and what it did to the holdings."""
        reading = readings[number]
        index = len(self.groups)
        origin = reading.origin
        chain = index if reading.action in ("OPEN", "ADJUST") else None
        if origin is not None and reading.action in ("CLOSE", "ROLL"):
            chain = origin.chain
        if reading.action == "ROLL" and chain is None:
            chain = index
        group = Decided(
            index,
            reading,
            quantities_of(reading),
            features_of(number, readings, posterior, method),
            alternatives_of(number, readings, posterior),
            "legging" if reading.joined else "single" if is_single(reading, method) else method,
            chain,
            None if origin is None else origin.group,
            self._sub_type(reading),
        )
        self.groups.append(group)
        carried = self._reduce(reading, index)
        if reading.opening:
            self._open(group, chain, carried)

    def _reduce(self, reading: Reading, number: int) -> dict[int, int]:
        """Take out what the reading closes, carries over or completes; returns what is carried over.

        Another group of the same run may have closed a part of it: no more is carried than there is.
        """
        for pending in reading.joined:
            self.groups[pending.group].replaced_by = number
            for contract, qty in list(pending.strategy.legs.items()):
                self._holdings.reduce(pending.strategy, contract, -qty)
            self._pendings.remove(pending)
        touched = {id(item) for item, _, _ in reading.taken}
        for item, contract, qty in reading.taken:
            self._holdings.take(item, contract, qty)
        carried: dict[int, int] = {}
        for contract, qty in reading.carried.items():
            left = 0 if reading.origin is None else reading.origin.legs.get(contract, 0)
            if reading.origin is not None and left * qty > 0:
                carried[contract] = min(qty, left, key=abs)
                self._holdings.reduce(reading.origin, contract, -carried[contract])
        if touched:
            self._pendings = [pending for pending in self._pendings if id(pending.strategy) not in touched]
        return carried

    def _open(self, group: Decided, chain: int | None, carried: Mapping[int, int]) -> None:
        reading = group.reading
        legs, ratio = dict(carried), dict(carried)
        for part in reading.opening:
            legs[part.contract] = legs.get(part.contract, 0) + part.sign * part.filled
            ratio[part.contract] = ratio.get(part.contract, 0) + part.sign * part.qty
        covered = reading.resulting == "COVERED_CALL" or _stands_on_stock(legs, self.terms.terms)
        number = group.number
        strategy = self._holdings.open(
            {contract: qty for contract, qty in legs.items() if qty},
            ratio,
            (number, number if chain is None else chain, reading.resulting),
            covered=covered,
            sure=group.features.posterior * group.features.origin,
        )
        timed = all(self.orders[index].at is not None for index in group.quantities)
        if timed and reading.action == "OPEN" and group.method not in ("linked", "manual"):
            start = reading.joined[0].start if reading.joined else self._logs.first_start
            log = reading.log + sum(pending.log for pending in reading.joined)
            self._pendings.append(Pending(number, reading.parts, strategy, log, start))

    def _sub_type(self, reading: Reading) -> str | None:
        """How a close or a roll went: CLOSE_FULL, CLOSE_PARTIAL, LEG_OUT; ROLL_UP_OUT and its like."""
        if reading.action == "CLOSE" and reading.origin is not None:
            left = dict(reading.origin.legs)
            for item, contract, qty in reading.taken:
                if item is reading.origin:
                    left[contract] = left.get(contract, 0) + qty
            if not any(left.values()):
                return "CLOSE_FULL"
            closed = {contract for _, contract, _ in reading.taken}
            return "CLOSE_PARTIAL" if closed >= set(reading.origin.legs) else "LEG_OUT"
        return rolled(reading, self.terms.terms) if reading.action == "ROLL" else None


def _split(ticket: Ticket, closing: int, able: int) -> list[Part]:
    """An order as what it closes and what it opens; what is ordered beyond the fills goes with the later part."""
    order, contract, sign, at = ticket.order, ticket.contract, ticket.sign, ticket.at
    if not closing:
        return [Part(order, contract, sign, ticket.qty, ticket.filled, at, closes=False)]
    if closing == ticket.filled:
        return [Part(order, contract, sign, max(closing, min(ticket.qty, able)), closing, at, closes=True)]
    rest, ordered = ticket.filled - closing, ticket.qty - closing
    return [
        Part(order, contract, sign, closing, closing, at, closes=True),
        Part(order, contract, sign, ordered, rest, at, closes=False),
    ]


def _linked(run: Sequence[Ticket]) -> list[list[Ticket]]:
    """The declared combinations of a run, each with all its orders."""
    links = sorted(
        (ticket for ticket in run if ticket.link is not None), key=lambda ticket: (ticket.at, ticket.link or "")
    )
    return [list(members) for _, members in groupby(links, key=lambda ticket: ticket.link)]


def _as_corrected(readings: Sequence[Reading], correction: Correction) -> Reading:
    """What a person said, doing to the holdings what the best reading of the same action does."""
    same = [reading for reading in readings if reading.action == correction.action]
    base = same[0] if same else readings[0]
    resulting = correction.strategy_type if correction.action == "OPEN" else base.resulting
    return replace(base, strategy_type=correction.strategy_type, action=correction.action, resulting=resulting)


def _stands_on_stock(legs: Mapping[int, int], terms: Sequence[Term]) -> bool:
    return any(qty > 0 and terms[contract].kind == STOCK for contract, qty in legs.items())


def _instant(change: PositionChange) -> float:
    return -inf if change.at is None else change.at.timestamp()


def _change_key(change: PositionChange) -> tuple[bool, datetime, str, Decimal]:
    at = change.at or datetime.max.replace(tzinfo=UTC)
    return change.at is not None, at, change.contract.symbol, change.qty
