"""How one intent becomes orders: prices, partial fills, cancels, rejects, orders that rest for days.

The clerk of a desk numbers and prices orders and attaches charges; whether an intent is possible was
decided before by the book.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import final

from apex_pipeline.brokers.scenario import Contract, Fill, Leg, ScenarioOrder
from apex_pipeline.brokers.scenario_book import Piece
from apex_pipeline.brokers.scenario_days import session_times
from apex_pipeline.brokers.scenario_fees import execution_charges, order_charges
from apex_pipeline.brokers.scenario_market import CENT, Market, tick_of
from apex_pipeline.domain.models import AssetClass, Broker, OrderStatus, Side

_FIRST_FUTU_FILL = 4_611_873_000_000_000_117
_FIRST_IB_FILL = 31_000_000_019


@final
class Ids:
    """Counters shared by all desks of a scenario, so that ids are unique over all of it."""

    def __init__(self) -> None:
        self.orders = count(1)
        self.groups = count(1)
        self.combos = count(1)
        self.executions: dict[Broker, Iterator[int]] = {
            Broker.FUTU: count(_FIRST_FUTU_FILL, 1_009),
            Broker.IB: count(_FIRST_IB_FILL, 3),
        }


@dataclass(frozen=True, slots=True)
class Intent:
    """What a desk wants done: `pieces` are what to trade per unit, signed (negative sells).

    `lot` is the step of `units`; `patient` orders may rest for days; `certain` ones fill completely.
    """

    account_id: str
    group: int
    strategy: str
    pieces: Sequence[Piece]
    units: int
    lot: int
    at: datetime
    day: date
    spot: Decimal
    opening: bool
    patient: bool = False
    certain: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """How much of an intent was filled, and when the last fill came."""

    units: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Life:
    """The course of one order: `plan` lists filled units and times."""

    status: OrderStatus
    plan: list[tuple[int, datetime]]
    created_at: datetime
    updated_at: datetime
    fill_day: date
    time_in_force: str = "DAY"

    @property
    def done(self) -> Done:
        """What was filled in the end."""
        return Done(sum(units for units, _ in self.plan), self.updated_at)


@dataclass(frozen=True, slots=True)
class Ticket:
    """What one order says: `limit` None at market; `combo` numbers legs sent together."""

    contract: Contract
    side: Side
    qty: int
    limit: Decimal | None
    legs: tuple[Leg, ...] = ()
    combo: int | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """A piece with the worst price accepted for it."""

    piece: Piece
    side: Side
    limit: Decimal
    tick: Decimal


@final
class Clerk:
    """Writes the orders of one broker's desk."""

    def __init__(self, broker: Broker, rng: random.Random, market: Market, ids: Ids) -> None:
        self.broker = broker
        self.rng = rng
        self.market = market
        self.ids = ids
        self.orders: list[ScenarioOrder] = []
        self.counted = 0

    def tick(self, at: datetime) -> datetime:
        """The time as this broker tells it: Futu in milliseconds, IB in seconds."""
        micros = at.microsecond // 1000 * 1000 if self.broker == Broker.FUTU else 0
        return at.replace(microsecond=micros)

    def send(self, intent: Intent) -> Done:
        """Write the order or orders of an intent."""
        quotes = [self._quote(intent, piece) for piece in intent.pieces]
        if len(quotes) == 1:
            return self._single(intent, quotes[0])
        if not self._declared(intent):
            return self._separate(intent, quotes)
        return self._combo_order(intent, quotes) if self.broker == Broker.FUTU else self._combo_legs(intent, quotes)

    def _declared(self, intent: Intent) -> bool:
        """Whether the broker is told that the pieces belong together; Futu knows that for US only."""
        if self.broker == Broker.FUTU and intent.pieces[0].contract.market != "US":
            return False
        return self.rng.random() < 0.6

    def _quote(self, intent: Intent, piece: Piece) -> Quote:
        fair = self.market.price(piece.contract, intent.day, intent.spot)
        tick = tick_of(piece.contract.market, piece.contract.asset_class, fair)
        slack = tick * self.rng.randint(0, 2)
        side = Side.BUY if piece.per_unit > 0 else Side.SELL
        return Quote(piece, side, fair + slack if side == Side.BUY else max(fair - slack, tick), tick)

    def _single(self, intent: Intent, quote: Quote) -> Done:
        life = self._life(intent)
        at_market = life.status == OrderStatus.FILLED and life.time_in_force == "DAY" and self.rng.random() < 0.07
        self._write(intent, quote, life, at_market=at_market)
        return life.done

    def _separate(self, intent: Intent, quotes: Sequence[Quote]) -> Done:
        """Each leg as an order of its own, seconds apart."""
        created, last = intent.at, intent.at
        for quote in quotes:
            life = self._filled(intent, created, intent.units)
            self._write(intent, quote, life)
            last = max(last, life.updated_at)
            created = self.tick(created + timedelta(milliseconds=self.rng.randint(1100, 5900)))
        return Done(intent.units, last)

    def _combo_legs(self, intent: Intent, quotes: Sequence[Quote]) -> Done:
        """One combination that the broker books as one order per leg, filled at the same moments."""
        life, combo = self._life(intent), next(self.ids.combos)
        for quote in quotes:
            self._write(intent, quote, life, combo=combo)
        return life.done

    def _combo_order(self, intent: Intent, quotes: Sequence[Quote]) -> Done:
        """One order with legs."""
        life = self._life(intent)
        stock = self.market.stock_of(quotes[0].piece.contract)
        net = sum((q.piece.per_unit * q.limit / _shares_in(q, stock.size) for q in quotes), Decimal(0))
        side = Side.BUY if net > 0 else Side.SELL
        fills = tuple(self._fill(q, units, at, life.fill_day) for units, at in life.plan for q in quotes)
        legs = tuple(Leg(q.piece.contract, q.side, abs(q.piece.per_unit)) for q in quotes)
        limit = max(abs(net), CENT)
        self._append(intent, life, Ticket(self.market.combo(stock), side, intent.units, limit, legs), fills)
        return life.done

    def _write(
        self, intent: Intent, quote: Quote, life: Life, combo: int | None = None, *, at_market: bool = False
    ) -> None:
        fills = tuple(self._fill(quote, units, at, life.fill_day) for units, at in life.plan)
        qty, limit = intent.units * abs(quote.piece.per_unit), None if at_market else quote.limit
        self._append(intent, life, Ticket(quote.piece.contract, quote.side, qty, limit, combo=combo), fills)

    def _append(self, intent: Intent, life: Life, ticket: Ticket, fills: tuple[Fill, ...]) -> None:
        futu = self.broker == Broker.FUTU
        self.counted += 1 if futu or fills else 0
        self.orders.append(
            ScenarioOrder(
                next(self.ids.orders), self.broker, intent.account_id, ticket.contract, ticket.legs, ticket.side,
                intent.opening, "LIMIT" if ticket.limit else "MARKET", life.status, Decimal(ticket.qty), ticket.limit,
                life.created_at, life.updated_at, intent.day, fills, order_charges(fills) if futu else (),
                intent.group, intent.strategy, "OPEN" if intent.opening else "CLOSE", ticket.combo, life.time_in_force,
            )
        )  # fmt: skip

    def _fill(self, quote: Quote, units: int, at: datetime, day: date) -> Fill:
        better = quote.tick * self.rng.choice((0, 0, 0, 1, 1, 2))
        price = max(quote.limit - better if quote.side == Side.BUY else quote.limit + better, quote.tick)
        contract, qty = quote.piece.contract, Decimal(units * abs(quote.piece.per_unit))
        charges = ()
        if self.broker == Broker.IB:
            rebate = contract.market == "US" and self.rng.random() < 0.06
            charges = execution_charges(contract, quote.side, qty, price, rebate)
        return Fill(next(self.ids.executions[self.broker]), contract, quote.side, qty, price, at, day, charges)

    def _life(self, intent: Intent) -> Life:
        chance = 0.0 if intent.certain else self.rng.random()
        ends: Sequence[tuple[float, Callable[[Intent], Life]]] = (
            (0.87, lambda i: self._filled(i, i.at, i.units)),
            (0.915, self._cancelled),
            (0.945, self._partly_cancelled),
            (0.97, self._rejected),
        )
        end = next((make for limit, make in ends if chance < limit), self._resting)
        return end(intent)

    def _filled(self, intent: Intent, created: datetime, units: int) -> Life:
        plan = self._plan(units, intent.lot, created)
        return Life(OrderStatus.FILLED, plan, created, plan[-1][1], intent.day)

    def _cancelled(self, intent: Intent) -> Life:
        return Life(OrderStatus.CANCELLED, [], intent.at, self._later(intent.at, 4, 250), intent.day)

    def _rejected(self, intent: Intent) -> Life:
        return Life(OrderStatus.REJECTED, [], intent.at, self._later(intent.at, 0, 2), intent.day)

    def _partly_cancelled(self, intent: Intent) -> Life:
        steps = intent.units // intent.lot
        if steps < 2:
            return self._cancelled(intent)
        plan = self._plan(self.rng.randint(1, steps - 1) * intent.lot, intent.lot, intent.at)
        updated = self._later(plan[-1][1], 4, 200)
        return Life(OrderStatus.PARTIAL_CANCELLED, plan, intent.at, updated, intent.day)

    def _resting(self, intent: Intent) -> Life:
        """Good till cancelled, filled some days later, or still open when the scenario ends."""
        if not intent.patient:
            return self._filled(intent, intent.at, intent.units)
        market = intent.pieces[0].contract.market
        days = self.market.sessions[market]
        place = days.index(intent.day) + self.rng.randint(1, 5)
        if place >= len(days):
            return Life(OrderStatus.OPEN, [], intent.at, intent.at, intent.day, "GTC")
        begin = session_times(market, days[place])[0][0]
        plan = self._plan(intent.units, intent.lot, self._later(begin, 60, 6000))
        return Life(OrderStatus.FILLED, plan, intent.at, plan[-1][1], days[place], "GTC")

    def _plan(self, units: int, lot: int, created: datetime) -> list[tuple[int, datetime]]:
        """One to four parts of the quantity with their times."""
        steps = units // lot
        parts = min(self.rng.choice((1, 1, 1, 1, 1, 1, 2, 2, 3, 4)), steps)
        cuts = sorted(self.rng.sample(range(1, steps), parts - 1))
        at = created
        plan: list[tuple[int, datetime]] = []
        for begin, stop in zip([0, *cuts], [*cuts, steps], strict=True):
            at = self._later(at, 0.3, 40)
            plan.append(((stop - begin) * lot, at))
        return plan

    def _later(self, at: datetime, least: float, most: float) -> datetime:
        return self.tick(at + timedelta(milliseconds=self.rng.randint(int(least * 1000), int(most * 1000))))


def _shares_in(quote: Quote, size: int) -> int:
    """Shares count by the contract size, so that a net price is per share of the underlying."""
    return size if quote.piece.contract.asset_class == AssetClass.STOCK else 1
