"""How a decision becomes orders and fills: when each leg is sent, in how many pieces it is filled.

An order is sent after the group's first and before the session ends; its quantities are signed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random

from apex_pipeline.domain.flows.levels import Habits
from apex_pipeline.domain.flows.market import STOCK, Contract, Session
from apex_pipeline.domain.flows.plans import CLOSE, OPEN, Plan

LEG_BY_LEG = 240.0
"""Seconds at least that must be left in a session to leg into a strategy."""


@dataclass(slots=True, eq=False)
class Ticket:
    """One order. `part` is the place of its leg in the plan; `filled` may be less than `qty`, both signed."""

    contract: Contract
    qty: int
    part: int
    sent_at: datetime
    filled: int = 0
    pieces: list[tuple[datetime, int]] = field(default_factory=list[tuple[datetime, int]])


@dataclass(frozen=True, slots=True)
class Sent:
    """The orders of one decision, in the order they were sent, and what happened to them."""

    tickets: tuple[Ticket, ...]
    tags: frozenset[str]

    @property
    def starts_at(self) -> datetime:
        return self.tickets[0].sent_at

    @property
    def last_sent_at(self) -> datetime:
        return self.tickets[-1].sent_at

    @property
    def ends_at(self) -> datetime:
        """The last fill, or the last order where nothing was filled."""
        return max(piece[0] for ticket in self.tickets for piece in [*ticket.pieces, (ticket.sent_at, 0)])

    def filled(self, legs: int) -> list[int]:
        """The signed quantity filled per leg of the plan."""
        totals = [0] * legs
        for ticket in self.tickets:
            totals[ticket.part] += ticket.filled
        return totals


def send(rng: Random, habits: Habits, plan: Plan, at: datetime, session: Session) -> Sent:
    """Send one decision from that instant on; every habit of time and fills is drawn here."""
    tickets, tags = _tickets(rng, habits, plan, at)
    linked = len(tickets) > 1 and rng.random() < habits.linkage
    left = (session.closes_at - at).total_seconds()
    legging = plan.action == OPEN and len(plan.legs) > 1 and not linked and left > LEG_BY_LEG
    if legging and rng.random() < habits.legging:
        offsets = _apart(rng, habits, tickets, left)
        tags.add("legging")
    else:
        offsets = _close_together(rng, habits, len(tickets), at_once=linked and rng.random() < habits.at_once)
    for ticket, offset in zip(tickets, offsets, strict=True):
        ticket.sent_at = at + timedelta(milliseconds=int(offset * 1000))
    _shorten(rng, habits, plan, tickets, tags)
    _fill(rng, habits, tickets, session.closes_at, tags)
    if linked:
        tags.add("linked")
    return Sent(tuple(tickets), frozenset(tags))


def _tickets(rng: Random, habits: Habits, plan: Plan, at: datetime) -> tuple[list[Ticket], set[str]]:
    """One order per leg, in some order; a leg may be sent as two."""
    if plan.flip_type is not None:
        leg, beyond = plan.legs
        return [Ticket(leg.contract, leg.qty + beyond.qty, 0, at)], set()
    tickets = [Ticket(leg.contract, leg.qty, index, at) for index, leg in enumerate(plan.legs)]
    tags: set[str] = set()
    divisible = [ticket for ticket in tickets if _pieces_of(ticket) > 1]
    if len(tickets) > 1 and divisible and rng.random() < habits.split / _multi(habits):
        first = rng.choice(divisible)
        size = _grain(first.contract)
        second = rng.randint(1, _pieces_of(first) - 1) * size * (1 if first.qty > 0 else -1)
        tickets.append(Ticket(first.contract, second, first.part, at))
        first.qty -= second
        tags.add("split")
    _arrange(rng, tickets)
    return tickets, tags


def _arrange(rng: Random, tickets: list[Ticket]) -> None:
    """Some send as it comes, some the long legs first, some by strike."""
    rng.shuffle(tickets)
    habit = rng.random()
    if habit < 0.3:
        tickets.sort(key=lambda ticket: ticket.qty < 0)
    elif habit < 0.5:
        tickets.sort(key=lambda ticket: (ticket.contract.kind, ticket.contract.strike or Decimal(0)))


def _multi(habits: Habits) -> float:
    """What happens only to orders of several contracts must happen to them the more often."""
    return max(habits.multi_unit, 0.25)


def _grain(contract: Contract) -> int:
    return contract.lot if contract.kind == STOCK else 1


def _pieces_of(ticket: Ticket) -> int:
    return abs(ticket.qty) // _grain(ticket.contract)


def _close_together(rng: Random, habits: Habits, count: int, *, at_once: bool) -> list[float]:
    if at_once:
        return [index * 0.001 * rng.randint(0, 3) for index in range(count)]
    reach = rng.uniform(*habits.spread) * habits.jitter
    drawn = sorted(rng.uniform(0, reach) for _ in range(count))
    return [offset - drawn[0] for offset in drawn]


def _apart(rng: Random, habits: Habits, tickets: Sequence[Ticket], left: float) -> list[float]:
    """Two halves some minutes apart, each half close together."""
    minutes = rng.uniform(*habits.legging_minutes)
    wait = min(minutes * 60, left - 60)
    half = rng.randint(1, len(tickets) - 1) if len(tickets) != 4 else 2
    first = _close_together(rng, habits, half, at_once=False)
    second = _close_together(rng, habits, len(tickets) - half, at_once=False)
    return [*first, *(max(first[-1], wait) + offset for offset in second)]


def _shorten(rng: Random, habits: Habits, plan: Plan, tickets: Sequence[Ticket], tags: set[str]) -> None:
    """Decide what is filled: all of it, all but a part of one leg, or one of two legs only."""
    for ticket in tickets:
        ticket.filled = ticket.qty
    if plan.action not in (OPEN, CLOSE) or len(plan.legs) < 2 or plan.flip_type is not None:
        return
    two_options = len(tickets) == 2 and all(ticket.contract.kind != STOCK for ticket in tickets)
    if plan.action == OPEN and two_options and rng.random() < habits.rejected:
        rng.choice(list(tickets)).filled = 0
        tags.add("rejected")
        return
    divisible = [ticket for ticket in tickets if _pieces_of(ticket) > 1]
    if divisible and rng.random() < habits.incomplete / _multi(habits):
        short = rng.choice(divisible)
        part = rng.randint(max(1, _pieces_of(short) // 2), _pieces_of(short) - 1)
        short.filled = part * _grain(short.contract) * (1 if short.qty > 0 else -1)
        tags.add("incomplete")


def _fill(rng: Random, habits: Habits, tickets: Sequence[Ticket], ends_at: datetime, tags: set[str]) -> None:
    """When each order is filled, in one piece or, where the group is filled in part, in several."""
    partial = rng.random() < habits.partial / _multi(habits)
    patient = rng.random() < habits.sequential
    following = [after.sent_at for _, after in pairwise(tickets)]
    for ticket, after in zip(tickets, [*following, None], strict=True):
        delay = 0.05 + habits.fill_delay * rng.expovariate(1)
        if patient and after is not None:
            delay = min(delay, (after - ticket.sent_at).total_seconds() * 0.9)
        first = ticket.sent_at + timedelta(milliseconds=int(max(delay, 0.001) * 1000))
        sizes = _sizes(rng, ticket) if partial and abs(ticket.filled) > 1 else [ticket.filled]
        if len(sizes) > 1:
            tags.add("partial")
        ticket.pieces = [piece for piece in _times(rng, habits, first, sizes, ends_at) if piece[1]]


def _sizes(rng: Random, ticket: Ticket) -> list[int]:
    """Two to four signed parts of what is filled."""
    total = abs(ticket.filled)
    cuts = sorted(rng.sample(range(1, total), min(rng.randint(1, 3), total - 1)))
    sign = 1 if ticket.filled > 0 else -1
    return [sign * (upper - lower) for lower, upper in pairwise([0, *cuts, total])]


def _times(
    rng: Random, habits: Habits, first: datetime, sizes: Iterable[int], ends_at: datetime
) -> Iterable[tuple[datetime, int]]:
    at = first
    for size in sizes:
        yield min(at, ends_at), size
        at += timedelta(milliseconds=int(habits.fill_time * rng.expovariate(1) * 1000) + 1)
