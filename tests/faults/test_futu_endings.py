"""Positions, lots and gains of Futu accounts whose options end where no order and no deal tells it."""

from collections.abc import Set
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from apex_pipeline.store.db import Database
from tests.cli.book_wire import Style
from tests.cli.sql import rows
from tests.faults.futu_endings import LAST, Ended, Life, weekdays
from tests.faults.futu_endings_ledger import nothing_left_open
from tests.faults.futu_endings_loading import Reader
from tests.faults.futu_endings_stories import MARCH_30, clear, one_day_after_the_other, unknowable
from tests.faults.futu_endings_told import breaks, content, differences, quarantined, require_all, versions

pytestmark = pytest.mark.timeout(1500)

EXPIRED, HELD, AGREE = (
    "no_option_outlives_its_expiry",
    "positions_equal_the_brokers",
    "fills_ledger_and_broker_agree",
)


def doubled(found: Set[tuple[str, str]]) -> set[tuple[str, str]]:
    """These breaks, and what fills, ledger and broker say about each position that is not the broker's."""
    return {*found, *((AGREE, subject) for check, subject in found if check == HELD)}


def test_the_made_up_lots_add_up_to_the_made_up_positions() -> None:
    assert nothing_left_open(clear(), LAST)


def test_every_end_that_is_told_in_cash_and_positions_only_is_in_the_ledger(db: Database, tmp_path: Path) -> None:
    life = clear()
    reader = Reader(db, tmp_path, life)
    reader.whole()
    require_all(db.url, life)
    before = versions(db.url)
    reader.whole()
    assert versions(db.url) == before
    # the controls: one thing that happened otherwise is seen
    for change in (_one_contract_more, _a_day_earlier, _exercised_not_assigned, _one_order_less, _one_cent_more):
        assert differences(db.url, change(clear())), change.__name__


def _one_contract_more(life: Life) -> Life:
    end = next(one for one in life.ends if one.contract.symbol.startswith("US.PEP "))
    return _with(life, end, replace(end, contracts=end.contracts + 1))


def _a_day_earlier(life: Life) -> Life:
    end = next(one for one in life.ends if one.day == MARCH_30)
    return _with(life, end, replace(end, day=end.day - timedelta(days=3)))


def _exercised_not_assigned(life: Life) -> Life:
    end = next(one for one in life.ends if one.contract.symbol.startswith("US.KO "))
    return _with(life, end, replace(end, kind="EXE"))


def _with(life: Life, end: Ended, other: Ended) -> Life:
    return replace(life, ends=[other if one is end else one for one in life.ends])


def _one_order_less(life: Life) -> Life:
    return replace(life, orders=life.orders[1:])


def _one_cent_more(life: Life) -> Life:
    return replace(life, orders=[replace(life.orders[0], fee=life.orders[0].fee + Decimal("0.01")), *life.orders[1:]])


def test_what_is_told_too_little_of_is_marked_and_spoils_nothing_else(db: Database, tmp_path: Path) -> None:
    life = clear()
    marks = unknowable(life)
    Reader(db, tmp_path, life).whole()
    assert quarantined(db.url) == list(marks.reasons)
    assert breaks(db.url) == doubled(marks.breaks)
    found = differences(db.url, life, marks.unknown)
    assert not found, "\n".join(found)


def test_without_the_cash_flow_no_option_ends_and_each_is_a_break(db: Database, tmp_path: Path) -> None:
    life = clear()
    Reader(db, tmp_path, life).whole(cash=False)
    assert rows(db.url, "SELECT FROM trades_norm WHERE source <> 'futu_deals'") == []
    ended = {one.contract.symbol for one in life.ends}
    still_held = {symbol for check, symbol in breaks(db.url) if check == EXPIRED}
    assert ended <= still_held


def test_options_of_before_the_known_history_deliver_their_shares_and_are_marked(db: Database, tmp_path: Path) -> None:
    life = clear()
    life.ends = [one for one in life.ends if one.contract.symbol.startswith(("US.KO ", "US.BAC "))]
    life.orders = [one for one in life.orders if one.contract.symbol.startswith(("US.KO ", "US.BAC "))]
    Reader(db, tmp_path, life).whole(date(2026, 3, 16))
    told = rows(db.url, "SELECT kind, symbol, qty FROM trades_norm ORDER BY symbol")
    assert [(row["kind"], row["symbol"], row["qty"]) for row in told] == [
        ("ASSIGNMENT", "US.BAC", 300), ("ASSIGNMENT", "US.BAC 2026-03-20 P 45", 3),
        ("ASSIGNMENT", "US.KO", 200), ("ASSIGNMENT", "US.KO 2026-04-17 P 70", 2),
    ]  # fmt: skip
    options = ("US.BAC 2026-03-20 P 45", "US.KO 2026-04-17 P 70")
    assert breaks(db.url) == doubled({(check, option) for check in (EXPIRED, HELD) for option in options})
    still_open = rows(db.url, "SELECT check_name, subject FROM recon_breaks WHERE state = 'OPEN'")
    assert {(row["check_name"], row["subject"]) for row in still_open} == {(HELD, option) for option in options}


@pytest.mark.slow
def test_it_is_the_same_loaded_day_by_day_and_then_at_once(db: Database, tmp_path: Path) -> None:
    life = clear()
    reader = Reader(db, tmp_path, life)
    reader.by_day()
    require_all(db.url, life)
    before = content(db.url)
    reader.whole()
    assert content(db.url) == before
    require_all(db.url, life)


@pytest.mark.slow
@pytest.mark.parametrize(
    "style", [Style(), Style(chinese=True), Style(epochs=False)], ids=["english", "chinese", "text"]
)
@pytest.mark.parametrize("seed", [1, 2])
def test_it_is_the_same_in_windows_of_any_order(db: Database, tmp_path: Path, seed: int, style: Style) -> None:
    life = clear()
    reader = Reader(db, tmp_path, life, style)
    reader.shuffled(seed)
    require_all(db.url, life)
    before = versions(db.url)
    reader.whole()
    assert versions(db.url) == before


@pytest.mark.slow
@pytest.mark.parametrize("style", [Style(), Style(chinese=True)], ids=["english", "chinese"])
def test_it_is_the_same_in_a_window_of_a_year(db: Database, tmp_path: Path, style: Style) -> None:
    life = clear()
    Reader(db, tmp_path, life, style).whole(LAST - timedelta(days=364))
    require_all(db.url, life)


@pytest.mark.slow
def test_what_is_told_too_little_of_is_marked_on_the_day_it_comes(db: Database, tmp_path: Path) -> None:
    life = Life()
    marks = unknowable(life)
    Reader(db, tmp_path, life).by_day()
    assert quarantined(db.url) == list(marks.reasons)
    assert breaks(db.url) == doubled(marks.breaks)
    since = rows(db.url, "SELECT subject, min(business_date) AS day FROM recon_breaks WHERE state = 'OPEN' GROUP BY 1")
    first = {row["subject"]: row["day"] for row in since}
    assert {first[symbol] for symbol in ("US.NFLX", "HK.00005")} == {date(2026, 4, 13)}
    assert {first[symbol] for symbol in first if symbol.startswith("US.DIS ")} == {date(2026, 3, 23)}


@pytest.mark.slow
def test_a_snapshot_between_two_assignments_of_a_stock_is_no_break(db: Database, tmp_path: Path) -> None:
    life = one_day_after_the_other()
    Reader(db, tmp_path, life).by_day(weekdays(date(2026, 3, 6), date(2026, 3, 19)))
    assert breaks(db.url) == set()


@pytest.mark.slow
@pytest.mark.xfail(strict=True, reason="nothing stops the lots of a stock whose position changed without a trade")
def test_after_a_split_that_only_positions_show_no_gain_is_told(db: Database, tmp_path: Path) -> None:
    life = Life()
    unknowable(life)
    Reader(db, tmp_path, life).by_day([date(2026, 3, 13), *weekdays(date(2026, 4, 10), date(2026, 4, 14)), LAST])
    told = rows(db.url, "SELECT realized_pnl FROM realized_pnl WHERE symbol = 'US.NFLX' AND closed_on > '2026-04-13'")
    assert all(row["realized_pnl"] is None for row in told)
