"""Parameters are read strictly, and a wrong one is told in one line."""

from datetime import UTC, datetime

import pytest

from apex_pipeline.serving.parameters import LIMIT, BadParameter, currency_of, page_of, read_parameters, scope_of

NAMES = ("account", "broker", "symbol", "limit", "offset", "since", "currency")


def test_everything_can_be_left_out() -> None:
    told = read_parameters(b"", NAMES)
    assert (page_of(told).limit, page_of(told).offset, page_of(told).since) == (LIMIT, 0, None)
    assert (scope_of(told).account, scope_of(told).broker, currency_of(told)) == (None, None, None)


def test_names_with_spaces_and_signs_come_through() -> None:
    told = read_parameters(b"symbol=US.AAPL+2026-12-18+C+132.5&account=U1&broker=ib&currency=usd", NAMES)
    assert scope_of(told).symbol == "US.AAPL 2026-12-18 C 132.5"
    assert (scope_of(told).broker, currency_of(told)) == ("IB", "USD")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (b"2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        (b"2026-01-31T09:30:00Z", datetime(2026, 1, 31, 9, 30, tzinfo=UTC)),
        (b"2026-01-31T09:30:00%2B08:00", datetime(2026, 1, 31, 1, 30, tzinfo=UTC)),
        (b"2026-01-31T09:30:00+08:00", datetime(2026, 1, 31, 1, 30, tzinfo=UTC)),
    ],
)
def test_since_is_a_date_or_an_instant(text: bytes, at: datetime) -> None:
    assert page_of(read_parameters(b"since=" + text, NAMES)).since == at


def read_all(query: bytes) -> list[object]:
    told = read_parameters(query, NAMES)
    return [scope_of(told), page_of(told), currency_of(told)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (b"acount=U1", "no parameter 'acount' here; the nearest is 'account'"),
        (b"account=U1&account=U2", "told twice"),
        (b"account=", "1 to 100 printable"),
        (b"account=%00", "1 to 100 printable"),
        (b"account=U1%0AX", "1 to 100 printable"),
        (b"account=" + b"x" * 101, "1 to 100 printable"),
        (b"account=%FF", "cannot be read"),
        (b"account=\xff", "cannot be read"),
        (b"&".join([b"limit=1"] * 30), "cannot be read"),
        (b"broker=ETRADE", "it is one of FUTU, IB"),
        (b"currency=US$", "a code such as USD"),
        (b"limit=0", "from 1 to 1000"),
        (b"limit=1001", "from 1 to 1000"),
        (b"limit=ten", "from 1 to 1000"),
        (b"limit=%D9%A1", "from 1 to 1000"),
        (b"limit=1e2", "from 1 to 1000"),
        (b"offset=-1", "from 0 to 1000000"),
        (b"offset=99999999999999999999", "from 0 to 1000000"),
        (b"since=yesterday", "it is a date such as"),
        (b"since=2026-02-30", "it is a date such as"),
        (b"since=2026-01-31T09:30:00", "has no zone"),
        (b"since=0001-01-01T00:00:00%2B14:00", "it is a date such as"),
    ],
)
def test_a_wrong_parameter_is_told_in_one_line(query: bytes, said: str) -> None:
    with pytest.raises(BadParameter) as refused:
        read_all(query)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_address_without_parameters_takes_none() -> None:
    with pytest.raises(BadParameter, match="takes no parameters"):
        read_parameters(b"limit=1", ())
