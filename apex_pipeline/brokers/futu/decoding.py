"""An answer of OpenD, protobuf or JSON, becomes plain rows that lose nothing. Runs in the child process.

A field that our protobuf modules do not know (a newer OpenD) stays in its row under `_unknown`: of protobuf
as hexadecimal wire bytes, tags included, by field number; of JSON as JSON text by name.
"""

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

UNKNOWN = "_unknown"

_PLAIN, _WIDE, _BYTES, _MESSAGE = range(4)
_VARINT, _FIXED64, _BLOCK, _GROUP, _GROUP_END = range(5)
_FIXED_SIZES = {_FIXED64: 8, 5: 4}


class UnreadableError(Exception):
    """A body that is not the message it should be."""


def parse(body: bytes, in_json: bool, response: Any) -> dict[str, Any] | None:
    """Fill the response from a body; returns the JSON object of a JSON body. Raises UnreadableError.

    Fields that are required and absent are left to whoever reads the rows.
    """
    try:
        if not in_json:
            response.MergeFromString(body)
            return None
        source = json.loads(body)
        if not isinstance(source, dict):
            raise UnreadableError("an answer that is not an object")
        json_format.ParseDict(source, response, ignore_unknown_fields=True)
    except (DecodeError, json_format.ParseError, ValueError, RecursionError) as error:
        raise UnreadableError("an answer that does not parse") from error
    return source


def rows_of(response: Any, field: str, source: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The rows that stand in a field of `s2c`; a field of one message gives one row, or none where it is absent."""
    value = getattr(response.s2c, field)
    single = hasattr(value, "ListFields")
    messages = value if not single else [value] if response.s2c.HasField(field) else []
    if source is None:
        to_row = _plain_and_unknown if _holds_unknown(response) else plain
        return [to_row(row) for row in messages]
    told = (source.get("s2c") or {}).get(field) or []
    pairs = zip(messages, [told] if single else told, strict=False)
    return [_with_json_rest(plain(row), said, row.DESCRIPTOR) for row, said in pairs]


def beside_rows(response: Any, field: str) -> dict[str, Any]:
    """The known fields of `s2c` beside the one that holds the rows: whom the answer is for, what follows."""
    return _plain_fields(told for told in response.s2c.ListFields() if told[0].name != field)


def unknown_beside_rows(response: Any, source: dict[str, Any] | None) -> dict[str, str]:
    """Unknown fields of the envelope and of `s2c`, which no row can tell: a newer OpenD might cut its lists there."""
    if source is not None:
        s2c = source.get("s2c") or {}
        return {**_json_rest(source, response.DESCRIPTOR), **_json_rest(s2c, response.s2c.DESCRIPTOR)}
    return {**_unknown(response), **_unknown(response.s2c)}


def plain(message: Any) -> dict[str, Any]:
    """The fields that a protobuf message holds, by their own names; 64-bit integers as text, bytes as hexadecimal."""
    return _plain_fields(message.ListFields())


def _plain_fields(fields: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for field, value in fields:
        name, shape, repeated = _shape(field)
        if shape == _PLAIN:
            row[name] = list(value) if repeated else value
        else:
            row[name] = [_converted(shape, item) for item in value] if repeated else _converted(shape, value)
    return row


@cache
def _shape(field: Any) -> tuple[str, int, bool]:
    """Name, kind and repetition of a field; asked for every value of every row."""
    if field.message_type is not None:
        shape = _MESSAGE
    elif field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64):
        shape = _WIDE
    else:
        shape = _BYTES if field.type == field.TYPE_BYTES else _PLAIN
    return field.name, shape, field.is_repeated


def _converted(shape: int, value: Any) -> Any:
    match shape:
        case 1:
            return str(value)
        case 2:
            return value.hex()
        case _:
            return plain(value)


def _holds_unknown(response: Any) -> bool:
    """Whether anything in the answer is unknown; looking row by row would take longer than all the rest."""
    content = response.SerializePartialToString()
    known = type(response)()
    known.MergeFromString(content)
    known.DiscardUnknownFields()
    # not ByteSize(), which wants every required field
    return len(known.SerializePartialToString()) != len(content)


def _plain_and_unknown(message: Any) -> dict[str, Any]:
    row = plain(message)
    for field, value in message.ListFields():
        name, shape, repeated = _shape(field)
        if shape == _MESSAGE:
            row[name] = [_plain_and_unknown(item) for item in value] if repeated else _plain_and_unknown(value)
    unknown = _unknown(message)
    return {**row, UNKNOWN: unknown} if unknown else row


def _unknown(message: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for field in UnknownFieldSet(message):
        number = str(field.field_number)
        found[number] = found.get(number, "") + _wire_bytes(field).hex()
    return found


def _wire_bytes(field: Any) -> bytes:
    """The bytes of an unknown field as they stood on the wire."""
    tag = _varint(field.field_number << 3 | field.wire_type)
    match field.wire_type:
        case 0:
            return tag + _varint(field.data)
        case 2:
            return tag + _varint(len(field.data)) + field.data
        case 3:
            inside = b"".join(_wire_bytes(part) for part in field.data)
            return tag + inside + _varint(field.field_number << 3 | _GROUP_END)
        case _:
            return tag + field.data.to_bytes(_FIXED_SIZES[field.wire_type], "little")


def _varint(value: int) -> bytes:
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    content.append(value)
    return bytes(content)


def _with_json_rest(row: dict[str, Any], told: Any, descriptor: Any) -> dict[str, Any]:
    """The row with what its JSON says beyond the known fields, nested messages included."""
    if not isinstance(told, dict):
        return row
    for field in descriptor.fields:
        value = told.get(field.json_name, told.get(field.name))
        if field.message_type is None or field.name not in row:
            continue
        if field.is_repeated:
            parts = zip(row[field.name], value or [], strict=False)
            row[field.name] = [_with_json_rest(part, said, field.message_type) for part, said in parts]
        else:
            row[field.name] = _with_json_rest(row[field.name], value, field.message_type)
    unknown = _json_rest(told, descriptor)
    return {**row, UNKNOWN: unknown} if unknown else row


def _json_rest(told: dict[str, Any], descriptor: Any) -> dict[str, str]:
    names = {name for field in descriptor.fields for name in (field.name, field.json_name)}
    return {name: json.dumps(value, ensure_ascii=False) for name, value in told.items() if name not in names}
