"""An order that ended is not told otherwise later; where it is, the history of what was told stands beside it."""

from datetime import timedelta
from typing import Any

import pytest

from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.store.db import Database
from tests.store.check_rows import at, compared, findings
from tests.store.order_rows import MONDAY, TUESDAY, names, raw, uid

STATUS = CheckName.NO_ORDER_LEAVES_A_FINAL_STATUS
SUBMITTED, FILLED_PART, FILLED, CANCELLED_PART, CANCELLED, FAILED = 5, 10, 11, 14, 15, 21
DISABLED, DELETED, FILL_CANCELLED, TIMEOUT, UNKNOWN = 22, 23, 24, 4, 99


def told(db: Database, *states: tuple[int | None, float]) -> None:
    """What was told of an order, in this order: status and filled quantity."""
    for hour, (status, filled) in enumerate(states):
        payload: dict[str, Any] = {"fillQty": filled} if status is None else {"orderStatus": status, "fillQty": filled}
        raw(db, "orders", "1", payload, fetched_at=at(MONDAY, 10) + timedelta(hours=hour))


@pytest.mark.parametrize(
    "states",
    [
        [(SUBMITTED, 0), (FILLED_PART, 4), (FILLED, 10)],
        [(SUBMITTED, 0), (CANCELLED, 0), (DELETED, 0)],
        [(FAILED, 0), (DELETED, 0)],
        [(FILLED, 10), (FILL_CANCELLED, 0)],
        [(CANCELLED_PART, 4), (FILL_CANCELLED, 0)],
        [(DISABLED, 0), (SUBMITTED, 0), (FILLED, 10)],
        [(FILLED, 10), (SUBMITTED, 0), (FILLED, 10)],
        [(FILLED, 10), (TIMEOUT, 0)],
        [(FILLED, 10), (UNKNOWN, 0)],
        [(FILLED, 10), (None, 0)],
        [(CANCELLED_PART, 4), (CANCELLED_PART, 5)],
    ],
)
def test_a_course_that_an_order_may_take_is_no_finding(db: Database, states: list[tuple[int | None, float]]) -> None:
    told(db, *states)
    assert (findings(db, STATUS, MONDAY), compared(db, STATUS, MONDAY)) == ([], 1)


@pytest.mark.parametrize(
    ("states", "was", "now", "expected", "actual"),
    [
        ([(SUBMITTED, 0), (FILLED, 10), (SUBMITTED, 0)], "FILLED_ALL", "SUBMITTED", 10, 0),
        ([(FILLED, 10), (CANCELLED, 10)], "FILLED_ALL", "CANCELLED_ALL", 10, 10),
        ([(CANCELLED, 0), (FILLED, 10)], "CANCELLED_ALL", "FILLED_ALL", 0, 10),
        ([(FILLED, 10), (FILLED, 4)], "FILLED_ALL", "FILLED_ALL", 10, 4),
        ([(CANCELLED_PART, 4), (FILLED, 10), (SUBMITTED, 0)], "FILLED_ALL", "SUBMITTED", 10, 0),
        ([(CANCELLED, 0), (DELETED, 0), (SUBMITTED, 0)], "DELETED", "SUBMITTED", 0, 0),
    ],
)
def test_an_order_that_ended_and_is_told_otherwise_is_a_warning(
    db: Database, states: list[tuple[int | None, float]], was: str, now: str, expected: int, actual: int
) -> None:
    told(db, *states)
    (found,) = findings(db, STATUS, MONDAY, TUESDAY)
    assert (found.subject, found.business_date, found.severity) == (uid("1"), MONDAY, Severity.WARN)
    assert (found.expected, found.actual, found.cause) == (expected, actual, "CORRECTION")
    assert (found.evidence["was"], found.evidence["is"]) == (was, now)
    history = found.evidence["history"]
    assert [len(history), history[-1]["status"], history[0]["fetched_at"][:16]] == [
        len(states), now, "2026-03-02T10:00"
    ]  # fmt: skip
    assert names(found) == [uid("1"), "orders_raw_futu/100/1"]
    assert findings(db, STATUS, TUESDAY) == []


def test_an_order_that_was_told_once_is_not_compared(db: Database) -> None:
    told(db, (FILLED, 10), (FILLED, 10))
    assert (findings(db, STATUS, MONDAY), compared(db, STATUS, MONDAY)) == ([], 0)


def test_a_finding_ends_when_the_broker_says_again_what_it_said(db: Database) -> None:
    told(db, (FILLED, 10), (SUBMITTED, 0))
    assert len(findings(db, STATUS, MONDAY)) == 1
    told(db, (FILLED, 10))
    assert findings(db, STATUS, MONDAY) == []
