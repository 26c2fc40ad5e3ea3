"""The Flex client against a scripted server: every answer that IB is known to give."""

import gzip
import time
from collections.abc import Sequence
from datetime import date
from http.server import BaseHTTPRequestHandler

import pytest

from apex_pipeline.brokers.ib.flex_client import FlexClient, Window
from apex_pipeline.brokers.ib.port import IbBroker
from apex_pipeline.brokers.ib.settings import FLEX_URL, IbSettings, trusted_url
from apex_pipeline.domain.records import Call, RecordKind, WholeDelivery
from apex_pipeline.errors import BrokerRefused, BrokerUnavailable, ConfigError
from tests.brokers.ib.server import QUERY, TOKEN, FlexServer, Step, answer, failure, serving, success
from tests.brokers.ib.statements import of_rows, row, whole

STATEMENT = of_rows(row())
CALL = Call("ib_flex", None, "ALL", date(2026, 3, 2), date(2026, 3, 6))


def fetch(
    server: FlexServer, budgets: list[str] | None = None, deadline: float = 60, max_bytes: int = 1_000_000
) -> WholeDelivery:
    """One call at a thousandth of IB's pauses."""
    quick = IbSettings(
        server.url, TOKEN, QUERY, poll_seconds=0.01, total_deadline_seconds=deadline, max_bytes=max_bytes
    )
    acquired: list[str] = [] if budgets is None else budgets
    with IbBroker(quick).connect(acquired.append) as session:
        return whole(session.fetch(CALL))


def fetched(
    sends: Sequence[Step] | None, gets: Sequence[Step], deadline: float = 60, max_bytes: int = 1_000_000
) -> tuple[WholeDelivery, list[str]]:
    with serving(sends, gets) as server:
        delivery = fetch(server, deadline=deadline, max_bytes=max_bytes)
        return delivery, [service for service, _, _ in server.requests]


class Clock:
    """Time that passes only while someone sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)

    def monotonic(self) -> float:
        return self.now


def pauses(sends: Sequence[Step] | None, gets: Sequence[Step], calls: int = 1) -> list[float]:
    """What the client sleeps, in seconds, at IB's own pace; nobody waits for it."""
    clock = Clock()
    with serving(sends, gets) as server:
        own = IbSettings(server.url, TOKEN, QUERY)
        client = FlexClient(own, lambda _: None, sleep=clock.sleep, monotonic=clock.monotonic)
        for _ in range(calls):
            assert client.statement(Window(CALL.from_date, CALL.to_date)) is not None
        client.close()
    return clock.slept


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()


def promise_more(handler: BaseHTTPRequestHandler) -> None:
    answer(handler, 200, STATEMENT[:50], Content_Length="5000")


def test_a_statement_is_ordered_then_fetched_with_everything_ib_asks_for() -> None:
    with serving(None, [STATEMENT]) as server:
        delivery = fetch(server)
        (send, get) = server.requests
    assert send[0] == "SendRequest"
    assert send[1] == {"t": TOKEN, "q": QUERY, "v": "3", "fd": "20260302", "td": "20260306"}
    assert get[:2] == ("GetStatement", {"t": TOKEN, "q": "5566778899", "v": "3"})
    assert send[2]["User-Agent"].startswith("apex-pipeline/")
    assert "Python/3." in send[2]["User-Agent"]
    assert delivery.documents[0].content.whole() == STATEMENT
    assert {record.kind for record in delivery.records} == {RecordKind.TRADES, RecordKind.FEES}
    assert [(item.from_date, item.to_date) for item in delivery.covered] == [(CALL.from_date, CALL.to_date)]


def test_every_request_takes_from_the_budget_polls_included() -> None:
    budgets: list[str] = []
    with serving(None, [failure(1019, status="Warn"), failure(1019, status="Warn"), STATEMENT]) as server:
        _ = fetch(server, budgets)
        assert len(budgets) == len(server.requests) == 4
    assert len(set(budgets)) == 1
    assert budgets[0].startswith("ib:flex:")
    assert TOKEN not in budgets[0]


@pytest.mark.parametrize("code", [1001, 1004, 1009, 1018, 1019])
def test_a_passing_code_on_the_order_is_waited_out(code: int) -> None:
    delivery, services = fetched([failure(code), success()], [STATEMENT])
    assert services == ["SendRequest", "SendRequest", "GetStatement"]
    assert len(list(delivery.records)) == 2


@pytest.mark.parametrize("code", [1001, 1004, 1009, 1018, 1019, 1021])
def test_a_passing_code_on_a_poll_is_waited_out(code: int) -> None:
    _, services = fetched(None, [failure(code, status="Warn"), STATEMENT])
    assert services == ["SendRequest", "GetStatement", "GetStatement"]


def test_waits_grow_as_ib_asks_for() -> None:
    assert pauses([failure(1001), failure(1001), failure(1001), success()], [STATEMENT]) == [5, 15, 45, 10]


def test_too_many_requests_wait_a_minute_and_then_ten() -> None:
    assert pauses(None, [failure(1018), failure(1018), STATEMENT]) == [10, 60, 600]


def test_two_requests_are_at_least_a_second_apart() -> None:
    assert pauses(None, [STATEMENT], calls=3) == [10, 1, 10, 1, 10]


def test_a_lost_reference_is_ordered_once_more() -> None:
    _, services = fetched(None, [failure(1017), STATEMENT])
    assert services == ["SendRequest", "GetStatement"] * 2
    with pytest.raises(BrokerUnavailable):
        _ = fetched(None, [failure(1017)])


def test_a_statement_that_cannot_be_retrieved_is_ordered_once_more() -> None:
    _, services = fetched(None, [*[failure(1021)] * 4, STATEMENT])
    assert services.count("SendRequest") == 2


def test_what_never_succeeds_ends_unavailable() -> None:
    with pytest.raises(BrokerUnavailable, match="1001"):
        _ = fetched([failure(1001)], [STATEMENT])


def test_generation_that_never_ends_stops_at_the_deadline() -> None:
    started = time.monotonic()
    with pytest.raises(BrokerUnavailable, match=r"did not finish|gave no usable answer"):
        _ = fetched(None, [failure(1019, status="Warn")], deadline=0.5)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("script", [([failure(1003)], [STATEMENT]), (None, [failure(1003)])])
def test_a_window_without_statement_is_empty_and_covers_nothing(script: tuple[list[Step] | None, list[Step]]) -> None:
    delivery, _ = fetched(*script)
    assert (delivery.documents, delivery.records, delivery.covered) == ((), [], ())
    assert "1003" in delivery.notes[0]


@pytest.mark.parametrize("code", [1011, 1012, 1013, 1015, 1025])
def test_a_refused_token_names_its_setting_and_is_asked_once(code: int) -> None:
    with serving([failure(code)], [STATEMENT]) as server:
        with pytest.raises(BrokerRefused, match="IB_FLEX_TOKEN"):
            _ = fetch(server)
        assert len(server.requests) == 1


@pytest.mark.parametrize("code", [1010, 1014, 1016, 1020])
def test_a_refused_query_names_its_setting_and_is_asked_once(code: int) -> None:
    with serving([failure(code)], [STATEMENT]) as server:
        with pytest.raises(BrokerRefused, match="IB_FLEX_QUERY_ID"):
            _ = fetch(server)
        assert len(server.requests) == 1


@pytest.mark.parametrize("code", [1005, 1006, 1007, 1008])
def test_books_that_are_not_ready_ask_for_later(code: int) -> None:
    with serving(None, [failure(code)]) as server:
        with pytest.raises(BrokerUnavailable, match="30 to 60 minutes"):
            _ = fetch(server)
        assert len(server.requests) == 2


def test_an_unknown_code_follows_its_words() -> None:
    in_progress = failure("", "Statement generation in progress. Please try again shortly.", status="Warn")
    assert len(fetched(None, [*[in_progress] * 6, STATEMENT])[1]) == 8
    _, services = fetched([failure(1777, "Please try again shortly."), success()], [STATEMENT])
    assert services.count("SendRequest") == 2
    with pytest.raises(BrokerRefused, match="1777"):
        _ = fetched([failure(1777, "no such thing")], [STATEMENT])


@pytest.mark.parametrize(
    "broken",
    [
        503,
        500,
        302,
        b"<!DOCTYPE html><html><body>maintenance</body></html>",
        b"<?xml version='1.0'?><html><body>maintenance</body></html>",
        b"",
        b'{"error": "busy"}',
        STATEMENT[: len(STATEMENT) // 2],
        STATEMENT[:-5],
        hang_up,
        promise_more,
    ],
)
def test_a_broken_answer_is_asked_for_again(broken: Step) -> None:
    delivery, services = fetched(None, [broken, STATEMENT])
    assert services == ["SendRequest", "GetStatement", "GetStatement"]
    assert delivery.documents[0].content.whole() == STATEMENT


@pytest.mark.parametrize("broken", [503, b"<html></html>", STATEMENT[:-5]])
def test_broken_answers_end_unavailable_with_the_host_after_a_few_tries(broken: Step) -> None:
    with serving(None, [broken]) as server:
        with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1.*again later"):
            _ = fetch(server)
        assert len(server.requests) == 5


def test_http_429_is_too_many_requests() -> None:
    _, services = fetched([429, success()], [STATEMENT])
    assert services.count("SendRequest") == 2


def test_another_client_error_is_final_and_names_the_address() -> None:
    with pytest.raises(BrokerRefused, match=r"404.*IB_FLEX_URL"):
        _ = fetched([404], [STATEMENT])


def test_an_error_code_counts_whatever_the_http_status() -> None:
    def refused(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, 403, failure(1015))

    with pytest.raises(BrokerRefused, match="IB_FLEX_TOKEN"):
        _ = fetched([refused], [STATEMENT])


def test_a_redirect_is_never_followed() -> None:
    with serving(None, [STATEMENT]) as elsewhere:

        def redirect(handler: BaseHTTPRequestHandler) -> None:
            answer(handler, 302, b"", Location=f"{elsewhere.url}/SendRequest?t={TOKEN}")

        with pytest.raises(BrokerUnavailable, match="redirect"):
            _ = fetched([redirect], [STATEMENT])
        assert elsewhere.requests == []


def test_a_document_type_in_the_answer_is_refused_at_once() -> None:
    with serving(None, [b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + STATEMENT]) as server:
        with pytest.raises(BrokerRefused, match="document type"):
            _ = fetch(server)
        assert len(server.requests) == 2


def test_an_answer_larger_than_the_cap_is_refused_packed_or_not() -> None:
    bomb = gzip.compress(b"<a>" + b" " * 20_000_000)

    def packed(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, 200, bomb, Content_Encoding="gzip")

    for step in (packed, STATEMENT + b" " * 5000):
        with pytest.raises(BrokerRefused, match="fewer days"):
            _ = fetched(None, [step], max_bytes=4000)


def test_a_packed_answer_is_kept_unpacked() -> None:
    def packed(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, 200, gzip.compress(STATEMENT), Content_Encoding="gzip")

    assert fetched(None, [packed])[0].documents[0].content.whole() == STATEMENT


@pytest.mark.parametrize("phase", ["headers", "body"])
def test_an_answer_that_drips_in_ends_at_the_deadline(phase: str) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n"
        text = (head + b"X-Slow: ") if phase == "headers" else (head + b"\r\n<FlexQueryResponse>")
        handler.wfile.write(text)
        try:
            for _ in range(300):
                handler.wfile.write(b"a")
                handler.wfile.flush()
                time.sleep(0.05)
        except OSError:
            handler.close_connection = True

    started = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        _ = fetched(None, [drip], deadline=0.7)
    assert time.monotonic() - started < 3


def test_the_address_in_the_answer_is_used_only_where_the_token_may_go() -> None:
    ib = "https://gdcdyn.interactivebrokers.com/AccountManagement/FlexWebService/GetStatement"
    assert trusted_url(ib, FLEX_URL) == ib
    own = "http://127.0.0.1:99/x/GetStatement"
    assert trusted_url(own, "http://127.0.0.1:99/y") == own
    for hostile in (
        "http://gdcdyn.interactivebrokers.com/GetStatement",
        "https://interactivebrokers.com.evil.example/GetStatement",
        "https://evilinteractivebrokers.com/GetStatement",
        "https://user@gdcdyn.interactivebrokers.com/GetStatement",
        "https://gdcdyn.interactivebrokers.com:8443/GetStatement",
        "file:///etc/passwd",
        "https://[broken",
        "",
    ):
        assert trusted_url(hostile, FLEX_URL) is None, hostile
    assert trusted_url(ib, "http://127.0.0.1:99/y") is None


def test_a_hostile_address_gets_no_request() -> None:
    with serving(None, [STATEMENT]) as elsewhere, serving(None, [STATEMENT]) as server:
        server.sends = [success(url=f"{elsewhere.url}/GetStatement")]
        assert len(list(fetch(server).records)) == 2
        assert elsewhere.requests == []


def test_an_answered_address_that_fails_is_replaced_by_the_configured_one() -> None:
    with serving(None, [404, STATEMENT]) as server:
        server.sends = [success(url=f"{server.url.replace('/flex', '/legacy')}/GetStatement")]
        assert len(list(fetch(server).records)) == 2


@pytest.mark.parametrize("url", ["http://example.com/flex", "ftp://127.0.0.1/", "https://", "https://a:b@example.com/"])
def test_an_endpoint_that_would_show_the_token_is_refused_before_connecting(url: str) -> None:
    with pytest.raises(ConfigError, match="IB_FLEX_URL"):
        _ = IbBroker(IbSettings(flex_url=url, token=TOKEN, query_id=QUERY))


@pytest.mark.parametrize("url", [FLEX_URL, "http://localhost:8080/x", "http://[::1]:8080/x"])
def test_https_and_loopback_are_accepted(url: str) -> None:
    assert IbBroker(IbSettings(flex_url=url)).settings.flex_url == url


def test_missing_credentials_are_known_before_connecting() -> None:
    with pytest.raises(ConfigError, match="IB_FLEX_TOKEN"):
        _ = IbBroker(IbSettings(query_id=QUERY)).connect(lambda _: None)
    with pytest.raises(ConfigError, match="IB_FLEX_QUERY_ID"):
        _ = IbBroker(IbSettings(token=TOKEN)).connect(lambda _: None)


@pytest.mark.parametrize(("patient", "tries"), [(True, 4), (False, 1)])
def test_nobody_listening_is_unavailable_and_names_the_host(patient: bool, tries: int) -> None:
    budgets: list[str] = []
    with serving() as server:
        closed = server.url
    broker = IbBroker(IbSettings(closed, TOKEN, QUERY, poll_seconds=0.001, patient=patient))
    with broker.connect(budgets.append) as session, pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1"):
        _ = session.fetch(CALL)
    assert len(budgets) == tries


def test_a_token_with_blanks_around_it_is_sent_without_them() -> None:
    with serving(None, [STATEMENT]) as server:
        broker = IbBroker(IbSettings(server.url, f" {TOKEN}\n", QUERY, poll_seconds=0.01))
        with broker.connect(lambda _: None) as session:
            _ = session.fetch(CALL)
        assert server.requests[0][1]["t"] == TOKEN
