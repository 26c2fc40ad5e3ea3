"""Rows to records: ids, dates and exact numbers."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.brokers.futu import market_time, records, wire
from apex_pipeline.domain.records import RecordKind
from apex_pipeline.errors import UnknownPayload

DAY = date(2026, 1, 2)


def order_row(**fields: Any) -> dict[str, Any]:
    return {
        "orderIDEx": "A1", "orderID": "6664320708369556828", "secMarket": 2, "trdMarket": 2, "code": "FUTU",
        "createTime": "2021-03-30 09:34:23.628", "createTimestamp": Decimal("1617111263.627814"), **fields,
    }  # fmt: skip


def test_the_epoch_gives_the_instant_to_the_microsecond() -> None:
    assert market_time.instant(order_row(), "create") == datetime(2021, 3, 30, 13, 34, 23, 627814, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sec_market", "trd_market", "text", "utc"),
    [
        (2, 2, "2021-03-30 09:34:23.628", datetime(2021, 3, 30, 13, 34, 23, 628000, tzinfo=UTC)),
        (1, 1, "2021-05-31 21:01:21", datetime(2021, 5, 31, 13, 1, 21, tzinfo=UTC)),
        (0, 2, "2021-01-05 09:30:00", datetime(2021, 1, 5, 14, 30, tzinfo=UTC)),
        (0, 0, "2021-01-05 09:30:00", datetime(2021, 1, 5, 1, 30, tzinfo=UTC)),
        # OpenD writes futures times in UTC+8 whatever the exchange
        (2, 5, "2021-01-05 09:30:00", datetime(2021, 1, 5, 1, 30, tzinfo=UTC)),
        # the repeated hour of the clock change is read as the first
        (2, 2, "2025-11-02 01:30:00", datetime(2025, 11, 2, 5, 30, tzinfo=UTC)),
    ],
)
def test_text_is_read_in_the_zone_of_its_market(sec_market: int, trd_market: int, text: str, utc: datetime) -> None:
    row = {"secMarket": sec_market, "trdMarket": trd_market, "createTime": text}
    assert market_time.instant(row, "create") == utc


@pytest.mark.parametrize("text", ["", "2021-13-01 00:00:00", "2021-03-30", "yesterday", None])
def test_a_time_that_cannot_be_read_is_an_error_and_not_a_guess(text: str | None) -> None:
    with pytest.raises(UnknownPayload) as caught:
        market_time.instant({"secMarket": 2, "createTime": text}, "create")
    assert caught.value.reason_code == "bad_time"


def test_the_date_is_the_exchanges_and_not_that_of_utc() -> None:
    evening = order_row(createTimestamp=Decimal(1622507400))  # 2021-06-01 00:30 UTC
    assert market_time.exchange_date(evening, "create") == date(2021, 5, 31)
    assert market_time.exchange_date({**evening, "secMarket": 1}, "create") == date(2021, 6, 1)


def test_orders_are_keyed_by_their_extended_id_else_by_their_number() -> None:
    reading = records.orders("9", [order_row(), order_row(orderIDEx="")])
    assert set(reading.records) == {"A1", "6664320708369556828"}
    assert reading.records["A1"].business_date == date(2021, 3, 30)


def test_a_row_without_an_id_or_a_date_is_rejected_and_its_neighbours_are_kept() -> None:
    broken = order_row(orderIDEx="B", createTime="?", createTimestamp=None)
    reading = records.orders("9", [order_row(orderIDEx="", orderID="0"), broken, order_row()])
    assert [reject.reason_code for reject in reading.rejects] == ["no_order_id", "bad_time"]
    assert reading.rejects[1].payload == broken
    assert set(reading.records) == {"A1"}


def test_of_two_versions_of_a_row_the_newer_update_is_kept() -> None:
    older, newer = order_row(updateTimestamp=Decimal(1)), order_row(updateTimestamp=Decimal(2))
    for rows in ([older, newer], [newer, older]):
        assert records.orders("9", rows).records["A1"].payload is newer


def deal_row(**fields: Any) -> dict[str, Any]:
    return {"fillID": "5056208452274069375", "secMarket": 1, "createTime": "2020-09-17 21:15:59.979", **fields}


def test_a_deal_that_names_only_the_number_of_its_order_finds_the_extended_id() -> None:
    def order_of(**fields: Any) -> str | None:
        return records.deals("9", [deal_row(**fields)], {"66": "A1"}).records["5056208452274069375"].order_id

    assert order_of(orderID="66") == "A1"
    assert order_of(orderID="67") == "67"
    assert order_of(orderIDEx="", orderID="0") is None


def test_a_fee_takes_the_date_of_its_order() -> None:
    rows = [{"orderIDEx": "A1"}, {"orderIDEx": "A2"}]
    found = records.fees("9", rows, {"A1": DAY}, date(2026, 2, 2)).records
    assert (found["A1"].business_date, found["A2"].business_date) == (DAY, date(2026, 2, 2))


def test_numbers_cross_the_pipe_as_the_shortest_decimal_and_ids_as_text() -> None:
    sent = {"price": 0.1, "fillAvgPrice": 127.635726495, "fillID": "18446744073709551615", "x": float("nan")}
    got = wire.load_rows(wire.dump_rows([sent]))[0]
    assert got["price"] == Decimal("0.1")
    assert got["fillAvgPrice"] == Decimal("127.635726495")
    assert got["fillID"] == "18446744073709551615"
    assert got["x"] == "NaN"
    assert not any(isinstance(value, float) for value in got.values())


def test_a_frame_survives_the_pipe() -> None:
    content = wire.encode({"a": "期权"}, b"\x00\xff")
    position = 0

    def exactly(count: int) -> bytes:
        nonlocal position
        position += count
        return content[position - count : position]

    frame = wire.read_frame(exactly)
    assert (frame.header, frame.body) == ({"a": "期权"}, b"\x00\xff")
    assert json.loads(content[wire.LENGTHS.size : -2]) == {"a": "期权"}


def flow(**fields: Any) -> dict[str, Any]:
    return {"clearingDate": "2026-01-02", "cashFlowAmount": Decimal(-5), "cashFlowRemark": "x", **fields}


def test_a_booking_is_keyed_by_its_date_and_id_and_a_repeated_row_counts_once() -> None:
    reading = records.cash("9", [flow(cashFlowID="16308"), flow(cashFlowID="16308"), flow(cashFlowID="16309")], DAY)
    assert list(reading.records) == ["2026-01-02:16308", "2026-01-02:16309"]
    assert {record.kind for record in reading.records.values()} == {RecordKind.CASH}
    assert reading.notes == []


def test_bookings_without_an_id_are_all_kept_in_an_order_of_their_own() -> None:
    equal, other = flow(), flow(cashFlowAmount=Decimal(7), cashFlowID="0")
    reading = records.cash("9", [equal, other, dict(equal)], DAY)
    again = records.cash("9", [other, equal, dict(equal)], DAY)
    assert list(reading.records) == ["2026-01-02:#1", "2026-01-02:#2", "2026-01-02:#3"]
    assert reading.records == again.records
    assert "3 bookings without an id" in reading.notes[0]


def test_two_different_bookings_of_one_id_are_both_kept_and_told() -> None:
    reading = records.cash("9", [flow(cashFlowID="1"), flow(cashFlowID="1", cashFlowAmount=Decimal(8))], DAY)
    assert list(reading.records) == ["2026-01-02:1", "2026-01-02:1#2"]
    assert "several bookings 1" in reading.notes[0]


def test_a_booking_of_another_day_than_asked_keeps_its_own() -> None:
    reading = records.cash("9", [flow(cashFlowID="1", clearingDate="2026-01-05")], DAY)
    assert reading.records["2026-01-05:1"].business_date == date(2026, 1, 5)
    assert "asked for the bookings of 2026-01-02" in reading.notes[0]
    assert records.cash("9", [flow(cashFlowID="1", clearingDate="?")], DAY).records["2026-01-02:1"].business_date == DAY


def test_a_state_is_one_record_of_its_day_in_which_a_repeated_row_counts_once() -> None:
    at = datetime(2026, 1, 2, 3, tzinfo=UTC)
    rows = [{"positionID": "1"}, {"positionID": "2"}, {"positionID": "1"}]
    record = records.snapshot(RecordKind.POSITIONS, "9", rows, DAY, at)
    assert (record.key, record.business_date) == ("2026-01-02", DAY)
    assert (record.payload, record.generated_at) == ({"rows": rows[:2], "trdMarket": 0}, at)
    assert records.snapshot(RecordKind.POSITIONS, "9", [], DAY, at).payload["rows"] == []
