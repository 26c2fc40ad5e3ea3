"""All rules together: written once, removed with what they followed from, in any order."""

from psycopg2 import sql

from apex_pipeline.store.db import Database
from apex_pipeline.store.transaction import Merged
from tests.store.rows import query, tables_hash, value
from tests.store.rules_book import (
    ALL,
    MONDAY,
    NOTHING,
    RULE_TABLES,
    day,
    random_trades,
    rewritten,
    store,
    trade,
)


def stamps(url: str) -> dict[str, int | None]:
    """The last transaction that wrote a row of each table."""
    newest = sql.SQL("SELECT max(xmin::text::bigint) FROM {}")
    return {name: value(url, newest.format(sql.Identifier(name))) for name in RULE_TABLES}


def test_running_again_writes_nothing_and_any_order_ends_alike(db: Database, database_url: str) -> None:
    trades = random_trades(7, days=15, a_day=20)
    half = [one for one in trades if one.trade_date <= day(7)]
    store(db, trades)
    rewritten(db, ALL)
    whole = tables_hash(database_url, RULE_TABLES)
    written = stamps(database_url)
    assert rewritten(db, ALL) == NOTHING
    assert rewritten(db, {"U1": day(7), "U2": day(3)}) == NOTHING
    assert stamps(database_url) == written
    query(
        database_url,
        "TRUNCATE trades_norm, position_movements, settlement_tracking, day_trades, trade_frequency_tracking",
    )
    store(db, half)
    rewritten(db, ALL)
    assert tables_hash(database_url, RULE_TABLES) != whole
    store(db, trades)
    rewritten(db, {"U1": day(8), "U2": day(8)})
    assert tables_hash(database_url, RULE_TABLES) == whole


def test_a_trade_that_is_gone_takes_its_rows_along(db: Database, database_url: str) -> None:
    store(db, [trade("a", MONDAY, 1), trade("b", MONDAY, -1, minute=1), trade("c", day(1), 1)])
    rewritten(db, ALL)
    query(database_url, "UPDATE trades_norm SET effective = false WHERE trade_uid <> 'c'")
    query(database_url, "DELETE FROM position_movements WHERE movement_uid <> 'c'")
    changed = rewritten(db, {"U1": MONDAY})
    assert changed["settlement_tracking"] == Merged(0, 0, 2)
    assert changed["day_trades"] == Merged(0, 0, 2)
    assert changed["trade_frequency_tracking"] == Merged(0, 2, 1)
    assert query(database_url, "SELECT trade_uid FROM settlement_tracking") == [("c",)]


def test_accounts_that_were_not_asked_are_left_alone(db: Database, database_url: str) -> None:
    store(db, [trade("a", MONDAY, 1), trade("b", MONDAY, 1, account="U2")])
    rewritten(db, {"U1": MONDAY})
    assert query(database_url, "SELECT trade_uid FROM settlement_tracking") == [("a",)]
    assert rewritten(db, {}) == {}
