"""A person finds pictures and tables on the newest day of a run, and not a copy of them on every other."""

import dagster as dg
import pytest

from apex_pipeline.orchestration.metadata import GLANCES
from tests.orchestration.conftest import LAST, Place, keys

REPORTS = ("strategies", "strategy_chains", "risk_signals", "recon_breaks", "reconciliation_report")


@pytest.fixture
def materialized(place: Place) -> Place:
    assert all(outcome.succeeded for outcome in place.run())
    return place


def told(place: Place, asset: str, label: str) -> dict[str | None, str]:
    """What the newest materialization of each day says under a label."""
    asked = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset))
    found = place.instance.fetch_materializations(asked, limit=2 * len(keys()))
    shown = {record.partition_key: record.asset_materialization for record in found.records}
    assert set(shown) == set(keys())
    values = {key: row.metadata.get(label) for key, row in shown.items() if row is not None}
    return {key: str(value.value) for key, value in values.items() if value is not None}


def test_the_newest_day_of_a_run_shows_pictures_tables_and_lineage(materialized: Place) -> None:
    for asset in REPORTS:
        assert set(told(materialized, asset, "report")) == {LAST.isoformat()}
    for asset in ("strategies", "strategy_chains"):
        text = told(materialized, asset, "report")[LAST.isoformat()]
        assert text.startswith("## Strategies by type")
        assert "| strategy | type |" in text, "the scenario has strategies"
    for asset in GLANCES:
        assert set(told(materialized, asset, "glance")) == {LAST.isoformat()}, asset
    for asset in ("orders_raw_futu", "orders_raw_ib", "fees_norm", "realized_pnl", "strategies"):
        assert "data:image/svg+xml" in told(materialized, asset, "glance")[LAST.isoformat()], asset
    assert "lots" in told(materialized, "realized_pnl", "dagster/column_lineage")[LAST.isoformat()]
