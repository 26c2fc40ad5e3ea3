"""Which trade bears a fee: taxes that of their row, and the fees of a cancelled execution its rebook."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.brokers.ib.normalize import normalize
from apex_pipeline.domain.records import Normalized, RecordKind, Relative
from tests.brokers.ib.statements import ACCOUNT, normalized, records_of, row

TAXED = {"taxes": "-0.5"}
CANCEL = {
    "transactionID": "9050", "ibExecID": "", "transactionType": "TradeCancel", "notes": "Ca", "quantity": "-10",
    "tradeID": "", "ibOrderID": "", "ibCommission": "0", "origTransactionID": "9001", "origTradeID": "71001",
}  # fmt: skip
REBOOK = {"transactionID": "9051", "ibExecID": "0000aa01.65e2b001.01.02", "ibOrderID": "5051", "ibCommission": "0"}
AGAIN = {**CANCEL, "transactionID": "9060", "origTransactionID": "9051"}
SECOND = {**REBOOK, "transactionID": "9061", "ibExecID": "0000aa01.65e2b001.01.03", "ibOrderID": "5061"}
CORRECTION = {**REBOOK, "transactionType": "TradeCorrect", "origTransactionID": "9001", "tradeID": "71777"}

Shares = list[tuple[str, str, Decimal]]
ON_ORIGINAL: Shares = [("9001_TAX", "9001", Decimal("0.5"))]


def shares(made: Normalized) -> Shares:
    """Fee, the transaction that bears it, and how much; nothing where that is nothing."""
    bearers = {trade.trade_uid: trade.broker_trade_id for trade in made.trades}
    found = [
        (part.fee_uid.removeprefix(f"IB_{ACCOUNT}_"), bearers[part.trade_uid], part.amount)
        for part in made.fee_allocations
    ]
    return sorted(one for one in found if one[2])


def on(bearer: str) -> Shares:
    """Everything that the original was charged."""
    return [("9001_COMMISSION", bearer, Decimal("1.0055")), ("9001_TAX", bearer, Decimal("0.5"))]


def made_of(*rows: dict[str, str]) -> Normalized:
    return normalized(*(row(**changes) for changes in rows))


def test_a_tax_is_borne_by_the_trade_of_its_row_and_a_commission_names_its_trade_itself() -> None:
    made = made_of(TAXED)
    assert shares(made) == ON_ORIGINAL
    assert {fee.broker_fee_name: fee.trade_uid for fee in made.fees} == {
        "ibCommission": made.trades[0].trade_uid, "taxes": None,
    }  # fmt: skip
    assert shares(made_of({})) == []


def test_a_tax_of_a_book_entry_without_an_order_is_borne_as_well() -> None:
    booked = {**TAXED, "transactionType": "BookTrade", "notes": "A", "ibExecID": "", "ibOrderID": "9001"}
    assert shares(made_of(booked)) == ON_ORIGINAL


def test_the_tax_of_a_trade_that_is_refused_is_borne_by_none() -> None:
    made = made_of({**TAXED, "quantity": "ten"})
    assert (len(made.fees), made.fee_allocations) == (2, [])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([CANCEL], ON_ORIGINAL),
        ([REBOOK], ON_ORIGINAL),
        ([CANCEL, REBOOK], on("9051")),
        ([CANCEL, {**REBOOK, "tradeID": "71999"}], ON_ORIGINAL),
        ([CANCEL, {**REBOOK, "transactionID": "8999"}], ON_ORIGINAL),
        ([CANCEL, REBOOK, AGAIN], ON_ORIGINAL),
        ([CANCEL, REBOOK, AGAIN, SECOND], on("9061")),
        ([CORRECTION], on("9051")),
        ([CORRECTION, {**AGAIN, "origTradeID": ""}], ON_ORIGINAL),
    ],
    ids=[
        "cancelled", "not cancelled", "rebooked", "rebooked under another tradeID", "booked earlier",
        "rebook cancelled", "rebooked twice", "corrected", "correction cancelled",
    ],
)  # fmt: skip
def test_the_fees_of_a_cancelled_execution_go_with_the_rebook_in_force(
    rows: Sequence[dict[str, str]], expected: Shares
) -> None:
    assert shares(made_of(TAXED, *rows)) == expected


def test_a_rebook_that_is_charged_itself_bears_both() -> None:
    made = made_of(TAXED, CANCEL, {**REBOOK, "ibCommission": "-2", "taxes": "-0.7"})
    assert shares(made) == [*on("9051"), ("9051_TAX", "9051", Decimal("0.7"))]


@given(st.permutations([TAXED, CANCEL, REBOOK, AGAIN, SECOND]), st.sets(st.integers(0, 4)))
def test_every_fee_is_borne_whole_and_once_whatever_the_order_of_the_rows(
    rows: Sequence[dict[str, str]], left_out: set[int]
) -> None:
    records = [one for number, told in enumerate(rows) if number not in left_out for one in records_of(row(**told))]
    made = normalize(records)
    borne = {part.fee_uid: part.amount for part in made.fee_allocations}
    assert len(borne) == len(made.fee_allocations)
    assert borne == {fee.fee_uid: fee.amount for fee in made.fees if fee.fee_uid in borne}
    assert {fee.fee_uid for fee in made.fees if fee.trade_uid is None} <= borne.keys()
    assert shares(normalize(records[::-1])) == shares(made)


def asked(made: Normalized) -> set[Relative]:
    told = {one for one in made.relatives if one.field == "tradeID" and one.value == "71001"}
    return {one for one in told if one.kind is not RecordKind.SECTIONS}


def test_only_what_was_taken_back_and_what_may_be_a_rebook_asks_for_the_others() -> None:
    trades, charges = (Relative(ACCOUNT, "tradeID", "71001", kind) for kind in (RecordKind.TRADES, RecordKind.FEES))
    by_transaction = {**CANCEL, "origTradeID": ""}
    assert asked(made_of({})) == set()
    assert asked(made_of(REBOOK)) == {trades}
    assert asked(made_of({}, by_transaction)) == {trades}
    assert asked(made_of({"ibOrderID": ""}, by_transaction)) == {trades, charges}
