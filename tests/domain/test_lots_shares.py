"""Shares of a whole: nothing is lost, every last digit is said."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apex_pipeline.domain.lot_shares import EXACT, quotient, share, trimmed

MONEY = st.decimals(-(10**9), 10**9, places=13, allow_nan=False, allow_infinity=False)
UNITS = st.lists(st.decimals("0.00000001", 10**7, places=8), min_size=1, max_size=8)


@given(MONEY, UNITS)
def test_shares_that_cover_the_whole_sum_to_the_total(total: Decimal, parts: list[Decimal]) -> None:
    whole, start, given_out = sum(parts, Decimal(0)), Decimal(0), Fraction(0)
    for part in parts:
        given_out += Fraction(share(total, start, start + part, whole))
        start += part
    assert given_out == Fraction(total)


@given(MONEY, UNITS)
def test_a_share_is_within_one_unit_of_the_last_place_of_its_fair_part(total: Decimal, parts: list[Decimal]) -> None:
    whole, first = sum(parts, Decimal(0)), parts[0]
    fair = Fraction(total) * Fraction(first) / Fraction(whole)
    assert abs(Fraction(share(total, Decimal(0), first, whole)) - fair) <= Fraction(1, 10**10)


@pytest.mark.parametrize(
    ("total", "start", "end", "whole", "expected"),
    [
        ("1", "0", "1", "3", "0.3333333333"),
        ("1", "1", "2", "3", "0.3333333334"),  # 0.6666666667 - 0.3333333333
        ("1", "2", "3", "3", "0.3333333333"),
        ("-1", "1", "3", "3", "-0.6666666667"),
        ("0.0000000001", "0", "1", "2", "0.0000000001"),  # half goes away from zero
        ("-0.0000000001", "0", "1", "2", "-0.0000000001"),
        ("0.0000000001", "1", "2", "2", "0"),
        ("0.00000000001", "0", "5", "5", "0.00000000001"),  # the whole is the total, however fine
        ("0", "0", "1", "3", "0"),
    ],
)
def test_cumulative_parts_are_rounded_half_away_from_zero(
    total: str, start: str, end: str, whole: str, expected: str
) -> None:
    assert share(Decimal(total), Decimal(start), Decimal(end), Decimal(whole)) == Decimal(expected)


def test_a_quotient_is_rounded_to_twenty_places_before_ten() -> None:
    # 0.49999999999999999999 6 of a last place: the first rounding makes it a half, as PostgreSQL's does
    value = Decimal("0.000000000049999999996")
    assert quotient(value, Decimal(1)) == Decimal("0.0000000001")
    assert quotient(Decimal("0.00000000004999999999"), Decimal(1)) == 0
    assert quotient(Decimal(2), Decimal(3), 8) == Decimal("0.66666667")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.50", "1.5"),
        ("1E+2", "100"),
        ("100", "100"),
        ("-0.00", "0"),
        ("0E-10", "0"),
        ("1E-8", "1E-8"),
        ("-7.0", "-7"),
    ],
)
def test_a_number_is_written_in_one_way(value: str, text: str) -> None:
    assert trimmed(Decimal(value)).as_tuple() == Decimal(text).as_tuple()


def test_numbers_longer_than_the_usual_context_lose_nothing() -> None:
    long = Decimal("123456789012345678901234567890.123456789012345678")
    assert trimmed(long) == long
    assert share(long, Decimal(0), Decimal(7), Decimal(7)) == long
    assert EXACT.multiply(long, long) == Decimal(str(Fraction(long) ** 2 * 10**36)).scaleb(-36, EXACT)
