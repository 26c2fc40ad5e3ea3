"""A statement proves itself: its sums close to the last digit over any window, for several seeds, from its own rows."""

import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise

import pytest

from apex_pipeline.brokers.ib.statement_writer import StatementWriter
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.brokers.scenario_generator import generate

END = date(2026, 7, 31)
NOW = datetime(2026, 8, 1, 10, 0, tzinfo=UTC)
DAY = timedelta(1)
ZERO = Decimal(0)
CASES = [(seed, extras) for seed in (1, 23) for extras in (False, True)]
WINDOWS = [
    (date(2026, 2, 1), END),
    (date(2026, 3, 14), date(2026, 3, 15)),
    (date(2026, 4, 17), date(2026, 5, 18)),
    (date(2026, 5, 15), date(2026, 5, 15)),
    (date(2026, 6, 20), date(2026, 7, 5)),
    (date(2026, 1, 1), date(2026, 8, 20)),
]
Statement = ET.Element
both = pytest.mark.parametrize(("seed", "extras"), CASES)
everywhere = pytest.mark.parametrize("window", WINDOWS, ids=str)


@cache
def scenario(seed: int) -> Scenario:
    return generate(seed, 260, 181, END)


@cache
def writer(seed: int, extras: bool) -> StatementWriter:
    return StatementWriter(scenario(seed), extras=extras)


@cache
def statements(seed: int, extras: bool, window: tuple[date, date]) -> list[Statement]:
    body = writer(seed, extras).render(*window, NOW)
    return ET.fromstring(body).findall("FlexStatements/FlexStatement")


def rows(statement: Statement, element: str, **wanted: str) -> list[dict[str, str]]:
    found = [dict(item.attrib) for item in statement.iter(element) if item.attrib]
    return [row for row in found if all(row[name] == text for name, text in wanted.items())]


def of(row: Mapping[str, str], name: str) -> Decimal:
    return Decimal(row[name])


def rates(statement: Statement) -> dict[tuple[str, str], Decimal]:
    told = {(r["fromCurrency"], r["reportDate"]): of(r, "rate") for r in rows(statement, "ConversionRate")}
    return told | {("USD", day): Decimal(1) for _, day in told}


BALANCES = ("startingCash", "endingCash", "endingSettledCash", "depositWithdrawals")


def moved(row: Mapping[str, str]) -> Decimal:
    """What a cash report's components sum to; `depositWithdrawals` repeats two of them."""
    parts = [n for n in row if f"{n}Sec" in row and n not in BALANCES]
    return sum((of(row, name) for name in parts), ZERO)


@both
@everywhere
def test_cash_of_each_currency_is_what_was_there_and_what_moved(
    seed: int, extras: bool, window: tuple[date, date]
) -> None:
    for statement in statements(seed, extras, window):
        report = rows(statement, "CashReportCurrency")
        assert [r["currency"] for r in report] == ["BASE_SUMMARY", "HKD", "USD"]
        for row in report:
            assert of(row, "startingCash") + moved(row) == of(row, "endingCash")
            assert of(row, "deposits") + of(row, "withdrawals") == of(row, "depositWithdrawals")


@both
def test_the_cash_of_one_window_is_where_the_next_begins(seed: int, extras: bool) -> None:
    cuts = [date(2026, 1, 31), date(2026, 3, 1), date(2026, 3, 31), date(2026, 5, 17), date(2026, 6, 12), END]
    told = [statements(seed, extras, (a + DAY, b)) for a, b in pairwise(cuts)]
    for account in range(2):
        for before, after in pairwise(told):
            ended = rows(before[account], "CashReportCurrency")
            began = rows(after[account], "CashReportCurrency")
            assert [r["endingCash"] for r in ended] == [r["startingCash"] for r in began]
            (nav,), (next_nav,) = rows(before[account], "ChangeInNAV"), rows(after[account], "ChangeInNAV")
            assert nav["endingValue"] == next_nav["startingValue"]


@both
@everywhere
def test_the_statement_of_funds_runs_from_the_starting_to_the_ending_cash(
    seed: int, extras: bool, window: tuple[date, date]
) -> None:
    for statement in statements(seed, extras, window):
        for report in rows(statement, "CashReportCurrency"):
            base = report["currency"] == "BASE_SUMMARY"
            level, currency = ("BaseCurrency", "USD") if base else ("Currency", report["currency"])
            lines = rows(statement, "StatementOfFundsLine", levelOfDetail=level, currency=currency)
            assert lines[0]["activityDescription"] == "Starting Balance"
            assert lines[0]["balance"] == report["startingCash"]
            assert lines[-1]["balance"] == report["endingCash"]
            for before, line in pairwise(lines[:-1]):
                assert of(line, "balance") == of(before, "balance") + of(line, "amount")
                assert line["amount"] in (line["debit"], line["credit"])


@both
@everywhere
def test_what_is_in_the_cash_report_is_what_trades_and_bookings_say(
    seed: int, extras: bool, window: tuple[date, date]
) -> None:
    for statement in statements(seed, extras, window):
        sums: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for row in rows(statement, "Trade"):
            sums["traded", row["currency"]] += of(row, "proceeds")
            sums["commissions", row["ibCommissionCurrency"]] += of(row, "ibCommission")
            sums["transactionTax", row["currency"]] += of(row, "taxes")
            if row["assetCategory"] == "CASH":
                assert row["netCash"] == "0"
                sums["traded", "USD"] += of(row, "quantity")
        for row in rows(statement, "CashTransaction", levelOfDetail="DETAIL"):
            sums[row["type"], row["currency"]] += of(row, "amount")
        for row in rows(statement, "Transfer"):
            sums["transfer", row["currency"]] += of(row, "cashTransfer")
        for report in rows(statement, "CashReportCurrency", levelOfDetail="Currency"):
            currency = report["currency"]
            assert of(report, "netTradesSales") + of(report, "netTradesPurchases") == sums["traded", currency]
            assert of(report, "commissions") == sums["commissions", currency]
            assert of(report, "transactionTax") == sums["transactionTax", currency]
            assert of(report, "depositWithdrawals") == sums["Deposits/Withdrawals", currency]
            assert of(report, "dividends") == sums["Dividends", currency]
            assert of(report, "paymentInLieu") == sums["Payment In Lieu Of Dividends", currency]
            assert of(report, "withholdingTax") == sums["Withholding Tax", currency]
            assert of(report, "otherFees") == sums["Other Fees", currency]
            interest = sums["Broker Interest Received", currency] + sums["Broker Interest Paid", currency]
            assert of(report, "brokerInterest") == interest
            assert of(report, "internalTransfers") == sums["transfer", currency]


NOT_PARTS = {
    "accountId", "acctAlias", "model", "currency", "fromDate", "toDate", "startingValue", "endingValue", "twr",
    "realized", "changeInUnrealized",
}  # fmt: skip


@both
@everywhere
def test_the_net_asset_value_is_bridged_by_its_parts(seed: int, extras: bool, window: tuple[date, date]) -> None:
    for statement in statements(seed, extras, window):
        (nav,) = rows(statement, "ChangeInNAV")
        parts = sum((of(nav, name) for name in nav if name not in NOT_PARTS), ZERO)
        assert of(nav, "startingValue") + parts == of(nav, "endingValue")
        (base,) = rows(statement, "CashReportCurrency", currency="BASE_SUMMARY")
        for name in ("commissions", "withholdingTax", "otherFees", "transactionTax"):
            assert base[name] == nav[name]
        assert (base["brokerInterest"], base["depositWithdrawals"]) == (nav["interest"], nav["depositsWithdrawals"])


@both
@everywhere
def test_the_last_equity_is_positions_cash_and_accruals_at_the_rates_of_the_day(
    seed: int, extras: bool, window: tuple[date, date]
) -> None:
    for statement in statements(seed, extras, window):
        equity = rows(statement, "EquitySummaryByReportDateInBase")
        (nav,) = rows(statement, "ChangeInNAV")
        if not equity:
            continue
        last = equity[-1]
        assert last["total"] == nav["endingValue"]
        assert of(last, "total") == of(last, "totalLong") + of(last, "totalShort")
        held: defaultdict[str, Decimal] = defaultdict(Decimal)
        for row in rows(statement, "OpenPosition", levelOfDetail="SUMMARY"):
            held[row["assetCategory"]] += of(row, "positionValue") * of(row, "fxRateToBase")
        accrued = sum(
            (of(r, "netAmount") * of(r, "fxRateToBase") for r in rows(statement, "OpenDividendAccrual")), ZERO
        )
        (base,) = rows(statement, "CashReportCurrency", currency="BASE_SUMMARY")
        assert (of(last, "stock"), of(last, "options")) == (held["STK"], held["OPT"])
        assert of(last, "dividendAccruals") == accrued
        assert last["cash"] == base["endingCash"]


@both
def test_each_day_of_equity_is_the_day_before_and_that_days_bridge(seed: int, extras: bool) -> None:
    window = (date(2026, 4, 1), date(2026, 4, 30))
    for account, statement in enumerate(statements(seed, extras, window)):
        for before, row in pairwise(rows(statement, "EquitySummaryByReportDateInBase")):
            first = date.fromisoformat(before["reportDate"]) + DAY
            own = statements(seed, extras, (first, date.fromisoformat(row["reportDate"])))[account]
            (nav,) = rows(own, "ChangeInNAV")
            assert (nav["startingValue"], nav["endingValue"]) == (before["total"], row["total"])


@both
@everywhere
def test_realized_gains_are_those_of_the_trades_and_of_their_lots(
    seed: int, extras: bool, window: tuple[date, date]
) -> None:
    for statement in statements(seed, extras, window):
        by_conid: defaultdict[str, Decimal] = defaultdict(Decimal)
        in_lots: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
        in_trades: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
        for row in rows(statement, "Trade"):
            by_conid[row["conid"]] += of(row, "fifoPnlRealized") * of(row, "fxRateToBase")
            in_trades[row["conid"], row["dateTime"], row["buySell"]] += of(row, "fifoPnlRealized")
        for row in rows(statement, "Lot"):
            in_lots[row["conid"], row["dateTime"], row["buySell"]] += of(row, "fifoPnlRealized")
        told = {r["conid"]: r for r in rows(statement, "FIFOPerformanceSummaryUnderlying")}
        total = told.pop("")
        assert {c: of(r, "totalRealizedPnl") for c, r in told.items() if of(r, "totalRealizedPnl")} == {
            conid: gain for conid, gain in by_conid.items() if gain
        }
        assert of(total, "totalRealizedPnl") == sum(by_conid.values(), ZERO)
        assert {k: v for k, v in in_lots.items() if v} == {k: v for k, v in in_trades.items() if v}


@both
def test_positions_are_the_roll_of_the_executions(seed: int, extras: bool) -> None:
    start = scenario(seed).start
    for last in (date(2026, 3, 13), date(2026, 5, 15), date(2026, 5, 18), END):
        for statement in statements(seed, extras, (start, last)):
            rolled: defaultdict[str, Decimal] = defaultdict(Decimal)
            for row in rows(statement, "Trade"):
                if row["assetCategory"] != "CASH":
                    rolled[row["conid"]] += of(row, "quantity")
            shown = {r["conid"]: of(r, "position") for r in rows(statement, "OpenPosition", levelOfDetail="SUMMARY")}
            assert shown == {conid: qty for conid, qty in rolled.items() if qty}


@both
@everywhere
def test_open_lots_sum_to_their_position(seed: int, extras: bool, window: tuple[date, date]) -> None:
    for statement in statements(seed, extras, window):
        for name in ("position", "costBasisMoney", "positionValue", "fifoPnlUnrealized"):
            by_level: defaultdict[str, defaultdict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
            for row in rows(statement, "OpenPosition"):
                by_level[row["levelOfDetail"]][row["conid"]] += of(row, name)
            assert by_level["LOT"] == by_level["SUMMARY"]


@both
@everywhere
def test_sums_by_instrument_and_asset_class_are_those_of_their_executions(
    seed: int, extras: bool, window: tuple[date, date]
) -> None:
    for statement in statements(seed, extras, window):
        trades = [r for r in rows(statement, "Trade") if r["assetCategory"] != "CASH"]
        for name in ("quantity", "proceeds", "ibCommission", "taxes", "netCash", "fifoPnlRealized"):
            own: defaultdict[str, Decimal] = defaultdict(Decimal)
            for row in trades:
                own[row["conid"]] += of(row, name)
            summed: defaultdict[str, Decimal] = defaultdict(Decimal)
            for row in rows(statement, "SymbolSummary"):
                summed[row["conid"]] += of(row, name)
            assert summed == own
        by_class: defaultdict[str, Decimal] = defaultdict(Decimal)
        for row in trades:
            by_class[row["assetCategory"]] += of(row, "proceeds") * of(row, "fxRateToBase")
        assert {r["assetCategory"]: of(r, "proceeds") for r in rows(statement, "AssetSummary")} == by_class


@both
@everywhere
def test_settled_cash_is_the_cash_less_what_settles_later(seed: int, extras: bool, window: tuple[date, date]) -> None:
    for account, statement in enumerate(statements(seed, extras, window)):
        day = window[1]
        whole = statements(seed, extras, (scenario(seed).start, day))[account]
        for report in rows(statement, "CashReportCurrency", levelOfDetail="Currency"):
            lines = rows(whole, "StatementOfFundsLine", levelOfDetail="Currency", currency=report["currency"])
            later = [of(r, "amount") for r in lines if r["amount"] and r["settleDate"] > f"{day:%Y%m%d}"]
            assert of(report, "endingSettledCash") == of(report, "endingCash") - sum(later, ZERO)


def test_rates_of_rows_are_those_of_the_conversion_rates() -> None:
    for statement in statements(1, extras=True, window=WINDOWS[0]):
        told = rates(statement)
        assert {currency for currency, _ in told} == {"USD", "HKD", "EUR", "CNH"}
        assert len({rate for (currency, _), rate in told.items() if currency == "HKD"}) > 20
        for element in ("Trade", "CashTransaction", "ChangeInDividendAccrual", "OpenPosition"):
            for row in rows(statement, element):
                assert of(row, "fxRateToBase") == told[row["currency"], row["reportDate"]]


def test_a_lost_booking_is_seen_by_the_proofs() -> None:
    (statement, _) = statements(1, extras=False, window=WINDOWS[0])
    lines = rows(statement, "StatementOfFundsLine", levelOfDetail="Currency", currency="USD")
    (report,) = rows(statement, "CashReportCurrency", currency="USD")
    amounts = [of(line, "amount") for line in lines if line["amount"]]
    assert of(report, "startingCash") + sum(amounts, ZERO) == of(report, "endingCash")
    assert of(report, "startingCash") + sum(amounts[1:], ZERO) != of(report, "endingCash")
