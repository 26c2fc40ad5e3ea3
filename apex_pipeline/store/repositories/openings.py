"""Opening lots: what the broker's lots and first positions tell that no known trade opened, as opening balances."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from apex_pipeline.domain.lot_known import Change, ChangeKind, Contract, Known, Span
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.openings import Key, opening_lots
from apex_pipeline.domain.statements import BrokerLot, ClosedLot
from apex_pipeline.domain.told_lots import instrument_of
from apex_pipeline.store.tables import LEDGER_TABLES, as_row, row_as
from apex_pipeline.store.transaction import Merged, Transaction

_BROKER = Broker.IB
"""The only broker that tells lots."""

_OPENINGS = LEDGER_TABLES["opening_balances"]


def rewrite_openings(tx: Transaction, accounts: Sequence[str]) -> Merged:
    """Make the opening lots of these accounts exactly those that the broker's lots and first positions tell.

    Rows that a person signed stay as they are. Equal rows are not written.
    """
    asked = sorted(set(accounts))
    lots = [row_as(BrokerLot, row) for row in tx.fetch("openings_lots_without_a_trade", accounts=asked)]
    closed = [row_as(ClosedLot, row) for row in tx.fetch("openings_pieces_without_a_trade", accounts=asked)]
    keys = {(row["account_id"], row["instrument_id"]) for row in tx.fetch("openings_to_look_at", accounts=asked)}
    keys |= {(lot.account_id, instrument_of(lot)) for lot in (*lots, *closed)}
    rows = opening_lots(_known(tx, sorted(keys)), lots, closed) if keys else []
    merged = tx.merge(_OPENINGS, map(as_row, rows))
    removed = tx.execute("openings_remove_stale", accounts=asked, keep=[row.opening_uid for row in rows])
    return merged + Merged(0, 0, removed)


def _known(tx: Transaction, keys: Sequence[Key]) -> dict[Key, Known]:
    scope = {"accounts": [account for account, _ in keys], "instruments": [instrument for _, instrument in keys]}
    changes: defaultdict[Key, list[Change]] = defaultdict(list)
    names: dict[Key, Contract] = {}
    trades: dict[Key, Contract] = {}
    for row in tx.fetch("openings_changes", **scope):
        key = row["account_id"], row["instrument_id"]
        changes[key].append(row_as(Change, row))
        # The newest trade names it; a corporate action may name it by what becomes of it.
        (trades if row["kind"] == ChangeKind.TRADE else names)[key] = row_as(Contract, row)
    covered = _covered(tx, scope["accounts"])
    held = {(row["account_id"], row["instrument_id"]): row for row in tx.fetch("openings_first_snapshots", **scope)}
    told = {key: row_as(Contract, row) for key, row in held.items() if row["symbol"] is not None}
    contracts = names | told | trades
    units = _multipliers(tx, sorted({contract.symbol for contract in contracts.values()}))
    return {
        key: Known(
            changes[key],
            held[key]["business_date"],
            held[key]["qty"],
            units.get(contracts[key].symbol) if key in contracts else None,
            covered[key[0]],
            min((first for first, _ in covered[key[0]]), default=None),
            contracts.get(key),
        )
        for key in keys
    }


def _covered(tx: Transaction, accounts: Sequence[str]) -> dict[str, list[Span]]:
    spans: defaultdict[str, list[Span]] = defaultdict(list)
    for row in tx.fetch("openings_covered", broker=_BROKER, accounts=sorted(set(accounts))):
        first, last = _span(row)
        spans[row["account_id"]].append((first, last))
    return spans


def _span(row: dict[str, Any]) -> tuple[date, date]:
    return row["from_date"], row["to_date"]


def _multipliers(tx: Transaction, symbols: Sequence[str]) -> dict[str, Decimal | None]:
    rows = tx.fetch("openings_multipliers", symbols=list(symbols))
    return {row["symbol"]: row["multiplier"] for row in rows}
