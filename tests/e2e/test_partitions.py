"""The days of the year are told as they are: by one run of a range, and by runs of single days."""

import re

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.e2e.browser import Album, Seen
from tests.e2e.places import DOTS, FILLED, check_path, partitions_path
from tests.e2e.product import Demo

TALL: ViewportSize = {"width": 1440, "height": 1400}


def days_told(page: Page) -> dict[str, str]:
    """The colours of the days that are in sight, by day."""
    rows = page.locator("[class*=VirtualizedTable_row]")
    found: list[tuple[str, str]] = rows.evaluate_all(
        "(rows, dot) => rows.map(row => [row.querySelector('[title]')?.title,"
        " row.querySelector(dot)?.getAttribute('style')]).filter(one => one[0] && one[1])",
        DOTS,
    )
    return {day: style.partition("accent-")[2].partition(")")[0] for day, style in found}


@pytest.mark.parametrize("asset", ["orders_raw_ib", "orders_norm", "performance_metrics", "recon_breaks"])
def test_every_day_of_the_year_is_shown_as_materialized(
    running: Demo, page: Page, seen: Seen, album: Album, asset: str
) -> None:
    page.set_viewport_size(TALL)
    page.goto(running.origin + partitions_path(asset))
    expect(page.get_by_text(re.compile(r"^Materialized \((36[5-9]|37\d)\)"))).to_be_visible()
    expect(page.get_by_text("Failed (0)")).to_be_visible()
    days = days_told(page)
    assert len(days) > 15
    assert set(days.values()) == {"green"}
    album.take(page, f"partitions-{asset}")
    assert (seen.errors, seen.outside) == ([], [])


def test_a_check_of_a_range_is_red_on_its_broken_days_only(running: Demo, page: Page, album: Album) -> None:
    with running.database() as db, db.autocommit() as cursor:
        cursor.execute(
            "SELECT business_date::text FROM recon_breaks WHERE check_name = %s AND state = 'OPEN'", (FILLED.value,)
        )
        broken = {day for (day,) in cursor.fetchall()}
    page.goto(f"{running.origin}{check_path(FILLED)}&status=FAILED")
    page.get_by_text("Execution history").wait_for()
    page.get_by_text("Partitions", exact=True).last.click()
    expect(page.get_by_text(f"Failed ({len(broken)})", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile(r"^Passed \(36\d\)"))).to_be_visible()
    expect(page.get_by_text("Skipped (0)")).to_be_visible()
    expect(page.get_by_title(max(broken))).to_be_visible()
    assert days_told(page) == dict.fromkeys(broken, "red")
    album.take(page, "check-days")
