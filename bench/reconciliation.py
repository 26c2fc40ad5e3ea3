"""Reconciling: orders, trades and fees of a long history beside copying its trades, and all checks over a whole year.

The long history comes from a seeded generator: whole and partial fills, combinations, orders that were not filled, both
brokers, nothing wrong. The year is told by the simulators of both brokers and loaded over their wire. Each is measured
in a process of its own, which tells one line of JSON: `python -m bench.reconciliation long URL TRADES` and
`python -m bench.reconciliation year URL ORDERS FOLDER`.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, LiteralString

from apex_pipeline.brokers.contract import BrokerPort
from apex_pipeline.brokers.futu.port import FutuBroker, FutuSettings
from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.ib.port import IbBroker
from apex_pipeline.brokers.ib.settings import IbSettings
from apex_pipeline.brokers.ib.simulator import FlexSimulator
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.checks import CHECKS, CheckName
from apex_pipeline.domain.records import Ask, LoadScope
from apex_pipeline.pipeline import (
    classify_strategies,
    end_options,
    ingest,
    match_lots,
    normalize,
    reconcile_days,
    tell_strategies,
    value_accounts,
)
from apex_pipeline.settings import PROJECT_DIR, sibling_database
from apex_pipeline.store.create import ensure_database
from apex_pipeline.store.db import Database
from apex_pipeline.store.embedded import EmbeddedServer
from apex_pipeline.store.migrate import MigrationRunner
from apex_pipeline.store.repositories.breaks import BreakRepository
from bench import order_history
from bench.ledger import Steps, copy, db_rows, peak, run, timed
from bench.order_history import COLUMNS, parts

TRADES, ORDERS, DAYS, SEED, SPEED = 1_000_000, 50_000, 365, 1, 10_000
TOKEN, QUERY = "a-token-for-the-simulator", "4711"
COPY_BARE: LiteralString = f"COPY bare ({COLUMNS['trades_norm']}) FROM STDIN"
SHOWN = 12
"""The slowest checks that the table of the year shows."""

OF_ORDERS = (
    CheckName.ORDER_FILLED_QUANTITY_IS_THE_SUM_OF_ITS_TRADES,
    CheckName.AVERAGE_PRICE_IS_THE_MEAN_OF_ITS_TRADES,
    CheckName.EVERY_FILLED_ORDER_HAS_TRADES,
    CheckName.EVERY_FILLED_ORDER_HAS_ITS_FEES,
)
"""What is called the reconciliation of orders, trades and fees: B01, B02, B04 and B05."""


def main(arguments: Sequence[str] = ()) -> None:
    """Print the tables; smaller numbers of trades and of orders may be given."""
    sizes = [*map(int, arguments), *(TRADES, ORDERS)[len(arguments) :]]
    with tempfile.TemporaryDirectory(prefix="apex-bench-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o755)
        with EmbeddedServer(home / "pg") as server:
            print(tables(server.url("postgres"), home, *sizes))


def tables(server_url: str, home: Path, trades: int = TRADES, orders: int = ORDERS) -> str:
    """Both measures as Markdown."""
    long, year = sibling_database(server_url, "bench_orders"), sibling_database(server_url, "bench_year")
    for url in (long, year):
        ensure_database(url)
    return (
        _long_table(_told("long", long, str(trades)))
        + "\n\n"
        + _year_tables(_told("year", year, str(orders), str(home)))
    )


def _told(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.reconciliation", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _long_table(told: dict[str, Any]) -> str:
    copied: list[float] = told["copy"]
    steps: dict[str, list[float]] = told["steps"]
    found = summed((took[0], took[1]) for what, took in steps.items() if what.endswith("finding"))
    whole = summed((took[0], took[1]) for took in steps.values())
    cells = [
        *(f"{told[table]:,}" for table in COLUMNS), f"{told['compared']:,}", _both(copied), _both(found), _both(whole),
        f"{found[1] / copied[1]:.2f} / {whole[1] / copied[1]:.2f}", f"{told['day']:.3f}",
        f"{told['rss']:.0f} ({told['rss_before']:.0f})",
    ]  # fmt: skip
    head = (
        "orders", "trades", "fees", "compared", "L s (CPU)", "findings s (CPU)", "and counts s (CPU)", "x L of CPU",
        "one day s", "peak MB (before)",
    )  # fmt: skip
    parts_ = [(what, _both(took), f"{took[1] / copied[1]:.2f}") for what, took in steps.items()]
    return _markdown(head, [cells]) + "\n\n" + _markdown(("step", "s (CPU)", "x L of CPU"), parts_)


def _both(took: Sequence[float]) -> str:
    return f"{took[0]:.2f} ({took[1]:.2f})"


def _year_tables(told: dict[str, Any]) -> str:
    cells = [
        f"{told['orders']:,}", told["days"], told["breaks"], *(_both(told[what]) for what in ("first", "again", "day")),
        f"{told['rss']:.0f} ({told['rss_before']:.0f})",
    ]  # fmt: skip
    head = ("orders", "days", "breaks", "all checks s (CPU)", "again s (CPU)", "one day s (CPU)", "peak MB (before)")
    slowest = sorted(told["steps"].items(), key=lambda step: -step[1])[:SHOWN]
    return _markdown(head, [cells]) + "\n\n" + _markdown(("step", "s"), [(what, f"{s:.2f}") for what, s in slowest])


def _markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [list(head), ["---:"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in lines)


# What is measured ------------------------------------------------------------------------------------


class Spent:
    """Seconds by the clock and of processors: this process's and, if it runs here, the whole server's."""

    def __init__(self, db: Database) -> None:
        self._postmaster = _parent(int(db_rows(db, "SELECT pg_backend_pid() AS pid")[0]["pid"]))

    def of(self, step: Callable[[], object]) -> tuple[float, float]:
        """What a step took."""
        before = self._processors()
        seconds = timed(step)
        return seconds, self._processors() - before

    def _processors(self) -> float:
        return time.process_time() + (_processors_of(self._postmaster) if self._postmaster else 0.0)


def _stat(pid: str) -> list[str]:
    """What follows the name of a process in its line of /proc: state, parent, …; empty if there is none."""
    try:
        return (Path("/proc") / pid / "stat").read_text("ascii", "replace").rsplit(")", 1)[1].split()
    except OSError:
        return []


def _parent(pid: int) -> str:
    found = _stat(str(pid))
    return found[1] if found else ""


def _processors_of(postmaster: str) -> float:
    """Seconds of a server: its own, of the children that ended, and of those that live."""
    ticks = sum(map(int, _stat(postmaster)[11:15]))
    for process in Path("/proc").glob("[0-9]*"):
        found = _stat(process.name)
        if found and found[1] == postmaster:
            ticks += sum(map(int, found[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def long_history(url: str, trades: int) -> dict[str, Any]:
    """Orders, trades and fees of years, reconciled beside copying the trades; each step as seconds and processors'."""
    with Database(url) as db:
        MigrationRunner(db, PROJECT_DIR / "migrations").run()
        spent = Spent(db)
        told: dict[str, Any] = {
            "copy": copying(db, spent, trades),
            **order_history.fill(db, trades),
            "rss_before": peak(),
        }
        checks = BreakRepository(db)
        first, last = order_history.FIRST, order_history.FIRST + timedelta(order_history.DAYS)
        steps = {
            f"{CHECKS[name].check_id} {what}": min(spent.of(partial(step, checks, name, first, last)) for _ in range(3))
            for name in OF_ORDERS
            for what, step in (("finding", clean), ("counting", BreakRepository.compared))
        }
        told["compared"] = sum(one.compared for name in OF_ORDERS for one in checks.compared(name, first, last))
        middle = first + (last - first) / 2
        told["day"] = timed(lambda: [clean(checks, name, middle, middle) for name in OF_ORDERS])
        return told | {"steps": steps, "rss": peak()}


def copying(db: Database, spent: Spent, trades: int, tries: int = 3) -> tuple[float, float]:
    """What copying the trades to a table without index or log takes, the best of `tries`."""
    took: list[tuple[float, float]] = []
    with db.transaction() as tx:
        run(tx, "DROP TABLE IF EXISTS bare; CREATE UNLOGGED TABLE bare (LIKE trades_norm)")
    for _ in range(tries):
        with db.transaction() as tx:
            run(tx, "TRUNCATE bare")
        with db.transaction() as tx:
            # The lines are made anew each time, in parts, so that this process stays small; only copying is timed.
            took.append(summed(spent.of(partial(copy, tx, COPY_BARE, part["trades_norm"])) for part in parts(trades)))
    with db.transaction() as tx:
        run(tx, "DROP TABLE bare")
    return min(took)


def summed(steps: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """What several steps took together."""
    some = list(steps)
    return sum(seconds for seconds, _ in some), sum(processors for _, processors in some)


def clean(checks: BreakRepository, name: CheckName, first: date, last: date) -> None:
    """Run a check over days on which nothing is wrong."""
    if wrong := checks.findings(name, first, last):
        raise AssertionError(f"nothing is wrong with {wrong[0]}")


# The year --------------------------------------------------------------------------------------------


def year(url: str, orders: int, home: Path) -> dict[str, Any]:
    """A year of both simulated brokers, loaded and derived, then every check over it, again, and over one day."""
    scenario = generate(SEED, orders // 2, DAYS - 1, datetime.now(UTC).date() - timedelta(1))
    last = scenario.end + timedelta(1)
    with Database(url) as db:
        MigrationRunner(db, PROJECT_DIR / "migrations").run()
        load(db, scenario, home)
        spent, steps, before = Spent(db), Steps(), peak()
        told: dict[str, Any] = {"first": spent.of(lambda: reconcile_days(db, scenario.start, last, steps))}
        steps("", 0, 0)
        told["rss"], told["rss_before"] = peak(), before
        told["again"] = spent.of(lambda: reconcile_days(db, scenario.start, last))
        day = max(row["day"] for row in db_rows(db, "SELECT max(trade_date) AS day FROM trades_norm"))
        told["day"] = spent.of(lambda: reconcile_days(db, day, day))
        told["breaks"] = db_rows(db, "SELECT count(*) AS n FROM recon_breaks WHERE state <> 'CLOSED'")[0]["n"]
        told["orders"] = db_rows(db, "SELECT count(*) AS n FROM orders_norm")[0]["n"]
        return told | {"days": DAYS, "steps": dict(steps.seconds)}


def load(db: Database, scenario: Scenario, home: Path) -> None:
    """Both brokers' history over their wire, and all that is derived from it before reconciling."""
    first, last = scenario.start, scenario.end + timedelta(1)
    with (
        OpenDSimulator(scenario, time_scale=SPEED) as opend,
        FlexSimulator(scenario, TOKEN, QUERY, time_scale=SPEED, today=last) as flex,
    ):
        ports: tuple[BrokerPort, ...] = (
            FutuBroker(FutuSettings(home=home, port=opend.port), today=lambda: last),
            IbBroker(IbSettings(flex.url, TOKEN, QUERY, poll_seconds=0.001)),
        )
        ask = Ask(first, last, last)
        for port in ports:
            for scope in (ask, replace(ask, scope=LoadScope.CASH)):
                ingest(db, port, lambda _budget: None, scope)
        for port in ports:
            normalize(db, port, first, last)
            end_options(db, port)
    classify_strategies(db, first, last)
    match_lots(db, first, last)
    value_accounts(db, first, last)
    tell_strategies(db)


if __name__ == "__main__":
    if sys.argv[1] == "long":
        print(json.dumps(long_history(sys.argv[2], int(sys.argv[3]))))
    else:
        print(json.dumps(year(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))))
