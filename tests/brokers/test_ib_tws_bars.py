"""Bars over a real ib_async connection: all of them, none twice, and never an error that looks like an empty market."""

import asyncio
import time as clock
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from ib_async import IB
from ib_async import Contract as IbContract

from apex_pipeline.brokers.ib import tws_messages as messages
from apex_pipeline.brokers.ib.simulator_tws import GatewaySimulator
from apex_pipeline.brokers.ib.tws_bar_windows import MOST_DAYS
from apex_pipeline.brokers.ib.tws_bars import BarPatience
from apex_pipeline.brokers.scenario import Contract
from apex_pipeline.brokers.scenario_minutes import Minutes
from apex_pipeline.domain.market import Adjustment, Bar, BarSession, Timeframe
from apex_pipeline.errors import BrokerRefused, BrokerSilent, BrokerUnavailable
from tests.brokers.ib.bars import (
    APPLE,
    BUND,
    DAY,
    EURO,
    HONG_KONG,
    MINUTE,
    NEW_YORK,
    NOW,
    TENCENT,
    EveningDesk,
    ask,
    minutes_of_currencies,
    requests_of,
    told_by,
)
from tests.brokers.ib.gateways import scenario

MONDAY, FRIDAY, THURSDAY = date(2026, 3, 9), date(2026, 3, 6), date(2026, 3, 5)
THANKSGIVING, HALF_DAY = date(2025, 11, 27), date(2025, 11, 28)
LUNAR_EVE = date(2026, 2, 16)
QUICK = BarPatience(login=1, contract=0.5, bars=0.3)


@pytest.fixture(scope="module")
def running() -> Iterator[GatewaySimulator]:
    with GatewaySimulator(scenario()) as gateway:
        yield gateway


@pytest.fixture
def gateway(running: GatewaySimulator) -> Iterator[GatewaySimulator]:
    running.requests.clear()
    yield running
    running.faults = set()
    running.history.refusals = {}


def known(gateway: GatewaySimulator, code: str = APPLE) -> Contract:
    found = gateway.history.path.contract(int(code))
    assert found is not None
    return found


def instants(
    gateway: GatewaySimulator, first: date, last: date, minutes: int | None, code: str = APPLE
) -> list[datetime]:
    zone = NEW_YORK if code == APPLE else HONG_KONG
    begin = datetime(first.year, first.month, first.day, tzinfo=zone)
    end = datetime(last.year, last.month, last.day, tzinfo=zone) + DAY
    return [bar.at for bar in gateway.history.path.bars(known(gateway, code), begin, end, minutes)]


def opened(bars: Sequence[Bar]) -> list[datetime]:
    return [bar.opened_at for bar in bars]


# What is told ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [157, 163, 164, 178])
def test_every_server_version_tells_the_same_bars(version: int) -> None:
    with GatewaySimulator(scenario(), version=version) as older, told_by(older) as session:
        (first, *_) = bars = session.bars(ask(MONDAY, MONDAY)).bars
        truth = older.history.path.bars(known(older), bars[0].opened_at, bars[-1].opened_at + MINUTE, 1)
    assert [(bar.opened_at, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars] == [
        (bar.at, bar.trading.open, bar.trading.high, bar.trading.low, bar.trading.close, bar.trading.volume)
        for bar in truth
    ]
    assert len(bars) == 390
    assert (first.symbol, first.exchange, first.timeframe, first.source) == ("US.AAPL", "US", "1m", "IB")
    assert (first.session, first.adjustment) == (BarSession.REGULAR, Adjustment.SPLITS)
    assert isinstance(first.open, Decimal)


def test_summer_time_moves_the_opening_by_an_hour(gateway: GatewaySimulator) -> None:
    with told_by(gateway) as session:
        told = opened(session.bars(ask(FRIDAY, MONDAY)).bars)
    assert told == instants(gateway, FRIDAY, MONDAY, 1)
    assert told[0] == datetime(2026, 3, 6, 14, 30, tzinfo=UTC)
    assert told[390] == datetime(2026, 3, 9, 13, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("code", "first", "last", "closes_at", "count"),
    [
        (APPLE, THANKSGIVING, HALF_DAY, datetime(2025, 11, 28, 12, 59, tzinfo=NEW_YORK), 210),
        (TENCENT, LUNAR_EVE, LUNAR_EVE + 2 * DAY, datetime(2026, 2, 16, 11, 59, tzinfo=HONG_KONG), 150),
    ],
    ids=["Thanksgiving", "Lunar New Year"],
)
def test_a_half_day_ends_early_and_a_holiday_has_no_bars(
    gateway: GatewaySimulator, code: str, first: date, last: date, closes_at: datetime, count: int
) -> None:
    with told_by(gateway) as session:
        told = opened(session.bars(ask(first, last, code=code)).bars)
    assert (len(told), told[-1]) == (count, closes_at)
    assert len(requests_of(gateway)) == 1, "a day without a session costs no request"


@pytest.mark.parametrize("reading", [set[str](), {"days_are_sessions"}], ids=["24 hours", "sessions"])
@pytest.mark.parametrize(
    ("code", "timeframe", "minutes", "first", "last", "requests"),
    [
        (APPLE, Timeframe.MINUTE, 1, date(2026, 2, 25), MONDAY, 9),
        (TENCENT, Timeframe.MINUTE, 1, date(2026, 2, 12), date(2026, 2, 23), 5),
        (APPLE, Timeframe.FIVE_MINUTES, 5, date(2026, 2, 25), MONDAY, 2),
        (TENCENT, Timeframe.QUARTER, 15, date(2026, 2, 12), date(2026, 2, 23), 2),
        (APPLE, Timeframe.HALF_HOUR, 30, date(2026, 1, 5), MONDAY, 3),
        (APPLE, Timeframe.HOUR, 60, date(2025, 10, 20), date(2025, 12, 31), 3),
        (APPLE, Timeframe.DAY, None, date(2025, 2, 3), MONDAY, 2),
    ],
)
def test_many_requests_leave_no_hole_and_no_double(
    gateway: GatewaySimulator, code: str, timeframe: Timeframe, minutes: int | None, first: date, last: date,
    requests: int, reading: set[str],
) -> None:  # fmt: skip
    gateway.faults = reading
    with told_by(gateway) as session:
        answer = session.bars(ask(first, last, timeframe, code))
    truth = instants(gateway, first, last, minutes, code)
    if timeframe is Timeframe.DAY:
        truth = [at.astimezone(NEW_YORK).replace(hour=0, minute=0).astimezone(UTC) for at in truth]
    assert answer.refusal is None
    assert opened(answer.bars) == truth
    assert len(set(truth)) == len(truth) > requests
    assert 0 < len(requests_of(gateway)) <= requests


def test_an_answer_that_reaches_less_far_back_than_asked_is_asked_on(gateway: GatewaySimulator) -> None:
    gateway.faults = {"short_answers"}
    first = MONDAY - 13 * DAY
    with told_by(gateway) as session:
        answer = session.bars(ask(first, MONDAY, Timeframe.HOUR))
    assert opened(answer.bars) == instants(gateway, first, MONDAY, 60)
    assert len(requests_of(gateway)) == 4


def test_a_request_longer_than_ib_allows_would_be_refused(
    gateway: GatewaySimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MOST_DAYS, Timeframe.MINUTE, 2)
    with told_by(gateway) as session:
        assert "162: Historical Market Data Service error message:invalid step" in str(
            session.bars(ask(THURSDAY, FRIDAY)).refusal
        )


@pytest.mark.parametrize(("code", "hour"), [(APPLE, 5), (TENCENT, 16)])
def test_a_daily_bar_is_named_by_midnight_of_its_exchange(gateway: GatewaySimulator, code: str, hour: int) -> None:
    with told_by(gateway) as session:
        told = opened(session.bars(ask(THURSDAY, FRIDAY, Timeframe.DAY, code)).bars)
    midnight = datetime(2026, 3, 5, hour, tzinfo=UTC) - (DAY if code == TENCENT else timedelta(0))
    assert told == [midnight, midnight + DAY]


def test_a_bar_that_still_runs_is_left_out(gateway: GatewaySimulator) -> None:
    noon = datetime(2026, 3, 6, 17, 0, 30, tzinfo=UTC)
    with told_by(gateway, now=noon) as session:
        minutes = opened(session.bars(ask(THURSDAY, FRIDAY)).bars)
        days = opened(session.bars(ask(THURSDAY, FRIDAY, Timeframe.DAY)).bars)
    assert minutes[-1] == datetime(2026, 3, 6, 16, 59, tzinfo=UTC)
    assert minutes == [at for at in instants(gateway, THURSDAY, FRIDAY, 1) if at < noon - MINUTE]
    assert days == [datetime(2026, 3, 5, 5, tzinfo=UTC)]
    assert requests_of(gateway)[0][15] == "20260306-17:00:30", "no end lies in the future"
    with told_by(gateway, now=noon + 5 * 60 * MINUTE) as session:
        assert len(session.bars(ask(THURSDAY, FRIDAY, Timeframe.DAY)).bars) == 2, "the session has closed"


def test_every_trade_lies_in_its_minute_whoever_brought_it_to_the_exchange(gateway: GatewaySimulator) -> None:
    fills = [fill for order in scenario().orders for fill in order.fills]
    fills = [fill for fill in fills if gateway.history.path.contract(fill.contract.conid)][-60:]
    outside_of_path = 0
    for fill in fills:
        minute = fill.at.replace(second=0, microsecond=0)
        (bar,) = gateway.history.path.bars(fill.contract, minute, minute + MINUTE, 1)
        told = bar.trading
        assert told.low <= fill.price <= told.high
        assert told.volume > fill.qty
        outside_of_path += not min(told.open, told.close) <= fill.price <= max(told.open, told.close)
    assert outside_of_path, "the path alone would not hold them all"


def test_both_brokers_tell_the_same_day_of_the_same_exchange(gateway: GatewaySimulator) -> None:
    apple = known(gateway)
    (told,) = gateway.history.path.bars(
        apple, datetime.combine(FRIDAY, time(), UTC), datetime.combine(MONDAY, time(), UTC), None
    )
    assert told.trading == Minutes(scenario()).whole_day(apple, FRIDAY).trading


def test_ib_async_itself_reads_the_same_bars(gateway: GatewaySimulator) -> None:
    async def read() -> list[tuple[datetime | date, float, float]]:
        own = IB()
        await own.connectAsync(gateway.host, gateway.port, clientId=5, timeout=5)
        try:
            (contract,) = await own.qualifyContractsAsync(IbContract(conId=int(APPLE)))
            assert isinstance(contract, IbContract)
            assert (contract.exchange, contract.primaryExchange, contract.symbol) == ("SMART", "NASDAQ", "AAPL")
            told = await own.reqHistoricalDataAsync(
                contract, "20260310-04:00:00", "1 D", "1 min", "TRADES", useRTH=True, formatDate=2
            )
            return [(bar.date, bar.low, bar.volume) for bar in told]
        finally:
            own.disconnect()

    with told_by(gateway) as session:
        bars = session.bars(ask(MONDAY, MONDAY)).bars
    assert asyncio.run(read()) == [(bar.opened_at, float(bar.low), float(bar.volume or -1)) for bar in bars]


def test_the_same_bars_are_told_twice(gateway: GatewaySimulator) -> None:
    with GatewaySimulator(scenario()) as other, told_by(gateway) as one, told_by(other) as two:
        assert one.bars(ask(MONDAY, MONDAY)) == two.bars(ask(MONDAY, MONDAY))


# Currencies, crypto and futures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sessions", [False, True], ids=["24 hours", "sessions"])
def test_sessions_over_midnight_are_told_whole(sessions: bool) -> None:
    first, last = date(2026, 3, 5), date(2026, 3, 9)
    with GatewaySimulator(scenario()) as gateway:
        desk = gateway.history = EveningDesk(sessions=sessions)  # pyright: ignore[reportAttributeAccessIssue] - the same questions
        with told_by(gateway) as session:
            answer = session.bars(ask(first, last, code=EURO))
    truth = [at for at in minutes_of_currencies() if first <= at.astimezone(NEW_YORK).date() <= last]
    assert opened(answer.bars) == truth
    assert {at.astimezone(NEW_YORK).weekday() for at in truth} == {0, 3, 4, 6}, "Sunday evening is asked for too"
    assert {bar.volume for bar in answer.bars} == {None}
    assert answer.bars[0].high == Decimal("1.084055")
    assert set(desk.asked) == {"IDEALPRO|0|MIDPOINT"}


def test_an_expired_future_is_asked_for_as_one() -> None:
    with GatewaySimulator(scenario()) as gateway:
        desk = gateway.history = EveningDesk(sessions=False)  # pyright: ignore[reportAttributeAccessIssue] - the same questions
        with told_by(gateway) as session:
            answer = session.bars(ask(THURSDAY, THURSDAY, code=BUND))
    assert answer.bars
    assert answer.refusal is None
    assert set(desk.asked) == {"EUREX|1|TRADES"}


def test_where_ib_tells_nothing_of_the_contract_the_conid_is_enough(gateway: GatewaySimulator) -> None:
    gateway.faults = {"empty_contracts"}
    with told_by(gateway) as session:
        assert len(session.bars(ask(MONDAY, MONDAY)).bars) == 390
    assert requests_of(gateway)[0][2:10] == [APPLE, "", "", "", "0.0", "", "", "SMART"]


def test_without_an_answer_about_the_contract_nothing_is_guessed_or_kept(gateway: GatewaySimulator) -> None:
    gateway.faults = {"no_contracts"}
    with told_by(gateway) as session:
        with pytest.raises(BrokerSilent, match=r"did not tell what HK.00700 is within 0.5 s"):
            session.bars(ask(MONDAY, MONDAY, code=TENCENT))
        assert requests_of(gateway) == []
        gateway.faults = set()
        assert len(session.bars(ask(MONDAY, MONDAY, code=TENCENT)).bars) == 330
    assert requests_of(gateway)[0][9] == "SEHK"


# Nothing, refusals and failures ---------------------------------------------------------------------------------


def test_a_day_on_which_nothing_was_traded_is_empty_and_not_refused(gateway: GatewaySimulator) -> None:
    before = scenario().start - 30 * DAY
    with told_by(gateway) as session:
        answer = session.bars(ask(before, before + 2 * DAY))
    assert (list(answer.bars), answer.refusal) == ([], None)
    assert requests_of(gateway)


PERMISSION = "Historical Market Data Service error message:No market data permissions for NASDAQ STK"
SPANISH = (
    "Mensaje de error de los servicios de datos de mercado históricos:HMDS query returned no data: AAPL@SMART Trades"
)


@pytest.mark.parametrize(
    ("code", "text", "words"),
    [
        (162, PERMISSION, "subscribe to the market data"),
        (354, "Requested market data is not subscribed. Delayed market data is not available.", "subscribe"),
        (10090, "Part of requested market data is not subscribed.", "subscribe"),
        (10167, "Requested market data is not subscribed. Displaying delayed market data.", "subscribe"),
        (200, "No security definition has been found for the request", "has expired or was never listed"),
        (321, "Error validating request.-'bJ' : cause - What to show is missing", "(conid 265598; 321: "),
        (162, "Historical Market Data Service error message:invalid step: 1", "invalid step"),
    ],
)
def test_a_refused_instrument_says_why_and_does_not_stop_the_others(
    gateway: GatewaySimulator, code: int, text: str, words: str
) -> None:
    gateway.history.refusals[int(APPLE)] = (code, text)
    with told_by(gateway) as session:
        refused = session.bars(ask(MONDAY, MONDAY))
        other = session.bars(ask(MONDAY, MONDAY, code=TENCENT))
    assert list(refused.bars) == []
    assert refused.refusal is not None
    assert words in refused.refusal
    assert str(code) in refused.refusal
    assert "\n" not in refused.refusal
    assert other.refusal is None
    assert len(other.bars) == 330


def test_a_conid_that_nobody_knows_is_refused(gateway: GatewaySimulator) -> None:
    with told_by(gateway) as session:
        refusal = session.bars(ask(MONDAY, MONDAY, code="4711")).refusal
    assert refusal is not None
    assert "US.4711 (conid 4711; 200: No security definition" in refusal


def test_an_empty_answer_is_known_in_every_language_of_tws(gateway: GatewaySimulator) -> None:
    gateway.history.refusals[int(APPLE)] = (162, SPANISH)
    with told_by(gateway) as session:
        assert session.bars(ask(MONDAY, MONDAY)).refusal is None


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            162,
            "Historical Market Data Service error message:HMDS server disconnect occurred.  Attempting reconnection...",
        ),
        (
            162,
            "Historical Market Data Service error message:Trading TWS session is connected from a different IP address",
        ),
        (162, "Historical Market Data Service error message:API historical data query cancelled: 3"),
        (504, "Not connected"),
        (10197, "No market data during competing live session"),
    ],
)
def test_what_passes_is_neither_empty_nor_a_refusal(gateway: GatewaySimulator, code: int, text: str) -> None:
    gateway.history.refusals[int(APPLE)] = (code, text)
    advice = "end the other session of this user" if code == 10197 else "try again later"
    with (
        told_by(gateway) as session,
        pytest.raises(BrokerUnavailable, match=f"could not tell 1m bars.*{code}.*{advice}"),
    ):
        session.bars(ask(MONDAY, MONDAY))


def test_a_part_is_never_told_as_the_whole(gateway: GatewaySimulator) -> None:
    with told_by(gateway) as session:
        assert len(session.bars(ask(THURSDAY, MONDAY)).bars) == 3 * 390
        refuse_after(gateway, 1)
        answer = session.bars(ask(THURSDAY, MONDAY))
    assert list(answer.bars) == []
    assert answer.refusal is not None


def refuse_after(gateway: GatewaySimulator, count: int) -> None:
    """Refuse Apple after so many requests more."""
    until = len(requests_of(gateway)) + count

    class Later(dict[int, tuple[int, str]]):
        def __contains__(self, key: object) -> bool:
            return key == int(APPLE) and len(requests_of(gateway)) > until

        def __getitem__(self, key: int) -> tuple[int, str]:
            return 354, "Requested market data is not subscribed."

    gateway.history.refusals = Later()


def test_an_answer_that_lacks_fields_is_refused_and_not_guessed(gateway: GatewaySimulator) -> None:
    gateway.faults = {"malformed_bars"}
    with told_by(gateway) as session:
        answer = session.bars(ask(MONDAY, MONDAY))
    assert list(answer.bars) == []
    assert answer.refusal is not None
    assert "cannot be read" in answer.refusal


def test_a_request_that_is_never_answered_ends_in_time_and_is_withdrawn(gateway: GatewaySimulator) -> None:
    gateway.faults = {"no_bars"}
    begun = clock.monotonic()
    with told_by(gateway, patience=QUICK) as session:
        with pytest.raises(BrokerSilent, match=r"did not tell 1m bars of US.AAPL .* within 0.3 s"):
            session.bars(ask(MONDAY, MONDAY))
        assert clock.monotonic() - begun < 2
        gateway.faults = set()
        assert len(session.bars(ask(MONDAY, MONDAY)).bars) == 390
    assert len(requests_of(gateway, messages.CANCEL_BARS)) == 1


def test_a_lost_connection_is_told_and_the_next_ask_makes_a_new_one(gateway: GatewaySimulator) -> None:
    gateway.faults = {"drop_connection_at_bars"}
    with told_by(gateway) as session:
        with pytest.raises(BrokerUnavailable, match="ended the connection while it was asked for bars"):
            session.bars(ask(MONDAY, MONDAY))
        gateway.faults = set()
        assert len(session.bars(ask(MONDAY, MONDAY)).bars) == 390


def test_a_gateway_cut_off_from_ib_is_told(gateway: GatewaySimulator) -> None:
    gateway.faults = {"cut_off", "no_contracts"}
    with told_by(gateway) as session, pytest.raises(BrokerUnavailable, match="lost its connection to Interactive"):
        session.bars(ask(MONDAY, MONDAY))


def test_a_client_id_of_its_own_is_used_and_one_in_use_is_told(gateway: GatewaySimulator) -> None:
    gateway.faults = {"client_id_in_use"}
    with pytest.raises(BrokerRefused, match="client id 18 is in use"), told_by(gateway):
        pass


# A stock that was listed late ---------------------------------------------------------------------------------


def test_days_before_the_oldest_bar_are_not_asked_for_one_by_one(gateway: GatewaySimulator) -> None:
    first, last = scenario().start - 60 * DAY, scenario().start + DAY
    with told_by(gateway) as session:
        listed = session.bars(ask(first, last))
        asked = len(requests_of(gateway))
    gateway.faults = {"no_oldest"}
    with told_by(gateway) as session:
        assert session.bars(ask(first, last)) == listed
    assert len(listed.bars) == 2 * 390
    assert asked == 2 + 5
    assert len(requests_of(gateway)) - asked > 30, "where IB does not say it, every day is asked for"


def test_the_oldest_bar_is_asked_for_once_and_no_ask_reaches_before_it(gateway: GatewaySimulator) -> None:
    first = scenario().start
    with told_by(gateway) as session:
        assert len(session.bars(ask(first, first + DAY)).bars) == 2 * 390
        for part in range(5):
            end = first - (1 + 7 * part) * DAY
            assert list(session.bars(ask(end - 6 * DAY, end)).bars) == []
    assert len(requests_of(gateway)) == 2 + 5
    assert len(requests_of(gateway, messages.REQUEST_HEAD)) == 1


def test_many_days_without_a_trade_do_not_end_the_walk(gateway: GatewaySimulator) -> None:
    gateway.history.refusals[int(APPLE)] = (162, SPANISH)
    with told_by(gateway) as session:
        session.bars(ask(MONDAY - 27 * DAY, MONDAY))
    assert len(requests_of(gateway)) == 19
    assert len(requests_of(gateway, messages.REQUEST_HEAD)) == 1
    assert NOW.date() > MONDAY
