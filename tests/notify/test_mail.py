"""Mail against a real server: what it sends, with what protection, and every way in which it can fail."""

import socket
import time
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trustme

from apex_pipeline.configuration.alerts import MailServer
from apex_pipeline.errors import NotTold
from apex_pipeline.notify.mail import Mail
from apex_pipeline.orchestration.processes import free_port
from apex_pipeline.store.repositories.alerts import Message
from tests.notify.conftest import OTHER, READER, SENDER
from tests.notify.servers import Mailbox, certified, elapsed, mailing

MESSAGE = Message("uid-1", "APEX: 1 failed run", "Failed: daily_job\n- run 1: … and ‹quoted›")
PASSWORD = "mail-password-canary"


def mail(port: int, *readers: str, total_seconds: float = 5, **server: Any) -> Mail:
    values: dict[str, Any] = {"host": "127.0.0.1", "tls_first": False, **server}
    return Mail(MailServer(port=port, **values), SENDER, readers or (READER,), total_seconds)


def refusal(sent: Mail) -> NotTold:
    with pytest.raises(NotTold) as caught:
        sent.tell(MESSAGE)
    assert PASSWORD not in f"{caught.value}{caught.value.__cause__}"
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return caught.value


def test_a_message_is_one_mail_of_plain_text_to_all_readers(box: Mailbox) -> None:
    assert mail(box.port, READER, OTHER).tell(MESSAGE) is None
    (told,) = box.mails
    assert (told["Subject"], told["From"], told["To"]) == (MESSAGE.title, SENDER, f"{READER}, {OTHER}")
    assert (told["Message-ID"], told["Auto-Submitted"]) == ("<uid-1@example.com>", "auto-generated")
    assert told.get_content().splitlines() == MESSAGE.body.splitlines()  # pyright: ignore[reportAttributeAccessIssue]
    assert box.readers == [[READER, OTHER]]
    assert socket.gethostname() not in told["Message-ID"]


def test_a_login_travels_encrypted(authority: trustme.CA) -> None:
    login: dict[str, Any] = {"user": "apex", "password": PASSWORD}
    context = certified(authority, "127.0.0.1")
    with mailing(starttls=context, asks_login=True) as box:
        mail(box.port, **login).tell(MESSAGE)
        assert (box.logins, box.secure) == ([(b"apex", PASSWORD.encode())], [True])
    with mailing(tls=context) as box:
        mail(box.port, tls_first=True).tell(MESSAGE)
        assert len(box.mails) == 1


def test_starttls_is_used_wherever_it_is_offered_and_its_certificate_checked(authority: trustme.CA) -> None:
    with mailing(starttls=certified(authority, "other.example")) as box:
        error = refusal(mail(box.port, user="apex", password=PASSWORD))
        assert (error.is_certain, box.logins, box.mails) == (True, [], [])
        assert "certificate that cannot be trusted" in str(error)


def test_another_machine_that_offers_no_starttls_is_told_nothing(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MailServer, "is_here", property(lambda _: False))
    error = refusal(mail(box.port, user="apex", password=PASSWORD))
    assert (error.is_certain, box.logins, box.mails) == (True, [], [])
    assert "offers no STARTTLS" in str(error)


def test_a_login_that_is_refused_is_said_without_it(authority: trustme.CA) -> None:
    with mailing(starttls=certified(authority, "127.0.0.1"), asks_login=True) as box:
        error = refusal(mail(box.port, user="apex", password="wrong-canary"))
        assert (error.is_certain, box.mails) == (True, [])
        assert str(error).startswith("the mail server refuses the login (535)")
        assert "wrong-canary" not in str(error)


def test_an_address_that_is_refused_does_not_keep_the_others_from_the_message(box: Mailbox) -> None:
    box.refuses = frozenset({OTHER})
    assert mail(box.port, READER, OTHER).tell(MESSAGE) == "refused for 1 of 2 addresses"
    assert box.readers == [[READER]]
    assert refusal(mail(box.port, OTHER)).is_certain


@pytest.mark.parametrize("answer", ["451 try later", "554 no"])
def test_a_message_that_is_refused_is_certainly_not_told(box: Mailbox, answer: str) -> None:
    box.after_data = answer
    assert refusal(mail(box.port)).is_certain


def test_a_connection_that_is_cut_after_the_message_is_uncertain(box: Mailbox) -> None:
    box.dies_after_data = True
    assert not refusal(mail(box.port)).is_certain
    assert len(box.mails) == 1


def test_an_answer_that_does_not_come_is_uncertain_and_ends_in_time(box: Mailbox) -> None:
    box.seconds = 3
    started = time.monotonic()
    assert not refusal(mail(box.port, total_seconds=0.5)).is_certain
    assert elapsed(started) < 2.5


def test_nobody_who_listens_is_certain() -> None:
    assert refusal(mail(free_port())).is_certain


def test_a_greeting_that_drips_in_for_ever_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    while True:
                        connection.sendall(b"2")
                        time.sleep(0.05)
                except OSError:
                    return

        thread = Thread(target=drip)
        thread.start()
        started = time.monotonic()
        assert refusal(mail(server.getsockname()[1], total_seconds=0.5)).is_certain
        assert elapsed(started) < 3
        thread.join(10)
        assert not thread.is_alive(), "the client let go of the connection"


def test_a_login_that_smtp_has_no_form_for_is_no_end_of_everything(authority: trustme.CA) -> None:
    with mailing(starttls=certified(authority, "127.0.0.1"), asks_login=True) as box:
        error = refusal(mail(box.port, user="apex", password="gräber"))
        assert (error.is_certain, box.mails) == (True, [])
        assert str(error).startswith("the mail server cannot be told this")
        assert "gräber" not in str(error)


@pytest.mark.parametrize("host", ["a..example", "x" * 70 + ".example"])
def test_a_host_that_is_no_name_is_a_failure(host: str) -> None:
    assert refusal(mail(25, host=host)).is_certain


def test_authorities_that_cannot_be_read_are_a_failure(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))
    error = refusal(mail(box.port))
    assert (error.is_certain, "SSL_CERT_FILE" in str(error)) == (True, True)
