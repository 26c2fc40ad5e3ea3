"""The seeded scenario must be a possible history: every claim here is replayed from its own rows."""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from itertools import groupby
from time import process_time
from zoneinfo import ZoneInfo

import pytest

from apex_pipeline.brokers.scenario import Event, Fill, Scenario, ScenarioOrder, truth
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.brokers.scenario_market import mark_price, tick_of
from apex_pipeline.domain.calendars import CALENDARS
from apex_pipeline.domain.models import AssetClass, Broker, FeeType, OrderStatus, Side, TradeKind
from apex_pipeline.errors import ConfigError
from apex_pipeline.reference.exchanges import market_days

END = date(2026, 7, 31)
ZONES = {"US": ZoneInfo("America/New_York"), "HK": ZoneInfo("Asia/Hong_Kong")}
CASES = [(1, 2000, 365), (7, 400, 30), (3, 5, 4), (9, 60, 1)]


@cache
def scenario(seed: int, orders: int, days: int) -> Scenario:
    return generate(seed, orders, days, END)


def moves(told: Scenario) -> list[tuple[datetime, int, str, Fill | Event, bool | None]]:
    """Every change of a position in the order of time; the last field says whether its order opened."""
    rows: list[tuple[datetime, int, str, Fill | Event, bool | None]] = [
        (f.at, f.fill_id, o.account_id, f, o.opening) for o in told.orders for f in o.fills
    ]
    rows += [(e.at, e.event_id, e.account_id, e, None) for e in told.events]
    return sorted(rows, key=lambda row: row[:2])


def impossible(told: Scenario) -> list[int]:
    """Ids of moves that open against a position or close more than there is."""
    held: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
    wrong: list[int] = []
    for _, key, account, move, opening in moves(told):
        place = (account, move.contract.conid)
        signed = move.qty if move.side == Side.BUY else -move.qty
        before, after = held[place], held[place] + signed
        grows = before * signed >= 0
        closes_too_much = before * after < 0
        is_option = move.contract.right is not None
        if (opening is True and not grows) or (opening is False and (grows or closes_too_much)):
            wrong.append(key)
        if opening is None and is_option and (grows or closes_too_much):
            wrong.append(key)
        held[place] = after
    return wrong


@pytest.mark.parametrize("case", CASES)
def test_nothing_closes_what_is_not_open(case: tuple[int, int, int]) -> None:
    assert impossible(scenario(*case)) == []


def test_the_replay_notices_a_fill_that_is_missing() -> None:
    told = scenario(1, 2000, 365)
    closed = {o.group for o in told.orders if o.fills and not o.opening}
    victim = next(o for o in told.orders if o.opening and o.fills and o.group in closed)
    crippled = replace(told, orders=tuple(replace(o, fills=()) if o is victim else o for o in told.orders))
    assert impossible(crippled)


def test_the_same_arguments_give_the_same_scenario_and_another_seed_another() -> None:
    assert generate(5, 80, 40, END) == generate(5, 80, 40, END)
    assert generate(5, 80, 40, END).orders != generate(6, 80, 40, END).orders


@pytest.mark.parametrize("case", CASES)
def test_each_broker_has_at_least_the_orders_asked_for(case: tuple[int, int, int]) -> None:
    told = truth(scenario(*case))
    assert all(case[1] <= told[broker].orders <= case[1] * 1.1 + 60 for broker in Broker)


def test_orders_are_spread_evenly_over_the_days() -> None:
    told = scenario(1, 2000, 365)
    for broker in Broker:
        quarters = Counter((o.trade_date - told.start).days * 4 // 365 for o in told.orders if o.broker == broker)
        assert all(400 < quarters[n] < 700 for n in range(4)), quarters


@pytest.mark.parametrize("case", CASES)
def test_everything_happens_in_a_session_of_its_exchange_within_the_days(case: tuple[int, int, int]) -> None:
    told = scenario(*case)
    for order in told.orders:
        times = [(order.created_at, order.trade_date), *((f.at, f.trade_date) for f in order.fills)]
        for at, day in times:
            assert in_session(order.contract.market, at, day), (order.number, at)
            assert told.start <= day <= told.end
        assert order.created_at <= order.updated_at
        assert all(order.created_at <= f.at <= order.updated_at for f in order.fills)


def in_session(market: str, at: datetime, day: date) -> bool:
    here = at.astimezone(ZONES[market])
    lunch = market == "HK" and time(12) <= here.time() < time(13)
    (told,) = market_days(CALENDARS[market], day, day)
    open_now = told.opens_at is not None and told.closes_at is not None and told.opens_at <= at < told.closes_at
    return here.date() == day and open_now and not lunch


@pytest.mark.parametrize(
    ("market", "at", "is_open"),
    [
        ("HK", datetime(2026, 7, 30, 3, 30, tzinfo=UTC), True),
        ("HK", datetime(2026, 7, 30, 4, 30, tzinfo=UTC), False),  # lunch
        ("HK", datetime(2026, 2, 16, 5, 30, tzinfo=UTC), False),  # the afternoon before a feast
        ("US", datetime(2025, 11, 28, 17, 30, tzinfo=UTC), True),
        ("US", datetime(2025, 11, 28, 18, 30, tzinfo=UTC), False),  # the day after Thanksgiving
        ("US", datetime(2025, 11, 27, 15, 30, tzinfo=UTC), False),
    ],
)
def test_lunch_holidays_and_the_afternoons_of_short_days_are_outside_the_session(
    market: str, at: datetime, is_open: bool
) -> None:
    assert in_session(market, at, at.date()) == is_open


@pytest.mark.parametrize("case", CASES)
def test_an_assignment_books_the_option_at_zero_and_the_shares_at_the_strike(case: tuple[int, int, int]) -> None:
    told = scenario(*case)
    by_id = {e.event_id: e for e in told.events}
    pairs = [(by_id[e.related], e) for e in told.events if e.related is not None]
    assert {e.broker for _, e in pairs if e.kind == TradeKind.ASSIGNMENT} == set(Broker)
    for option, share in pairs:
        assert option.price == 0
        assert share.price == option.contract.strike
        assert share.qty == option.qty * option.contract.multiplier
        assert (option.kind, option.account_id, option.at) == (share.kind, share.account_id, share.at)
        assert option.at.astimezone(ZONES["US"]).time() == time(16, 20)


def test_partial_fills_and_every_kind_of_end_occur() -> None:
    told = scenario(1, 2000, 365)
    wanted = {OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.PARTIAL_CANCELLED, OrderStatus.REJECTED}
    for broker in Broker:
        mine = [o for o in told.orders if o.broker == broker]
        assert wanted <= {o.status for o in mine}
        assert {len({f.at for f in o.fills}) for o in mine} == {0, 1, 2, 3, 4}
        assert any(o.fills and o.fills[0].trade_date > o.trade_date for o in mine if o.time_in_force == "GTC")
    assert {e.kind for e in told.events} >= {TradeKind.EXPIRATION, TradeKind.ASSIGNMENT}


def test_the_status_of_an_order_says_what_its_fills_sum_to() -> None:
    for order in scenario(1, 2000, 365).orders:
        filled = order.filled_qty
        if order.status == OrderStatus.FILLED:
            assert filled == order.qty
        elif order.status == OrderStatus.PARTIAL_CANCELLED:
            assert 0 < filled < order.qty
        else:
            assert filled == 0


def test_every_leg_of_a_combination_fills_in_its_ratio() -> None:
    combos = [o for o in scenario(1, 2000, 365).orders if o.legs]
    assert combos
    assert {o.broker for o in combos} == {Broker.FUTU}
    for order in combos:
        for leg in order.legs:
            filled = sum(f.qty for f in order.fills if f.contract == leg.contract and f.side == leg.side)
            assert filled == order.filled_qty * leg.ratio


def test_legs_of_one_ib_combination_share_times_and_group_but_not_the_order() -> None:
    sent = [o for o in scenario(1, 2000, 365).orders if o.combo is not None]
    assert {o.broker for o in sent} == {Broker.IB}
    for _, members in groupby(sorted(sent, key=lambda o: (o.combo or 0, o.number)), key=lambda o: o.combo):
        legs = list(members)
        assert len(legs) >= 2
        assert len({tuple(f.at for f in o.fills) for o in legs}) == 1
        assert len({o.group for o in legs}) == len({o.account_id for o in legs}) == 1


def test_declared_and_separate_legs_both_occur_at_both_brokers() -> None:
    by_group: dict[tuple[Broker, int, str], list[ScenarioOrder]] = defaultdict(list)
    for order in scenario(1, 2000, 365).orders:
        by_group[order.broker, order.group, order.action].append(order)
    apart = {b for (b, _, _), orders in by_group.items() if len(orders) > 1 and not orders[0].combo}
    together = {b for (b, _, _), orders in by_group.items() if orders[0].combo or orders[0].legs}
    assert apart == together == set(Broker)


def test_prices_are_on_ticks_and_limits_are_kept() -> None:
    for order in scenario(1, 2000, 365).orders:
        for fill in order.fills:
            tick = tick_of(fill.contract.market, fill.contract.asset_class, fill.price)
            assert fill.price > 0
            assert fill.price % min(tick, Decimal("0.01")) == 0
            if order.limit_price is not None and not order.legs:
                kept = fill.price <= order.limit_price if fill.side == Side.BUY else fill.price >= order.limit_price
                assert kept


def test_hong_kong_trades_whole_lots_of_plausible_contracts() -> None:
    fills = [f for o in scenario(1, 2000, 365).orders for f in o.fills if f.contract.market == "HK"]
    assert {f.contract.currency for f in fills} == {"HKD"}
    for fill in fills:
        assert fill.qty % fill.contract.lot == 0
        assert fill.contract.multiplier == 1 or 100 <= fill.contract.multiplier <= 5000


def test_the_old_futu_account_holds_the_oldest_part_and_ends_empty() -> None:
    told = scenario(1, 2000, 365)
    old = next(a for a in told.account_details if a.status == "DISABLED")
    current = next(a for a in told.account_details if a.broker == Broker.FUTU and a.status == "ACTIVE")
    days = {o.trade_date for o in told.orders if o.account_id == old.account_id}
    assert old.last_day is not None
    assert max(days) == old.last_day
    assert {o.contract.market for o in told.orders if o.account_id == old.account_id} == {"US"}
    assert min(o.trade_date for o in told.orders if o.account_id == current.account_id) > old.last_day
    assert not [h for h in told.holdings if h.account_id == old.account_id]
    assert {h.account_id for h in told.holdings} == {current.account_id, *told.accounts[Broker.IB]}


def test_holdings_are_what_a_replay_leaves() -> None:
    told = scenario(7, 400, 30)
    left: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
    for _, _, account, move, _ in moves(told):
        left[account, move.contract.conid] += move.qty if move.side == Side.BUY else -move.qty
    assert {k: q for k, q in left.items() if q} == {(h.account_id, h.contract.conid): h.qty for h in told.holdings}
    for held in told.holdings:
        assert held.average_price > 0
        assert held.mark_price == mark_price(told.closes, held.contract, END)
        assert held.contract.expiry is None or held.contract.expiry > END


def test_fees_have_the_shape_of_their_schedule() -> None:
    told = scenario(1, 2000, 365)
    for order in told.orders:
        futu = order.broker == Broker.FUTU
        assert bool(order.charges) == (futu and bool(order.fills))
        assert all(c.amount == c.amount.quantize(Decimal("0.01")) for c in order.charges)
        for charge in (*order.charges, *(c for f in order.fills for c in f.charges)):
            if charge.fee_type == FeeType.STAMP_DUTY:
                assert charge.amount == charge.amount.to_integral_value()
                assert order.contract.market == "HK"
    commissions = [c.amount for o in told.orders for f in o.fills for c in f.charges if c.title == "ibCommission"]
    assert min(commissions) < 0 < max(commissions)
    assert max(-int(c.as_tuple().exponent) for c in commissions) == 8


def test_ten_us_option_contracts_cost_the_published_rates() -> None:
    opens = (o for o in scenario(1, 2000, 365).orders if o.broker == Broker.FUTU and o.fills and not o.legs)
    order = next(
        o for o in opens
        if o.contract.asset_class == AssetClass.OPTION and o.contract.market == "US"
        and (o.filled_qty, o.side) == (10, Side.BUY)
    )  # fmt: skip
    assert {c.title: c.amount for c in order.charges} == {
        "Commission": Decimal("6.50"), "Platform Fee": Decimal("3.00"), "Options Regulatory Fee": Decimal("0.12"),
        "OCC Fee": Decimal("0.20"), "Settlement Fee": Decimal("1.80"),
    }  # fmt: skip


def test_ids_are_unique_and_fit_63_bits() -> None:
    told = scenario(1, 2000, 365)
    ids = [f.fill_id for o in told.orders for f in o.fills] + [e.event_id for e in told.events]
    assert len(ids) == len(set(ids))
    assert 0 < min(ids) < max(ids) < 2**63
    assert max(ids) > 2**53, "Futu ids must not survive a binary double"
    assert len({o.number for o in told.orders}) == len(told.orders)


def test_truth_counts_what_each_broker_shows() -> None:
    told = scenario(7, 400, 30)
    shown = truth(told)
    ib = [o for o in told.orders if o.broker == Broker.IB]
    assert shown[Broker.IB].orders == sum(1 for o in ib if o.fills) < len(ib)
    ib_events = sum(1 for e in told.events if e.broker == Broker.IB)
    assert shown[Broker.IB].trades == sum(len(o.fills) for o in ib) + ib_events
    futu_fills = sum(len(o.fills) for o in told.orders if o.broker == Broker.FUTU)
    assert shown[Broker.FUTU].trades == futu_fills
    endings = Counter(e.kind for e in told.events if e.broker == Broker.FUTU)
    assert (shown[Broker.FUTU].endings, shown[Broker.IB].endings) == (endings, {})
    assert set(shown[Broker.IB].fees) == {"USD", "HKD"}


def test_a_year_of_two_thousand_orders_is_made_quickly() -> None:
    began = process_time()
    generate(1, 2000, 365, END)
    assert process_time() - began < 3


def test_days_without_a_session_are_refused() -> None:
    with pytest.raises(ConfigError, match="ask for more days"):
        generate(1, 10, 1, END + timedelta(1))
