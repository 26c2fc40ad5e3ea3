"""Figures of risk are exact, unknown where a part is, and signals follow from limits without flickering."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.ledger import Performance
from apex_pipeline.domain.results import RiskLevel, RiskSignal
from apex_pipeline.domain.risk import Exposed, Figures, Margin, RiskBook, Steps, follow, judge, measure
from apex_pipeline.domain.risk_limits import RiskLimit, RiskMetric, limits_text, risk_limits
from apex_pipeline.domain.risk_portfolio import converted, most_common, portfolio_drawdown, together
from apex_pipeline.domain.valuation import Rate, Rates

AT = datetime(2026, 3, 9, 21, tzinfo=UTC)
M = RiskMetric


def held(symbol: str, value: str | None, underlying: str | None = None) -> Exposed:
    return Exposed(symbol, underlying or symbol, None if value is None else Decimal(value))


BOOK = RiskBook(
    scope="U1",
    as_of=AT,
    currency="USD",
    net_liquidation=Decimal(1000),
    cash=Decimal(100),
    held=[held("US.KO", "900"), held("US.KO 2026-06-19 C 70", "-100", "US.KO"), held("US.GE", "-500")],
    margin=Margin(Decimal(300), Decimal(1200), AT),
    drawdown=Decimal("0.05"),
)


def test_every_figure_is_a_share_of_what_the_account_is_worth() -> None:
    assert measure(BOOK).metrics == {
        M.GROSS_EXPOSURE: Decimal("1.5"),
        M.NET_EXPOSURE: Decimal("0.3"),
        M.LONG_EXPOSURE: Decimal("0.9"),
        M.SHORT_EXPOSURE: Decimal("0.6"),
        M.CONCENTRATION: Decimal("0.8"),
        M.MARGIN_USED: Decimal("0.25"),
        M.CASH_SHARE: Decimal("0.1"),
        M.DRAWDOWN: Decimal("0.05"),
        M.POSITION_COUNT: Decimal(3),
    }
    assert measure(BOOK).missing == {}
    assert measure(BOOK).evidence["largest"] == "US.KO"


def test_an_account_that_holds_nothing_has_an_exposure_of_zero() -> None:
    metrics = measure(replace(BOOK, held=[])).metrics
    assert {metrics[one] for one in (M.GROSS_EXPOSURE, M.NET_EXPOSURE, M.CONCENTRATION, M.POSITION_COUNT)} == {0}


@pytest.mark.parametrize(
    ("change", "unknown", "part"),
    [
        ({"held": [held("US.KO", "900"), held("US.GE", None)]},
         {M.GROSS_EXPOSURE, M.NET_EXPOSURE, M.LONG_EXPOSURE, M.SHORT_EXPOSURE, M.CONCENTRATION}, "value of US.GE"),
        ({"cash": None}, {M.CASH_SHARE}, "the cash"),
        ({"margin": None}, {M.MARGIN_USED}, "the margin"),
        ({"drawdown": None}, {M.DRAWDOWN}, "the drawdown"),
        ({"net_liquidation": None}, set(M) - {M.MARGIN_USED, M.DRAWDOWN, M.POSITION_COUNT}, "the net liquidation"),
        ({"net_liquidation": Decimal(0)}, set(M) - {M.MARGIN_USED, M.DRAWDOWN, M.POSITION_COUNT}, "not positive"),
        ({"net_liquidation": Decimal(-5)}, set(M) - {M.MARGIN_USED, M.DRAWDOWN, M.POSITION_COUNT}, "not positive"),
    ],
)  # fmt: skip
def test_a_figure_with_an_unknown_part_is_unknown_and_says_which(
    change: Mapping[str, object], unknown: set[RiskMetric], part: str
) -> None:
    figures = measure(replace(BOOK, **change))  # pyright: ignore[reportArgumentType]  # fields of a book
    assert {metric for metric, value in figures.metrics.items() if value is None} == unknown
    assert figures.missing.keys() == unknown
    assert all(part in what for what in figures.missing.values())


amounts = st.decimals(-(10**9), 10**9, places=4)
books = st.builds(
    replace,
    st.just(BOOK),
    net_liquidation=st.decimals("0.01", 10**9, places=2),
    held=st.lists(st.builds(Exposed, st.text("AB", min_size=1), st.sampled_from("XYZ"), amounts), max_size=8),
)


@given(books)
def test_exposures_belong_together(book: RiskBook) -> None:
    told = {metric: value or Decimal(0) for metric, value in measure(book).metrics.items()}
    last = Decimal("4e-12")
    assert abs(told[M.GROSS_EXPOSURE] - told[M.LONG_EXPOSURE] - told[M.SHORT_EXPOSURE]) <= last
    assert abs(told[M.NET_EXPOSURE] - told[M.LONG_EXPOSURE] + told[M.SHORT_EXPOSURE]) <= last
    assert 0 <= told[M.CONCENTRATION] <= told[M.GROSS_EXPOSURE] + last
    assert abs(told[M.NET_EXPOSURE]) <= told[M.GROSS_EXPOSURE] + last


@given(books, st.decimals("0.01", 100, places=4))
def test_the_currency_of_a_book_changes_no_ratio(book: RiskBook, rate: Decimal) -> None:
    before, after = measure(book).metrics, measure(converted(book, "HKD", rate)).metrics
    for metric in M:
        one, other = before[metric] or Decimal(0), after[metric] or Decimal(0)
        assert abs(one - other) <= Decimal("1e-6") * (1 + abs(one)), "conversion rounds to 12 places"


def test_all_accounts_together_are_their_sums_in_one_currency() -> None:
    other = replace(converted(BOOK, "USD", Decimal(1)), scope="U2", held=[held("US.KO", "-900")], cash=Decimal(900))
    both = measure(together([BOOK, other], "USD", Decimal("0.1"))).metrics
    assert both[M.GROSS_EXPOSURE] == Decimal("1.2")
    assert both[M.CONCENTRATION] == Decimal("0.25"), "long here and short there: US.GE is the largest"
    assert (both[M.CASH_SHARE], both[M.MARGIN_USED]) == (Decimal("0.5"), Decimal("0.25"))
    assert both[M.DRAWDOWN] == Decimal("0.1")


def test_an_account_whose_rate_is_unknown_makes_the_whole_unknown() -> None:
    told = measure(together([BOOK, converted(replace(BOOK, scope="F1"), "USD", None)], "USD", None))
    assert {metric for metric, value in told.metrics.items() if value is not None} == {M.POSITION_COUNT}


def test_the_common_currency_is_that_of_most_accounts() -> None:
    assert most_common(["USD", "HKD", "USD", None]) == "USD"
    assert most_common(["USD", "HKD"]) == "HKD"
    assert most_common([None]) is None


def day(account: str, number: int, worth: str | None, flow: str = "0", currency: str = "USD") -> Performance:
    empty = dict.fromkeys(Performance.__dataclass_fields__)
    on_date = date(2026, 3, number)
    told = {"account_id": account, "business_date": on_date, "currency": currency, "net_flow": Decimal(flow)}
    return Performance(**{**empty, **told, "net_liquidation": None if worth is None else Decimal(worth)})  # pyright: ignore[reportArgumentType]


def test_the_drawdown_of_all_is_of_their_sum_and_payments_do_not_count() -> None:
    one = [day("A", 2, "100"), day("A", 3, "120"), day("A", 4, "60"), day("A", 5, "160", "100")]
    two = [day("B", 4, "800"), day("B", 5, "800")]
    assert portfolio_drawdown({"A": one}, Rates([]), "USD") == Decimal("0.5")
    assert portfolio_drawdown({"A": one, "B": two}, Rates([]), "USD") == Decimal("0.065217391304"), "860 of 120 + 800"
    rising = [*two, day("B", 6, "820")]
    assert portfolio_drawdown({"A": one, "B": rising}, Rates([]), "USD") == Decimal("0.045742753623"), "980 of 960"


def test_the_drawdown_of_all_needs_rates_and_values() -> None:
    one, two = [day("A", 2, "100"), day("A", 3, "90")], [day("B", 2, "780", "0", "HKD"), day("B", 3, None)]
    assert portfolio_drawdown({"A": one, "B": two}, Rates([]), "USD") is None
    rates = Rates([Rate("A", date(2026, 3, 2), "HKD", "USD", Decimal("0.125"))])
    assert portfolio_drawdown({"A": one, "B": two}, rates, "USD") == Decimal("0.050632911392"), "B's value of before"


LIMITS = risk_limits("gross_exposure=1.5:2,net_exposure=0.5:1,cash_share=0.2:0.05,drawdown=0.1:0.2")


def figures(**values: str | None) -> Figures:
    told = {M(name): None if value is None else Decimal(value) for name, value in values.items()}
    return Figures("U1", AT, {metric: told.get(metric) for metric in M}, {}, {})


@pytest.mark.parametrize(
    ("metric", "value", "level"),
    [
        ("gross_exposure", "1.4999", None),
        ("gross_exposure", "1.5", RiskLevel.WARNING),
        ("gross_exposure", "2", RiskLevel.BREACH),
        ("net_exposure", "-0.7", RiskLevel.WARNING),
        ("net_exposure", "-1.1", RiskLevel.BREACH),
        ("net_exposure", "-0.4", None),
        ("cash_share", "0.21", None),
        ("cash_share", "0.2", RiskLevel.WARNING),
        ("cash_share", "-3", RiskLevel.BREACH),
        ("drawdown", "0.2", RiskLevel.BREACH),
        ("drawdown", None, None),
        ("margin_used", "99", None),
    ],
)
def test_a_limit_is_passed_when_it_is_reached(metric: str, value: str | None, level: RiskLevel | None) -> None:
    judged = {one.metric: one for one in judge(figures(**{metric: value}), LIMITS)}
    assert {one.level for one in judged.values()} == {None} | ({level} if level else set())
    if level:
        assert judged[M(metric)].level is level
    assert (M(metric) in judged) == (metric != "margin_used")


def step(
    standing: list[RiskSignal], minutes: int, limits: tuple[RiskLimit, ...] | None = None, /, **values: str | None
) -> Steps:
    judged = judge(figures(**values), LIMITS if limits is None else limits)
    return follow(standing, judged, {"U1": AT + timedelta(minutes=minutes)})


def test_a_signal_stands_from_when_it_was_raised_until_its_level_changes() -> None:
    first = step([], 0, gross_exposure="1.6")
    (warning,) = first.raised
    assert (warning.level, warning.value, warning.threshold) == (RiskLevel.WARNING, Decimal("1.6"), Decimal("1.5"))
    assert (warning.signal_type, warning.source, warning.raised_at) == ("GROSS_EXPOSURE", "LIMITS", AT)
    same = step([warning], 1, gross_exposure="1.9")
    assert same == Steps([], [], [warning])
    worse = step([warning], 2, gross_exposure="2.5")
    assert [(one.level, one.resolved_at) for one in worse.resolved] == [(RiskLevel.WARNING, AT + timedelta(minutes=2))]
    assert [(one.level, one.raised_at) for one in worse.raised] == [(RiskLevel.BREACH, AT + timedelta(minutes=2))]
    better = step(worse.raised, 3, gross_exposure="1.6")
    assert [one.level for one in better.resolved] == [RiskLevel.BREACH]
    assert [one.level for one in better.raised] == [RiskLevel.WARNING]
    over = step(better.raised, 4, gross_exposure="1")
    assert (len(over.resolved), over.raised, over.kept) == (1, [], [])


def test_an_unknown_figure_neither_raises_nor_resolves() -> None:
    standing = step([], 0, gross_exposure="1.6").raised
    assert step(standing, 1, gross_exposure=None) == Steps([], [], standing)
    assert step([], 1, gross_exposure=None) == Steps([], [], [])


def test_a_limit_that_is_gone_ends_its_signal_and_a_scope_that_is_not_measured_keeps_it() -> None:
    standing = step([], 0, gross_exposure="1.6").raised
    gone = step(standing, 1, (), gross_exposure="1.6")
    assert [one.payload["ended_by"] for one in gone.resolved] == ["no limit any more"]
    assert follow(standing, [], {"OTHER": AT}) == Steps([], [], standing)


def test_another_threshold_is_another_signal() -> None:
    standing = step([], 0, gross_exposure="1.6").raised
    moved = step(standing, 1, risk_limits("gross_exposure=1.2:2"), gross_exposure="1.6")
    assert (len(moved.resolved), [one.threshold for one in moved.raised]) == (1, [Decimal("1.2")])


known = st.one_of(st.none(), st.decimals(-3, 3, places=2).map(str))


@given(st.lists(st.fixed_dictionaries({"gross_exposure": known, "cash_share": known, "drawdown": known}), max_size=12))
def test_there_is_never_more_than_one_signal_of_a_limit_and_a_second_look_changes_nothing(
    days: list[dict[str, str | None]],
) -> None:
    standing: list[RiskSignal] = []
    for number, values in enumerate(days):
        steps = step(standing, number, **values)
        standing = [*steps.kept, *steps.raised]
        assert len({one.metric for one in standing}) == len(standing)
        again = step(standing, number + 1, **values)
        assert (again.resolved, again.raised) == ([], [])
        levels = {str(one.metric): one.level for one in judge(figures(**values), LIMITS) if one.value is not None}
        assert levels == dict.fromkeys(levels) | {one.metric: one.level for one in standing if one.metric in levels}


@given(st.lists(st.tuples(st.sampled_from(M), st.decimals("0.01", 5, places=3)), unique_by=lambda one: one[0]))
def test_limits_are_read_as_they_are_written(told: list[tuple[RiskMetric, Decimal]]) -> None:
    limits = [RiskLimit(metric, level, None) for metric, level in told]
    assert set(risk_limits(limits_text(limits))) == set(limits)
