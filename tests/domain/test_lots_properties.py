"""What holds for lots under any sequence of trades, ends of options, corporate actions and transfers."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal, localcontext
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.ledger import Action, LedgerStop, Lot, LotMove, MovementKind, PositionMovement, RealizedPnl
from apex_pipeline.domain.lot_shares import EXACT, trimmed
from apex_pipeline.domain.lots import Matched, match
from tests.domain.lot_rows import (
    OPTION,
    OTHER,
    STOCK,
    corporate,
    delivered,
    ended,
    movement,
    on,
    still_open,
    transfer,
)

ZERO = Decimal(0)


@dataclass
class World:
    """Draws movements that are possible: nothing ends or leaves that is not held."""

    rows: list[PositionMovement] = field(default_factory=list[PositionMovement])
    held: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    day: int = 0

    @property
    def uid(self) -> str:
        return f"m{len(self.rows):03}"

    def happen(self, *rows: PositionMovement) -> None:
        for row in rows:
            self.rows.append(row)
            self.held[row.instrument_id] += row.qty

    def trade(self, instrument: str, qty: Decimal, price: Decimal, fees: Decimal | None) -> None:
        row = movement(
            self.uid, str(qty), str(price), day=self.day, minute=len(self.rows), instrument=instrument,
            fees=None if fees is None else str(fees), multiplier=100 if instrument == OPTION else 1,
        )  # fmt: skip
        self.happen(row)

    def end(self, kind: MovementKind, part: int, strike: Decimal) -> None:
        """`part` tenths of the option, rounded up; shares are delivered unless it expires."""
        held = self.held[OPTION]
        if held:
            self.day += 1
            count = int(abs(held) * part + 9) // 10
            uid, sign = self.uid, 1 if held > 0 else -1
            self.happen(ended(uid, -sign * count, kind, day=self.day, link=uid))
            if kind is not MovementKind.EXPIRATION:
                self.happen(delivered(f"{uid}d", -100 * sign * count, str(strike), kind, day=self.day, link=uid))
            self.day += 1

    def split(self, times: Decimal) -> None:
        held = self.held[STOCK]
        delta = (held * times).quantize(Decimal("1E-8")) - held
        if delta:
            self.day += 1
            self.happen(corporate(self.uid, str(delta), Action.SPLIT, day=self.day, link=None))

    def rename(self) -> None:
        held, there = self.held[STOCK], self.held[OTHER]
        if held and held * there >= 0:
            self.day += 1
            uid = self.uid
            self.happen(
                corporate(uid, str(-held), Action.SYMBOL_CHANGE, day=self.day, link=uid),
                corporate(f"{uid}n", str(held), Action.SYMBOL_CHANGE, day=self.day, link=uid, instrument=OTHER),
            )

    def merge(self, part: int, price: Decimal) -> None:
        taken = (self.held[OTHER] * part / 10).quantize(Decimal("1E-8"))
        if taken:
            self.day += 1
            money = (taken * price).quantize(Decimal("0.01"))
            if money * taken > 0:
                row = corporate(
                    self.uid, str(-taken), Action.MERGER, day=self.day, link=None, instrument=OTHER, money=str(money)
                )
                self.happen(row)

    def leave(self, part: int) -> None:
        taken = (self.held[STOCK] * part / 10).quantize(Decimal("1E-8"))
        if taken:
            self.day += 1
            self.happen(transfer(self.uid, str(-taken), day=self.day))


PRICES = st.decimals("0.01", 10**4, places=4)
QUANTITIES = st.one_of(
    st.integers(-300, 300).filter(bool).map(Decimal), st.decimals(-50, 50, places=3).filter(lambda qty: abs(qty) > 0)
)
FEES = st.none() | st.decimals(-2, 30, places=7)
TENTHS = st.integers(1, 10)
ENDS = st.sampled_from([MovementKind.EXPIRATION, MovementKind.ASSIGNMENT, MovementKind.EXERCISE])
TIMES = st.sampled_from([Decimal(text) for text in ("2", "3", "1.5", "0.1", "0.3333333333", "0.14")])
Step = tuple[Callable[..., None], tuple[Any, ...]]


def steps() -> st.SearchStrategy[Step]:
    """One thing that may happen, and its numbers."""
    shares = st.sampled_from([STOCK, STOCK, OTHER])
    contracts = st.integers(-9, 9).filter(bool).map(Decimal)
    return st.one_of(
        st.tuples(st.just(World.trade), st.tuples(shares, QUANTITIES, PRICES, FEES)),
        st.tuples(st.just(World.trade), st.tuples(st.just(OPTION), contracts, PRICES, FEES)),
        st.tuples(st.just(World.end), st.tuples(ENDS, TENTHS, PRICES)),
        st.tuples(st.just(World.split), st.tuples(TIMES)),
        st.tuples(st.just(World.rename), st.tuples()),
        st.tuples(st.just(World.merge), st.tuples(TENTHS, PRICES)),
        st.tuples(st.just(World.leave), st.tuples(TENTHS)),
        st.tuples(st.just(next_day), st.tuples()),
    )


def next_day(world: World) -> None:
    world.day += 1


@st.composite
def histories(draw: st.DrawFn) -> list[PositionMovement]:
    world = World()
    for happen, numbers in draw(st.lists(steps(), max_size=6) | st.lists(steps(), min_size=12, max_size=30)):
        happen(world, *numbers)
    return world.rows


def total(numbers: Iterable[Decimal | None]) -> Decimal:
    with localcontext(EXACT):
        return sum((number for number in numbers if number is not None), ZERO)


@given(histories())
def test_every_unit_is_in_a_lot(rows: list[PositionMovement]) -> None:
    matched = match(rows)
    assert matched.stops == []
    for instrument in (STOCK, OTHER, OPTION):
        held = total(lot.remaining_qty for lot in matched.lots if lot.instrument_id == instrument)
        assert held == total(row.qty for row in rows if row.instrument_id == instrument)


@given(histories())
def test_of_no_lot_is_a_unit_or_a_cent_lost(rows: list[PositionMovement]) -> None:
    matched = match(rows)
    gone_qty: dict[str | None, list[Decimal]] = defaultdict(list)
    gone_cost: dict[str | None, list[Decimal | None]] = defaultdict(list)
    for piece in matched.realized:
        gone_qty[piece.lot_uid].append(piece.qty)
        gone_cost[piece.lot_uid].append(piece.cost_basis)
    for move in matched.moves:
        gone_qty[move.lot_uid].append(abs(move.qty))
        gone_cost[move.lot_uid].append(move.cost_basis)
    for lot in matched.lots:
        assert total([abs(lot.remaining_qty), *gone_qty[lot.lot_uid]]) == abs(lot.qty)
        assert total([lot.remaining_cost, *gone_cost[lot.lot_uid]]) == lot.cost_basis


@given(histories())
def test_a_move_into_another_lot_carries_its_whole_cost(rows: list[PositionMovement]) -> None:
    matched = match(rows)
    costs = {lot.lot_uid: lot.cost_basis for lot in matched.lots}
    for move in matched.moves:
        if move.to_lot_uid is not None:
            assert costs[move.to_lot_uid] == move.cost_basis


def cash_of(row: PositionMovement) -> Decimal:
    """What a movement brought: its money, or what its price and fees say."""
    if row.money is not None:
        return row.money
    return -row.qty * (row.price or ZERO) * (row.multiplier or ZERO) - (row.fees or ZERO)


@given(histories())
def test_what_was_gained_is_what_came_in_and_what_is_left(rows: list[PositionMovement]) -> None:
    matched = match(rows)
    gained = total(piece.realized_pnl for piece in matched.realized)
    left = total(lot.remaining_cost for lot in matched.lots)
    taken_along = total(move.cost_basis for move in matched.moves if move.to_lot_uid is None)
    with localcontext(EXACT):
        assert gained == total(cash_of(row) for row in rows) + left + taken_along


@given(histories())
def test_no_long_and_short_lot_of_one_instrument_is_open(rows: list[PositionMovement]) -> None:
    sides: dict[str, set[bool]] = defaultdict(set)
    for lot in match(rows).lots:
        if lot.remaining_qty:
            sides[lot.instrument_id].add(lot.remaining_qty > 0)
    assert all(len(found) == 1 for found in sides.values())


@given(histories(), st.randoms(use_true_random=False))
def test_the_order_in_which_rows_come_changes_nothing(rows: list[PositionMovement], random: Random) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert match(shuffled) == match(rows)


Row = Lot | RealizedPnl | LotMove | LedgerStop


def written(rows: Sequence[Row]) -> set[tuple[str, ...]]:
    """Rows as they are written, so that 1.0 and 1 differ."""
    return {tuple(str(getattr(row, column.name)) for column in fields(row)) for row in rows}


def restarted(rows: Sequence[PositionMovement], cut: int) -> Matched:
    """Matched until the day before `cut`, and from what is then open on."""
    before = match([row for row in rows if row.business_date < on(cut)])
    after = match(
        [row for row in rows if row.business_date >= on(cut)],
        held=still_open(before),
        stopped={stop.instrument_id for stop in before.stops},
    )
    done = [lot for lot in before.lots if not lot.remaining_qty]
    return Matched(
        [*done, *after.lots],
        [*before.realized, *after.realized],
        [*before.moves, *after.moves],
        [*before.stops, *after.stops],
    )


def same(one: Matched, other: Matched) -> bool:
    return all(
        written(left) == written(right)
        for left, right in (
            (one.lots, other.lots), (one.realized, other.realized), (one.moves, other.moves), (one.stops, other.stops)
        )
    )  # fmt: skip


@given(histories(), st.integers(0, 40))
def test_to_go_on_from_any_day_is_the_same_as_to_match_all(rows: list[PositionMovement], cut: int) -> None:
    assert same(restarted(rows, cut), match(rows))


@pytest.mark.parametrize("cut", range(6))
def test_it_is_the_same_with_closings_without_lots_and_stops(cut: int) -> None:
    rows = [
        movement("s", -5, 9, effect="CLOSE", broker_cost=30),
        movement("a", 10, 10, day=1, fees="0.07"),
        movement("t", -15, 12, day=2, fees="0.11", effect="CLOSE", broker_cost="155"),
        movement("b", 10, 11, day=3),
        corporate("u", 3, Action.UNKNOWN, day=4),
        movement("v", -10, 11, day=5),
    ]
    assert same(restarted(rows, cut), match(rows))


def test_to_go_on_without_what_was_taken_would_differ() -> None:
    rows = [movement("a", 3, 10, fees="0.01"), movement("s", -1, 12), movement("t", -1, 12, day=1)]
    [held] = still_open(match(rows[:2]))
    wrong = match(rows[2:], held=[type(held)(held.lot, ZERO)])
    assert not same(Matched(wrong.lots, wrong.realized), Matched(match(rows).lots, match(rows).realized[1:]))


@given(histories())
def test_every_number_is_written_without_trailing_zeros(rows: list[PositionMovement]) -> None:
    matched = match(rows)
    for row in (*matched.lots, *matched.realized, *matched.moves):
        for column in fields(row):
            value = getattr(row, column.name)
            if isinstance(value, Decimal):
                assert value.as_tuple() == trimmed(value).as_tuple(), column.name


@given(histories())
def test_every_row_has_a_uid_of_its_own(rows: list[PositionMovement]) -> None:
    matched = match(rows)
    for uids in (
        [lot.lot_uid for lot in matched.lots],
        [piece.realized_uid for piece in matched.realized],
        [move.move_uid for move in matched.moves],
    ):
        assert len(set(uids)) == len(uids)


def by_units(rows: Sequence[PositionMovement]) -> dict[str, Fraction]:
    """What each movement gains, by a queue of single thousandths: slow, and free of the engine's formulas."""
    queue: list[tuple[int, Fraction]] = []
    gains: dict[str, Fraction] = defaultdict(Fraction)
    for row in sorted(rows, key=lambda one: (one.business_date, one.ordered_at)):
        units = int(abs(row.qty) * 1000)
        side = 1 if row.qty > 0 else -1
        cash = -side * Fraction(row.price or 0) / 1000 - Fraction(row.fees or 0) / units
        for _ in range(units):
            if queue and queue[0][0] != side:
                gains[row.movement_uid] += queue.pop(0)[1] + cash
            else:
                queue.append((side, cash))
    return gains


@given(
    st.lists(st.tuples(st.integers(-40, 40).filter(bool), PRICES, st.decimals(0, 5, places=4)), min_size=1, max_size=12)
)
def test_each_closing_gains_what_its_units_gain_one_by_one(trades: list[tuple[int, Decimal, Decimal]]) -> None:
    rows = [
        movement(f"m{n:02}", f"{qty}E-3", str(price), minute=n, fees=str(fees))
        for n, (qty, price, fees) in enumerate(trades)
    ]
    expected = by_units(rows)
    gained: dict[str, Fraction] = defaultdict(Fraction)
    for piece in match(rows).realized:
        gained[piece.close_trade_uid] += Fraction(piece.realized_pnl or 0)
    assert gained.keys() == expected.keys()
    for uid, gain in gained.items():
        assert abs(gain - expected[uid]) < Fraction(1, 10**7)
