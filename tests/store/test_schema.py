"""The statements and the row classes fit the migrated schema: nothing is misspelt, unused or left out."""

import ast
import re
from collections.abc import Iterable
from dataclasses import fields
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

import psycopg2
import pytest
from psycopg2 import sql

from apex_pipeline.domain.checks import CheckName
from apex_pipeline.settings import PROJECT_DIR
from apex_pipeline.store import tables
from apex_pipeline.store.tables import RAW_KINDS, ROW_CLASSES, RawRow, Table, columns_of, raw_table
from apex_pipeline.store.transaction import statement
from tests.store.rows import connected, query
from tests.store.timescale_stand_in import create_objects

PACKAGE = PROJECT_DIR / "apex_pipeline"
FILES = sorted((PACKAGE / "store" / "sql").glob("*.sql"))
RAW_TABLES = [raw_table(broker, kind) for broker, kinds in RAW_KINDS.items() for kind in kinds]
REGISTERED = [
    *(item for item in vars(tables).values() if isinstance(item, Table)),
    *tables.STATEMENT_TABLES.values(),
    *tables.LEDGER_TABLES.values(),
]
CLASSES = {**ROW_CLASSES, **{table.name: RawRow for table in RAW_TABLES}}

GENERATED = {table.name: table.generated for table in REGISTERED}
"""Columns that the class leaves to the database, which always fills them."""

TYPES_THAT_CANNOT_BE_INFERRED = {"final_after_days": "integer"}
"""Parameters of operators that exist for several types; everything else PostgreSQL infers."""

LOOSER_IN_THE_DATABASE = {"order_strategy_map": ("leg_role",)}
"""Columns that the class always fills although the table would take NULL."""

PLANNED = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|VALUES|MERGE)\b", re.IGNORECASE)


def parts_of(text: str) -> list[str]:
    """The statements of a file, without comments."""
    plain = "\n".join(line.split("--")[0] for line in text.splitlines())
    return [part for part in plain.split(";") if part.strip()]


def prepared(part: str) -> tuple[str, str]:
    """A statement with numbered parameters, and the list of their types."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", part)))
    for number, name in enumerate(names, start=1):
        part = part.replace(f"%({name})s", f"${number}")
    types = ", ".join(TYPES_THAT_CANNOT_BE_INFERRED.get(name, "unknown") for name in names)
    return part.replace("%%", "%"), f"({types})" if names else ""


def plan(url: str, text: str) -> None:
    """Prepare and explain every statement of a file, and undo what was run; raises what PostgreSQL raises."""
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            for part in parts_of(text):
                if not PLANNED.match(part):
                    cursor.execute(re.sub(r"%\(\w+\)s", "NULL", part))
                    continue
                body, types = prepared(part)
                cursor.execute(f"PREPARE tried {types} AS {body}")
                nulls = ", ".join(["NULL"] * types.count(",") + ["NULL"] * bool(types))
                cursor.execute(f"EXPLAIN EXECUTE tried {f'({nulls})' if nulls else ''}")
                cursor.execute("DEALLOCATE tried")
    finally:
        connection.rollback()
        connection.close()


def test_every_statement_can_be_planned_against_the_migrated_schema(database_url: str) -> None:
    assert FILES
    create_objects(database_url)  # statements for TimescaleDB are planned against the stand-in
    for path in FILES:
        try:
            plan(database_url, statement(path.stem))
        except psycopg2.Error as error:
            pytest.fail(f"{path.name}: {error}")


def test_a_misspelt_column_or_table_is_noticed(database_url: str) -> None:
    with pytest.raises(psycopg2.errors.UndefinedColumn):
        plan(database_url, "SELECT 1; SELECT acount_id FROM orders_norm WHERE order_uid = %(order_uid)s")
    with pytest.raises(psycopg2.errors.UndefinedTable):
        plan(database_url, "DELETE FROM order_norm")


def called_by_name(folder: Path) -> set[str]:
    """Every text literal of the package that is not a docstring; a statement is called by such a text."""
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                names.add(node.value)
    return names


def test_every_statement_is_used_and_every_check_has_its_two() -> None:
    called = called_by_name(PACKAGE)
    of_checks = {f"{prefix}_{check.value}" for check in CheckName for prefix in ("check", "subjects")}
    stems = {path.stem for path in FILES}
    assert stems - called - of_checks == set()
    assert of_checks - stems == set()
    assert "a_statement_that_nobody_calls" not in called


def columns_in_database(url: str, table: str) -> dict[str, tuple[str, bool]]:
    """Type and nullability by column, in the order of the table."""
    rows = query(
        url,
        "SELECT column_name, data_type, is_nullable = 'YES' FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = %s ORDER BY ordinal_position",
        table,
    )
    return {name: (kind, nullable) for name, kind, nullable in rows}


def columns_of_class(row: type) -> dict[str, tuple[str, bool]]:
    """The same of a dataclass."""
    hints = get_type_hints(row)
    return {field.name: (sql_type(hints[field.name]), is_optional(hints[field.name])) for field in fields(row)}


def is_optional(hint: Any) -> bool:
    return NoneType in get_args(hint)


def sql_type(hint: Any) -> str:
    """The data type that a field is stored as."""
    if get_origin(hint) in (Union, UnionType):
        kinds = {sql_type(part) for part in get_args(hint) if part is not NoneType}
        assert len(kinds) == 1, hint
        return kinds.pop()
    kind = cast("type", get_origin(hint) or hint)
    if issubclass(kind, (str, Enum)):
        return "text"
    plain = {
        Decimal: "numeric",
        datetime: "timestamp with time zone",
        date: "date",
        time: "time without time zone",
        bool: "boolean",
        int: "bigint",
    }
    return plain.get(kind, "jsonb")


@pytest.mark.parametrize("table", sorted(CLASSES))
def test_a_row_class_has_exactly_the_columns_of_its_table(database_url: str, table: str) -> None:
    told, stored = columns_of_class(CLASSES[table]), columns_in_database(database_url, table)
    for name in (*LOOSER_IN_THE_DATABASE.get(table, ()), *GENERATED.get(table, ())):
        stored[name] = (stored[name][0], told[name][1])
    assert told == stored


def test_a_column_too_many_or_of_another_type_is_noticed(database_url: str) -> None:
    told = columns_of_class(ROW_CLASSES["orders_norm"])
    query(database_url, "ALTER TABLE orders_norm ADD COLUMN surprise text")
    assert told != columns_in_database(database_url, "orders_norm")
    query(database_url, "ALTER TABLE orders_norm DROP COLUMN surprise, ALTER COLUMN qty TYPE double precision")
    assert told != columns_in_database(database_url, "orders_norm")
    query(database_url, "ALTER TABLE orders_norm ALTER COLUMN qty TYPE numeric, ALTER COLUMN qty SET NOT NULL")
    assert told != columns_in_database(database_url, "orders_norm")
    query(database_url, "ALTER TABLE orders_norm ALTER COLUMN qty DROP NOT NULL")
    assert told == columns_in_database(database_url, "orders_norm")


@pytest.mark.parametrize("table", [*REGISTERED, *RAW_TABLES], ids=lambda table: table.name)
def test_a_registered_table_is_merged_by_its_primary_key(database_url: str, table: Table) -> None:
    rows = query(
        database_url,
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) "
        "WHERE i.indisprimary AND i.indrelid = %s::regclass",
        table.name,
    )
    assert {name for (name,) in rows} == set(table.key)
    assert table.keep_known | table.keep_first <= set(table.columns) - set(table.key)


def test_every_registered_table_has_a_row_class() -> None:
    assert {table.name for table in REGISTERED} == set(ROW_CLASSES)
    for table in REGISTERED:
        assert table.columns == columns_of(ROW_CLASSES[table.name])


def test_money_and_instants_are_stored_exactly_and_ids_are_compared_by_bytes(database_url: str) -> None:
    rows = query(
        database_url,
        "SELECT table_name, column_name, data_type, collation_name FROM information_schema.columns "
        "WHERE table_schema = 'public'",
    )
    assert offending(rows) == []
    query(database_url, "CREATE TABLE wrong (order_uid text, price double precision, paid_at timestamp)")
    rows = query(
        database_url,
        "SELECT table_name, column_name, data_type, collation_name FROM information_schema.columns "
        "WHERE table_name = 'wrong'",
    )
    assert len(offending(rows)) == 3


def offending(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Columns that hold binary floats, instants without zone, or ids that a locale would compare."""
    inexact = {"real", "double precision", "timestamp without time zone", "money", "character varying"}
    return [
        row for row in rows if row[2] in inexact or (row[1].endswith(("_uid", "_id")) and row[2:] == ("text", None))
    ]


def test_the_view_of_raw_records_tells_the_columns_of_a_raw_row(database_url: str) -> None:
    with connected(database_url) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(sql.Identifier("raw_records")))
        assert [column.name for column in cursor.description or ()] == ["broker", "kind", *columns_of(RawRow)]
