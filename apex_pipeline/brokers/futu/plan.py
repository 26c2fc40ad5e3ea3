"""Which requests cover which days, and how long they take under Futu's limits. Pure.

History calls answer for at most 90 calendar dates. In which zone OpenD reads their bounds is not
documented, so each request also asks for the day before and after the days it covers: a call covers up
to 88 days, and neighbouring requests overlap.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from apex_pipeline.brokers.futu import vocabulary
from apex_pipeline.domain.records import ALL_MARKETS, Account, Ask, Call, Done
from apex_pipeline.errors import ConfigError

ORDERS, DEALS, FEES = "futu_orders", "futu_deals", "futu_fees"
DATA_TYPES = (ORDERS, DEALS, FEES)

WINDOW_DATES = 90
FINAL_AFTER_DAYS = 90
"""A GTC order lives up to 90 days and stays in the window of its creation: later fills change that window."""
INTERFACES = {ORDERS: "Trd_GetHistoryOrderList", DEALS: "Trd_GetHistoryOrderFillList", FEES: "Trd_GetOrderFee"}
MARKET_NUMBERS = {name: number for number, name in vocabulary.TRD_MARKETS.items()}

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class FeeCall(Call):
    """One batch of fee ids with the dates of their orders; the asked days are covered when all `batches` have come."""

    batch: int = 1
    batches: int = 1
    dates: tuple[date, ...] = ()


def budget(data_type: str, account_id: str) -> str:
    """The name of the limit a request counts against: Futu counts per interface and account."""
    return f"futu:{INTERFACES[data_type]}:{account_id}"


def requested_dates(first: date, last: date, today: date) -> tuple[date, date]:
    """The dates to ask for so that every row of the days first..last is in the answer, whatever the zone."""
    return first - _DAY, max(last, min(last + _DAY, today))


def history_calls(ask: Ask, accounts: Sequence[Account], done: Sequence[Done]) -> list[Call]:
    """The fewest order and deal calls that cover `ask`, newest days first; orders come before their deals.

    Paper accounts have no deals. Raises ConfigError for a market that Futu does not know.
    """
    if ask.market != ALL_MARKETS and ask.market not in MARKET_NUMBERS:
        raise ConfigError(f"Futu has no market {ask.market!r}; use ALL or one of {', '.join(sorted(MARKET_NUMBERS))}")
    calls = [
        Call(data_type, account.account_id, ask.market, first, last)
        for account in accounts
        if _wanted(account, ask)
        for data_type in ((ORDERS, DEALS) if account.has_trades else (ORDERS,))
        for first, last in windows(missing_days(ask, data_type, account.account_id, done), ask.today)
    ]
    return sorted(calls, key=lambda call: call.to_date, reverse=True)


def missing_days(ask: Ask, data_type: str, account_id: str, done: Sequence[Done]) -> list[date]:
    """The asked days that no finished load covers, newest first."""
    days = {ask.to_date - _DAY * n for n in range((ask.to_date - ask.from_date).days + 1)}
    if not ask.force:
        for past in done:
            same = past.data_type == data_type and past.account_id == account_id
            if same and past.market in (ask.market, ALL_MARKETS):
                days -= {past.from_date + _DAY * n for n in range((past.to_date - past.from_date).days + 1)}
    return sorted(days, reverse=True)


def windows(days: Iterable[date], today: date) -> list[tuple[date, date]]:
    """The fewest windows, newest first, whose requests reach over all of `days` (given newest first)."""
    found: list[tuple[date, date]] = []
    for day in days:
        if found and day >= _earliest(found[-1][1], today):
            found[-1] = (day, found[-1][1])
        else:
            found.append((day, day))
    return found


def halves(first: date, last: date) -> list[tuple[date, date]]:
    """The days in two windows, newest first; one day stays one window."""
    middle = first + (last - first) // 2
    return [(middle + _DAY, last), (first, middle)] if first < last else [(first, last)]


def newest_day_and_halves(first: date, last: date) -> list[tuple[date, date]]:
    """The newest day alone, then the others in two windows."""
    return [(last, last), *halves(first, last - _DAY)]


def fee_calls(account: Account, orders: Mapping[str, date], ask: Ask, batch_size: int) -> list[Call]:
    """Batches of order ids, in the order given; none for paper accounts."""
    asked = list(orders.items()) if account.has_trades else []
    batches = [asked[start : start + batch_size] for start in range(0, len(asked), batch_size)]
    return [
        FeeCall(
            FEES,
            account.account_id,
            ask.market,
            ask.from_date,
            ask.to_date,
            ids=tuple(order_id for order_id, _ in batch),
            batch=number,
            batches=len(batches),
            dates=tuple(day for _, day in batch),
        )
        for number, batch in enumerate(batches, start=1)
    ]


def seconds(calls: Sequence[Call], per_window: int, window: Decimal) -> Decimal:
    """Predicted wall time of these calls made one after another, answers taking no time."""
    now = Decimal(0)
    sent: defaultdict[str, deque[Decimal]] = defaultdict(lambda: deque(maxlen=per_window))
    for call in calls:
        recent = sent[budget(call.data_type, call.account_id or "")]
        if len(recent) == per_window:
            now = max(now, recent[0] + window)
        recent.append(now)
    return now


def _wanted(account: Account, ask: Ask) -> bool:
    right_account = ask.account_id in (None, account.account_id)
    return right_account and (ask.market == ALL_MARKETS or not account.markets or ask.market in account.markets)


def _earliest(last: date, today: date) -> date:
    """The earliest day that a request covering `last` can also cover."""
    _, until = requested_dates(last, last, today)
    return until - _DAY * (WINDOW_DATES - 1) + _DAY
