"""Day trades and how often accounts trade, as the store counts them."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.ledger import MovementKind, Rule
from apex_pipeline.domain.models import AssetClass, Side, Trade
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.account_rules import AccountRuleRepository
from apex_pipeline.store.tables import LEDGER_TABLES, as_row
from tests.store.day_trade_rule import Fill, day_trades
from tests.store.rows import query
from tests.store.rules_book import (
    ALL,
    MONDAY,
    day,
    movement,
    random_trades,
    rewritten,
    store,
    trade,
)


def found(url: str, method: str = "DIRECTION_CHANGE") -> list[tuple[Any, ...]]:
    return query(
        url,
        "SELECT open_trade_uids, close_trade_uids, qty, regime FROM day_trades WHERE method = %s "
        "ORDER BY trade_date, 1",
        method,
    )


def test_a_day_trade_is_told_with_its_fills_and_regime(db: Database, database_url: str) -> None:
    store(
        db,
        [
            trade("a", MONDAY, 60, order="1"),
            trade("b", MONDAY, 40, order="2", minute=1),
            trade("c", MONDAY, -100, order="3", minute=2),
            trade("d", date(2026, 7, 1), 1, order="4"),
            trade("e", date(2026, 7, 1), -1, order="5", minute=1),
        ],
    )
    rewritten(db, ALL)
    assert found(database_url) == [
        (["a", "b"], ["c"], Decimal(100), "LEGACY_PDT"),
        (["d"], ["e"], Decimal(1), "UNKNOWN"),
    ]
    assert found(database_url, "ORDER_PAIR") == [
        (["a"], ["c"], Decimal(60), "LEGACY_PDT"),
        (["b"], ["c"], Decimal(40), "LEGACY_PDT"),
        (["d"], ["e"], Decimal(1), "UNKNOWN"),
    ]


def test_what_was_held_over_night_is_no_day_trade(db: Database, database_url: str) -> None:
    store(db, [trade("a", MONDAY, 100), trade("b", day(1), -100), trade("c", day(1), 100, minute=1)])
    rewritten(db, ALL)
    assert found(database_url) == []
    store(db, [trade("d", day(1), -100, minute=2)])
    rewritten(db, ALL)
    assert found(database_url) == [(["c"], ["d"], Decimal(100), "LEGACY_PDT")]


def test_only_us_shares_and_options_count(db: Database, database_url: str) -> None:
    def bought_and_sold(uid: str, **of: Any) -> list[Trade]:
        return [trade(f"{uid}1", MONDAY, 1, **of), trade(f"{uid}2", MONDAY, -1, minute=1, **of)]

    store(
        db,
        [
            *bought_and_sold("hk", symbol="HK.00700", market="HK"),
            *bought_and_sold("future", symbol="US.ESZ6", asset_class=AssetClass.FUTURE),
            *bought_and_sold("option", symbol="US.AAPL 2026-12-18 C 100", asset_class=AssetClass.OPTION),
        ],
    )
    rewritten(db, ALL)
    assert [row[0] for row in found(database_url)] == [["option1"]]


def test_a_split_before_the_open_moves_what_is_held(db: Database, database_url: str) -> None:
    store(db, [trade("a", MONDAY, 10), trade("b", day(1), -40), trade("c", day(1), 5, minute=1)])
    split = replace(
        movement(trade("split", day(1), 30)), kind=MovementKind.CORPORATE_ACTION, place=1, movement_uid="split"
    )
    with db.transaction() as tx:
        tx.merge(LEDGER_TABLES["position_movements"], [as_row(split)])
    rewritten(db, ALL)
    assert found(database_url) == []


def expected_day_trades(trades: list[Trade]) -> list[tuple[Any, ...]]:
    held: dict[tuple[str, str], Decimal] = {}
    by_day: dict[tuple[str, str, date], list[Fill]] = {}
    for one in trades:
        qty = one.qty if one.side is Side.BUY else -one.qty
        key = (one.account_id, one.symbol, one.trade_date)
        by_day.setdefault(key, []).append(Fill(one.trade_uid, one.order_uid or one.trade_uid, qty))
    rows: list[tuple[Any, ...]] = []
    for (account, symbol, on), fills in sorted(by_day.items(), key=lambda item: item[0][2]):
        before = held.get((account, symbol), Decimal(0))
        rows += [
            (account, symbol, on, one.method.value, list(one.open_trade_uids), list(one.close_trade_uids), one.qty)
            for one in day_trades(before, fills)
        ]
        held[account, symbol] = before + sum(fill.qty for fill in fills)
    return sorted(rows, key=str)


@pytest.mark.parametrize("seed", range(3))
def test_the_store_counts_day_trades_as_the_rule_does(db: Database, database_url: str, seed: int) -> None:
    trades = random_trades(seed, days=25, a_day=30)
    store(db, trades)
    rewritten(db, ALL)
    rows = query(
        database_url,
        "SELECT account_id, symbol, trade_date, method, open_trade_uids, close_trade_uids, qty FROM day_trades",
    )
    expected = expected_day_trades(trades)
    assert len(expected) > 300
    assert sorted(rows, key=str) == expected
    assert sorted(rows, key=str) != expected_day_trades(trades[1:])


def test_days_and_weeks_are_counted_with_the_five_sessions_before(db: Database, database_url: str) -> None:
    friday, next_tuesday = day(4), day(6)
    store(
        db,
        [
            trade("a", friday, 1, order="1"),
            trade("b", friday, 1, order="1", minute=1),
            trade("c", friday, -2, order="2", minute=2),
            trade("d", next_tuesday, 1, order="3"),
        ],
    )
    rewritten(db, ALL)
    rows = query(
        database_url,
        "SELECT period, period_start, trade_count, order_count, day_trade_count, day_trades_in_five_days, warning "
        "FROM trade_frequency_tracking ORDER BY 1, 2",
    )
    assert rows == [
        ("DAY", friday, 3, 2, 1, 1, None),
        ("DAY", next_tuesday, 1, 1, 0, 1, None),
        ("WEEK", MONDAY, 3, 2, 1, 1, None),
        ("WEEK", MONDAY + timedelta(days=7), 1, 1, 0, 0, None),
    ]


def busy(made: int, others: int, on: date = MONDAY) -> list[Trade]:
    """So many day trades on one day, each of two orders, beside so many other orders."""

    def order(name: str, qty: int, symbol: str) -> Trade:
        return trade(f"{on}{name}", on, qty, symbol=symbol, order=f"{on}{name}", minute=int(qty < 0))

    pairs = [
        order(f"{number}{side}", qty, f"US.S{number}") for number in range(made) for side, qty in (("b", 1), ("s", -1))
    ]
    return [*pairs, *(order(f"{number}o", 1, f"US.O{number}") for number in range(others))]


def warnings(url: str) -> list[Any]:
    rows = query(url, "SELECT warning FROM trade_frequency_tracking WHERE period = 'DAY' ORDER BY period_start")
    return [text for (text,) in rows]


@pytest.mark.parametrize(
    ("made", "others", "warned"), [(4, 0, True), (3, 0, False), (4, 58, True), (4, 59, False), (5, 59, True)]
)
def test_four_day_trades_that_are_more_than_six_percent_warn(
    db: Database, database_url: str, made: int, others: int, warned: bool
) -> None:
    store(db, busy(made, others))
    rewritten(db, ALL)
    (text,) = warnings(database_url)
    assert (text is not None) is warned
    if warned:
        assert text.startswith(f"{made} day trades in five sessions, ")
        assert f"% of {2 * made + others} orders" in text


def test_nobody_is_warned_of_a_rule_that_does_not_hold(db: Database, database_url: str) -> None:
    later = date(2026, 7, 1)
    store(db, [*busy(5, 0), *busy(5, 0, later)])
    rewritten(db, ALL)
    assert [text is not None for text in warnings(database_url)] == [True, False]
    rules = AccountRuleRepository(db)
    rules.set_rule("U1", Rule.REGIME, MONDAY, "NOT_APPLICABLE")
    rules.set_rule("U1", Rule.REGIME, date(2026, 6, 4), "LEGACY_PDT")
    rewritten(db, ALL)
    assert [text is not None for text in warnings(database_url)] == [False, True]
    regimes = query(database_url, "SELECT DISTINCT trade_date, regime FROM day_trades ORDER BY 1")
    assert regimes == [(MONDAY, "NOT_APPLICABLE"), (later, "LEGACY_PDT")]
