"""What an engine tells of its positions, accounts and risk, whatever its shape, as snapshots. Pure.

An account of which anything cannot be read is refused whole; the others are not its concern. But a row of a list that
names no account may be of any, so that nothing of such a list is taken.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from apex_pipeline.domain.market import AccountSnapshot, PositionSnapshot
from apex_pipeline.domain.results import PORTFOLIO, RiskSnapshot
from apex_pipeline.domain.snapshots import ACCOUNT_AMOUNTS, ENGINE, FIELDS, OPTIONAL_AMOUNTS
from apex_pipeline.domain.told_values import (
    ASSET_CLASSES,
    SHORT,
    Key,
    amount_in,
    aware,
    contents,
    get,
    has,
    jsonable,
    key_in,
    key_of,
    listed,
    named,
    rows_in,
    text_of,
)
from apex_pipeline.errors import UnknownPayload

Made = TypeVar("Made")

NO_ACCOUNT = "an empty list names no account, and none was named before: tell {(broker, account_id): []} for a flat one"


@dataclass(slots=True)
class Told(Generic[Made]):
    """Snapshots that could be read, and by account (or by `answer`) why others could not."""

    snapshots: list[Made] = field(default_factory=list[Made])
    refused: dict[str, str] = field(default_factory=dict[str, str])


def told_positions(answer: Any, captured_at: datetime, known: Collection[Key] = ()) -> Told[PositionSnapshot]:
    """Snapshots of positions of what an engine returned; none of None.

    `answer`: {(broker, account_id): rows}, rows that name broker and account_id, {broker, account_id, positions}, or
    PositionSnapshots. A list of rows tells all accounts of `known`: those it does not name are flat. An empty list is
    refused while none is known: nobody could say what is flat, and the last snapshot would stand as if it were held.
    """
    told: Told[PositionSnapshot] = Told()
    groups: dict[Key, list[Any]] = {}
    if answer is None:
        return told
    try:
        is_flat_list = _group_positions(answer, groups, told, captured_at)
    except UnknownPayload as error:
        return Told(refused={"answer": str(error)})
    if is_flat_list and not groups and not known:
        return Told(refused={"answer": NO_ACCOUNT})
    for key in known if is_flat_list else ():
        groups.setdefault(key, [])
    for key, rows in groups.items():
        _read(told, key, lambda key=key, rows=rows: _snapshot(key, rows, captured_at))
    return told


def told_accounts(answer: Any, captured_at: datetime) -> Told[AccountSnapshot]:
    """Snapshots of accounts of what an engine returned; none of None.

    `answer`: {(broker, account_id): row}, rows that name broker and account_id, one such row, or AccountSnapshots.
    """
    told: Told[AccountSnapshot] = Told()
    if answer is None:
        return told
    if isinstance(answer, Mapping) and not has(answer, "account_id"):
        rows = [(key, row) for key, row in cast("Mapping[Any, Any]", answer).items() if row is not None]
    else:
        rows = [(None, row) for row in listed(answer) if row is not None]
    for told_key, row in rows:
        try:
            key = key_in(row) if told_key is None else key_of(told_key, row)
        except UnknownPayload as error:
            told.refused["answer"] = str(error)
            continue
        _read(told, key, lambda key=key, row=row: _account(key, row, captured_at))
    return told


def told_risk(answer: Any, captured_at: datetime) -> Told[RiskSnapshot]:
    """Snapshots of risk of what an engine returned; none of None.

    `answer`: metrics by name, {scope, metrics}, an object, RiskSnapshots, or a list of these.
    """
    told: Told[RiskSnapshot] = Told()
    for one in () if answer is None else listed(answer):
        scope = str(get(one, "scope") or get(one, "account_id") or PORTFOLIO)
        try:
            told.snapshots.append(_risk(one, scope, captured_at))
        except UnknownPayload as error:
            told.refused[scope] = str(error)
    return told


# Positions ----------------------------------------------------------------------------------------------------


def _group_positions(answer: Any, groups: dict[Key, list[Any]], told: Told[PositionSnapshot], at: datetime) -> bool:
    """Put rows to their accounts; whether the answer was a list of rows, which tells all accounts together."""
    if isinstance(answer, Mapping) and not has(answer, "positions") and not has(answer, "symbol"):
        for key, rows in cast("Mapping[Any, Any]", answer).items():
            try:
                _group_one(key, rows, groups, told, at)
            except UnknownPayload as error:
                told.refused[str(key)] = str(error)
        return False
    items, is_flat = listed(answer), True
    for item in items:
        if isinstance(item, PositionSnapshot):
            _take_whole(item, told, at)
            is_flat = False
        elif has(item, "positions"):
            if (rows := get(item, "positions")) is not None:
                groups.setdefault(key_in(item), []).extend(rows_in(rows))
            is_flat = False
        else:
            groups.setdefault(key_in(item), []).append(item)
    return is_flat


def _group_one(key: Any, rows: Any, groups: dict[Key, list[Any]], told: Told[PositionSnapshot], at: datetime) -> None:
    """Put what a mapping tells under one key to its account; None is not known."""
    if isinstance(rows, PositionSnapshot):
        _take_whole(rows, told, at)
    elif rows is not None:
        items = list(rows_in(rows))
        groups.setdefault(key_of(key, next(iter(items), None)), []).extend(items)


def _take_whole(snapshot: PositionSnapshot, told: Told[PositionSnapshot], at: datetime) -> None:
    """A snapshot that the engine made itself, its rows read like any others."""
    key = key_in(snapshot)

    def read() -> PositionSnapshot:
        made = _snapshot(key, list(snapshot.positions), aware(snapshot.captured_at or at))
        mark = None if snapshot.watermark_at is None else aware(snapshot.watermark_at)
        source = snapshot.source or made.source
        return replace(made, source=source, watermark_at=mark, watermark_count=snapshot.watermark_count)

    _read(told, key, read)


def _snapshot(key: Key, rows: Iterable[Any], captured_at: datetime) -> PositionSnapshot:
    positions = [made for row in rows if (made := _position(row)) is not None]
    seen = set[str]()
    for row in positions:
        if row["symbol"] in seen:
            raise UnknownPayload("told_twice", f"{row['symbol']} is told twice")
        seen.add(row["symbol"])
    return PositionSnapshot(*key, captured_at, len(positions), positions, ENGINE, None, None)


def _position(row: Any) -> dict[str, Any] | None:
    """A position as it is stored; None for one of zero, which is not held."""
    symbol = str(named(row, "symbol") or "").strip()
    if not symbol:
        raise UnknownPayload("no_symbol", "a position names no symbol")
    qty = amount_in(row, "qty", symbol)
    if qty is None:
        raise UnknownPayload("no_quantity", f"{symbol} has no quantity")
    side = str(jsonable(get(row, "side") or "")).upper()
    made: dict[str, Any] = {
        **dict.fromkeys(FIELDS),
        "symbol": symbol,
        "instrument_id": text_of(named(row, "instrument_id")),
        "qty": -abs(qty) if side in SHORT else qty,
        **{name: amount_in(row, name, symbol) for name in OPTIONAL_AMOUNTS},
        "currency": text_of(named(row, "currency")),
        "asset_class": _asset_class(text_of(named(row, "asset_class"))),
    }
    return made if qty else None


def _asset_class(told: str | None) -> str | None:
    name = told.upper() if told else None
    return ASSET_CLASSES.get(name, name) if name else None


# Accounts and risk --------------------------------------------------------------------------------------------


def _account(key: Key, row: Any, captured_at: datetime) -> AccountSnapshot:
    told = {name: amount_in(row, name, key[1]) for name in ACCOUNT_AMOUNTS}
    if all(value is None for value in told.values()):
        raise UnknownPayload("no_amount", "it tells no amount of the account")
    whole = isinstance(row, AccountSnapshot)
    payload = row.payload if whole else contents(row)
    at = aware(row.captured_at or captured_at) if whole else captured_at
    return AccountSnapshot(
        *key, at, **told, currency=text_of(named(row, "currency")), payload=cast("dict[str, Any]", jsonable(payload))
    )


def _risk(one: Any, scope: str, captured_at: datetime) -> RiskSnapshot:
    inner = get(one, "metrics")
    metrics = jsonable(inner if isinstance(inner, Mapping) else contents(one))
    if inner is None:
        metrics = {name: value for name, value in metrics.items() if name not in ("scope", "account_id")}
    if not metrics:
        raise UnknownPayload("no_metrics", "it tells no metric")
    if isinstance(one, RiskSnapshot):
        return replace(one, captured_at=aware(one.captured_at or captured_at), metrics=metrics)
    return RiskSnapshot(scope, captured_at, metrics)


def _read(told: Told[Made], key: Key, make: Callable[[], Made]) -> None:
    """Add what is made, or why it cannot be."""
    try:
        told.snapshots.append(make())
    except UnknownPayload as error:
        told.refused[f"{key[0]} {key[1]}"] = str(error)
