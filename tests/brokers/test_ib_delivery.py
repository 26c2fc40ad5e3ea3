"""Statements as records, rejects, coverage and notes."""

from datetime import UTC, date, datetime

import pytest

from apex_pipeline.brokers.ib.flex_client import Window
from apex_pipeline.domain.records import RecordKind
from tests.brokers.ib.statements import (
    ACCOUNT,
    delivered,
    document,
    of_rows,
    records_of,
    row,
    statement,
    week,
)


def covered(content: bytes, asked: Window | None = None) -> list[tuple[str, date, date]]:
    return [(item.account_id, item.from_date, item.to_date) for item in delivered(content, asked).covered]


def test_a_trade_is_kept_as_sent_with_its_fee_beside_it() -> None:
    trade, fee = records_of(row())
    assert (trade.kind, trade.account_id, trade.key, trade.order_id) == (RecordKind.TRADES, ACCOUNT, "9001", "5001")
    assert trade.business_date == date(2026, 3, 2)
    assert trade.generated_at == datetime(2026, 3, 9, 9, tzinfo=UTC)
    assert trade.payload["quantity"] == "10"
    assert trade.payload["orderReference"] == "swing"
    assert (fee.kind, fee.key, fee.order_id) == (RecordKind.FEES, "9001", "5001")
    assert fee.payload["ibCommission"] == "-1.0055"
    assert "quantity" not in fee.payload


def test_executions_and_orders_are_facts_and_everything_else_is_kept_beside_them() -> None:
    rows = [
        row(),
        row(tag="Order", levelOfDetail="ORDER", transactionID=""),
        row(tag="Lot", levelOfDetail="CLOSED_LOT"),
        row(tag="Trade", levelOfDetail="CLOSED_LOT"),
        row(tag="SymbolSummary", levelOfDetail="SYMBOL_SUMMARY"),
        row(tag="AssetSummary", levelOfDetail="ASSET_SUMMARY"),
        row(tag="WashSale", levelOfDetail="WASH_SALE"),
    ]
    records = records_of(*rows)
    facts = [(item.kind, item.key) for item in records if item.kind is not RecordKind.SECTIONS]
    assert facts == [(RecordKind.TRADES, "9001"), (RecordKind.FEES, "9001"), (RecordKind.ORDERS, "5001")]
    others = [item.payload for item in records if item.kind is RecordKind.SECTIONS]
    tags = sorted(told.get("_tag", "rows") for told in others)
    assert tags == ["AssetSummary", "SymbolSummary", "Trade", "WashSale", "rows"]
    (lots,) = (told["rows"] for told in others if "rows" in told)
    assert [lot["_tag"] for lot in lots] == ["Lot"]


def test_two_different_bookings_of_one_id_do_not_become_one() -> None:
    told = {"type": "Dividends", "amount": "10", "reportDate": "20260304", "levelOfDetail": "DETAIL"}
    booked = {"tag": "CashTransaction", "transactionID": "777", **told}
    content = document(statement(row({}, **booked) + row({}, **booked), section="CashTransactions"))
    assert ([item.key for item in delivered(content).records], delivered(content).rejects) == (["777", "777"], [])
    other = {**booked, "type": "Withholding Tax", "amount": "-3"}
    content = document(statement(row({}, **booked) + row({}, **other), section="CashTransactions"))
    assert [item.reason_code for item in delivered(content).rejects] == ["repeated_transactionID"]


def test_a_sum_of_bookings_that_does_not_say_so_is_not_booked() -> None:
    told = {"tag": "CashTransaction", "type": "Dividends", "amount": "10", "reportDate": "20260304"}
    both = row({}, transactionID="1", **told) + row({}, transactionID="", **told)
    content = document(statement(both, section="CashTransactions"))
    assert [item.key for item in delivered(content).records] == ["1"]
    assert [item.reason_code for item in delivered(content).rejects] == ["missing_transactionID"]
    older = document(statement(row({}, **told), section="CashTransactions"))
    assert len(list(delivered(older).records)) == 1, "statements of old had no ids at all"


def test_an_account_without_positions_is_flat_although_another_one_holds_some() -> None:
    held = row({}, tag="OpenPosition", accountId="U1000002", symbol="ES", position="1", reportDate="20260306")
    trades = f"{row()}</Trades><OpenPositions>{held}</OpenPositions><Trades>"
    records = list(delivered(document(statement(trades))).records)
    told = {r.account_id: r.payload["rows"] for r in records if r.kind is RecordKind.POSITIONS}
    assert (set(told), told[ACCOUNT]) == ({ACCOUNT, "U1000002"}, [])


def test_a_segment_of_the_account_of_the_statement_is_no_account_of_its_own() -> None:
    segment = row(accountId=f"{ACCOUNT}F")
    assert {r.account_id for r in delivered(document(statement(segment))).records} == {ACCOUNT}
    other = row(accountId=f"{ACCOUNT}7")
    assert f"{ACCOUNT}7" in {r.account_id for r in delivered(document(statement(other))).records}


def test_a_statement_does_not_speak_of_the_positions_of_another_account() -> None:
    held = row({}, tag="OpenPosition", accountId=ACCOUNT, symbol="SPY", position="1", reportDate="20260306")
    trades = f"{row(accountId='U9')}</Trades><OpenPositions>{held}</OpenPositions><Trades>"
    records = delivered(document(statement(trades))).records
    assert {r.account_id for r in records if r.kind is RecordKind.POSITIONS} == {ACCOUNT}


def test_a_rejected_row_of_a_section_has_the_key_that_its_record_would_have() -> None:
    action = {"tag": "CorporateAction", "transactionID": "55", "reportDate": "2026-02-30"}
    body = document(statement(row({}, **action), section="CorporateActions"))
    (reject,) = delivered(body).rejects
    mended = document(statement(row({}, **{**action, "reportDate": "20260302"}), section="CorporateActions"))
    assert reject.key == next(iter(delivered(mended).records)).key


def test_a_file_without_a_section_of_trades_covers_no_day() -> None:
    content = document(statement(row({}, tag="Dividend", amount="1", date="20260304"), section="Dividends"))
    assert delivered(content).covered == []
    assert len(delivered(content, week()).covered) == 1
    assert len(delivered(document(statement())).covered) == 1


def test_a_closed_lot_that_is_told_anew_replaces_its_day() -> None:
    lot = {"tag": "Lot", "levelOfDetail": "CLOSED_LOT", "quantity": "5"}
    told = [records_of(row(**lot), row(**{**lot, "quantity": qty})) for qty in ("4", "3")]
    keys = [{item.key for item in records if item.kind is RecordKind.SECTIONS} for records in told]
    assert keys[0] == keys[1]
    assert records_of(row(**lot), row(**{**lot, "quantity": "4"})) == records_of(
        row(**{**lot, "quantity": "4"}), row(**lot)
    )


def test_a_row_without_level_of_detail_is_an_execution() -> None:
    assert records_of(row(without=["levelOfDetail"]))[0].kind is RecordKind.TRADES


def test_orders_of_their_own_section_are_kept() -> None:
    content = document(statement(row(tag="Order", levelOfDetail="ORDER"), section="Orders"))
    assert [item.kind for item in delivered(content).records] == [RecordKind.ORDERS]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, date(2026, 3, 2)),
        ({"tradeDate": ""}, date(2026, 3, 3)),
        ({"tradeDate": "", "dateTime": ""}, date(2026, 3, 4)),
        ({"tradeDate": "MULTI", "dateTime": "--"}, date(2026, 3, 4)),
    ],
)
def test_the_business_date_is_the_trade_date_else_the_time_else_the_report(
    changes: dict[str, str], expected: date
) -> None:
    base = {"dateTime": "20260303;180000", "reportDate": "20260304"}
    assert records_of(row(**{**base, **changes}))[0].business_date == expected


def test_an_unreadable_row_is_rejected_and_the_rest_loads() -> None:
    delivery = delivered(of_rows(row(), row(tradeDate="2026-02-30", transactionID="9002"), row(transactionID="9003")))
    assert [item.key for item in delivery.records if item.kind is RecordKind.TRADES] == ["9001", "9003"]
    assert [(item.key, item.reason_code, item.kind) for item in delivery.rejects] == [("9002", "bad_date", "trades")]
    assert delivery.rejects[0].payload["transactionID"] == "9002"


def test_a_row_without_any_date_is_rejected() -> None:
    bare = row(without=["tradeDate", "dateTime", "reportDate", "orderTime"])
    assert [item.reason_code for item in delivered(of_rows(bare)).rejects] == ["missing_date"]


def test_equal_fills_without_an_id_stay_two_and_keep_their_keys_in_another_answer() -> None:
    same = row(without=["transactionID"], ibExecID="")
    keys = [item.key for item in records_of(same, same) if item.kind is RecordKind.TRADES]
    assert len(set(keys)) == 2
    assert all(key.startswith("H") for key in keys)
    again = [item.key for item in records_of(row(), same, same) if item.key.startswith("H")]
    assert set(again) == set(keys)
    other = records_of(row(without=["transactionID"], ibExecID="", quantity="11"))[0].key
    assert other not in keys


def test_a_revaluation_does_not_change_the_key_of_a_row_without_id() -> None:
    first = records_of(row(without=["transactionID"], closePrice="1", fxRateToBase="0.9"))[0]
    later = records_of(row(without=["transactionID"], closePrice="2", fxRateToBase="0.8"))[0]
    assert first.key == later.key


def test_the_row_names_its_account_before_the_statement() -> None:
    content = document(statement(row(accountId="U2") + row(accountId="", transactionID="9002"), accountId="U1"))
    assert [item.account_id for item in delivered(content).records if item.kind is RecordKind.TRADES] == ["U2", "U1"]


def test_records_do_not_depend_on_how_they_are_split_over_statements() -> None:
    whole = of_rows(row(), row(transactionID="9002", tradeDate="20260303"))
    split = document(
        statement(row(transactionID="9002", tradeDate="20260303"), fromDate="20260303"),
        statement(row(), toDate="20260302"),
    )
    assert {(r.kind, r.key): r.payload for r in delivered(whole).records} == {
        (r.kind, r.key): r.payload for r in delivered(split).records
    }
    assert covered(whole) == covered(split)


def test_coverage_is_what_the_statement_says_inside_what_was_asked() -> None:
    assert covered(of_rows(row()), Window(date(2026, 3, 4), date(2026, 3, 20))) == [
        (ACCOUNT, date(2026, 3, 4), date(2026, 3, 6))
    ]
    assert covered(of_rows(row())) == [(ACCOUNT, date(2026, 3, 2), date(2026, 3, 6))]


def test_one_day_answered_for_a_week_leaves_the_week_open_and_says_so() -> None:
    content = document(statement(row(), fromDate="20260306", toDate="20260306"))
    delivery = delivered(content, week())
    assert [(item.from_date, item.to_date) for item in delivery.covered] == [(date(2026, 3, 6), date(2026, 3, 6))]
    assert any("does not cover 2026-03-02..2026-03-05" in note for note in delivery.notes)
    assert [item.key for item in delivery.records] == ["9001", "9001"]


def test_one_statement_for_each_day_covers_the_week_and_its_weekends() -> None:
    days = [statement(fromDate=f"202603{day:02}", toDate=f"202603{day:02}") for day in (2, 3, 4, 5, 6, 9)]
    delivery = delivered(document(*days), Window(date(2026, 2, 28), date(2026, 3, 9)))
    assert [(c.from_date, c.to_date) for c in delivery.covered] == [(date(2026, 2, 28), date(2026, 3, 9))]
    assert delivery.notes == []


def test_a_missing_business_day_between_statements_stays_open() -> None:
    days = [statement(fromDate=f"202603{day:02}", toDate=f"202603{day:02}") for day in (2, 4)]
    delivery = delivered(document(*days), Window(date(2026, 3, 2), date(2026, 3, 4)))
    assert [(c.from_date, c.to_date) for c in delivery.covered] == [
        (date(2026, 3, 2), date(2026, 3, 2)),
        (date(2026, 3, 4), date(2026, 3, 4)),
    ]


def test_every_account_of_an_answer_is_covered_for_itself() -> None:
    content = document(statement(row()), statement(accountId="U2", toDate="20260303"))
    assert covered(content) == [
        (ACCOUNT, date(2026, 3, 2), date(2026, 3, 6)),
        ("U2", date(2026, 3, 2), date(2026, 3, 3)),
    ]
    assert delivered(content).covered[0].records == 1
    assert delivered(content).covered[0].last_record_at == datetime(2026, 3, 2, 14, 31, 5, tzinfo=UTC)


def test_a_statement_of_orders_only_leaves_its_days_open_and_rejects_nothing() -> None:
    content = of_rows(row(tag="Order", levelOfDetail="ORDER"))
    delivery = delivered(content, week())
    assert delivery.covered == []
    assert delivery.rejects == []
    assert [item.kind for item in delivery.records] == [RecordKind.ORDERS]
    assert any("level Execution" in note for note in delivery.notes)


def test_trade_confirmations_are_not_mistaken_for_a_day_without_trades() -> None:
    content = document(statement('<TradeConfirm tradeID="1" />', section="TradeConfirms"))
    assert delivered(content, week()).covered == []
    control = document(statement('<CashReportCurrency currency="USD" />', section="CashReport"))
    assert len(delivered(control, week()).covered) == 1


def test_a_statement_without_period_or_dates_is_read() -> None:
    content = document(statement(row(), period="absent", fromDate="absent", toDate="absent"))
    delivery = delivered(content, week())
    assert len(delivery.records) == 2
    assert delivery.covered == []
    assert any("does not say its days" in note for note in delivery.notes)


def test_a_wrong_count_is_a_note_and_a_right_one_is_none() -> None:
    assert any("'2'" in note for note in delivered(document(statement(row()), count=2)).notes)
    assert delivered(document(statement(row()), count=1)).notes == []


def test_an_unknown_section_is_told_with_its_rows() -> None:
    content = document(statement(f"{row()}</Trades><Novelties><N a='1'/><N a='2'/></Novelties><Trades>"))
    assert delivered(content).notes == ["section Novelties is new: its 2 rows are kept as they are"]


def test_the_document_keeps_the_bytes_and_the_newest_time_of_writing() -> None:
    content = document(statement(row()), statement(row(), whenGenerated="20260310;050000"))
    (kept,) = delivered(content).documents
    assert kept.content.whole() == content
    assert kept.generated_at == datetime(2026, 3, 10, 9, tzinfo=UTC)


def test_slashed_dates_are_read_by_what_the_document_proves() -> None:
    slashed = {"tradeDate": "04/03/2026", "dateTime": "04/03/2026;093000", "reportDate": "04/03/2026"}
    proven = document(statement(row(**slashed), fromDate="02/03/2026", toDate="13/03/2026"))
    (trade, fee) = delivered(proven).records
    assert (trade.business_date, trade.payload["_dates"]) == (date(2026, 3, 4), "dmy")
    assert fee.payload["_dates"] == "dmy"
    by_window = document(statement(row(**slashed), fromDate="02/03/2026", toDate="06/03/2026"))
    assert delivered(by_window, week()).records[0].business_date == date(2026, 3, 4)
    undecided = delivered(document(statement(row(**slashed))))
    assert [item.reason_code for item in undecided.rejects] == ["ambiguous_date"]
