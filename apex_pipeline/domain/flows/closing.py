"""How a strategy that is held is closed: all of it, some units, one leg, or through zero to the other side."""

from collections.abc import Iterator
from datetime import datetime
from random import Random

from apex_pipeline.domain.flows.holdings import PLAIN_STOCK, Holdings, Lot
from apex_pipeline.domain.flows.levels import Habits
from apex_pipeline.domain.flows.market import CALL, STOCK
from apex_pipeline.domain.flows.plans import CLOSE, SINGLES, Plan, PlannedLeg, single_type


def closing(rng: Random, habits: Habits, holdings: Holdings, lot: Lot, at: datetime) -> Plan | None:
    """A close of this lot; None where other strategies stand on it."""
    if lot.is_stock:
        return _closing_stock(rng, habits, holdings, lot, at)
    return _closing(rng, habits, holdings, lot, at)


def _closing_stock(rng: Random, habits: Habits, holdings: Holdings, lot: Lot, at: datetime) -> Plan | None:
    """Shares that nothing stands on, all of the lot or some round part of it."""
    ((contract, held),) = lot.legs.items()
    if holdings.free_stock(lot.underlying, at) < held:
        return None
    part = rng.random() < habits.partial_close and held > contract.lot
    qty = contract.lot * rng.randint(1, (held - 1) // contract.lot) if part else held
    return _close_plan(PLAIN_STOCK, (PlannedLeg(contract, -qty, lot),), "CLOSE_PARTIAL" if part else "CLOSE_FULL")


def _closing(rng: Random, habits: Habits, holdings: Holdings, lot: Lot, at: datetime) -> Plan | None:
    chance = rng.random()
    if not lot.whole or (len(lot.legs) > 1 and chance < habits.leg_out):
        return _leg_out(rng, lot)
    if len(lot.legs) == 1 and chance < habits.flips:
        return _flip(holdings, lot, rng.choice(habits.units), at)
    units = lot.units
    if units > 1 and chance > 1 - habits.partial_close:
        part = rng.randint(1, units - 1)
        legs = tuple(PlannedLeg(contract, -qty * part, lot) for contract, qty in lot.unit.items())
        return _close_plan(lot.type, legs, "CLOSE_PARTIAL")
    return _close_plan(lot.type, tuple(_undo(lot)), "CLOSE_FULL")


def _leg_out(rng: Random, lot: Lot) -> Plan | None:
    """One contract out of several; stock only when no call sold stands on it."""
    naked = not any(leg.kind == CALL and qty < 0 for leg, qty in lot.legs.items())
    legs = [leg for leg in _undo(lot) if naked or leg.contract.kind != STOCK]
    leg = rng.choice(legs)
    tag = "leg_out" if lot.whole else "remainder"
    return _close_plan(SINGLES[leg.contract.kind, leg.qty < 0], (leg,), "LEG_OUT", tag)


def _flip(holdings: Holdings, lot: Lot, units: int, at: datetime) -> Plan | None:
    """One order that closes all that is held of a contract and opens the other side."""
    (leg,) = _undo(lot)
    if lot.is_overwrite or holdings.net[leg.contract] + leg.qty:
        return None
    beyond = PlannedLeg(leg.contract, units * (1 if leg.qty > 0 else -1))
    named = single_type(holdings, beyond, at)
    if leg.contract.kind == STOCK or named is None:
        return None
    tags = frozenset({"flip"})
    return Plan(lot.type, CLOSE, (leg, beyond), "CLOSE_FULL", None, tags, flip_type=named)


def _undo(lot: Lot) -> Iterator[PlannedLeg]:
    return (PlannedLeg(contract, -qty, lot) for contract, qty in lot.legs.items())


def _close_plan(name: str, legs: tuple[PlannedLeg, ...], sub_type: str, *tags: str) -> Plan:
    marks = {*tags, *(("partial_close",) if sub_type == "CLOSE_PARTIAL" else ())}
    return Plan(name, CLOSE, legs, sub_type, name if sub_type == "CLOSE_PARTIAL" else None, frozenset(marks))
