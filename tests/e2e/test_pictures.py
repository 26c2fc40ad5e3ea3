"""Pictures in Dagster are drawn, not only stored."""

from datetime import date

import pytest
from playwright.sync_api import Page, expect

from apex_pipeline.orchestration.metadata import GLANCES
from tests.e2e.browser import Album, Seen
from tests.e2e.places import PARTITIONS, partitions_path
from tests.e2e.product import Demo

DRAWN = "images => images.map(one => one.complete && one.naturalWidth > 0 && one.clientWidth > 100)"
TABLES_ONLY = ("recon_breaks",)


def newest_day(running: Demo, page: Page) -> str:
    """The last day of the list of days."""
    PARTITIONS.visit(page, running.origin)
    return str(page.locator("[class*=VirtualizedTable_row] [title]").first.get_attribute("title"))


@pytest.mark.parametrize("asset", sorted(GLANCES))
def test_the_newest_day_of_an_asset_shows_its_pictures(
    running: Demo, page: Page, seen: Seen, album: Album, asset: str
) -> None:
    day = date.fromisoformat(newest_day(running, page))
    page.goto(f"{running.origin}{partitions_path(asset)}&partition={day}")
    page.locator("tr", has_text="glance").get_by_text("Show Markdown").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.wait_for_timeout(300)
    album.take(page, f"glance-{asset}")
    drawn = dialog.locator("img").evaluate_all(DRAWN)
    assert drawn or asset in TABLES_ONLY
    assert all(drawn), "a picture is broken or too small to read"
    box = dialog.locator("img").first.bounding_box() if drawn else None
    assert box is None or box["x"] + box["width"] <= 1440
    assert (seen.errors, seen.outside) == ([], [])


def test_control_a_broken_picture_is_noticed(page: Page) -> None:
    page.set_content("<img src='data:image/svg+xml,nothing'>")
    page.wait_for_timeout(200)
    assert page.locator("img").evaluate_all(DRAWN) == [False]


def test_the_page_about_an_asset_opens_from_its_overview(running: Demo, page: Page, album: Album) -> None:
    page.goto(f"{running.origin}/assets/orders_norm?view=overview")
    link = page.locator("a[href*='/apex/docs/']").first
    expect(link).to_be_visible()
    album.take(page, "overview-orders_norm")
    page.goto(f"{running.origin}{link.get_attribute('href')}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    album.take(page, "page-about-orders_norm")
