"""Faults of what we stored: rows that were changed, taken away or added beside the pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, LiteralString

from psycopg2 import sql

from apex_pipeline.domain.models import Broker
from tests.faults.seeded_fault import Expected, stored
from tests.faults.seeded_stored import Row, Stored
from tests.faults.seeded_year import Place

IB, FUTU = Broker.IB, Broker.FUTU


@dataclass(frozen=True)
class Kept:
    """A table that only stages write: its key, the column of its day, and which rows of it a fault may befall."""

    name: str
    key: Sequence[str]
    day: str
    where: LiteralString = "true"

    def a_row(self, it: Stored, dice: Random, where: LiteralString = "true") -> Row:
        """Any row of the broker."""
        query = sql.SQL("SELECT * FROM {} WHERE {} AND ({}) AND ({}) ORDER BY {}").format(
            sql.Identifier(self.name),
            sql.SQL(_OF_BROKER),
            sql.SQL(self.where),
            sql.SQL(where),
            sql.SQL(", ").join(map(sql.Identifier, self.key)),
        )
        return it.one(dice, query)

    def put(self, it: Stored, row: Row, change: LiteralString) -> None:
        """Change a row."""
        it.change(
            sql.SQL("UPDATE {} SET {} WHERE {}").format(sql.Identifier(self.name), sql.SQL(change), self._is()),
            *self._id(row),
        )

    def remove(self, it: Stored, row: Row) -> None:
        """Take a row away."""
        it.change(sql.SQL("DELETE FROM {} WHERE {}").format(sql.Identifier(self.name), self._is()), *self._id(row))

    def break_of(self, row: Row, **told: Any) -> Expected:
        """The break that names a row."""
        name = "/".join(_written(row[column]) for column in self.key)
        return Expected("A11", subject=f"{self.name} {name}", account=row["account_id"], days=[row[self.day]],
                        causes=("PIPELINE",), **told)  # fmt: skip

    def _is(self) -> sql.Composable:
        tests = [
            sql.SQL("{} = {}").format(sql.Identifier(column), sql.Placeholder(str(number)))
            for number, column in enumerate(self.key)
        ]
        return sql.SQL(" AND ").join(tests)

    def _id(self, row: Row) -> list[Any]:
        return [row[column] for column in self.key]


_OF_BROKER = "account_id IN (SELECT account_id FROM load_coverage WHERE broker = %(broker)s)"


def _written(value: Any) -> str:
    """A value as the name of a row holds it."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


TRADES = Kept(
    "trades_norm", ("trade_uid",), "trade_date", "effective AND kind = 'TRADE' AND asset_class IN ('STOCK', 'OPTION')"
)
ORDERS = Kept("orders_norm", ("order_uid",), "trade_date", "filled_qty > 0")
FEES = Kept("fees_norm", ("fee_uid",), "charged_on", "amount <> 0")
BOOKINGS = Kept("cash_movements", ("cash_uid",), "booked_on", "amount <> 0")
HELD = Kept("broker_positions", ("business_date", "broker", "account_id", "broker_position_id"), "business_date")
BALANCES = Kept("broker_balances", ("business_date", "broker", "account_id", "currency"), "business_date", "cash <> 0")
MOVEMENTS = Kept("position_movements", ("movement_uid",), "business_date")
LOTS = Kept("lots", ("lot_uid",), "started_on")
GAINS = Kept("realized_pnl", ("realized_uid",), "closed_on", "realized_pnl IS NOT NULL")
POSITIONS = Kept("positions_daily", ("business_date", "account_id", "instrument_id"), "business_date", "qty <> 0")
EVENTS = Kept("position_events", ("event_uid",), "business_date")
CASH = Kept("cash_ledger", ("entry_uid",), "booked_on", "amount <> 0")
STATE = Kept("cash_account_state", ("account_id", "currency", "as_of"), "as_of", "total_cash <> 0")
SETTLEMENTS = Kept("settlement_tracking", ("trade_uid",), "trade_date", "settlement_date IS NOT NULL")
MAP = Kept("order_strategy_map", ("order_uid", "strategy_uid"), "trade_date")
CARDS = Kept("strategies", ("strategy_uid",), "trade_date")
CHAINS = Kept("strategy_chains", ("chain_uid",), "opened_on")
SHARES = Kept("chain_gains", ("realized_uid", "chain_uid"), "closed_on", "amount <> 0")
VALUES = Kept(
    "performance_metrics", ("account_id", "period", "as_of", "scope", "scope_id"), "business_date",
    "scope = 'ACCOUNT' AND net_liquidation IS NOT NULL",
)  # fmt: skip
ROUNDS = Kept("day_trades", ("day_trade_uid",), "trade_date")
FIGURES = Kept("broker_figures", ("figures_uid",), "business_date", "section = 'ChangeInNAV'")
FUNDS = Kept("broker_funds", ("line_uid",), "business_date", "amount <> 0")
TOLD_LOTS = Kept("broker_lots", ("lot_uid",), "business_date")
CLOSED = Kept("broker_closed_lots", ("lot_uid",), "business_date")
TOLD_TRADES = Kept("broker_trade_figures", ("trade_uid",), "business_date", "realized_pnl <> 0")
RATES = Kept("conversion_rates", ("rate_uid",), "business_date")
TRANSFERS = Kept("transfers", ("transfer_uid",), "business_date")
ACCRUALS = Kept("dividend_accruals", ("accrual_uid",), "business_date")
ENDINGS = Kept("option_events", ("event_uid",), "business_date")


@dataclass(frozen=True)
class Changed:
    """A kind of fault: rows of a table that are changed."""

    kind: str
    table: Kept
    change: LiteralString
    where: LiteralString = "true"
    brokers: tuple[Broker, ...] = (FUTU, IB)


def _register(one: Changed) -> None:
    @stored(one.kind, *one.brokers)
    def _(it: Stored, dice: Random, place: Place) -> Expected:
        row = one.table.a_row(it, dice, one.where)
        one.table.put(it, row, one.change)
        return one.table.break_of(row)


def _register_removal(kind: str, table: Kept, *brokers: Broker) -> None:
    @stored(kind, *brokers)
    def _(it: Stored, dice: Random, place: Place) -> Expected:
        row = table.a_row(it, dice)
        table.remove(it, row)
        return table.break_of(row)


CHANGED = (
    Changed("stored fill with another quantity", TRADES, "qty = qty + 1, amount = (qty + 1) * price * multiplier"),
    Changed("stored fill with another price", TRADES, "price = price * 1.1, amount = qty * price * 1.1 * multiplier"),
    Changed("stored fill on the other side", TRADES, "side = CASE side WHEN 'BUY' THEN 'SELL' ELSE 'BUY' END"),
    Changed("stored fill with another multiplier", TRADES, "multiplier = multiplier * 10, amount = amount * 10"),
    Changed("stored amount rounded by a float", TRADES, "amount = amount + 0.0009765625"),
    Changed("stored fill dated a day later", TRADES, "executed_at = executed_at + interval '1 day'"),
    Changed("stored fill in another currency", TRADES, "currency = CASE currency WHEN 'USD' THEN 'HKD' ELSE 'USD' END"),
    Changed("stored fill that no longer counts", TRADES, "effective = false"),
    Changed("stored order with another quantity", ORDERS, "filled_qty = filled_qty + 1"),
    Changed(
        "stored order with another average", ORDERS, "avg_price = avg_price * 1.02 + 0.05", "avg_price IS NOT NULL"
    ),
    Changed("stored order with another status", ORDERS, "status = 'CANCELLED'", "status = 'FILLED'"),
    Changed("stored fee with the other sign", FEES, "amount = -amount"),
    Changed("stored fee with another amount", FEES, "amount = amount + 1.11"),
    Changed("stored booking with another amount", BOOKINGS, "amount = amount + 2.5"),
    Changed(
        "stored booking in another currency", BOOKINGS, "currency = CASE currency WHEN 'USD' THEN 'HKD' ELSE 'USD' END"
    ),
    Changed("stored snapshot with another quantity", HELD, "qty = qty + 1"),
    Changed("stored balance with another amount", BALANCES, "cash = cash + 10"),
    Changed("movement with another quantity", MOVEMENTS, "qty = qty + 1", "kind = 'TRADE'"),
    Changed("lot with another rest", LOTS, "remaining_qty = remaining_qty + 1", "remaining_qty <> 0"),
    Changed("lot of another moment", LOTS, "opened_at = opened_at - interval '13 hours'", "opened_at IS NOT NULL"),
    Changed("realized gain with another amount", GAINS, "realized_pnl = realized_pnl + 3"),
    Changed("position of a day with another quantity", POSITIONS, "qty = qty + 1"),
    Changed("position of a day with another cost", POSITIONS, "avg_cost = avg_cost * 1.1", "avg_cost IS NOT NULL"),
    Changed("life of a position that crosses zero", EVENTS, "position_qty = -position_qty", "position_qty <> 0"),
    Changed("ledger of cash with another amount", CASH, "amount = amount - 4"),
    Changed(
        "ledger of cash in another currency", CASH, "currency = CASE currency WHEN 'USD' THEN 'HKD' ELSE 'USD' END"
    ),
    Changed("state of cash with another total", STATE, "total_cash = total_cash + 8"),
    Changed("settlement on another day", SETTLEMENTS, "settlement_date = settlement_date + 7"),
    Changed("strategy of another type", MAP, "strategy_type = 'IRON_CONDOR'", "strategy_type <> 'IRON_CONDOR'"),
    Changed("card of a strategy of another type", CARDS, "strategy_type = 'STRADDLE'", "strategy_type <> 'STRADDLE'"),
    Changed("chain with another gain", CHAINS, "realized_pnl = realized_pnl + 10", "realized_pnl IS NOT NULL"),
    Changed("share of a chain with another gain", SHARES, "amount = amount + 10"),
    Changed("value of a day with another amount", VALUES, "net_liquidation = net_liquidation + 100"),
    Changed("stored figures of a statement changed", FIGURES, "figures = figures || '{\"mtm\": 12345}'", brokers=(IB,)),
    Changed("stored line of funds with another amount", FUNDS, "amount = amount + 1", brokers=(IB,)),
    Changed("stored lot of the broker with another cost", TOLD_LOTS, "cost_basis = cost_basis + 5", brokers=(IB,)),
    Changed(
        "stored closed lot with another gain",
        CLOSED,
        "realized_pnl = realized_pnl + 5",
        "realized_pnl <> 0",
        brokers=(IB,),
    ),
    Changed("stored gain of the broker changed", TOLD_TRADES, "realized_pnl = realized_pnl + 5", brokers=(IB,)),
    Changed("stored rate of a day changed", RATES, "rate = rate * 1.1", "from_currency = 'HKD'", brokers=(IB,)),
    Changed("stored transfer with another amount", TRANSFERS, "cash_amount = cash_amount + 1", brokers=(IB,)),
)
for _one in CHANGED:
    _register(_one)

REMOVED: tuple[tuple[str, Kept, tuple[Broker, ...]], ...] = (
    ("stored fill gone", TRADES, (FUTU, IB)),
    ("stored order gone", ORDERS, (FUTU, IB)),
    ("stored fee gone", FEES, (FUTU, IB)),
    ("stored booking gone", BOOKINGS, (FUTU, IB)),
    ("stored snapshot gone", HELD, (FUTU, IB)),
    ("movement gone", MOVEMENTS, (FUTU, IB)),
    ("lot gone", LOTS, (FUTU, IB)),
    ("realized gain gone", GAINS, (FUTU, IB)),
    ("position of a day gone", POSITIONS, (FUTU, IB)),
    ("ledger of cash without a row", CASH, (FUTU, IB)),
    ("leg of a strategy gone", MAP, (FUTU, IB)),
    ("share of a chain gone", SHARES, (FUTU, IB)),
    ("day trade gone", ROUNDS, (FUTU, IB)),
    ("stored line of funds gone", FUNDS, (IB,)),
    ("stored transfer gone", TRANSFERS, (IB,)),
    ("stored accrual gone", ACCRUALS, (IB,)),
    ("stored ending gone", ENDINGS, (IB,)),
)
for _kind, _table, _brokers in REMOVED:
    _register_removal(_kind, _table, *_brokers)


def _twin(it: Stored, table: Kept, row: Row, **changes: Any) -> Expected:
    it.copy(table.name, row, **changes)
    return table.break_of({**row, **changes})


@stored("stored fill twice")
def _fill_twice(it: Stored, dice: Random, place: Place) -> Expected:
    row = TRADES.a_row(it, dice)
    return _twin(it, TRADES, row, trade_uid=f"{row['trade_uid']}9", broker_trade_id=f"{row['broker_trade_id']}9")


@stored("stored fee twice")
def _fee_twice(it: Stored, dice: Random, place: Place) -> Expected:
    row = FEES.a_row(it, dice)
    return _twin(it, FEES, row, fee_uid=f"{row['fee_uid']}_again")


@stored("stored booking twice")
def _booking_twice(it: Stored, dice: Random, place: Place) -> Expected:
    row = BOOKINGS.a_row(it, dice)
    return _twin(it, BOOKINGS, row, cash_uid=f"{row['cash_uid']}9", broker_cash_id=f"{row['broker_cash_id']}9")


@stored("stored fill of another account")
def _other_account(it: Stored, dice: Random, place: Place) -> Expected:
    """It is missing where it belongs and too many where it stands: both account-days are changed."""
    row = TRADES.a_row(it, dice)
    assert it.broker
    accounts = place.scenario.accounts[it.broker]
    other = next(one for one in accounts if one != row["account_id"])
    it.change("UPDATE trades_norm SET account_id = %(1)s WHERE trade_uid = %(0)s", row["trade_uid"], other)
    return Expected("A11", subject=row["trade_uid"], days=[row["trade_date"]], causes=("PIPELINE",))


@stored("stored fill on another day")
def _other_day(it: Stored, dice: Random, place: Place) -> Expected:
    """It is missing on its day and too many on another: both account-days are changed."""
    row = TRADES.a_row(it, dice)
    later = row["trade_date"] + timedelta(days=1)
    it.change("UPDATE trades_norm SET trade_date = %(1)s WHERE trade_uid = %(0)s", row["trade_uid"], later)
    return Expected("A11", subject=row["trade_uid"], days=[row["trade_date"], later], causes=("PIPELINE",))


@stored("instrument with another multiplier")
def _instrument(it: Stored, dice: Random, place: Place) -> Expected:
    held = TRADES.a_row(it, dice, "asset_class = 'OPTION'")
    it.change("UPDATE instruments SET multiplier = multiplier * 10 WHERE symbol = %(0)s", held["symbol"])
    return Expected("B10", subject=held["symbol"], causes=("REFERENCE_DATA",))
