"""What people chose, and the base currency: methods, selected lots, rates of the day; and groups that links join."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, LiteralString

from apex_pipeline.domain.ledger import LotMethod
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.matching_rules import Methods, batches, grouped
from tests.store.matched import ACCOUNT, START, contents, day, matched, put, random_trades, trade
from tests.store.rows import query


def run(db: Database, text: LiteralString, *params: object) -> None:
    query(db.url, text, *params)


def rule(db: Database, name: str, value: str, on: date = START) -> None:
    """Set a rule and mark its day, as its repository does."""
    run(db, "INSERT INTO account_rules VALUES (%s, %s, %s, %s, now())", ACCOUNT, name, on, value)
    told(db, on)


def told(db: Database, on: date = START) -> None:
    run(db, "INSERT INTO dirty_days VALUES ('match', 'IB', %s, %s) ON CONFLICT DO NOTHING", ACCOUNT, on)


def two_lots_and_a_sale(db: Database) -> None:
    at = datetime.combine(day(2), datetime.min.time(), UTC)
    put(
        db,
        [
            trade(1, "BUY", "10", "10"),
            trade(2, "BUY", "10", "20"),
            trade(3, "SELL", "10", "30", trade_date=day(2), executed_at=at),
        ],
    )
    matched(db)


def gains(db: Database) -> list[tuple[Any, ...]]:
    return query(db.url, "SELECT realized_pnl, method FROM realized_pnl ORDER BY realized_uid")


def test_a_method_that_is_set_later_changes_what_was_matched_and_taking_it_back_restores_it(db: Database) -> None:
    two_lots_and_a_sale(db)
    before = contents(db.url)
    assert gains(db) == [(200, "FIFO")]
    rule(db, "LOT_METHOD", "AVERAGE", day(1))
    matched(db)
    assert gains(db) == [(150, "AVERAGE")]
    run(db, "DELETE FROM account_rules")
    told(db, day(1))
    matched(db)
    assert contents(db.url) == before


def test_lots_that_were_chosen_are_closed_first(db: Database) -> None:
    two_lots_and_a_sale(db)
    rule(db, "LOT_METHOD", "SPECIFIC")
    uid = f"IB_{ACCOUNT}_"
    run(db, "INSERT INTO lot_selections VALUES (%s, %s, 10)", f"{uid}000003", f"{uid}000002")
    matched(db)
    assert gains(db) == [(100, "SPECIFIC")]
    run(db, "DELETE FROM lot_selections")
    told(db, day(2))
    matched(db)
    assert gains(db) == [(200, "SPECIFIC")]


def test_an_account_that_averages_is_the_same_in_any_order_of_days(db: Database) -> None:
    trades, fees = random_trades(120, 21, instruments=1, days=6)
    trades = [one for one in trades if one.account_id == "U0"]
    run(db, "INSERT INTO account_rules VALUES ('U0', 'LOT_METHOD', '2026-01-07', 'AVERAGE', now())")
    put(db, trades, fees)
    matched(db)
    whole = contents(db.url)
    run(db, "TRUNCATE position_movements, lots, lot_moves, realized_pnl, trades_norm")
    for number in (3, 0, 5, 2, 1, 4):
        put(db, [one for one in trades if one.trade_date == day(number)])
        matched(db)
    assert contents(db.url) == whole


def rates(db: Database) -> list[tuple[Any, ...]]:
    return query(db.url, "SELECT fx_rate_to_base, realized_pnl_base, base_currency FROM realized_pnl")


def rate(db: Database, uid: str, on: date, told_rate: str, to: str = "CHF") -> None:
    run(
        db,
        "INSERT INTO conversion_rates VALUES (%s, 'IB', %s, %s, 'USD', %s, %s, 'FLEX')",
        *(uid, ACCOUNT, on, to, told_rate),
    )
    told(db, on)


def test_a_rate_that_arrives_after_the_trades_fills_the_base_currency(db: Database) -> None:
    two_lots_and_a_sale(db)
    assert rates(db) == [(None, None, None)]
    rate(db, "r1", day(2), "0.900")
    matched(db)
    assert rates(db) == [(Decimal("0.9"), 180, "CHF")]
    assert str(rates(db)[0][0]) == "0.9"


def test_the_rate_beside_the_trade_comes_before_that_of_the_day(db: Database) -> None:
    two_lots_and_a_sale(db)
    run(
        db,
        "INSERT INTO broker_trade_figures (trade_uid, broker, account_id, business_date, symbol, fx_rate_to_base, "
        "currency, source) VALUES (%s, 'IB', %s, %s, 'US.AAPL', 0.8, 'USD', 'FLEX')",
        *(f"IB_{ACCOUNT}_000003", ACCOUNT, day(2)),
    )
    rate(db, "r1", day(2), "0.9")
    matched(db)
    assert rates(db) == [(Decimal("0.8"), 160, "CHF")]


def test_the_base_is_known_from_the_rates_of_other_days_too(db: Database) -> None:
    two_lots_and_a_sale(db)
    rate(db, "r1", day(9), "0.9", "USD")
    matched(db)
    assert rates(db) == [(1, 200, "USD")]


def test_the_base_that_a_person_said_holds_until_it_is_taken_back(db: Database) -> None:
    two_lots_and_a_sale(db)
    rate(db, "r1", day(2), "0.9")
    rule(db, "BASE_CURRENCY", "USD", day(1))
    matched(db)
    assert rates(db) == [(1, 200, "USD")]
    run(db, "DELETE FROM account_rules")
    told(db, day(1))
    matched(db)
    assert rates(db) == [(Decimal("0.9"), 180, "CHF")]


def row(account: str, instrument: str, *links: str, movements: int = 1) -> dict[str, Any]:
    return {"account_id": account, "instrument_id": instrument, "links": list(links), "movements": movements}


def test_links_join_instruments_of_one_account_however_long_the_chain() -> None:
    groups = grouped(
        [
            row("A", "1", "x"),
            row("A", "2", "y"),
            row("A", "3", "x", "z"),
            row("A", "4", "y", "z"),
            row("A", "5"),
            row("B", "1", "x"),
        ]
    )
    assert [(group.account_id, sorted(group.instruments), group.movements) for group in groups] == [
        ("A", ["1", "2", "3", "4"], 4),
        ("A", ["5"], 1),
        ("B", ["1"], 1),
    ]


def test_a_batch_is_of_one_account_and_not_much_larger_than_it_may_be() -> None:
    groups = grouped([row("A", str(number), movements=2_000) for number in range(5)] + [row("B", "1", movements=9_000)])
    assert [len(batch) for batch in batches(groups)] == [2, 2, 1, 1]


def test_the_method_of_a_day_is_that_of_the_newest_rule_until_then() -> None:
    methods = Methods([("A", day(3), LotMethod.SPECIFIC), ("A", day(1), LotMethod.AVERAGE)])
    assert [methods.of("A")(day(number)) for number in range(5)] == [
        "FIFO",
        "AVERAGE",
        "AVERAGE",
        "SPECIFIC",
        "SPECIFIC",
    ]
    assert methods.of("B")(day(3)) is LotMethod.FIFO
