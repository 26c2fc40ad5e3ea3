"""Strategies in the database: only what changed is classified again, and what that changes of the past is told."""

from collections.abc import Container, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from apex_pipeline.domain.ledger import BasisSource, OpeningBalance
from apex_pipeline.domain.models import Broker, OrderStatus, TradeKind
from apex_pipeline.domain.strategies.classify import Classified, classify
from apex_pipeline.domain.strategies.legs import ClassifiableOrder, Correction, PositionChange
from apex_pipeline.errors import ConfigError
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.corrections import CorrectionRepository
from apex_pipeline.store.repositories.ledger import mark_changed
from apex_pipeline.store.repositories.strategies import StrategyRepository
from apex_pipeline.store.tables import LEDGER_TABLES, as_row
from tests.store.check_rows import snapshot
from tests.store.rows import query, sqlstate, tables_hash, value
from tests.store.strategy_book import (
    ACCOUNT,
    DAY,
    EARLY,
    KO,
    LATE,
    PEP,
    Book,
    changes,
    classified,
    held,
    named,
    option,
    row_of,
    terms,
)

D = Decimal
TABLES = ("order_strategy_map", "strategy_positions", "strategy_families", "strategy_changes")
WEEK = 7 * 86400


class Watched:
    """The classifier, remembering which underlyings it was asked about."""

    def __init__(self) -> None:
        self.families: list[str] = []
        self.told = False

    def __call__(
        self,
        orders: Sequence[ClassifiableOrder],
        changes: Sequence[PositionChange],
        corrections: Sequence[Correction],
        spots: None,
        told: Container[tuple[str, str]],
    ) -> Classified:
        self.families += sorted({order.family for order in orders})
        self.told = (orders[0].broker, ACCOUNT) in told
        return classify(orders, changes, corrections, spots, told)


def asked(db: Database) -> list[str]:
    """The underlyings that are classified now."""
    watched = Watched()
    StrategyRepository(db).reclassify(ACCOUNT, watched)
    return watched.families


def opening(symbol: str, qty: int) -> OpeningBalance:
    """A lot that a person signed."""
    told = {"opening_uid": f"P_{symbol}", "account_id": ACCOUNT, "qty": D(qty), "source": BasisSource.PERSON}
    return row_of(OpeningBalance, terms(symbol), told, {"opened_on": DAY - timedelta(days=30)})


# What is classified again --------------------------------------------------------------------------------------


def test_only_underlyings_of_which_something_changed_are_classified_again(db: Database) -> None:
    book = Book(db)
    book.order(1, KO, 100)
    book.order(2, PEP, 100, 60)
    assert asked(db) == [KO, PEP]
    assert asked(db) == []
    book.order(3, KO, -100, 900)
    assert asked(db) == [KO]
    book.trade(4, PEP, 50, 1000)
    assert asked(db) == [PEP], "a book entry counts as much as an order"


def test_days_that_are_told_again_unchanged_change_nothing(db: Database) -> None:
    book = Book(db)
    book.order(1, KO, 100)
    classified(db)
    before = tables_hash(db.url, TABLES)
    book.order(1, KO, 100)
    assert asked(db) == []
    assert classified(db).changed == 0
    assert tables_hash(db.url, TABLES) == before


def test_an_order_whose_row_is_lost_gets_it_back(db: Database) -> None:
    book = Book(db)
    book.order(1, KO, 100)
    book.order(2, PEP, 100, 900)
    classified(db)
    before = tables_hash(db.url, TABLES)
    query(db.url, "DELETE FROM order_strategy_map WHERE order_uid LIKE %s", "%\\_2")
    assert classified(db).inserted == 1
    assert tables_hash(db.url, TABLES) == before


def test_another_version_of_the_classifier_looks_at_everything_again(db: Database) -> None:
    book = Book(db)
    book.order(1, KO, 100)
    book.order(2, PEP, 100, WEEK)
    classified(db)
    query(db.url, "UPDATE strategy_families SET classifier_version = 'old'")
    assert StrategyRepository(db).accounts(LATE, LATE) == [ACCOUNT], "whatever days are asked"
    assert asked(db) == [KO, PEP]
    assert StrategyRepository(db).accounts(LATE, LATE) == []
    versions = value(db.url, "SELECT array_agg(DISTINCT classifier_version) FROM strategy_families")
    assert versions == value(db.url, "SELECT array_agg(DISTINCT classifier_version) FROM order_strategy_map")


def test_many_families_are_read_in_parts_and_give_the_same_rows(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book(db)
    for number, stock in enumerate(("US.A", "US.B", "US.C", KO, PEP)):
        book.order(2 * number, option("C", 60, stock=stock), 1, number * 900)
        book.order(2 * number + 1, option("C", 65, stock=stock), -1, number * 900 + 2)
    classified(db)
    whole = tables_hash(db.url, TABLES)
    query(db.url, "TRUNCATE order_strategy_map, strategy_positions, strategy_families")
    monkeypatch.setattr("apex_pipeline.store.repositories.strategies.ORDERS_AT_ONCE", 3)
    assert classified(db).inserted == 20
    assert tables_hash(db.url, TABLES) == whole


# What that changes ---------------------------------------------------------------------------------------------


def test_a_later_order_changes_an_earlier_day_where_it_must_and_says_so(db: Database) -> None:
    book = Book(db)
    book.order(1, option("C", 60), 1)
    book.order(2, option("C", 60, stock=PEP), 1, 600)
    classified(db)
    assert named(db) == {"1": ("LONG_CALL", "OPEN"), "2": ("LONG_CALL", "OPEN")}
    assert changes(db) == [], "a first name is no change"
    query(db.url, "DELETE FROM dirty_days")
    book.order(3, option("C", 65), -1, 2)
    query(db.url, "DELETE FROM dirty_days WHERE stage <> 'classify'")
    classified(db)
    assert named(db) == {
        "1": ("BULL_CALL_SPREAD", "OPEN"),
        "2": ("LONG_CALL", "OPEN"),
        "3": ("BULL_CALL_SPREAD", "OPEN"),
    }
    assert changes(db) == [("1", "OPEN LONG_CALL", "OPEN BULL_CALL_SPREAD", "new orders")]
    marked = query(db.url, "SELECT stage, business_date FROM dirty_days ORDER BY 1")
    assert marked == [("reconcile", DAY), ("value", DAY)], "what follows from names is due"


def test_an_order_that_is_gone_leaves_no_row_but_a_trace(db: Database) -> None:
    book = Book(db)
    book.order(1, option("C", 60), 1)
    book.order(2, KO, 100, 5000)
    book.order(3, PEP, 100, 9000)
    classified(db)
    query(db.url, "DELETE FROM orders_norm WHERE order_uid LIKE %s", "%\\_3")
    query(db.url, "DELETE FROM trades_norm WHERE order_uid LIKE %s", "%\\_3")
    query(db.url, "UPDATE orders_norm SET filled_qty = 0, status = 'CANCELLED' WHERE order_uid LIKE %s", "%\\_1")
    assert classified(db).deleted == 4
    assert named(db) == {"2": ("LONG_STOCK", "OPEN")}
    assert [row[0] for row in held(db)] == [KO]
    assert query(db.url, "SELECT underlying FROM strategy_families") == [(KO,)]
    assert changes(db) == [
        ("1", "OPEN LONG_CALL", "", "order gone"),
        ("3", "OPEN LONG_STOCK", "", "order gone"),
    ]


def test_the_trail_and_the_corrections_cannot_be_rewritten(db: Database) -> None:
    book = Book(db)
    uid = book.order(1, KO, 100)
    CorrectionRepository(db).correct([uid], "PAIR_TRADE", "OPEN", None, None)
    assert sqlstate(db.url, "DELETE FROM strategy_corrections") == "23001"
    assert sqlstate(db.url, "TRUNCATE strategy_corrections") == "23001"
    assert sqlstate(db.url, "UPDATE strategy_corrections SET reason = 'x', revoked_at = now()") == "23001"
    assert sqlstate(db.url, "UPDATE strategy_corrections SET revoked_at = now()") is None
    assert sqlstate(db.url, "UPDATE strategy_corrections SET revoked_at = NULL") == "23001"
    for text in ("DELETE FROM strategy_changes", "UPDATE strategy_changes SET cause = ''", "TRUNCATE strategy_changes"):
        assert sqlstate(db.url, text) == "23001"  # pyright: ignore[reportArgumentType] - written above


# Positions -----------------------------------------------------------------------------------------------------


def test_what_was_held_before_the_history_is_closed_by_a_sale(db: Database) -> None:
    book = Book(db)
    book.order(1, option("C", 60), -1)
    classified(db)
    assert named(db) == {"1": ("SHORT_CALL", "OPEN")}, "without an opening a close reads as an opening"
    with db.transaction() as tx:
        tx.merge(LEDGER_TABLES["opening_balances"], [as_row(opening(option("C", 60), 2))])
        mark_changed(tx, Broker.IB, {(ACCOUNT, DAY)})
    classified(db)
    assert named(db) == {"1": ("LONG_CALL", "CLOSE")}
    assert held(db) == [(option("C", 60), None, D(1))]
    assert changes(db) == [("1", "OPEN SHORT_CALL", "CLOSE LONG_CALL", "new positions")]


def test_what_was_held_before_the_history_is_read_as_a_whole(db: Database) -> None:
    """The two legs of a vertical, closed leg by leg: each is the end of a part of it."""
    book = Book(db)
    with db.transaction() as tx:
        rows = [opening(option("C", 60), 1), opening(option("C", 65), -1)]
        tx.merge(LEDGER_TABLES["opening_balances"], map(as_row, rows))
    book.order(1, option("C", 60), -1)
    book.order(2, option("C", 65), 1, 2)
    classified(db)
    assert named(db) == {"1": ("BULL_CALL_SPREAD", "CLOSE"), "2": ("BULL_CALL_SPREAD", "CLOSE")}
    assert held(db) == []


def test_what_an_account_held_at_first_is_known_from_a_statement_or_a_snapshot_in_time(db: Database) -> None:
    def is_told() -> bool:
        watched = Watched()
        StrategyRepository(db).reclassify(ACCOUNT, watched)
        assert watched.families, "that it is known now is a reason to look again"
        return watched.told

    Book(db, Broker.FUTU).order(1, KO, 100)
    assert not is_told()
    Book(db, Broker.FUTU).snapshot(60, {KO: 100})
    Book(db, Broker.FUTU).order(2, KO, 100, 90)
    assert not is_told(), "a later snapshot does not show what ended before it"
    Book(db, Broker.FUTU).snapshot(-86400, {})
    assert is_told()
    Book(db).order(3, PEP, 100)
    query(db.url, "DELETE FROM orders_norm WHERE broker = 'FUTU'")
    assert not is_told()
    snapshot(db, Broker.IB, DAY)
    assert is_told()


def test_what_nobody_ordered_is_held_by_no_strategy(db: Database) -> None:
    with db.transaction() as tx:
        tx.merge(LEDGER_TABLES["opening_balances"], [as_row(opening(KO, 300))])
        mark_changed(tx, Broker.IB, {(ACCOUNT, DAY)})
    Book(db).order(1, PEP, 10)
    classified(db)
    assert held(db) == [(KO, None, D(300)), (PEP, "LONG_STOCK", D(10))]


def test_an_expiry_ends_what_a_strategy_holds(db: Database) -> None:
    book = Book(db)
    book.order(1, option("P", 60, EARLY), -1)
    classified(db)
    assert held(db) == [(option("P", 60, EARLY), "SHORT_PUT", D(-1))]
    book.trade(2, option("P", 60, EARLY), 1, 18 * 86400, kind=TradeKind.EXPIRATION)
    classified(db)
    assert held(db) == []


@pytest.mark.parametrize(
    ("symbol", "qty", "shown", "read"),
    [
        (option("C", 60), -1, 1, ("LONG_CALL", "CLOSE")),
        (option("C", 60), 1, 0, ("SHORT_CALL", "CLOSE")),
        (KO, -100, 0, ("LONG_STOCK", "CLOSE")),
        (KO, 100, 0, ("LONG_STOCK", "OPEN")),
        (option("C", 60, EARLY), 1, 0, ("LONG_CALL", "OPEN")),
        (option("C", 60), 1, 1, ("LONG_CALL", "OPEN")),
    ],
    ids=["left of a long", "end of a short", "stock sold off", "no short stock", "expired by then", "all explained"],
)
def test_the_first_snapshot_of_futu_tells_what_was_held_before(
    db: Database, symbol: str, qty: int, shown: int, read: tuple[str, str]
) -> None:
    book = Book(db, Broker.FUTU)
    book.order(1, symbol, qty)
    book.snapshot(60 * 86400, {symbol: shown} if shown else {})
    book.order(2, KO, 1, 90 * 86400)
    classified(db)
    assert named(db)["1"] == read


def test_a_snapshot_of_futu_beside_a_missing_trade_proves_nothing(db: Database) -> None:
    book = Book(db, Broker.FUTU)
    uid = book.order(1, option("C", 60), 1)
    query(db.url, "DELETE FROM trades_norm WHERE order_uid = %s", uid)
    book.snapshot(60 * 86400, {option("C", 60): 1})
    classified(db)
    assert held(db) == [(option("C", 60), "LONG_CALL", D(1))]


def test_a_leg_that_was_never_filled_tells_what_was_meant(db: Database) -> None:
    book = Book(db)
    book.order(1, option("C", 60), 1, combo_id="7")
    book.order(2, option("C", 65), -1, 1, combo_id="7", filled_qty=D(0), status=OrderStatus.REJECTED)
    query(db.url, "DELETE FROM trades_norm WHERE order_uid LIKE %s", "%\\_2")
    classified(db)
    assert named(db) == {"1": ("BULL_CALL_SPREAD", "OPEN")}


# Corrections ---------------------------------------------------------------------------------------------------


@pytest.fixture
def spread(db: Database) -> list[str]:
    """Two orders that read as a vertical, and one of another stock."""
    book = Book(db)
    uids = [book.order(1, option("C", 60), 1), book.order(2, option("C", 65), -1, 3)]
    book.order(3, PEP, 100, 900)
    classified(db)
    assert named(db)["1"] == ("BULL_CALL_SPREAD", "OPEN")
    return uids


def test_a_correction_is_pinned_and_survives_what_comes_later(db: Database, spread: list[str]) -> None:
    said, day = CorrectionRepository(db).correct(spread[:1], "DELTA_HEDGED", "OPEN", "a hedge", "ann")
    assert (said.made_by, said.reason, said.underlying, day) == ("ann", "a hedge", KO, DAY)
    assert asked(db) == [KO]
    assert named(db)["1"] == ("DELTA_HEDGED", "OPEN")
    assert named(db)["2"] == ("SHORT_CALL", "OPEN"), "no other order belongs to it"
    pinned = "SELECT method, confidence FROM order_strategy_map WHERE order_uid = %s"
    assert query(db.url, pinned, spread[0]) == [("manual", D(1))]
    assert {row[3] for row in changes(db)} == {"correction"}
    Book(db).order(4, option("P", 50), 1, 4)
    classified(db)
    assert named(db)["1"] == ("DELTA_HEDGED", "OPEN")
    query(db.url, "UPDATE strategy_families SET classifier_version = 'old'")
    classified(db)
    assert query(db.url, pinned, spread[0]) == [("manual", D(1))]


def test_a_correction_that_is_taken_back_leaves_what_was_read_before(db: Database, spread: list[str]) -> None:
    before = tables_hash(db.url, ("order_strategy_map", "strategy_positions"))
    repository = CorrectionRepository(db)
    said, _ = repository.correct(spread, "CUSTOM_MULTI_LEG", "OPEN", None, None)
    classified(db)
    assert tables_hash(db.url, ("order_strategy_map", "strategy_positions")) != before
    for name in (said.correction_uid, spread[1]):
        assert [row.correction_uid for row, _ in repository.revoke(name)] == [said.correction_uid]
        classified(db)
        assert tables_hash(db.url, ("order_strategy_map", "strategy_positions")) == before
        said, _ = repository.correct(spread, "CUSTOM_MULTI_LEG", "OPEN", None, None)
    with pytest.raises(ConfigError, match="no correction in force is called 'K_1'"):
        repository.revoke("K_1")


def test_a_newer_word_about_one_of_the_orders_ends_the_older_one(db: Database, spread: list[str]) -> None:
    repository = CorrectionRepository(db)
    first, _ = repository.correct(spread, "CUSTOM_MULTI_LEG", "OPEN", None, None)
    same, _ = repository.correct(list(reversed(spread)), "CUSTOM_MULTI_LEG", "OPEN", "again", None)
    assert same == first, "saying the same again changes nothing"
    newer, _ = repository.correct(spread[1:], "SHORT_CALL", "OPEN", None, None)
    told = repository.corrections()
    assert [(row.correction_uid, row.revoked_at is None) for row in told] == [
        (first.correction_uid, False),
        (newer.correction_uid, True),
    ]
    assert replace(told[0], revoked_at=None) == first
    classified(db)
    assert (named(db)["1"], named(db)["2"]) == (("LONG_CALL", "OPEN"), ("SHORT_CALL", "OPEN"))


def test_what_cannot_be_one_strategy_is_refused(db: Database, spread: list[str]) -> None:
    book, repository = Book(db), CorrectionRepository(db)
    unfilled = book.order(8, KO, 1, 5000, filled_qty=D(0), status=OrderStatus.CANCELLED)
    elsewhere = Book(db, account_id="U2").order(9, KO, 1, 5000)
    for uids, words in (
        ([*spread, "IB_U1_77"], "no order is called IB_U1_77"),
        ([spread[0], unfilled], f"nothing of {unfilled} was filled"),
        ([spread[0], elsewhere], r"several accounts \(U1, U2\)"),
        ([spread[0], "IB_U1_3"], "several underlyings"),
    ):
        with pytest.raises(ConfigError, match=words):
            repository.correct(uids, "CUSTOM_MULTI_LEG", "OPEN", None, None)
    assert repository.corrections() == []
