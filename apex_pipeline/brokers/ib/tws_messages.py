"""The TWS API's messages: their numbers and the order of their fields, server versions 157 to 178.

Fields stay the text that was sent. A client library's decoding would turn prices into floats, an unset or
blank commission into 0, and drop the zone of a time.
"""

from collections.abc import Mapping, Sequence
from typing import Any

REQUEST_ACCOUNT_UPDATES, REQUEST_OPEN_ORDERS, REQUEST_EXECUTIONS = "6", "5", "7"
REQUEST_TIME, REQUEST_POSITIONS, REQUEST_SUMMARY, START_API = "49", "61", "62", "71"
REQUEST_UPDATES_MULTI, REQUEST_COMPLETED_ORDERS = "76", "99"
REQUEST_CONTRACT, REQUEST_BARS, CANCEL_BARS, REQUEST_HEAD, CANCEL_HEAD = "9", "20", "25", "87", "90"

ERROR, NEXT_VALID_ID, EXECUTION, MANAGED_ACCOUNTS = "4", "9", "11", "15"
TIME, OPEN_ORDERS_END, ACCOUNT_DOWNLOAD_END, EXECUTIONS_END = "49", "53", "54", "55"
COMMISSION, POSITION, POSITIONS_END, SUMMARY, SUMMARY_END = "59", "61", "62", "63", "64"
UPDATES_MULTI_END, COMPLETED_ORDERS_END = "74", "102"
CONTRACT, BARS, CONTRACTS_END, HEAD = "10", "17", "52", "88"

CONTRACT_FIELDS = (
    "conId", "symbol", "secType", "lastTradeDateOrContractMonth", "strike", "right", "multiplier", "exchange",
    "currency", "localSymbol", "tradingClass",
)  # fmt: skip
EXECUTION_FIELDS = (
    "execId", "time", "acctNumber", "exchange", "side", "shares", "price", "permId", "clientId", "liquidation",
    "cumQty", "avgPrice", "orderRef", "evRule", "evMultiplier", "modelCode", "lastLiquidity", "pendingPriceRevision",
)  # fmt: skip
COMMISSION_FIELDS = ("execId", "commission", "currency", "realizedPNL", "yield", "yieldRedemptionDate")
SUMMARY_FIELDS = ("account", "tag", "value", "currency")

DETAIL_FIELDS = (
    "symbol", "secType", "lastTradeDateOrContractMonth", "strike", "right", "exchange", "currency", "localSymbol",
    "marketName", "tradingClass", "conId", "minTick", "mdSizeMultiplier", "multiplier", "orderTypes", "validExchanges",
    "priceMagnifier", "underConId", "longName", "primaryExchange", "contractMonth", "industry", "category",
    "subcategory", "timeZoneId",
)  # fmt: skip
BAR_FIELDS = ("date", "open", "high", "low", "close", "volume", "average", "barCount")

UNVERSIONED_DETAILS = 164
"""Since this server version a message 10 has neither a version of its own nor `mdSizeMultiplier`."""

_LEAST_OF_EXECUTION = EXECUTION_FIELDS.index("avgPrice") + 1

Row = dict[str, Any]
"""The fields of one message by name; a contract is a row of its own under `contract`."""


def execution(fields: Sequence[str]) -> Row | None:
    """The execution of a message 11, without the number of the request; None if fields are missing."""
    own = fields[3 + len(CONTRACT_FIELDS) :]
    if len(own) < _LEAST_OF_EXECUTION or not own[0].strip():
        return None
    return {
        **dict(zip(EXECUTION_FIELDS, own, strict=False)),
        "orderId": fields[2],
        "contract": dict(zip(CONTRACT_FIELDS, fields[3:], strict=False)),
    }


def commission(fields: Sequence[str]) -> Row | None:
    """The commission report of a message 59; None if fields are missing."""
    own = fields[2:]
    return dict(zip(COMMISSION_FIELDS, own, strict=False)) if len(own) >= 3 and own[0].strip() else None


def position(fields: Sequence[str]) -> Row | None:
    """The position of a message 61; None if fields are missing."""
    account, own = fields[2:3], fields[3:]
    if len(own) < len(CONTRACT_FIELDS) + 2 or not account[0].strip():
        return None
    contract = dict(zip(CONTRACT_FIELDS, own, strict=False))
    qty, cost = own[len(CONTRACT_FIELDS) : len(CONTRACT_FIELDS) + 2]
    return {"account": account[0], "position": qty, "avgCost": cost, "contract": contract}


def summary(fields: Sequence[str]) -> Row | None:
    """One value of an account, message 63; None if fields are missing."""
    own = fields[3:]
    return dict(zip(SUMMARY_FIELDS, own, strict=False)) if len(own) >= len(SUMMARY_FIELDS) else None


def request_of_details(fields: Sequence[str], server_version: int) -> int:
    """Which request a message 10 answers; ValueError, IndexError if that cannot be read."""
    return int(fields[1 if server_version >= UNVERSIONED_DETAILS else 2])


def details(fields: Sequence[str], server_version: int) -> Row | None:
    """The contract of a message 10; None if fields are missing."""
    newer = server_version >= UNVERSIONED_DETAILS
    names = [name for name in DETAIL_FIELDS if not newer or name != "mdSizeMultiplier"]
    own = fields[2:] if newer else fields[3:]
    return dict(zip(names, own, strict=False)) if len(own) >= len(names) else None


def bars(fields: Sequence[str]) -> list[Row] | None:
    """The bars of a message 17, in the order sent; None if fields are missing."""
    own, size = fields[5:], len(BAR_FIELDS)
    if len(fields) < 5 or not fields[4].isdigit() or len(own) != int(fields[4]) * size:
        return None
    return [dict(zip(BAR_FIELDS, own[at : at + size], strict=True)) for at in range(0, len(own), size)]


def contract_of(row: Mapping[str, Any]) -> Mapping[str, str]:
    """The contract of an execution or position."""
    return row.get("contract") or {}
