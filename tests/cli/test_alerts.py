"""`apex alerts` as a person uses it: try the channels, look and tell, read what was told."""

from collections.abc import Iterator

import pytest

from apex_pipeline.settings import PROJECT_DIR
from apex_pipeline.store.db import Database
from tests.cli.program import Apex
from tests.notify.record import IB_ACCOUNT, granted, open_break
from tests.notify.servers import Answer, Hook, Mailbox, hooked, mailing


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook on this machine."""
    with hooked() as server:
        yield server


@pytest.fixture
def box() -> Iterator[Mailbox]:
    """A mail server on this machine."""
    with mailing() as server:
        yield server


@pytest.fixture
def told(apex: Apex, hook: Hook, box: Mailbox) -> Apex:
    """The command with both channels."""
    apex.environment |= {
        "PYTHONPATH": str(PROJECT_DIR),
        "APEX_ALERT_WEBHOOK_URL": hook.url,
        "APEX_ALERT_SMTP_URL": f"smtp://127.0.0.1:{box.port}",
        "APEX_ALERT_MAIL_FROM": "apex@example.com",
        "APEX_ALERT_MAIL_TO": "me@example.com",
    }
    return apex


def test_a_test_message_reaches_every_channel_and_needs_no_database(told: Apex, hook: Hook, box: Mailbox) -> None:
    ended = told("alerts", "--test", APEX_DATABASE_URL="postgresql://127.0.0.1:1/nowhere")
    assert (ended.code, ended.out.splitlines()) == (
        0, ["ok   webhook: took the test message", "ok   mail: took the test message"],
    ), ended.text  # fmt: skip
    assert hook.texts[0].startswith("APEX: a test of alerts")
    assert box.mails[0]["Subject"] == "APEX: a test of alerts"


def test_a_channel_that_does_not_work_is_exit_1_and_shows_no_secret(told: Apex, hook: Hook, box: Mailbox) -> None:
    hook.answers = [Answer(404)]
    ended = told("alerts", "--test")
    assert (ended.code, ended.out.splitlines()[0]) == (1, "FAIL webhook: the webhook answered HTTP 404, not a success")
    assert len(box.mails) == 1
    assert "hook-secret-canary" not in ended.text


def test_what_is_found_is_told_once_and_listed(told: Apex, database_url: str, hook: Hook) -> None:
    with Database(database_url) as db:
        granted(db)
        open_break(db)
    ended = told("alerts", "--send")
    assert (ended.code, ended.out) == (0, "1 new alerts, told webhook and mail\n"), ended.text
    assert told("alerts", "--send").out == "0 new alerts, nobody was told\n"
    assert len(hook.posts) == 1
    listed = told("alerts")
    lines = listed.out.splitlines()
    assert lines[0] == "channels: webhook, mail"
    assert "1 alerts stand, 0 ended in the last 7 days" in lines
    assert any(line.startswith("! ERROR Does not hold: every filled order has its fees: ib-1") for line in lines)
    assert lines[-1] == f"  ib-1 is {IB_ACCOUNT}"
    assert "hook-secret-canary" not in listed.text
    (alert,) = told("alerts", "--json").json()["alerts"]
    assert set(alert["told"]) == {"webhook", "mail"}


def test_without_a_channel_it_is_said_how_to_have_one(apex: Apex) -> None:
    apex.environment["PYTHONPATH"] = str(PROJECT_DIR)
    ended = apex("alerts", "--test")
    assert ended.code == 2
    assert "set APEX_ALERT_WEBHOOK_URL or APEX_ALERT_SMTP_URL" in ended.err
    assert apex("alerts").out.startswith("no channel is configured")
    assert apex("alerts", "--test", "--send").code == 2
