"""Matching a long history: the time beside that of copying the same rows, and what a further day costs.

The rows come from a seeded generator: accounts with many instruments, whole and fractional quantities, longs, shorts
and flips, two multipliers, and fees that not every trade has yet. `python -m bench.ledger URL` measures in a process of
its own, so that its memory is the stage's; it tells one line of JSON.
"""

import io
import json
import random
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, LiteralString

from apex_pipeline.domain.ledger import Lot, PositionMovement, RealizedPnl
from apex_pipeline.domain.lots import match
from apex_pipeline.settings import PROJECT_DIR, sibling_database
from apex_pipeline.store.create import ensure_database
from apex_pipeline.store.db import Database
from apex_pipeline.store.migrate import MigrationRunner
from apex_pipeline.store.repositories.matching import MatchRepository
from apex_pipeline.store.tables import row_as
from apex_pipeline.store.transaction import Transaction

TRADES, INSTRUMENTS, DAYS, DAILY = 1_000_000, 300, 2_500, 1_000
FIRST, LAST = date(2016, 1, 4), date(2040, 1, 1)
FIFO_AND_ROWS = ("matching first in, first out", "telling lots and gains")
HEAD = (
    "| trades | L s | FIFO x L | lots and gains x L | whole stage s | again, all asked s | one more day s | "
    "peak MB of the stage (before it) | rows that both engines give |\n"
    "|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def table(server_url: str, trades: int = TRADES) -> str:
    """The measures as Markdown."""
    url = sibling_database(server_url, f"bench_ledger_{trades}")
    ensure_database(url)
    command = [sys.executable, "-m", "bench.ledger", url, str(trades)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    cells = (
        f"{trades:,}", f"{told['copy']:.2f}", f"{told['fifo'] / told['copy']:.1f}",
        f"{told['rows'] / told['copy']:.1f}", f"{told['stage']:.1f}", f"{told['again']:.1f}", f"{told['day']:.2f}",
        f"{told['rss']:.0f} ({told['rss_before']:.0f})",
        f"{told['equal']:,} of {told['compared']:,}",
    )  # fmt: skip
    return f"{HEAD}\n| {' | '.join(cells)} |"


def main() -> None:
    """Measure in the database of the first argument with as many trades as the second says."""
    url, trades = sys.argv[1], int(sys.argv[2])
    told: dict[str, float] = {}
    with Database(url) as db:
        MigrationRunner(db, PROJECT_DIR / "migrations").run()
        told["copy"] = fill(db, trades)
        before = peak()
        repository = MatchRepository(db)
        steps = Steps()
        told["stage"] = timed(lambda: repository.match(FIRST, LAST, steps))
        told["fifo"], told["rows"] = (steps.seconds[what] for what in FIFO_AND_ROWS)
        steps("", 0, 0)
        print(dict(steps.seconds), file=sys.stderr)
        told["again"] = timed(lambda: repository.match(FIRST, LAST))
        add_day(db)
        told["day"] = timed(lambda: repository.match(LAST, FIRST))
        told["rss"], told["rss_before"] = peak(), before
        told["equal"], told["compared"] = agreement(db)
    print(json.dumps(told))


def timed(step: Callable[[], object]) -> float:
    """The seconds of a step."""
    begun = time.monotonic()
    step()
    return time.monotonic() - begun


class Steps:
    """Notes the seconds of each step that a stage tells an observer of."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._step, self._begun = "", time.monotonic()

    def __call__(self, what: str, _done: int, _total: int) -> None:
        now = time.monotonic()
        self.seconds[self._step] += now - self._begun
        self._step, self._begun = what, now


def peak() -> float:
    """The most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fill(db: Database, trades: int, tries: int = 3) -> float:
    """Copy the history in; returns the seconds of copying its trades to a bare table, the best of `tries`."""
    best = float("inf")
    with db.transaction() as tx:
        run(tx, "DROP TABLE IF EXISTS bare; CREATE UNLOGGED TABLE bare (LIKE trades_norm)")
    for _ in range(tries):
        with db.transaction() as tx:
            run(tx, "TRUNCATE bare")
        with db.transaction() as tx:
            # The lines are made anew each time, in parts, so that this process stays small; only copying is timed.
            best = min(best, sum(copy(tx, "COPY bare FROM STDIN", part) for part, _ in parts(trades)))
    with db.transaction() as tx:
        run(
            tx,
            "TRUNCATE trades_norm, fees_norm, position_movements, lots, lot_moves, realized_pnl, positions_daily, "
            "position_events, round_trips, dirty_days; DROP TABLE bare",
        )
        for lines, fees in parts(trades):
            copy(tx, "COPY trades_norm FROM STDIN", lines)
            copy(tx, "COPY fees_norm FROM STDIN", fees)
    with db.transaction() as tx:
        run(tx, "ANALYZE trades_norm; ANALYZE fees_norm")
    return best


def parts(trades: int) -> Iterator[tuple[list[str], list[str]]]:
    """The lines of trades and of their fees, some thousands at a time."""
    lines: list[str] = []
    fees: list[str] = []
    for trade, fee in generated(trades, FIRST, DAYS, 7):
        lines.append(trade)
        fees.append(fee)
        if len(lines) == 50_000:
            yield lines, fees
            lines, fees = [], []
    yield lines, fees


def add_day(db: Database) -> None:
    """One more day of trades, marked as normalizing marks it."""
    day = FIRST + timedelta(DAYS)
    lines, fees = zip(*generated(DAILY, day, 1, 8, "D"), strict=True)
    with db.transaction() as tx:
        copy(tx, "COPY trades_norm FROM STDIN", lines)
        copy(tx, "COPY fees_norm FROM STDIN", fees)
        run(
            tx,
            "INSERT INTO dirty_days SELECT DISTINCT 'match', broker, account_id, trade_date FROM trades_norm "
            "WHERE trade_date = (SELECT max(trade_date) FROM trades_norm) ON CONFLICT DO NOTHING",
        )


def copy(tx: Transaction, text: LiteralString, lines: Iterator[str] | list[str] | tuple[str, ...]) -> float:
    """COPY lines; returns the seconds."""
    buffer = io.StringIO("".join(lines))
    return timed(lambda: cursor_of(tx).copy_expert(text, buffer))


def run(tx: Transaction, text: LiteralString) -> None:
    """Run statements of this bench."""
    tx.run_script(text)


def cursor_of(tx: Transaction) -> Any:
    """The cursor of a transaction, for what only a bench does."""
    return vars(tx)["_cursor"]


def agreement(db: Database) -> tuple[int, int]:
    """Lots and closings that stand in the database exactly as the reference engine has them, and how many it has."""
    equal = compared = 0
    instruments = db_rows(db, "SELECT DISTINCT account_id, instrument_id FROM position_movements ORDER BY 1, 2")
    for one in instruments:
        key = (one["account_id"], one["instrument_id"])
        moved = db_rows(db, "SELECT * FROM position_movements WHERE account_id = %s AND instrument_id = %s", *key)
        matched = match([row_as(PositionMovement, row) for row in moved])
        lots = db_rows(db, "SELECT * FROM lots WHERE account_id = %s AND instrument_id = %s", *key)
        gains = db_rows(db, "SELECT * FROM realized_pnl WHERE account_id = %s AND instrument_id = %s", *key)
        stored = {row_as(Lot, row) for row in lots} | {without_base(row_as(RealizedPnl, row)) for row in gains}
        expected = {*matched.lots, *matched.realized}
        equal += len(stored & expected)
        compared += max(len(stored), len(expected))
    return equal, compared


def without_base(row: RealizedPnl) -> RealizedPnl:
    """A closing as the reference tells it, which knows no base currency."""
    return replace(row, fx_rate_to_base=None, realized_pnl_base=None, base_currency=None)


def db_rows(db: Database, text: LiteralString, *params: object) -> list[dict[str, Any]]:
    """All rows of a statement of this bench."""
    with db.transaction() as tx:
        cursor = cursor_of(tx)
        cursor.execute(text, params or None)
        return [dict(row) for row in cursor.fetchall()]


def generated(trades: int, first: date, days: int, seed: int, mark: str = "H") -> Iterator[tuple[str, str]]:
    """Lines of COPY for trades_norm and for fees_norm (empty where there is no fee yet), in order of days."""
    chance = random.Random(seed)
    position = [0] * INSTRUMENTS
    for number in range(trades):
        day = first + timedelta(number * days // trades)
        which = chance.randrange(INSTRUMENTS)
        is_option, is_fractional = which % 5 == 0, which % 7 == 0
        units = chance.randrange(1, 5_000_000) if is_fractional else chance.randrange(1, 500)
        # Positions return to zero and cross it.
        is_buy = chance.random() < (0.35 if position[which] > 0 else 0.65)
        position[which] += units if is_buy else -units
        account = f"U{which % 3}"
        uid = f"IB_{account}_{mark}{number:09d}"
        second = 52_200 + chance.randrange(23_400)
        at = f"{day} {second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}+00"
        trade = (
            uid, uid, "IB", account, str(number + 1), f"{number}.01", "\\N",
            f"US.S{which:04d}" + (" 2030-12-20 C 100" if is_option else ""), f"US.S{which:04d}",
            "OPTION" if is_option else "STOCK", "TRADE", "t", "BUY" if is_buy else "SELL",
            f"{units / 10_000:.4f}" if is_fractional else str(units), f"{chance.randrange(100, 50_000) / 100:.2f}",
            "100" if is_option else "1", "\\N", "USD", at, str(day), "\\N", "\\N", "\\N", "FLEX", "\\N",
            str(10_000 + which),
        )  # fmt: skip
        amount = f"{chance.randrange(1, 300) / 100:.2f}"
        fee = (f"{uid}_C", uid, uid, "IB", account, "COMMISSION", "ibCommission", amount, "USD", str(day))
        yield "\t".join(trade) + "\n", "" if chance.random() < 0.02 else "\t".join(fee) + "\n"


if __name__ == "__main__":
    main()
