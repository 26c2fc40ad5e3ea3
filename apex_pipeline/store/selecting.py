"""The statements of the generic repository, composed from the registry of tables: conditions, order, single rows.

Every name that a caller tells is looked up in the columns of the table; ValueError names the nearest one otherwise.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from psycopg2 import sql

from apex_pipeline.store.tables import Table

_TERM = re.compile(r"(?P<minus>-?)(?P<name>\w+)(?:\s+(?P<way>asc|desc))?", re.IGNORECASE)


def known_column(table: Table, name: str) -> sql.Identifier:
    """A column of the table; ValueError for any other name."""
    if name not in table.columns:
        nearest = get_close_matches(name, table.columns, n=1, cutoff=0.0)[0]
        raise ValueError(f"{table.name} has no column {name!r}; the nearest is {nearest!r}")
    return sql.Identifier(name)


def where(table: Table, conditions: Mapping[str, Any]) -> tuple[sql.Composable, dict[str, Any]]:
    """A WHERE that all conditions hold, and its parameters; nothing at all for none of them.

    A value is compared as it is, None included; of a list, a tuple or a set any value will do.
    """
    parts: list[sql.Composable] = []
    params: dict[str, Any] = {}
    for name, value in conditions.items():
        column, place = known_column(table, name), sql.Placeholder(name)
        if value is None:
            parts.append(sql.SQL("{} IS NULL").format(column))
        elif isinstance(value, (list, tuple, set, frozenset)):
            parts.append(sql.SQL("{} = ANY ({})").format(column, place))
            params[name] = [_plain(one) for one in value]
        else:
            parts.append(sql.SQL("{} = {}").format(column, place))
            params[name] = value
    return (sql.SQL(" WHERE ") + sql.SQL(" AND ").join(parts) if parts else sql.SQL("")), params


def order(table: Table, order_by: str | Iterable[str] | None) -> sql.Composable:
    """An ORDER BY of columns, where `-name` and `name DESC` are descending; the key is always its last part.

    Unknown values come last. ValueError for what is not a column.
    """
    told = order_by.split(",") if isinstance(order_by, str) else list(order_by or ())
    terms: dict[str, sql.Composable] = {}
    for text in told:
        term = _TERM.fullmatch(text.strip())
        if term is None:
            raise ValueError(f"{table.name} has no order {text.strip()!r}: tell columns, -column for descending")
        falls = bool(term["minus"]) or (term["way"] or "").lower() == "desc"
        terms[term["name"]] = known_column(table, term["name"]) + sql.SQL(" DESC NULLS LAST" if falls else "")
    rest = {name: sql.Identifier(name) for name in table.key if name not in terms}
    return sql.SQL(" ORDER BY ") + sql.SQL(", ").join([*terms.values(), *rest.values()])


def select(table: Table, what: sql.Composable | None = None) -> sql.Composed:
    """SELECT … FROM the table; all columns unless told what."""
    columns = what or sql.SQL(", ").join(map(sql.Identifier, table.columns))
    return sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(table.name))


def insert(table: Table, columns: Iterable[str], *, replacing: bool) -> sql.Composed:
    """INSERT of one row of these columns, told as %(column)s, returning it as it is stored.

    A row of the same identity stays as it is, and nothing is returned; or is written where it differs, if `replacing`.
    """
    names = list(columns)
    return sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO {} RETURNING {}").format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.SQL(", ").join(map(sql.Placeholder, names)),
        sql.SQL(", ").join(map(sql.Identifier, table.identity)),
        _replacement(table, names) if replacing else sql.SQL("NOTHING"),
        sql.SQL(", ").join(map(sql.Identifier, table.columns)),
    )


def update_of_version(table: Table) -> sql.Composed:
    """UPDATE of one row that still has the version it was read with, told as %(column)s; returns it as it is stored.

    The version rises by one. Nothing is returned where the row is gone or has another version.
    """
    others = [name for name in table.columns if name not in {*table.key, *table.generated, "version"}]
    return sql.SQL(
        "UPDATE {} SET ({}, version, updated_at) = ROW ({}, version + 1, clock_timestamp()) WHERE {} "
        "AND version = %(version)s RETURNING {}"
    ).format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(map(sql.Identifier, others)),
        sql.SQL(", ").join(map(sql.Placeholder, others)),
        sql.SQL(" AND ").join(sql.SQL("{} = {}").format(sql.Identifier(k), sql.Placeholder(k)) for k in table.key),
        sql.SQL(", ").join(map(sql.Identifier, table.columns)),
    )


def _replacement(table: Table, names: Iterable[str]) -> sql.Composable:
    others = [name for name in names if name not in {*table.identity, *table.key, *table.keep_first}]
    if not others:
        return sql.SQL("NOTHING")
    new = {
        name: sql.SQL("COALESCE(EXCLUDED.{0}, {1}.{0})" if name in table.keep_known else "EXCLUDED.{0}").format(
            sql.Identifier(name), sql.Identifier(table.name)
        )
        for name in others
    }
    current = (sql.Identifier(table.name, name) for name in others)
    return sql.SQL("UPDATE SET {} WHERE ({}) IS DISTINCT FROM ({})").format(
        sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(name), value) for name, value in new.items()),
        sql.SQL(", ").join(current),
        sql.SQL(", ").join(new.values()),
    )


def _plain(value: Any) -> Any:
    return value.value if hasattr(value, "value") else value
