"""Which trade ideas a scenario draws: named shapes, their strikes, expiries and sizes.

Names are ids of the strategy taxonomy. A shape is written per unit: right (or S for shares), strike as
steps from the money, signed number of contracts.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import count

from apex_pipeline.brokers.scenario_book import Piece
from apex_pipeline.brokers.scenario_days import is_session
from apex_pipeline.brokers.scenario_market import Market, Stock, expiries, strike_step
from apex_pipeline.domain.models import OptionRight

_LONGEST_REST = 14
_Member = tuple[str, int, int, int]
"""Right or S, how many times the drawn distance, how many times the drawn width, signed quantity."""

OPENINGS: tuple[tuple[int, str, tuple[_Member, ...]], ...] = (
    (18, "LONG_STOCK", (("S", 0, 0, 1),)),
    (11, "LONG_CALL", (("C", 1, 0, 1),)),
    (9, "LONG_PUT", (("P", -1, 0, 1),)),
    (9, "SHORT_PUT", (("P", -1, 0, -1),)),
    (6, "SHORT_CALL", (("C", 1, 0, -1),)),
    (7, "BULL_CALL_SPREAD", (("C", 0, 0, 1), ("C", 0, 1, -1))),
    (5, "BEAR_CALL_SPREAD", (("C", 1, 0, -1), ("C", 1, 1, 1))),
    (5, "BEAR_PUT_SPREAD", (("P", 0, 0, 1), ("P", 0, -1, -1))),
    (7, "BULL_PUT_SPREAD", (("P", -1, 0, -1), ("P", -1, -1, 1))),
    (3, "LONG_STRADDLE", (("C", 0, 0, 1), ("P", 0, 0, 1))),
    (3, "SHORT_STRADDLE", (("C", 0, 0, -1), ("P", 0, 0, -1))),
    (3, "LONG_STRANGLE", (("C", 1, 0, 1), ("P", -1, 0, 1))),
    (4, "SHORT_STRANGLE", (("C", 1, 0, -1), ("P", -1, 0, -1))),
    (6, "IRON_CONDOR", (("P", -1, -1, 1), ("P", -1, 0, -1), ("C", 1, 0, -1), ("C", 1, 1, 1))),
    (2, "IRON_BUTTERFLY", (("P", 0, -1, 1), ("P", 0, 0, -1), ("C", 0, 0, -1), ("C", 0, 1, 1))),
    (3, "LONG_CALL_BUTTERFLY", (("C", 0, -1, 1), ("C", 0, 0, -2), ("C", 0, 1, 1))),
    (2, "LONG_PUT_BUTTERFLY", (("P", 0, 1, 1), ("P", 0, 0, -2), ("P", 0, -1, 1))),
    (7, "COVERED_CALL", (("S", 0, 0, 1), ("C", 1, 0, -1))),
)
_WEIGHTS = [weight for weight, _, _ in OPENINGS]


@dataclass(frozen=True, slots=True)
class Drawn:
    """An idea before it is sent; `lot` is the smallest step of its size."""

    stock: Stock
    strategy: str
    pieces: list[Piece]
    units: int
    lot: int
    spot: Decimal
    expiry: date | None

    def may_rest(self, day: date) -> bool:
        """Whether it is one option that lives long enough to be ordered days ahead."""
        return len(self.pieces) == 1 and self.expiry is not None and (self.expiry - day).days >= _LONGEST_REST

    def with_units(self, units: int, strategy: str) -> "Drawn":
        """The same idea in another size and under another name."""
        return replace(self, units=units, strategy=strategy)


def draw(rng: random.Random, market: Market, place: str, day: date, at: datetime) -> Drawn:
    """A random idea on a random stock of one market, priced at that moment."""
    stock = rng.choice(market.stocks[place])
    _, strategy, shape = rng.choices(OPENINGS, _WEIGHTS)[0]
    spot = market.spot_at(stock, day, at)
    if strategy == "LONG_STOCK":
        pieces = [Piece(market.share(stock), 1)]
        return Drawn(stock, strategy, pieces, _shares(rng, stock), stock.lot, spot, None)
    expiry = rng.choice(expiries(place, day))
    distance, width = rng.randint(1, 3), rng.randint(1, 3)
    step = strike_step(place, spot)
    money = _round(spot, step)
    pieces: list[Piece] = []
    for right, far, wide, qty in shape:
        if right == "S":
            pieces.append(Piece(market.share(stock), qty * stock.size))
            continue
        strike = money + step * (far * distance + wide * width)
        pieces.append(Piece(market.option(stock, expiry, OptionRight(right), strike), qty))
    return Drawn(stock, strategy, pieces, rng.choice((1, 1, 1, 2, 2, 3, 4, 5, 10)), 1, spot, expiry)


def _shares(rng: random.Random, stock: Stock) -> int:
    if stock.market == "US":
        return rng.choice((10, 25, 50, 100, 100, 100, 200, 200, 300, 500))
    return stock.lot * rng.choice((1, 1, 2, 3, 5, 10))


def _round(spot: Decimal, step: Decimal) -> Decimal:
    return (spot / step).quantize(Decimal(1), ROUND_HALF_EVEN) * step


def planned_short_put(
    market: Market, day: date, last: date, admits: Callable[[Iterable[Piece]], bool]
) -> tuple[Drawn, date]:
    """A short put whose strike stays above the price until the day of its assignment, also returned."""
    stock = next(s for s in market.stocks["US"] if s.code == "KO")
    expiry = next(e for e in expiries("US", day) if (e - day).days >= 7)
    assigned = min(expiry, last)
    while not is_session("US", assigned):
        assigned -= timedelta(1)
    spot = market.close(stock, day)
    step = strike_step("US", spot)
    lowest = _round(max(spot, market.close(stock, assigned)), step) + step
    puts = (market.option(stock, expiry, OptionRight.PUT, lowest + step * n) for n in count())
    pieces = next(p for p in ([Piece(put, -1)] for put in puts) if admits(p))
    return Drawn(stock, "SHORT_PUT", pieces, 2, 1, spot, expiry), assigned
