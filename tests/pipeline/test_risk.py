"""Risk of the whole simulated book, day by day: figures and signals are what its positions and values say."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.risk_limits import RiskLimit, RiskMetric
from apex_pipeline.pipeline import watch_risk
from tests.pipeline.conftest import World
from tests.store.rows import tables_hash

HELD = """
SELECT p.account_id, p.as_of, count(d.symbol)::numeric AS held, p.cash / p.net_liquidation AS cash
FROM performance_metrics p
LEFT JOIN positions_daily d USING (account_id, business_date)
WHERE p.broker = 'IB' AND p.period = 'DAY' AND p.scope = 'ACCOUNT' AND p.net_liquidation > 0
GROUP BY p.account_id, p.as_of, p.cash, p.net_liquidation
ORDER BY p.account_id, p.as_of
"""
STORY = "SELECT * FROM risk_signals WHERE scope = %(scope)s AND source = 'LIMITS' ORDER BY raised_at, level"
NEWEST = "SELECT metrics FROM risk_snapshots WHERE scope = %(scope)s ORDER BY captured_at DESC LIMIT 1"


DAYS = 80


def passed(values: list[tuple[datetime, Decimal]], limit: Decimal) -> list[tuple[datetime, datetime | None]]:
    """When a series is at its limit or above: from, and until it is below again."""
    spans: list[tuple[datetime, datetime | None]] = []
    for at, value in values:
        stands = bool(spans) and spans[-1][1] is None
        if value >= limit and not stands:
            spans.append((at, None))
        if value < limit and stands:
            spans[-1] = spans[-1][0], at
    return spans


def test_a_limit_is_passed_and_taken_back_as_the_book_says(loaded: World) -> None:
    db = loaded.db
    rows = [row for row in db.fetch(HELD) if row["held"]]
    account = rows[0]["account_id"]
    days = [row for row in rows if row["account_id"] == account][-DAYS:]
    series = [(row["as_of"], row["held"]) for row in days]
    limit = max({held for _, held in series}, key=lambda one: len(passed(series, one)))  # of which most is to tell
    limits = [RiskLimit(RiskMetric.POSITION_COUNT, limit, None)]
    for day in days:
        watch_risk(db, limits, day["as_of"])
        measured: dict[str, Any] = db.fetchval(NEWEST, scope=account)
        assert measured["position_count"] == day["held"]
        assert abs(Decimal(str(measured["cash_share"])) - day["cash"]) < Decimal("1e-9")
    spans = passed(series, limit)
    told = [(row["raised_at"], row["resolved_at"]) for row in db.fetch(STORY, scope=account)]
    assert told == spans
    assert any(end is not None for _, end in spans), "control: the limit was taken back at least once"

    tables = ["risk_signals", "risk_snapshots"]
    before = tables_hash(db.url, tables)
    watch_risk(db, limits, series[-1][0])
    assert tables_hash(db.url, tables) == before


def test_all_accounts_together_are_known_in_one_currency(loaded: World) -> None:
    db = loaded.db
    newest = db.fetchval("SELECT max(as_of) FROM performance_metrics")
    watch_risk(db, (), newest)
    told: dict[str, Any] = db.fetchval(NEWEST, scope="PORTFOLIO")
    accounts = {row["scope"] for row in db.fetch("SELECT DISTINCT scope FROM risk_snapshots")} - {"PORTFOLIO"}
    assert set(told["about"]["accounts"]) == accounts
    assert len(accounts) >= 4
    assert told["missing"].keys() <= {"margin_used"}, "no statement tells the margin"
    assert 0 <= Decimal(str(told["drawdown"])) < 1
