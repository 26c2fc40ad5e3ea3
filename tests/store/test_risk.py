"""Risk is measured from the newest source that is whole, and signals stand while their limit is passed."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.results import RiskLevel
from apex_pipeline.domain.risk_limits import risk_limits
from apex_pipeline.pipeline import Watched, watch_risk
from apex_pipeline.reports.risk import risk_tables
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.risk import standing_signals
from apex_pipeline.store.tables import ACCOUNT_SNAPSHOTS, LEDGER_TABLES, POSITION_SNAPSHOTS
from apex_pipeline.store.transaction import Merged
from tests.store.cash_book import rate, store
from tests.store.rows import query, tables_hash

IB, FUTU = "U1", "100"
MON, TUE, WED, THU = (date(2024, 7, day) for day in range(1, 5))
MORNING = timedelta(hours=13)
LIMITS = risk_limits("gross_exposure=1:1.5,concentration=:0.8,drawdown=0.1:0.2,cash_share=0.1:0,margin_used=0.5:0.9")


def put(db: Database, table: str, **told: Any) -> None:
    """A row of the ledger; what is not told is unknown."""
    row = dict.fromkeys(LEDGER_TABLES[table].columns)
    with db.transaction() as tx:
        tx.merge(LEDGER_TABLES[table], [{**row, **told}])


def worth(db: Database, day: date, net: str | None, **told: Any) -> None:
    """What an account was worth at the end of a day."""
    account = told.get("account_id", IB)
    usual: dict[str, Any] = {
        "account_id": IB, "period": "DAY", "as_of": end(day), "scope": "ACCOUNT", "scope_id": "", "total_trades": 0,
        "broker": "IB" if account.startswith("U") else "FUTU", "business_date": day, "currency": "USD",
        "net_liquidation": None if net is None else Decimal(net), "cash": Decimal(500), "net_flow": Decimal(0),
        "drawdown": Decimal(0), "source": "BROKER",
    }  # fmt: skip
    put(db, "performance_metrics", **{**usual, **told})


def end(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 3, 59, 59, tzinfo=UTC) + timedelta(1)


def holds(db: Database, day: date, symbol: str, amount: str | None, **told: Any) -> None:
    """A position at the end of a day."""
    usual: dict[str, Any] = {
        "business_date": day, "broker": "IB", "account_id": IB, "instrument_id": symbol, "symbol": symbol,
        "underlying": symbol, "asset_class": "STOCK", "qty": Decimal(1), "currency": "USD",
        "market_value": None if amount is None else Decimal(amount),
    }  # fmt: skip
    put(db, "positions_daily", **{**usual, **told})


def captured(db: Database, at: datetime, net: str, *held: dict[str, Any], account: str = IB, **told: Any) -> None:
    """A snapshot of an account and of what it holds, a minute before."""
    key = {"broker": "IB" if account.startswith("U") else "FUTU", "account_id": account}
    row = dict.fromkeys(ACCOUNT_SNAPSHOTS.columns) | {
        **key, "captured_at": at, "net_liquidation": Decimal(net), "total_cash_value": Decimal(50), "currency": "USD",
        "payload": {}, **told,
    }  # fmt: skip
    positions = dict.fromkeys(POSITION_SNAPSHOTS.columns) | {
        **key, "captured_at": at - timedelta(minutes=1), "position_count": len(held), "positions": list(held),
        "source": "IB",
    }  # fmt: skip
    with db.transaction() as tx:
        tx.merge(ACCOUNT_SNAPSHOTS, [row])
        tx.merge(POSITION_SNAPSHOTS, [positions])


def watched(db: Database, now: datetime) -> Watched:
    return watch_risk(db, LIMITS, now)


def figures(db: Database, scope: str = IB) -> dict[str, Any]:
    """The newest figures of a scope."""
    text = "SELECT metrics FROM risk_snapshots WHERE scope = %(scope)s ORDER BY captured_at DESC LIMIT 1"
    return db.fetchval(text, scope=scope)


def story(db: Database) -> list[tuple[Any, ...]]:
    """Every signal of a limit, in order."""
    text = "SELECT scope, metric, level, value, raised_at, resolved_at FROM risk_signals WHERE source = 'LIMITS' "
    return query(db.url, text + "ORDER BY scope, metric, raised_at, level")


def test_nothing_known_is_nothing_measured(db: Database) -> None:
    assert watched(db, end(MON)) == Watched({"risk_snapshots": Merged(0, 0), "risk_signals": Merged(0, 0)}, [])


def test_a_limit_is_passed_and_taken_back_over_days(db: Database) -> None:
    days = [(MON, "900"), (TUE, "1200"), (WED, "1600"), (THU, "700")]
    for day, amount in days:
        worth(db, day, "1000")
        holds(db, day, "US.KO", amount)
        _ = watched(db, end(day) + MORNING)
    told = [row[1:] for row in story(db) if row[:2] == (IB, "gross_exposure")]
    assert told == [
        ("gross_exposure", "WARNING", Decimal("1.2"), end(TUE), end(WED)),
        ("gross_exposure", "BREACH", Decimal("1.6"), end(WED), end(THU)),
    ]
    assert [row[2:] for row in story(db) if row[:2] == ("PORTFOLIO", "gross_exposure")] == [row[1:] for row in told]
    assert [(row[2], row[4], row[5]) for row in story(db) if row[:2] == (IB, "concentration")] == [
        ("BREACH", end(MON), end(THU))
    ]
    assert [
        row["at"] for row in db.fetch("SELECT captured_at AS at FROM risk_snapshots WHERE scope = 'U1' ORDER BY 1")
    ] == [end(day) for day, _ in days]


def test_a_second_look_changes_nothing_and_the_signals_of_an_engine_are_its_own(db: Database) -> None:
    worth(db, MON, "1000")
    holds(db, MON, "US.KO", "1200")
    insert = "INSERT INTO risk_signals (signal_type, level, metric, scope, source) VALUES (%s, %s, %s, %s, %s)"
    _ = query(db.url, insert, "X", "BREACH", "gross_exposure", IB, "ENGINE")
    first = watched(db, end(MON) + MORNING)
    assert first.rows["risk_signals"] == Merged(4, 0)
    before = tables_hash(db.url, ["risk_snapshots", "risk_signals"])
    for hours in (0, 5):
        again = watched(db, end(MON) + MORNING + timedelta(hours=hours))
        assert set(again.rows.values()) == {Merged(0, 0)}
        assert {one.signal_uid for one in again.standing} == {one.signal_uid for one in first.standing}
    assert tables_hash(db.url, ["risk_snapshots", "risk_signals"]) == before
    holds(db, MON, "US.KO", "100")
    assert watched(db, end(MON) + MORNING).rows["risk_signals"] == Merged(0, 4)
    assert [(one.source, one.signal_type) for one in standing_signals(db)] == [("ENGINE", "X")]


def test_a_mark_that_is_missing_leaves_signals_as_they_are_and_is_named(db: Database) -> None:
    worth(db, MON, "1000")
    holds(db, MON, "US.KO", "1200")
    standing = {one.signal_uid for one in watched(db, end(MON)).standing}
    worth(db, TUE, "1000")
    holds(db, TUE, "US.KO", None)
    assert {one.signal_uid for one in watched(db, end(TUE)).standing} == standing
    assert figures(db)["gross_exposure"] is None
    assert figures(db)["missing"]["gross_exposure"] == "the market value of US.KO"
    assert figures(db)["cash_share"] == Decimal("0.5")


def test_a_day_without_a_value_is_passed_over_for_the_newest_that_has_one(db: Database) -> None:
    worth(db, MON, "1000")
    worth(db, TUE, None)
    _ = watched(db, end(TUE))
    assert figures(db)["about"]["business_date"] == MON.isoformat()


KO = {"symbol": "US.KO", "qty": 10, "market_value": "450.5", "currency": "USD", "asset_class": "STOCK"}
CALL = {**KO, "symbol": "US.KO 2024-08-16 C 70", "qty": "-1", "market_value": -50.5, "asset_class": "OPTION"}
GONE = {**KO, "symbol": "US.GE", "qty": "0.00"}


def test_snapshots_that_are_newer_than_the_ledger_are_measured(db: Database) -> None:
    worth(db, MON, "1000", drawdown=Decimal("0.15"))
    holds(db, MON, "US.KO", "1200")
    late = end(MON) + MORNING
    captured(
        db, late, "500", KO, CALL, GONE, {"symbol": "USD.HKD", "qty": 5, "asset_class": "FX"}, margin_used=Decimal(300)
    )
    instrument = "INSERT INTO instruments (symbol, underlying, asset_class) VALUES (%s, 'US.KO', 'OPTION')"
    _ = query(db.url, instrument, CALL["symbol"])
    _ = watched(db, late)
    told = figures(db)
    assert told["about"]["source"] == "SNAPSHOT"
    assert told["about"]["drawdown_of"] == MON.isoformat()
    assert (told["gross_exposure"], told["concentration"]) == (Decimal("1.002"), Decimal("0.8"))
    assert (told["position_count"], told["margin_used"], told["drawdown"]) == (2, Decimal("0.6"), Decimal("0.15"))
    assert [one.level for one in standing_signals(db) if one.metric == "margin_used"] == [RiskLevel.WARNING] * 2


def test_the_end_of_a_later_day_replaces_a_snapshot(db: Database) -> None:
    worth(db, MON, "1000")
    captured(db, end(MON) - MORNING, "500", KO)
    _ = watched(db, end(MON) - timedelta(hours=12))
    assert figures(db)["about"]["source"] == "SNAPSHOT", "the day of the ledger still lasted"
    _ = watched(db, end(MON) + MORNING)
    assert figures(db)["about"]["source"] == "LEDGER"


def test_a_snapshot_without_positions_beside_it_tells_the_margin_only(db: Database) -> None:
    worth(db, MON, "1000")
    holds(db, MON, "US.KO", "1200")
    late = end(MON) + MORNING
    captured(db, late, "500", KO, margin_used=Decimal(250))
    _ = query(db.url, "UPDATE position_snapshots SET captured_at = captured_at - interval '20 minutes'")
    _ = watched(db, late)
    told = figures(db)
    assert (told["about"]["source"], told["gross_exposure"]) == ("LEDGER", Decimal("1.2"))
    assert told["margin_used"] == Decimal("0.5"), "against the worth that was told with it"


def test_a_margin_of_days_ago_is_no_margin(db: Database) -> None:
    captured(db, end(MON), "500", KO, margin_used=Decimal(250))
    worth(db, THU, "1000")
    _ = watched(db, end(THU) + MORNING)
    assert figures(db)["missing"]["margin_used"] == "the margin in use"


def test_accounts_in_two_currencies_are_added_up_by_the_rate_of_the_day(db: Database) -> None:
    worth(db, MON, "1000")
    holds(db, MON, "US.KO", "1000")
    worth(db, MON, "8000", account_id=FUTU, currency="HKD", cash=Decimal(0))
    holds(db, MON, "HK.00700", "4000", account_id=FUTU, broker="FUTU", currency="HKD")
    _ = watched(db, end(MON) + MORNING)
    assert figures(db, FUTU)["gross_exposure"] == Decimal("0.5")
    assert figures(db, "PORTFOLIO")["gross_exposure"] is None, "no rate is known"
    store(db, [rate(IB, MON, "HKD", "0.125")])
    _ = watched(db, end(MON) + MORNING)
    both = figures(db, "PORTFOLIO")
    assert both["about"]["currency"] == "HKD", "the first by name of two that are as common"
    assert (both["gross_exposure"], both["cash_share"]) == (Decimal("0.75"), Decimal("0.25"))
    assert (both["drawdown"], both["position_count"]) == (0, 2)


def test_a_position_in_a_currency_without_a_rate_is_unknown(db: Database) -> None:
    worth(db, MON, "1000")
    holds(db, MON, "HK.00700", "4000", currency="HKD")
    _ = watched(db, end(MON))
    assert figures(db)["missing"]["gross_exposure"] == "the market value of HK.00700"


def test_a_row_of_an_engine_at_the_same_instant_is_not_overwritten(db: Database) -> None:
    worth(db, MON, "1000")
    insert = "INSERT INTO risk_snapshots (scope, captured_at, metrics) VALUES (%s, %s, '{\"var\": 1}')"
    _ = query(db.url, insert, IB, end(MON))
    _ = watched(db, end(MON) + MORNING)
    assert figures(db) == {"var": 1}
    assert figures(db, "PORTFOLIO")["cash_share"] == Decimal("0.5")


def test_without_limits_figures_are_kept_and_what_stood_is_resolved(db: Database) -> None:
    worth(db, MON, "1000")
    holds(db, MON, "US.KO", "1200")
    assert len(watched(db, end(MON)).standing) == 4
    assert watch_risk(db, (), end(MON) + MORNING).standing == []
    assert standing_signals(db) == []


def test_people_see_what_stands_with_the_worst_first(db: Database) -> None:
    worth(db, MON, "1000", drawdown=Decimal("0.15"))
    holds(db, MON, "US.KO", "1600")
    _ = watched(db, end(MON))
    (table,) = risk_tables(db)
    assert [(row["level"], row["scope"], row["metric"]) for row in table.rows] == [
        ("BREACH", "PORTFOLIO", "concentration"),
        ("BREACH", "PORTFOLIO", "gross_exposure"),
        ("BREACH", IB, "concentration"),
        ("BREACH", IB, "gross_exposure"),
        ("WARNING", "PORTFOLIO", "drawdown"),
        ("WARNING", IB, "drawdown"),
    ]


@pytest.mark.parametrize("junk", ["NaN", "a lot", "", None, "1e999999"])
def test_a_value_of_a_snapshot_that_is_no_number_is_unknown(db: Database, junk: str | None) -> None:
    captured(db, end(MON), "500", {**KO, "market_value": junk})
    _ = watched(db, end(MON))
    assert figures(db)["gross_exposure"] is None


@pytest.mark.parametrize("odd", [{"market_value": "5"}, {"qty": 1}, 7, "text", None])
def test_a_position_that_says_too_little_makes_exposure_unknown(db: Database, odd: Any) -> None:
    captured(db, end(MON), "500", KO, odd)
    _ = watched(db, end(MON))
    assert (figures(db)["gross_exposure"], figures(db)["position_count"]) == (None, 2)
