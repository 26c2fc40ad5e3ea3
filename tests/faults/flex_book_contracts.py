"""Contracts of a made-up book: how IB writes each one, beside the name it must get.

The canonical names are written here by hand or by rules of this file only, never taken from the product.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from zlib import crc32


@dataclass(frozen=True)
class Contract:
    """One tradable thing in IB's words; `name`, `asset_class`, `market` and `underlying` are what must come of them."""

    category: str
    symbol: str
    description: str
    currency: str
    listing: str
    multiplier: Decimal
    price: Decimal
    """A typical price."""
    name: str
    asset_class: str
    market: str | None
    underlying: str | None
    ib_underlying: str = ""
    strike: Decimal | None = None
    expiry: date | None = None
    right: str = ""

    @property
    def conid(self) -> str:
        """IB's key of the contract."""
        return str(100_000 + crc32(f"{self.category}{self.symbol}{self.currency}".encode()) % 900_000_000)


def _stock(symbol: str, name: str, listing: str, currency: str, price: str) -> Contract:
    one = Decimal(1)
    market = name.split(".", 1)[0]
    told = f"{symbol} HOLDINGS <{market}> & SONS"
    return Contract("STK", symbol, told, currency, listing, one, Decimal(price), name, "STOCK", market, name)


US_STOCKS = (
    _stock("AAPL", "US.AAPL", "NASDAQ", "USD", "231.5"),
    _stock("BRK B", "US.BRK.B", "NYSE", "USD", "487.25"),
    _stock("F", "US.F", "NYSE", "USD", "11.07"),
    _stock("SPY", "US.SPY", "ARCA", "USD", "612.35"),
)
HK_STOCKS = (
    _stock("700", "HK.00700", "SEHK", "HKD", "402.6"),
    _stock("9988", "HK.09988", "SEHK", "HKD", "118.3"),
    _stock("5", "HK.00005", "SEHK", "HKD", "88.15"),
)


def _pair(base: str, quote: str, price: str) -> Contract:
    symbol, name = f"{base}.{quote}", f"FX.{base}.{quote}"
    return Contract("CASH", symbol, symbol, quote, "", Decimal(1), Decimal(price), name, "FX", None, None)


PAIRS = (_pair("EUR", "USD", "1.08235"), _pair("USD", "HKD", "7.78415"), _pair("USD", "CNH", "7.1023"))

_QUARTERS = {3: "H", 6: "M", 9: "U", 12: "Z"}


def futures(day: date) -> tuple[Contract, ...]:
    """Two futures that expire after this day: one of Chicago, one of Hong Kong."""
    year, month = day.year, next((month for month in _QUARTERS if month > day.month), 0)
    year, month = (year, month) if month else (year + 1, 3)
    code, expiry = f"{_QUARTERS[month]}{year % 10}", date(year, month, 15)
    return (
        Contract("FUT", f"ES{code}", f"ES {expiry:%d%b%y}".upper(), "USD", "CME", Decimal(50), Decimal("6021.25"),
                 f"US.ES{code}", "FUTURE", "US", "US.ES", "ES", None, expiry),
        Contract("FUT", f"HSI{code}", f"HSI {expiry:%d%b%y}".upper(), "HKD", "HKFE", Decimal(50), Decimal(24188),
                 f"HK.HSI{code}", "FUTURE", "HK", "HK.HSI", "HSI", None, expiry),
    )  # fmt: skip


def option(root: str, expiry: date, right: str, strike: Decimal, price: Decimal) -> Contract:
    """A US option as OCC writes it; SPXW is a class of the index SPX."""
    plain = f"{strike:f}".rstrip("0").rstrip(".") if strike % 1 else f"{strike:.0f}"
    symbol = f"{root:<6}{expiry:%y%m%d}{right}{int(strike * 1000):08d}"
    ib_underlying, underlying = ("SPX", "US..SPX") if root == "SPXW" else (root, f"US.{root}")
    told = f"{root} {expiry:%d%b%y} {plain} {right}".upper()
    return Contract(
        "OPT", symbol, told, "USD", "CBOE", Decimal(100), price, f"US.{root} {expiry} {right} {plain}", "OPTION",
        "US", underlying, ib_underlying, strike, expiry, right,
    )  # fmt: skip
