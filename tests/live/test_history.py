"""A script loads history without Dagster: both brokers, every filter, what it is told, what stands afterwards."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from apex_pipeline.brokers.scenario import Scenario, ScenarioOrder, truth
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.models import Broker
from apex_pipeline.live import LoadResult, LoadStatus
from apex_pipeline.orchestration.processes import free_port
from tests.live.conftest import NEWEST, OLDER, TODAY, Desk, Desks, days_ago
from tests.pipeline.conftest import NORM_TABLES, OF_WINDOWS, RAW_TABLES, Rows, business_rows, written_rows
from tests.store.rows import query, tables_hash, value

RAW_FUTU = ("orders_raw_futu", "trades_raw_futu", "fees_raw_futu")
RAW_IB = ("orders_raw_ib", "trades_raw_ib", "fees_raw_ib")
MAY_BE_EMPTY = ("payload_drift", "recon_breaks", "corporate_actions", "transfers", "query_gaps")
DERIVED = [name for name in NORM_TABLES if name not in MAY_BE_EMPTY]
WRITTEN_BY_LOADS = ["raw_versions", "raw_documents", "load_coverage", "loads", "load_runs", "sync_state"]
SNAPSHOTS = (
    "positions_raw_futu", "balances_raw_futu", "broker_positions", "broker_balances", "positions_raw_ib", "broker_lots",
)  # fmt: skip
"""Told again by every load that reaches today, and of the last day of each."""

HISTORY_ORDERS, HISTORY_DEALS, TODAY_DEALS, FEES, CASH, FUNDS, POSITIONS = 2221, 2222, 2211, 2225, 2226, 2101, 2102
HALF = 60
"""Days back: inside the scenario."""


def futu_accounts(desk: Desk) -> tuple[str, ...]:
    """The active account and the disabled one, which holds the older half of the orders."""
    return desk.scenario.accounts[Broker.FUTU]


def history(url: str) -> Rows:
    """All business rows but the snapshots of today."""
    return business_rows(url, [name for name in (*RAW_TABLES, *NORM_TABLES) if name not in SNAPSHOTS])


def all_tables(desk: Desk) -> dict[str, str]:
    return tables_hash(desk.db.url, [*RAW_TABLES, *NORM_TABLES, *WRITTEN_BY_LOADS])


def requests_by_account(desk: Desk, since: int = 0) -> dict[int, int]:
    """Requests for data of each Futu account."""
    asking = (HISTORY_ORDERS, HISTORY_DEALS, FEES, CASH, FUNDS, POSITIONS)
    seen = [one for one in desk.opend.requests[since:] if one.proto_id in asking]
    return {int(name): sum(one.acc_id == int(name) for one in seen) for name in futu_accounts(desk)}


def test_all_history_is_what_the_scenario_tells_and_everything_follows_from_it(desk: Desk) -> None:
    told = desk.loader.load_all_history()
    assert (told.status, told.errors) == (LoadStatus.SUCCESS, ())
    for broker, expected in truth(desk.scenario).items():
        result = told.brokers[broker.lower()]
        assert result.status is LoadStatus.SUCCESS
        assert (result.orders_loaded, result.deals_loaded) == (expected.orders, expected.trades)
        assert result.counts["quarantined"] == result.counts["uncovered_days"] == 0
        counted = [value(desk.db.url, f"SELECT count(*) FROM {t} WHERE broker = '{broker}'") for t in DERIVED[:2]]  # pyright: ignore[reportArgumentType]  # names of ours
        assert counted == [expected.orders, expected.trades + sum(expected.endings.values())]
    assert told.orders_loaded == sum(result.orders_loaded for result in told.brokers.values())
    assert min(desk.counts(*DERIVED)) > 0
    assert desk.counts("quarantine") == [0]
    mapped = {uid for (uid,) in query(desk.db.url, "SELECT order_uid FROM order_strategy_map")}
    filled = {uid for (uid,) in query(desk.db.url, "SELECT order_uid FROM orders_norm WHERE filled_qty > 0")}
    assert filled <= mapped


def test_a_second_load_writes_no_row_and_force_neither(loaded: Desk) -> None:
    moved = [name for name in RAW_TABLES if name.endswith("_ib")]
    kept = [name for name in (*RAW_TABLES, *NORM_TABLES) if name not in (*SNAPSHOTS, *moved, *OF_WINDOWS)]
    rows, written = history(loaded.db.url), written_rows(loaded.db.url, kept)
    again = loaded.loader.load_all_history()
    forced = loaded.loader.load_all_history(days_ago(OLDER), TODAY, force=True)
    assert again.status == forced.status == LoadStatus.SUCCESS
    assert again.brokers["futu"].counts["calls"] < forced.brokers["futu"].counts["calls"]
    assert (history(loaded.db.url), written_rows(loaded.db.url, kept)) == (rows, written)


def test_force_asks_again_what_is_final(desk: Desk) -> None:
    first, last = days_ago(OLDER), days_ago(100)
    account = futu_accounts(desk)[1]
    for force, some in ((False, True), (False, False), (True, True)):
        result = desk.loader.load_futu_history(account, "ALL", first, last, force)
        assert bool(result.counts["calls"]) is some
        assert result.status is LoadStatus.SUCCESS


def test_only_the_asked_market_is_loaded_and_the_other_one_is_not_forgotten(desk: Desk) -> None:
    everything = truth(desk.scenario)[Broker.FUTU]
    american = desk.loader.load_futu_history(None, "us")
    assert american.status is LoadStatus.SUCCESS
    assert {code for (code,) in query(desk.db.url, "SELECT DISTINCT currency FROM orders_norm")} == {"USD"}
    assert 0 < american.orders_loaded < everything.orders
    desk.loader.load_futu_history()
    assert desk.counts(*RAW_FUTU[:2]) == [everything.orders, everything.trades]


def test_only_the_asked_account_is_loaded_and_the_other_one_is_not_forgotten(desk: Desk) -> None:
    everything = truth(desk.scenario)[Broker.FUTU]
    active, old = futu_accounts(desk)
    assert desk.loader.load_futu_history(int(active)).status is LoadStatus.SUCCESS
    assert {one for (one,) in query(desk.db.url, "SELECT DISTINCT account_id FROM load_coverage")} == {active}
    assert requests_by_account(desk)[int(old)] == 0
    desk.loader.load_futu_history()
    assert desk.counts(*RAW_FUTU[:2]) == [everything.orders, everything.trades]


def test_an_account_that_nobody_has_is_told_and_loads_nothing_at_futu(desk: Desk) -> None:
    result = desk.loader.load_futu_history("281")
    assert result.status is LoadStatus.FAILED
    assert result.errors == (
        f"account 281 is not among the accounts of this login: {', '.join(sorted(futu_accounts(desk)))}",
    )
    assert desk.counts(*RAW_FUTU) == [0, 0, 0]


def test_an_account_that_no_statement_tells_of_is_told_at_ib(desk: Desk) -> None:
    account = desk.scenario.accounts[Broker.IB][0]
    assert desk.loader.load_ib_history(account, days_ago(HALF), NEWEST).status is LoadStatus.SUCCESS
    result = desk.loader.load_ib_history("U404", days_ago(HALF), NEWEST)
    assert result.status is not LoadStatus.SUCCESS
    known = ", ".join(sorted(desk.scenario.accounts[Broker.IB]))
    assert result.errors == (f"no statement of IB tells of account U404; they tell of {known}",)


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ((None, "MARS"), "Futu has no market 'MARS'"),
        ((None, "ALL", NEWEST, days_ago(HALF)), f"from_date {NEWEST} is after to_date {days_ago(HALF)}"),
        ((None, "ALL", date(1999, 12, 31)), "1999-12-31 is before APEX_HISTORY_START=2015-01-01"),
    ],
)
def test_what_cannot_be_meant_is_told_and_nobody_is_asked(desk: Desk, wish: tuple[Any, ...], says: str) -> None:
    result = desk.loader.load_futu_history(*wish)
    assert result.status is LoadStatus.FAILED
    assert len(result.errors) == 1
    assert result.errors[0].startswith(says)
    assert not any(one.acc_id for one in desk.opend.requests)


def test_days_to_come_are_left_out(desk: Desk) -> None:
    result = desk.loader.load_futu_history(None, "ALL", TODAY, date(2999, 1, 1))
    assert (result.status, result.counts["uncovered_days"]) == (LoadStatus.SUCCESS, 0)
    assert value(desk.db.url, "SELECT max(to_date) FROM load_coverage") == TODAY


def test_a_dry_run_asks_nobody_and_writes_nothing(desk: Desk) -> None:
    before = all_tables(desk)
    planned = desk.other(dry_run=True).load_all_history()
    assert planned.status is LoadStatus.SUCCESS
    assert min(result.counts["calls"] for result in planned.brokers.values()) > 0
    assert desk.asked == 0
    assert all_tables(desk) == before
    desk.loader.load_all_history()
    assert all_tables(desk) != before, "control: a load is noticed"


def test_a_dry_run_foresees_the_calls_of_the_next_load(loaded: Desk) -> None:
    planned, told = loaded.other(dry_run=True).load_all_history(), loaded.loader.load_all_history()
    calls = [{name: result.counts["calls"] for name, result in one.brokers.items()} for one in (planned, told)]
    assert calls[0] == calls[1]


def test_the_state_of_every_account_and_data_type_is_told(desk: Desk) -> None:
    assert desk.loader.get_sync_status() == []
    desk.loader.load_all_history()
    states = desk.loader.get_sync_status()
    expected = {("FUTU", name, kind) for name in futu_accounts(desk) for kind in ("futu_orders", "futu_deals")}
    expected |= {("IB", name, "ib_flex") for name in desk.scenario.accounts[Broker.IB]}
    assert expected <= {(one["broker"], one["account_id"], one["data_type"]) for one in states}
    assert {one["status"] for one in states} == {"COMPLETE"}
    assert all(one["last_sync_at"].tzinfo for one in states)


@pytest.mark.parametrize("refused", ["futu", "ib"])
def test_a_broker_that_refuses_does_not_stop_the_other(desk: Desk, refused: str) -> None:
    if refused == "futu":
        loader = desk.other(replace(desk.config, futu=replace(desk.config.futu, port=free_port())))
    else:
        loader = desk.changed(token="a-wrong-token")
    told = loader.load_all_history(days_ago(HALF), TODAY)
    states = {broker: result.status for broker, result in told.brokers.items()}
    well = "ib" if refused == "futu" else "futu"
    assert (told.status, states) == (LoadStatus.PARTIAL, {refused: LoadStatus.FAILED, well: LoadStatus.SUCCESS})
    assert told.errors == told.brokers[refused].errors
    assert len(told.errors) == 1
    assert "a-wrong-token" not in told.errors[0]
    assert told.brokers[well].deals_loaded > 0


@pytest.mark.parametrize("ib", [{"token": None}, {"flex_url": "http://example.com/flex"}])
def test_a_broker_without_settings_fails_alone(desk: Desk, ib: dict[str, Any]) -> None:
    told = desk.changed(**ib).load_all_history(days_ago(HALF), TODAY)
    assert [told.brokers[name].status for name in ("futu", "ib")] == [LoadStatus.SUCCESS, LoadStatus.FAILED]
    assert told.errors[0].startswith("IB_FLEX_")


def test_what_came_before_a_refusal_makes_a_load_partial(desk: Desk) -> None:
    desk.opend.fault_protocols.clear()
    desk.opend.fault_protocols.add(FEES)
    desk.opend.faults.add("login_lost")
    result = desk.loader.load_futu_history(None, "ALL", days_ago(HALF), TODAY)
    assert (result.status, result.fees_loaded, len(result.errors)) == (LoadStatus.PARTIAL, 0, 1)
    assert result.deals_loaded > 0
    desk.opend.faults.clear()
    assert desk.loader.load_futu_history(None, "ALL", days_ago(HALF), TODAY).status is LoadStatus.SUCCESS
    assert desk.counts("fees_raw_futu") > [0]


def test_rows_that_were_lost_on_the_way_make_a_load_partial_until_they_come(desk: Desk) -> None:
    desk.opend.fault_protocols.clear()
    desk.opend.fault_protocols.add(HISTORY_DEALS)
    desk.opend.faults.add("lost_rows")
    lossy = desk.loader.load_futu_history(None, "ALL", days_ago(OLDER), TODAY)
    assert lossy.status is LoadStatus.PARTIAL
    assert lossy.counts["uncovered_days"] > 0
    desk.opend.faults.clear()
    assert desk.loader.load_futu_history(None, "ALL", days_ago(OLDER), TODAY).status is LoadStatus.SUCCESS
    # The sums of combinations are not compared, so their lost deals come only when they are asked for again.
    assert {order.legs != () for order in orders_without_their_deals(desk)} <= {True}
    desk.loader.load_futu_history(None, "ALL", days_ago(OLDER), TODAY, force=True)
    assert orders_without_their_deals(desk) == []
    assert desk.counts("trades_raw_futu") == [truth(desk.scenario)[Broker.FUTU].trades]


def orders_without_their_deals(desk: Desk) -> list[ScenarioOrder]:
    """The orders of the scenario of which a deal has not come from Futu."""
    came = {key for (key,) in query(desk.db.url, "SELECT record_key FROM trades_raw_futu")}
    orders = [order for order in desk.scenario.orders if order.broker is Broker.FUTU]
    return [order for order in orders if not {str(fill.fill_id) for fill in order.fills} <= came]


def test_a_result_tells_itself_as_json(desk: Desk) -> None:
    told = desk.loader.load_ib_history(None, days_ago(HALF), NEWEST).as_json()
    assert {name: told[name] for name in ("status", "deals_loaded", "calls")} == {
        "status": "SUCCESS", "deals_loaded": desk.counts("trades_raw_ib")[0], "calls": 1,
    }  # fmt: skip
    assert set(LoadResult.__slots__) - {"counts", "brokers"} <= set(told)


def test_a_cycle_asks_for_today_only_and_brings_its_trades_and_positions(
    desks: Desks, scenario: Scenario, database_url: str
) -> None:
    days = {fill.trade_date for order in scenario.orders if order.broker is Broker.FUTU for fill in order.fills}
    desk = desks.desk(scenario, database_url, today=max(days))
    result = desk.loader.sync_incremental()
    asked = {request.proto_id for request in desk.opend.requests}
    assert {TODAY_DEALS, POSITIONS, FUNDS} <= asked
    assert not {HISTORY_ORDERS, HISTORY_DEALS, CASH} & asked
    assert result.brokers["futu"].status is LoadStatus.SUCCESS
    assert result.brokers["ib"].errors == (
        "IB_TWS_HOST is not set: Interactive Brokers tells of today only over the TWS API",
    )
    raw, rows, positions = desk.counts("trades_raw_futu", "trades_norm", "broker_positions")
    assert raw == rows > 0
    assert positions > 0
    assert desk.loader.sync_incremental().counts == result.counts
    assert desk.counts("trades_raw_futu", "trades_norm") == [raw, rows]


def test_a_cycle_while_a_broker_is_offline_says_so_and_leaves_what_is_known(loaded: Desk) -> None:
    loaded.opend.stop()
    rows = loaded.counts("orders_norm", "trades_norm")
    result = loaded.loader.sync_incremental()
    assert result.status is LoadStatus.FAILED
    assert "OpenD" in result.brokers["futu"].errors[0]
    assert loaded.counts("orders_norm", "trades_norm") == rows


def test_a_week_without_loads_is_filled_by_the_next_one(desks: Desks, loaded: Desk, other_url: str) -> None:
    late = desks.desk(loaded.scenario, other_url)
    late.loader.load_all_history(days_ago(OLDER), days_ago(10))
    assert history(other_url) != history(loaded.db.url), "control: the missing week is noticed"
    late.loader.load_all_history()
    assert history(other_url) == history(loaded.db.url)


def test_a_load_of_the_newest_days_only_fills_the_week_before_them(desks: Desks, loaded: Desk, other_url: str) -> None:
    late = desks.desk(loaded.scenario, other_url)
    late.loader.load_all_history(days_ago(OLDER), days_ago(10))
    tables = (*RAW_FUTU, *RAW_IB, "orders_norm", "fees_norm")
    assert business_rows(other_url, tables) != business_rows(loaded.db.url, tables), "control: the week is missing"
    late.loader.load_all_history(NEWEST, TODAY)
    assert business_rows(other_url, tables) == business_rows(loaded.db.url, tables)


def test_a_daily_load_on_a_year_of_history_makes_at_most_six_requests_per_account(
    desks: Desks, database_url: str
) -> None:
    desk = desks.desk(generate(seed=5, orders=150, days=370, end=NEWEST), database_url)
    desk.loader.load_futu_history(None, "ALL", days_ago(366), days_ago(2))
    assert min(requests_by_account(desk).values()) > 100, "control: a year takes more"
    before = len(desk.opend.requests)
    assert desk.loader.load_futu_history().status is LoadStatus.SUCCESS
    asked = requests_by_account(desk, before)
    assert all(0 < requests <= 6 for requests in asked.values()), asked
