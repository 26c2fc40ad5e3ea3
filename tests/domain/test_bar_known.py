"""What is known of a series: the days to ask for, and why an answer lacks bars."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from apex_pipeline.domain.bar_gaps import Series
from apex_pipeline.domain.bar_hours import SeriesHours, sessions, tick
from apex_pipeline.domain.bar_known import Known, explained, not_worse, open_days, unasked
from apex_pipeline.domain.market import Adjustment, Bar, BarAnswer, BarGap, GapReason
from apex_pipeline.domain.models import Broker
from apex_pipeline.reference.exchanges import market_days
from tests.store.market_rows import APPLE, MINUTE, NEW_YORK, at_clock, bar, gap, moment

NOW = moment(date(2026, 3, 14), 12)
LONG_AGO, LATELY = NOW - timedelta(days=30), NOW - timedelta(days=1)
SINCE = NOW - timedelta(days=7)
DAYS = [date(2026, 3, n) for n in range(2, 7)]
HOURS = SeriesHours("XNYS", NEW_YORK, is_daily=False, step=60_000_000)
REFUSED = BarAnswer((), "no permission")
BROKER = Broker.FUTU


def known(bars: Sequence[datetime], told: Sequence[BarGap] = (), hours: SeriesHours = HOURS) -> Known:
    due = sessions(market_days("XNYS", DAYS[0], DAYS[-1]), hours)
    return Known(APPLE, "1m", Series([tick(at) for at in bars], hours), due, told)


def whole(day: date) -> list[datetime]:
    return [at_clock(day, 9, 30) + n * MINUTE for n in range(390)]


def of_broker(day: date, reason: GapReason, found_at: datetime) -> BarGap:
    told = gap(APPLE, at_clock(day, 9, 30), at_clock(day, 16), reason)
    return replace(told, source=BROKER.value, found_at=found_at)


def test_a_day_is_open_if_bars_are_missing_that_nobody_explained() -> None:
    bars = [*whole(DAYS[0]), *whole(DAYS[1])[:-1], *whole(DAYS[3])]
    told = [gap(APPLE, at_clock(DAYS[2], 9, 30), at_clock(DAYS[2], 16), GapReason.HALT)]
    assert open_days(known(bars, told), NOW, SINCE) == {DAYS[1]: set(), DAYS[4]: set()}


@pytest.mark.parametrize(
    ("reason", "found_at", "expected"),
    [
        (GapReason.NO_TRADE, LONG_AGO, None),
        (GapReason.VENDOR, LATELY, {BROKER}),
        (GapReason.VENDOR, LONG_AGO, set()),
        (GapReason.NOT_ASKED, LATELY, set()),
    ],
)
def test_what_was_refused_is_open_to_others_and_later_to_all(
    reason: GapReason, found_at: datetime, expected: set[Broker] | None
) -> None:
    bars = [at for day in DAYS[1:] for at in whole(day)]
    found = open_days(known(bars, [of_broker(DAYS[0], reason, found_at)]), NOW, SINCE)
    assert found == ({} if expected is None else {DAYS[0]: expected})


def test_what_a_person_said_of_a_vendor_closes_the_day() -> None:
    told = [gap(APPLE, at_clock(day, 9, 30), at_clock(day, 16), GapReason.VENDOR) for day in DAYS]
    assert open_days(known([], told), NOW, SINCE) == {}


def test_any_bar_makes_a_day_known_where_none_is_due() -> None:
    for hours in (replace(HOURS, is_sparse=True), replace(HOURS, calendar=None)):
        found = open_days(known([at_clock(day, 12) for day in DAYS[1:]], hours=hours), NOW, SINCE)
        assert found == {DAYS[0]: set()}


def test_a_minute_without_a_bar_was_not_traded_and_a_session_without_any_is_the_vendors() -> None:
    bars = [*whole(DAYS[0])[5:], *whole(DAYS[1])]
    rows = explained(known(bars), BarAnswer(()), BROKER, {DAYS[2]}, NOW)
    assert [(row.reason, row.from_at, row.to_at) for row in rows] == [
        (GapReason.NO_TRADE, at_clock(DAYS[0], 9, 30), at_clock(DAYS[0], 9, 35)),
        *((GapReason.VENDOR, at_clock(day, 9, 30), at_clock(day, 16)) for day in DAYS[2:]),
    ]
    later = NOW + timedelta(days=8)
    assert set(open_days(known(bars, rows), NOW, SINCE)) == set(DAYS[2:]), "another broker may have them"
    assert open_days(known(bars, rows), later, NOW) == {day: set() for day in DAYS[2:]}, "and so may this one, later"


def test_where_silence_means_nothing_a_session_without_a_bar_was_not_traded_unless_by_us() -> None:
    for hours in (replace(HOURS, is_sparse=True), replace(HOURS, calendar=None)):
        rows = explained(known(whole(DAYS[0]), hours=hours), BarAnswer(()), BROKER, {DAYS[2]}, NOW)
        assert [row.reason for row in rows] == [
            GapReason.NO_TRADE, GapReason.VENDOR, GapReason.NO_TRADE, GapReason.NO_TRADE
        ]  # fmt: skip


def test_a_refusal_leaves_what_another_broker_said_of_its_market() -> None:
    bars = whole(DAYS[0])[5:]
    (minutes, *_) = rows = explained(known(bars), BarAnswer(()), Broker.IB, (), NOW)
    refused = explained(known(bars, rows), REFUSED, BROKER, (), NOW)
    assert refused[0] == minutes
    assert (minutes.reason, minutes.source) == (GapReason.NO_TRADE, "IB")
    assert {(row.reason, row.source) for row in refused[1:]} == {(GapReason.VENDOR, "FUTU")}, "nobody had these"


def test_a_refusal_is_the_vendors_with_its_words() -> None:
    rows = explained(known([]), REFUSED, BROKER, (), NOW)
    assert {(row.reason, row.note, row.source) for row in rows} == {(GapReason.VENDOR, "no permission", "FUTU")}
    assert len(rows) == len(DAYS)


def test_what_a_person_said_stands_and_what_was_known_keeps_its_moment() -> None:
    person = gap(APPLE, at_clock(DAYS[0], 9, 30), at_clock(DAYS[0], 16), GapReason.HALT)
    before = of_broker(DAYS[1], GapReason.NO_TRADE, LONG_AGO)
    hours = replace(HOURS, is_sparse=True)
    rows = explained(known([], [person, before], hours), BarAnswer(()), BROKER, (), NOW)
    assert [row.from_at.astimezone(NEW_YORK).date() for row in rows] == DAYS[1:]
    assert [row.found_at for row in rows] == [LONG_AGO, NOW, NOW, NOW]
    refused = explained(known([], [person, replace(before, reason=GapReason.VENDOR)]), REFUSED, BROKER, (), NOW)
    assert {row.found_at for row in refused} == {NOW}, "a refusal is as old as it was heard last"


def test_sessions_between_loaded_days_were_not_asked_for() -> None:
    rows = unasked(known([*whole(DAYS[0]), *whole(DAYS[3])[:-1]]), NOW)
    assert [(row.reason, row.from_at, row.source) for row in rows] == [
        (GapReason.NOT_ASKED, at_clock(day, 9, 30), "PIPELINE") for day in DAYS[1:3]
    ]
    assert unasked(known(whole(DAYS[0])), NOW) == unasked(known([]), NOW) == []
    assert unasked(replace(known([], hours=replace(HOURS, is_daily=True))), NOW) == []


def test_prices_as_traded_are_not_replaced_by_adjusted_ones() -> None:
    at = at_clock(DAYS[0], 10)
    split: list[Bar] = [bar(APPLE, at + n * MINUTE, adjustment=Adjustment.SPLITS, prices="1 2 1 2") for n in range(2)]
    assert not_worse(split, {at}) == split[1:]
    traded = [replace(one, adjustment=Adjustment.NONE, close=Decimal(1)) for one in split]
    assert not_worse(traded, {at}) == traded
