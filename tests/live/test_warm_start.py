"""A warm start is a cold start, or it is refused with its reason and nothing was handed over."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.ledger import Action, MovementKind, PositionMovement
from apex_pipeline.domain.market import AccountSnapshot, PositionSnapshot
from apex_pipeline.domain.models import AssetClass, Broker
from apex_pipeline.domain.results import RiskSnapshot
from apex_pipeline.domain.snapshots import LEDGER, positions_hash
from apex_pipeline.live import AccountSnapshotRepository, Database, PositionSnapshotRepository, RiskSnapshotRepository
from apex_pipeline.live.warm_start import WarmStartResult, WarmStartService
from apex_pipeline.store.repositories.snapshot_keeping import SnapshotKeeper
from tests.live.conftest import Desk
from tests.store.position_books import ACCOUNT, OTHER, STOCK, Book, at, cover, day, move
from tests.store.rows import query

D = Decimal
NOW = datetime(2024, 3, 15, 12, tzinfo=UTC)
SOON = NOW - timedelta(minutes=2)
BROKERS = [{"name": "ib", "account_id": ACCOUNT}]
APPLE, COKE = f"US.S{STOCK}", f"US.S{OTHER}"
FOREVER = 10**9


class Engine:
    """Remembers what it is handed; `fails` names the callback that raises."""

    def __init__(self, fails: str = "") -> None:
        self.positions: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.accounts: dict[tuple[str, str], AccountSnapshot] = {}
        self.risk: RiskSnapshot | None = None
        self.fails = fails

    def on_positions(self, broker: str, account_id: str, rows: list[dict[str, Any]]) -> None:
        self._fail("positions")
        self.positions[broker, account_id] = rows

    def on_account(self, broker: str, account_id: str, row: AccountSnapshot) -> None:
        self._fail("account")
        self.accounts[broker, account_id] = row

    def on_risk(self, risk: RiskSnapshot) -> None:
        self._fail("risk")
        self.risk = risk

    def start(
        self, db: Database, brokers: Sequence[dict[str, Any]] = BROKERS, now: datetime = NOW, age: float = 3600
    ) -> WarmStartResult:
        service = WarmStartService(db, age, now=lambda: now)
        return service.warm_start(brokers, self.on_positions, self.on_account, self.on_risk)

    @property
    def has_nothing(self) -> bool:
        return not self.positions and not self.accounts and self.risk is None

    def _fail(self, which: str) -> None:
        if which == self.fails:
            raise RuntimeError("the book is locked")


def ended(positions: int, accounts: int, age: float, *, has_risk: bool = False) -> WarmStartResult:
    return WarmStartResult(
        success=True,
        positions_loaded=positions,
        accounts_loaded=accounts,
        risk_snapshot_loaded=has_risk,
        snapshot_age_seconds=age,
    )


def row(symbol: str, qty: Any, instrument_id: str | None = None, **told: Any) -> dict[str, Any]:
    return {"symbol": symbol, "instrument_id": instrument_id, "qty": qty, "currency": "USD", **told}


def keep(db: Database, *rows: Any, **values: Any) -> PositionSnapshot:
    """Store a snapshot of these positions, captured two minutes ago."""
    usual: dict[str, Any] = {
        "broker": Broker.IB, "account_id": ACCOUNT, "captured_at": SOON, "position_count": len(rows),
        "positions": list(rows), "source": "ENGINE", "watermark_at": None, "watermark_count": None,
    }  # fmt: skip
    snapshot = PositionSnapshot(**(usual | values))
    PositionSnapshotRepository(db).insert(snapshot)
    return snapshot


def keep_account(db: Database, at: datetime = SOON, account_id: str = ACCOUNT, **values: Any) -> None:
    told: dict[str, Any] = {"net_liquidation": D(1000), "total_cash_value": D(10), "currency": "USD"} | values
    usual = dict.fromkeys(("unrealized_pnl", "realized_pnl", "margin_used"))
    AccountSnapshotRepository(db).insert(
        AccountSnapshot(broker=Broker.IB, account_id=account_id, captured_at=at, payload={}, **(usual | told))
    )


def held(rows: Sequence[dict[str, Any]]) -> dict[str, Decimal]:
    return {one["symbol"]: one["qty"] for one in rows}


# Equal to a cold start ----------------------------------------------------------------------------------------


def cold(db: Database, broker: str, account_id: str) -> list[dict[str, Any]]:
    """What the whole ledger holds, in plain SQL beside the program."""
    rows = query(
        db.url,
        "SELECT instrument_id, max(symbol), sum(qty) FROM position_movements WHERE broker = %s AND account_id = %s "
        "GROUP BY 1 HAVING sum(qty) <> 0",
        broker,
        account_id,
    )
    return [{"instrument_id": name, "symbol": symbol, "qty": qty} for name, symbol, qty in rows]


def accounts_of(db: Database) -> list[tuple[str, str]]:
    return query(db.url, "SELECT DISTINCT broker, account_id FROM position_movements ORDER BY 1, 2")


@pytest.fixture
def book(loaded: Desk) -> Database:
    """The ledger of both simulated brokers."""
    return loaded.db


def test_a_snapshot_of_any_moment_and_what_moved_since_is_the_cold_start_of_both_brokers(book: Database) -> None:
    spans = query(
        book.url,
        "SELECT min(coalesce(moved_at, ordered_at)) FILTER (WHERE ordered_at > '2000-01-01'), "
        "max(coalesce(moved_at, ordered_at)) FROM position_movements",
    )
    ((first, last),) = spans
    accounts = accounts_of(book)
    assert {broker for broker, _ in accounts} == {"FUTU", "IB"}
    brokers = [{"name": broker.lower(), "account_id": account_id} for broker, account_id in accounts]
    query(book.url, "DELETE FROM risk_snapshots")
    draw, keeper, tails, compared = random.Random(7), SnapshotKeeper(book), 0, 0
    for _ in range(25):
        captured_at = first + draw.random() * (last - first)
        query(book.url, "DELETE FROM position_snapshots")
        for snapshot in keeper.of_ledger(captured_at):
            PositionSnapshotRepository(book).insert(snapshot)
        engine = Engine()
        result = engine.start(book, brokers, now=last + timedelta(days=1), age=FOREVER)
        assert result.error is None
        for broker, account_id in accounts:
            warm = engine.positions[broker, account_id]
            stored = PositionSnapshotRepository(book).get_latest(broker, account_id)
            assert stored is not None
            whole = cold(book, broker, account_id)
            assert positions_hash(warm) == positions_hash(whole)
            tails += positions_hash(stored.positions) != positions_hash(whole)
            compared += 1
    assert compared == 25 * len(accounts)
    assert tails > compared / 2, "control: most snapshots alone are not the positions of now"


def test_a_snapshot_of_now_has_the_costs_and_marks_that_the_ledger_knows(book: Database) -> None:
    now = datetime.now(UTC)
    for snapshot in SnapshotKeeper(book).of_ledger(now):
        costs = dict(
            query(
                book.url,
                "SELECT DISTINCT ON (instrument_id) instrument_id, avg_cost FROM positions_daily "
                "WHERE account_id = %s ORDER BY instrument_id, business_date DESC",
                snapshot.account_id,
            )
        )
        assert {one["instrument_id"]: one["avg_cost"] for one in snapshot.positions} == {
            one["instrument_id"]: costs[one["instrument_id"]] for one in snapshot.positions
        }
        assert snapshot.source == LEDGER
        assert snapshot.watermark_at is not None
        assert snapshot.watermark_at <= snapshot.captured_at


OPTION: dict[str, Any] = {"instrument": "777", "symbol": "US.X 2024-03-08 C 10", "asset_class": AssetClass.OPTION}


def eventful() -> list[PositionMovement]:
    """Two weeks with an assignment, an expiry, a split, a transfer, a flip, fractions."""
    put: dict[str, Any] = OPTION | {"instrument": "778", "symbol": "US.X 2024-03-08 P 9"}
    return [
        move("A", 0, 100, 10),
        move("B", 1, -2, 1, **OPTION, multiplier=100),
        move("C", 1, 5, 1, **put, multiplier=100),
        move("E", 4, 2, 0, **OPTION, kind=MovementKind.ASSIGNMENT, multiplier=100, hour=21, link="L"),
        move("F", 4, -200, 10, kind=MovementKind.ASSIGNMENT, hour=21, link="L"),
        move("G", 4, -5, 0, **put, kind=MovementKind.EXPIRATION, multiplier=100, hour=21),
        move("H", 7, -100, kind=MovementKind.CORPORATE_ACTION, action=Action.SPLIT, hour=20, price=None),
        move("I", 8, "50.5", 8, instrument=OTHER),
        move("J", 9, "25.25", None, instrument=OTHER, kind=MovementKind.TRANSFER, hour=0),
        move("K", 9, 250, 5, hour=16),
    ]


def test_ends_of_options_splits_and_transfers_are_in_the_tail(db: Database) -> None:
    movements = eventful()
    Book(movements).store(db)
    keeper, seen = SnapshotKeeper(db), set[int]()
    for captured_at in sorted({at(day(0), 0), NOW, *(one.ordered_at for one in movements)}):
        (snapshot,) = keeper.of_ledger(captured_at)
        PositionSnapshotRepository(db).insert(snapshot)
        engine = Engine()
        assert engine.start(db, age=FOREVER).error is None
        assert positions_hash(engine.positions["IB", ACCOUNT]) == positions_hash(cold(db, "IB", ACCOUNT))
        seen.add(snapshot.position_count)
    assert seen >= {0, 1, 2, 3}
    assert positions_hash(cold(db, "IB", ACCOUNT)) != positions_hash([])


def test_what_moved_since_leaves_known_what_is_still_so_and_nothing_else(db: Database) -> None:
    Book([move("A", 0, 100, 10), move("B", 0, 60, 20, instrument=OTHER)]).store(db)
    told: dict[str, Any] = {"avg_cost": D(10), "mark_price": D(12), "market_value": D(1200), "unrealized_pnl": D(200)}
    mark = at(day(0), 15)
    keep(
        db,
        row(APPLE, D(100), STOCK, **told),
        row(COKE, D(60), **told),
        source=LEDGER,
        watermark_at=mark,
        watermark_count=2,
    )
    moved = [
        move("A", 0, 100, 10),
        move("B", 0, 60, 20, instrument=OTHER),
        move("C", 3, -40, 12),
        move("D", 3, 5, 7, instrument="9"),
    ]
    Book(moved).store(db)
    engine = Engine()
    assert engine.start(db) == ended(3, 0, 120.0)
    apple, coke, new = engine.positions["IB", ACCOUNT]
    assert (apple["qty"], apple["mark_price"]) == (D(60), D(12))
    assert (apple["market_value"], apple["unrealized_pnl"]) == (None, None)
    assert (coke["qty"], coke["market_value"], coke["instrument_id"]) == (D(60), D(1200), OTHER)
    assert (new["symbol"], new["qty"], new["instrument_id"], new["asset_class"]) == ("US.S9", D(5), "9", "STOCK")


def test_an_engine_gets_back_what_it_told_with_exact_numbers(db: Database) -> None:
    keep(
        db, row("US.AAPL", D("100.5"), avg_cost=D("10.10"), asset_class="STOCK"), row("FX.EUR", D(7), asset_class="FX")
    )
    keep_account(db)
    RiskSnapshotRepository(db).insert(RiskSnapshot("PORTFOLIO", SOON, {"gross": D("1.5")}))
    engine = Engine()
    assert engine.start(db) == ended(2, 1, 120.0, has_risk=True)
    apple, euro = engine.positions["IB", ACCOUNT]
    assert (apple["qty"], apple["avg_cost"], euro["qty"]) == (D("100.5"), D("10.10"), D(7))
    account = engine.accounts["IB", ACCOUNT]
    assert account["net_liquidation"] == account.net_liquidation == D(1000)
    assert engine.risk is not None
    assert engine.risk["metrics"] == {"gross": D("1.5")}


@pytest.mark.parametrize("at", [SOON + timedelta(seconds=1), NOW - timedelta(days=3)])
def test_what_the_pipeline_measured_is_not_handed_to_an_engine(db: Database, at: datetime) -> None:
    keep(db, row(APPLE, 1))
    keep_account(db)
    risks = RiskSnapshotRepository(db)
    risks.insert(RiskSnapshot("PORTFOLIO", at, {"gross_exposure": D(2)}, "LIMITS"))
    assert Engine().start(db) == ended(1, 1, 120.0), "of an engine that told no risk there is none, and none is stale"
    risks.insert(RiskSnapshot("PORTFOLIO", SOON, {"gross": D("1.5")}))
    engine = Engine()
    assert engine.start(db) == ended(1, 1, 120.0, has_risk=True)
    assert engine.risk is not None
    assert engine.risk["metrics"] == {"gross": D("1.5")}


def test_a_trade_that_the_snapshot_has_already_is_not_added_again(db: Database) -> None:
    Book([move("A", 0, 100, 10)]).store(db)
    keep(db, row(APPLE, 100), captured_at=at(day(0), 15))
    engine = Engine()
    assert engine.start(db, age=FOREVER).success
    assert held(engine.positions["IB", ACCOUNT]) == {APPLE: D(100)}
    query(db.url, "UPDATE position_movements SET moved_at = moved_at + interval '1 second'")
    assert engine.start(db, age=FOREVER).success
    assert held(engine.positions["IB", ACCOUNT]) == {APPLE: D(200)}, "control: later than the snapshot it is added"


def test_an_expiry_that_the_broker_took_out_before_the_ledger_did_is_not_taken_out_twice(db: Database) -> None:
    """Of Friday's snapshot the option is gone already; the ledger ends it a little later."""
    Book([move("A", 0, 1, 1, **OPTION), move("B", 4, -1, 0, **OPTION, kind=MovementKind.EXPIRATION, hour=22)]).store(db)
    keep(db, captured_at=at(day(4), 21))
    engine = Engine()
    refused = engine.start(db, age=FOREVER)
    assert not refused.success
    assert "may hold already what ended" in str(refused.error)
    cover(db, 0, 6)
    assert engine.start(db, age=FOREVER) == ended(0, 0, (NOW - at(day(4), 21)).total_seconds())


# Refused ------------------------------------------------------------------------------------------------------


def refused(db: Database, brokers: Sequence[dict[str, Any]] = BROKERS) -> str:
    """Why a warm start was refused; nothing was handed over."""
    engine = Engine()
    result = engine.start(db, brokers)
    assert result == WarmStartResult(success=False, error=result.error)
    assert engine.has_nothing
    return str(result.error)


def test_a_stale_snapshot_is_refused_with_its_age(db: Database) -> None:
    keep(db, row(APPLE, 1), captured_at=NOW - timedelta(seconds=3601))
    assert "3601 s old" in refused(db)
    keep(db, row(APPLE, 1), captured_at=NOW - timedelta(seconds=3600))
    assert Engine().start(db).success, "control: as old as may be"


@pytest.mark.parametrize(
    ("rows", "values", "reason"),
    [
        ([row(APPLE, 1)], {"position_count": 2}, "partial: 1 of 2"),
        ([row(APPLE, None)], {}, "qty of US.S265598"),
        ([row(APPLE, "about 5")], {}, "'about 5' is not a plain decimal number"),
        ([row(APPLE, "NaN")], {}, "'NaN' is not"),
        ([row(APPLE, [1])], {}, "cannot be read"),
        ([row(APPLE, 1, avg_cost="?")], {}, "avg_cost of US.S265598"),
        ([row("", 1)], {}, "no symbol"),
        (["US.AAPL"], {}, "a position is str"),
        ([row(APPLE, 1), row(APPLE, 2)], {}, "US.S265598 stands in them twice"),
        ([row(APPLE, 1, "7"), row(COKE, 2, "7")], {}, "7 stands in them twice"),
        ([row(APPLE, 1)], {"watermark_at": SOON + timedelta(seconds=1)}, "later than they were captured"),
        ([row(APPLE, 1)], {"captured_at": NOW + timedelta(seconds=6)}, "yet to come"),
    ],
)
def test_a_partial_or_contradictory_snapshot_is_refused(
    db: Database, rows: list[Any], values: dict[str, Any], reason: str
) -> None:
    keep(db, *rows, **values)
    keep_account(db)
    assert reason in refused(db)
    query(db.url, "DELETE FROM position_snapshots")
    keep(db, row(APPLE, 1), row(COKE, "2.50"))
    assert Engine().start(db).success, "control"


def test_a_snapshot_that_the_ledger_contradicts_is_refused_once_the_broker_has_told_of_its_day(db: Database) -> None:
    Book([move("A", 0, 100, 10)]).store(db)
    keep(db, row(APPLE, 61, STOCK))
    assert Engine().start(db).success, "nobody knows better yet"
    cover(db, 0, 11)
    query(db.url, "UPDATE load_coverage SET covered_at = %s", NOW)
    assert "61 of US.S265598, of which it held 100" in refused(db)
    keep(db, row(APPLE, 100, STOCK), captured_at=SOON + timedelta(seconds=1))
    assert Engine().start(db).success, "control"


def test_a_snapshot_of_a_ledger_that_was_completed_behind_its_watermark_is_of_another_one(db: Database) -> None:
    first = [move("A", 0, 100, 10)]
    Book(first).store(db)
    (snapshot,) = SnapshotKeeper(db).of_ledger(SOON)
    PositionSnapshotRepository(db).insert(snapshot)
    Book([*first, move("B", 5, 5, 10)]).store(db)
    assert Engine().start(db).success, "control: what came later is added"
    Book([*first, move("B", 0, 5, 10, hour=14)]).store(db)
    assert "made of 1 movements, and the ledger holds 2 of that time now" in refused(db)


def test_a_snapshot_of_a_ledger_that_has_lost_movements_since_is_refused(db: Database) -> None:
    Book([move("A", 0, 100, 10), move("B", 1, 20, 10)]).store(db)
    (snapshot,) = SnapshotKeeper(db).of_ledger(SOON)
    PositionSnapshotRepository(db).insert(snapshot)
    assert Engine().start(db).success, "control"
    query(db.url, "DELETE FROM position_movements WHERE movement_uid LIKE '%%B'")
    assert "120 of US.S265598, of which it held 100" in refused(db)


@pytest.mark.parametrize(
    ("brokers", "reason"),
    [
        ([*BROKERS, {"name": "IB", "account_id": "U2"}], "no snapshot of the positions of IB U2"),
        ([*BROKERS, {"name": "FUTU", "account_id": ACCOUNT}], "FUTU"),
        ([*BROKERS, {"name": "robinhood", "account_id": ACCOUNT}], "'robinhood' is no broker"),
        ([*BROKERS, {"name": "IB"}], "name and account_id"),
        ([], "no account is asked for"),
    ],
)
def test_an_account_without_a_snapshot_refuses_the_others_too(
    db: Database, brokers: list[dict[str, Any]], reason: str
) -> None:
    keep(db, row(APPLE, 1))
    assert reason in refused(db, brokers)


def test_account_snapshots_are_there_of_all_or_of_none_and_young_and_readable(db: Database) -> None:
    both = [*BROKERS, {"name": "IB", "account_id": 2}]
    for account_id in (ACCOUNT, "2"):
        keep(db, row(APPLE, 1), account_id=account_id)
    assert Engine().start(db, both) == ended(2, 0, 120.0)
    keep_account(db)
    assert "no account snapshot of IB 2" in refused(db, both)
    keep_account(db, account_id="2")
    assert Engine().start(db, both).accounts_loaded == 2
    query(db.url, "UPDATE account_snapshots SET net_liquidation = 'NaN' WHERE account_id = '2'")
    assert "net_liquidation is NaN" in refused(db, both)
    query(db.url, "UPDATE account_snapshots SET net_liquidation = 5, captured_at = %s", NOW - timedelta(hours=2))
    assert "account snapshot of IB U1: stale" in refused(db, both)


def test_what_nobody_asks_for_refuses_nothing(db: Database) -> None:
    keep(db, row(APPLE, 1))
    keep_account(db, NOW - timedelta(hours=2))
    RiskSnapshotRepository(db).insert(RiskSnapshot("PORTFOLIO", NOW - timedelta(hours=2), {"a": 1}))
    assert "account snapshot" in refused(db)
    engine = Engine()
    result = WarmStartService(db, now=lambda: NOW).warm_start(BROKERS, engine.on_positions)
    assert result == ended(1, 0, 120.0)
    query(db.url, "DELETE FROM account_snapshots")
    assert "the risk snapshot of PORTFOLIO" in refused(db)


@pytest.mark.parametrize(
    ("which", "kept"), [("positions", (0, 0, False)), ("account", (1, 0, False)), ("risk", (1, 1, False))]
)
def test_a_callback_that_raises_is_named_and_the_start_has_failed(
    db: Database, which: str, kept: tuple[int, int, bool]
) -> None:
    keep(db, row(APPLE, 1))
    keep_account(db)
    RiskSnapshotRepository(db).insert(RiskSnapshot("PORTFOLIO", SOON, {"a": 1}))
    result = Engine(fails=which).start(db)
    assert (result.success, result.positions_loaded, result.accounts_loaded, result.risk_snapshot_loaded) == (
        False,
        *kept,
    )
    assert f"on_{which}_loaded" in str(result.error)
    assert "RuntimeError: the book is locked" in str(result.error)


def test_a_database_that_cannot_be_reached_is_told_and_nothing_is_handed_over() -> None:
    with Database("postgresql://nobody@127.0.0.1:1/nothing") as db:
        assert "cannot reach the database" in refused(db)


# Status and clearing ------------------------------------------------------------------------------------------


def test_the_status_tells_the_newest_snapshot_of_every_account(db: Database) -> None:
    service = WarmStartService(db, now=lambda: NOW)
    assert service.get_snapshot_status() == {"position_snapshots": [], "account_snapshots": [], "risk_snapshots": []}
    for account_id, broker in ((ACCOUNT, Broker.IB), ("2", Broker.IB), (ACCOUNT, Broker.FUTU)):
        keep(db, row(APPLE, 1), account_id=account_id, broker=broker, captured_at=NOW - timedelta(hours=5))
        keep(db, row(APPLE, 1), row(COKE, 2), account_id=account_id, broker=broker)
    keep_account(db)
    RiskSnapshotRepository(db).insert(RiskSnapshot("PORTFOLIO", SOON, {"a": 1}))
    RiskSnapshotRepository(db).insert(RiskSnapshot(ACCOUNT, SOON, {"a": 1}))
    status = service.get_snapshot_status()
    told = [
        (one["broker"], one["account_id"], one["position_count"], one["age_seconds"])
        for one in status["position_snapshots"]
    ]
    assert told == [("FUTU", ACCOUNT, 2, 120.0), ("IB", "2", 2, 120.0), ("IB", ACCOUNT, 2, 120.0)]
    assert [(one["account_id"], one["age_seconds"]) for one in status["account_snapshots"]] == [(ACCOUNT, 120.0)]
    assert [(one["scope"], one["age_seconds"]) for one in status["risk_snapshots"]] == [
        ("PORTFOLIO", 120.0),
        (ACCOUNT, 120.0),
    ]
    (only,) = service.get_snapshot_status([{"name": "futu", "account_id": ACCOUNT}])["position_snapshots"]
    assert only["broker"] == "FUTU"


def test_clearing_removes_every_snapshot_and_counts_them(db: Database) -> None:
    keep(db, row(APPLE, 1))
    keep(db, row(APPLE, 1), account_id="2")
    keep_account(db)
    service = WarmStartService(db)
    assert service.clear_all_snapshots() == {"position_snapshots": 2, "account_snapshots": 1, "risk_snapshots": 0}
    assert service.clear_all_snapshots() == {"position_snapshots": 0, "account_snapshots": 0, "risk_snapshots": 0}


def test_the_hash_of_positions_is_of_what_is_held_only() -> None:
    one = [row(APPLE, D("1.50"), "1"), row(COKE, D(-2)), row("FX.A", D(5), asset_class="FX"), row("X", D(0))]
    same = [row(COKE, D("-2.0"), mark_price=D(5)), row("named otherwise", D("1.5"), "1")]
    assert positions_hash(one) == positions_hash(same)
    for other in ([*same, row("Y", D(1))], same[:1], [same[0], {**same[1], "qty": D("1.5001")}]):
        assert positions_hash(one) != positions_hash(other)
    assert positions_hash([replace(move("A", 0, 3), symbol="B")]) == positions_hash([row("B", 3, STOCK)])
