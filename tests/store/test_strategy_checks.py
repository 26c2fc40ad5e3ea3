"""The checks of strategies: each is silent on what agrees, and has controls that it must notice."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from apex_pipeline.domain.checks import CHECKS, CheckName, Severity
from apex_pipeline.domain.models import Broker, TradeKind
from apex_pipeline.pipeline import match_lots
from apex_pipeline.store.db import Database
from tests.store.check_rows import compared, differences, findings
from tests.store.rows import query
from tests.store.strategy_book import ACCOUNT, DAY, EARLY, KO, PEP, Book, classified, option

ORDERS = CheckName.EVERY_FILLED_ORDER_BELONGS_TO_A_STRATEGY
POSITIONS = CheckName.EVERY_POSITION_BELONGS_TO_STRATEGIES
DRIFT = CheckName.CONFIDENCE_DOES_NOT_DRIFT
LABELS = CheckName.OUR_READING_AGREES_WITH_THE_BROKERS_LABEL
D = Decimal
LAST = DAY + timedelta(days=60)


@pytest.fixture
def book(db: Database) -> Book:
    """A vertical, a stock and a put that expired, classified and matched."""
    book = Book(db)
    book.order(1, option("C", 60), 2)
    book.order(2, option("C", 65), -2, 3)
    book.order(3, PEP, 100, 900)
    book.order(4, option("P", 50, EARLY, PEP), -1, 1800)
    book.trade(5, option("P", 50, EARLY, PEP), 1, 18 * 86400, kind=TradeKind.EXPIRATION)
    classified(db)
    match_lots(db, DAY, LAST)
    return book


def test_the_severities_are_those_of_the_catalogue() -> None:
    assert [CHECKS[check].severity for check in (ORDERS, POSITIONS, DRIFT, LABELS)] == [
        Severity.ERROR,
        Severity.ERROR,
        Severity.WARN,
        Severity.WARN,
    ]


def test_every_filled_order_belongs_to_a_strategy(db: Database, book: Book) -> None:
    assert findings(db, ORDERS, DAY, LAST) == []
    assert compared(db, ORDERS, DAY, LAST) == 4
    query(db.url, "DELETE FROM order_strategy_map WHERE order_uid LIKE %s", "%\\_3")
    query(db.url, "UPDATE order_strategy_map SET qty_in_strategy = 1 WHERE order_uid LIKE %s", "%\\_1")
    found = findings(db, ORDERS, DAY, LAST)
    assert differences(found) == [("IB_U1_1", 2, 1, None), ("IB_U1_3", 100, 0, "MISSING_B")]
    assert {row.severity for row in found} == {Severity.ERROR}


def test_every_position_belongs_to_strategies(db: Database, book: Book) -> None:
    assert findings(db, POSITIONS, DAY, LAST) == []
    assert compared(db, POSITIONS, DAY, LAST) == 3
    query(db.url, "UPDATE strategy_positions SET qty = qty + 1 WHERE symbol = %s", option("C", 60))
    query(db.url, "DELETE FROM strategy_positions WHERE symbol = %s", PEP)
    assert differences(findings(db, POSITIONS, DAY, LAST)) == [(option("C", 60), 2, 3, None), (PEP, 100, 0, None)]


def test_positions_are_not_compared_where_they_cannot_be_known(db: Database, book: Book) -> None:
    query(db.url, "DELETE FROM strategy_positions")
    assert len(findings(db, POSITIONS, DAY, LAST)) == 3
    query(
        db.url,
        "INSERT INTO ledger_stops VALUES ('s', 'IB', %s, %s, %s, %s, 'UNKNOWN', 'a spin-off')",
        ACCOUNT,
        PEP,
        PEP,
        DAY,
    )
    assert {row.subject for row in findings(db, POSITIONS, DAY, LAST)} == {option("C", 60), option("C", 65)}
    query(db.url, "UPDATE orders_norm SET filled_qty = 1 WHERE order_uid LIKE %s", "%\\_1")
    assert [row.subject for row in findings(db, POSITIONS, DAY, LAST)] == [option("C", 65)]
    query(db.url, "UPDATE instruments SET expiry = '2026-03-01' WHERE symbol = %s", option("C", 65))
    assert findings(db, POSITIONS, DAY, LAST) == []


def test_what_futu_held_before_is_no_disagreement_and_losing_it_is(db: Database) -> None:
    book = Book(db, Broker.FUTU)
    book.order(1, KO, -40)
    book.snapshot(30 * 86400, {KO: 60})
    book.order(2, KO, -10, 40 * 86400)
    classified(db)
    match_lots(db, DAY, LAST)
    assert query(db.url, "SELECT symbol, qty FROM strategy_positions") == [(KO, D(50))]
    assert findings(db, POSITIONS, DAY, LAST) == []
    query(db.url, "UPDATE strategy_positions SET qty = 49")
    assert differences(findings(db, POSITIONS, DAY, LAST)) == [(KO, -50, 49, None)]


GROUP = (
    "INSERT INTO order_strategy_map (order_uid, strategy_uid, account_id, trade_date, strategy_type, action, "
    "qty_in_strategy, confidence, method, classifier_version, evidence, alternatives) "
    "VALUES (%s, %s, %s, %s, 'LONG_CALL', 'OPEN', 1, %s, %s, 'v', '{}', '[]')"
)


def groups(db: Database, day: date, confidences: list[str], method: str = "single") -> None:
    """Groups of one order with these confidences."""
    for number, confidence in enumerate(confidences):
        uid = f"{day}/{number}/{method}"
        query(db.url, GROUP, f"O{uid}", f"S{uid}", ACCOUNT, day, D(confidence), method)


def test_confidence_does_not_drift(db: Database) -> None:
    Book(db).order(1, KO, 100)
    for day in range(10):
        groups(db, DAY + timedelta(days=day), ["0.95"] * 9 + ["0.90"] * 3)
    last = DAY + timedelta(days=30)
    groups(db, last, ["0.90"] * 12)
    groups(db, last, ["0.01"] * 50, "manual")
    assert findings(db, DRIFT, DAY, LAST) == [], "within a tenth, and a person's word is no confidence"
    assert compared(db, DRIFT, last) == 12
    groups(db, last + timedelta(days=1), ["0.50"] * 9)
    assert findings(db, DRIFT, DAY, LAST) == [], "nine groups say nothing"
    fallen = last + timedelta(days=2)
    groups(db, fallen, ["0.70"] * 12)
    (found,) = findings(db, DRIFT, DAY, LAST)
    assert (found.business_date, found.subject, found.actual, found.severity) == (fallen, ACCOUNT, D("0.700"), "WARN")
    assert findings(db, DRIFT, fallen) == [found], "what came before the asked days counts"
    groups(db, DAY + timedelta(days=400), ["0.10"] * 20)
    assert findings(db, DRIFT, DAY + timedelta(days=390), DAY + timedelta(days=410)) == [], "without a past"


@pytest.mark.parametrize(("label", "agrees"), [("SPREAD", True), ("CUSTOM", True), ("IRON_CONDOR", False)])
def test_our_reading_agrees_with_the_brokers_label(db: Database, label: str, *, agrees: bool) -> None:
    book = Book(db, Broker.FUTU)
    book.order(1, option("C", 60), 1, combo_id="7", declared_strategy=label)
    book.order(2, option("C", 65), -1, 1, combo_id="7", declared_strategy=label)
    book.order(3, PEP, 100, 900)
    classified(db)
    found = findings(db, LABELS, DAY, LAST)
    assert compared(db, LABELS, DAY, LAST) == 2
    assert (found == []) is agrees
    for row in found:
        assert (row.severity, row.evidence["label"], row.evidence["strategy_type"]) == (
            Severity.WARN,
            label,
            "BULL_CALL_SPREAD",
        )
    query(db.url, "UPDATE order_strategy_map SET method = 'manual'")
    assert findings(db, LABELS, DAY, LAST) == [], "a person's word stands"
