"""Our settlement dates beside those that brokers printed on public sample statements."""

import os
import re
from datetime import date, timedelta
from pathlib import Path

import pytest

from apex_pipeline.domain.models import AssetClass
from apex_pipeline.domain.settlement import rule_of, settlement_date
from apex_pipeline.reference.exchanges import market_days

SAMPLES = os.environ.get("APEX_SAMPLES")
CLASSES = {"STK": AssetClass.STOCK, "OPT": AssetClass.OPTION}
FILES = ("pp_*.xml", "gabbersepp_*.xml")
EXCHANGES = ("NASDAQ", "NYSE", "ARCA", "AMEX", "CBOE", "PSE")

TradeDates = tuple[AssetClass, date, date]
"""Asset class, trade date, and when the broker says it settles."""


def told() -> list[TradeDates]:
    """The dates of US shares and options on the samples whose dates were not moved when they were made anonymous."""
    found: list[TradeDates] = []
    for path in sorted(path for name in FILES for path in Path(SAMPLES or "").glob(f"flex/{name}")):
        for tag in re.findall(r"<Trade\b[^>]*>", path.read_text("utf-8", errors="replace")):
            row = dict(re.findall(r'(\w+)="([^"]*)"', tag))
            days = [day_of(text) for text in (row.get("tradeDate", row.get("dateTime", "")), row["settleDateTarget"])]
            kind = CLASSES.get(row.get("assetCategory", ""))
            if (
                kind
                and days[0]
                and days[1]
                and row.get("listingExchange") in EXCHANGES
                and "Ep" not in row.get("notes", "")
            ):
                found.append((kind, days[0], days[1]))
    return found


def day_of(text: str) -> date | None:
    digits = text.replace("-", "")[:8]
    return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])) if len(digits) == 8 and digits.isdigit() else None


@pytest.mark.skipif(not SAMPLES, reason="APEX_SAMPLES names no folder")
def test_us_trades_of_public_statements_settle_when_the_broker_says() -> None:
    rows = told()
    assert len(rows) >= 5
    assert (AssetClass.STOCK, date(2018, 11, 9), date(2018, 11, 14)) in rows, "over Veterans Day"
    for kind, traded, settles in rows:
        rule = rule_of("US", kind, traded)
        assert rule is not None
        days = market_days(rule.calendar, traded - timedelta(days=5), traded + timedelta(days=30))
        assert settlement_date(traded, rule.days, days) == settles
