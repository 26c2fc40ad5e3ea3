"""Every rule of the guard refuses what it is there for, and nothing else is in the way of a person."""

import asyncio
import stat
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
import uvicorn

from apex_pipeline.orchestration.processes import HOST, free_port
from apex_pipeline.orchestration.ui import SelfTest, door_of
from apex_pipeline.orchestration.ui_guard import RULES, Asked, Door, Guard, Message, Receive, Rule, Scope, Send, refused
from apex_pipeline.orchestration.ui_token import address_of, token_of
from tests.orchestration.attacks import ATTACKS, Attack

PORT = 3000
OWN = [("Host", f"127.0.0.1:{PORT}"), ("Origin", f"http://127.0.0.1:{PORT}")]


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return door_of(tmp_path, PORT)


def scope(method: str, address: str, headers: list[tuple[str, str]], *, is_socket: bool = False) -> Scope:
    """A request as a web server tells it."""
    path, _, query = address.partition("?")
    told = [(name.lower().encode(), value.encode()) for name, value in headers]
    kind = "websocket" if is_socket else "http"
    return {"type": kind, "method": method, "path": unquote(path), "query_string": query.encode(), "headers": told}


def attacked(attack: Attack, door: Door) -> Asked:
    return Asked.of(scope(attack.method, attack.path, attack.told(PORT, door), is_socket=attack.is_socket))


def cookie(door: Door) -> tuple[str, str]:
    return ("Cookie", f"other=1; {door.cookie}={door.token}")


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_an_attack_is_refused_by_its_rule(door: Door, attack: Attack) -> None:
    found = refused(attacked(attack, door), door)
    assert found is not None
    assert found[0] == attack.rule


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_without_its_rule_the_attack_would_pass(door: Door, attack: Attack) -> None:
    others = {name: rule for name, rule in RULES.items() if name != attack.rule}
    assert refused(attacked(attack, door), door, others) is None


def test_every_rule_has_its_attack() -> None:
    assert {attack.rule for attack in ATTACKS} == set(RULES)


@pytest.mark.parametrize(
    ("method", "address", "headers"),
    [
        ("GET", "/", OWN[:1]),
        ("GET", "/assets/orders_norm?view=partitions", [*OWN[:1], ("Sec-Fetch-Site", "none")]),
        ("GET", "/vendor/x.js", [*OWN[:1], ("Sec-Fetch-Site", "same-origin")]),
        ("POST", "/graphql?op=RootQuery", [*OWN, ("Content-Type", "application/json; charset=utf-8")]),
        ("HEAD", "/", [("Host", f"LOCALHOST:{PORT}")]),
        ("GET", "/", [("Host", f"[::1]:{PORT}")]),
    ],
)
def test_what_the_page_itself_asks_passes(
    door: Door, method: str, address: str, headers: list[tuple[str, str]]
) -> None:
    assert refused(Asked.of(scope(method, address, [*headers, cookie(door)])), door) is None


def test_a_websocket_of_the_page_passes(door: Door) -> None:
    asked = Asked.of(scope("GET", "/graphql", [*OWN, cookie(door)], is_socket=True))
    assert refused(asked, door) is None


@pytest.mark.parametrize("path", ["/graphql", "/report_asset_materialization/orders_norm"])
def test_a_program_with_the_token_needs_neither_cookie_nor_origin(door: Door, path: str) -> None:
    told = [*OWN[:1], ("Authorization", f"bearer {door.token}"), ("Content-Type", "application/json")]
    assert refused(Asked.of(scope("POST", path, told)), door) is None


def test_a_wrong_token_of_a_program_is_not_made_good_by_the_cookie_of_a_person(door: Door) -> None:
    told = [*OWN, ("Authorization", "Bearer wrong"), ("Content-Type", "application/json"), cookie(door)]
    found = refused(Asked.of(scope("POST", "/graphql", told)), door)
    assert found is not None
    assert found[0] == "token"


def test_beyond_loopback_a_name_is_told_by_its_owner(tmp_path: Path) -> None:
    door = door_of(tmp_path, PORT, "10.0.0.5", ["apex.example"])
    for host, origin in (("apex.example", "https://apex.example"), (f"10.0.0.5:{PORT}", f"http://10.0.0.5:{PORT}")):
        told = [("Host", host), ("Origin", origin), ("Content-Type", "application/json"), cookie(door)]
        assert refused(Asked.of(scope("POST", "/graphql", told)), door) is None
    assert refused(Asked.of(scope("GET", "/", [("Host", "other.example"), cookie(door)])), door) is not None


def test_the_token_is_made_once_and_readable_for_its_owner_only(tmp_path: Path) -> None:
    token = token_of(tmp_path)
    assert len(token) >= 43
    assert token_of(tmp_path) == token
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert address_of(tmp_path, PORT) == f"http://127.0.0.1:{PORT}/?token={token}"


def answered(guard: Guard, asked: Scope) -> list[Message]:
    """What the guard sends back."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(guard(asked, receive, send))
    return sent


async def page(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Dagster's application."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-security-policy", b"own")]})
    await send({"type": "http.response.body", "body": b"page"})


def opened(door: Door) -> Guard:
    guard = Guard(page, door)
    guard.is_open = True
    return guard


def headers_of(message: Mapping[str, Any]) -> dict[bytes, bytes]:
    return dict(message["headers"])


def test_the_printed_address_leads_to_the_page_and_leaves_the_token_in_a_cookie_only(door: Door) -> None:
    asked = scope("GET", f"/runs?token={door.token}", [*OWN[:1], ("Sec-Fetch-Site", "none")])
    start, _ = answered(opened(door), asked)
    told = headers_of(start)
    assert (start["status"], told[b"location"]) == (303, b"/runs")
    assert told[b"set-cookie"].startswith(f"{door.cookie}={door.token}; ".encode())
    assert b"HttpOnly; SameSite=Strict" in told[b"set-cookie"]


@pytest.mark.parametrize("path", ["//other.example", "/\\other.example", "///"])
def test_the_printed_address_leads_nowhere_else(door: Door, path: str) -> None:
    start, _ = answered(opened(door), scope("GET", f"{path}?token={door.token}", OWN[:1]))
    location = headers_of(start)[b"location"]
    assert location.startswith(b"/")
    assert location[1:2] not in (b"/", b"\\")


def test_every_answer_of_the_page_is_out_of_frames_and_keeps_its_own_headers(door: Door) -> None:
    start, _ = answered(opened(door), scope("GET", "/", [*OWN[:1], cookie(door)]))
    assert start["status"] == 200
    policies = [value for name, value in start["headers"] if name == b"content-security-policy"]
    assert policies == [b"own", b"frame-ancestors 'none'"]
    assert headers_of(start)[b"x-frame-options"] == b"DENY"


def test_before_the_guard_was_tried_nobody_passes(door: Door) -> None:
    start, _ = answered(Guard(page, door), scope("GET", "/", [*OWN[:1], cookie(door)]))
    assert start["status"] == 503


def test_a_websocket_is_closed_before_it_is_accepted(door: Door) -> None:
    (sent,) = answered(opened(door), scope("GET", "/graphql", OWN[:1], is_socket=True))
    assert (sent["type"], sent["code"]) == ("websocket.close", 1008)


def test_a_link_of_another_site_offers_the_person_to_go_on(door: Door) -> None:
    told = [*OWN[:1], ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), cookie(door)]
    start, body = answered(opened(door), scope("GET", "/runs/1", told))
    assert start["status"] == 403
    assert b'<a href="">' in body["body"]


@pytest.mark.parametrize("without", ["host", "origin", "site", "media-type", "token"])
def test_a_guard_that_does_not_hold_serves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], without: str
) -> None:
    rules = {name: rule for name, rule in RULES.items() if name != without}
    told, said = tried(rules, tmp_path), capfd.readouterr().err
    assert not told
    assert "the guard of the page does not hold" in said
    assert without in said


@pytest.mark.parametrize("host", [HOST, "::1"])
def test_a_guard_that_holds_is_opened(tmp_path: Path, host: str) -> None:
    assert tried(RULES, tmp_path, host)


def test_a_guard_that_cannot_be_tried_serves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: SelfTest) -> list[tuple[str, httpx.Response]]:
        raise httpx.ReadTimeout("timed out")

    monkeypatch.setattr(SelfTest, "_attacks", away)
    assert not tried(RULES, tmp_path)
    assert "the guard of the page could not be tried (timed out): nothing is served" in capfd.readouterr().err


def test_an_address_with_many_fields_is_refused_like_any_other(door: Door) -> None:
    address = "/runs?" + "&".join(f"f{n}=1" for n in range(40))
    start, _ = answered(opened(door), scope("GET", address, OWN[:1]))
    assert start["status"] == 401
    start, _ = answered(opened(door), scope("GET", address, [*OWN[:1], cookie(door)]))
    assert start["status"] == 200


def tried(rules: Mapping[str, Rule], folder: Path, host: str = HOST) -> bool:
    """Serve a page behind these rules until they were attacked; whether they held and the page was opened."""
    port = free_port()
    guard = Guard(page, door_of(folder, port, host), rules)
    server = uvicorn.Server(uvicorn.Config(guard, host, port, log_level="error", lifespan="off"))
    test = SelfTest(guard, server, host, port)
    test.start()
    threading.Thread(target=_end_when_opened, args=(guard, server)).start()
    server.run()
    test.join()
    return test.holds


def _end_when_opened(guard: Guard, server: uvicorn.Server) -> None:
    while not (guard.is_open or server.should_exit):
        time.sleep(0.01)
    server.should_exit = True
