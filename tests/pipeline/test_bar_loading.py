"""A load of bars beside brokers that are away, mute, slow or used up: what can be told is, and the rest comes later."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from apex_pipeline.bar_extraction import BarExtraction, BarsLoaded
from apex_pipeline.brokers.contract import Acquire, BarSession, Limit
from apex_pipeline.domain.bar_plan import BarWish
from apex_pipeline.domain.market import Adjustment, BarAnswer, BarAsk, BarQuota, Timeframe
from apex_pipeline.domain.models import Broker
from apex_pipeline.errors import BrokerError, BrokerSilent, BrokerUnavailable, LimitReached, QuotaReached
from apex_pipeline.pipeline import silent
from apex_pipeline.store.db import Database
from apex_pipeline.store.limiter import RateLimiter
from tests.store.market_rows import calendars, daily_bars, session_bars
from tests.store.rows import query

DAY = date(2026, 5, 4)
NOW = datetime(2026, 5, 30, tzinfo=UTC)
SYMBOLS = ("US.A", "US.B", "US.C", "US.D", "US.E")
ADJUSTED = {Broker.FUTU: Adjustment.NONE, Broker.IB: Adjustment.SPLITS}


@dataclass
class Told:
    """A broker that tells every bar of New York, but where `wrong` says otherwise; `asked`: what it was asked for."""

    name: Broker
    wrong: Mapping[str, BrokerError] = field(default_factory=dict[str, BrokerError])
    is_away: bool = False
    left: BarQuota | None = None
    asked: list[BarAsk] = field(default_factory=list[BarAsk])
    acquire: Acquire = print

    def offers(self, ask: BarAsk, today: date) -> bool:
        return ask.from_date <= today

    @contextmanager
    def connect_bars(self, acquire: Acquire) -> Generator[BarSession]:
        if self.is_away:
            raise BrokerUnavailable(f"{self.name} is away")
        self.acquire = acquire
        yield self

    def quota(self) -> BarQuota | None:
        return self.left

    def bars(self, ask: BarAsk) -> BarAnswer:
        self.acquire(f"{self.name}:bars")
        self.asked.append(ask)
        if ask.symbol in self.wrong:
            raise self.wrong[ask.symbol]
        make: Callable[..., Any] = daily_bars if ask.timeframe is Timeframe.DAY else session_bars
        told = make(ask.symbol, "XNYS", ask.from_date, ask.to_date)
        own = {"source": self.name.value, "exchange": "US", "adjustment": ADJUSTED[self.name]}
        return BarAnswer([replace(one, **own) for one in told])


def unlimited(_budget: str, /, most_seconds: float | None = None) -> object:
    return most_seconds


@pytest.fixture
def listed(db: Database) -> Database:
    calendars(db)
    for number, symbol in enumerate(SYMBOLS):
        query(
            db.url,
            "INSERT INTO instruments (symbol, asset_class, futu_code, ib_conid, currency) "
            "VALUES (%s, 'STOCK', %s, %s, 'USD')",
            symbol, symbol, str(number),
        )  # fmt: skip
    return db


def load(
    db: Database,
    *brokers: Told,
    symbols: Sequence[str] = SYMBOLS,
    last: date = DAY,
    limit: Limit = unlimited,
    most_seconds: float = 100,
    **wish: Any,
) -> BarsLoaded:
    usual: dict[str, Any] = {"first": DAY, "last": last, "today": last, "symbols": tuple(symbols)}
    wanted = BarWish(**(usual | wish))
    return BarExtraction(db, [(one, limit) for one in brokers], wanted, silent, most_seconds, NOW).run()


def series(db: Database) -> list[tuple[Any, ...]]:
    return query(db.url, "SELECT symbol, opened_at::date, source, adjustment FROM ohlcv ORDER BY 1, 2")


def test_while_a_broker_is_away_its_series_waits_and_is_not_mixed_with_adjusted_prices(listed: Database) -> None:
    futu, ib = Told(Broker.FUTU, left=BarQuota(10, frozenset(SYMBOLS[:1]))), Told(Broker.IB)
    load(listed, futu, ib, symbols=SYMBOLS[:1])
    futu.is_away = True
    without = load(listed, futu, ib, symbols=SYMBOLS[:2], last=DAY + timedelta(1))
    assert without.failures == ["FUTU is away"]
    assert without.left == 1
    assert without.notes == ["1 series of bars wait: the broker that told them before is away"]
    futu.is_away = False
    assert load(listed, futu, ib, symbols=SYMBOLS[:2], last=DAY + timedelta(1)).left == 0
    assert series(listed) == [
        ("US.A", DAY, "FUTU", "NONE"), ("US.A", DAY + timedelta(1), "FUTU", "NONE"),
        ("US.B", DAY, "IB", "SPLITS"), ("US.B", DAY + timedelta(1), "IB", "SPLITS"),
    ]  # fmt: skip


def test_a_broker_that_is_configured_no_more_leaves_its_series_to_the_other(listed: Database) -> None:
    load(listed, Told(Broker.FUTU), symbols=SYMBOLS[:1])
    load(listed, Told(Broker.IB), symbols=SYMBOLS[:1], last=DAY + timedelta(1))
    assert [source for *_, source, _ in series(listed)] == ["FUTU", "IB"]


def test_one_mute_instrument_does_not_keep_the_others_from_being_told(listed: Database) -> None:
    ib = Told(Broker.IB, {"US.A": BrokerSilent("did not tell US.A within 60 s")})
    loaded = load(listed, ib)
    assert (loaded.asks, loaded.left) == (4, 1)
    assert loaded.failures == ["did not tell US.A within 60 s"]
    assert load(listed, ib).asks == 0, "only the mute one is asked again"


def test_a_broker_that_is_mute_twice_in_a_row_is_asked_no_more(listed: Database) -> None:
    mute = {symbol: BrokerSilent(f"did not tell {symbol}") for symbol in SYMBOLS[1:3]}
    ib = Told(Broker.IB, mute)
    loaded = load(listed, ib)
    assert [ask.symbol for ask in ib.asked] == ["US.A", "US.B", "US.C"]
    assert (loaded.asks, loaded.left) == (1, 4)
    between = Told(Broker.IB, {symbol: BrokerSilent("mute") for symbol in ("US.B", "US.D")})
    assert load(listed, between).asks == 2, "C and E answered between"


def test_a_broker_that_fails_otherwise_is_asked_no_more(listed: Database) -> None:
    ib = Told(Broker.IB, {"US.B": BrokerUnavailable("the connection is lost")})
    loaded = load(listed, ib)
    assert (loaded.asks, loaded.left, len(ib.asked)) == (1, 4, 2)


def test_a_quota_that_ends_while_a_load_runs_leaves_that_instrument_and_says_so(listed: Database) -> None:
    futu = Told(Broker.FUTU, {"US.B": QuotaReached("quota reached")})
    loaded = load(listed, futu)
    assert (loaded.asks, loaded.left, loaded.failures) == (4, 1, [])
    assert loaded.notes == ["quota reached"]
    assert query(listed.url, "SELECT * FROM ohlcv_gaps") == [], "and is no refusal that would hold for a week"
    futu.wrong = {}
    assert load(listed, futu).asks == 1


def test_a_limit_that_is_reached_ends_the_broker_and_not_the_load(listed: Database) -> None:
    limit = RateLimiter(2, 60, listed).acquire
    futu, ib = Told(Broker.FUTU, left=BarQuota(10, frozenset(SYMBOLS[:3]))), Told(Broker.IB)
    loaded = load(listed, futu, ib, limit=limit, most_seconds=5)
    assert (loaded.asks, loaded.left, loaded.failures) == (4, 1, [])
    assert len(loaded.notes) == 1
    assert "the limit of requests for FUTU:bars allows the next one in" in loaded.notes[0]


def test_nobody_waits_for_a_limit_longer_than_the_load_may_take(listed: Database) -> None:
    bounds: list[float | None] = []

    def limit(_budget: str, /, most_seconds: float | None = None) -> None:
        bounds.append(most_seconds)
        if len(bounds) == 3:
            raise LimitReached("not now")

    loaded = load(listed, Told(Broker.IB), limit=limit, most_seconds=7)
    assert len(bounds) == 3
    assert all(bound is not None and 0 < bound <= 7 for bound in bounds)
    assert (loaded.asks, loaded.left) == (2, 3)


def test_half_a_year_of_minutes_is_stored_part_by_part(listed: Database) -> None:
    ib = Told(Broker.IB)

    def limit(_budget: str, /, most_seconds: float | None = None) -> object:
        if len(ib.asked) == 4:
            raise LimitReached("not now")
        return most_seconds

    first, minutes = date(2025, 12, 1), (Timeframe.MINUTE,)
    loaded = load(listed, ib, symbols=SYMBOLS[:1], first=first, timeframes=minutes, daily=False, limit=limit)
    days = query(listed.url, "SELECT count(DISTINCT opened_at::date) FROM ohlcv")
    assert (loaded.asks, days) == (4, [(20,)])
    assert loaded.left > 15
