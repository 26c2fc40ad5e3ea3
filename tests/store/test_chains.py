"""Strategies and chains are told where something changed, written only where they differ, and sum to the ledger."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apex_pipeline.domain.checks import CheckName
from apex_pipeline.domain.models import (
    AssetClass,
    Broker,
    Fee,
    Instrument,
    OptionRight,
    Order,
    OrderStatus,
    Side,
    Trade,
    TradeKind,
)
from apex_pipeline.pipeline import classify_strategies, match_lots, tell_strategies
from apex_pipeline.reports.export import write_report
from apex_pipeline.reports.strategies import markdown, strategy_tables
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.chains import review_queue
from apex_pipeline.store.tables import DIRTY_DAYS, FEES, INSTRUMENTS, ORDERS, TRADES, as_row
from tests.store.check_rows import ACCOUNT, compared, findings, made
from tests.store.matched import fee
from tests.store.rows import query, tables_hash, value

CHECK = CheckName.PROFIT_OF_CHAINS_EQUALS_THE_LEDGER
STOCK, OTHER = "US.KO", "US.PEP"
PUT, CALL = f"{STOCK} 2026-03-20 P 60", f"{STOCK} 2026-04-17 C 62"
FIRST, LAST = date(2026, 3, 2), date(2026, 4, 20)
TOLD = ("strategies", "strategy_chains", "chain_gains", "told_families")


def terms(symbol: str) -> dict[str, Any]:
    """The columns that a symbol decides."""
    underlying, *option = symbol.split(" ")
    known: dict[str, Any] = {"symbol": symbol, "underlying": underlying}
    if not option:
        return known | {"asset_class": AssetClass.STOCK, "multiplier": Decimal(1)}
    return known | {"asset_class": AssetClass.OPTION, "multiplier": Decimal(100)}


def instrument(symbol: str) -> Instrument:
    _, *option = symbol.split(" ")
    told: dict[str, Any] = {}
    if option:
        expiry, right, strike = option
        told = {"expiry": date.fromisoformat(expiry), "option_right": OptionRight(right), "strike": Decimal(strike)}
    return made(Instrument, **(terms(symbol) | told))


class Book:
    """Orders and book entries written as normalizing writes them."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def order(self, number: int, symbol: str, qty: int, price: str, day: date, fees: str = "1") -> None:
        """A filled order, its one trade and its commission."""
        side, size, filled = Side.BUY if qty > 0 else Side.SELL, Decimal(abs(qty)), Decimal(price)
        order = made(
            Order,
            order_uid=f"IB_{ACCOUNT}_{number}",
            broker_order_id=str(number),
            side=side,
            status=OrderStatus.FILLED,
            qty=size,
            filled_qty=size,
            avg_price=filled,
            trade_date=day,
            created_at=moment(day),
            **terms(symbol),
        )
        trade = self.trade(f"{number}", symbol, qty, price, day, order_uid=order.order_uid)
        with self.db.transaction() as tx:
            tx.merge(ORDERS, [as_row(order)])
        self._write([trade], [fee(trade, fees)])

    def deliver(self, number: int, option: str, qty: int, shares: int, day: date) -> None:
        """An assignment and the shares that it moved."""
        told: dict[str, Any] = {"kind": TradeKind.ASSIGNMENT, "link_id": f"B{number}", "order_uid": None}
        strike = option.rpartition(" ")[2]
        self._write(
            [
                self.trade(f"{number}", option, qty, "0", day, **told),
                self.trade(f"{number}S", STOCK, shares, strike, day, **told),
            ]
        )

    def trade(self, uid: str, symbol: str, qty: int, price: str, day: date, **told: Any) -> Trade:
        return made(
            Trade,
            trade_uid=f"IB_{ACCOUNT}_T{uid}",
            broker_trade_id=uid,
            effective=True,
            side=Side.BUY if qty > 0 else Side.SELL,
            qty=Decimal(abs(qty)),
            price=Decimal(price),
            executed_at=moment(day),
            trade_date=day,
            instrument_id=symbol,
            **({"kind": TradeKind.TRADE} | terms(symbol) | told),
        )

    def _write(self, trades: list[Trade], fees: list[Fee] | None = None) -> None:
        with self.db.transaction() as tx:
            tx.merge(INSTRUMENTS, [as_row(instrument(trade.symbol)) for trade in trades])
            tx.merge(TRADES, map(as_row, trades))
            tx.merge(FEES, map(as_row, fees or []))
            marks = [
                {"stage": stage, "broker": Broker.IB, "account_id": ACCOUNT, "business_date": day}
                for stage in ("match", "classify")
                for day in sorted({trade.trade_date for trade in trades})
            ]
            tx.add(DIRTY_DAYS, marks)

    def derive(self) -> dict[str, int]:
        """Everything after normalizing; the rows that telling changed, by table."""
        classify_strategies(self.db, FIRST, LAST)
        match_lots(self.db, FIRST, LAST)
        return self.tell()

    def tell(self) -> dict[str, int]:
        return {name: merged.changed for name, merged in tell_strategies(self.db).items()}


def moment(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 15, tzinfo=UTC)


@pytest.fixture
def book(db: Database) -> Book:
    """A put assigned, a covered call that takes the shares away, and a stock bought and sold for itself."""
    made_book = Book(db)
    made_book.order(1, PUT, -1, "1.50", FIRST)
    made_book.deliver(2, PUT, 1, 100, date(2026, 3, 20))
    made_book.order(3, CALL, -1, "0.80", date(2026, 3, 24))
    made_book.deliver(4, CALL, 1, -100, date(2026, 4, 17))
    made_book.order(5, OTHER, 10, "150", FIRST)
    made_book.order(6, OTHER, -10, "151.115", date(2026, 3, 3))
    return made_book


def chains(db: Database) -> list[tuple[Any, ...]]:
    return query(
        db.url,
        "SELECT underlying, current_type, status, wheel_stage, realized_pnl, stock_pnl FROM strategy_chains "
        "ORDER BY opened_on, underlying",
    )


def test_a_wheel_is_told_from_stored_orders_entries_and_gains(book: Book) -> None:
    book.derive()
    # 150 for the put less its fee, 80 for the call less its fee, and two points of the shares.
    assert chains(book.db) == [
        (STOCK, "SHORT_PUT", "ASSIGNED", "WHEEL_ASSIGNED", 428, 428),
        (OTHER, "LONG_STOCK", "CLOSED", None, Decimal("9.15"), 0),
        (STOCK, "COVERED_CALL", "ASSIGNED", "WHEEL_CALLED_AWAY", 0, 0),
    ]
    assert value(book.db.url, "SELECT count(DISTINCT wheel_uid) FROM strategy_chains") == 1


def test_telling_again_writes_nothing(book: Book) -> None:
    assert set(book.derive().values()) != {0}
    before = tables_hash(book.db.url, TOLD)
    assert set(book.derive().values()) == {0}
    query(book.db.url, "DELETE FROM told_families")
    assert set(book.tell().values()) == {0}, "what is told again and equal is not written"
    assert tables_hash(book.db.url, TOLD) == before


def test_only_the_underlying_that_changed_is_told_again(book: Book) -> None:
    book.derive()
    before = query(book.db.url, "SELECT strategy_uid, xmin::text FROM strategies WHERE underlying = %s", STOCK)
    query(book.db.url, "UPDATE strategies SET why = 'spoilt'")
    book.order(7, OTHER, 3, "150", date(2026, 3, 4))
    assert book.derive()["strategies"] > 0
    rows = query(book.db.url, "SELECT DISTINCT underlying FROM strategies WHERE why = 'spoilt'")
    assert rows == [(STOCK,)], "control: what did not change was not looked at"
    assert len(before) == 2


@pytest.mark.parametrize("change", ["fee", "price", "gone"])
def test_what_follows_from_a_changed_fact_is_told(book: Book, change: str) -> None:
    book.derive()
    told = "SELECT sum(fees), sum(net_premium), count(*) FROM strategies WHERE underlying = %s"
    assert query(book.db.url, told, STOCK) == [(2, 230, 2)]
    if change == "fee":
        query(book.db.url, "UPDATE fees_norm SET amount = 5 WHERE order_uid LIKE '%%_3'")
        expected = (6, 230, 2)
    elif change == "price":
        query(book.db.url, "UPDATE trades_norm SET price = 1 WHERE order_uid LIKE '%%_3'")
        expected = (2, 250, 2)
    else:
        query(book.db.url, "DELETE FROM order_strategy_map WHERE order_uid LIKE '%%_3'")
        expected = (1, 150, 1)
    book.tell()
    assert query(book.db.url, told, STOCK) == [expected]


def test_of_an_underlying_without_orders_nothing_is_left(book: Book) -> None:
    book.derive()
    query(book.db.url, "DELETE FROM order_strategy_map")
    assert book.tell()["strategies"] == 4
    assert [value(book.db.url, f"SELECT count(*) FROM {name}") for name in TOLD] == [0] * 4  # pyright: ignore[reportArgumentType]


# The check -------------------------------------------------------------------------------------------------------


def test_the_gains_of_chains_and_of_none_are_those_of_the_ledger(book: Book) -> None:
    book.derive()
    query(book.db.url, "DELETE FROM order_strategy_map WHERE underlying = %s", OTHER)
    book.tell()
    assert findings(book.db, CHECK, FIRST, LAST) == [], "what belongs to no chain counts"
    assert compared(book.db, CHECK, FIRST, LAST) == 3


@pytest.mark.parametrize(
    ("spoil", "subjects"),
    [
        ("UPDATE chain_gains SET amount = amount + 0.01 WHERE amount = 428", {"chain", "all chains U1 USD"}),
        ("UPDATE strategy_chains SET realized_pnl = 0", {"chain"}),
        ("DELETE FROM strategy_chains", {"chain"}),
        ("DELETE FROM realized_pnl WHERE realized_pnl = 428", {"all chains U1 USD"}),
        ("UPDATE realized_pnl SET realized_pnl = 1 WHERE realized_pnl = 428", {"all chains U1 USD"}),
    ],
)
def test_a_gain_that_is_lost_or_counted_twice_is_noticed(book: Book, spoil: Any, subjects: set[str]) -> None:
    book.derive()
    query(book.db.url, spoil)
    found = findings(book.db, CHECK, FIRST, LAST)
    assert {"chain" if one.subject.startswith("S_") else one.subject for one in found} == subjects
    assert all(one.expected != one.actual and one.severity == "ERROR" for one in found)


# The review queue ------------------------------------------------------------------------------------------------


def test_the_review_queue_begins_where_money_and_doubt_are_greatest(book: Book) -> None:
    book.derive()
    query(book.db.url, "UPDATE strategies SET confidence = 0.9, rival_type = NULL")
    query(book.db.url, "UPDATE strategies SET confidence = 0.5, rival_type = 'SHORT_CALL' WHERE net_premium = 80")
    queue = review_queue(book.db, 10)
    assert [(row.weight, row.net_premium) for row in queue][:2] == [
        (Decimal(40), Decimal(80)),
        (Decimal(15), Decimal(150)),
    ]
    assert queue[0].command == f"apex strategy set IB_{ACCOUNT}_3 --type SHORT_CALL --action OPEN"
    assert queue[1].command is None
    assert len(review_queue(book.db, 1)) == 1
    query(book.db.url, "UPDATE strategies SET method = 'manual'")
    assert review_queue(book.db, 10) == [], "what a person set is not in doubt"


def test_the_report_has_a_section_for_each_table(book: Book, tmp_path: Path) -> None:
    book.derive()
    text = markdown(strategy_tables(book.db))
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "## Strategies by type",
        "## Newest strategies",
        "## Chains that were rolled, adjusted or assigned",
        "## Wheels",
        "## Worth a look",
    ]
    assert "SELL 1 US.KO 2026-03-20 P 60 @ 1.5" in text
    for form in ("html", "csv", "parquet"):
        assert all(path.stat().st_size for path in write_report(strategy_tables(book.db), tmp_path, form))
    assert strategy_tables(book.db)[3].rows[0]["realized_pnl"] == 428
