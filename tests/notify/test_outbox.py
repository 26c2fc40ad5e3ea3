"""The outbox: everything is told, each thing once, in few messages, whatever a channel or a process does in between."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Thread

import pytest

from apex_pipeline.cli.alerts import try_channels
from apex_pipeline.domain.reconciliation import BreakState
from apex_pipeline.notify.channels import channels_of
from apex_pipeline.notify.outbox import Ticked, tick
from apex_pipeline.settings import PROJECT_DIR, AlertSettings, Settings, environment_of
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.alerts import AlertRepository
from tests.notify.conftest import READER
from tests.notify.record import AT, IB_ACCOUNT, drift, granted, open_break
from tests.notify.servers import Answer, Hook, Mailbox
from tests.store.rows import value

MINUTE = timedelta(minutes=1)
CHILD = """
import sys
from datetime import datetime
from apex_pipeline import settings
from apex_pipeline.notify.channels import channels_of
from apex_pipeline.notify.outbox import tick
from apex_pipeline.store.db import Database

configured = settings.load()
with Database(configured.database_url) as db:
    print(tick(db, configured, channels_of(configured.alerts), datetime.fromisoformat(sys.argv[1])), flush=True)
"""
"""One tick in a process of its own."""


def ticked(db: Database, configured: Settings, at: datetime = AT) -> Ticked:
    return tick(db, configured, channels_of(configured.alerts), at)


def only_hook(configured: Settings) -> Settings:
    return replace(configured, alerts=AlertSettings(configured.alerts.webhook_url))


def lines(text: str) -> list[str]:
    """The alerts that a message tells."""
    return [line for line in text.splitlines() if line.startswith("- ")]


def test_what_is_found_is_told_on_every_channel_once(
    db: Database, configured: Settings, hook: Hook, box: Mailbox
) -> None:
    granted(db)
    open_break(db)
    drift(db)
    assert ticked(db, configured) == Ticked(2, ("webhook", "mail"))
    (text,), (mail,) = hook.texts, box.mails
    assert lines(text) == ["- ib-1, 2026-03-04, -1 USD: BRK_1", "- trades newField X: 2 records since 2026-03-04"]
    assert text.startswith("APEX: 1 ERROR break, 1 unknown word of a broker\n\n")
    assert "Next: `apex breaks --explain BRK_1`; docs/reconciliation.md" in text
    assert mail["Subject"] == "APEX: 1 ERROR break, 1 unknown word of a broker"
    for later in range(1, 200, 20):
        assert ticked(db, configured, AT + later * MINUTE) == Ticked(0)
    assert (len(hook.posts), len(box.mails)) == (1, 1)


def test_nothing_to_tell_sends_nothing(db: Database, configured: Settings, hook: Hook, box: Mailbox) -> None:
    assert ticked(db, configured) == Ticked(0)
    assert (hook.posts, box.mails) == ([], [])


def test_what_comes_soon_after_a_message_waits_and_comes_together(
    db: Database, configured: Settings, hook: Hook
) -> None:
    open_break(db, "BRK_1")
    ticked(db, configured)
    for number in range(2, 6):
        open_break(db, f"BRK_{number}")
        ticked(db, configured, AT + number * MINUTE)
    assert len(hook.posts) == 1
    assert "webhook" in ticked(db, configured, AT + 10 * MINUTE).told
    assert [len(lines(text)) for text in hook.texts] == [1, 4]


def test_what_ends_and_comes_back_is_told_again(db: Database, configured: Settings, hook: Hook) -> None:
    open_break(db)
    ticked(db, configured)
    open_break(db, state=BreakState.CLOSED)
    ticked(db, configured, AT + 20 * MINUTE)
    open_break(db)
    ticked(db, configured, AT + 40 * MINUTE)
    assert len(hook.posts) == 2


def test_what_is_over_before_its_turn_is_told_all_the_same(db: Database, configured: Settings, hook: Hook) -> None:
    open_break(db)
    ticked(db, configured)
    open_break(db, "BRK_2")
    ticked(db, configured, AT + MINUTE)
    open_break(db, "BRK_2", state=BreakState.CLOSED)
    ticked(db, configured, AT + 12 * MINUTE)
    assert lines(hook.texts[1])[0].endswith("BRK_2 (over since)")


def test_a_thousand_breaks_are_one_message_that_every_channel_takes(
    db: Database, configured: Settings, hook: Hook, box: Mailbox
) -> None:
    for number in range(1000):
        open_break(db, f"BRK_{number:04}")
    assert ticked(db, configured).new == 1000
    assert "and 995 more" in hook.texts[0]
    assert len(hook.texts[0]) <= 2000
    assert ticked(db, configured, AT + 60 * MINUTE) == Ticked(0)
    assert (len(hook.posts), len(box.mails)) == (1, 1)


@pytest.mark.parametrize("answer", [Answer(500), Answer(404), Answer(302, {"Location": "/"}), Answer(hangs_up=True)])
def test_a_dead_webhook_is_tried_again_after_pauses_that_double_and_mail_does_not_wait(
    db: Database, configured: Settings, hook: Hook, box: Mailbox, answer: Answer
) -> None:
    hook.answers = [answer]
    open_break(db)
    first = ticked(db, configured)
    assert (first.told, len(first.failures)) == (("mail",), 1)
    tried = [at for at in range(1, 70) if ticked(db, configured, AT + at * MINUTE).failures]
    assert tried == [1, 3, 7, 15, 31, 63]
    assert len(box.mails) == 1
    hook.answers = [Answer()]
    assert ticked(db, configured, AT + 200 * MINUTE).told == ("webhook",)
    assert ticked(db, configured, AT + 400 * MINUTE) == Ticked(0)


def test_what_certainly_did_not_arrive_is_told_with_what_came_since(
    db: Database, configured: Settings, hook: Hook
) -> None:
    hook.answers = [Answer(404), Answer()]
    open_break(db)
    ticked(db, only_hook(configured))
    open_break(db, "BRK_2")
    ticked(db, only_hook(configured), AT + 5 * MINUTE)
    assert [len(lines(text)) for text in hook.texts] == [1, 2]
    assert ticked(db, only_hook(configured), AT + 60 * MINUTE) == Ticked(0)


def test_what_may_have_arrived_is_sent_again_as_it_was(db: Database, configured: Settings, hook: Hook) -> None:
    hook.answers = [Answer(hangs_up=True), Answer()]
    open_break(db)
    ticked(db, only_hook(configured))
    open_break(db, "BRK_2")
    ticked(db, only_hook(configured), AT + 5 * MINUTE)
    ticked(db, only_hook(configured), AT + 16 * MINUTE)
    assert hook.texts[0] == hook.texts[1]
    keys = [headers["idempotency-key"] for headers in hook.headers]
    assert (keys[0] == keys[1], keys[1] == keys[2]) == (True, False)
    assert lines(hook.texts[2]) == ["- an account of Interactive Brokers, 2026-03-04, -1 USD: BRK_2"]


def test_a_channel_that_asks_for_time_is_given_it(db: Database, configured: Settings, hook: Hook) -> None:
    hook.answers = [Answer(429, {"Retry-After": "900"}), Answer()]
    open_break(db)
    ticked(db, only_hook(configured))
    assert ticked(db, only_hook(configured), AT + 14 * MINUTE) == Ticked(0)
    assert ticked(db, only_hook(configured), AT + 15 * MINUTE).told == ("webhook",)


def test_a_channel_that_is_new_is_told_what_stands_and_not_what_was(
    db: Database, configured: Settings, box: Mailbox
) -> None:
    open_break(db, "BRK_1")
    open_break(db, "BRK_2")
    ticked(db, only_hook(configured))
    open_break(db, "BRK_1", state=BreakState.CLOSED)
    ticked(db, only_hook(configured), AT + 20 * MINUTE)
    ticked(db, configured, AT + 40 * MINUTE)
    assert [len(lines(mail.get_content())) for mail in box.mails] == [1]  # pyright: ignore[reportAttributeAccessIssue]


def test_two_who_tick_at_once_tell_once(db: Database, configured: Settings, hook: Hook) -> None:
    for number in range(5):
        open_break(db, f"BRK_{number}")
    hook.answers = [Answer(seconds=0.3)]
    threads = [Thread(target=ticked, args=(db, configured)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(hook.posts) == 1


def test_an_address_that_is_refused_is_remarked(db: Database, configured: Settings, box: Mailbox) -> None:
    both = replace(configured, alerts=replace(configured.alerts, mail_to=(READER, "gone@example.com")))
    box.refuses = frozenset({"gone@example.com"})
    open_break(db)
    assert "mail" in ticked(db, both).told
    told = value(db.url, "SELECT error FROM alert_messages WHERE channel = 'mail'")
    assert told == "refused for 1 of 2 addresses"


def test_what_ended_long_ago_is_forgotten_and_what_stands_is_not(db: Database, configured: Settings) -> None:
    open_break(db)
    drift(db)
    ticked(db, configured)
    open_break(db, state=BreakState.CLOSED)
    ticked(db, configured, AT + 20 * MINUTE)
    ticked(db, configured, AT + timedelta(days=100))
    assert [row["kind"] for row in AlertRepository(db).listed(AT - timedelta(days=1))] == ["DRIFT"]
    assert ticked(db, configured, AT + timedelta(days=101)) == Ticked(0)


def test_the_last_look_before_sending_hides_what_became_an_account_since(
    db: Database, configured: Settings, hook: Hook
) -> None:
    """An alert that was made when nobody knew the number yet, told when it is known."""
    hook.answers = [Answer(404), Answer()]
    drift(db, value="U765")
    ticked(db, only_hook(configured))
    granted(db, account="U765")
    ticked(db, only_hook(configured), AT + 5 * MINUTE)
    assert lines(hook.texts[1]) == ["- trades newField ib-1: 2 records since 2026-03-04"]


# Processes that die ------------------------------------------------------------------------------------------------


def environment(db: Database, configured: Settings) -> Mapping[str, str]:
    told = environment_of(replace(configured, database_url=db.url))
    return {**os.environ, **told, "PYTHONPATH": str(PROJECT_DIR)}


def child(db: Database, configured: Settings, at: datetime) -> "subprocess.Popen[str]":
    arguments = [sys.executable, "-c", CHILD, at.isoformat()]
    return subprocess.Popen(arguments, env=environment(db, configured), stdout=subprocess.PIPE, text=True)


def test_who_is_killed_between_sending_and_noting_it_tells_at_most_twice_and_loses_nothing(
    db: Database, configured: Settings, hook: Hook
) -> None:
    granted(db)
    open_break(db)
    hook.answers = [Answer(seconds=60), Answer()]
    alone = only_hook(configured)
    process = child(db, alone, AT)
    for _ in range(600):
        if hook.posts or process.poll() is not None:
            break
        hook.ended.wait(0.05)
    assert len(hook.posts) == 1
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    open_break(db, "BRK_2")
    for minutes in range(1, 60):
        ticked(db, alone, AT + minutes * MINUTE)
    told = [line for text in hook.texts for line in lines(text)]
    assert told.count("- ib-1, 2026-03-04, -1 USD: BRK_1") == 2
    assert told.count("- ib-1, 2026-03-04, -1 USD: BRK_2") == 1
    assert IB_ACCOUNT not in "".join(hook.texts)
    assert hook.headers[0]["idempotency-key"] == hook.headers[1]["idempotency-key"]


def test_a_process_that_is_not_killed_tells_once(db: Database, configured: Settings, hook: Hook) -> None:
    """The control of the test above."""
    open_break(db)
    out, _ = child(db, only_hook(configured), AT).communicate(timeout=60)
    assert out == "1 new alerts, told webhook\n"
    ticked(db, only_hook(configured), AT + 60 * MINUTE)
    assert len(hook.posts) == 1


def test_a_channel_that_cannot_work_keeps_the_other_one_from_nothing(
    db: Database, configured: Settings, box: Mailbox
) -> None:
    open_break(db)
    nowhere = replace(configured, alerts=replace(configured.alerts, webhook_url="https://a..example/services/T"))
    told = ticked(db, nowhere)
    assert told.told == ("mail",)
    assert told.failures[0].startswith("the address of the webhook cannot be used"), "control: it did fail"
    assert len(box.mails) == 1


def test_a_test_says_of_each_channel_whether_it_works(configured: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = replace(configured.alerts, webhook_url="https://a..example/services/T")
    assert try_channels(channels_of(nowhere)) == 1
    failed, took = capsys.readouterr().out.splitlines()
    assert (failed.split(":")[0], took.split(":")[0]) == ("FAIL webhook", "ok   mail")


def test_a_clock_that_was_ahead_once_silences_nothing(db: Database, configured: Settings, hook: Hook) -> None:
    only, year = only_hook(configured), timedelta(days=365)
    open_break(db, "BRK_1")
    ticked(db, only, AT + year)
    open_break(db, "BRK_2")
    assert ticked(db, only).told == ("webhook",)
    open_break(db, "BRK_3")
    assert ticked(db, only, AT + MINUTE).told == (), "control: one message in ten minutes all the same"
    assert ticked(db, only, AT + 11 * MINUTE).told == ("webhook",)
    assert len(hook.posts) == 3


def test_a_message_that_failed_under_a_clock_that_was_ahead_is_tried_again(
    db: Database, configured: Settings, hook: Hook
) -> None:
    only = only_hook(configured)
    hook.answers = [Answer(403), Answer(429, {"Retry-After": "3600"}), Answer()]
    open_break(db)
    assert ticked(db, only, AT + timedelta(days=365)).failures
    assert ticked(db, only).failures
    assert ticked(db, only, AT + 59 * MINUTE) == Ticked(0), "control: a pause that was asked for is kept"
    assert ticked(db, only, AT + 60 * MINUTE).told == ("webhook",)
