"""Posterior probabilities to confidences that mean what they say, as measured on flow with known truth.

A logistic regression on few features. Its coefficients are data (`calibration.json`), fitted by `fit` on
generated flow and on the corrections of people; what they are worth is measured on other seeds.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import exp, log

_NARROWEST = 1e-4
"""No posterior is taken for more certain than this leaves over: what the model has no word for happens too."""


@dataclass(frozen=True, slots=True)
class Features:
    """What a confidence depends on.

    `posterior` of the reading among all readings of its run; `origin` that of what it closes or rolls, 1 for
    an opening; `seconds` between its first and last order; `places` in the run, pending openings included;
    `legging`: whether it completes an earlier opening, or might be completed from one.
    """

    posterior: float
    method: str
    action: str
    orders: int
    seconds: float
    places: int
    origin: float
    legging: bool


@dataclass(frozen=True, slots=True)
class Calibration:
    """One fit: coefficients by feature, and the version under which they stand."""

    version: str
    coefficients: Mapping[str, float]

    def confidence(self, features: Features) -> float:
        """The share of groups like this one that are right, between 0 and 1."""
        return _logistic(sum(self.coefficients[name] * value for name, value in _values(features).items()))


@cache
def calibration() -> Calibration:
    """The fit that ships with the package."""
    text = files("apex_pipeline.domain.strategies").joinpath("calibration.json").read_text(encoding="utf-8")
    content = json.loads(text)
    return Calibration(content["version"], content["coefficients"])


def fit(samples: Iterable[tuple[Features, bool]], version: str, rounds: int = 40) -> Calibration:
    """The coefficients under which right and wrong samples are most probable, slightly drawn towards zero.

    ValueError if there are no samples. Newton's method; the same samples give the same coefficients.
    """
    rows = [(list(_values(features).values()), float(right)) for features, right in samples]
    if not rows:
        raise ValueError("a calibration needs groups that are known to be right or wrong")
    names = list(_values(_ANY))
    weights = [0.0] * len(names)
    for _ in range(rounds):
        step = _newton(rows, weights)
        weights = [weight + change for weight, change in zip(weights, step, strict=True)]
        if max(map(abs, step)) < 1e-9:
            break
    return Calibration(version, dict(zip(names, weights, strict=True)))


def _values(features: Features) -> dict[str, float]:
    opens = features.action == "OPEN"
    return {
        "constant": 1.0,
        "posterior": _log_odds(features.posterior),
        "origin": 0.0 if opens else _log_odds(features.origin),
        "closes": float(features.action == "CLOSE"),
        "rolls": float(features.action == "ROLL"),
        "linked": float(features.method == "linked"),
        "places": log(features.places),
        "several": float(features.orders > 1),
        "legging": float(features.legging),
        "seconds": min(features.seconds, 60.0) / 10,
    }


_ANY = Features(0.5, "", "OPEN", 1, 0.0, 1, 1.0, legging=False)


def _log_odds(share: float) -> float:
    share = min(max(share, _NARROWEST), 1 - _NARROWEST)
    return log(share / (1 - share))


def _logistic(value: float) -> float:
    return 1 / (1 + exp(-max(-30.0, min(30.0, value))))


def _newton(rows: Sequence[tuple[Sequence[float], float]], weights: Sequence[float]) -> list[float]:
    """One step towards the maximum; a tenth of each coefficient is given up so that rare features stay small."""
    size = len(weights)
    slope = [-0.1 * weight for weight in weights]
    curve = [[0.1 * (row == column) for column in range(size)] for row in range(size)]
    for values, right in rows:
        share = _logistic(sum(weight * value for weight, value in zip(weights, values, strict=True)))
        spread = share * (1 - share)
        for row, value in enumerate(values):
            slope[row] += (right - share) * value
            for column in range(row + 1):
                curve[row][column] += spread * value * values[column]
    for row in range(size):
        for column in range(row):
            curve[column][row] = curve[row][column]
    return _solved(curve, slope)


def _solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """The solution of a symmetric positive definite system, by elimination."""
    size = len(right)
    for pivot in range(size):
        for row in range(pivot + 1, size):
            factor = matrix[row][pivot] / matrix[pivot][pivot]
            right[row] -= factor * right[pivot]
            for column in range(pivot, size):
                matrix[row][column] -= factor * matrix[pivot][column]
    found = [0.0] * size
    for row in reversed(range(size)):
        rest = sum(matrix[row][column] * found[column] for column in range(row + 1, size))
        found[row] = (right[row] - rest) / matrix[row][row]
    return found
