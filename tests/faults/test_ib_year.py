"""The ledger against a second opinion: a made-up year of one account whose books were kept by other means."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from apex_pipeline.store.db import Database
from tests.cli.sql import rows
from tests.faults import ib_year_truth as truth
from tests.faults.ib_year_books import CURRENCIES, Books
from tests.faults.ib_year_days import DAY, FIRST, LAST, Dates, open_days
from tests.faults.ib_year_events import Deal
from tests.faults.ib_year_loading import load, told_year, weekly, whole, with_day_before
from tests.faults.ib_year_rows import Row, Shape
from tests.faults.ib_year_stories import lived
from tests.faults.ib_year_sums import Teller

ISO = Dates("%Y-%m-%d", ";%H:%M:%S")
BREAKS = "SELECT check_name, subject, business_date, evidence FROM recon_breaks WHERE state = 'OPEN' ORDER BY 1, 2"


def breaks(url: str) -> list[str]:
    return [f"{row['check_name']} {row['subject']} {row['evidence']}" for row in rows(url, BREAKS)]


@pytest.mark.parametrize("seed", range(3))
def test_the_made_up_books_close_by_themselves(seed: int) -> None:
    books = Books(lived(seed, doubtful=True))
    held = books.positions(LAST)
    assert {paper: books.end.held(paper) for paper in held} == held
    for first, last in ((FIRST, LAST), (FIRST + 40 * DAY, FIRST + 71 * DAY)):
        bridge = books.bridge(first, last)
        assert bridge.starting + sum(bridge.parts.values()) == bridge.ending
    assert {
        currency: sum(one.amount for one in books.lines if one.currency == currency) for currency in CURRENCIES
    } == {currency: books.cash(currency, LAST) for currency in CURRENCIES}


@pytest.mark.parametrize("seed", range(3))
def test_the_made_up_rows_keep_the_rules_of_the_facts(seed: int) -> None:
    books = Books(lived(seed))
    teller = Teller(books, Shape(), FIRST, LAST)
    delivered = {id(one.delivers) for one in books.life.events if isinstance(one, Deal) and one.delivers}
    for deal in (one for one in books.life.events if isinstance(one, Deal) and one.paper.category != "CASH"):
        told = {name: Fraction(value or 0) for name, value in teller.trade(deal).items() if name in _MONEY}
        net = told["proceeds"] + told["ibCommission"] + told["taxes"]
        assert told["proceeds"] == -told["quantity"] * told["tradePrice"] * Fraction(deal.paper.point)
        if deal.paper.category != "FUT":
            assert told["netCash"] == net
        if deal.delivers is None and id(deal) not in delivered:
            assert abs(told["fifoPnlRealized"] - net - told["cost"]) < Fraction(1, 10**6)


_MONEY = ("proceeds", "ibCommission", "taxes", "quantity", "tradePrice", "netCash", "fifoPnlRealized", "cost")


def test_the_ledger_of_a_year_equals_the_brokers_books(db: Database, database_url: str, tmp_path: Path) -> None:
    """What was there before is told by the statement of the day before."""
    year = told_year(7, with_day_before())
    load(db, tmp_path / "files", year.texts())
    assert truth.all_of_it(database_url, year.books) == []
    assert truth.values(database_url, year.books) == []
    days = [day for day in open_days(FIRST, LAST)[10::25] if not truth.untold(year.books, day)]
    assert len(days) > 5
    assert [one for day in days for one in truth.positions(database_url, year.books, day)] == []
    assert [row["symbol"] for row in rows(database_url, "SELECT symbol FROM ledger_stops")] == ["US.SPNC"]
    assert [one for one in breaks(database_url) if "SPNC" not in one] == []


@dataclass(frozen=True)
class Fault:
    """Something wrong in a statement: what it does to the rows of a section, and the break that must name it."""

    section: str
    change: Callable[[list[dict[str, str]]], None]
    check: str
    names: str


def _left_out(found: list[dict[str, str]]) -> None:
    found.remove(next(one for one in found if one.get("symbol") == "PRLA" and one["levelOfDetail"] == "EXECUTION"))


def _dearer(found: list[dict[str, str]]) -> None:
    own = [one for one in found if one.get("symbol") == "PRSH" and one["levelOfDetail"] == "EXECUTION"]
    own[0]["ibCommission"] = str(Decimal(own[0]["ibCommission"]) - 5)


def _other_cost(found: list[dict[str, str]]) -> None:
    own = next(one for one in found if one["symbol"] == "TROU" and one["levelOfDetail"] == "LOT")
    own["costBasisMoney"] = str(Decimal(own["costBasisMoney"]) + 7)


def _dropped(found: list[dict[str, str]]) -> None:
    found.remove(next(one for one in found if one["currency"] == "EUR"))


FAULTS = (
    Fault("Trade", _left_out, "positions_equal_the_brokers", "US.PRLA"),
    Fault("Trade", _dearer, "trade_money_is_quantity_times_price", "US.PRSH"),
    Fault("OpenPosition", _other_cost, "open_lots_equal_the_brokers", "US.TROU"),
    Fault("CashTransaction", _dropped, "the_balance_of_funds_runs", "EUR"),
)


def test_a_planted_fault_is_a_break_that_names_it(db: Database, database_url: str, tmp_path: Path) -> None:
    year = told_year(8, with_day_before())
    first, second = year.texts()
    assert first
    changed = year.texts(spoilt)[1]
    assert changed != second
    load(db, tmp_path / "files", [first, changed])
    found = breaks(database_url)
    missed = [one for one in FAULTS if not any(one.check in told and one.names in told for told in found)]
    assert [(one.check, one.names) for one in missed] == [], "\n".join(found)
    bystanders = ("SPNC", "PRLA", "PRSH", "TROU", "EUR", "USD", "nav_bridge", "balance_of_funds")
    assert [told for told in found if not any(name in told for name in bystanders)] == []


def spoilt(found: list[Row]) -> list[Row]:
    """The rows of a section with every fault that is about them."""
    changed = [dict(told) for _, told in found]
    tags = [tag for tag, _ in found]
    if len(found) < 3:
        return found
    by_id = {id(told): tag for tag, told in zip(tags, changed, strict=True)}
    for fault in FAULTS:
        if fault.section in tags:
            fault.change(changed)
    return [(by_id[id(told)], told) for told in changed]


@pytest.mark.slow
def test_files_in_any_order_and_twice_give_one_ledger(database_url: str, db: Database, tmp_path: Path) -> None:
    """Weeks that overlap, in random order; then once more: not a row is written again."""
    year = told_year(5, weekly(5), Shape(dates=ISO))
    load(db, tmp_path / "files", year.texts())
    assert truth.all_of_it(database_url, year.books) == []
    before = versions(database_url)
    load(db, tmp_path / "again", year.texts())
    assert versions(database_url) == before


def versions(url: str) -> dict[str, list[tuple[str, ...]]]:
    """The physical version of every row of the ledger."""
    tables = ("lots", "realized_pnl", "positions_daily", "cash_ledger", "cash_account_state", "opening_balances")
    return {
        table: [tuple(row.values()) for row in rows(url, f"SELECT xmin::text, ctid::text FROM {table} ORDER BY 2")]
        for table in tables
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_year_in_one_file_is_right_where_its_lots_are_told(
    seed: int, db: Database, database_url: str, tmp_path: Path
) -> None:
    """Lots at the end and closed lots name all that was there before, but what was paid out or transferred away."""
    year = told_year(seed, whole())
    load(db, tmp_path / "files", year.texts())
    untold = ("MRGR", "TROU")
    found = truth.all_of_it(database_url, year.books)
    assert [one for one in found if not any(name in one for name in untold)] == []
    assert [one for one in breaks(database_url) if not any(name in one for name in (*untold, "SPNC"))] == []
