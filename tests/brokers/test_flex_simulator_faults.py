"""Every fault of the Flex simulator comes as it was set, and the real client survives every one of them."""

import gzip
import time
from collections.abc import Iterator
from datetime import date
from functools import cache
from http.client import HTTPConnection, RemoteDisconnected
from itertools import product

import pytest

from apex_pipeline.brokers.ib.flex_client import FlexClient, Window
from apex_pipeline.brokers.ib.settings import IbSettings
from apex_pipeline.brokers.ib.simulator import FlexSimulator
from apex_pipeline.brokers.ib.simulator_faults import CONTENT, DOCUMENTED, FOREIGN_URL, TRANSPORT, switch_of
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.records import Content
from apex_pipeline.errors import BrokerRefused, BrokerUnavailable

END = date(2026, 7, 31)
TOKEN, QUERY = "canary0token1never2shown3", "77"
WINDOW = Window(date(2026, 7, 13), date(2026, 7, 17))
DEADLINE = 1.0
CODES = [f"error_{code}" for code in (*DOCUMENTED, 1002, 1099)] + ["error_1099_try_again"]
EVERYWHERE = [f"{name}{step}" for name, step in product([*TRANSPORT, *CODES], ["_send", "_get"])]
PASSING = {f"error_{code}" for code in (1001, 1004, 1009, 1017, 1018, 1019, 1021)} | {"error_1099_try_again"}
HARMLESS = {"gzip", "malformed_row", "no_data_1003", "one_day_only", "shrunk_window", "wrong_count", "foreign_url"}
FINAL = {"endless_body", "echo_token", "slow_drip"}


@cache
def scenario() -> Scenario:
    return generate(4, 40, 30, END)


@pytest.fixture
def service() -> Iterator[FlexSimulator]:
    """A service of this test's own: a request that a client gave up at its deadline may be read afterwards."""
    with FlexSimulator(scenario(), TOKEN, QUERY, time_scale=100_000, today=END, levels="executions") as simulator:
        yield simulator


def fetch(service: FlexSimulator) -> Content | None:
    settings = IbSettings(
        service.url, TOKEN, QUERY, poll_seconds=0.005, total_deadline_seconds=DEADLINE, max_bytes=3_000_000
    )
    client = FlexClient(settings, lambda _: None)
    try:
        return client.statement(WINDOW)
    finally:
        client.close()


def ending(service: FlexSimulator) -> str:
    """How a fetch ended, in one word; a refusal is one line, in time and without the token."""
    began = time.monotonic()
    refusal: BrokerUnavailable | BrokerRefused | None = None
    told: Content | None = None
    try:
        told = fetch(service)
    except (BrokerUnavailable, BrokerRefused) as error:
        refusal = error
    assert time.monotonic() - began < DEADLINE + 1
    assert TOKEN not in f"{refusal!r}{service.requests!r}"
    if refusal is None:
        return "nothing" if told is None else "statement"
    assert "\n" not in str(refusal)
    assert str(refusal).startswith(("Interactive Brokers", "the answer of Interactive Brokers"))
    return type(refusal).__name__


def wanted(name: str, *, once: bool) -> str:
    if name in HARMLESS:
        return "statement"
    if name == "error_1003":
        return "nothing"
    if name in {f"error_{code}" for code in (1005, 1006, 1007, 1008)} | {"slow_drip"}:
        return "BrokerUnavailable"
    if name in FINAL or (name.startswith("error_") and name not in PASSING):
        return "BrokerRefused"
    return "statement" if once else "BrokerUnavailable"


@pytest.mark.parametrize("once", [True, False], ids=["once", "always"])
@pytest.mark.parametrize("word", [*EVERYWHERE, *sorted(CONTENT)])
def test_the_client_survives_every_fault(service: FlexSimulator, word: str, once: bool) -> None:
    service.faults.add(f"{word}_once" if once else word)
    name = switch_of(word).name
    assert ending(service) == wanted(name, once=once)
    if once and not (name == "no_data_1003" or ending(service) == "statement"):
        pytest.fail(f"{word}_once struck twice")


def test_without_a_fault_the_statement_comes(service: FlexSimulator) -> None:
    assert ending(service) == "statement"
    assert [r.answer for r in service.requests] == ["Success", "1019", "statement"]


@pytest.mark.parametrize("code", DOCUMENTED)
def test_a_refusal_names_the_code_and_what_to_do(service: FlexSimulator, code: int) -> None:
    service.faults.add(f"error_{code}_send")
    if code == 1003:
        assert fetch(service) is None
        return
    with pytest.raises((BrokerUnavailable, BrokerRefused)) as refused:
        _ = fetch(service)
    if code != 1019:
        assert str(code) in str(refused.value)
    assert any(word in str(refused.value) for word in ("run ", "set ", "make ", "activate ", "allow "))


def test_a_refused_token_is_never_tried_again(service: FlexSimulator) -> None:
    for code in (1011, 1012, 1013, 1015, 1025):
        service.requests.clear()
        service.faults = {f"error_{code}"}
        assert ending(service) == "BrokerRefused"
        assert len(service.requests) == 1


def test_a_foreign_address_gets_no_request(service: FlexSimulator) -> None:
    service.faults.add("foreign_url")
    assert "example.net" in FOREIGN_URL
    assert ending(service) == "statement"
    assert {r.call for r in service.requests} == {"SendRequest", "GetStatement"}


def raw(service: FlexSimulator, call: str, **parameters: str) -> tuple[int, dict[str, str], bytes]:
    host, path = service.url.removeprefix("http://").split("/", 1)
    query = "&".join(f"{name}={value}" for name, value in ({"t": TOKEN, "v": "3", "q": QUERY} | parameters).items())
    connection = HTTPConnection(host, timeout=5)
    connection.request("GET", f"/{path}/{call}?{query}", headers={"User-Agent": "test"})
    response = connection.getresponse()
    return response.status, dict(response.getheaders()), response.read()


def test_faults_come_one_after_the_other_and_then_the_answer(service: FlexSimulator) -> None:
    service.faults |= {"http_503_once", "http_429_once", "html_page_once", "empty_body_once", "missing_status_once"}
    told = [raw(service, "SendRequest") for _ in range(6)]
    assert len(service.requests) == len(told), "nobody else asked"
    assert [status for status, _, _ in told] == [429, 503, 200, 200, 200, 200]
    _, _, page, nothing, silent, accepted = (body for _, _, body in told)
    assert b"maintenance" in page
    assert nothing == b""
    assert b"<Status>" not in silent
    assert b"<Status>Success" in accepted
    assert service.faults == set()


def test_a_step_is_struck_alone(service: FlexSimulator) -> None:
    service.faults.add("http_503_get")
    assert raw(service, "SendRequest")[0] == 200
    assert raw(service, "GetStatement")[0] == 503


def test_a_packed_answer_is_what_it_says(service: FlexSimulator) -> None:
    service.faults.add("gzip")
    _, headers, body = raw(service, "SendRequest")
    assert headers["Content-Encoding"] == "gzip"
    assert b"ReferenceCode" in gzip.decompress(body)


def test_a_redirect_carries_the_token_to_a_foreign_host(service: FlexSimulator) -> None:
    service.faults.add("redirect")
    status, headers, _ = raw(service, "SendRequest")
    assert status == 302
    assert headers["Location"] == f"{FOREIGN_URL}?t={TOKEN}"


def test_a_dropped_connection_says_nothing(service: FlexSimulator) -> None:
    service.faults.add("drop_connection_once")
    with pytest.raises(RemoteDisconnected):
        _ = raw(service, "SendRequest")
    assert raw(service, "SendRequest")[0] == 200


def test_an_echoed_token_is_in_the_answer(service: FlexSimulator) -> None:
    service.faults.add("echo_token")
    assert TOKEN.encode() in raw(service, "SendRequest")[2]
    with pytest.raises(BrokerRefused, match=r"t=\*\*\*"):
        _ = fetch(service)


def test_a_shrunk_window_says_which_days_it_has(service: FlexSimulator) -> None:
    service.faults.add("shrunk_window")
    body = fetch(service)
    assert body is not None
    assert b'fromDate="20260715" toDate="20260717"' in body.whole()


@pytest.mark.parametrize("word", ["", "http_418", "error_12", "gzip_twice", "error_1001_get_send"])
def test_a_word_that_is_no_fault_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="no fault"):
        _ = FlexSimulator(scenario(), TOKEN, QUERY, faults=[word])
