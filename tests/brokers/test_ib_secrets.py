"""The token is seen by the server and by nobody else, whatever goes wrong."""

import io
import logging
import traceback
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler

import httpx
import pytest

from apex_pipeline.brokers.ib.port import IbBroker
from apex_pipeline.brokers.ib.settings import IbSettings
from apex_pipeline.domain.records import Call
from apex_pipeline.errors import ApexError
from tests.brokers.ib.server import QUERY, TOKEN, Step, answer, failure, serving, success
from tests.brokers.ib.statements import of_rows, row

CALL = Call("ib_flex", None, "ALL", date(2026, 3, 2), date(2026, 3, 6))


@contextmanager
def everything_logged() -> Generator[io.StringIO]:
    """All log records of all levels, as text."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    loggers = [logging.getLogger(name) for name in ("", "httpx", "httpcore", "httpcore.http11", "httpcore.connection")]
    levels = [logger.level for logger in loggers]
    loggers[0].addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        loggers[0].removeHandler(handler)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        yield from chain(error.__cause__)
        error = error.__context__


def telling(error: BaseException) -> str:
    """Everything an exception can show to a log or a debugger, the values on httpx's errors included."""
    parts = ["".join(traceback.format_exception(error))]
    for item in chain(error):
        parts += [str(item), repr(item), repr(item.args), repr(vars(item))]
        request = getattr(item, "_request", None)
        parts.append(str(request.url) if isinstance(request, httpx.Request) else "")
    return "\n".join(parts)


def echo(handler: BaseHTTPRequestHandler) -> None:
    answer(handler, 500, f"<html>failed: {handler.path}</html>".encode())


def echo_code(handler: BaseHTTPRequestHandler) -> None:
    answer(handler, 200, failure(1777, f"cannot serve {handler.path.replace('&', '&amp;')}"))


def redirect(handler: BaseHTTPRequestHandler) -> None:
    answer(handler, 302, b"", Location=handler.path)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()


@pytest.mark.parametrize(
    "step", [echo, echo_code, redirect, hang_up, failure(1012), failure(1001), 503, b"<FlexQuery", b"<!DOCTYPE x><a/>"]
)
@pytest.mark.parametrize("service", ["SendRequest", "GetStatement"])
def test_the_token_is_in_no_exception_and_no_log(step: Step, service: str) -> None:
    sends: Sequence[Step] = [step] if service == "SendRequest" else [success()]
    with everything_logged() as log, serving(sends, [step]) as server:
        broker = IbBroker(IbSettings(server.url, TOKEN, QUERY, poll_seconds=0.001))
        with broker.connect(lambda _: None) as session, pytest.raises(ApexError) as caught:
            _ = session.fetch(CALL)
        assert server.requests[0][1]["t"] == TOKEN
    assert TOKEN not in telling(caught.value)
    assert TOKEN not in log.getvalue()


def test_the_token_is_in_no_delivery_and_no_repr() -> None:
    with everything_logged() as log, serving(None, [of_rows(row())]) as server:
        broker = IbBroker(IbSettings(server.url, TOKEN, QUERY, poll_seconds=0.001))
        with broker.connect(lambda _: None) as session:
            delivery = session.fetch(CALL)
            shown = [repr(delivery), repr(session), repr(broker), repr(broker.settings), str(broker.budget)]
    assert TOKEN not in "".join(shown)
    assert TOKEN not in log.getvalue()


def test_the_watch_would_see_a_token_that_httpx_logs() -> None:
    with everything_logged() as log, serving(None, [b"x"]) as server:
        _ = httpx.get(f"{server.url}/SendRequest", params={"t": TOKEN})
    assert TOKEN in log.getvalue()


def test_the_watch_would_see_a_token_on_the_error_of_httpx() -> None:
    with serving() as server:
        closed = server.url
    with pytest.raises(httpx.ConnectError) as caught:
        _ = httpx.get(f"{closed}/SendRequest", params={"t": TOKEN})
    assert TOKEN in telling(caught.value)
