"""A window of history, read in as many parts as OpenD needs to answer for all of it.

Two things make parts necessary: a window that is too large is not answered in time, and a list might be cut
at some number of rows without a word, which no document excludes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from apex_pipeline.brokers.futu import plan
from apex_pipeline.brokers.futu.failures import AnswerTimedOut
from apex_pipeline.brokers.futu.records import Reading
from apex_pipeline.domain.records import Call, Document
from apex_pipeline.errors import BrokerUnavailable

Part = tuple[Document, Reading]


@dataclass(frozen=True, slots=True)
class AskDays:
    """The requests of one call. `make` sends one for some days; it raises AnswerTimedOut."""

    call: Call
    make: Callable[[date, date], Part]


_FEWEST_CUT, _ROUND = 100, 500
_ROUND_COUNTS = frozenset({100, 200, 250, 300, 400, *(1 << n for n in range(7, 21))})


def parts(ask: AskDays, first: date, last: date, *, smaller_helps: bool = False) -> list[Part]:
    """The answers for these days, older days first where there are several. Raises BrokerUnavailable where even
    one day is not answered.

    The first cut of an unanswered window asks for the newest day alone: if even that is not answered, OpenD is
    dead and cutting further would only take time; if it is, the rest is halved as often as needed.
    """
    try:
        document, reading = ask.make(first, last)
    except AnswerTimedOut as error:
        if first == last:
            raise BrokerUnavailable(f"{ask.call}: even {first} alone was not answered: {error}") from error
        days = plan.halves(first, last) if smaller_helps else plan.newest_day_and_halves(first, last)
        answers = [parts(ask, *part, smaller_helps=True) for part in days]
        return [answer for part in reversed(answers) for answer in part]
    return [*_beyond(ask, reading, first, last), (document, reading)]


def may_be_cut(rows: int) -> bool:
    """Whether so many rows are what a limit would leave; about one answer in 400 looks so by chance."""
    return rows >= _FEWEST_CUT and (rows in _ROUND_COUNTS or rows % _ROUND == 0)


def _beyond(ask: AskDays, reading: Reading, first: date, last: date) -> list[Part]:
    """The days that a cut answer has not reached, the day of its last row included; one more request tells.

    Rows are told newest first, and where not, the cut is at the other end.
    """
    if not may_be_cut(reading.told):
        return []
    days = [record.business_date for record in reading.records.values()]
    if not days:
        return []
    reached, newest = min(days), max(days)
    missing = (first, min(reached, last)) if days[0] >= days[-1] else (max(newest, first), last)
    if missing[0] > missing[1]:
        return []
    if missing == (first, last):
        if first == last:
            reading.notes.append(f"{ask.call}: {first} has exactly {reading.told} rows; OpenD may have left some out")
            return []
        return [answer for half in reversed(plan.halves(first, last)) for answer in parts(ask, *half)]
    return parts(ask, *missing)
