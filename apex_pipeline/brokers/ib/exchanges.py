"""Which market an exchange belongs to: the prefix of the symbols traded there.

IB writes the same contract with a listing exchange, an execution venue, or neither. The market of a share
must not depend on where a fill happened, so listing and currency are asked before the venue.
"""

from zoneinfo import ZoneInfo

from apex_pipeline.brokers.ib.attributes import Attributes
from apex_pipeline.domain.calendars import CALENDARS, ZONES

_EXCHANGES = {
    "US": "NYSE NASDAQ AMEX ARCA BATS BYX BEX EDGX EDGEA ISLAND IEX PINK PINKC OTCBB OTCLNKECN OTCQX OTCQB CBOE CBOE2 "
    "ISE MIAX PEARL EMERALD SAPPHIRE PHLX PSE BOX C2 NASDAQOM NASDAQBX GEMINI MERCURY MEMX MEMXOP LTSE IBKRATS DARK "
    "NMS CME GLOBEX CBOT ECBOT NYMEX COMEX NYBOT CFE ICEUS ONE SMFE MGE",
    "HK": "SEHK HKFE SEHKNTL SEHKSZSE SEHKSTAR HKMEX",
    "DE": "IBIS IBIS2 FWB FWB2 SWB SWB2 GETTEX GETTEX2 TGATE TRADEGATE DTB EUREX XETRA BERN BERLIN MUN HAMB "
    "TRQXDE BATEDE",
    "UK": "LSE LSEETF LSEIOB1 IOB ICEEU ICEEUSOFT IPE LIFFE CHIXUK BATEUK TRQXUK",
    "CA": "TSE VENTURE AEQLIT CDE NEOE",
    "CH": "EBS SWX VIRTX BATECH CHIXCH TRQXCH EBSBOND SOFFEX",
    "FR": "SBF MONEP MATIF",
    "NL": "AEB FTA",
    "BE": "ENEXT.BE BELFOX",
    "IT": "BVME BVME.ETF IDEM",
    "ES": "BM MEFFRV",
    "PT": "BVL",
    "AT": "VSE",
    "SE": "SFB OMS",
    "NO": "OSE OMX",
    "DK": "CPH",
    "FI": "HEX",
    "PL": "WSE",
    "JP": "TSEJ OSE.JPN JPNNEXT",
    "AU": "ASX SNFE ASXCEN",
    "SG": "SGX SGXCME",
    "KR": "KSE KRX",
    "TW": "TWSE TAIFEX",
    "IN": "NSE BSE",
    "MX": "MEXI MEXDER",
    "IL": "TASE",
}

_MARKETS = {exchange: market for market, exchanges in _EXCHANGES.items() for exchange in exchanges.split()}

_CURRENCIES = {
    "USD": "US", "HKD": "HK", "CAD": "CA", "GBP": "UK", "CHF": "CH", "JPY": "JP", "AUD": "AU", "SEK": "SE", "NOK": "NO",
    "DKK": "DK", "SGD": "SG", "KRW": "KR", "TWD": "TW", "INR": "IN", "MXN": "MX", "ILS": "IL", "PLN": "PL",
}  # fmt: skip

_OWN_ZONES = {
    "CME": "America/Chicago", "GLOBEX": "America/Chicago", "CBOT": "America/Chicago", "ECBOT": "America/Chicago",
    "CFE": "America/Chicago", "NYMEX": "America/New_York", "COMEX": "America/New_York", "EUREX": "Europe/Berlin",
    "HKFE": "Asia/Hong_Kong", "FX": "America/New_York", "IDEALPRO": "America/New_York", "CRYPTO": "UTC",
    "IN": "Asia/Kolkata", "MX": "America/Mexico_City", "IL": "Asia/Jerusalem",
}  # fmt: skip
"""Places without a calendar of their own, or whose hours are not those of the stocks of their market."""


def calendar_of(exchange: str) -> str | None:
    """The calendar (ISO 10383 code) of a market or an exchange; None where its hours are not known."""
    market = exchange if exchange in CALENDARS else _MARKETS.get(exchange, "")
    return None if exchange in _OWN_ZONES else CALENDARS.get(market)


def zone_of(exchange: str) -> ZoneInfo | None:
    """The zone of a market or an exchange; None where it is not known."""
    calendar = calendar_of(exchange)
    name = _OWN_ZONES.get(exchange) or (ZONES[calendar] if calendar else None)
    return ZoneInfo(name) if name else None


def market_of(row: Attributes, *, by_venue: bool) -> str:
    """The market prefix of a row's contract; an exchange that is not known here is its own market.

    `by_venue`: the venue is the contract's home (futures), so it is asked before the currency.
    """
    listing, venue = row.text("listingExchange") or "", row.text("exchange") or ""
    currency = row.text("currency") or ""
    homes = (listing, row.text("underlyingListingExchange") or "", *((venue,) if by_venue else ()))
    for exchange in homes:
        if exchange in _MARKETS:
            return _MARKETS[exchange]
    return _CURRENCIES.get(currency) or listing or _MARKETS.get(venue) or venue or currency or "XX"
