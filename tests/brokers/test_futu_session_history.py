"""A window of history that must be read in parts."""

from datetime import UTC, date, datetime, timedelta

import pytest

from apex_pipeline.brokers.futu import history
from apex_pipeline.brokers.futu.failures import AnswerTimedOut
from apex_pipeline.brokers.futu.records import Reading
from apex_pipeline.domain.records import Call, Content, Document, Record, RecordKind
from apex_pipeline.errors import BrokerUnavailable

DAY = date(2026, 11, 20)


class Gateway:
    """So many orders a day; answers hold at most `cap` of the rows, the newest or the oldest."""

    def __init__(self, per_day: dict[date, int], cap: int, *, newest_first: bool = True) -> None:
        self.per_day, self.cap, self.newest_first = per_day, cap, newest_first
        self.asked: list[tuple[date, date]] = []

    def make(self, first: date, last: date) -> history.Part:
        self.asked.append((first, last))
        days = sorted((d for d in self.per_day if first <= d <= last), reverse=self.newest_first)
        keys = [(day, f"{day}/{n}") for day in days for n in range(self.per_day[day])][: self.cap]
        found = {key: Record(RecordKind.ORDERS, "9", key, day, {}) for day, key in keys}
        document = Document("x", {}, Content.of(()), "", datetime(2026, 1, 1, tzinfo=UTC))
        return document, Reading(found, told=len(found))

    def load(self, days: int) -> Reading:
        call = Call("futu_orders", "9", "ALL", DAY - timedelta(days=days - 1), DAY)
        total = Reading()
        for _, part in history.parts(history.AskDays(call, self.make), call.from_date, call.to_date):
            total.merge(part)
        return total


def spread(days: int, per_day: int) -> dict[date, int]:
    return {DAY - timedelta(days=n): per_day for n in range(days)}


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("cap", [100, 200, 256, 500, 1000, 1024])
def test_a_list_that_is_cut_without_a_word_is_read_to_its_end(cap: int, newest_first: bool) -> None:
    gateway = Gateway(spread(60, 37), cap, newest_first=newest_first)
    assert len(gateway.load(60).records) == 60 * 37
    assert len(gateway.asked) <= 3 * 60 * 37 / cap + 3


def test_a_list_that_is_whole_is_asked_once() -> None:
    gateway = Gateway(spread(60, 37), 10_000)
    gateway.load(60)
    assert len(gateway.asked) == 1


def test_a_whole_list_of_a_round_number_costs_one_more_request() -> None:
    gateway = Gateway(spread(50, 10), 10_000)
    assert len(gateway.load(50).records) == 500
    assert gateway.asked[1:] == [(DAY - timedelta(days=49),) * 2]


def test_a_single_day_that_looks_cut_is_told_and_not_refused() -> None:
    reading = Gateway({DAY: 500}, 200).load(3)
    assert len(reading.records) == 200
    assert "has exactly 200 rows" in reading.notes[0]


@pytest.mark.parametrize(
    ("rows", "cut"), [(0, False), (50, False), (99, False), (100, True), (512, True), (1234, False)]
)
def test_only_numbers_that_a_limit_would_have_are_suspected(rows: int, cut: bool) -> None:
    assert history.may_be_cut(rows) is cut


def test_a_dead_gateway_costs_two_requests_and_not_one_for_each_day() -> None:
    asked: list[tuple[date, date]] = []

    def silent(first: date, last: date) -> history.Part:
        asked.append((first, last))
        raise AnswerTimedOut("nothing")

    call = Call("futu_orders", "9", "ALL", DAY - timedelta(days=80), DAY)
    with pytest.raises(BrokerUnavailable, match=r"futu_orders 9 .* even 2026-11-20 alone"):
        history.parts(history.AskDays(call, silent), call.from_date, call.to_date)
    assert asked == [(call.from_date, DAY), (DAY, DAY)]
