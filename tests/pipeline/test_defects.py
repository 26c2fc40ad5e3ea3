"""What goes wrong at a broker becomes a row that says so, and goes away when the broker is right again."""

from datetime import date, timedelta
from typing import Any

import pytest

from apex_pipeline.brokers.futu.plan import ORDERS
from apex_pipeline.brokers.scenario import Scenario, truth
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.checks import CheckName
from apex_pipeline.domain.models import Broker
from apex_pipeline.errors import BrokerError
from tests.pipeline.conftest import Stage, World, business_rows, with_endings
from tests.store.rows import query

FILLED = CheckName.ORDER_FILLED_QUANTITY_IS_THE_SUM_OF_ITS_TRADES.value
PAID = CheckName.EVERY_FILLED_ORDER_HAS_ITS_FEES.value
HISTORY_DEALS, ORDER_FEES = 2222, 2225
SEED = 3


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    """Few deals, of which an answer loses its first and then every tenth."""
    return generate(seed=SEED, orders=6, days=40, end=date(2026, 3, 9))


STAND_ALONE = {"positions_equal_the_brokers", "no_option_outlives_its_expiry"}
"""Checks whose breaks stay open beside a lost deal where it is not told what would have set them right."""


def subjects_of_fills(world: World) -> dict[str, str]:
    """What the check calls the order and contract of each deal of Futu, by deal."""
    return dict(
        query(world.db.url, "SELECT trade_uid, order_uid || ' ' || symbol FROM trades_norm WHERE broker = 'FUTU'")
    )


def test_dropped_deals_make_one_break_for_each_of_their_orders_that_closes_when_they_come_back(
    world: World, stage: Stage, empty_clone: str
) -> None:
    whole = stage.world(world.scenario, empty_clone)
    whole.run()
    world.opend.faults.add("lost_rows")
    world.opend.fault_protocols.clear()
    world.opend.fault_protocols.add(HISTORY_DEALS)
    world.opend.fault_times["lost_rows"] = 1
    world.run()
    complete = subjects_of_fills(whole)
    lost = complete.keys() - subjects_of_fills(world).keys()
    told = world.breaks()
    breaks = [row for row in told if row[0] == FILLED]
    assert {subject for _, subject, *_ in breaks} == {complete[deal] for deal in lost} != set()
    assert {severity for _, _, severity, *_ in breaks} == {"ERROR"}
    assert all(actual < expected for *_, expected, actual in breaks)
    assert {check for check, *_ in told} <= {FILLED, *STAND_ALONE}
    followed = world.breaks("EXPLAINED")
    assert whole.breaks() == []
    world.run(world.ask(force=True))
    assert world.breaks() == []
    assert {row[:2] for row in world.breaks("CLOSED")} == {row[:2] for row in (*told, *followed)}
    tables = ("orders_norm", "trades_norm", "fees_norm", "instruments", "order_strategy_map")
    assert business_rows(world.db.url, tables) == business_rows(whole.db.url, tables)


def test_a_break_stays_open_as_long_as_the_deal_is_missing(world: World) -> None:
    world.opend.faults.add("lost_rows")
    world.opend.fault_protocols.clear()
    world.opend.fault_protocols.add(HISTORY_DEALS)
    world.run()
    before = world.breaks()
    seen = query(world.db.url, "SELECT * FROM recon_breaks ORDER BY break_uid")
    world.run(world.ask(force=True))
    assert world.breaks() == before != []
    assert query(world.db.url, "SELECT * FROM recon_breaks ORDER BY break_uid") == seen
    world.derive(world.today, world.today)
    assert world.breaks() == before


def quarantined(world: World) -> list[tuple[Any, ...]]:
    return query(
        world.db.url,
        "SELECT stage, kind, broker_key, reason, resolved_at IS NULL FROM quarantine ORDER BY quarantine_uid",
    )


def test_a_malformed_row_is_quarantined_while_its_day_loads_and_resolved_when_it_is_right_again(world: World) -> None:
    expected = truth(world.scenario)[Broker.IB]
    world.flex.faults.add("malformed_row")
    world.run()
    [(_, kind, key, reason, is_open)] = quarantined(world)
    assert (kind, is_open) == ("trades", True)
    assert "abc" in reason
    assert query(world.db.url, "SELECT count(*) FROM trades_norm WHERE broker = 'IB'") == [(expected.trades - 1,)]
    assert query(world.db.url, "SELECT 1 FROM trades_norm WHERE broker_trade_id = %s", key) == []
    assert world.count("trades_raw_ib") == expected.trades
    world.flex.faults.clear()
    world.run(world.ask(force=True))
    assert quarantined(world)[0][2:] == (key, reason, False)
    assert query(world.db.url, "SELECT count(*) FROM trades_norm WHERE broker = 'IB'") == [(expected.trades,)]
    assert world.sums("trades_norm", Broker.IB) == expected.amounts
    assert world.breaks() == []
    world.flex.faults.add("malformed_row")
    world.run(world.ask(force=True))
    assert [row[4] for row in quarantined(world)] == [True]


def test_a_statement_that_is_right_quarantines_nothing(world: World) -> None:
    world.run()
    assert quarantined(world) == []


def test_pending_fees_are_no_rows_but_findings_and_are_asked_for_again(world: World) -> None:
    world.opend.faults.add("pending_fees")
    reconciled = world.run()
    assert world.count("fees_norm", Broker.FUTU) == 0
    missing = [subject for check, subject, *_ in world.breaks() if check == PAID]
    filled = query(
        world.db.url, "SELECT order_uid FROM orders_norm WHERE broker = 'FUTU' AND filled_qty > 0 ORDER BY 1"
    )
    assert missing == [uid for (uid,) in filled] != []
    severities = {finding.severity for finding in reconciled.findings[CheckName(PAID)]}
    assert severities <= {"WARN", "ERROR"}
    world.opend.faults.clear()
    world.run()
    assert world.sums("fees_norm", Broker.FUTU) == truth(world.scenario)[Broker.FUTU].fees
    assert world.breaks() == []
    assert {row[0] for row in world.breaks("CLOSED")} == {PAID, "cash_flow_equals_trades_and_fees"}
    asked = len(fee_requests(world))
    world.run()
    assert len(fee_requests(world)) == asked


def fee_requests(world: World) -> list[object]:
    return [request for request in world.opend.requests if request.proto_id == ORDER_FEES]


def test_an_unknown_side_or_status_blocks_no_other_row(world: World) -> None:
    world.opend.faults.add("unknown_enum")
    world.run()
    unread = {kind for _, kind, _, _, is_open in quarantined(world) if is_open}
    assert unread <= {"orders", "trades"}
    assert unread
    assert world.count("orders_raw_futu") == truth(world.scenario)[Broker.FUTU].orders
    assert all(check != CheckName.RAW_IS_NORMALIZED_PLUS_QUARANTINED for check, *_ in world.breaks())
    world.opend.faults.clear()
    world.run(world.ask(force=True))
    assert {is_open for *_, is_open in quarantined(world)} == {False}
    assert world.sums("trades_norm", Broker.FUTU) == with_endings(truth(world.scenario)[Broker.FUTU])
    assert world.breaks() == []


def test_a_row_repeated_by_the_broker_is_one_row(world: World) -> None:
    world.opend.faults.add("duplicate_rows")
    world.run()
    assert world.opend.fault_hits["duplicate_rows"]
    expected = truth(world.scenario)[Broker.FUTU]
    assert (world.count("orders_norm", Broker.FUTU), world.count("trades_norm", Broker.FUTU)) == (
        expected.orders,
        expected.trades + sum(expected.endings.values()),
    )
    assert world.breaks() == []


def test_a_failed_call_is_kept_covers_nothing_and_the_calls_before_it_stay(world: World) -> None:
    world.opend.faults.add("cut_body")
    world.opend.fault_protocols.clear()
    world.opend.fault_protocols.add(HISTORY_DEALS)
    with pytest.raises(BrokerError):
        world.load(only=world.futu)
    [(status, data_type, error)] = query(
        world.db.url, "SELECT status, data_type, error FROM loads WHERE status = 'FAILED'"
    )
    assert (status, data_type) == ("FAILED", "futu_deals")
    assert error
    assert query(world.db.url, "SELECT DISTINCT data_type FROM load_coverage") == [(ORDERS,)]
    assert query(world.db.url, "SELECT outcome FROM load_runs") == [("INCOMPLETE",)]
    world.opend.faults.clear()
    world.run()
    assert world.sums("trades_norm", Broker.FUTU) == with_endings(truth(world.scenario)[Broker.FUTU])
    assert query(world.db.url, "SELECT DISTINCT outcome FROM load_runs") == [("DONE",)]


def test_a_day_that_the_statement_leaves_out_stays_open(world: World) -> None:
    world.flex.faults.add("one_day_only")
    [result] = world.load(only=world.ib)
    told = world.scenario.end
    weekdays = [day for day in days(world.scenario.start, told) if day.isoweekday() < 6]
    assert set(result.missing_days) >= set(weekdays[:-2])
    assert result.notes
    world.flex.faults.clear()
    [again] = world.load(only=world.ib)
    assert again.missing_days == ()
    assert again.calls == 1


def days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
