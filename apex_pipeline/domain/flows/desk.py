"""What one account decides to do next: open a strategy, close or roll one that it holds.

Decisions never contradict the holdings unless the habits ask for it: a close closes what is held, an
opening takes no contract that is held the other way, a call is sold against free stock or against none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import gcd
from random import Random

from apex_pipeline.domain.flows.closing import closing
from apex_pipeline.domain.flows.holdings import OVERWRITE, PLAIN_STOCK, Holdings, Lot
from apex_pipeline.domain.flows.levels import Habits
from apex_pipeline.domain.flows.market import (
    STOCK,
    UNDERLYINGS,
    Contract,
    Market,
    Session,
    Underlying,
    stock_of,
)
from apex_pipeline.domain.flows.plans import OPEN, ROLL, Plan, PlannedLeg, single_type
from apex_pipeline.domain.flows.recipes import WEIGHTS, catalogue, propose
from apex_pipeline.domain.flows.rolling import Roll, rolled, rolled_leg

_STRANGERS = ("LONG_CALL", "LONG_PUT", "SHORT_PUT", "SHORT_CALL", PLAIN_STOCK)
_STRANGER_WEIGHTS = (4.0, 4.0, 3.0, 1.0, 2.0)


@dataclass(slots=True)
class Desk:
    """One account with its habits of size and its favourite underlyings."""

    rng: Random
    habits: Habits
    market: Market
    holdings: Holdings = field(default_factory=Holdings)
    sizes: tuple[int, ...] = field(init=False)
    favourites: dict[str, list[Underlying]] = field(init=False)
    recipes: tuple[list[str], list[float]] = field(init=False)

    def __post_init__(self) -> None:
        self.sizes = tuple(self.rng.sample(self.habits.units, min(4, len(self.habits.units))))
        self.favourites = {}
        for name, count in (("US", 6), ("HK", 4)):
            listed = [stock for stock in UNDERLYINGS if stock.market == name]
            self.favourites[name] = self.rng.sample(listed, count)
        mix = WEIGHTS if self.habits.recipes is None else self.habits.recipes
        self.recipes = (list(mix), list(mix.values()))

    def decide(self, session: Session, at: datetime, underlying: Underlying | None = None) -> Plan | None:
        """The next thing this account does; None if nothing sensible was found."""
        stock = underlying or self.favourite(session)
        chance = self.rng.random()
        plan: Plan | None = None
        if chance < self.habits.close:
            plan = self._close_some(session, at, underlying)
        elif chance < self.habits.close + self.habits.roll * self._dilution():
            plan = self._roll(session, at, underlying)
        return plan or self._open(stock, session, at)

    def stranger(self, stock: Underlying, session: Session, at: datetime) -> Plan | None:
        """One order that has nothing to do with what else goes on."""
        if self.rng.random() < self.habits.close:
            for _ in range(4):
                lot = self.holdings.draw(self.rng, stock.code, self._before(at))
                if lot is not None and len(lot.legs) == 1 and (plan := self._close(lot, at)):
                    return plan
        name = self.rng.choices(_STRANGERS, _STRANGER_WEIGHTS)[0]
        return self._proposed(name, stock, session, at)

    def favourite(self, session: Session) -> Underlying:
        """An underlying of the open market, the first ones more often."""
        stocks = self.favourites[session.market]
        return stocks[min(int(self.rng.expovariate(0.4)), len(stocks) - 1)]

    def _dilution(self) -> float:
        """How many times a roll must be tried so that strangers, which never roll, do not thin them out."""
        return 1 + self.habits.strangers / (1 + self.habits.overlap)

    def _before(self, at: datetime) -> datetime:
        return at - timedelta(seconds=self.habits.hold)

    def _held(self, session: Session, at: datetime, underlying: Underlying | None) -> Lot | None:
        stock = underlying or self.favourite(session)
        return self.holdings.draw(self.rng, stock.code, self._before(at))

    # openings

    def _open(self, stock: Underlying, session: Session, at: datetime) -> Plan | None:
        chance = self.rng.random()
        if chance < self.habits.overwrites and (plan := self._overwrite(session, at)):
            return plan
        chance -= self.habits.overwrites
        if 0 <= chance < self.habits.hedges and (plan := self._hedge(session, at)):
            return plan
        chance -= self.habits.hedges
        if 0 <= chance < self.habits.pairs and (plan := self._pair(session, at)):
            return plan
        for _ in range(12):
            if plan := self._proposed(self._recipe(), stock, session, at):
                return plan
        return None

    def _recipe(self) -> str:
        if self.rng.random() < self.habits.thin_tail:
            return self.rng.choice(catalogue())
        return self.rng.choices(self.recipes[0], self.recipes[1])[0]

    def _proposed(self, name: str, stock: Underlying, session: Session, at: datetime) -> Plan | None:
        idea = propose(self.rng, name, stock, self.market, session.day)
        if idea is None:
            return None
        units = self._units()
        legs = tuple(PlannedLeg(contract, qty * units) for contract, qty in idea.legs)
        return self._opening(idea.type, legs, at)

    def _opening(self, name: str, legs: tuple[PlannedLeg, ...], at: datetime, *tags: str) -> Plan | None:
        opposite = self.rng.random() < self.habits.opposite
        against = any(self.holdings.opposes(leg.contract, leg.qty) for leg in legs)
        turned = any(self._turned(leg, at) for leg in legs)
        if (against or turned) and not opposite:
            return None
        if len(legs) == 1:
            return self._single(legs[0], at, *tags, *(("opposite",) if against else ()))
        marks = {*tags, *(("opposite",) if against or turned else ())}
        return Plan(name, OPEN, legs, None, name, frozenset(marks))

    def _turned(self, leg: PlannedLeg, at: datetime) -> bool:
        return self.holdings.turned(leg.contract, leg.qty, at, timedelta(seconds=self.habits.hold))

    def _single(self, leg: PlannedLeg, at: datetime, *tags: str) -> Plan | None:
        """One contract: a call sold is an overwrite if free stock covers all of it, and refused if some of it."""
        marks = set(tags)
        named = single_type(self.holdings, leg, at)
        if named is None:
            return None
        if named == OVERWRITE:
            marks.add("overwrite")
        if named == "LONG_PUT" and self.holdings.loose_stock(leg.contract.underlying) >= leg.contract.lot:
            marks.add("hedge")
        return Plan(named, OPEN, (leg,), None, named, frozenset(marks))

    def _units(self) -> int:
        return self.rng.choice(self.sizes) if self.rng.random() < self.habits.multi_unit else 1

    def _overwrite(self, session: Session, at: datetime) -> Plan | None:
        return self._on_stock("SHORT_CALL", session, at)

    def _hedge(self, session: Session, at: datetime) -> Plan | None:
        return self._on_stock("LONG_PUT", session, at)

    def _on_stock(self, name: str, session: Session, at: datetime) -> Plan | None:
        """A single option for some of the free stock of an underlying that has any."""
        before = self._before(at)
        free = {stock: self.holdings.free_stock(stock.code, before) // stock.lot for stock in UNDERLYINGS}
        stocks = [stock for stock, lots in free.items() if lots > 0 and stock.market == session.market]
        if not stocks:
            return None
        stock = self.rng.choice(stocks)
        idea = propose(self.rng, name, stock, self.market, session.day)
        if idea is None:
            return None
        units = free[stock] if self.rng.random() < 0.5 else self.rng.randint(1, free[stock])
        legs = tuple(PlannedLeg(contract, qty * units) for contract, qty in idea.legs)
        return self._opening(idea.type, legs, at)

    def _pair(self, session: Session, at: datetime) -> Plan | None:
        """Two stocks against each other for about the same money."""
        if session.market != "US":
            return None
        first, second = self.rng.sample(self.favourites["US"], 2)
        shares = self.rng.choice((100, 200, 300, 500))
        ratio = self.market.spot(first, session.day) / self.market.spot(second, session.day)
        legs = (PlannedLeg(stock_of(first), shares), PlannedLeg(stock_of(second), -max(round(shares * ratio), 1)))
        return self._opening("PAIR_TRADE", legs, at, "pair")

    # closes

    def _close_some(self, session: Session, at: datetime, underlying: Underlying | None) -> Plan | None:
        for _ in range(4):
            if plan := self._close(self._held(session, at, underlying), at):
                return plan
        return None

    def _close(self, lot: Lot | None, at: datetime) -> Plan | None:
        if lot is None:
            return None
        plan = closing(self.rng, self.habits, self.holdings, lot, at)
        if plan is None or any(self._turned(leg, at) for leg in plan.legs):
            return None
        return plan

    # rolls

    def _roll(self, session: Session, at: datetime, underlying: Underlying | None) -> Plan | None:
        for _ in range(12):
            lot = self._held(session, at, underlying)
            if lot is not None and (plan := self._rolling(lot, session, at)):
                return plan
        return None

    def _rolling(self, lot: Lot, session: Session, at: datetime) -> Plan | None:
        stock = next(item for item in UNDERLYINGS if item.code == lot.underlying)
        found, by_leg = rolled(self.rng, lot, stock, session.day), False
        if found is None and self.rng.random() < self.habits.roll_leg:
            found, by_leg = rolled_leg(self.rng, lot, stock, session.day), True
        if found is None:
            return None
        legs = _roll_legs(found, lot)
        against = any(leg.origin is None and self.holdings.opposes(leg.contract, leg.qty) for leg in legs)
        if against or any(self._turned(leg, at) for leg in legs):
            return None
        tags = frozenset({"roll_leg"} if by_leg else ())
        return Plan(ROLL, ROLL, legs, found.sub_type, found.resulting_type, tags, lot if by_leg else None)

    # what the fills leave behind

    def settle(self, plan: Plan, name: str, filled: Sequence[int], ready_at: datetime) -> None:
        """Enter what was filled of each leg; `name` is what the opened part is called, given those fills."""
        opened: dict[Contract, int] = {}
        for leg, qty in zip(plan.legs, filled, strict=True):
            if not qty:
                continue
            self.holdings.note_trade(leg.contract, qty, ready_at, closing=leg.origin is not None)
            if leg.origin is None:
                opened[leg.contract] = opened.get(leg.contract, 0) + qty
            else:
                self.holdings.reduce(leg.origin, leg.contract, qty)
                leg.origin.ready_at = max(ready_at, leg.origin.ready_at)
        if plan.joins is not None:
            self._join(plan.joins, opened, name)
        elif opened:
            ordered = {leg.contract: leg.qty for leg in plan.legs if leg.origin is None and leg.contract in opened}
            self.holdings.enter(Lot(name, plan.underlying, _unit(ordered), opened, ready_at, plan.tags))

    def _join(self, lot: Lot, opened: Mapping[Contract, int], name: str) -> None:
        for contract, qty in opened.items():
            lot.legs[contract] = qty
            self.holdings.net[contract] += qty
        lot.type = name
        lot.unit = _unit(lot.legs)


def _unit(legs: Mapping[Contract, int]) -> dict[Contract, int]:
    """One unit of these legs; stock beside options counts in lots, odd shares make one unit of all."""
    sizes = [qty // contract.lot if contract.kind == STOCK else qty for contract, qty in legs.items()]
    odd = any(contract.kind == STOCK and qty % contract.lot for contract, qty in legs.items())
    units = 1 if odd or len(legs) == 0 else gcd(*sizes)
    return {contract: qty // units for contract, qty in legs.items()}


def _roll_legs(found: Roll, lot: Lot) -> tuple[PlannedLeg, ...]:
    closing = [PlannedLeg(contract, -qty, lot) for contract, qty in found.closed]
    return (*closing, *(PlannedLeg(contract, qty) for contract, qty in found.opened))
