"""What is known last of accounts and of everything together: worth, cash, gain of the newest day, positions. Pure.

Brokers may be offline, so every figure says when it was known (`as_of`) and by whom (`source`). What is not known is
None, never 0, and so is every sum that it would be part of. Money is in the `currency` beside it.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.lot_shares import trimmed
from apex_pipeline.domain.performance import WIDE, win_rate
from apex_pipeline.domain.risk_portfolio import most_common
from apex_pipeline.domain.valuation import Rates, Trips

_MONEY = Decimal(1).scaleb(-10)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?", re.ASCII)
_NO_POSITIONS = frozenset({"FX", "COMBO"})
"""Rows of a snapshot that are currencies and combinations, whose legs are told beside them."""

_TEXTS = ("symbol", "asset_class", "currency")
_NUMBERS = ("qty", "avg_cost", "mark_price", "market_value", "unrealized_pnl")


@dataclass(frozen=True, slots=True)
class Worth:
    """What an account is worth, and its cash, as `source` knew it at `as_of`."""

    as_of: datetime
    source: str
    currency: str | None
    value: Decimal | None
    cash: Decimal | None


@dataclass(frozen=True, slots=True)
class LastDay:
    """The newest day of the ledger: worth at its end and at that of the day before, and what was paid in between."""

    on_date: date
    currency: str | None
    value: Decimal | None
    currency_before: str | None
    value_before: Decimal | None
    net_flow: Decimal | None


@dataclass(frozen=True, slots=True)
class AccountKnown:
    """Everything that is known of one account; `trips` None where neither the ledger nor an engine knows it."""

    broker: str
    account_id: str
    worths: tuple[Worth, ...]
    day: LastDay | None
    positions: int | None
    positions_as_of: datetime | None
    trips: Trips | None


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """One account in figures. `daily_pnl` is of `daily_pnl_date`: growth of the worth less what was paid in."""

    broker: str
    account_id: str
    currency: str | None
    portfolio_value: Decimal | None
    cash_balance: Decimal | None
    as_of: datetime | None
    source: str | None
    daily_pnl: Decimal | None
    daily_pnl_date: date | None
    active_positions: int | None
    positions_as_of: datetime | None
    win_rate: Decimal | None
    total_trades: int | None


@dataclass(frozen=True, slots=True)
class Summary:
    """All accounts together in `currency`; `as_of` is that of the account which was known longest ago."""

    currency: str | None
    portfolio_value: Decimal | None
    cash_balance: Decimal | None
    active_positions: int | None
    daily_pnl: Decimal | None
    daily_pnl_date: date | None
    win_rate: Decimal | None
    total_trades: int | None
    as_of: datetime | None
    source: str | None
    accounts: tuple[AccountSummary, ...]


def account_summary(known: AccountKnown) -> AccountSummary:
    """The figures of one account: of the newest source that knows a worth, else of the newest."""
    newest = sorted(known.worths, key=lambda worth: worth.as_of, reverse=True)
    worth = next((one for one in newest if one.value is not None), next(iter(newest), None))
    currency = worth.currency if worth else None
    return AccountSummary(
        broker=known.broker,
        account_id=known.account_id,
        currency=currency,
        portfolio_value=worth.value if worth else None,
        cash_balance=worth.cash if worth else None,
        as_of=worth.as_of if worth else None,
        source=worth.source if worth else None,
        daily_pnl=_gain(known.day, currency),
        daily_pnl_date=known.day.on_date if known.day else None,
        active_positions=known.positions,
        positions_as_of=known.positions_as_of,
        win_rate=win_rate(known.trips.won, known.trips.known) if known.trips else None,
        total_trades=known.trips.every if known.trips else None,
    )


def summary(known: Sequence[AccountKnown], rates: Rates, currency: str | None = None) -> Summary:
    """All accounts together, converted into `currency`, by default that of most of them (the first by name of two).

    Amounts are converted at the rate of the day on which the account was known.
    """
    accounts = tuple(account_summary(one) for one in known)
    target = currency or most_common(one.currency for one in accounts)
    trips = [one.trips for one in known]
    every = sum((one for one in trips if one), Trips()) if trips and None not in trips else None
    dates = {one.daily_pnl_date for one in accounts}
    instants = [one.as_of for one in accounts]
    return Summary(
        currency=target,
        portfolio_value=_total(accounts, rates, target, lambda one: one.portfolio_value),
        cash_balance=_total(accounts, rates, target, lambda one: one.cash_balance),
        active_positions=_count(one.active_positions for one in accounts),
        daily_pnl=_total(accounts, rates, target, lambda one: one.daily_pnl),
        daily_pnl_date=dates.pop() if len(dates) == 1 else None,
        win_rate=win_rate(every.won, every.known) if every else None,
        total_trades=every.every if every else None,
        as_of=None if not instants or None in instants else min(at for at in instants if at),
        source="+".join(sorted({one.source for one in accounts if one.source})) or None,
        accounts=accounts,
    )


def is_held(told: Mapping[str, Any]) -> bool:
    """Whether a row of a snapshot is a position; an unknown quantity is perhaps held."""
    return told.get("asset_class") not in _NO_POSITIONS and number_of(told.get("qty")) != 0


def told_position(told: Mapping[str, Any]) -> dict[str, Any]:
    """A position in known columns, whoever wrote it: numbers exact, what is not known None."""
    return {name: told.get(name) for name in _TEXTS} | {name: number_of(told.get(name)) for name in _NUMBERS}


def number_of(told: object) -> Decimal | None:
    """What an engine wrote as a number, as text or not; None for what is none (NaN too)."""
    if isinstance(told, Decimal):
        return told if told.is_finite() else None
    if isinstance(told, int):
        return None if isinstance(told, bool) else Decimal(told)
    text = str(told).strip()
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _gain(day: LastDay | None, currency: str | None) -> Decimal | None:
    if day is None or day.value is None or day.value_before is None or day.net_flow is None:
        return None
    if not day.currency == day.currency_before == currency:
        return None
    return trimmed(day.value - day.value_before - day.net_flow)


def _total(
    accounts: Sequence[AccountSummary],
    rates: Rates,
    target: str | None,
    amount_of: Callable[[AccountSummary], Decimal | None],
) -> Decimal | None:
    total = Decimal(0)
    for one in accounts:
        amount = amount_of(one)
        if amount is None or one.currency is None or one.as_of is None or target is None:
            return None
        rate = rates.of(one.account_id, one.currency, target, one.as_of.date())
        if rate is None:
            return None
        total += amount if rate == 1 else WIDE.multiply(amount, rate).quantize(_MONEY, context=WIDE)
    return trimmed(total) if accounts else None


def _count(counts: Iterable[int | None]) -> int | None:
    told = list(counts)
    return sum(one for one in told if one is not None) if told and None not in told else None
