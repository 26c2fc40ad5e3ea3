"""What SnapshotService captures, how each kind is read and stored, and how its captures went."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

from apex_pipeline.domain.market import AccountSnapshot
from apex_pipeline.domain.results import RiskSnapshot
from apex_pipeline.domain.told_snapshots import Told, told_accounts, told_positions, told_risk
from apex_pipeline.domain.told_values import Key
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.generic import Repository
from apex_pipeline.store.repositories.snapshots import (
    AccountSnapshotRepository,
    PositionSnapshotRepository,
    RiskSnapshotRepository,
)


class Kind(StrEnum):
    """What is captured."""

    POSITIONS = "positions"
    ACCOUNTS = "accounts"
    RISK = "risk"


@dataclass(slots=True)
class KindStatus:
    """How the captures of a kind went: tries, snapshots stored, tries that failed, accounts that were refused."""

    captures: int = 0
    snapshots: int = 0
    failures: int = 0
    refused: int = 0
    last_at: datetime | None = None
    last_error: str | None = None


def at_hand(answer: Any) -> Any:
    """What a callback returned; an iterator is read to its end here, where its errors are the engine's."""
    is_iterator = hasattr(answer, "__next__")
    return list(cast("Iterable[Any]", answer)) if is_iterator else answer


def _read_accounts(answer: Any, at: datetime, _known: Collection[Key]) -> Told[AccountSnapshot]:
    return told_accounts(answer, at)


def _read_risk(answer: Any, at: datetime, _known: Collection[Key]) -> Told[RiskSnapshot]:
    return told_risk(answer, at)


READERS: dict[Kind, Callable[[Any, datetime, Collection[Key]], Told[Any]]] = {
    Kind.POSITIONS: told_positions,
    Kind.ACCOUNTS: _read_accounts,
    Kind.RISK: _read_risk,
}
REPOSITORIES: dict[Kind, Callable[[Database], Repository[Any]]] = {
    Kind.POSITIONS: PositionSnapshotRepository,
    Kind.ACCOUNTS: AccountSnapshotRepository,
    Kind.RISK: RiskSnapshotRepository,
}
