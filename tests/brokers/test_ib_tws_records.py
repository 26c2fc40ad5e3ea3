"""What a gateway told becomes records: times and days, accounts, snapshots, and what is told about the rest."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from apex_pipeline.brokers.ib.tws_client import TwsAnswers
from apex_pipeline.brokers.ib.tws_records import DATA_TYPE
from apex_pipeline.brokers.ib.tws_snapshots import tws_balances, tws_instruments, tws_positions
from apex_pipeline.brokers.ib.tws_time import instant_of_execution, login_zone, zone_named
from apex_pipeline.domain.models import AssetClass
from apex_pipeline.domain.records import Record, RecordKind
from apex_pipeline.errors import UnknownPayload
from tests.brokers.ib.gateways import (
    ACCOUNT,
    OPTION,
    STOCK,
    TOLD_AT,
    answers,
    commission,
    execution,
    provisional,
    records_of,
)

OPENED = datetime(2026, 3, 10, 13, 31, 5, tzinfo=UTC)
NEW_YORK = zone_named("US/Eastern")


@pytest.mark.parametrize(
    "text",
    [
        "20260310 09:31:05 US/Eastern", "20260310  09:31:05 America/New_York", "20260310 14:31:05 MET",
        "20260310 14:31:05 Europe/Berlin", "20260310-13:31:05", "20260310 13:31:05 UTC", "20260310 21:31:05 Hongkong",
        "20260310 21:31:05 HKT", "20260310 09:31:05 EST", "2026-03-10 09:31:05.0", "20260310  09:31:05", "1773149465",
        "20260310 09:31:05.123 US/Eastern", "20260310 09:31:05 Eastern Standard Time",
    ],
)  # fmt: skip
def test_every_form_of_a_time_names_one_instant(text: str) -> None:
    assert instant_of_execution(text, NEW_YORK) == OPENED


@pytest.mark.parametrize("text", ["20260310 09:31:05 Mars/Olympus", "20260310 09:31:05 CST", "20261340 09:31:05", ""])
def test_a_time_that_is_not_certain_is_unknown(text: str) -> None:
    assert instant_of_execution(text, NEW_YORK) is None


def test_a_bare_time_is_unknown_where_the_zone_of_the_login_is() -> None:
    assert instant_of_execution("20260310  09:31:05", None) is None
    assert instant_of_execution("20260310-13:31:05", None) == OPENED


NOW = str(int(TOLD_AT.timestamp()))


@pytest.mark.parametrize(
    ("greeting", "clock", "offset"),
    [
        ("20260310 16:30:00 EST", "", -4),
        ("20260310 16:30:00 US/Eastern", NOW, -4),
        ("20260310 16:30:00", NOW, -4),
        ("20260311 04:30:11 CST", NOW, 8),
        ("20260310 15:29:30 CST", NOW, -5),
        ("20260310 21:30:00 Central European Standard Time", "", 1),
    ],
)
def test_the_zone_of_the_login_is_told_by_its_name_or_else_by_its_clock(greeting: str, clock: str, offset: int) -> None:
    zone = login_zone(greeting, clock)
    assert zone is not None
    assert TOLD_AT.astimezone(zone).utcoffset() == timedelta(hours=offset)


@pytest.mark.parametrize(
    ("greeting", "clock"),
    [
        ("", NOW),
        ("now", NOW),
        ("20250310 16:30:00", NOW),
        ("20260310 16:37:30", NOW),
        ("20260310 16:30:00 CST", ""),
    ],
)
def test_a_clock_that_tells_no_zone_is_not_trusted(greeting: str, clock: str) -> None:
    assert login_zone(greeting, clock) is None


def test_an_unusual_clock_is_taken_as_its_distance_from_utc() -> None:
    assert login_zone("20260311 02:15:00", NOW) == timezone(timedelta(hours=5, minutes=45))


def test_without_any_zone_new_york_is_assumed_and_said() -> None:
    told = records_of(execution(time="20260310  09:31:05"), greeting="", current_time="")
    assert provisional(told)[0].payload["executedAt"] == OPENED.isoformat()
    assert any("New York is assumed" in note for note in told.notes)
    control = records_of(execution(time="20260310  09:31:05"))
    assert not any("New York is assumed" in note for note in control.notes)


HK_STOCK = {
    **STOCK,
    "symbol": "700",
    "localSymbol": "700",
    "exchange": "SEHK",
    "currency": "HKD",
    "tradingClass": "700",
}
FOREX = {**STOCK, "secType": "CASH", "symbol": "EUR", "localSymbol": "EUR.USD", "exchange": "IDEALPRO"}

FUTURE = {**STOCK, "conId": "7", "secType": "FUT", "symbol": "ES", "localSymbol": "ESZ6", "multiplier": "50",
          "exchange": "CME", "lastTradeDateOrContractMonth": "20261218"}  # fmt: skip


@pytest.mark.parametrize(
    ("contract", "time", "day"),
    [
        (STOCK, "20260310 19:59:00 US/Eastern", date(2026, 3, 10)),
        (HK_STOCK, "20260309 21:31:05 US/Eastern", date(2026, 3, 10)),
        (HK_STOCK, "20260310 03:59:00 US/Eastern", date(2026, 3, 10)),
        (FOREX, "20260310 16:59:59 US/Eastern", date(2026, 3, 10)),
        (FOREX, "20260310 17:00:00 US/Eastern", date(2026, 3, 11)),
        (FOREX, "20260308 17:15:00 US/Eastern", date(2026, 3, 9)),
        (FOREX, "20260306-22:30:00", date(2026, 3, 9)),
        (FUTURE, "20260310 16:59:59 US/Eastern", date(2026, 3, 10)),
        (FUTURE, "20260308 18:00:01 US/Eastern", date(2026, 3, 9)),
    ],
)
def test_the_business_date_is_that_of_the_market(contract: dict[str, str], time: str, day: date) -> None:
    (record,) = provisional(records_of(execution(contract, time=time)))
    assert record.business_date == day


def test_an_execution_is_a_record_under_its_id_with_all_that_was_sent() -> None:
    row = execution(orderRef="swing")
    told = records_of(row, commissions=(commission(),))
    fill, cost = provisional(told)
    assert (fill.key, fill.order_id, fill.account_id) == ("0000e0d5.68a00001.01.01", "P1700000001", ACCOUNT)
    ours = {"_source": "TWS", "_root": "0000e0d5.68a00001.01", "executedAt": OPENED.isoformat()}
    assert fill.payload == {**row, **ours}
    assert (cost.key, cost.order_id) == (f"{fill.key}/commission", fill.order_id)
    assert cost.payload["commission"] == "1.0055"
    assert cost.business_date == fill.business_date


def test_every_text_of_the_answers_is_in_the_document_and_the_request_names_the_gateway() -> None:
    told = records_of(execution(), commissions=(commission(),))
    (document,) = told.documents
    assert document.interface == "tws"
    assert document.request == {"service": "tws", "host": "127.0.0.1", "port": 4001, "client_id": 17}
    read = json.loads(document.content.whole())
    assert read["executions"] == [execution()]
    assert read["commissions"] == [commission()]


def test_the_day_is_covered_for_every_account_of_the_login() -> None:
    told = records_of(execution(), accounts=(ACCOUNT, "U2"))
    first, second = told.covered
    assert (first.data_type, first.from_date, first.to_date) == (DATA_TYPE, date(2026, 3, 10), date(2026, 3, 10))
    assert (first.account_id, first.last_record_at, second.account_id) == (ACCOUNT, OPENED, "U2")
    assert (first.records, second.records) == (2, 1)


def test_an_execution_without_an_account_belongs_to_the_only_one_but_not_to_one_of_two() -> None:
    assert provisional(records_of(execution(acctNumber="")))[0].account_id == ACCOUNT
    told = records_of(execution(acctNumber=""), accounts=(ACCOUNT, "U2"))
    assert provisional(told) == []
    assert any("without a name" in note for note in told.notes)


def test_an_unreadable_time_rejects_its_execution_only() -> None:
    told = records_of(execution(time="soon"), execution(execId="0000e0d5.68a00002.01.01"))
    assert [(item.key, item.reason_code) for item in told.rejects] == [("0000e0d5.68a00001.01.01", "bad_time")]
    assert len(provisional(told)) == 1


def position(contract: dict[str, str], qty: str, cost: str) -> dict[str, object]:
    return {"account": ACCOUNT, "contract": contract, "position": qty, "avgCost": cost}


def snapshot(kind: RecordKind, told: TwsAnswers) -> Record:
    from tests.brokers.ib.gateways import ENDPOINT, deliver

    (record,) = [record for record in deliver(told, ENDPOINT).records if record.kind is kind]
    return record


def test_positions_cost_per_unit_of_the_underlying() -> None:
    rows = (
        position(STOCK, "100", "200.51234567"), position(OPTION, "-2", "433.9945"), position(FUTURE, "1", "302502.1"),
        position({**STOCK, "conId": "9"}, "0", "0"),
    )  # fmt: skip
    record = snapshot(RecordKind.POSITIONS, answers(positions=rows))
    held = {item.symbol: item for item in tws_positions(record)}
    assert {symbol: (item.qty, item.average_cost) for symbol, item in held.items()} == {
        "US.AAPL": (Decimal(100), Decimal("200.51234567")),
        "US.AAPL 2026-09-18 C 132.5": (Decimal(-2), Decimal("4.339945")),
        "US.ESZ6": (Decimal(1), Decimal("6050.042")),
    }
    assert (record.key, held["US.AAPL"].as_of, held["US.AAPL"].source) == ("tws:2026-03-10", TOLD_AT, "TWS")
    assert {item.ib_conid for item in tws_instruments(record)} >= {"265598", "700001", "7"}


def test_an_empty_list_of_positions_is_a_snapshot_of_nothing_and_none_is_no_snapshot() -> None:
    record = snapshot(RecordKind.POSITIONS, answers(positions=()))
    assert record.payload == {"_source": "TWS", "asOf": TOLD_AT.isoformat(), "rows": []}
    assert tws_positions(record) == []
    assert [item for item in records_of(positions=None).records if item.kind is RecordKind.POSITIONS] == []


def test_a_position_without_a_quantity_is_not_guessed() -> None:
    record = snapshot(RecordKind.POSITIONS, answers(positions=(position(STOCK, "", "1"),)))
    with pytest.raises(UnknownPayload):
        tws_positions(record)


def values(*told: tuple[str, str, str]) -> tuple[dict[str, str], ...]:
    return tuple({"account": ACCOUNT, "tag": tag, "value": value, "currency": unit} for tag, value, unit in told)


def test_cash_is_told_by_currency_and_totals_stand_on_the_base_currency_only() -> None:
    told = values(
        ("AccountType", "INDIVIDUAL", ""), ("NetLiquidation", "129000.50", "USD"), ("TotalCashValue", "90000", "USD"),
        ("CashBalance", "90000", "BASE"), ("TotalCashBalance", "80000.25", "USD"), ("CashBalance", "80000.25", "USD"),
        ("TotalCashBalance", "-78125", "HKD"), ("StockMarketValue", "40000.50", "BASE"),
        ("OptionMarketValue", "-1000", "BASE"), ("StockMarketValue", "1", "HKD"),
    )  # fmt: skip
    found = tws_balances(snapshot(RecordKind.BALANCES, answers(summary=told)))
    assert [(item.currency, item.cash, item.net_liquidation, item.market_value) for item in found] == [
        ("HKD", Decimal(-78125), None, None),
        ("USD", Decimal("80000.25"), Decimal("129000.50"), Decimal("39000.50")),
    ]


def test_without_cash_by_currency_the_total_stands_on_the_base_currency() -> None:
    told = values(("NetLiquidation", "5000", "EUR"), ("TotalCashValue", "1000", "EUR"))
    (found,) = tws_balances(snapshot(RecordKind.BALANCES, answers(summary=told)))
    assert (found.currency, found.cash, found.net_liquidation, found.market_value) == (
        "EUR", Decimal(1000), Decimal(5000), None,
    )  # fmt: skip


def test_an_account_of_which_no_value_is_told_has_no_snapshot_of_balances() -> None:
    assert [item for item in records_of(summary=()).records if item.kind is RecordKind.BALANCES] == []


def test_the_class_of_a_contract_is_that_of_the_statement() -> None:
    record = snapshot(RecordKind.POSITIONS, answers(positions=(position(FOREX, "1000", "1.08"),)))
    (found,) = tws_positions(record)
    assert (found.symbol, found.asset_class) == ("FX.EUR.USD", AssetClass.FX)
