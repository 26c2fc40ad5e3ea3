"""The pipe between the client and its child: frames, and the words both sides use. Standard library only.

A frame is two big-endian 32-bit lengths, a JSON header and a binary body. Each request has one reply:
`{"ok": true, ...}` or `{"ok": false, "failure": one of Failure, "text": ...}`. The reply to a query has
two bodies one behind the other, whose lengths its header tells: the answer exactly as OpenD's (decrypted)
bytes, and the same rows as JSON, in which 64-bit numbers are text and doubles have their shortest form.
"""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

LENGTHS = struct.Struct(">II")

PROTOCOL_IDS = {
    "Trd_GetAccList": 2001,
    "Trd_GetFunds": 2101,
    "Trd_GetPositionList": 2102,
    "Trd_GetOrderList": 2201,
    "Trd_GetOrderFillList": 2211,
    "Trd_GetHistoryOrderList": 2221,
    "Trd_GetHistoryOrderFillList": 2222,
    "Trd_GetOrderFee": 2225,
    "Trd_FlowSummary": 2226,
    "Qot_RequestHistoryKL": 3103,
    "Qot_RequestHistoryKLQuota": 3104,
}
ROW_FIELDS = {
    "Trd_GetAccList": "accList",
    "Trd_GetFunds": "funds",
    "Trd_GetPositionList": "positionList",
    "Trd_GetOrderList": "orderList",
    "Trd_GetOrderFillList": "orderFillList",
    "Trd_GetHistoryOrderList": "orderList",
    "Trd_GetHistoryOrderFillList": "orderFillList",
    "Trd_GetOrderFee": "orderFeeList",
    "Trd_FlowSummary": "flowSummaryInfoList",
    "Qot_RequestHistoryKL": "klList",
    "Qot_RequestHistoryKLQuota": "detailList",
}
"""Where the rows stand in `s2c`; the funds are one message, which makes one row."""

SDK_VERSIONS = ("10.11.",)
"""futu-api versions whose internals the child was tested with."""


class Failure(StrEnum):
    """Why a request failed; decides what the client does next."""

    UNREACHABLE = "unreachable"
    KEY_FILE = "key_file"
    SDK = "sdk"
    TIMEOUT = "timeout"
    TRANSPORT = "transport"
    LOGIN = "login"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Frame:
    """One message over the pipe."""

    header: dict[str, Any]
    body: bytes = b""


def encode(header: dict[str, Any], body: bytes = b"") -> bytes:
    """The bytes of a frame."""
    head = json.dumps(header, separators=(",", ":")).encode()
    return LENGTHS.pack(len(head), len(body)) + head + body


def read_frame(read_exactly: Callable[[int], bytes]) -> Frame:
    """The next frame; `read_exactly(n)` returns n bytes or raises."""
    head_length, body_length = LENGTHS.unpack(read_exactly(LENGTHS.size))
    header = json.loads(read_exactly(head_length))
    return Frame(header, read_exactly(body_length))


def dump_rows(rows: list[dict[str, Any]]) -> bytes:
    """Rows as JSON; a double is written as the shortest number that names it."""
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()


def load_rows(content: bytes) -> list[dict[str, Any]]:
    """Rows with every double as the Decimal of its shortest form; NaN and infinities come as their names."""
    return json.loads(content, parse_float=Decimal, parse_constant=str)
