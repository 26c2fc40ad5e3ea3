"""What a person's Flex query leaves out is told, with what cannot be known without it."""

from dataclasses import replace
from datetime import date

from apex_pipeline.brokers.ib import section_words, vocabulary
from apex_pipeline.brokers.ib.delivery import FlexDelivery
from apex_pipeline.brokers.ib.query import NEEDED, as_markdown, gaps_of
from apex_pipeline.brokers.ib.sections import KNOWN_SECTIONS
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import Content, Record, RecordKind
from apex_pipeline.settings import PROJECT_DIR
from tests.brokers.ib.statements import ACCOUNT, RECEIVED, document, row, statement

FULL = {needed.section: [*needed.fields] for needed in NEEDED}


def query(sections: dict[str, list[str]], kind: str = "AF") -> Record:
    payload = {"_section": "_query", "query": "all", "type": kind, "sections": sections}
    return Record(RecordKind.SECTIONS, ACCOUNT, "_query/all", date(2026, 3, 6), payload)


def test_a_full_query_has_no_gap() -> None:
    assert gaps_of(query(FULL)) == []
    assert gaps_of(query({**FULL, "Novelties": ["moon"]})) == []


def test_a_missing_section_is_told_once_with_its_reason() -> None:
    (gap,) = gaps_of(query({name: names for name, names in FULL.items() if name != "CashReport"}))
    assert (gap.section, gap.field, gap.query, gap.broker) == ("CashReport", "", "all", Broker.IB)
    assert gap.needed_for.startswith("the cash of each currency")
    assert (gap.account_id, gap.business_date) == (ACCOUNT, date(2026, 3, 6))


def test_a_missing_field_is_told_with_its_reason() -> None:
    trades = [name for name in FULL["Trades"] if name not in ("transactionID", "origTradeID")]
    first, second = gaps_of(query({**FULL, "Trades": trades}))
    assert (first.section, first.field) == ("Trades", "transactionID")
    assert "rows are known by their content only" in first.needed_for
    assert second.field == "origTradeID"
    assert first.gap_uid != second.gap_uid


def test_a_section_without_rows_tells_nothing_of_its_fields() -> None:
    assert gaps_of(query({**FULL, "Trades": []})) == []


def test_a_query_for_confirmations_has_no_gaps() -> None:
    assert gaps_of(query({"TradeConfirms": ["execID"]}, kind="TCF")) == []
    assert len(gaps_of(query({"TradeConfirms": ["execID"]}))) == len(NEEDED)


def test_the_reader_tells_what_a_query_delivers() -> None:
    content = Content.of((document(statement(row())),))
    (told,) = [one for one in FlexDelivery(content, {}, RECEIVED).records if one.payload.get("_section") == "_query"]
    gaps = gaps_of(told)
    assert {gap.section for gap in gaps if not gap.field} == FULL.keys() - {"Trades"}
    assert {gap.field for gap in gaps if gap.section == "Trades"} == {
        "cost", "expiry", "fifoPnlRealized", "fxRateToBase", "netCash", "openDateTime", "proceeds", "putCall", "strike",
        "underlyingSymbol",
    }  # fmt: skip
    assert gaps_of(replace(told, payload={**told.payload, "type": "TCF"})) == []


def test_every_needed_section_and_field_exists() -> None:
    assert FULL.keys() <= KNOWN_SECTIONS
    for needed in NEEDED:
        tags = section_words.TAGS.get(needed.section, frozenset({needed.section}))
        known = frozenset().union(*(section_words.ATTRIBUTES.get(tag, frozenset()) for tag in tags))
        known = vocabulary.ATTRIBUTES if needed.section == "Trades" else known
        assert needed.fields.keys() <= known | ({""} if needed.fields else set()), needed.section


def test_the_query_is_written_down_for_people() -> None:
    text = as_markdown()
    assert all(f"`{needed.section}`" in text for needed in NEEDED)
    assert all(f"`{name}`" in text for needed in NEEDED for name in needed.fields)
    assert {line.count("|") for line in text.splitlines()} == {6}


def test_the_documentation_shows_the_query_that_is_checked() -> None:
    page = (PROJECT_DIR / "docs" / "connecting.md").read_text("utf-8")
    assert as_markdown() in page
