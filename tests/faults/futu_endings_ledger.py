"""Lots and gains of the made-up spring, by a first in, first out of its own.

An option that delivers shows no gain: its premium less fees goes with the shares, equally on each of them, as the
ledger says it does. What expires or is settled in cash keeps its gain.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from operator import itemgetter

from tests.cli.book_contracts import Contract
from tests.faults.futu_endings import DAY, Ended, Life, Placed, held_on, stock_of

Key = tuple[int, str]
"""An account and a symbol."""


@dataclass
class _Lot:
    """Units left (positive), and what each of them cost and brought along. `value`: price times size."""

    units: Decimal
    is_long: bool
    value: Decimal
    fee: Decimal
    carried: Decimal


@dataclass
class Gains:
    """What the life comes to. `realized` by key and day; `costs` by day and key: what is open cost, fees included."""

    realized: dict[tuple[Key, date], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    costs: dict[tuple[date, Key], Decimal] = field(default_factory=dict)


@dataclass
class Ledger:
    """Follows a life day by day."""

    life: Life
    lots: defaultdict[Key, deque[_Lot]] = field(default_factory=lambda: defaultdict(deque))
    gains: Gains = field(default_factory=Gains)

    def kept(self, first: date, last: date) -> Gains:
        """The books from the first to the last day."""
        day = first
        while day <= last:
            for order in sorted((one for one in self.life.orders if one.day == day), key=lambda one: one.at):
                self._deal(order)
            # the program's order of what is delivered in the same instant: that of the bookings
            ended = [one for one in self.life.ends if one.day == day]
            carried = [(one, self._end(one)) for one in ended]
            for end, premium in carried:
                if end.delivers:
                    self._deliver(end, premium)
            self._expire(day)
            for key, lots in self.lots.items():
                if lots:
                    self.gains.costs[day, key] = sum(map(_cost, lots), Decimal(0))
            day += DAY
        return self.gains

    def _deal(self, order: Placed) -> None:
        for fill in order.fills:
            value = fill.price * fill.contract.size
            key = order.account, fill.contract.symbol
            self.gains.realized[key, order.day] += self._move(key, fill.qty, value, order.fee / abs(fill.qty))

    def _end(self, end: Ended) -> Decimal:
        """The option's end; returns what goes with its shares."""
        key = end.account, end.contract.symbol
        value = Decimal(0) if end.cash is None else abs(end.cash) / end.contracts
        gained = self._move(key, end.option_change, value, Decimal(0))
        if not end.delivers:
            self.gains.realized[key, end.day] += gained
        return gained

    def _deliver(self, end: Ended, premium: Decimal) -> None:
        key = end.account, stock_of(end.contract).symbol
        assert end.contract.strike is not None
        each = premium / abs(end.shares)
        self.gains.realized[key, end.day] += self._move(key, end.shares, end.contract.strike, Decimal(0), each)

    def _expire(self, day: date) -> None:
        for key, contract in _options(self.life).items():
            left = sum((lot.units if lot.is_long else -lot.units for lot in self.lots[key]), Decimal(0))
            if contract.expiry == day and left:
                self.gains.realized[key, day] += self._move(key, -left, Decimal(0), Decimal(0))

    def _move(self, key: Key, qty: Decimal, value: Decimal, fee: Decimal, carried: Decimal = Decimal(0)) -> Decimal:
        """Close the first lots of the other side and open what is left; returns the gain. `fee` is for each unit."""
        lots, units, gained = self.lots[key], abs(qty), Decimal(0)
        while units and lots and lots[0].is_long == (qty < 0):
            lot = lots[0]
            taken = min(units, lot.units)
            each = (value - lot.value if lot.is_long else lot.value - value) - lot.fee - fee + lot.carried + carried
            gained += taken * each
            lot.units -= taken
            units -= taken
            if not lot.units:
                lots.popleft()
        if units:
            lots.append(_Lot(units, qty > 0, value, fee, carried))
        return gained


def nothing_left_open(life: Life, last: date) -> bool:
    """Whether the lots add up to the positions."""
    ledger = Ledger(life)
    ledger.kept(min(one.day for one in life.orders), last)
    units = {
        key: sum((one.units if one.is_long else -one.units for one in lots), Decimal(0))
        for key, lots in ledger.lots.items()
        if lots
    }
    return sorted(units.items(), key=itemgetter(0)) == sorted(held_on(life.changes(), last).items(), key=itemgetter(0))


def _cost(lot: _Lot) -> Decimal:
    value = lot.value if lot.is_long else -lot.value
    return lot.units * (value + lot.fee - lot.carried)


def _options(life: Life) -> dict[Key, Contract]:
    return {
        (order.account, fill.contract.symbol): fill.contract
        for order in life.orders
        for fill in order.fills
        if fill.contract.expiry is not None
    }
