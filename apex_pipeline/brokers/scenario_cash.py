"""Cash of a scenario: what moves it beside trades, and the whole flow of an account with both.

Deposits, transfers, dividends, taxes, interest and exchanged currency are drawn here, from a seeded stream
of their own. Settlements of fills, fees and delivered options follow from orders and events.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from apex_pipeline.brokers.scenario import CashBooking, Contract, Event, Fill, Scenario, ScenarioAccount, ScenarioOrder
from apex_pipeline.brokers.scenario_days import settled_on
from apex_pipeline.brokers.scenario_market import CENT, currency_of
from apex_pipeline.domain.models import AssetClass, CashKind, Side, TradeKind

FIRST_DEPOSIT = Decimal(1_000_000)
"""What an account begins with in each of its currencies."""

_WITHHELD = Decimal("0.30")
_HELD_DAYS = 14
_PAY_DAY = 15
_DIVIDENDS: dict[tuple[str, str], tuple[Decimal, tuple[int, ...]]] = {
    ("US", "KO"): (Decimal("0.51"), (4, 7, 10, 12)),
    ("US", "JPM"): (Decimal("1.40"), (1, 4, 7, 10)),
    ("US", "AAPL"): (Decimal("0.26"), (2, 5, 8, 11)),
    ("US", "MSFT"): (Decimal("0.83"), (3, 6, 9, 12)),
    ("US", "SPY"): (Decimal("1.7611"), (1, 4, 7, 10)),
    ("US", "F"): (Decimal("0.15"), (3, 6, 9, 12)),
    ("HK", "00700"): (Decimal("4.50"), (5,)),
    ("HK", "00005"): (Decimal("0.7783"), (4, 6, 9, 12)),
    ("HK", "00939"): (Decimal("0.2168"), (1, 7)),
}
"""Amount per share and the months of payment."""

_DELIVERED = {TradeKind.ASSIGNMENT: CashKind.ASSIGNMENT, TradeKind.EXERCISE: CashKind.EXERCISE}


class Move(NamedTuple):
    """A change of a share position: signed quantity on an exchange date."""

    contract: Contract
    day: date
    qty: Decimal


@dataclass(frozen=True, slots=True)
class Life:
    """An account's time in a scenario: its session days, its share moves, its own random stream."""

    account: ScenarioAccount
    days: Sequence[date]
    moves: Sequence[Move]
    rng: random.Random = field(compare=False)


def drawn_bookings(
    seed: int,
    accounts: Iterable[ScenarioAccount],
    orders: Sequence[ScenarioOrder],
    events: Sequence[Event],
    days: Sequence[date],
) -> tuple[CashBooking, ...]:
    """What moves the cash of these accounts beside trades, oldest first.

    An account that is closed within the days hands its cash over to the first that stays open.
    """
    accounts = list(accounts)
    heir = next((a for a in accounts if a.status == "ACTIVE"), None)
    closed = [a for a in accounts if a.last_day]
    opened_at = {heir.account_id: max(a.last_day for a in closed if a.last_day)} if heir and closed else {}
    found: list[CashBooking] = []
    for account in accounts:
        if account.status != "ACTIVE" and account.last_day is None:
            continue
        mine = [d for d in days if opened_at.get(account.account_id, date.min) < d <= (account.last_day or date.max)]
        rng = random.Random(f"{seed} cash {account.account_id}")  # noqa: S311 - must be repeatable, guards no secret
        found += _drawn(Life(account, mine, _share_moves(account, orders, events), rng))
    for account in closed:
        if heir is not None and account.last_day is not None:
            next_day = next(day for day in days if day > account.last_day)
            flow = [*found, *_of_trades(account, orders, events)]
            found += _hand_over(account, heir, next_day, flow)
    return tuple(sorted(found, key=lambda b: (b.booked_on, b.account_id)))


def cash_flow(scenario: Scenario, account: ScenarioAccount) -> list[CashBooking]:
    """Every booking of an account, by the day it is booked on; its cash is what they sum to."""
    drawn = [b for b in scenario.cash if b.account_id == account.account_id]
    flow = [*drawn, *_of_trades(account, scenario.orders, scenario.events)]
    return sorted(flow, key=lambda b: b.booked_on)


def cash_by_currency(bookings: Iterable[CashBooking]) -> dict[str, Decimal]:
    """Sums of the amounts by currency."""
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for booking in bookings:
        sums[booking.currency] += booking.amount
    return dict(sums)


def _share_moves(account: ScenarioAccount, orders: Sequence[ScenarioOrder], events: Sequence[Event]) -> list[Move]:
    fills: list[Fill | Event] = [f for o in orders if o.account_id == account.account_id for f in o.fills]
    fills += [e for e in events if e.account_id == account.account_id]
    return [
        Move(f.contract, f.trade_date, f.qty if f.side == Side.BUY else -f.qty)
        for f in fills
        if f.contract.asset_class == AssetClass.STOCK
    ]


def _drawn(life: Life) -> Iterator[CashBooking]:
    if not life.days:
        return
    currencies = [currency_of(market) for market in life.account.markets]
    for currency in currencies:
        yield _plain(life, CashKind.DEPOSIT, life.days[0], currency, FIRST_DEPOSIT)
    if len(currencies) > 1:
        yield from _business(life)
    for before, day in zip(life.days, life.days[1:], strict=False):
        if before.month != day.month:
            for currency in currencies:
                yield _plain(life, CashKind.INTEREST, day, currency, life.rng.randint(120, 9_500) * CENT)
        if before.day < _PAY_DAY <= day.day or (before.month != day.month and day.day >= _PAY_DAY):
            yield from _dividends(life, day)


def _business(life: Life) -> Iterator[CashBooking]:
    """A deposit, a withdrawal and an exchange of currency, spread over the days."""
    at = [life.days[len(life.days) * part // 10] for part in (4, 6, 7)]
    yield _plain(life, CashKind.DEPOSIT, at[0], "USD", life.rng.randint(10, 90) * Decimal(1_000))
    yield _plain(life, CashKind.WITHDRAWAL, at[1], "HKD", -life.rng.randint(10, 90) * Decimal(500))
    bought = life.rng.randint(5, 30) * Decimal(1_000)
    yield _plain(life, CashKind.FX, at[2], "HKD", -(bought * Decimal("7.8125")).quantize(CENT))
    yield _plain(life, CashKind.FX, at[2], "USD", bought)


def _plain(life: Life, kind: CashKind, day: date, currency: str, amount: Decimal) -> CashBooking:
    return CashBooking(life.account.account_id, kind, day, day, currency, amount)


def _dividends(life: Life, day: date) -> Iterator[CashBooking]:
    """Dividends of what was held two weeks before; a short position pays them. US ones lose a tax."""
    held: defaultdict[Contract, Decimal] = defaultdict(Decimal)
    for move in life.moves:
        if move.day <= day - timedelta(_HELD_DAYS):
            held[move.contract] += move.qty
    for contract, qty in sorted(held.items(), key=lambda item: item[0].conid):
        per_share, months = _DIVIDENDS.get((contract.market, contract.code), (Decimal(0), ()))
        if not qty or day.month not in months:
            continue
        amount = (qty * per_share).quantize(CENT)
        paid = CashBooking(
            life.account.account_id, CashKind.DIVIDEND, day, day, contract.currency, amount, contract, qty, per_share
        )
        yield paid
        if contract.market == "US" and amount > 0:
            tax = -(amount * _WITHHELD).quantize(CENT)
            yield CashBooking(
                life.account.account_id, CashKind.TAX, day, day, contract.currency, tax, contract, qty, per_share
            )


def _hand_over(
    account: ScenarioAccount, heir: ScenarioAccount, day: date, flow: Iterable[CashBooking]
) -> Iterator[CashBooking]:
    mine = (b for b in flow if b.account_id == account.account_id)
    for currency, amount in sorted(cash_by_currency(mine).items()):
        if amount:
            yield CashBooking(account.account_id, CashKind.TRANSFER, day, day, currency, -amount)
            yield CashBooking(heir.account_id, CashKind.TRANSFER, day, day, currency, amount)


def _of_trades(
    account: ScenarioAccount, orders: Sequence[ScenarioOrder], events: Sequence[Event]
) -> Iterator[CashBooking]:
    for order in orders:
        if order.fills and (order.broker, order.account_id) == (account.broker, account.account_id):
            yield from _of_order(order)
    mine = {e.event_id: e for e in events if (e.broker, e.account_id) == (account.broker, account.account_id)}
    for event in mine.values():
        if event.related is not None:
            yield _of_delivery(event, mine[event.related])


def _of_order(order: ScenarioOrder) -> Iterator[CashBooking]:
    """The money of one order by day and contract, then its fees on the day of the last fill."""
    sums: defaultdict[tuple[date, Contract], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for fill in order.fills:
        signed = fill.qty if fill.side == Side.BUY else -fill.qty
        total = sums[fill.trade_date, fill.contract]
        total[0] += signed
        total[1] -= signed * fill.price * fill.contract.multiplier
    for (day, contract), (qty, money) in sums.items():
        yield CashBooking(
            order.account_id, CashKind.TRADE, day, settled_on(contract, day), contract.currency, money, contract, qty,
            order=order.number,
        )  # fmt: skip
    charged = sum((c.amount for c in order.charges), Decimal(0))
    if charged:
        last = order.fills[-1]
        yield CashBooking(
            order.account_id, CashKind.FEE, last.trade_date, settled_on(last.contract, last.trade_date),
            order.contract.currency, -charged, order=order.number,
        )  # fmt: skip


def _of_delivery(shares: Event, option: Event) -> CashBooking:
    """The money of delivered shares; it names the option that ended."""
    signed = shares.qty if shares.side == Side.BUY else -shares.qty
    money = -signed * shares.price * shares.contract.multiplier
    return CashBooking(
        shares.account_id, _DELIVERED[shares.kind], shares.trade_date, settled_on(shares.contract, shares.trade_date),
        shares.contract.currency, money, option.contract, option.qty, shares.price,
    )  # fmt: skip
