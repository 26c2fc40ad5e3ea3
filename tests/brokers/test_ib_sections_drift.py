"""Words of the other sections that no rule knows are told once a day, and their rows load."""

import time
from dataclasses import fields, is_dataclass, replace

import pytest
from ibflex import Types, enums

from apex_pipeline.brokers.ib import section_words
from apex_pipeline.brokers.ib.cash import CASH_TYPES
from apex_pipeline.brokers.ib.drift import drifts
from apex_pipeline.domain.records import Record
from tests.brokers.ib.sections import CASH, LOT, POSITION, records_in
from tests.brokers.ib.statements import ACCOUNT, row
from tests.brokers.test_ib_sections_rows import ACCRUAL, ASSIGNED, CLOSED, FUNDS, RATE, SECURITY, SPLIT, TRANSFER

ROWS = {
    "CashTransactions": ("CashTransaction", CASH),
    "ChangeInDividendAccruals": ("ChangeInDividendAccrual", ACCRUAL),
    "ConversionRates": ("ConversionRate", RATE),
    "CorporateActions": ("CorporateAction", SPLIT),
    "OpenPositions": ("OpenPosition", LOT),
    "OptionEAE": ("OptionEAE", ASSIGNED),
    "SecuritiesInfo": ("SecurityInfo", SECURITY),
    "StmtFunds": ("StatementOfFundsLine", FUNDS),
    "Trades": ("Lot", CLOSED),
    "Transfers": ("Transfer", TRANSFER),
}


def words(section: str, **changes: str) -> list[tuple[str, str, str]]:
    tag, base = ROWS[section]
    return told(records_in(row(base, tag=tag, **changes), section))


def told(records: list[Record]) -> list[tuple[str, str, str]]:
    return [(one.kind, one.field, one.value) for one in drifts(records)]


@pytest.mark.parametrize("section", ROWS)
def test_known_words_are_no_drift(section: str) -> None:
    assert words(section) == []


@pytest.mark.parametrize(
    ("section", "kind", "field", "text"),
    [
        ("CashTransactions", "cash", "type", "Moon Dust"),
        ("CashTransactions", "cash", "currency", "USDT"),
        ("CorporateActions", "sections", "type", "ZZ"),
        ("OptionEAE", "sections", "transactionType", "Evaporation"),
        ("Transfers", "sections", "type", "PIGEON"),
        ("Transfers", "sections", "direction", "UP"),
        ("OpenPositions", "positions", "side", "Sideways"),
        ("OpenPositions", "positions", "assetCategory", "MOON"),
        ("ChangeInDividendAccruals", "sections", "code", "Zz"),
        ("ConversionRates", "sections", "fromCurrency", "MOO"),
        ("Trades", "sections", "notes", "Zz"),
        ("StmtFunds", "sections", "levelOfDetail", "Galaxy"),
    ],
)
def test_a_new_word_is_told_with_the_field_it_stands_in(section: str, kind: str, field: str, text: str) -> None:
    assert words(section, **{field: text}) == [(kind, field, text)]


@pytest.mark.parametrize("section", ROWS)
def test_a_new_attribute_is_told_by_its_name(section: str) -> None:
    assert [word[1:] for word in words(section, moonPhase="full")] == [("_unknown", "moonPhase")]


def test_a_new_section_and_a_new_element_are_told() -> None:
    strange = row({"accountId": ACCOUNT, "reportDate": "20260304", "x": "1"}, tag="Novelty")
    assert told(records_in(strange, "Novelties")) == [("sections", "_section", "Novelties")]
    assert told(records_in(strange, "StmtFunds")) == [("sections", "_tag", "Novelty")]


def test_words_are_told_once_for_a_snapshot() -> None:
    body = row(POSITION, tag="OpenPosition", side="Sideways") + row(LOT, tag="OpenPosition", side="Sideways")
    (made,) = drifts(records_in(body, "OpenPositions"))
    assert (made.records, made.example_key) == (1, "flex:2026-03-06")


def test_what_another_interface_told_has_words_of_its_own() -> None:
    (record,) = records_in(row(POSITION, tag="OpenPosition", side="Sideways"), "OpenPositions")
    assert len(told([record])) == 1
    assert told([replace(record, payload={**record.payload, "_source": "TWS"})]) == []


def test_the_catalogue_of_ibflex_is_known() -> None:
    for tag, known in section_words.ATTRIBUTES.items():
        theirs = getattr(Types, tag, None)
        if theirs is not None and is_dataclass(theirs):
            assert {field.name for field in fields(theirs)} <= known, tag
    assert {kind.value.lower() for kind in enums.CashAction} <= CASH_TYPES.keys()
    assert {kind.value for kind in enums.Reorg} <= section_words.CORPORATE_ACTIONS
    assert {kind.value for kind in enums.OptionAction} <= section_words.OPTION_EVENTS
    assert {kind.value for kind in enums.TransferType} <= section_words.TRANSFER_TYPES


def test_twenty_thousand_lines_are_judged_within_two_seconds() -> None:
    line = records_in(row(FUNDS, tag="StatementOfFundsLine"), "StmtFunds")[0]
    lines = [replace(line, key=str(number)) for number in range(20_000)]
    begun = time.perf_counter()
    assert drifts(lines) == []
    assert time.perf_counter() - begun < 2
