"""A fit finds the coefficients behind the samples, is the same every time, and its confidences mean what they say."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import exp, log
from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.strategies.calibration import Calibration, Features, calibration, fit

KNOWN: Mapping[str, float] = {
    "constant": 0.4,
    "posterior": 0.6,
    "origin": 0.3,
    "closes": -0.8,
    "rolls": -1.2,
    "linked": 1.5,
    "places": -0.5,
    "several": 0.7,
    "legging": -0.9,
    "seconds": -0.2,
}
METHODS, ACTIONS = ("partition", "linked", "single", "legging"), ("OPEN", "CLOSE", "ROLL")

Sample = tuple[Features, bool]


def some_features(chance: Random) -> Features:
    return Features(
        posterior=chance.random(),
        method=chance.choice(METHODS),
        action=chance.choice(ACTIONS),
        orders=chance.randint(1, 4),
        seconds=chance.uniform(0, 60),
        places=chance.randint(1, 20),
        origin=chance.random(),
        legging=chance.random() < 0.3,
    )


def samples(count: int, seed: int = 5) -> list[Sample]:
    """Groups that are right as often as `KNOWN` says."""
    chance, truth = Random(seed), Calibration("truth", KNOWN)
    found = [some_features(chance) for _ in range(count)]
    return [(features, chance.random() < truth.confidence(features)) for features in found]


def shuffled(given: Sequence[Sample]) -> list[Sample]:
    """The same groups, right and wrong dealt out anew: nothing can be learnt of them."""
    outcomes = [right for _, right in given]
    Random(6).shuffle(outcomes)
    return [(features, right) for (features, _), right in zip(given, outcomes, strict=True)]


def error(found: Calibration, given: Sequence[Sample]) -> float:
    """The expected calibration error in ten bins."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(10)]
    for features, right in given:
        confidence = found.confidence(features)
        bins[min(9, int(confidence * 10))].append((confidence, right))
    gaps = [abs(sum(share - right for share, right in each)) for each in bins]
    return sum(gaps) / len(given)


def test_a_fit_recovers_known_coefficients() -> None:
    found = fit(samples(8000), "test").coefficients
    assert found.keys() == KNOWN.keys()
    for name, value in KNOWN.items():
        tolerance = 0.08 if name in ("posterior", "origin", "seconds") else 0.25
        assert found[name] == pytest.approx(value, abs=tolerance), name


def test_outcomes_that_depend_on_nothing_give_no_coefficients() -> None:
    given = samples(8000)
    found = dict(fit(shuffled(given), "control").coefficients)
    share = fmean(right for _, right in given)
    assert found.pop("constant") == pytest.approx(log(share / (1 - share)), abs=0.25)
    assert max(map(abs, found.values())) < 0.2


def test_a_fit_holds_for_samples_that_it_has_not_seen() -> None:
    found, unseen = fit(samples(6000), "test"), samples(6000, seed=77)
    assert error(found, unseen) < 0.03
    boasting = Calibration("control", {name: 3 * value for name, value in found.coefficients.items()})
    assert error(boasting, unseen) > 0.05


def test_the_same_samples_give_the_same_fit_whatever_their_order() -> None:
    given = samples(1500)
    first, again = fit(given, "test"), fit(list(given), "test")
    assert first == again
    turned = fit(given[::-1], "test").coefficients
    assert turned == pytest.approx(dict(first.coefficients), abs=1e-9)


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="needs groups"):
        fit([], "test")


@pytest.mark.parametrize("right", [True, False])
def test_samples_that_are_all_alike_still_end_in_a_fit(right: bool) -> None:
    features = some_features(Random(1))
    found = fit([(features, right)] * 30, "test")
    assert (found.confidence(features) > 0.5) is right
    assert all(abs(value) < 30 for value in found.coefficients.values())


def test_what_separates_right_from_wrong_completely_stays_finite() -> None:
    chance = Random(2)
    given = [(features, features.posterior > 0.5) for features in (some_features(chance) for _ in range(400))]
    found = fit(given, "test")
    assert found.coefficients["posterior"] > 1
    assert all(abs(value) < 30 for value in found.coefficients.values())


def rising(chosen: Calibration, posteriors: Sequence[float], features: Features) -> bool:
    told = [chosen.confidence(replace(features, posterior=posterior)) for posterior in sorted(posteriors)]
    return all(before <= after for before, after in pairwise(told)) and told[0] < told[-1]


@given(st.randoms(use_true_random=False), st.sets(st.floats(0.001, 0.999), min_size=2, max_size=6))
def test_confidence_rises_with_the_posterior_and_lies_between_0_and_1(chance: Random, posteriors: set[float]) -> None:
    features = some_features(chance)
    apart = [share for share in posteriors if share >= min(posteriors) + 0.01] + [min(posteriors)]
    if len(apart) > 1:
        assert rising(calibration(), apart, features)
        backwards = {**calibration().coefficients, "posterior": -1.0}
        assert not rising(Calibration("control", backwards), apart, features)
    assert 0 < calibration().confidence(features) < 1


@pytest.mark.parametrize("posterior", [0.0, 1.0])
def test_no_posterior_makes_a_confidence_certain(posterior: float) -> None:
    sure = Features(posterior, "partition", "OPEN", 2, 3.0, 2, 1.0, legging=False)
    assert 0.0 < calibration().confidence(sure) < 1.0


def test_a_doubtful_opening_makes_its_close_doubtful() -> None:
    for action in ("CLOSE", "ROLL"):
        sure, doubtful = (Features(0.9, "partition", action, 2, 3.0, 2, origin, legging=False) for origin in (1.0, 0.3))
        assert calibration().confidence(doubtful) < calibration().confidence(sure)


def test_the_fit_of_the_package_has_a_version_and_every_coefficient() -> None:
    shipped = calibration()
    assert shipped.version
    assert shipped.coefficients.keys() == KNOWN.keys()
    assert shipped.coefficients["posterior"] > 0
    assert exp(sum(shipped.coefficients.values())) > 0
