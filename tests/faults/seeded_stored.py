"""Changing what we stored, beside the pipeline: any statement on any table, kept tables included."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, LiteralString

import psycopg2.extras
from psycopg2 import sql

from apex_pipeline.domain.models import Broker
from tests.faults.seeded_flex import NoPlaceError
from tests.store.rows import connected

Row = dict[str, Any]


@dataclass(frozen=True)
class Stored:
    """A database that somebody changes by hand. `broker`: whose rows are to be changed."""

    url: str
    broker: Broker | None

    def rows(self, text: LiteralString | sql.Composable, *values: Any) -> list[Row]:
        """Rows of a query; `%(broker)s` stands for the broker, `%(n)s` for the values."""
        with connected(self.url) as connection, connection.cursor() as cursor:
            cursor.execute(text, self._named(values))
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def one(self, dice: Random, text: LiteralString | sql.Composable, *values: Any) -> Row:
        """Any row of a query; NoPlaceError where there is none."""
        found = self.rows(text, *values)
        if not found:
            raise NoPlaceError
        return dice.choice(found)

    def change(self, text: LiteralString | sql.Composable, *values: Any) -> None:
        """Change rows, without the triggers that would refuse or note it; NoPlaceError where it changes none."""
        with connected(self.url) as connection, connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute(text, self._named(values))
            if not cursor.rowcount:
                raise NoPlaceError

    def copy(self, table: str, row: Row, **changes: Any) -> None:
        """Store a changed copy of a row."""
        told = {**row, **changes}
        values: Sequence[Any] = [psycopg2.extras.Json(v) if isinstance(v, (dict, list)) else v for v in told.values()]
        statement = sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, told)),
            sql.SQL(", ").join(sql.Placeholder() * len(told)),
        )  # fmt: skip
        with connected(self.url) as connection, connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute(statement, values)

    def _named(self, values: Sequence[Any]) -> dict[str, Any]:
        return {"broker": self.broker, **{str(number): value for number, value in enumerate(values)}}
