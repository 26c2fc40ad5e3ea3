"""Why breaks are there: which rows are to blame, and which breaks follow from which.

Nothing is guessed. A break that says what would set it right (rows as the brokers' own words make them) is tried: in a
rehearsal, which is always rolled back, the rows are changed, everything downstream is computed again and the checks are
run again. What agrees then follows from that break, for all of its amount; what still differs is a break of its own.
Causes are tried in the order of the catalogue, those that name a record or a booking first, so that the first to notice
a cause is the one that tells it; what only says that something was held, moved or chosen comes last.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import product
from typing import Any

from apex_pipeline.domain.checks import CHECKS, CheckName
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.reconciliation import SET_RIGHT, Finding
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.breaks import BreakRepository
from apex_pipeline.store.repositories.ledger import Day
from apex_pipeline.store.repositories.rehearsing import Json, RehearsalRepository
from apex_pipeline.store.tables import key_of

_OF_RECORDS = "AB"
_OF_BOOKINGS = (
    CheckName.EVERY_DELIVERY_HAS_BOTH_LEGS, CheckName.EVERY_REVERSAL_HAS_ITS_OPPOSITE,
    CheckName.THE_BALANCE_OF_FUNDS_RUNS,
)  # fmt: skip
"""Checks of single events and bookings, those that say most of one first."""

IN_ORDER = (
    *(name for name in CHECKS if CHECKS[name].check_id[0] in _OF_RECORDS), *_OF_BOOKINGS,
    *(name for name in CHECKS if CHECKS[name].check_id[0] not in _OF_RECORDS and name not in _OF_BOOKINGS),
)  # fmt: skip
"""The checks in the order in which their causes are tried: what names a record, what names a booking, what is held."""

_OF_WORDS = CheckName.TOLD_STATEMENTS_STAY_AS_THEY_WERE
"""The check of what a broker said at two times: no row of ours makes both words agree, so it is not asked to."""

MOST_BUCKETS = 400
"""Account-days whose rows are looked for one by one; beyond that a database was restored rather than a row changed."""

MOST_TRIES = 6
"""Rehearsals of one diagnosis: each computes the ledger of some accounts again, which takes a second or more."""

MOST_HALVED = 16
"""Causes of one check that are told apart by halves where together they prove nothing."""

MOST_CAUSES = 20
"""Causes that a break names of those it follows from."""

_BUCKETS = "bucket_uids"
"""The key of `evidence` with the findings about account-days that one about a row took the place of."""

Days = Mapping[Broker, set[Day]]

Derive = Callable[[Database, Days], None]
"""Computes what follows from these account-days again."""

Bucket = tuple[str, str, date]
"""A table, an account and a day."""

NO_ROW = (None, None)

STAGES = (
    *(f"apex:{stage}:{broker}" for stage in ("normalize", "endings") for broker in Broker),
    "apex:classify", "apex:match", "apex:value", "apex:tell",
)  # fmt: skip
"""The locks of the stages that a rehearsal repeats, in the order in which stages take them."""

_GUESSED = frozenset({"opening_balances", "transfers", "account_rules"})
"""Tables of which a new row says that something was held, moved or chosen, not what happened."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A row as it is stored and as its stage would write it, each with its account-day; None where there is none."""

    table: str
    key: str
    stored_in: Bucket | None
    stored: Json | None
    due_in: Bucket | None
    due: Json | None

    @property
    def buckets(self) -> list[Bucket]:
        """Where the row is due and where it stands."""
        return list(dict.fromkeys(bucket for bucket in (self.due_in, self.stored_in) if bucket))


class _NoHelpError(Exception):
    """The proposed rows do not make their own checks agree; `unproven` are the uids of those that still differ."""

    def __init__(self, unproven: set[str]) -> None:
        super().__init__()
        self.unproven = unproven


class _NothingElseError(Exception):
    """The proposed rows make nothing agree but their own checks, which may follow from another cause as well."""


class Diagnosis:
    """Finds the rows and the causes behind what the checks of some days found."""

    def __init__(self, db: Database, write: Derive, follow: Derive, days: tuple[date, date]) -> None:
        self._db = db
        self._write = write
        self._follow = follow
        self._span = days
        self._tries = MOST_TRIES
        self._checks = BreakRepository(db)
        self._rows = RehearsalRepository(db)

    def name_rows(self, findings: Sequence[Finding]) -> list[Finding]:
        """Findings about account-days whose seal is broken, told by row where writing them again shows which.

        A finding of which nothing differs when it is written again stays as it is.
        """
        buckets = {_bucket(one): one for one in findings if one.account_id and one.business_date}
        if not buckets or len(buckets) > MOST_BUCKETS:
            return list(findings)
        differing = self._differing(list(buckets), self._days(buckets.values()))
        named = [_of_row(row, [buckets[bucket] for bucket in row.buckets]) for row in differing]
        told = {uid for one in named for uid in one.evidence[_BUCKETS]}
        return [*named, *(one for one in findings if one.break_uid not in told)]

    def causes(
        self, findings: Sequence[Finding], explained: Sequence[Finding], earlier: Sequence[Finding]
    ) -> dict[str, tuple[str, ...]]:
        """The breaks that each of these findings follows from, by uid; those that follow from none are not in it.

        Causes may also be what was found and is explained already, and `earlier`, what is open of other days.
        """
        standing = {one.break_uid: one for one in findings}
        told_before = [*explained, *(one for one in earlier if one.break_uid not in standing)]
        proven: dict[str, tuple[str, ...]] = {}
        if len(standing) + len(told_before) < 2:
            return proven
        with self._db.rehearsal(*STAGES):
            for is_guess, check in product((False, True), IN_ORDER):
                some = [one for one in (*standing.values(), *told_before) if one.check_name == check.value]
                causes = [one for one in some if one.evidence.get(SET_RIGHT) and _is_guess(one) is is_guess]
                has_others = len(standing) > sum(one.break_uid in standing for one in causes)
                if causes and has_others and self._tries > 0:
                    for uid in self._agreeing(causes, standing):
                        one = standing.pop(uid)
                        if one not in causes:
                            proven[uid] = _blamed(one, causes)
        return proven

    def _agreeing(self, causes: Sequence[Finding], standing: Mapping[str, Finding]) -> set[str]:
        """Which of the standing findings are gone once these causes are set right; none if that does not help.

        Where some do not help they are left out; where it cannot be told which, each half is tried by itself.
        """
        try:
            return self._tried(causes, standing)
        except _NoHelpError as error:
            others = [one for one in causes if one.break_uid not in error.unproven]
            if error.unproven and others and self._tries > 0:
                return self._agreeing(others, standing)
        except _NothingElseError:
            return set()
        except ValueError:  # a proposal that the database refuses proves nothing
            pass
        return self._halves(causes, standing) if 1 < len(causes) <= MOST_HALVED and self._tries > 0 else set()

    def _halves(self, causes: Sequence[Finding], standing: Mapping[str, Finding]) -> set[str]:
        middle = len(causes) // 2
        gone = self._agreeing(causes[:middle], standing)
        return gone | self._agreeing(causes[middle:], {uid: one for uid, one in standing.items() if uid not in gone})

    def _tried(self, causes: Sequence[Finding], standing: Mapping[str, Finding]) -> set[str]:
        self._tries -= 1
        with self._db.transaction():
            self._rows.change(proposal for one in causes for proposal in one.evidence[SET_RIGHT])
            self._follow(self._db, self._days(causes))
            found = self._found([*standing.values(), *causes])
            unproven = {one.break_uid for one in causes if one.check_name != _OF_WORDS.value and _seen_as(one) & found}
            known = {uid for one in (*standing.values(), *causes) for uid in _seen_as(one)}
            if unproven or found - known:
                raise _NoHelpError(unproven)
            gone = {uid for uid, one in standing.items() if not _seen_as(one) & found}
            if gone <= {one.break_uid for one in causes}:
                raise _NothingElseError
            return gone

    def _found(self, findings: Iterable[Finding]) -> set[str]:
        """The uids of what the checks of these findings find now, on their days."""
        first, last = self._span
        asked = {CheckName(one.check_name): (first, last) for one in findings}
        found = {one.break_uid for check, days in asked.items() for one in self._checks.findings(check, *days)}
        for one in findings:
            day = one.business_date
            if day and not first <= day <= last:
                found |= {each.break_uid for each in self._checks.findings(CheckName(one.check_name), day, day)}
        return found

    def _days(self, findings: Iterable[Finding]) -> dict[Broker, set[Day]]:
        """The account-days that findings and their proposals touch, by broker."""
        days = {day for one in findings for day in _touched(one)}
        brokers = self._rows.brokers([account for account, _ in days])
        known = {one.account_id: one.broker for one in findings if one.broker and one.account_id}
        found: dict[Broker, set[Day]] = {}
        for account, day in days:
            broker = known.get(account) or brokers.get(account)
            if broker:
                found.setdefault(Broker(broker), set()).add((account, day))
        return found

    def _differing(self, buckets: Sequence[Bucket], days: Days) -> list[Stored]:
        """Rows of these account-days that are not what their stages write now."""
        stored = {bucket: self._rows.rows(*bucket) for bucket in buckets}
        with self._db.rehearsal(*STAGES):
            self._write(self._db, days)
            due = {bucket: self._rows.rows(*bucket) for bucket in buckets}
        was, now = _by_name(stored), _by_name(due)
        rows = [Stored(*name, *was.get(name, NO_ROW), *now.get(name, NO_ROW)) for name in sorted({*was, *now})]
        return [row for row in rows if row.stored != row.due]


def _by_name(rows: Mapping[Bucket, Mapping[str, Json]]) -> dict[tuple[str, str], tuple[Bucket, Json]]:
    """Rows by their table and key, with the account-day that each stands in."""
    return {(bucket[0], key): (bucket, row) for bucket, own in rows.items() for key, row in own.items()}


def _is_guess(finding: Finding) -> bool:
    """Whether a finding only knows that something was held, moved or chosen: others are tried first."""
    return any(
        proposal.get("do") == "insert" and proposal.get("table") in _GUESSED for proposal in finding.evidence[SET_RIGHT]
    )


def _bucket(finding: Finding) -> Bucket:
    assert finding.account_id is not None
    assert finding.business_date is not None
    return finding.evidence["table"], finding.account_id, finding.business_date


def _seen_as(finding: Finding) -> set[str]:
    """The uids under which a check tells a finding: those of the account-days for one that was narrowed to a row."""
    return set(finding.evidence.get(_BUCKETS) or (finding.break_uid,))


def _touched(finding: Finding) -> Iterator[Day]:
    if finding.account_id and finding.business_date:
        yield finding.account_id, finding.business_date
    for proposal in finding.evidence.get(SET_RIGHT, ()):
        row = {**proposal.get("key", {}), **proposal.get("row", {})}
        account = row.get("account_id") or finding.account_id
        for column in ("trade_date", "business_date", "booked_on", "charged_on", "opened_on"):
            if account and row.get(column):
                yield account, date.fromisoformat(row[column])


def _blamed(finding: Finding, causes: Sequence[Finding]) -> tuple[str, ...]:
    """The causes that a finding follows from: of its own account, and of its symbol where both tell one."""
    own = [one for one in causes if one.account_id == finding.account_id] or list(causes)
    symbol = finding.evidence.get("symbol")
    same = [one for one in own if symbol and one.evidence.get("symbol") == symbol]
    return tuple(one.break_uid for one in (same or own)[:MOST_CAUSES])


def _of_row(row: Stored, buckets: Sequence[Finding]) -> Finding:
    """The finding about one row, in place of those about its account-days."""
    _, account, day = row.buckets[0]
    expected, actual, columns = _compared(row)
    whole = row.due or row.stored or {}
    told: dict[str, Any] = {
        "table": row.table,
        "columns": columns,
        "rows": [row.key if "/" not in row.key else f"{row.table}/{row.key}"],
        SET_RIGHT: [_proposal(row)],
        _BUCKETS: [one.break_uid for one in buckets],
        **{own: whole[own] for own in ("symbol", "order_uid") if whole.get(own)},
    }
    about, subject = buckets[0], f"{row.table} {row.key}"
    figures = expected, actual, about.severity
    return Finding(about.check_name, about.broker, account, subject, day, *figures, cause=about.cause, evidence=told)


def _compared(row: Stored) -> tuple[Decimal | None, Decimal | None, dict[str, Any]]:
    """What is due and what is stored: the figure if one differs, else how many rows; and all columns that differ."""
    if row.stored is None or row.due is None:
        return Decimal(row.due is not None), Decimal(row.stored is not None), {}
    columns = {
        name: {"stored": _text(row.stored.get(name)), "due": _text(value)}
        for name, value in row.due.items()
        if value != row.stored.get(name)
    }
    figures = [(row.due[name], row.stored[name]) for name in columns if _is_figure(row.due[name], row.stored[name])]
    if len(figures) == 1:
        return Decimal(figures[0][0]), Decimal(figures[0][1]), columns
    return None, None, columns


def _is_figure(*values: Any) -> bool:
    return all(isinstance(value, (int, Decimal)) and not isinstance(value, bool) for value in values)


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else value


def _proposal(row: Stored) -> dict[str, Any]:
    """The change that makes the stored row the due one."""
    table = row.table
    if row.stored is None:
        return {"do": "insert", "table": table, "row": _texts(row.due or {})}
    key = {name: _text(row.stored[name]) for name in key_of(table)}
    if row.due is None:
        return {"do": "delete", "table": table, "key": key}
    changed = {name: _text(value) for name, value in row.due.items() if value != row.stored.get(name)}
    return {"do": "update", "table": table, "key": key, "row": changed}


def _texts(row: Json) -> dict[str, Any]:
    return {name: _text(value) for name, value in row.items() if value is not None}
