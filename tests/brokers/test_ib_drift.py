"""Words that no rule knows are told once a day, and their rows load."""

import os
from dataclasses import fields
from datetime import date
from pathlib import Path

import pytest
from ibflex import Types, enums
from ibflex.parser import ISO4217

from apex_pipeline.brokers.ib import vocabulary
from apex_pipeline.brokers.ib.normalize import normalize
from apex_pipeline.brokers.ib.port import IbBroker
from apex_pipeline.brokers.ib.settings import IbSettings
from apex_pipeline.brokers.ib.simulator import FlexSimulator
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.models import Broker, Side
from apex_pipeline.domain.records import Ask, WholeDelivery
from apex_pipeline.errors import UnknownPayload
from tests.brokers.ib.statements import ACCOUNT, OPTION, delivered, document, normalized, of_rows, records_of, row
from tests.brokers.ib.statements import statement as statement_of

ORDER = {"tag": "Order", "levelOfDetail": "ORDER", "transactionID": "", "ibExecID": ""}
UNWRITTEN = {"EEK", "LVL", "USS", "ZMK", "XBA", "XBB", "XBC", "XBD", "XTS", "XXX"}
"""Codes of ibflex that are no currency of a trade since 2015."""


def words(*rows: str) -> list[tuple[str, str]]:
    return [(drift.field, drift.value) for drift in normalized(*rows).drifts]


@pytest.mark.parametrize(
    "known",
    [
        row(), row(OPTION), row(**ORDER), row(without=["levelOfDetail", "notes", "buySell"]),
        row(notes="AFx;P, IA Po", openCloseIndicator="C;O", levelOfDetail="execution"),
        row(openCloseIndicator="C, O", putCall="-", currency="CNH", ibCommissionCurrency="--"),
        row(transactionType="TradeCancel", notes="Ca", buySell="BUY (Ca.)", origTransactionID="8"),
        row(assetCategory="CMDTY", orderPlacementTime="", sedol="", rtn="", dateTime="02/03/2026;093105"),
    ],
)  # fmt: skip
def test_known_words_are_no_drift(known: str) -> None:
    assert words(known) == []


@pytest.mark.parametrize(
    ("field", "text", "word"),
    [
        ("transactionType", "MoonTrade", "MoonTrade"),
        ("assetCategory", "MOON", "MOON"),
        ("buySell", "BORROW", "BORROW"),
        ("putCall", "X", "X"),
        ("openCloseIndicator", "C;Q", "C;Q"),
        ("notes", "P;Zz;IA", "Zz"),
        ("currency", "USDT", "USDT"),
        ("ibCommissionCurrency", "XXX", "XXX"),
        ("moonPhase", "0.17", "moonPhase"),
        ("moonPhase", "", "moonPhase"),
    ],
)
def test_an_unknown_word_of_a_trade_is_told_and_the_trade_loads(field: str, text: str, word: str) -> None:
    made = normalized(row(**{field: text}))
    told = "_unknown" if field == "moonPhase" else field
    (drift,) = made.drifts
    assert (drift.broker, drift.kind, drift.account_id) == (Broker.IB, "trades", ACCOUNT)
    assert (drift.business_date, drift.field, drift.value) == (date(2026, 3, 2), told, word)
    assert (drift.records, drift.example_key) == (1, "9001")
    assert (len(made.trades), len(made.fees), made.rejects) == (1, 1, [])
    assert made.trades[0].side == Side.BUY


def test_a_new_attribute_is_one_word_whatever_its_values() -> None:
    rows = [row(transactionID=f"{number}", ibExecID=f"a.{number}.01.01", moonPhase=f"{number}") for number in range(9)]
    (drift,) = normalized(*rows).drifts
    assert (drift.field, drift.value, drift.records) == ("_unknown", "moonPhase", 9)


def test_words_of_orders_are_told_and_the_orders_load() -> None:
    made = normalized(row(), row(**{**ORDER, "levelOfDetail": "BASKET", "moonPhase": "", "notes": "Zz"}))
    assert [(drift.kind, drift.field, drift.value) for drift in made.drifts] == [
        ("orders", "_unknown", "moonPhase"), ("orders", "levelOfDetail", "BASKET"), ("orders", "notes", "Zz"),
    ]  # fmt: skip
    assert ([order.broker_order_id for order in made.orders], made.rejects) == (["5001"], [])


def test_one_row_counts_the_records_of_an_account_and_day_and_names_the_first() -> None:
    new = {"notes": "Zz"}
    records = records_of(
        row(transactionID="9003", ibExecID="a.3.01.01", **new),
        row(transactionID="9002", ibExecID="a.2.01.01", **new),
        row(),
        row(transactionID="9009", ibExecID="a.9.01.01", tradeDate="20260303", **new),
        row(transactionID="9008", ibExecID="a.8.01.01", accountId="U2", **new),
    )
    made = normalize(records)
    assert [(d.account_id, d.business_date.day, d.records, d.example_key) for d in made.drifts] == [
        (ACCOUNT, 2, 2, "9002"), (ACCOUNT, 3, 1, "9009"), ("U2", 2, 1, "9008"),
    ]  # fmt: skip
    assert normalize(records[::-1]).drifts == made.drifts


def test_what_a_later_version_no_longer_says_is_not_told() -> None:
    first = delivered(document(statement_of(row(notes="Zz"), whenGenerated="20260309;050000")))
    later = delivered(document(statement_of(row(), whenGenerated="20260310;050000")))
    assert normalize([*first.records, *later.records]).drifts == []
    assert [drift.value for drift in normalize(first.records).drifts] == ["Zz"]


def test_a_word_of_a_quarantined_row_is_told_as_well() -> None:
    made = normalized(row(quantity="ten", transactionType="MoonTrade"))
    assert [drift.value for drift in made.drifts] == ["MoonTrade"]
    assert [reject.kind for reject in made.rejects] == ["trades"]


def test_long_words_are_cut() -> None:
    assert [value for _, value in words(row(putCall="X" * 999))] == ["X" * 120]


def notes(*rows: str) -> list[str]:
    return list(delivered(of_rows(*rows)).notes)


@pytest.mark.parametrize(
    ("strange", "named"),
    [
        (row(levelOfDetail="BASKET"), "Trade of level BASKET"),
        (row(tag="Novelty", levelOfDetail="EXECUTION"), "Novelty of level EXECUTION"),
        (row(tag="Novelty", without=["levelOfDetail"]), "Novelty"),
    ],
)
def test_a_new_kind_of_row_among_the_trades_is_told_in_a_note(strange: str, named: str) -> None:
    assert notes(row(), strange) == [f"{named} is new in Trades: its 1 rows are kept as they are"]


def test_check_data_among_the_trades_is_no_news() -> None:
    levels = {"Lot": "CLOSED_LOT", "SymbolSummary": "SYMBOL_SUMMARY", "WashSale": "WASH_SALE", "Order": "ORDER"}
    others = [row(tag=tag, levelOfDetail=level) for tag, level in levels.items()]
    assert notes(row(), row(levelOfDetail="-", transactionID="2"), row(levelOfDetail="CLOSED_LOT"), *others) == []


def test_a_new_section_is_told_even_while_it_is_empty() -> None:
    body = statement_of(f"{row()}</Trades><Novelties /><CashReport /><Trades>")
    assert delivered(document(body)).notes == ["section Novelties is new: it is empty"]


def test_the_catalogue_of_ibflex_is_known() -> None:
    theirs = {field.name for row_type in (Types.Trade, Types.Order) for field in fields(row_type)}
    assert theirs <= vocabulary.ATTRIBUTES
    assert {code.value for code in enums.Code} <= vocabulary.NOTES
    assert {kind.value for kind in enums.TradeType} <= vocabulary.TRANSACTION_TYPES
    assert {side.value.upper() for side in enums.BuySell} == vocabulary.SIDES
    assert set(ISO4217) - UNWRITTEN <= vocabulary.CURRENCIES


def test_the_simulator_writes_no_unknown_word() -> None:
    scenario = generate(seed=11, orders=60, days=90, end=date(2026, 3, 9))
    with FlexSimulator(scenario, "a-token", "4711", time_scale=1000, today=date(2026, 3, 10)) as simulator:
        broker = IbBroker(IbSettings(simulator.url, "a-token", "4711", poll_seconds=0.01))
        (call,) = broker.plan(Ask(scenario.start, date(2026, 3, 9), date(2026, 3, 10)), (), ())
        with broker.connect(lambda _: None) as session:
            delivery = session.fetch(call)
            made = broker.normalize(list(delivery.records))
    assert (len(made.orders) > 0, made.drifts) == (True, [])
    assert [note for note in delivery.notes if " is new" in note] == []


def test_categories_that_load_without_an_asset_class_of_their_own_are_told() -> None:
    unmapped = {category.value for category in enums.AssetClass} - vocabulary.ASSET_CATEGORIES
    for category in unmapped:
        assert words(row(assetCategory=category)) == [("assetCategory", category)]


def samples() -> list[Path]:
    """Public sample statements that IB wrote, where a folder with them is named."""
    folder = os.environ.get("APEX_SAMPLES", "")
    found = sorted(Path(folder, "flex").glob("*.xml")) if folder else []
    return [path for path in found if not path.name.startswith(("invented_", "malformed_"))]


def readable(path: Path) -> WholeDelivery | None:
    try:
        return delivered(path.read_bytes())
    except UnknownPayload:
        return None


@pytest.mark.skipif(not samples(), reason="needs APEX_SAMPLES, a folder with public sample statements")
def test_public_statements_hold_no_unknown_word() -> None:
    told = [delivery for path in samples() if (delivery := readable(path)) is not None]
    assert sum(len(list(delivery.records)) for delivery in told) > 0
    assert [normalize(list(delivery.records)).drifts for delivery in told] == [[] for _ in told]
    assert [note for delivery in told for note in delivery.notes if " is new" in note] == []
