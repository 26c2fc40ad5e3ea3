"""The checks of bars: each notices what it is for, and is silent on what exchanges and vendors rightly do."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.calendars import CALENDARS, ZONES
from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.domain.ledger import Action
from apex_pipeline.domain.market import AROUND_THE_CLOCK, Adjustment, Bar, BarSession
from apex_pipeline.domain.models import AssetClass, Order, OrderStatus, TradeKind
from apex_pipeline.domain.statements import CorporateAction
from apex_pipeline.store.coverage import rows_by_day
from apex_pipeline.store.db import Database
from tests.store import check_rows as rows
from tests.store.check_rows import compared, findings, made
from tests.store.market_rows import (
    APPLE,
    BITCOIN,
    FIRST,
    HONG_KONG,
    HOUR,
    LAST,
    MINUTE,
    NEW_YORK,
    TENCENT,
    at_clock,
    bar,
    calendars,
    daily_bars,
    in_hong_kong,
    named,
    opened,
    session_bars,
    write,
)
from tests.store.rows import query

IN_SESSION = CheckName.EVERY_BAR_IS_IN_A_SESSION
NOT_MISSING = CheckName.NO_BAR_IS_MISSING
SHAPE = CheckName.EVERY_BAR_HAS_A_POSSIBLE_SHAPE
INSIDE = CheckName.FILL_PRICES_ARE_INSIDE_THEIR_BARS
MONDAY, TUESDAY, SATURDAY = date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 7)
THANKSGIVING, HALF_DAY = date(2025, 11, 27), date(2025, 11, 28)
SUMMER_TIME, LUNAR_EVE = (date(2026, 3, 5), date(2026, 3, 11)), date(2026, 2, 16)


def test_the_exchanges_in_the_database_have_the_calendars_and_zones_of_their_markets(db: Database) -> None:
    known = {row[0]: row[1:] for row in query(db.url, "SELECT exchange, calendar, timezone FROM exchange_info")}
    assert {market: known[market] for market in CALENDARS} == {
        market: (calendar, ZONES[calendar]) for market, calendar in CALENDARS.items()
    }
    assert {calendar for calendar, _ in known.values()} == {*CALENDARS.values(), AROUND_THE_CLOCK, None}


# In a session -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "calendar", "first", "last"),
    [
        (APPLE, "XNYS", THANKSGIVING - timedelta(1), date(2025, 12, 1)),
        (APPLE, "XNYS", *SUMMER_TIME),
        (TENCENT, "XHKG", date(2026, 2, 13), date(2026, 2, 23)),
    ],
    ids=["half day and holiday", "summer time begins", "Hong Kong's half day, holidays and pauses"],
)
@pytest.mark.parametrize("timeframe", ["1m", "30m", "1h"])
def test_bars_of_whole_sessions_are_in_them_and_none_is_missing(
    db: Database, symbol: str, calendar: str, first: date, last: date, timeframe: str
) -> None:
    calendars(db)
    bars = session_bars(symbol, calendar, first, last, timeframe)
    write(db, *bars)
    for check in (IN_SESSION, NOT_MISSING, SHAPE):
        assert findings(db, check, FIRST, LAST) == []
    sessions = {bar.opened_at.astimezone(NEW_YORK if symbol == APPLE else HONG_KONG).date() for bar in bars}
    assert compared(db, IN_SESSION, FIRST, LAST) == compared(db, SHAPE, FIRST, LAST) == len(bars)
    assert compared(db, NOT_MISSING, FIRST, LAST) == len(sessions)
    assert rows_by_day(db, "ohlcv", FIRST, LAST).keys() == sessions


@pytest.mark.parametrize(
    ("symbol", "moment", "day"),
    [
        (APPLE, at_clock(SATURDAY, 10), SATURDAY),
        (APPLE, at_clock(MONDAY, 9, 29), MONDAY),
        (APPLE, at_clock(MONDAY, 16), MONDAY),
        (APPLE, at_clock(MONDAY, 23), MONDAY),
        (APPLE, at_clock(THANKSGIVING, 10), THANKSGIVING),
        (APPLE, at_clock(HALF_DAY, 13), HALF_DAY),
        (TENCENT, in_hong_kong(MONDAY, 12, 30), MONDAY),
        (TENCENT, in_hong_kong(MONDAY, 16, 10), MONDAY),
        (TENCENT, in_hong_kong(LUNAR_EVE, 13), LUNAR_EVE),
        (TENCENT, in_hong_kong(LUNAR_EVE + timedelta(1), 10), LUNAR_EVE + timedelta(1)),
    ],
)
def test_a_bar_outside_of_every_session_is_a_finding_of_its_day(
    db: Database, symbol: str, moment: datetime, day: date
) -> None:
    calendars(db)
    write(db, bar(symbol, moment))
    (found,) = findings(db, IN_SESSION, FIRST, LAST)
    assert (found.subject, found.business_date, found.expected, found.actual) == (f"{symbol} 1m", day, 0, 1)
    assert (found.severity, found.cause, found.broker, found.account_id) == (
        Severity.ERROR, "REFERENCE_DATA", None, None
    )  # fmt: skip
    calendar = CALENDARS[symbol[:2]]
    (name,) = opened(moment)
    assert found.evidence["bars"] == [name]
    assert found.evidence["rows"] == [f"ohlcv/{symbol}/1m/{name}", f"market_days/{calendar}/{day}"]
    assert findings(db, IN_SESSION, day) == [found]
    assert findings(db, NOT_MISSING, FIRST, LAST) == [], "a stray bar alone makes no series"


def test_a_day_of_bars_with_a_shifted_clock_is_one_finding(db: Database) -> None:
    calendars(db)
    bars = session_bars(APPLE, "XNYS", MONDAY, MONDAY)
    write(db, *(replace(one, opened_at=one.opened_at + 7 * HOUR) for one in bars))
    (found,) = findings(db, IN_SESSION, FIRST, LAST)
    assert (found.business_date, found.expected, found.actual) == (MONDAY, 0, 390)
    assert len(found.evidence["bars"]) == len(found.evidence["rows"]) == 20
    assert [found.evidence["bars"][0], found.evidence["last"]] == opened(
        at_clock(MONDAY, 16, 30), at_clock(MONDAY, 22, 59)
    )


def test_what_overlaps_a_session_is_in_it(db: Database) -> None:
    """Hours of the clock begin before the opening, the auction prints after the close, options trade longer."""
    calendars(db)
    option = "US.SPY 2026-03-20 C 500"
    write(db, named(option, AssetClass.OPTION, "US.SPY"))
    write(
        db,
        bar(APPLE, at_clock(MONDAY, 9), "1h"),
        bar(TENCENT, in_hong_kong(MONDAY, 16, 8)),
        bar(option, at_clock(MONDAY, 16, 14)),
    )
    assert findings(db, IN_SESSION, FIRST, LAST) == []
    assert compared(db, IN_SESSION, MONDAY) == 3
    write(db, bar(APPLE, at_clock(MONDAY, 8), "1h"), bar(option, at_clock(MONDAY, 16, 15)))
    assert [found.subject for found in findings(db, IN_SESSION, MONDAY)] == [f"{APPLE} 1h", f"{option} 1m"]


def test_bars_of_extended_hours_belong_to_the_hours_around_a_session(db: Database) -> None:
    calendars(db)
    extended: dict[str, Any] = {"session": BarSession.EXTENDED}
    sunday = MONDAY - timedelta(1)
    write(
        db,
        bar(APPLE, at_clock(MONDAY, 4), **extended),
        bar(APPLE, at_clock(MONDAY, 19, 59), **extended),
        bar(APPLE, at_clock(sunday, 21), **extended),
        bar(TENCENT, in_hong_kong(MONDAY, 8), **extended),
    )
    assert findings(db, IN_SESSION, FIRST, LAST) == []
    assert compared(db, IN_SESSION, MONDAY) == 3, "Hong Kong's extended hours are not known"
    write(db, bar(APPLE, at_clock(SATURDAY, 4), **extended), bar(APPLE, at_clock(sunday, 19), **extended))
    assert [found.business_date for found in findings(db, IN_SESSION, FIRST, LAST)] == [sunday, SATURDAY]


def test_what_has_hours_of_its_own_is_not_compared(db: Database) -> None:
    calendars(db)
    write(
        db,
        named("US.ESH6", AssetClass.FUTURE),
        named("IN.INFY", AssetClass.STOCK),
        named("US..SPX", AssetClass.INDEX),
        named("US.SPXW 2026-03-20 C 6000", AssetClass.OPTION, "US..SPX"),
        named("CRYPTO.BTC", AssetClass.CRYPTO),
    )
    symbols = ("US.ESH6", "IN.INFY", "US..SPX", "US.SPXW 2026-03-20 C 6000", "CRYPTO.BTC", BITCOIN, "FX.USD.HKD")
    write(db, *(bar(symbol, at_clock(SATURDAY, 3)) for symbol in symbols))
    write(db, bar("US.NQH6", at_clock(SATURDAY, 3), exchange="CME"), bar(APPLE, at_clock(SATURDAY, 3), "1w"))
    write(db, bar(APPLE, at_clock(date(2030, 1, 5), 3)))
    assert findings(db, IN_SESSION, FIRST, date(2030, 12, 31)) == []
    assert compared(db, IN_SESSION, FIRST, date(2030, 12, 31)) == 0
    write(db, bar("US.ESH6", at_clock(SATURDAY, 3), exchange="NASDAQ"))
    assert [found.subject for found in findings(db, IN_SESSION, FIRST, LAST)] == ["US.ESH6 1m"], "of a known exchange"


@pytest.mark.parametrize("dated", [None, UTC, NEW_YORK], ids=["by the opening", "by UTC", "by New York"])
def test_daily_bars_are_of_days_with_a_session_however_they_are_dated(db: Database, dated: Any) -> None:
    calendars(db)
    write(db, *daily_bars(APPLE, "XNYS", THANKSGIVING - timedelta(3), date(2026, 3, 13), dated))
    assert findings(db, IN_SESSION, FIRST, LAST) == findings(db, NOT_MISSING, FIRST, LAST) == []
    midnight = datetime(SATURDAY.year, SATURDAY.month, SATURDAY.day, tzinfo=dated or NEW_YORK)
    write(db, bar(APPLE, midnight, "1d"))
    assert [(found.subject, found.business_date) for found in findings(db, IN_SESSION, FIRST, LAST)] == [
        (f"{APPLE} 1d", SATURDAY)
    ]


# A possible shape ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prices", "volume", "wrong"),
    [
        ("10 11 10.5 10.7", "1", "low is not the lowest"),
        ("10 10.5 9 10.6", "1", "high is not the highest"),
        ("10 9 11 10", "1", "low is not the lowest, high is not the highest"),
        ("10 11 9 10", "-1", "volume is negative"),
    ],
)
def test_a_bar_that_cannot_be_is_a_finding(db: Database, prices: str, volume: str, wrong: str) -> None:
    write(db, bar(APPLE, at_clock(MONDAY, 10), prices=prices, volume=Decimal(volume)), bar(APPLE, at_clock(MONDAY, 11)))
    (found,) = findings(db, SHAPE, FIRST, LAST)
    assert (found.subject, found.business_date, found.expected, found.actual) == (f"{APPLE} 1m", MONDAY, 0, 1)
    assert (found.severity, found.cause) == (Severity.ERROR, "REFERENCE_DATA")
    (told,) = found.evidence["bars"]
    assert (told["wrong"], told["volume"], told["low"]) == (wrong, volume, prices.split()[2])
    assert found.evidence["rows"] == [f"ohlcv/{APPLE}/1m/{opened(at_clock(MONDAY, 10))[0]}"]


def test_flat_bars_negative_prices_and_unknown_volumes_are_possible(db: Database) -> None:
    write(
        db,
        bar("US.CLK0", at_clock(MONDAY, 10), prices="-10 -9 -37.63 -37.63"),
        bar(APPLE, at_clock(MONDAY, 10), prices="10 10 10 10", volume=Decimal(0)),
        bar(APPLE, at_clock(MONDAY, 11), volume=None),
    )
    assert (findings(db, SHAPE, FIRST, LAST), compared(db, SHAPE, MONDAY)) == ([], 3)


# Fills --------------------------------------------------------------------------------------------------------


def fill(uid: str, price: str, at: datetime, **values: Any) -> Any:
    usual: dict[str, Any] = {"symbol": APPLE, "order_uid": f"O_{uid}"}
    return rows.trade(uid, 100, MONDAY, price=Decimal(price), executed_at=at, **(usual | values))


def test_a_fill_outside_of_its_minute_is_a_warning(db: Database) -> None:
    calendars(db)
    ten = at_clock(MONDAY, 10)
    write(db, bar(APPLE, ten), bar(APPLE, ten + MINUTE, prices="20 21 19 20"))
    write(db, fill("in", "11", ten), fill("tick", "8.99", ten), fill("out", "11.02", ten + 30 * MINUTE / 60))
    (found,) = findings(db, INSIDE, FIRST, LAST)
    assert (found.subject, found.business_date, found.expected, found.actual) == (
        "out", MONDAY, Decimal(11), Decimal("11.02")
    )  # fmt: skip
    assert (found.severity, found.cause, found.currency) == (Severity.WARN, None, "USD")
    assert (found.evidence["low"], found.evidence["high"]) == ("9", "11")
    assert found.evidence["rows"] == ["out", f"ohlcv/{APPLE}/1m/{opened(ten)[0]}"]
    assert compared(db, INSIDE, MONDAY) == 3
    query(db.url, "UPDATE trades_norm SET price = 8.9 WHERE trade_uid = 'out'")
    assert [one.expected for one in findings(db, INSIDE, MONDAY)] == [9]


def test_a_fill_told_seconds_after_its_print_may_be_of_the_minute_before(db: Database) -> None:
    calendars(db)
    ten = at_clock(MONDAY, 10)
    write(db, bar(APPLE, ten), bar(APPLE, ten + MINUTE, prices="20 21 19 20"))
    write(db, fill("late", "10", ten + timedelta(seconds=63)), fill("early", "20", ten + timedelta(seconds=59.5)))
    assert findings(db, INSIDE, MONDAY) == []
    write(db, fill("too_late", "10", ten + timedelta(seconds=70)))
    assert [one.subject for one in findings(db, INSIDE, MONDAY)] == ["too_late"]


def test_a_fill_outside_of_its_minute_under_two_names_is_one_finding(db: Database) -> None:
    calendars(db)
    ten = at_clock(MONDAY, 10)
    write(db, bar(APPLE, ten), bar(APPLE, ten, "1min"), fill("out", "20", ten))
    (found,) = findings(db, INSIDE, FIRST, LAST)
    assert (found.subject, found.evidence["rows"][1]) == ("out", f"ohlcv/{APPLE}/1m/{opened(ten)[0]}")
    assert compared(db, INSIDE, MONDAY) == 1


def test_fills_that_need_not_be_inside_of_a_bar_are_not_compared(db: Database) -> None:
    calendars(db)
    ten = at_clock(MONDAY, 10)
    order: dict[str, Any] = {
        "symbol": APPLE, "status": OrderStatus.FILLED, "trade_date": MONDAY, "source": "FLEX"
    }  # fmt: skip
    write(
        db,
        made(Order, order_uid="O_leg", broker_order_id="1", combo_id="7", **order),
        made(Order, order_uid="O_combo", broker_order_id="2", legs=[{"symbol": APPLE}], **order),
        bar(APPLE, ten),
        bar(APPLE, ten + HOUR, adjustment=Adjustment.ALL),
        bar(APPLE, ten + 2 * HOUR, prices="10 9 11 10"),
        bar(APPLE, at_clock(MONDAY, 16)),
        bar(APPLE, at_clock(MONDAY, 8), session=BarSession.EXTENDED),
        fill("leg", "99", ten),
        fill("combo", "99", ten),
        fill("book", "99", ten, order_uid=None),
        fill("expired", "99", ten, kind=TradeKind.EXPIRATION),
        fill("busted", "99", ten, effective=False),
        fill("adjusted", "99", ten + HOUR),
        fill("impossible", "99", ten + 2 * HOUR),
        fill("auction", "99", at_clock(MONDAY, 16) + timedelta(seconds=2)),
        fill("extended", "99", at_clock(MONDAY, 8)),
        fill("no_bar", "99", ten + 3 * HOUR),
    )
    assert (findings(db, INSIDE, FIRST, LAST), compared(db, INSIDE, FIRST, LAST)) == ([], 0)
    write(db, fill("control", "99", ten))
    assert [one.subject for one in findings(db, INSIDE, FIRST, LAST)] == ["control"]


def test_a_bar_that_is_adjusted_for_splits_is_as_traded_unless_a_split_came_after_the_fill(db: Database) -> None:
    calendars(db)
    ten = at_clock(MONDAY, 10)
    write(db, bar(APPLE, ten, adjustment=Adjustment.SPLITS), bar(APPLE, ten + MINUTE, prices="20 21 19 20"))
    write(db, fill("in", "10", ten), fill("out", "20", ten), fill("late", "20", ten + timedelta(seconds=59.5)))
    assert [one.subject for one in findings(db, INSIDE, MONDAY)] == ["late", "out"], "the next minute is told otherwise"
    assert compared(db, INSIDE, MONDAY) == 3
    split = {"kind": Action.SPLIT, "symbol": APPLE, "source": "FLEX"}
    write(db, made(CorporateAction, action_uid="before", business_date=MONDAY, **split))
    write(db, made(CorporateAction, action_uid="merger", business_date=TUESDAY, **(split | {"kind": Action.MERGER})))
    write(
        db,
        made(
            CorporateAction,
            action_uid="other",
            business_date=TUESDAY,
            **(split | {"symbol": TENCENT, "instrument_id": "7"}),
        ),
    )
    assert compared(db, INSIDE, MONDAY) == 3
    write(db, made(CorporateAction, action_uid="after", business_date=TUESDAY, **split))
    assert (findings(db, INSIDE, MONDAY), compared(db, INSIDE, MONDAY)) == ([], 0)


def test_without_bars_nothing_is_compared(db: Database) -> None:
    calendars(db)
    write(db, fill("a", "10", at_clock(MONDAY, 10)))
    for check in (IN_SESSION, NOT_MISSING, SHAPE, INSIDE):
        assert (findings(db, check, FIRST, LAST), compared(db, check, FIRST, LAST)) == ([], 0)


def test_bars_are_read_back_as_they_were_written(db: Database) -> None:
    told = bar(APPLE, at_clock(MONDAY, 10), volume=None)
    write(db, told)
    (row,) = query(db.url, "SELECT * FROM ohlcv")
    assert Bar(*row) == told
