"""Futu codes: what instrument a code names, and the code of an instrument. Pure text; nothing is ever looked up.

The order of the tests matters: pieces of a combination's code look like options of a thousandth of the
strike, and a fund's ISIN looks like a future. A code that no rule knows is OTHER under its raw text: a wrong
guess would give an unknown kind of option the contract size of a stock.
"""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache

from apex_pipeline.brokers.futu import vocabulary
from apex_pipeline.domain import instruments
from apex_pipeline.domain.models import AssetClass, Instrument, OptionRight

_OPTION = re.compile(r"(?P<root>[A-Z0-9]+)(?P<expiry>\d{6})(?P<right>[CP])(?P<strike>[1-9]\d*)", re.ASCII)
_COMBO = re.compile(r"(?P<root>[A-Z0-9]+?)\d{6}[CP]\d+(\.\d+)?(/\d{6}[CP]\d+(\.\d+)?)+", re.ASCII)
_FUTURE = re.compile(
    r"(?P<root>[A-Z][A-Z0-9]{1,7}?)(?P<delivery>(?P<year>\d\d)(?P<month>0[1-9]|1[0-2])|main)", re.ASCII
)
_INDEX = re.compile(r"\.[A-Z0-9]+", re.ASCII)
_HK_INDEX = re.compile(r"800\d{3}", re.ASCII)

_STOCK = {
    "US": re.compile(r"[A-Z]{1,6}\d?([./ -][A-Z0-9]{1,4})*", re.ASCII),
    "HK": re.compile(r"\d{1,6}", re.ASCII),
    "SH": re.compile(r"\d{6}", re.ASCII),
    "SZ": re.compile(r"\d{6}", re.ASCII),
}
_PLAIN_STOCK = re.compile(r"[A-Z0-9.]{1,8}", re.ASCII)
"""Forms of stock codes by market, and of the markets whose codes no public row shows."""

_OPTION_MARKETS = frozenset({"HK", "US"})
_FUTURE_MARKETS = frozenset({"HK", "US", "JP", "SG"})
_MONTH_LETTERS = "FGHJKMNQUVXZ"
_CLASS_OF_PREFIX = {"FX": AssetClass.FX, "CC": AssetClass.CRYPTO, "EC": AssetClass.OTHER}
_US_CONTRACT = Decimal(100)


@dataclass(frozen=True, slots=True)
class Listing:
    """What a code names. `market` is its prefix; `root` is the option or future class.

    `delivery`: the month of a future as Futu writes it (`2609`), or `main` for the continuous one.
    """

    futu_code: str
    market: str | None
    symbol: str
    asset_class: AssetClass
    underlying: str | None = None
    root: str | None = None
    strike: Decimal | None = None
    expiry: date | None = None
    right: OptionRight | None = None
    delivery: str | None = None


@lru_cache(maxsize=1 << 16)
def parse(market: str | None, code: str, trd_market: int | None = None) -> Listing:
    """The instrument of a code without its prefix, e.g. ("US", "AAPL210402C132500"); never fails.

    `trd_market` (TrdMarket) tells funds, coins and futures whose code does not show it.
    """
    if market is None:
        return Listing(code, None, code, AssetClass.OTHER)
    if trd_market in vocabulary.FUND_MARKETS:
        return _plain(market, code, AssetClass.FUND)
    return (
        _combo(market, code)
        or _option(market, code)
        or _future(market, code)
        or _index(market, code)
        or _plain(market, code, _class_of(market, code, trd_market))
    )


def encode(listing: Listing) -> str:
    """The Futu code of a listing, from what it says and not from the code it was read from: the inverse of `parse`."""
    if listing.market is None or listing.asset_class is AssetClass.COMBO:
        return listing.futu_code
    if listing.right and listing.root and listing.expiry and listing.strike:
        terms = f"{listing.expiry:%y%m%d}{listing.right.value}{instruments.plain(listing.strike * 1000)}"
        return f"{listing.market}.{listing.root}{terms}"
    if listing.root and listing.delivery:
        return f"{listing.market}.{listing.root}{listing.delivery}"
    return listing.symbol


def is_known(listing: Listing) -> bool:
    """Whether a rule knows the form of the code; event contracts are known and of no other class."""
    return listing.asset_class is not AssetClass.OTHER or listing.market == "EC"


def standard_multiplier(listing: Listing) -> Decimal | None:
    """Units per contract where the code alone decides it, else None.

    Hong Kong sizes differ per class, and an adjusted US class (its root ends in a digit) delivers
    something else than 100 shares.
    """
    match listing.asset_class:
        case AssetClass.STOCK | AssetClass.FUND | AssetClass.CRYPTO:
            return Decimal(1)
        case AssetClass.OPTION if listing.market == "US" and listing.root and not listing.root[-1].isdigit():
            return _US_CONTRACT
        case _:
            return None


def instrument(listing: Listing, currency: str | None, multiplier: Decimal | None, name: str | None) -> Instrument:
    """The instrument row of a listing."""
    return Instrument(
        symbol=listing.symbol,
        underlying=listing.underlying,
        asset_class=listing.asset_class,
        strike=listing.strike,
        expiry=listing.expiry,
        option_right=listing.right,
        multiplier=multiplier,
        currency=currency,
        exchange=None,
        name=name,
        futu_code=listing.futu_code,
        ib_symbol=None,
        ib_conid=None,
    )


def _combo(market: str, code: str) -> Listing | None:
    found = _COMBO.fullmatch(code) if market in _OPTION_MARKETS else None
    if not found:
        return None
    root = found["root"]
    raw = f"{market}.{code}"
    return Listing(raw, market, raw, AssetClass.COMBO, instruments.option_underlying(market, root), root)


def _option(market: str, code: str) -> Listing | None:
    found = _OPTION.fullmatch(code) if market in _OPTION_MARKETS else None
    expiry = _expiry(found["expiry"]) if found else None
    if not found or expiry is None:
        return None
    root, right = found["root"], OptionRight(found["right"])
    strike = Decimal(found["strike"]) / 1000
    return Listing(
        futu_code=f"{market}.{code}",
        market=market,
        symbol=instruments.option_symbol(market, root, expiry, right, strike),
        asset_class=AssetClass.OPTION,
        underlying=instruments.option_underlying(market, root),
        root=root,
        strike=strike,
        expiry=expiry,
        right=right,
    )


def _expiry(yymmdd: str) -> date | None:
    try:
        return date(2000 + int(yymmdd[:2]), int(yymmdd[2:4]), int(yymmdd[4:]))
    except ValueError:
        return None


def _future(market: str, code: str) -> Listing | None:
    found = _FUTURE.fullmatch(code) if market in _FUTURE_MARKETS else None
    if not found:
        return None
    root, month = found["root"], found["month"]
    own_code = f"{root}{_MONTH_LETTERS[int(month) - 1]}{found['year'][-1]}" if month else code
    symbol = instruments.future_symbol(market, own_code)
    return Listing(f"{market}.{code}", market, symbol, AssetClass.FUTURE, root=root, delivery=found["delivery"])


def _index(market: str, code: str) -> Listing | None:
    pattern = {"US": _INDEX, "HK": _HK_INDEX}.get(market)
    return _plain(market, code, AssetClass.INDEX) if pattern and pattern.fullmatch(code) else None


def _plain(market: str, code: str, asset_class: AssetClass) -> Listing:
    symbol = instruments.stock_symbol(market, code)
    underlying = symbol if asset_class is AssetClass.STOCK else None
    return Listing(f"{market}.{code}", market, symbol, asset_class, underlying)


def _class_of(market: str, code: str, trd_market: int | None) -> AssetClass:
    if trd_market in vocabulary.FUTURES_MARKETS:
        return AssetClass.FUTURE
    if trd_market == vocabulary.CRYPTO_MARKET:
        return AssetClass.CRYPTO
    if market in _CLASS_OF_PREFIX:
        return _CLASS_OF_PREFIX[market]
    return AssetClass.STOCK if _STOCK.get(market, _PLAIN_STOCK).fullmatch(code) else AssetClass.OTHER
