"""A record with something to tell: rows as loads, checks and normalization leave them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.reconciliation import Break, BreakState
from apex_pipeline.domain.records import Ask, Call
from apex_pipeline.errors import BrokerError
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.loads import LoadRepository
from apex_pipeline.store.tables import BREAKS, DRIFT, as_row
from tests.store import coverage_book as book
from tests.store.rows import query

IB_ACCOUNT, FUTU_ACCOUNT = "U7654321", "281756455981243107"
DAY = date(2026, 3, 4)
AT = datetime(2026, 3, 5, 6, 30, tzinfo=UTC)


def open_break(db: Database, uid: str = "BRK_1", **values: Any) -> None:
    """A break that is open, or as told."""
    usual: dict[str, Any] = {
        "break_uid": uid, "check_name": CheckName.EVERY_FILLED_ORDER_HAS_ITS_FEES, "severity": Severity.ERROR,
        "broker": Broker.IB, "account_id": IB_ACCOUNT, "subject": f"order of {IB_ACCOUNT}", "business_date": DAY,
        "expected": Decimal(1), "actual": Decimal(0), "delta": Decimal(-1), "currency": "USD",
        "state": BreakState.OPEN, "cause": "MISSING_A", "first_seen_at": AT, "last_seen_at": AT, "age_bd": 1,
        "evidence": {},
    }  # fmt: skip
    with db.transaction() as tx:
        tx.merge(BREAKS, [as_row(Break(**(usual | values)))])


def drift(db: Database, field: str = "newField", value: str = "X", account: str = IB_ACCOUNT) -> None:
    """A word that no rule knows."""
    key = {"broker": "IB", "kind": "trades", "account_id": account, "business_date": DAY, "field": field}
    with db.transaction() as tx:
        tx.merge(DRIFT, [{**key, "value": value, "records": 2, "example_key": "1"}])


def told_ago(db: Database, hours: int, account: str = IB_ACCOUNT) -> None:
    """The newest day of an account of IB, told so many hours ago, all of them hours of business days."""
    at = datetime.now(UTC) - timedelta(hours=hours)
    load = book.loaded(db, "ib_flex", (DAY, DAY), finished_at=at)
    book.received(db, load, book.WEB)
    book.covers(db, load, account, (DAY, DAY))


def every_day_is_a_business_day(db: Database) -> None:
    """Make the days around now ones on which everything is open, whatever the calendar says."""
    query(
        db.url,
        "CREATE OR REPLACE VIEW source_ages AS SELECT c.broker, c.account_id, 'statements'::text AS source, "
        "max(c.to_date) AS newest_day, max(l.finished_at) AS told_at, array_agg(c.data_type) AS data_types, "
        "extract(epoch FROM now() - max(l.finished_at)) / 3600 AS hours "
        "FROM load_coverage c JOIN loads l USING (load_id) GROUP BY 1, 2",
    )


def failed_call(db: Database, error: BrokerError, broker: Broker = Broker.IB, data_type: str = "ib_flex") -> None:
    """A run whose only call fails."""
    loads = LoadRepository(db, broker)
    call = Call(data_type, None, "ALL", DAY, DAY)
    try:
        with loads.run(Ask(DAY, DAY, DAY)) as run_id:
            loads.store_failure(run_id, call, error, AT)
            raise error
    except BrokerError:
        pass


def failed_login(db: Database, error: BrokerError, broker: Broker = Broker.FUTU) -> None:
    """A run that ends before its first call."""
    try:
        with LoadRepository(db, broker).run(Ask(DAY, DAY, DAY)):
            raise error
    except BrokerError:
        pass


def granted(db: Database, data_type: str = "ib_flex", account: str = IB_ACCOUNT) -> None:
    """A load that worked."""
    load = book.loaded(db, data_type, (DAY, DAY))
    book.covers(db, load, account, (DAY, DAY))
