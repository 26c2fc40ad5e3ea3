"""The shape of the code location: what a person finds in the UI, and what loading it costs."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context

from apex_pipeline.definitions import defs
from apex_pipeline.domain.calendars import CALENDARS
from apex_pipeline.orchestration import schedules
from apex_pipeline.orchestration.alerting import alerts
from apex_pipeline.orchestration.assets import ASSETS
from apex_pipeline.orchestration.checks import checks
from apex_pipeline.orchestration.partitions import daily
from apex_pipeline.orchestration.sensors import SENSORS
from apex_pipeline.settings import PROJECT_DIR
from apex_pipeline.store.db import Database

ASSET_GROUPS = {
    "orders_raw_futu": "raw",
    "trades_raw_futu": "raw",
    "fees_raw_futu": "raw",
    "positions_raw_futu": "raw",
    "balances_raw_futu": "raw",
    "cash_raw_futu": "raw",
    "orders_raw_ib": "raw",
    "trades_raw_ib": "raw",
    "fees_raw_ib": "raw",
    "positions_raw_ib": "raw",
    "balances_raw_ib": "raw",
    "cash_raw_ib": "raw",
    "sections_raw_ib": "raw",
    "provisional_raw_ib": "raw",
    "orders_norm": "normalized",
    "trades_norm": "normalized",
    "fees_norm": "normalized",
    "instruments": "normalized",
    "fee_allocations": "normalized",
    "cash_movements": "normalized",
    "broker_positions": "normalized",
    "broker_balances": "normalized",
    "payload_drift": "normalized",
    "broker_lots": "normalized",
    "broker_closed_lots": "normalized",
    "broker_figures": "normalized",
    "broker_funds": "normalized",
    "corporate_actions": "normalized",
    "transfers": "normalized",
    "conversion_rates": "normalized",
    "dividend_accruals": "normalized",
    "option_events": "normalized",
    "query_gaps": "normalized",
    "broker_trade_figures": "normalized",
    "order_strategy_map": "strategy",
    "strategy_positions": "strategy",
    "lots": "ledger",
    "realized_pnl": "ledger",
    "ledger_stops": "ledger",
    "positions_daily": "ledger",
    "position_events": "ledger",
    "round_trips": "ledger",
    "settlement_tracking": "ledger",
    "cash_ledger": "ledger",
    "cash_account_state": "ledger",
    "day_trades": "ledger",
    "trade_frequency_tracking": "ledger",
    "wash_sale_flags": "ledger",
    "performance_metrics": "ledger",
    "strategies": "strategy",
    "strategy_chains": "strategy",
    "recon_breaks": "reconciliation",
    "reconciliation_report": "reconciliation",
    "ohlcv": "market",
    "trade_signals": "market",
    "position_snapshots": "snapshots",
    "risk_signals": "snapshots",
    "account_snapshots": "snapshots",
}
CHECKS = {
    "trades_norm": {
        "raw_records_are_kept_as_received",
        "the_newest_data_is_fresh",
        "raw_is_normalized_plus_quarantined",
        "covered_days_hold_what_the_broker_says",
        "stored_rows_are_what_their_records_make",
        "no_watermark_is_ahead_of_its_data",
        "trade_money_is_quantity_times_price",
        "no_trade_is_told_twice",
        "every_cancel_has_its_trade",
        "every_provisional_trade_is_confirmed",
    },
    "trades_raw_ib": {
        "statements_cover_every_business_day",
    },
    "trades_raw_futu": {
        "every_day_was_asked_of_futu",
    },
    "sections_raw_ib": {
        "told_statements_stay_as_they_were",
    },
    "query_gaps": {
        "the_query_tells_what_is_needed",
    },
    "payload_drift": {
        "every_word_of_the_broker_is_known",
    },
    "fees_raw_futu": {
        "every_fee_that_was_asked_was_answered",
    },
    "orders_norm": {
        "order_filled_quantity_is_the_sum_of_its_trades",
        "average_price_is_the_mean_of_its_trades",
        "every_order_is_told_by_its_broker",
        "every_filled_order_has_trades",
        "no_order_leaves_a_final_status",
    },
    "fees_norm": {
        "every_filled_order_has_its_fees",
        "fees_of_an_order_sum_to_its_total",
        "commission_is_the_sum_of_its_parts",
        "fees_are_within_their_band",
    },
    "fee_allocations": {
        "fees_of_orders_are_allocated_to_their_trades",
    },
    "positions_daily": {
        "positions_roll_from_day_to_day",
        "positions_equal_the_brokers",
        "average_cost_equals_the_brokers",
        "no_option_outlives_its_expiry",
        "every_delivery_has_both_legs",
        "unrealized_pnl_equals_the_brokers",
        "fills_ledger_and_broker_agree",
    },
    "lots": {
        "open_lots_equal_the_brokers",
        "lots_are_closed_in_the_brokers_order",
    },
    "position_events": {
        "no_life_of_a_position_crosses_zero",
    },
    "ledger_stops": {
        "every_movement_has_a_rule",
    },
    "order_strategy_map": {
        "every_position_belongs_to_strategies",
        "our_reading_agrees_with_the_brokers_label",
        "every_filled_order_belongs_to_a_strategy",
        "confidence_does_not_drift",
    },
    "realized_pnl": {
        "realized_pnl_equals_the_brokers",
        "realized_pnl_fits_futus_costs",
    },
    "cash_ledger": {
        "ending_cash_equals_the_cash_report",
        "the_balance_of_funds_runs",
        "cash_flow_equals_trades_and_fees",
    },
    "broker_figures": {
        "nav_bridge_closes",
    },
    "performance_metrics": {
        "net_liquidation_equals_equity",
        "time_weighted_return_equals_the_brokers",
    },
    "settlement_tracking": {
        "settlement_dates_equal_the_brokers",
    },
    "cash_account_state": {
        "settled_cash_equals_the_brokers",
    },
    "conversion_rates": {
        "rates_of_trades_are_the_rates_of_their_day",
    },
    "cash_movements": {
        "every_reversal_has_its_opposite",
    },
    "day_trades": {
        "day_trades_equal_the_brokers_count",
    },
    "ohlcv": {
        "every_bar_is_in_a_session",
        "no_bar_is_missing",
        "every_bar_has_a_possible_shape",
        "fill_prices_are_inside_their_bars",
    },
    "trade_signals": {
        "signals_are_unique_and_stable",
    },
    "position_snapshots": {
        "snapshots_equal_the_ledger",
        "warm_start_equals_cold_start",
    },
    "strategy_chains": {
        "profit_of_chains_equals_the_ledger",
    },
}
WHOLE_JOBS = {"backfill_job", "daily_job"}
JOBS = {*WHOLE_JOBS, "intraday_job", "bars_job", "derive_job", "snapshot_job", "maintenance_job"}
TODAY_LEAVES_OUT = {"ohlcv", "cash_raw_futu"}
SCHEDULES = {
    "after_close_us": (["30 13 * * *", "30 16 * * *"], "America/New_York", "daily_job"),
    "after_close_hk": (["30 12 * * *", "30 16 * * *"], "Asia/Hong_Kong", "daily_job"),
    "after_close_jp": (["0 16 * * *"], "Asia/Tokyo", "daily_job"),
    "ib_daily": ("30 6 * * *", "America/New_York", "daily_job"),
    "during_sessions_every_quarter": ("*/15 * * * *", "UTC", "intraday_job"),
    "snapshots_every_few_minutes": ("*/5 * * * *", "UTC", "snapshot_job"),
    "catch_up": ("45 */2 * * *", "UTC", "daily_job"),
    "weekly_reread": ("0 11 * * 0", "Asia/Hong_Kong", "daily_job"),
    "monthly_reconciliation": ("0 15 2 * *", "Asia/Hong_Kong", "derive_job"),
    "maintenance_daily": ("20 6 * * *", "Asia/Hong_Kong", "maintenance_job"),
}
"""Of the schedules after the close of a market, three; the others are alike."""
SDKS = ("futu", "ib_async", "ibapi", "ibflex")
IMPORT_SECONDS = 6
"""CPU seconds to import the definitions, Dagster included; about 2 on a quiet machine."""

PROBE = """
import json, sys, time
from apex_pipeline.definitions import defs
from apex_pipeline.domain.calendars import CALENDARS
from apex_pipeline.orchestration.partitions import daily
print(json.dumps({"modules": sorted(sys.modules), "first": daily.get_first_partition_key(),
                  "cpu": time.process_time(), "checks": len(defs.resolve_asset_graph().asset_check_keys)}))
"""


def specs() -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for asset in ASSETS for spec in asset.specs}


def loaded_elsewhere(environment: Mapping[str, str], folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What a new process says that imports the definitions with only this environment."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        env={"PYTHONPATH": str(PROJECT_DIR), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return cast("dict[str, Any]", json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The definitions as a process without any setting sees them."""
    return loaded_elsewhere({}, tmp_path_factory.mktemp("nowhere"))


def test_the_definitions_load() -> None:
    dg.Definitions.validate_loadable(defs)


def test_assets_are_named_and_grouped_as_their_tables() -> None:
    assert {name: spec.group_name for name, spec in specs().items()} == ASSET_GROUPS


def test_checks_are_known_by_the_sentence_they_prove() -> None:
    found: dict[str, set[str]] = {}
    for key in checks.check_keys:
        found.setdefault(key.asset_key.to_user_string(), set()).add(key.name)
    assert found == CHECKS


def test_no_check_blocks_the_other_days_of_a_range() -> None:
    assert not [spec.name for spec in checks.check_specs if spec.blocking]


def test_jobs_and_schedules_are_the_known_ones() -> None:
    graph = defs.get_repository_def()
    schedules = {
        schedule.name: (schedule.cron_schedule, schedule.execution_timezone, schedule.job_name)
        for schedule in graph.schedule_defs
    }
    assert {name for name in graph.job_names if not name.startswith("__")} == JOBS
    assert {name: about for name, about in schedules.items() if name in SCHEDULES} == SCHEDULES
    assert (
        schedules.keys() - SCHEDULES.keys()
        == {f"after_close_{market.lower()}" for market in CALENDARS} - SCHEDULES.keys()
    )
    assert sorted(sensor.name for sensor in graph.sensor_defs) == ["alerts", "dead_runs"]


def test_both_jobs_hold_every_asset_and_every_check() -> None:
    for name in WHOLE_JOBS:
        layer = defs.resolve_job_def(name).asset_layer
        assert {key.to_user_string() for key in layer.selected_asset_keys} == set(ASSET_GROUPS)
        assert {key.name for key in layer.asset_graph.asset_check_keys} == set.union(*CHECKS.values())


def test_the_job_of_today_asks_nothing_that_is_told_by_the_day() -> None:
    layer = defs.resolve_job_def("intraday_job").asset_layer
    assert {key.to_user_string() for key in layer.selected_asset_keys} == set(ASSET_GROUPS) - TODAY_LEAVES_OUT


def test_every_asset_and_check_has_the_same_daily_partitions() -> None:
    partitions = {asset.partitions_def for asset in ASSETS} | {spec.partitions_def for spec in checks.check_specs}
    assert partitions == {daily}
    assert (daily.timezone, daily.end_offset, daily.exclusions) == ("Asia/Hong_Kong", 1, None)


def test_partitions_reach_the_day_that_has_begun_in_hong_kong() -> None:
    while_new_york_is_a_day_behind = datetime(2025, 3, 4, 16, 30, tzinfo=UTC)
    with partition_loading_context(while_new_york_is_a_day_behind):
        assert daily.get_last_partition_key() == "2025-03-05"


def test_a_range_of_days_is_one_run_of_every_asset() -> None:
    policies = {asset.backfill_policy for asset in ASSETS}
    assert policies == {dg.BackfillPolicy.single_run()}


@pytest.mark.parametrize("name", ASSET_GROUPS)
def test_an_asset_says_what_it_is(name: str) -> None:
    spec = specs()[name]
    schema = spec.metadata["dagster/column_schema"]
    assert spec.description
    assert len(spec.description) > len(name)
    assert spec.owners == ["team:apex"]
    assert "postgres" in spec.kinds
    assert isinstance(schema, dg.TableSchema)
    of_no_account = {"instruments", "ohlcv", "trade_signals", "risk_signals"}
    assert ("account_id" in {column.name for column in schema.columns}) is (name not in of_no_account)
    assert all(column.type and "typing" not in column.type for column in schema.columns)


def test_the_column_schema_of_an_asset_is_the_table(db: Database) -> None:
    with db.autocommit() as cursor:
        cursor.execute("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'")
        rows = [tuple(row.values()) if isinstance(row, dict) else tuple(row) for row in cursor.fetchall()]
    for name, spec in specs().items():
        told = {column.name for column in spec.metadata["dagster/column_schema"].columns}
        assert told == {column for table, column in rows if table == name}, name


def test_importing_needs_no_environment_and_loads_no_sdk(bare: dict[str, Any]) -> None:
    loaded = {name.split(".")[0] for name in bare["modules"]}
    assert bare["first"] == "2015-01-01"
    assert not loaded & {*SDKS, "pandas", "numpy", "pyarrow"}
    assert "dagster" in loaded, "control: the probe does see what is loaded"


def test_importing_is_quick(bare: dict[str, Any]) -> None:
    assert bare["cpu"] < IMPORT_SECONDS


def test_the_first_partition_is_the_configured_start_of_history(tmp_path: Any) -> None:
    assert loaded_elsewhere({"APEX_HISTORY_START": "2024-02-29"}, tmp_path)["first"] == "2024-02-29"


def test_every_schedule_and_sensor_says_what_it_is_for() -> None:
    for one in (*schedules.SCHEDULES, *SENSORS, alerts):
        assert (one.description or "").endswith("."), one.name
