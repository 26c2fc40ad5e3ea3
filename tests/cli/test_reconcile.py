"""`apex reconcile` and `apex breaks` as an outsider runs them."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.cli.program import Apex
from tests.cli.sql import rows
from tests.store.rows import query

DAY = date(2026, 3, 2)
ORDER = (
    "INSERT INTO orders_norm (order_uid, broker, account_id, broker_order_id, symbol, asset_class, side, status, qty, "
    "filled_qty, avg_price, currency, multiplier, updated_at, trade_date, source) VALUES "
    "('FUTU_1_1', 'FUTU', '1', '1', 'US.KO', 'STOCK', 'BUY', 'FILLED', 100, 100, 10, 'USD', 1, %s, %s, 'futu_orders')"
)
TRADE = (
    "INSERT INTO trades_norm (trade_uid, order_uid, broker, account_id, broker_trade_id, symbol, asset_class, kind, "
    "effective, side, qty, price, multiplier, amount, currency, executed_at, trade_date, source) VALUES "
    "('FUTU_1_7', 'FUTU_1_1', 'FUTU', '1', '7', 'US.KO', 'STOCK', 'TRADE', true, 'BUY', 60, 10, 1, -600, 'USD', "
    "%s, %s, 'futu_deals')"
)
FEE = "INSERT INTO fees_norm VALUES ('FUTU_1_1_c', 'FUTU_1_1', NULL, 'FUTU', '1', 'COMMISSION', 'c', 0, 'USD', %s)"
CHECK = "order_filled_quantity_is_the_sum_of_its_trades"
THAT_DAY = ("--from-date", DAY.isoformat(), "--to-date", DAY.isoformat())


@pytest.fixture
def short(database_url: str) -> None:
    """An order of which 40 fewer were told than it filled."""
    for text in (ORDER, TRADE):
        query(database_url, text, f"{DAY} 15:00+00", DAY)
    query(database_url, FEE, DAY)
    query(database_url, "SELECT seal_all(table_name) FROM sealed_tables")


def found(url: str) -> dict[str, object]:
    (row,) = rows(url, "SELECT * FROM recon_breaks WHERE check_name = %s", (CHECK,))
    return row


def test_before_anything_is_loaded_there_is_nothing_to_reconcile(apex: Apex) -> None:
    ended = apex("reconcile")
    assert ended.code == 2, ended.text
    assert ended.complaints == ["apex: nothing is loaded yet: run `apex backfill`"]
    assert "none: every check agrees" in apex("breaks").out


@pytest.mark.usefixtures("short")
def test_a_break_is_told_and_fails_the_command_until_it_is_accepted(apex: Apex, database_url: str) -> None:
    ended = apex("reconcile", *THAT_DAY)
    assert ended.code == 1, ended.text
    assert CHECK in ended.out
    row = found(database_url)
    assert (row["state"], row["delta"]) == ("OPEN", -40)
    uid = str(row["break_uid"])
    assert uid in apex("breaks").out
    (told,) = [one for one in json.loads(apex("breaks", "--json").out) if one["break_uid"] == uid]
    assert (told["check_name"], told["evidence"]["rows"]) == (CHECK, ["FUTU_1_1", "FUTU_1_7"])
    explained = apex("breaks", "--explain", uid)
    assert explained.code == 0, explained.text
    for words in (
        "B01",
        "expected 100, actual 60, difference -40",
        "NEW to OPEN",
        "apex why FUTU_1_1",
        "next: ask FUTU again",
    ):
        assert words in explained.out
    until = datetime.now(UTC).date() + timedelta(days=9)
    signed = apex(
        "breaks", "--accept", uid, "--reason", "the broker knows", "--until", until.isoformat(), "--by", "ann"
    )
    assert signed.code == 0, signed.text
    assert f"ACCEPTED until {until}: the broker knows" in signed.out
    row = found(database_url)
    assert (row["state"], row["owner"], row["accepted_until"]) == ("ACCEPTED", "ann", until)
    apex("reconcile", *THAT_DAY)
    assert found(database_url)["state"] == "ACCEPTED"
    steps = [
        step["to_state"]
        for step in rows(
            database_url, "SELECT to_state FROM recon_changes WHERE break_uid = %s ORDER BY changed_at", (uid,)
        )
    ]
    assert steps == ["OPEN", "ACCEPTED"]


@pytest.mark.usefixtures("short")
def test_what_a_person_explains_is_told_with_the_reason(apex: Apex, database_url: str) -> None:
    apex("reconcile", *THAT_DAY)
    uid = str(found(database_url)["break_uid"])
    ended = apex("breaks", "--explain", uid, "--reason", "traded before the history")
    assert ended.code == 0, ended.text
    row = found(database_url)
    assert (row["state"], row["note"], row["explained_amount"]) == ("EXPLAINED", "traded before the history", -40)
    assert "traded before the history" in apex("breaks").out


@pytest.mark.usefixtures("short")
def test_what_cannot_be_meant_is_refused(apex: Apex, database_url: str) -> None:
    apex("reconcile", *THAT_DAY)
    uid = str(found(database_url)["break_uid"])
    for arguments, complaint in (
        (("--accept", uid), "pass --reason TEXT"),
        (("--accept", uid, "--reason", "x", "--until", "2026-01-01"), "name a day to come with --until"),
        (("--accept", "B_0", "--reason", "x"), "no break is called 'B_0'"),
        (("--accept", uid, "--explain", uid), "exclude each other"),
    ):
        ended = apex("breaks", *arguments)
        assert ended.code == 2, ended.text
        assert len(ended.complaints) == 1
        assert complaint in ended.complaints[0]
    ended = apex("reconcile", "--from-date", "2026-03-03", "--to-date", "2026-03-02")
    assert (ended.code, "is after --to-date" in ended.complaints[0]) == (2, True)


@pytest.mark.usefixtures("short")
def test_the_report_as_json_has_every_check(apex: Apex) -> None:
    told = json.loads(apex("reconcile", *THAT_DAY, "--json").out)
    checks = {row["check"]: row for row in told["checks"]}
    assert len(checks) == 62
    assert (checks["B01"]["compared"], checks["B01"]["open"]) == (1, 1)
    assert checks["D08"]["skipped_because"]
    assert not checks["B01"]["skipped_because"]
    (day,) = told["reconciled_days"]
    assert (day["business_date"], day["account_id"], day["opened"] > 0) == (DAY.isoformat(), "1", True)
