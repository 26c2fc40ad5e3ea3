"""Which losses are flagged, and with which purchase."""

from datetime import date, timedelta
from typing import Any

import pytest

from apex_pipeline.domain.ledger import Direction, MovementKind
from apex_pipeline.domain.models import AssetClass, OptionRight, Trade, TradeKind
from apex_pipeline.store.db import Database
from apex_pipeline.store.transaction import Merged
from tests.store.rows import query
from tests.store.rules_book import (
    ALL,
    closing,
    lot,
    option,
    rewritten,
    store,
    trade,
)


def flags(url: str) -> list[tuple[Any, ...]]:
    return query(
        url, "SELECT loss_trade_uid, acquired_trade_uid, acquired_account_id, note FROM wash_sale_flags ORDER BY 1, 3"
    )


LOSS_DAY = date(2025, 6, 16)
NOTE = "Information, not tax advice."


def loss(account: str = "U1", symbol: str = "US.AAPL", **of: Any) -> tuple[Trade, Trade]:
    """A purchase of long ago and its sale at a loss."""
    return (
        trade("old", date(2025, 1, 6), 10, account=account, symbol=symbol, **of),
        trade("loss", LOSS_DAY, -10, account=account, symbol=symbol, **of),
    )


@pytest.mark.parametrize(
    ("days_later", "kept", "words"),
    [
        (1, True, "Bought 1 day after the loss by the same account."),
        (30, True, "Bought 30 days after the loss by the same account."),
        (30, False, "Bought 30 days after the loss by the same account."),  # sold again, but after the loss
        (31, True, None),
        (-30, True, "Bought 30 days before the loss by the same account."),
        (-31, True, None),
        (-5, False, None),  # sold with the loss: nothing replaces it
    ],
)
def test_a_purchase_within_thirty_days_flags_a_loss(
    db: Database, database_url: str, days_later: int, kept: bool, words: str | None
) -> None:
    old, sold = loss()
    again = trade("again", LOSS_DAY + timedelta(days=days_later), 10)
    gone_on = None if kept else max(LOSS_DAY, again.trade_date)
    store(db, [old, sold, again], lots=[lot(old, LOSS_DAY), lot(again, gone_on)], closings=[closing(old, sold, -50)])
    rewritten(db, ALL)
    assert flags(database_url) == ([("loss", "again", "U1", f"{words} {NOTE}")] if words else [])


def test_all_accounts_are_looked_at_and_the_nearest_purchase_of_each_is_named(db: Database, database_url: str) -> None:
    old, sold = loss()
    bought = [
        trade("later", LOSS_DAY + timedelta(days=9), 5, account="U2"),
        trade("near", LOSS_DAY + timedelta(days=3), 5, account="U2"),
        trade("own", LOSS_DAY - timedelta(days=2), 5),
    ]
    store(
        db,
        [old, sold, *bought],
        lots=[lot(old, LOSS_DAY), *(lot(one) for one in bought)],
        closings=[closing(old, sold, -50)],
    )
    rewritten(db, {"U2": LOSS_DAY + timedelta(days=9)})
    assert flags(database_url) == [
        ("loss", "own", "U1", f"Bought 2 days before the loss by the same account. {NOTE}"),
        ("loss", "near", "U2", f"Bought 3 days after the loss by another account. {NOTE}"),
    ]


def test_a_purchase_that_is_corrected_away_takes_its_flag_along(db: Database, database_url: str) -> None:
    old, sold = loss()
    again = trade("again", LOSS_DAY + timedelta(days=30), 10)
    store(db, [old, sold, again], lots=[lot(again)], closings=[closing(old, sold, -50)])
    rewritten(db, ALL)
    assert len(flags(database_url)) == 1
    query(database_url, "DELETE FROM lots")
    assert rewritten(db, {"U1": again.trade_date})["wash_sale_flags"] == Merged(0, 0, 1)


def test_the_rest_of_the_lot_that_was_sold_is_no_purchase(db: Database, database_url: str) -> None:
    opened, sold = trade("open", LOSS_DAY - timedelta(days=5), 20), trade("loss", LOSS_DAY, -10)
    store(db, [opened, sold], lots=[lot(opened)], closings=[closing(opened, sold, -50)])
    rewritten(db, ALL)
    assert flags(database_url) == []


def test_bought_again_an_hour_later_counts_even_if_sold_the_same_day(db: Database, database_url: str) -> None:
    old, sold = loss()
    before, again = trade("before", LOSS_DAY, 1, minute=-5), trade("again", LOSS_DAY, 1, minute=60)
    store(
        db,
        [old, sold, before, again],
        lots=[lot(before, LOSS_DAY), lot(again, LOSS_DAY)],
        closings=[closing(old, sold, -50)],
    )
    rewritten(db, ALL)
    assert flags(database_url) == [
        ("loss", "again", "U1", f"Bought on the day of the loss by the same account. {NOTE}")
    ]


CALL, PUT = "US.AAPL 2026-12-18 C 100", "US.AAPL 2026-12-18 P 100"


@pytest.mark.parametrize(
    ("lost", "bought", "flagged"),
    [
        ("US.AAPL", CALL, True),
        ("US.AAPL", PUT, False),
        (CALL, "US.AAPL", True),
        (PUT, "US.AAPL", False),
        (PUT, PUT, True),
        ("US.AAPL", "US.MSFT", False),
        ("HK.00700", "HK.00700", False),
        ("US..SPX 2026-12-18 C 100", "US..SPX 2026-12-18 C 100", False),
    ],
)
def test_the_same_thing_is_the_share_a_call_on_it_or_the_very_contract(
    db: Database, database_url: str, lost: str, bought: str, flagged: bool
) -> None:
    def class_of(symbol: str) -> AssetClass:
        return AssetClass.OPTION if " " in symbol else AssetClass.STOCK

    old, sold = loss(symbol=lost, asset_class=class_of(lost))
    again = trade("again", LOSS_DAY + timedelta(days=1), 1, symbol=bought, asset_class=class_of(bought))
    options = [option(CALL, OptionRight.CALL), option(PUT, OptionRight.PUT)]
    options.append(option("US..SPX 2026-12-18 C 100", OptionRight.CALL))
    store(db, [old, sold, again], lots=[lot(again)], closings=[closing(old, sold, -50)], options=options)
    rewritten(db, ALL)
    assert bool(flags(database_url)) is flagged


def test_gains_and_shorts_are_not_flagged_and_an_assignment_is_a_purchase(db: Database, database_url: str) -> None:
    old, sold = loss()
    short, bought_back = trade("short", LOSS_DAY, -1), trade("back", LOSS_DAY, 1)
    assigned = trade("assigned", LOSS_DAY + timedelta(days=2), 100, kind=TradeKind.ASSIGNMENT)
    rows = [old, sold, short, bought_back, assigned]
    store(
        db,
        rows,
        lots=[lot(assigned, origin=MovementKind.ASSIGNMENT)],
        closings=[closing(old, sold, 50), closing(short, bought_back, -5, Direction.SHORT)],
    )
    rewritten(db, ALL)
    assert flags(database_url) == []
    store(db, closings=[closing(old, sold, -50)])
    rewritten(db, ALL)
    assert [row[:2] for row in flags(database_url)] == [("loss", "assigned")]
