"""Answers become rows without losing a field, protobuf and JSON alike."""

import json
from typing import Any

import pytest
from google.protobuf import json_format

from apex_pipeline.brokers.futu import decoding
from apex_pipeline.brokers.futu.simulator_wire import protobuf

NEW_NUMBER = b"\x80\xfa\x01\x07"
"""Field 4000 with the number 7."""
NEW_TEXT = b"\x82\xfa\x01\x02hi"
NEW_GROUP = b"\x83\xfa\x01\x08\x01\x84\xfa\x01"
NEW_DOUBLE = b"\x81\xfa\x01" + bytes(8)
NEW_FLOAT = b"\x85\xfa\x01" + bytes(4)
LEG = {"security": {"market": 11, "code": "PEP"}, "side": 1, "qtyRatio": 1.0}


def answer(**order: Any) -> Any:
    response = protobuf("Trd_GetHistoryOrderList_pb2").Response(retType=0)
    header = {"trdEnv": 1, "accID": "9", "trdMarket": 2}
    fields = {
        "trdSide": 1, "orderType": 1, "orderStatus": 77, "orderID": str(2**64 - 1), "orderIDEx": "A1", "code": "AAPL",
        "name": "苹果", "qty": 0.1, "createTime": "", "updateTime": "", "comboLegs": [LEG], **order,
    }  # fmt: skip
    return json_format.ParseDict({"s2c": {"header": header, "orderList": [fields]}}, response)


def decode(body: bytes, *, in_json: bool = False) -> tuple[list[dict[str, Any]], dict[str, str]]:
    response = protobuf("Trd_GetHistoryOrderList_pb2").Response()
    source = decoding.parse(body, in_json, response)
    return decoding.rows_of(response, "orderList", source), decoding.unknown_beside_rows(response, source)


def test_known_fields_come_by_name_with_wide_numbers_as_text_and_unknown_enumeration_values_as_they_are() -> None:
    rows, beside = decode(answer().SerializePartialToString())
    assert rows[0]["orderID"] == str(2**64 - 1)
    assert rows[0]["orderStatus"] == 77
    assert rows[0]["comboLegs"] == [LEG]
    assert (beside, "_unknown" in rows[0]) == ({}, False)


@pytest.mark.parametrize("field", [NEW_NUMBER, NEW_TEXT, NEW_GROUP, NEW_DOUBLE, NEW_FLOAT, NEW_NUMBER + NEW_TEXT])
def test_a_field_that_nobody_knows_stays_in_its_row_as_it_stood_on_the_wire(field: bytes) -> None:
    response = answer()
    response.s2c.orderList[0].MergeFromString(field)
    rows, _ = decode(response.SerializePartialToString())
    assert rows[0]["_unknown"] == {"4000": field.hex()}


def test_an_unknown_field_of_a_leg_stays_in_its_leg() -> None:
    response = answer()
    response.s2c.orderList[0].comboLegs[0].security.MergeFromString(NEW_TEXT)
    leg = decode(response.SerializePartialToString())[0][0]["comboLegs"][0]
    assert leg["security"] == {"market": 11, "code": "PEP", "_unknown": {"4000": NEW_TEXT.hex()}}
    assert "_unknown" not in leg


def test_unknown_fields_beside_the_rows_are_told_apart() -> None:
    response = answer()
    response.s2c.MergeFromString(NEW_NUMBER)
    response.MergeFromString(NEW_TEXT.replace(b"\x82", b"\x8a"))
    rows, beside = decode(response.SerializePartialToString())
    assert beside == {"4000": NEW_NUMBER.hex(), "4001": NEW_TEXT.replace(b"\x82", b"\x8a").hex()}
    assert "_unknown" not in rows[0]


def in_json(**order: Any) -> dict[str, Any]:
    told = json_format.MessageToDict(answer())
    told["s2c"]["orderList"][0] |= order
    return told


def test_json_gives_the_rows_of_protobuf() -> None:
    assert decode(json.dumps(in_json()).encode(), in_json=True) == decode(answer().SerializePartialToString())


def test_json_keys_that_nobody_knows_stay_in_their_row_and_leg() -> None:
    told = in_json(newField={"a": [1, "二"]})
    told["s2c"]["orderList"][0]["comboLegs"][0]["newToo"] = None
    told["s2c"]["nextKey"] = "abc"
    rows, beside = decode(json.dumps(told).encode(), in_json=True)
    assert rows[0]["_unknown"] == {"newField": '{"a": [1, "二"]}'}
    assert rows[0]["comboLegs"][0]["_unknown"] == {"newToo": "null"}
    assert beside == {"nextKey": '"abc"'}


@pytest.mark.parametrize(
    ("body", "json_body"),
    [
        (answer().SerializePartialToString()[:-3], False),
        (b"{", True),
        (b"[]", True),
        (b"\xff", True),
        (b'{"s2c":3}', True),
    ],
)
def test_what_does_not_parse_is_an_error_and_never_an_empty_list(body: bytes, json_body: bool) -> None:
    with pytest.raises(decoding.UnreadableError):
        decode(body, in_json=json_body)
