"""How options end, from bookings of cash and snapshots of positions, and where these do not say."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.lifecycle import Ended, Holdings, endings
from apex_pipeline.domain.models import (
    AssetClass,
    Broker,
    CashKind,
    CashMovement,
    Instrument,
    OptionRight,
    Side,
    Trade,
    TradeKind,
)

ACC = "281756478396547854"
EXPIRY = date(2026, 3, 20)
ALL_DAYS = frozenset(EXPIRY + timedelta(days=n) for n in range(-60, 60))
PUT, INDEX_CALL = "US.PEP 2026-03-20 P 120", "US.SPXW 2026-03-20 C 6500"


def option(symbol: str = PUT, **fields: Any) -> Instrument:
    _, _, right, strike = symbol.split(" ")
    told: dict[str, Any] = {
        "underlying": "US.PEP", "asset_class": AssetClass.OPTION, "strike": Decimal(strike), "expiry": EXPIRY,
        "option_right": OptionRight(right), "multiplier": Decimal(100), "currency": "USD", "exchange": None,
        "name": None, "futu_code": None, "ib_symbol": None, "ib_conid": None, **fields,
    }  # fmt: skip
    return Instrument(symbol, **told)


def trade(qty: int, symbol: str = PUT, day: date = date(2026, 2, 2), key: str = "1", **fields: Any) -> Trade:
    told: dict[str, Any] = {
        "trade_uid": f"FUTU_{ACC}_{key}", "order_uid": None, "broker": Broker.FUTU, "account_id": ACC,
        "broker_trade_id": key, "exec_id": None, "market": "US", "symbol": symbol, "underlying": "US.PEP",
        "asset_class": AssetClass.OPTION, "kind": TradeKind.TRADE, "effective": True,
        "side": Side.BUY if qty > 0 else Side.SELL, "qty": Decimal(abs(qty)), "price": Decimal(2),
        "multiplier": Decimal(100), "amount": None, "currency": "USD", "executed_at": None, "trade_date": day,
        "settle_date": None, "position_effect": None, "link_id": None, "source": "futu_deals", "report_date": None,
        "instrument_id": None,
        **fields,
    }  # fmt: skip
    return Trade(**told)


def booking(number: int, kind: CashKind, amount: str, symbol: str | None = None, **fields: Any) -> CashMovement:
    told: dict[str, Any] = {
        "broker_kind": "Others", "currency": "USD", "booked_on": EXPIRY, "settle_date": date(2026, 3, 23),
        "event_date": EXPIRY if symbol else None, "description": f"Opt {symbol}" if symbol else None,
        "source": "futu_cash", **fields,
    }  # fmt: skip
    key = f"{told['booked_on']}:{number}"
    return CashMovement(
        f"FUTU_{ACC}_C{key}", Broker.FUTU, ACC, key, kind, symbol=symbol, amount=Decimal(amount), **told
    )


def assigned(number: int = 16308, amount: str = "0", symbol: str = PUT, **fields: Any) -> CashMovement:
    return booking(number, CashKind.ASSIGNMENT, amount, symbol, **fields)


def money(number: int, amount: str, **fields: Any) -> CashMovement:
    return booking(number, CashKind.OTHER, amount, **fields)


def ended(
    trades: Sequence[Trade],
    cash: Sequence[CashMovement] = (),
    instruments: Sequence[Instrument] = (),
    snapshots: Sequence[Holdings] = (),
) -> Ended:
    known = {one.symbol: one for one in (instruments or [option()])}
    return endings(trades, cash, snapshots, known, ALL_DAYS)


def rows(found: Ended) -> list[tuple[Any, ...]]:
    return [(t.kind, t.symbol, t.side, t.qty, t.price) for t in found.trades]


def reasons(found: Ended) -> list[str]:
    return [reject.reason_code for reject in found.rejects]


def test_an_assigned_put_is_closed_at_nothing_and_brings_its_shares_at_the_strike() -> None:
    found = ended([trade(-8)], [assigned(), money(16357, "-96000")])
    assert rows(found) == [
        (TradeKind.ASSIGNMENT, PUT, Side.BUY, 8, 0),
        (TradeKind.ASSIGNMENT, "US.PEP", Side.BUY, 800, 120),
    ]
    option_leg, shares = found.trades
    assert option_leg.trade_uid == f"FUTU_{ACC}_L2026-03-20:16308"
    assert shares.trade_uid == f"{option_leg.trade_uid}_S"
    assert option_leg.link_id == shares.link_id
    assert (option_leg.source, option_leg.trade_date, option_leg.settle_date) == (
        "futu_cash", EXPIRY, date(2026, 3, 23),
    )  # fmt: skip
    assert option_leg.executed_at == datetime(2026, 3, 21, 3, 59, 59, tzinfo=UTC)
    assert (option_leg.amount, shares.amount) == (0, 96000)


@pytest.mark.parametrize(
    ("traded", "known", "found"),
    [
        ("US.PEP260320P120000", None, "US.PEP260320P120000"),
        (None, "US.PEP260320P120000", "US.PEP260320P120000"),
        ("US.PEP260320P120000", "US.OTHER", "US.PEP260320P120000"),
        (None, None, None),
    ],
)
def test_an_end_has_the_id_of_the_trades_that_it_ends(traded: str | None, known: str | None, found: str | None) -> None:
    made = ended([trade(-8, instrument_id=traded)], [assigned(amount="-96000")], [option(futu_code=known)])
    assert [one.instrument_id for one in made.trades] == [found, "US.PEP"]


def test_delivered_shares_have_the_code_that_is_known_of_their_stock() -> None:
    stock = Instrument(
        "US.PEP", "US.PEP", AssetClass.STOCK, None, None, None, Decimal(1), "USD", None, None, "US.PEP/", "PEP", "11"
    )
    made = ended([trade(-8)], [assigned(amount="-96000")], [option(), stock])
    assert made.trades[1].instrument_id == "US.PEP/"


def test_money_and_name_in_one_row_are_as_good_as_in_two() -> None:
    two = ended([trade(-8)], [assigned(), money(16357, "-96000", settle_date=date(2026, 3, 23))])
    assert ended([trade(-8)], [assigned(amount="-96000")]).trades == two.trades


@pytest.mark.parametrize(
    ("kind", "right", "held", "amount", "option_side", "share_side"),
    [
        (CashKind.ASSIGNMENT, "P", -2, "-24000", Side.BUY, Side.BUY),
        (CashKind.ASSIGNMENT, "C", -2, "24000", Side.BUY, Side.SELL),
        (CashKind.EXERCISE, "C", 2, "-24000", Side.SELL, Side.BUY),
        (CashKind.EXERCISE, "P", 2, "24000", Side.SELL, Side.SELL),
    ],
)
def test_puts_and_calls_long_and_short_move_the_right_way(
    kind: CashKind, right: str, held: int, amount: str, option_side: Side, share_side: Side
) -> None:
    symbol = f"US.PEP 2026-03-20 {right} 120"
    found = ended([trade(held, symbol)], [booking(1, kind, amount, symbol)], [option(symbol)])
    assert [t.side for t in found.trades] == [option_side, share_side]
    assert reasons(found) == []
    # the control: money that flows the other way is not believed
    other_way = booking(1, kind, str(-Decimal(amount)), symbol)
    assert reasons(ended([trade(held, symbol)], [other_way], [option(symbol)])) == ["contradicting_cash"]


@pytest.mark.parametrize(
    ("instrument", "cash", "reason"),
    [
        (option(multiplier=None), [assigned(amount="-96000")], "unknown_multiplier"),
        (option(underlying=None), [assigned(amount="-96000")], "unknown_underlying"),
        (option(strike=None), [assigned(amount="-96000")], "unknown_contract"),
        (option(), [assigned(amount="-95990")], "not_whole"),
        (option(), [assigned()], "no_cash"),
        (option(), [assigned(), money(2, "-95990")], "no_cash"),
        (option(), [assigned(), money(2, "-96000", currency="HKD")], "no_cash"),
        (option(), [assigned(), money(2, "-96000", booked_on=date(2026, 3, 24))], "no_cash"),
        (option(), [assigned(), money(2, "-96000"), money(3, "-12000")], "ambiguous_cash"),
        (option(), [assigned(), money(2, "-96000", description="rent")], "no_cash"),
        (option(), [booking(1, CashKind.EXPIRATION, "0", PUT, event_date=date(2026, 1, 2))], "nothing_held"),
    ],
)
def test_where_the_cash_does_not_decide_nothing_is_made_and_the_reason_is_told(
    instrument: Instrument, cash: Sequence[CashMovement], reason: str
) -> None:
    found = ended([trade(-8, multiplier=None)], cash, [instrument])
    assert (found.trades, reasons(found)) == ([], [reason])
    assert found.rejects[0].payload["cash_uid"] == cash[0].cash_uid


def test_an_adjusted_contract_delivers_nobody_knows_what() -> None:
    symbol = "US.CMCS1 2026-03-20 P 40"
    adjusted = option(symbol, underlying="US.CMCS")
    assert reasons(ended([trade(-1, symbol)], [assigned(1, "-4000", symbol)], [adjusted])) == ["adjusted_contract"]


def test_the_size_of_a_contract_may_come_from_its_class() -> None:
    other = "US.PEP 2026-06-19 P 100"
    known = [option(multiplier=None), option(other, multiplier=Decimal(1000))]
    found = ended([trade(-8, multiplier=None)], [assigned(amount="-960000")], known)
    assert [t.qty for t in found.trades] == [8, 8000]


def test_each_of_several_deliveries_of_a_day_finds_its_own_money() -> None:
    call = "US.PEP 2026-03-20 C 100"
    cash = [
        assigned(1), assigned(2, symbol=call),
        money(3, "10000"), money(4, "-24000"), money(5, "33.12"),
    ]  # fmt: skip
    found = ended([trade(-2), trade(-1, call, key="2")], cash, [option(), option(call)])
    assert {(t.symbol, t.side, t.qty) for t in found.trades} == {
        (PUT, Side.BUY, 2), ("US.PEP", Side.BUY, 200), (call, Side.BUY, 1), ("US.PEP", Side.SELL, 100),
    }  # fmt: skip


def test_money_that_pays_for_the_whole_position_goes_before_money_that_pays_for_a_part() -> None:
    low = "US.PEP 2026-03-20 P 60"
    # 24000 is two of the one and four of the other
    cash = [assigned(1), assigned(2, symbol=low), money(3, "-24000"), money(4, "-12000")]
    found = ended([trade(-1), trade(-4, low, key="2")], cash, [option(), option(low)])
    assert {(t.symbol, t.qty) for t in found.trades if t.asset_class is AssetClass.OPTION} == {(PUT, 1), (low, 4)}


def test_money_of_the_next_weekday_is_taken_where_the_day_itself_has_none() -> None:
    monday = date(2026, 3, 23)
    for name in (assigned(), assigned(booked_on=monday), assigned(booked_on=monday, event_date=None)):
        found = ended([trade(-8)], [name, money(2, "-96000", booked_on=monday)])
        assert [(t.qty, t.trade_date) for t in found.trades] == [(8, EXPIRY), (800, EXPIRY)]
    # the control: both days have money that fits
    two = [assigned(), money(2, "-12000"), money(2, "-96000", booked_on=monday)]
    assert [t.qty for t in ended([trade(-8)], two).trades] == [1, 100]


LOW = "US.PEP 2026-03-20 P 60"


@pytest.mark.parametrize(
    ("held", "amounts", "contracts"),
    [
        # each pays for another number of contracts, but every way to share them out is the same
        ((-1, -4), ("-24000", "-12000"), {(PUT, 1), (LOW, 4)}),
        ((-2, -4), ("-24000", "-24000"), {(PUT, 2), (LOW, 4)}),
        # 2 and 2, or 1 and 4
        ((-2, -4), ("-24000", "-12000"), set()),
        # the second has no money yet: it may be that of the other
        ((-2, -4), ("-24000",), set()),
        # one amount too many
        ((-2, -4), ("-24000", "-24000", "-12000"), set()),
    ],
)
def test_money_that_may_mean_other_ends_is_not_guessed(
    held: tuple[int, int], amounts: Sequence[str], contracts: set[tuple[str, int]]
) -> None:
    trades = [trade(held[0]), trade(held[1], LOW, key="2")]
    cash = [assigned(1), assigned(2, symbol=LOW), *(money(3 + n, amount) for n, amount in enumerate(amounts))]
    found = ended(trades, cash, [option(), option(LOW)], [GONE])
    assert {(t.symbol, t.qty) for t in found.trades if t.asset_class is AssetClass.OPTION} == contracts
    assert reasons(found) == ([] if contracts else ["ambiguous_cash"] * 2)


def test_two_ends_of_one_option_on_a_day_may_change_their_money() -> None:
    cash = [assigned(1), assigned(2), money(3, "-12000"), money(4, "-36000")]
    found = ended([trade(-5)], cash, snapshots=[GONE])
    assert [(t.kind, t.qty) for t in found.trades if t.symbol == PUT] == [
        (TradeKind.ASSIGNMENT, 1), (TradeKind.ASSIGNMENT, 3), (TradeKind.EXPIRATION, 1),
    ]  # fmt: skip


def test_what_an_assignment_at_the_expiry_leaves_expires_without_a_word() -> None:
    found = ended([trade(-8)], [assigned(amount="-36000")], snapshots=[GONE])
    assert [(t.kind, t.qty) for t in found.trades if t.symbol == PUT] == [
        (TradeKind.ASSIGNMENT, 3), (TradeKind.EXPIRATION, 5),
    ]  # fmt: skip
    # the controls: it is still there, or how much was assigned is not known
    assert len(ended([trade(-8)], [assigned(amount="-36000")]).trades) == 2
    two = [assigned(1, amount="-36000"), assigned(2), booking(3, CashKind.EXPIRATION, "0", PUT)]
    unclear = ended([trade(-8)], two, snapshots=[GONE])
    assert [t.qty for t in unclear.trades] == [3, 300]
    assert reasons(unclear) == ["no_cash", "unclear_rest"]


def test_more_than_known_trades_opened_is_delivered_but_does_not_expire_the_other_way() -> None:
    in_one, in_two = [assigned(amount="-36000")], [assigned(), money(16309, "-36000")]
    for trades, cash in (([], in_one), ([trade(-1)], in_one), ([], in_two), ([trade(-1)], in_two)):
        found = ended(trades, [*cash, booking(2, CashKind.EXPIRATION, "0", PUT)], snapshots=[GONE])
        assert [(t.kind, t.qty) for t in found.trades] == [(TradeKind.ASSIGNMENT, 3), (TradeKind.ASSIGNMENT, 300)]


def test_an_index_option_ends_at_its_cash_and_brings_no_shares() -> None:
    index = option(INDEX_CALL, underlying="US..SPX")
    paid = booking(1, CashKind.EXERCISE, "4711.01", INDEX_CALL)
    found = ended([trade(3, INDEX_CALL)], [paid], [index])
    [row] = found.trades
    assert (row.kind, row.side, row.qty) == (TradeKind.EXERCISE, Side.SELL, 3)
    assert row.amount == Decimal("4711.01")
    assert row.price == Decimal("15.703366666667")


def test_what_a_delivery_leaves_expires_by_the_booking_of_the_expiry() -> None:
    cash = [assigned(1, "-36000"), booking(2, CashKind.EXPIRATION, "0", PUT)]
    found = ended([trade(-8)], cash)
    assert [(t.kind, t.qty) for t in found.trades if t.symbol == PUT] == [
        (TradeKind.ASSIGNMENT, 3), (TradeKind.EXPIRATION, 5),
    ]  # fmt: skip
    # the control: a delivery of everything leaves nothing, and that is no contradiction
    whole = ended([trade(-3)], cash)
    assert (len(whole.trades), whole.rejects) == (2, [])


def holdings(at: str, held: int | None = None) -> Holdings:
    return Holdings(datetime.fromisoformat(at), {} if held is None else {PUT: Decimal(held)})


GONE = holdings("2026-03-23T01:00:00+00:00")


def test_an_option_that_a_later_snapshot_does_not_hold_has_expired() -> None:
    [row] = ended([trade(-8)], snapshots=[GONE]).trades
    assert (row.kind, row.side, row.qty, row.price) == (TradeKind.EXPIRATION, Side.BUY, 8, 0)
    assert (row.source, row.trade_date) == ("futu_positions", EXPIRY)
    assert row.trade_uid == f"FUTU_{ACC}_LEXPIRATION {PUT}"


@pytest.mark.parametrize(
    ("trades", "cash", "snapshots"),
    [
        ([trade(-8)], [], []),
        ([trade(-8)], [], [holdings("2026-03-23T01:00:00+00:00", held=-8)]),
        # 21 March in Hong Kong, but still 20 March in New York
        ([trade(-8)], [], [holdings("2026-03-21T02:00:00+00:00")]),
        ([trade(-8), trade(8, key="2")], [], [GONE]),
        # named by cash that cannot be made out
        ([trade(-8)], [assigned()], [GONE]),
    ],
)
def test_without_evidence_nothing_expires(
    trades: Sequence[Trade], cash: Sequence[CashMovement], snapshots: Sequence[Holdings]
) -> None:
    assert ended(trades, cash, snapshots=snapshots).trades == []


def test_a_quantity_of_zero_in_a_snapshot_is_not_held() -> None:
    assert len(ended([trade(-8)], snapshots=[holdings("2026-03-23T01:00:00+00:00", held=0)]).trades) == 1


def test_an_assignment_before_the_expiry_does_not_hide_the_expiry_of_the_rest() -> None:
    early = date(2026, 3, 10)
    cash = [assigned(1, "-36000", booked_on=early, event_date=early)]
    found = ended([trade(-8)], cash, snapshots=[GONE])
    assert [(t.kind, t.qty) for t in found.trades if t.symbol == PUT] == [
        (TradeKind.ASSIGNMENT, 3), (TradeKind.EXPIRATION, 5),
    ]  # fmt: skip


def test_deals_that_were_taken_back_and_rows_made_before_do_not_count() -> None:
    busted = trade(-2, key="2", effective=False)
    first = ended([trade(-8), busted], snapshots=[GONE])
    again = ended([trade(-8), busted, *first.trades], snapshots=[GONE])
    assert [t.qty for t in first.trades] == [8]
    assert again.trades == first.trades


@given(
    st.lists(st.tuples(st.integers(-9, 9).filter(bool), st.integers(0, 40)), min_size=1, max_size=8),
    st.integers(0, 9),
    st.randoms(),
)
def test_after_every_end_nothing_is_left_of_an_option_whatever_the_order_of_the_rows(
    changes: list[tuple[int, int]], part: int, shuffler: Any
) -> None:
    trades = [trade(qty, day=EXPIRY - timedelta(days=days), key=str(n)) for n, (qty, days) in enumerate(changes)]
    net = sum(qty for qty, _ in changes)
    delivered = min(part, -net) if net < 0 else 0
    cash = [assigned(1), money(2, str(-12000 * delivered))] if delivered else []
    cash.append(booking(3, CashKind.EXPIRATION, "0", PUT))
    found = ended(trades, cash)
    left = net + sum(int(t.qty) if t.side is Side.BUY else -int(t.qty) for t in found.trades if t.symbol == PUT)
    assert left == 0
    assert reasons(found) == ([] if net or delivered else ["nothing_held"])
    shuffler.shuffle(trades)
    shuffler.shuffle(cash)
    assert ended(trades, cash).trades == found.trades
