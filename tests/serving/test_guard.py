"""Pages of other sites cannot ask, under whatever name they reach this machine."""

import pytest

from apex_pipeline.serving.guard import refusal

PORT = 8787
OWN = [(b"host", b"127.0.0.1:8787")]


@pytest.mark.parametrize("host", [b"127.0.0.1:8787", b"localhost:8787", b"[::1]:8787", b"LocalHost:8787"])
def test_a_program_of_this_machine_is_answered(host: bytes) -> None:
    assert refusal("GET", [(b"host", host)], PORT) is None
    assert refusal("HEAD", [(b"host", host), (b"accept", b"*/*")], PORT) is None


@pytest.mark.parametrize(
    "host", [b"evil.example:8787", b"127.0.0.1", b"127.0.0.1:80", b"127.0.0.1.evil.example:8787", b"10.0.0.1:8787", b""]
)
def test_another_name_of_this_server_is_refused(host: bytes) -> None:
    refused = refusal("GET", [(b"host", host)], PORT)
    assert refused is not None
    assert refused.status == 403


def test_a_request_without_or_with_two_names_is_refused() -> None:
    assert refusal("GET", [], PORT) is not None
    assert refusal("GET", [*OWN, (b"host", b"evil.example")], PORT) is not None
    assert refusal("GET", [*OWN, *OWN], PORT) is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"origin", b"http://evil.example"),
        (b"origin", b"null"),
        (b"origin", b"http://127.0.0.1:3000"),
        (b"origin", b"https://127.0.0.1:8787"),
        (b"sec-fetch-site", b"cross-site"),
        (b"sec-fetch-site", b"same-site"),
        (b"sec-fetch-site", b"anything-new"),
    ],
)
def test_what_a_browser_says_of_another_site_is_refused(name: bytes, value: bytes) -> None:
    refused = refusal("GET", [*OWN, (name, value)], PORT)
    assert refused is not None
    assert refused.status == 403


@pytest.mark.parametrize(
    ("name", "value"),
    [(b"origin", b"http://localhost:8787"), (b"sec-fetch-site", b"none"), (b"sec-fetch-site", b"same-origin")],
)
def test_a_person_at_a_browser_is_answered(name: bytes, value: bytes) -> None:
    assert refusal("GET", [*OWN, (name, value)], PORT) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get"])
def test_other_methods_are_refused(method: str) -> None:
    refused = refusal(method, OWN, PORT)
    assert refused is not None
    assert refused.status == 405


def test_port_80_goes_without_saying() -> None:
    assert refusal("GET", [(b"host", b"localhost")], 80) is None
