"""What `apex alerts` does: lists what stands and what was told, tries the channels, looks and tells once.

On this machine accounts may be named: the list says which account an alias is.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from apex_pipeline.cli.console import DONE, UNFINISHED, line
from apex_pipeline.cli.opening import Opened
from apex_pipeline.errors import ConfigError, NotTold
from apex_pipeline.notify.channels import Channel, channels_of
from apex_pipeline.notify.outbox import tick, trial
from apex_pipeline.settings import Settings
from apex_pipeline.store.copy_text import to_json
from apex_pipeline.store.repositories.alerts import AlertRepository

LATELY = timedelta(days=7)
"""How long an alert is listed after its end."""

NOT_CONFIGURED = "no channel is configured: set APEX_ALERT_WEBHOOK_URL or APEX_ALERT_SMTP_URL, see docs/alerts.md"


def require_channels(configured: Settings) -> list[Channel]:
    """The configured channels; ConfigError without any."""
    channels = channels_of(configured.alerts)
    if not channels:
        raise ConfigError(NOT_CONFIGURED)
    return channels


def try_channels(channels: Sequence[Channel]) -> int:
    """Send a test over every channel; 1 if one of them does not take it. Needs no database."""
    code, message = DONE, trial(datetime.now(UTC))
    for channel in channels:
        try:
            remark = channel.tell(message)
        except NotTold as error:
            line(f"FAIL {channel.name}: {error}")
            code = UNFINISHED
        else:
            line(f"ok   {channel.name}: {remark or 'took the test message'}")
    return code


def tell_now(found: Opened, channels: Sequence[Channel]) -> int:
    """Look at the record and tell what is due; 1 if a channel does not take it. Failed runs are the daemon's to see."""
    ticked = tick(found.db, found.settings, channels, datetime.now(UTC))
    line(str(ticked))
    return UNFINISHED if ticked.failures else DONE


def list_alerts(found: Opened, *, as_json: bool) -> None:
    """Print what stands, what ended lately, how the channels stand and what accounts are called."""
    alerts = AlertRepository(found.db)
    told = {
        "alerts": alerts.listed(datetime.now(UTC) - LATELY),
        "channels": alerts.channels(),
        "configured": [channel.name for channel in channels_of(found.settings.alerts)],
        "aliases": alerts.known_aliases(),
    }
    for text in [to_json(told)] if as_json else _lines(told, found):
        line(text)


def _lines(told: Mapping[str, Any], found: Opened) -> Iterator[str]:
    forms = found.settings.display

    def instant(at: datetime | None) -> str:
        return f"{at.astimezone(forms.timezone):{forms.datetime_format}}" if at else "not yet"

    yield f"channels: {', '.join(told['configured'])}" if told["configured"] else NOT_CONFIGURED
    for row in told["channels"]:
        waits = f"; {row['attempts']} attempts failed, next {instant(row['next_attempt_at'])}: {row['error']}"
        last = f"{row['messages']} messages, last {instant(row['told_at'])}"
        yield f"  {row['channel']}: {last}{waits if row['attempts'] else ''}"
    standing = [row for row in told["alerts"] if row["ended_at"] is None]
    yield f"{len(standing)} alerts stand, {len(told['alerts']) - len(standing)} ended in the last {LATELY.days} days"
    for row in told["alerts"]:
        last = f" to {instant(row['ended_at'])}" if row["ended_at"] else ""
        ways = [f"{name} {instant(_read(at))}" for name, at in (row["told"] or {}).items()]
        yield f"{' ' if row['ended_at'] else '!'} {row['severity']:<5} {row['subject']}: {row['line']}"
        yield f"        {instant(row['opened_at'])}{last}; told: {', '.join(ways) or 'not yet'}; next: {row['advice']}"
    for row in told["aliases"]:
        yield f"  {row['alias']} is {row['account_id']}"


def _read(at: str | None) -> datetime | None:
    return datetime.fromisoformat(at) if at else None
