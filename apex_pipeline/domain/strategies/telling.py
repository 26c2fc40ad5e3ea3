"""Everything that the tables of strategies say of one account and underlying: cards, chains, and whose each gain is."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext

from apex_pipeline.domain.instruments import plain
from apex_pipeline.domain.lot_shares import EXACT, trimmed
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.money import allocate
from apex_pipeline.domain.strategies.cards import Card, Strategy, cards_of
from apex_pipeline.domain.strategies.chain_book import ChainBook, ChainStatus, OpenChain
from apex_pipeline.domain.strategies.chains import StrategyChain, told_chains
from apex_pipeline.domain.strategies.members import CENTS, Family, Gain, Shares

TELLING_VERSION = "1"
"""Changes when the same input gives other rows: everything is told again then."""

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class ChainGain:
    """The part of one closed piece that belongs to one chain, a row of `chain_gains`.

    `amount` in `currency`, None where the basis is not known. `delivered`: it is of shares that an option of the
    chain delivered. A piece without a row belongs to no chain.
    """

    realized_uid: str
    chain_uid: str
    broker: Broker
    account_id: str
    underlying: str
    closed_on: date
    amount: Decimal | None
    currency: str | None
    delivered: bool


@dataclass(frozen=True, slots=True)
class Told:
    """The rows of one family."""

    strategies: list[Strategy]
    chains: list[StrategyChain]
    gains: list[ChainGain]


def tell(family: Family) -> Told:
    """The rows of a family, whatever the order of its facts; sums of money are exact."""
    with localcontext(EXACT):
        shares = Shares(family)
        cards = cards_of(family, shares)
        book = told_chains(family, cards)
        currencies = _currencies(cards)
        gains = _gains(family, shares, book, currencies)
        _tell_events(family, shares, book, gains)
        by_chain: defaultdict[str, list[Card]] = defaultdict(list)
        for card in cards:
            if card.row.chain_uid is not None:
                by_chain[card.row.chain_uid].append(card)
        of_chain: defaultdict[str, list[ChainGain]] = defaultdict(list)
        for gain in gains:
            of_chain[gain.chain_uid].append(gain)
        chains = [
            _row(family, chain, by_chain[uid], of_chain[uid], currencies.get(uid))
            for uid, chain in sorted(book.chains.items())
        ]
        return Told([card.row for card in cards], chains, gains)


def _currencies(cards: Sequence[Card]) -> Mapping[str, str]:
    """The currency of each chain: that of its first strategy which has one."""
    found: dict[str, str] = {}
    for row in (card.row for card in cards):
        if row.chain_uid is not None and row.currency is not None:
            found.setdefault(row.chain_uid, row.currency)
    return found


def _gains(family: Family, shares: Shares, book: ChainBook, currencies: Mapping[str, str]) -> list[ChainGain]:
    """Each piece given to the chains that opened it, whole: one in another currency than theirs is left to none."""
    found: list[ChainGain] = []
    for gain in sorted(family.gains, key=lambda one: one.realized_uid):
        opened, delivered = _openers(gain, shares, book)
        weights = {uid: qty for uid, qty in opened.items() if currencies.get(uid, gain.currency) == gain.currency}
        if not weights:
            continue
        total = gain.realized_pnl
        parts: Sequence[Decimal | None] = [total]
        if len(weights) > 1:
            parts = [None] * len(weights) if total is None else allocate(total, list(weights.values()), CENTS)
        found += [
            ChainGain(
                gain.realized_uid,
                uid,
                family.broker,
                family.account_id,
                family.underlying,
                gain.closed_on,
                None if part is None else trimmed(part),
                gain.currency,
                delivered,
            )
            for uid, part in zip(weights, parts, strict=True)
        ]
    return found


def _openers(gain: Gain, shares: Shares, book: ChainBook) -> tuple[dict[str, Decimal], bool]:
    """The chains that opened a piece, by quantity, and whether an option delivered it."""
    if gain.open_trade_uid is None:
        return {}, False
    weights: dict[str, Decimal] = {}
    for member in shares.opening(gain.open_trade_uid):
        if member.chain_uid is not None:
            weights[member.chain_uid] = weights.get(member.chain_uid, ZERO) + member.qty_in_strategy
    if weights:
        return weights, False
    return dict(book.deliveries.get(gain.open_trade_uid, ())), True


def _tell_events(family: Family, shares: Shares, book: ChainBook, gains: Sequence[ChainGain]) -> None:
    """Write what each event realized of its chain's pieces."""
    closed_by = {gain.realized_uid: gain.close_trade_uid for gain in family.gains}
    for gain in gains:
        close = closed_by[gain.realized_uid]
        uids = {close, *(member.strategy_uid for member in shares.closing(close))}
        event = next((event for event in book.chains[gain.chain_uid].events if event.uid in uids), None)
        if event is not None and gain.amount is not None:
            event.realized = trimmed((event.realized or ZERO) + gain.amount)


def _row(
    family: Family, chain: OpenChain, cards: Sequence[Card], gains: Sequence[ChainGain], currency: str | None
) -> StrategyChain:
    known = [gain for gain in gains if gain.amount is not None]
    stock = sum((gain.amount for gain in known if gain.delivered and gain.amount is not None), ZERO)
    realized = sum((gain.amount for gain in known if gain.amount is not None), ZERO)
    open_still = chain.status is ChainStatus.OPEN
    return StrategyChain(
        chain_uid=chain.uid,
        broker=family.broker,
        account_id=family.account_id,
        underlying=family.underlying,
        first_type=chain.first_type,
        current_type=chain.current_type,
        status=chain.status,
        opened_at=chain.opened_at,
        opened_on=chain.opened_on,
        ended_at=None if open_still else chain.ended_at,
        rolls=chain.rolls,
        adjustments=chain.adjustments,
        events=[event.told() for event in chain.events],
        held=[{"symbol": symbol, "qty": plain(trimmed(qty))} for symbol, qty in sorted(chain.held.items())],
        stock_held=trimmed(sum(chain.delivered.values(), ZERO)),
        net_premium=_sum([card.row.net_premium for card in cards if any(leg.fill.is_option for leg in card.legs)]),
        fees=_sum([card.row.fees for card in cards]),
        realized_pnl=None if gains and not known else trimmed(realized),
        stock_pnl=trimmed(stock),
        pieces=len(gains),
        pieces_unknown=len(gains) - len(known),
        currency=currency or next((gain.currency for gain in gains), None),
        wheel_uid=chain.wheel_uid,
        wheel_stage=chain.wheel_stage,
    )


def _sum(amounts: Sequence[Decimal | None]) -> Decimal | None:
    """None for no amounts, or if one is not known."""
    total = ZERO
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return trimmed(total) if amounts else None
