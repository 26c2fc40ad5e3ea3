"""The money of trades: what agrees is silent, and each figure or factor that does not is told."""

from decimal import Decimal

import pytest

from apex_pipeline.domain.checks import CheckName, Severity
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.statements import CorporateAction
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import STATEMENT_TABLES, as_row
from tests.brokers import futu_rows as futu
from tests.brokers.ib.statements import ACCOUNT, OPTION, STOCK
from tests.store.check_rows import compared, differences, made
from tests.store.rows import query
from tests.store.trade_rows import (
    CONVERSION,
    FRI,
    FUTURE,
    MON,
    changed,
    entry,
    execution,
    found,
    only,
    rate,
    set_right,
    tell,
    tell_futu,
    uid,
)

MONEY = CheckName.TRADE_MONEY_IS_QUANTITY_TIMES_PRICE
HONG_KONG = {**STOCK, "currency": "HKD", "symbol": "700", "conid": "152112941", "listingExchange": "SEHK"}


def usual(number: int = 9) -> list[str]:
    """Trades of the same classes beside the one that a test is about."""
    stocks = [execution(number, "5", "100"), execution(number + 1, "6", "100")]
    options = [execution(number + 2, "1", "2", OPTION), execution(number + 3, "1", "3", OPTION)]
    return stocks + options


def test_trades_of_every_class_agree_and_were_compared(db: Database) -> None:
    tell(
        db,
        *usual(),
        execution(1, "-3", "4.35", OPTION),
        execution(2, "2", "5000.25", FUTURE),
        execution(3, "-1000", "7.8012345", CONVERSION, proceeds="7801.2345"),
        entry(4, "100", "132.5"),
        execution(5, "0.1234", "33.333333333", proceeds="-4.113333", tradeMoney="4.113333", netCash="-5.113333"),
    )
    assert found(db, MONEY) == []
    assert compared(db, MONEY, MON, FRI) == 9
    assert compared(db, MONEY, FRI) == 0


@pytest.mark.parametrize(
    ("told", "what", "expected", "actual", "cause", "right"),
    [
        ({"tradePrice": "5.35"}, "price", "-870", "-1070", None, {"price": "4.35", "amount": "870"}),
        ({"quantity": "3"}, "qty", "-870", "-1305", None, {"qty": "2", "amount": "870"}),
        ({"multiplier": "10"}, "multiplier", "-870", "-87", "REFERENCE_DATA", {"multiplier": "100", "amount": "870"}),
        ({"quantity": "-2", "buySell": "SELL"}, "side", "-870", "870", None, {"side": "BUY"}),
        ({"buySell": "SELL"}, "side", "-870", "870", None, {"side": "BUY"}),
    ],
)
def test_a_factor_of_a_trade_that_its_money_contradicts_is_named_and_proven(
    db: Database, told: dict[str, str], what: str, expected: str, actual: str, cause: str | None, right: dict[str, str]
) -> None:
    tell(db, *usual(), execution(1, "2", "4.35", OPTION, **told))
    finding = only(db, MONEY)
    assert (finding.subject, finding.business_date, finding.account_id) == (uid(1), MON, ACCOUNT)
    assert (finding.expected, finding.actual) == (Decimal(expected), Decimal(actual))
    assert (finding.severity, finding.cause, finding.currency) == (Severity.ERROR, cause, "USD")
    assert finding.evidence["doubted"] == what
    assert finding.evidence["told"]["proceeds"] == "-870"
    assert finding.evidence["rows"][:2] == [uid(1), f"trades_raw_ib/{ACCOUNT}/9001"]
    assert changed(set_right(db, finding), "trades_norm") == [right]
    assert found(db, MONEY) == []


@pytest.mark.parametrize(
    ("told", "what", "expected", "actual", "severity"),
    [
        ({"proceeds": "-880"}, "proceeds", "-880", "-870", Severity.WARN),
        ({"netCash": "-881"}, "netCash", "-881", "-871", Severity.WARN),
        ({"tradeMoney": "860"}, "tradeMoney", "-860", "-870", Severity.WARN),
        ({"quantity": "-2"}, "sign of the quantity", "-870", "870", Severity.WARN),
        ({"ibCommission": "-4"}, "fees", "-871", "-874", Severity.ERROR),
    ],
)
def test_a_figure_that_the_others_contradict_is_named(
    db: Database, told: dict[str, str], what: str, expected: str, actual: str, severity: Severity
) -> None:
    tell(db, *usual(), execution(1, "2", "4.35", OPTION, **told))
    finding = only(db, MONEY)
    assert (finding.subject, finding.evidence["doubted"]) == (uid(1), what)
    assert (finding.expected, finding.actual, finding.severity) == (Decimal(expected), Decimal(actual), severity)
    if "set_right" in finding.evidence:
        set_right(db, finding)
        assert found(db, MONEY) == []


def test_a_gain_to_the_close_of_a_future_that_its_prices_contradict_is_named(db: Database) -> None:
    tell(db, execution(1, "2", "5000.25", FUTURE, mtmPnl="350"))
    finding = only(db, MONEY)
    assert (finding.expected, finding.actual, finding.evidence["doubted"]) == (299, 349, "mtmPnl")
    assert changed(set_right(db, finding), "broker_trade_figures") == [{"mtm_pnl": "300"}]
    assert found(db, MONEY) == []


def test_a_price_of_a_conversion_without_a_close_is_told_without_a_remedy(db: Database) -> None:
    tell(db, execution(1, "-1000", "7.8", CONVERSION, tradePrice="7.9", closePrice="0", mtmPnl="0"))
    finding = only(db, MONEY)
    assert (finding.expected, finding.actual, finding.currency) == (7800, 7900, "HKD")
    assert "set_right" not in finding.evidence


def test_our_amount_is_exact_to_the_last_digit(db: Database) -> None:
    tell(db, *usual(), execution(1, "3", "33.1"))
    query(db.url, "UPDATE trades_norm SET amount = amount + 0.00000000000001 WHERE trade_uid = %s", uid(1))
    assert differences(found(db, MONEY)) == [(uid(1), Decimal("99.3"), Decimal("99.30000000000001"), "ROUNDING")]


def test_what_we_stored_otherwise_than_the_record_tells_is_ours(db: Database) -> None:
    tell(db, *usual(), execution(1, "3", "33"))
    query(db.url, "UPDATE trades_norm SET qty = 4 WHERE trade_uid = %s", uid(1))
    finding = only(db, MONEY)
    assert (finding.cause, finding.evidence["doubted"]) == ("PIPELINE", "qty")
    assert changed(set_right(db, finding), "trades_norm") == [{"qty": "3", "amount": "99"}]
    assert found(db, MONEY) == []


def test_a_cent_is_a_difference_and_a_millionth_is_none(db: Database) -> None:
    tell(db, *usual(), execution(1, "3", "33", proceeds="-99.0000009"), execution(2, "3", "33", proceeds="-99.01"))
    assert [one.subject for one in found(db, MONEY)] == [uid(2)]


def test_a_net_cash_may_be_told_late_leave_the_fee_of_a_book_entry_out_or_one_in_another_currency(db: Database) -> None:
    tell(
        db, *usual(), execution(1, "3", "33", netCash="0"), entry(2, "3", "33", ibCommission="-2", netCash="-99"),
        execution(3, "3", "33", ibCommissionCurrency="HKD", netCash="-99"),
        execution(4, "3", "33", ibCommission="", netCash="-100"),
    )  # fmt: skip
    assert found(db, MONEY) == []


def test_a_currency_that_the_other_trades_of_the_contract_do_not_have_is_told(db: Database) -> None:
    tell(db, *usual(), execution(1, "3", "33", currency="EUR", taxes="-2", netCash="-102", ibCommissionCurrency="EUR"))
    finding = only(db, MONEY)
    assert (finding.subject, finding.currency, finding.cause) == (uid(1), "USD", "REFERENCE_DATA")
    assert (finding.expected, finding.actual, finding.evidence["doubted"]) == (-99, 0, "currency")
    proposals = set_right(db, finding)
    assert {one["table"] for one in proposals} >= {"trades_norm", "broker_trade_figures", "fees_norm"}
    assert query(db.url, "SELECT DISTINCT currency FROM fees_norm") == [("USD",)]
    assert found(db, MONEY) == []


def test_a_currency_whose_rate_is_that_of_its_fee_is_told_also_of_a_single_trade(db: Database) -> None:
    wrong = execution(1, "3", "33", HONG_KONG, currency="USD", fxRateToBase="0.128")
    tell(db, *usual(), wrong, ConversionRates=[rate("20260302", "0.128")])
    finding = only(db, MONEY)
    assert (finding.subject, finding.currency) == (uid(1), "HKD")
    assert finding.evidence["currency_of_its_rate"] == "HKD"
    set_right(db, finding)
    assert found(db, MONEY) == []


def test_a_trade_in_another_currency_with_its_own_rate_is_silent(db: Database) -> None:
    tell(
        db,
        *usual(),
        execution(1, "3", "33", HONG_KONG, fxRateToBase="0.128"),
        ConversionRates=[rate("20260302", "0.128")],
    )
    assert found(db, MONEY) == []


def test_an_instrument_that_no_trade_agrees_with_is_one_finding_on_its_first_day(db: Database) -> None:
    tell(db, *usual(), execution(1, "3", "33", tradeDate="20260304"))
    query(db.url, "UPDATE instruments SET multiplier = 7 WHERE symbol = 'US.AAPL'")
    finding = only(db, MONEY)
    assert (finding.subject, finding.business_date, finding.cause) == ("US.AAPL", MON, "REFERENCE_DATA")
    assert (finding.expected, finding.actual, finding.evidence["trades"]) == (1, 7, 3)
    set_right(db, finding)
    assert found(db, MONEY) == []


def test_a_symbol_of_another_contract_is_told_and_after_a_corporate_action_it_is_not(db: Database) -> None:
    tell(db, *usual(), execution(1, "3", "33", symbol="MSFT", conid="272093"))
    query(db.url, "UPDATE trades_norm SET symbol = 'US.MSFT' WHERE trade_uid = %s", uid(9))
    finding = only(db, MONEY)
    assert (finding.subject, finding.cause) == (uid(9), "REFERENCE_DATA")
    assert finding.evidence["symbol_of_instrument_id"] == "US.AAPL"
    action = made(
        CorporateAction, action_uid="A", broker=Broker.IB, account_id=ACCOUNT, business_date=MON, symbol="US.AAPL",
        instrument_id="265598",
    )  # fmt: skip
    with db.transaction() as tx:
        tx.merge(STATEMENT_TABLES["corporate_actions"], [as_row(action)])
    assert found(db, MONEY) == []


def test_one_contract_in_two_classes_is_of_the_class_of_which_there_are_more_trades(db: Database) -> None:
    option = [execution(number, "2", "4.35", OPTION) for number in (1, 2)]
    tell(db, *usual(), *option, execution(3, "2", "4.35", OPTION, assetCategory="STK"))
    finding = only(db, MONEY)
    assert (finding.subject, finding.cause, finding.evidence["doubted"]) == (uid(3), "REFERENCE_DATA", "symbol")
    [change] = changed(set_right(db, finding), "trades_norm")
    assert (change["asset_class"], change["symbol"]) == ("OPTION", finding.evidence["symbol_of_instrument_id"])
    assert found(db, MONEY) == []


def test_a_currency_of_an_order_of_futu_is_set_right_with_its_fees(db: Database) -> None:
    tell_futu(
        db, futu.order(code="AAPL", currency=1), futu.deal("1", code="AAPL"), futu.fee("1.5", ("Commission", "1.5"))
    )
    finding = next(one for one in found(db, MONEY) if one.evidence["doubted"] == "currency")
    assert {change["currency"] for change in changed(set_right(db, finding), "fees_norm")} == {"USD"}
    assert found(db, MONEY) == []


def test_a_multiplier_that_two_trades_of_a_contract_tell_is_its_own(db: Database) -> None:
    other = {**OPTION, "symbol": "AAPL  260918C00140000", "strike": "140", "conid": "700002", "multiplier": "150"}
    worthless = {"tradePrice": "0", "proceeds": "0", "tradeMoney": "0", "netCash": "-1"}
    tell(db, *usual(), execution(1, "2", "0", other, **worthless), execution(2, "-2", "0", other, **worthless))
    assert found(db, MONEY) == []


def test_a_multiplier_of_futu_that_its_code_contradicts_is_told_once(db: Database) -> None:
    code = "AAPL260918C132500"
    order = futu.order(code=code, orderAmount=Decimal("12740.0"))
    tell_futu(db, order, futu.deal("1", code=code), futu.deal("2", code=code, qty=Decimal("40.0")))
    query(db.url, "UPDATE trades_norm SET multiplier = 10, amount = qty * price * 10 WHERE broker_trade_id = '1'")
    [finding] = found(db, MONEY)
    assert (finding.broker, finding.expected, finding.actual, finding.currency) == (Broker.FUTU, 100, 10, None)
    set_right(db, finding)
    assert found(db, MONEY) == []


def combined(*sides: int) -> list[dict[str, object]]:
    codes = ("AAPL260918C132500", "AAPL260918C140000", "AAPL260918C150000")
    return [
        {"security": {"market": 11, "code": code}, "side": side, "qtyRatio": Decimal(1)}
        for code, side in zip(codes, sides, strict=True)
    ]


@pytest.mark.parametrize(("sides", "astray"), [((1, 2, 1), []), ((2, 1, 2), []), ((1, 2, 2), ["3"])])
def test_legs_of_a_combination_go_their_own_way_or_all_the_other_one(
    db: Database, sides: tuple[int, int, int], astray: list[str]
) -> None:
    legs = combined(1, 2, 1)
    order = futu.order(
        code="AAPL260918C132.5/260918C140/260918C150", comboLegs=legs, qty=Decimal(2), fillQty=Decimal(2)
    )
    codes = ("AAPL260918C132500", "AAPL260918C140000", "AAPL260918C150000")
    told = zip(codes, sides, strict=True)
    deals = [futu.deal(str(n), code=code, trdSide=side, qty=Decimal(2)) for n, (code, side) in enumerate(told, start=1)]
    tell_futu(db, order, *deals)
    assert [one.subject.rpartition("_")[2] for one in found(db, MONEY)] == astray
    assert all(one.evidence["doubted"] == "side" for one in found(db, MONEY))
