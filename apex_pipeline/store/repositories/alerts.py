"""Alerts and the messages that tell them: what stands, what each channel was told, and what waits for it.

A message is stored before it is sent, with every alert it tells. So nothing is lost by a process that dies, and what
may have been sent already is sent again, with the same words.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from apex_pipeline.domain.alerts import LONGEST_PAUSE, Alert, AlertKind, pause_after
from apex_pipeline.domain.checks import Severity
from apex_pipeline.store.copy_text import to_json
from apex_pipeline.store.db import Database
from apex_pipeline.store.transaction import Row, Transaction

REFUSED_LATELY = timedelta(days=14)
"""What was refused longer ago, and not asked for since, is not wanted any more."""

KEPT = timedelta(days=90)
"""How long alerts are kept after their end."""

ALERT_COLUMNS = ("fingerprint", "severity", "subject", "line", "advice")

Write = Callable[[Sequence[Alert]], tuple[str, str]]
"""Puts alerts into words: the title and the body of a message."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent to a channel now. `message_uid` stays the same in every attempt."""

    message_uid: str
    title: str
    body: str
    attempts: int = 1


class AlertRepository:
    """Alerts of one database. Who writes holds the lock `LOCK`."""

    LOCK = "apex:alerts"

    def __init__(self, db: Database) -> None:
        self._db = db

    def aliases(self) -> dict[tuple[str, str], str]:
        """The alias of every account, by broker and account; gives new accounts theirs."""
        return {(row["broker"], row["account_id"]): row["alias"] for row in self._db.fetch("alert_aliases")}

    def known_aliases(self) -> list[Row]:
        """The same as rows, without giving any."""
        return self._db.fetch("alert_aliases_known")

    def refusals(self, at: datetime) -> list[Row]:
        """What a broker refused last, and has not granted since."""
        return self._db.fetch("alert_refusals", since=at - REFUSED_LATELY)

    def late(self, most_hours: int) -> list[Row]:
        """Sources whose newest day was told longer ago than so many hours of business days."""
        return self._db.fetch("alert_deadlines", most_hours=most_hours)

    def error_breaks(self) -> list[Row]:
        """Open errors, those that matter most first."""
        return self._db.fetch("alert_breaks")

    def drift(self) -> list[Row]:
        """Words of the brokers that no rule knows."""
        return self._db.fetch("alert_drift")

    def standing(self, kind: AlertKind) -> set[str]:
        """The fingerprints of a kind that stand."""
        return {row["fingerprint"] for row in self._db.fetch("alert_standing", kind=kind)}

    def observe(self, kind: AlertKind, alerts: Sequence[Alert], at: datetime) -> int:
        """Make these the standing alerts of a kind; returns how many are new."""
        once = {alert.fingerprint: alert for alert in alerts}
        rows = [{name: getattr(alert, name) for name in ALERT_COLUMNS} for alert in once.values()]
        return self._db.execute("alert_observe", kind=kind, alerts=to_json(rows), at=at)

    def begin(self, channel: str, between: timedelta, write: Write, at: datetime) -> Message | None:
        """The message to send to a channel now, stored as begun; None if there is nothing to tell, or not yet.

        What may have arrived is sent as it was; what certainly did not is written anew, with what came since.
        """
        return self._db.run(lambda tx: _begun(tx, channel, between, write, at))

    def told(self, message: Message, at: datetime, remark: str | None = None) -> None:
        """The channel took the message."""
        self._db.execute("alert_message_told", message_uid=message.message_uid, at=at, error=remark)

    def failed(self, message: Message, error: str, not_before: datetime, *, is_uncertain: bool) -> None:
        """The channel did not take the message, or nobody knows."""
        told: dict[str, Any] = {"error": error, "not_before": not_before, "is_uncertain": is_uncertain}
        self._db.execute("alert_message_failed", message_uid=message.message_uid, **told)

    def forget(self, at: datetime) -> None:
        """Remove what ended long ago."""
        self._db.execute("alert_forget", before=at - KEPT)

    def listed(self, since: datetime) -> list[Row]:
        """What stands, and what ended since."""
        return self._db.fetch("alert_list", since=since)

    def channels(self) -> list[Row]:
        """Every channel that was ever used."""
        return self._db.fetch("alert_channels")


def _begun(tx: Transaction, channel: str, between: timedelta, write: Write, at: datetime) -> Message | None:
    waiting: Row = tx.fetchrow("alert_waiting", channel=channel, at=at) or {}
    if waiting["message_uid"] is None:
        if waiting["told_at"] is not None and at - waiting["told_at"] < between:
            return None
        untold = _untold(tx, channel)
        if not untold:
            return None
        waiting = {**waiting, "message_uid": str(uuid4()), "attempts": 0, "is_uncertain": False}
        tx.execute("alert_message_add", message_uid=waiting["message_uid"], channel=channel, at=at)
    elif at < waiting["next_attempt_at"] <= at + LONGEST_PAUSE:  # a clock that was ahead holds nothing back
        return None
    else:
        untold = [] if waiting["is_uncertain"] else _untold(tx, channel)
    uid, attempts = waiting["message_uid"], waiting["attempts"] + 1
    tx.execute("alert_message_join", channel=channel, message_uid=uid, alert_ids=untold)
    words = (waiting["title"], waiting["body"]) if waiting["is_uncertain"] else write(_alerts_of(tx, uid))
    begun = Message(uid, *words, attempts)
    again = at + pause_after(attempts)
    tx.execute("alert_message_begin", message_uid=uid, title=begun.title, body=begun.body, next_attempt_at=again)
    return begun


def _untold(tx: Transaction, channel: str) -> list[int]:
    return [row["alert_id"] for row in tx.fetch("alert_untold", channel=channel)]


def _alerts_of(tx: Transaction, message_uid: str) -> list[Alert]:
    return [_alert(row) for row in tx.fetch("alert_message_alerts", message_uid=message_uid)]


def _alert(row: Mapping[str, Any]) -> Alert:
    values: dict[str, Any] = {**row, "kind": AlertKind(row["kind"]), "severity": Severity(row["severity"])}
    return Alert(**values)
