"""Looking at a database from outside the program: plain SQL over a connection of its own, for tests."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg2
import psycopg2.extensions
from psycopg2 import sql


@contextmanager
def connected(url: str) -> Generator[psycopg2.extensions.connection]:
    """A connection that commits each statement."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        yield connection
    finally:
        connection.close()


def query(url: str, text: LiteralString | sql.Composable, *params: Any) -> list[tuple[Any, ...]]:
    """All rows of a statement; none of one that returns nothing."""
    with connected(url) as connection, connection.cursor() as cursor:
        cursor.execute(text, params or None)
        return cursor.fetchall() if cursor.description else []


def asked(url: str, parameter: str) -> str:
    """The URL with one more parameter, whether it has some (a socket) or none (a host)."""
    return f"{url}{'&' if '?' in url else '?'}{parameter}"


def value(url: str, text: LiteralString | sql.Composable, *params: Any) -> Any:
    """The first column of the first row."""
    return query(url, text, *params)[0][0]


def sqlstate(url: str, text: LiteralString | sql.Composable, *params: Any) -> str | None:
    """The SQLSTATE with which the server refuses a statement; None when it does not."""
    try:
        query(url, text, *params)
    except psycopg2.Error as error:
        return error.pgcode
    return None


def tables_hash(url: str, tables: Iterator[str] | list[str] | tuple[str, ...]) -> dict[str, str]:
    """One hash per table over all its rows in order: equal hashes are equal contents."""
    statement = sql.SQL("SELECT coalesce(md5(string_agg(t::text, chr(10) ORDER BY t::text)), '') FROM {} t")
    return {name: value(url, statement.format(sql.Identifier(name))) for name in tables}
