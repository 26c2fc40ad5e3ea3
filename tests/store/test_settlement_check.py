"""The check of settlement dates notices a wrong calendar and a wrong rule, and compares only what is known."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from apex_pipeline.domain.checks import CHECKS, CheckName, Severity
from apex_pipeline.domain.models import AssetClass, Broker, Trade, TradeKind
from apex_pipeline.domain.reconciliation import Finding
from apex_pipeline.pipeline import reconcile_days, value_accounts
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.calendars import refresh_calendars
from tests.store.check_rows import compared, findings
from tests.store.rows import query
from tests.store.rules_book import ALL, MONDAY, not_effective, rewritten, store, trade

CHECK = CheckName.SETTLEMENT_DATES_EQUAL_THE_BROKERS
HOLIDAY = "INSERT INTO calendar_overrides VALUES ('XNYS', %s, false, false, NULL, 'a day of mourning')"
BREAKS = "SELECT state, severity, subject, business_date, expected, actual FROM recon_breaks WHERE check_name = %s"


def told(uid: str, day: date, settles: date | None, **values: Any) -> Trade:
    """A trade with the settlement date that its broker told."""
    currency = values.pop("currency", "USD")
    return replace(trade(uid, day, 1, **values), settle_date=settles, currency=currency)


def settled(db: Database, *trades: Trade) -> list[Finding]:
    """What the check says once these trades are stored and their settlement is computed."""
    store(db, trades)
    rewritten(db, ALL)
    return findings(db, CHECK, date(2015, 1, 1), date(2026, 12, 31))


def subjects(db: Database) -> int:
    return compared(db, CHECK, date(2015, 1, 1), date(2026, 12, 31))


def test_the_check_is_in_the_catalogue() -> None:
    assert (CHECKS[CHECK].check_id, CHECKS[CHECK].severity) == ("D10", Severity.ERROR)


def test_dates_that_are_the_brokers_are_no_finding(db: Database) -> None:
    hong_kong = {"symbol": "HK.00700", "market": "HK", "currency": "HKD"}
    found = settled(
        db,
        told("last of T+2", date(2024, 5, 24), date(2024, 5, 29)),
        told("first of T+1", date(2024, 5, 28), date(2024, 5, 29)),
        told("Veterans Day", date(2018, 11, 9), date(2018, 11, 14)),
        told("option", MONDAY, MONDAY + timedelta(1), asset_class=AssetClass.OPTION),
        told("hk", date(2023, 8, 31), date(2023, 9, 5), **hong_kong),
        told("delivered", MONDAY, MONDAY + timedelta(1), kind=TradeKind.ASSIGNMENT),
    )
    assert found == []
    assert subjects(db) == 6


def test_another_date_is_an_error_that_names_the_trade_and_both_dates(db: Database) -> None:
    (found,) = settled(db, told("a", MONDAY, MONDAY + timedelta(2)), told("b", MONDAY, MONDAY + timedelta(1)))
    assert (found.broker, found.account_id, found.subject, found.business_date) == (Broker.IB, "U1", "a", MONDAY)
    assert (found.severity, found.cause, found.expected, found.actual) == (Severity.ERROR, "REFERENCE_DATA", 2, 1)
    assert found.evidence == {
        "symbol": "US.AAPL", "rule": "US STOCK T+1", "trade_date": "2025-03-03", "ours": "2025-03-04",
        "broker": "2025-03-05", "rows": ["a"],
    }  # fmt: skip
    assert subjects(db) == 2


@pytest.mark.parametrize(
    "values",
    [
        {"asset_class": AssetClass.FUTURE},
        {"asset_class": AssetClass.FUTURE_OPTION},
        {"asset_class": AssetClass.FX, "market": "FX"},
        {"asset_class": AssetClass.BOND},
        {"asset_class": AssetClass.FUND},
        {"market": "DE", "currency": "EUR"},
        {"market": "CA", "currency": "CAD"},
        {"market": "AU", "currency": "AUD"},
        {"market": None},
        {"market": "UK", "currency": "USD"},
        {"market": "HK", "currency": "CNH"},
        {"market": "HK", "currency": "HKD", "asset_class": AssetClass.FUTURE},
    ],
    ids=str,
)
def test_what_no_rule_covers_is_not_compared(db: Database, values: dict[str, Any]) -> None:
    assert settled(db, told("a", MONDAY, MONDAY + timedelta(9), **values)) == []
    assert subjects(db) == 0


def test_a_trade_whose_broker_told_no_date_or_that_was_cancelled_is_not_compared(db: Database) -> None:
    assert settled(db, told("a", MONDAY, None), not_effective(told("b", MONDAY, MONDAY + timedelta(9)))) == []
    assert subjects(db) == 0


@pytest.mark.parametrize(
    ("values", "cycle"),
    [({"market": "UK", "currency": "GBP"}, 2), ({"market": "JP", "currency": "JPY"}, 2), ({}, 1)],
    ids=str,
)
def test_what_a_rule_covers_is_compared(db: Database, values: dict[str, Any], cycle: int) -> None:
    wrong = told("a", MONDAY, MONDAY + timedelta(9), **values)
    assert [one.actual for one in settled(db, wrong)] == [cycle]
    assert settled(db, replace(wrong, settle_date=MONDAY + timedelta(cycle))) == []
    assert subjects(db) == 1


def test_a_date_of_futu_is_that_of_a_booking_and_warns(db: Database) -> None:
    delivered = told("a", MONDAY, MONDAY + timedelta(2), kind=TradeKind.ASSIGNMENT)
    (found,) = settled(db, replace(delivered, broker=Broker.FUTU))
    assert (found.severity, found.broker) == (Severity.WARN, Broker.FUTU)


def test_the_seeded_overrides_are_needed(db: Database, database_url: str) -> None:
    stormy = told("a", date(2023, 8, 30), date(2023, 9, 4), symbol="HK.00700", market="HK", currency="HKD")
    assert settled(db, stormy) == []
    query(database_url, "DELETE FROM calendar_overrides WHERE calendar = 'XHKG'")
    assert [(one.expected, one.actual) for one in settled(db, stormy)] == [(5, 2)]


def test_a_break_lasts_until_the_holiday_is_told_and_no_longer(db: Database, database_url: str) -> None:
    later = MONDAY + timedelta(63)
    store(db, [told("a", MONDAY, MONDAY + timedelta(2)), told("b", later, later + timedelta(1))])
    everything = date(2015, 1, 1), date(2026, 12, 31)
    newest = later, later

    def state() -> list[tuple[Any, ...]]:
        return query(database_url, BREAKS, CHECK)

    value_accounts(db, *everything)
    reconcile_days(db, *everything)
    assert state() == [("OPEN", "ERROR", "a", MONDAY, 2, 1)]

    query(database_url, HOLIDAY, MONDAY + timedelta(2))
    value_accounts(db, *newest)
    reconcile_days(db, *newest)
    assert [row[0] for row in state()] == ["OPEN"], "a wrong holiday mends nothing"

    query(database_url, "DELETE FROM calendar_overrides WHERE reason = 'a day of mourning'")
    query(database_url, HOLIDAY, MONDAY + timedelta(1))
    value_accounts(db, *newest)
    reconcile_days(db, *newest)
    assert [row[0] for row in state()] == ["CLOSED"], "days that were not asked are compared again"

    query(database_url, "DELETE FROM calendar_overrides WHERE reason = 'a day of mourning'")
    value_accounts(db, *newest)
    reconcile_days(db, *newest)
    assert [row[0] for row in state()] == ["OPEN"]
    assert refresh_calendars(db).changed == 0
