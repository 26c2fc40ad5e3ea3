"""What people say about their accounts: lot method, base currency and day-trading regime, each from a date on."""

from collections.abc import Callable, Mapping
from datetime import date

from apex_pipeline.domain.ledger import AccountRule, LotMethod, Rule
from apex_pipeline.domain.regimes import NEW_RULE, Regime
from apex_pipeline.errors import ConfigError
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import row_as
from apex_pipeline.store.transaction import Transaction

_STAGES = ("match", "value")


class AccountRuleRepository:
    """Reads and writes the rules of accounts; a changed one has its days matched and valued again."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def rules(self) -> list[AccountRule]:
        """All rules by account, rule and date."""
        return [row_as(AccountRule, row) for row in self._db.fetch("account_rules_list")]

    def set_rule(self, account_id: str, rule: Rule, from_date: date, value: str) -> bool:
        """Say that a rule holds from a date on; returns whether that was new.

        Raises ConfigError for an account of which nothing was loaded and for a value that the rule does not know.
        """
        _VALIDATED[rule](value, from_date)
        with self._db.transaction() as tx:
            changed = tx.execute(
                "account_rules_set", account_id=account_id, rule=rule.value, from_date=from_date, value=value
            )
            self._mark(tx, account_id, from_date, changed=changed)
        return bool(changed)

    def remove_rule(self, account_id: str, rule: Rule, from_date: date) -> bool:
        """Take back what was said from exactly this date on; returns whether there was such a rule."""
        with self._db.transaction() as tx:
            removed = tx.execute("account_rules_remove", account_id=account_id, rule=rule.value, from_date=from_date)
            self._mark(tx, account_id, from_date, changed=removed)
        return bool(removed)

    def _mark(self, tx: Transaction, account_id: str, from_date: date, *, changed: int) -> None:
        """Mark the first known day that the rule is about; a rule for days to come needs no mark."""
        known = tx.fetch("account_rules_scope", account_id=account_id)
        if not known:
            raise ConfigError(f"nothing was ever loaded of account {account_id}: see `apex status` for those that are")
        for row in known if changed else ():
            day = max(from_date, row["first_day"])
            if day <= row["last_day"]:
                scope = {"broker": row["broker"], "account_id": account_id, "business_date": day}
                tx.execute("account_rules_mark", **scope, stages=list(_STAGES))


def _lot_method(value: str, _: date) -> None:
    _one_of(value, [method.value for method in LotMethod])


def _base_currency(value: str, _: date) -> None:
    if not (len(value) == 3 and value.isascii() and value.isalpha() and value.isupper()):
        raise ConfigError(f"{value!r} is no currency: say it in three capital letters, such as USD")


def _regime(value: str, from_date: date) -> None:
    _one_of(value, [regime.value for regime in Regime])
    if value == Regime.INTRADAY_MARGIN and from_date < NEW_RULE:
        raise ConfigError(f"no account was under {value} before {NEW_RULE}: say the day on which the broker changed")


def _one_of(value: str, known: list[str]) -> None:
    if value not in known:
        raise ConfigError(f"{value!r} is not known: choose one of {', '.join(known)}")


_VALIDATED: Mapping[Rule, Callable[[str, date], None]] = {
    Rule.LOT_METHOD: _lot_method,
    Rule.BASE_CURRENCY: _base_currency,
    Rule.REGIME: _regime,
}
