"""Dates and times of Flex statements."""

from datetime import UTC, date, datetime

import pytest

from apex_pipeline.brokers.ib.times import (
    DAY_FIRST,
    MONTH_FIRST,
    UNDECIDED,
    date_of,
    has_slashes,
    instant_of,
    slash_order,
)
from apex_pipeline.errors import UnknownPayload


@pytest.mark.parametrize(
    "text",
    [
        "20260316;160411",
        "2026-03-16;16:04:11",
        "2026-03-16 16:04:11",
        "2026-03-16, 16:04:11",
        "20260316 160411",
        "2026-03-16T16:04:11",
        "2026-03-16;16:04:11 EDT",
        "20260316;150411 EST",
        "20260316;160411 US/Eastern",
        "20260316;160411 America/New_York",
        "2026-03-16T16:04:11-0400",
        "20260316;160411 -04:00",
        "20260316;200411 UTC",
        "16-MAR-26;160411",
        "16-Mar-2026 16:04:11",
    ],
)
def test_every_form_of_a_time_is_the_same_instant(text: str) -> None:
    assert instant_of(text) == datetime(2026, 3, 16, 20, 4, 11, tzinfo=UTC)
    assert date_of(text) == date(2026, 3, 16)


@pytest.mark.parametrize("text", [None, "", " ", "-", "--", "N/A", "MULTI"])
def test_no_value_is_none(text: str | None) -> None:
    assert instant_of(text) is None
    assert date_of(text) is None


def test_a_date_alone_is_no_instant() -> None:
    assert instant_of("20260316") is None


def test_winter_and_summer_times_differ() -> None:
    assert instant_of("20260115;093000") == datetime(2026, 1, 15, 14, 30, tzinfo=UTC)


def test_the_repeated_hour_is_the_earlier_one_unless_the_zone_tells() -> None:
    assert instant_of("20261101;013000") == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert instant_of("20261101;013000 EST") == datetime(2026, 11, 1, 6, 30, tzinfo=UTC)


def test_slashed_dates_follow_the_order_of_their_document() -> None:
    assert date_of("04/03/2026", DAY_FIRST) == date(2026, 3, 4)
    assert date_of("04/03/2026", MONTH_FIRST) == date(2026, 4, 3)
    assert date_of("04/03/26;10:00:00", MONTH_FIRST) == date(2026, 4, 3)
    assert date_of("05/05/2026") == date(2026, 5, 5)


def test_a_slashed_date_is_never_guessed() -> None:
    with pytest.raises(UnknownPayload) as caught:
        _ = date_of("04/03/2026", UNDECIDED)
    assert caught.value.reason_code == "ambiguous_date"


@pytest.mark.parametrize(
    ("content", "order"),
    [
        (b'a="04/03/2026" b="13/03/2026"', DAY_FIRST),
        (b'a="04/03/2026" b="03/13/26;101010"', MONTH_FIRST),
        (b'a="04/03/2026"', UNDECIDED),
        (b'a="13/03/2026" b="03/13/2026"', UNDECIDED),
        (b'a="20260304"', UNDECIDED),
    ],
)
def test_the_order_of_slashed_dates_is_proven_by_the_document(content: bytes, order: str) -> None:
    assert slash_order((content,)) == order
    assert slash_order(content[n : n + 1] for n in range(len(content))) == order
    assert has_slashes(content) == (b"/" in content)


@pytest.mark.parametrize(
    "text", ["20261301", "tomorrow", "20260230", "٢٠٢٦٠٣١٦", "2026-03-16;16:04:11 MOON", "20260316;256199"]
)
def test_what_is_no_date_or_time_is_said_and_not_guessed(text: str) -> None:
    with pytest.raises(UnknownPayload):
        _ = instant_of(text)
