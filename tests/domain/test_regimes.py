"""Which rule for day trading holds on which day."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.ledger import AccountRule, Rule
from apex_pipeline.domain.regimes import NEW_RULE, OLD_RULE_ENDS, Regime, Span, spans

SET_AT = datetime(2026, 1, 1, tzinfo=UTC)


def said(account: str, from_date: date, regime: Regime) -> AccountRule:
    return AccountRule(account, Rule.REGIME, from_date, regime.value, SET_AT)


def on(day: date, *rules: AccountRule) -> Regime:
    return next(span.regime for span in spans("A", rules) if span.from_date <= day <= span.to_date)


def test_nobody_knows_the_rule_after_the_change_until_it_is_said() -> None:
    assert on(date(2026, 6, 3)) is Regime.LEGACY_PDT
    assert on(date(2026, 6, 4)) is Regime.UNKNOWN
    changed = said("A", date(2026, 7, 6), Regime.INTRADAY_MARGIN)
    assert on(date(2026, 7, 5), changed) is Regime.UNKNOWN
    assert on(date(2026, 7, 6), changed) is Regime.INTRADAY_MARGIN


def test_a_broker_may_keep_the_old_rule_but_not_for_ever() -> None:
    kept = said("A", date(2026, 6, 4), Regime.LEGACY_PDT)
    assert on(date(2027, 10, 19), kept) is Regime.LEGACY_PDT
    assert on(date(2027, 10, 20), kept) is Regime.UNKNOWN


def test_the_word_about_another_account_or_of_another_rule_changes_nothing() -> None:
    other = said("B", date(2015, 1, 1), Regime.NOT_APPLICABLE)
    method = AccountRule("A", Rule.LOT_METHOD, date(2015, 1, 1), "FIFO", SET_AT)
    assert spans("A", [other, method]) == spans("A", [])
    assert on(date(2016, 1, 1), said("A", date(2015, 1, 1), Regime.NOT_APPLICABLE)) is Regime.NOT_APPLICABLE


RULES = st.lists(
    st.builds(said, st.just("A"), st.dates(date(2015, 1, 1)), st.sampled_from(Regime)),
    max_size=6,
    unique_by=lambda rule: rule.from_date,
)


@given(RULES)
def test_every_day_has_exactly_one_regime(rules: list[AccountRule]) -> None:
    told = spans("A", rules)
    assert (told[0].from_date, told[-1].to_date) == (date.min, date.max)
    for before, after in pairwise(told):
        assert after.from_date - before.to_date == timedelta(days=1)
    assert {NEW_RULE, OLD_RULE_ENDS} <= {span.from_date for span in told}
    assert not any(_legacy_too_late(span) for span in told)


def _legacy_too_late(span: Span) -> bool:
    return span.regime is Regime.LEGACY_PDT and span.to_date >= OLD_RULE_ENDS
