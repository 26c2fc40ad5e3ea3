"""One demo and one browser for all tests here; none of them runs unless asked for with `-m e2e`."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.e2e.browser import NEEDED, Album, Seen, chromium, chromium_path, entered, watched
from tests.e2e.product import Demo, demo

SECONDS = 1200
"""The first test waits for the demo to load its year."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Whatever is in this folder needs a browser."""
    item.add_marker(pytest.mark.e2e)
    item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    if chromium_path() is None:
        pytest.exit(NEEDED, returncode=1)
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="session")
def running(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo with its planted faults, loaded and served."""
    folder = tmp_path_factory.mktemp("demo")
    with demo(folder) as started:
        yield started


@pytest.fixture(scope="session")
def person(browser: Browser, running: Demo) -> Iterator[BrowserContext]:
    """A browser that knows the token."""
    with entered(browser, running.address) as context:
        yield context


@pytest.fixture
def page(person: BrowserContext) -> Iterator[Page]:
    """An empty page of that browser."""
    opened = person.new_page()
    yield opened
    opened.close()


@pytest.fixture
def seen(page: Page) -> Seen:
    """What the page says and asks for."""
    return watched(page)


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Album:
    """Where the pictures go: `APEX_E2E_SHOTS`, or a folder of this run."""
    told = os.environ.get("APEX_E2E_SHOTS")
    folder = Path(told) if told else tmp_path_factory.mktemp("shots")
    folder.mkdir(parents=True, exist_ok=True)
    return Album(folder)
