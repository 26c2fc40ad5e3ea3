"""Places of Dagster's page: their addresses, and what is in sight once they are there."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page

from apex_pipeline.domain.checks import CHECKS, CheckName

FILLED = CheckName.ORDER_FILLED_QUANTITY_IS_THE_SUM_OF_ITS_TRADES
DOTS = "div[style*='border-radius: 100%']"
"""The coloured dot of a day in a list of days."""


@dataclass(frozen=True)
class Place:
    """A page of the year, and how a person sees that it is there."""

    name: str
    path: str
    awaited: Callable[[Page], None]

    def visit(self, page: Page, origin: str) -> None:
        """Go there, until its content is in sight."""
        page.goto(origin + self.path, wait_until="commit")
        self.awaited(page)


def _sees(text: str) -> Callable[[Page], None]:
    return lambda page: page.get_by_text(re.compile(text)).first.wait_for()


def _sees_group(page: Page) -> None:
    page.locator("foreignObject", has_text="reconciliation").first.wait_for()


def check_path(check: CheckName) -> str:
    """The path of a check below its asset."""
    return f"/assets/{CHECKS[check].table}?view=checks&checkDetail={check.value}"


def partitions_path(asset: str) -> str:
    """The path of an asset's days."""
    return f"/assets/{asset}?view=partitions"


GRAPH = Place("asset graph", "/asset-groups", _sees_group)
PARTITIONS = Place("partitions of an asset", partitions_path("orders_norm"), _sees(r"^Materialized \([1-9]\d*\)"))
CHECK = Place("checks of an asset", check_path(FILLED), _sees("^Evaluation result$"))
OVERVIEW = Place("overview of an asset", "/assets/orders_norm?view=overview", _sees("^order_uid$"))
AUTOMATION = Place("schedules and sensors", "/automation", _sees("^after_close_us$"))
PLACES = (GRAPH, PARTITIONS, CHECK, OVERVIEW, AUTOMATION)
