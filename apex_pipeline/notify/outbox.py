"""One tick: look, and tell each channel what it was not told, at most one message in so many minutes.

A message is stored before it is sent. A channel that does not take it keeps its message, which is tried again after a
pause that doubles up to an hour; no other channel waits for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from apex_pipeline.domain.alerts import Alert, body, title
from apex_pipeline.domain.redaction import Redactor
from apex_pipeline.errors import NotTold
from apex_pipeline.notify.channels import Channel
from apex_pipeline.notify.watch import Runs, watch, words_of
from apex_pipeline.settings import Settings
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.alerts import AlertRepository, Message


@dataclass(frozen=True, slots=True)
class Ticked:
    """What a tick did: alerts that are new, channels that took a message, and what went wrong at the others."""

    new: int
    told: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()

    def __str__(self) -> str:
        told = f"told {' and '.join(self.told)}" if self.told else "nobody was told"
        return "; ".join([f"{self.new} new alerts, {told}", *self.failures])


def tick(
    db: Database, configured: Settings, channels: Sequence[Channel], at: datetime, runs: Runs | None = None
) -> Ticked:
    """Look and tell. One process at a time does it; another waits for it."""
    alerts = AlertRepository(db)
    with db.lock(AlertRepository.LOCK):
        new = watch(alerts, configured, at, runs)
        redactor = words_of(alerts, configured).redactor
        between = timedelta(minutes=configured.alerts.minutes_between)
        told, failures = list[str](), list[str]()
        for channel in channels:
            try:
                if _told(alerts, channel, between, redactor, at):
                    told.append(channel.name)
            except NotTold as error:
                failures.append(str(error))
        alerts.forget(at)
    return Ticked(new, tuple(told), tuple(failures))


def _told(alerts: AlertRepository, channel: Channel, between: timedelta, redactor: Redactor, at: datetime) -> bool:
    """Send what is due to a channel, if anything is; raises NotTold after it was noted."""
    message = alerts.begin(channel.name, between, partial(_written, redactor, channel.most), at)
    if message is None:
        return False
    try:
        remark = channel.tell(message)
    except NotTold as error:
        not_before = at + timedelta(seconds=error.wait_seconds)
        alerts.failed(message, str(error), not_before, is_uncertain=not error.is_certain)
        raise
    alerts.told(message, at, remark)
    return True


def _written(redactor: Redactor, most: int, alerts: Sequence[Alert]) -> tuple[str, str]:
    """The title and the body of a message; whatever an alert was made of, no known secret or account leaves in it."""
    head = title(alerts)
    return redactor.guarded(head), redactor.guarded(body(alerts, most - len(head)))


def trial(at: datetime) -> Message:
    """What tells a person that a channel works."""
    words = "This is a test: alerts of the pipeline arrive here. Nothing needs you.\nNext: nothing; docs/alerts.md"
    return Message(f"test-{at:%Y%m%dT%H%M%S%f}", "APEX: a test of alerts", words)
