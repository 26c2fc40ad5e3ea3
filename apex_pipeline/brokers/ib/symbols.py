"""IB's contract attributes as canonical instruments: asset class, market prefix, symbol.

The same instrument must get the same symbol from every row and from every broker. What would share a
symbol with a stock although it is something else (CFDs, crypto) is written apart.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from apex_pipeline.brokers.ib.attributes import Attributes
from apex_pipeline.brokers.ib.bonds import money_per_point
from apex_pipeline.brokers.ib.exchanges import market_of
from apex_pipeline.brokers.ib.times import date_of
from apex_pipeline.domain.instruments import (
    HK_OPTION_CLASSES,
    US_INDEX_CLASSES,
    future_symbol,
    fx_symbol,
    option_symbol,
    option_underlying,
    stock_symbol,
)
from apex_pipeline.domain.models import AssetClass, Instrument, OptionRight

ASSET_CLASSES = {
    "STK": AssetClass.STOCK,
    "OPT": AssetClass.OPTION,
    "FSOPT": AssetClass.OPTION,
    "FUT": AssetClass.FUTURE,
    "FOP": AssetClass.FUTURE_OPTION,
    "FSFOP": AssetClass.FUTURE_OPTION,
    "CASH": AssetClass.FX,
    "BOND": AssetClass.BOND,
    "BILL": AssetClass.BOND,
    "FUND": AssetClass.FUND,
    "WAR": AssetClass.WARRANT,
    "IOPT": AssetClass.WARRANT,
    "CFD": AssetClass.CFD,
    "FXCFD": AssetClass.CFD,
    "CRYPTO": AssetClass.CRYPTO,
    "IND": AssetClass.INDEX,
    "BAG": AssetClass.COMBO,
}

_OSI = re.compile(r"(?P<root>\S{1,6})\s*(?P<day>\d{6})(?P<right>[CP])(?P<strike>\d{8})", re.ASCII)
_EUROPEAN = re.compile(r"[CP]\s+(?P<root>\S+)")
_LONG_FUTURE = re.compile(r"(?P<root>\S+)\s+(?P<month>[A-Z]{3})\s+(?P<year>\d{2})", re.ASCII)
_FUTURE_MONTHS = {
    "JAN": "F", "FEB": "G", "MAR": "H", "APR": "J", "MAY": "K", "JUN": "M", "JUL": "N", "AUG": "Q", "SEP": "U",
    "OCT": "V", "NOV": "X", "DEC": "Z",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Named:
    """An instrument with the market its symbol starts with; None for currencies and crypto."""

    instrument: Instrument
    market: str | None


Symbols = tuple[str, str | None]
"""An instrument's canonical symbol and its underlying's."""

Terms = tuple[date | None, OptionRight | None, Decimal | None]
"""Expiry, right and strike."""


def instrument_of(row: Attributes) -> Named:
    """The instrument of a trade row. An unknown asset category becomes OTHER and never fails.

    UnknownPayload where strike, expiry or multiplier cannot be read, or the row names no symbol.
    """
    asset_class = ASSET_CLASSES.get(row.text("assetCategory") or "", AssetClass.OTHER)
    market = market_of(row, by_venue=asset_class in (AssetClass.FUTURE, AssetClass.FUTURE_OPTION))
    raw = " ".join(row.required("symbol").split())
    symbol, underlying = _NAMED_BY.get(asset_class, _other)(row, market, raw)
    optional = asset_class in (AssetClass.OPTION, AssetClass.FUTURE_OPTION)
    expiry, right, strike = terms_of(row) if optional else (row.date("expiry"), None, None)
    instrument = Instrument(
        symbol=symbol,
        underlying=underlying,
        asset_class=asset_class,
        strike=strike,
        expiry=expiry,
        option_right=right,
        multiplier=multiplier_of(row, asset_class),
        currency=row.text("currency"),
        exchange=row.text("listingExchange"),
        name=row.text("description"),
        futu_code=None,
        ib_symbol=row.text("symbol"),
        ib_conid=row.id("conid"),
    )
    return Named(instrument, None if asset_class in (AssetClass.FX, AssetClass.CRYPTO) else market)


def multiplier_of(row: Attributes, asset_class: AssetClass) -> Decimal | None:
    """Units per contract; 1 for shares and currencies where the query leaves it out, else None if unknown.

    Of a bond: money per unit and point of price, as far as the row's own money proves it.
    """
    told = row.number("multiplier")
    if asset_class is AssetClass.BOND:
        return money_per_point(row, told)
    if told is None and asset_class in (AssetClass.STOCK, AssetClass.FX):
        return Decimal(1)
    return told or None


def terms_of(row: Attributes) -> Terms:
    """Expiry, right and strike of an option: their attributes first, else what an OCC symbol spells out."""
    expiry, strike = row.date("expiry"), row.number("strike")
    letter = (row.text("putCall") or "")[:1].upper()
    osi = _OSI.fullmatch(row.required("symbol"))
    if osi:
        expiry = expiry or date_of(f"20{osi['day']}")
        strike = strike or Decimal(osi["strike"]).scaleb(-3)
        letter = letter or osi["right"]
    return expiry, OptionRight(letter) if letter in ("C", "P") else None, strike or None


def _stock(_row: Attributes, market: str, raw: str) -> Symbols:
    symbol = stock_symbol(market, _dotted(raw))
    return symbol, symbol


def _option(row: Attributes, market: str, raw: str) -> Symbols:
    root = _option_root(row, market)
    underlying = _option_underlying(row, market, root)
    expiry, right, strike = terms_of(row)
    if expiry is None or right is None or strike is None:
        return f"{market}.{raw}", underlying
    return option_symbol(market, root, expiry, right, strike), underlying


def _future(row: Attributes, market: str, raw: str) -> Symbols:
    return future_symbol(market, _future_code(raw)), _named_underlying(row, market)


def _future_option(row: Attributes, market: str, raw: str) -> Symbols:
    future = row.text("underlyingSymbol")
    return f"{market}.{raw}", future_symbol(market, _future_code(" ".join(future.split()))) if future else None


def _fx(row: Attributes, _market: str, raw: str) -> Symbols:
    base, _, quote = raw.partition(".")
    return fx_symbol(base, quote or row.required("currency")), None


def _warrant(row: Attributes, market: str, raw: str) -> Symbols:
    return stock_symbol(market, _dotted(raw)), _named_underlying(row, market)


def _cfd(_row: Attributes, market: str, raw: str) -> Symbols:
    stock = stock_symbol(market, _dotted(raw))
    return f"{stock} CFD", stock


def _crypto(_row: Attributes, _market: str, raw: str) -> Symbols:
    return f"CRYPTO.{raw}", None


def _index(_row: Attributes, market: str, raw: str) -> Symbols:
    return f"{market}.{US_INDEX_CLASSES.get(raw, f'.{raw}') if market == 'US' else raw}", None


def _other(_row: Attributes, market: str, raw: str) -> Symbols:
    return f"{market}.{raw}", None


_NAMED_BY: dict[AssetClass, Callable[[Attributes, str, str], Symbols]] = {
    AssetClass.STOCK: _stock,
    AssetClass.OPTION: _option,
    AssetClass.FUTURE: _future,
    AssetClass.FUTURE_OPTION: _future_option,
    AssetClass.FX: _fx,
    AssetClass.WARRANT: _warrant,
    AssetClass.CFD: _cfd,
    AssetClass.CRYPTO: _crypto,
    AssetClass.INDEX: _index,
}


def _option_root(row: Attributes, market: str) -> str:
    """The option class: from the symbol, or in Hong Kong from the stock's number where the symbol has none."""
    symbol = row.required("symbol")
    osi, european = _OSI.fullmatch(symbol), _EUROPEAN.match(symbol)
    if osi:
        root = osi["root"].strip()
    elif european:
        root = european["root"]
    else:
        root = symbol.split()[0]
    stock = row.text("underlyingSymbol")
    if market == "HK" and stock and stock.isdigit() and root not in HK_OPTION_CLASSES and not _is_class(root):
        return stock.zfill(5)
    return root.zfill(5) if market == "HK" and root.isdigit() else root


def _is_class(root: str) -> bool:
    """Three letters or digits that start with a letter: how HKEX names an option class."""
    return len(root) == len("TCH") and root.isalnum() and root[0].isalpha()


def _option_underlying(row: Attributes, market: str, root: str) -> str | None:
    if market == "US" and root in US_INDEX_CLASSES:
        return option_underlying(market, root)
    stock = row.text("underlyingSymbol")
    if stock is None:
        return option_underlying(market, root) if market in ("US", "HK") else stock_symbol(market, root)
    if market == "US" and stock in US_INDEX_CLASSES:
        return option_underlying(market, stock)
    return stock_symbol(market, _dotted(stock))


def _named_underlying(row: Attributes, market: str) -> str | None:
    name = row.text("underlyingSymbol")
    return stock_symbol(market, _dotted(name)) if name else None


def _future_code(raw: str) -> str:
    """`YM DEC 18` is the long form of YMZ8; other texts are the exchange's code already."""
    match = _LONG_FUTURE.fullmatch(raw)
    month = _FUTURE_MONTHS.get(match["month"]) if match else None
    return f"{match['root']}{month}{match['year'][-1]}" if match and month else raw


def _dotted(raw: str) -> str:
    """`BRK B` as others write it: BRK.B."""
    return ".".join(raw.split())
