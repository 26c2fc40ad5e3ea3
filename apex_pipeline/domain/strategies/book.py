"""Positions and open strategies of one account, replayed in time.

Here belongs what was held when a group traded: which legs open or close, whose strategy a close ends,
and how much stock is free to cover a call. Quantities are signed: positive long, negative short.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from apex_pipeline.domain.models import AssetClass, OptionRight
from apex_pipeline.domain.strategies.legs import STOCKS, Contract, GroupLeg

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Effect:
    """How a leg splits at the zero crossing; both parts positive, their sum is the leg's quantity."""

    closing: Decimal
    opening: Decimal

    @property
    def closes(self) -> bool:
        """Whether the leg counts as a close: its larger part reduces a position, ties included."""
        return self.closing > 0 and self.closing >= self.opening

    @property
    def flips(self) -> bool:
        """Whether the leg crosses zero."""
        return self.closing > 0 and self.opening > 0


@dataclass(slots=True)
class OpenStrategy:
    """What is left of a strategy. `strategy_type` None: held before the history begins.

    `size` is the number of contracts it was opened with: with fewer left, its name no longer fits.
    """

    strategy_uid: str | None
    chain_uid: str | None
    strategy_type: str | None
    legs: dict[str, Decimal]
    covered: bool
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = len(self.legs)

    def units(self, symbol: str) -> Decimal:
        """The absolute quantity left of one leg."""
        return abs(self.legs.get(symbol, ZERO))


@dataclass(slots=True)
class Book:
    """The open strategies, oldest first, and per symbol the sum of their legs."""

    positions: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    contracts: dict[str, Contract] = field(default_factory=dict[str, Contract])
    by_symbol: defaultdict[str, list[OpenStrategy]] = field(default_factory=lambda: defaultdict(list))
    by_family: defaultdict[str, list[OpenStrategy]] = field(default_factory=lambda: defaultdict(list))

    def effect(self, leg: GroupLeg) -> Effect:
        """What the leg does to the position; the broker's own OPEN or CLOSE goes before the replay."""
        amount = abs(leg.qty)
        if leg.effect is not None:
            return Effect(amount, ZERO) if leg.effect == "CLOSE" else Effect(ZERO, amount)
        held = self.positions[leg.contract.symbol]
        closing = min(amount, abs(held)) if held * leg.qty < 0 else ZERO
        return Effect(closing, amount - closing)

    def free_stock(self, contract: Contract, on: date) -> Decimal:
        """Long units of the contract's underlying that no covered call stands on that day; never below zero.

        An expired call holds nothing any more, even where the broker's entry of the expiry is missing.
        """
        stock = self.contracts.get(contract.family)
        if stock is None or stock.asset_class not in STOCKS:
            return ZERO
        return max(ZERO, self.positions[stock.symbol] - self._committed(contract.family, on))

    def origin(self, legs: Sequence[GroupLeg]) -> OpenStrategy | None:
        """The oldest open strategy that these legs close as a whole, in the same proportion if there is one."""
        whole = [item for item in self.by_symbol[legs[0].contract.symbol] if _opposes(item, legs)]
        return next((item for item in whole if _proportional(item, legs)), whole[0] if whole else None)

    def holder(self, leg: GroupLeg) -> OpenStrategy | None:
        """The oldest open strategy that has this leg among others."""
        held = self.by_symbol[leg.contract.symbol]
        return next((item for item in held if item.legs[leg.contract.symbol] * leg.qty < 0), None)

    def close(self, legs: Sequence[GroupLeg]) -> None:
        """Take the closing parts out of strategies and positions: whole strategies first, then any that hold a leg."""
        due = {leg.contract.symbol: self.effect(leg).closing for leg in legs}
        needs = dict(due)
        while any(needs.values()):
            rest = [leg for leg in legs if needs[leg.contract.symbol]]
            whole = self.origin(rest)
            if whole is None:
                break
            self._take(whole, rest, needs)
        for leg in legs:
            while needs[leg.contract.symbol] and (holder := self.holder(leg)):
                self._take(holder, [leg], needs)
        for leg in legs:
            # What a broker calls a close of nothing known was opened before the history: no position turns over.
            self._move(leg.contract, (due[leg.contract.symbol] - needs[leg.contract.symbol]) * _sign(leg.qty))

    def open(self, strategy: OpenStrategy, contracts: Sequence[Contract]) -> None:
        """Enter a strategy with its positions."""
        for contract in contracts:
            self._move(contract, strategy.legs[contract.symbol])
            self.by_symbol[contract.symbol].append(strategy)
        for family in {contract.family for contract in contracts}:
            self.by_family[family].append(strategy)

    def apply(self, contract: Contract, qty: Decimal) -> None:
        """A change that no order made: reduces what is held, the rest opens a strategy of unknown type."""
        leg = GroupLeg(contract, qty, qty, None)
        effect = self.effect(leg)
        if effect.closing:
            self.close([leg])
        if effect.opening:
            rest = effect.opening * _sign(qty)
            # Whether an inherited short call is covered cannot be known; counting it so never frees stock twice.
            covered = rest < 0 and is_call(contract)
            self.open(OpenStrategy(None, None, None, {contract.symbol: rest}, covered), [contract])

    def _move(self, contract: Contract, qty: Decimal) -> None:
        self.contracts[contract.symbol] = contract
        self.positions[contract.symbol] += qty

    def _take(self, item: OpenStrategy, legs: Sequence[GroupLeg], needs: dict[str, Decimal]) -> None:
        for leg in legs:
            symbol = leg.contract.symbol
            taken = min(needs[symbol], item.units(symbol))
            needs[symbol] -= taken
            item.legs[symbol] += taken * _sign(leg.qty)
            if not item.legs[symbol]:
                del item.legs[symbol]
                self.by_symbol[symbol] = [other for other in self.by_symbol[symbol] if other is not item]
        if not item.legs:
            family = legs[0].contract.family
            self.by_family[family] = [other for other in self.by_family[family] if other is not item]

    def _committed(self, family: str, on: date) -> Decimal:
        """Units of the underlying that outstanding covered calls stand on."""
        total = ZERO
        for item in self.by_family[family]:
            for symbol, qty in item.legs.items():
                contract = self.contracts[symbol]
                alive = contract.expiry is None or contract.expiry >= on
                if item.covered and qty < 0 and is_call(contract) and alive:
                    total += -qty * (contract.multiplier or ZERO)
        return total


def _opposes(item: OpenStrategy, legs: Sequence[GroupLeg]) -> bool:
    """Whether the strategy still has all its contracts and they are exactly these, each on the other side."""
    return len(item.legs) == item.size == len(legs) and all(
        item.legs.get(leg.contract.symbol, ZERO) * leg.qty < 0 for leg in legs
    )


def _proportional(item: OpenStrategy, legs: Sequence[GroupLeg]) -> bool:
    first = legs[0]
    return all(
        item.units(leg.contract.symbol) * abs(first.qty) == item.units(first.contract.symbol) * abs(leg.qty)
        for leg in legs
    )


def is_call(contract: Contract) -> bool:
    """Whether the contract is a call on a stock or index."""
    return contract.asset_class is AssetClass.OPTION and contract.option_right is OptionRight.CALL


def _sign(qty: Decimal) -> int:
    return (qty > 0) - (qty < 0)
