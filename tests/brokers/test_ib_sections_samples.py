"""Public sample statements: what is made of their other sections, against the XML read by another parser."""

import os
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from apex_pipeline.brokers.ib.delivery import FlexDelivery
from apex_pipeline.brokers.ib.links import linked
from apex_pipeline.domain.models import CashKind
from apex_pipeline.domain.records import Content, Normalized, Record, RecordKind
from apex_pipeline.errors import UnknownPayload
from tests.brokers.ib.sections import made_of
from tests.brokers.test_ib_links import executions_of

FOLDER = Path(os.environ.get("APEX_SAMPLES", "")) / "flex"
SAMPLES = sorted(FOLDER.glob("*.xml")) if os.environ.get("APEX_SAMPLES") else []
RECEIVED = datetime(2026, 3, 10, tzinfo=UTC)

pytestmark = pytest.mark.skipif(not SAMPLES, reason="needs APEX_SAMPLES, a folder with public sample statements")


def records_in(path: Path) -> list[Record]:
    """The newest version of each record, as the store keeps them; none of a file that is no statement."""
    try:
        told = list(FlexDelivery(Content.of((path.read_bytes(),)), {}, RECEIVED).records)
    except UnknownPayload:
        return []
    told.sort(key=lambda one: one.generated_at.isoformat() if one.generated_at else "")
    return list({(one.kind, one.account_id, one.key): one for one in told}.values())


def made_in(name: str) -> Normalized:
    return made_of(records_in(FOLDER / name))


def rows(path: Path, tag: str) -> list[dict[str, str]]:
    return [dict(element.attrib) for element in ET.parse(path).iter(tag)]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_booking_has_the_amount_currency_and_words_of_the_xml(path: Path) -> None:
    records = records_in(path)
    made = [one for one in made_of(records).cash_movements if one.kind is not CashKind.FX]
    if not records:
        pytest.skip("no statement")
    expected = Counter((one["type"], Decimal(one["amount"]), one["currency"]) for one in rows(path, "CashTransaction"))
    assert Counter((one.broker_kind, one.amount, one.currency) for one in made) == expected


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_row_of_a_section_is_made_or_refused(path: Path) -> None:
    records = records_in(path)
    if not records:
        pytest.skip("no statement")
    made, facts = made_of(records), made_of(records).statements
    counts = {
        "CorporateAction": len(facts.corporate_actions),
        "Transfer": len(facts.transfers),
        "ConversionRate": len(facts.conversion_rates),
        "ChangeInDividendAccrual": len(facts.dividend_accruals),
        "Lot": len(facts.broker_closed_lots),
    }
    assert counts == {tag: len(rows(path, tag)) for tag in counts}
    assert made.rejects == []


def test_the_cash_of_each_currency_is_that_of_the_report() -> None:
    for path in SAMPLES:
        if path.stem.startswith("malformed"):
            continue
        told = {
            row["currency"]: Decimal(row["endingCash"])
            for row in rows(path, "CashReportCurrency")
            if row["currency"] != "BASE_SUMMARY"
        }
        assert {one.currency: one.cash for one in made_of(records_in(path)).balances} == told


def test_every_number_of_a_cash_report_is_a_figure() -> None:
    told = rows(FOLDER / "gabbersepp_futures_day.xml", "CashReportCurrency")
    made = {one.subject: one.figures for one in made_in("gabbersepp_futures_day.xml").statements.broker_figures}
    assert len(made) == len(told) == 5
    names = {"accountId", "acctAlias", "model", "currency", "levelOfDetail", "fromDate", "toDate"}
    for row in told:
        expected = {name: Decimal(text) for name, text in row.items() if name not in names and text}
        assert made[row["currency"]] == expected


def test_the_conversion_that_was_cancelled_and_rebooked_moves_what_the_rebook_says() -> None:
    moved: dict[str | None, Decimal] = {}
    for one in made_in("pp_28_fx_cancel_rebook.xml").cash_movements:
        moved[one.currency] = moved.get(one.currency, Decimal(0)) + one.amount
    assert moved == {"USD": Decimal("-1145.929445"), "TWD": Decimal("34649.999995949")}


def test_an_old_assignment_without_an_id_of_its_own_finds_its_shares() -> None:
    trades = [one for one in records_in(FOLDER / "pp_02_option_assignment.xml") if one.kind is RecordKind.TRADES]
    made = linked(executions_of(trades))
    pair = [item.trade for item in made if item.trade.link_id is not None]
    assert sorted(trade.symbol for trade in pair) == ["US.ORCL", "US.ORCL 2017-09-15 P 50"]
    assert len({trade.link_id for trade in pair}) == 1


def test_lots_of_the_sample_tell_the_basis_that_the_xml_tells() -> None:
    made = made_in("uabean_beancount.xml").statements.broker_closed_lots
    told = rows(FOLDER / "uabean_beancount.xml", "Lot")
    assert Counter((one.qty, one.cost_basis, one.realized_pnl, one.open_trade_id) for one in made) == Counter(
        (Decimal(row["quantity"]), Decimal(row["cost"]), Decimal(row["fifoPnlRealized"]), row["transactionID"])
        for row in told
    )
