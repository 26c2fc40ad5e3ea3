"""Which statements to ask for: windows of at most 365 days, newest first, and how long they will take."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

from apex_pipeline.brokers.ib.coverage import DATA_TYPE
from apex_pipeline.domain.records import ALL_MARKETS, Ask, Call, Done, LoadScope

WINDOW_DAYS = 365
REACH_YEARS = 4
FINAL_AFTER_DAYS = 7
"""Book trades can be reported days after their trade date (a Friday's expiry in Monday's statement)."""
_DAY = timedelta(days=1)


def last_day(today: date) -> date:
    """Yesterday: statements are written once a day, after the close."""
    return today - _DAY


def first_day(today: date) -> date:
    """The oldest day IB still tells: four calendar years before the current one."""
    return date(today.year - REACH_YEARS, 1, 1)


def plan(ask: Ask, done: Sequence[Done]) -> list[Call]:
    """The fewest windows that hold every asked day that is not done, newest first.

    Days outside IB's reach and from today on are left out. A day is done when it is done for every account
    that has been loaded before, or for the asked one.
    """
    if ask.scope is not LoadScope.HISTORY:
        return []
    asked = {ask.from_date + timedelta(days=number) for number in range((ask.to_date - ask.from_date).days + 1)}
    first, last = first_day(ask.today), last_day(ask.today)
    days = sorted(day for day in asked | ask.again if first <= day <= last)
    finished = _finished(ask, done, days[0], days[-1]) if days and not ask.force else set[date]()
    return _windows([day for day in days if day not in finished])


def seconds(calls: Sequence[Call], per_call: Decimal) -> Decimal:
    """Predicted wall time of these calls, one after the other."""
    return per_call * len(calls)


def _finished(ask: Ask, done: Sequence[Done], first: date, last: date) -> set[date]:
    by_account: dict[str, set[date]] = {}
    for item in done:
        if item.data_type != DATA_TYPE or (ask.account_id and item.account_id != ask.account_id):
            continue
        start, end = max(item.from_date, first), min(item.to_date, last)
        days = {start + timedelta(days=number) for number in range((end - start).days + 1)}
        by_account.setdefault(item.account_id, set()).update(days)
    loaded = list(by_account.values())
    return {day for day in loaded[0] if all(day in days for days in loaded)} if loaded else set()


def _windows(missing: Sequence[date]) -> list[Call]:
    """`missing` is in rising order; a window may span done days where that saves a call."""
    calls: list[Call] = []
    left = list(missing)
    while left:
        newest = left[-1]
        inside = [day for day in left if day > newest - timedelta(days=WINDOW_DAYS)]
        calls.append(Call(DATA_TYPE, None, ALL_MARKETS, inside[0], newest))
        left = left[: len(left) - len(inside)]
    return calls
