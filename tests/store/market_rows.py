"""Bars, signals and snapshots as a test needs them: short to write, on the real calendars of the exchanges."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from apex_pipeline.domain.calendars import ZONES
from apex_pipeline.domain.ledger import MarketDay, PositionMovement
from apex_pipeline.domain.market import Adjustment, Bar, BarGap, BarSession, GapReason, PositionSnapshot, TradeSignal
from apex_pipeline.domain.models import AssetClass, Broker, Instrument, Order
from apex_pipeline.domain.statements import CorporateAction
from apex_pipeline.reference.exchanges import market_days
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import (
    BAR_GAPS,
    BARS,
    LEDGER_TABLES,
    ORDERS,
    POSITION_SNAPSHOTS,
    SIGNALS,
    STATEMENT_TABLES,
    as_row,
)
from tests.store import check_rows as rows
from tests.store.check_rows import ACCOUNT, CONID, made

FIRST, LAST = date(2025, 11, 3), date(2026, 5, 29)
"""The days of which the calendars are known."""

APPLE, TENCENT, BITCOIN = "US.AAPL", "HK.00700", "BTC-USD"
NEW_YORK, HONG_KONG = ZoneInfo("America/New_York"), ZoneInfo("Asia/Hong_Kong")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
PAUSES = {"XHKG": (time(12), time(13))}
TABLES = {
    **rows.TABLES,
    Bar: BARS,
    BarGap: BAR_GAPS,
    TradeSignal: SIGNALS,
    PositionSnapshot: POSITION_SNAPSHOTS,
    MarketDay: LEDGER_TABLES["market_days"],
    Order: ORDERS,
    CorporateAction: STATEMENT_TABLES["corporate_actions"],
}


def write(db: Database, *some: Any) -> None:
    """Write rows to the tables of their classes."""
    with db.transaction() as tx:
        for cls in dict.fromkeys(type(row) for row in some):
            tx.merge(TABLES[cls], [as_row(row) for row in some if type(row) is cls])


def calendars(db: Database) -> None:
    """Have the days of New York and Hong Kong."""
    write(db, *market_days("XNYS", FIRST, LAST), *market_days("XHKG", FIRST, LAST))


def bar(symbol: str, opened_at: datetime, timeframe: str = "1m", prices: str = "10 11 9 10", **values: Any) -> Bar:
    """A bar with these prices (open, high, low, close), traded as told."""
    first, high, low, last = map(Decimal, prices.split())
    usual: dict[str, Any] = {
        "exchange": None, "volume": Decimal(100), "session": BarSession.REGULAR, "adjustment": Adjustment.NONE,
        "source": "VENDOR",
    }  # fmt: skip
    return Bar(symbol, timeframe, opened_at, open=first, high=high, low=low, close=last, **(usual | values))


def session_bars(symbol: str, calendar: str, first: date, last: date, timeframe: str = "1m") -> list[Bar]:
    """The bars of all sessions between two days, one after the other from the opening, without the pause."""
    step = {"1m": MINUTE, "30m": 30 * MINUTE, "1h": HOUR}[timeframe]
    return [
        bar(symbol, opened_at, timeframe)
        for day in market_days(calendar, first, last)
        if day.opens_at and day.closes_at
        for opened_at in _moments(day.opens_at, day.closes_at, step)
        if not _pauses(calendar, opened_at)
    ]


def _moments(begin: datetime, end: datetime, step: timedelta) -> Iterable[datetime]:
    return (begin + n * step for n in range(-((begin - end) // step)))


def _pauses(calendar: str, moment: datetime) -> bool:
    begins, ends = PAUSES.get(calendar, (time(0), time(0)))
    return begins <= moment.astimezone(ZoneInfo(ZONES[calendar])).time() < ends


def daily_bars(symbol: str, calendar: str, first: date, last: date, dated: ZoneInfo | None = None) -> list[Bar]:
    """A bar for every session; `dated`: by midnight of this zone, by default by the opening."""
    return [
        bar(symbol, datetime.combine(day.on_date, time(0), dated) if dated else day.opens_at, "1d")
        for day in market_days(calendar, first, last)
        if day.opens_at
    ]


def gap(symbol: str, begin: datetime, end: datetime, reason: GapReason, timeframe: str = "1m") -> BarGap:
    """A stretch without bars and its reason."""
    return BarGap(symbol, timeframe, begin, end, reason, None, "PERSON", end)


def named(symbol: str, asset_class: AssetClass, underlying: str | None = None) -> Instrument:
    """An instrument of which only the kind matters."""
    return made(Instrument, symbol=symbol, asset_class=asset_class, underlying=underlying)


def moved(
    uid: str, qty: int, moment: datetime, instrument_id: str = CONID, symbol: str = APPLE, **values: Any
) -> PositionMovement:
    """A trade of a signed quantity at an instant."""
    own = {"moved_at": moment, "instrument_id": instrument_id, "symbol": symbol}
    return rows.movement(uid, qty, moment.date(), **own, **values)


def snapshot(
    captured_at: datetime,
    held: Mapping[str, int | str | None],
    watermark: tuple[datetime, int] | None = None,
    **values: Any,
) -> PositionSnapshot:
    """What is held by symbol or id; with `watermark`, as the ledger made it of so many movements."""
    positions: Sequence[dict[str, Any]] = [
        {"symbol": name, "instrument_id": name, "qty": None if qty is None else str(qty)} for name, qty in held.items()
    ]
    at, count = watermark or (None, None)
    usual: dict[str, Any] = {
        "broker": Broker.IB, "account_id": ACCOUNT, "position_count": len(positions), "positions": positions,
        "source": "LEDGER" if watermark else "ENGINE",
    }  # fmt: skip
    return PositionSnapshot(captured_at=captured_at, watermark_at=at, watermark_count=count, **(usual | values))


def moment(day: date, hour: int, minute: int = 0, second: int = 0) -> datetime:
    """An instant in UTC."""
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=UTC)


def opened(*bars: datetime) -> list[str]:
    """Instants as evidence tells them."""
    return [at.astimezone(UTC).isoformat() for at in bars]


def at_clock(day: date, hour: int, minute: int = 0) -> datetime:
    """An instant by the clock of New York."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK)


def in_hong_kong(day: date, hour: int, minute: int = 0) -> datetime:
    """An instant by the clock of Hong Kong."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=HONG_KONG)
