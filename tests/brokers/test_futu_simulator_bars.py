"""The K-lines of the OpenD simulator, told to the real futu-api client, to a bare socket and to our own session."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from apex_pipeline.brokers.futu.bar_times import midnight
from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.futu.simulator_messages import wire_code
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.brokers.scenario_minutes import Minutes
from apex_pipeline.domain.market import Timeframe
from apex_pipeline.domain.models import AssetClass
from apex_pipeline.errors import QuotaReached
from tests.brokers.futu_bar_rows import ask
from tests.brokers.opend_client import TODAY, broker, no_limit
from tests.brokers.opend_socket import OpenDSocket
from tests.brokers.test_futu_simulator import ask_sdk, rows

KL, QUOTA = 3103, 3104
MINUTE, DAY, HALF_HOUR = 1, 2, 8


def history(client: OpenDSocket, code: str = "AAPL", kind: int = MINUTE, day: str = "2026-11-19", **more: Any) -> Any:
    security = {"market": 11 if code[0].isalpha() else 1, "code": code}
    asked = {"rehabType": 0, "klType": kind, "security": security, "beginTime": day, "endTime": day, **more}
    return client.ask(KL, **asked)


def test_the_real_client_reads_every_page_and_the_quota(scenario: Scenario, tmp_path: Path) -> None:
    days = {"start": "2026-11-16", "end": "2026-11-20", "ktype": "K_1M", "autype": "None"}
    calls: list[dict[str, Any]] = [
        {"call": "request_history_kline", "code": "US.AAPL", **days, "max_count": None},
        {"call": "request_history_kline", "code": "HK.00700", **days, "max_count": 400},
        {"call": "request_history_kline", "code": "US.NOPE", **days},
        {"call": "get_history_kl_quota", "get_detail": True},
    ]
    with OpenDSimulator(scenario) as running:
        whole, page, unknown, quota = ask_sdk(running.port, calls, tmp_path, quotes=True)
        again = {**calls[1], "page_req_key": page["next"]}
        (following,) = ask_sdk(running.port, [again], tmp_path, quotes=True)
    labels = [row["time_key"] for row in rows(whole)]
    assert (len(labels), labels[0], labels[389]) == (5 * 390, "2026-11-16 09:31:00", "2026-11-16 16:00:00")
    assert "next" not in whole
    assert [row["time_key"] for row in (rows(page)[-1], rows(following)[0])] == [
        "2026-11-17 10:40:00", "2026-11-17 10:41:00"
    ]  # fmt: skip
    assert unknown == {"ret": -1, "text": "Unknown stock. NOPE"}
    used, left, detail = quota["rows"]
    assert (used, left, [item["code"] for item in detail]) == (2, 98, ["US.AAPL", "HK.00700"])


def test_a_session_gets_more_than_a_thousand_bars_exactly_as_they_are(scenario: Scenario, tmp_path: Path) -> None:
    wanted = ask(from_date=date(2026, 10, 26), to_date=TODAY)
    minutes = Minutes(scenario)
    contract = next(c for c in minutes.contracts if c.code == "AAPL" and c.strike is None)
    days = minutes.days(contract, wanted.from_date, wanted.to_date)
    truth = [stretch for day in days for stretch in minutes.stretches(contract, day, 1)]
    with OpenDSimulator(scenario) as running, broker(tmp_path, running.port).connect_bars(no_limit) as session:
        told = session.bars(wanted)
        running.fault_times["drop_inside_frame"] = 1
        running.faults.add("drop_inside_frame")
        again = session.bars(wanted)
        pages = [request for request in running.requests if request.proto_id == KL]
    assert len(told.bars) == len(truth) == 20 * 390
    assert len(pages) == 8 + 1 + 8
    for bar, stretch in zip(told.bars, truth, strict=True):
        assert stretch.trading is not None
        assert (bar.opened_at, bar.close, bar.volume) == (
            stretch.begins_at, stretch.trading.close, stretch.trading.volume
        )  # fmt: skip
        assert (bar.open, bar.high, bar.low) == (stretch.trading.open, stretch.trading.high, stretch.trading.low)
    assert again == told


@pytest.mark.parametrize("timeframe", list(Timeframe))
def test_bars_of_every_length_begin_where_the_stretches_of_the_session_do(tmp_path: Path, timeframe: Timeframe) -> None:
    scenario = generate(7, 60, 400, date(2026, 11, 30))
    minutes = Minutes(scenario)
    with OpenDSimulator(scenario) as running, broker(tmp_path, running.port).connect_bars(no_limit) as session:
        for market, code in (("US", "AAPL"), ("HK", "00700")):
            contract = next(c for c in minutes.contracts if (c.market, c.code, c.strike) == (market, code, None))
            for day in (date(2026, 10, 30), date(2026, 11, 2), date(2026, 11, 27), date(2025, 12, 24)):
                told = session.bars(ask(f"{market}.{code}", timeframe, day)).bars
                if timeframe is Timeframe.DAY:
                    expected = [midnight(day, market)]
                else:
                    length = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60}[timeframe.value]
                    expected = [stretch.begins_at for stretch in minutes.stretches(contract, day, length)]
                assert [bar.opened_at for bar in told] == expected


def test_every_deal_lies_inside_the_bar_of_its_minute(scenario: Scenario, tmp_path: Path) -> None:
    fills = [fill for order in scenario.orders for fill in order.fills][:40]
    with OpenDSimulator(scenario) as running, broker(tmp_path, running.port).connect_bars(no_limit) as session:
        for fill in fills:
            code = f"{fill.contract.market}.{wire_code(fill.contract)}"
            bars = session.bars(ask(code, day=fill.trade_date)).bars
            (own,) = [bar for bar in bars if bar.opened_at <= fill.at < bar.opened_at + timedelta(minutes=1)]
            assert own.low <= fill.price <= own.high
    assert {fill.contract.asset_class for fill in fills} == {AssetClass.STOCK, AssetClass.OPTION}


def test_a_row_says_its_end_in_both_ways_and_a_day_its_midnight(scenario: Scenario) -> None:
    with OpenDSimulator(scenario) as running, OpenDSocket(running.port) as client:
        minute = history(client).s2c.klList[0]
        day = history(client, "00700", DAY).s2c.klList[0]
    assert (minute.time, minute.timestamp) == ("2026-11-19 09:31:00", 1795098660.0)
    assert (day.time, day.timestamp) == ("2026-11-19 00:00:00", 1795017600.0)
    assert datetime.fromisoformat("2026-11-19T09:31:00-05:00").timestamp() == minute.timestamp
    assert datetime.fromisoformat("2026-11-19T00:00:00+08:00").timestamp() == day.timestamp


def test_fields_and_times_that_were_not_asked_for_are_left_out(scenario: Scenario) -> None:
    times: dict[str, Any] = {"beginTime": "2026-11-19 10:00:00", "endTime": "2026-11-19 10:02:00"}
    with OpenDSimulator(scenario) as running, OpenDSocket(running.port) as client:
        told = history(client, needKLFieldsFlag=8 | 32, **times).s2c.klList
    assert [row.time[-8:] for row in told] == ["10:00:00", "10:01:00", "10:02:00"]
    assert set(json_format.MessageToDict(told[0])) == {"time", "isBlank", "timestamp", "closePrice", "volume"}


def test_an_option_tells_blank_minutes_which_are_no_bars(scenario: Scenario, tmp_path: Path) -> None:
    fill = next(
        f for o in scenario.orders for f in o.fills
        if f.contract.asset_class == AssetClass.OPTION and f.contract.market == "US"
    )  # fmt: skip
    code = wire_code(fill.contract)
    with OpenDSimulator(scenario) as running:
        with OpenDSocket(running.port) as client:
            told = history(client, code, day=str(fill.trade_date)).s2c.klList
            refused = history(client, code, HALF_HOUR, day=str(fill.trade_date))
        with broker(tmp_path, running.port).connect_bars(no_limit) as session:
            bars = session.bars(ask(f"US.{code}", day=fill.trade_date)).bars
    blank = [row for row in told if row.isBlank]
    assert blank
    assert all(set(json_format.MessageToDict(row)) == {"time", "isBlank", "timestamp"} for row in blank)
    assert len(bars) == len(told) - len(blank) > 0
    assert refused.retType == -1


def test_the_quota_counts_instruments_once_and_then_refuses_new_ones(scenario: Scenario, tmp_path: Path) -> None:
    with (
        OpenDSimulator(scenario, kl_quota=2, language="zh") as running,
        broker(tmp_path, running.port).connect_bars(no_limit) as session,
    ):
        assert all(session.bars(ask(f"US.{code}", Timeframe.DAY)).bars for code in ("AAPL", "MSFT"))
        with pytest.raises(QuotaReached, match="历史K线额度不足"):
            session.bars(ask("US.NVDA", Timeframe.DAY))
        assert session.bars(ask("US.AAPL", Timeframe.DAY)).bars
        quota = session.quota()
    assert quota is not None
    assert (quota.remaining, quota.asked) == (0, {"US.AAPL", "US.MSFT"})


def test_first_pages_are_limited_and_later_ones_are_not(scenario: Scenario) -> None:
    with OpenDSimulator(scenario, limits={KL: 3}) as running, OpenDSocket(running.port) as client:
        first = history(client, maxAckKLNum=10)
        for _ in range(5):
            first = history(client, maxAckKLNum=10, nextReqKey=json_format.MessageToDict(first.s2c)["nextReqKey"])
            assert (first.retType, len(first.s2c.klList)) == (0, 10)
        assert [history(client).retType for _ in range(3)] == [0, 0, -1]
        assert history(client).retMsg.endswith("at most 3 times every 30 seconds.")
        assert running.violations == [(KL, 0), (KL, 0)]


def test_a_session_waits_out_the_limit(scenario: Scenario, tmp_path: Path) -> None:
    with (
        OpenDSimulator(scenario, time_scale=60, limits={KL: 2}) as running,
        broker(tmp_path, running.port, window_seconds=0.6).connect_bars(no_limit) as session,
    ):
        told = [session.bars(ask(timeframe=Timeframe.DAY)) for _ in range(5)]
        assert len(running.violations) >= 1
    assert [len(answer.bars) for answer in told] == [1] * 5


def test_a_market_without_quotes_is_refused_in_the_words_of_opend(scenario: Scenario, tmp_path: Path) -> None:
    with (
        OpenDSimulator(scenario, quote_markets=["HK"]) as running,
        broker(tmp_path, running.port).connect_bars(no_limit) as session,
    ):
        refused, told = session.bars(ask()), session.bars(ask("HK.00700"))
    assert "No right to get the quote for US.AAPL" in (refused.refusal or "")
    assert len(told.bars) == 330


@pytest.mark.parametrize(
    "more", [{"beginTime": "yesterday"}, {"kind": 99}, {"code": "ZZZ"}, {"nextReqKey": "bm9uc2Vuc2U="}]
)
def test_what_cannot_be_meant_is_refused_and_the_connection_goes_on(scenario: Scenario, more: dict[str, Any]) -> None:
    with OpenDSimulator(scenario) as running, OpenDSocket(running.port) as client:
        assert history(client, **more).retType == -1
        assert history(client).retType == 0


def test_a_day_without_a_session_has_no_bars(scenario: Scenario, tmp_path: Path) -> None:
    with OpenDSimulator(scenario) as running, broker(tmp_path, running.port).connect_bars(no_limit) as session:
        sunday = session.bars(ask(day=date(2026, 11, 15)))
        monday = session.bars(ask(day=date(2026, 11, 16)))
    assert (sunday.bars, sunday.refusal) == ([], None)
    assert len(monday.bars) == 390
    assert all(bar.volume and bar.volume > Decimal(0) for bar in monday.bars)
