"""What a gateway told as a delivery: provisional executions and commissions, and snapshots of positions and balances.

Payloads are the fields as sent; names that begin with an underscore are ours, and so are `executedAt` and `asOf`
(ISO 8601, UTC).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, tzinfo
from typing import Any

from apex_pipeline.brokers.ib.identity import execution_root
from apex_pipeline.brokers.ib.provisional import COMMISSION, TWS, order_id_of
from apex_pipeline.brokers.ib.times import NEW_YORK
from apex_pipeline.brokers.ib.tws_client import COMBINATION, TwsAnswers, TwsEndpoint
from apex_pipeline.brokers.ib.tws_contract import flex_words
from apex_pipeline.brokers.ib.tws_messages import Row, contract_of
from apex_pipeline.brokers.ib.tws_time import instant_of_execution, login_zone, trading_day, written_date
from apex_pipeline.domain.records import (
    ALL_MARKETS,
    Content,
    Covered,
    Document,
    Record,
    RecordKind,
    Reject,
    WholeDelivery,
)

DATA_TYPE = "ib_tws"
INTERFACE = "tws"
_ALL_ACCOUNTS = "All"


def deliver(answers: TwsAnswers, endpoint: TwsEndpoint) -> WholeDelivery:
    """Everything one conversation told. Covers the day in New York on which it was told."""
    telling = _Telling(answers)
    executions = telling.executions()
    commissions = telling.commissions(executions)
    snapshots = [*telling.positions(), *telling.balances()]
    covered = [telling.covered(account, [*executions, *commissions, *snapshots]) for account in answers.accounts]
    records = [*executions, *commissions, *snapshots]
    notes = list(dict.fromkeys(telling.notes))
    return WholeDelivery((_document(answers, endpoint),), records, telling.rejects, covered, notes)


def _document(answers: TwsAnswers, endpoint: TwsEndpoint) -> Document:
    told: dict[str, Any] = asdict(answers)
    received_at: datetime = told.pop("received_at")
    told["asked_at"] = answers.asked_at.isoformat()
    content = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    request = {"service": "tws", "host": endpoint.host, "port": endpoint.port, "client_id": endpoint.client_id}
    return Document(INTERFACE, request, Content.of([content]), "application/json", received_at)


@dataclass(slots=True)
class _Telling:
    """The records of one conversation, and what is to be said about it."""

    answers: TwsAnswers
    rejects: list[Reject] = field(default_factory=list[Reject])
    notes: list[str] = field(default_factory=list[str])

    @property
    def today(self) -> date:
        """The day in New York on which it was told."""
        return self.answers.received_at.astimezone(NEW_YORK).date()

    def executions(self) -> list[Record]:
        """One record per execution; what cannot be read, or has no day, is rejected."""
        for fields in self.answers.unreadable:
            self._reject(None, None, "unreadable_message", "a message of the gateway lacks fields", {"fields": fields})
        zone = self._zone()
        made = [self._execution(row, zone) for row in self.answers.executions]
        return [record for record in made if record is not None]

    def _zone(self) -> tzinfo:
        """The zone of times that are written without one."""
        zone = login_zone(self.answers.greeting, self.answers.current_time)
        if zone is None and any(_is_bare(row["time"]) for row in self.answers.executions):
            self.notes.append("the gateway names no time zone, neither its own nor of executions: New York is assumed")
        return zone or NEW_YORK

    def _execution(self, row: Row, zone: tzinfo) -> Record | None:
        account = self._account(row["acctNumber"])
        if account is None:
            return None
        exec_id, at = row["execId"], instant_of_execution(row["time"], zone)
        words: dict[str, Any] = {**flex_words(contract_of(row), row["exchange"])}
        blank = Record(RecordKind.PROVISIONAL, account, exec_id, self.today, words)
        day = trading_day(at, blank) if at else written_date(row["time"])
        if day is None:
            reason = f"the time of execution {exec_id}, {row['time'][:40]!r}, cannot be read"
            self._reject(account, exec_id, "bad_time", reason, row)
            return None
        if at is None:
            self.notes.append(
                f"the time of execution {exec_id}, {row['time'][:40]!r}, is in no zone that this program knows: "
                "its instant stays unknown until the statement tells it"
            )
        payload = {
            **row,
            "_source": TWS,
            "_root": execution_root(exec_id),
            "executedAt": at.isoformat() if at else None,
        }
        order_id = order_id_of(row["permId"], exec_id)
        return Record(RecordKind.PROVISIONAL, account, exec_id, day, payload, order_id)

    def commissions(self, executions: Sequence[Record]) -> list[Record]:
        """One record per commission report, on the day of its execution and under the same order."""
        known = {record.key: record for record in executions}
        reports = {row["execId"]: row for row in self.answers.commissions if row["execId"] in known}
        late = [key for key, item in known.items() if key not in reports and not _is_combination(item)]
        if late:
            self.notes.append(f"{len(late)} executions have no commission report yet: what they cost stays unknown")
        return [
            Record(
                RecordKind.PROVISIONAL,
                known[exec_id].account_id,
                f"{exec_id}{COMMISSION}",
                known[exec_id].business_date,
                {**row, "_source": TWS, "_root": execution_root(exec_id)},
                known[exec_id].order_id,
            )
            for exec_id, row in reports.items()
        ]

    def positions(self) -> Iterator[Record]:
        """One snapshot per account; without any row where nothing is held."""
        if self.answers.positions is None:
            self.notes.append("the gateway did not tell its positions to the end: they stay as they were told before")
            return
        for account, rows in self._by_account(self.answers.positions).items():
            yield self._snapshot(RecordKind.POSITIONS, account, sorted(rows, key=lambda row: row["contract"]["conId"]))

    def balances(self) -> Iterator[Record]:
        """One snapshot per account that the summary tells of."""
        if self.answers.summary is None:
            self.notes.append("the gateway did not tell its account summary to the end: balances stay as told before")
            return
        for account, rows in self._by_account(self.answers.summary).items():
            if rows:
                ordered = sorted(rows, key=lambda row: (row["tag"], row["currency"]))
                yield self._snapshot(RecordKind.BALANCES, account, ordered)

    def covered(self, account: str, records: Sequence[Record]) -> Covered:
        """The day as told for one account."""
        own = [record for record in records if record.account_id == account]
        stamps = [stamp for record in own if (stamp := record.payload.get("executedAt"))]
        newest = datetime.fromisoformat(max(stamps)) if stamps else None
        return Covered(account, DATA_TYPE, ALL_MARKETS, self.today, self.today, len(own), newest)

    def _snapshot(self, kind: RecordKind, account: str, rows: Sequence[Row]) -> Record:
        as_of = self.answers.received_at.isoformat()
        payload = {"_source": TWS, "asOf": as_of, "rows": list(rows)}
        return Record(kind, account, f"tws:{self.today}", self.today, payload)

    def _by_account(self, rows: Sequence[Row]) -> dict[str, list[Row]]:
        grouped: dict[str, list[Row]] = {account: [] for account in self.answers.accounts}
        for row in rows:
            account = None if row["account"] == _ALL_ACCOUNTS else self._account(row["account"])
            if account is not None:
                grouped[account].append(row)
        return grouped

    def _account(self, told: str) -> str | None:
        """The account of a row; None for one that this login does not manage."""
        account, accounts = told.strip(), self.answers.accounts
        if account in accounts:
            return account
        if not account and len(accounts) == 1:
            return accounts[0]
        named = account or "without a name"
        self.notes.append(f"account {named} is not of this login: what was told of it is left out")
        return None

    def _reject(self, account: str | None, key: str | None, code: str, reason: str, payload: Any) -> None:
        self.rejects.append(Reject(RecordKind.PROVISIONAL, account, key, self.today, code, reason, payload))


def _is_bare(time: str) -> bool:
    """Whether a time has neither a zone nor the form that means UTC."""
    return written_date(time) is not None and instant_of_execution(time, None) is None and len(time.split()) <= 2


def _is_combination(record: Record) -> bool:
    return contract_of(record.payload).get("secType") == COMBINATION
