"""A report without account numbers: each known one becomes a short name, wherever a text holds it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from apex_pipeline.reports.tables import ReportTable
from apex_pipeline.store.db import Database


@dataclass(frozen=True, slots=True)
class Names:
    """Short names by account number; none means that numbers stay."""

    by_account: Mapping[str, str]

    def text(self, text: str) -> str:
        """A text with names in place of numbers, the longest number first."""
        if not self.by_account:
            return text
        longest_first = sorted(self.by_account, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, longest_first)), lambda found: self.by_account[found[0]], text)

    def value(self, value: Any) -> Any:
        """Any value of a row; what is nested in it too."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.text(str(key)): self.value(inner) for key, inner in value.items()}
            case list() | tuple():
                return [self.value(inner) for inner in value]
            case _:
                return value

    def rows(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rows with names."""
        return [self.value(row) for row in rows] if self.by_account else rows

    def table(self, table: ReportTable) -> ReportTable:
        """A table with names."""
        return replace(table, rows=self.rows([dict(row) for row in table.rows]))


OWN = Names({})
"""Numbers as they are: the report is its owner's."""


def names_of(db: Database) -> Names:
    """A1, A2 … for every account that is known, in the order of brokers and numbers."""
    rows = sorted(db.fetch("known_accounts"), key=lambda row: (row["broker"], row["account_id"]))
    accounts = dict.fromkeys(row["account_id"] for row in rows if row["account_id"])
    return Names({account: f"A{n}" for n, account in enumerate(accounts, start=1)})
