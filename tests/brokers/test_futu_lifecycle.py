"""The book entries of a scenario, told by Futu in cash and positions only, become the trades that they were."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.brokers.futu import records, wire
from apex_pipeline.brokers.futu.decoding import plain
from apex_pipeline.brokers.futu.normalize import normalize
from apex_pipeline.brokers.futu.simulator_accounts import futu_accounts, is_paper, position_row
from apex_pipeline.brokers.futu.simulator_cash import CashBook
from apex_pipeline.brokers.futu.simulator_messages import fill_row, order_id, order_id_ex, order_row
from apex_pipeline.brokers.futu.simulator_rules import Language
from apex_pipeline.brokers.scenario import Scenario, ScenarioAccount
from apex_pipeline.brokers.scenario_cash import cash_flow
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.lifecycle import Ended, Holdings, endings
from apex_pipeline.domain.models import AssetClass, Broker, CashKind, Side, Trade, TradeKind
from apex_pipeline.domain.records import Normalized, Record, RecordKind

END = date(2026, 3, 9)
AFTER = datetime(2026, 3, 10, 12, tzinfo=UTC)
EVERY_DAY = frozenset(END - timedelta(days=n) for n in range(900))


@pytest.fixture(scope="module", params=[3, 7])
def scenario(request: pytest.FixtureRequest) -> Scenario:
    return generate(seed=request.param, orders=500, days=365, end=END)


def as_told(messages: Sequence[Any]) -> list[dict[str, Any]]:
    return wire.load_rows(wire.dump_rows([plain(message) for message in messages]))


def told_by(scenario: Scenario, account: ScenarioAccount, language: Language = "en", **how: bool) -> list[Record]:
    """What Futu tells of an account: orders, deals, cash flow, and its positions on the day after the end."""
    own = account.account_id
    mine = [o for o in scenario.orders if o.broker is Broker.FUTU and o.account_id == own]
    orders = as_told([order_row(order, paper=False) for order in mine])
    deals = as_told([fill_row(o, fill, order_id_ex(o), order_id(o)) for o in mine for fill in o.fills])
    told = [*records.orders(own, orders).records.values(), *records.deals(own, deals, {}).records.values()]
    book = CashBook(scenario, account, language, one_row_endings=how.get("one_row", False))
    for day in EVERY_DAY:
        told += records.cash(own, as_told(book.rows(day)), day).records.values()
    held = [h for h in scenario.holdings if h.broker is Broker.FUTU and h.account_id == own and h.qty]
    positions = as_told([position_row(one) for one in held])
    return [*told, records.snapshot(RecordKind.POSITIONS, own, positions, AFTER.date(), AFTER)]


def accounts_of(scenario: Scenario) -> list[ScenarioAccount]:
    return [account for account in futu_accounts(scenario) if not is_paper(account)]


def snapshot_of(made: Normalized) -> Holdings:
    return Holdings(AFTER, {position.symbol: position.qty for position in made.positions})


def ended(made: Normalized) -> Ended:
    instruments = {instrument.symbol: instrument for instrument in made.instruments}
    return endings(made.trades, made.cash_movements, [snapshot_of(made)], instruments, EVERY_DAY)


def sums(rows: Sequence[Trade]) -> dict[tuple[Any, ...], Decimal]:
    """Quantity by everything that matters of a book entry."""
    found: defaultdict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    for row in rows:
        found[row.kind, row.symbol, row.side, row.price, row.trade_date] += row.qty
    return dict(found)


def true_sums(scenario: Scenario, account_id: str, names: dict[Any, str]) -> dict[tuple[Any, ...], Decimal]:
    found: defaultdict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    for event in scenario.events:
        if event.broker is Broker.FUTU and event.account_id == account_id:
            contract = event.contract
            name = names[contract.market, contract.code, contract.strike, contract.expiry, contract.right]
            found[event.kind, name, event.side, event.price, event.trade_date] += event.qty
    return dict(found)


def names_of(scenario: Scenario) -> dict[Any, str]:
    """Symbols by the scenario's own terms, made independently of the codec."""
    contracts = [e.contract for e in scenario.events]
    return {
        (c.market, c.code, c.strike, c.expiry, c.right): f"{c.market}.{c.code}"
        + (f" {c.expiry} {c.right} {c.strike.normalize():f}" if c.strike and c.right else "")
        for c in contracts
    }


@pytest.mark.parametrize(("language", "one_row"), [("en", False), ("zh", False), ("en", True)])
def test_every_end_of_an_option_is_recovered_exactly(scenario: Scenario, language: Language, one_row: bool) -> None:
    """Whether a delivery is told in one row or in two, as on the one published row."""
    kinds: set[TradeKind] = set()
    for account in accounts_of(scenario):
        found = ended(normalize(told_by(scenario, account, language, one_row=one_row)))
        assert found.rejects == []
        assert sums(found.trades) == true_sums(scenario, account.account_id, names_of(scenario))
        kinds |= {trade.kind for trade in found.trades}
    assert kinds == {TradeKind.ASSIGNMENT, TradeKind.EXERCISE, TradeKind.EXPIRATION}


def test_every_booking_of_the_scenario_has_its_kind_and_amount(scenario: Scenario) -> None:
    for account in accounts_of(scenario):
        made = normalize(told_by(scenario, account, "zh", one_row=True))
        told = [(b.booked_on, b.kind, b.currency, b.amount) for b in cash_flow(scenario, account)]
        assert sorted((m.booked_on, m.kind, str(m.currency), m.amount) for m in made.cash_movements) == sorted(told)
        assert made.drifts == []


def test_trades_and_ends_together_are_what_the_broker_says_is_held(scenario: Scenario) -> None:
    for account in accounts_of(scenario):
        made = normalize(told_by(scenario, account))
        net: defaultdict[str, Decimal] = defaultdict(Decimal)
        for trade in [*made.trades, *ended(made).trades]:
            net[trade.symbol] += trade.qty if trade.side is Side.BUY else -trade.qty
        assert {symbol: qty for symbol, qty in net.items() if qty} == {p.symbol: p.qty for p in made.positions}


def test_ends_have_the_ids_of_the_trades_that_they_end(scenario: Scenario) -> None:
    for account in accounts_of(scenario):
        made = normalize(told_by(scenario, account))
        ends = ended(made).trades
        ids = {trade.symbol: trade.instrument_id for trade in made.trades}
        assert ends
        assert [row.instrument_id for row in ends] == [ids.get(row.symbol, row.symbol) for row in ends]


def test_deliveries_come_as_two_linked_rows_whose_money_is_the_cash(scenario: Scenario) -> None:
    made = [normalize(told_by(scenario, account)) for account in accounts_of(scenario)]
    rows = [trade for one in made for trade in ended(one).trades]
    delivered = [row for row in rows if row.asset_class is AssetClass.STOCK]
    assert delivered
    options: dict[str | None, Trade] = {
        row.link_id: row for row in rows if row.asset_class is AssetClass.OPTION and row.link_id
    }
    for share in delivered:
        option = options[share.link_id]
        assert (option.kind, option.underlying) == (share.kind, share.symbol)
        assert share.qty == option.qty * (option.multiplier or 0)
        assert share.amount == share.qty * share.price
    paid = sum((-row.amount if row.side is Side.BUY else row.amount) for row in delivered if row.amount)
    bookings = [b for account in accounts_of(scenario) for b in cash_flow(scenario, account)]
    assert paid == sum(b.amount for b in bookings if b.kind in (CashKind.ASSIGNMENT, CashKind.EXERCISE))


def test_the_same_observations_in_any_order_and_again_make_the_same_rows(scenario: Scenario) -> None:
    account = accounts_of(scenario)[0]
    told = told_by(scenario, account, one_row=True)
    first = ended(normalize(told))
    backwards = normalize(told[::-1])
    backwards.trades.extend(first.trades)  # as they stand in the table at the second run
    again = ended(backwards)
    assert sorted(map(repr, again.trades)) == sorted(map(repr, first.trades))
    assert len({trade.trade_uid for trade in first.trades}) == len(first.trades)


def test_without_the_cash_of_the_day_nothing_expires_because_it_may_have_been_assigned(scenario: Scenario) -> None:
    account = accounts_of(scenario)[0]
    made = normalize(told_by(scenario, account))
    held = snapshot_of(made)
    named = {i.symbol: i for i in made.instruments}
    assert endings(made.trades, [], [held], named, frozenset()).trades == []
    # the control: with it the same observations are enough
    kinds = {trade.kind for trade in endings(made.trades, [], [held], named, EVERY_DAY).trades}
    assert kinds == {TradeKind.EXPIRATION}
