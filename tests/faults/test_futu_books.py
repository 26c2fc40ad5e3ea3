"""Large books of an independent OpenD arrive to the last digit: every habit, and years of 5,000 and 50,000 orders."""

from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from apex_pipeline.store.db import Database
from tests.cli.book_loading import Loader, require_few_requests, require_none
from tests.cli.book_wire import Style, login
from tests.cli.booked import Wanted, cash_differences, differences, position_differences
from tests.cli.books import book
from tests.cli.opend import FILLS, ORDERS, UTC8, Habits, OpenD
from tests.cli.sql import written_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

YESTERDAY = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
ZONES = {"rows": None, "utc8": UTC8, "new_york": ZoneInfo("America/New_York"), "utc": UTC}


@pytest.mark.parametrize("newest_first", [False, True], ids=["oldest_first", "newest_first"])
@pytest.mark.parametrize("bounds", ZONES.values(), ids=ZONES.keys())
@pytest.mark.parametrize("epochs", [True, False], ids=["epochs", "text"])
@pytest.mark.parametrize("market", ["ALL", "US", "HK"])
def test_a_book_arrives_whatever_the_habits(
    db: Database, tmp_path: Path, market: str, epochs: bool, bounds: tzinfo | None, newest_first: bool
) -> None:
    one, style = book(5, 500, YESTERDAY), Style(epochs=epochs)
    with OpenD(login(one, style), habits=Habits(bounds, newest_first=newest_first)) as server:
        Loader(db, tmp_path, server, one.today).load(one.first, one.today, market)
    require_none(differences(db.url, Wanted(one, style, market)))


@pytest.mark.parametrize("orders", [5_000, 50_000])
def test_a_large_book_arrives_to_the_last_digit_and_stays(db: Database, tmp_path: Path, orders: int) -> None:
    one, style = book(orders, orders, YESTERDAY), Style()
    with OpenD(login(one, style), habits=Habits(None, newest_first=True)) as server:
        loader = Loader(db, tmp_path, server, one.today)
        told = loader.load(one.first, one.today)
        require_none(differences(db.url, Wanted(one, style)))
        require_none(position_differences(db.url, Wanted(one, style), one.today))
        require_few_requests(loader, one)
        assert told.quarantined == 0
        written = written_rows(db.url)
        loader = Loader(db, tmp_path, server, one.today + timedelta(days=1))
        loader.load(loader.today, loader.today)
        # one each, and one where deals at the edge of what is audited seem to lack their orders
        assert {counted[ORDERS] + counted[FILLS] for counted in loader.requests().values()} <= {2, 3}
        now = written_rows(db.url)
    assert {table for table in written if written[table] != now[table]} == set()


def test_a_year_of_cash_arrives(db: Database, tmp_path: Path) -> None:
    one = book(3, 500, YESTERDAY)
    with OpenD(login(one, Style())) as server:
        Loader(db, tmp_path, server, one.today).load(one.first, one.today, cash=True)
    require_none(cash_differences(db.url, one.bookings))
    require_none(differences(db.url, Wanted(one, Style())))
