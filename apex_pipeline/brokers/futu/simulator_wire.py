"""Frames, bodies and encryption as OpenD puts them on a TCP connection.

Here belongs what is true of every message whatever it says. What the messages say is in
`simulator_messages`, what a gateway answers in `simulator_answers`.
"""

import asyncio
import hashlib
import importlib
import importlib.util
import json
import struct
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from Crypto.Cipher import AES, PKCS1_v1_5
from Crypto.PublicKey import RSA
from Crypto.Util.Padding import pad, unpad
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from apex_pipeline.errors import ConfigError, UnknownPayload

INIT_CONNECT = 1001
GLOBAL_STATE = 1002
NOTIFY = 1003
KEEP_ALIVE = 1004
ACC_LIST = 2001
SUB_ACC_PUSH = 2008
FUNDS = 2101
POSITIONS = 2102
ORDERS = 2201
FILLS = 2211
HISTORY_ORDERS = 2221
HISTORY_FILLS = 2222
FEES = 2225
CASH_FLOW = 2226
HISTORY_KL = 3103
KL_QUOTA = 3104

MODULES = {
    INIT_CONNECT: "InitConnect_pb2",
    GLOBAL_STATE: "GetGlobalState_pb2",
    KEEP_ALIVE: "KeepAlive_pb2",
    ACC_LIST: "Trd_GetAccList_pb2",
    SUB_ACC_PUSH: "Trd_SubAccPush_pb2",
    FUNDS: "Trd_GetFunds_pb2",
    POSITIONS: "Trd_GetPositionList_pb2",
    ORDERS: "Trd_GetOrderList_pb2",
    FILLS: "Trd_GetOrderFillList_pb2",
    HISTORY_ORDERS: "Trd_GetHistoryOrderList_pb2",
    HISTORY_FILLS: "Trd_GetHistoryOrderFillList_pb2",
    FEES: "Trd_GetOrderFee_pb2",
    CASH_FLOW: "Trd_FlowSummary_pb2",
    HISTORY_KL: "Qot_RequestHistoryKL_pb2",
    KL_QUOTA: "Qot_RequestHistoryKLQuota_pb2",
}
"""Protocol ids that this gateway speaks, and the generated module of each."""

JSON_FORMAT = 1
UNKNOWN_KEY = "newerField"
MAX_BODY = 16 * 1024 * 1024
_HEADER = struct.Struct("<2sI2B2I20s8s")
_RSA_PLAIN, _RSA_BLOCK = 100, 128


@cache
def protobuf(module: str) -> ModuleType:
    """One of the generated message modules of futu-api, e.g. `Trd_Common_pb2`.

    `import futu` costs seconds, takes over SIGINT and writes below HOME, so the modules are loaded by their
    own names from the package's folder; futu does the same, and a later `import futu` gets the same classes.
    Raises ConfigError when futu-api is not installed.
    """
    spec = importlib.util.find_spec("futu")
    if spec is None or spec.origin is None:
        raise ConfigError("futu-api is not installed: run make setup")
    folder = str(Path(spec.origin).parent / "common" / "pb")
    known = folder in sys.path
    if not known:
        sys.path.append(folder)
    try:
        return importlib.import_module(module)
    finally:
        if not known:
            sys.path.remove(folder)


def new_response(proto_id: int) -> Any:
    """An empty response of this protocol; an unknown id gets the fields that all responses share."""
    return protobuf(MODULES.get(proto_id, MODULES[KEEP_ALIVE])).Response()


def login_lost_notice(text: str) -> Any:
    """The push that says the login was taken away (GtwEvent 7, kicked out)."""
    notice = protobuf("Notify_pb2").Response(retType=0)
    notice.s2c.type = 1
    notice.s2c.event.eventType = 7
    notice.s2c.event.desc = text
    return notice


def parse_request(proto_id: int, body: bytes, body_format: int) -> Any:
    """The request in a plain body. Raises UnknownPayload when it is not one of this protocol."""
    request = protobuf(MODULES[proto_id]).Request()
    try:
        if body_format == JSON_FORMAT:
            json_format.Parse(body, request)
        else:
            request.ParseFromString(body)
    except (DecodeError, json_format.ParseError, UnicodeDecodeError) as error:
        raise UnknownPayload("bad_request", f"the body is no request {proto_id}") from error
    return request


def body_of(response: Any, body_format: int, *, unknown_keys: bool = False) -> bytes:
    """The plain body of a response in the format that the request had.

    `unknown_keys`: rows in JSON get a key that no client knows; in protobuf a row brings its unknown field itself.
    """
    if body_format != JSON_FORMAT:
        return response.SerializeToString()
    told = json_format.MessageToDict(response, preserving_proto_field_name=True)
    if unknown_keys:
        lists = (value for value in told.get("s2c", {}).values() if isinstance(value, list))
        for row in (row for rows in lists for row in rows):
            row[UNKNOWN_KEY] = 7
    return json.dumps(told, ensure_ascii=False).encode()


class Frame(NamedTuple):
    """One frame as received; `body` is still encrypted, `sha1` is of the plain body."""

    proto_id: int
    body_format: int
    serial: int
    sha1: bytes
    body: bytes


async def read_frame(reader: asyncio.StreamReader) -> Frame | None:
    """The next frame, or None when the peer closed or sends something else than frames."""
    try:
        magic, proto_id, body_format, _, serial, length, sha1, _ = _HEADER.unpack(
            await reader.readexactly(_HEADER.size)
        )
        if magic != b"FT" or length > MAX_BODY:
            return None
        return Frame(proto_id, body_format, serial, sha1, await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def pack_frame(frame: Frame) -> bytes:
    """The bytes of a frame."""
    header = _HEADER.pack(
        b"FT", frame.proto_id, frame.body_format, 0, frame.serial, len(frame.body), frame.sha1, bytes(8)
    )
    return header + frame.body


def sha1_of(body: bytes) -> bytes:
    """The digest that a frame carries of its plain body; it detects damage and protects nothing."""
    return hashlib.sha1(body, usedforsecurity=False).digest()


class SessionCipher:
    """The encryption of one connection: RSA while it is set up, AES-CBC afterwards, or nothing at all.

    `rsa_key`: the 1024-bit private key (PKCS#1 PEM) that gateway and client share.
    """

    def __init__(self, rsa_key: str | None) -> None:
        self._rsa = PKCS1_v1_5.new(RSA.import_key(rsa_key)) if rsa_key else None
        self._aes: tuple[bytes, bytes] | None = None

    @property
    def configured(self) -> bool:
        """Whether the gateway holds an RSA key."""
        return self._rsa is not None

    def secure(self, key: str, iv: str) -> None:
        """Encrypt everything from now on with this key; both texts have 16 characters."""
        self._aes = (key.encode(), iv.encode())

    def decrypt(self, proto_id: int, body: bytes) -> bytes:
        """The plain body of a received frame. Raises UnknownPayload when it does not decrypt."""
        try:
            if proto_id == INIT_CONNECT:
                return self._decrypt_rsa(body) if self._rsa else body
            return unpad(self._cbc(*self._aes).decrypt(body), AES.block_size) if self._aes else body
        except ValueError as error:
            raise UnknownPayload("bad_cipher", "a frame does not decrypt: the keys differ") from error

    def encrypt(self, proto_id: int, body: bytes) -> bytes:
        """The body to send. The answer to InitConnect is encrypted only if the session will be."""
        if self._aes is None:
            return body
        if proto_id == INIT_CONNECT and self._rsa is not None:
            pieces = (body[n : n + _RSA_PLAIN] for n in range(0, len(body), _RSA_PLAIN))
            return b"".join(self._rsa.encrypt(piece) for piece in pieces)
        return self._cbc(*self._aes).encrypt(pad(body, AES.block_size))

    def _decrypt_rsa(self, body: bytes) -> bytes:
        assert self._rsa is not None
        plain: list[bytes] = []
        for start in range(0, len(body), _RSA_BLOCK):
            piece = self._rsa.decrypt(body[start : start + _RSA_BLOCK], None)
            if piece is None:
                raise ValueError("not encrypted with this key")
            plain.append(piece)
        return b"".join(plain)

    @staticmethod
    def _cbc(key: bytes, iv: bytes) -> Any:
        return AES.new(key, AES.MODE_CBC, iv=iv)
