"""Deadlines at an instant of the past: the view of a migration and the stored statement, with another clock."""

from datetime import date, datetime
from typing import LiteralString, cast

from psycopg2 import sql
from psycopg2.extras import RealDictCursor

from apex_pipeline.reference.exchanges import market_days
from apex_pipeline.settings import PROJECT_DIR
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import LEDGER_TABLES, as_row
from tests.store.rows import connected

NOW, BEFORE = "011_deadlines.sql", "010_alerts.sql"
STATEMENT = PROJECT_DIR / "apex_pipeline/store/sql/alert_deadlines.sql"


def late_at(db: Database, at: datetime, migration: str = NOW, most_hours: int = 26) -> list[tuple[str, int]]:
    """The accounts that were late at this instant, with their hours, as the view of a migration counts them."""
    view = (PROJECT_DIR / "migrations" / migration).read_text().split("VIEW source_ages AS\n")[1].split(";\nCOMMENT")[0]
    clock = f"'{at.isoformat()}'::timestamptz"
    text = f"WITH source_ages AS ({view.replace('now()', clock)}) {STATEMENT.read_text()}"
    with connected(db.url) as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(sql.SQL(cast("LiteralString", text)), {"most_hours": most_hours})
        return [(row["account_id"], row["hours"]) for row in cursor.fetchall()]


def keep_days(db: Database, first: date, last: date, *calendars: str) -> None:
    """Keep the days of these exchanges, as stages do."""
    with db.transaction() as tx:
        for calendar in calendars:
            tx.merge(LEDGER_TABLES["market_days"], [as_row(day) for day in market_days(calendar, first, last)])
