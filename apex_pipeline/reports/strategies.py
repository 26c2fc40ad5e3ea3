"""What a person reads of strategies: types, newest cards, timelines of chains, wheels and what is worth a look."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any

from apex_pipeline.domain.strategies.cards import display_name
from apex_pipeline.reports.tables import Reader, ReportTable, cell, first_rows
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.chains import Review, review_queue

ROWS = 20
"""Rows of a table unless told otherwise."""

MARKDOWN_ROWS = 100
"""Rows of a table in Markdown, which is stored with every run that tells it."""


def strategy_tables(db: Database, reader: Reader = UTC, most: int = ROWS) -> list[ReportTable]:
    """The tables about strategies, at most `most` rows each, with instants as this reader sees them."""
    types = list(map(_named, db.fetch("cards_by_type", most=most)))
    cards = list(map(_card, db.fetch("cards_newest", most=most)))
    timelines, wheels = db.fetch("chains_timelines", most=most), db.fetch("chains_wheels", most=most)
    changed, none = "Chains that were rolled, adjusted or assigned", "no chain was rolled, adjusted or assigned"
    tables = [
        first_rows("strategy_types", "Strategies by type", types, most),
        first_rows("strategy_cards", "Newest strategies", cards, most),
        first_rows("strategy_timelines", changed, timelines, most, none),
        first_rows("wheels", "Wheels", wheels, most, "no short put was assigned"),
    ]
    return [*(table.at(reader) for table in tables), review_table(db, reader, most)]


def review_table(db: Database, reader: Reader = UTC, most: int = ROWS) -> ReportTable:
    """The strategies of which a mistake would matter most, with the command that accepts the best other reading."""
    rows = list(map(_reviewed, review_queue(db, most)))
    return first_rows("review", "Worth a look", rows, most, "nothing is in doubt").at(reader)


def markdown(tables: Iterable[ReportTable]) -> str:
    """Tables as Markdown, one section each; a broker's text cannot break out of its cell."""
    return "\n\n".join(f"## {_plain(table.title)}\n\n{_table(table)}" for table in tables)


def _table(table: ReportTable) -> str:
    if not table.rows:
        return _plain(table.note)
    lines = [_line(column.replace("_", " ") for column in table.columns), _line("---" for _ in table.columns)]
    lines += [_line(map(_plain, table.cells(row))) for row in table.rows[:MARKDOWN_ROWS]]
    left = len(table.rows) - MARKDOWN_ROWS
    return "\n".join([*lines, *([f"\n… and {left} more"] if left > 0 else ())])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    for mark in ("\\", "|", "<", "`", "*", "[", "_"):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"strategy": display_name(row["type"]), **row}


def _card(row: Mapping[str, Any]) -> dict[str, Any]:
    """A card in one line; where there is no bound, "unlimited" stands."""
    return {
        "at": row["at"],
        "account_id": row["account_id"],
        "underlying": row["underlying"],
        "strategy": row["name"],
        "action": " ".join(filter(None, (row["action"], row["sub_type"]))),
        "confidence": row["confidence"],
        "legs": _legs(row["legs"]),
        "net_premium": row["net_premium"],
        "currency": row["currency"],
        "width": row["width"],
        "max_profit": _bound(row["max_profit"], unlimited=row["profit_unlimited"]),
        "max_loss": _bound(row["max_loss"], unlimited=row["loss_unlimited"]),
        "break_evens": " / ".join(row["break_evens"] or ()),
        "realized_pnl": row["realized_pnl"],
        "why": row["why"],
    }


def _legs(legs: Sequence[Mapping[str, Any]]) -> str:
    """`SELL 1 US.SPY 2026-08-21 P 580 @ 1.2; …`."""
    return "; ".join(map(_leg, legs))


def _leg(leg: Mapping[str, Any]) -> str:
    price = leg["avg_price"]
    return " ".join([leg["side"], leg["qty"], leg["symbol"], *(() if price is None else ("@", price))])


def _bound(amount: Any, *, unlimited: bool | None) -> str:
    return "unlimited" if unlimited else cell(amount)


def _reviewed(row: Review) -> dict[str, Any]:
    rival = "" if row.rival_type is None else f"{display_name(row.rival_type)} {cell(row.rival_confidence)}"
    return {
        "trade_date": row.trade_date,
        "account_id": row.account_id,
        "underlying": row.underlying,
        "strategy": row.name,
        "action": row.action,
        "confidence": row.confidence,
        "weight": row.weight,
        "currency": row.currency,
        "rival": rival,
        "why": row.why,
        "accept_the_rival": row.command,
    }
