"""What a check shows of a break fits the page, and its commands are whole."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.checks import Severity
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.reconciliation import Break, BreakState
from apex_pipeline.reports.offenders import DETAILED, details, headline, narrow

NOW = datetime(2026, 5, 23, tzinfo=UTC)


def broken(**more: Any) -> Break:
    """A deal of an order is missing."""
    usual: dict[str, Any] = {
        "break_uid": "B_1ff3", "check_name": "order_filled_quantity_is_the_sum_of_its_trades",
        "severity": Severity.ERROR, "broker": Broker.FUTU, "account_id": "2817", "subject": "FUTU_2817_V5 HK.00700",
        "business_date": date(2026, 5, 22), "expected": Decimal("10.0"), "actual": Decimal("7.0"),
        "delta": Decimal("-3.0"), "currency": None, "state": BreakState.OPEN, "cause": "MISSING_B",
        "first_seen_at": NOW, "last_seen_at": NOW, "age_bd": 0,
        "evidence": {"rows": ["FUTU_2817_V5"], "side": "BUY", "set_right": [{"do": "insert"}]},
    }  # fmt: skip
    return Break(**{**usual, **more})


def test_a_headline_says_what_is_wrong_and_how_much_more() -> None:
    assert headline([]) is None
    assert headline([broken()]) == "FUTU_2817_V5 HK.00700: expected 10, actual 7"
    assert headline([broken(), broken()]) == "FUTU_2817_V5 HK.00700: expected 10, actual 7, and 1 more"
    assert headline([broken(actual=None, delta=None)]) == "FUTU_2817_V5 HK.00700: expected 10, actual unknown"
    assert headline([broken(currency="USD")]) == "FUTU_2817_V5 HK.00700: expected 10, actual 7 USD"
    assert headline([broken(expected=None, actual=None, delta=None)]) == "FUTU_2817_V5 HK.00700: MISSING_B"


def test_the_table_holds_only_what_fits_the_page() -> None:
    told = narrow(broken(currency="USD", evidence={"trades": "x" * 5000}))
    assert told == {"subject": "FUTU_2817_V5 HK.00700", "expected": "10", "actual": "7"}


def test_the_details_have_all_evidence_and_every_command() -> None:
    told = details([broken()])
    commands = [line.partition("#")[0].strip() for line in told.splitlines() if line.startswith("apex ")]
    assert commands == [
        "apex breaks --explain B_1ff3",
        "apex why B_1ff3",
        "apex why FUTU_2817_V5",
    ]
    asked = "`apex backfill --broker futu --account 2817 --from-date 2026-05-22 --to-date 2026-05-22 --force`"
    assert f"Next: ask FUTU again: {asked}; if it stays" in told
    assert "missing on the side called actual" in told
    assert "| side | BUY |" in told
    assert "insert" not in told, "what would set it right is no evidence"


def test_a_break_that_follows_from_another_asks_nobody_again() -> None:
    told = details([broken(state=BreakState.EXPLAINED, rule="the_same_fills_are_missing", follows=["B_77"])])
    assert "backfill" not in told
    assert "B\\_77" in told


def test_the_words_of_a_broker_stay_in_their_place() -> None:
    told = details([broken(subject="a|b <script>", evidence={"rows": ["x; rm -rf /\n```"], "text": "| <b> |"})])
    assert "apex why 'x; rm -rf / ```'" in told
    assert "\\<b>" in told
    assert "\n## a\\|b \\<script>" in "\n" + told


def test_many_breaks_are_told_up_to_a_number() -> None:
    told = details([broken(subject=str(number)) for number in range(DETAILED + 2)])
    assert told.count("## ") == DETAILED
    assert told.endswith("… and 2 more: `apex breaks`")
