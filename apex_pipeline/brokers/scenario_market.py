"""The world of a scenario: stocks, ticks, strikes, expiries and model prices.

Daily closes are seeded random walks, turned into Decimal as they are drawn. Option prices are a simple
model (intrinsic plus a time value that fades with distance), good enough to be ordered like real ones.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import final

from apex_pipeline.brokers.scenario import Contract
from apex_pipeline.brokers.scenario_days import ZONES, is_session, session_times
from apex_pipeline.domain.models import AssetClass, OptionRight

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Stock:
    """A stock with options: `lot` is its board lot, `size` the shares of one option contract.

    `vol` is the yearly volatility, `price` about where its walk starts.
    """

    market: str
    code: str
    root: str
    name: str
    exchange: str
    conid: int
    price: Decimal
    vol: Decimal
    lot: int
    size: int


STOCKS = (
    Stock("US", "AAPL", "AAPL", "APPLE INC", "NASDAQ", 265598, Decimal(228), Decimal("0.28"), 1, 100),
    Stock("US", "MSFT", "MSFT", "MICROSOFT CORP", "NASDAQ", 272093, Decimal(425), Decimal("0.24"), 1, 100),
    Stock("US", "NVDA", "NVDA", "NVIDIA CORP", "NASDAQ", 4815747, Decimal(132), Decimal("0.45"), 1, 100),
    Stock("US", "AMD", "AMD", "ADVANCED MICRO DEVICES", "NASDAQ", 4391, Decimal(158), Decimal("0.48"), 1, 100),
    Stock("US", "SPY", "SPY", "SPDR S&P 500 ETF TRUST", "ARCA", 756733, Decimal(585), Decimal("0.15"), 1, 100),
    Stock("US", "QQQ", "QQQ", "INVESCO QQQ TRUST SERIES 1", "NASDAQ", 320227571, Decimal(495), Decimal("0.19"), 1, 100),
    Stock("US", "JPM", "JPM", "JPMORGAN CHASE & CO", "NYSE", 1520593, Decimal(212), Decimal("0.22"), 1, 100),
    Stock("US", "KO", "KO", "COCA-COLA CO/THE", "NYSE", 8894, Decimal(68), Decimal("0.15"), 1, 100),
    Stock("US", "F", "F", "FORD MOTOR CO", "NYSE", 9599491, Decimal("11.4"), Decimal("0.35"), 1, 100),
    Stock("HK", "00700", "TCH", "TENCENT", "SEHK", 152112941, Decimal(415), Decimal("0.32"), 100, 100),
    Stock("HK", "09988", "ALB", "ALIBABA GROUP", "SEHK", 391019351, Decimal(104), Decimal("0.40"), 100, 500),
    Stock("HK", "03690", "MET", "MEITUAN", "SEHK", 334181203, Decimal(131), Decimal("0.42"), 100, 500),
    Stock("HK", "01810", "MIU", "XIAOMI", "SEHK", 325116217, Decimal("44.5"), Decimal("0.42"), 200, 1000),
    Stock("HK", "00005", "HKB", "HSBC HOLDINGS", "SEHK", 5117217, Decimal("78.6"), Decimal("0.20"), 400, 400),
    Stock("HK", "00939", "CCB", "CCB", "SEHK", 38709137, Decimal("6.48"), Decimal("0.20"), 1000, 1000),
    Stock("HK", "00857", "PEC", "PETROCHINA", "SEHK", 6627143, Decimal("6.12"), Decimal("0.26"), 2000, 2000),
)

_HK_TICKS = ((10, "0.01"), (20, "0.02"), (100, "0.05"), (200, "0.1"), (500, "0.2"), (1000, "0.5"))
_US_STEPS = ((25, "0.5"), (75, "1"), (200, "2.5"), (100000, "5"))
_HK_STEPS = ((5, "0.1"), (10, "0.25"), (20, "0.5"), (50, "1"), (200, "2.5"), (300, "5"), (100000, "10"))


def currency_of(market: str) -> str:
    """USD or HKD."""
    return "USD" if market == "US" else "HKD"


def tick_of(market: str, asset_class: AssetClass, price: Decimal) -> Decimal:
    """The price step at this price."""
    if asset_class != AssetClass.STOCK:
        return CENT if market == "HK" or price < 3 else Decimal("0.05")
    return CENT if market == "US" else _below(_HK_TICKS, price, Decimal(1))


def strike_step(market: str, spot: Decimal) -> Decimal:
    """The distance of neighbouring strikes at this spot."""
    return _below(_US_STEPS if market == "US" else _HK_STEPS, spot, Decimal(10))


def _below(table: tuple[tuple[int, str], ...], price: Decimal, otherwise: Decimal) -> Decimal:
    return next((Decimal(step) for limit, step in table if price < limit), otherwise)


def on_tick(price: Decimal, tick: Decimal) -> Decimal:
    """The nearest price on the grid, one tick at least."""
    return max((price / tick).quantize(Decimal(1), ROUND_HALF_UP), Decimal(1)) * tick


@cache
def expiries(market: str, day: date) -> tuple[date, ...]:
    """Expiry days an account could choose on this day, nearest first.

    US: the Fridays of two to nine weeks, or the session before; HK: the last but one session day of this and the next
    months.
    """
    if market == "US":
        friday = day + timedelta((4 - day.weekday()) % 7)
        return tuple(_session_before(market, friday + timedelta(weeks=n)) for n in range(1, 9))
    return tuple(e for e in (_hk_expiry(day, n) for n in range(4)) if e > day)


def _session_before(market: str, day: date) -> date:
    while not is_session(market, day):
        day -= timedelta(1)
    return day


def _hk_expiry(day: date, months: int) -> date:
    month = day.year * 12 + day.month + months
    first_of_next = date(month // 12, month % 12 + 1, 1)
    return _session_before("HK", _session_before("HK", first_of_next - timedelta(1)) - timedelta(1))


@cache
def _root_of_time(days_left: int) -> Decimal:
    return ((Decimal(max(days_left, 0)) + Decimal("0.5")) / 365).sqrt()


def option_price(right: OptionRight, strike: Decimal, spot: Decimal, vol: Decimal, days_left: int) -> Decimal:
    """Model price per share of the underlying, not on a tick: intrinsic plus time value."""
    away = strike - spot
    inside = max(-away if right == OptionRight.CALL else away, Decimal(0))
    spread = spot * vol * _root_of_time(days_left)
    fade = max(1 - abs(away) / (3 * spread), Decimal(0))
    return inside + Decimal("0.4") * spread * fade * fade


@final
class Market:
    """Prices and contracts of one scenario; `sessions` are the session days of each market, `days` those of any."""

    def __init__(self, seed: int, sessions: Mapping[str, list[date]]) -> None:
        self.sessions = sessions
        self.days = sorted({day for days in sessions.values() for day in days})
        self.stocks = {market: [s for s in STOCKS if s.market == market] for market in ZONES}
        self.closes = {(s.market, s.code): _walk(seed, s, sessions[s.market]) for s in STOCKS}
        self._by_code = {(s.market, s.code): s for s in STOCKS}
        self._options: dict[tuple[str, str, date, OptionRight, Decimal], Contract] = {}
        self._combos: dict[str, Contract] = {}
        self._shares = {key: stock_contract(s) for key, s in self._by_code.items()}
        self._before = {
            (market, day): before
            for market, own in sessions.items()
            for before, day in zip([*own[:1], *own], own, strict=False)
        }

    def share(self, stock: Stock) -> Contract:
        """The stock itself."""
        return self._shares[stock.market, stock.code]

    def stock_of(self, contract: Contract) -> Stock:
        """The stock behind a contract."""
        return self._by_code[contract.market, contract.code]

    def option(self, stock: Stock, expiry: date, right: OptionRight, strike: Decimal) -> Contract:
        """An option; the same object for the same terms."""
        key = (stock.market, stock.code, expiry, right, strike)
        if key not in self._options:
            name = f"{stock.root} {expiry:%d%b%y} {strike.normalize():f} {right.value}".upper()
            conid = 700_000_000 + 37 * len(self._options)
            exchange = "CBOE" if stock.market == "US" else "SEHK"
            self._options[key] = Contract(
                stock.market, AssetClass.OPTION, stock.code, stock.root, name, currency_of(stock.market),
                Decimal(stock.size), conid, strike, expiry, right, exchange,
                underlying_conid=stock.conid,
            )  # fmt: skip
        return self._options[key]

    def combo(self, stock: Stock) -> Contract:
        """The contract of an order with legs on this stock."""
        if stock.code not in self._combos:
            self._combos[stock.code] = Contract(
                stock.market, AssetClass.COMBO, stock.code, stock.root, f"{stock.name} COMBO",
                currency_of(stock.market), Decimal(stock.size), 28_812_380 + stock.conid % 10_000,
            )  # fmt: skip
        return self._combos[stock.code]

    def close(self, stock: Stock, day: date) -> Decimal:
        """The closing price of a session day."""
        return self.closes[stock.market, stock.code][day]

    def spot_at(self, stock: Stock, day: date, at: datetime) -> Decimal:
        """The price inside a session: as far from yesterday's close to today's as the session has run."""
        times = session_times(stock.market, day)
        begin, stop = times[0][0], times[-1][1]
        part = Decimal((at - begin) // timedelta(seconds=1)) / Decimal((stop - begin) // timedelta(seconds=1))
        before = self.close(stock, self._before[stock.market, day])
        price = before + (self.close(stock, day) - before) * part
        return on_tick(price, tick_of(stock.market, AssetClass.STOCK, price))

    def price(self, contract: Contract, day: date, spot: Decimal) -> Decimal:
        """The model price of a stock or option, on its tick."""
        return model_price(contract, day, spot)


_VOLS = {(s.market, s.code): s.vol for s in STOCKS}


def model_price(contract: Contract, day: date, spot: Decimal) -> Decimal:
    """What a stock or option is worth while its stock stands at `spot`, on its tick."""
    if contract.right is None or contract.strike is None or contract.expiry is None:
        return on_tick(spot, tick_of(contract.market, AssetClass.STOCK, spot))
    vol = _VOLS[contract.market, contract.code]
    raw = option_price(contract.right, contract.strike, spot, vol, (contract.expiry - day).days)
    return on_tick(raw, tick_of(contract.market, contract.asset_class, raw))


def mark_price(closes: Mapping[tuple[str, str], Mapping[date, Decimal]], contract: Contract, day: date) -> Decimal:
    """What a stock or option of the scenario was worth at the close of the last session up to `day`."""
    series = closes[contract.market, contract.code]
    first = next(iter(series))
    while day not in series and day > first:
        day -= timedelta(1)
    day = max(day, first)
    return model_price(contract, day, series[day])


def stock_contract(stock: Stock) -> Contract:
    """The contract of a share."""
    return Contract(
        stock.market, AssetClass.STOCK, stock.code, stock.root, stock.name, currency_of(stock.market),
        Decimal(1), stock.conid, exchange=stock.exchange, lot=stock.lot,
    )  # fmt: skip


def _walk(seed: int, stock: Stock, days: list[date]) -> dict[date, Decimal]:
    rng = random.Random(f"{seed} walk {stock.market}.{stock.code}")  # noqa: S311 - must be repeatable, guards no secret
    daily = stock.vol / 16
    price = stock.price
    closes: dict[date, Decimal] = {}
    for day in days:
        pull = (stock.price / price - 1) / 100
        price *= 1 + daily * Decimal(repr(round(rng.gauss(0, 1), 4))) + pull
        price = on_tick(max(price, stock.price / 3), tick_of(stock.market, AssetClass.STOCK, price))
        closes[day] = price
    return closes
