"""Numbers of Futu rows as Decimal, and what follows from them: contract size and currency. Pure."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from apex_pipeline.brokers.futu import codes, market_time, vocabulary
from apex_pipeline.brokers.futu.codes import Listing
from apex_pipeline.domain.models import AssetClass
from apex_pipeline.domain.money import decimal_of, decimal_of_double
from apex_pipeline.errors import UnknownPayload

_SMALLEST_OPTION = 10
_LARGEST_CONTRACT = 1_000_000
_ROUNDING = Decimal("0.005")
_SIZED_BY_AMOUNT = frozenset({AssetClass.OPTION, AssetClass.FUTURE, AssetClass.COMBO})


def number(row: Mapping[str, Any], name: str) -> Decimal | None:
    """The exact value of a number field; None where the row lacks it. Raises UnknownPayload("bad_number")."""
    match row.get(name):
        case None:
            return None
        case Decimal() as value if value.is_finite():
            return value
        case bool() as value:
            raise UnknownPayload("bad_number", f"{name} is {value}, which is not a number")
        case int() as value:
            return Decimal(value)
        case float() as value:
            return decimal_of_double(value)
        case value:
            return decimal_of(str(value))


def required(row: Mapping[str, Any], name: str) -> Decimal:
    """As `number`; raises UnknownPayload("missing_field") where the row lacks it."""
    value = number(row, name)
    if value is None:
        raise UnknownPayload("missing_field", f"the row has no {name}")
    return value


def multiplier_of_order(order: Mapping[str, Any], listing: Listing) -> Decimal | None:
    """Units per contract: from the order's own amount (qty x price x multiplier) where it is sane, else by the code.

    None where neither decides: Hong Kong sizes differ per class, and a market order has no price.
    """
    return _multiplier(order, listing, "orderAmount")


def multiplier_of_position(position: Mapping[str, Any], listing: Listing) -> Decimal | None:
    """Units per contract from a position's market value, as `multiplier_of_order` does from an amount."""
    return _multiplier(position, listing, "val")


def currency_of(row: Mapping[str, Any]) -> str | None:
    """The currency that the row names, else the one of its market; None where neither is known."""
    named = vocabulary.CURRENCIES.get(row.get("currency", 0))
    return named or vocabulary.CURRENCY_OF_PREFIX.get(market_time.market_of(row) or "")


def _multiplier(row: Mapping[str, Any], listing: Listing, amount_field: str) -> Decimal | None:
    derived = _from_amount(row, amount_field) if listing.asset_class in _SIZED_BY_AMOUNT else None
    if derived is not None and (listing.asset_class is AssetClass.FUTURE or derived >= _SMALLEST_OPTION):
        return derived
    return codes.standard_multiplier(listing)


def _from_amount(row: Mapping[str, Any], amount_field: str) -> Decimal | None:
    amount, qty, price = number(row, amount_field), number(row, "qty"), number(row, "price")
    if not amount or not qty or not price:
        return None
    size_one = abs(qty * price)
    whole = Decimal(round(abs(amount) / size_one))
    sane = 1 <= whole <= _LARGEST_CONTRACT and abs(abs(amount) - whole * size_one) <= _ROUNDING
    return whole if sane else None
