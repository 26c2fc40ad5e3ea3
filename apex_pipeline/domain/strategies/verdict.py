"""What a group of orders is, given what the account held: its type, its action and how sure that is.

The confidences are constants per kind of evidence. They are provisional: ordered by what is known to
matter, not calibrated on labelled flow.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from apex_pipeline.domain.models import Side
from apex_pipeline.domain.strategies.book import Book, Effect, OpenStrategy, is_call
from apex_pipeline.domain.strategies.grouping import Group, Method
from apex_pipeline.domain.strategies.legs import Contract, GroupLeg, group_legs, shape_legs
from apex_pipeline.domain.strategies.shapes import Match, name_shape
from apex_pipeline.domain.strategies.taxonomy import CUSTOM_MULTI_LEG, ROLL, UNCLASSIFIED, shape

COVERED_CALL = "COVERED_CALL"
CLOSE = "CLOSE"
OPEN = "OPEN"

LINKED = Decimal("0.950")
LINKED_UNNAMED = Decimal("0.500")
LINKED_MIXED = Decimal("0.500")
WINDOWED = Decimal("0.600")
SINGLE = Decimal("0.700")
SINGLE_COVERED = Decimal("0.750")
SINGLE_CLOSE = Decimal("0.850")
SINGLE_LEG_OUT = Decimal("0.700")
SINGLE_CLOSE_UNKNOWN = Decimal("0.600")
FLIPPED = Decimal("0.500")
NO_EVIDENCE = Decimal("0.000")


class Action(StrEnum):
    OPEN = "OPEN"
    CLOSE = "CLOSE"
    ROLL = "ROLL"
    ADJUST = "ADJUST"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one group.

    `legs` are the filled ones, with the effect that was decided where the replay alone would say
    otherwise. `origin` is the strategy that a CLOSE or ROLL reduces. `resulting` is the type of what is
    open afterwards, for what opens. `rivals` are ids of other types, best first.
    """

    strategy_type: str
    action: Action
    confidence: Decimal
    legs: tuple[GroupLeg, ...]
    origin: OpenStrategy | None = None
    resulting: str | None = None
    covered: bool = False
    rivals: tuple[str, ...] = ()
    evidence: dict[str, Any] = field(default_factory=dict[str, Any])


def judge(group: Group, book: Book) -> Verdict | None:
    """What the group is; None when orders close in time turn out not to be one strategy."""
    on = group.orders[0].trade_date
    planned = group_legs(group.planned)
    legs = [leg for leg in planned if leg.qty]
    if len(planned) < 2 or not legs:
        return None if group.method is Method.WINDOW else _single(legs, book, on, linked=group.method is Method.LINKED)
    verdict = _closed_whole(planned, legs, book) or _by_effects(planned, legs, book)
    if group.method is Method.LINKED:
        return verdict
    return _if_windowed(verdict, legs, book)


def single_type(leg: GroupLeg, book: Book, on: date) -> str:
    """What this leg, traded on that day, would be called if it stood alone."""
    return _single([leg], book, on, linked=False).strategy_type


def _single(legs: Sequence[GroupLeg], book: Book, on: date, *, linked: bool) -> Verdict:
    if not legs:
        return Verdict(UNCLASSIFIED, Action.OPEN, NO_EVIDENCE, ())
    (leg,) = legs
    effect = book.effect(leg)
    if effect.closes:
        return _single_close(leg, effect, book)
    match = _filled([leg])
    evidence = {"closed_qty": str(effect.closing), "opened_qty": str(effect.opening)} if effect.flips else {}
    if match is None:
        return Verdict(UNCLASSIFIED, Action.OPEN, NO_EVIDENCE, (leg,), resulting=UNCLASSIFIED, evidence=evidence)
    name, rivals, confidence = match.shape.id, match.rivals, SINGLE
    if leg.qty < 0 and is_call(leg.contract):
        free = book.free_stock(leg.contract, on)
        needed = effect.opening * (leg.contract.multiplier or Decimal(0))
        evidence["free_stock"] = str(free)
        if 0 < needed <= free:
            name, rivals, confidence = COVERED_CALL, (match.shape.id,), SINGLE_COVERED
        elif free > 0:
            rivals = (*rivals, "RATIO_COVERED_CALL")
    confidence = FLIPPED if effect.flips else confidence
    confidence = LINKED if linked and not effect.flips else confidence
    covered = name == COVERED_CALL
    return Verdict(name, Action.OPEN, _capped(confidence, name), (leg,), None, name, covered, rivals, evidence)


def _single_close(leg: GroupLeg, effect: Effect, book: Book) -> Verdict:
    """A close keeps the type under which the position was opened; a leg taken out of more has its own name."""
    origin, holder = book.origin([leg]), book.holder(leg)
    undone = _undone([replace(leg, ordered=leg.qty)])
    evidence: dict[str, Any] = {}
    if origin is not None and origin.strategy_type is not None:
        name, confidence = origin.strategy_type, SINGLE_CLOSE
    else:
        name = undone.shape.id if undone else UNCLASSIFIED
        confidence = SINGLE_CLOSE_UNKNOWN
        if origin is None and holder is not None and holder.strategy_type is not None:
            confidence = SINGLE_LEG_OUT
            evidence["leg_out_of"] = holder.strategy_type
    rivals = (undone.shape.id,) if undone and undone.shape.id != name else ()
    resulting = None
    if effect.flips:
        confidence = FLIPPED
        opened = _filled([leg])
        resulting = opened.shape.id if opened else UNCLASSIFIED
        rivals = (*rivals, resulting)
        evidence |= {"closed_qty": str(effect.closing), "opened_qty": str(effect.opening)}
    confidence = NO_EVIDENCE if name == UNCLASSIFIED else _capped(confidence, name)
    return Verdict(
        name,
        Action.CLOSE,
        confidence,
        (leg,),
        origin=origin or holder,
        resulting=resulting,
        rivals=rivals,
        evidence=evidence,
    )


def _closed_whole(planned: Sequence[GroupLeg], legs: Sequence[GroupLeg], book: Book) -> Verdict | None:
    """A strategy that is open and exactly undone, even where its legs net with another strategy's."""
    if any(leg.effect == OPEN for leg in legs):
        return None
    origin = book.origin([replace(leg, qty=leg.ordered or leg.qty) for leg in planned])
    if origin is None or origin.strategy_type is None:
        return None
    if any(origin.units(leg.contract.symbol) < abs(leg.qty) for leg in legs) and not _all_close(legs, book):
        return None
    closing = _decided(legs, CLOSE)
    return Verdict(origin.strategy_type, Action.CLOSE, _capped(LINKED, origin.strategy_type), closing, origin)


def _by_effects(planned: Sequence[GroupLeg], legs: Sequence[GroupLeg], book: Book) -> Verdict:
    if _all_close(legs, book):
        return _closing(planned, legs, book)
    if any(book.effect(leg).closes for leg in legs):
        return _rolling(legs, book) or _mixed(planned, legs)
    return _opening(planned, legs, LINKED)


def _all_close(legs: Sequence[GroupLeg], book: Book) -> bool:
    return all(book.effect(leg).closes for leg in legs)


def _opening(planned: Sequence[GroupLeg], legs: Sequence[GroupLeg], confidence: Decimal) -> Verdict:
    match = _ordered(planned) or _filled(legs)
    opened = _decided(legs, OPEN)
    if match is None:
        return Verdict(CUSTOM_MULTI_LEG, Action.OPEN, LINKED_UNNAMED, opened, resulting=CUSTOM_MULTI_LEG)
    name = match.shape.id
    covered = match.shape.stock is not None and match.shape.stock.side is Side.BUY
    evidence = {"units": match.units}
    return Verdict(name, Action.OPEN, _capped(confidence, name), opened, None, name, covered, match.rivals, evidence)


def _closing(planned: Sequence[GroupLeg], legs: Sequence[GroupLeg], book: Book) -> Verdict:
    """A close of several legs whose strategy is not known as a whole: the name of what is being undone."""
    closed = _decided(legs, CLOSE)
    match = _undone(planned)
    holder = next((found for leg in legs if (found := book.holder(leg))), None)
    if match is None:
        return Verdict(CUSTOM_MULTI_LEG, Action.CLOSE, LINKED_UNNAMED, closed, holder)
    name = match.shape.id
    return Verdict(name, Action.CLOSE, _capped(LINKED, name), closed, holder, rivals=match.rivals)


def _rolling(legs: Sequence[GroupLeg], book: Book) -> Verdict | None:
    """Contracts closed and as many opened of the same right, direction and quantity: an exposure moved on."""
    effects = {leg.contract.symbol: book.effect(leg) for leg in legs}
    closing = [leg for leg in legs if effects[leg.contract.symbol].closes]
    opening = [leg for leg in legs if not effects[leg.contract.symbol].closes]
    if any(effect.flips for effect in effects.values()):
        return None
    if any(not leg.contract.is_named_option for leg in legs) or not _same_exposure(closing, opening):
        return None
    origin = book.origin(closing) or book.holder(closing[0])
    resulting = _resulting(origin, closing, opening)
    evidence: dict[str, Any] = {"resulting_strategy": resulting}
    if len(closing) == 1:
        evidence["sub_type"] = _roll_direction(closing[0], opening[0])
    rival = _filled(legs)
    decided = (*_decided(closing, CLOSE), *_decided(opening, OPEN))
    covered = resulting == COVERED_CALL
    rivals = (rival.shape.id,) if rival else ()
    return Verdict(ROLL, Action.ROLL, LINKED, decided, origin, resulting, covered, rivals, evidence)


def _same_exposure(closing: Sequence[GroupLeg], opening: Sequence[GroupLeg]) -> bool:
    """Filled quantities first, ordered ones where partial fills break the balance."""
    filled = Counter((leg.contract.option_right, -leg.qty) for leg in closing)
    ordered = Counter((leg.contract.option_right, -leg.ordered) for leg in closing)
    return filled == Counter((leg.contract.option_right, leg.qty) for leg in opening) or ordered == Counter(
        (leg.contract.option_right, leg.ordered) for leg in opening
    )


def _resulting(origin: OpenStrategy | None, closing: Sequence[GroupLeg], opening: Sequence[GroupLeg]) -> str:
    """A covered call stays one when its call is moved on; all else is named by what was opened."""
    if origin is not None and origin.covered and origin.strategy_type == COVERED_CALL and len(closing) == 1:
        return COVERED_CALL
    match = _filled(opening)
    return match.shape.id if match else CUSTOM_MULTI_LEG


def _roll_direction(closed: GroupLeg, opened: GroupLeg) -> str:
    """ROLL_UP_OUT and its like: the move in strike, then in expiry."""
    before, after = closed.contract, opened.contract
    if before.strike is None or after.strike is None or before.expiry is None or after.expiry is None:
        return ROLL
    strike = "" if before.strike == after.strike else "_UP" if after.strike > before.strike else "_DOWN"
    expiry = "" if before.expiry == after.expiry else "_OUT" if after.expiry > before.expiry else "_IN"
    return f"{ROLL}{strike}{expiry}"


def _mixed(planned: Sequence[GroupLeg], legs: Sequence[GroupLeg]) -> Verdict:
    """Some legs reduce what is held and it is no roll: a named shape is a new strategy beside the old one."""
    verdict = _opening(planned, legs, LINKED_MIXED)
    if verdict.strategy_type == CUSTOM_MULTI_LEG:
        return replace(verdict, action=Action.ADJUST, legs=tuple(legs))
    return replace(verdict, evidence={**verdict.evidence, "legs_net_with_a_position": True})


def _if_windowed(verdict: Verdict, legs: Sequence[GroupLeg], book: Book) -> Verdict | None:
    """Closeness in time groups only what makes one named strategy without contradiction."""
    if verdict.strategy_type == CUSTOM_MULTI_LEG or "legs_net_with_a_position" in verdict.evidence:
        return None
    if any(book.effect(leg).flips for leg in legs):
        return None
    if verdict.action is Action.CLOSE and book.origin(legs) is None and all(_known_alone(leg, book) for leg in legs):
        return None
    return replace(verdict, confidence=min(verdict.confidence, WINDOWED))


def _known_alone(leg: GroupLeg, book: Book) -> bool:
    origin = book.origin([leg])
    return origin is not None and origin.strategy_type is not None


def _filled(legs: Sequence[GroupLeg]) -> Match | None:
    return _match([(leg.contract, leg.qty) for leg in legs])


def _ordered(legs: Sequence[GroupLeg]) -> Match | None:
    return _match([(leg.contract, leg.ordered) for leg in legs])


def _undone(legs: Sequence[GroupLeg]) -> Match | None:
    """The name of what these legs close: theirs with every side turned round."""
    ordered = _match([(leg.contract, -leg.ordered) for leg in legs])
    return ordered or _match([(leg.contract, -leg.qty) for leg in legs if leg.qty])


def _match(changes: Sequence[tuple[Contract, Decimal]]) -> Match | None:
    described = shape_legs(changes)
    return name_shape(described) if described else None


def _decided(legs: Sequence[GroupLeg], effect: str) -> tuple[GroupLeg, ...]:
    return tuple(replace(leg, effect=effect) for leg in legs)


def _capped(confidence: Decimal, name: str) -> Decimal:
    """No more than the shape's legs alone may claim."""
    if name in (CUSTOM_MULTI_LEG, UNCLASSIFIED, ROLL):
        return confidence
    return min(confidence, shape(name).structural_confidence).quantize(Decimal("0.001"))
