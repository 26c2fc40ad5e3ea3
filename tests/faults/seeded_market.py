"""What a live engine keeps of a clean year: bars of what was traded, signals and snapshots; and faults of these."""

from datetime import timedelta
from random import Random
from typing import LiteralString

from apex_pipeline.domain.models import Broker
from tests.faults.seeded_fault import Expected, stored
from tests.faults.seeded_stored import Row, Stored
from tests.faults.seeded_year import Place

IB, FUTU = Broker.IB, Broker.FUTU
DAYS, MINUTES = "timeframe = '1d'", "timeframe = '1m'"


def _bar(it: Stored, dice: Random, where: LiteralString) -> Row:
    """Any bar that is neither the first nor the last of its kind."""
    return it.one(
        dice,
        "SELECT o.*, d.on_date FROM ohlcv o "
        "JOIN market_days d ON d.calendar = 'XNYS' AND d.on_date = (o.opened_at AT TIME ZONE 'America/New_York')::date "
        "WHERE EXISTS (SELECT FROM ohlcv p WHERE (p.symbol, p.timeframe) = (o.symbol, o.timeframe) "
        "AND p.opened_at < o.opened_at) AND EXISTS (SELECT FROM ohlcv p "
        "WHERE (p.symbol, p.timeframe) = (o.symbol, o.timeframe) AND p.opened_at > o.opened_at) "
        "AND " + where + " ORDER BY o.symbol, o.opened_at",
    )


def _is(row: Row) -> tuple[object, ...]:
    return row["symbol"], row["timeframe"], row["opened_at"]


def _of_bar(check: str, row: Row) -> Expected:
    return Expected(check, subject=f"{row['symbol']} {row['timeframe']}", days=[row["on_date"]])


ONE: LiteralString = "WHERE (symbol, timeframe, opened_at) = (%(0)s, %(1)s, %(2)s)"


@stored("bar outside of the session", None)
def _at_night(it: Stored, dice: Random, place: Place) -> Expected:
    row = _bar(it, dice, "timeframe = '1m'")
    opened_at = row["opened_at"] + timedelta(hours=9)
    told = {name: value for name, value in row.items() if name != "on_date"}
    it.copy("ohlcv", told, opened_at=opened_at)
    return Expected("E01", subject=f"{row['symbol']} 1m", days=[row["on_date"], row["on_date"] + timedelta(days=1)])


@stored("bar of a day without a session", None)
def _holiday(it: Stored, dice: Random, place: Place) -> Expected:
    row = _bar(it, dice, "timeframe = '1d' AND extract(isodow FROM d.on_date) = 5")
    told = {name: value for name, value in row.items() if name != "on_date"}
    it.copy("ohlcv", told, opened_at=row["opened_at"] + timedelta(days=1))
    return Expected("E01", subject=f"{row['symbol']} 1d", days=[row["on_date"] + timedelta(days=1)])


@stored("bar of a minute missing", None)
def _minute(it: Stored, dice: Random, place: Place) -> Expected:
    row = _bar(it, dice, "timeframe = '1m'")
    it.change("DELETE FROM ohlcv " + ONE, *_is(row))
    return _of_bar("E02", row)


@stored("bar of a day missing", None)
def _day(it: Stored, dice: Random, place: Place) -> Expected:
    row = _bar(it, dice, "timeframe = '1d'")
    it.change("DELETE FROM ohlcv " + ONE, *_is(row))
    return _of_bar("E02", row)


@stored("low of a bar above its open", None)
def _shape(it: Stored, dice: Random, place: Place) -> Expected:
    row = _bar(it, dice, "true")
    it.change("UPDATE ohlcv SET low = open + 1 " + ONE, *_is(row))
    return _of_bar("E03", row)


@stored("negative volume", None)
def _volume(it: Stored, dice: Random, place: Place) -> Expected:
    row = _bar(it, dice, "true")
    it.change("UPDATE ohlcv SET volume = -5 " + ONE, *_is(row))
    return _of_bar("E03", row)


@stored("bar that its fill is outside of")
def _fill(it: Stored, dice: Random, place: Place) -> Expected:
    row = it.one(
        dice,
        "SELECT t.trade_uid, t.account_id, t.trade_date, o.symbol, o.timeframe, o.opened_at FROM trades_norm t "
        "JOIN ohlcv o ON o.symbol = t.symbol AND o.timeframe = '1m' "
        "AND o.opened_at = date_trunc('minute', t.executed_at) "
        "JOIN orders_norm r ON r.order_uid = t.order_uid AND r.combo_id IS NULL AND r.legs IS NULL "
        "WHERE t.broker = %(broker)s AND t.effective ORDER BY 1",
    )
    it.change(
        "UPDATE ohlcv SET open = open * 2, high = high * 2, low = low * 2, close = close * 2 "
        "WHERE (symbol, timeframe) = (%(0)s, %(1)s) AND opened_at BETWEEN %(2)s::timestamptz - interval '1 minute' "
        "AND %(2)s::timestamptz + interval '1 minute'",
        *_is(row),
    )
    return Expected("E04", account=row["account_id"], days=[row["trade_date"]], row=row["symbol"], several=True)


@stored("signal stored twice", None)
def _signal_twice(it: Stored, dice: Random, place: Place) -> Expected:
    row = it.one(dice, "SELECT * FROM trade_signals ORDER BY signal_uid")
    it.copy("trade_signals", row, signal_uid=f"{row['signal_uid']}2")
    return Expected("E05", subject=row["signal_key"], days=[row["created_at"].date()], causes=("DUPLICATE",))


@stored("signal told otherwise", None)
def _signal_changed(it: Stored, dice: Random, place: Place) -> Expected:
    row = it.one(dice, "SELECT * FROM trade_signals ORDER BY signal_uid")
    it.copy("trade_signals", row, signal_uid=f"{row['signal_uid']}3", side="SELL" if row["side"] == "BUY" else "BUY")
    return Expected("E05", subject=row["signal_key"], days=[row["created_at"].date()], causes=("PIPELINE",))


_NEWEST: LiteralString = (
    "SELECT DISTINCT ON (account_id) s.*, (captured_at AT TIME ZONE 'UTC')::date AS on_date FROM position_snapshots s "
    "WHERE broker = %(broker)s AND position_count > 1 ORDER BY account_id, captured_at DESC"
)
_OLDEST: LiteralString = (
    "SELECT DISTINCT ON (account_id) s.*, (captured_at AT TIME ZONE 'UTC')::date AS on_date FROM position_snapshots s "
    "WHERE broker = %(broker)s AND position_count > 1 ORDER BY account_id, captured_at"
)


def _put(it: Stored, row: Row, change: LiteralString) -> None:
    it.change(
        "UPDATE position_snapshots SET " + change + " WHERE (account_id, captured_at) = (%(0)s, %(1)s)",
        row["account_id"], row["captured_at"],
    )  # fmt: skip


@stored("snapshot with another quantity")
def _snapshot_qty(it: Stored, dice: Random, place: Place) -> Expected:
    row = it.one(dice, _OLDEST)
    _put(it, row, "positions = jsonb_set(positions, '{0,qty}', '\"4711\"')")
    return Expected("E06", account=row["account_id"], days=[row["on_date"]])


@stored("snapshot without a position")
def _snapshot_less(it: Stored, dice: Random, place: Place) -> Expected:
    row = it.one(dice, _OLDEST)
    _put(it, row, "positions = positions - 0, position_count = position_count - 1")
    return Expected("E06", account=row["account_id"], days=[row["on_date"]])


@stored("newest snapshot with another quantity")
def _newest(it: Stored, dice: Random, place: Place) -> Expected:
    row = it.one(dice, _NEWEST)
    _put(it, row, "positions = jsonb_set(positions, '{0,qty}', '\"4711\"')")
    return Expected("E06 E07", account=row["account_id"], days=[row["on_date"]])
