"""Orders of one account and underlying in whole numbers: contracts by number, quantities in units of the underlying."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from apex_pipeline.domain.models import AssetClass, OptionRight, Side
from apex_pipeline.domain.strategies.holdings import CALL, OTHER, PUT, STOCK, Term
from apex_pipeline.domain.strategies.legs import FUTURES, STOCKS, ClassifiableOrder, Contract, Correction

STRIKE_SCALE = 10**8
"""Strikes are whole numbers of this part of a price unit: eight places, more than any exchange lists."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """One contract of one order. `order` is its place in the orders; quantities are unsigned.

    `at`: seconds since 1970, the beginning of the day where nobody told the time (`timed`); `today`: the number
    of its trade date; `link`: what declares it part of a combination.
    """

    order: int
    contract: int
    sign: int
    qty: int
    filled: int
    at: float
    today: int
    link: str | None
    timed: bool


class Terms:
    """The contracts met so far, by number, and what one of each is worth in units of the underlying.

    `scale` is the power of ten that makes every quantity whole; a future's option delivers one future.
    """

    def __init__(self, quantities: Iterable[Decimal | None], orders: Iterable[ClassifiableOrder]) -> None:
        self.terms: list[Term] = []
        self.scale = 10 ** max((_places(qty) for qty in quantities if qty is not None), default=0)
        self._numbers: dict[str, int] = {}
        options = (order for order in orders if order.asset_class is AssetClass.OPTION and order.multiplier)
        self._lot = next((int(order.multiplier or 0) for order in options), 100)

    def number(self, contract: Contract) -> int:
        """The contract's number, a new one where it was not met before."""
        number = self._numbers.get(contract.symbol)
        if number is None:
            number = self._numbers[contract.symbol] = len(self.terms)
            self.terms.append(self._term(contract))
        return number

    def whole(self, contract: Contract, qty: Decimal) -> int:
        """A quantity of the contract in units of the underlying, with its sign."""
        term = self.terms[self.number(contract)]
        return int(qty * (self.scale if term.kind == STOCK else term.lot))

    def quantity(self, number: int, qty: int) -> Decimal:
        """Units of the underlying as a quantity of the contract."""
        term = self.terms[number]
        return Decimal(qty) / (self.scale if term.kind == STOCK else term.lot)

    def _term(self, contract: Contract) -> Term:
        if contract.is_named_option:
            assert contract.strike is not None
            assert contract.expiry is not None
            kind = CALL if contract.option_right is OptionRight.CALL else PUT
            strike, expiry = int(contract.strike * STRIKE_SCALE), contract.expiry.toordinal()
            return Term(contract.symbol, kind, strike, expiry, self._unit(contract))
        if contract.asset_class in STOCKS or contract.asset_class in FUTURES:
            future = contract.asset_class in FUTURES
            return Term(contract.symbol, STOCK, lot=self._lot * self.scale, future=future)
        return Term(contract.symbol, OTHER, lot=self._unit(contract))

    def _unit(self, contract: Contract) -> int:
        if contract.asset_class is AssetClass.OPTION:
            return max(1, int((contract.multiplier or Decimal(1)) * self.scale))
        return self.scale


def tickets(orders: Sequence[ClassifiableOrder], corrections: Mapping[str, Correction], terms: Terms) -> list[Ticket]:
    """Filled orders, and the unfilled ones of a declared combination: they tell what was meant.

    In time order; a combination stands where its first order does, however far apart they were sent.
    """
    links = _links(orders, corrections)
    found = [
        ticket
        for index, order in enumerate(orders)
        if order.filled or index in links
        for ticket in _order_tickets(index, order, links.get(index), terms)
    ]
    firsts: dict[str, float] = {}
    for ticket in found:
        if ticket.link is not None:
            firsts[ticket.link] = min(ticket.at, firsts.get(ticket.link, ticket.at))
    placed = [ticket if ticket.link is None else replace(ticket, at=firsts[ticket.link]) for ticket in found]
    return sorted(placed, key=lambda ticket: (ticket.at, orders[ticket.order].order_uid, ticket.contract))


def corrected(orders: Iterable[ClassifiableOrder], corrections: Iterable[Correction]) -> dict[str, Correction]:
    """The corrections whose orders are all here, by the link that they make; an order has one at most."""
    known = {order.order_uid for order in orders}
    found: dict[str, Correction] = {}
    for correction in sorted(corrections, key=lambda item: (sorted(item.order_uids), item.strategy_type, item.action)):
        if correction.order_uids and correction.order_uids <= known:
            found[f"correction {len(found)}"] = correction
            known -= correction.order_uids
    return found


def _order_tickets(index: int, order: ClassifiableOrder, link: str | None, terms: Terms) -> Iterator[Ticket]:
    at, today = order.sort_key[0].timestamp(), order.trade_date.toordinal()
    done = dict(order.changes(order.filled_qty))
    for contract, qty in order.changes(order.qty or order.filled_qty):
        filled = abs(terms.whole(contract, done.get(contract, Decimal(0))))
        whole = max(abs(terms.whole(contract, qty)), filled)
        sign, timed = 1 if qty > 0 else -1, order.at is not None
        yield Ticket(index, terms.number(contract), sign, whole, filled, at, today, link, timed)


def _links(orders: Sequence[ClassifiableOrder], corrections: Mapping[str, Correction]) -> dict[int, str]:
    """The declared combination of each order that has one, a person's word before the broker's.

    A number that several orders share, or legs of its own; a number that one order carries says nothing.
    """
    by_person = {uid: link for link, correction in corrections.items() for uid in correction.order_uids}
    members: dict[str, list[int]] = {}
    for index, order in enumerate(orders):
        if order.order_uid in by_person:
            members.setdefault(by_person[order.order_uid], []).append(index)
        elif order.combo_id is not None:
            members.setdefault(f"combination {order.combo_id}", []).append(index)
        elif order.legs:
            members.setdefault(f"order {order.order_uid}", []).append(index)
    return {
        index: link
        for link, indexes in members.items()
        if len(indexes) > 1 or orders[indexes[0]].legs or link in corrections
        for index in indexes
        if any(orders[member].filled for member in indexes)
    }


def day_prices(orders: Iterable[ClassifiableOrder]) -> dict[int, float]:
    """The first price of the underlying itself that was traded each day, by day number; orders in time order."""
    found: dict[int, float] = {}
    for order in orders:
        if order.asset_class in STOCKS and order.avg_price is not None and order.side in (Side.BUY, Side.SELL):
            found.setdefault(order.trade_date.toordinal(), float(order.avg_price))
    return found


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
