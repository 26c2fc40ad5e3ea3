"""The legs of a strategy: what its orders traded by contract and side, and what that brought or cost."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.instruments import plain
from apex_pipeline.domain.lot_shares import quotient, trimmed
from apex_pipeline.domain.models import AssetClass, Side
from apex_pipeline.domain.strategies.members import Fill, Member, Part
from apex_pipeline.domain.strategies.payoff import OptionUnits

ZERO = Decimal(0)
_SHARES = frozenset({AssetClass.STOCK, AssetClass.FUND})


@dataclass(frozen=True, slots=True)
class Leg:
    """What a strategy traded of one contract on one side; `value` is quantity times price, None if not known."""

    fill: Fill
    qty: Decimal
    value: Decimal | None
    role: str
    order_uids: tuple[str, ...]

    @property
    def signed(self) -> Decimal:
        """The change of position: positive bought."""
        return self.qty if self.fill.side is Side.BUY else -self.qty

    @property
    def multiplier(self) -> Decimal | None:
        """Units of the underlying per contract; one per share."""
        return Decimal(1) if self.fill.asset_class in _SHARES else self.fill.multiplier

    @property
    def cash(self) -> Decimal | None:
        """What it brought, negative if it cost; None where price or multiplier is not known."""
        if self.value is None or self.multiplier is None:
            return None
        amount = self.value * self.multiplier
        return -amount if self.fill.side is Side.BUY else amount

    @property
    def avg_price(self) -> Decimal | None:
        return None if self.value is None or not self.qty else trimmed(quotient(self.value, self.qty))

    @property
    def option(self) -> OptionUnits | None:
        """As units of the underlying; None where a term is not known, or for shares."""
        fill = self.fill
        if self.multiplier is None or fill.option_right is None or fill.strike is None:
            return None
        return OptionUnits(self.signed * self.multiplier, fill.option_right, fill.strike)

    def told(self) -> dict[str, Any]:
        """As it stands in the table."""
        price = self.avg_price
        return {
            "symbol": self.fill.symbol,
            "side": self.fill.side.value,
            "qty": plain(self.qty),
            "avg_price": None if price is None else plain(price),
            "role": self.role,
            "order_uids": list(self.order_uids),
        }


def legs_of(members: Sequence[Member], parts: Mapping[tuple[str, str], Sequence[Part]]) -> list[Leg]:
    """The legs by contract and side; options by expiry and strike, then everything else."""
    found: dict[tuple[str, Side], Leg] = {}
    for member in members:
        for part in parts.get((member.strategy_uid, member.order_uid), ()):
            key = part.fill.symbol, part.fill.side
            before = found.get(key)
            if before is None:
                role = _role(member, part.fill)
                found[key] = Leg(part.fill, part.qty, part.value, role, (part.order_uid,))
            else:
                value = None if before.value is None or part.value is None else before.value + part.value
                uids = (*before.order_uids, part.order_uid)
                found[key] = Leg(before.fill, before.qty + part.qty, value, before.role, uids)
    return sorted(found.values(), key=_leg_key)


def _leg_key(leg: Leg) -> tuple[bool, date, Decimal, str, str]:
    fill = leg.fill
    return not fill.is_option, fill.expiry or date.max, fill.strike or ZERO, fill.symbol, fill.side


def _role(member: Member, fill: Fill) -> str:
    """The classifier's role of the order; of a leg inside a combination order, what the leg holds or held."""
    if member.leg_role != "COMBO" or member.action == "ROLL":
        return member.leg_role
    direction = "LONG" if (fill.side is Side.BUY) is (member.action != "CLOSE") else "SHORT"
    return f"{direction}_{fill.option_right.name if fill.option_right else fill.asset_class.value}"


def cash_of(legs: Sequence[Leg], *, options: bool) -> Decimal | None:
    """What the options, or all else, brought; None where there are none or one is not known."""
    some = [leg.cash for leg in legs if leg.fill.is_option is options]
    return known_sum(some) if some else None


def known_sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """The sum, None if one is not known."""
    found = ZERO
    for amount in amounts:
        if amount is None:
            return None
        found += amount
    return trimmed(found)


def options_of(legs: Iterable[Leg]) -> list[OptionUnits]:
    """The legs that are options with known terms, as units of the underlying."""
    return [option for leg in legs if (option := leg.option) is not None]
