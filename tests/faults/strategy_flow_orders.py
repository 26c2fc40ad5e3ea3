"""From a decision to orders and fills: when legs are sent, how they are filled, and what goes wrong on the way.

Choices: legs are sent in a random sequence, each uniformly within the level's spread of the first; a combination that
carries the broker's id is one instruction, so its legs are sent in one instant and are neither legged nor split; fill
delays are exponential; a partial fill is two to four fills of one order; an incomplete leg is an option leg of two
or more contracts of which at least one is filled; legging in sends a first batch of legs and the rest one to ten
minutes later; IB tells times in whole seconds, Futu in milliseconds; sells are filled a tick below the model price and
buys a tick above.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Literal

from tests.faults.strategy_flow_book import Lot
from tests.faults.strategy_flow_market import Market, Paper, tick

Action = Literal["OPEN", "CLOSE", "ROLL"]


@dataclass(frozen=True)
class Level:
    """How harsh a flow is: shares are probabilities, seconds and minutes as named."""

    name: str
    spread: float
    delay: float
    overlap: float
    partial: float
    incomplete: float
    legging: float
    split: float
    noise: float
    gap: tuple[float, float]  # seconds between a group and the next of the account, log-uniform


LEVELS = {
    one.name: one
    for one in (
        Level("L0", 2, 0.3, 0, 0, 0, 0, 0, 0, (600, 2700)),
        Level("L1", 6, 1.0, 0.10, 0.20, 0.02, 0.02, 0.02, 0.10, (150, 1800)),
        Level("L2", 15, 3.0, 0.33, 0.33, 0.05, 0.10, 0.05, 0.20, (60, 1500)),
        Level("L3", 20, 6.0, 0.67, 0.50, 0.10, 0.20, 0.10, 0.40, (5, 360)),
    )
}


@dataclass(frozen=True)
class Wish:
    """One leg to trade: signed contracts or shares, and whether it reduces the lot."""

    paper: Paper
    qty: int
    closing: bool = False


@dataclass
class Move:
    """A decision of the trader and its true label; `rivals` are labels a careful author might give as well."""

    account: str
    underlying: str
    legs: list[Wish]
    type: str
    action: Action
    sub_type: str | None = None
    resulting: str | None = None
    lot: Lot | None = None
    overlaid: int = 0
    tags: tuple[str, ...] = ()
    rivals: tuple[tuple[str, Action], ...] = ()


@dataclass
class Order:
    """One order as sent and filled; `fills` are instant, quantity and price."""

    wish: Wish
    qty: int
    sent: datetime
    fills: list[tuple[datetime, int, Decimal]]
    key: str = ""

    @property
    def filled(self) -> int:
        """The quantity that was filled, positive."""
        return sum(qty for _, qty, _ in self.fills)

    @property
    def average(self) -> Decimal:
        """The mean price of the fills."""
        paid = sum((qty * price for _, qty, price in self.fills), Decimal(0))
        return (paid / self.filled).quantize(Decimal("0.0001"))


@dataclass
class Sent:
    """The orders of one group, with its tags and the end of its first batch."""

    move: Move
    orders: list[Order]
    tags: set[str]
    linked: bool
    started: datetime
    ended: datetime


class Desk:
    """Sends moves to a made-up exchange at one level."""

    def __init__(self, dice: Random, market: Market, level: Level, linkage: float) -> None:
        self._dice = dice
        self._market = market
        self.level = level
        self._linkage = linkage

    def send(self, move: Move, at: datetime) -> Sent:
        """The orders and fills of a move that starts at an instant."""
        dice = self._dice
        several = len(move.legs) > 1
        linked = several and dice.random() < self._linkage
        tags = set(move.tags) | ({"linked"} if linked else set[str]())
        wishes = self._split(move, tags) if several and not linked else [(one, abs(one.qty)) for one in move.legs]
        times = self._times(move, len(wishes), at, linked, tags)
        short = self._incomplete(move, tags)
        orders: list[Order] = []
        for (wish, qty), sent in zip(wishes, times, strict=True):
            missing = dice.randint(1, qty - 1) if wish is short and qty > 1 else 0
            short = None if missing else short  # only one of two orders of a split leg stays short
            orders.append(Order(wish, qty, sent, self._fills(wish, qty - missing, sent, tags)))
        if move.legs and not any(one.filled < one.qty for one in orders):
            tags.discard("incomplete")
        ends = [one.sent for one in orders if one.sent - at < timedelta(seconds=45)]
        return Sent(move, orders, tags, linked, at, max(ends))

    def _split(self, move: Move, tags: set[str]) -> list[tuple[Wish, int]]:
        dice = self._dice
        large = [one for one in move.legs if one.paper.kind != "stock" and abs(one.qty) > 1]
        chosen = dice.choice(large) if large and dice.random() < self.level.split else None
        found: list[tuple[Wish, int]] = []
        for wish in move.legs:
            qty = abs(wish.qty)
            first = dice.randint(1, qty - 1) if wish is chosen else qty
            found += [(wish, first)] if first == qty else [(wish, first), (wish, qty - first)]
        if chosen:
            tags.add("split")
        dice.shuffle(found)
        return found

    def _times(self, move: Move, count: int, at: datetime, linked: bool, tags: set[str]) -> list[datetime]:
        dice = self._dice
        if linked:
            return [at] * count
        offsets = sorted(dice.uniform(0, self.level.spread) for _ in range(count))
        offsets = [one - offsets[0] for one in offsets]
        if move.action == "OPEN" and len(move.legs) > 1 and dice.random() < self.level.legging:
            tags.add("legging")
            later = dice.uniform(60, 600)
            first = dice.randint(1, count - 1)
            offsets = [one + (later if place >= first else 0) for place, one in enumerate(offsets)]
        return [at + timedelta(milliseconds=round(1000 * one)) for one in offsets]

    def _incomplete(self, move: Move, tags: set[str]) -> Wish | None:
        large = [one for one in move.legs if one.paper.kind != "stock" and abs(one.qty) > 1]
        if len(move.legs) < 2 or not large or self._dice.random() >= self.level.incomplete:
            return None
        tags.add("incomplete")
        return self._dice.choice(large)

    def _fills(self, wish: Wish, qty: int, sent: datetime, tags: set[str]) -> list[tuple[datetime, int, Decimal]]:
        dice = self._dice
        step = self._market.underlyings[wish.paper.underlying].lot if wish.paper.kind == "stock" else 1
        pieces = [qty]
        if qty > step and dice.random() < self.level.partial:
            tags.add("partial")
            whole, odd = divmod(qty, step)
            cuts = sorted(dice.sample(range(1, whole), min(dice.randint(1, 3), whole - 1))) if whole > 1 else []
            edges = [0, *cuts, whole]
            pieces = [step * (b - a) for a, b in pairwise(edges)]
            pieces[-1] += odd
        when, found = sent, list[tuple[datetime, int, Decimal]]()
        for piece in pieces:
            when += timedelta(milliseconds=1 + round(1000 * min(dice.expovariate(1 / self.level.delay), 60)))
            found.append((when, piece, self._price(wish, when)))
        return found

    def _price(self, wish: Wish, when: datetime) -> Decimal:
        fair = self._market.premium(wish.paper, when)
        step = tick(wish.paper, self._market.underlyings[wish.paper.underlying].market, float(fair))
        return fair + step if wish.qty > 0 else max(fair - step, step)

    def gap(self) -> timedelta:
        """The pause between a group and the account's next."""
        low, high = self.level.gap
        return timedelta(seconds=math.exp(self._dice.uniform(math.log(low), math.log(high))))
