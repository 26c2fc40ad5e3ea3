"""Bars as IB sends them, as `Bar`. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal

from apex_pipeline.brokers.ib.exchanges import calendar_of, zone_of
from apex_pipeline.brokers.ib.tws_contract import number
from apex_pipeline.brokers.ib.tws_messages import Row, bars
from apex_pipeline.brokers.ib.tws_time import instant_of_execution, zone_named
from apex_pipeline.domain.market import Adjustment, Bar, BarAsk, BarSession, Timeframe
from apex_pipeline.domain.money import decimal_of
from apex_pipeline.errors import UnknownPayload
from apex_pipeline.reference.exchanges import market_days

SOURCE = "IB"
TRADES, MIDPOINT, CRYPTO_TRADES = "TRADES", "MIDPOINT", "AGGTRADES"

_QUOTED = frozenset({"CASH", "CMDTY", "CFD", "FXCFD"})
"""Kinds of contracts that IB deals itself: there are no trades of an exchange."""

_OF_THE_EXCHANGE = frozenset({"STK", "OPT", "WAR", "IOPT", "IND", "FUND"})
"""Kinds of contracts with the sessions of the calendar of their market, inside one day."""

_NEVER_SPLIT = frozenset({"OPT", "FOP", "FUT", "CASH", "CRYPTO"})
"""Kinds of contracts whose prices IB has nothing to adjust for: an option that a split changes is another contract."""

_KIND_BY_EXCHANGE = {"FX": "CASH", "CRYPTO": "CRYPTO"}
_SMART = "SMART"
_DATE_DIGITS = len("20260310")


@dataclass(frozen=True, slots=True)
class Subject:
    """What bars are asked of: a contract in the API's words, which of its prices, its zone, how its sessions lie, and
    what IB adjusts its prices for."""

    contract: Row
    what: str
    zone: tzinfo
    overnight: bool
    adjustment: Adjustment


def subject_of(ask: BarAsk, told: Row | None) -> Subject:
    """The contract that IB told of a conid; None: it told none, so the conid and the exchange must do."""
    contract = told or {"secType": "", "conId": ask.code, "exchange": "", "validExchanges": ""}
    kind = contract["secType"] or _KIND_BY_EXCHANGE.get(ask.exchange, "STK")
    smart = _SMART in contract["validExchanges"].split(",") or not contract["exchange"]
    what = MIDPOINT if kind in _QUOTED else CRYPTO_TRADES if kind == "CRYPTO" else TRADES
    zone = zone_of(ask.exchange) or zone_named(contract.get("timeZoneId")) or UTC
    routed = {**contract, "exchange": _SMART if smart else contract["exchange"]}
    adjustment = Adjustment.NONE if kind in _NEVER_SPLIT else Adjustment.SPLITS
    return Subject(routed, what, zone, kind not in _OF_THE_EXCHANGE, adjustment)


def bars_of(fields: Sequence[str], ask: BarAsk, subject: Subject) -> list[Bar]:
    """The bars of a message 17, in its order; UnknownPayload where one cannot be read."""
    rows = bars(fields)
    if rows is None:
        raise UnknownPayload("unreadable_message", "a message with bars lacks fields")
    return [_bar(row, ask, subject) for row in rows]


def closed_days(ask: BarAsk, subject: Subject) -> frozenset[date]:
    """Days of the ask without a session, not to spend requests on them; none where the calendar is not known."""
    calendar = None if subject.overnight else calendar_of(ask.exchange)
    told = market_days(calendar, ask.from_date, ask.to_date) if calendar else []
    return frozenset(day.on_date for day in told if not day.is_session)


def is_complete(bar: Bar, ask: BarAsk, zone: tzinfo, now: datetime) -> bool:
    """Whether a bar has ended; one that still runs would be kept with prices that it does not stay with."""
    if ask.timeframe is not Timeframe.DAY:
        return bar.opened_at + ask.timeframe.length <= now
    day, today = bar.opened_at.astimezone(zone).date(), now.astimezone(zone).date()
    return day < today or (day == today and _has_closed(ask.exchange, day, now))


def _has_closed(exchange: str, day: date, now: datetime) -> bool:
    calendar = calendar_of(exchange)
    told = market_days(calendar, day, day) if calendar else []
    return any(session.closes_at is not None and session.closes_at <= now for session in told)


def _bar(row: Row, ask: BarAsk, subject: Subject) -> Bar:
    return Bar(
        symbol=ask.symbol,
        timeframe=ask.timeframe.value,
        opened_at=_opened_at(row["date"].strip(), ask.timeframe, subject.zone),
        exchange=ask.exchange,
        open=_price(row["open"]),
        high=_price(row["high"]),
        low=_price(row["low"]),
        close=_price(row["close"]),
        volume=None if subject.what == MIDPOINT else _volume(row["volume"]),
        session=BarSession.REGULAR,
        adjustment=subject.adjustment,
        source=SOURCE,
    )


def _opened_at(text: str, timeframe: Timeframe, zone: tzinfo) -> datetime:
    if len(text) == _DATE_DIGITS and text.isascii() and text.isdigit():
        return _midnight(_date(text), zone)
    at = instant_of_execution(text, None)
    if at is None:
        raise UnknownPayload("bad_time", f"{text[:40]!r} is not when a bar begins")
    return _midnight(at.astimezone(zone).date(), zone) if timeframe is Timeframe.DAY else at


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UnknownPayload("bad_time", f"{text!r} is not a date of the calendar") from None


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _price(text: str) -> Decimal:
    return decimal_of(number(text))


def _volume(text: str) -> Decimal | None:
    told = number(text)
    volume = decimal_of(told) if told else None
    return None if volume is None or volume < 0 else volume
