"""The Flex reader against strange, broken and hostile documents."""

import tracemalloc
from dataclasses import dataclass, field

import pytest

from apex_pipeline.brokers.ib.delivery import FlexDelivery
from apex_pipeline.brokers.ib.flex import MAX_DEPTH, FlexReader, Ignored, Statement, checked, root_of
from apex_pipeline.domain.records import CHUNK, Content, RecordKind
from apex_pipeline.errors import UnknownPayload
from tests.brokers.ib.statements import RECEIVED, document, of_rows, row, statement


@dataclass
class Seen(Ignored):
    """A sink that keeps what it is told: number of the statement, section, element, attributes."""

    rows: list[tuple[int, str, str, dict[str, str]]] = field(default_factory=list)
    ended: int = 0
    _place: tuple[int, str] = (0, "")

    def begin(self, statement: Statement) -> None:
        self._place = (statement.number, "")

    def section(self, name: str, attributes: dict[str, str]) -> None:
        self._place = (self._place[0], name)
        self.rows.append((*self._place, name, attributes))

    def row(self, tag: str, attributes: dict[str, str]) -> None:
        self.rows.append((*self._place, tag, attributes))

    def end(self) -> None:
        self.ended += 1


def read(content: bytes) -> Seen:
    seen = Seen()
    for _ in FlexReader(seen).read((content,)):
        pass
    return seen


def tags(content: bytes) -> list[str]:
    return [tag for _, _, tag, _ in read(content).rows]


def reason(content: bytes) -> str:
    with pytest.raises(UnknownPayload) as caught:
        _ = read(content)
    return caught.value.reason_code


def test_elements_carry_their_statement_and_section() -> None:
    content = document(
        statement(row(tradeID="1")), statement('<CashReportCurrency currency="USD" />', section="CashReport")
    )
    assert [place for *place, _ in read(content).rows] == [
        [0, "Trades", "Trades"],
        [0, "Trades", "Trade"],
        [1, "CashReport", "CashReport"],
        [1, "CashReport", "CashReportCurrency"],
    ]
    assert read(content).ended == 2


def test_a_document_larger_than_a_chunk_is_read_whole() -> None:
    content = of_rows(*(row(transactionID=str(number)) for number in range(1, 2001)))
    ids = [attributes["transactionID"] for _, _, tag, attributes in read(content).rows if tag == "Trade"]
    assert ids == [str(number) for number in range(1, 2001)]


def test_a_section_that_comes_twice_and_an_unknown_one_are_both_read() -> None:
    inside = f"</Trades><Trades>{row()}</Trades><Novelty><Thing a='1' /></Novelty><Trades>"
    seen = tags(document(statement(row() + inside)))
    assert seen.count("Trade") == 2
    assert "Thing" in seen


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
    assert len(tags(b'<?xml version="1.0" encoding="UTF-8"?>' + plain.encode())) == 2


def test_deep_nesting_is_refused_and_usual_nesting_is_not() -> None:
    deep = b"<FlexQueryResponse>" + b"<a>" * 200_000
    assert reason(deep) == "too_deep"
    allowed = b"<FlexQueryResponse>" + b"<a>" * (MAX_DEPTH - 1) + b"</a>" * (MAX_DEPTH - 1) + b"</FlexQueryResponse>"
    assert tags(allowed) == []


def test_another_root_and_a_cut_document_are_refused() -> None:
    assert reason(b"<html><body/></html>") == "not_flex"
    assert reason(of_rows(row())[:-30]) == "not_well_formed"
    with pytest.raises(UnknownPayload):
        _ = root_of((of_rows(row())[:-30],))
    assert root_of((of_rows(row()),)) == "FlexQueryResponse"


def test_a_document_type_in_pieces_of_one_byte_is_refused() -> None:
    hidden = b"<!-- x --><!DOCTYPE x><FlexQueryResponse/>"
    with pytest.raises(UnknownPayload, match="document type"):
        for _ in checked(hidden[n : n + 1] for n in range(len(hidden))):
            pass
    allowed = b"<FlexQueryResponse/>"
    assert b"".join(checked(allowed[n : n + 1] for n in range(len(allowed)))) == allowed


def test_a_document_type_that_straddles_two_chunks_is_refused() -> None:
    padding = b" " * (CHUNK - 4)
    assert reason(padding + b"<!DOCTYPE x><FlexQueryResponse/>") == "doctype"
    assert tags(padding + b"<FlexQueryResponse/>") == []


def test_twenty_thousand_trades_are_read_in_little_memory() -> None:
    content = of_rows(*(row(transactionID=str(number)) for number in range(20_000)))
    delivery = FlexDelivery(Content.of((content,)), {}, RECEIVED)
    tracemalloc.start()
    count = sum(1 for record in delivery.records if record.kind is RecordKind.TRADES)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 8 * 1024 * 1024
