"""What one statement told: its days, when it was written, and counts of what it held.

Also the names that we add to payloads; they begin with an underscore, so that no attribute of IB's can be meant.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from apex_pipeline.brokers.ib.flex import Statement
from apex_pipeline.brokers.ib.identity import moment_of, text_of, window_of
from apex_pipeline.brokers.ib.times import NEW_YORK
from apex_pipeline.errors import UnknownPayload

DATES_MARK = "_dates"
"""Payload entry that says whether the day or the month comes first in this record's slashed dates."""

SECTION, TAG, FROM, TO, ROWS = "_section", "_tag", "_from", "_to", "rows"
QUERY = "_query"
"""The section of the record that says which sections and fields a person's query delivers."""

Stamp = Callable[[date], datetime]
"""When a statement of a last day was written at the earliest."""


@dataclass(slots=True)
class Told:
    """A statement as far as it was read.

    `written_at` is its own word. `sections`: the attributes seen in each. `rows` counts check data by section, element
    and level. `newest` is the last moment of an execution on `newest_day`, as written.
    """

    statement: Statement
    window: tuple[date, date] | None
    written_at: datetime | None
    stamp: Stamp | None
    sections: dict[str, set[str]] = field(default_factory=dict[str, "set[str]"])
    rows: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    executions: int = 0
    orders: int = 0
    records: Counter[tuple[str, date]] = field(default_factory=Counter[tuple[str, date]])
    newest_day: date = date.min
    newest: str = ""

    @property
    def last_day(self) -> date | None:
        """The last day of the statement, or the one before it was written."""
        if self.window:
            return self.window[1]
        return self.written_at.astimezone(NEW_YORK).date() - timedelta(days=1) if self.written_at else None

    def first_day(self, last: date) -> date:
        """The first day of the statement; `last` where it does not say its days."""
        return self.window[0] if self.window else last

    def generated_at(self, day: date) -> datetime | None:
        """When a record of this day was written: the statement's word, or the earliest possible; None if unknown."""
        if self.written_at or self.stamp is None:
            return self.written_at
        return self.stamp(self.window[1] if self.window else day)

    def account_of(self, attributes: Mapping[str, str]) -> str:
        """The account of a row; UnknownPayload where neither it nor the statement names one.

        The account of a row may be a segment of the statement's (`U1234567F` holds its futures); the statement's own
        sums are of the account with all its segments.
        """
        own = self.statement.account_id
        account = text_of(attributes, "accountId") or own
        if not account:
            raise UnknownPayload("missing_account", "neither the row nor its statement names an account")
        return own if own and account[:-1] == own and account[-1].isalpha() else account


def begun(statement: Statement, order: str, stamp: Stamp | None) -> Told:
    """A statement of which nothing but its own attributes was read."""
    written = moment_of(statement.attributes.get("whenGenerated"), order)
    return Told(statement, window_of(statement.attributes, order), written, stamp)
