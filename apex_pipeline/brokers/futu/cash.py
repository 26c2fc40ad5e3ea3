"""Cash flow rows to cash movements, and what their remarks say about options. Pure.

Exercises, assignments and expiries are neither orders nor deals at Futu: a row of the cash flow names the option in
its remark (`Opt ASS-P-JXC250227P13000-20250227`, the one form that is published), often without money, and the
money follows in a row without a remark. Each row stays the movement it is; `domain.lifecycle` joins them.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from apex_pipeline.brokers.futu import amounts, codes, vocabulary
from apex_pipeline.brokers.futu.codes import Listing
from apex_pipeline.brokers.futu.flow_words import kind_of
from apex_pipeline.domain.instruments import HK_OPTION_CLASSES
from apex_pipeline.domain.models import AssetClass, Broker, CashKind, CashMovement, Instrument
from apex_pipeline.domain.records import Record
from apex_pipeline.errors import UnknownPayload

SOURCE = "futu_cash"

_OPTION_CODE = re.compile(
    r"(?<![A-Z0-9])(?:(?P<market>HK|US)\.)?(?P<code>[A-Z][A-Z0-9]*\d{6}[CP][1-9]\d*)(?![A-Z0-9])", re.ASCII
)
_SHARES = re.compile(r"(?P<code>[A-Z0-9.]+)\s+[\d.,]+\s+SHARES\b.*", re.ASCII | re.DOTALL)
"""`KO 100 SHARES DIVIDENDS 0.51 USD PER SHARE`: the form in which dividends and their taxes name the stock."""
_DAY = re.compile(r"(?<!\d)(20\d\d)-?(\d\d)-?(\d\d)(?!\d)", re.ASCII)
_MARKETS = {"HKD": "HK", "USD": "US"}
_EVENTS = frozenset({CashKind.ASSIGNMENT, CashKind.EXERCISE, CashKind.EXPIRATION})


@dataclass(frozen=True, slots=True)
class Remark:
    """What a remark says of an option: which one, and the day of the event where it is told."""

    option: Listing
    day: date | None


def read(record: Record) -> tuple[CashMovement, Instrument | None]:
    """The movement of a row, and the option it names; raises UnknownPayload."""
    row = record.payload
    currency = vocabulary.CURRENCIES.get(row.get("currency", 0))
    words, text = str(row.get("cashFlowType") or ""), str(row.get("cashFlowRemark") or "")
    remark = option_in(text, currency)
    kind = kind_of(words, text, about_option=remark is not None).kind
    movement = CashMovement(
        cash_uid=f"{Broker.FUTU}_{record.account_id}_C{record.key}",
        broker=Broker.FUTU,
        account_id=record.account_id,
        broker_cash_id=record.key,
        kind=kind,
        broker_kind=words or None,
        symbol=remark.option.symbol if remark else _stock_in(text, currency),
        amount=_amount(record, kind),
        currency=currency,
        booked_on=record.business_date,
        settle_date=_date(row.get("settlementDate")),
        event_date=remark.day if remark else None,
        description=text or None,
        source=SOURCE,
    )
    return movement, _instrument(remark, currency)


def option_in(remark: str, currency: str | None) -> Remark | None:
    """The option that a remark names; its code stands there without a market, which the currency then tells."""
    found = _OPTION_CODE.search(remark)
    market = (found["market"] or _market(found["code"], currency)) if found else None
    listing = codes.parse(market, found["code"]) if found and market else None
    if not found or not listing or listing.asset_class is not AssetClass.OPTION:
        return None
    day = _DAY.search(remark, found.end())
    return Remark(listing, _date("-".join(day.groups())) if day else None)


def _stock_in(remark: str, currency: str | None) -> str | None:
    found = _SHARES.fullmatch(remark)
    market = _MARKETS.get(currency or "")
    listing = codes.parse(market, found["code"]) if found and market else None
    return listing.symbol if listing and listing.asset_class is AssetClass.STOCK else None


def _market(code: str, currency: str | None) -> str | None:
    if currency:
        return _MARKETS.get(currency)
    listing = codes.parse("HK", code)
    return "HK" if listing.root in HK_OPTION_CLASSES else None


def _amount(record: Record, kind: CashKind) -> Decimal:
    """Signed: OUT is negative and IN positive whatever sign the wire gives it."""
    told = amounts.number(record.payload, "cashFlowAmount")
    if told is None and kind in _EVENTS:
        return Decimal(0)  # a row that only names an event moves no money
    if told is None:
        raise UnknownPayload("missing_field", "the row has no cashFlowAmount")
    match record.payload.get("cashFlowDirection"):
        case vocabulary.FLOW_OUT:
            return -abs(told)
        case vocabulary.FLOW_IN:
            return abs(told)
        case _:
            return told


def _date(text: object) -> date | None:
    try:
        return datetime.fromisoformat(text).date() if isinstance(text, str) and text else None
    except ValueError:
        return None


def _instrument(remark: Remark | None, currency: str | None) -> Instrument | None:
    if remark is None:
        return None
    return codes.instrument(remark.option, currency, codes.standard_multiplier(remark.option), None)
