"""Bars of a small world, loaded from both brokers over their real wire."""

import time
from collections.abc import Iterator

import pytest

from apex_pipeline.bar_extraction import BarsLoaded
from apex_pipeline.brokers.ib.port import IbBroker
from apex_pipeline.brokers.ib.settings import IbSettings
from apex_pipeline.brokers.ib.simulator_tws import GatewaySimulator
from apex_pipeline.brokers.ib.tws_client import TwsEndpoint
from apex_pipeline.domain.bar_plan import BarWish
from apex_pipeline.domain.checks import CheckName
from apex_pipeline.pipeline import load_bars
from tests.pipeline.conftest import QUERY_ID, TOKEN, World, unlimited
from tests.store.check_rows import compared, findings
from tests.store.rows import query

CHECKS = (
    CheckName.EVERY_BAR_IS_IN_A_SESSION, CheckName.NO_BAR_IS_MISSING, CheckName.EVERY_BAR_HAS_A_POSSIBLE_SHAPE,
    CheckName.FILL_PRICES_ARE_INSIDE_THEIR_BARS,
)  # fmt: skip


@pytest.fixture
def gateway(loaded: World) -> Iterator[GatewaySimulator]:
    with GatewaySimulator(loaded.scenario) as started:
        yield started


def ib_of(world: World, gateway: GatewaySimulator) -> IbBroker:
    tws = TwsEndpoint(gateway.host, gateway.port, 17)
    return IbBroker(IbSettings(world.flex.url, TOKEN, QUERY_ID, poll_seconds=0.001, tws=tws), sleep=lambda _: None)


def load(world: World, gateway: GatewaySimulator, days: int = 60, **values: object) -> BarsLoaded:
    from datetime import timedelta

    wish = BarWish(world.today - timedelta(days=days), world.today, world.today, **values)
    return load_bars(world.db, [(world.futu, unlimited), (ib_of(world, gateway), unlimited)], wish, 1000)


def test_x(loaded: World, gateway: GatewaySimulator) -> None:
    for days in (60, 60):
        t = time.time()
        print(days, load(loaded, gateway, days), time.time() - t)
        print(
            query(
                loaded.db.url,
                "SELECT source, timeframe, adjustment, count(*), count(DISTINCT symbol) FROM ohlcv GROUP BY 1,2,3",
            )
        )
        print(
            query(
                loaded.db.url,
                "SELECT source, timeframe, reason, count(*), count(DISTINCT symbol), min(note) FROM ohlcv_gaps GROUP BY 1,2,3",
            )
        )
    for check in (*CHECKS, "an", *CHECKS):
        if check == "an":
            query(loaded.db.url, "ANALYZE ohlcv")
            query(loaded.db.url, "ANALYZE ohlcv_gaps")
            continue
        t = time.time()
        found = findings(loaded.db, check, loaded.scenario.start, loaded.today)
        print(
            check,
            len(found),
            compared(loaded.db, check, loaded.scenario.start, loaded.today),
            found[:2],
            time.time() - t,
        )
    assert 0
