"""Where a strategy is rolled to: other strikes, another expiry, the same structure and quantity."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from random import Random

from apex_pipeline.domain.flows.holdings import Lot
from apex_pipeline.domain.flows.market import Contract, Underlying, expiries
from apex_pipeline.domain.flows.recipes import Leg, named
from apex_pipeline.domain.strategies.taxonomy import shape

_SINGLES = frozenset({"LONG_CALL", "SHORT_CALL", "LONG_PUT", "SHORT_PUT"})
_SUB_TYPES: Mapping[str, str] = {
    "BULL_CALL_SPREAD": "VERTICAL_ROLL", "BEAR_CALL_SPREAD": "VERTICAL_ROLL", "BULL_PUT_SPREAD": "VERTICAL_ROLL",
    "BEAR_PUT_SPREAD": "VERTICAL_ROLL", "LONG_STRADDLE": "STRADDLE_ROLL", "SHORT_STRADDLE": "STRADDLE_ROLL",
    "LONG_STRANGLE": "SPREAD_ROLL", "SHORT_STRANGLE": "SPREAD_ROLL",
}  # fmt: skip
_STRUCTURES = frozenset({
    "COVERED_CALL", "POOR_MANS_COVERED_CALL", "POOR_MANS_COVERED_PUT", "LONG_CALL_DIAGONAL", "LONG_PUT_DIAGONAL",
    "LONG_CALL_CALENDAR", "LONG_PUT_CALENDAR",
})  # fmt: skip
"""Structures whose short leg is rolled alone."""

_MOVES = ((0, 1), (1, 1), (-1, 1), (1, 0), (-1, 0), (0, -1))
"""Direction of the strike and of the expiry."""
_MOVE_WEIGHTS = (0.36, 0.18, 0.18, 0.12, 0.12, 0.04)


@dataclass(frozen=True, slots=True)
class Roll:
    """Positions given up and taken instead, signed as held."""

    closed: tuple[Leg, ...]
    opened: tuple[Leg, ...]
    sub_type: str
    resulting_type: str


def rolled(rng: Random, lot: Lot, stock: Underlying, day: date) -> Roll | None:
    """All legs moved together, all units or some of them; None if this lot is not of a kind that is rolled so."""
    units = lot.units
    single = lot.type in _SINGLES or lot.is_overwrite
    if not units or not (single or lot.type in _SUB_TYPES):
        return None
    if units > 1 and rng.random() < 0.15:
        units = rng.randint(1, units - 1)
    move = rng.choices(_MOVES, _MOVE_WEIGHTS)[0]
    closed = tuple((contract, qty * units) for contract, qty in lot.unit.items())
    opened = _moved(rng, closed, move, stock, day)
    if opened is None or {contract for contract, _ in opened} & set(lot.legs):
        return None
    return Roll(closed, opened, _direction(move) if single else _SUB_TYPES[lot.type], lot.type)


def rolled_leg(rng: Random, lot: Lot, stock: Underlying, day: date) -> Roll | None:
    """The short leg of a structure moved alone, all units; what results is named by its legs."""
    if not lot.units or len(lot.legs) != 2 or lot.type not in _STRUCTURES:
        return None
    ((short, qty),) = ((contract, held) for contract, held in lot.legs.items() if held < 0)
    move = rng.choices(_MOVES, _MOVE_WEIGHTS)[0]
    opened = _moved(rng, ((short, qty),), move, stock, day)
    if opened is None or opened[0][0] in lot.legs:
        return None
    kept = tuple((contract, held) for contract, held in lot.legs.items() if held > 0)
    context = frozenset(shape(lot.type).context_required)
    name = named((*kept, *opened), context)
    return Roll(((short, qty),), opened, _direction(move), name) if name in _STRUCTURES else None


def _moved(
    rng: Random, legs: tuple[Leg, ...], move: tuple[int, int], stock: Underlying, day: date
) -> tuple[Leg, ...] | None:
    """The same legs at other strikes and another expiry of the exchange; all of one expiry before and after."""
    expiry = legs[0][0].expiry
    if expiry is None:
        return None
    target = _target(rng, expiry, move[1], expiries(stock.market, stock.dailies, day))
    if target is None:
        return None
    shift = move[0] * rng.choice((1, 1, 2, 2, 3, 4, 6)) * stock.step
    opened = tuple((_at(contract, shift, target), qty) for contract, qty in legs)
    return opened if all((contract.strike or 0) > 0 for contract, _ in opened) else None


def _at(contract: Contract, shift: Decimal, expiry: date) -> Contract:
    return contract._replace(strike=(contract.strike or Decimal(0)) + shift, expiry=expiry)


def _target(rng: Random, expiry: date, direction: int, listed: tuple[date, ...]) -> date | None:
    if not direction:
        return expiry
    later = [item for item in listed if item > expiry] if direction > 0 else [i for i in listed if i < expiry][::-1]
    return later[min(int(rng.expovariate(0.6)), len(later) - 1)] if later else None


def _direction(move: tuple[int, int]) -> str:
    """ROLL_UP_OUT and its like."""
    strike, expiry = {0: "", 1: "_UP", -1: "_DOWN"}[move[0]], {0: "", 1: "_OUT", -1: "_IN"}[move[1]]
    return f"ROLL{strike}{expiry}"
