"""How probable the parts of a reading are: which idea, which contracts, what size, sent how far apart.

Every weight is a natural logarithm of a probability, or of a density per second where time is concerned.
They describe a trader in general and are deliberately broad; what they are worth as a confidence is
measured afterwards (`calibration`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from math import exp, log

from apex_pipeline.domain.strategies.taxonomy import Shape, taxonomy

RARE = 0.0004
"""The share of openings given to each shape that nothing is known about."""

_OPENINGS: Mapping[str, float] = {
    "LONG_STOCK": 0.075,
    "SHORT_STOCK": 0.008,
    "LONG_CALL": 0.075,
    "LONG_PUT": 0.065,
    "SHORT_PUT": 0.08,
    "SHORT_CALL": 0.03,
    "BULL_CALL_SPREAD": 0.06,
    "BEAR_CALL_SPREAD": 0.05,
    "BEAR_PUT_SPREAD": 0.045,
    "BULL_PUT_SPREAD": 0.065,
    "LONG_STRADDLE": 0.015,
    "SHORT_STRADDLE": 0.015,
    "LONG_STRANGLE": 0.018,
    "SHORT_STRANGLE": 0.025,
    "IRON_CONDOR": 0.04,
    "BROKEN_WING_IRON_CONDOR": 0.006,
    "REVERSE_IRON_CONDOR": 0.004,
    "IRON_BUTTERFLY": 0.012,
    "REVERSE_IRON_BUTTERFLY": 0.002,
    "LONG_CALL_CALENDAR": 0.015,
    "LONG_PUT_CALENDAR": 0.012,
    "SHORT_CALL_CALENDAR": 0.002,
    "SHORT_PUT_CALENDAR": 0.002,
    "LONG_CALL_DIAGONAL": 0.012,
    "LONG_PUT_DIAGONAL": 0.01,
    "SHORT_CALL_DIAGONAL": 0.002,
    "SHORT_PUT_DIAGONAL": 0.002,
    "POOR_MANS_COVERED_CALL": 0.008,
    "POOR_MANS_COVERED_PUT": 0.002,
    "LONG_CALL_BUTTERFLY": 0.012,
    "LONG_PUT_BUTTERFLY": 0.008,
    "LONG_CALL_BROKEN_WING_BUTTERFLY": 0.004,
    "LONG_PUT_BROKEN_WING_BUTTERFLY": 0.004,
    "CALL_RATIO_SPREAD": 0.006,
    "PUT_RATIO_SPREAD": 0.006,
    "CALL_BACKSPREAD": 0.005,
    "PUT_BACKSPREAD": 0.005,
    "BULLISH_RISK_REVERSAL": 0.01,
    "BEARISH_RISK_REVERSAL": 0.004,
    "SYNTHETIC_LONG_STOCK": 0.005,
    "SYNTHETIC_SHORT_STOCK": 0.003,
    "JADE_LIZARD": 0.006,
    "COVERED_CALL": 0.055,
    "COVERED_PUT": 0.003,
    "PROTECTIVE_PUT": 0.02,
    "PROTECTIVE_CALL": 0.002,
    "COLLAR": 0.018,
    "DOUBLE_CALENDAR": 0.003,
    "DOUBLE_DIAGONAL": 0.003,
    "LONG_CALL_CONDOR": 0.003,
    "LONG_PUT_CONDOR": 0.003,
    "COVERED_STRANGLE": 0.002,
}

_SPREADS: Mapping[float, float] = {
    1.0: 0.06,
    2.5: 0.22,
    5.0: 0.16,
    7.0: 0.16,
    11.0: 0.12,
    16.0: 0.14,
    21.0: 0.10,
    32.0: 0.04,
}
"""Within how many seconds a trader sends all legs, with the share of traders: legs fall anywhere in that time."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The numbers of the model; the defaults are those of the classifier's version."""

    openings: Mapping[str, float] = field(default_factory=lambda: _OPENINGS)
    overwrite: float = 0.04
    close: float = 0.27
    close_part: float = 0.22
    leg_out: float = 0.12
    leg_out_many: float = 0.02
    roll: float = 0.10
    roll_leg: float = 0.05
    strikes: float = 15.0
    expiries: float = 6.0
    further_strike: float = 5.0
    further_expiry: float = 3.0
    split: float = 0.03
    split_size: float = 3.0
    companion: float = 0.25
    companion_seconds: float = 12.0
    start_seconds: float = 400.0
    legging: float = 0.07
    legging_seconds: float = 300.0
    unit_power: float = 0.9
    ratio_odd: float = 0.3
    unseen: float = 0.2
    unseen_days: float = 20.0


class Logs:
    """The weights as logarithms, with the tables that are read for every reading."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.contract = -log(2 * weights.strikes * weights.expiries)
        self.split = log(weights.split / weights.split_size)
        self.overwrite = log(weights.overwrite) - log(weights.strikes * weights.expiries)
        self.close = log(weights.close)
        self.close_whole = log(weights.close * (1 - weights.close_part - weights.leg_out))
        self.close_part = log(weights.close * weights.close_part)
        self.leg_out = log(weights.close * weights.leg_out)
        self.leg_out_many = log(weights.close * weights.leg_out_many)
        self.roll = log(weights.roll)
        self.roll_leg = log(weights.roll * weights.roll_leg)
        self.rolled_contract = -log(weights.further_strike * weights.further_expiry)
        self.first_start = -log(weights.start_seconds)
        self.openings = {name: self._opening(item) for name, item in taxonomy().shapes.items()}
        total = sum(n**-weights.unit_power for n in range(1, 51))
        self.units = [0.0] + [log(n**-weights.unit_power / total) for n in range(1, 51)]
        self.beyond = self.units[50] - 1.0
        self._spans: dict[tuple[int, int], float] = {}

    def _opening(self, item: Shape) -> float:
        """How probable it is to open this shape with these very contracts, given the underlying."""
        weights = self.weights
        share = log(weights.openings.get(item.id, RARE))
        if not item.legs:
            return share
        strikes = len({leg.strike for leg in item.legs})
        expiries = len({leg.expiry for leg in item.legs})
        ties = sum(text.text.count("==") for text in item.constraints if "K" in text.text and "not" not in text.text)
        free = max(0, strikes - 1 - ties)
        letters = any(isinstance(leg.ratio, str) for leg in item.legs)
        share += -log(weights.strikes * weights.expiries) - free * log(weights.further_strike)
        share -= (expiries - 1) * log(weights.further_expiry)
        return share + (log(weights.ratio_odd) if letters else 0.0)

    def size(self, units: int) -> float:
        """Of trading this many units."""
        return self.units[units] if units <= 50 else self.beyond - log(units / 50)

    def span(self, orders: int, seconds: float) -> float:
        """Of sending a group's further orders within these seconds; a density, one factor per further order."""
        if orders == 1:
            return 0.0
        bucket = int(seconds * 4)
        found = self._spans.get((orders, bucket))
        if found is None:
            found = self._spans[orders, bucket] = self._span(orders, bucket / 4)
        return found

    def _span(self, orders: int, seconds: float) -> float:
        share = 0.0
        for limit, trader in _SPREADS.items():
            beyond = max(0.0, seconds - limit)
            share += trader * limit ** -(orders - 1) * exp(-beyond * 6 / limit)
        return log(share + 1e-30)

    def legged(self, seconds: float) -> float:
        """Of a further burst of orders of one group, so many seconds after the one before."""
        weights = self.weights
        return log(weights.legging / weights.legging_seconds) - seconds / weights.legging_seconds

    def start(self, seconds: float) -> float:
        """Of a group that starts so many seconds after the order before it."""
        weights = self.weights
        near = weights.companion / weights.companion_seconds * exp(-seconds / weights.companion_seconds)
        return log(near + 1 / weights.start_seconds)


@cache
def default_logs() -> Logs:
    """The logarithms of the default weights."""
    return Logs(Weights())
