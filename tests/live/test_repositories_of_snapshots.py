"""Snapshots are found by account and time, as they were captured; old ones go."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from apex_pipeline.domain.market import AccountSnapshot, PositionSnapshot
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.results import RiskSnapshot
from apex_pipeline.errors import StorageError
from apex_pipeline.live import (
    AccountSnapshotRepository,
    Database,
    PositionSnapshotRepository,
    RiskSnapshotRepository,
)
from apex_pipeline.store.repositories.snapshots import MetricSummary

NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)
HELD = [{"symbol": "US.AAPL", "qty": Decimal("10.50")}]


def positions(minutes: int, account_id: str = "1", broker: Broker = Broker.FUTU) -> PositionSnapshot:
    at = NOON + timedelta(minutes=minutes)
    return PositionSnapshot(broker, account_id, at, 1, HELD, "ENGINE", None, None)


def worth(minutes: int, value: str) -> AccountSnapshot:
    at = NOON + timedelta(minutes=minutes)
    return AccountSnapshot(Broker.IB, "U1", at, Decimal(value), None, None, None, None, "USD", {"nav": Decimal(value)})


def test_the_newest_snapshot_of_an_account_is_found_and_comes_back_as_it_was(db: Database) -> None:
    repository = PositionSnapshotRepository(db)
    assert repository.get_latest("futu", "1") is None
    stored = [positions(0), positions(5), positions(9, "2"), positions(9, broker=Broker.IB)]
    assert [repository.insert(one) for one in stored] == stored
    assert repository.get_latest("futu", "1") == stored[1]
    assert repository.get_latest(Broker.IB, "1") == stored[3]
    with pytest.raises(ValueError, match="ROBINHOOD"):
        repository.get_latest("robinhood", "1")


def test_a_snapshot_of_a_moment_is_the_newest_that_is_not_after_it(db: Database) -> None:
    repository = PositionSnapshotRepository(db)
    repository.upsert_many(positions(minutes) for minutes in range(0, 50, 10))
    for told, found in ((-1, None), (0, 0), (9, 0), (10, 10), (999, 40)):
        one = repository.get_at("FUTU", "1", NOON + timedelta(minutes=told))
        assert one == (None if found is None else positions(found))
    within = repository.get_by_time_range("FUTU", "1", NOON + timedelta(minutes=10), NOON + timedelta(minutes=30))
    assert within == [positions(10), positions(20), positions(30)]
    assert len(repository.get_by_time_range("FUTU", "1")) == 5


def test_accounts_are_found_the_same_way_with_their_money_exact(db: Database) -> None:
    repository = AccountSnapshotRepository(db)
    rows = [worth(0, "100000.10"), worth(1, "100000.123456789012")]
    repository.upsert_many(rows)
    assert repository.get_latest("ib", "U1") == rows[1]
    assert repository.get_at("ib", "U1", NOON) == rows[0]
    assert repository.get_by_time_range("ib", "U1", NOON, NOON) == rows[:1]


def test_only_what_is_older_than_the_retention_goes(db: Database) -> None:
    repository = AccountSnapshotRepository(db)
    now: datetime = db.fetchval("now")
    for days in (1, 364, 366, 900):
        repository.insert({"broker": "IB", "account_id": "U1", "captured_at": now - timedelta(days=days)})
    assert repository.cleanup_old() == 2
    assert repository.cleanup_old(retention_days=30) == 1
    assert repository.count() == 1
    with pytest.raises(ValueError, match="0 days or more"):
        repository.cleanup_old(-1)
    assert repository.count() == 1


def test_a_series_tells_the_numbers_of_a_metric_and_leaves_the_rest_out(db: Database) -> None:
    repository = RiskSnapshotRepository(db)
    for minutes, told in enumerate((Decimal("1.10"), "no number", None, Decimal(3), 4)):
        at = NOON + timedelta(minutes=minutes)
        repository.insert(RiskSnapshot("PORTFOLIO", at, {"gross": told, "other": 1}))
    repository.insert(RiskSnapshot("U1", NOON, {"gross": 99}))
    series = repository.get_time_series("gross")
    assert [value for _, value in series] == [Decimal("1.10"), Decimal(3), Decimal(4)]
    assert all(isinstance(value, Decimal) for _, value in series)
    assert series[0][0] == NOON
    later = repository.get_time_series("gross", NOON + timedelta(minutes=3), NOON + timedelta(minutes=3))
    assert [value for _, value in later] == [Decimal(3)]
    assert repository.get_time_series("gross", scope="U1") == [(NOON, Decimal(99))]
    assert repository.get_time_series("' OR true --") == []
    latest, second = repository.get_latest(), repository.get_at(NOON)
    assert latest is not None
    assert second is not None
    assert (latest.metrics["gross"], second.metrics["gross"]) == (4, Decimal("1.10"))


def test_a_day_is_summed_up_by_metric_and_days_are_those_of_utc(db: Database) -> None:
    repository = RiskSnapshotRepository(db)
    midnight = datetime(2026, 3, 9, tzinfo=UTC)
    for seconds, value in ((-1, 100), (0, 2), (60, 1), (86_399, 3), (86_400, 200)):
        repository.insert(RiskSnapshot("PORTFOLIO", midnight + timedelta(seconds=seconds), {"gross": value}))
    day = date(2026, 3, 9)
    two = Decimal(2)
    assert repository.get_daily_summary(day) == {
        day: {"gross": MetricSummary(two, Decimal(3), Decimal(1), Decimal(3), two, 3)}
    }
    assert repository.get_daily_summary(day, scope="U1") == {}
    repository.insert(RiskSnapshot("PORTFOLIO", db.fetchval("now"), {"gross": 7}))
    assert sum(told["gross"].count for told in repository.get_daily_summary(2).values()) == 1


def test_metrics_that_are_no_object_are_refused_in_one_line_and_not_stored(db: Database) -> None:
    repository = RiskSnapshotRepository(db)
    with pytest.raises(StorageError, match=r"^risk_snapshots refuses a row: [^\n]+$"):
        repository.insert({"scope": "PORTFOLIO", "captured_at": NOON, "metrics": [1]})
    assert repository.count() == 0
