"""What statements of real years hold, one habit of IB at a time: our gains, costs and cash are the broker's."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from apex_pipeline import settings
from apex_pipeline.live.files import StatementImporter
from apex_pipeline.settings import IbSettings
from apex_pipeline.store.db import Database
from tests.brokers.ib.statements import document
from tests.pipeline.ib_habits import action, ended, held, option, rate, stock, told_days, trade
from tests.store.rows import query

OLD, NEW, APPLE = stock("OLD", 1003), stock("NEW", 1004), stock("AAPL", 265598)
TENCENT = stock("700", 2001, "HKD", "SEHK")
PUT = option("AAPL  250321P00200000", 3001, "200", "20250321", "P", "AAPL")
CALL = option("AAPL  250321C00200000", 3002, "200", "20250321", "C", "AAPL")
INDEX = option("SPXW  250321C05600000", 3003, "5600", "20250321", "C", "SPX")
BOUGHT = trade(OLD, "20250203;100000", "100", "10")
NOT_OF_THE_LEDGER = ("the_query_tells_what_is_needed", "settlement_dates_equal_the_brokers")

Load = Callable[..., list[tuple[str, str]]]


@pytest.fixture
def load(db: Database, database_url: str, tmp_path: Path) -> Load:
    """Imports statements, each a file, and returns the breaks of the ledger as (check, symbol)."""

    def loaded(*statements: str) -> list[tuple[str, str]]:
        for number, text in enumerate(statements):
            _ = (tmp_path / f"{number}.xml").write_bytes(document(text))
        configured = settings.load(environ={}, config_file=tmp_path / "no.yaml")
        configured = replace(configured, home=tmp_path, ib=IbSettings("http://127.0.0.1:9", "t", "1", 1000, 0.001))
        files = StatementImporter(db, configured).load_paths([tmp_path]).files
        assert [(file.error, file.quarantined) for file in files if file.error or file.quarantined] == []
        found = query(
            database_url,
            "SELECT check_name, evidence ->> 'symbol', state FROM recon_breaks WHERE state <> 'CLOSED' "
            "AND check_name <> ALL (%s) ORDER BY 1, 2",
            list(NOT_OF_THE_LEDGER),
        )
        still_open = [(check, symbol) for check, symbol, state in found if state == "OPEN"]
        assert bool(still_open) == bool(found), "what follows from another break cannot be alone"
        return still_open

    return loaded


def gains(url: str) -> dict[str, Decimal]:
    """What was gained, by symbol."""
    return dict(query(url, "SELECT symbol, sum(realized_pnl) FROM realized_pnl GROUP BY 1"))


def costs(url: str) -> dict[str, Decimal]:
    """What the open lots cost, by symbol."""
    return dict(query(url, "SELECT symbol, sum(remaining_cost) FROM lots WHERE remaining_qty <> 0 GROUP BY 1"))


@pytest.mark.parametrize(
    ("money", "gain", "unit"),
    [
        ("0", "0", "40.04"),  # the cost of 1001 lives on in 25 shares
        ("200", "200", "40.04"),  # and the money is all gain
        ("200", "100", "36.04"),  # a part of it is
        ("200", "-301", "20"),  # a loss that counts
        ("0", "499", "60"),  # sold for 1500 and bought for it
    ],
)
def test_shares_that_become_others_cost_what_the_brokers_gain_leaves(
    load: Load, database_url: str, money: str, gain: str, unit: str
) -> None:
    left, pnl = 15 * Decimal(unit), 399 - 10 * Decimal(unit)
    found = load(
        told_days(
            Trades=[
                BOUGHT,
                trade(NEW, "20250520;100000", "-10", "40", "-1", "C", cost=f"{-10 * Decimal(unit)}", pnl=f"{pnl}"),
            ],
            OpenPositions=[held(NEW, "15", f"{left}")],
            CorporateActions=[
                action(OLD, "TC", "A", "-100", proceeds=money, value="-1500", fifoPnlRealized=gain),
                action(NEW, "TC", "A", "25", value="1500"),
            ],
        )
    )
    assert found == []
    assert gains(database_url) == {"US.OLD": Decimal(gain), "US.NEW": pnl}
    assert costs(database_url) == {"US.NEW": left}
    daily = "SELECT avg_cost FROM positions_daily WHERE symbol = 'US.NEW' AND business_date = '2025-06-30'"
    assert query(database_url, daily) == [(Decimal(unit),)]


def test_a_gain_that_the_broker_tells_otherwise_is_a_break(load: Load) -> None:
    """The control: the basis is then another one, and what is sold of it later does not agree."""
    found = load(
        told_days(
            Trades=[BOUGHT, trade(NEW, "20250520;100000", "-10", "40", "-1", "C", cost="-400.4", pnl="-1.4")],
            OpenPositions=[held(NEW, "15", "600.6")],
            CorporateActions=[
                action(OLD, "TC", "A", "-100", value="-1500", fifoPnlRealized="250"),
                action(NEW, "TC", "A", "25", value="1500"),
            ],
        )
    )
    assert {check for check, _ in found} == {"realized_pnl_equals_the_brokers", "average_cost_equals_the_brokers"}


def test_a_merger_for_money_is_compared_with_the_brokers_gain(load: Load, database_url: str) -> None:
    told = [action(OLD, "TC", "A", "-100", proceeds="1500", fifoPnlRealized="499")]
    assert load(told_days(Trades=[BOUGHT], CorporateActions=told)) == []
    assert gains(database_url) == {"US.OLD": 499}


def test_a_merger_of_another_gain_than_ours_is_a_break(load: Load) -> None:
    told = [action(OLD, "TC", "A", "-100", proceeds="1500", fifoPnlRealized="489")]
    found = load(told_days(Trades=[BOUGHT], CorporateActions=told))
    assert found == [("realized_pnl_equals_the_brokers", "US.OLD")]


def test_a_tender_is_the_same_shares_until_they_are_paid(load: Load, database_url: str) -> None:
    claim = stock("OLD.TEN", 1013)
    actions = [
        action(OLD, "TO", "A", "-100"), action(claim, "TO", "A", "100"),
        action(claim, "TC", "B", "-100", proceeds="1500", fifoPnlRealized="499", reportDate="20250320"),
    ]  # fmt: skip
    assert load(told_days(Trades=[BOUGHT], CorporateActions=actions)) == []
    assert gains(database_url) == {"US.OLD": 0, "US.OLD.TEN": 499}


def test_shares_that_are_delisted_without_worth_are_lost(load: Load, database_url: str) -> None:
    assert (
        load(told_days(Trades=[BOUGHT], CorporateActions=[action(OLD, "DW", "A", "-100", fifoPnlRealized="-1001")]))
        == []
    )
    assert gains(database_url) == {"US.OLD": -1001}


def test_a_merger_of_shares_from_before_gains_what_the_broker_says(load: Load, database_url: str) -> None:
    told = [action(OLD, "TC", "A", "-100", proceeds="1500", fifoPnlRealized="499")]
    assert load(told_days(OpenPositions=[held(APPLE, "1", "11")], CorporateActions=told)) == []
    gained = "SELECT realized_pnl, basis_source FROM realized_pnl"
    assert query(database_url, gained) == [(499, "BROKER_CLOSE")]


@pytest.mark.parametrize("by_trade", [True, False])
def test_the_fraction_of_a_reverse_split_is_sold_at_its_cost(load: Load, database_url: str, by_trade: bool) -> None:
    """As a trade of its own, or as money in the row of the split."""
    sold = trade(
        NEW, "20250304;093000", "-0.5", "100", "0", "C", cost="-50", pnl="0", transactionType="FracShare", ibExecID=""
    )
    bought = trade(OLD, "20250203;100000", "105", "10", "0")
    into = {"qty": "10.5"} if by_trade else {"qty": "10", "proceeds": "50"}
    gain = "0" if by_trade else "-5"
    found = load(
        told_days(
            Trades=[bought, *([sold] if by_trade else [])],
            OpenPositions=[held(NEW, "10", "1000" if by_trade else "995")],
            CorporateActions=[
                action(OLD, "RS", "A", "-105", symbol="OLD.OLD"),
                action(NEW, "RS", "A", into.pop("qty"), fifoPnlRealized=gain, **into),
            ],
        )
    )
    assert found == []
    assert costs(database_url) == {"US.NEW": 1000 if by_trade else 995}


def test_shares_that_two_rows_of_an_option_deliver_at_once_carry_both_premiums(load: Load, database_url: str) -> None:
    at = "20250318;162000"
    found = load(
        told_days(
            Trades=[
                trade(APPLE, "20250203;100000", "200", "180"),
                trade(CALL, "20250203;100000", "-1", "5"), trade(CALL, "20250204;100000", "-1", "6"),
                ended(CALL, at, "1", "0", "A", "C", cost="499"), ended(CALL, at, "1", "0", "A", "C", cost="599"),
                ended(APPLE, at, "-200", "200", "A", "C", commission="-1", cost="-36001", pnl="5096"),
            ]
        )
    )  # fmt: skip
    assert found == []
    assert gains(database_url) == {"US.AAPL": 5096, "US.AAPL 2025-03-21 C 200": 0}


def test_a_put_that_is_assigned_on_friday_and_told_on_monday_lowers_the_cost_of_its_shares(
    load: Load, database_url: str
) -> None:
    at, monday = "20250321;162000", "20250324"
    found = load(
        told_days(
            Trades=[
                trade(PUT, "20250203;100000", "-1", "5"),
                ended(PUT, at, "1", "0", "A", "C", cost="499", reportDate=monday),
                ended(APPLE, at, "100", "200", "A", "O", cost="20000", reportDate=monday),
                trade(APPLE, "20250401;100000", "-40", "201", "-1", "C", cost="-7800.4", pnl="238.6"),
            ],
            OpenPositions=[held(APPLE, "60", "11700.6")],
        )
    )
    assert found == []
    assert costs(database_url) == {"US.AAPL": Decimal("11700.6")}


@pytest.mark.parametrize(("qty", "note", "cost", "pnl"), [("1", "Ex", "-2001", "4749"), ("-1", "A", "1999", "-4751")])
def test_an_index_option_that_is_settled_in_cash_keeps_its_gain(
    load: Load, database_url: str, qty: str, note: str, cost: str, pnl: str
) -> None:
    back = "-1" if qty == "1" else "1"
    rows = [
        trade(INDEX, "20250303;100000", qty, "20"),
        ended(INDEX, "20250321;162000", back, "67.5", note, "C", cost=cost, pnl=pnl),
    ]
    assert load(told_days(Trades=rows)) == []
    assert gains(database_url) == {"US.SPXW 2025-03-21 C 5600": Decimal(pnl)}


def test_a_trade_of_the_night_belongs_to_the_next_day(load: Load, database_url: str) -> None:
    evening = trade(APPLE, "20250303;203000", "10", "100", tradeDate="20250304", reportDate="20250304")
    morning = trade(APPLE, "20250304;040500", "-10", "101", "-1", "C", cost="-1001", pnl="8")
    assert load(told_days(Trades=[morning, evening])) == []
    assert gains(database_url) == {"US.AAPL": 8}


def test_charges_in_other_currencies_enter_the_cost_at_the_rates_of_the_day(load: Load, database_url: str) -> None:
    """Base EUR: 3 USD are 2.85 EUR, which are 23.75 HKD."""
    days = ("20250304", "20250305")
    dollars = {"ibCommissionCurrency": "USD", "tradeDate": days[0], "reportDate": days[0]}
    rows = [
        trade(TENCENT, "20250303;220000", "200", "400", "-3", cost="80023.75", netCash="-80000", **dollars),
        trade(TENCENT, "20250304;225900", "-200", "410", "-24.6", "C", taxes="-84.1", cost="-80023.75", pnl="1867.55",
              tradeDate=days[1], reportDate=days[1]),
    ]  # fmt: skip
    rates = [
        rate(day, currency, "EUR", value) for day in days for currency, value in (("HKD", "0.12"), ("USD", "0.95"))
    ]
    assert load(told_days(Trades=rows, ConversionRates=rates)) == []
    assert gains(database_url) == {"HK.00700": Decimal("1867.55")}


def test_rows_that_sum_up_or_adjust_are_no_trades(load: Load, database_url: str) -> None:
    sold = trade(APPLE, "20250304;100000", "-10", "9", "-1", "C", cost="-101", pnl="-12")
    wash = sold.replace('"EXECUTION"', '"WASH_SALE"').replace('quantity="-10"', 'quantity="10"')
    others = [
        wash.replace("<Trade ", "<WashSale "),
        wash,
        sold.replace('"EXECUTION"', '"ORDER"').replace("<Trade ", "<Order "),
    ]
    assert load(told_days(Trades=[trade(APPLE, "20250303;100000", "10", "10"), sold, *others])) == []
    assert gains(database_url) == {"US.AAPL": -12}
    assert query(database_url, "SELECT count(*) FROM trades_norm") == [(2,)]


def prior_day(*rows: str) -> str:
    """The statement of the day before, which only tells what is held."""
    return told_days("20250101", "20250101", OpenPositions=rows)


def test_lots_of_the_day_before_are_closed_first_in_first_out_and_flipped(load: Load, database_url: str) -> None:
    lots = [held(APPLE, "60", "600.6", day="20250101", opened="20240105;100000"),
            held(APPLE, "40", "440.4", day="20250101", opened="20240305;100000")]  # fmt: skip
    rows = [
        trade(APPLE, "20250203;100000", "-70", "12", "-1", "C", cost="-710.7", pnl="128.3"),
        trade(APPLE, "20250303;100000", "-50", "12", "-1", "C;O", cost="-330.3", pnl="29.1"),
    ]
    assert load(prior_day(*lots), told_days(Trades=rows, OpenPositions=[held(APPLE, "-20", "-239.6")])) == []
    assert gains(database_url) == {"US.AAPL": Decimal("157.4")}
    assert costs(database_url) == {"US.AAPL": Decimal("-239.6")}


@pytest.mark.parametrize(
    ("effect", "expected"),
    [("O", [("positions_equal_the_brokers", "US.AAPL")]), ("", [])],
)
def test_a_sale_that_is_missing_is_no_short_position_of_before(
    load: Load, effect: str, expected: Sequence[tuple[str, str]]
) -> None:
    """40 of 100 are left; the broker says that the purchase opened, so nothing short was there that it closed."""
    bought = trade(APPLE, "20250303;100000", "100", "10", "-1", effect)
    assert load(told_days(Trades=[bought], OpenPositions=[held(APPLE, "40", "400.4")])) == list(expected)
