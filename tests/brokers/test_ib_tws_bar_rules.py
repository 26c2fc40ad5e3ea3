"""Bars at IB: how fast may be asked, what is offered, and what the broker needs for it."""

import re
import time
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from apex_pipeline.brokers.contract import BarSource
from apex_pipeline.brokers.ib.exchanges import calendar_of, zone_of
from apex_pipeline.brokers.ib.port import IbBroker
from apex_pipeline.brokers.ib.settings import IbSettings
from apex_pipeline.brokers.ib.simulator_tws import GatewaySimulator
from apex_pipeline.brokers.ib.tws_bar_pace import BUDGET, Pace
from apex_pipeline.brokers.ib.tws_client import TwsEndpoint
from apex_pipeline.brokers.registry import bar_requests
from apex_pipeline.domain.market import BarAsk, Timeframe
from apex_pipeline.errors import BrokerUnavailable, ConfigError
from apex_pipeline.settings import load
from tests.brokers.ib.bars import DAY, NOW, ask, requests_of, told_by
from tests.brokers.ib.gateways import CLIENT_ID, scenario

MONDAY, TODAY = date(2026, 3, 9), date(2026, 3, 10)
NOBODY = TwsEndpoint("127.0.0.1", 9, CLIENT_ID)


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def send(pace: Pace, contract: str, request: object) -> None:
    pace.wait(contract, request)
    pace.sent(contract, request)


# Pace -----------------------------------------------------------------------------------------------------------


def test_the_sixth_request_of_a_contract_waits_two_seconds_and_another_contract_does_not() -> None:
    clock = Clock()
    pace = Pace(clock.sleep, clock)
    for number in range(5):
        send(pace, "AAPL", number)
    send(pace, "MSFT", 0)
    assert clock.slept == []
    send(pace, "AAPL", 5)
    assert 2 < sum(clock.slept) < 2.2


def test_the_same_request_waits_fifteen_seconds_and_another_does_not() -> None:
    clock = Clock()
    pace = Pace(clock.sleep, clock)
    send(pace, "AAPL", "monday")
    send(pace, "AAPL", "tuesday")
    assert clock.slept == []
    send(pace, "AAPL", "monday")
    assert 15 < sum(clock.slept) < 15.2
    clock.now += 16
    send(pace, "AAPL", "monday")
    assert len(clock.slept) == 1


def test_what_waited_for_more_than_its_pace_counts_from_when_it_was_sent() -> None:
    clock = Clock()
    pace = Pace(clock.sleep, clock)
    for number in range(5):
        pace.wait("AAPL", number)
        clock.now += 0 if number else 60  # the first one waits for a grant
        pace.sent("AAPL", number)
    send(pace, "AAPL", 5)
    assert 2 < sum(clock.slept) < 2.2


def test_a_grant_is_taken_when_the_request_leaves_and_not_before_a_pause() -> None:
    """Else grants that left the window would allow more requests than arrive apart."""
    done: list[str] = []
    with GatewaySimulator(scenario()) as gateway:
        told = told_by(gateway, sleep=lambda _: done.append("pause"), acquire=lambda _: done.append("grant"))
        with told as session:
            session.bars(ask(MONDAY, MONDAY))
            session.bars(ask(MONDAY, MONDAY))
    assert done == ["grant", "pause", "grant"]


def test_a_gateway_that_keeps_ib_s_rules_finds_nothing_to_complain_about() -> None:
    with GatewaySimulator(scenario(), faults=["paced"]) as gateway:
        begun = time.monotonic()
        with told_by(gateway, sleep=time.sleep) as session:
            assert len(session.bars(ask(MONDAY - 11 * DAY, MONDAY)).bars) == 8 * 390
        assert 2 < time.monotonic() - begun < 8
        with told_by(gateway) as hasty, pytest.raises(BrokerUnavailable, match="pacing violation"):
            hasty.bars(ask(MONDAY - 11 * DAY, MONDAY))


def test_a_violation_is_waited_out_once_and_then_told() -> None:
    slept: list[float] = []
    with GatewaySimulator(scenario(), faults=["pacing_violation"]) as gateway:
        with told_by(gateway, sleep=slept.append) as session:
            assert len(session.bars(ask(MONDAY, MONDAY)).bars) == 390
        assert [round(seconds) for seconds in slept] == [15]
        first, second = requests_of(gateway)
        assert first[2:] == second[2:]
        gateway.history.refusals[265598] = (162, "error message:Historical data request pacing violation")
        with told_by(gateway) as session, pytest.raises(BrokerUnavailable, match="pacing violation"):
            session.bars(ask(MONDAY, MONDAY))


def test_every_request_for_bars_takes_from_the_budget_first() -> None:
    taken: list[str] = []
    with GatewaySimulator(scenario()) as gateway, told_by(gateway, acquire=taken.append) as session:
        session.bars(ask(MONDAY - 3 * DAY, MONDAY))
        assert taken == [BUDGET] * len(requests_of(gateway)) == ["ib:bars"] * 2
        assert session.quota() is None


def test_a_service_of_statements_that_allows_more_changes_nothing_for_the_gateway(tmp_path: Path) -> None:
    none = tmp_path / "none.yaml"
    real = load({"IB_FLEX_REQUESTS_PER_MINUTE": "20"}, none)
    assert (bar_requests("ib", real), bar_requests("futu", real)) == ((60, 600), (60, 30))
    assert bar_requests("ib", load({"IB_TWS_WINDOW_SECONDS": "6"}, none)) == (60, 6), "as a simulator's"


# The broker -----------------------------------------------------------------------------------------------------


def broker(tws: TwsEndpoint | None) -> IbBroker:
    """Without a token, at an address that nobody answers: Flex cannot be asked."""
    return IbBroker(IbSettings("http://127.0.0.1:9", tws=tws), sleep=lambda _: None, now=lambda: NOW)


def test_bars_need_the_gateway_and_no_statement() -> None:
    with GatewaySimulator(scenario()) as gateway:
        own: BarSource = broker(TwsEndpoint(gateway.host, gateway.port, CLIENT_ID))
        with own.connect_bars(lambda _: None) as session:
            assert len(session.bars(ask(MONDAY, MONDAY)).bars) == 390


def test_without_a_gateway_bars_are_not_offered_and_asking_says_what_to_set() -> None:
    assert not broker(None).offers(ask(MONDAY, MONDAY), TODAY)
    assert broker(NOBODY).offers(ask(MONDAY, MONDAY), TODAY)
    with pytest.raises(ConfigError, match="IB_TWS_HOST is not set"):
        broker(None).connect_bars(lambda _: None)


def test_a_gateway_that_is_away_is_told_when_the_session_opens() -> None:
    opening = broker(NOBODY).connect_bars(lambda _: None)
    with pytest.raises(BrokerUnavailable, match=r"nobody listens for the TWS API at 127.0.0.1:9"), opening:
        pass


@pytest.mark.parametrize(
    ("symbol", "code", "first", "offered"),
    [
        ("US.AAPL", "265598", MONDAY, True),
        ("US.AAPL", "265598", date(2008, 1, 2), True),
        ("US.AAPL", "265598", date(2026, 3, 11), False),
        ("US.AAPL", "US.AAPL", MONDAY, False),
        ("US.AAPL", "", MONDAY, False),
        ("US.AAPL", "٢٦", MONDAY, False),
        ("US.AAPL 2026-03-10 C 132.5", "700001", MONDAY, True),
        ("US.AAPL 2026-03-09 C 132.5", "700001", MONDAY, False),
        ("US.ESZ6", "495512563", MONDAY, True),
    ],
)
def test_bars_are_offered_as_far_as_ib_documents_them(symbol: str, code: str, first: date, offered: bool) -> None:
    wanted = BarAsk(symbol, code, "US", Timeframe.MINUTE, first, max(first, MONDAY))
    assert broker(NOBODY).offers(wanted, TODAY) is offered


# Zones ----------------------------------------------------------------------------------------------------------


def test_zones_and_calendars_are_those_of_the_exchanges_in_the_database() -> None:
    migration = Path(__file__).parents[2] / "migrations" / "008_bars_signals_snapshots.sql"
    rows = re.findall(r"^    \('(\w+)', '([\w/]+)', (?:'([\w/]+)'|NULL)", migration.read_text(), re.MULTILINE)
    assert len(rows) > 40
    for exchange, zone, calendar in rows:
        assert zone_of(exchange) == ZoneInfo(zone), exchange
        assert calendar_of(exchange) == (calendar if calendar and calendar != "24/7" else None), exchange
    assert zone_of("NOWHERE") is None


def test_midnight_is_the_exchange_s_on_the_day_the_clocks_change() -> None:
    with GatewaySimulator(scenario()) as gateway, told_by(gateway) as session:
        session.bars(ask(MONDAY - DAY, MONDAY))
        session.bars(ask(MONDAY - 3 * DAY, MONDAY - 2 * DAY))
        ends = [fields[15] for fields in requests_of(gateway)]
    assert ends == ["20260310-04:00:00", "20260307-05:00:00"]
    assert datetime(2026, 3, 10, 4, tzinfo=UTC).astimezone(ZoneInfo("America/New_York")).hour == 0
