"""A statement's own sums keep every number under IB's names."""

from datetime import date
from decimal import Decimal

import pytest

from apex_pipeline.domain.records import Normalized
from tests.brokers.ib.sections import APPLE, facts
from tests.brokers.ib.statements import ACCOUNT, STOCK, row

ABOUT = {key: value for key, value in APPLE.items() if key != "currency"}
FIFO = {**ABOUT, "accountId": ACCOUNT, "totalRealizedPnl": "12.5", "totalUnrealizedPnl": "-3", "reportDate": "20260306"}


def fifo(**changes: str) -> str:
    return row(FIFO, tag="FIFOPerformanceSummaryUnderlying", **changes)


def test_every_number_of_a_row_is_kept_exact_and_ids_and_dates_are_none() -> None:
    (made,) = facts(fifo(), "FIFOPerformanceSummaryInBase").statements.broker_figures
    assert made.figures == {
        "totalRealizedPnl": Decimal("12.5"), "totalUnrealizedPnl": Decimal(-3), "multiplier": Decimal(1),
    }  # fmt: skip
    assert (made.section, made.subject) == ("FIFOPerformanceSummaryInBase", "US.AAPL")
    assert (made.from_date, made.to_date, made.business_date) == (
        date(2026, 3, 2), date(2026, 3, 6), date(2026, 3, 6),
    )  # fmt: skip
    assert made.figures_uid == f"IB_{ACCOUNT}_FIFOPerformanceSummaryInBase/2026-03-02/2026-03-06/265598"


def test_a_contract_that_cannot_be_placed_keeps_ibs_own_symbol() -> None:
    (made,) = facts(fifo(listingExchange=""), "FIFOPerformanceSummaryInBase").statements.broker_figures
    assert made.subject == "AAPL"


def test_totals_are_about_their_asset_category_or_the_account() -> None:
    rows = [
        fifo(symbol="", conid="", description="Total"),
        fifo(symbol="", conid="", assetCategory="", description="Total (All Assets)"),
    ]
    made = facts("".join(rows), "FIFOPerformanceSummaryInBase").statements.broker_figures
    assert [one.subject for one in made] == ["STK", ""]
    assert len({one.figures_uid for one in made}) == 2


def test_two_rows_of_one_thing_are_both_kept() -> None:
    made = facts(fifo() + fifo(totalRealizedPnl="1"), "FIFOPerformanceSummaryInBase").statements.broker_figures
    assert len({one.figures_uid for one in made}) == 2


def test_the_cash_report_is_about_currencies() -> None:
    rows = "".join(
        row({"accountId": ACCOUNT, "currency": currency, "endingCash": "5", "commissionsMTD": "-1", "dividends": ""},
            tag="CashReportCurrency")
        for currency in ("BASE_SUMMARY", "USD")
    )  # fmt: skip
    made = facts(rows, "CashReport").statements.broker_figures
    assert [(one.subject, one.currency) for one in made] == [("BASE_SUMMARY", "BASE_SUMMARY"), ("USD", "USD")]
    assert made[1].figures == {"endingCash": Decimal(5), "commissionsMTD": Decimal(-1)}


def test_the_worth_of_the_account_has_no_subject() -> None:
    told = {"accountId": ACCOUNT, "reportDate": "20260305", "currency": "USD", "total": "10", "cash": "4"}
    (made,) = facts(row(told, tag="EquitySummaryByReportDateInBase"), "EquitySummaryInBase").statements.broker_figures
    assert (made.subject, made.business_date, made.from_date) == ("", date(2026, 3, 5), None)
    assert made.figures == {"total": Decimal(10), "cash": Decimal(4)}


def test_a_new_number_is_kept_and_a_new_text_is_not() -> None:
    told = fifo(moonPnl="7", moonName="seven", moonID="8", moonDate="20260306")
    (made,) = facts(told, "FIFOPerformanceSummaryInBase").statements.broker_figures
    assert made.figures["moonPnl"] == Decimal(7)
    assert not {"moonName", "moonID", "moonDate"} & made.figures.keys()


@pytest.mark.parametrize("text", ["1,250", "NaN", "1E+400", "abc"])
def test_a_known_number_that_cannot_be_read_refuses_its_row_only(text: str) -> None:
    made = facts(fifo(totalRealizedPnl=text) + fifo(conid="1", symbol="IBM"), "FIFOPerformanceSummaryInBase")
    assert [one.subject for one in made.statements.broker_figures] == ["US.IBM"]
    assert [one.key for one in made.rejects] == ["FIFOPerformanceSummaryInBase/2026-03-02/2026-03-06#1"]


@pytest.mark.parametrize(
    ("tag", "level"),
    [("SymbolSummary", "SYMBOL_SUMMARY"), ("AssetSummary", "ASSET_SUMMARY"), ("WashSale", "WASH_SALE")],
)
def test_sums_among_the_trades_are_figures(tag: str, level: str) -> None:
    made = among_trades(row(STOCK, tag=tag, levelOfDetail=level, transactionID="", ibExecID="", fifoPnlRealized="4"))
    (figures,) = made.statements.broker_figures
    assert (figures.section, figures.subject) == ("Trades", "US.AAPL")
    assert figures.figures["fifoPnlRealized"] == Decimal(4)
    assert not {"transactionID", "conid", "tradeDate", "tradeID"} & figures.figures.keys()


def among_trades(text: str) -> Normalized:
    return facts(text, "Trades")
