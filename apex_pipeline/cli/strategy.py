"""What a person says about strategies: which orders are one idea and what it is called, and what was said before."""

from collections.abc import Sequence
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from apex_pipeline.cli.console import line, show
from apex_pipeline.cli.opening import Opened
from apex_pipeline.domain.strategies.taxonomy import strategy_ids
from apex_pipeline.domain.strategy_labels import ACTIONS, StrategyCorrection, label_file
from apex_pipeline.errors import ConfigError
from apex_pipeline.pipeline import classify_strategies, tell_strategies
from apex_pipeline.reports.strategies import review_table
from apex_pipeline.reports.tables import ReportTable
from apex_pipeline.store.copy_text import to_json
from apex_pipeline.store.repositories.corrections import CorrectionRepository
from apex_pipeline.store.repositories.strategies import StrategyRepository

NEAR = 3
"""Types that a message offers for one that is not known."""


def checked(strategy_type: str, action: str) -> tuple[str, str]:
    """Both as the catalogue writes them; raises ConfigError for a word that it does not know."""
    name, verb = strategy_type.strip().upper().replace(" ", "_"), action.strip().upper()
    if verb not in ACTIONS:
        raise ConfigError(f"{action!r} is no action: choose one of {', '.join(ACTIONS)}")
    if name not in strategy_ids():
        near = get_close_matches(name, sorted(strategy_ids()), NEAR, 0.5)
        meant = f": did you mean {' or '.join(near)}?" if near else ": see the catalogue of strategies"
        raise ConfigError(f"{strategy_type!r} is no type of strategy{meant}")
    return name, verb


def correct(
    found: Opened, order_uids: Sequence[str], said: tuple[str, str], reason: str | None, made_by: str | None
) -> None:
    """Pin these orders as one strategy and classify what that changes; `said` is a checked type and action."""
    correction, day = CorrectionRepository(found.db).correct(order_uids, *said, reason, made_by)
    line(f"{correction.correction_uid}: {_told(correction)}")
    _apply(found, correction, day)


def take_back(found: Opened, name: str) -> None:
    """End the correction of this uid or order and classify its orders without it."""
    for correction, day in CorrectionRepository(found.db).revoke(name):
        line(f"{correction.correction_uid} taken back: {_told(correction)}")
        _apply(found, correction, day)


def _apply(found: Opened, correction: StrategyCorrection, day: date) -> None:
    classify_strategies(found.db, day, day)
    for row in StrategyRepository(found.db).named(correction.order_uids):
        read = f"{row['action']} {row['strategy_type']} as {row['leg_role']}"
        line(f"  {row['order_uid']}: {read} in {row['strategy_uid']}, {row['method']} {row['confidence']}")
    tell_strategies(found.db)
    line("the next run of `apex backfill` follows with results by strategy and the checks")


def tell(found: Opened, *, corrections: bool, review: bool) -> None:
    """Print the corrections, what is worth a look, or what open strategies hold."""
    repository, reader = StrategyRepository(found.db), found.settings.display
    if corrections:
        rows = [_row(item) for item in CorrectionRepository(found.db).corrections()]
        show(ReportTable("corrections", "Corrections", rows, "nobody corrected a strategy yet").at(reader))
    if review:
        show(review_table(found.db, reader))
    if not corrections and not review:
        show(ReportTable("open", "Open strategies", repository.open_strategies(), "no strategy is open"))


def _row(correction: StrategyCorrection) -> dict[str, Any]:
    return {
        "correction_uid": correction.correction_uid,
        "account_id": correction.account_id,
        "underlying": correction.underlying,
        "strategy_type": correction.strategy_type,
        "action": correction.action,
        "orders": " ".join(correction.order_uids),
        "made_by": correction.made_by,
        "made_at": correction.made_at,
        "revoked_at": correction.revoked_at,
        "reason": correction.reason,
    }


def _told(correction: StrategyCorrection) -> str:
    orders = len(correction.order_uids)
    return f"{correction.action} {correction.strategy_type} of {orders} order{'s' if orders > 1 else ''}"


def labels(found: Opened) -> str:
    """Every correction in force with the orders around it, as the JSON that `apex classify` reads, and `truth`."""
    in_force = [item for item in CorrectionRepository(found.db).corrections() if item.revoked_at is None]
    repository = StrategyRepository(found.db)
    read = [
        repository.inputs(account, sorted({item.underlying for item in in_force if item.account_id == account}))
        for account in sorted({item.account_id for item in in_force})
    ]
    orders = [order for some, _ in read for order in some]
    return to_json(label_file(in_force, orders, [move for _, moves in read for move in moves]))


def write_labels(found: Opened, path: Path | None) -> None:
    """Print the labels, or write them to a file and say so; raises ConfigError for a path that cannot be written."""
    text = labels(found)
    if path is None:
        line(text)
        return
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    line(str(path))
