"""Units before and after: how splits and changes of contract turn the units of one day into those of another. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from apex_pipeline.domain.lot_shares import PLACES, quotient


@dataclass(frozen=True, slots=True)
class Conversion:
    """From `on_date` on, `before` units of `source` are `after` units of `target`, at the same cost.

    A split has one instrument for both. `after` is None where the ratio is not known.
    """

    source: str
    target: str
    on_date: date
    before: Decimal
    after: Decimal | None


class Conversions:
    """The conversions of one account, to look back through."""

    def __init__(self, conversions: Iterable[Conversion] = ()) -> None:
        self._newest_first = sorted(conversions, key=lambda one: one.on_date, reverse=True)

    def origin(self, instrument: str, opened_on: date | None, day: date, is_meant: Callable[[Conversion], bool]) -> str:
        """The instrument as which something was opened that is told as `instrument` on `day`.

        `is_meant` decides of every change of contract in between whether it brought the thing.
        """
        for one in self._newest_first:
            is_between = one.on_date <= day and (opened_on is None or opened_on < one.on_date)
            if is_between and one.target == instrument != one.source and is_meant(one):
                instrument = one.source
        return instrument

    def ratio(self, instrument: str, origin: str, day: date, since: date) -> tuple[Decimal, Decimal] | None:
        """Units of `origin` on `since` (first) that are the second number of units of `instrument` on `day`.

        None where the ratio of a conversion between them is not known.
        """
        before = after = Decimal(1)
        for one in self._newest_first:
            is_change = one.source != one.target
            if not since < one.on_date <= day or one.target != instrument or (is_change and instrument == origin):
                continue
            if one.after is None:
                return None
            before, after, instrument = before * one.before, after * one.after, one.source
        return before, after

    def between(self, instrument: str, first: date, last: date) -> bool:
        """Whether units of the instrument changed after the first day, up to the last."""
        return any(one.target == instrument and first < one.on_date <= last for one in self._newest_first)


def rescaled(qty: Decimal, ratio: tuple[Decimal, Decimal]) -> Decimal:
    """What `qty` of the second number of a ratio is of the first, to ten places."""
    before, after = ratio
    return qty if before == after else quotient(qty * before, after, PLACES)
