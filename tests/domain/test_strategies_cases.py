"""Single groups are named as public references name them, and the stored books of positions can be relied upon."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from random import Random

import pytest

from apex_pipeline.domain.models import OptionRight
from apex_pipeline.domain.strategies.shapes import Match, ShapeLeg, name_shape
from apex_pipeline.domain.strategies.taxonomy import shape, strategy_ids
from tests.domain.strategy_cases import BookCase, GroupCase, book_cases, group_cases, leg, sources

LOWEST_SHARE = Decimal("0.98")


def matched(case: GroupCase, legs: Iterable[ShapeLeg]) -> Match | None:
    context = shape(case.context_of).context_required if case.context_of else ()
    return name_shape(legs, frozenset(context))


def agrees(case: GroupCase, expected: str | None) -> bool:
    match = matched(case, case.legs)
    found = match.shape.id if match else None
    return found == expected and case.units in (None, match.units if match else None)


def agreement(cases: Iterable[GroupCase], expected: Mapping[int, str | None]) -> Decimal:
    """The share of undisputed cases whose name is `expected` under the case's identity."""
    told = [agrees(case, expected[id(case)]) for case in cases if case.disputed is None]
    return Decimal(sum(told)) / len(told)


def truths() -> dict[int, str | None]:
    return {id(case): case.expected for case in group_cases()}


def net(legs: Iterable[ShapeLeg]) -> Mapping[tuple[OptionRight | None, Decimal | None, date | None], Decimal]:
    added: dict[tuple[OptionRight | None, Decimal | None, date | None], Decimal] = defaultdict(Decimal)
    for item in legs:
        added[item.right, item.strike, item.expiry] += item.qty
    return {contract: qty for contract, qty in added.items() if qty}


def test_the_cases_are_many_and_of_many_sources() -> None:
    groups = Counter(case.source for case in group_cases())
    assert sum(groups.values()) >= 150
    assert len({sources()[key].repository for key in groups} - {None}) >= 12
    assert len(book_cases()) >= 40
    assert len({case.source for case in book_cases()}) >= 6


def test_undisputed_groups_are_named_as_their_references_name_them() -> None:
    assert agreement(group_cases(), truths()) >= LOWEST_SHARE


def test_the_agreement_falls_if_one_name_in_twenty_is_wrong() -> None:
    wrong = truths()
    for case in group_cases()[::20]:
        wrong[id(case)] = "LONG_CALL" if case.expected != "LONG_CALL" else "SHORT_CALL"
    assert agreement(group_cases(), wrong) < LOWEST_SHARE


def test_of_the_disputed_groups_the_legs_decide() -> None:
    """What a reference calls them is stored as its label; here the catalogue's own reading is held."""
    for case in group_cases():
        assert case.disputed is None or agrees(case, case.expected), (case.source, case.label)


def test_the_order_of_legs_and_their_number_change_no_name() -> None:
    shuffled = Random(7)
    for case in group_cases():
        once = matched(case, case.legs)
        order = shuffled.sample(case.legs, len(case.legs))
        again = matched(case, [ShapeLeg(item.qty * 20, item.right, item.strike, item.expiry) for item in order])
        if once is None:
            assert again is None or any(item.qty % 1 for item in case.legs)
        else:
            assert again is not None
            assert (again.shape, again.units) == (once.shape, once.units * 20)


def test_every_expected_name_is_in_the_catalogue() -> None:
    named = {case.expected for case in group_cases()} | {
        group.name for case in book_cases() for partition in case.partitions for group in partition
    }
    assert named - {None} <= strategy_ids()


def told(case: BookCase) -> str:
    return f"{case.source}: {case.title}"


@pytest.mark.parametrize("case", book_cases(), ids=told)
def test_a_partition_holds_every_contract_of_its_book_once(case: BookCase) -> None:
    for partition in case.partitions:
        assert net(item for group in partition for item in group.legs) == net(case.positions)
    assert case.partitions or case.uncovered_shorts is not None


@pytest.mark.parametrize("case", book_cases(), ids=told)
def test_a_group_of_a_partition_has_the_name_of_its_legs(case: BookCase) -> None:
    for group in (group for partition in case.partitions for group in partition):
        match = name_shape(group.legs)
        assert (match.shape.id if match else None) == group.name
        assert match is None or match.units == group.units


@pytest.mark.parametrize("text", ["1C100", "+1C", "+1S5", "+1X100", "+1C100@21-3-2026", "+1.5C100"])
def test_a_leg_that_is_written_wrongly_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        leg(text, "2026-01-16", Decimal(100))


def test_stock_is_counted_in_lots_of_the_option() -> None:
    assert leg("-300S", "2026-01-16", Decimal(150)) == ShapeLeg(Decimal(-2))
