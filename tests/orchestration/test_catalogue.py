"""The catalogue says what every asset and column is, and nothing of what there is not."""

from dataclasses import fields

import pytest

from apex_pipeline.orchestration import catalogue
from apex_pipeline.orchestration.assets import ASSETS
from apex_pipeline.settings import PROJECT_DIR
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import ROW_CLASSES, RawRow
from tests.orchestration.tables_page import tables_page

NAMES = {"timestamp with time zone": "timestamptz"}
"""Of types, where the information schema has longer ones."""
TOLD = catalogue._catalogue()  # pyright: ignore[reportPrivateUsage]
COLUMNS = {
    key.to_user_string(): {field.name for field in fields(ROW_CLASSES.get(key.to_user_string(), RawRow))}
    for asset in ASSETS
    for key in asset.keys
}


def test_every_asset_is_described_and_no_other() -> None:
    assert set(TOLD["tables"]) == set(COLUMNS)


@pytest.mark.parametrize("table", sorted(COLUMNS))
def test_every_column_says_what_it_means(table: str) -> None:
    assert all(catalogue.column_about(table, column).endswith((".", "…")) for column in COLUMNS[table])


def test_nothing_is_described_that_there_is_not() -> None:
    assert set(TOLD["columns"]) - set().union(*COLUMNS.values()) == set()
    assert [(t, c) for t, told in TOLD["columns_of"].items() for c in told if c not in COLUMNS.get(t, ())] == []


def test_the_types_are_those_of_the_database(db: Database) -> None:
    rows = db.fetch(
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
    )
    stored = {(row["table_name"], row["column_name"]): NAMES.get(row["data_type"], row["data_type"]) for row in rows}
    specs = [spec for asset in ASSETS for spec in asset.specs]
    told = {
        (spec.key.to_user_string(), column.name): column.type
        for spec in specs
        for column in spec.metadata["dagster/column_schema"].columns
    }
    assert told == {key: stored[key] for key in told}


def test_the_page_of_tables_is_what_the_catalogue_says() -> None:
    assert (PROJECT_DIR / "docs" / "tables.md").read_text("utf-8") == tables_page()


def test_a_column_that_nobody_described_is_noticed() -> None:
    with pytest.raises(KeyError):
        catalogue.column_about("orders_norm", "no_such_column")


def test_lineage_names_columns_that_there_are() -> None:
    named = [
        (table, column, source)
        for table, columns in TOLD["lineage"].items()
        for column, sources in columns.items()
        for source in (f"{table}.{column}", *sources)
    ]
    assert [one for one in named if one[2].split(".")[1] not in COLUMNS.get(one[2].split(".")[0], ())] == []
    assert len(named) > 100
    assert catalogue.column_lineage("orders_norm")
    assert catalogue.column_lineage("query_gaps") == {}
