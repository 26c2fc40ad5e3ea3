"""The life of strategies: chains from opening over rolls and adjustments to the close, the expiry or the assignment.

A chain is told from its cards and the broker's book entries in the order of time. A wheel begins with a short put that
is assigned; the shares belong to its chain, calls sold while they are held belong to the wheel, and it ends when the
shares are called away or sold. No day of today is needed: an option past its expiry that no entry ended is still there.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import partial
from typing import Any

from apex_pipeline.domain.instruments import plain
from apex_pipeline.domain.lot_shares import quotient, trimmed
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.money import allocate
from apex_pipeline.domain.strategies.card_legs import Leg
from apex_pipeline.domain.strategies.cards import Card
from apex_pipeline.domain.strategies.chain_book import ChainBook, ChainStatus, Event, OpenChain, WheelStage
from apex_pipeline.domain.strategies.members import Family, Fill
from apex_pipeline.domain.strategies.shapes import ShapeLeg, name_shape
from apex_pipeline.domain.strategies.taxonomy import CUSTOM_MULTI_LEG

ZERO = Decimal(0)
_SHORT_PUTS = frozenset({"SHORT_PUT", "CASH_SECURED_PUT"})
_LEG_OUT = "LEG_OUT"


@dataclass(frozen=True, slots=True)
class StrategyChain:
    """One chain, a row of `strategy_chains`.

    `events`: {at, on, action, sub_type, strategy_uid, what, net_premium, realized} in time, numbers as text. `held`:
    {symbol, qty} of what its orders opened and is still there, `stock_held` the shares that its options delivered and
    that are still held, both signed. `net_premium` and `fees` are the sums of its strategies, None if one is not known.
    `realized_pnl` is the sum of the pieces of lots that its orders or its delivered shares opened, net of fees, of
    which `stock_pnl` came from delivered shares; `pieces_unknown` counts those without a known basis, which are in
    neither. All amounts are in `currency`. `wheel_uid` is the chain that began the wheel.
    """

    chain_uid: str
    broker: Broker
    account_id: str
    underlying: str
    first_type: str
    current_type: str
    status: ChainStatus
    opened_at: datetime | None
    opened_on: date
    ended_at: datetime | None
    rolls: int
    adjustments: int
    events: list[dict[str, Any]]
    held: list[dict[str, Any]]
    stock_held: Decimal
    net_premium: Decimal | None
    fees: Decimal | None
    realized_pnl: Decimal | None
    stock_pnl: Decimal
    pieces: int
    pieces_unknown: int
    currency: str | None
    wheel_uid: str | None
    wheel_stage: WheelStage | None


def told_chains(family: Family, cards: Sequence[Card]) -> ChainBook:
    """The chains of a family as its cards and book entries make them."""
    teller = _Teller(family)
    for at, _, _, step in sorted(_steps(family, cards, teller), key=lambda item: item[:3]):
        teller.turn_to(at.date())
        step()
    teller.turn_to(date.max)
    return teller.book


def _steps(
    family: Family, cards: Iterable[Card], teller: "_Teller"
) -> Iterator[tuple[datetime, int, str, Callable[[], None]]]:
    """What happened, with its time; at one instant what founds a chain comes before what goes on with it."""
    for card in cards:
        row = card.row
        rank = 0 if row.chain_uid is None else 1 + (row.chain_uid != row.strategy_uid)
        at = row.first_fill_at or datetime.combine(row.trade_date, time.min, UTC)
        yield at, rank, row.strategy_uid, partial(teller.strategy, card)
    linked: defaultdict[tuple[str, date], list[Fill]] = defaultdict(list)
    for entry in sorted(family.entries, key=lambda fill: fill.trade_uid):
        linked[entry.link_id or entry.trade_uid, entry.trade_date].append(entry)
    for (link, on), entries in linked.items():
        times = [entry.executed_at for entry in entries if entry.executed_at is not None]
        at = min(times, default=datetime.combine(on, time.max, UTC))
        yield at, 3, link, partial(teller.entries, entries)


class _Teller:
    """Applies strategies and book entries to the chains."""

    def __init__(self, family: Family) -> None:
        self.book = ChainBook()
        self._unnamed: list[OpenChain] = []
        self._today = date.min
        self._fills = {fill.symbol: fill for fill in (*family.entries, *family.fills)}

    def turn_to(self, day: date) -> None:
        """Name what is left of the chains that lost legs on an earlier day; one that ended keeps its name."""
        if day == self._today:
            return
        for chain in self._unnamed:
            if chain.held:
                chain.current_type = self._name(chain)
        self._unnamed, self._today = [], day

    def strategy(self, card: Card) -> None:
        """What the orders of a strategy did to its chain, and to others whose contracts they closed."""
        row = card.row
        chain = None if row.chain_uid is None else self._chain(card, row.chain_uid)
        before = {} if chain is None else dict(chain.held)
        others = [other for leg in card.legs for other in self._apply(leg, row.action, chain)]
        event = _event_of(card)
        for other in dict.fromkeys(others):
            if other is not chain:
                other.events.append(_event_of(card, own=False))
                other.reduced("TRADE", row.first_fill_at, row.trade_date)
        if chain is None:
            return
        chain.events.append(event)
        chain.rolls += row.action == "ROLL"
        chain.adjustments += row.action == "ADJUST" or row.sub_type == _LEG_OUT
        if row.action != "OPEN":
            chain.reduced("TRADE", row.last_fill_at, row.trade_date)
        if row.action != "CLOSE":
            chain.current_type = row.resulting_type or chain.current_type
        elif set(chain.held) != set(before):
            self._unnamed.append(chain)

    def _chain(self, card: Card, chain_uid: str) -> OpenChain:
        chain = self.book.chains.get(chain_uid)
        if chain is None:
            row = card.row
            name = row.resulting_type or row.strategy_type
            chain = OpenChain(chain_uid, name, name, row.first_fill_at, row.trade_date)
            self._join_wheel(chain, card)
            self.book.chains[chain_uid] = chain
        return chain

    def _join_wheel(self, chain: OpenChain, card: Card) -> None:
        """Calls and puts sold while a wheel holds shares belong to it."""
        wheel = self.book.wheel()
        if wheel is None or any(not leg.fill.is_option for leg in card.legs):
            return
        if chain.first_type == "COVERED_CALL":
            chain.wheel_uid, chain.wheel_stage = wheel, WheelStage.COVERED_CALL
        elif chain.first_type in _SHORT_PUTS:
            chain.wheel_uid, chain.wheel_stage = wheel, WheelStage.CSP

    def _apply(self, leg: Leg, action: str, chain: OpenChain | None) -> list[OpenChain]:
        """Enter a leg; returns the chains it made smaller."""
        symbol, qty = leg.fill.symbol, leg.signed
        if action == "OPEN" and chain is not None:
            chain.open(symbol, qty)
            return []
        if action == "CLOSE":
            touched, _ = self.book.take(symbol, qty, () if chain is None else (chain,))
            return touched
        if chain is not None:
            left = chain.take(symbol, qty)
            if left:
                chain.open(symbol, left)
        return []

    def entries(self, entries: Sequence[Fill]) -> None:
        """Ends of options that belong together, and the shares that they delivered."""
        weights: dict[str, Decimal] = {}
        for entry in (entry for entry in entries if entry.is_option):
            for chain, taken in self._end(entry):
                weights[chain.uid] = weights.get(chain.uid, ZERO) + taken
        for entry in (entry for entry in entries if not entry.is_option):
            self._deliver(entry, weights)

    def _end(self, entry: Fill) -> Iterator[tuple[OpenChain, Decimal]]:
        """Take an ended option out of those who hold it, oldest first; yields them with how much."""
        left = entry.signed
        for chain in list(self.book.chains.values()):
            before = left
            left = chain.take(entry.symbol, left)
            if left != before:
                chain.events.append(_event_of_entry(entry, abs(before - left)))
                chain.reduced(entry.kind.value, entry.executed_at, entry.trade_date)
                if entry.symbol not in chain.held:
                    self._unnamed.append(chain)
                yield chain, abs(before - left)

    def _deliver(self, entry: Fill, weights: dict[str, Decimal]) -> None:
        """Shares that ended options moved: out of what is held, else into the chains of the options."""
        if not weights:
            touched, _ = self.book.take(entry.symbol, entry.signed)
            for chain in touched:
                chain.events.append(_event_of_entry(entry, entry.qty))
                chain.reduced(entry.kind.value, entry.executed_at, entry.trade_date)
            return
        holders: list[tuple[str, Decimal]] = []
        parts = allocate(entry.signed, list(weights.values()), 0)
        for uid, part in zip(weights, parts, strict=True):
            chain = self.book.chains[uid]
            chain.events.append(_event_of_entry(entry, abs(part)))
            rest = self._out_of_holdings(entry, part, chain)
            if rest:
                self._into(chain, entry, rest)
                holders.append((uid, abs(rest)))
        if holders:
            self.book.deliveries[entry.trade_uid] = holders

    def _out_of_holdings(self, entry: Fill, part: Decimal, chain: OpenChain) -> Decimal:
        touched, rest = self.book.take(entry.symbol, part, (chain,))
        for other in touched:
            if other is not chain:
                other.events.append(_event_of_entry(entry, abs(part)))
            other.reduced(entry.kind.value, entry.executed_at, entry.trade_date)
        if rest != part and chain.wheel_stage is WheelStage.COVERED_CALL:
            chain.wheel_stage = WheelStage.CALLED_AWAY
        return rest

    def _into(self, chain: OpenChain, entry: Fill, rest: Decimal) -> None:
        chain.deliver(entry.symbol, rest)
        if rest > 0 and entry.kind.value == "ASSIGNMENT" and chain.current_type in _SHORT_PUTS:
            self.book.assigned(chain)

    def _name(self, chain: OpenChain) -> str:
        """What is left of a chain by its shape."""
        legs: list[ShapeLeg] = []
        for symbol, qty in sorted(chain.held.items()):
            fill = self._fills[symbol]
            if not fill.is_option:
                legs.append(ShapeLeg(trimmed(quotient(qty, self._lot()))))
            elif fill.strike is None or fill.expiry is None or fill.option_right is None:
                return CUSTOM_MULTI_LEG
            else:
                legs.append(ShapeLeg(qty, fill.option_right, fill.strike, fill.expiry))
        found = name_shape(legs)
        return CUSTOM_MULTI_LEG if found is None else found.shape.id

    def _lot(self) -> Decimal:
        sizes = sorted(fill.multiplier for fill in self._fills.values() if fill.is_option and fill.multiplier)
        return sizes[0] if sizes else Decimal(1)


def _event_of(card: Card, *, own: bool = True) -> Event:
    """What a strategy did; told to another chain than its own, without its premium, which is the own chain's."""
    row = card.row
    what = ", ".join(_said(leg.fill, leg.qty, leg.avg_price) for leg in card.legs)
    premium = row.net_premium if own else None
    return Event(
        row.strategy_uid, row.first_fill_at, row.trade_date, row.action, row.sub_type, row.strategy_uid, what, premium
    )


def _event_of_entry(entry: Fill, qty: Decimal) -> Event:
    what = _said(entry, qty, None if entry.is_option else entry.price)
    return Event(entry.trade_uid, entry.executed_at, entry.trade_date, entry.kind.value, None, None, what)


def _said(fill: Fill, qty: Decimal, price: Decimal | None) -> str:
    return f"{fill.side.value} {plain(qty)} {fill.symbol}{'' if price is None else f' @ {plain(price)}'}"
