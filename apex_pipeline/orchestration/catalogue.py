"""What every asset is, as Dagster shows it: words, columns and where they come from, the page about it, its keepers."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from types import UnionType
from typing import Any, get_args, get_origin

import dagster as dg

from apex_pipeline.orchestration.partitions import FRESHNESS
from apex_pipeline.store.tables import ROW_CLASSES, RawRow

OWNERS = ["team:apex"]
PROJECT_AT = "/apex/"
"""Where the project's pages are served beside Dagster's."""
PAGES_AT = f"{PROJECT_AT}docs/"


def asset_spec(table: str, group: str, deps: Sequence[str] = (), kinds: Sequence[str] = ("postgres",)) -> dg.AssetSpec:
    """An asset named as its table."""
    page = page_of(table, group)
    return dg.AssetSpec(
        table,
        deps=list(deps),
        description=f"{_catalogue()['tables'][table]}\n\nMore in [docs/{page}]({PAGES_AT}{page}).",
        group_name=group,
        kinds=set(kinds),
        owners=OWNERS,
        metadata={**column_schema(table), "page": dg.MetadataValue.url(f"{PAGES_AT}{page}")},
        freshness_policy=FRESHNESS.get(group),
    )


def page_of(table: str, group: str) -> str:
    """The page about a table, below docs/."""
    pages = _catalogue()["pages"]
    return pages.get(table) or pages[f"raw_{table.rpartition('_')[2]}" if group == "raw" else group]


def column_schema(table: str) -> dict[str, Any]:
    """The columns of a table with what they mean."""
    columns = [
        dg.TableColumn(
            field.name,
            _sql_type(field.type),
            description=column_about(table, field.name),
            constraints=dg.TableColumnConstraints(nullable=type(None) in get_args(field.type)),
        )
        for field in fields(ROW_CLASSES.get(table, RawRow))
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns), "dagster/table_name": f"public.{table}"}


def column_about(table: str, column: str) -> str:
    """What a column means, with its unit and sign; KeyError for one that nobody described."""
    told = _catalogue()
    return told["columns_of"].get(table, {}).get(column) or told["columns"][column]


def column_lineage(table: str) -> dict[str, Any]:
    """Which columns of other tables the chief columns of a table are made of; nothing where none is told.

    Dagster reads it from materializations.
    """
    chief: Mapping[str, Sequence[str]] = _catalogue()["lineage"].get(table, {})
    told = {name: [_dep(source) for source in sources] for name, sources in chief.items()}
    return {"dagster/column_lineage": dg.TableColumnLineage(told)} if told else {}


def _dep(source: str) -> dg.TableColumnDep:
    table, _, column = source.partition(".")
    return dg.TableColumnDep(asset_key=dg.AssetKey(table), column_name=column)


SQL_TYPES: Mapping[type, str] = {
    bool: "boolean",
    int: "bigint",
    str: "text",
    Decimal: "numeric",
    datetime: "timestamptz",
    date: "date",
}
"""In this order: a bool is an int, and a datetime a date."""


@cache
def _catalogue() -> Mapping[str, Any]:
    return tomllib.loads(files("apex_pipeline.orchestration").joinpath("catalogue.toml").read_text("utf-8"))


def _sql_type(annotation: Any) -> str:
    """The type of a column as SQL has it; lists and mappings are stored as JSON."""
    known = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    kind = get_origin(known[0]) or known[0]
    return next((name for told, name in SQL_TYPES.items() if issubclass(kind, told)), "jsonb")
