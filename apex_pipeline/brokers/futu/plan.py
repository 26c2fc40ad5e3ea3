"""Which requests cover which days. Pure.

History calls answer for at most 90 calendar dates. In which zone OpenD reads their bounds is not
documented, so each request also asks for the day before and after the days it covers: a call covers up
to 88 days, and neighbouring requests overlap.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import date, timedelta

from apex_pipeline.brokers.futu import vocabulary
from apex_pipeline.domain.records import ALL_MARKETS, Account, Ask, Audit, Call, Done, LoadScope
from apex_pipeline.errors import ConfigError

ORDERS, DEALS, FEES, CASH = "futu_orders", "futu_deals", "futu_fees", "futu_cash"
TODAY_ORDERS, TODAY_DEALS, POSITIONS, FUNDS = "futu_today_orders", "futu_today_deals", "futu_positions", "futu_funds"
DATA_TYPES = (ORDERS, DEALS, FEES, CASH, TODAY_ORDERS, TODAY_DEALS, POSITIONS, FUNDS)

WINDOW_DATES = 90
FINAL_AFTER_DAYS = 90
"""A GTC order lives up to 90 days and stays in the window of its creation: later fills change that window."""
REREAD_DAYS = 88
"""Days before today that every load of today asks again: as many as one request reaches back."""
LONGEST_ORDER_DAYS = 90
"""A GTC order lives so long, so a deal's order was created at most so many days before it."""
FEES_SINCE = date(2018, 1, 1)
"""Futu tells the fees of orders since then."""
USUAL_ORDER_DAYS = 30
"""Few orders are filled so long after they were made."""
LAST_WEEKDAY = 5

INTERFACES = {
    ORDERS: "Trd_GetHistoryOrderList",
    DEALS: "Trd_GetHistoryOrderFillList",
    FEES: "Trd_GetOrderFee",
    CASH: "Trd_FlowSummary",
    TODAY_ORDERS: "Trd_GetOrderList",
    TODAY_DEALS: "Trd_GetOrderFillList",
    POSITIONS: "Trd_GetPositionList",
    FUNDS: "Trd_GetFunds",
}
UNLIMITED = frozenset({TODAY_ORDERS, TODAY_DEALS, POSITIONS, FUNDS})
"""OpenD answers these from its own memory, without a limit, as long as it is not told to refresh."""
MARKET_NUMBERS = {name: number for number, name in vocabulary.TRD_MARKETS.items()}

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class FeeCall(Call):
    """One batch of fee ids with the dates of their orders; the asked days are covered when all `batches` have come."""

    batch: int = 1
    batches: int = 1
    dates: tuple[date, ...] = ()


def budget(data_type: str, account_id: str) -> str:
    """The name of the limit a request counts against: Futu counts per interface and account; empty for none."""
    return "" if data_type in UNLIMITED else f"futu:{INTERFACES[data_type]}:{account_id}"


def requested_dates(first: date, last: date, today: date) -> tuple[date, date]:
    """The dates to ask for so that every row of the days first..last is in the answer, whatever the zone."""
    return first - _DAY, max(last, min(last + _DAY, today))


def calls(ask: Ask, accounts: Sequence[Account], done: Sequence[Done]) -> list[Call]:
    """The calls of the asked scope. Raises ConfigError for a market that Futu does not know."""
    if ask.market != ALL_MARKETS and ask.market not in MARKET_NUMBERS:
        raise ConfigError(f"Futu has no market {ask.market!r}; use ALL or one of {', '.join(sorted(MARKET_NUMBERS))}")
    wanted = [account for account in accounts if _wanted(account, ask)]
    match ask.scope:
        case LoadScope.HISTORY:
            return history_calls(ask, wanted, done)
        case LoadScope.INTRADAY:
            return _today(ask, wanted)
        case LoadScope.CASH:
            return cash_calls(ask, wanted, done)


def history_calls(ask: Ask, accounts: Sequence[Account], done: Sequence[Done]) -> list[Call]:
    """The fewest order and deal calls that cover `ask`: the orders, then the deals, each newest days first.

    Paper accounts have no deals.
    """
    planned = [
        Call(data_type, account.account_id, ask.market, first, last)
        for account in accounts
        for data_type in ((ORDERS, DEALS) if account.has_trades else (ORDERS,))
        for first, last in windows(missing_days(ask, data_type, account.account_id, done), ask.today)
    ]
    # all orders first: a deal may name its order by a number that only the order translates
    return sorted(planned, key=lambda call: (call.data_type == ORDERS, call.to_date), reverse=True)


def cash_calls(ask: Ask, accounts: Sequence[Account], done: Sequence[Done]) -> list[Call]:
    """One call for each weekday that is over and was never asked, accounts side by side, newest days first.

    Futu tells its cash flow for one clearing date at a time, and of paper accounts nothing.
    """
    over = replace(ask, to_date=min(ask.to_date, ask.today - _DAY))
    planned = [
        Call(CASH, account.account_id, ALL_MARKETS, day, day)
        for account in accounts
        if account.has_trades
        for day in missing_days(over, CASH, account.account_id, done)
        if day.isoweekday() <= LAST_WEEKDAY
    ]
    return sorted(planned, key=lambda call: call.to_date, reverse=True)


def next_weekday(day: date) -> date:
    """The first weekday after a day."""
    later = day + _DAY
    return later if later.isoweekday() <= LAST_WEEKDAY else next_weekday(later)


def follow_up(account: Account, audit: Audit, ask: Ask, done: Sequence[Done]) -> list[Call]:
    """Calls for what an audit misses: orders of deals without one, deals of orders whose fills do not add up,
    and orders that were live when they were told last, further back than this load has looked.

    A load of today's lists asks nothing more: it comes again within minutes, and the next of history mends.
    """
    if ask.scope is not LoadScope.HISTORY:
        return []
    told = {*_range(ask.from_date, ask.to_date), *ask.again}
    wanted = {
        ORDERS: audit.incomplete.get(ORDERS, frozenset()) | (audit.open - told) | _days_of_lost_orders(audit, ask),
        DEALS: audit.incomplete.get(DEALS, frozenset()),
    }
    planned: list[Call] = []
    for data_type, days in wanted.items():
        finished = () if data_type == DEALS else done
        missing = _not_done(days, data_type, account.account_id, ask, finished)
        planned += [
            Call(data_type, account.account_id, ask.market, first, last)
            for first, last in windows(sorted(missing, reverse=True), ask.today)
        ]
    return planned


def _days_of_lost_orders(audit: Audit, ask: Ask) -> set[date]:
    """Where the orders of orphaned deals may be: before the asked days, and in them where their rows were lost.

    A deal soon after the first asked day is taken for one of an older order, which saves a request.
    """
    days: set[date] = set()
    for dealt_on in audit.orphans:
        earliest = dealt_on - _DAY * LONGEST_ORDER_DAYS
        soon = earliest < ask.from_date and (dealt_on - ask.from_date).days <= USUAL_ORDER_DAYS
        days |= set(_range(earliest, min(dealt_on, ask.from_date - _DAY) if soon else dealt_on))
    return days


def states(ask: Ask, accounts: Sequence[Account]) -> list[Call]:
    """Positions and funds as they are now, of loads that reach to today. OpenD keeps those of paper accounts too."""
    if ask.scope is LoadScope.CASH or ask.to_date < ask.today:
        return []
    return [
        Call(data_type, account.account_id, ALL_MARKETS, ask.today, ask.today)
        for account in accounts
        if _wanted(account, ask)
        for data_type in (POSITIONS, FUNDS)
    ]


def _today(ask: Ask, accounts: Sequence[Account]) -> list[Call]:
    return [
        Call(data_type, account.account_id, ask.market, ask.today, ask.today)
        for account in accounts
        for data_type in ((TODAY_ORDERS, TODAY_DEALS) if account.has_trades else (TODAY_ORDERS,))
    ]


def missing_days(ask: Ask, data_type: str, account_id: str, done: Sequence[Done]) -> list[date]:
    """The asked days that no finished load covers, newest first."""
    days = {*_range(ask.from_date, ask.to_date), *ask.again}
    return sorted(days if ask.force else _not_done(days, data_type, account_id, ask, done), reverse=True)


def _not_done(days: Set[date], data_type: str, account_id: str, ask: Ask, done: Sequence[Done]) -> set[date]:
    left = set(days)
    for past in done:
        same = past.data_type == data_type and past.account_id == account_id
        if same and past.market in (ask.market, ALL_MARKETS):
            left -= set(_range(past.from_date, past.to_date))
    return left


def _range(first: date, last: date) -> Iterator[date]:
    return (first + _DAY * n for n in range((last - first).days + 1))


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
    """Batches of order ids, in the order given; none for paper accounts and for orders that Futu tells no fees of."""
    told = orders.items() if account.has_trades else ()
    asked = [(order_id, day) for order_id, day in told if day >= FEES_SINCE]
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


def _wanted(account: Account, ask: Ask) -> bool:
    right_account = ask.account_id in (None, account.account_id)
    return right_account and (ask.market == ALL_MARKETS or not account.markets or ask.market in account.markets)


def _earliest(last: date, today: date) -> date:
    """The earliest day that a request covering `last` can also cover."""
    _, until = requested_dates(last, last, today)
    return until - _DAY * (WINDOW_DATES - 1) + _DAY
