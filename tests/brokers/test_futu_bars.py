"""Bars over the real protocol, with the real SDK in its child process, from gateways that answer as a test says."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from apex_pipeline.brokers.contract import BarSource
from apex_pipeline.brokers.futu.simulator_wire import protobuf
from apex_pipeline.domain.market import Adjustment, Bar, BarSession, Timeframe
from apex_pipeline.errors import BrokerRefused, BrokerUnavailable, QuotaReached
from tests.brokers.futu_bar_rows import DAY, Row, ask, kline, pages, told_bars
from tests.brokers.opend_client import broker, no_limit, nothing_left_behind
from tests.brokers.opend_scripted import ACCOUNTS, HISTORY_KL, KL_QUOTA, Reply, ScriptedGateway, refuse


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_bar_is_told_by_its_beginning_with_exact_prices_as_traded(tmp_path: Path) -> None:
    told = told_bars(
        tmp_path, pages([kline("2026-11-18 09:31:00", openPrice=0.1, highPrice=0.30000000000000004)]), ask()
    )
    assert told.refusal is None
    assert told.bars == [
        Bar(
            "US.AAPL", "1m", utc("2026-11-18 14:30"), "US", Decimal("0.1"), Decimal("0.30000000000000004"),
            Decimal("10.05"), Decimal("10.2"), Decimal(7), BarSession.REGULAR, Adjustment.NONE, "FUTU",
        )
    ]  # fmt: skip
    assert all(type(price) is Decimal for price in (told.bars[0].open, told.bars[0].low))


def test_the_request_says_what_futus_own_client_says(tmp_path: Path) -> None:
    with (
        ScriptedGateway({HISTORY_KL: pages([])}) as gateway,
        broker(tmp_path, gateway.port).connect_bars(no_limit) as session,
    ):
        session.bars(ask("HK.TCH240328C300000", Timeframe.HOUR, from_date=date(2024, 1, 2), to_date=date(2024, 1, 5)))
        session.bars(ask("US.BRK.B", Timeframe.DAY))
        first, second = (request.c2s for request in gateway.asked_of(HISTORY_KL))
    assert json_format.MessageToDict(first) == {
        "rehabType": 0, "klType": 9, "security": {"market": 1, "code": "TCH240328C300000"},
        "beginTime": "2024-01-02 00:00:00", "endTime": "2024-01-05 23:59:59", "maxAckKLNum": 1000,
    }  # fmt: skip
    assert (second.security.market, second.security.code, second.klType) == (11, "BRK.B", 2)


@pytest.mark.parametrize("json_protocols", [set[int](), {HISTORY_KL}])
def test_all_pages_are_read_and_only_the_first_takes_a_budget(tmp_path: Path, json_protocols: set[int]) -> None:
    begin = datetime(2026, 11, 18, 9, 30)  # noqa: DTZ001 - a wall clock
    rows = [kline(f"{begin + timedelta(minutes=n)}") for n in range(1, 391)]
    told = [rows[:150], rows[150:300], rows[300:]]
    taken: list[str] = []
    with (
        ScriptedGateway({HISTORY_KL: pages(*told)}, json_protocols) as gateway,
        broker(tmp_path, gateway.port).connect_bars(taken.append) as session,
    ):
        answer = session.bars(ask())
    assert len(answer.bars) == 390
    assert [bar.opened_at for bar in answer.bars] == [
        utc("2026-11-18 14:30") + timedelta(minutes=n) for n in range(390)
    ]
    assert [request.c2s.nextReqKey for request in gateway.asked_of(HISTORY_KL)] == [b"", b"1", b"2"]
    assert taken == ["futu:Qot_RequestHistoryKL"]


def test_blank_rows_are_no_bars_and_a_volume_of_zero_is_one(tmp_path: Path) -> None:
    blank = {"time": "2026-11-18 09:32:00", "isBlank": True}
    told = told_bars(
        tmp_path, pages([blank, kline("2026-11-18 09:31:00", volume=0), kline("2026-11-18 09:33:00")]), ask()
    )
    assert [(bar.opened_at.minute, bar.volume) for bar in told.bars] == [(30, Decimal(0)), (32, Decimal(7))]


@pytest.mark.parametrize(
    ("fields", "volume"),
    [({"volume": 2**53 + 1}, Decimal(2**53 + 1)), ({"hpVolume": 0.25}, Decimal("0.25")), ({"volume": None}, None)],
)
def test_the_volume_is_as_exact_as_it_is_told(tmp_path: Path, fields: Row, volume: Decimal | None) -> None:
    told = told_bars(tmp_path, pages([kline("2026-11-18 09:31:00", **fields)]), ask())
    assert [bar.volume for bar in told.bars] == [volume]


def test_what_stands_at_the_opening_is_a_bar_only_if_something_was_traded(tmp_path: Path) -> None:
    rows = [
        kline("2026-11-18 09:30:00", volume=0),
        kline("2026-11-18 13:00:00", volume=9),
        kline("2026-11-18 14:00:00"),
    ]
    told = told_bars(tmp_path, pages(rows), ask("HK.00700", Timeframe.HOUR))
    assert [(bar.opened_at, bar.session) for bar in told.bars] == [
        (utc("2026-11-18 04:00"), BarSession.EXTENDED),
        (utc("2026-11-18 05:00"), BarSession.REGULAR),
    ]


def test_daily_bars_begin_at_midnight_of_their_day_whatever_the_epoch_says(tmp_path: Path) -> None:
    days = {"from_date": date(2026, 10, 30), "to_date": date(2026, 11, 2)}
    rows = [kline("2026-10-30 00:00:00", timestamp=1793332800.0), kline("2026-11-02")]
    told = told_bars(tmp_path, pages(rows), ask("US.AAPL", Timeframe.DAY, **days))
    assert [bar.opened_at for bar in told.bars] == [utc("2026-10-30 04:00"), utc("2026-11-02 05:00")]


def test_the_text_decides_where_its_zone_is_documented_and_elsewhere_the_epoch(tmp_path: Path) -> None:
    seven_minutes_later = utc("2026-11-18 14:38").timestamp()
    told = told_bars(tmp_path, pages([kline("2026-11-18 09:31:00", timestamp=seven_minutes_later)]), ask())
    assert [bar.opened_at for bar in told.bars] == [utc("2026-11-18 14:30")]
    in_hong_kong_time = kline("2026-11-18 08:01:00", timestamp=utc("2026-11-18 00:01").timestamp())
    told = told_bars(tmp_path, pages([in_hong_kong_time, kline("2026-11-18 09:02:00")]), ask("JP.7203"))
    assert [bar.opened_at for bar in told.bars] == [utc("2026-11-18 00:00"), utc("2026-11-18 00:01")]


def test_bars_come_oldest_first_each_once_and_of_the_asked_days_only(tmp_path: Path) -> None:
    rows = [
        kline(f"2026-11-{day} 09:{minute}:00") for day, minute in ((18, 32), (18, 31), (18, 32), (17, 31), (19, 31))
    ]
    told = told_bars(tmp_path, pages(rows), ask())
    assert [bar.opened_at for bar in told.bars] == [utc("2026-11-18 14:30"), utc("2026-11-18 14:31")]


QUOTA = [
    "历史K线额度不足，请求失败（已用正股额度：100/100，期权额度：0/20）。额度会在7天后全部释放。",
    "Insufficient historical candlestick quota, request failed",
]
REFUSALS = [
    "无权限获取US.AAPL的行情，请检查美国市场股票行情权限",
    "No right to get the quote for US.AAPL",
    "未知股票 AAPL",
]


def for_one_code(code: str, text: str) -> Reply:
    def reply(request: Any, response: Any) -> None:
        refused = request.c2s.security.code == code
        (refuse(text) if refused else pages([kline("2026-11-18 09:31:00")]))(request, response)

    return reply


@pytest.mark.parametrize("text", REFUSALS)
def test_an_instrument_that_is_refused_says_why_and_stops_no_other(tmp_path: Path, text: str) -> None:
    with (
        ScriptedGateway({HISTORY_KL: for_one_code("AAPL", text)}) as gateway,
        broker(tmp_path, gateway.port).connect_bars(no_limit) as session,
    ):
        refused, told = session.bars(ask()), session.bars(ask("US.MSFT"))
    assert refused.bars == ()
    assert refused.refusal is not None
    assert text in refused.refusal
    assert "\n" not in refused.refusal
    assert (len(told.bars), told.refusal) == (1, None)


@pytest.mark.parametrize("text", QUOTA)
def test_a_quota_that_is_used_up_is_no_refusal_of_the_instrument(tmp_path: Path, text: str) -> None:
    with (
        ScriptedGateway({HISTORY_KL: for_one_code("AAPL", text)}) as gateway,
        broker(tmp_path, gateway.port).connect_bars(no_limit) as session,
    ):
        with pytest.raises(QuotaReached, match=r"OpenD refused 1m bars of US\.AAPL"):
            session.bars(ask())
        assert len(session.bars(ask("US.MSFT")).bars) == 1, "what was asked for before is still told"


@pytest.mark.parametrize(
    "row",
    [
        kline("2026-11-18 09:31:00", closePrice=None),
        kline("18/11/2026"),
        kline("2026-11-18 09:31:00", openPrice=float("nan")),
    ],
)
def test_a_row_that_cannot_be_read_is_refused_and_not_left_out(tmp_path: Path, row: Row) -> None:
    told = told_bars(tmp_path, pages([kline("2026-11-18 09:32:00"), row]), ask())
    assert told.bars == ()
    assert told.refusal is not None
    assert "cannot be read" in told.refusal


def test_a_rate_limit_waits_out_a_window_and_asks_the_same_again(tmp_path: Path) -> None:
    limited = iter([True, False])

    def reply(request: Any, response: Any) -> None:
        busy = refuse("获取历史K线频率太高，请求失败，每30秒最多60次。")
        (busy if next(limited) else pages([kline("2026-11-18 09:31:00")]))(request, response)

    assert len(told_bars(tmp_path, reply, ask()).bars) == 1


def no_progress(request: Any, response: Any) -> None:
    pages([kline("2026-11-18 09:31:00")])(request, response)
    response.s2c.nextReqKey = b"0"


def nothing_and_more(request: Any, response: Any) -> None:
    pages([])(request, response)
    response.s2c.nextReqKey = b"again"


def another_instrument(request: Any, response: Any) -> None:
    pages([kline("2026-11-18 09:31:00")])(request, response)
    response.s2c.security.code = "MSFT"


@pytest.mark.parametrize(
    ("reply", "match"),
    [
        (refuse("网络中断"), "lost its connection to Futu"),
        (refuse("账号未登录，请重新登录"), "log in to OpenD again"),
        (refuse("获取历史K线频率太高"), "still limits"),
        (refuse("NN_ProtoRet_TimeOut"), "TimeOut"),
        (no_progress, "does not go on"),
        (nothing_and_more, "does not go on"),
        (another_instrument, "another instrument"),
    ],
)
def test_what_is_no_matter_of_one_instrument_is_raised(tmp_path: Path, reply: Reply, match: str) -> None:
    with nothing_left_behind(), pytest.raises(BrokerUnavailable, match=match):
        told_bars(tmp_path, reply, ask())


def test_an_opend_without_the_interface_is_refused_to_all(tmp_path: Path) -> None:
    with pytest.raises(BrokerRefused, match="update OpenD"):
        told_bars(tmp_path, refuse("未知的协议ID"), ask())


def test_the_quote_server_and_the_trading_server_lose_their_logins_apart(tmp_path: Path) -> None:
    def fetched(trading: bool, quotes: bool) -> int:
        status = {"type": 3, "connectStatus": {"qotLogined": quotes, "trdLogined": trading}}
        with ScriptedGateway({HISTORY_KL: pages([kline("2026-11-18 09:31:00")])}) as gateway:
            gateway.notices[HISTORY_KL] = json_format.ParseDict(
                {"retType": 0, "s2c": status}, protobuf("Notify_pb2").Response()
            )
            with broker(tmp_path, gateway.port).connect_bars(no_limit) as session:
                return len(session.bars(ask()).bars)

    assert fetched(trading=False, quotes=True) == 1
    with pytest.raises(BrokerUnavailable, match="quote server is not connected"):
        fetched(trading=True, quotes=False)


def test_a_session_for_bars_asks_for_no_accounts(tmp_path: Path) -> None:
    with ScriptedGateway({ACCOUNTS: refuse("no trading here")}) as gateway:
        with broker(tmp_path, gateway.port).connect_bars(no_limit):
            pass
        with pytest.raises(BrokerRefused, match="no trading here"), broker(tmp_path, gateway.port).connect(no_limit):
            pass
    assert len(gateway.asked_of(ACCOUNTS)) == 1


def test_the_quota_names_what_was_asked_for_and_what_is_left(tmp_path: Path) -> None:
    def reply(request: Any, response: Any) -> None:
        assert request.c2s.bGetDetail
        response.s2c.usedQuota, response.s2c.remainQuota = 2, 98
        for market, code in ((1, "00700"), (11, ".SPX")):
            item = response.s2c.detailList.add(requestTime="2026-11-18 10:00:00")
            item.security.market, item.security.code = market, code

    taken: list[str] = []
    with (
        ScriptedGateway({KL_QUOTA: reply}) as gateway,
        broker(tmp_path, gateway.port).connect_bars(taken.append) as session,
    ):
        told = session.quota()
    assert told is not None
    assert (told.remaining, told.asked) == (98, {"HK.00700", "US..SPX"})
    assert taken == ["futu:Qot_RequestHistoryKLQuota"]


OFFERED: list[tuple[str, Timeframe, bool]] = [
    ("US.AAPL", Timeframe.MINUTE, True),
    ("HK.00700", Timeframe.HALF_HOUR, True),
    ("HK.800000", Timeframe.MINUTE, True),
    ("SH.600519", Timeframe.HOUR, True),
    ("SZ.000001", Timeframe.DAY, True),
    ("SG.D05", Timeframe.DAY, True),
    ("JP.7203", Timeframe.MINUTE, True),
    ("US.AAPL261218C150000", Timeframe.MINUTE, True),
    ("US.AAPL261218C150000", Timeframe.HALF_HOUR, False),
    ("HK.HSI2612", Timeframe.DAY, True),
    ("HK.HSI2612", Timeframe.MINUTE, False),
    ("US..SPX", Timeframe.DAY, False),
    ("US.PEP260918P120/261120P120", Timeframe.DAY, False),
    ("FX.USDHKD", Timeframe.DAY, False),
    ("AU.BHP", Timeframe.DAY, False),
    ("265598", Timeframe.DAY, False),
]


@pytest.mark.parametrize(("code", "timeframe", "expected"), OFFERED)
def test_what_futu_documents_is_offered_and_what_it_does_not_have_is_never_asked(
    tmp_path: Path, code: str, timeframe: Timeframe, *, expected: bool
) -> None:
    source: BarSource = broker(tmp_path, 1)
    assert source.offers(ask(code, timeframe), DAY) is expected
    if not expected:
        with ScriptedGateway({}) as gateway, broker(tmp_path, gateway.port).connect_bars(no_limit) as session:
            assert session.bars(ask(code, timeframe)).refusal
        assert gateway.asked_of(HISTORY_KL) == []


@pytest.mark.parametrize(("timeframe", "years"), [(Timeframe.MINUTE, 8), (Timeframe.HOUR, 8), (Timeframe.DAY, 20)])
def test_bars_are_offered_as_far_back_as_futu_documents(tmp_path: Path, timeframe: Timeframe, years: int) -> None:
    oldest = DAY - timedelta(days=365 * years)
    offers: Callable[..., bool] = broker(tmp_path, 1).offers
    assert offers(ask(timeframe=timeframe, day=oldest), DAY)
    assert offers(ask(timeframe=timeframe, from_date=date(2000, 1, 1), to_date=DAY), DAY)
    assert not offers(ask(timeframe=timeframe, day=oldest - timedelta(days=1)), DAY)
    assert not offers(ask(timeframe=timeframe, day=DAY + timedelta(days=1)), DAY)
