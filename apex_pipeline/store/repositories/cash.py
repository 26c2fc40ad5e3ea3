"""The cash ledger and the states of cash that follow from it, of some accounts from a day on.

The ledger first, then the openings (Futu's are computed from it), then the states. An opening that changed changes
every state of its account.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from apex_pipeline.domain.cash import FEES_OF_NO_ORDER
from apex_pipeline.store.transaction import Merged, Row, Transaction


def rewrite_cash(tx: Transaction, accounts_from: Mapping[str, date]) -> dict[str, Merged]:
    """Make cash_ledger and cash_account_state anew from these days on; returns changed rows per table.

    Equal rows are not written, rows that no longer follow are removed. The settlement of trades and, for its last
    day, the coverage of an account must be known before.
    """
    if not accounts_from:
        return {"cash_ledger": Merged(0, 0), "cash_account_state": Merged(0, 0)}
    due = _due(accounts_from)
    told = tx.fetch(
        "cash_ledger_rewrite", **due, first_day=min(accounts_from.values()), fees_of_no_order=FEES_OF_NO_ORDER
    )
    openings = tx.fetch("cash_openings_rewrite", **due)
    states_from = {**accounts_from, **{row["account_id"]: date.min for row in openings}}
    return {
        "cash_ledger": _merged(told[0]) + _counted(openings),
        "cash_account_state": _rewrite_states(tx, states_from),
    }


def _rewrite_states(tx: Transaction, accounts_from: Mapping[str, date]) -> Merged:
    bases = tx.fetch("cash_state_bases", **_due(accounts_from))
    after: list[date | None] = [base["after_day"] for base in bases]
    told = tx.fetch(
        "cash_state_rewrite",
        processed=list(accounts_from),
        accounts=_column(bases, "account_id"),
        currencies=_column(bases, "currency"),
        brokers=_column(bases, "broker"),
        opened=_column(bases, "opened_on"),
        known=_column(bases, "known_to"),
        after=after,
        totals=_column(bases, "total_cash"),
        settled=_column(bases, "settled_cash"),
        first_day=min((day or date.min for day in after), default=date.min),
    )
    return _merged(told[0])


def _due(accounts_from: Mapping[str, date]) -> dict[str, Any]:
    return {"accounts": list(accounts_from), "dates": list(accounts_from.values())}


def _column(rows: Sequence[Row], name: str) -> list[Any]:
    return [row[name] for row in rows]


def _merged(row: Row) -> Merged:
    return Merged(row["inserted"], row["updated"], row["deleted"])


def _counted(openings: Sequence[Row]) -> Merged:
    done = Counter(row["done"] for row in openings)
    return Merged(done["inserted"], done["updated"], done["deleted"])
