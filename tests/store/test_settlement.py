"""Settlement as the store recomputes it."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

from apex_pipeline.domain.models import AssetClass, Trade, TradeKind
from apex_pipeline.reference.exchanges import market_days
from apex_pipeline.store.db import Database
from apex_pipeline.store.transaction import Merged
from tests.store.rows import query, value
from tests.store.rules_book import (
    ALL,
    MONDAY,
    NOTHING,
    cover,
    not_effective,
    rewritten,
    store,
    trade,
)


def test_trades_settle_by_market_class_and_date(db: Database, database_url: str) -> None:
    friday, hk_day = date(2025, 10, 10), date(2023, 8, 30)
    store(
        db,
        [
            trade("share", friday, 5),
            trade("sold", friday, -5),
            trade("before", date(2024, 5, 24), 5),
            trade("option", date(2024, 5, 24), 1, symbol="US.AAPL 2026-12-18 C 100", asset_class=AssetClass.OPTION),
            trade("hk", hk_day, 100, symbol="HK.00700", market="HK"),
            trade("future", friday, 1, symbol="US.ESZ6", asset_class=AssetClass.FUTURE),
            trade("de", friday, 1, symbol="DE.SAP", market="DE"),
        ],
    )
    rewritten(db, ALL)
    rows = query(
        database_url, "SELECT trade_uid, settlement_date, rule, amount, status FROM settlement_tracking ORDER BY 1"
    )
    assert rows == [
        ("before", date(2024, 5, 29), "US STOCK T+2", Decimal(-50), "SETTLED"),
        ("de", None, None, Decimal(-10), "UNKNOWN"),
        ("future", None, None, Decimal(-10), "UNKNOWN"),
        ("hk", date(2023, 9, 4), "HK STOCK T+2", Decimal(-1000), "SETTLED"),
        ("option", date(2024, 5, 28), "US OPTION T+1", Decimal(-10), "SETTLED"),
        ("share", date(2025, 10, 14), "US STOCK T+1", Decimal(-50), "PENDING"),
        ("sold", date(2025, 10, 14), "US STOCK T+1", Decimal(50), "PENDING"),
    ]


def test_shares_of_an_assignment_settle_and_ends_of_options_do_not(db: Database, database_url: str) -> None:
    def ended(uid: str, kind: TradeKind, price: int) -> Trade:
        contract = "US.AAPL 2025-03-03 C 100"
        return trade(uid, MONDAY, 1, symbol=contract, asset_class=AssetClass.OPTION, kind=kind, price=price)

    store(
        db,
        [
            ended("expired", TradeKind.EXPIRATION, 0),
            ended("assigned", TradeKind.ASSIGNMENT, 0),
            ended("in cash", TradeKind.EXERCISE, 3),
            trade("delivered", MONDAY, -100, kind=TradeKind.ASSIGNMENT),
            not_effective(trade("busted", MONDAY, 1)),
        ],
    )
    rewritten(db, ALL)
    assert query(database_url, "SELECT trade_uid, rule FROM settlement_tracking ORDER BY 1") == [
        ("delivered", "US STOCK T+1"),
        ("in cash", "US OPTION T+1"),
    ]


def test_a_trade_becomes_settled_when_its_day_is_known(db: Database, database_url: str) -> None:
    store(db, [trade("a", MONDAY, 1)])
    cover(database_url, "U1", MONDAY, MONDAY)
    rewritten(db, ALL)
    state = "SELECT status FROM settlement_tracking"
    assert value(database_url, state) == "PENDING"
    cover(database_url, "U1", MONDAY, MONDAY + timedelta(days=1))
    assert rewritten(db, {"U1": MONDAY + timedelta(days=1)})["settlement_tracking"] == Merged(0, 1)
    assert value(database_url, state) == "SETTLED"
    assert rewritten(db, {"U1": MONDAY + timedelta(days=1)}) == NOTHING
    assert rewritten(db, ALL) == NOTHING


def test_the_date_of_the_broker_stands_beside_ours(db: Database, database_url: str) -> None:
    store(db, [replace(trade("a", MONDAY, 1), settle_date=MONDAY + timedelta(days=7))])
    rewritten(db, ALL)
    assert query(database_url, "SELECT settlement_date, broker_settlement_date FROM settlement_tracking") == [
        (MONDAY + timedelta(days=1), MONDAY + timedelta(days=7))
    ]


def test_every_day_of_a_decade_settles_as_the_calendar_counts(db: Database, database_url: str) -> None:
    first, last = date(2016, 1, 1), date(2026, 1, 31)
    span = [first + timedelta(days=number) for number in range((last - first).days)]
    store(db, [trade(one.isoformat(), one, 1) for one in span])
    rewritten(db, ALL)
    open_days = [one.on_date for one in market_days("XNYS", first, last + timedelta(days=20)) if one.is_settlement_day]
    for uid, settled in query(database_url, "SELECT trade_uid, settlement_date FROM settlement_tracking"):
        on = date.fromisoformat(uid)
        cycle = 3 if on < date(2017, 9, 5) else 2 if on < date(2024, 5, 28) else 1
        assert settled == [one for one in open_days if one > on][cycle - 1]
