"""A book of positions is divided as public references divide it: exactly, at once, whatever the order of its rows."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apex_pipeline.domain.strategies import positions as dividing
from apex_pipeline.domain.strategies.holdings import CALL, OTHER, PUT, STOCK, Term
from apex_pipeline.domain.strategies.positions import PositionGroup, partition_positions
from apex_pipeline.domain.strategies.shapes import RIGHTS, ShapeLeg
from tests.domain.strategy_cases import BookCase, book_cases

LOT = 600
"""Units of the underlying per contract; divisible by every part of a lot that the cases hold."""
LOWEST_SHARE = Decimal("0.9")
SECONDS = 2.0
"""Of processor time for one book, on a machine that may be four times as slow as one of today."""

Told = frozenset[tuple[tuple[str | None, frozenset[tuple[Term, int]]], int]]


def contract(leg: ShapeLeg) -> Term:
    if leg.right is None or leg.strike is None or leg.expiry is None:
        return Term("stock", STOCK, lot=LOT)
    name = f"{leg.right} {leg.strike} {leg.expiry}"
    return Term(name, RIGHTS[leg.right], int(leg.strike * 1000), leg.expiry.toordinal(), LOT)


def net(legs: Iterable[ShapeLeg]) -> dict[Term, int]:
    added: defaultdict[Term, int] = defaultdict(int)
    for leg in legs:
        added[contract(leg)] += round(leg.qty * LOT)
    return {term: qty for term, qty in added.items() if qty}


def told(groups: Iterable[tuple[str | None, Mapping[Term, int]]]) -> Told:
    """Groups as a value: equal groups counted, order forgotten."""
    return frozenset(Counter((name, frozenset(legs.items())) for name, legs in groups).items())


def divided(book: Mapping[Term, int]) -> Told:
    terms = list(book)
    groups = partition_positions(dict(enumerate(book.values())), terms)
    return told((group.strategy_type, {terms[number]: qty for number, qty in group.legs.items()}) for group in groups)


def accepted(case: BookCase) -> list[Told]:
    return [told((group.name, net(group.legs)) for group in partition) for partition in case.partitions]


def agreement(cases: Sequence[BookCase], answers: Sequence[Sequence[Told]]) -> Decimal:
    agreed = sum(divided(net(case.positions)) in answer for case, answer in zip(cases, answers, strict=True))
    return Decimal(agreed) / len(cases)


UNDISPUTED = [case for case in book_cases() if case.disputed is None and case.partitions]


def test_undisputed_books_are_divided_as_their_references_divide_them() -> None:
    assert len(UNDISPUTED) >= 50
    assert agreement(UNDISPUTED, [accepted(case) for case in UNDISPUTED]) >= LOWEST_SHARE


def test_the_agreement_falls_if_the_answers_belong_to_other_books() -> None:
    answers = [accepted(case) for case in UNDISPUTED]
    assert agreement(UNDISPUTED, [*answers[1:], answers[0]]) < LOWEST_SHARE


@pytest.mark.parametrize("case", book_cases(), ids=lambda case: case.title)
def test_no_case_takes_long_and_none_depends_on_the_order_of_rows(case: BookCase) -> None:
    began = time.process_time()
    first = divided(net(case.positions))
    assert time.process_time() - began < SECONDS
    chance = Random(3)
    for _ in range(4):
        assert divided(net(chance.sample(case.positions, len(case.positions)))) == first


@pytest.mark.parametrize("case", [case for case in book_cases() if case.uncovered_shorts == 0], ids=lambda c: c.title)
def test_no_sold_call_stays_naked_where_a_better_division_covers_it(case: BookCase) -> None:
    names = {name for (name, _), _ in divided(net(case.positions))}
    assert not names & {"SHORT_CALL", "SHORT_STRANGLE", "SHORT_STRADDLE"}


def quantities(groups: Iterable[PositionGroup]) -> dict[int, int]:
    added: defaultdict[int, int] = defaultdict(int)
    for group in groups:
        for number, qty in group.legs.items():
            added[number] += qty
    return dict(added)


@st.composite
def books(draw: st.DrawFn, most: int = 14) -> dict[Term, int]:
    """Calls and puts of few strikes and expiries and two lots, stock with odd shares, and something without a shape."""
    amounts = st.integers(-9, 9).filter(bool)
    options = draw(
        st.dictionaries(
            st.tuples(st.sampled_from((CALL, PUT)), st.integers(1, 9), st.integers(1, 3), st.sampled_from((100, 150))),
            amounts,
            max_size=most,
        )
    )
    book = {
        Term(str(key), key[0], key[1] * 5, 739_000 + key[2] * 28, key[3]): qty * key[3] for key, qty in options.items()
    }
    shares, warrants = draw(st.integers(-730, 730)), draw(st.sampled_from((0, 0, 40)))
    book |= {Term("stock", STOCK, lot=100): shares} if shares else {}
    return book | ({Term("warrant", OTHER): warrants} if warrants else {})


@given(books())
@settings(deadline=None, max_examples=60)
def test_every_quantity_is_in_exactly_one_group_with_its_sign(book: dict[Term, int]) -> None:
    held = dict(enumerate(book.values()))
    groups = partition_positions(held, list(book))
    assert quantities(groups) == held
    for group in groups:
        assert all(qty * held[number] > 0 for number, qty in group.legs.items())
        assert group.units >= 1
        assert group.strategy_type is not None or len(group.legs) == 1


@given(books(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_the_order_of_rows_changes_nothing(book: dict[Term, int], chance: Random) -> None:
    rows = list(book.items())
    chance.shuffle(rows)
    assert divided(dict(rows)) == divided(book)


@given(books(8))
@settings(deadline=None, max_examples=40)
def test_a_division_never_has_more_groups_than_contracts(book: dict[Term, int]) -> None:
    assert len(partition_positions(dict(enumerate(book.values())), list(book))) <= len(book)


def ladder(contracts: int, chance: Random) -> dict[Term, int]:
    """As many calls and puts of one expiry as there are, in sizes that fit nothing: the hardest book there is."""
    rights = [(CALL, strike) for strike in range(contracts)] + [(PUT, strike) for strike in range(contracts)]
    return {
        Term(f"{right} {strike}", right, 100 + 5 * strike, 739_000, 100): 100
        * chance.choice((-1, 1))
        * chance.randint(1, 9)
        for right, strike in sorted(chance.sample(rights, contracts))
    }


@pytest.mark.parametrize("contracts", [8, 12, 40])
def test_even_the_hardest_book_takes_less_than_seconds(contracts: int) -> None:
    chance = Random(contracts)
    for _ in range(3):
        book = ladder(contracts, chance)
        began = time.process_time()
        groups = partition_positions(dict(enumerate(book.values())), list(book))
        assert time.process_time() - began < SECONDS
        assert quantities(groups) == dict(enumerate(book.values()))


def test_a_search_that_may_look_at_little_still_keeps_every_quantity(monkeypatch: pytest.MonkeyPatch) -> None:
    book = ladder(12, Random(5))
    monkeypatch.setattr(dividing, "_MOVES_AT_MOST", 1)
    assert quantities(partition_positions(dict(enumerate(book.values())), list(book))) == dict(enumerate(book.values()))


def test_a_large_book_keeps_covered_calls_and_calendars_that_no_expiry_holds_alone() -> None:
    expiries = [739_000 + 7 * week for week in range(8)]
    book = {Term("stock", STOCK, lot=100): 300}
    for number, expiry in enumerate(expiries):
        book[Term(f"P90 {expiry}", PUT, 90, expiry, 100)] = 100 * (number + 1)
        book[Term(f"P95 {expiry}", PUT, 95, expiry, 100)] = -100 * (number + 1)
    book[Term("C110", CALL, 110, expiries[3], 100)] = -300
    names = Counter({name: count for (name, _), count in divided(book)})
    assert len(book) > 12
    assert "COVERED_CALL" in names
    assert {name for name in names if name} <= {"BULL_PUT_SPREAD", "COVERED_CALL"}
