"""Returns, drawdowns and rates: by hand, against empyrical's numbers, and as properties."""

from datetime import date, timedelta
from decimal import Decimal
from math import prod

from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.lot_shares import trimmed
from apex_pipeline.domain.performance import (
    NOTHING_KNOWN,
    Growth,
    Valuation,
    growth,
    modified_dietz,
    win_rate,
)

RETURNS = [
    Decimal(text)
    for text in ("0.012", "-0.034", "0.0071", "0.0005", "-0.0221", "0.0415", "0", "-0.0102", "0.0199", "-0.0008")
]
EMPYRICAL_CUMULATIVE = (
    0.01200000000000001, -0.022407999999999983, -0.015467096799999913, -0.01497483034839997, -0.03674388659770034,
    0.003231242108495236, 0.003231242108495236, -0.007001716561011451, 0.012758949279424447, 0.011948742120000855,
)  # fmt: skip
"""cum_returns of empyrical-reloaded 0.7.1 of the returns above."""
EMPYRICAL_DRAWDOWNS = (
    0.0, 0.034, 0.0271414, 0.0266549707, 0.04816589584753, 0.0086647805252, 0.0086647805252, 0.0187763997638452, 0.0,
    0.0008,
)  # fmt: skip
MONDAY = date(2024, 7, 1)
values_of_accounts = st.decimals("500", "20000", places=2)
flows = st.decimals("-400", "400", places=2)


def days(*values: tuple[str | None, str | None, str | None]) -> list[Valuation]:
    """Valuations of consecutive days: (by the ledger, by the broker, paid in)."""

    def number(text: str | None) -> Decimal | None:
        return None if text is None else Decimal(text)

    return [
        Valuation(MONDAY + timedelta(n), number(ledger), number(broker), number(flow))
        for n, (ledger, broker, flow) in enumerate(values)
    ]


def test_returns_that_are_linked_and_drawdowns_are_those_of_empyrical() -> None:
    worth = [Decimal(1000)]
    for one in RETURNS:
        worth.append(worth[-1] * (1 + one))
    grown = growth([Valuation(MONDAY + timedelta(n), None, value, Decimal(0)) for n, value in enumerate(worth)])[1:]
    for told, cumulative, drawdown in zip(grown, EMPYRICAL_CUMULATIVE, EMPYRICAL_DRAWDOWNS, strict=True):
        assert told.cumulative_return is not None
        assert told.drawdown is not None
        assert abs(told.cumulative_return - Decimal(repr(cumulative))) < Decimal("1e-11")
        assert abs(told.drawdown - Decimal(repr(drawdown))) < Decimal("1e-11")


def test_the_textbook_example_of_modified_dietz() -> None:
    # 100 becomes 300 with 50 paid in after half of the time: (300 - 100 - 50) / (100 + 25)
    assert modified_dietz(Decimal(100), Decimal(300), [(Decimal("0.5"), Decimal(50))]) == Decimal("1.2")
    assert modified_dietz(Decimal(0), Decimal(0), []) is None


def test_the_share_of_won_round_trips_is_unknown_without_any() -> None:
    assert win_rate(1, 3) == Decimal("0.333333333333")
    assert win_rate(0, 0) is None


def test_money_paid_in_is_no_gain_and_counts_from_the_beginning_of_its_day() -> None:
    _, paid, gained = growth(days(("0", None, "0"), ("1000", None, "1000"), ("1650", None, "500")))
    assert paid == Growth(Decimal(0), Decimal(0), Decimal(0))
    assert gained == Growth(Decimal("0.1"), Decimal("0.1"), Decimal(0))


def test_a_fall_below_the_highest_point_is_a_drawdown_until_it_is_reached_again() -> None:
    told = growth(days(("100", None, "0"), ("120", None, "0"), ("90", None, "0"), ("120", None, "0")))
    assert [one.drawdown for one in told] == [Decimal(0), Decimal(0), Decimal("0.25"), Decimal(0)]
    assert [one.cumulative_return for one in told] == [Decimal(0), Decimal("0.2"), Decimal("-0.1"), Decimal("0.2")]


def test_a_day_without_value_has_no_return_and_the_next_known_one_spans_it() -> None:
    told = growth(days(("100", None, "0"), (None, None, "0"), ("110", None, "0")))
    assert told[1] == NOTHING_KNOWN
    assert told[2] == Growth(Decimal("0.1"), Decimal("0.1"), Decimal(0))


def test_a_payment_in_a_bridged_gap_is_weighted_by_the_days_it_was_there() -> None:
    # two days; 100 paid in on the second one was there for half of them: (330 - 200 - 100) / (200 + 50)
    told = growth(days(("200", None, "0"), (None, None, "0"), ("330", None, "100")))
    assert told[2].daily_return == Decimal("0.12")


def test_values_are_compared_with_those_of_the_same_source() -> None:
    # the broker counts 50 of accrued dividends that the ledger does not: they are no gain of the second day
    told = growth(days(("100", None, "0"), ("100", "150", "0"), ("100", "150", "0"), ("110", None, "0")))
    assert [one.cumulative_return for one in told] == [Decimal(0), Decimal(0), Decimal(0), Decimal("0.1")]


def test_only_where_there_is_no_other_way_two_sources_are_compared() -> None:
    told = growth(days(("100", None, "0"), (None, "150", "0")))
    assert told[1].cumulative_return == Decimal("0.5")


def test_an_unknown_payment_makes_the_return_unknown_and_leaves_the_total() -> None:
    told = growth(days(("100", None, "0"), ("110", None, "0"), ("400", None, None), ("440", None, "0")))
    assert told[2] == Growth(None, Decimal("0.1"), Decimal(0))
    assert told[3] == Growth(Decimal("0.1"), Decimal("0.21"), Decimal(0))


def test_an_empty_account_has_no_return() -> None:
    told = growth(days(("100", None, "0"), ("0", None, "-100"), ("0", None, "0")))
    assert told[1].daily_return is None
    assert told[2].cumulative_return == Decimal(0)


@given(st.lists(st.tuples(values_of_accounts, flows), min_size=1, max_size=30))
def test_the_daily_returns_link_to_the_total(told: list[tuple[Decimal, Decimal]]) -> None:
    grown = growth([Valuation(MONDAY + timedelta(n), value, None, flow) for n, (value, flow) in enumerate(told)])
    known = [one.daily_return for one in grown[1:] if one.daily_return is not None]
    total = grown[-1].cumulative_return
    assert total is not None
    assert abs(prod(1 + one for one in known) - 1 - total) <= Decimal("1e-6") * (1 + abs(total))


@given(st.lists(values_of_accounts, min_size=2, max_size=30))
def test_without_payments_the_total_is_the_ratio_of_last_and_first_value(told: list[Decimal]) -> None:
    grown = growth([Valuation(MONDAY + timedelta(n), value, None, Decimal(0)) for n, value in enumerate(told)])
    total = grown[-1].cumulative_return
    assert total is not None
    assert abs(total - (told[-1] / told[0] - 1)) <= Decimal("1e-6") * (1 + abs(total))
    assert all(one.drawdown is not None and 0 <= one.drawdown <= 1 for one in grown)


@given(st.lists(st.tuples(values_of_accounts, flows), min_size=2, max_size=20), st.data())
def test_going_on_from_earlier_days_gives_the_same_as_all_at_once(
    told: list[tuple[Decimal, Decimal]], data: st.DataObject
) -> None:
    values = [Valuation(MONDAY + timedelta(n), value, None, flow) for n, (value, flow) in enumerate(told)]
    cut = data.draw(st.integers(1, len(values)))
    assert growth(values)[:cut] == growth(values[:cut])


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
def test_a_plain_number_is_equal_and_has_neither_exponent_nor_trailing_zeros(value: Decimal) -> None:
    text = str(trimmed(value))
    assert Decimal(text) == value
    assert "E" not in text
    assert "." not in text or not text.endswith("0")
