"""Cash flow rows to movements: signs, kinds in two languages, and the options that remarks name."""

from datetime import date
from decimal import Decimal

import pytest

from apex_pipeline.brokers.futu.normalize import normalize
from apex_pipeline.domain.models import CashKind, CashMovement
from apex_pipeline.domain.records import Record
from tests.brokers.futu_rows import ACC, flow

JXC, PEP = "HK.JXC 2025-02-27 P 13", "US.PEP 2026-09-18 P 120"


def movement(record: Record) -> CashMovement:
    made = normalize([record])
    assert made.rejects == []
    return made.cash_movements[0]


def test_a_movement_carries_what_the_row_says() -> None:
    got = movement(flow("16360", cashFlowType="Fund Redemption", cashFlowDirection=1, cashFlowAmount=Decimal("23000.5"),
                        cashFlowRemark="Fund Redemption#Some Fund", currency=2))  # fmt: skip
    assert got.cash_uid == f"FUTU_{ACC}_C2026-03-02:16360"
    assert (got.kind, got.broker_kind, got.amount, got.currency) == (
        CashKind.FUND, "Fund Redemption", Decimal("23000.5"), "USD",
    )  # fmt: skip
    assert (got.booked_on, got.settle_date, got.event_date) == (date(2026, 3, 2), date(2026, 3, 4), None)
    assert (got.description, got.symbol, got.source) == ("Fund Redemption#Some Fund", None, "futu_cash")


@pytest.mark.parametrize(
    ("direction", "told", "amount"),
    [(2, "5.5", "-5.5"), (2, "-5.5", "-5.5"), (1, "5.5", "5.5"), (1, "-5.5", "5.5"), (0, "-5.5", "-5.5")],
)
def test_the_direction_decides_the_sign(direction: int, told: str, amount: str) -> None:
    assert movement(flow(cashFlowDirection=direction, cashFlowAmount=Decimal(told))).amount == Decimal(amount)


@pytest.mark.parametrize(
    ("words", "remark", "kind"),
    [
        ("Others", "", CashKind.OTHER),
        ("其他", "股息 KO", CashKind.DIVIDEND),
        ("Deposit", "", CashKind.DEPOSIT),
        ("入金", "", CashKind.DEPOSIT),
        ("出金", "", CashKind.WITHDRAWAL),
        ("资金划转", "", CashKind.TRANSFER),
        ("基金赎回", "", CashKind.FUND),
        ("Fund Subscription", "", CashKind.FUND),
        ("货币兑换", "", CashKind.FX),
        ("Currency Exchange", "", CashKind.FX),
        ("利息", "", CashKind.INTEREST),
        ("Interest", "margin", CashKind.INTEREST),
        ("Dividend", "WITHHOLDING", CashKind.DIVIDEND),
        ("Withholding Tax", "", CashKind.TAX),
        ("公司行动", "", CashKind.CORPORATE_ACTION),
        ("平台费", "", CashKind.FEE),
        ("ADR Fee", "", CashKind.FEE),
        ("交易", "Buy TCH260828C42500 2", CashKind.TRADE),
        ("费用", "Opt EXE-C-PEP260918P120000", CashKind.FEE),
    ],
)
def test_kinds_are_known_in_both_languages(words: str, remark: str, kind: CashKind) -> None:
    made = normalize([flow(cashFlowType=words, cashFlowRemark=remark)])
    assert (made.cash_movements[0].kind, made.drifts) == (kind, [])


@pytest.mark.parametrize(
    ("remark", "currency", "kind", "symbol", "day"),
    [
        ("Opt ASS-P-JXC250227P13000-20250227", 1, CashKind.ASSIGNMENT, JXC, date(2025, 2, 27)),
        ("Opt EXE-P-PEP260918P120000-20260918", 2, CashKind.EXERCISE, PEP, date(2026, 9, 18)),
        ("Opt EXP-P-PEP260918P120000-20260918", 2, CashKind.EXPIRATION, PEP, date(2026, 9, 18)),
        ("OPT ASG PEP260918P120000 2026-09-18", 2, CashKind.ASSIGNMENT, PEP, date(2026, 9, 18)),
        ("Option Exercise US.PEP260918P120000", 1, CashKind.EXERCISE, PEP, None),
        ("Option assignment: PEP260918P120000", 2, CashKind.ASSIGNMENT, PEP, None),
        ("期权被行权 PEP260918P120000 20260918", 2, CashKind.ASSIGNMENT, PEP, date(2026, 9, 18)),
        ("期权指派 HK.JXC250227P13000", 1, CashKind.ASSIGNMENT, JXC, None),
        ("期权行权PEP260918P120000", 2, CashKind.EXERCISE, PEP, None),
        ("期权到期 PEP260918P120000", 2, CashKind.EXPIRATION, PEP, None),
        ("Opt ASS-P-TCH260828P42500-20260828", None, CashKind.ASSIGNMENT, "HK.00700 2026-08-28 P 42.5",
         date(2026, 8, 28)),
    ],
)  # fmt: skip
def test_remarks_name_the_option_the_event_and_its_day(
    remark: str, currency: int | None, kind: CashKind, symbol: str, day: date | None
) -> None:
    made = normalize([flow(cashFlowRemark=remark, currency=currency)])
    got = made.cash_movements[0]
    assert (got.kind, got.symbol, got.event_date) == (kind, symbol, day)
    assert [instrument.symbol for instrument in made.instruments] == [symbol]
    assert made.drifts == []


def test_a_remark_that_names_an_option_and_no_known_event_is_kept_and_told() -> None:
    made = normalize([flow(cashFlowRemark="Opt QQQ-P-PEP260918P120000-20260918", currency=2)])
    assert (made.cash_movements[0].kind, made.cash_movements[0].symbol) == (CashKind.OTHER, PEP)
    assert [(drift.field, drift.value) for drift in made.drifts] == [("cashFlowRemark", "Opt QQQ-P-…")]


def test_dividends_name_their_stock() -> None:
    assert movement(flow(cashFlowType="Dividend", currency=2, cashFlowRemark="KO 100 SHARES DIVIDENDS")).symbol == (
        "US.KO"
    )
    assert movement(flow(cashFlowType="Dividend", currency=1, cashFlowRemark="00700 1 SHARES X")).symbol == "HK.00700"
    assert movement(flow(cashFlowType="Dividend", currency=2, cashFlowRemark="for 100 shares")).symbol is None


def test_an_unknown_type_is_other_and_told_once_a_day() -> None:
    made = normalize([flow(str(n), cashFlowType="Quantum Rebate") for n in range(3)])
    assert {movement.kind for movement in made.cash_movements} == {CashKind.OTHER}
    [drift] = made.drifts
    assert (drift.kind, drift.field, drift.value, drift.records, drift.example_key) == (
        "cash", "cashFlowType", "Quantum Rebate", 3, "2026-03-02:0",
    )  # fmt: skip


def test_what_is_absent_is_unknown_and_an_amount_must_be_there() -> None:
    bare = movement(flow(currency=None, cashFlowType=None, settlementDate=None, cashFlowRemark=None))
    assert (bare.currency, bare.broker_kind, bare.settle_date, bare.description) == (None, None, None, None)
    assert [r.reason_code for r in normalize([flow(cashFlowAmount=None)]).rejects] == ["missing_field"]
    # the control: a row that only names an event moves nothing
    named = flow(cashFlowAmount=None, cashFlowRemark="Opt EXP-P-PEP260918P120000-20260918", currency=2)
    assert movement(named).amount == 0
