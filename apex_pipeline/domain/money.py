"""Exact numbers: strict text to Decimal, and the exact decimal of a binary double."""

import re
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
