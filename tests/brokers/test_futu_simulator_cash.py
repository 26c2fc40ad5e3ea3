"""What the OpenD simulator tells of an account that orders and deals do not: cash, endings of options, positions."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.futu.simulator_messages import wire_code
from apex_pipeline.brokers.scenario import Event, Scenario
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.models import Broker, Side, TradeKind
from tests.brokers.opend_scenario import REAL, small_scenario
from tests.brokers.opend_socket import OpenDSocket

HKD, USD = 1, 2
FLOW, FUNDS, POSITIONS, HISTORY_FILLS = 2226, 2101, 2102, 2222


@pytest.fixture(scope="module")
def told() -> Scenario:
    return generate(3, 600, 365, date(2026, 7, 31))


@pytest.fixture(scope="module")
def client(told: Scenario) -> Iterator[OpenDSocket]:
    with OpenDSimulator(told, time_scale=1e6) as running, OpenDSocket(running.port) as connected:
        yield connected


def header(account: str, market: int = USD) -> dict[str, Any]:
    return {"trdEnv": 1, "accID": account, "trdMarket": market}


def flows(client: OpenDSocket, told: Scenario, account: str) -> list[Any]:
    days = (told.start + timedelta(n) for n in range((told.end - told.start).days + 1))
    return [
        row
        for day in days
        for row in client.ask(FLOW, header=header(account), clearingDate=day.isoformat()).s2c.flowSummaryInfoList
    ]


def cents(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(Decimal("0.01"))


def futu_events(told: Scenario) -> list[Event]:
    return [e for e in told.events if e.broker == Broker.FUTU]


def test_the_cash_of_the_funds_is_the_sum_of_the_cash_flow(client: OpenDSocket, told: Scenario) -> None:
    for account in told.accounts[Broker.FUTU]:
        funds = client.ask(FUNDS, header=header(account), currency=USD).s2c.funds
        sums: defaultdict[int, Decimal] = defaultdict(Decimal)
        for row in flows(client, told, account):
            sums[row.currency] += cents(row.cashFlowAmount)
        assert {c.currency: cents(c.cash) for c in funds.cashInfoList} == sums


def test_positions_are_deals_and_deliveries_without_what_ended(client: OpenDSocket, told: Scenario) -> None:
    for account in told.accounts[Broker.FUTU]:
        left: defaultdict[str, Decimal] = defaultdict(Decimal)
        for n in range(5):
            end = told.end - timedelta(91 * n)
            span = f"{end - timedelta(90)} 00:00:00", f"{end} 23:59:59"
            for row in client.history(int(account), *span, HISTORY_FILLS).s2c.orderFillList:
                left[row.code] += cents(row.qty) if row.trdSide == 1 else -cents(row.qty)
        for event in futu_events(told):
            if event.account_id == account:
                left[wire_code(event.contract)] += event.qty if event.side == Side.BUY else -event.qty
        rows = client.ask(POSITIONS, header=header(account), filterConditions={}).s2c.positionList
        assert {row.code: cents(row.qty) for row in rows} == {code: qty for code, qty in left.items() if qty}


def test_an_ending_option_is_neither_order_nor_deal(client: OpenDSocket, told: Scenario) -> None:
    option = next(e for e in futu_events(told) if e.related is None)
    begin, end = f"{option.trade_date} 16:10:00", f"{option.trade_date} 16:30:00"
    for protocol, rows in ((2221, "orderList"), (HISTORY_FILLS, "orderFillList")):
        answer = client.history(int(option.account_id), begin, end, protocol)
        assert (answer.retType, len(getattr(answer.s2c, rows))) == (0, 0)


def test_an_assignment_is_named_in_one_row_and_paid_in_the_next(client: OpenDSocket, told: Scenario) -> None:
    for account in told.accounts[Broker.FUTU]:
        rows = [r for r in flows(client, told, account) if r.cashFlowType == "Others"]
        named, paid = rows[::2], rows[1::2]
        mine = [e for e in futu_events(told) if e.account_id == account]
        options = {e.event_id: e for e in mine if e.related is None}
        shares = [e for e in mine if e.related is not None]
        assert [(r.cashFlowAmount, r.cashFlowDirection) for r in named] == [(0, 0)] * len(shares)
        assert [r.cashFlowRemark for r in paid] == [""] * len(shares)
        assert [r.cashFlowID for r in paid] == [r.cashFlowID + 1 for r in named]
        expected = [(remark(options[e.related or 0]), signed(e)) for e in shares]
        told_rows = [(n.cashFlowRemark, cents(p.cashFlowAmount)) for n, p in zip(named, paid, strict=True)]
        assert Counter(told_rows) == Counter(expected)


def remark(option: Event) -> str:
    word = "ASS" if option.kind == TradeKind.ASSIGNMENT else "EXE"
    return f"Opt {word}-{option.contract.right}-{wire_code(option.contract)}-{option.trade_date:%Y%m%d}"


def signed(shares: Event) -> Decimal:
    money = shares.qty * shares.price
    return -money if shares.side == Side.BUY else money


def test_an_expiry_leaves_no_trace_but_its_absence(client: OpenDSocket, told: Scenario) -> None:
    expired = [e for e in futu_events(told) if e.kind == TradeKind.EXPIRATION]
    assert expired
    for account in told.accounts[Broker.FUTU]:
        codes = {wire_code(e.contract) for e in expired if e.account_id == account}
        remarks = " ".join(r.cashFlowRemark for r in flows(client, told, account) if r.cashFlowType == "Others")
        ended_too = {wire_code(e.contract) for e in futu_events(told) if e.kind != TradeKind.EXPIRATION}
        assert not [code for code in codes - ended_too if code in remarks]
        held = {r.code for r in client.ask(POSITIONS, header=header(account), filterConditions={}).s2c.positionList}
        assert not codes & held


def test_flow_ids_are_small_and_unique_in_their_account_only(client: OpenDSocket, told: Scenario) -> None:
    ids = [[r.cashFlowID for r in flows(client, told, account)] for account in told.accounts[Broker.FUTU]]
    for each in ids:
        assert len(each) == len(set(each))
        assert max(each) < 100_000
    assert set(ids[0]) & set(ids[1])


def test_a_gateway_may_tell_an_assignment_in_one_row() -> None:
    with OpenDSimulator(small_scenario(), one_row_endings=True) as running, OpenDSocket(running.port) as client:
        (row,) = client.ask(FLOW, header=header(REAL), clearingDate="2026-09-18").s2c.flowSummaryInfoList
    assert (row.cashFlowRemark, row.cashFlowAmount) == ("Opt ASS-P-PEP260918P120000-20260918", -24000)
    assert (row.clearingDate, row.settlementDate, row.currency) == ("2026-09-18", "2026-09-21", USD)


def test_flow_types_follow_the_language_of_the_gateway() -> None:
    expected = {"en": ["Trade", "Fees"], "zh": ["交易", "费用"]}
    for language in ("en", "zh"):
        with OpenDSimulator(small_scenario(), language=language) as running, OpenDSocket(running.port) as client:
            rows = client.ask(FLOW, header=header(REAL), clearingDate="2026-09-01").s2c.flowSummaryInfoList
        assert [r.cashFlowType for r in rows] == expected[language]
        assert [(r.cashFlowAmount, r.cashFlowDirection) for r in rows] == [(-30.05, 2), (-0.3, 2)]


@pytest.mark.parametrize(("limits", "allowed"), [(None, 10), ({FLOW: 20}, 20)])
def test_the_cash_flow_is_limited_by_account_as_configured(limits: dict[int, int] | None, allowed: int) -> None:
    with OpenDSimulator(small_scenario(), limits=limits) as running, OpenDSocket(running.port) as client:
        answers = [client.ask(FLOW, header=header(REAL), clearingDate="2026-09-18").retType for _ in range(allowed + 1)]
        assert answers == [0] * allowed + [-1]
        assert running.violations == [(FLOW, int(REAL))]
        assert len(running.times(FLOW, int(REAL))) == allowed + 1
        assert running.times(FLOW, 1) == []


def test_what_is_cached_is_limited_only_when_it_is_refreshed() -> None:
    with OpenDSimulator(small_scenario()) as running, OpenDSocket(running.port) as client:
        cached = [client.ask(POSITIONS, header=header(REAL)).retType for _ in range(25)]
        assert (cached, running.violations) == ([0] * 25, [])
        fresh = [client.ask(POSITIONS, header=header(REAL), refreshCache=True).retType for _ in range(11)]
        assert (fresh, running.violations) == ([0] * 10 + [-1], [(POSITIONS, int(REAL))])
