"""Schedules and sensors are listed with their hours, in the zone of their market."""

import re

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from apex_pipeline.orchestration.schedules import SCHEDULES
from apex_pipeline.orchestration.sensors import SENSORS
from tests.e2e.browser import Album, Seen
from tests.e2e.places import AUTOMATION
from tests.e2e.product import Demo

TALL: ViewportSize = {"width": 1440, "height": 2600}
"""The list holds only what is in sight."""
RARE = "monthly_reconciliation"
"""Started and stopped here: its next tick is days away."""


def test_every_schedule_and_sensor_is_listed_with_its_hours(
    running: Demo, page: Page, seen: Seen, album: Album
) -> None:
    page.set_viewport_size(TALL)
    AUTOMATION.visit(page, running.origin)
    for one in (*SCHEDULES, *SENSORS):
        expect(page.get_by_text(one.name, exact=True).first).to_be_visible()
    told = page.locator("body").inner_text()
    assert told.count("Scheduled ") == len(SCHEDULES)
    assert "At 01:30 PM E" in told, "New York's own time"
    assert re.search(r"after_close_hk\s+Scheduled At 12:30 PM GMT\+8; At 04:30 PM GMT\+8", told)
    album.take(page, "automation")
    assert (seen.errors, seen.outside) == ([], [])


@pytest.mark.parametrize(
    ("name", "zone"),
    [("after_close_us", "America/New_York"), ("after_close_hk", "Asia/Hong_Kong"), ("catch_up", "UTC")],
)
def test_a_schedule_tells_its_zone_and_what_it_is_for(
    running: Demo, page: Page, album: Album, name: str, zone: str
) -> None:
    page.goto(f"{running.origin}/locations/apex_pipeline/schedules/{name}")
    expect(page.get_by_text(zone, exact=True)).to_be_visible()
    expect(page.locator("tr", has_text="Description")).to_be_visible()
    album.take(page, f"schedule-{name}")


def test_a_started_schedule_tells_its_next_tick_in_its_zone(running: Demo, page: Page, album: Album) -> None:
    page.goto(f"{running.origin}/locations/apex_pipeline/schedules/{RARE}")
    switch = page.locator("tr", has_text="Running").locator("label, [role=switch]").first
    switch.click()
    tick = page.locator("tr", has_text="Next tick")
    expect(tick).to_contain_text(re.compile(r"\w{3} 2, 3:00:00 PM GMT\+8"))
    album.take(page, "schedule-started")
    switch.click()
    expect(tick).to_be_hidden()
