"""The division of orders into groups is the best there is, and its probabilities are those of all divisions."""

from collections.abc import Iterator, Sequence
from math import isclose, prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.strategies.partition import divide

Readings = tuple[int, list[int], list[float]]
"""Places, and the mask and weight of each reading."""


def divisions(places: int, masks: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Every set of readings that covers each place exactly once, found by trying all of them."""

    def further(covered: int, start: int) -> Iterator[tuple[int, ...]]:
        if covered == (1 << places) - 1:
            yield ()
        for number in range(start, len(masks)):
            if not masks[number] & covered:
                for rest in further(covered | masks[number], number + 1):
                    yield (number, *rest)

    return further(0, 0)


@st.composite
def problems(draw: st.DrawFn, weights: st.SearchStrategy[float] | None = None) -> Readings:
    """Up to six places; each alone has a reading, any further sets of places may have one or several."""
    places = draw(st.integers(1, 6))
    some = draw(st.lists(st.integers(1, (1 << places) - 1), max_size=14))
    masks = draw(st.permutations([*(1 << place for place in range(places)), *some]))
    positive = st.floats(1e-6, 1e6) if weights is None else weights
    return places, masks, draw(st.lists(positive, min_size=len(masks), max_size=len(masks)))


@given(problems())
def test_the_chosen_readings_cover_every_place_exactly_once(problem: Readings) -> None:
    places, masks, weights = problem
    chosen = divide(places, masks, weights).chosen
    assert sum(masks[number] for number in chosen) == (1 << places) - 1
    covered = 0
    for number in chosen:
        assert not covered & masks[number]
        covered |= masks[number]


@given(problems())
def test_no_division_is_more_probable_than_the_chosen_one(problem: Readings) -> None:
    places, masks, weights = problem
    chosen = prod(weights[number] for number in divide(places, masks, weights).chosen)
    best = max(prod(weights[number] for number in some) for some in divisions(places, masks))
    assert isclose(chosen, best, rel_tol=1e-9)


@given(problems())
def test_a_posterior_is_the_share_of_all_divisions_that_hold_the_reading(problem: Readings) -> None:
    places, masks, weights = problem
    shares = [(some, prod(weights[number] for number in some)) for some in divisions(places, masks)]
    everything = sum(share for _, share in shares)
    for number, posterior in enumerate(divide(places, masks, weights).posterior):
        expected = sum(share for some, share in shares if number in some) / everything
        assert isclose(posterior, expected, rel_tol=1e-9, abs_tol=1e-12)


@given(problems())
def test_the_posteriors_of_all_readings_of_a_place_add_up_to_one(problem: Readings) -> None:
    places, masks, weights = problem
    posterior = divide(places, masks, weights).posterior
    for place in range(places):
        total = sum(share for mask, share in zip(masks, posterior, strict=True) if mask >> place & 1)
        assert isclose(total, 1.0, rel_tol=1e-9)


@given(problems(st.sampled_from([0.5, 1.0, 2.0])))
def test_equal_probabilities_are_settled_the_same_way_every_time(problem: Readings) -> None:
    places, masks, weights = problem
    first = divide(places, masks, weights)
    assert divide(places, masks, weights) == first
    best = max(prod(weights[number] for number in some) for some in divisions(places, masks))
    assert prod(weights[number] for number in first.chosen) == best


def test_of_two_equal_readings_the_first_is_chosen_and_both_are_half_probable() -> None:
    division = divide(2, [1, 2, 3, 3], [1.0, 1.0, 4.0, 4.0])
    assert division.chosen == (2,)
    assert division.posterior[2] == division.posterior[3] == pytest.approx(4 / 9)


def test_a_pair_of_weight_one_ties_with_its_two_singles_and_the_one_that_stands_first_is_chosen() -> None:
    assert divide(2, [1, 2, 3], [1.0, 1.0, 1.0]).chosen in ((0, 1), (2,))
    assert divide(2, [1, 2, 3], [1.0, 1.0, 1.0]).posterior == pytest.approx([0.5, 0.5, 0.5])


def test_one_place_is_divided_into_itself() -> None:
    division = divide(1, [1, 1], [1.0, 3.0])
    assert (division.chosen, division.posterior[1]) == ((1,), pytest.approx(0.75))


@given(st.integers(1, 12), st.floats(1e-9, 1e-3))
def test_many_places_with_tiny_weights_stay_finite(places: int, weight: float) -> None:
    masks = [1 << place for place in range(places)] + [3 << place for place in range(places - 1)]
    division = divide(places, masks, [weight] * len(masks))
    assert all(0 <= share <= 1 + 1e-9 for share in division.posterior)
    assert len(division.chosen) == (places + 1) // 2


@pytest.mark.xfail(strict=True, raises=ZeroDivisionError, reason="products of weights underflow to zero")
def test_weights_far_below_one_are_no_reason_to_fail() -> None:
    division = divide(20, [1 << place for place in range(20)], [1e-20] * 20)
    assert division.posterior == pytest.approx([1.0] * 20)
