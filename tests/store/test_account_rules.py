"""What people say about their accounts."""

from datetime import date

import pytest

from apex_pipeline.domain.ledger import Rule
from apex_pipeline.errors import ConfigError
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.account_rules import AccountRuleRepository
from tests.store.rows import query
from tests.store.rules_book import (
    MONDAY,
    cover,
    day,
)


def test_a_rule_is_kept_once_and_has_its_days_done_again(db: Database, database_url: str) -> None:
    cover(database_url, "U1", MONDAY, day(20))
    rules = AccountRuleRepository(db)
    assert rules.set_rule("U1", Rule.LOT_METHOD, day(3), "AVERAGE")
    marks = "SELECT stage, broker, account_id, business_date FROM dirty_days ORDER BY 1"
    assert query(database_url, marks) == [("match", "IB", "U1", day(3)), ("value", "IB", "U1", day(3))]
    query(database_url, "DELETE FROM dirty_days")
    assert not rules.set_rule("U1", Rule.LOT_METHOD, day(3), "AVERAGE")
    assert query(database_url, marks) == []
    assert rules.set_rule("U1", Rule.LOT_METHOD, day(3), "FIFO")
    assert [(one.account_id, one.rule, one.from_date, one.value) for one in rules.rules()] == [
        ("U1", Rule.LOT_METHOD, day(3), "FIFO")
    ]
    query(database_url, "DELETE FROM dirty_days")
    assert rules.remove_rule("U1", Rule.LOT_METHOD, day(3))
    assert len(query(database_url, marks)) == 2
    assert not rules.remove_rule("U1", Rule.LOT_METHOD, day(3))
    assert rules.rules() == []


def test_only_known_days_are_marked(db: Database, database_url: str) -> None:
    cover(database_url, "U1", MONDAY, day(5))
    rules = AccountRuleRepository(db)
    rules.set_rule("U1", Rule.BASE_CURRENCY, date(2015, 1, 1), "USD")
    assert query(database_url, "SELECT DISTINCT business_date FROM dirty_days") == [(MONDAY,)]
    query(database_url, "DELETE FROM dirty_days")
    rules.set_rule("U1", Rule.BASE_CURRENCY, day(6), "HKD")
    assert query(database_url, "SELECT count(*) FROM dirty_days") == [(0,)]


@pytest.mark.parametrize(
    ("account", "rule", "said"),
    [
        ("U9", Rule.LOT_METHOD, "FIFO"),
        ("U1", Rule.LOT_METHOD, "LIFO"),
        ("U1", Rule.BASE_CURRENCY, "usd"),
        ("U1", Rule.BASE_CURRENCY, "DOLLAR"),
        ("U1", Rule.REGIME, "PDT"),
        ("U1", Rule.REGIME, "INTRADAY_MARGIN"),  # in 2025
    ],
)
def test_what_cannot_be_is_refused_and_not_kept(
    db: Database, database_url: str, account: str, rule: Rule, said: str
) -> None:
    cover(database_url, "U1", MONDAY, day(20))
    with pytest.raises(ConfigError):
        AccountRuleRepository(db).set_rule(account, rule, MONDAY, said)
    assert AccountRuleRepository(db).rules() == []
