"""What the accounts of a made-up book trade: stocks, options and combinations, with the names they must get.

Codes, symbols and sizes are composed here side by side, so that nothing is learned from the program's own reader.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

STOCKS = {
    "US": ("AAPL", "BRK.B", "BF.A", "F", "NVDA", "SPY", "T", "TSLA"),
    "HK": ("00700", "09988", "01810", "03690", "02800", "00005"),
}
US_CLASSES = (("AAPL", "US.AAPL", 100), ("F", "US.F", 100), ("SPXW", "US..SPX", 100), ("CMCS1", "US.CMCS", 100))
HK_CLASSES = (("TCH", "00700", 100), ("ALB", "09988", 500), ("MIU", "01810", 1000), ("HKB", "00005", 400))
CURRENCIES = {"US": "USD", "HK": "HKD"}
SEC_MARKETS = {"HK": 1, "US": 2}
QUOTE_MARKETS = {"HK": 1, "US": 11}


@dataclass(frozen=True)
class Contract:
    """One thing that is traded. `size`: units per contract; `plain`: whether the code alone tells it."""

    market: str
    code: str
    symbol: str
    asset_class: str
    underlying: str | None
    size: int
    plain: bool
    strike: Decimal | None = None
    expiry: date | None = None
    right: str | None = None
    legs: tuple["Leg", ...] = ()
    strategy: tuple[int, str] = (0, "")

    @property
    def currency(self) -> str:
        """The currency of its market."""
        return CURRENCIES[self.market]


@dataclass(frozen=True)
class Leg:
    """A member of a combination. `side`: 1 buy, 2 sell, 3 sell short, 4 buy back."""

    contract: Contract
    side: int
    ratio: int


def stock(market: str, code: str) -> Contract:
    """Shares."""
    symbol = f"{market}.{code}"
    return Contract(market, code, symbol, "STOCK", symbol, 1, plain=True)


def option(market: str, root: str, expiry: date, right: str, strike: Decimal) -> Contract:
    """An option of one of the classes above, or of a Hong Kong class that no table knows (size 1000)."""
    code = f"{root}{expiry:%y%m%d}{right}{int(strike * 1000)}"
    if market == "US":
        underlying: str | None = next(name for known, name, _ in US_CLASSES if known == root)
        size, named, plain = 100, root, not root[-1].isdigit()
    else:
        number, size = next(((of, size) for known, of, size in HK_CLASSES if known == root), (None, 1000))
        underlying, named, plain = f"HK.{number}" if number else None, number or root, False
    symbol = f"{market}.{named} {expiry} {right} {_short(strike)}"
    return Contract(market, code, symbol, "OPTION", underlying, size, plain, strike, expiry, right)


def combination(legs: Sequence[Leg], strategy: tuple[int, str]) -> Contract:
    """Options of one class as one order; the code is the root of the class and its terms with plain strikes."""
    first = legs[0].contract
    root = first.code[: len(first.code) - len(_terms(first)) - len(str(int((first.strike or 0) * 1000)))]
    terms = "/".join(_terms(leg.contract) + _short(leg.contract.strike or Decimal(0)) for leg in legs)
    code = f"{root}{terms}"
    symbol = f"{first.market}.{code}"
    return Contract(
        first.market, code, symbol, "COMBO", first.underlying, first.size, first.plain, legs=tuple(legs),
        strategy=strategy,
    )  # fmt: skip


def some_stock(dice: random.Random, market: str) -> Contract:
    """Any of the stocks of a market."""
    return stock(market, dice.choice(STOCKS[market]))


def some_option(dice: random.Random, market: str, day: date) -> Contract:
    """An option that was alive on a day."""
    root = dice.choice(US_CLASSES if market == "US" else HK_CLASSES)[0]
    return option(market, root, _friday(day, dice.randint(0, 30)), dice.choice("CP"), _strike(dice, market))


def some_combination(dice: random.Random, market: str, day: date) -> Contract:
    """A vertical, a calendar, a butterfly or a condor."""
    root = dice.choice(US_CLASSES[:3] if market == "US" else HK_CLASSES)[0]
    near, far, right, low = _friday(day, 2), _friday(day, 9), dice.choice("CP"), _strike(dice, market)

    def leg(expiry: date, kind: str, steps: int, side: int, ratio: int = 1) -> Leg:
        return Leg(option(market, root, expiry, kind, low + Decimal(5) * steps), side, ratio)

    shapes = (
        ((leg(near, right, 0, 1), leg(near, right, 1, 3)), (4, "SPREAD")),
        ((leg(far, right, 0, 1), leg(near, right, 0, 3)), (15, "CALENDAR_SPREAD")),
        ((leg(near, right, 0, 1), leg(near, right, 1, 2, 2), leg(near, right, 2, 1)), (9, "BUTTERFLY")),
        (
            (leg(near, "P", 0, 1), leg(near, "P", 1, 3), leg(near, "C", 2, 3), leg(near, "C", 3, 1)),
            (14, "IRON_CONDOR"),
        ),
    )
    return combination(*dice.choice(shapes))


def _terms(contract: Contract) -> str:
    assert contract.expiry is not None
    return f"{contract.expiry:%y%m%d}{contract.right}"


def _friday(day: date, weeks: int) -> date:
    return day + timedelta(days=(4 - day.weekday()) % 7 + 7 * weeks)


def _strike(dice: random.Random, market: str) -> Decimal:
    return Decimal(
        dice.choice(("132.5", "120", "42.5", "6500", "97.25") if market == "US" else ("42.5", "13", "397.5"))
    )


def _short(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
