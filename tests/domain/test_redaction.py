"""No secret and no account number leaves in a text that somebody else wrote, however it is written there."""

import time
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.redaction import MOST, MOST_LOOKED_AT, Redactor

TOKEN = "canary token/+=%&"
ACCOUNTS = {"U7654321": "ib-1", "281756455981243107": "futu-1", "U76": "ib-2", "100": "futu-2"}
REDACTOR = Redactor([TOKEN, "abc"], ACCOUNTS)


@pytest.mark.parametrize(
    "form", [TOKEN, quote(TOKEN), quote(TOKEN, safe=""), TOKEN.upper(), b64encode(TOKEN.encode()).decode()]
)
@pytest.mark.parametrize("clean", [REDACTOR.clean, REDACTOR.guarded])
def test_a_known_secret_is_hidden_in_every_form(clean: Callable[[str], str], form: str) -> None:
    told = clean(f"refused: t={form}; mend it")
    assert form not in told
    assert "(hidden)" in told
    assert told.startswith("refused: ")
    assert told.endswith("; mend it")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("account U7654321 has no data", "account ib-1 has no data"),
        ("account u7654321.", "account ib-1."),
        ("OpenD refused futu_orders 281756455981243107 US", "OpenD refused futu_orders futu-1 US"),
        ("key=281756455981243107_x", "key=futu-1_x"),
        ("U76 and 100 and 1000", "ib-2 and futu-2 and 1000"),
    ],
)
def test_a_known_account_is_told_by_its_alias(text: str, told: str) -> None:
    assert REDACTOR.clean(text) == told


@pytest.mark.parametrize(
    "canary",
    [
        "U1234567", "DU1234567", "F7654321", "I123456", "U1234567F", "281756450000000001", "9085345",
        "123456789012345678901234", "ghp_1a2B3c4D5e6F7g8H9i0J", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx",
        "someone@example.com", "+85291234567",
    ],
)  # fmt: skip
def test_what_looks_like_an_account_or_a_secret_is_hidden_though_nobody_knows_it(canary: str) -> None:
    for text in (f"refused {canary}", f"({canary})", f"x={canary}, y"):
        assert canary not in Redactor().clean(text)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://hooks.example.com/services/T1/B2/secret", "https://hooks.example.com/(hidden)"),
        ("postgresql://me:pass@db:5432/apex?sslmode=require", "postgresql://db:5432/(hidden)"),
        ("https://flex.example/Web?t=123&q=4", "https://flex.example/(hidden)"),
        ("postgresql://me:p/ss@db:5432/apex", "postgresql://db:5432/(hidden)"),
        ("redis://:p@ss?w#rd@queue:6379/0", "redis://queue:6379/(hidden)"),
    ],
)
def test_of_a_url_only_its_host_is_told(url: str, told: str) -> None:
    assert Redactor().clean(f"cannot reach {url}, try later") == f"cannot reach {told}, try later"


def test_ordinary_words_stay() -> None:
    text = "Interactive Brokers refuses the token (1012: Token has expired.): make a new one, then set IB_FLEX_TOKEN"
    assert Redactor().clean(text) == text
    text = "day 2026-03-04: 12345.67 USD of US.AAPL240119C150000 in orders_norm; run `apex migrate`"
    assert Redactor().clean(text) == text.replace("`", "'").replace("US.AAPL240119C150000", "(hidden)")


def test_foreign_text_can_neither_call_people_nor_make_links() -> None:
    told = Redactor().clean("<!channel> @everyone [pay](http://evil.example/x) &lt; <@U12> `a` *b*\n\x1b[31m second")
    assert not set(told) & set("<>&@`*[]\n\x1b")


def test_a_long_text_is_cut() -> None:
    assert len(Redactor().clean("word " * 1000)) == MOST


@pytest.mark.parametrize("word", ["a", "a1", "x://", "x@", "U1", "1", "a ", "https://a:b@"])
def test_a_text_of_a_million_characters_takes_no_time(word: str) -> None:
    text, started = word * (1_000_000 // len(word)), time.monotonic()
    assert len(REDACTOR.clean(text)) <= MOST
    assert time.monotonic() - started < 5


def test_what_is_known_is_hidden_also_where_a_text_is_cut() -> None:
    """A secret across the end of what is looked at leaves no part of itself, nor does an account number."""
    opaque = "0a" * ((MOST_LOOKED_AT - 30) // 2)
    for canary in (TOKEN, "U7654321", "F1234567"):
        for room in range(1, 31):
            told = REDACTOR.clean(f"{opaque} {'.' * room} {canary}")
            assert not any(part in told for part in ("canary", "U765", "F123")), told


@pytest.mark.parametrize("clean", [Redactor(["apex"]).clean, Redactor(["apex"]).guarded])
def test_a_password_that_is_a_word_of_ours_blanks_no_words(clean: Callable[[str], str]) -> None:
    assert clean("APEX: 1 failed run. All of it: apex alerts") == "APEX: 1 failed run. All of it: apex alerts"
    for text in ("password=apex", "PGPASSWORD:apex;", "of me:apex at", "me/apex@db"):
        assert "apex" not in clean(text), "control: where a secret stands"


@given(st.text(), st.sampled_from(sorted(ACCOUNTS)), st.text())
def test_a_known_account_never_stays_where_it_stands_alone(before: str, account: str, after: str) -> None:
    told = REDACTOR.guarded(f"{before} {account} {after}")
    assert f" {account} " not in told


def test_the_control_of_the_tests_above_without_a_redactor() -> None:
    """A redactor that knows nothing lets known words pass through `guarded`: the tests do see leaks."""
    assert Redactor().guarded(f"U7654321 {TOKEN}") == f"U7654321 {TOKEN}"
