"""The browser: Debian's Chromium, driven by Playwright, and pages that remember what went wrong in them."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Request, Response, sync_playwright

NEEDED = "Chromium is missing: apt-get install chromium"
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WIDTH, HEIGHT = 1440, 900
LOOPBACK = "127.0.0.1"
INSIDE = ("data", "blob", "file")
"""Schemes of what a page holds itself, and of a page on disk."""
PATIENCE_MILLISECONDS = 20_000
"""Until something appears; the two processors may have other work."""


@dataclass
class Seen:
    """What a page said and asked for, from when it was opened."""

    errors: list[str] = field(default_factory=list[str])
    requests: list[str] = field(default_factory=list[str])

    @property
    def outside(self) -> list[str]:
        """Requests to anywhere but this machine."""
        return [url for url in self.asked if urlsplit(url).hostname != LOOPBACK]

    @property
    def asked(self) -> list[str]:
        """Requests to anywhere at all."""
        return [url for url in self.requests if urlsplit(url).scheme not in INSIDE]


def chromium_path() -> str | None:
    """Debian's Chromium, None where it is not installed."""
    return shutil.which("chromium")


@contextmanager
def chromium() -> Generator[Browser]:
    """A browser without a window; raises FileNotFoundError with what to install where there is none."""
    path = chromium_path()
    if path is None:
        raise FileNotFoundError(NEEDED)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def entered(browser: Browser, address: str) -> Generator[BrowserContext]:
    """A browser in which a person has opened the printed address."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    page = context.new_page()
    page.goto(address, wait_until="domcontentloaded")
    page.close()
    try:
        yield context
    finally:
        context.close()


def watched(page: Page) -> Seen:
    """Begin to write down what the page says and asks for."""
    seen = Seen()

    def said(message: ConsoleMessage) -> None:
        if message.type == "error":
            seen.errors.append(message.text)

    def threw(error: Error) -> None:
        seen.errors.append(str(error))

    def asked(request: Request) -> None:
        seen.requests.append(request.url)

    def answered(response: Response) -> None:
        if response.status >= 400:
            seen.errors.append(f"{response.status} {response.url}")

    page.on("console", said)
    page.on("pageerror", threw)
    page.on("request", asked)
    page.on("response", answered)
    return seen


@dataclass(frozen=True)
class Album:
    """The folder that pictures of pages go to, for people to look at."""

    folder: Path

    def take(self, page: Page, name: str, *, whole: bool = False) -> None:
        """Write a picture of what is in the window, or of the whole page."""
        page.screenshot(path=str(self.folder / f"{name}.png"), full_page=whole)
