"""What people said of strategies: kept for good, in force until taken back or said anew."""

from collections.abc import Sequence
from datetime import date, datetime
from hashlib import sha256

from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.strategy_labels import StrategyCorrection
from apex_pipeline.errors import ConfigError
from apex_pipeline.store.db import Database
from apex_pipeline.store.tables import DIRTY_DAYS, row_as
from apex_pipeline.store.transaction import Row, Transaction

NAMED = 5
"""Orders that a message names."""


class CorrectionRepository:
    """Reads and writes corrections; one that is made or taken back has its orders classified again."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def corrections(self) -> list[StrategyCorrection]:
        """All corrections by time, those that are no longer in force too."""
        return [row_as(StrategyCorrection, row) for row in self._db.fetch("corrections_list")]

    def correct(
        self, order_uids: Sequence[str], strategy_type: str, action: str, reason: str | None, made_by: str | None
    ) -> tuple[StrategyCorrection, date]:
        """Say that these orders are one strategy, and no others belong to it; returns that and their first day.

        Ends every earlier correction of any of them; saying the same again changes nothing. `made_by` None: the role
        in the database. Raises ConfigError for orders that do not exist or have no fill, or that are not of one
        account and underlying.
        """
        uids = sorted(set(order_uids))
        with self._db.transaction() as tx:
            orders = _checked(uids, tx.fetch("corrections_orders", orders=uids))
            first_day = min(row["trade_date"] for row in orders)
            scope = {key: orders[0][key] for key in ("broker", "account_id", "underlying")}
            said = {"orders": uids, "strategy_type": strategy_type, "action": action}
            same = tx.fetch("corrections_same", **said)
            if same:
                return row_as(StrategyCorrection, same[0]), first_day
            now: datetime = tx.fetch("now")[0]["now"]
            ended = tx.fetch("corrections_revoke", correction_uid=None, orders=uids)
            text = "\x1f".join((*uids, strategy_type, action, now.isoformat()))
            uid = "K_" + sha256(text.encode()).hexdigest()[:24]
            kept = {"reason": reason, "made_by": made_by, "made_at": now}
            (row,) = tx.fetch("corrections_add", correction_uid=uid, **scope, **said, **kept)
            _mark(tx, {*uids, *(order for gone in ended for order in gone["order_uids"])})
            return row_as(StrategyCorrection, row), first_day

    def revoke(self, name: str) -> list[tuple[StrategyCorrection, date]]:
        """Take back the correction of this uid or of this order, with the first day of its orders.

        Raises ConfigError if none is in force.
        """
        with self._db.transaction() as tx:
            gone = tx.fetch("corrections_revoke", correction_uid=name, orders=[name])
            if not gone:
                raise ConfigError(
                    f"no correction in force is called {name[:80]!r} or names such an order: "
                    "see `apex strategy list --corrections`"
                )
            _mark(tx, {order for row in gone for order in row["order_uids"]})
            return [(row_as(StrategyCorrection, row), row["first_day"]) for row in gone]


def _checked(uids: Sequence[str], orders: Sequence[Row]) -> Sequence[Row]:
    """The rows of these orders, if a person can mean them as one strategy."""
    missing = sorted(set(uids) - {row["order_uid"] for row in orders})
    if missing:
        raise ConfigError(f"no order is called {_listed(missing)}: `apex why` shows what a uid looks like")
    unfilled = [row["order_uid"] for row in orders if not row["is_filled"]]
    if unfilled:
        raise ConfigError(f"nothing of {_listed(unfilled)} was filled: only filled orders belong to a strategy")
    for column, words in (("account_id", "accounts"), ("underlying", "underlyings")):
        told = sorted({row[column] for row in orders})
        if len(told) > 1:
            raise ConfigError(f"these orders are of several {words} ({_listed(told)}): one strategy has one")
    return orders


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _mark(tx: Transaction, uids: set[str]) -> None:
    """Have the days of these orders classified again."""
    rows = tx.fetch("corrections_orders", orders=sorted(uids))
    days = sorted({(row["broker"], row["account_id"], row["trade_date"]) for row in rows})
    tx.add(
        DIRTY_DAYS,
        [
            {"stage": "classify", "broker": Broker(broker), "account_id": account, "business_date": day}
            for broker, account, day in days
        ],
    )
