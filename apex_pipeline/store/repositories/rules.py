"""Settlement, day trades, how often accounts trade, and wash sales: recomputed where something changed."""

from collections.abc import Mapping
from datetime import date
from typing import Any, LiteralString

from apex_pipeline.domain import regimes, settlement, wash_sales
from apex_pipeline.domain.ledger import AccountRule, Place
from apex_pipeline.store.tables import LEDGER_TABLES, row_as
from apex_pipeline.store.transaction import Merged, Transaction

_WARNING = {"warn_from": regimes.WARN_FROM, "warn_share": regimes.WARN_SHARE}
_WASH_SALES = {
    "days": wash_sales.WINDOW.days,
    "index_prefix": wash_sales.INDEX_PREFIX,
    "note": wash_sales.NOTE,
}


def rewrite_rules(tx: Transaction, accounts_from: Mapping[str, date]) -> dict[str, Merged]:
    """Recompute the rules of these accounts from these days on; returns the changed rows by table.

    Equal rows are not written, and rows that no longer follow are removed. Reads `market_days`, so calendars are
    refreshed before. Flags of wash sales are looked at for all accounts: a purchase here can concern a loss there.
    """
    if not accounts_from:
        return {}
    scope = {"accounts": list(accounts_from), "days": list(accounts_from.values())}
    spans = _regime_spans(tx, accounts_from)
    changed = {
        "settlement_tracking": _rewritten(
            tx, "settlement_tracking", "settlement_rewrite", "settlement_now", **scope, **_settlement_rules()
        ),
        "day_trades": _rewritten(
            tx, "day_trades", "day_trades_rewrite", "day_trades_now", **scope, **spans, trade_place=Place.TRADE.value
        ),
        "trade_frequency_tracking": _rewritten(
            tx, "trade_frequency_tracking", "frequency_rewrite", "frequency_now", **scope, **spans, **_WARNING
        ),
        "wash_sale_flags": _rewritten(
            tx,
            "wash_sale_flags",
            "wash_rewrite",
            "wash_now",
            since=min(accounts_from.values()) - wash_sales.WINDOW,
            **_WASH_SALES,
        ),
    }
    changed["settlement_tracking"] += Merged(0, tx.execute("settlement_come", **scope))
    return changed


def _rewritten(tx: Transaction, table: str, name: LiteralString, now: str, /, **params: Any) -> Merged:
    """Run the statement that fills the table `now` and removes what is not in it, then merge it."""
    removed = tx.execute(name, **params)
    return tx.merge_from(LEDGER_TABLES[table], now) + Merged(0, 0, removed)


def _settlement_rules() -> dict[str, list[Any]]:
    """The rules of settlement as columns, one row per asset class."""
    rows = [(rule, asset_class) for rule in settlement.RULES for asset_class in rule.asset_classes]
    return {
        "rules": [rule.name for rule, _ in rows],
        "markets": [rule.market for rule, _ in rows],
        "asset_classes": [asset_class.value for _, asset_class in rows],
        "calendars": [rule.calendar for rule, _ in rows],
        "cycles": [rule.days for rule, _ in rows],
        "firsts": [rule.first or date.min for rule, _ in rows],
        "lasts": [rule.last or date.max for rule, _ in rows],
    }


def _regime_spans(tx: Transaction, accounts: Mapping[str, date]) -> dict[str, list[Any]]:
    """Which regime each account is under, as columns."""
    rules = [row_as(AccountRule, row) for row in tx.fetch("account_rules_list")]
    spans = [span for account in accounts for span in regimes.spans(account, rules)]
    return {
        "regime_accounts": [span.account_id for span in spans],
        "regime_firsts": [span.from_date for span in spans],
        "regime_lasts": [span.to_date for span in spans],
        "regimes": [span.regime.value for span in spans],
    }
