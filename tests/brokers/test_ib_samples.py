"""Public sample statements, loaded through the importer: no element gets lost, and values are those of ibflex."""

import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ibflex import Types, parser

from apex_pipeline import settings
from apex_pipeline.live import Database
from apex_pipeline.live.files import FileResult, StatementImporter
from tests.cli.sql import rows

KEPT = ("trades_raw_ib", "orders_raw_ib", "cash_raw_ib", "positions_raw_ib", "balances_raw_ib", "sections_raw_ib",
        "provisional_raw_ib", "raw_versions", "quarantine")  # fmt: skip
"""Where the rows of a statement are kept; fees repeat attributes of trades."""

Row = frozenset[tuple[str, str]]
"""The attributes of one element."""

_FOLDER = os.environ.get("APEX_SAMPLES", "")
SAMPLES = sorted(Path(_FOLDER, "flex").glob("*.xml")) if _FOLDER else []
pytestmark = pytest.mark.skipif(not SAMPLES, reason="APEX_SAMPLES names no folder with flex/*.xml")


def parsed(path: Path) -> ElementTree.Element | None:
    """The document as Python's own parser reads it; None if it is no XML."""
    try:
        return ElementTree.parse(path).getroot()
    except ElementTree.ParseError:
        return None


WHOLE = [path for path in SAMPLES if parsed(path) is not None]
BROKEN = [path for path in SAMPLES if parsed(path) is None]


def imported(db: Database, path: Path) -> FileResult:
    """Load one file."""
    config = settings.load(environ={}, config_file=Path("no.yaml"))
    (told,) = StatementImporter(db, config).load_paths([path]).files
    return told


def elements(root: ElementTree.Element) -> Iterator[tuple[str, Row]]:
    """Section and attributes of every element with attributes inside a statement."""
    for statement in root.iter("FlexStatement"):
        for section in statement:
            yield from ((section.tag, _row(one.attrib)) for one in section.iter() if one.attrib)


def _row(told: dict[str, Any]) -> Row:
    return frozenset((name, str(value)) for name, value in told.items() if not name.startswith("_"))


def kept_rows(url: str) -> Counter[Row]:
    """The attributes of every row that is stored anywhere, marks of ours left out."""
    payloads = [row["payload"] for table in KEPT for row in rows(url, f"SELECT payload FROM {table}")]
    return Counter(found for payload in payloads for found in _rows_in(payload))


def _rows_in(payload: Any) -> Iterable[Row]:
    if isinstance(payload, dict):
        inner = [one for value in payload.values() if isinstance(value, list) for one in value]
        listed = [row for one in inner for row in _rows_in(one)]
        return listed or [_row(payload)]
    return []


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_every_element_of_a_sample_is_kept(db: Database, path: Path) -> None:
    root = parsed(path)
    assert root is not None
    told = imported(db, path)
    assert told.error is None
    should, have = Counter(row for _, row in elements(root)), kept_rows(db.url)
    # what one document tells several times, word for word, need be kept once only where it has an id
    lost = [dict(row) for row in should if not have[row]]
    assert lost == []


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_executions_of_a_sample_are_trades_or_in_quarantine(db: Database, path: Path) -> None:
    root = parsed(path)
    assert root is not None
    executions = [dict(row) for row in _executions(root)]
    assert imported(db, path).error is None
    named = {(one.get("accountId"), one["transactionID"]) for one in executions if one.get("transactionID")}
    nameless = sum(not one.get("transactionID") for one in executions)
    counted = {
        name: rows(db.url, f"SELECT count(*) FROM {name}")[0]["count"] for name in ("trades_raw_ib", "trades_norm")
    }
    refused = rows(db.url, "SELECT stage FROM quarantine WHERE kind = 'trades' AND resolved_at IS NULL")
    early = sum(row["stage"] == "ingest" for row in refused)
    assert counted["trades_raw_ib"] + early == len(named) + nameless
    assert counted["trades_norm"] + len(refused) == len(named) + nameless


def _executions(root: ElementTree.Element) -> list[Row]:
    found = [one for trades in root.iter("Trades") for one in trades.iter("Trade")]
    return [_row(one.attrib) for one in found if one.get("levelOfDetail", "EXECUTION") in ("", "EXECUTION")]


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_sample_that_is_no_xml_is_refused_in_one_line(db: Database, path: Path) -> None:
    told = imported(db, path)
    assert told.error
    assert "\n" not in told.error
    assert [rows(db.url, f"SELECT count(*) FROM {table}")[0]["count"] for table in KEPT] == [0] * len(KEPT)


def test_some_samples_are_broken_and_most_are_not() -> None:
    assert BROKEN
    assert len(WHOLE) > len(BROKEN)


def read_by_ibflex(path: Path) -> Types.FlexQueryResponse:
    """What ibflex makes of a file; skips the test where it cannot read it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return parser.parse(str(path))  # pyright: ignore[reportUnknownMemberType] - ibflex does not type its argument
        except Exception:  # noqa: BLE001 - ibflex fails in many ways on statements it does not know
            pytest.skip("ibflex cannot read this statement")


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_trades_and_commissions_of_a_sample_are_those_of_ibflex(db: Database, path: Path) -> None:
    theirs = [one for told in read_by_ibflex(path).FlexStatements for one in told.Trades or () if _is_execution(one)]
    assert imported(db, path).error is None
    unique = list(_once(theirs))
    held = rows(db.url, "SELECT qty, price, currency, trade_date, settle_date FROM trades_norm")
    assert Counter(tuple(row.values()) for row in held) == Counter(map(_values, unique))
    paid = rows(db.url, "SELECT currency, sum(amount) AS sum FROM fees_norm WHERE fee_type = 'COMMISSION' GROUP BY 1")
    should: dict[str, Decimal] = defaultdict(Decimal)
    for one in unique:
        should[one.ibCommissionCurrency or one.currency] -= one.ibCommission or Decimal(0)
    assert {row["currency"]: row["sum"] for row in paid if row["sum"]} == {k: v for k, v in should.items() if v}


def _once(told: Iterable[Any]) -> Iterable[Any]:
    """Each row of ibflex once, where its ids say that it is told again."""
    by_id = {(one.accountId, one.transactionID) if one.transactionID else (id(one), ""): one for one in told}
    return by_id.values()


def _values(one: Any) -> tuple[Any, ...]:
    day = one.tradeDate or one.dateTime.date()  # a query without tradeDate
    return abs(one.quantity), one.tradePrice, one.currency, day, one.settleDateTarget


def _is_execution(trade: Any) -> bool:
    return type(trade).__name__ == "Trade" and str(trade.levelOfDetail) in ("EXECUTION", "None")


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_cash_of_a_sample_is_that_of_ibflex(db: Database, path: Path) -> None:
    told = [one for told in read_by_ibflex(path).FlexStatements for one in told.CashTransactions or ()]
    theirs = [one for one in told if str(one.levelOfDetail) != "SUMMARY"]
    assert imported(db, path).error is None
    # ibflex takes an older spelling for another
    text = "SELECT replace(broker_kind, '/', ' & ') AS words, amount, currency FROM cash_movements WHERE kind <> 'FX'"
    held = rows(db.url, text)
    assert Counter(tuple(row.values()) for row in held) == Counter(
        (one.type.value.replace("/", " & ") if one.type else None, one.amount, one.currency) for one in _once(theirs)
    )
