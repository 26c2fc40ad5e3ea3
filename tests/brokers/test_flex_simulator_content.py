"""What a full query delivers: sections, levels, date formats, confirmations, conversions, cancels and corrections."""

import re
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from zoneinfo import ZoneInfo

import ibflex.Types
import pytest
from ibflex import parser

from apex_pipeline.brokers.ib.simulator import FlexSimulator
from apex_pipeline.brokers.ib.statement_format import DATE_ATTRIBUTES, FORMATS
from apex_pipeline.brokers.ib.statement_ledger import moves_of
from apex_pipeline.brokers.ib.statement_writer import StatementWriter
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.models import Broker

END = date(2026, 7, 31)
START = date(2025, 8, 1)
NOW = datetime(2026, 8, 1, 10, 0, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
SECTIONS = [
    "AccountInformation", "EquitySummaryInBase", "ChangeInNAV", "CashReport", "StmtFunds",
    "FIFOPerformanceSummaryInBase", "OpenPositions", "PriorPeriodPositions", "Trades", "UnbundledCommissionDetails",
    "TransactionTaxes", "OptionEAE", "CashTransactions", "CorporateActions", "Transfers", "UnsettledTransfers",
    "ChangeInDividendAccruals", "OpenDividendAccruals", "SecuritiesInfo", "ConversionRates",
]  # fmt: skip
NEWER = {"figi", "subCategory", "issuerCountryCode", "positionActionID"}
"""Attributes of recent statements that the catalogue does not have yet."""
Rows = list[dict[str, str]]


@cache
def scenario() -> Scenario:
    return generate(3, 500, 365, END)


@cache
def year() -> bytes:
    return StatementWriter(scenario(), extras=True).render(START, END, NOW)


def rows(body: bytes, element: str, **wanted: str) -> Rows:
    found = [dict(item.attrib) for item in ET.fromstring(body).iter(element) if item.attrib]
    return [row for row in found if all(row.get(name) == text for name, text in wanted.items())]


def one_day(day: date) -> bytes:
    return StatementWriter(scenario(), extras=True).render(day, day, NOW)


def test_every_section_of_a_full_query_is_there() -> None:
    for statement in ET.fromstring(year()).iter("FlexStatement"):
        assert [section.tag for section in statement] == SECTIONS


def test_every_attribute_is_one_that_the_catalogue_of_the_field_knows() -> None:
    names = {row.tag: set(row.attrib) for row in ET.fromstring(year()).iter() if row.attrib}
    names |= {row.tag: set(row.attrib) for row in ET.fromstring(one_day(busy_day())).iter() if row.attrib}
    confirms = StatementWriter(scenario(), extras=True).render_confirms(START, END, NOW)
    names |= {row.tag: set(row.attrib) for row in ET.fromstring(confirms).iter() if row.attrib}
    unknown = {
        name
        for tag in names.keys() - {"FlexQueryResponse", "FlexStatements"}
        for name in names[tag] - {field.name for field in fields(getattr(ibflex.Types, tag))}
    }
    assert unknown == NEWER


@pytest.mark.filterwarnings("ignore:.* has no attribute")
def test_a_public_parser_reads_the_whole_statement() -> None:
    parsed = parser.parse(year())
    assert [len(s.Trades) > 0 for s in parsed.FlexStatements] == [True, True]


@cache
def busy_day() -> date:
    counted = Counter(row["tradeDate"] for row in rows(year(), "Trade"))
    return datetime.strptime(counted.most_common(1)[0][0], "%Y%m%d").replace(tzinfo=UTC).date()


def test_commissions_are_broken_down_in_statements_of_one_day_only() -> None:
    assert rows(year(), "UnbundledCommissionDetail") == []
    body = one_day(busy_day())
    charged = {
        r["tradeID"]: r for r in rows(body, "Trade") if r["assetCategory"] != "CASH" and r["ibCommission"] != "0"
    }
    told = rows(body, "UnbundledCommissionDetail")
    assert told
    assert {r["tradeID"] for r in told} == {i for i, r in charged.items() if r["transactionType"] == "ExchTrade"}
    parts = ("brokerExecutionCharge", "brokerClearingCharge", "thirdPartyExecutionCharge", "thirdPartyClearingCharge",
             "thirdPartyRegulatoryCharge", "other")  # fmt: skip
    for row in told:
        assert row["totalCommission"] == charged[row["tradeID"]]["ibCommission"]
        assert sum(Decimal(row[name]) for name in parts) == Decimal(row["totalCommission"])
        regulatory = ("regFINRATradingActivityFee", "regSection31TransactionFee", "regOther")
        assert sum(Decimal(row[name]) for name in regulatory) == Decimal(row["thirdPartyRegulatoryCharge"])


def test_transaction_taxes_are_the_taxes_of_the_trades() -> None:
    taxed = {r["tradeID"]: r["taxes"] for r in rows(year(), "Trade") if r["taxes"] != "0"}
    assert taxed
    assert {r["tradeId"]: r["taxAmount"] for r in rows(year(), "TransactionTax")} == taxed


def test_cash_transactions_come_as_details_and_again_as_sums_without_id() -> None:
    details = rows(year(), "CashTransaction", levelOfDetail="DETAIL")
    sums = rows(year(), "CashTransaction", levelOfDetail="SUMMARY")
    assert len({r["transactionID"] for r in details}) == len(details)
    assert {r["transactionID"] for r in sums} == {""}
    total: list[defaultdict[tuple[str, str], Decimal]] = []
    for group in (details, sums):
        amounts: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for row in group:
            amounts[row["type"], row["currency"]] += Decimal(row["amount"])
        total.append(amounts)
    assert total[0] == total[1]
    assert {kind for kind, _ in total[0]} >= {
        "Deposits/Withdrawals", "Dividends", "Withholding Tax", "Broker Interest Received", "Broker Interest Paid",
        "Other Fees",
    }  # fmt: skip


def test_a_dividend_is_reversed_and_booked_again_under_the_same_action() -> None:
    details = rows(year(), "CashTransaction", levelOfDetail="DETAIL", type="Dividends")
    back = [r for r in details if Decimal(r["amount"]) < 0]
    assert back
    for reversal in back:
        same = [r for r in details if (r["accountId"], r["actionID"]) == (reversal["accountId"], reversal["actionID"])]
        amounts = sorted(Decimal(r["amount"]) for r in same)
        assert amounts == [-amounts[-1], amounts[-1], amounts[-1]]
        taxes = rows(year(), "CashTransaction", levelOfDetail="DETAIL", type="Withholding Tax")
        own = [r for r in taxes if (r["accountId"], r["actionID"]) == (reversal["accountId"], reversal["actionID"])]
        assert len(own) == 3


def test_each_accrual_is_taken_back_when_the_dividend_is_paid() -> None:
    told = rows(year(), "ChangeInDividendAccrual")
    assert {r["code"] for r in told} == {"Po", "Re"}
    keys = Counter((r["accountId"], r["conid"], r["payDate"], r["code"]) for r in told)
    paid = [key for key in keys if key[3] == "Re"]
    assert paid
    assert all(keys[*key[:3], "Po"] == keys[key] == 1 for key in paid)
    for row in told:
        assert Decimal(row["netAmount"]) == Decimal(row["grossAmount"]) - Decimal(row["tax"])
    assert sum(Decimal(r["netAmount"]) for r in told) == 0


def test_one_transfer_of_cash_comes_in() -> None:
    (transfer,) = rows(year(), "Transfer")
    assert (transfer["direction"], transfer["quantity"], transfer["cashTransfer"]) == ("IN", "0", "25000")


def test_a_conversion_moves_two_currencies_and_no_net_cash() -> None:
    deals = [r for r in rows(year(), "Trade") if r["assetCategory"] == "CASH"]
    assert {r["accountId"] for r in deals} == set(scenario().accounts[Broker.IB])
    evening = [r for r in deals if r["dateTime"][9:11] >= "17"]
    assert evening
    assert all(r["dateTime"][:8] < r["tradeDate"] for r in evening)
    for row in deals:
        assert (row["symbol"], row["netCash"], row["ibCommissionCurrency"]) == ("USD.HKD", "0", "USD")
        lines = rows(year(), "StatementOfFundsLine", transactionID=row["transactionID"], levelOfDetail="Currency")
        moved = {(r["currency"], r["amount"]) for r in lines}
        assert moved == {("HKD", row["proceeds"]), ("USD", row["quantity"]), ("USD", row["ibCommission"])}


def test_a_cancel_takes_a_purchase_back_and_its_rebook_keeps_the_trade_id() -> None:
    by_id = {r["transactionID"]: r for r in rows(year(), "Trade")}
    cancels = [r for r in by_id.values() if r["transactionType"] == "TradeCancel"]
    assert len(cancels) >= 2
    for cancel in cancels:
        original = by_id[cancel["origTransactionID"]]
        (rebook,) = [
            r for r in by_id.values() if r["tradeID"] == original["tradeID"] and r is not original
        ]  # fmt: skip
        assert cancel["notes"] == "Ca"
        assert (cancel["buySell"], cancel["tradeID"], cancel["ibExecID"]) == ("BUY (Ca.)", "", "")
        assert Decimal(cancel["quantity"]) == -Decimal(original["quantity"])
        assert cancel["ibCommission"] == rebook["ibCommission"] == "0"
        assert rebook["ibExecID"] == original["ibExecID"].removesuffix("01") + "02"
        assert original["reportDate"] < cancel["reportDate"] == rebook["reportDate"]
        assert original["dateTime"] == cancel["dateTime"] == rebook["dateTime"]
        assert cancel["ibOrderID"] == rebook["ibOrderID"] == original["ibOrderID"] == cancel["origOrderID"]


def test_the_fee_of_a_cancelled_purchase_is_in_the_lot_of_its_rebook() -> None:
    cancel = next(r for r in rows(year(), "Trade") if r["transactionType"] == "TradeCancel")
    day = datetime.strptime(cancel["reportDate"], "%Y%m%d").replace(tzinfo=UTC).date()
    body = StatementWriter(scenario(), extras=True).render(START, day, NOW)
    trades = {r["transactionID"]: r for r in rows(body, "Trade")}
    original = trades[cancel["origTransactionID"]]
    rebook = next(r for r in trades.values() if r["tradeID"] == original["tradeID"] and r is not original)
    (lot,) = rows(body, "OpenPosition", levelOfDetail="LOT", originatingTransactionID=rebook["transactionID"])
    fee = Decimal(original["ibCommission"]) + Decimal(original["taxes"])
    assert Decimal(lot["costBasisMoney"]) == -Decimal(rebook["netCash"]) - fee
    assert rows(body, "OpenPosition", originatingTransactionID=original["transactionID"]) == []


def test_without_extras_the_trades_are_those_of_the_scenario() -> None:
    body = StatementWriter(scenario()).render(START, END, NOW)
    told = Counter(r["transactionID"] for r in rows(body, "Trade"))
    assert told == Counter(str(move.transaction_id) for move in moves_of(scenario()))
    assert len(rows(year(), "Trade")) > len(told)


def test_executions_alone_leave_every_other_level_out() -> None:
    body = StatementWriter(scenario(), levels="executions").render(START, END, NOW)
    found = Counter((r.tag, r.get("levelOfDetail")) for r in ET.fromstring(body).iter() if r.get("levelOfDetail"))
    levels = {level for tag, level in found if tag in ("Trade", "Order", "Lot", "OpenPosition", "CashTransaction")}
    assert levels == {"EXECUTION", "SUMMARY", "DETAIL"}
    assert not found.keys() & {("Lot", "CLOSED_LOT"), ("OpenPosition", "LOT"), ("CashTransaction", "SUMMARY")}
    with pytest.raises(ValueError, match="levels"):
        _ = StatementWriter(scenario(), levels="some")


SHAPES = {
    "compact": r"\d{8}(;\d{6})?",
    "iso": r"\d{4}-\d\d-\d\d(;\d\d:\d\d:\d\d)?",
    "zone": r"\d{4}-\d\d-\d\d(;\d\d:\d\d:\d\d E[DS]T)?",
    "blank": r"\d{8}( \d{6})?",
    "slash_mdy": r"\d\d/\d\d/\d{4}(;\d\d:\d\d:\d\d)?",
}


@pytest.mark.parametrize("dates", FORMATS)
def test_dates_are_written_as_the_account_wants_them(dates: str) -> None:
    body = StatementWriter(scenario(), extras=True, dates=dates).render(START, END, NOW)
    shape = re.compile(SHAPES[dates])
    told = [(name, text) for row in ET.fromstring(body).iter() for name, text in row.attrib.items()]
    texts = {text for name, text in told if name in DATE_ATTRIBUTES and text}
    assert len(texts) > 500
    assert {text for text in texts if not shape.fullmatch(text)} - {"MULTI"} == set()


def test_a_zone_suffix_tells_summer_from_winter() -> None:
    body = StatementWriter(scenario(), dates="zone").render(START, END, NOW)
    plain = {r["transactionID"]: r["dateTime"] for r in rows(year(), "Trade")}
    seen: set[str] = set()
    for row in rows(body, "Trade"):
        at = datetime.strptime(plain[row["transactionID"]], "%Y%m%d;%H%M%S").replace(tzinfo=NEW_YORK)
        assert row["dateTime"] == f"{at:%Y-%m-%d;%H:%M:%S %Z}"
        seen.add(row["dateTime"][-3:])
    assert seen == {"EDT", "EST"}


def test_a_statement_of_each_day_tells_the_same_trades_and_cash() -> None:
    first, last = date(2026, 6, 1), date(2026, 7, 5)
    whole = StatementWriter(scenario(), extras=True).render(first, last, NOW)
    daily = StatementWriter(scenario(), extras=True, breakout_by_day=True).render(first, last, NOW)
    statements = rows(daily, "FlexStatement")
    assert len(statements) == 2 * 25
    assert all(s["fromDate"] == s["toDate"] for s in statements)
    assert rows(daily, "FlexStatements")[0]["count"] == "50"
    for element, level in (("Trade", "EXECUTION"), ("Lot", "CLOSED_LOT"), ("CashTransaction", "DETAIL")):
        once, parts = (sorted(rows(body, element, levelOfDetail=level), key=str) for body in (whole, daily))
        assert once == parts != []
    assert len(rows(daily, "ChangeInNAV")) == 50


@cache
def today() -> date:
    """The last day on which something was executed."""
    return max(move.report_date for move in moves_of(scenario()) if move.exec_id)


@pytest.fixture(scope="module")
def service() -> Iterator[FlexSimulator]:
    found = FlexSimulator(
        scenario(),
        "a-token",
        "11",
        confirm_query_id="22",
        extras=True,
        today=today(),
        polls_before_ready=0,
        time_scale=1e9,
    )
    yield found
    found.stop()


def ordered(service: FlexSimulator, query: str, **window: str) -> ET.Element:
    accepted = ask(service, "SendRequest", q=query, **window)
    return ask(service, "GetStatement", q=accepted.findtext("ReferenceCode", ""))


def ask(service: FlexSimulator, call: str, **parameters: str) -> ET.Element:
    return ET.fromstring(service.answer(call, {"t": "a-token", "v": "3", **parameters}, "test").body)


def test_confirmations_tell_today_which_statements_do_not(service: FlexSimulator) -> None:
    now, yesterday = f"{today():%Y%m%d}", f"{today() - timedelta(1):%Y%m%d}"
    window = {"fd": f"{today() - timedelta(5):%Y%m%d}", "td": now}
    statement, confirms = ordered(service, "11", **window), ordered(service, "22", **window)
    assert (statement.get("type"), confirms.get("type")) == ("AF", "TCF")
    days = {r.get("tradeDate") for r in confirms.iter("TradeConfirm")}
    assert days - {r.get("tradeDate") for r in statement.iter("Trade")} == {now}
    assert {s.get("toDate") for s in statement.iter("FlexStatement")} == {yesterday}
    assert {s.get("toDate") for s in ordered(service, "22").iter("FlexStatement")} == {now}
    assert ask(service, "SendRequest", q="33", **window).findtext("ErrorCode") == "1014"


def test_a_confirmation_says_of_an_execution_what_the_statement_says_later(service: FlexSimulator) -> None:
    body = service.statement(START, END)
    executed = {r["ibExecID"]: r for r in rows(body, "Trade") if r["ibExecID"]}
    confirmed = {r["execID"]: r for r in rows(service.confirmations(START, END), "TradeConfirm")}
    assert confirmed.keys() == executed.keys()
    same = {
        "tradeID": "tradeID", "orderID": "ibOrderID", "price": "tradePrice", "commission": "ibCommission",
        "tax": "taxes", "settleDate": "settleDateTarget", "quantity": "quantity", "dateTime": "dateTime",
        "conid": "conid", "brokerageOrderID": "brokerageOrderID", "buySell": "buySell", "netCash": "netCash",
    }  # fmt: skip
    for exec_id, confirm in confirmed.items():
        assert {name: confirm[name] for name in same} == {n: executed[exec_id][own] for n, own in same.items()}
    assert {code for r in confirmed.values() for code in r["code"].split(";")} >= {"O", "C", "P"}
