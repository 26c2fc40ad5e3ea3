"""The TWS API's messages: their numbers and the order of their fields, server versions 157 to 178.

Fields stay the text that was sent. A client library's decoding would turn prices into floats, an unset or
blank commission into 0, and drop the zone of a time.
"""

from collections.abc import Mapping, Sequence
from typing import Any

REQUEST_ACCOUNT_UPDATES, REQUEST_OPEN_ORDERS, REQUEST_EXECUTIONS = "6", "5", "7"
REQUEST_TIME, REQUEST_POSITIONS, REQUEST_SUMMARY, START_API = "49", "61", "62", "71"
REQUEST_UPDATES_MULTI, REQUEST_COMPLETED_ORDERS = "76", "99"

ERROR, NEXT_VALID_ID, EXECUTION, MANAGED_ACCOUNTS = "4", "9", "11", "15"
TIME, OPEN_ORDERS_END, ACCOUNT_DOWNLOAD_END, EXECUTIONS_END = "49", "53", "54", "55"
COMMISSION, POSITION, POSITIONS_END, SUMMARY, SUMMARY_END = "59", "61", "62", "63", "64"
UPDATES_MULTI_END, COMPLETED_ORDERS_END = "74", "102"

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


def contract_of(row: Mapping[str, Any]) -> Mapping[str, str]:
    """The contract of an execution or position."""
    return row.get("contract") or {}
