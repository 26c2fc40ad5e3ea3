"""Exact numbers: strict text to Decimal, the exact decimal of a binary double, and sums split without a remainder."""

import re
from collections.abc import Sequence
from decimal import Decimal

from apex_pipeline.errors import UnknownPayload

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def decimal_of(text: str) -> Decimal:
    """The exact value of a plain decimal number.

    Only ASCII digits, one point, an optional sign and a short exponent: thousands separators, NaN,
    Infinity and underscores raise UnknownPayload, because each has silently become a wrong amount in
    some reader (ibflex 1.1 reads "10,5" as 105).
    """
    if not _NUMBER.fullmatch(text):
        raise UnknownPayload("bad_number", f"{text[:40]!r} is not a plain decimal number")
    return Decimal(text)


def decimal_of_double(value: float) -> Decimal:
    """The shortest decimal that names this double: what the sender meant by it, e.g. 0.1 for 0.1."""
    return decimal_of(repr(value))


def places_of(value: Decimal) -> int:
    """Digits after the point as the number is written: 2 for 1.50, 0 for 7 and for 7E+2."""
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def allocate(total: Decimal, weights: Sequence[Decimal], places: int) -> list[Decimal]:
    """Split `total` in proportion to `weights` into parts of at most `places` decimals that sum to it exactly.

    Largest remainder: each part is cut off, and the units left over go one each to the parts that lost most,
    to the earlier one where two lost the same. Where `total` has more than `places` decimals, its own are used.
    All parts have the sign of the total; equal weights where all are zero. Raises ValueError without weights
    and for a negative one.
    """
    if not weights or min(weights) < 0:
        raise ValueError("a sum can be split only over weights, none of them negative")
    places = max(places, places_of(total))
    units = abs(_units(total, places))
    finest = max(map(places_of, weights))
    shares = [_units(weight, finest) for weight in weights] if any(weights) else [1] * len(weights)
    whole = sum(shares)
    cut = [divmod(units * share, whole) for share in shares]
    parts = [part for part, _ in cut]
    by_loss = sorted(range(len(parts)), key=lambda n: (-cut[n][1], n))
    for n in by_loss[: units - sum(parts)]:
        parts[n] += 1
    sign = -1 if total < 0 else 1
    return [_scaled(sign * part, places) for part in parts]


def _units(value: Decimal, places: int) -> int:
    """A number of at most `places` decimals in units of the last of them; exact at any length."""
    numerator, denominator = value.as_integer_ratio()
    return numerator * 10**places // denominator


def _scaled(units: int, places: int) -> Decimal:
    # built from its digits: arithmetic would round to the context's precision
    return Decimal((int(units < 0), tuple(map(int, str(abs(units)))), -places))
