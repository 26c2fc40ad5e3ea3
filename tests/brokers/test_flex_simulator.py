"""The Flex simulator must keep the service's habits, and its statements must tell the scenario exactly."""

import os
import re
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from http.client import IncompleteRead
from pathlib import Path
from threading import Thread
from time import process_time, sleep
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from apex_pipeline.brokers.ib.simulator import FlexSimulator
from apex_pipeline.brokers.ib.statement_rows import TRADE_ATTRIBUTES
from apex_pipeline.brokers.ib.statement_writer import StatementWriter
from apex_pipeline.brokers.scenario import Scenario, truth
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.models import Broker

END = date(2026, 7, 31)
NOW = datetime(2026, 8, 1, 10, 0, tzinfo=UTC)
TOKEN, QUERY = "a-secret-token-4711", "998877"
Rows = list[dict[str, str]]


@cache
def scenario() -> Scenario:
    return generate(1, 2000, 365, END)


@cache
def small() -> Scenario:
    return generate(4, 60, 60, END)


@cache
def whole() -> bytes:
    return StatementWriter(scenario()).render(scenario().start, END, NOW)


def rows(body: bytes, element: str) -> Rows:
    return [dict(found.attrib) for found in ET.fromstring(body).iter(element) if found.attrib]


@cache
def executions() -> Rows:
    return rows(whole(), "Trade")


def whole_positions() -> Rows:
    return [r for r in rows(whole(), "OpenPosition") if r["levelOfDetail"] == "SUMMARY"]


@pytest.fixture
def service() -> Iterator[FlexSimulator]:
    with FlexSimulator(small(), TOKEN, QUERY, time_scale=500, expired_tokens=["old"]) as simulator:
        yield simulator


def get(service: FlexSimulator, call: str, agent: str = "Python/3.11", **parameters: str) -> bytes:
    sleep(0.004)
    query = urlencode({"t": TOKEN, "v": "3"} | parameters)
    with urlopen(Request(f"{service.url}/{call}?{query}", headers={"User-Agent": agent})) as response:
        return response.read()


def send(service: FlexSimulator, **parameters: str) -> bytes:
    return get(service, "SendRequest", **({"q": QUERY, "fd": "20260601", "td": "20260731"} | parameters))


def word(body: bytes, name: str) -> str:
    return ET.fromstring(body).findtext(name, "")


def fetch(service: FlexSimulator, **window: str) -> bytes:
    reference = word(send(service, **window), "ReferenceCode")
    while True:
        body = get(service, "GetStatement", q=reference)
        if word(body, "ErrorCode") != "1019":
            return body


def days(**numbers: date) -> dict[str, str]:
    return {name: f"{day:%Y%m%d}" for name, day in numbers.items()}


def test_every_execution_and_book_trade_of_the_scenario_stands_once() -> None:
    ids = Counter(r["transactionID"] for r in executions())
    told = [f.fill_id for o in scenario().orders if o.broker == Broker.IB for f in o.fills]
    told += [e.event_id for e in scenario().events if e.broker == Broker.IB]
    assert ids == Counter(map(str, told))
    assert len(executions()) == truth(scenario())[Broker.IB].trades


def test_the_order_rows_are_the_orders_with_fills() -> None:
    ordered = {r["ibOrderID"] for r in rows(whole(), "Order")}
    assert len(ordered) == truth(scenario())[Broker.IB].orders
    assert ordered == {r["ibOrderID"] for r in executions() if r["transactionType"] == "ExchTrade"}


def test_fees_and_amounts_sum_to_the_truth() -> None:
    fees: dict[str, Decimal] = defaultdict(Decimal)
    amounts: dict[str, Decimal] = defaultdict(Decimal)
    for row in executions():
        fees[row["currency"]] -= Decimal(row["ibCommission"]) + Decimal(row["taxes"])
        amounts[row["currency"]] += abs(Decimal(row["tradeMoney"]))
    assert dict(fees) == truth(scenario())[Broker.IB].fees
    assert dict(amounts) == truth(scenario())[Broker.IB].amounts
    assert any(Decimal(r["ibCommission"]) > 0 for r in executions()), "some commissions are rebates"


def test_the_money_of_each_row_agrees() -> None:
    for row in executions():
        value = {name: Decimal(row[name]) for name in ("quantity", "tradePrice", "multiplier", "proceeds", "netCash")}
        assert value["proceeds"] == -value["quantity"] * value["tradePrice"] * value["multiplier"]
        assert value["netCash"] == value["proceeds"] + Decimal(row["ibCommission"]) + Decimal(row["taxes"])
        assert (value["quantity"] > 0) == (row["buySell"] == "BUY")
        if row["openCloseIndicator"] == "O":
            assert Decimal(row["cost"]) == -value["netCash"]
            assert row["fifoPnlRealized"] == "0"
        elif "A" not in row["notes"] and "Ex" not in row["notes"]:
            assert Decimal(row["fifoPnlRealized"]) == value["netCash"] + Decimal(row["cost"])


def test_realized_and_unrealized_gains_are_all_the_money_there_is() -> None:
    gains: dict[str, Decimal] = defaultdict(Decimal)
    for row in executions():
        gains[row["currency"]] += Decimal(row["netCash"]) - Decimal(row["fifoPnlRealized"])
    for row in whole_positions():
        gains[row["currency"]] += Decimal(row["positionValue"]) - Decimal(row["fifoPnlUnrealized"])
    assert set(gains) == {"USD", "HKD"}
    assert set(gains.values()) == {Decimal(0)}


def test_an_assigned_option_gains_nothing_and_its_premium_moves_into_the_shares() -> None:
    by_link: dict[str, Rows] = defaultdict(list)
    for row in executions():
        if row["positionActionID"]:
            by_link[row["positionActionID"]].append(row)
    assert any(r["notes"] == "A" for pair in by_link.values() for r in pair)
    for pair in by_link.values():
        option, share = sorted(pair, key=lambda r: r["assetCategory"])
        assert (option["assetCategory"], option["tradePrice"], option["fifoPnlRealized"]) == ("OPT", "0", "0")
        assert share["tradePrice"] == option["strike"]
        assert share["conid"] == option["underlyingConid"]
        if share["openCloseIndicator"] == "C":
            gain = Decimal(share["netCash"]) + Decimal(share["cost"]) + Decimal(option["cost"])
            assert Decimal(share["fifoPnlRealized"]) == gain


def test_book_trades_have_no_execution_id_and_their_order_id_is_their_own() -> None:
    booked = [r for r in executions() if r["transactionType"] == "BookTrade"]
    assert {r["notes"] for r in booked} >= {"Ep", "A"}
    for row in booked:
        assert row["ibExecID"] == row["brokerageOrderID"] == row["orderType"] == ""
        assert row["ibOrderID"] == row["transactionID"]
        assert row["dateTime"].endswith(";162000")
    eae = {(r["tradeID"], r["transactionType"]) for r in rows(whole(), "OptionEAE")}
    assert {i for i, _ in eae} == {r["tradeID"] for r in booked}
    assert {t for _, t in eae} >= {"Expiration", "Assignment"}


def test_a_friday_expiry_is_reported_on_monday() -> None:
    late = [r for r in executions() if r["reportDate"] > r["tradeDate"]]
    assert late
    row = late[0]
    friday, monday = (date.fromisoformat(row[name]) for name in ("tradeDate", "reportDate"))
    assert (friday.weekday(), monday - friday) == (4, timedelta(3))
    writer = StatementWriter(scenario())
    assert row not in rows(writer.render(friday, friday, NOW), "Trade")
    assert row in rows(writer.render(monday, monday, NOW), "Trade")


def test_hong_kong_times_are_new_york_times() -> None:
    morning = [r for r in executions() if r["currency"] == "HKD" and r["dateTime"][:8] < r["tradeDate"]]
    assert morning, "the Hong Kong morning is the evening before in New York"
    assert all(r["dateTime"][9:11] >= "20" for r in morning)


def test_legs_of_a_combination_share_the_first_two_parts_of_the_execution_id() -> None:
    legs: dict[str, Rows] = defaultdict(list)
    for row in executions():
        if row["ibExecID"]:
            legs[row["ibExecID"][:17]].append(row)
    combos = [members for members in legs.values() if len(members) > 1]
    assert {len(c) for c in combos} >= {2, 3, 4}
    for members in combos:
        parts = sorted(m["ibExecID"].split(".")[2] for m in members)
        assert parts == [f"{n:02d}" for n in range(2, len(members) + 2)]
        assert len({m["dateTime"] for m in members}) == 1
        assert len({m["ibOrderID"] for m in members}) == len(members)
        assert {m["brokerageOrderID"] for m in members} == {""}
    ids = [r["ibExecID"] for r in executions() if r["ibExecID"]]
    assert len(ids) == len(set(ids))


def test_windows_that_touch_tell_the_same_rows_as_one_window() -> None:
    writer = StatementWriter(scenario())
    cut = scenario().start + timedelta(120)
    parts = rows(writer.render(scenario().start, cut, NOW), "Trade")
    parts += rows(writer.render(cut + timedelta(1), END, NOW), "Trade")
    assert sorted(parts, key=str) == sorted(executions(), key=str)


def test_positions_of_the_last_day_are_the_holdings() -> None:
    shown = {(r["accountId"], r["conid"]): Decimal(r["position"]) for r in whole_positions()}
    held = [h for h in scenario().holdings if h.broker == Broker.IB]
    assert shown == {(h.account_id, str(h.contract.conid)): h.qty for h in held}


def test_there_is_one_statement_per_account_and_the_same_bytes_for_the_same_question() -> None:
    statements = ET.fromstring(whole()).findall("FlexStatements/FlexStatement")
    assert tuple(s.get("accountId") for s in statements) == scenario().accounts[Broker.IB]
    assert statements[0].get("whenGenerated") == "20260801;060000"
    assert whole() == StatementWriter(generate(1, 2000, 365, END)).render(scenario().start, END, NOW)


def test_names_with_special_characters_are_escaped() -> None:
    assert b'description="JPMORGAN CHASE &amp; CO"' in whole()
    assert "JPMORGAN CHASE & CO" in {r["description"] for r in executions()}


def test_a_year_is_rendered_quickly() -> None:
    began = process_time()
    body = StatementWriter(scenario()).render(scenario().start, END, NOW)
    assert len(body) > 1_000_000
    assert process_time() - began < 2


def test_trades_carry_every_attribute_of_a_real_statement() -> None:
    folder = Path(os.environ.get("APEX_SAMPLES", "/nonexistent")) / "flex"
    if not folder.exists():
        pytest.skip("APEX_SAMPLES names no folder with flex samples")
    real = rows((folder / "pp_28_fx_cancel_rebook.xml").read_bytes(), "Trade")[0]
    assert set(real) <= set(TRADE_ATTRIBUTES)


def test_a_statement_comes_in_two_steps_after_a_warning(service: FlexSimulator) -> None:
    accepted = send(service)
    assert word(accepted, "Status") == "Success"
    waiting = get(service, "GetStatement", q=word(accepted, "ReferenceCode"))
    assert (word(waiting, "Status"), word(waiting, "ErrorCode")) == ("Warn", "1019")
    body = get(service, "GetStatement", q=word(accepted, "ReferenceCode"))
    statement = ET.fromstring(body).find("FlexStatements/FlexStatement")
    assert statement is not None
    assert (statement.get("fromDate"), statement.get("toDate")) == ("20260601", "20260731")
    whole_window = service.statement(date(2026, 6, 1), END)
    assert rows(body, "Trade") == rows(whole_window, "Trade") != []


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"t": "wrong"}, "1015"),
        ({"t": "old"}, "1012"),
        ({"q": "1"}, "1014"),
        ({"v": "2"}, "1020"),
        ({"td": ""}, "1020"),
        ({"fd": "2026-06-01"}, "1020"),
        ({"fd": "20260801", "td": "20260731"}, "1020"),
        ({"fd": "20250731"}, "1020"),
        ({"fd": "20990101", "td": "20990102"}, "1003"),
    ],
)
def test_a_wrong_question_gets_its_code(service: FlexSimulator, parameters: dict[str, str], code: str) -> None:
    answer = send(service, **parameters)
    assert (word(answer, "Status"), word(answer, "ErrorCode")) == ("Fail", code)


def test_a_window_of_365_days_is_accepted(service: FlexSimulator) -> None:
    assert word(send(service, fd="20250801"), "Status") == "Success"


def test_an_unknown_reference_is_refused(service: FlexSimulator) -> None:
    assert word(get(service, "GetStatement", q="123"), "ErrorCode") == "1017"


def test_without_a_window_only_one_business_day_comes() -> None:
    with FlexSimulator(small(), TOKEN, QUERY, time_scale=500, today=date(2026, 7, 27)) as service:
        sleep(0.004)
        reference = word(get(service, "SendRequest", q=QUERY), "ReferenceCode")
        assert word(get(service, "GetStatement", q=reference), "ErrorCode") == "1019"
        body = get(service, "GetStatement", q=reference)
    assert {(s["fromDate"], s["toDate"]) for s in rows(body, "FlexStatement")} == {("20260724", "20260724")}


def test_days_that_are_not_published_yet_are_left_out_of_the_window() -> None:
    with FlexSimulator(small(), TOKEN, QUERY, time_scale=500, today=date(2026, 7, 27)) as service:
        body = fetch(service)
    assert {s["toDate"] for s in rows(body, "FlexStatement")} == {"20260726"}


def test_more_than_one_request_in_a_second_is_refused() -> None:
    with FlexSimulator(small(), TOKEN, QUERY, time_scale=2) as service:
        assert word(send(service), "Status") == "Success"
        assert word(send(service), "ErrorCode") == "1018"
        sleep(0.5)
        assert word(send(service), "Status") == "Success"


def test_more_than_ten_requests_in_a_minute_are_refused() -> None:
    with FlexSimulator(small(), TOKEN, QUERY, time_scale=300) as service:
        codes = [word(send(service), "ErrorCode") for _ in range(11)]
    assert codes == [""] * 10 + ["1018"]


def test_a_request_without_user_agent_is_refused(service: FlexSimulator) -> None:
    with pytest.raises(HTTPError) as refused:
        _ = get(service, "SendRequest", agent="", q=QUERY)
    assert refused.value.code == 403


def test_the_log_tells_requests_but_never_the_token(service: FlexSimulator, capfd: pytest.CaptureFixture[str]) -> None:
    _ = fetch(service)
    assert [r.answer for r in service.requests] == ["Success", "1019", "statement"]
    assert service.requests[0].parameters == {"q": QUERY, "v": "3", "fd": "20260601", "td": "20260731"}
    assert TOKEN not in repr(service.requests) + "".join(capfd.readouterr())


def test_a_503_and_a_maintenance_page_come_once(service: FlexSimulator) -> None:
    service.faults |= {"http_503_once", "html_page_once"}
    with pytest.raises(HTTPError) as unavailable:
        _ = send(service)
    assert unavailable.value.code == 503
    assert send(service).startswith(b"<!DOCTYPE html>")
    assert word(send(service), "Status") == "Success"


def test_a_cut_body_comes_once(service: FlexSimulator) -> None:
    service.faults.add("cut_body_once")
    with pytest.raises(IncompleteRead):
        _ = fetch(service)
    assert fetch(service).rstrip().endswith(b"</FlexQueryResponse>")


@pytest.mark.parametrize(("fault", "code"), [("error_1001_once", "1001"), ("error_1018_once", "1018")])
def test_a_planted_code_comes_once(service: FlexSimulator, fault: str, code: str) -> None:
    service.faults.add(fault)
    assert word(send(service), "ErrorCode") == code
    assert word(send(service), "Status") == "Success"


def test_a_code_of_the_second_step_strikes_there(service: FlexSimulator) -> None:
    service.faults.add("error_1021_once")
    accepted = send(service)
    assert word(accepted, "Status") == "Success"
    assert word(get(service, "GetStatement", q=word(accepted, "ReferenceCode")), "ErrorCode") == "1021"


def test_a_malformed_row_is_one_row_of_the_whole_history(service: FlexSimulator) -> None:
    service.faults.add("malformed_row")
    bad = [r for r in rows(service.statement(small().start, END), "Trade") if r["tradePrice"] == "abc"]
    assert len(bad) == 1
    service.faults.clear()
    assert b'"abc"' not in service.statement(small().start, END)


def test_a_shrunk_window_says_so(service: FlexSimulator) -> None:
    service.faults.add("one_day_only")
    assert {(s["fromDate"], s["toDate"]) for s in rows(fetch(service), "FlexStatement")} == {("20260731", "20260731")}


def test_a_wrong_count_and_an_empty_window_can_be_planted(service: FlexSimulator) -> None:
    service.faults |= {"wrong_count", "no_data_1003"}
    assert re.search(rb'<FlexStatements count="12">', fetch(service))
    assert word(fetch(service, fd="20260725", td="20260726"), "ErrorCode") == "1003"


def test_an_empty_window_is_a_statement_without_trades(service: FlexSimulator) -> None:
    body = fetch(service, **days(fd=date(2026, 7, 25), td=date(2026, 7, 26)))
    assert len(rows(body, "FlexStatement")) == 2
    assert rows(body, "Trade") == []


def test_it_serves_in_the_foreground_until_it_is_stopped() -> None:
    service = FlexSimulator(small(), TOKEN, QUERY)
    thread = Thread(target=service.serve_forever)
    thread.start()
    assert word(send(service), "Status") == "Success"
    service.stop()
    thread.join(5)
    assert not thread.is_alive()
