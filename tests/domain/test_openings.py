"""Opening lots: named by the broker's lot data, never more than what the known history leaves unexplained."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.ledger import BasisSource, OpeningBalance
from apex_pipeline.domain.lot_known import Change, ChangeKind, Contract, Known
from apex_pipeline.domain.models import AssetClass, Broker
from apex_pipeline.domain.openings import note_of, opening_lots
from apex_pipeline.domain.statements import BrokerLot, ClosedLot

ACCOUNT, CONID = "U1", "265598"
KEY = ACCOUNT, CONID
FIRST, LAST = date(2026, 1, 1), date(2026, 3, 31)
BEFORE = datetime(2025, 6, 3, 14, 30, tzinfo=UTC)
ONE = Decimal(1)
CONTRACT = Contract("AAPL", "AAPL", AssetClass.STOCK, "USD")


def lot(
    qty: int | str,
    cost: int | str | None,
    *,
    trade_id: str | None = "900",
    opened_at: datetime | None = BEFORE,
    on: date = LAST,
    price: str | None = "10",
) -> BrokerLot:
    """An open lot as the broker tells it."""
    return BrokerLot(
        lot_uid=f"{on}_{trade_id}_{opened_at}_{price}",
        broker=Broker.IB,
        account_id=ACCOUNT,
        business_date=on,
        symbol="AAPL",
        underlying="AAPL",
        asset_class=AssetClass.STOCK,
        qty=Decimal(qty),
        opened_at=opened_at,
        open_price=None if price is None else Decimal(price),
        cost_basis=None if cost is None else Decimal(cost),
        market_value=None,
        unrealized_pnl=None,
        currency="USD",
        open_trade_id=trade_id,
        source="FLEX",
        instrument_id=CONID,
    )


def piece(
    qty: int | str,
    cost: int | str | None,
    *,
    side: str = "SELL",
    trade_id: str | None = "900",
    opened_at: datetime | None = BEFORE,
    on: date = date(2026, 2, 2),
    number: int = 1,
) -> ClosedLot:
    """A piece that a trade closed; its quantity is positive, its side that of the closing."""
    return ClosedLot(
        lot_uid=f"{on}_{trade_id}_{number}",
        broker=Broker.IB,
        account_id=ACCOUNT,
        business_date=on,
        symbol="AAPL",
        underlying="AAPL",
        asset_class=AssetClass.STOCK,
        qty=Decimal(qty),
        broker_side=side,
        opened_at=opened_at,
        closed_at=None,
        open_price=Decimal(10),
        cost_basis=None if cost is None else Decimal(cost),
        realized_pnl=None,
        currency="USD",
        open_trade_id=trade_id,
        notes=None,
        source="FLEX",
        instrument_id=CONID,
    )


def change(
    qty: int | str, on: date = date(2026, 2, 2), kind: ChangeKind = ChangeKind.TRADE, effect: str | None = None
) -> Change:
    at = datetime(on.year, on.month, on.day, 15, tzinfo=UTC)
    return Change(f"{kind}_{on}_{qty}", kind, on, at, Decimal(qty), effect)


def known(*changes: Change, held: int | str | None = 0, on: date = LAST) -> Known:
    """A history that covers the quarter; `held` None: the broker told no positions."""
    snapshot = None if held is None else on
    return Known(changes, snapshot, Decimal(held or 0), ONE, ((FIRST, LAST),), FIRST)


def told(rows: list[OpeningBalance]) -> list[tuple[int | Decimal, Decimal | None]]:
    return [(row.qty, row.cost_basis) for row in rows]


def test_a_lot_that_no_trade_opened_is_an_opening_lot() -> None:
    (row,) = opening_lots({KEY: known(held=100)}, [lot(100, 1001)], [])
    assert row == OpeningBalance(
        opening_uid="LOT_IB_U1_265598_900",
        broker=Broker.IB,
        account_id=ACCOUNT,
        instrument_id=CONID,
        symbol="AAPL",
        underlying="AAPL",
        asset_class=AssetClass.STOCK,
        qty=Decimal(100),
        opened_at=BEFORE,
        opened_on=date(2025, 6, 3),
        open_price=Decimal(10),
        cost_basis=Decimal(1001),
        multiplier=ONE,
        currency="USD",
        open_trade_id="900",
        source=BasisSource.BROKER_LOT,
        note=None,
    )


def test_what_was_closed_since_the_start_belongs_to_the_lot() -> None:
    rows = opening_lots({KEY: known(change(-40), held=60)}, [lot(60, 600)], [piece(30, 300), piece(10, 100, number=2)])
    assert told(rows) == [(100, 1000)]


def test_a_lot_that_is_gone_before_the_first_snapshot_is_known_from_its_pieces() -> None:
    rows = opening_lots({KEY: known(change(-100), held=0)}, [], [piece(70, 700), piece(30, 300, number=2)])
    assert told(rows) == [(100, 1000)]
    assert rows[0].source is BasisSource.BROKER_CLOSED_LOT


def test_a_short_is_closed_by_a_purchase_and_its_cost_is_negative_however_it_is_told() -> None:
    for cost in (-1000, 1000):
        rows = opening_lots({KEY: known(change(100), held=0)}, [], [piece(100, cost, side="BUY")])
        assert told(rows) == [(-100, -1000)]


def test_a_position_that_the_known_trades_explain_has_no_opening_lots() -> None:
    assert opening_lots({KEY: known(change(100), held=100)}, [lot(100, 1001)], []) == []
    assert opening_lots({KEY: known(change(60), held=100)}, [lot(100, 1000)], []) != [], "control"


def test_opening_lots_never_exceed_what_must_have_been_there_and_the_oldest_count() -> None:
    old, young = lot(80, 800, trade_id="1"), lot(50, 600, trade_id="2", opened_at=BEFORE + timedelta(days=9))
    rows = opening_lots({KEY: known(change(30), held=130)}, [young, old], [])
    assert told(rows) == [(80, 800), (20, 240)]


def test_a_lot_opened_on_a_covered_day_is_of_a_missing_trade_and_no_opening() -> None:
    inside = datetime(2026, 2, 3, 15, tzinfo=UTC)
    assert opening_lots({KEY: known(held=100)}, [lot(100, 1000, opened_at=inside)], []) == []
    uncovered = replace(known(held=100), covered=((FIRST, date(2026, 2, 2)),))
    assert told(opening_lots({KEY: uncovered}, [lot(100, 1000, opened_at=inside)], [])) == [(100, 1000)]


def test_without_a_snapshot_only_closings_that_nothing_feeds_need_an_opening() -> None:
    pieces = [piece(100, 1000)]
    closing = change(-100, effect="CLOSE")
    fed = known(change(100, date(2026, 1, 5), effect="OPEN"), closing, held=None)
    assert opening_lots({KEY: fed}, [], pieces) == []
    part = known(change(30, date(2026, 1, 5), effect="OPEN"), closing, held=None)
    assert told(opening_lots({KEY: part}, [], pieces)) == [(70, 700)]
    unknown_effect = known(change(-100), held=None)
    assert opening_lots({KEY: unknown_effect}, [], pieces) == []


def test_a_lot_without_an_id_is_known_by_when_and_at_what_price_it_was_opened() -> None:
    lots = [lot(60, 600, trade_id=None), lot(40, 480, trade_id=None, price="12")]
    rows = opening_lots({KEY: known(held=100)}, lots, [])
    assert sorted(told(rows)) == [(40, 480), (60, 600)]
    assert {row.opening_uid for row in rows} == {
        "LOT_IB_U1_265598_2025-06-03T14:30:00+00:00@10",
        "LOT_IB_U1_265598_2025-06-03T14:30:00+00:00@12",
    }


def test_a_lot_of_unknown_age_is_dated_before_the_first_known_day() -> None:
    (row,) = opening_lots({KEY: known(held=10)}, [lot(10, 100, opened_at=None)], [])
    assert (row.opened_at, row.opened_on) == (None, FIRST - timedelta(days=1))


def test_only_the_first_day_that_shows_a_lot_counts() -> None:
    days = [lot(100, 1000, on=date(2026, 1, 9)), lot(60, 600, on=date(2026, 2, 9)), lot(60, 600)]
    history = known(change(-40), held=100, on=date(2026, 1, 9))
    assert told(opening_lots({KEY: history}, days, [piece(40, 400)])) == [(100, 1000)]


def test_pieces_of_the_day_of_the_snapshot_count_once() -> None:
    """IB reports a Friday's expiry on Monday, so Friday's snapshot still holds what Friday's pieces closed."""
    closing = change(-5, date(2026, 4, 3))
    history = known(closing, held=5)
    assert told(opening_lots({KEY: history}, [lot(5, 50)], [piece(5, 50, on=LAST)])) == [(5, 50)]
    sold_on_that_day = known(change(-5, LAST), held=5)
    assert told(opening_lots({KEY: sold_on_that_day}, [lot(5, 50)], [piece(5, 50, on=LAST)])) == [(10, 100)]


def test_a_split_within_the_history_gives_the_units_before_it_at_the_same_cost() -> None:
    split = change(100, date(2026, 2, 2), ChangeKind.SPLIT)
    (row,) = opening_lots({KEY: known(split, held=200)}, [lot(200, 1000, price="5")], [])
    assert (row.qty, row.cost_basis, row.open_price) == (100, 1000, 10)


def test_a_missing_basis_stays_unknown() -> None:
    assert told(opening_lots({KEY: known(held=10)}, [lot(10, None)], [])) == [(10, None)]


def test_lots_that_came_by_a_transfer_keep_their_age_and_begin_on_its_day() -> None:
    came = change(100, date(2026, 2, 10), ChangeKind.TRANSFER)
    lots = [lot(60, 600, trade_id="1"), lot(40, 480, trade_id="2", opened_at=datetime(2026, 1, 20, 15, tzinfo=UTC))]
    rows = opening_lots({KEY: known(came, held=100)}, lots, [])
    assert told(rows) == [(60, 600), (40, 480)]
    assert {(row.opened_on, row.note) for row in rows} == {(date(2026, 2, 10), note_of(came.uid))}
    assert [row.opened_at for row in rows] == [one.opened_at for one in lots]


def test_lots_that_do_not_make_up_the_transfer_are_not_guessed() -> None:
    came = change(100, date(2026, 2, 10), ChangeKind.TRANSFER)
    assert opening_lots({KEY: known(came, held=100)}, [lot(60, 600)], []) == []


def test_what_was_held_before_a_transfer_is_not_of_it() -> None:
    came = change(50, date(2026, 2, 10), ChangeKind.TRANSFER)
    held = lot(50, 500, trade_id="1", opened_at=BEFORE + timedelta(days=1), on=date(2026, 1, 30))
    moved = lot(50, 700, trade_id="2", on=date(2026, 2, 27))
    history = known(came, held=50, on=date(2026, 1, 30))
    rows = opening_lots({KEY: history}, [held, moved], [])
    assert [(row.cost_basis, row.note) for row in rows] == [(500, None), (700, note_of(came.uid))]


def test_what_a_person_signed_leaves_less_to_explain() -> None:
    signed = change(100, date(2025, 12, 31), ChangeKind.PERSON)
    assert opening_lots({KEY: known(signed, held=100)}, [lot(100, 1000)], []) == []


@st.composite
def histories(draw: st.DrawFn) -> tuple[Decimal, list[BrokerLot], list[ClosedLot], Known]:
    """Prior lots of one direction, parts of which are closed FIFO before the only snapshot, and a later trade."""
    sign = draw(st.sampled_from((1, -1)))
    sizes = draw(st.lists(st.integers(1, 50), min_size=1, max_size=5))
    gone = draw(st.integers(0, sum(sizes)))
    lots: list[BrokerLot] = []
    pieces: list[ClosedLot] = []
    left = gone
    for number, size in enumerate(sizes):
        opened_at = BEFORE + timedelta(hours=number)
        closed = min(left, size)
        left -= closed
        if closed:
            side = "SELL" if sign > 0 else "BUY"
            part = piece(
                closed, closed * 10 * sign, side=side, trade_id=f"{number}", opened_at=opened_at, number=number
            )
            pieces.append(part)
        if size - closed:
            rest = (size - closed) * sign
            lots.append(lot(rest, rest * 10, trade_id=f"{number}", opened_at=opened_at))
    extra = draw(st.integers(-20, 20))
    changes = [change(-gone * sign, date(2026, 2, 3)), change(extra, date(2026, 3, 1))]
    held = (sum(sizes) - gone) * sign + extra
    return Decimal(sum(sizes) * sign), lots, pieces, known(*changes, held=held)


@given(histories())
def test_the_prior_position_is_recovered_whatever_the_order_of_the_rows(
    history: tuple[Decimal, list[BrokerLot], list[ClosedLot], Known],
) -> None:
    prior, lots, pieces, what_is_known = history
    rows = opening_lots({KEY: what_is_known}, lots, pieces)
    assert sum(row.qty for row in rows) == prior
    assert sum(row.cost_basis or 0 for row in rows) == prior * 10
    assert rows == opening_lots({KEY: what_is_known}, lots[::-1], pieces[::-1])


def test_what_the_first_positions_prove_and_no_lot_names_is_an_opening_without_a_basis() -> None:
    """What is left at the end was not sold before: the untold units come first."""
    rows = opening_lots({KEY: known(change(-40), held=60)}, [lot(60, 600)], [])
    [named, untold] = rows
    assert told(rows) == [(60, 600), (40, None)]
    assert (untold.source, untold.open_price, untold.opened_at) == (BasisSource.BROKER_POSITION, None, None)
    assert untold.opened_on < named.opened_on
    assert untold.opening_uid == "POSITION_IB_U1_265598"


def test_positions_without_any_lot_data_are_openings_too_if_the_contract_is_known() -> None:
    history = replace(known(change(-40), held=60), contract=CONTRACT)
    [row] = opening_lots({KEY: history}, [], [])
    assert (row.qty, row.cost_basis, row.opened_on) == (100, None, FIRST - timedelta(days=1))
    assert opening_lots({KEY: replace(history, snapshot_qty=Decimal(-40))}, [], []) == [], "control"


def test_only_a_history_without_gaps_up_to_the_first_positions_proves_what_was_there() -> None:
    history = replace(known(change(-40), held=60), contract=CONTRACT)
    gap = replace(history, covered=((FIRST, date(2026, 1, 31)), (date(2026, 3, 1), LAST)))
    later = replace(history, covered=((date(2026, 2, 3), LAST),), first_day=date(2026, 2, 3))
    assert opening_lots({KEY: history}, [], []) != [], "control"
    assert opening_lots({KEY: gap}, [], []) == []
    assert opening_lots({KEY: later}, [], []) == []
    assert opening_lots({KEY: replace(history, snapshot_on=None)}, [], []) == []


def test_a_purchase_that_opened_closed_nothing_of_before() -> None:
    """100 were bought and 40 are left: a short of 60 explains it, unless the broker says that they opened."""
    for effect, expected in ((None, [(-60, None)]), ("CLOSE", [(-60, None)]), ("OPEN", [])):
        history = replace(known(change(100, effect=effect), held=40), contract=CONTRACT)
        assert told(opening_lots({KEY: history}, [], [])) == expected


def test_what_opens_once_all_of_before_has_left_disproves_nothing() -> None:
    """100 of before are sold and 30 sold short; of one instant what closes comes first."""
    sold = [change(-100, date(2026, 2, 2), effect="CLOSE"), change(-30, date(2026, 2, 2), effect="OPEN")]
    history = replace(known(*sold, held=-30), contract=CONTRACT)
    assert told(opening_lots({KEY: history}, [], [])) == [(100, None)]
    later = replace(sold[1], on_date=date(2026, 1, 5), at=sold[1].at - timedelta(days=28))
    assert opening_lots({KEY: replace(history, changes=[sold[0], later])}, [], []) == [], "control"


def test_what_was_taken_back_after_the_positions_were_told_is_nothing_from_before() -> None:
    void = change(50, date(2026, 2, 4), ChangeKind.VOID)
    base = replace(known(void), contract=CONTRACT)
    assert opening_lots({KEY: replace(base, snapshot_qty=Decimal(50))}, [], []) == []
    assert opening_lots({KEY: base}, [], []) == [], "a statement of later knows better"
    [row] = opening_lots({KEY: replace(base, snapshot_qty=Decimal(150))}, [], [])
    assert row.qty == 100


def test_a_piece_closed_after_a_split_has_its_whole_cost() -> None:
    split = change(160, date(2026, 1, 15), ChangeKind.SPLIT)
    changes = [change(30, date(2026, 1, 5)), split, change(-200)]
    rows = opening_lots({KEY: known(*changes, held=40)}, [], [piece(150, 501)])
    assert told(rows) == [(50, 501)]
    assert rows[0].open_price == 30


def test_a_split_of_an_unknown_ratio_names_no_lot() -> None:
    split = change(160, date(2026, 1, 15), ChangeKind.SPLIT)
    closing = change(-200, effect="CLOSE")
    assert opening_lots({KEY: known(split, closing, held=None)}, [], [piece(150, 501)]) == []


def test_lots_told_under_the_new_contract_are_openings_of_the_old_one() -> None:
    """700 there before, 200 bought, 100 sold, then ten for one under another conid, of which 65 are sold."""
    on = date(2026, 2, 2)
    old = [
        change(200, date(2026, 1, 5)),
        change(-100, date(2026, 1, 9)),
        replace(change(-800, on, ChangeKind.SPLIT), event="E"),
    ]
    new = [replace(change(80, on, ChangeKind.SPLIT), event="E"), change(-15, date(2026, 3, 2))]
    history = {KEY: replace(known(*old, held=0), contract=CONTRACT), (ACCOUNT, "777"): known(*new, held=65)}
    after = replace(lot(45, 4500, price="100"), instrument_id="777", symbol="NEW")
    pieces = [piece(100, 1000), replace(piece(15, 1500, on=date(2026, 3, 2)), instrument_id="777", symbol="NEW")]
    [row] = opening_lots(history, [after], pieces)
    assert (row.instrument_id, row.symbol, row.qty, row.cost_basis, row.open_price) == (CONID, "AAPL", 700, 7000, 10)
    held = {**history, (ACCOUNT, "777"): known(*new, held=75)}
    assert sum(one.qty for one in opening_lots(held, [after], []) if one.instrument_id == "777") == 10, "control"


def test_of_a_transfer_that_was_sold_in_part_before_its_lots_were_told_the_rest_is_named() -> None:
    came = change(200, date(2026, 1, 20), ChangeKind.TRANSFER)
    history = known(came, change(-95), held=105)
    rows = opening_lots({KEY: history}, [lot(105, 2625, price="25")], [])
    assert sorted(told(rows)) == [(95, None), (105, 2625)]
    assert {(row.opened_on, row.note) for row in rows} == {(came.on_date, note_of(came.uid))}
    [rest] = [row for row in rows if row.cost_basis is None]
    assert (rest.source, rest.opened_at) == (BasisSource.BROKER_POSITION, None)


def test_what_went_by_a_transfer_was_there_before() -> None:
    gone = change(-110, date(2026, 2, 20), ChangeKind.TRANSFER)
    history = replace(known(change(60, date(2026, 1, 9)), gone, held=40), contract=CONTRACT)
    assert told(opening_lots({KEY: history}, [], [])) == [(90, None)]


@given(histories(), st.data())
def test_whatever_lot_data_is_missing_the_prior_quantity_is_whole_and_the_untold_comes_first(
    history: tuple[Decimal, list[BrokerLot], list[ClosedLot], Known], data: st.DataObject
) -> None:
    prior, lots, pieces, what_is_known = history
    some = [one for one in pieces if data.draw(st.booleans())]
    rows = opening_lots({KEY: replace(what_is_known, contract=CONTRACT)}, lots, some)
    assert sum(row.qty for row in rows) == prior
    known_rows = [row for row in rows if row.source is not BasisSource.BROKER_POSITION]
    assert all(row.cost_basis == row.qty * 10 for row in known_rows)
    untold = [row for row in rows if row.source is BasisSource.BROKER_POSITION]
    assert all(row.opened_on < other.opened_on for row in untold for other in known_rows)


@given(histories(), st.data())
def test_where_only_pieces_are_told_the_untold_comes_last(
    history: tuple[Decimal, list[BrokerLot], list[ClosedLot], Known], data: st.DataObject
) -> None:
    prior, _, pieces, what_is_known = history
    later = data.draw(st.booleans())
    trade = what_is_known.changes[1]
    quiet = replace(
        what_is_known, changes=what_is_known.changes[:1], snapshot_qty=what_is_known.snapshot_qty - trade.qty
    )
    if later:
        quiet = replace(quiet, snapshot_on=date(2026, 1, 31), snapshot_qty=prior)
    rows = opening_lots({KEY: replace(quiet, contract=CONTRACT)}, [], pieces)
    assert sum(row.qty for row in rows) == prior
    named = [row for row in rows if row.source is BasisSource.BROKER_CLOSED_LOT]
    assert sum(row.qty for row in named) == -sum(one.qty for one in quiet.changes)
    untold = [row for row in rows if row.source is BasisSource.BROKER_POSITION]
    assert all(row.opened_on > other.opened_on for row in untold for other in named)
