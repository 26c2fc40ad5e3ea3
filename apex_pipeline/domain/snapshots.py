"""What a snapshot of positions must hold to be started from, and what it becomes with the movements since. Pure.

A position of a snapshot is {symbol, instrument_id, qty, avg_cost, mark_price, market_value, unrealized_pnl, currency,
asset_class}: qty is signed, costs and prices are per share or unit of the underlying, what is not known is None.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from apex_pipeline.domain.market import AccountSnapshot, PositionSnapshot
from apex_pipeline.domain.models import AssetClass
from apex_pipeline.domain.money import decimal_of
from apex_pipeline.domain.results import RiskSnapshot
from apex_pipeline.errors import UnknownPayload

FIELDS = (
    "symbol", "instrument_id", "qty", "avg_cost", "mark_price", "market_value", "unrealized_pnl", "currency",
    "asset_class",
)  # fmt: skip
"""What a position of a snapshot tells."""

OPTIONAL_AMOUNTS = ("avg_cost", "mark_price", "market_value", "unrealized_pnl")
ACCOUNT_AMOUNTS = ("net_liquidation", "total_cash_value", "unrealized_pnl", "realized_pnl", "margin_used")
LEDGER, ENGINE = "LEDGER", "ENGINE"
"""Sources of snapshots that no broker told."""

EQUAL = Decimal("1e-8")
"""Quantities that differ by no more are the same."""

CLOCKS_DIFFER = timedelta(seconds=5)
"""An instant may be so much later than now: the clocks of two machines are never the same."""

Position = Mapping[str, Any]


class UnusableSnapshot(ValueError):
    """A snapshot that nothing can be started from; the text says why."""


@dataclass(frozen=True, slots=True)
class AccountFigures:
    """What a broker says of a whole account, in `currency`; unknown is None."""

    net_liquidation: Decimal | None = None
    total_cash_value: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    realized_pnl: Decimal | None = None
    margin_used: Decimal | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One instrument as the ledger knows it, beside what a snapshot says of it.

    `told_symbol` names the position of the snapshot, None if there is none; `told_rows` counts those that are this
    instrument. `held` at the watermark, `since` what moved later. `may_be_told_twice`: some of it are ends of options,
    corporate actions or transfers that the snapshot may hold already. `may_differ`: the snapshot may hold another
    quantity, because brokers book such things late. `avg_cost` is that of `cost_qty`.
    """

    instrument_id: str
    symbol: str
    asset_class: str | None
    currency: str | None
    told_symbol: str | None
    told_rows: int
    told: Decimal
    held: Decimal
    since: Decimal
    may_be_told_twice: bool
    may_differ: bool
    cost_qty: Decimal | None
    avg_cost: Decimal | None


@dataclass(frozen=True, slots=True)
class LedgerView:
    """The ledger at the watermark of a snapshot and since; `movements` stand up to the watermark.

    `lines` leave out what did not move and is held as the snapshot says.
    `is_comparable`: whether that ledger is the one the snapshot was made of, or has been told of its day since.
    """

    movements: int
    is_comparable: bool
    lines: Sequence[LedgerLine]


def positions_hash(positions: Iterable[Any]) -> str:
    """SHA-256 of what is held: instruments and quantities to 1e-8, in any order; prices and gains do not count.

    `positions`: mappings or objects with `instrument_id` (or without it `symbol`) and `qty`. Currencies, combinations
    and quantities of zero are left out; rows of one instrument are added up.
    """
    held: dict[str, Decimal] = {}
    for row in positions:
        if _of(row, "asset_class") not in (AssetClass.FX, AssetClass.COMBO):
            name = str(_of(row, "instrument_id") or _of(row, "symbol"))
            held[name] = held.get(name, Decimal(0)) + Decimal(str(_of(row, "qty")))
    lines = (f"{name} {qty:.8f}\n" for name, qty in sorted(held.items()) if abs(qty) > EQUAL)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def checked_positions(snapshot: PositionSnapshot, now: datetime, max_age: timedelta) -> list[dict[str, Any]]:
    """The positions with exact numbers; UnusableSnapshot for one that is too old, partial or contradicts itself."""
    subject = f"the positions of {snapshot.broker} {snapshot.account_id}"
    _require_age(subject, snapshot.captured_at, now, max_age)
    mark = snapshot.watermark_at
    if mark is not None and mark > snapshot.captured_at:
        raise UnusableSnapshot(f"{subject} tell movements up to {_at(mark)}, later than they were captured")
    told = len(snapshot.positions)
    if snapshot.position_count != told:
        raise UnusableSnapshot(f"{subject} are partial: {told} of {snapshot.position_count} are there")
    rows = [_checked(subject, cast("Any", row)) for row in snapshot.positions]
    for name in ("symbol", "instrument_id"):
        counts = Counter(row[name] for row in rows if row[name] is not None)
        if twice := [one for one, count in counts.items() if count > 1]:
            raise UnusableSnapshot(f"{subject} contradict themselves: {min(twice)} stands in them twice")
    return rows


def check_account(snapshot: AccountSnapshot, now: datetime, max_age: timedelta) -> None:
    """UnusableSnapshot for one that is too old, or whose amounts are no numbers."""
    subject = f"the account snapshot of {snapshot.broker} {snapshot.account_id}"
    _require_age(subject, snapshot.captured_at, now, max_age)
    for name in ACCOUNT_AMOUNTS:
        value = getattr(snapshot, name)
        if value is not None and not Decimal(value).is_finite():
            raise UnusableSnapshot(f"{subject} cannot be read: its {name} is {value}")


def check_risk(snapshot: RiskSnapshot, now: datetime, max_age: timedelta) -> None:
    """UnusableSnapshot for one that is too old."""
    _require_age(f"the risk snapshot of {snapshot.scope}", snapshot.captured_at, now, max_age)


def with_movements(snapshot: PositionSnapshot, rows: Sequence[Position], ledger: LedgerView) -> list[dict[str, Any]]:
    """The positions of now: those of a snapshot and everything that the ledger says has moved since.

    `rows`: the checked positions of the snapshot. UnusableSnapshot where it is of another ledger or contradicts it.
    """
    subject = f"the positions of {snapshot.broker} {snapshot.account_id}"
    if snapshot.watermark_count is not None and not ledger.is_comparable:
        raise UnusableSnapshot(
            f"{subject} were made of {snapshot.watermark_count} movements, and the ledger holds {ledger.movements} "
            "of that time now: something of before was loaded since, so they are of another ledger"
        )
    lines = {line.told_symbol: line for line in ledger.lines if line.told_symbol is not None}
    for line in ledger.lines:
        _require_agreement(subject, line, is_comparable=ledger.is_comparable)
    held = [_moved(row, lines.get(row["symbol"]), is_comparable=ledger.is_comparable) for row in rows]
    opened = [
        _opened(line, line.since + line.held * ledger.is_comparable)
        for line in ledger.lines
        if line.told_symbol is None
    ]
    return [row for row in (*held, *opened) if abs(row["qty"]) > EQUAL]


def _require_agreement(subject: str, line: LedgerLine, *, is_comparable: bool) -> None:
    if line.told_rows > 1:
        raise UnusableSnapshot(f"{subject} contradict themselves: {line.symbol} stands in them twice")
    if is_comparable and abs(line.told - line.held) > EQUAL and not line.may_differ:
        raise UnusableSnapshot(
            f"{subject} contradict the ledger: {_plain(line.told)} of {line.symbol}, of which it held "
            f"{_plain(line.held)} at that moment"
        )
    if not is_comparable and line.since and line.may_be_told_twice:
        raise UnusableSnapshot(
            f"{subject} may hold already what ended, was exchanged or transferred of {line.symbol} soon after, which "
            "nobody can tell yet: load the days since and try again"
        )


def _moved(row: Position, line: LedgerLine | None, *, is_comparable: bool) -> dict[str, Any]:
    """A position with what moved since. What depends on the quantity is then known no more, unless the ledger does."""
    if line is None:
        return dict(row)
    now = line.held + line.since if is_comparable else line.told + line.since
    named = {**row, "instrument_id": row["instrument_id"] or line.instrument_id}
    if abs(now - row["qty"]) <= EQUAL:
        return named
    is_less = now * row["qty"] > 0 and abs(now) < abs(row["qty"])
    cost = line.avg_cost if line.cost_qty == now else row["avg_cost"] if is_less else None
    return {**named, "qty": now, "avg_cost": cost, "market_value": None, "unrealized_pnl": None}


def _opened(line: LedgerLine, qty: Decimal) -> dict[str, Any]:
    """A position that the snapshot does not have."""
    return {
        **dict.fromkeys(FIELDS),
        "symbol": line.symbol,
        "instrument_id": line.instrument_id,
        "qty": qty,
        "avg_cost": line.avg_cost if line.cost_qty == qty else None,
        "currency": line.currency,
        "asset_class": line.asset_class,
    }


def _require_age(subject: str, captured_at: datetime, now: datetime, max_age: timedelta) -> None:
    if captured_at > now + CLOCKS_DIFFER:
        raise UnusableSnapshot(f"{subject}: captured at {_at(captured_at)}, which is yet to come")
    if now - captured_at > max_age:
        age, most = (now - captured_at).total_seconds(), max_age.total_seconds()
        raise UnusableSnapshot(f"{subject}: stale, {age:.0f} s old ({_at(captured_at)}); at most {most:g} s count")


def _checked(subject: str, row: Any) -> dict[str, Any]:
    """A stored position with exact numbers."""
    if not isinstance(row, Mapping):
        raise UnusableSnapshot(f"{subject} cannot be read: a position is {type(row).__name__}, not names and values")
    told = cast("Mapping[str, Any]", row)
    symbol = told.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise UnusableSnapshot(f"{subject} cannot be read: a position has no symbol")
    made: dict[str, Any] = {name: told.get(name) for name in FIELDS}
    made["instrument_id"] = None if made["instrument_id"] is None else str(made["instrument_id"])
    for name in ("qty", *OPTIONAL_AMOUNTS):
        if made[name] is None and name != "qty":
            continue
        try:
            made[name] = stored_amount(made[name])
        except UnknownPayload as error:
            raise UnusableSnapshot(f"{subject} cannot be read: {name} of {symbol}: {error}") from None
    return made


def stored_amount(value: Any) -> Decimal:
    """A number as a snapshot keeps it; UnknownPayload for what is none."""
    if isinstance(value, Decimal) and value.is_finite():
        return value
    return decimal_of(str(value).strip() if not isinstance(value, bool) else "a truth value")


def _of(row: Any, name: str) -> Any:
    return cast("Mapping[str, Any]", row).get(name) if isinstance(row, Mapping) else getattr(row, name, None)


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
