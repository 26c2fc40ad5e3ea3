"""Daily values of accounts: the same from any day on, from the ledger's own tables."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.models import Broker, CashKind
from apex_pipeline.live import snapshot_portfolio
from apex_pipeline.settings import PROJECT_DIR
from apex_pipeline.store.db import Database
from apex_pipeline.store.migrate import MigrationRunner
from apex_pipeline.store.repositories.value import rewrite_performance
from apex_pipeline.store.tables import LEDGER_TABLES
from apex_pipeline.store.transaction import Merged
from tests.store.cash_book import BEGINNING, FUTU, IB, balance, covered, movement, rate, report, rewritten, store, sums
from tests.store.rows import query, tables_hash, value

MON, TUE, WED, THU, FRI = (date(2024, 7, day) for day in range(1, 6))
TABLE = "performance_metrics"


def valued(db: Database, from_day: date = BEGINNING, *accounts: str) -> Merged:
    with db.transaction() as tx:
        return rewrite_performance(tx, dict.fromkeys(accounts or (IB,), from_day))[TABLE]


def daily(db: Database, columns: str, scope: str = "ACCOUNT") -> list[tuple[Any, ...]]:
    """Columns of the daily rows of a scope, oldest first."""
    text = f"SELECT {columns} FROM {TABLE} WHERE period = 'DAY' AND scope = '{scope}' "
    text += "ORDER BY account_id, business_date, scope_id"
    return query(db.url, text)  # pyright: ignore[reportArgumentType] - written here


def held(day: date, worth: str | None, gained: str | None = "0", **changes: Any) -> dict[str, Any]:
    """A position of US dollars at the end of a day."""
    told = {
        "business_date": day, "broker": "IB", "account_id": IB, "instrument_id": "1", "symbol": "US.KO",
        "underlying": "US.KO", "asset_class": "STOCK", "qty": Decimal(1), "avg_cost": None, "cost_basis": None,
        "mark_price": None, "market_value": None if worth is None else Decimal(worth),
        "unrealized_pnl": None if gained is None else Decimal(gained), "currency": "USD",
    }  # fmt: skip
    return {**told, **changes}


def closed(key: str, day: date, gain: str | None, **changes: Any) -> dict[str, Any]:
    """A piece that a trade closed."""
    told = dict.fromkeys(LEDGER_TABLES["realized_pnl"].columns) | {
        "realized_uid": key, "broker": "IB", "account_id": IB, "instrument_id": "1", "symbol": "US.KO",
        "underlying": "US.KO", "asset_class": "STOCK", "kind": "TRADE", "direction": "LONG", "close_trade_uid": key,
        "qty": Decimal(1), "open_fees": Decimal("0.5"), "close_fees": Decimal("0.25"), "carried_pnl": Decimal(0),
        "realized_pnl": None if gain is None else Decimal(gain), "currency": "USD", "closed_on": day, "method": "FIFO",
        "basis_source": "TRADES",
    }  # fmt: skip
    return {**told, **changes}


def trip(key: str, day: date, gain: str | None, **changes: Any) -> dict[str, Any]:
    told = dict.fromkeys(LEDGER_TABLES["round_trips"].columns) | {
        "trade_id": key, "broker": "IB", "account_id": IB, "symbol": "US.KO", "underlying": "US.KO", "side": "BUY",
        "quantity": Decimal(1), "exit_date": day, "realized_pnl": None if gain is None else Decimal(gain),
        "status": "CLOSED", "source": "LEDGER",
    }  # fmt: skip
    return {**told, **changes}


def put(db: Database, table: str, rows: Iterable[dict[str, Any]]) -> None:
    with db.transaction() as tx:
        tx.merge(LEDGER_TABLES[table], rows)


def a_week(db: Database) -> None:
    """1000 paid in on Monday, shares since Tuesday that rise, 500 paid in on Thursday."""
    store(
        db,
        [
            report(IB, MON, FRI, startingCash="0", endingCash="1100"),
            movement(IB, "1", MON, CashKind.DEPOSIT, "1000"),
            movement(IB, "2", TUE, CashKind.OTHER, "-400"),
            movement(IB, "3", THU, CashKind.DEPOSIT, "500"),
            movement(IB, "4", FRI, CashKind.FEE, "-2"),
            rate(IB, MON, "HKD", "0.128"),
        ],
    )
    covered(db, IB, "ib_flex", MON, FRI)
    put(
        db,
        "positions_daily",
        [held(TUE, "400"), held(WED, "500", "100"), held(THU, "490", "90"), held(FRI, "690", "290")],
    )
    put(db, "realized_pnl", [closed("a", WED, "10"), closed("b", WED, "-4"), closed("c", FRI, "1")])
    put(
        db,
        "round_trips",
        [trip("a", WED, "10"), trip("b", WED, "-4"), trip("c", FRI, None), trip("o", FRI, "1", status="OPEN")],
    )
    rewritten(db)


def test_every_weekday_has_the_value_and_growth_of_the_account(db: Database) -> None:
    a_week(db)
    assert valued(db).inserted == 8
    assert daily(db, "business_date, net_liquidation, net_flow, daily_return, cumulative_return, drawdown") == [
        (date(2024, 6, 30), Decimal(0), Decimal(0), None, Decimal(0), Decimal(0)),
        (MON, Decimal(1000), Decimal(1000), Decimal(0), Decimal(0), Decimal(0)),
        (TUE, Decimal(1000), Decimal(0), Decimal(0), Decimal(0), Decimal(0)),
        (WED, Decimal(1100), Decimal(0), Decimal("0.1"), Decimal("0.1"), Decimal(0)),
        (THU, Decimal(1590), Decimal(500), Decimal("-0.00625"), Decimal("0.093125"), Decimal("0.00625")),
        (FRI, Decimal(1788), Decimal(0), Decimal("0.124528301887"), Decimal("0.22925"), Decimal(0)),
    ]


def test_results_fees_and_success_stand_beside_it(db: Database) -> None:
    a_week(db)
    valued(db)
    assert daily(db, "business_date, realized_pnl, unrealized_pnl, fees, win_rate, total_trades, currency")[3:] == [
        (WED, Decimal(6), Decimal(100), Decimal(0), Decimal("0.5"), 2, "USD"),
        (THU, Decimal(0), Decimal(90), Decimal(0), Decimal("0.5"), 2, "USD"),
        (FRI, Decimal(1), Decimal(290), Decimal(2), Decimal("0.5"), 3, "USD"),
    ]


def test_underlyings_and_strategies_have_rows_on_the_days_of_their_closings(db: Database) -> None:
    a_week(db)
    valued(db)
    assert daily(db, "business_date, scope_id, realized_pnl, fees, win_rate, total_trades", "UNDERLYING") == [
        (WED, "US.KO", Decimal(6), Decimal("1.5"), Decimal("0.5"), 2),
        (FRI, "US.KO", Decimal(1), Decimal("0.75"), Decimal("0.5"), 3),
    ]
    assert daily(db, "scope_id", "STRATEGY") == []


@pytest.mark.parametrize("day", [BEGINNING, MON, WED, FRI, date(2024, 8, 1)])
def test_a_second_run_from_any_day_writes_nothing(db: Database, day: date) -> None:
    a_week(db)
    valued(db)
    where = f"SELECT ctid::text, xmin::text FROM {TABLE} ORDER BY 1"
    before = query(db.url, where)  # pyright: ignore[reportArgumentType] - written here
    assert valued(db, day) == Merged(0, 0)
    assert query(db.url, where) == before  # pyright: ignore[reportArgumentType]


def test_days_that_come_one_by_one_make_the_same_rows(db: Database, empty_url: str) -> None:
    a_week(db)
    valued(db)
    with Database(empty_url) as other:
        MigrationRunner(other, PROJECT_DIR / "migrations").run()
        a_week(other)
        query(other.url, "DELETE FROM positions_daily WHERE business_date > '2024-07-02'")
        query(other.url, "DELETE FROM realized_pnl; DELETE FROM round_trips")
        valued(other)
        for number, day in enumerate((WED, THU, FRI)):
            put(other, "positions_daily", [held(day, ("500", "490", "690")[number], ("100", "90", "290")[number])])
            if day == WED:
                put(other, "realized_pnl", [closed("a", WED, "10"), closed("b", WED, "-4")])
                put(other, "round_trips", [trip("a", WED, "10"), trip("b", WED, "-4")])
            valued(other, day)
        put(other, "realized_pnl", [closed("c", FRI, "1")])
        put(other, "round_trips", [trip("c", FRI, None)])
        valued(other, FRI)
    assert tables_hash(empty_url, [TABLE]) == tables_hash(db.url, [TABLE])


def test_a_correction_changes_the_days_since_and_only_those(db: Database) -> None:
    a_week(db)
    valued(db)
    put(db, "positions_daily", [held(THU, "480", "80")])
    assert valued(db, THU) == Merged(0, 2)
    query(db.url, "DELETE FROM realized_pnl WHERE closed_on = '2024-07-05'")
    assert valued(db, FRI) == Merged(0, 1, 1)


def test_the_equity_that_the_broker_tells_is_the_value(db: Database) -> None:
    a_week(db)
    store(db, [sums(IB, "EquitySummaryInBase", day, day, total=total) for day, total in ((WED, "1101"), (THU, "1601"))])
    store(
        db,
        [
            sums(IB, "ChangeInNAV", MON, THU, endingValue="9", twr="5"),
            sums(IB, "ChangeInNAV", MON, FRI, endingValue="1790"),
        ],
    )
    valued(db)
    assert daily(db, "net_liquidation, source, daily_return")[3:] == [
        (Decimal(1101), "BROKER", Decimal("0.1")),
        (Decimal(1601), "BROKER", Decimal(0)),
        (Decimal(1790), "BROKER", Decimal("0.118051217989")),
    ]


def test_a_missing_mark_leaves_the_value_unknown(db: Database) -> None:
    a_week(db)
    put(db, "positions_daily", [held(WED, None, None), held(THU, "1", None, instrument_id="2", asset_class="FUTURE")])
    valued(db)
    assert daily(db, "cash, positions_value, net_liquidation, daily_return")[3:5] == [
        (Decimal(600), None, None, None),
        (Decimal(1100), Decimal(490), Decimal(1590), Decimal("0.072")),
    ]


def test_the_base_currency_of_a_person_comes_before_that_of_the_broker(db: Database) -> None:
    a_week(db)
    query(db.url, "INSERT INTO account_rules VALUES ('U1', 'BASE_CURRENCY', '2000-01-01', 'HKD', now())")
    valued(db)
    assert daily(db, "currency, net_liquidation")[1] == ("HKD", Decimal("7812.5"))


def test_futu_is_valued_at_the_rates_of_the_other_broker_and_told_as_such(db: Database) -> None:
    store(
        db,
        [
            rate(IB, MON, "HKD", "0.125"),
            movement(FUTU, "1", MON, CashKind.DEPOSIT, "100"),
            balance(FUTU, TUE, "100"),
            balance(FUTU, TUE, "80", "HKD", net_liquidation=Decimal(900)),
        ],
    )
    covered(db, FUTU, "futu_cash", MON, TUE)
    covered(db, FUTU, "futu_deals", MON, TUE)
    rewritten(db)
    valued(db, BEGINNING, FUTU)
    told = daily(db, "business_date, currency, cash, net_liquidation, source, as_of")
    assert told[-1] == (TUE, "HKD", Decimal(880), Decimal(900), "BROKER", datetime(2024, 7, 2, 15, 59, 59, tzinfo=UTC))


def test_an_account_of_which_nothing_is_known_has_no_rows(db: Database) -> None:
    assert valued(db, BEGINNING, "U9") == Merged(0, 0)
    assert snapshot_portfolio(db, "U9", datetime.now(UTC)) is None


def test_a_snapshot_is_of_this_hour_unless_told(db: Database) -> None:
    a_week(db)
    valued(db)
    row = snapshot_portfolio(db, IB)
    assert row is not None
    assert timedelta(0) <= datetime.now(UTC) - row.as_of < timedelta(hours=2)


def test_a_snapshot_of_now_is_one_row_an_hour_beside_the_days(db: Database) -> None:
    a_week(db)
    valued(db)
    days = daily(db, "*")
    now = datetime(2024, 7, 6, 10, 42, tzinfo=UTC)
    row = snapshot_portfolio(db, IB, now)
    assert row is not None
    assert (row.period, row.as_of, row.business_date) == ("HOUR", now.replace(minute=0), FRI)
    assert (row.net_liquidation, row.cumulative_return) == (Decimal(1788), Decimal("0.22925"))
    snapshot_portfolio(db, IB, now + timedelta(minutes=3))
    assert value(db.url, "SELECT count(*) FROM performance_metrics WHERE period = 'HOUR'") == 1
    assert valued(db) == Merged(0, 0)
    assert daily(db, "*") == days
    with pytest.raises(ValueError, match="aware"):
        snapshot_portfolio(db, IB, datetime(2024, 7, 6))  # noqa: DTZ001 - that is what is refused


@pytest.mark.parametrize(("twr", "breaks"), [("22.925", 0), ("22.97", 0), ("23.0", 1)])
def test_the_return_that_the_broker_tells_is_compared(db: Database, twr: str, breaks: int) -> None:
    a_week(db)
    valued(db)
    store(db, [sums(IB, "ChangeInNAV", MON, FRI, twr=twr)])
    days: dict[str, Any] = {"from_date": MON, "to_date": FRI}
    assert len(db.fetch("check_time_weighted_return_equals_the_brokers", **days)) == breaks
    assert [row["subjects"] for row in db.fetch("subjects_time_weighted_return_equals_the_brokers", **days)] == [1]


def test_rows_name_the_broker_of_the_account(db: Database) -> None:
    a_week(db)
    valued(db)
    assert set(daily(db, "broker")) == {(Broker.IB.value,)}
