"""The catalogue loads whole, its conditions are read safely, and every shape finds its own examples."""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from itertools import islice, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.models import OptionRight, Side
from apex_pipeline.domain.strategies.constraints import condition
from apex_pipeline.domain.strategies.shapes import ShapeLeg, name_shape
from apex_pipeline.domain.strategies.taxonomy import Ratio, Shape, shape, strategy_ids, taxonomy

NEAR, FAR = date(2026, 8, 21), date(2026, 9, 18)
STRIKES = [Decimal(text) for text in ("90", "95", "100", "102.5", "105", "110", "120")]
C, P = OptionRight.CALL, OptionRight.PUT
ALL = sorted(taxonomy().shapes)


def leg(qty: str, right: OptionRight | None = None, strike: str | None = None, expiry: date = NEAR) -> ShapeLeg:
    """`leg("-2", C, "105")`; without a right it is stock in lots."""
    if right is None:
        return ShapeLeg(Decimal(qty))
    return ShapeLeg(Decimal(qty), right, Decimal(strike or "0"), expiry)


def name_of(*legs: ShapeLeg) -> str | None:
    match = name_shape(legs)
    return match.shape.id if match else None


def letters(shape: Shape, kind: str) -> list[str]:
    return sorted({getattr(pattern, kind) for pattern in shape.legs})


def ratio_letters(shape: Shape) -> list[str]:
    ratios = [pattern.ratio for pattern in shape.legs] + ([shape.stock.ratio] if shape.stock else [])
    return sorted({ratio for ratio in ratios if isinstance(ratio, str)})


def examples(shape: Shape) -> Iterator[list[ShapeLeg]]:
    """Legs that the shape's own text describes, from small grids of strikes, expiries and ratios."""
    strikes, expiries, ratios = letters(shape, "strike"), letters(shape, "expiry"), ratio_letters(shape)
    for values in product(
        product(STRIKES, repeat=len(strikes)),
        product((NEAR, FAR), repeat=len(expiries)),
        product((1, 2, 3), repeat=len(ratios)),
    ):
        strike, expiry = dict(zip(strikes, values[0], strict=True)), dict(zip(expiries, values[1], strict=True))
        ratio = dict(zip(ratios, values[2], strict=True))
        bound = {name: int(value * 10) for name, value in strike.items()}
        bound |= {name: day.toordinal() for name, day in expiry.items()}
        bound |= ratio
        if all(holds(bound) for holds in shape.constraints):
            legs = [
                ShapeLeg(signed(item.side, item.ratio, ratio), item.right, strike[item.strike], expiry[item.expiry])
                for item in shape.legs
            ]
            yield [*legs, ShapeLeg(signed(shape.stock.side, shape.stock.ratio, ratio))] if shape.stock else legs


def signed(side: Side, ratio: Ratio, bound: Mapping[str, int]) -> Decimal:
    value = Decimal(ratio if isinstance(ratio, int) else bound[ratio])
    return value if side is Side.BUY else -value


@pytest.mark.parametrize("shape_id", ALL)
def test_every_shape_is_named_by_examples_of_itself(shape_id: str) -> None:
    wanted = shape(shape_id)
    context = frozenset(wanted.context_required)
    named = 0
    for legs in islice(examples(wanted), 400):
        match = name_shape(legs, context)
        assert match is not None
        assert shape_id in (match.shape.id, *match.rivals)
        assert match.shape.specificity >= wanted.specificity or not wanted.context_required
        named += match.shape.id == shape_id
    # A cash-secured put is a short put of lower specificity: proof of cash does not change the name.
    assert named or shape_id == "CASH_SECURED_PUT"


@pytest.mark.parametrize("shape_id", ALL)
def test_neither_the_order_of_legs_nor_the_number_of_units_changes_a_name(shape_id: str) -> None:
    for legs in islice(examples(shape(shape_id)), 20):
        once = name_shape(legs)
        tripled = name_shape([ShapeLeg(item.qty * 3, item.right, item.strike, item.expiry) for item in reversed(legs)])
        assert once is not None
        assert tripled is not None
        assert (tripled.shape, tripled.units) == (once.shape, once.units * 3)


@pytest.mark.parametrize("shape_id", [name for name in ALL if taxonomy().shapes[name].inverse])
def test_turning_every_side_round_never_keeps_the_name(shape_id: str) -> None:
    legs = next(examples(shape(shape_id)))
    assert name_of(*[ShapeLeg(-item.qty, item.right, item.strike, item.expiry) for item in legs]) != name_of(*legs)


@pytest.mark.parametrize(
    ("expected", "legs"),
    [
        ("IRON_CONDOR", [leg("2", P, "90"), leg("-2", P, "95"), leg("-2", C, "105"), leg("2", C, "110")]),
        ("BROKEN_WING_IRON_CONDOR", [leg("1", P, "90"), leg("-1", P, "95"), leg("-1", C, "105"), leg("1", C, "120")]),
        ("IRON_BUTTERFLY", [leg("1", P, "90"), leg("-1", P, "100"), leg("-1", C, "100"), leg("1", C, "110")]),
        ("LONG_CALL_BUTTERFLY", [leg("1", C, "90"), leg("-2", C, "100"), leg("1", C, "110")]),
        ("BULL_CALL_SPREAD", [leg("1", C, "100"), leg("-1", C, "105")]),
        ("BULL_PUT_SPREAD", [leg("1", P, "95"), leg("-1", P, "100")]),
        ("SHORT_STRANGLE", [leg("-1", P, "95"), leg("-1", C, "105")]),
        ("COVERED_CALL", [leg("3"), leg("-3", C, "105")]),
        ("RATIO_COVERED_CALL", [leg("1"), leg("-2", C, "105")]),
        ("COLLAR", [leg("1"), leg("1", P, "95"), leg("-1", C, "105")]),
        ("LONG_CALL_CALENDAR", [leg("-1", C, "100"), leg("1", C, "100", FAR)]),
        ("LONG_STOCK", [leg("0.37")]),
        ("SHORT_PUT", [leg("-1", P, "95")]),
        ("LONG_CALL", [leg("2", C, "95"), leg("-1", C, "95")]),
        (None, [leg("0.37"), leg("-1", C, "105")]),
        (None, [leg("1", C, "95"), leg("-1", C, "95")]),
        (None, [leg("1", C, "90"), leg("1", C, "95"), leg("1", C, "100"), leg("1", C, "105"), leg("1", C, "110")]),
    ],
)
def test_well_known_legs_have_their_well_known_names(expected: str | None, legs: list[ShapeLeg]) -> None:
    assert name_of(*legs) == expected


def test_a_context_shape_wins_only_when_its_context_is_proven() -> None:
    legs = [leg("1", C, "90", FAR), leg("-1", C, "110")]
    poor = shape("POOR_MANS_COVERED_CALL")
    unproven, proven = name_shape(legs), name_shape(legs, frozenset(poor.context_required))
    assert unproven is not None
    assert unproven.shape.id == "LONG_CALL_DIAGONAL"
    assert poor.id in unproven.rivals
    assert proven is not None
    assert proven.shape is poor


def test_an_option_leg_without_a_strike_is_refused() -> None:
    with pytest.raises(ValueError, match="strike"):
        name_shape([ShapeLeg(Decimal(1), C)])


def test_the_catalogue_is_whole_and_its_inverses_exist() -> None:
    found = taxonomy()
    assert (len(found.shapes), len(found.context_types)) == (126, 14)
    assert {"ROLL", "CUSTOM_MULTI_LEG", "UNCLASSIFIED"} <= found.context_types
    assert not set(found.shapes) & found.context_types
    assert {item.inverse for item in found.shapes.values() if item.inverse} <= set(found.shapes)
    assert strategy_ids() == set(found.shapes) | found.context_types


@given(st.tuples(*[st.integers(-9, 9)] * 4))
def test_conditions_mean_what_their_text_says(values: tuple[int, int, int, int]) -> None:
    a, b, c, d = values
    bound = dict(zip("abcd", values, strict=True))
    assert condition("a<b<=c<d")(bound) is (a < b <= c < d)
    assert condition("b-a==2*(d-c)")(bound) is (b - a == 2 * (d - c))
    assert condition("a<b or c!=d")(bound) is (a < b or c != d)
    assert condition("not (a==b and c>=2*a)")(bound) is (not (a == b and c >= 2 * a))


@pytest.mark.parametrize(
    "text", ["__import__('os')", "a", "a<", "a<b()", "a.b<1", "a<'b'", "a in b", "a**b<1", "-a<b", "a<True", "a<1.5"]
)
def test_anything_beyond_the_small_language_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        condition(text)
