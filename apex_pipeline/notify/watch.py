"""Looks at the record for what needs a person, and makes alerts of it: as many as there are, each standing once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from urllib.parse import unquote, urlsplit

from apex_pipeline.domain.alerts import (
    Alert,
    AlertKind,
    FailedRun,
    Words,
    of_break,
    of_deadline,
    of_drift,
    of_refusal,
    of_run,
)
from apex_pipeline.domain.redaction import Redactor
from apex_pipeline.settings import Settings
from apex_pipeline.store.repositories.alerts import AlertRepository

Runs = Callable[[set[str]], Sequence[FailedRun]]
"""The runs that failed lately; given the fingerprints that are known, whose errors nobody reads again."""


def watch(alerts: AlertRepository, configured: Settings, at: datetime, runs: Runs | None = None) -> int:
    """Make what is found the standing alerts; returns how many are new. Without `runs`, those are left as they are."""
    words = words_of(alerts, configured)
    new = 0
    for kind, found in _found(alerts, configured, words, at):
        new += alerts.observe(kind, found, at)
    if runs is not None:
        known = alerts.standing(AlertKind.RUN)
        new += alerts.observe(AlertKind.RUN, [of_run(run, words) for run in runs(known)], at)
    return new


def words_of(alerts: AlertRepository, configured: Settings) -> Words:
    """How things are told outside of this machine."""
    aliases = alerts.aliases()
    told = dict.fromkeys(configured.futu.acc_ids, "an account of Futu")
    told |= {account_id: alias for (_, account_id), alias in aliases.items()}
    return Words(Redactor(secrets_of(configured), told), aliases)


def secrets_of(configured: Settings) -> Iterator[str]:
    """Everything secret that is configured."""
    told, steps = configured.alerts, configured.execution
    urls = (configured.database_url, configured.dagster_database_url, steps.celery_broker_url, steps.celery_result_url)
    passwords = [password for url in urls if url for password in _passwords_of(url)]
    server = told.mail_server
    secrets = [configured.ib.token, *passwords, server.password if server else None, told.webhook_url]
    if told.webhook_url:
        secrets.append(urlsplit(told.webhook_url).path.strip("/"))
    yield from (secret for secret in secrets if secret)


def _passwords_of(url: str) -> Iterator[str]:
    """The password of a URL: as it is read, and as a person may have meant it who did not percent-encode it."""
    with suppress(ValueError):
        yield unquote(urlsplit(url).password or "")
    meant = url.partition("://")[2].rpartition("@")[0].partition(":")[2]
    yield from (meant, unquote(meant))


def _found(
    alerts: AlertRepository, configured: Settings, words: Words, at: datetime
) -> Iterator[tuple[AlertKind, list[Alert]]]:
    """What needs a person now, by kind; only of brokers that are loaded."""
    brokers = {broker.upper() for broker in configured.brokers}
    hours = configured.alerts.deadline_hours
    refused = [row for row in alerts.refusals(at) if row["broker"] in brokers]
    late = [row for row in alerts.late(hours) if row["broker"] in brokers]
    yield AlertKind.REFUSAL, [of_refusal(row, words) for row in refused]
    yield AlertKind.DEADLINE, [of_deadline(row, hours, words) for row in late]
    yield AlertKind.BREAK, [of_break(row, words) for row in alerts.error_breaks()]
    yield AlertKind.DRIFT, [of_drift(row, words) for row in alerts.drift()]
