"""A run watches risk by the limits of its settings, and shows on its newest day what they found."""

from dataclasses import replace
from pathlib import Path

import dagster as dg

from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.domain.risk_limits import risk_limits
from apex_pipeline.store.repositories.risk import standing_signals
from tests.orchestration.conftest import LAST, keys, made_place

LIMITS = "position_count=1:100000,cash_share=1000:"


def test_a_run_raises_signals_by_the_limits_of_its_settings(
    server_url: str, scenario: Scenario, tmp_path: Path
) -> None:
    with made_place(
        server_url, scenario, tmp_path, lambda told: replace(told, risk_limits=risk_limits(LIMITS))
    ) as place:
        assert all(outcome.succeeded for outcome in place.run())
        standing = standing_signals(place.db)
        scopes = {row["scope"] for row in place.db.fetch("SELECT DISTINCT scope FROM risk_snapshots")}
        found = place.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey("risk_signals")), limit=2 * len(keys())
        )
    assert "PORTFOLIO" in scopes
    assert {one.metric for one in standing} == {"position_count", "cash_share"}
    assert {one.scope for one in standing if one.metric == "position_count"} <= scopes
    shown = {row.partition_key: row.asset_materialization for row in found.records}
    assert set(shown) == set(keys())
    newest = shown[LAST.isoformat()]
    assert newest is not None
    text = str(newest.metadata["report"].value)
    assert text.startswith("## Limits of risk that are passed")
    assert "| WARNING | PORTFOLIO | position\\_count |" in text
