"""The Flex reader against strange, broken and hostile documents."""

import time
import tracemalloc

import pytest

from apex_pipeline.brokers.ib.flex import MAX_DEPTH, FlexReader, root_of
from apex_pipeline.errors import UnknownPayload
from tests.brokers.ib.statements import document, of_rows, row, statement


def reason(content: bytes) -> str:
    with pytest.raises(UnknownPayload) as caught:
        _ = list(FlexReader(content))
    return caught.value.reason_code


def test_elements_carry_their_statement_and_section() -> None:
    content = document(
        statement(row(tradeID="1")), statement('<CashReportCurrency currency="USD" />', section="CashReport")
    )
    told = [(item.statement.number, item.section, item.tag) for item in FlexReader(content)]
    assert told == [
        (0, "Trades", "Trades"),
        (0, "Trades", "Trade"),
        (1, "CashReport", "CashReport"),
        (1, "CashReport", "CashReportCurrency"),
    ]


def test_a_document_larger_than_a_chunk_is_read_whole() -> None:
    content = of_rows(*(row(transactionID=str(number)) for number in range(1, 2001)))
    ids = [item.attributes["transactionID"] for item in FlexReader(content) if item.tag == "Trade"]
    assert ids == [str(number) for number in range(1, 2001)]


def test_a_section_that_comes_twice_and_an_unknown_one_are_both_read() -> None:
    inside = f"</Trades><Trades>{row()}</Trades><Novelty><Thing a='1' /></Novelty><Trades>"
    tags = [item.tag for item in FlexReader(document(statement(row() + inside)))]
    assert tags.count("Trade") == 2
    assert "Thing" in tags


@pytest.mark.parametrize(
    "document_type",
    [
        b'<!DOCTYPE FlexQueryResponse [<!ENTITY a "U9">]>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd">',
        b'<?xml version="1.0"?>\n<!-- c --><!DOCTYPE x>',
    ],
)
def test_a_document_type_is_refused_before_parsing(document_type: bytes) -> None:
    assert reason(document_type + of_rows(row())) == "doctype"


def test_a_long_chain_of_entities_does_not_reach_the_parser() -> None:
    chain = b"".join(b'<!ENTITY e%d "&e%d;">' % (number, number + 1) for number in range(40_000))
    assert reason(b"<!DOCTYPE x [" + chain + b"]><FlexQueryResponse/>") == "doctype"


def test_an_encoding_that_could_hide_a_document_type_is_refused() -> None:
    plain = of_rows(row()).decode()
    assert reason(plain.encode("utf-16")) == "encoding"
    assert reason(b'<?xml version="1.0" encoding="cp037"?>' + plain.encode()) == "encoding"
    assert len(list(FlexReader(b'<?xml version="1.0" encoding="UTF-8"?>' + plain.encode()))) == 2


def test_deep_nesting_is_refused_and_usual_nesting_is_not() -> None:
    deep = b"<FlexQueryResponse>" + b"<a>" * 200_000
    assert reason(deep) == "too_deep"
    allowed = b"<FlexQueryResponse>" + b"<a>" * (MAX_DEPTH - 1) + b"</a>" * (MAX_DEPTH - 1) + b"</FlexQueryResponse>"
    assert list(FlexReader(allowed)) == []


def test_another_root_and_a_cut_document_are_refused() -> None:
    assert reason(b"<html><body/></html>") == "not_flex"
    assert reason(of_rows(row())[:-30]) == "not_well_formed"
    with pytest.raises(UnknownPayload):
        _ = root_of(of_rows(row())[:-30])
    assert root_of(of_rows(row())) == "FlexQueryResponse"


def test_twenty_thousand_trades_are_read_fast_and_in_little_memory() -> None:
    content = of_rows(*(row(transactionID=str(number)) for number in range(20_000)))
    started = time.perf_counter()
    assert sum(1 for item in FlexReader(content) if item.tag == "Trade") == 20_000
    assert time.perf_counter() - started < 10
    tracemalloc.start()
    count = sum(1 for _ in FlexReader(content))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_001
    assert peak < 8 * 1024 * 1024
