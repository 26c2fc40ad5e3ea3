"""How old something is in days on which its exchange traded."""

from bisect import bisect_right
from collections.abc import Mapping
from datetime import date
from itertools import accumulate

_EPOCH_MONDAY = date(1970, 1, 5)


def business_days(start: date, end: date) -> int:
    """Weekdays after `start` up to and including `end`; 0 when `end` is not later. Holidays count as weekdays."""
    return max(0, _weekdays_through(end) - _weekdays_through(start))


def _weekdays_through(day: date) -> int:
    weeks, weekday = divmod((day - _EPOCH_MONDAY).days, 7)
    return weeks * 5 + min(weekday + 1, 5)


class BusinessDays:
    """Counts the sessions of one calendar; a day of which nothing is known is a session if it is a weekday.

    `known`: whether a day is a session.
    """

    def __init__(self, known: Mapping[date, bool]) -> None:
        odd = sorted(day for day, is_session in known.items() if is_session is not (day.weekday() < 5))
        self._odd = odd
        self._sums = [0, *accumulate(1 if known[day] else -1 for day in odd)]

    def between(self, start: date, end: date) -> int:
        """Sessions after `start` up to and including `end`; 0 when `end` is not later."""
        if end <= start:
            return 0
        odd = self._sums[bisect_right(self._odd, end)] - self._sums[bisect_right(self._odd, start)]
        return max(0, business_days(start, end) + odd)
