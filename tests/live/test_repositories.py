"""What engines and analysts write is found by the questions that they ask, and by several of them at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.fingerprints import canonical, fingerprint_of
from apex_pipeline.domain.market import SignalStatus, TradeSignal, signal_uid_of
from apex_pipeline.domain.models import Broker, Side
from apex_pipeline.domain.results import Backtest, EventSeverity, ResearchKind, RiskLevel, RiskSignal
from apex_pipeline.errors import StorageError
from apex_pipeline.live import (
    BacktestRepository,
    Database,
    LlmAnalysisRepository,
    ResearchRepository,
    RiskSignalRepository,
    Store,
    SyncStateRepository,
    SystemEventRepository,
    TradeSignalRepository,
)
from tests.store.rows import query

AT = datetime(2026, 3, 9, 12, tzinfo=UTC)
HONG_KONG = timezone(timedelta(hours=8))


def risk(minutes: int, level: RiskLevel = RiskLevel.BREACH, kind: str = "GROSS", **more: Any) -> RiskSignal:
    at = AT + timedelta(minutes=minutes)
    told = RiskSignal(kind, level, "gross", Decimal(2), Decimal(1), "PORTFOLIO", raised_at=at, signal_uid=f"R{minutes}")
    return replace(told, **more)


# Risk --------------------------------------------------------------------------------------------------------


def test_signals_of_risk_are_found_by_type_and_breaches_that_stand_come_first(db: Database) -> None:
    repository = RiskSignalRepository(db)
    repository.upsert_many([
        risk(0), risk(1, resolved_at=AT), risk(2), risk(3, RiskLevel.WARNING), risk(4, resolved_at=AT),
        risk(5, kind="MARGIN"),
    ])  # fmt: skip
    assert [row.signal_uid for row in repository.find_by_type("GROSS")] == ["R4", "R3", "R2", "R1", "R0"]
    assert [row.signal_uid for row in repository.find_by_type("GROSS", limit=1)] == ["R4"]
    assert [row.signal_uid for row in repository.find_breaches()] == ["R5", "R2", "R0", "R4", "R1"]
    since = AT + timedelta(minutes=2)
    assert [row.signal_uid for row in repository.find_breaches(since, limit=3)] == ["R5", "R2", "R4"]
    assert repository.get_signal_counts_by_type() == {"GROSS": 5, "MARGIN": 1}
    assert repository.get_signal_counts_by_type(since) == {"GROSS": 3, "MARGIN": 1}


def test_a_signal_of_risk_is_resolved_once(db: Database) -> None:
    repository = RiskSignalRepository(db)
    repository.insert(risk(0))
    assert repository.resolve("R0", AT + timedelta(hours=1))
    assert not repository.resolve("R0")
    assert not repository.resolve("nobody's")
    stored = repository.find_by_id("R0")
    assert stored is not None
    assert stored.resolved_at == AT + timedelta(hours=1)


# What is to be done ------------------------------------------------------------------------------------------


def test_the_same_signal_told_again_is_one_row_and_another_content_is_a_second(db: Database) -> None:
    repository = TradeSignalRepository(db)
    first = repository.log("trend", "US.AAPL", "buy", Decimal("0.80"), {"stop": Decimal("1.10"), "n": 1}, key="K")
    assert (first.side, first.status) == (Side.BUY, SignalStatus.PENDING)
    again = repository.log("trend", "US.AAPL", Side.BUY, Decimal("0.8"), {"n": 1, "stop": Decimal("1.1")}, key="K")
    assert again == first
    repository.mark_executed(first.signal_uid)
    assert (
        repository.log("trend", "US.AAPL", "BUY", Decimal("0.8"), {"n": 1, "stop": 1.1}, key="K").status == "EXECUTED"
    )
    other = repository.log("trend", "US.AAPL", Side.BUY, Decimal("0.9"), {"n": 1}, key="K")
    assert other.signal_uid != first.signal_uid
    assert repository.count() == 2


def test_two_signals_without_a_key_are_two_even_if_they_say_the_same(db: Database) -> None:
    repository = TradeSignalRepository(db)
    one, two = (repository.log("trend", "US.AAPL", "BUY") for _ in range(2))
    assert one.signal_uid != two.signal_uid
    assert repository.log("trend", "US.AAPL", "BUY", created_at=one.created_at) == one
    assert repository.insert({"source": "x", "symbol": "US.AAPL"}) is not None
    row = TradeSignal("", "x", "K", "US.AAPL", None, None, {}, SignalStatus.PENDING, AT, None)
    stored = repository.insert(row)
    assert stored is not None
    assert stored.signal_uid == signal_uid_of("x", "K", "US.AAPL")
    assert repository.insert(row) is None
    assert repository.upsert_many([row, row]).changed == 0


NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12)
LEAVES = st.none() | st.booleans() | NUMBERS | st.integers(-(10**20), 10**20) | st.text(max_size=5)
PAYLOADS = st.dictionaries(st.text(max_size=5), LEAVES | st.lists(LEAVES, max_size=3), max_size=5)


def other_form(value: Any) -> Any:
    """The same content in another form: keys the other way round, numbers with more zeros."""
    match value:
        case bool() | None | str():
            return value
        case int() | Decimal():
            return Decimal(f"{value}.000") if isinstance(value, int) else Decimal(f"{value:f}0")
        case dict():
            return {key: other_form(one) for key, one in reversed([*value.items()])}
        case _:
            return [other_form(one) for one in value]


@given(payload=PAYLOADS, other=PAYLOADS)
def test_a_uid_follows_from_the_content_and_not_from_its_form(payload: dict[str, Any], other: dict[str, Any]) -> None:
    same = signal_uid_of("s", "k", "US.AAPL", Side.BUY, payload=payload) == signal_uid_of(
        "s", "k", "US.AAPL", "BUY", payload=other_form(payload)
    )
    assert same
    if canonical(payload) != canonical(other):
        assert fingerprint_of(payload) != fingerprint_of(other)


def test_different_contents_have_different_fingerprints() -> None:
    different = [
        1,
        "1",
        True,
        None,
        "",
        [],
        {},
        [1],
        ["1"],
        [[1]],
        {"a": 1},
        {"a": "1"},
        {"1": "a"},
        "null",
        11,
        [1, 1],
    ]
    assert len({fingerprint_of(one) for one in different}) == len(different)
    assert fingerprint_of("a", "b") != fingerprint_of("ab", "")
    assert fingerprint_of(AT) == fingerprint_of(AT.astimezone(HONG_KONG))
    assert fingerprint_of(Decimal("12345678901234567890.12345678901234567890")) != fingerprint_of(
        Decimal("12345678901234567890.12345678901234567891")
    )
    for wrong, error in ((float("nan"), ValueError), ({1, 2}, TypeError), (b"x", TypeError)):
        with pytest.raises(error):
            fingerprint_of(wrong)


def test_pending_signals_come_oldest_first_and_those_of_a_source_newest_first(db: Database) -> None:
    repository = TradeSignalRepository(db)
    signals = [repository.log("trend", "US.AAPL", key=str(n), created_at=AT + timedelta(minutes=n)) for n in range(4)]
    repository.log("other", "US.AAPL", key="0", created_at=AT + timedelta(minutes=9))
    repository.mark_executed(signals[1].signal_uid, AT)
    repository.cancel(signals[2].signal_uid)
    assert [(row.source, row.signal_key) for row in repository.find_pending()] == [
        ("trend", "0"), ("trend", "3"), ("other", "0"),
    ]  # fmt: skip
    assert [row.signal_key for row in repository.find_by_source("trend")] == ["3", "2", "1", "0"]
    assert [row.signal_key for row in repository.find_by_source("trend", limit=1)] == ["3"]
    assert [row.status for row in repository.find_by_source("trend")][1:3] == ["CANCELLED", "EXECUTED"]


def test_of_many_who_mark_the_same_signal_one_is_told_so(db: Database) -> None:
    repository = TradeSignalRepository(db)
    uid = repository.log("trend", "US.AAPL").signal_uid
    start = threading.Barrier(8)

    def mark(at: int) -> bool:
        start.wait(10)
        return TradeSignalRepository(db).mark_executed(uid, AT + timedelta(seconds=at))

    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(mark, range(8)))
    assert sum(told) == 1
    stored = repository.find_by_id(uid)
    assert stored is not None
    assert stored.executed_at == AT + timedelta(seconds=told.index(True))
    assert not repository.cancel(uid)
    assert not repository.mark_executed("nobody's")


def test_pending_signals_of_long_ago_expire_and_are_not_executed_any_more(db: Database) -> None:
    repository = TradeSignalRepository(db)
    now: datetime = db.fetchval("now")
    old = repository.log("trend", "A", key="old", created_at=now - timedelta(hours=25))
    done = repository.log("trend", "A", key="done", created_at=now - timedelta(hours=25))
    repository.mark_executed(done.signal_uid)
    repository.log("trend", "A", key="new", created_at=now - timedelta(hours=23))
    assert repository.expire_old() == 1
    assert not repository.mark_executed(old.signal_uid)
    assert [row.signal_key for row in repository.find_pending()] == ["new"]
    assert repository.expire_old(max_age_hours=0.5) == 1


# Results -----------------------------------------------------------------------------------------------------


def backtest(
    strategy: str, minutes: int, figures: tuple[str | None, str | None, str | None], **metrics: Any
) -> Backtest:
    day = date(2026, 1, 2)
    total, sharpe, drawdown = (None if one is None else Decimal(one) for one in figures)
    at = AT + timedelta(minutes=minutes)
    return Backtest(strategy, day, day, {}, total, sharpe, drawdown, metrics, at, f"{strategy}{minutes}")


def test_backtests_are_ranked_by_any_figure_and_those_without_it_are_left_out(db: Database) -> None:
    repository = BacktestRepository(db)
    repository.upsert_many([
        backtest("a", 0, ("0.10", "1.5", "-0.20"), calmar=Decimal("0.5")),
        backtest("a", 1, ("-0.05", None, "-0.40"), calmar="none"),
        backtest("a", 2, (None, "0.5", None)),
        backtest("b", 3, ("0.30", "1.0", "-0.10"), calmar=3),
    ])  # fmt: skip

    def top(*told: Any) -> list[str | None]:
        return [row.backtest_uid for row in repository.find_top_performers(*told)]

    assert top() == ["a0", "b3", "a2"]
    assert top("total_return") == ["b3", "a0", "a1"]
    assert top("max_drawdown", 2) == ["b3", "a0"], "the smallest loss first"
    assert top("calmar") == ["b3", "a0"]
    assert top("' OR true --") == []
    assert [row.backtest_uid for row in repository.find_by_strategy("a")] == ["a2", "a1", "a0"]
    summary = repository.get_strategy_summary("a")
    assert (summary.runs, summary.best_return, summary.mean_return, summary.worst_return) == (
        3, Decimal("0.10"), Decimal("0.0250000000"), Decimal("-0.05"),
    )  # fmt: skip
    assert (summary.mean_sharpe, summary.worst_drawdown) == (Decimal(1), Decimal("-0.40"))
    nothing = repository.get_strategy_summary("c")
    assert (nothing.runs, nothing.best_return, nothing.worst_drawdown) == (0, None, None)


def test_events_are_found_from_a_severity_upwards_the_newest_first(db: Database) -> None:
    repository = SystemEventRepository(db)
    for severity in ("debug", "INFO", EventSeverity.WARNING, "warn", "ERROR", "critical"):
        repository.log_event("ENGINE", severity, f"it is {severity}", {"n": 1}, account="1")
    newest = repository.get_recent_events(limit=1)[0]
    assert (newest.severity, newest.message, newest.details) == ("CRITICAL", "it is critical", {"n": 1, "account": "1"})
    assert newest.occurred_at is not None
    severities = [event.severity for event in repository.get_recent_events("warning")]
    assert severities == ["CRITICAL", "ERROR", "WARNING", "WARNING"]
    assert len(repository.get_recent_events()) == 6
    with pytest.raises(ValueError, match="TERRIBLE"):
        repository.log_event("ENGINE", "terrible", "x")
    query(db.url, "UPDATE system_events SET occurred_at = now() - interval '400 days' WHERE severity = 'INFO'")
    assert repository.cleanup_old() == 1
    assert repository.count() == 5
    with pytest.raises(ValueError, match="0 days or more"):
        repository.cleanup_old(-1)


def test_questions_to_models_are_kept_with_what_they_cost(db: Database) -> None:
    repository = LlmAnalysisRepository(db)
    repository.log("small", "why?", "because", tokens=3, cost=Decimal("0.0010"), latency_ms=12)
    repository.log("large", "why?", error="too long", cost=None)
    repository.log("small", "how?", "so", cost=Decimal("0.0015"))
    assert [row.prompt for row in repository.get_recent("small")] == ["how?", "why?"]
    assert repository.get_recent(limit=1)[0].prompt == "how?"
    assert repository.get_total_cost() == Decimal("0.0025")
    assert repository.get_total_cost(datetime(9999, 1, 1, tzinfo=UTC)) == 0
    assert repository.cleanup_old(0) == 3


def test_research_is_recorded_once_by_what_it_says(db: Database) -> None:
    repository = ResearchRepository(db)
    told: dict[str, Any] = {"text": "up", "score": Decimal("0.50")}
    assert repository.record("tweet", "x", AT, told, symbol="US.AAPL")
    assert not repository.record(
        ResearchKind.TWEET, "x", AT.astimezone(HONG_KONG), {"score": 0.5, "text": "up"}, symbol="US.AAPL"
    )
    assert repository.record("tweet", "x", AT, {**told, "text": "down"}, symbol="US.AAPL")
    assert repository.record("OPTIONS_FLOW", "y", AT - timedelta(days=1), {}, symbol="US.AAPL", fingerprint="theirs")
    assert not repository.record("OPTIONS_FLOW", "y", AT, {"other": 1}, fingerprint="theirs")
    assert repository.record("reddit_post", "z", AT + timedelta(days=1), {})
    assert [row.payload.get("text") for row in repository.find_by_symbol("US.AAPL", "TWEET")] == ["up", "down"]
    assert [row.kind for row in repository.find_by_symbol("US.AAPL")] == ["TWEET", "TWEET", "OPTIONS_FLOW"]
    assert [row.source for row in repository.find_by_kind("reddit_post")] == ["z"]
    assert len(repository.get_by_time_range(AT, AT)) == 2
    assert [row.kind for row in repository.get_by_time_range(end=AT, kind="options_flow")] == ["OPTIONS_FLOW"]
    with pytest.raises(ValueError, match="RUMOUR"):
        repository.record("rumour", "x", AT, {})


# How far it goes ---------------------------------------------------------------------------------------------


def test_a_watermark_of_an_engines_own_data_is_moved_and_never_back(db: Database) -> None:
    repository = SyncStateRepository(db)
    asked = ("futu", "1", "futu_quotes")
    assert repository.get_state(*asked) is None
    assert repository.get_last_record_time(*asked) is None
    assert repository.needs_sync(*asked)
    state = repository.update_sync_complete(*asked, "US", last_record_at=AT, records=5)
    assert (state.broker, state.market, state.last_record_at, state.records) == (Broker.FUTU, "US", AT, 5)
    assert repository.update_sync_complete(*asked, "US").last_record_at == AT, "an unknown instant changes nothing"
    assert repository.get_last_record_time(*asked, "US") == AT
    assert not repository.needs_sync(*asked, "US")
    assert repository.needs_sync(*asked, "US", max_age_hours=0)
    assert repository.needs_sync(*asked, "HK"), "another market"
    assert repository.needs_sync(*asked)
    repository.update_sync_complete(*asked)
    assert not repository.needs_sync(*asked, "HK"), "all markets are each of them"
    with pytest.raises(ValueError, match="needs a zone"):
        repository.update_sync_complete(*asked, last_record_at=datetime(2026, 1, 1))  # noqa: DTZ001
    query(db.url, "UPDATE sync_state SET last_sync_at = now() - interval '25 hours'")
    assert repository.needs_sync(*asked, "US")
    assert not repository.needs_sync(*asked, "US", max_age_hours=26)


def test_a_snapshot_is_saved_and_found_at_its_moment(db: Database) -> None:
    store = Store(db)
    held = [{"symbol": "US.AAPL", "qty": Decimal("10.50"), "currency": "USD"}]
    first = store.save_position_snapshot("ib", "U1", held, captured_at=AT)
    store.save_position_snapshot("ib", "U1", [], captured_at=AT + timedelta(hours=1))
    assert (first.position_count, first.positions) == (1, held)
    assert store.get_snapshot_at("IB", "U1", AT + timedelta(minutes=59)) == first
    later = store.get_snapshot_at("IB", "U1", AT + timedelta(hours=2))
    assert later is not None
    assert later.position_count == 0
    assert store.get_snapshot_at("IB", "U1", AT - timedelta(seconds=1)) is None
    assert store.save_position_snapshot("ib", "U1", held).captured_at > later.captured_at
    with pytest.raises(ValueError, match="needs a zone"):
        store.save_position_snapshot("ib", "U1", held, captured_at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_an_empty_database_has_no_boundaries_and_no_payloads(db: Database) -> None:
    store = Store(db)
    assert store.get_data_boundaries() == []
    assert store.query_raw_payload("futu", "orders", "1") is None
    assert store.query_raw_versions("ib", "trade", "1") == []
    with pytest.raises(ValueError, match="dividends"):
        store.query_raw_payload("futu", "dividends", "1")


def test_a_storage_error_is_one_line(db: Database) -> None:
    with pytest.raises(StorageError) as caught:
        BacktestRepository(db).insert({"strategy": "s", "started_on": date(2026, 1, 2), "ended_on": date(2026, 1, 1)})
    assert "\n" not in str(caught.value)
