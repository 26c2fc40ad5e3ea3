"""The catalogue of checks: what each proves, how bad it is when it fails, and when there is nothing to prove.

The numbers are those of the published list (A coverage, B orders and fees, C positions and lots, D profit, cash and
value, E bars, signals and snapshots); A10 to A12 and S are ours. The words stand in `checks.toml`, whose order matters:
where several checks notice one cause, the first of them is the break and the others follow from it. The checks
themselves are queries and live in the store.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files


class Severity(StrEnum):
    """How bad a break is. ERROR: a number cannot be trusted. WARN: look at it. INFO: recorded."""

    ERROR = "ERROR"
    WARN = "WARN"
    INFO = "INFO"


class CheckName(StrEnum):
    """The sentence that a check proves; also the name of the Dagster check and of its two queries."""

    RAW_RECORDS_ARE_KEPT_AS_RECEIVED = "raw_records_are_kept_as_received"
    STATEMENTS_COVER_EVERY_BUSINESS_DAY = "statements_cover_every_business_day"
    EVERY_DAY_WAS_ASKED_OF_FUTU = "every_day_was_asked_of_futu"
    TOLD_STATEMENTS_STAY_AS_THEY_WERE = "told_statements_stay_as_they_were"
    THE_QUERY_TELLS_WHAT_IS_NEEDED = "the_query_tells_what_is_needed"
    EVERY_WORD_OF_THE_BROKER_IS_KNOWN = "every_word_of_the_broker_is_known"
    EVERY_FEE_THAT_WAS_ASKED_WAS_ANSWERED = "every_fee_that_was_asked_was_answered"
    THE_NEWEST_DATA_IS_FRESH = "the_newest_data_is_fresh"
    RAW_IS_NORMALIZED_PLUS_QUARANTINED = "raw_is_normalized_plus_quarantined"
    COVERED_DAYS_HOLD_WHAT_THE_BROKER_SAYS = "covered_days_hold_what_the_broker_says"
    STORED_ROWS_ARE_WHAT_THEIR_RECORDS_MAKE = "stored_rows_are_what_their_records_make"
    NO_WATERMARK_IS_AHEAD_OF_ITS_DATA = "no_watermark_is_ahead_of_its_data"
    ORDER_FILLED_QUANTITY_IS_THE_SUM_OF_ITS_TRADES = "order_filled_quantity_is_the_sum_of_its_trades"
    AVERAGE_PRICE_IS_THE_MEAN_OF_ITS_TRADES = "average_price_is_the_mean_of_its_trades"
    EVERY_ORDER_IS_TOLD_BY_ITS_BROKER = "every_order_is_told_by_its_broker"
    EVERY_FILLED_ORDER_HAS_TRADES = "every_filled_order_has_trades"
    EVERY_FILLED_ORDER_HAS_ITS_FEES = "every_filled_order_has_its_fees"
    FEES_OF_AN_ORDER_SUM_TO_ITS_TOTAL = "fees_of_an_order_sum_to_its_total"
    FEES_OF_ORDERS_ARE_ALLOCATED_TO_THEIR_TRADES = "fees_of_orders_are_allocated_to_their_trades"
    COMMISSION_IS_THE_SUM_OF_ITS_PARTS = "commission_is_the_sum_of_its_parts"
    FEES_ARE_WITHIN_THEIR_BAND = "fees_are_within_their_band"
    TRADE_MONEY_IS_QUANTITY_TIMES_PRICE = "trade_money_is_quantity_times_price"
    NO_TRADE_IS_TOLD_TWICE = "no_trade_is_told_twice"
    EVERY_CANCEL_HAS_ITS_TRADE = "every_cancel_has_its_trade"
    EVERY_PROVISIONAL_TRADE_IS_CONFIRMED = "every_provisional_trade_is_confirmed"
    NO_ORDER_LEAVES_A_FINAL_STATUS = "no_order_leaves_a_final_status"
    POSITIONS_ROLL_FROM_DAY_TO_DAY = "positions_roll_from_day_to_day"
    POSITIONS_EQUAL_THE_BROKERS = "positions_equal_the_brokers"
    OPEN_LOTS_EQUAL_THE_BROKERS = "open_lots_equal_the_brokers"
    AVERAGE_COST_EQUALS_THE_BROKERS = "average_cost_equals_the_brokers"
    NO_OPTION_OUTLIVES_ITS_EXPIRY = "no_option_outlives_its_expiry"
    EVERY_DELIVERY_HAS_BOTH_LEGS = "every_delivery_has_both_legs"
    NO_LIFE_OF_A_POSITION_CROSSES_ZERO = "no_life_of_a_position_crosses_zero"
    EVERY_MOVEMENT_HAS_A_RULE = "every_movement_has_a_rule"
    EVERY_POSITION_BELONGS_TO_STRATEGIES = "every_position_belongs_to_strategies"
    OUR_READING_AGREES_WITH_THE_BROKERS_LABEL = "our_reading_agrees_with_the_brokers_label"
    REALIZED_PNL_EQUALS_THE_BROKERS = "realized_pnl_equals_the_brokers"
    LOTS_ARE_CLOSED_IN_THE_BROKERS_ORDER = "lots_are_closed_in_the_brokers_order"
    REALIZED_PNL_FITS_FUTUS_COSTS = "realized_pnl_fits_futus_costs"
    UNREALIZED_PNL_EQUALS_THE_BROKERS = "unrealized_pnl_equals_the_brokers"
    ENDING_CASH_EQUALS_THE_CASH_REPORT = "ending_cash_equals_the_cash_report"
    THE_BALANCE_OF_FUNDS_RUNS = "the_balance_of_funds_runs"
    CASH_FLOW_EQUALS_TRADES_AND_FEES = "cash_flow_equals_trades_and_fees"
    NAV_BRIDGE_CLOSES = "nav_bridge_closes"
    NET_LIQUIDATION_EQUALS_EQUITY = "net_liquidation_equals_equity"
    SETTLEMENT_DATES_EQUAL_THE_BROKERS = "settlement_dates_equal_the_brokers"
    SETTLED_CASH_EQUALS_THE_BROKERS = "settled_cash_equals_the_brokers"
    RATES_OF_TRADES_ARE_THE_RATES_OF_THEIR_DAY = "rates_of_trades_are_the_rates_of_their_day"
    EVERY_REVERSAL_HAS_ITS_OPPOSITE = "every_reversal_has_its_opposite"
    TIME_WEIGHTED_RETURN_EQUALS_THE_BROKERS = "time_weighted_return_equals_the_brokers"
    DAY_TRADES_EQUAL_THE_BROKERS_COUNT = "day_trades_equal_the_brokers_count"
    FILLS_LEDGER_AND_BROKER_AGREE = "fills_ledger_and_broker_agree"
    EVERY_BAR_IS_IN_A_SESSION = "every_bar_is_in_a_session"
    NO_BAR_IS_MISSING = "no_bar_is_missing"
    EVERY_BAR_HAS_A_POSSIBLE_SHAPE = "every_bar_has_a_possible_shape"
    FILL_PRICES_ARE_INSIDE_THEIR_BARS = "fill_prices_are_inside_their_bars"
    SIGNALS_ARE_UNIQUE_AND_STABLE = "signals_are_unique_and_stable"
    SNAPSHOTS_EQUAL_THE_LEDGER = "snapshots_equal_the_ledger"
    WARM_START_EQUALS_COLD_START = "warm_start_equals_cold_start"
    EVERY_FILLED_ORDER_BELONGS_TO_A_STRATEGY = "every_filled_order_belongs_to_a_strategy"
    PROFIT_OF_CHAINS_EQUALS_THE_LEDGER = "profit_of_chains_equals_the_ledger"
    CONFIDENCE_DOES_NOT_DRIFT = "confidence_does_not_drift"


@dataclass(frozen=True, slots=True)
class Check:
    """A check in words. `table` is what it is about; `skipped` says why a day may have nothing to compare."""

    name: CheckName
    check_id: str
    severity: Severity
    table: str
    description: str
    skipped: str


def _catalogue() -> dict[CheckName, Check]:
    """The checks as `checks.toml` tells them, by name."""
    told = tomllib.loads(files("apex_pipeline.domain").joinpath("checks.toml").read_text("utf-8"))
    checks = [
        Check(CheckName(one["name"]), number, Severity(one["severity"]), one["table"], one["proves"], one["skipped"])
        for number, one in told.items()
    ]
    return {check.name: check for check in checks}


CHECKS: Mapping[CheckName, Check] = _catalogue()
