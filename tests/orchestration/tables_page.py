"""Writes docs/tables.md from the catalogue: `python -m tests.orchestration.tables_page > docs/tables.md`."""

import sys
from collections.abc import Iterator

import dagster as dg

from apex_pipeline.orchestration.assets import ASSETS
from apex_pipeline.store.tables import DRIFT, RECONCILED_DAYS, RISK_SIGNALS, key_of

GROUPS = ("raw", "normalized", "ledger", "strategy", "reconciliation", "market", "snapshots")
INTRODUCTION = r"""# Tables

What every table that Dagster shows means, column by column, for those who write SQL. A column of one name means the
same everywhere, unless it says otherwise. Unknown is NULL, money and quantities are `numeric`, instants are
`timestamptz`. How the tables follow from one another: [architecture.md](architecture.md). The description of every
other table is its comment (`\d+` in psql).
"""


def tables_page() -> str:
    """The page as text."""
    specs = [spec for asset in ASSETS for spec in asset.specs]
    return "\n".join([INTRODUCTION, *(line for group in GROUPS for line in _group(group, specs))]) + "\n"


def _group(group: str, specs: list[dg.AssetSpec]) -> Iterator[str]:
    yield f"## {group.capitalize()}\n"
    if group == "raw":
        yield "All raw tables have the columns of the first.\n"
    for spec in specs:
        if spec.group_name == group:
            yield from _table(spec, with_columns=group != "raw" or spec is specs[0])


def _table(spec: dg.AssetSpec, *, with_columns: bool) -> Iterator[str]:
    """All raw tables have the same columns, which the first of them shows."""
    name = spec.key.to_user_string()
    schema: dg.TableSchema = spec.metadata["dagster/column_schema"]
    about = (spec.description or "").partition("\n")[0]
    yield f"### {name}\n\n{about} Key: {', '.join(f'`{column}`' for column in _key(name))}.\n"
    if not with_columns:
        return
    yield "| column | type | meaning |\n|---|---|---|"
    for column in schema.columns:
        kind = f"{column.type}, or NULL" if column.constraints.nullable else column.type
        yield f"| `{column.name}` | {kind} | {column.description} |"
    yield ""


def _key(name: str) -> tuple[str, ...]:
    return OTHER_KEYS[name] if name in OTHER_KEYS else key_of(name)


OTHER_KEYS = {table.name: table.key for table in (DRIFT, RECONCILED_DAYS, RISK_SIGNALS)}

if __name__ == "__main__":
    sys.stdout.write(tables_page())
