"""The asset graph has every asset in its group, and only what the planted faults break is red."""

from playwright.sync_api import Page, ViewportSize, expect

from apex_pipeline.domain.checks import CHECKS, CheckName
from apex_pipeline.orchestration.assets import ASSETS
from tests.e2e.browser import Album, Seen
from tests.e2e.places import GRAPH
from tests.e2e.product import Demo

TALL: ViewportSize = {"width": 1440, "height": 3000}
"""The list beside the graph holds only what is in sight."""
GROUP_OF = {spec.key.to_user_string(): str(spec.group_name) for asset in ASSETS for spec in asset.specs}
GROUPS = sorted(set(GROUP_OF.values()))
LISTED = "list => list.map(one => one.title)"
RED = """() => [...document.querySelectorAll("[style*='accent-red'], [class*='Failed'], [class*='failed']")]
    .map(one => one.closest('foreignObject, button, tr')?.textContent ?? one.outerHTML)"""
FAILING = "SELECT DISTINCT check_name FROM recon_breaks WHERE state IN ('OPEN', 'EXPLAINED')"


def test_the_graph_draws_every_group_and_lists_every_asset_of_the_definitions(
    running: Demo, page: Page, seen: Seen, album: Album
) -> None:
    GRAPH.visit(page, running.origin)
    for group in GROUPS:
        expect(page.locator("foreignObject", has_text=group).first).to_be_visible()
    album.take(page, "graph")
    _open_groups(page)
    listed = page.locator("button.GrayOnHoverBox [title]").evaluate_all(LISTED)
    in_order = [name for group in GROUPS for name in (group, *sorted(a for a, g in GROUP_OF.items() if g == group))]
    assert listed == in_order
    with running.database() as db, db.autocommit() as cursor:
        cursor.execute(FAILING)
        broken = {CHECKS[CheckName(name)].table for (name,) in cursor.fetchall()}
    assert [text for text in page.evaluate(RED) if not any(table in text for table in broken)] == []
    album.take(page, "graph-list")
    assert (seen.errors, seen.outside) == ([], [])


def test_an_asset_that_is_chosen_is_drawn_with_what_it_is_about(running: Demo, page: Page, album: Album) -> None:
    GRAPH.visit(page, running.origin)
    page.locator("button:has([aria-label=arrow_drop_down])").nth(GROUPS.index(GROUP_OF["orders_norm"])).click()
    page.locator("button.GrayOnHoverBox", has_text="orders_norm").click()
    expect(page.get_by_role("link", name="View in Asset Catalog")).to_be_visible()
    expect(page.get_by_text("Orders of both brokers in one shape.").last).to_be_visible()
    expect(page.locator("foreignObject", has_text="orders_norm").last).to_be_visible()
    album.take(page, "graph-asset")


def test_control_errors_and_requests_to_elsewhere_are_noticed(running: Demo, page: Page, seen: Seen) -> None:
    GRAPH.visit(page, running.origin)
    page.context.set_offline(True)
    page.evaluate("() => { console.error('planted'); fetch('https://other.example/x').catch(() => {}) }")
    page.context.set_offline(False)
    page.evaluate("() => fetch('/graphql', {method: 'POST', body: 'x', headers: {'content-type': 'text/plain'}})")
    assert any("planted" in error for error in seen.errors)
    assert any(error.startswith("415") for error in seen.errors)
    assert seen.outside == ["https://other.example/x"]


def _open_groups(page: Page) -> None:
    """Open every group in the list beside the graph."""
    page.set_viewport_size(TALL)
    arrows = page.locator("button:has([aria-label=arrow_drop_down])")
    for number in reversed(range(len(GROUPS))):
        arrows.nth(number).click()
    last = max(asset for asset, group in GROUP_OF.items() if group == GROUPS[-1])
    expect(page.get_by_role("button", name=last).first).to_be_visible()
