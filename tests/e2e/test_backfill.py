"""A range of days is materialized by clicking, as a person does after mending something."""

from datetime import date, timedelta

from playwright.sync_api import Page, expect

from tests.e2e.browser import Album, Seen
from tests.e2e.places import PARTITIONS
from tests.e2e.product import Demo

DAYS = 5
RUN_MILLISECONDS = 240_000
"""The daemon looks after backfills every thirty seconds only, and a run starts a process."""

LOST = """
DELETE FROM orders_norm WHERE order_uid = (
    SELECT min(o.order_uid) FROM orders_norm o LEFT JOIN trades_norm t USING (order_uid)
    WHERE t.order_uid IS NULL AND o.broker = 'FUTU' AND o.trade_date BETWEEN %s AND %s)
RETURNING order_uid, trade_date
"""
HELD = "SELECT trade_date::text, count(*) FROM orders_norm WHERE trade_date BETWEEN %s AND %s GROUP BY 1"
NAMED = "SELECT count(*) FROM orders_norm WHERE order_uid = %s"


def days_of(running: Demo) -> tuple[date, date]:
    """Five days in a row that have an order without trades: one that can vanish without taking others with it."""
    with running.database() as db, db.autocommit() as cursor:
        cursor.execute(
            "SELECT max(o.trade_date) FROM orders_norm o LEFT JOIN trades_norm t USING (order_uid)"
            " WHERE t.order_uid IS NULL AND o.broker = 'FUTU' AND o.trade_date < current_date - 40"
        )
        ((day,),) = cursor.fetchall()
    return day - timedelta(DAYS - 1), day


def test_a_backfill_launched_by_clicking_brings_back_what_vanished(
    running: Demo, page: Page, seen: Seen, album: Album
) -> None:
    first, last = days_of(running)
    with running.database() as db, db.autocommit() as cursor:
        cursor.execute(HELD, (first, last))
        before = dict(cursor.fetchall())
        cursor.execute(LOST, (first, last))
        ((lost, _),) = cursor.fetchall()
    PARTITIONS.visit(page, running.origin)
    page.get_by_role("button", name="Materialize").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Show all partitions").click()
    typed = dialog.locator("input[type=text]").first
    typed.fill(f"[{first}...{last}]")
    typed.press("Enter")
    expect(dialog.get_by_text(f"{DAYS} partitions")).to_be_visible()
    expect(dialog.get_by_text("single run")).to_be_visible()
    album.take(page, "backfill-dialog")
    dialog.get_by_role("button", name="Launch backfill").click()
    backfill = _launched(page, running)
    page.goto(f"{running.origin}/runs/b/{backfill}")
    expect(page.get_by_text("100% completed")).to_be_visible(timeout=RUN_MILLISECONDS)
    expect(page.get_by_text("In progress", exact=True)).to_have_count(1, timeout=RUN_MILLISECONDS)  # a column's head
    album.take(page, "backfill-done")
    with running.database() as db, db.autocommit() as cursor:
        cursor.execute(HELD, (first, last))
        assert dict(cursor.fetchall()) == before
        cursor.execute(NAMED, (lost,))
        assert cursor.fetchall() == [(1,)]
    _shows_the_rows_of(page, running, last, before.get(last.isoformat(), 0))
    album.take(page, "backfill-day")
    assert (seen.errors, seen.outside) == ([], [])


def _launched(page: Page, running: Demo) -> str:
    """The backfill that the page says it has launched."""
    page.wait_for_timeout(1500)
    answer = page.request.post(
        f"{running.origin}/graphql",
        data={"query": "{ partitionBackfillsOrError(limit: 1) { ... on PartitionBackfills { results { id } } } }"},
        headers={"origin": running.origin},
    )
    return str(answer.json()["data"]["partitionBackfillsOrError"]["results"][0]["id"])


def _shows_the_rows_of(page: Page, running: Demo, day: date, rows: int) -> None:
    page.goto(f"{running.origin}{PARTITIONS.path}&partition={day}")
    expect(page.get_by_role("heading", name=str(day)).or_(page.get_by_text(str(day), exact=True)).first).to_be_visible()
    label = page.locator("tr", has_text="dagster/partition_row_count")
    expect(label).to_contain_text(str(rows))
