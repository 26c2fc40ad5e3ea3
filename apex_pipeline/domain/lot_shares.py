"""Exact arithmetic of lots: shares of a whole that sum to it, and numbers written in one way only."""

from decimal import (
    MAX_EMAX,
    MIN_EMIN,
    ROUND_05UP,
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)

PLACES = 10
ZERO = Decimal(0)

_DIGITS = 1000
_ERRORS = [InvalidOperation, DivisionByZero, Overflow]
# Sums and products of money are never rounded: one that does not fit raises Inexact.
EXACT = Context(prec=_DIGITS, rounding=ROUND_HALF_UP, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[*_ERRORS, Inexact])
# ROUND_05UP leaves a last digit that makes the next rounding as right as one of the exact quotient.
_QUOTIENT = Context(prec=100, rounding=ROUND_05UP, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=_ERRORS)
_ROUND = Context(prec=_DIGITS, rounding=ROUND_HALF_UP, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=_ERRORS)
# With these bounds no number has a positive exponent, so 1E+2 is normalized to 100.
_PLAIN = Context(prec=_DIGITS, rounding=ROUND_HALF_UP, Emin=1 - _DIGITS, Emax=_DIGITS - 1, clamp=1, traps=[*_ERRORS])
_PLAIN.traps[Inexact] = True
_TWENTY = Decimal(1).scaleb(-20)
_STEPS = {places: Decimal(1).scaleb(-places) for places in (8, PLACES)}

_multiply, _subtract, _divide, _quantize, _normalize = (
    EXACT.multiply, EXACT.subtract, _QUOTIENT.divide, _ROUND.quantize, _PLAIN.normalize,
)  # fmt: skip


def trimmed(value: Decimal) -> Decimal:
    """The same number without trailing zeros and without an exponent: 1.50 is 1.5, 1E+2 is 100, -0 is 0."""
    return _normalize(value) if value else ZERO


def trimmed_or_none(value: Decimal | None) -> Decimal | None:
    """As `trimmed`; unknown stays unknown."""
    if value is None:
        return None
    return _normalize(value) if value else ZERO


def quotient(value: Decimal, divisor: Decimal, places: int = PLACES) -> Decimal:
    """value / divisor, rounded half away from zero to 20 places and then to `places` (8 or 10).

    Twice, because PostgreSQL divides to a scale first: both engines must tell the same last digit.
    """
    return _quantize(_quantize(_divide(value, divisor), _TWENTY), _STEPS[places])


def share(total: Decimal, start: Decimal, end: Decimal, whole: Decimal, places: int = PLACES) -> Decimal:
    """What of `total` falls on the units from `start` to `end` of `whole`, 0 <= start <= end <= whole.

    Shares that cover the whole sum to the total exactly: each is a difference of two cumulative parts, which are
    rounded half away from zero to `places`; the last one is the total itself, however many places it has.
    """
    if not total:
        return ZERO
    upper = total if end == whole else quotient(_multiply(total, end), whole, places)
    if not start:
        return upper
    return _subtract(upper, quotient(_multiply(total, start), whole, places))
