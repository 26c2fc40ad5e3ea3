"""The cash of a scenario adds up: every currency of every Futu account is the sum of its bookings, to the cent."""

from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cache

import pytest

from apex_pipeline.brokers.scenario import Scenario, ScenarioAccount
from apex_pipeline.brokers.scenario_cash import cash_by_currency, cash_flow
from apex_pipeline.brokers.scenario_days import is_session
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.models import AssetClass, Broker, CashKind, Side, TradeKind

END = date(2026, 7, 31)
CASES = [(1, 2000, 365), (7, 400, 30), (3, 5, 4), (9, 60, 1)]
DRAWN = {CashKind.DEPOSIT, CashKind.WITHDRAWAL, CashKind.TRANSFER, CashKind.DIVIDEND, CashKind.TAX, CashKind.INTEREST,
         CashKind.FX}  # fmt: skip


@cache
def scenario(seed: int, orders: int, days: int) -> Scenario:
    return generate(seed, orders, days, END)


def futu(told: Scenario) -> list[ScenarioAccount]:
    return [a for a in told.account_details if a.broker == Broker.FUTU]


def replayed(told: Scenario, account: ScenarioAccount) -> dict[str, Decimal]:
    """Cash counted a second way: straight from fills, charges, deliveries and what was drawn."""
    cash: defaultdict[str, Decimal] = defaultdict(Decimal)
    for booking in told.cash:
        if booking.account_id == account.account_id:
            cash[booking.currency] += booking.amount
    for order in told.orders:
        if order.account_id == account.account_id:
            for move in order.fills:
                money = move.qty * move.price * move.contract.multiplier
                cash[move.contract.currency] += money if move.side == Side.SELL else -money
            cash[order.contract.currency] -= sum((c.amount for c in order.charges), Decimal(0))
    for event in told.events:
        if event.account_id == account.account_id:
            money = event.qty * event.price * event.contract.multiplier
            cash[event.contract.currency] += money if event.side == Side.SELL else -money
    return {currency: amount for currency, amount in cash.items() if amount}


def flowed(told: Scenario, account: ScenarioAccount) -> dict[str, Decimal]:
    sums = cash_by_currency(cash_flow(told, account))
    return {currency: amount for currency, amount in sums.items() if amount}


@pytest.mark.parametrize("case", CASES)
def test_the_cash_of_every_currency_is_the_sum_of_its_bookings(case: tuple[int, int, int]) -> None:
    told = scenario(*case)
    for account in futu(told):
        assert flowed(told, account) == replayed(told, account)


def test_the_sum_notices_an_assignment_that_is_not_booked() -> None:
    told = scenario(1, 2000, 365)
    current = next(a for a in futu(told) if a.status == "ACTIVE")
    lost = next(e for e in told.events if e.related is not None and e.account_id == current.account_id)
    fewer = replace(told, events=tuple(e for e in told.events if e is not lost))
    assert flowed(fewer, current) != replayed(told, current)


def test_every_booking_is_whole_cents_within_the_days_and_settles_no_earlier() -> None:
    told = scenario(1, 2000, 365)
    for account in futu(told):
        flow = cash_flow(told, account)
        assert [b.booked_on for b in flow] == sorted(b.booked_on for b in flow)
        for booking in flow:
            assert booking.amount == booking.amount.quantize(Decimal("0.01"))
            assert told.start <= booking.booked_on <= told.end
            assert booking.settles_on >= booking.booked_on
            assert is_session("US" if booking.currency == "USD" else "HK", booking.settles_on) or booking.kind in DRAWN


def test_a_year_has_every_kind_of_booking() -> None:
    told = scenario(1, 2000, 365)
    kinds = {b.kind for account in futu(told) for b in cash_flow(told, account)}
    assert kinds == DRAWN | {CashKind.TRADE, CashKind.FEE, CashKind.ASSIGNMENT, CashKind.EXERCISE}


def test_a_closed_account_hands_over_all_it_has() -> None:
    told = scenario(1, 2000, 365)
    old, current = (next(a for a in futu(told) if a.status == state) for state in ("DISABLED", "ACTIVE"))
    assert flowed(told, old) == {}
    (gone,) = (b for b in told.cash if b.kind == CashKind.TRANSFER and b.account_id == old.account_id)
    (come,) = (b for b in told.cash if b.kind == CashKind.TRANSFER and b.account_id == current.account_id)
    assert (come.amount, come.currency, come.booked_on) == (-gone.amount, gone.currency, gone.booked_on)
    assert old.last_day is not None
    assert gone.booked_on > old.last_day
    assert max(b.booked_on for b in cash_flow(told, old)) == gone.booked_on


def test_dividends_are_paid_on_what_was_held_and_us_ones_are_taxed() -> None:
    told = scenario(1, 2000, 365)
    dividends = [b for b in told.cash if b.kind == CashKind.DIVIDEND]
    assert dividends
    for paid in dividends:
        assert paid.contract is not None
        assert paid.contract.asset_class == AssetClass.STOCK
        assert paid.qty == held(told, paid.account_id, paid.contract.conid, paid.booked_on - timedelta(14))
        assert paid.qty is not None
        assert paid.per_share is not None
        assert paid.amount == (paid.qty * paid.per_share).quantize(Decimal("0.01"))
    taxed = {(b.account_id, b.contract, b.booked_on) for b in told.cash if b.kind == CashKind.TAX}
    us = {(b.account_id, b.contract, b.booked_on) for b in dividends if b.currency == "USD" and b.amount > 0}
    assert taxed == us


def held(told: Scenario, account_id: str, conid: int, day: date) -> Decimal:
    moves = [f for o in told.orders if o.account_id == account_id for f in o.fills]
    moves = [*moves, *(e for e in told.events if e.account_id == account_id)]
    mine = (m for m in moves if m.contract.conid == conid and m.trade_date <= day)
    return sum((m.qty if m.side == Side.BUY else -m.qty for m in mine), Decimal(0))


def test_an_expiry_moves_no_cash_and_an_assignment_moves_the_strike() -> None:
    told = scenario(1, 2000, 365)
    for account in futu(told):
        endings = [b for b in cash_flow(told, account) if b.kind in (CashKind.ASSIGNMENT, CashKind.EXERCISE)]
        options = [
            e for e in told.events
            if e.account_id == account.account_id and e.related is None and e.kind != TradeKind.EXPIRATION
        ]  # fmt: skip
        assert len(endings) == len(options)
        for booking in endings:
            option, qty, strike = booking.contract, booking.qty, booking.per_share
            assert option is not None
            assert qty is not None
            assert strike == option.strike
            assert strike is not None
            assert abs(booking.amount) == qty * strike * option.multiplier
