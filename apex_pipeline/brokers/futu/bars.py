"""Bars of Futu: what to ask for, what OpenD can have, and its K-lines as bars. Pure.

Prices are asked for as traded (no rehabilitation) and of regular hours only. Of the two times of a K-line its text
decides where its zone is documented (New York for the US, UTC+8 for Hong Kong and the mainland), because it is what
every client shows; elsewhere the epoch does, where there is one.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from apex_pipeline.brokers.futu import codes, market_time, vocabulary
from apex_pipeline.brokers.futu.amounts import number, required
from apex_pipeline.brokers.futu.bar_times import OPENINGS, begins_at, midnight
from apex_pipeline.domain.market import Adjustment, Bar, BarAsk, BarQuota, BarSession, Timeframe
from apex_pipeline.domain.models import AssetClass
from apex_pipeline.errors import UnknownPayload

ROWS_PER_PAGE = 1000
REQUESTS_PER_WINDOW = 60
"""How many histories may be asked for in Futu's window of 30 seconds; pages that follow a first one do not count."""

SOURCE = "FUTU"

_KL_TYPES = {
    Timeframe.MINUTE: 1, Timeframe.DAY: 2, Timeframe.FIVE_MINUTES: 6, Timeframe.QUARTER: 7, Timeframe.HALF_HOUR: 8,
    Timeframe.HOUR: 9,
}  # fmt: skip
_AS_TRADED = 0
_MARKET_NUMBERS = {prefix: number for number, prefix in sorted(vocabulary.PREFIX_OF_QUOTE_MARKET.items(), reverse=True)}
_TEXT_DECIDES = frozenset({"US", "HK", "SH", "SZ"})

_YEAR = timedelta(days=365)
_MINUTES_KEPT, _DAYS_KEPT = 8 * _YEAR, 20 * _YEAR
"""How far back Futu documents bars of minutes and of days."""


@dataclass(frozen=True, slots=True)
class _Security:
    prefix: str
    code: str


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A stretch of time of a day of the exchange."""

    day: date
    opened_at: datetime
    session: BarSession


def offers(ask: BarAsk, today: date) -> bool:
    """Whether Futu documents such bars: by market, kind of instrument, length and age."""
    kept = _DAYS_KEPT if ask.timeframe is Timeframe.DAY else _MINUTES_KEPT
    return refusal(ask) is None and ask.to_date >= today - kept and ask.from_date <= today


def refusal(ask: BarAsk) -> str | None:
    """Why such bars need not be asked for; None where they may exist."""
    security = _security(ask.code)
    if security.prefix not in OPENINGS:
        return f"Futu tells no bars of {ask.code}: none of its markets with known hours"
    match codes.parse(security.prefix, security.code).asset_class:
        case AssetClass.STOCK:
            possible = True
        case AssetClass.INDEX:
            possible = security.prefix != "US"
        case AssetClass.OPTION:
            possible = ask.timeframe is not Timeframe.HALF_HOUR
        case AssetClass.FUTURE:
            # in the day and at night, at hours of their own
            possible = ask.timeframe is Timeframe.DAY
        case _:
            possible = False
    return None if possible else f"Futu tells no {ask.timeframe} bars of such an instrument as {ask.code}"


def question(ask: BarAsk, page_key: str) -> dict[str, Any]:
    """The content of a request for a page; `page_key`: as the page before told it, in hexadecimal, else empty."""
    security = _security(ask.code)
    asked: dict[str, Any] = {
        "rehabType": _AS_TRADED,
        "klType": _KL_TYPES[ask.timeframe],
        "security": {"market": _MARKET_NUMBERS[security.prefix], "code": security.code},
        "beginTime": f"{ask.from_date} 00:00:00",
        "endTime": f"{ask.to_date} 23:59:59",
        "maxAckKLNum": ROWS_PER_PAGE,
    }
    return {**asked, "nextReqKey": base64.b64encode(bytes.fromhex(page_key)).decode()} if page_key else asked


def is_answered(ask: BarAsk, beside: Mapping[str, Any]) -> bool:
    """Whether what stands beside the rows names the instrument that was asked for."""
    return code_of(beside.get("security", {})) == ask.code


def code_of(security: Mapping[str, Any]) -> str:
    """The code of a Security message: market and number as one text."""
    prefix = vocabulary.PREFIX_OF_QUOTE_MARKET.get(security.get("market", 0), str(security.get("market")))
    return f"{prefix}.{security.get('code')}"


def quota(beside: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> BarQuota:
    """The quota as OpenD tells it; raises UnknownPayload where it does not say what is left."""
    asked = frozenset(code_of(row.get("security", {})) for row in rows)
    return BarQuota(int(required(beside, "remainQuota")), asked)


def read(rows: Iterable[Mapping[str, Any]], ask: BarAsk) -> list[Bar]:
    """The bars of the asked days, oldest first, each instant once. Raises UnknownPayload for a row without a price."""
    told = (_bar(row, ask) for row in rows if not row.get("isBlank"))
    found = {bar.opened_at: bar for bar in told if bar is not None}
    return [found[at] for at in sorted(found)]


def _bar(row: Mapping[str, Any], ask: BarAsk) -> Bar | None:
    volume = _volume(row)
    stretch = _stretch(row, ask)
    if not ask.from_date <= stretch.day <= ask.to_date:
        return None
    if stretch.session is not BarSession.REGULAR and not volume:
        return None  # the state of the market as it opens, which some K-lines begin with; nothing was traded
    prices = [required(row, name) for name in ("openPrice", "highPrice", "lowPrice", "closePrice")]
    return Bar(
        symbol=ask.symbol,
        timeframe=ask.timeframe.value,
        opened_at=stretch.opened_at,
        exchange=ask.exchange,
        open=prices[0],
        high=prices[1],
        low=prices[2],
        close=prices[3],
        volume=volume,
        session=stretch.session,
        adjustment=Adjustment.NONE,
        source=SOURCE,
    )


def _stretch(row: Mapping[str, Any], ask: BarAsk) -> _Stretch:
    """The time that a row tells about. What ends before an opening, or as one does, is of no regular hours."""
    prefix = _security(ask.code).prefix
    if ask.timeframe is Timeframe.DAY:
        day = _day(row)
        return _Stretch(day, midnight(day, prefix), BarSession.REGULAR)
    ended_at = _label(row, prefix)
    day = ended_at.astimezone(market_time.zone_of(prefix)).date()
    length = ask.timeframe.length
    begins = begins_at(ended_at, length, prefix)
    if begins is None:
        return _Stretch(day, ended_at - length, BarSession.EXTENDED)
    return _Stretch(day, begins, BarSession.REGULAR)


def _volume(row: Mapping[str, Any]) -> Decimal | None:
    """The more exact of the two volumes of a row, where it has one."""
    precise = number(row, "hpVolume")
    return number(row, "volume") if precise is None else precise


def _label(row: Mapping[str, Any], prefix: str) -> datetime:
    """The UTC instant that a row names."""
    epoch = None if prefix in _TEXT_DECIDES else market_time.at_epoch(row.get("timestamp"))
    return market_time.at_wall_clock(row.get("time"), market_time.zone_of(prefix)) if epoch is None else epoch


def _day(row: Mapping[str, Any]) -> date:
    """The day that a daily row names; its text needs no zone."""
    text = str(row.get("time"))[: len("YYYY-MM-DD")]
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UnknownPayload("bad_time", f"{text!r} is not a date of the form YYYY-MM-DD") from error


def _security(code: str) -> _Security:
    prefix, _, rest = code.partition(".")
    return _Security(prefix, rest)
