"""One repository for every table: columns of the registry only, equal rows not written, refusals in one line."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apex_pipeline.domain.market import TradeSignal
from apex_pipeline.domain.models import Order
from apex_pipeline.domain.results import (
    Backtest,
    EventSeverity,
    ResearchKind,
    ResearchRecord,
    RiskLevel,
    RiskSignal,
    SystemEvent,
)
from apex_pipeline.errors import StorageError
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.generic import Repository
from apex_pipeline.store.selecting import Within
from apex_pipeline.store.tables import (
    BACKTESTS,
    LEDGER_TABLES,
    ORDERS,
    RESEARCH,
    RISK_SIGNALS,
    SIGNALS,
    SYSTEM_EVENTS,
    Table,
    columns_of,
)
from apex_pipeline.store.transaction import Merged, Transaction
from tests.store.rows import query

AT = datetime(2026, 3, 9, 12, tzinfo=UTC)
RISK = RiskSignal("GROSS", RiskLevel.WARNING, "gross", Decimal("1.10"), Decimal(1), "PORTFOLIO", raised_at=AT)


@pytest.fixture
def risks(db: Database) -> Repository[RiskSignal]:
    return Repository(db, RISK_SIGNALS, RiskSignal)


@contextmanager
def no_statement(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Fail if anything is sent to the database."""

    def refuse(*_: object) -> None:
        raise AssertionError("a statement was executed")

    with monkeypatch.context() as patched:
        patched.setattr(Transaction, "_run", refuse)
        yield


def versions(url: str, table: str = "risk_signals") -> list[tuple[Any, ...]]:
    """Where each row stands and which transaction wrote it: a written row changes both."""
    return query(url, f"SELECT ctid::text, xmin::text FROM {table} ORDER BY 1")  # pyright: ignore[reportArgumentType]


# Names -------------------------------------------------------------------------------------------------------

AROUND = ("{} ", "{}\n", '"{}"', "{}--", "{} = 'x' or 1=1 or {}", "({})", "{}::text", "x.{}")


def pasted(form: str, name: str) -> str:
    return form.format(name, name)


def is_foreign(name: str) -> bool:
    return name not in RISK_SIGNALS.columns


COLUMNS = st.sampled_from(RISK_SIGNALS.columns)
KEYS = st.one_of(st.text(max_size=40), st.builds(pasted, st.sampled_from(AROUND), COLUMNS)).filter(is_foreign)


def writers(repository: Repository[Any]) -> list[Callable[[Any], object]]:
    """Every way to write one row."""

    def many(row: Any) -> object:
        return repository.upsert_many([row])

    return [repository.insert, repository.upsert, many]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=KEYS, value=st.none() | st.text() | st.integers() | st.lists(st.integers()))
def test_a_key_that_is_no_column_is_refused_and_nothing_is_executed(
    risks: Repository[RiskSignal], monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    told = {name: value}
    with no_statement(monkeypatch):
        if name not in {"limit", "order_by"}:
            for ask in (risks.find_where, risks.find_one_where):
                with pytest.raises(ValueError, match="no column"):
                    ask(**told)
        for ask in (risks.count, risks.exists, risks.delete_where):
            with pytest.raises(ValueError, match="no column"):
                ask(**told)
        for write in writers(risks):
            with pytest.raises(ValueError, match="no column"):
                write(told)
        if name.strip() not in RISK_SIGNALS.columns:
            with pytest.raises(ValueError, match=r"no (column|order)"):
                risks.find_where(order_by=[name])


def test_a_condition_pasted_into_a_key_returns_no_rows(risks: Repository[RiskSignal]) -> None:
    risks.insert(RISK)
    with pytest.raises(ValueError, match=r"no column .*; the nearest is 'metric'$"):
        risks.find_where(None, None, **{"metric = 'x' or 1=1 or metric": 1})
    assert risks.find_where(metric="x' OR '1'='1") == []
    assert risks.find_where(metric="gross; DROP TABLE risk_signals") == []
    for order in ("metric; DROP TABLE risk_signals", "1", "metric DESC, (SELECT 1)", "metric --", "random()"):
        with pytest.raises(ValueError, match=r"no (order|column)"):
            risks.find_where(order_by=order)
    assert risks.count() == 1, "a column does find it"
    assert risks.exists(metric="gross")


def test_numbers_of_rows_are_numbers(risks: Repository[RiskSignal]) -> None:
    for limit, offset in ((-1, 0), (1, -1)):
        with pytest.raises(ValueError, match="numbers of rows"):
            risks.find_all(limit, offset)
    assert risks.find_where(limit=0) == []


def test_a_value_that_cannot_be_compared_is_one_clear_line(risks: Repository[RiskSignal]) -> None:
    told: list[dict[str, Any]] = [{"raised_at": "no instant"}, {"value": "ten"}, {"raised_at": 5}]
    for wrong in told:
        with pytest.raises(ValueError, match=r"^risk_signals cannot be asked for that: [^\n]+$"):
            risks.find_where(**wrong)


# Conditions --------------------------------------------------------------------------------------------------


def told_of(rows: list[RiskSignal]) -> list[str]:
    return [row.metric for row in rows]


def test_conditions_compare_as_they_are(risks: Repository[RiskSignal]) -> None:
    values = {"a": Decimal(1), "b": Decimal(2), "c": None, "d": Decimal("2.0")}
    for number, (metric, value) in enumerate(values.items()):
        risks.insert(replace(RISK, metric=metric, value=value, raised_at=AT + timedelta(days=number)))

    def find(**conditions: Any) -> list[str]:
        return told_of(risks.find_where(order_by="metric", **conditions))

    assert find(value=None) == ["c"]
    assert find(value=2) == ["b", "d"]
    assert find(value=[1, 2]) == ["a", "b", "d"]
    assert find(value=(1, None)) == ["a", "c"]
    assert find(value={None}) == ["c"]
    assert find(value=[]) == []
    assert find(value=Within(2)) == ["b", "d"]
    assert find(value=Within(None, 1)) == ["a"]
    assert find(value=Within()) == ["a", "b", "d"]
    assert find(value=Within(1, 1), metric=["a", "b"]) == ["a"]
    assert find(raised_at=Within(AT + timedelta(days=1), AT + timedelta(days=2))) == ["b", "c"]
    assert find(level=RiskLevel.WARNING, payload={}) == ["a", "b", "c", "d"]
    assert risks.count(value=None) == 1
    assert risks.count() == 4
    assert not risks.exists(value=3)


def test_rows_come_in_the_asked_order_unknown_values_last_and_the_key_decides_ties(db: Database) -> None:
    backtests: Repository[Backtest] = Repository(db, BACKTESTS, Backtest)
    day = date(2026, 1, 2)
    for uid, sharpe in (("b", 1), ("a", 1), ("c", None), ("d", 2)):
        backtests.insert({"backtest_uid": uid, "strategy": "s", "started_on": day, "ended_on": day, "sharpe": sharpe})

    def order(order_by: Any, limit: int | None = None) -> str:
        return "".join(str(row.backtest_uid) for row in backtests.find_where(limit, order_by))

    assert order("sharpe") == order(["sharpe ASC"]) == "abdc"
    assert order("-sharpe") == order("sharpe desc") == order(("-sharpe",)) == "dabc"
    assert order("-sharpe, -backtest_uid") == "dbac"
    assert order(None) == "abcd"
    assert order("-sharpe", 2) == "da"
    assert [row.backtest_uid for row in backtests.find_all(limit=2, offset=1)] == ["b", "c"]


def test_a_row_is_found_by_all_of_its_key(db: Database) -> None:
    found: Repository[Any] = Repository(db, LEDGER_TABLES["cash_account_state"], object)
    with pytest.raises(ValueError, match=r"^the key of cash_account_state is [^\n]+: tell all of it$"):
        found.find_by_id("1")


# Writing -----------------------------------------------------------------------------------------------------


def test_a_row_comes_back_as_it_is_stored_with_what_the_database_told(risks: Repository[RiskSignal]) -> None:
    stored = risks.insert(replace(RISK, raised_at=None))
    assert stored is not None
    assert stored.signal_uid
    assert stored.raised_at is not None
    assert stored.level is RiskLevel.WARNING
    assert risks.find_by_id(stored.signal_uid) == stored
    assert str(stored.value) == "1.10"


def test_a_row_of_the_same_identity_is_inserted_once_and_stays(risks: Repository[RiskSignal]) -> None:
    first = replace(RISK, signal_uid="S")
    assert risks.insert(first) == first
    assert risks.insert(replace(first, value=Decimal(9))) is None
    assert risks.find_by_id("S") == first


def test_an_upsert_writes_only_what_differs(db: Database, risks: Repository[RiskSignal]) -> None:
    row = replace(RISK, signal_uid="S")
    assert risks.upsert(row) == row
    before = versions(db.url)
    assert risks.upsert(replace(row, value=Decimal("1.1"))) == row
    assert risks.upsert_many([row, row]) == Merged(0, 0)
    assert versions(db.url) == before
    changed = replace(row, value=None, payload={"why": Decimal("0.10")})
    assert risks.upsert(changed) == changed
    assert versions(db.url) != before


def test_many_rows_are_written_together_the_last_of_one_identity_counts(risks: Repository[RiskSignal]) -> None:
    rows = [replace(RISK, signal_uid=str(n), value=Decimal(n)) for n in range(5)]
    assert risks.upsert_many([*rows, replace(rows[0], value=Decimal(9))]) == Merged(5, 0)
    assert risks.count(value=9) == 1
    mixed = [replace(rows[1], value=Decimal(7)), rows[2], replace(RISK, signal_uid=None), replace(RISK, signal_uid="6")]
    assert risks.upsert_many(mixed) == Merged(2, 1)
    assert risks.count() == 7
    assert risks.upsert_many([]) == Merged(0, 0)
    some: list[dict[str, Any]] = [{"value": 1}, {"value": 2, "raised_at": AT}, {"value": 3}]
    named = {"signal_uid": "z", "signal_type": "T", "level": "WARNING", "metric": "m", "scope": "s"}
    risks.upsert_many([named | one for one in some])
    last = risks.find_by_id("z")
    assert last is not None
    assert (last.value, last.raised_at) == (3, AT), "as if one after the other"


def test_a_mapping_writes_its_columns_and_leaves_the_others(risks: Repository[RiskSignal]) -> None:
    told = {name: getattr(RISK, name) for name in ("signal_type", "level", "metric", "scope")}
    stored = risks.insert({**told, "signal_uid": "S"})
    assert stored is not None
    assert (stored.source, stored.value, stored.payload) == ("ENGINE", None, {})
    assert risks.upsert({**told, "signal_uid": "S", "value": 3}).value == 3
    assert risks.upsert({**told, "signal_uid": "S", "threshold": 4}).value == 3


def test_what_the_database_counts_is_told_by_it_and_a_stored_row_can_be_changed(db: Database) -> None:
    events: Repository[SystemEvent] = Repository(db, SYSTEM_EVENTS, SystemEvent)
    assert events.upsert_many(SystemEvent("X", EventSeverity.INFO, str(n)) for n in range(3)) == Merged(3, 0)
    assert [event.message for event in events.find_all()] == ["0", "1", "2"], "in the order in which they were told"
    first = events.find_all(limit=1)[0]
    changed = replace(first, message="changed")
    assert events.upsert(changed) == changed
    assert events.insert(replace(changed, message="again")) is None
    assert events.upsert_many([replace(changed, message="many"), changed]) == Merged(0, 2)
    before = versions(db.url, "system_events")
    assert events.upsert(changed) == changed
    assert versions(db.url, "system_events") == before
    for write in (events.insert, events.upsert):
        with pytest.raises(StorageError, match=r"^system_events has no row whose event_id is 99: leave it None"):
            write(replace(changed, event_id=99))
    assert events.count() == 3


def test_a_row_with_an_identity_of_its_own_is_stored_once_whatever_its_number(db: Database) -> None:
    research: Repository[ResearchRecord] = Repository(db, RESEARCH, ResearchRecord)
    row = ResearchRecord(ResearchKind.TWEET, "US.AAPL", "x", AT, "F", {"n": 1})
    stored = research.insert(row)
    assert stored is not None
    assert research.insert(row) is None
    changed = research.upsert(replace(stored, payload={"n": 2}))
    assert (changed.record_id, changed.payload) == (stored.record_id, {"n": 2})
    assert research.upsert_many([replace(stored, payload={"n": 3})]) == Merged(0, 1)
    assert research.count() == 1


def test_what_a_table_refuses_is_one_clear_line_and_nothing_is_stored(
    db: Database, risks: Repository[RiskSignal]
) -> None:
    wrong: list[Any] = [
        replace(RISK, signal_uid="S", value=Decimal("NaN")),
        {**{name: getattr(RISK, name) for name in ("signal_type", "metric", "scope")}, "level": "TERRIBLE"},
        {"signal_type": "GROSS"},
        replace(RISK, value="ten"),  # pyright: ignore[reportArgumentType]
    ]
    for row in wrong:
        for write in writers(risks):
            with pytest.raises(StorageError, match=r"^risk_signals refuses a row: [^\n]+$"):
                write(row)
    with pytest.raises(StorageError):
        risks.upsert_many([RISK, wrong[0]])
    assert risks.count() == 0, "all or none"
    with db.transaction():
        with pytest.raises(StorageError):
            risks.insert(wrong[0])
        risks.insert(RISK)
    assert risks.count() == 1, "and what is around it goes on"


def test_an_instant_without_a_zone_is_refused_before_anything_is_stored(risks: Repository[RiskSignal]) -> None:
    naive = datetime(2026, 3, 9, 12)  # noqa: DTZ001
    for write in writers(risks):
        with pytest.raises(ValueError, match=r"risk_signals.raised_at needs a zone"):
            write(replace(RISK, raised_at=naive))
    assert risks.count() == 0


def test_rows_are_deleted_by_conditions_and_never_all_of_them(risks: Repository[RiskSignal]) -> None:
    risks.upsert_many(replace(RISK, signal_uid=str(n), value=Decimal(n)) for n in range(4))
    with pytest.raises(ValueError, match="would empty risk_signals"):
        risks.delete_where()
    assert risks.delete("0")
    assert not risks.delete("0")
    assert risks.delete_where(value=Within(2)) == 2
    assert risks.delete_where(value=[]) == 0
    assert risks.count() == 1


def test_an_account_may_be_told_as_a_number(db: Database) -> None:
    orders: Repository[Order] = Repository(db, ORDERS, Order)
    assert orders.find_where(account_id=281756479, order_uid=[1, 2]) == []


# Tables that others write ------------------------------------------------------------------------------------


def test_a_table_of_the_stages_is_read_and_not_written(db: Database) -> None:
    orders: Repository[Order] = Repository(db, ORDERS, Order)
    assert (orders.count(), orders.find_all()) == (0, [])
    for write in (
        lambda: orders.insert({"order_uid": "X"}),
        lambda: orders.upsert({"order_uid": "X"}),
        lambda: orders.upsert_many([{"order_uid": "X"}]),
        lambda: orders.delete("X"),
        lambda: orders.delete_where(order_uid="X"),
    ):
        with pytest.raises(StorageError, match=r"^orders_norm is written by the pipeline: [^\n]+$"):
            write()


def test_a_view_is_read_and_not_written(db: Database) -> None:
    view = Table("trading_signals", columns_of(TradeSignal), SIGNALS.key)
    seen: Repository[TradeSignal] = Repository(db, view, TradeSignal)
    query(db.url, "INSERT INTO trade_signals (signal_uid, source, symbol) VALUES ('S', 'x', 'US.AAPL')")
    assert [row.signal_uid for row in seen.find_where(source="x")] == ["S"]
    with pytest.raises(StorageError, match="trading_signals is written by the pipeline"):
        seen.delete("S")
    assert seen.count() == 1
