"""The webhook against a real server: what it posts, and every way in which a post can fail."""

import time
from pathlib import Path

import pytest
import trustme

from apex_pipeline.errors import NotTold
from apex_pipeline.notify.webhook import Webhook
from apex_pipeline.orchestration.processes import free_port
from apex_pipeline.store.repositories.alerts import Message
from tests.notify.servers import Answer, Hook, certified, elapsed, hooked

MESSAGE = Message("uid-1", "APEX: 1 failed run", "Failed: daily_job\n- run 1: it says nothing")
SECRET = "hook-secret-canary"


def refusal(url: str, total_seconds: float = 5) -> NotTold:
    """How a post fails; its words never hold the address."""
    with pytest.raises(NotTold) as caught:
        Webhook(url, total_seconds).tell(MESSAGE)
    shown = f"{caught.value} {caught.value!r} {caught.value.__cause__} {caught.value.__suppress_context__}"
    assert SECRET not in shown
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return caught.value


def test_a_message_is_one_post_of_json_with_a_text(hook: Hook) -> None:
    assert Webhook(hook.url).tell(MESSAGE) is None
    assert hook.posts == [{"text": f"{MESSAGE.title}\n\n{MESSAGE.body}"}]
    assert hook.headers[0]["content-type"] == "application/json"
    assert hook.headers[0]["idempotency-key"] == MESSAGE.message_uid


@pytest.mark.parametrize(
    ("status", "is_certain"), [(400, True), (403, True), (404, True), (410, True), (500, False), (503, False)]
)
def test_a_status_that_is_no_success_is_a_failure(hook: Hook, status: int, is_certain: bool) -> None:
    hook.answers = [Answer(status)]
    error = refusal(hook.url)
    assert (str(status) in str(error), error.is_certain, error.wait_seconds) == (True, is_certain, 0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(hook: Hook, status: int) -> None:
    with hooked() as elsewhere:
        hook.answers = [Answer(status, {"Location": elsewhere.url})]
        assert "a redirect, which is never followed" in str(refusal(hook.url))
        assert (len(hook.posts), elsewhere.paths) == (1, [])


@pytest.mark.parametrize(
    ("told", "seconds"), [("120", 120), ("999999", 3600), ("soon", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)]
)
def test_a_server_that_is_asked_too_often_is_given_its_time(hook: Hook, told: str, seconds: float) -> None:
    hook.answers = [Answer(429, {"Retry-After": told})]
    assert refusal(hook.url).wait_seconds == seconds


def test_nobody_who_listens_is_certain() -> None:
    error = refusal(f"http://127.0.0.1:{free_port()}/{SECRET}")
    assert (error.is_certain, str(error)) == (True, "the webhook cannot be reached (ConnectError)")


def test_an_answer_that_does_not_come_is_uncertain_and_ends_in_time(hook: Hook) -> None:
    hook.answers = [Answer(seconds=30)]
    started = time.monotonic()
    assert not refusal(hook.url, 0.5).is_certain
    assert elapsed(started) < 3
    assert len(hook.posts) == 1


def test_an_answer_that_drips_in_for_ever_ends_in_time(hook: Hook) -> None:
    hook.answers = [Answer(drips=True)]
    started = time.monotonic()
    assert not refusal(hook.url, 0.5).is_certain
    assert elapsed(started) < 3


def test_a_connection_that_is_cut_is_uncertain(hook: Hook) -> None:
    hook.answers = [Answer(hangs_up=True)]
    assert not refusal(hook.url).is_certain


def test_no_proxy_of_the_environment_sees_the_address(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    with hooked() as proxy:
        for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        Webhook(hook.url).tell(MESSAGE)
        assert (len(hook.posts), proxy.paths) == (1, [])


def test_tls_is_spoken_with_a_server_that_proves_its_name(authority: trustme.CA) -> None:
    with hooked(certified(authority, "127.0.0.1")) as hook:
        Webhook(hook.url).tell(MESSAGE)
        assert len(hook.posts) == 1


def test_a_server_that_does_not_prove_its_name_is_told_nothing(authority: trustme.CA) -> None:
    with hooked(certified(authority, "other.example")) as hook:
        assert refusal(hook.url).is_certain
        assert hook.posts == []
    with hooked(certified(trustme.CA(), "127.0.0.1")) as hook:
        assert refusal(hook.url).is_certain
        assert hook.posts == []


@pytest.mark.parametrize("host", ["a..example", "x" * 70 + ".example", "\u0378.example", "[::1%25x]"])
def test_a_host_that_is_no_name_is_a_failure(host: str) -> None:
    assert refusal(f"https://{host}/services/{SECRET}").is_certain


def test_authorities_that_cannot_be_read_are_a_failure(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))
    error = refusal(hook.url)
    assert (error.is_certain, "SSL_CERT_FILE" in str(error)) == (True, True)
    (tmp_path / "nowhere.pem").write_text("no certificate")
    assert refusal(hook.url).is_certain
