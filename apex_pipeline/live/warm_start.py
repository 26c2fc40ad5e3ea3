"""Starts an engine from its newest snapshots, and from what the ledger says has moved since.

Everything is read as of one moment and checked before anything is handed over: a snapshot that is stale, partial or
contradicts itself or the ledger is refused, and nothing is half applied. Brokers are not asked.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from apex_pipeline.domain.market import AccountSnapshot, PositionSnapshot
from apex_pipeline.domain.results import RiskSnapshot
from apex_pipeline.domain.snapshots import (
    UnusableSnapshot,
    check_account,
    check_risk,
    checked_positions,
    with_movements,
)
from apex_pipeline.domain.told_values import Key, broker_named
from apex_pipeline.errors import StorageError, UnknownPayload
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.snapshot_keeping import SnapshotKeeper
from apex_pipeline.store.repositories.snapshots import (
    AccountSnapshotRepository,
    PositionSnapshotRepository,
    RiskSnapshotRepository,
)
from apex_pipeline.store.scopes import whatever_told_as_storage

MAX_AGE_SECONDS = 3600.0

OnPositions = Callable[[str, str, list[dict[str, Any]]], object]
OnAccount = Callable[[str, str, AccountSnapshot], object]
OnRisk = Callable[[RiskSnapshot], object]


@dataclass(frozen=True, slots=True)
class WarmStartResult:
    """How a warm start ended. `error` says why nothing, or after a callback that raised not all, was handed over.

    `positions_loaded` counts positions, `accounts_loaded` account snapshots; `snapshot_age_seconds` is the age of the
    oldest snapshot of positions that was handed over.
    """

    success: bool
    positions_loaded: int = 0
    accounts_loaded: int = 0
    risk_snapshot_loaded: bool = False
    snapshot_age_seconds: float | None = None
    error: str | None = None


@dataclass(slots=True)
class Restored:
    """What a warm start hands over; `captured` is when each account's positions were captured."""

    positions: dict[Key, list[dict[str, Any]]] = field(default_factory=dict[Key, list[dict[str, Any]]])
    captured: dict[Key, datetime] = field(default_factory=dict[Key, datetime])
    accounts: dict[Key, AccountSnapshot] = field(default_factory=dict[Key, AccountSnapshot])
    risk: RiskSnapshot | None = None


class WarmStartService:
    """Restores positions, accounts and risk from snapshots that are not older than `max_age_seconds`."""

    def __init__(
        self,
        db: Database,
        max_age_seconds: float = MAX_AGE_SECONDS,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db = db
        self._keeper = SnapshotKeeper(db)
        self._max_age = timedelta(seconds=float(max_age_seconds))
        self._now = now

    def warm_start(
        self,
        brokers: Iterable[Mapping[str, Any]],
        on_positions_loaded: OnPositions | None = None,
        on_account_loaded: OnAccount | None = None,
        on_risk_loaded: OnRisk | None = None,
    ) -> WarmStartResult:
        """Hand over the positions of now of every account, then what it is worth, then the risk of all.

        `brokers`: [{"name": "FUTU" or "IB", "account_id": …}]. Every account needs a snapshot of positions. Account
        snapshots are needed of all accounts or of none, risk of nobody; who gives no callback for one of them gets a
        start without it where it is unusable. A database that cannot be used is told by `error` too.
        """
        now = self._now()
        try:
            keys = _keys(brokers)
            wants = on_account_loaded is not None, on_risk_loaded is not None
            with whatever_told_as_storage():
                restored = self.read(keys, now, *wants)
        except (UnusableSnapshot, StorageError) as error:
            return WarmStartResult(success=False, error=str(error))
        return _handed_over(restored, now, on_positions_loaded, on_account_loaded, on_risk_loaded)

    def read(self, keys: Sequence[Key], now: datetime, wants_accounts: bool, wants_risk: bool) -> Restored:
        """Everything that a warm start hands over; UnusableSnapshot, and nothing, where anything is unusable.

        `wants_…`: whether an unusable one of these refuses the start, or is left out.
        """

        def work() -> Restored:
            restored = Restored()
            for key in keys:
                snapshot = self._latest(key)
                rows = checked_positions(snapshot, now, self._max_age)
                restored.positions[key] = with_movements(snapshot, rows, self._keeper.beside(snapshot))
                restored.captured[key] = snapshot.captured_at
            restored.accounts = self._accounts(keys, now, is_needed=wants_accounts)
            restored.risk = self._risk(keys, now, is_needed=wants_risk)
            return restored

        return self._keeper.at_one_moment(work)

    @whatever_told_as_storage()
    def get_snapshot_status(
        self, brokers: Iterable[Mapping[str, Any]] | None = None
    ) -> dict[str, list[dict[str, Any]]]:
        """The newest snapshots: of positions and accounts by account, of risk by scope, each with its age in seconds.

        `brokers` as in `warm_start`: only these accounts. ValueError for a name that is no broker's.
        """
        asked = None if brokers is None else set(_keys(brokers))
        now = self._now()
        newest = self._keeper.newest()
        return {
            table: [
                {**row, "age_seconds": max(0.0, (now - row["captured_at"]).total_seconds())}
                for row in rows
                if asked is None or "scope" in row or (row["broker"], row["account_id"]) in asked
            ]
            for table, rows in newest.items()
        }

    @whatever_told_as_storage()
    def clear_all_snapshots(self) -> dict[str, int]:
        """Remove every snapshot, of all accounts; returns how many by table."""
        return self._keeper.clear()

    def _latest(self, key: Key) -> PositionSnapshot:
        snapshot = PositionSnapshotRepository(self._db).get_latest(*key)
        if snapshot is None:
            raise UnusableSnapshot(f"there is no snapshot of the positions of {key[0]} {key[1]}")
        return snapshot

    def _accounts(self, keys: Sequence[Key], now: datetime, *, is_needed: bool) -> dict[Key, AccountSnapshot]:
        repository = AccountSnapshotRepository(self._db)
        told = {key: repository.get_latest(*key) for key in keys}
        found = {key: snapshot for key, snapshot in told.items() if snapshot is not None}
        try:
            _require_all(keys, found)
            for snapshot in found.values():
                check_account(snapshot, now, self._max_age)
        except UnusableSnapshot:
            if is_needed:
                raise
            return {}
        return found

    def _risk(self, keys: Sequence[Key], now: datetime, *, is_needed: bool) -> RiskSnapshot | None:
        """The figures of everything, else of the only account."""
        repository = RiskSnapshotRepository(self._db)
        found = repository.get_latest_of_engine()
        if found is None and len(keys) == 1:
            found = repository.get_latest_of_engine(keys[0][1])
        try:
            if found is not None:
                check_risk(found, now, self._max_age)
        except UnusableSnapshot:
            if is_needed:
                raise
            return None
        return found


def _keys(brokers: Iterable[Mapping[str, Any]]) -> list[Key]:
    """The accounts that are asked for, each once; UnusableSnapshot for what names none."""
    keys: dict[Key, None] = {}
    for one in brokers:
        name, account = one.get("name") or one.get("broker"), one.get("account_id")
        if not name or account in (None, ""):
            raise UnusableSnapshot(f"an account is told by name and account_id, not by {sorted(one)}")
        try:
            keys[broker_named(name, str(account)), str(account)] = None
        except UnknownPayload as error:
            raise UnusableSnapshot(str(error)) from None
    if not keys:
        raise UnusableSnapshot("no account is asked for: tell brokers as [{'name': 'FUTU', 'account_id': '…'}]")
    return list(keys)


def _require_all(keys: Sequence[Key], found: Mapping[Key, AccountSnapshot]) -> None:
    """UnusableSnapshot if some of the accounts have a snapshot and others none."""
    missing = [f"{broker} {account_id}" for broker, account_id in keys if (broker, account_id) not in found]
    if found and missing:
        raise UnusableSnapshot(f"there is no account snapshot of {', '.join(missing)}, but of others")


def _handed_over(
    restored: Restored,
    now: datetime,
    on_positions: OnPositions | None,
    on_account: OnAccount | None,
    on_risk: OnRisk | None,
) -> WarmStartResult:
    """Call the callbacks one after the other, and say what came of it."""
    loaded = accounts = 0
    has_risk, error = False, None
    age = max((now - at).total_seconds() for at in restored.captured.values())
    said = ""
    try:
        for (broker, account_id), rows in restored.positions.items():
            said = f"on_positions_loaded for {broker} {account_id}"
            if on_positions is not None:
                on_positions(broker, account_id, rows)
            loaded += len(rows)
        for (broker, account_id), row in restored.accounts.items():
            said = f"on_account_loaded for {broker} {account_id}"
            if on_account is not None:
                on_account(broker, account_id, row)
            accounts += 1
        said = "on_risk_loaded"
        if restored.risk is not None:
            if on_risk is not None:
                on_risk(restored.risk)
            has_risk = True
    # whatever the engine's own code raises is told as the reason why it has not started
    except Exception as raised:  # noqa: BLE001
        error = f"{said} raised {type(raised).__name__}: {raised}"
    return WarmStartResult(error is None, loaded, accounts, has_risk, max(0.0, age), error)
