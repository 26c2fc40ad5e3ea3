"""Canonical symbols: one name for one instrument, whichever broker told of it.

US.AAPL   HK.00700   US.BRK.B   US..SPX   US.AAPL 2026-12-18 C 132.5   HK.00700 2026-08-28 C 42.5
FX.USD.CHF   US.ESZ6

An option is named by the stock where the option class is known to belong to one (TCH is 00700), else by
its class (US.SPXW, the adjusted US.CMCS1): a class that is not in the table must not be guessed.
"""

from datetime import date
from decimal import Decimal

from apex_pipeline.domain.models import OptionRight

HK_OPTION_CLASSES = {
    "ALB": "09988", "ALC": "02600", "BIU": "09888", "BLI": "09626", "BOC": "03988", "CCB": "00939", "CKH": "00001",
    "CLP": "00002", "CNC": "00883", "CPC": "00386", "CTB": "00998", "GLX": "00027", "HEX": "00388", "HKB": "00005",
    "ICB": "01398", "JDC": "09618", "KST": "01024", "MET": "03690", "MIU": "01810", "NTE": "09999", "PAI": "02318",
    "PEC": "00857", "SMC": "00981", "SUN": "02382", "TCH": "00700", "TRF": "02800", "XCC": "02601",
}  # fmt: skip
"""HKEX stock option classes and their stocks (HKEX list of stock options; Futu facts name TCH ALB MIU MET BIU JDC)."""

US_INDEX_CLASSES = {
    "SPX": ".SPX", "SPXW": ".SPX", "XSP": ".XSP", "NDX": ".NDX", "NDXP": ".NDX", "RUT": ".RUT", "RUTW": ".RUT",
    "VIX": ".VIX", "VIXW": ".VIX", "DJX": ".DJX", "OEX": ".OEX", "XEO": ".OEX",
}  # fmt: skip
"""US index option classes and their indexes (Cboe)."""


def stock_symbol(market: str, code: str) -> str:
    """`US.AAPL`; Hong Kong codes are padded to five digits."""
    return f"{market}.{code.zfill(5) if market == 'HK' and code.isdigit() else code}"


def future_symbol(market: str, code: str) -> str:
    """`US.ESZ6`: the exchange's own code under its market."""
    return f"{market}.{code}"


def fx_symbol(base: str, quote: str) -> str:
    """`FX.USD.CHF`: how many CHF one USD costs."""
    return f"FX.{base}.{quote}"


def option_underlying(market: str, root: str) -> str | None:
    """The symbol of the stock or index behind an option class; None where that is not known.

    A US root that ends in a digit is an adjusted contract of the stock in front of the digit.
    """
    if market == "HK":
        code = HK_OPTION_CLASSES.get(root)
        return stock_symbol(market, code) if code else None
    if root in US_INDEX_CLASSES:
        return f"{market}.{US_INDEX_CLASSES[root]}"
    return stock_symbol(market, root.rstrip("0123456789") or root)


def option_symbol(market: str, root: str, expiry: date, right: OptionRight, strike: Decimal) -> str:
    """`US.AAPL 2026-12-18 C 132.5`; the strike without trailing zeros."""
    code = HK_OPTION_CLASSES.get(root, root) if market == "HK" else root
    return f"{stock_symbol(market, code)} {expiry.isoformat()} {right.value} {plain(strike)}"


def plain(value: Decimal) -> str:
    """A decimal as people write it: no exponent, no trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
