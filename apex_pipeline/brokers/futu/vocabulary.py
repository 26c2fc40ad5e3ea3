"""Futu's numbers and what they mean here: markets, sides, order types, states, currencies, strategies.

Only tables belong here. A number that is in no table stays visible as its own text and never stops a load.
"""

from apex_pipeline.domain.models import OrderStatus, Side, TradeKind

REAL, SIMULATE = 1, 0
DISABLED_ACCOUNT = 1
IPO_ROLE = 3
FUTU_CANADA = 5

SECURITY_FIRMS = {
    "FUTUSECURITIES": 1, "FUTUINC": 2, "FUTUSG": 3, "FUTUAU": 4, "FUTUCA": FUTU_CANADA, "FUTUMY": 6, "FUTUJP": 7,
}  # fmt: skip

TRD_MARKETS = {
    1: "HK", 2: "US", 3: "CN", 4: "HKCC", 5: "FUTURES", 6: "SG", 7: "CRYPTO", 8: "AU", 10: "FUTURES_SIMULATE_HK",
    11: "FUTURES_SIMULATE_US", 12: "FUTURES_SIMULATE_SG", 13: "FUTURES_SIMULATE_JP", 15: "JP", 17: "PREDICTION",
    111: "MY", 112: "CA", 113: "HKFUND", 123: "USFUND", 124: "SGFUND", 125: "MYFUND", 126: "JPFUND",
}  # fmt: skip
"""TrdMarket: what an account may trade, and the market of a row."""

FUTURES_MARKETS = frozenset({5, 10, 11, 12, 13})
FUND_MARKETS = frozenset({113, 123, 124, 125, 126})
CRYPTO_MARKET = 7

PREFIX_OF_SEC_MARKET = {
    1: "HK", 2: "US", 31: "SH", 32: "SZ", 41: "SG", 51: "JP", 61: "AU", 71: "MY", 81: "CA", 91: "FX", 101: "CC",
    111: "EC",
}  # fmt: skip
"""TrdSecMarket: the prefix of a code."""

PREFIX_OF_QUOTE_MARKET = {
    1: "HK", 2: "HK", 11: "US", 21: "SH", 22: "SZ", 31: "SG", 41: "JP", 51: "AU", 61: "MY", 71: "CA", 81: "FX",
    91: "CC", 101: "EC",
}  # fmt: skip
"""QotMarket: the prefix of a combination's leg."""

PREFIX_OF_TRD_MARKET = {
    1: "HK", 2: "US", 6: "SG", 7: "CC", 8: "AU", 10: "HK", 11: "US", 12: "SG", 13: "JP", 15: "JP", 17: "EC", 111: "MY",
    112: "CA", 113: "HK", 123: "US", 124: "SG", 125: "MY", 126: "JP",
}  # fmt: skip
"""Where a row does not say its TrdSecMarket; markets with several prefixes (CN, HKCC, FUTURES) are left out."""

CURRENCIES = {1: "HKD", 2: "USD", 3: "CNH", 4: "JPY", 5: "SGD", 6: "AUD", 7: "CAD", 8: "MYR", 9: "NZD"}

CURRENCY_OF_PREFIX = {
    "HK": "HKD", "US": "USD", "SH": "CNH", "SZ": "CNH", "SG": "SGD", "JP": "JPY", "AU": "AUD", "MY": "MYR", "CA": "CAD",
}  # fmt: skip
"""The currency of a row that does not name one. A-shares are traded through Hong Kong in CNH."""

SIDES = {1: Side.BUY, 2: Side.SELL, 3: Side.SELL, 4: Side.BUY}
POSITION_EFFECTS = {3: "OPEN", 4: "CLOSE"}
"""SELL_SHORT opens a short position and BUY_BACK closes one; plain buys and sells do not say."""

ORDER_TYPES = {
    1: "NORMAL", 2: "MARKET", 5: "ABSOLUTE_LIMIT", 6: "AUCTION", 7: "AUCTION_LIMIT", 8: "SPECIAL_LIMIT",
    9: "SPECIAL_LIMIT_ALL", 10: "STOP", 11: "STOP_LIMIT", 12: "MARKET_IF_TOUCHED", 13: "LIMIT_IF_TOUCHED",
    14: "TRAILING_STOP", 15: "TRAILING_STOP_LIMIT", 16: "TWAP", 17: "TWAP_LIMIT", 18: "VWAP", 19: "VWAP_LIMIT",
}  # fmt: skip
PRICELESS_ORDER_TYPES = frozenset({2, 6, 10, 12, 14, 16, 18})

ORDER_STATES = {
    -1: ("N/A", OrderStatus.UNKNOWN),
    0: ("UNSUBMITTED", OrderStatus.PENDING),
    1: ("WAITING_SUBMIT", OrderStatus.PENDING),
    2: ("SUBMITTING", OrderStatus.PENDING),
    3: ("SUBMIT_FAILED", OrderStatus.REJECTED),
    4: ("TIMEOUT", OrderStatus.UNKNOWN),
    5: ("SUBMITTED", OrderStatus.OPEN),
    10: ("FILLED_PART", OrderStatus.PARTIAL),
    11: ("FILLED_ALL", OrderStatus.FILLED),
    12: ("CANCELLING_PART", OrderStatus.PARTIAL),
    13: ("CANCELLING_ALL", OrderStatus.OPEN),
    14: ("CANCELLED_PART", OrderStatus.PARTIAL_CANCELLED),
    15: ("CANCELLED_ALL", OrderStatus.CANCELLED),
    21: ("FAILED", OrderStatus.REJECTED),
    22: ("DISABLED", OrderStatus.REJECTED),
    23: ("DELETED", OrderStatus.CANCELLED),
    24: ("FILL_CANCELLED", OrderStatus.CANCELLED),
}
"""Names and our meaning. A cancellation under way is still live; an order whose fills were all taken back
(FILL_CANCELLED) has nothing left of it, which is CANCELLED; its deals arrive as CANCELLED too."""

CHANGED_DEAL = 2
DEAL_STATES = {
    0: ("OK", TradeKind.TRADE, True),
    1: ("CANCELLED", TradeKind.CANCEL, False),
    CHANGED_DEAL: ("CHANGED", TradeKind.TRADE, True),
    3: ("PAYOUT", TradeKind.OTHER, False),
}
"""Name, kind, effective. CHANGED is read as a fill whose terms were corrected in place, unless the other deals of
its order are the whole of what the order says is filled (see `trades.settled`); no source says what it means. A
PAYOUT settles an event contract and is no execution."""

STRATEGIES = {
    1: "SINGLE", 2: "COVERED", 4: "SPREAD", 6: "STRADDLE", 7: "STRANGLE", 8: "COLLAR", 9: "BUTTERFLY", 11: "CONDOR",
    13: "IRON_BUTTERFLY", 14: "IRON_CONDOR", 15: "CALENDAR_SPREAD", 16: "DIAGONAL_SPREAD", 100: "CUSTOM",
}  # fmt: skip

SHORT_POSITION = 1
COMBINED_POSITION = 1
POSITION_SIDES = frozenset({-1, 0, SHORT_POSITION})
POSITION_TYPES = frozenset({0, COMBINED_POSITION, 2})

FLOW_IN, FLOW_OUT = 1, 2
FLOW_DIRECTIONS = frozenset({0, FLOW_IN, FLOW_OUT})

TIMES_IN_FORCE = frozenset({0, 1, 2, 3})
TRAIL_TYPES = frozenset({0, 1, 2})
SESSIONS = frozenset({0, 1, 2, 3, 4})
"""Numbers that are known but have no column of their own here."""
