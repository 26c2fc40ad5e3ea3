"""The words and values of engines, read by name from mappings and objects of any kind. Pure.

Binary floats become the shortest decimal that names them; what an engine says by NaN, or by the largest double, is
unknown. Errors: UnknownPayload.
"""

import math
import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, cast

from apex_pipeline.domain.models import AssetClass, Broker
from apex_pipeline.domain.money import decimal_of, decimal_of_double
from apex_pipeline.errors import UnknownPayload

Key = tuple[Broker, str]
"""A broker and the number of an account."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "broker": ("broker", "broker_name"),
    "account_id": ("account_id", "account", "acc_id"),
    "symbol": ("symbol", "instrument", "code"),
    "instrument_id": ("instrument_id", "conid", "con_id", "conId", "ib_conid", "futu_code"),
    "qty": ("qty", "quantity", "position", "lots", "size"),
    "avg_cost": ("avg_cost", "average_cost", "avg_price", "average_price", "entry_price"),
    "mark_price": ("mark_price", "market_price", "current_price", "last_price"),
    "market_value": ("market_value",),
    "unrealized_pnl": ("unrealized_pnl", "unrealised_pnl"),
    "realized_pnl": ("realized_pnl", "realised_pnl"),
    "currency": ("currency", "base_currency"),
    "asset_class": ("asset_class", "sec_type", "security_type"),
    "net_liquidation": ("net_liquidation", "net_liq", "nav", "equity", "portfolio_value"),
    "total_cash_value": ("total_cash_value", "total_cash", "cash_balance", "cash"),
    "margin_used": ("margin_used", "initial_margin", "init_margin"),
}
"""Words of engines for what a snapshot tells."""

BROKERS = {"IBKR": Broker.IB, "INTERACTIVE_BROKERS": Broker.IB, "MOOMOO": Broker.FUTU}
ASSET_CLASSES = {
    "STK": AssetClass.STOCK, "OPT": AssetClass.OPTION, "FUT": AssetClass.FUTURE, "FOP": AssetClass.FUTURE_OPTION,
    "CASH": AssetClass.FX, "BAG": AssetClass.COMBO, "IND": AssetClass.INDEX, "WAR": AssetClass.WARRANT,
}  # fmt: skip
SHORT = ("SELL", "SHORT")
UNSET = Decimal("1e300")
"""Doubles beyond this are how IB says that it does not know."""


def amount(value: Any) -> Decimal | None:
    """A number of an engine as a Decimal; None for what is not known. UnknownPayload for what is no number."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, bool):
        raise UnknownPayload("bad_number", f"{value} is not a number")
    if isinstance(value, str):
        return decimal_of(value.strip())
    if isinstance(value, Decimal):
        return None if value.is_nan() else decimal_of(str(value))
    if isinstance(value, float):
        made = None if math.isnan(value) else decimal_of_double(float(value))
        return made if made is None or abs(made) < UNSET else None
    try:
        return Decimal(operator.index(value))
    except TypeError:
        raise UnknownPayload("bad_number", f"a {type(value).__name__} is not a number") from None


def jsonable(value: Any) -> Any:
    """A value as JSON keeps it: exact numbers, ISO instants, names of enums; NaN is unknown; the rest as text."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, Mapping):
        return {str(name): jsonable(one) for name, one in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(one) for one in cast("Iterable[Any]", value)]
    if isinstance(value, float):
        return decimal_of_double(float(value)) if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def contents(row: Any) -> Mapping[str, Any]:
    """Everything that a mapping or an object tells by name."""
    if isinstance(row, Mapping):
        return cast("Mapping[str, Any]", row)
    if is_dataclass(row):
        return {one.name: getattr(row, one.name) for one in fields(row)}
    if hasattr(row, "_asdict"):
        return cast("Mapping[str, Any]", row._asdict())
    if hasattr(row, "__dict__"):
        return {name: value for name, value in vars(row).items() if not name.startswith("_")}
    raise UnknownPayload("no_row", f"a {type(row).__name__} tells nothing by name")


def key_in(row: Any) -> Key:
    """The account that a row names; UnknownPayload where it names none."""
    broker, account = named(row, "broker"), named(row, "account_id")
    if account in (None, ""):
        raise UnknownPayload("no_account", f"a row names no account: {named(row, 'symbol') or type(row).__name__}")
    return broker_named(broker, str(account)), str(account)


def key_of(told: Any, row: Any) -> Key:
    """The account that a key of a mapping names: (broker, account_id), or the account_id alone."""
    if isinstance(told, (tuple, list)) and len(cast("tuple[Any, ...]", told)) == 2:
        broker, account = cast("tuple[Any, Any]", told)
        return broker_named(broker, str(account)), str(account)
    if not isinstance(told, (str, int)) or isinstance(told, bool):
        raise UnknownPayload("no_account", f"{told!r} names no account: use (broker, account_id)")
    return broker_named(None if row is None else named(row, "broker"), str(told)), str(told)


def broker_named(name: Any, account_id: str) -> Broker:
    """The broker of this name in any case; without one, Futu's accounts are numbers and IB's begin with a letter.

    UnknownPayload for a name that is no broker's.
    """
    if name in (None, ""):
        return Broker.FUTU if account_id.isdigit() else Broker.IB
    told = str(jsonable(name)).strip().upper()
    if told in BROKERS:
        return BROKERS[told]
    if told not in Broker.__members__:
        raise UnknownPayload("unknown_broker", f"{name!r} is no broker: use {', '.join(Broker)}")
    return Broker[told]


def listed(answer: Any) -> list[Any]:
    """The items of a list; one thing alone is a list of it."""
    return list(rows_in(answer)) if not isinstance(answer, Mapping) else [answer]


def rows_in(rows: Any) -> Iterator[Any]:
    """Rows of a list, or of a mapping by symbol; one thing alone is one row."""
    if isinstance(rows, Mapping):
        for name, row in cast("Mapping[Any, Any]", rows).items():
            yield {"symbol": name, **contents(row)}
    elif isinstance(rows, Iterable) and not isinstance(rows, (str, bytes)):
        yield from cast("Iterable[Any]", rows)
    else:
        yield rows


def has(item: Any, name: str) -> bool:
    """Whether a thing tells this by any of its names."""
    names = NAMES.get(name, (name,))
    return any(one in item for one in names) if isinstance(item, Mapping) else any(hasattr(item, one) for one in names)


def get(item: Any, name: str) -> Any:
    return cast("Mapping[str, Any]", item).get(name) if isinstance(item, Mapping) else getattr(item, name, None)


def named(item: Any, name: str) -> Any:
    """What a thing tells by the first of its names that it knows."""
    return next((value for one in NAMES[name] if (value := get(item, one)) is not None), None)


def amount_in(row: Any, name: str, subject: str) -> Decimal | None:
    try:
        return amount(named(row, name))
    except UnknownPayload as error:
        raise UnknownPayload(error.reason_code, f"{name} of {subject}: {error}") from None


def text_of(value: Any) -> str | None:
    return None if value is None or value == "" else str(jsonable(value))


def aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise UnknownPayload("bad_time", f"{moment} has no time zone")
    return moment.astimezone(UTC)
