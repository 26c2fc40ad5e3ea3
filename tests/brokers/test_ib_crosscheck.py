"""Our values beside those of ibflex, wherever it can read the same document."""

import os
import warnings
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from ibflex import Types, parser

from apex_pipeline.brokers.ib.attributes import Attributes
from apex_pipeline.brokers.ib.normalize import normalize
from apex_pipeline.domain.records import RecordKind
from apex_pipeline.errors import UnknownPayload
from tests.brokers.ib.statements import OPTION, delivered, document, of_rows, row, statement

NEW_YORK = ZoneInfo("America/New_York")


def read_by_ibflex(content: bytes) -> Types.FlexQueryResponse:
    """What ibflex makes of a document."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return parser.parse(content)  # pyright: ignore[reportUnknownMemberType] - ibflex does not type its argument


def samples() -> list[Path]:
    """Public sample statements, where a folder with them is named."""
    folder = os.environ.get("APEX_SAMPLES", "")
    return sorted(Path(folder, "flex").glob("*.xml")) if folder else []


def compare(content: bytes) -> int:
    """The number of executions compared; asserts that each has the values ibflex reads."""
    theirs = [
        trade
        for told in read_by_ibflex(content).FlexStatements
        for trade in told.Trades
        if type(trade).__name__ == "Trade" and str(trade.levelOfDetail) in ("EXECUTION", "None")
    ]
    records = [item for item in delivered(content).records if item.kind is RecordKind.TRADES]
    assert len(records) == len(theirs)
    for record, trade in zip(records, theirs, strict=True):
        own = Attributes(record)
        for name in ("quantity", "tradePrice", "ibCommission", "taxes", "strike", "multiplier", "netCash"):
            assert own.number(name) == getattr(trade, name), (record.key, name)
        for name in ("tradeDate", "expiry", "settleDateTarget"):
            assert own.date(name) == getattr(trade, name), (record.key, name)
        for name in ("symbol", "conid", "ibExecID", "ibOrderID"):
            assert own.text(name) == getattr(trade, name), (record.key, name)
        if trade.dateTime is not None:
            assert own.instant("dateTime") == trade.dateTime.replace(tzinfo=NEW_YORK).astimezone(UTC)
    return len(records)


def test_our_statements_read_the_same_in_ibflex() -> None:
    rows = (
        row(),
        row(OPTION, dateTime="2026-07-02;10:15:00"),
        row(quantity="-0.038", tradePrice="288.98", ibCommission="0", transactionID="9002"),
    )
    assert compare(of_rows(*rows)) == 3
    assert compare(document(statement(row()), statement(row(accountId="U2"), accountId="U2"))) == 2


def test_the_comparison_sees_a_difference() -> None:
    with pytest.raises((AssertionError, UnknownPayload)):
        _ = compare(of_rows(row(quantity="10,5")))


@pytest.mark.parametrize("path", samples(), ids=lambda path: path.stem)
def test_public_samples_read_the_same_in_ibflex(path: Path) -> None:
    content = path.read_bytes()
    try:
        _ = read_by_ibflex(content)
    except Exception:  # noqa: BLE001 - ibflex fails in many ways on statements it does not know
        pytest.skip("ibflex cannot read this statement")
    _ = compare(content)


@pytest.mark.parametrize("path", samples(), ids=lambda path: path.stem)
def test_public_samples_load_without_a_loss(path: Path) -> None:
    if path.stem == "malformed_unclosed_section":
        with pytest.raises(UnknownPayload):
            _ = delivered(path.read_bytes())
        return
    delivery = delivered(path.read_bytes())
    result = normalize(delivery.records)
    kinds = [item.kind for item in delivery.records]
    assert delivery.rejects == []
    assert result.rejects == []
    assert len(result.trades) == kinds.count(RecordKind.TRADES)
    assert all(order.filled_qty is not None for order in result.orders)
