"""A person finds the tables about strategies on the newest day of a run, and not a copy of them on every other."""

import dagster as dg

from tests.orchestration.conftest import LAST, Place, keys


def test_the_newest_day_of_a_run_shows_the_tables_about_strategies(place: Place) -> None:
    assert all(outcome.succeeded for outcome in place.run())
    for asset in ("strategies", "strategy_chains"):
        found = place.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset)), limit=2 * len(keys())
        )
        shown = {record.partition_key: record.asset_materialization for record in found.records}
        assert set(shown) == set(keys())
        told = {key: row.metadata.get("report") for key, row in shown.items() if row is not None}
        assert {key for key, text in told.items() if text is not None} == {LAST.isoformat()}
        text = told[LAST.isoformat()]
        assert text is not None
        assert str(text.value).startswith("## Strategies by type")
        assert "| strategy | type |" in str(text.value), "the scenario has strategies"
