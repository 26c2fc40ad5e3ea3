"""Whole books of an independent OpenD arrive, to the last digit, with the fewest requests, whatever its habits."""

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from apex_pipeline.store.db import Database
from tests.cli import books
from tests.cli.book_loading import Loader, require_few_requests, require_none
from tests.cli.book_wire import Style, login
from tests.cli.booked import Wanted, cash_differences, differences, position_differences
from tests.cli.books import BUSTED, CHANGED, Book, Fill, Made, book, exchange_date
from tests.cli.conftest import futu_environment
from tests.cli.opend import CASH_FLOW, UTC8, Habits, OpenD
from tests.cli.program import Apex
from tests.cli.sql import written_rows

SEED, SIZE, DAYS = 11, 500, 365
MINUTE = timedelta(minutes=1)
YESTERDAY = datetime(2026, 11, 20, 14, 21, tzinfo=UTC)
"""A fixed instant: how many orders lie at the edge of a window, and so are asked for once more, depends on it."""

NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("style", "habits"),
    [
        (Style(), Habits(None, newest_first=True)),
        pytest.param(Style(), Habits(UTC8), marks=pytest.mark.slow),
        (Style(chinese=True), Habits(NEW_YORK, newest_first=True)),
        pytest.param(Style(epochs=False), Habits(UTC), marks=pytest.mark.slow),
        (Style(epochs=False, chinese=True), Habits(None)),
    ],
    ids=["rows", "utc8", "new_york_chinese", "utc_text", "rows_text_chinese"],
)
def test_a_book_arrives_to_the_last_digit(db: Database, tmp_path: Path, style: Style, habits: Habits) -> None:
    one = book(SEED, SIZE, YESTERDAY, DAYS)
    with OpenD(login(one, style), habits=habits) as server:
        loader = Loader(db, tmp_path, server, one.today)
        told = loader.load(one.first, one.today)
    require_none(differences(db.url, Wanted(one, style)))
    require_none(position_differences(db.url, Wanted(one, style), one.today))
    assert told.quarantined == 0
    assert told.missing_days == (), "also of orders with deals before the asked days and in them"
    require_few_requests(loader, one)


def test_a_book_without_such_orders_leaves_no_day_uncovered(db: Database, tmp_path: Path) -> None:
    one = book(SEED, SIZE, YESTERDAY, DAYS)
    one.orders = [order for order in one.orders if exchange_date("US", order.created) >= one.first]
    with OpenD(login(one, Style())) as server:
        assert Loader(db, tmp_path, server, one.today).load(one.first, one.today).missing_days == ()


@pytest.mark.parametrize("market", [pytest.param("US", marks=pytest.mark.slow), "HK"])
def test_a_book_of_one_market_arrives(db: Database, tmp_path: Path, market: str) -> None:
    one = book(SEED + 1, SIZE, YESTERDAY, DAYS)
    with OpenD(login(one, Style())) as server:
        loader = Loader(db, tmp_path, server, one.today)
        loader.load(one.first, one.today, market)
        require_none(differences(db.url, Wanted(one, Style(), market)))
        left = {account for account, counted in loader.requests().items() if not counted}
        assert left == {books.DISABLED if market == "HK" else books.HK_ONLY}
        loader.load(one.first, one.today)
    require_none(differences(db.url, Wanted(one, Style())))


def test_cash_arrives_and_names_what_it_knows(db: Database, tmp_path: Path) -> None:
    one = book(SEED, 50, YESTERDAY, 60)
    with OpenD(login(one, Style())) as server:
        loader = Loader(db, tmp_path, server, one.today)
        loader.load(one.first, one.today, cash=True)
        days = [one.first + timedelta(days=n) for n in range(60)]
        weekdays = sum(1 for day in days[:-1] if day.weekday() < 5)
        assert {counted[CASH_FLOW] for counted in loader.requests().values()} <= {weekdays, weekdays - 1}
        require_none(cash_differences(db.url, one.bookings))
        loader.load(one.first, one.today, cash=True)
        assert {counted[CASH_FLOW] for counted in loader.requests().values()} <= {0, 1}
    require_none(cash_differences(db.url, one.bookings))


def test_what_changes_later_arrives_with_the_next_load(db: Database, tmp_path: Path) -> None:
    one = book(SEED, 120, YESTERDAY, 80)
    later = replace_orders(one, _changed)
    settled = replace_orders(later, _settled)
    assert later.orders != one.orders
    with OpenD(login(one, Style())) as server:
        Loader(db, tmp_path, server, one.today).load(one.first, one.today)
        server.login = login(settled, Style())
        tomorrow = one.today + timedelta(days=1)
        Loader(db, tmp_path, server, tomorrow).load(tomorrow, tomorrow)
    require_none(differences(db.url, Wanted(settled, Style())))


def test_one_wrong_digit_anywhere_is_seen(db: Database, tmp_path: Path) -> None:
    one = book(SEED, 60, YESTERDAY, 80)
    with OpenD(login(one, Style())) as server:
        Loader(db, tmp_path, server, one.today).load(one.first, one.today)
    require_none(differences(db.url, Wanted(one, Style())))
    for what in ("qty", "price", "side", "fee", "lost", "number"):
        wrong = replace_orders(one, partial(_broken, what=what))
        assert differences(db.url, Wanted(wrong, Style())), what


@pytest.mark.slow
def test_the_command_tells_what_arrived_and_finds_nothing_new_the_second_time(apex: Apex, database_url: str) -> None:
    one = book(SEED + 2, SIZE, datetime.now(UTC).replace(microsecond=0), DAYS)
    one.orders = [order for order in one.orders if exchange_date(order.contract.market, order.created) >= one.first]
    with OpenD(login(one, Style()), habits=Habits(None, newest_first=True)) as server:
        apex.environment |= futu_environment(server)
        asked = ("--broker", "futu", "--from-date", str(one.first), "--to-date", str(one.today), "--json", "--no-cash")
        ended = apex("backfill", *asked)
        assert ended.code == 0, ended.text
        require_none(differences(database_url, Wanted(one, Style())))
        assert ended.json()["status"] == "SUCCESS"
        written, before = written_rows(database_url), len(server.asked)
        again = apex("backfill", "--broker", "futu", "--json", "--no-cash")
    assert again.code == 0, again.text
    per_account = Counter(asked.account for asked in server.asked[before:] if asked.account)
    assert max(per_account.values()) <= 6
    assert written_rows(database_url) == written


def replace_orders(one: Book, change: Callable[[Made], Made]) -> Book:
    """The book with its orders changed."""
    return dataclasses.replace(one, orders=[change(order) for order in one.orders])


def _changed(order: Made) -> Made:
    """Every seventh order has its fills' prices corrected by the exchange, under the same ids."""
    if order.number % 7 or order.contract.legs or not order.filled:
        return order
    fills = tuple(_corrected(fill) for fill in order.fills)
    return replace(order, fills=fills, average=order.average + Decimal("0.01"), updated=order.updated + MINUTE)


def _corrected(fill: Fill) -> Fill:
    if fill.status == BUSTED:
        return fill
    return replace(fill, status=CHANGED, price=fill.price + Decimal("0.01"), old_price=fill.price)


def _settled(order: Made) -> Made:
    """Fees that were pending are told."""
    pending = order.fee is not None and order.fee[0] is None
    return replace(order, fee=(Decimal("3.07"), (("Commission", Decimal("3.07")),))) if pending else order


def _broken(order: Made, what: str) -> Made:
    fills = order.fills
    if not fills or not order.fee or not order.fee[0]:
        return order
    digit = Decimal("0.0001")
    match what:
        case "qty":
            return replace(order, qty=order.qty + digit)
        case "price":
            return replace(order, fills=(replace(fills[0], price=fills[0].price + digit), *fills[1:]))
        case "side":
            return replace(order, side=order.side % 2 + 1)
        case "fee":
            return replace(order, fee=(order.fee[0] + digit, order.fee[1]))
        case "number":
            return replace(order, fills=(replace(fills[0], number=fills[0].number + 1), *fills[1:]))
        case _:
            return replace(order, fills=fills[1:])


def test_nothing_changes_the_next_day(db: Database, tmp_path: Path) -> None:
    one = book(SEED, SIZE, YESTERDAY, DAYS)
    with OpenD(login(one, Style())) as server:
        Loader(db, tmp_path, server, one.today).load(one.first, one.today, follow=True)
        written = written_rows(db.url)
        loader = Loader(db, tmp_path, server, one.today + timedelta(days=1))
        loader.load(one.today + timedelta(days=1), one.today + timedelta(days=1), follow=True)
    assert {account: counted.total() for account, counted in loader.requests().items() if counted.total() > 6} == {}
    now = written_rows(db.url)
    assert {table for table in written if written[table] != now[table]} == set()
