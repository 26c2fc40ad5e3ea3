"""A person goes from a red check to the row that is broken, and runs the command that the page shows."""

import re

from playwright.sync_api import Page, expect

from tests.e2e.browser import WIDTH, Album, Seen
from tests.e2e.places import CHECK, FILLED, check_path
from tests.e2e.product import Demo

FAILED_DAYS = (
    "SELECT business_date::text, break_uid, subject, expected::text, evidence->>'order_uid' FROM recon_breaks"
    " WHERE check_name = %s AND state = 'OPEN' ORDER BY 1 DESC"
)
COMMAND = re.compile(r"apex (breaks --explain|why) (B_\w+)")


def test_a_failing_check_shows_what_is_broken_and_a_command_that_tells_all_of_it(
    running: Demo, page: Page, seen: Seen, album: Album
) -> None:
    with running.database() as db, db.autocommit() as cursor:
        cursor.execute(FAILED_DAYS, (FILLED.value,))
        broken = cursor.fetchall()
    assert len(broken) == 3, "as many as the demo plants"
    day, uid, subject, expected, order_uid = broken[1]
    page.goto(f"{running.origin}{check_path(FILLED)}&status=FAILED")
    page.get_by_text("Execution history").wait_for()
    page.get_by_text("Partitions", exact=True).last.click()
    for one in broken:
        expect(page.get_by_title(one[0])).to_be_visible()
    page.get_by_title(day).click()
    table = page.locator("table", has_text="expected").last
    expect(table).to_contain_text(subject)
    expect(table.get_by_role("cell", name=f"{float(expected):g}", exact=True)).to_be_visible()
    album.take(page, "check-failed")
    box = table.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= WIDTH, "the table is cut off by the window"
    page.get_by_text("Show Markdown").last.click()
    told = page.get_by_role("dialog")
    expect(told).to_contain_text("closes by itself")
    album.take(page, "check-what-to-do")
    commands = COMMAND.findall(told.inner_text())
    assert {("breaks --explain", uid), ("why", uid)} <= set(commands)
    for words, name in commands:
        ended = running.apex(*words.split(), name)
        assert ended.returncode == 0, ended.stderr
        assert order_uid in ended.stdout
    assert (seen.errors, seen.outside) == ([], [])


def test_a_check_says_on_its_page_what_it_proves(running: Demo, page: Page, album: Album) -> None:
    CHECK.visit(page, running.origin)
    expect(
        page.get_by_text("The filled quantity of every order equals the sum of its effective trades")
    ).to_be_visible()
    album.take(page, "check-overview")


def test_control_a_command_about_a_break_that_is_not_there_fails(running: Demo) -> None:
    ended = running.apex("breaks", "--explain", "B_none")
    assert ended.returncode != 0
    assert "B_none" in ended.stderr
