"""The report of the demo, opened from disk without any network: phone, tablet and desk, by day and by night."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Literal, cast

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.e2e.browser import Album, Seen, watched
from tests.e2e.product import Demo

Scheme = Literal["light", "dark"]
WIDTHS = (390, 820, 1440)
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
DRAWINGS = """() => [...document.querySelectorAll('svg.plot')].filter(one => one.checkVisibility()).map(one => {
    const marks = [...one.querySelectorAll('path, rect, circle, line, polyline, polygon')];
    const drawn = marks.filter(mark => { const box = mark.getBoundingClientRect(); return box.width || box.height; });
    return [one.getBoundingClientRect().width, one.getBoundingClientRect().height, drawn.length];
})"""
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
"""Pixels by which the whole page can be pushed sideways."""
PALE = "<!doctype html><html lang=en><title>x</title><main><h1 style='color:#ccc;background:#fff'>pale</h1></main>"


@pytest.fixture(scope="module")
def report(running: Demo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the command writes."""
    folder = tmp_path_factory.mktemp("report")
    ended = running.apex("report", "--format", "html", "--out", str(folder))
    assert ended.returncode == 0, ended.stderr
    return folder / "report.html"


@pytest.fixture(params=product(WIDTHS, SCHEMES), ids=lambda told: f"{told[0]}-{told[1]}")
def offline(browser: Browser, request: pytest.FixtureRequest) -> Iterator[tuple[Page, Seen, str]]:
    """A page of one width and colour scheme in a browser without a network, what it said, and its name."""
    width, scheme = cast("tuple[int, Scheme]", request.param)
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, reduced_motion="reduce"
    )
    page = context.new_page()
    yield page, watched(page), f"{width}-{scheme}"
    context.close()


def violations(page: Page) -> list[str]:
    """What axe finds: the rule, and the first things that break it."""
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [f"{one['id']}: {[node['html'][:120] for node in one['nodes'][:3]]}" for one in found]


def test_the_report_reads_well_on_every_screen_without_any_network(
    report: Path, offline: tuple[Page, Seen, str], album: Album
) -> None:
    page, seen, name = offline
    page.goto(report.as_uri())
    page.get_by_role("heading", name="Summary").wait_for()
    album.take(page, f"report-{name}")
    album.take(page, f"report-{name}-whole", whole=True)
    assert (seen.errors, seen.asked) == ([], [])
    assert page.evaluate(TOO_WIDE) <= 0, "the page scrolls sideways"
    drawings = page.evaluate(DRAWINGS)
    assert len(drawings) >= 5
    assert [one for one in drawings if min(one) < 1] == [], "a drawing is empty"
    assert violations(page) == []


def test_control_what_the_test_of_the_report_looks_for_is_noticed(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "pale.html").write_text(
        PALE + "<div style='width:3000px'>wide</div><svg width=9 height=9></svg>"
        "<img alt=x src='https://other.example/x.png'><script>undefined_word()</script>",
        "utf-8",
    )
    context = browser.new_context(viewport={"width": 390, "height": 900}, offline=True)
    page = context.new_page()
    seen = watched(page)
    page.goto((tmp_path / "pale.html").as_uri())
    assert any("undefined_word" in error for error in seen.errors)
    assert seen.asked == seen.outside == ["https://other.example/x.png"]
    assert page.evaluate(TOO_WIDE) > 0
    assert any(told.startswith("color-contrast") for told in violations(page))
    context.close()
