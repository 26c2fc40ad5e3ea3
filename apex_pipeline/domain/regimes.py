"""Which rule for day trading an account is under, day by day.

The rule on pattern day traders (four day trades in five sessions, more than 6 % of the trades) was deleted with effect
from 2026-06-04; brokers may keep it until 2027-10-20. Nobody but the account's holder knows the day of the change, so
from 2026-06-04 on it is unknown until said. A person's word also covers accounts that no such rule applies to.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from apex_pipeline.domain.ledger import AccountRule, Rule

NEW_RULE = date(2026, 6, 4)
"""The first day on which a broker may follow the new rule."""
OLD_RULE_ENDS = date(2027, 10, 20)
"""The first day on which no broker may follow the old one."""
WARN_FROM = 4
"""Day trades in five sessions that make a pattern day trader, if they are more than `WARN_SHARE` of the orders."""
WARN_SHARE = "0.06"

_DAY = timedelta(days=1)


class Regime(StrEnum):
    """LEGACY_PDT: the old rule. INTRADAY_MARGIN: the new one. NOT_APPLICABLE: neither, by the person's word."""

    LEGACY_PDT = "LEGACY_PDT"
    INTRADAY_MARGIN = "INTRADAY_MARGIN"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Span:
    """Days of an account under one regime, both inclusive."""

    account_id: str
    from_date: date
    to_date: date
    regime: Regime


def spans(account_id: str, rules: Iterable[AccountRule]) -> list[Span]:
    """The regimes of an account over all days, without gaps, from what a person said about it."""
    said = {rule.from_date: Regime(rule.value) for rule in rules if _is_regime_of(account_id, rule)}
    changes = {date.min, *said, NEW_RULE, OLD_RULE_ENDS}
    starts = sorted(changes)
    ends = [*(start - _DAY for start in starts[1:]), date.max]
    return [Span(account_id, start, end, _regime_on(start, said)) for start, end in zip(starts, ends, strict=True)]


def _is_regime_of(account_id: str, rule: AccountRule) -> bool:
    return rule.account_id == account_id and rule.rule is Rule.REGIME


def _regime_on(day: date, said: dict[date, Regime]) -> Regime:
    before = [start for start in said if start <= day]
    regime = said[max(before)] if before else Regime.LEGACY_PDT
    if not before and day >= NEW_RULE:
        return Regime.UNKNOWN
    if regime is Regime.LEGACY_PDT and day >= OLD_RULE_ENDS:
        return Regime.UNKNOWN
    return regime
