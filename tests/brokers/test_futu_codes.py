"""What Futu codes name: the published ones, and those that look like something else."""

import json
import os
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.brokers.futu import codes
from apex_pipeline.domain.models import AssetClass, OptionRight


@pytest.mark.parametrize(
    ("market", "code", "symbol", "underlying", "terms"),
    [
        ("US", "AAPL210402C132500", "US.AAPL 2021-04-02 C 132.5", "US.AAPL", (date(2021, 4, 2), "C", "132.5")),
        ("US", "SPXW261218C6500000", "US.SPXW 2026-12-18 C 6500", "US..SPX", (date(2026, 12, 18), "C", "6500")),
        ("US", "SPY240521P522000", "US.SPY 2024-05-21 P 522", "US.SPY", (date(2024, 5, 21), "P", "522")),
        ("US", "CMCS1260918C40000", "US.CMCS1 2026-09-18 C 40", "US.CMCS", (date(2026, 9, 18), "C", "40")),
        ("HK", "TCH260828C42500", "HK.00700 2026-08-28 C 42.5", "HK.00700", (date(2026, 8, 28), "C", "42.5")),
        ("HK", "JDC250929P122500", "HK.09618 2025-09-29 P 122.5", "HK.09618", (date(2025, 9, 29), "P", "122.5")),
        ("HK", "JXC250227P13000", "HK.JXC 2025-02-27 P 13", None, (date(2025, 2, 27), "P", "13")),
    ],
)
def test_an_option_code_tells_class_expiry_right_and_strike(
    market: str, code: str, symbol: str, underlying: str | None, terms: tuple[date, str, str]
) -> None:
    listing = codes.parse(market, code)
    assert listing.asset_class is AssetClass.OPTION
    assert (listing.symbol, listing.underlying) == (symbol, underlying)
    assert (listing.expiry, listing.right, listing.strike) == (terms[0], OptionRight(terms[1]), Decimal(terms[2]))
    assert listing.futu_code == f"{market}.{code}"


def test_the_code_of_a_combination_is_not_read_as_options_of_a_thousandth_of_the_strike() -> None:
    combo = codes.parse("US", "PEP260918P120/261120P120")
    assert (combo.asset_class, combo.symbol) == (AssetClass.COMBO, "US.PEP260918P120/261120P120")
    assert combo.underlying == "US.PEP"
    # the control: a piece of it alone is what the trap looks like
    assert codes.parse("US", "PEP260918P120").strike == Decimal("0.12")


@pytest.mark.parametrize(
    ("market", "code", "trd_market", "asset_class", "symbol"),
    [
        ("US", "AAPL", 2, AssetClass.STOCK, "US.AAPL"),
        ("US", "BRK.B", 2, AssetClass.STOCK, "US.BRK.B"),
        ("HK", "00700", 1, AssetClass.STOCK, "HK.00700"),
        ("SH", "600519", 4, AssetClass.STOCK, "SH.600519"),
        ("US", ".SPX", 2, AssetClass.INDEX, "US..SPX"),
        ("HK", "800000", 1, AssetClass.INDEX, "HK.800000"),
        ("HK", "HSI2609", 5, AssetClass.FUTURE, "HK.HSIU6"),
        ("HK", "MHI2610", 5, AssetClass.FUTURE, "HK.MHIV6"),
        ("HK", "HSImain", 5, AssetClass.FUTURE, "HK.HSImain"),
        ("JP", "NK225main", 5, AssetClass.FUTURE, "JP.NK225main"),
        ("US", "ES2612", 5, AssetClass.FUTURE, "US.ESZ6"),
        ("HK", "HK0000369410", 113, AssetClass.FUND, "HK.HK0000369410"),
        ("CC", "BTCUSD", 7, AssetClass.CRYPTO, "CC.BTCUSD"),
    ],
)
def test_other_codes_are_named_by_their_market(
    market: str, code: str, trd_market: int, asset_class: AssetClass, symbol: str
) -> None:
    listing = codes.parse(market, code, trd_market)
    assert (listing.asset_class, listing.symbol) == (asset_class, symbol)


@pytest.mark.parametrize("code", ["SPY260417C00710000", "AAPL261399C1000"])
def test_a_padded_strike_or_an_impossible_expiry_is_no_option(code: str) -> None:
    assert codes.parse("US", code).asset_class is not AssetClass.OPTION


@pytest.mark.parametrize("code", ["SPY260417C00710000", "AAPL 261218C1000X", "aapl", "什么?"])
def test_a_code_of_no_known_form_is_no_stock_and_gets_no_size(code: str) -> None:
    listing = codes.parse("US", code)
    assert (listing.asset_class, listing.futu_code) == (AssetClass.OTHER, f"US.{code}")
    assert not codes.is_known(listing)
    assert codes.standard_multiplier(listing) is None
    # the control
    assert codes.is_known(codes.parse("US", "AAPL"))
    assert codes.is_known(codes.parse("EC", "RAIN-2026"))


LETTERS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=5)
DATES = st.dates(date(2018, 1, 1), date(2099, 12, 31))


@st.composite
def option_codes(draw: st.DrawFn) -> str:
    market, root = draw(st.sampled_from(["US", "HK"])), draw(LETTERS) + draw(st.sampled_from(["", "", "1", "2"]))
    return f"{market}.{root}{draw(DATES):%y%m%d}{draw(st.sampled_from('CP'))}{draw(st.integers(1, 99_999_999))}"


@st.composite
def future_codes(draw: st.DrawFn) -> str:
    market = draw(st.sampled_from(["HK", "US", "JP", "SG"]))
    root = draw(st.sampled_from(["HSI", "MHI", "ES", "NK225", "CN", "M2K", "TCH"]))
    return f"{market}.{root}{'main' if draw(st.booleans()) else f'{draw(DATES):%y%m}'}"


@st.composite
def other_codes(draw: st.DrawFn) -> str:
    letters, number = draw(LETTERS), draw(st.integers(0, 999_999))
    forms = ["US.{a}", "US.{a}.A", "US.{a}.B", "US..{a}", "US.{a}260918P120/261120P120", "HK.{n:05}", "SH.{n:06}"]
    form = draw(st.sampled_from([*forms, "HK.800{n:03}"]))
    return form.format(a=letters, n=number % {"HK.{n:05}": 100_000, "HK.800{n:03}": 1000}.get(form, 1_000_000))


def parsed(code: str) -> codes.Listing:
    market, _, rest = code.partition(".")
    return codes.parse(market, rest)


@given(option_codes() | future_codes() | other_codes())
def test_every_code_is_read_and_written_back_the_same(code: str) -> None:
    assert codes.encode(parsed(code)) == code


@given(option_codes() | future_codes() | other_codes())
def test_the_written_code_comes_from_what_was_read_and_not_from_the_code(code: str) -> None:
    listing = parsed(code)
    if listing.asset_class is not AssetClass.COMBO:
        assert codes.encode(replace(listing, futu_code="lost")) == code


@given(option_codes())
def test_an_option_keeps_its_whole_root_and_its_exact_strike(code: str) -> None:
    listing = parsed(code)
    assert listing.asset_class is AssetClass.OPTION
    assert listing.root is not None
    assert listing.strike is not None
    assert code.startswith(f"{listing.market}.{listing.root}{listing.expiry:%y%m%d}")
    assert listing.strike * 1000 == Decimal(re.split("[CP]", code)[-1])


def test_a_code_of_an_unknown_market_keeps_its_raw_text() -> None:
    listing = codes.parse(None, "什么?", None)
    assert (listing.asset_class, listing.symbol) == (AssetClass.OTHER, "什么?")


def test_the_code_alone_sizes_stocks_and_standard_us_options_only() -> None:
    sizes = [codes.standard_multiplier(codes.parse(market, code)) for market, code in (
        ("US", "AAPL"), ("US", "AAPL210402C132500"), ("US", "CMCS1260918C40000"), ("HK", "TCH260828C42500"),
    )]  # fmt: skip
    assert sizes == [Decimal(1), Decimal(100), None, None]


def test_every_published_code_is_read() -> None:
    folder = os.environ.get("APEX_SAMPLES")
    path = Path(folder or "") / "futu" / "samples.json"
    if not folder or not path.is_file():
        pytest.skip("APEX_SAMPLES names no folder with Futu samples")
    samples: list[dict[str, Any]] = json.loads(path.read_text())["samples"]
    published = [code for sample in samples if sample["id"] == "futu-22" for code in sample["rows"]]
    assert published
    kinds = {code: parsed(code).asset_class for code in published}
    futures = {"HK.HSI2609", "HK.MHI2610", "HK.HSImain", "JP.NK225main"}
    others = {
        "US..SPX": AssetClass.INDEX,
        "US.BRK.B": AssetClass.STOCK,
        **dict.fromkeys(futures, AssetClass.FUTURE),
    }
    assert kinds == {code: others.get(code, AssetClass.OPTION) for code in published}
    assert [codes.encode(parsed(code)) for code in published] == published
