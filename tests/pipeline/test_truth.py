"""What a broker knows is what the database shows: every order, every fill, every sum, nothing more."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from apex_pipeline.brokers.scenario import ScenarioOrder, truth
from apex_pipeline.domain.models import Broker, TradeKind
from tests.pipeline.conftest import RAW_TABLES, World, first_weekday, with_endings
from tests.store.rows import query, value


def fills_in_scenario(world: World, broker: Broker) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Every execution by account and id."""
    return {
        (order.account_id, str(fill.fill_id)): (fill.side, fill.qty, fill.price, second(fill.at), fill.trade_date)
        for order in world.scenario.orders
        if order.broker is broker
        for fill in order.fills
    }


def fills_in_database(world: World, broker: Broker) -> dict[tuple[str, str], tuple[Any, ...]]:
    rows = query(
        world.db.url,
        "SELECT account_id, broker_trade_id, side, qty, price, executed_at, trade_date FROM trades_norm "
        "WHERE broker = %s AND effective AND kind = %s",
        broker,
        TradeKind.TRADE,
    )
    return {(account, key): (side, qty, price, second(at), day) for account, key, side, qty, price, at, day in rows}


def second(at: datetime) -> datetime:
    """Statements of IB tell whole seconds."""
    return at.replace(microsecond=0)


def test_the_truth_is_recovered_exactly(loaded: World) -> None:
    for broker, expected in truth(loaded.scenario).items():
        trades = value(loaded.db.url, "SELECT count(*) FROM trades_norm WHERE broker = %s AND effective", broker)
        ended = sum(expected.endings.values())
        assert (loaded.count("orders_norm", broker), trades) == (expected.orders, expected.trades + ended)
        assert loaded.sums("fees_norm", broker) == expected.fees
        assert loaded.sums("trades_norm", broker) == with_endings(expected)
        assert fills_in_database(loaded, broker) == fills_in_scenario(loaded, broker)
    assert loaded.breaks() == []
    assert loaded.count("quarantine") == 0
    assert_a_changed_price_would_be_seen(loaded)


def assert_a_changed_price_would_be_seen(loaded: World) -> None:
    query(loaded.db.url, "UPDATE trades_norm SET price = price + 0.0001, amount = amount + 0.01")
    for broker, expected in truth(loaded.scenario).items():
        assert loaded.sums("trades_norm", broker) != with_endings(expected)
        assert fills_in_database(loaded, broker) != fills_in_scenario(loaded, broker)


def test_every_tax_of_interactive_brokers_is_borne_whole_by_one_trade(loaded: World) -> None:
    unborne = (
        "SELECT count(*), count(*) FILTER (WHERE a.amount IS DISTINCT FROM f.amount) FROM fees_norm f "
        "LEFT JOIN fee_allocations a USING (fee_uid) WHERE f.broker = 'IB' AND f.trade_uid IS NULL"
    )
    ((taxes, without),) = query(loaded.db.url, unborne)
    assert (taxes > 0, without) == (True, 0)
    query(loaded.db.url, "DELETE FROM fee_allocations WHERE broker = 'IB'")
    assert query(loaded.db.url, unborne) == [(taxes, taxes)]


def test_every_trade_of_interactive_brokers_has_the_figures_and_the_id_of_its_statement(loaded: World) -> None:
    lacking = (
        "SELECT count(*), count(*) FILTER (WHERE f.proceeds IS NULL OR f.cost_basis IS NULL OR instrument_id IS NULL) "
        "FROM trades_norm t FULL JOIN broker_trade_figures f USING (trade_uid) "
        "WHERE coalesce(t.broker, f.broker) = 'IB'"
    )
    assert query(loaded.db.url, lacking) == [(loaded.count("trades_norm", Broker.IB), 0)]
    query(loaded.db.url, "UPDATE trades_norm SET trade_uid = trade_uid || '?' WHERE broker = 'IB'")
    assert query(loaded.db.url, lacking) != [(loaded.count("trades_norm", Broker.IB), 0)]


def test_every_trade_hangs_on_its_order_with_the_order_s_quantity(loaded: World) -> None:
    rows = query(
        loaded.db.url,
        "SELECT t.account_id, t.broker_trade_id, o.broker_order_id, o.filled_qty, o.qty, o.status FROM trades_norm t "
        "JOIN orders_norm o USING (order_uid) WHERE o.legs IS NULL",
    )
    told: dict[str, tuple[Decimal, ScenarioOrder]] = {}
    by_fill = {
        (order.account_id, str(fill.fill_id)): order
        for order in loaded.scenario.orders
        if not order.legs
        for fill in order.fills
    }
    for account, key, order_id, filled, qty, status in rows:
        order = by_fill.pop((account, key))
        if order.broker is Broker.FUTU:
            assert (filled, qty, status) == (order.filled_qty, order.qty, order.status)
        assert filled == order.filled_qty
        assert told.setdefault(f"{account} {order_id}", (filled, order))[1] is order
    assert by_fill == {}


def test_every_row_of_the_load_is_accounted_for(loaded: World) -> None:
    loaded.run(loaded.ask(force=True))
    for row in query(
        loaded.db.url, "SELECT status, records, new_versions + unchanged + superseded + quarantined FROM loads"
    ):
        assert row[0] == "COMPLETE"
        assert row[1] == row[2]
    [(records, new)] = query(loaded.db.url, "SELECT sum(records), sum(new_versions) FROM loads")
    assert new == sum(loaded.count(table) for table in RAW_TABLES)
    assert records > new  # the second run brought known records again
    assert value(loaded.db.url, "SELECT count(*) FROM raw_versions") == 0


def test_every_asked_weekday_is_covered_for_every_account(loaded: World) -> None:
    results = loaded.load()
    assert [result.missing_days for result in results] == [(), ()]
    covered = query(
        loaded.db.url,
        "SELECT account_id, min(from_date) <= %s, max(to_date) >= %s FROM load_coverage "
        "WHERE data_type IN ('futu_orders', 'futu_deals', 'ib_flex') GROUP BY account_id, data_type",
        first_weekday(loaded.scenario.start),
        loaded.scenario.end - timedelta(days=2),
    )
    accounts = {account.account_id for account in loaded.scenario.account_details}
    assert {account for account, *_ in covered} == accounts
    assert all(first and last for _, first, last in covered)
