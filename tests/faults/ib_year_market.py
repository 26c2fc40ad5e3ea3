"""Prices and rates of the made-up year: a random walk a contract, and all of it known beforehand."""

import random
from bisect import bisect_right
from datetime import date, timedelta
from decimal import Decimal
from typing import final

from tests.faults.ib_year_days import BIRTH, LAST, open_days
from tests.faults.ib_year_events import Paper

CENT = Decimal("0.01")
BASE = "USD"
_LEVELS = {"HKD": 0.128, "EUR": 1.09}


@final
class Market:
    """Closing prices by contract and day; `split` changes all prices of a contract from a day on."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._days = open_days(BIRTH - timedelta(10), LAST + timedelta(10))
        self._walks: dict[str, list[float]] = {}
        self._splits: dict[int, tuple[date, Decimal]] = {}

    def rate(self, currency: str, day: date) -> Decimal:
        """The day's rate to the base currency."""
        if currency == BASE:
            return Decimal(1)
        return Decimal(round(self._walk(currency, _LEVELS[currency], 0.002, day), 5)).quantize(Decimal("0.00001"))

    def split(self, paper: Paper, day: date, ratio: Decimal) -> None:
        self._splits[paper.conid] = day, ratio

    def close(self, paper: Paper, day: date) -> Decimal:
        """The price at the end of a day; of a day without trading, of the day before."""
        if paper.category == "OPT":
            return self._option(paper, day)
        levels = {"FUT": 5000.0, "BOND": 97.0}
        level = levels.get(paper.category, 20.0 + (paper.conid * 37) % 160)
        price = Decimal(round(self._walk(str(paper.conid), level, 0.012, day), 2)).quantize(CENT)
        if paper.category == "FUT":
            return price.quantize(Decimal(1)) + Decimal("0.25")
        since, ratio = self._splits.get(paper.conid, (date.max, Decimal(1)))
        return max((price / ratio).quantize(CENT), CENT) if day >= since else price

    def _option(self, paper: Paper, day: date) -> Decimal:
        assert paper.underlying
        assert paper.strike is not None
        assert paper.expiry
        stock = self.close(paper.underlying, min(day, paper.expiry))
        worth = stock - paper.strike if paper.right == "C" else paper.strike - stock
        left = Decimal(max((paper.expiry - day).days, 0))
        return (max(worth, Decimal(0)) + left * Decimal("0.02")).quantize(CENT)

    def _walk(self, name: str, level: float, step: float, day: date) -> float:
        if name not in self._walks:
            dice, walk = random.Random(f"{self._seed}:{name}"), [level]
            for _ in self._days:
                walk.append(max(walk[-1] * (1 + dice.gauss(0, step)), level / 4))
            self._walks[name] = walk
        return self._walks[name][bisect_right(self._days, day)]
