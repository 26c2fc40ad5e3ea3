"""What the checks find, the breaks that follow, and what every run compared."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from apex_pipeline.domain.checks import CheckName
from apex_pipeline.domain.reconciliation import Break, BreakChange, Compared, Finding, Worth, worth
from apex_pipeline.domain.strategies.taxonomy import label_allows
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import BREAK_CHANGES, BREAKS, RECON_RESULTS, as_row, row_as
from apex_pipeline.store.transaction import Merged, Row, statement


class BreakRepository:
    """Runs the check queries and keeps their breaks."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def findings(self, check: CheckName, from_date: date, to_date: date) -> list[Finding]:
        """What does not hold between these days."""
        asks_labels = check is CheckName.OUR_READING_AGREES_WITH_THE_BROKERS_LABEL
        given = self._labels_at_odds(from_date, to_date) if asks_labels else {}
        rows = self._db.fetch(statement(f"check_{check.value}"), from_date=from_date, to_date=to_date, **given)
        absent = {"check_name": check.value, "currency": None}
        return [row_as(Finding, absent | row) for row in rows]

    def _labels_at_odds(self, from_date: date, to_date: date) -> dict[str, Any]:
        """Labels of these days beside types that they were read as and rule out, in step: the catalogue knows."""
        told = self._db.fetch("labels_told", from_date=from_date, to_date=to_date)
        odd = [row for row in told if not label_allows(row["label"], row["strategy_type"])]
        return {"labels": [row["label"] for row in odd], "types": [row["strategy_type"] for row in odd]}

    def compared(self, check: CheckName, from_date: date, to_date: date) -> list[Compared]:
        """What the check compares by account and day: a check that compares nothing proves nothing."""
        rows = self._db.fetch(statement(f"subjects_{check.value}"), from_date=from_date, to_date=to_date)
        return [
            Compared(check, row["broker"] or "", row["account_id"] or "", row["business_date"], int(row["subjects"]))
            for row in rows
        ]

    def subjects(self, check: CheckName, from_date: date, to_date: date) -> dict[date, int]:
        """The same by day alone."""
        days: dict[date, int] = {}
        for row in self.compared(check, from_date, to_date):
            days[row.business_date] = days.get(row.business_date, 0) + row.compared
        return days

    def existing(self, from_date: date, to_date: date) -> list[Break]:
        """Breaks of these days and those bound to no day, whatever their state."""
        return [row_as(Break, row) for row in self._db.fetch("breaks_between", from_date=from_date, to_date=to_date)]

    def named(self, uids: Sequence[str]) -> list[Break]:
        """The breaks that have these uids."""
        return [row_as(Break, row) for row in self._db.fetch("breaks_known", uids=list(uids))]

    def elsewhere(self, from_date: date, to_date: date) -> list[Break]:
        """Breaks of other days that are not closed."""
        return [row_as(Break, row) for row in self._db.fetch("breaks_elsewhere", from_date=from_date, to_date=to_date)]

    def worths(self, findings: Sequence[Finding]) -> dict[str, Worth]:
        """What the differences in money are worth in the base currency of their accounts, by the uid of the break."""
        money = [one for one in findings if one.currency and one.account_id and one.business_date]
        scope: dict[str, Any] = {
            "accounts": [one.account_id for one in money],
            "dates": [one.business_date for one in money],
            "currencies": [one.currency for one in money],
        }
        known = {row["place"]: row for row in self._db.fetch("break_worths", **scope)} if money else {}
        return {one.break_uid: worth(one.delta, *_value(known.get(place))) for place, one in enumerate(money, start=1)}

    def sessions(self, from_date: date, to_date: date) -> dict[str, dict[date, bool]]:
        """Which days are known to be sessions in New York and in Hong Kong, by calendar."""
        found: dict[str, dict[date, bool]] = {}
        for row in self._db.fetch("sessions_between", from_date=from_date, to_date=to_date):
            found.setdefault(row["calendar"], {})[row["on_date"]] = row["is_session"]
        return found

    def reaches_newest(self, to_date: date) -> bool:
        """Whether no day after this one was loaded."""
        newest = (self._db.fetchrow("covered_days_all") or {}).get("to_date")
        return newest is None or to_date >= newest

    def begin(self, from_date: date, to_date: date, made_by: str) -> int:
        """Note that a run begins; returns its id."""
        return int(self._db.fetchval("recon_run_begin", from_date=from_date, to_date=to_date, made_by=made_by))

    def run_of(self, made_by: str, from_date: date, to_date: date) -> int | None:
        """The newest run, if this maker made it and it covers these days."""
        return self._db.fetchval("recon_run_of", made_by=made_by, from_date=from_date, to_date=to_date)

    def results(self, from_date: date, to_date: date) -> dict[CheckName, dict[date, int]]:
        """How many things were compared by check and day, as the newest runs left it."""
        found: dict[CheckName, dict[date, int]] = {}
        for row in self._db.fetch("recon_results_between", from_date=from_date, to_date=to_date):
            found.setdefault(CheckName(row["check_name"]), {})[row["business_date"]] = int(row["compared"])
        return found

    def save(
        self, run_id: int, days: tuple[date, date], breaks: Sequence[Break], steps: Sequence[BreakChange],
        compared: Sequence[Compared],
    ) -> Merged:  # fmt: skip
        """Write what a run found, in one transaction; equal rows are not touched."""
        scope = {"from_date": days[0], "to_date": days[1]}
        with self._db.transaction() as tx:
            tx.execute("dirty_clear_between", stage="reconcile", **scope)
            merged = tx.merge(BREAKS, map(as_row, breaks))
            tx.add(BREAK_CHANGES, map(as_row, steps))
            tx.execute("recon_results_begin")
            tx.copy(RECON_RESULTS, "results_found", map(as_row, compared))
            tx.execute("recon_results_rewrite", **scope)
            tx.execute("report_days_rewrite", **scope, run_id=run_id)
            tx.execute("recon_run_end", run_id=run_id)
        return merged

    def sign(self, row: Break, steps: Sequence[BreakChange]) -> None:
        """Write what a person said of a break."""
        with self._db.transaction() as tx:
            tx.merge(BREAKS, [as_row(row)])
            tx.add(BREAK_CHANGES, map(as_row, steps))

    def dirty_span(self, from_date: date, to_date: date) -> tuple[date, date]:
        """The range widened to the days that changed since they were last reconciled."""
        row = self._db.fetchrow("dirty_span", stage="reconcile", from_date=from_date, to_date=to_date)
        return (row["from_date"], row["to_date"]) if row else (from_date, to_date)


def _value(row: Row | None) -> tuple[Any, Any]:
    return (row["rate"], row["net_value"]) if row else (None, None)
