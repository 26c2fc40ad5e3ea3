"""Commissions and taxes in their parts; the rows of a charge sum to it exactly."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.brokers.ib.fee_parts import parts_of, section_relatives
from apex_pipeline.brokers.ib.fees import fees_of
from apex_pipeline.domain.models import Fee, FeeType
from apex_pipeline.domain.records import Record, RecordKind, Relative
from tests.brokers.ib.sections import APPLE, made_of, records_of_sections
from tests.brokers.ib.statements import ACCOUNT, STOCK, row

PARTS = {
    **APPLE, "accountId": ACCOUNT, "tradeID": "71001", "dateTime": "20260302;093105", "totalCommission": "-1.0055",
    "brokerExecutionCharge": "-0.9", "brokerClearingCharge": "0", "thirdPartyExecutionCharge": "-0.1",
    "thirdPartyClearingCharge": "-0.0002", "thirdPartyRegulatoryCharge": "-0.0053",
    "regFINRATradingActivityFee": "-0.003", "regSection31TransactionFee": "-0.0023", "regOther": "0", "other": "0",
}  # fmt: skip
TAX = {
    **APPLE, "accountId": ACCOUNT, "tradeId": "71001", "date": "20260302", "reportDate": "20260302",
    "taxDescription": "French Transaction Tax", "taxAmount": "-2", "levelOfDetail": "DETAIL",
}  # fmt: skip


def records(*trades: str, parts: str = "", taxes: str = "") -> list[Record]:
    sections = [("Trades", "".join(trades))]
    sections += [("UnbundledCommissionDetails", parts)] if parts else []
    sections += [("TransactionTaxes", taxes)] if taxes else []
    return records_of_sections(*sections)


def charged(given: list[Record]) -> list[Fee]:
    known = parts_of(given)
    return [fee for one in given if one.kind is RecordKind.FEES for fee in fees_of(one, known)]


def shown(fees: list[Fee]) -> list[tuple[str, str, Decimal]]:
    return [(one.fee_uid.removeprefix(f"IB_{ACCOUNT}_"), one.fee_type.value, one.amount) for one in fees]


def part(**changes: str) -> str:
    return row(PARTS, tag="UnbundledCommissionDetail", **changes)


def tax(**changes: str) -> str:
    return row(TAX, tag="TransactionTax", **changes)


def test_a_commission_without_a_breakdown_is_one_row() -> None:
    assert shown(charged(records(row()))) == [("9001_COMMISSION", "COMMISSION", Decimal("1.0055"))]


def test_a_commission_is_told_in_its_parts() -> None:
    made = charged(records(row(), parts=part()))
    assert shown(made) == [
        ("9001_COMMISSION", "COMMISSION", Decimal("0.9")),
        ("9001_thirdPartyExecutionCharge", "EXCHANGE", Decimal("0.1")),
        ("9001_thirdPartyClearingCharge", "CLEARING", Decimal("0.0002")),
        ("9001_thirdPartyRegulatoryCharge", "REGULATORY", Decimal("0.0053")),
    ]
    assert {one.trade_uid for one in made} == {f"IB_{ACCOUNT}_0000aa01.65e2b001.01.01"}
    assert {one.order_uid for one in made} == {f"IB_{ACCOUNT}_5001"}
    assert made[0].broker_fee_name == "brokerExecutionCharge"


def test_what_the_parts_leave_is_not_lost() -> None:
    made = charged(records(row(ibCommission="-1.000720223"), parts=part(
        brokerExecutionCharge="-1", thirdPartyExecutionCharge="0", thirdPartyClearingCharge="0",
        thirdPartyRegulatoryCharge="-0.00072",
    )))  # fmt: skip
    assert shown(made) == [
        ("9001_COMMISSION", "COMMISSION", Decimal(1)),
        ("9001_thirdPartyRegulatoryCharge", "REGULATORY", Decimal("0.00072")),
        ("9001_UNALLOCATED", "UNALLOCATED", Decimal("0.000000223")),
    ]


def test_a_rebate_keeps_its_sign() -> None:
    made = charged(records(row(ibCommission="0.4"), parts=part(
        brokerExecutionCharge="-0.5", thirdPartyExecutionCharge="0.9", thirdPartyClearingCharge="0",
        thirdPartyRegulatoryCharge="0",
    )))  # fmt: skip
    assert [one.amount for one in made] == [Decimal("0.5"), Decimal("-0.9")]


def test_the_first_part_has_the_name_that_the_whole_had() -> None:
    made = charged(records(row(ibCommission="-0.1"), parts=part(
        brokerExecutionCharge="0", thirdPartyClearingCharge="", thirdPartyRegulatoryCharge="0",
    )))  # fmt: skip
    assert shown(made) == [("9001_COMMISSION", "EXCHANGE", Decimal("0.1"))]


def test_the_parts_of_a_rebooked_trade_belong_to_the_row_that_was_charged() -> None:
    rebook = row(transactionID="9002", ibCommission="0", ibExecID="0000aa01.65e2b001.01.02")
    for trades in ((row(), rebook), (rebook, row())):
        made = charged(records(*trades, parts=part()))
        assert min(shown(made)) == ("9001_COMMISSION", "COMMISSION", Decimal("0.9"))
        assert [one.amount for one in made if "_9002_" in one.fee_uid] == [Decimal(0)]
        assert len(made) == 5


def test_several_rows_of_one_trade_are_added_up() -> None:
    half = {name: str(Decimal(value) / 2) for name, value in PARTS.items() if name.endswith("Charge")}
    made = charged(records(row(), parts=part(**half) + part(**half, dateTime="20260302;093106")))
    assert shown(made)[0] == ("9001_COMMISSION", "COMMISSION", Decimal("0.9"))
    assert sum(one.amount for one in made) == Decimal("1.0055")


@pytest.mark.parametrize(
    "useless",
    [
        {"tradeID": "71002"}, {"currency": "EUR"}, {"brokerExecutionCharge": "1,0"},
        {name: "0" for name in PARTS if name.endswith("Charge")},
    ],
)  # fmt: skip
def test_a_breakdown_that_does_not_fit_changes_nothing(useless: dict[str, str]) -> None:
    assert charged(records(row(), parts=part(**useless))) == charged(records(row()))


def test_an_unreadable_breakdown_is_quarantined() -> None:
    made = made_of(records(row(), parts=part(brokerExecutionCharge="1,0")))
    assert [(one.kind, one.reason_code) for one in made.rejects] == [(RecordKind.SECTIONS, "bad_number")]
    assert made_of(records(row(), parts=part())).rejects == []


def test_taxes_are_told_one_by_one() -> None:
    made = charged(records(
        row(taxes="-3.5"), taxes=tax(taxAmount="-2.5", taxDescription="HK Stamp Duty") + tax(taxAmount="-1")
    ))[1:]  # fmt: skip
    assert shown(made) == [("9001_TAX", "TAX", Decimal(1)), ("9001_TAX_2", "STAMP_DUTY", Decimal("2.5"))]
    assert [one.broker_fee_name for one in made] == ["French Transaction Tax", "HK Stamp Duty"]
    assert {one.trade_uid for one in made} == {None}


def test_taxes_that_no_row_explains_are_unallocated() -> None:
    made = charged(records(row(taxes="-3"), taxes=tax()))[1:]
    assert shown(made) == [("9001_TAX", "TAX", Decimal(2)), ("9001_TAX_UNALLOCATED", "UNALLOCATED", Decimal(1))]


def test_details_of_taxes_are_not_added_to_their_sums() -> None:
    body = tax(taxAmount="-2") + row(TAX, tag="TransactionTaxDetail", taxAmount="-1.5", taxDescription="A")
    body += row(TAX, tag="TransactionTaxDetail", taxAmount="-0.5", taxDescription="B")
    made = charged(records(row(taxes="-2"), taxes=body))[1:]
    assert [one.amount for one in made] == [Decimal("1.5"), Decimal("0.5")]


def test_taxes_that_two_statements_sum_up_are_told_once() -> None:
    def told(**window: str) -> list[Record]:
        return records_of_sections(("TransactionTaxes", tax(levelOfDetail="SUMMARY")), **window)

    week, month = told(), told(fromDate="20260201", whenGenerated="20260308;050000")
    assert week[0].key == month[0].key
    once = {record.key: record for record in (*week, *month)}.values()
    made = charged([*records(row(taxes="-2")), *once])[1:]
    assert shown(made) == [("9001_TAX", "TAX", Decimal(2))]


def test_a_trade_without_taxes_gets_none_from_a_section() -> None:
    assert len(charged(records(row(taxes="0"), taxes=tax()))) == 1


@given(whole=st.decimals(-50, 50, places=6), told=st.lists(st.decimals(-20, 20, places=4), min_size=5, max_size=5))
def test_the_rows_of_a_commission_sum_to_it(whole: Decimal, told: list[Decimal]) -> None:
    names = [name for name in PARTS if name.endswith("Charge")]
    given = records(row(ibCommission=str(whole)), parts=part(**dict(zip(names, map(str, told), strict=True))))
    made = charged(given)
    assert sum((one.amount for one in made), Decimal(0)) == -whole
    assert len({one.fee_uid for one in made}) == len(made)


def relatives(given: list[Record]) -> Iterator[tuple[RecordKind, Relative]]:
    for one in given:
        for relative in section_relatives([one]):
            yield one.kind, relative


def test_fees_ask_for_their_parts_and_parts_for_their_trade() -> None:
    told = set(relatives(records(row(), parts=part(), taxes=tax())))
    assert told == {
        (RecordKind.FEES, Relative(ACCOUNT, "tradeID", "71001", RecordKind.SECTIONS)),
        (RecordKind.FEES, Relative(ACCOUNT, "tradeId", "71001", RecordKind.SECTIONS)),
        (RecordKind.SECTIONS, Relative(ACCOUNT, "tradeID", "71001", RecordKind.TRADES)),
    }


def test_rows_without_a_trade_ask_for_nothing() -> None:
    assert list(relatives(records(row(tradeID=""), parts=part(tradeID="")))) == []


def test_the_order_of_records_does_not_matter() -> None:
    given = records(row(), row(STOCK, transactionID="9002", ibExecID="x.y.01.02"), parts=part() + part(), taxes=tax())
    expected = sorted(charged(given), key=lambda one: one.fee_uid)
    backwards = charged([replace(one) for one in reversed(given)])
    assert sorted(backwards, key=lambda one: one.fee_uid) == expected
    assert {one.fee_type for one in expected} >= {FeeType.COMMISSION, FeeType.REGULATORY}
