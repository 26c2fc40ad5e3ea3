"""A contract as the TWS API describes it, in the attribute words of a Flex statement. Pure.

So one rule names an instrument whichever interface told of it, and a fill of today has the symbol that the
statement will give it tomorrow.
"""

from collections.abc import Mapping

from apex_pipeline.domain.money import decimal_of
from apex_pipeline.errors import UnknownPayload

UNSET_DOUBLE = "1.797693134862315"
"""How every spelling of the largest double begins, with which the API says that a number is not set."""

_DERIVATIVES = frozenset({"OPT", "FOP", "FUT", "WAR", "IOPT", "CFD"})
_OPTIONS = frozenset({"OPT", "FOP"})
_SMART = frozenset({"SMART", "BEST", ""})
_STRIKE_PLACES = 3


def flex_words(contract: Mapping[str, str], venue: str = "") -> dict[str, str]:
    """The attributes of a Flex row that describe this contract; `venue`: where it was traded.

    The contract's exchange stands for its listing, which the API does not tell with an execution.
    """
    category, exchange = contract.get("secType", ""), contract.get("primaryExchange") or contract.get("exchange", "")
    place = "" if exchange in _SMART else exchange
    derived = category in _DERIVATIVES
    return {
        "assetCategory": category,
        "symbol": _symbol(contract),
        "conid": contract.get("conId", ""),
        "currency": contract.get("currency", ""),
        "listingExchange": place,
        "exchange": venue or place,
        "multiplier": number(contract.get("multiplier")),
        "underlyingSymbol": contract.get("symbol", "") if derived else "",
        "expiry": contract.get("lastTradeDateOrContractMonth", "")[:8] if derived else "",
        "strike": number(contract.get("strike")) if category in _OPTIONS else "",
        "putCall": contract.get("right", "")[:1] if category in _OPTIONS else "",
    }


def number(text: str | None) -> str:
    """The number as text; blank where the API says that it is not set."""
    value = (text or "").strip()
    return "" if value.lstrip("+-").startswith((UNSET_DOUBLE, "1.797e308")) else value


def _symbol(contract: Mapping[str, str]) -> str:
    """The local symbol; where an option's does not name its class, the OCC form spelled from its terms."""
    local, root = contract.get("localSymbol", ""), contract.get("tradingClass", "")
    named = not root or root in local.split() or local.startswith(root)
    if contract.get("secType") == "OPT" and not (local and named):
        return _spelled(contract, root or contract.get("symbol", "")) or local or contract.get("symbol", "")
    return local or contract.get("symbol", "")


def _spelled(contract: Mapping[str, str], root: str) -> str:
    expiry, right = contract.get("lastTradeDateOrContractMonth", "")[:8], contract.get("right", "")[:1]
    try:
        strike = decimal_of(number(contract.get("strike")))
    except UnknownPayload:
        return ""
    if len(expiry) != len("20260918") or right not in ("C", "P") or not strike:
        return ""
    return f"{root:<6}{expiry[2:]}{right}{int(strike.scaleb(_STRIKE_PLACES)):08d}"
