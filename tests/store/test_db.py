"""The guarded merge: equal rows are not written, unknown never replaces known, every text comes back as it was."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apex_pipeline.domain.checks import Severity
from apex_pipeline.domain.models import AssetClass, Broker, Instrument, Order, OrderStatus, Side
from apex_pipeline.domain.reconciliation import Break, BreakState
from apex_pipeline.errors import ConfigError, StorageError, StorageUnavailable
from apex_pipeline.store.connection import where
from apex_pipeline.store.copy_text import to_json
from apex_pipeline.store.db import Database, database_name
from apex_pipeline.store.tables import BREAKS, INSTRUMENTS, ORDERS, Table, as_row, row_as
from apex_pipeline.store.transaction import Merged
from tests.store.rows import query, value

AT = datetime(2026, 3, 8, 7, 30, 0, 123457, tzinfo=UTC)

ORDER = Order(
    order_uid="FUTU_1_A", broker=Broker.FUTU, account_id="1", broker_order_id="A", market="US", symbol="US.AAPL",
    underlying=None, asset_class=AssetClass.STOCK, side=Side.BUY, position_effect=None, order_type="LIMIT",
    status=OrderStatus.FILLED, broker_status="11", qty=Decimal(3), filled_qty=Decimal(3), limit_price=Decimal("10.10"),
    avg_price=Decimal("10.0166666667"), currency="USD", multiplier=Decimal(1), created_at=AT, updated_at=AT,
    trade_date=date(2026, 3, 7), combo_id=None, legs=None, declared_strategy=None, remark="",
    source="futu_orders",
)  # fmt: skip

FOUND = Break(
    break_uid="B_1", check_name="c", severity=Severity.ERROR, broker=Broker.FUTU, account_id="1", subject="s",
    business_date=date(2026, 3, 7), expected=Decimal(3), actual=None, delta=None, currency=None,
    state=BreakState.OPEN, cause=None, first_seen_at=AT, last_seen_at=AT, age_bd=2, evidence={},
)  # fmt: skip

AWKWARD = "tab\t newline\n return\r backslash\\ \\N \\. quote\" ' nul\x00 中文 é 🀄 \u2028 end"
READABLE = AWKWARD.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def merged(db: Database, table: Table, *rows: Any) -> Merged:
    with db.transaction() as tx:
        return tx.merge(table, map(as_row, rows))


def row_versions(url: str) -> list[tuple[Any, ...]]:
    """Where each order row stands and which transaction wrote it: a written row changes both."""
    return query(url, "SELECT order_uid, ctid::text, xmin::text FROM orders_norm ORDER BY 1")


def stored(db: Database, uid: str = ORDER.order_uid) -> Order:
    with db.transaction() as tx:
        (row,) = tx.find(ORDERS, {"order_uid": uid}, 2)
    return row_as(Order, row)


def test_an_equal_row_is_not_written_and_another_one_is(db: Database) -> None:
    other = replace(ORDER, order_uid="FUTU_1_B")
    assert merged(db, ORDERS, ORDER, other) == Merged(2, 0)
    before = row_versions(db.url)
    assert merged(db, ORDERS, ORDER, other) == Merged(0, 0)
    assert row_versions(db.url) == before
    assert merged(db, ORDERS, ORDER, replace(other, filled_qty=Decimal(2))) == Merged(0, 1)
    after = row_versions(db.url)
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_a_plain_upsert_would_have_written_it(db: Database) -> None:
    merged(db, ORDERS, ORDER)
    before = row_versions(db.url)
    query(
        db.url,
        "INSERT INTO orders_norm SELECT * FROM orders_norm ON CONFLICT (order_uid) DO UPDATE SET qty = EXCLUDED.qty",
    )
    assert row_versions(db.url) != before


def test_an_order_comes_back_as_it_was(db: Database) -> None:
    told = replace(ORDER, remark=AWKWARD, legs=[{"symbol": AWKWARD, "side": "BUY", "ratio": Decimal("1.10")}])
    merged(db, ORDERS, told)
    assert stored(db) == replace(
        told, remark=READABLE, legs=[{**told.legs[0], "symbol": READABLE}] if told.legs else None
    )


def test_an_empty_text_and_an_unknown_one_stay_different(db: Database) -> None:
    merged(db, ORDERS, ORDER, replace(ORDER, order_uid="FUTU_1_B", remark=None))
    assert (stored(db).remark, stored(db, "FUTU_1_B").remark) == ("", None)
    assert merged(db, ORDERS, replace(ORDER, order_type="")) == Merged(0, 1)
    assert merged(db, ORDERS, replace(ORDER, order_type=None)) == Merged(0, 1)
    assert stored(db).order_type is None


def test_an_unknown_remark_never_displaces_a_known_one(db: Database) -> None:
    merged(db, ORDERS, replace(ORDER, remark="swing"))
    assert merged(db, ORDERS, replace(ORDER, remark=None)) == Merged(0, 0)
    assert merged(db, ORDERS, replace(ORDER, remark="scalp")) == Merged(0, 1)


def test_thirty_digits_stay_thirty_digits(db: Database) -> None:
    price, qty = Decimal("123456789012345.678901234567891"), Decimal("0.000000000000000000000000000001")
    merged(db, ORDERS, replace(ORDER, avg_price=price, qty=qty, limit_price=Decimal("-1E+3")))
    assert (stored(db).avg_price, stored(db).qty, stored(db).limit_price) == (price, qty, Decimal(-1000))
    assert float(price) != price


def test_a_price_that_is_no_number_is_refused_and_leaves_nothing(db: Database) -> None:
    for name, wrong in (("avg_price", "NaN"), ("avg_price", "Infinity"), ("qty", "NaN"), ("qty", "-1")):
        with pytest.raises(psycopg2.errors.CheckViolation):
            merged(db, ORDERS, ORDER, replace(ORDER, order_uid="FUTU_1_B", **{name: Decimal(wrong)}))
    assert row_versions(db.url) == []


def test_what_is_unknown_never_replaces_a_known_multiplier(db: Database) -> None:
    merged(db, ORDERS, ORDER)
    assert merged(db, ORDERS, replace(ORDER, multiplier=None)) == Merged(0, 0)
    assert merged(db, ORDERS, replace(ORDER, multiplier=None, currency=None)) == Merged(0, 1)
    assert (stored(db).multiplier, stored(db).currency) == (Decimal(1), None)
    assert merged(db, ORDERS, replace(ORDER, multiplier=Decimal(100))) == Merged(0, 1)


def test_two_brokers_complete_one_instrument(db: Database) -> None:
    unknown = dict.fromkeys(INSTRUMENTS.columns)
    futu = row_as(Instrument, {**unknown, "symbol": "US.AAPL", "asset_class": "STOCK", "futu_code": "US.AAPL"})
    ib = replace(futu, futu_code=None, ib_conid="265598", currency="USD")
    merged(db, INSTRUMENTS, futu)
    merged(db, INSTRUMENTS, ib)
    assert merged(db, INSTRUMENTS, futu) == Merged(0, 0)
    rows = query(db.url, "SELECT futu_code, ib_conid, currency FROM instruments")
    assert rows == [("US.AAPL", "265598", "USD")]


def test_the_same_key_twice_in_one_merge_is_one_row(db: Database) -> None:
    assert merged(db, ORDERS, ORDER, ORDER) == Merged(1, 0)


def test_a_break_read_back_equals_the_one_that_was_written(db: Database) -> None:
    evidence = {"uids": ["a", AWKWARD], "sum": Decimal("0.10"), "none": None, "yes": True, "deep": {"n": 10**20}}
    told = replace(FOUND, evidence=evidence)
    merged(db, BREAKS, told)
    day = told.business_date
    read = [row_as(Break, row) for row in db.fetch("breaks_between", from_date=day, to_date=day)]
    assert read == [replace(told, evidence={**evidence, "uids": ["a", READABLE]})]
    assert merged(db, BREAKS, *read) == Merged(0, 0)


NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**24), max_value=10**24)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).filter(lambda text: "\\u0000" not in text)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def visible(told: Any) -> Any:
    """What jsonb can hold of a value: NUL becomes a visible character."""
    match told:
        case str():
            return told.replace("\x00", "\N{REPLACEMENT CHARACTER}")
        case list():
            return [visible(item) for item in told]  # pyright: ignore[reportUnknownVariableType]
        case dict():
            return {visible(name): visible(item) for name, item in told.items()}  # pyright: ignore[reportUnknownVariableType]
        case _:
            return told


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(evidence=st.dictionaries(TEXTS, VALUES, max_size=4), text=TEXTS)
def test_any_json_and_any_text_survive_copy(db: Database, evidence: dict[str, Any], text: str) -> None:
    told = replace(FOUND, evidence=evidence, subject=text)
    merged(db, BREAKS, told)
    day = told.business_date
    read = [row_as(Break, row) for row in db.fetch("breaks_between", from_date=day, to_date=day)]
    assert [(row.evidence, row.subject) for row in read] == [(visible(evidence), visible(text))]


def test_json_holds_no_binary_float() -> None:
    assert to_json({"price": Decimal("0.1")}) == '{"price":0.1}'
    with pytest.raises(TypeError, match="set has no JSON form"):
        to_json({"price": {1}})


def test_statistics_follow_a_table_that_grew_and_are_left_alone_otherwise(db: Database) -> None:
    believed = "SELECT reltuples FROM pg_class WHERE relname = 'orders_norm'"
    with db.transaction() as tx:
        _ = tx.merge(ORDERS, (as_row(replace(ORDER, order_uid=f"FUTU_1_{n}")) for n in range(200)))
        tx.analyze_changed([ORDERS.name])
    assert value(db.url, believed) == 200
    with db.transaction() as tx:
        _ = tx.merge(ORDERS, [as_row(replace(ORDER, order_uid="FUTU_1_next"))])
        tx.analyze_changed([ORDERS.name])
    assert value(db.url, believed) == 200, "one row more is nothing new"


def test_an_error_inside_a_transaction_leaves_nothing_of_it(db: Database) -> None:
    def broken() -> None:
        with db.transaction() as tx:
            tx.merge(ORDERS, [as_row(ORDER)])
            assert tx.find(ORDERS, {"order_uid": ORDER.order_uid}, 2)
            raise ConfigError("stop")

    with pytest.raises(ConfigError, match="stop"):
        broken()
    assert row_versions(db.url) == []


def end_connections(db: Database) -> None:
    query(
        db.url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND application_name = 'apex'",
        database_name(db.url),
    )


def test_a_connection_lost_within_a_transaction_is_one_clear_error_and_the_next_use_connects_again(
    db: Database,
) -> None:
    def interrupted() -> None:
        with db.transaction() as tx:
            tx.merge(ORDERS, [as_row(ORDER)])
            end_connections(db)
            tx.fetch("now")

    with pytest.raises(StorageUnavailable, match="was lost"):
        interrupted()
    assert db.fetchval("now") is not None
    assert row_versions(db.url) == []


def test_a_statement_on_its_own_is_tried_again_on_another_connection(db: Database) -> None:
    db.connect()
    end_connections(db)
    assert db.fetchval("now") is not None
    assert db.get_pool_stats()["lost"] >= 1


def test_a_password_is_not_in_the_error_of_a_server_that_is_not_there() -> None:
    with pytest.raises(StorageError) as caught:
        Database("postgresql://apex:hunter2@127.0.0.1:1/apex").connect()
    assert "127.0.0.1:1/apex" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert where("postgresql://apex:hunter2@h:1/apex") == "h:1/apex"


def test_an_instant_is_stored_to_the_microsecond_and_read_as_utc(db: Database) -> None:
    merged(db, ORDERS, ORDER)
    assert value(db.url, "SELECT extract(epoch FROM created_at) FROM orders_norm") == Decimal("1772955000.123457")
    created = stored(db).created_at
    assert created is not None
    assert created.utcoffset() == AT.utcoffset()
