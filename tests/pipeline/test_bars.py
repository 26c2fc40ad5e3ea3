"""Bars of a small world, loaded from both brokers over their real wire."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pytest

from apex_pipeline.bar_extraction import BarExtraction, BarsLoaded
from apex_pipeline.brokers.contract import BarSource, Limit
from apex_pipeline.brokers.futu.port import FutuBroker, FutuSettings
from apex_pipeline.brokers.ib.port import IbBroker
from apex_pipeline.brokers.ib.settings import IbSettings
from apex_pipeline.brokers.ib.simulator_tws import GatewaySimulator
from apex_pipeline.brokers.ib.tws_client import TwsEndpoint
from apex_pipeline.domain.bar_plan import BarWish
from apex_pipeline.domain.checks import CheckName
from apex_pipeline.domain.market import Timeframe
from apex_pipeline.pipeline import load_bars
from tests.pipeline.conftest import QUERY_ID, TOKEN, World
from tests.store.check_rows import compared, findings
from tests.store.rows import query, value

CHECKS = (
    CheckName.EVERY_BAR_IS_IN_A_SESSION,
    CheckName.NO_BAR_IS_MISSING,
    CheckName.EVERY_BAR_HAS_A_POSSIBLE_SHAPE,
    CheckName.FILL_PRICES_ARE_INSIDE_THEIR_BARS,
)
DAYS = 20
PATIENT = 600.0
STORED = "SELECT * FROM ohlcv ORDER BY 1, 2, 3"
EXCUSED = "SELECT * FROM ohlcv_gaps ORDER BY 1, 2, 3"


@dataclass
class Market:
    """Both brokers as tellers of bars; `asked` counts the requests that took from a limit."""

    world: World
    gateway: GatewaySimulator
    asked: list[str] = field(default_factory=list[str])

    def take(self, budget: str, /, most_seconds: float | None = None) -> object:
        self.asked.append(budget)
        return most_seconds

    @property
    def futu(self) -> tuple[BarSource, Limit]:
        return self.world.futu, self.take

    @property
    def ib(self) -> tuple[BarSource, Limit]:
        return ib_at(self.world, self.gateway.port), self.take

    def wish(self, days: int = DAYS, **values: Any) -> BarWish:
        today = self.world.today
        return BarWish(today - timedelta(days=days), today, today, **values)

    def load(self, *sources: tuple[BarSource, Limit], **values: Any) -> BarsLoaded:
        return load_bars(self.world.db, sources or (self.futu, self.ib), self.wish(**values), PATIENT)

    def rows(self) -> tuple[list[Any], list[Any]]:
        return query(self.world.db.url, STORED), query(self.world.db.url, EXCUSED)

    def count(self, source: str) -> int:
        return value(self.world.db.url, "SELECT count(*) FROM ohlcv WHERE source = %s", source)


def ib_at(world: World, port: int) -> IbBroker:
    settings = IbSettings(world.flex.url, TOKEN, QUERY_ID, poll_seconds=0.001, tws=TwsEndpoint("127.0.0.1", port, 17))
    return IbBroker(settings, sleep=lambda _: None)


@pytest.fixture
def market(loaded: World) -> Iterator[Market]:
    with GatewaySimulator(loaded.scenario) as gateway:
        yield Market(loaded, gateway)


def test_bars_of_both_brokers_pass_their_checks_and_loading_again_asks_nothing(market: Market) -> None:
    first = market.load()
    assert not first.failures
    assert not first.left
    assert first.asks > 0
    assert first.new == market.count("FUTU") + market.count("IB")
    assert market.count("FUTU") > 0
    assert market.count("IB") > 0
    days = market.world.scenario.start, market.world.today
    assert [findings(market.world.db, check, *days) for check in CHECKS] == [[]] * len(CHECKS)
    assert all(compared(market.world.db, check, *days) for check in CHECKS)

    before = market.rows()
    market.asked.clear()
    assert market.load() == BarsLoaded()
    assert market.rows() == before
    assert market.asked == []


def test_fills_are_compared_with_the_bars_of_ib_alone(market: Market) -> None:
    market.load(market.ib)
    days = market.world.scenario.start, market.world.today
    adjusted = query(market.world.db.url, "SELECT DISTINCT symbol ~ ' ', adjustment FROM ohlcv ORDER BY 1")
    assert adjusted == [(False, "SPLITS"), (True, "NONE")], "stocks may split, their options become others"
    assert compared(market.world.db, CheckName.FILL_PRICES_ARE_INSIDE_THEIR_BARS, *days)
    assert findings(market.world.db, CheckName.FILL_PRICES_ARE_INSIDE_THEIR_BARS, *days) == []


def test_a_lost_bar_is_asked_for_again_and_nothing_else(market: Market) -> None:
    market.load(minutes_days=0)
    before = market.rows()
    lost = query(
        market.world.db.url,
        "SELECT symbol, opened_at FROM ohlcv WHERE timeframe = '1d' AND symbol !~ ' ' ORDER BY random() LIMIT 1",
    )[0]
    query(market.world.db.url, "DELETE FROM ohlcv WHERE symbol = %s AND opened_at = %s", *lost)
    again = market.load(minutes_days=0)
    assert (again.asks, again.new, again.changed) == (1, 1, 0)
    assert market.rows() == before


def test_a_broker_that_cannot_be_reached_leaves_the_other(market: Market) -> None:
    market.gateway.stop()
    loaded = market.load(minutes_days=0)
    assert len(loaded.failures) == 1
    assert str(market.gateway.port) in loaded.failures[0]
    assert market.count("FUTU") > 0
    assert market.count("IB") == 0


def test_nobody_to_ask_is_told_and_changes_nothing(market: Market) -> None:
    market.gateway.stop()
    market.world.opend.stop()
    loaded = market.load()
    assert len(loaded.failures) == 2
    assert loaded.asks == 0
    assert market.rows() == ([], [])


def test_an_instrument_that_is_refused_is_written_down_and_leaves_the_others(market: Market) -> None:
    held = query(
        market.world.db.url,
        "SELECT symbol, ib_conid FROM instruments WHERE ib_conid IS NOT NULL AND asset_class = 'STOCK' ORDER BY 1",
    )
    for _, conid in held[:1]:
        market.gateway.history.refusals[int(conid)] = 354, "Requested market data is not subscribed."
    loaded = market.load(market.ib, minutes_days=0, symbols=tuple(symbol for symbol, _ in held))
    assert any("not subscribed" in line for line in loaded.refused)
    told = query(market.world.db.url, "SELECT DISTINCT symbol, reason, source FROM ohlcv_gaps WHERE note IS NOT NULL")
    assert told == [(held[0][0], "VENDOR", "IB")]
    assert market.count("IB") > 0
    market.asked.clear()
    assert market.load(market.ib, minutes_days=0, symbols=tuple(symbol for symbol, _ in held)).asks == 0
    assert market.asked == []
    other = market.load(minutes_days=0, symbols=tuple(symbol for symbol, _ in held))
    assert other.asks > 0, "Futu was not asked yet"
    assert query(market.world.db.url, EXCUSED) == []


def test_a_quota_that_is_used_up_leaves_the_rest_for_later(market: Market, tmp_path: Any) -> None:
    from apex_pipeline.brokers.futu.simulator import OpenDSimulator

    scenario = market.world.scenario
    with OpenDSimulator(scenario, time_scale=10_000, kl_quota=3) as opend:
        futu = FutuBroker(FutuSettings(home=tmp_path / "quota", port=opend.port), today=lambda: market.world.today)
        loaded = market.load((futu, market.take), minutes_days=0)
    assert value(market.world.db.url, "SELECT count(DISTINCT symbol) FROM ohlcv") <= 3
    assert loaded.left > 0
    assert "quota" in loaded.notes[0]


def test_time_that_is_over_leaves_the_rest_for_the_next_load(market: Market) -> None:
    asked: list[str] = []

    def observe(text: str, *_: int) -> None:
        asked.append(text)

    some = BarExtraction(
        market.world.db, (market.futu, market.ib), market.wish(minutes_days=0), observe, 2, clock=lambda: len(asked)
    ).run()
    assert some.asks == 3
    assert some.left > 0
    rest = market.load(minutes_days=0)
    assert rest.asks == some.left
    assert rest.left == 0


def test_other_lengths_of_named_symbols_are_loaded_and_whole(market: Market) -> None:
    symbol = query(market.world.db.url, "SELECT symbol FROM instruments WHERE symbol LIKE 'HK.%%' AND symbol !~ ' '")[
        0
    ][0]
    lengths = (Timeframe.HALF_HOUR, Timeframe.HOUR)
    wish = {"daily": False, "minutes_days": 0, "symbols": (symbol,), "timeframes": lengths}
    market.load(days=8, **wish)
    assert query(market.world.db.url, "SELECT DISTINCT symbol, timeframe FROM ohlcv ORDER BY 2") == [
        (symbol, "1h"), (symbol, "30m")
    ]  # fmt: skip
    days: tuple[date, date] = market.world.scenario.start, market.world.today
    assert [findings(market.world.db, check, *days) for check in CHECKS[:3]] == [[]] * 3
    assert market.load(days=8, **wish) == BarsLoaded()
