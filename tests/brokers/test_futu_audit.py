"""What the stored records say about their own completeness, by hand and against a gateway that loses rows."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apex_pipeline.brokers.futu import audit, plan
from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.records import Account, Ask, Audit, Record, RecordKind
from tests.brokers.opend_client import TODAY, broker, no_limit

DAY, LATER = date(2026, 11, 2), date(2026, 11, 4)


def order(key: str = "A", **fields: Any) -> Record:
    row = {"orderStatus": 11, "fillQty": Decimal(3), "secMarket": 2, "updateTime": "2026-11-04 10:00:00", **fields}
    return Record(RecordKind.ORDERS, "9", key, DAY, row, order_id=key)


def deal(qty: str, key: str = "1", order_id: str | None = "A", **fields: Any) -> Record:
    return Record(RecordKind.TRADES, "9", key, LATER, {"qty": Decimal(qty), "status": 0, **fields}, order_id=order_id)


def fee(key: str = "A", **fields: Any) -> Record:
    return Record(RecordKind.FEES, "9", key, DAY, fields, order_id=key)


def found(*records: Record) -> Audit:
    return audit.audit(records, has_trades=True)


def test_records_that_agree_miss_nothing() -> None:
    assert found(order(), deal("1"), deal("2", "2"), fee(feeAmount=Decimal(1))) == Audit(
        incomplete={plan.DEALS: frozenset(), plan.ORDERS: frozenset()}
    )


def test_fewer_deals_than_filled_miss_deals_between_creation_and_last_change() -> None:
    assert found(order(), deal("1")).incomplete == {plan.DEALS: frozenset({DAY, LATER}), plan.ORDERS: frozenset()}


def test_more_deals_than_filled_miss_a_newer_order() -> None:
    assert found(order(), deal("4")).incomplete == {plan.DEALS: frozenset(), plan.ORDERS: frozenset({DAY})}


@pytest.mark.parametrize("status", [1, 3])
def test_a_deal_that_was_taken_back_does_not_count(status: int) -> None:
    assert found(order(), deal("3"), deal("3", "2", status=status)).incomplete[plan.ORDERS] == frozenset()


def test_a_combination_is_not_summed() -> None:
    assert found(order(comboLegs=[{}]), deal("1")).incomplete[plan.DEALS] == frozenset()


def test_a_deal_without_its_order_is_an_orphan() -> None:
    assert found(deal("1")).orphans == {LATER}
    assert found(deal("1", order_id=None)).orphans == frozenset()


def test_filled_orders_without_a_settled_fee_are_unpaid_newest_first() -> None:
    unfilled = order("Z", fillQty=Decimal(0), orderStatus=15)
    records = [
        order("A"),
        order("B"),
        fee("B"),
        order("C"),
        fee("C", feeAmount=Decimal(0)),
        unfilled,
        deal("1", "9", "D"),
    ]
    assert list(found(*records).unpaid.items()) == [("D", LATER), ("B", DAY), ("A", DAY)]


@pytest.mark.parametrize(("status", "live"), [(5, True), (10, True), (13, True), (11, False), (99, False)])
def test_orders_that_are_not_final_are_open(status: int, live: bool) -> None:
    assert found(order(orderStatus=status)).open == ({DAY} if live else set())


def test_of_a_paper_account_nothing_is_missing() -> None:
    assert audit.audit([order()], has_trades=False) == Audit()


def load(tmp_path: Path, faults: dict[str, int], mended: bool) -> Iterator[Audit]:
    """The audits of each account after a load in which rows were lost, and after its follow-up."""
    ask = Ask(TODAY - timedelta(days=80), TODAY, TODAY)
    with OpenDSimulator(generate(7, 300, 120, TODAY)) as gateway:
        port = broker(tmp_path, gateway.port, window_seconds=0.1)
        with port.connect(no_limit) as session:
            accounts: list[Account] = list(session.accounts())
            gateway.faults.update(faults)
            gateway.fault_protocols.clear()
            gateway.fault_protocols.update(faults.values())
            calls = port.plan(ask, accounts, [])
            found = [record for call in calls for record in session.fetch(call).records]
            gateway.faults.clear()
            for account in accounts:
                mine = [record for record in found if record.account_id == account.account_id]
                told = port.audit(account, mine)
                again = port.plan_follow_up(account, told, ask, []) if mended else []
                more = {(r.kind, r.key): r for call in again for r in session.fetch(call).records}
                yield port.audit(account, list({(r.kind, r.key): r for r in mine}.values()) + list(more.values()))


@pytest.mark.parametrize("protocol", [2221, 2222])
def test_lost_rows_are_noticed_and_the_follow_up_brings_them(tmp_path: Path, protocol: int) -> None:
    lost = list(load(tmp_path, {"lost_rows": protocol}, mended=False))
    assert any(one.orphans or one.incomplete[plan.DEALS] for one in lost)
    whole = list(load(tmp_path, {}, mended=False))
    mended = list(load(tmp_path, {"lost_rows": protocol}, mended=True))
    assert [lately(one) for one in mended] == [lately(one) for one in whole]


def lately(one: Audit) -> tuple[set[date], set[date]]:
    """What is missing of the asked days; orders found before them have deals that were never asked for."""
    since = TODAY - timedelta(days=80)
    return {d for d in one.orphans if d >= since}, {d for d in one.incomplete[plan.DEALS] if d >= since}
