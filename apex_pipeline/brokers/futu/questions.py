"""The content (`c2s`) of each request to OpenD. Pure.

Nothing here ever asks OpenD to refresh its memory: that would count against a limit. Positions are asked
without the view by combination, which tells each leg twice.
"""

from datetime import date
from typing import Any

from apex_pipeline.brokers.futu import plan, vocabulary
from apex_pipeline.domain.records import ALL_MARKETS, Call

Row = dict[str, Any]

_CURRENCY_NUMBERS = {name: number for number, name in vocabulary.CURRENCIES.items()}
_OTHERWISE = "HKD"


def history(account: Row, call: Call, begin: date, end: date) -> Row:
    """Orders or deals between two dates, both included."""
    times = {"beginTime": f"{begin} 00:00:00", "endTime": f"{end} 23:59:59"}
    return {"header": header(account), "filterConditions": {**times, **_market(call)}}


def today(account: Row, call: Call) -> Row:
    """Orders of today and those that are open, or the deals of today."""
    conditions = _market(call)
    return {"header": header(account), **({"filterConditions": conditions} if conditions else {})}


def state(account: Row, call: Call) -> Row:
    """Positions, or funds in one currency: a universal account must be told which."""
    asked: Row = {"header": header(account)}
    return {**asked, "currency": _CURRENCY_NUMBERS[currency(account)]} if call.data_type == plan.FUNDS else asked


def cash(account: Row, call: Call) -> Row:
    """Bookings of one clearing date."""
    return {"header": header(account), "clearingDate": str(call.from_date)}


def fees(account: Row, call: Call) -> Row:
    """Fees by order ids."""
    return {"header": header(account), "orderIdExList": list(call.ids)}


def header(account: Row) -> Row:
    """Which account is meant; Futu's own client names the first of its markets."""
    markets = account.get("trdMarketAuthList") or [0]
    return {"trdEnv": account.get("trdEnv", vocabulary.REAL), "accID": account["accID"], "trdMarket": markets[0]}


def currency(account: Row) -> str:
    """The currency of all markets of an account where they have one in common, else HKD."""
    prefixes = {vocabulary.PREFIX_OF_TRD_MARKET.get(number) for number in account.get("trdMarketAuthList", ())}
    found = {vocabulary.CURRENCY_OF_PREFIX.get(prefix or "", _OTHERWISE) for prefix in prefixes}
    return found.pop() if len(found) == 1 else _OTHERWISE


def _market(call: Call) -> Row:
    return {} if call.market == ALL_MARKETS else {"filterMarket": plan.MARKET_NUMBERS[call.market]}
