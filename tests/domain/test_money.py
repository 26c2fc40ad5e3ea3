"""Sums split without a remainder, whatever they are split over."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.money import allocate, places_of

MONEY = st.decimals(-(10**12), 10**12, places=6, allow_nan=False, allow_infinity=False)
WEIGHTS = st.lists(
    st.decimals(0, 10**9, places=4, allow_nan=False, allow_infinity=False), min_size=1, max_size=40
)  # fmt: skip


@given(MONEY, WEIGHTS, st.integers(0, 8))
def test_the_parts_sum_to_the_whole_exactly(total: Decimal, weights: list[Decimal], places: int) -> None:
    parts = allocate(total, weights, places)
    assert sum(parts, Decimal(0)) == total
    assert all(part * total >= 0 for part in parts)
    assert {places_of(part) for part in parts} == {max(places, places_of(total))}


@given(MONEY, WEIGHTS, st.integers(0, 8))
def test_no_part_is_a_unit_away_from_its_fair_share(total: Decimal, weights: list[Decimal], places: int) -> None:
    parts = allocate(total, weights, places)
    unit = Decimal(1).scaleb(-max(places, places_of(total)))
    whole = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        share = total * weight / whole if whole else total / len(weights)
        assert abs(part - share) <= unit


@given(MONEY, WEIGHTS)
def test_a_bigger_weight_never_bears_less(total: Decimal, weights: list[Decimal]) -> None:
    parts = allocate(abs(total), weights, 2)
    by_weight = sorted(zip(weights, parts, strict=True))
    assert [part for _, part in by_weight] == sorted(parts)


def test_the_units_left_over_go_to_those_that_lost_most_and_then_to_the_first() -> None:
    assert allocate(Decimal("0.10"), [Decimal(1)] * 3, 2) == [Decimal("0.04"), Decimal("0.03"), Decimal("0.03")]
    assert allocate(Decimal(-1), [Decimal(2), Decimal(1)], 2) == [Decimal("-0.67"), Decimal("-0.33")]
    assert allocate(Decimal("0.05"), [Decimal(0), Decimal(0)], 2) == [Decimal("0.03"), Decimal("0.02")]
    assert allocate(Decimal("0.001"), [Decimal(1), Decimal(1)], 2) == [Decimal("0.001"), Decimal("0.000")]


@pytest.mark.parametrize("weights", [[], [Decimal(1), Decimal(-1)]])
def test_nothing_is_split_over_no_weights_or_a_negative_one(weights: list[Decimal]) -> None:
    with pytest.raises(ValueError, match="weights"):
        allocate(Decimal(1), weights, 2)


@given(st.integers(1, 10**40), st.lists(st.integers(1, 10**6).map(Decimal), min_size=1, max_size=5))
def test_sums_longer_than_the_decimal_context_lose_nothing(units: int, weights: list[Decimal]) -> None:
    total = Decimal((0, tuple(map(int, str(units))), -3))
    assert sum(map(Fraction, allocate(total, weights, 3))) == Fraction(total)
