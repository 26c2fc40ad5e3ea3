"""The statements of the generic repository, composed from the registry of tables: conditions, order, single rows.

Every name that a caller tells is looked up in the columns of the table; ValueError names the nearest one otherwise.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from types import NoneType
from typing import Any, get_args, get_type_hints

from psycopg2 import sql

from apex_pipeline.store.tables import ROW_CLASSES, Table

_TERM = re.compile(r"(?P<minus>-?)(?P<name>\w+)(?:\s+(?P<way>asc|desc))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Within:
    """A condition: known, and not before `first` nor after `last`, where these are told."""

    first: Any = None
    last: Any = None


def known_column(table: Table, name: str) -> sql.Identifier:
    """A column of the table; ValueError for any other name."""
    if name not in table.columns:
        nearest = get_close_matches(name, table.columns, n=1, cutoff=0.0)[0]
        raise ValueError(f"{table.name} has no column {name!r}; the nearest is {nearest!r}")
    return sql.Identifier(name)


def where(table: Table, conditions: Mapping[str, Any]) -> tuple[sql.Composable, dict[str, Any]]:
    """A WHERE that all conditions hold, and its parameters; nothing at all for none of them.

    A value is compared as it is, None included; of a list, a tuple or a set any value will do; `Within` is a range.
    """
    parts: list[sql.Composable] = []
    params: dict[str, Any] = {}
    for name, value in conditions.items():
        column = known_column(table, name)
        if value is None:
            parts.append(sql.SQL("{} IS NULL").format(column))
        elif isinstance(value, Within):
            parts.append(_range(column, name, value, params))
        elif isinstance(value, (list, tuple, set, frozenset)):
            parts.append(_any_of(table, column, name, list(value), params))
        else:
            parts.append(sql.SQL("{} = {}").format(column, sql.Placeholder(name)))
            params[name] = _fitting(table, name, value)
    return (sql.SQL(" WHERE ") + sql.SQL(" AND ").join(parts) if parts else sql.SQL("")), params


def _range(column: sql.Identifier, name: str, value: Within, params: dict[str, Any]) -> sql.Composable:
    parts: list[sql.Composable] = []
    for word, bound in ((">=", value.first), ("<=", value.last)):
        if bound is not None:
            key = f"{name}_{len(params)}"
            params[key] = bound
            parts.append(sql.SQL("{} " + word + " {}").format(column, sql.Placeholder(key)))
    return sql.SQL(" AND ").join(parts) if parts else sql.SQL("{} IS NOT NULL").format(column)


def _any_of(
    table: Table, column: sql.Identifier, name: str, values: list[Any], params: dict[str, Any]
) -> sql.Composable:
    params[name] = [_plain(_fitting(table, name, one)) for one in values if one is not None]
    known = sql.SQL("{} = ANY ({})").format(column, sql.Placeholder(name))
    return sql.SQL("({} OR {} IS NULL)").format(known, column) if None in values else known


def order(table: Table, order_by: str | Iterable[str] | None) -> sql.Composable:
    """An ORDER BY of columns, where `-name` and `name DESC` are descending; the key is always its last part.

    Unknown values come last. ValueError for what is not a column.
    """
    told = order_by.split(",") if isinstance(order_by, str) else list(order_by or ())
    always_known = _always_known(table)  # of these an index can be read backwards
    terms: dict[str, sql.Composable] = {}
    for text in told:
        term = _TERM.fullmatch(text.strip())
        if term is None:
            raise ValueError(f"{table.name} has no order {text.strip()!r}: tell columns, -column for descending")
        falls = bool(term["minus"]) or (term["way"] or "").lower() == "desc"
        falling = " DESC" if term["name"] in always_known else " DESC NULLS LAST"
        terms[term["name"]] = known_column(table, term["name"]) + sql.SQL(falling if falls else "")
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


def delete_of_version(table: Table) -> sql.Composed:
    """DELETE of the row of this key, told as %(column)s; returns the version that it had."""
    return sql.SQL("DELETE FROM {} WHERE {} RETURNING version").format(
        sql.Identifier(table.name),
        sql.SQL(" AND ").join(sql.SQL("{} = {}").format(sql.Identifier(k), sql.Placeholder(k)) for k in table.key),
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


def update(table: Table, columns: Iterable[str]) -> sql.Composed:
    """UPDATE of the row of this key where it differs; values and key are told as %(column)s."""
    others = [name for name in columns if name not in table.key]
    return sql.SQL("UPDATE {} SET {} WHERE {} AND ({}) IS DISTINCT FROM ({})").format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in others),
        sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in table.key
        ),
        sql.SQL(", ").join(map(sql.Identifier, others)),
        sql.SQL(", ").join(map(sql.Placeholder, others)),
    )


def page(limit: int | None, offset: int = 0) -> sql.Composable:
    """LIMIT and OFFSET; ValueError for what is not a number of rows."""
    if (limit is not None and limit < 0) or offset < 0:
        raise ValueError(f"limit {limit} and offset {offset} are numbers of rows: 0 or more")
    most = sql.SQL("") if limit is None else sql.SQL(" LIMIT {}").format(sql.Literal(int(limit)))
    return most + (sql.SQL(" OFFSET {}").format(sql.Literal(int(offset))) if offset else sql.SQL(""))


def counted_key(table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """The key that the database counted, where the values tell it and nothing else says which row they are of."""
    counted = _counted(table)
    return {name: values[name] for name in counted if not table.natural and values.get(name) is not None}


def without_counted(table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values but for the number that the database counts for each new row."""
    return {name: value for name, value in values.items() if name not in _counted(table)}


@cache
def _counted(table: Table) -> frozenset[str]:
    """Keys that the database counts and nobody tells."""
    return frozenset(name for name in table.key if name in table.generated and name not in _texts(table))


@cache
def _always_known(table: Table) -> frozenset[str]:
    """Columns that hold no NULL."""
    known = (name for name, hint in _hints(table).items() if NoneType not in get_args(hint))
    return frozenset({*table.key, *table.generated, *known})


@cache
def _texts(table: Table) -> frozenset[str]:
    return frozenset(name for name, hint in _hints(table).items() if str in (hint, *get_args(hint)))


def _hints(table: Table) -> dict[str, Any]:
    row = ROW_CLASSES.get(table.name)
    return get_type_hints(row) if row else {}


def _fitting(table: Table, name: str, value: Any) -> Any:
    """A number that is told of a text (the number of an account) as that text."""
    return str(value) if type(value) is int and name in _texts(table) else value


def _plain(value: Any) -> Any:
    return value.value if hasattr(value, "value") else value
