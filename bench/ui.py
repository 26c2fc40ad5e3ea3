"""How long a person waits for Dagster's page of the demo's year: from the address until the content is in sight.

In a real browser whose cache has the page's programs, as on any visit but the first, which is told apart.
"""

import tempfile
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import BrowserContext

from tests.e2e.browser import chromium, entered
from tests.e2e.places import PLACES, Place
from tests.e2e.product import demo

LOADS = 5
HEAD = "| page | first visit s | p50 s | p95 s |\n|---|---:|---:|---:|"


def main() -> None:
    """Start the demo and print the table."""
    with tempfile.TemporaryDirectory(prefix="apex-bench-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o755)
        with chromium() as browser, demo(home) as running, entered(browser, running.address) as person:
            print(table(person, running.origin))


def table(person: BrowserContext, origin: str) -> str:
    """One row for each place."""
    lines = [HEAD]
    for place in PLACES:
        first, *later = [visited(person, origin, place) for _ in range(LOADS + 1)]
        lines.append(f"| {place.name} | {first:.2f} | {median(later):.2f} | {max(later):.2f} |")
    return "\n".join(lines)


def visited(person: BrowserContext, origin: str, place: Place) -> float:
    """Seconds until the place is in sight, in a page of its own."""
    page = person.new_page()
    started = time.monotonic()
    place.visit(page, origin)
    seconds = time.monotonic() - started
    page.close()
    return seconds


if __name__ == "__main__":
    main()
