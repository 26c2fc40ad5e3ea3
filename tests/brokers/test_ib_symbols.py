"""IB's contracts under the names they have at every broker."""

from datetime import date
from decimal import Decimal

import pytest

from apex_pipeline.domain.models import AssetClass, Instrument, OptionRight
from tests.brokers.ib.statements import OPTION, STOCK, normalized, row

HK_OPTION = {
    **OPTION, "currency": "HKD", "listingExchange": "SEHK", "strike": "42.5", "expiry": "20260828", "putCall": "C",
    "underlyingSymbol": "700",
}  # fmt: skip


def named(text: str) -> Instrument:
    result = normalized(text)
    assert result.rejects == []
    return result.instruments[0]


@pytest.mark.parametrize(
    ("symbol", "listing", "currency", "expected"),
    [
        ("AAPL", "NASDAQ", "USD", "US.AAPL"),
        ("BRK B", "NYSE", "USD", "US.BRK.B"),
        ("700", "SEHK", "HKD", "HK.00700"),
        ("9988", "", "HKD", "HK.09988"),
        ("SAP", "IBIS", "EUR", "DE.SAP"),
        ("F1F", "FWB2", "EUR", "DE.F1F"),
        ("VOD", "LSE", "GBP", "UK.VOD"),
        ("VUSD", "LSEETF", "USD", "UK.VUSD"),
        ("SHOP", "TSE", "CAD", "CA.SHOP"),
        ("NESN", "EBS", "CHF", "CH.NESN"),
        ("MC", "SBF", "EUR", "FR.MC"),
        ("NEWCO", "MOON", "USD", "US.NEWCO"),
        ("NEWCO", "MOON", "EUR", "MOON.NEWCO"),
    ],
)
def test_stocks_are_named_by_their_market(symbol: str, listing: str, currency: str, expected: str) -> None:
    assert named(row(symbol=symbol, listingExchange=listing, currency=currency)).symbol == expected


def test_the_market_of_a_share_does_not_depend_on_the_venue() -> None:
    venues = ("IBKRATS", "DARK", "--", "TRQXDE")
    assert {named(row(listingExchange="", exchange=venue)).symbol for venue in venues} == {"US.AAPL"}


@pytest.mark.parametrize(
    ("symbol", "underlying", "expected", "owner"),
    [
        ("AAPL  260918C00132500", "AAPL", "US.AAPL 2026-09-18 C 132.5", "US.AAPL"),
        ("BRKB  260918C00132500", "BRK B", "US.BRKB 2026-09-18 C 132.5", "US.BRK.B"),
        ("SPXW  260918C00132500", "SPX", "US.SPXW 2026-09-18 C 132.5", "US..SPX"),
        ("CMCS1 260918C00132500", "CMCSA", "US.CMCS1 2026-09-18 C 132.5", "US.CMCSA"),
    ],
)
def test_us_options_are_named_by_their_class(symbol: str, underlying: str, expected: str, owner: str) -> None:
    instrument = named(row(OPTION, symbol=symbol, underlyingSymbol=underlying))
    assert (instrument.symbol, instrument.underlying) == (expected, owner)
    assert (instrument.strike, instrument.expiry) == (Decimal("132.5"), date(2026, 9, 18))
    assert (instrument.option_right, instrument.multiplier) == (OptionRight.CALL, Decimal(100))


def test_an_option_without_term_columns_is_read_from_its_symbol() -> None:
    instrument = named(row(OPTION, without=["strike", "expiry", "putCall", "underlyingSymbol"]))
    assert (instrument.symbol, instrument.underlying) == ("US.AAPL 2026-09-18 C 132.5", "US.AAPL")


@pytest.mark.parametrize(
    "symbol", ["TCH   260828C00042500", "TCH 28AUG26 42.5 C", "700   260828C00042500", "700 28AUG26 42.5 C"]
)
def test_hong_kong_options_have_the_name_of_their_stock(symbol: str) -> None:
    instrument = named(row(HK_OPTION, symbol=symbol))
    assert (instrument.symbol, instrument.underlying) == ("HK.00700 2026-08-28 C 42.5", "HK.00700")


def test_a_hong_kong_class_that_is_not_known_is_not_guessed() -> None:
    instrument = named(row(HK_OPTION, symbol="TCA   260828C00042500"))
    assert (instrument.symbol, instrument.underlying) == ("HK.TCA 2026-08-28 C 42.5", "HK.00700")


def test_european_options_are_named_by_the_root_behind_the_letter() -> None:
    text = row(OPTION, symbol="C ODAX DEC 26 12000", strike="12000", expiry="20261218", currency="EUR",
               listingExchange="", exchange="DTB", underlyingSymbol="DAX")  # fmt: skip
    assert named(text).symbol == "DE.ODAX 2026-12-18 C 12000"


@pytest.mark.parametrize(
    ("symbol", "exchange", "expected"),
    [("ESZ6", "CME", "US.ESZ6"), ("YM   DEC 26", "ECBOT", "US.YMZ6"), ("FDAX DEC 26", "DTB", "DE.FDAXZ6"),
     ("HSIZ6", "HKFE", "HK.HSIZ6")],
)  # fmt: skip
def test_futures_are_named_by_the_exchange_code(symbol: str, exchange: str, expected: str) -> None:
    text = row(assetCategory="FUT", symbol=symbol, listingExchange="", exchange=exchange, multiplier="50",
               expiry="20261218")  # fmt: skip
    assert (named(text).symbol, named(text).asset_class) == (expected, AssetClass.FUTURE)


@pytest.mark.parametrize(
    ("category", "asset_class"),
    [("BOND", AssetClass.BOND), ("FUND", AssetClass.FUND), ("WAR", AssetClass.WARRANT), ("CFD", AssetClass.CFD),
     ("CRYPTO", AssetClass.CRYPTO), ("IND", AssetClass.INDEX), ("BAG", AssetClass.COMBO),
     ("FOP", AssetClass.FUTURE_OPTION), ("ZZZ", AssetClass.OTHER), ("", AssetClass.OTHER)],
)  # fmt: skip
def test_every_category_loads_and_an_unknown_one_is_other(category: str, asset_class: AssetClass) -> None:
    assert named(row(assetCategory=category)).asset_class is asset_class


def test_a_cfd_and_a_coin_do_not_share_the_name_of_a_stock() -> None:
    names = {named(row(assetCategory=category)).symbol for category in ("STK", "CFD", "CRYPTO")}
    assert len(names) == 3


def test_the_instrument_keeps_the_identity_of_the_broker() -> None:
    instrument = named(row())
    assert (instrument.ib_conid, instrument.ib_symbol, instrument.name) == ("265598", "AAPL", "APPLE INC")
    assert (instrument.exchange, instrument.currency, instrument.futu_code) == ("NASDAQ", "USD", None)


def test_an_unknown_multiplier_leaves_the_amount_unknown_but_a_share_is_one() -> None:
    assert normalized(row(OPTION, without=["multiplier"])).trades[0].amount is None
    assert normalized(row(STOCK, without=["multiplier"])).trades[0].amount == Decimal(2005)
