"""`python -m bench [full | strategies … | reconciliation … | live … | ui]`: all parts, or one alone.

The page (`ui`) is only measured when it is asked for: it needs Chromium and a whole demo.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from apex_pipeline.settings import PROJECT_DIR, sibling_database
from apex_pipeline.store.create import ensure_database
from apex_pipeline.store.db import Database
from apex_pipeline.store.embedded import EmbeddedServer
from apex_pipeline.store.migrate import MigrationRunner
from bench import flex, ledger, live, plans, reconciliation, strategies

SIZES, FULL_SIZES = (500, 5_000), (500, 5_000, 50_000)
INTERFACES = {"2221": "orders", "2222": "deals", "2225": "fees"}


def main() -> None:
    """Print all parts as Markdown."""
    if sys.argv[1:2] == ["strategies"]:
        strategies.main(sys.argv[2:])
        return
    if sys.argv[1:2] == ["reconciliation"]:
        reconciliation.main(sys.argv[2:])
        return
    if sys.argv[1:2] == ["live"]:
        live.main(sys.argv[2:])
        return
    if sys.argv[1:2] == ["ui"]:
        from bench import ui  # Playwright is an extra

        ui.main()
        return
    full = sys.argv[1:] == ["full"]
    today = datetime.now(UTC).date()
    print(f"# Benchmarks of {today}\n\n{machine()}\n\n## Plans\n")
    for orders in FULL_SIZES:
        print(plans.table(orders, today) + "\n")
    print(plans.others(today) + "\n")
    print("## Strategies\n\n" + strategies.tables() + "\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="apex-bench-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o755)
        print("## Statements\n\n" + flex.table(home) + "\n", flush=True)
        with EmbeddedServer(home / "pg") as server:
            print("## The ledger\n\n" + ledger.table(server.url("postgres")) + "\n", flush=True)
            print("## Reconciliation\n\n" + reconciliation.tables(server.url("postgres"), home) + "\n", flush=True)
            print("## A live engine\n\n" + live.tables(server.url("postgres")) + "\n", flush=True)
            print("## Loads\n\n" + "\n".join(HEAD), flush=True)
            for orders in FULL_SIZES if full else SIZES:
                first, again = loaded(orders, server.url("postgres"), home)
                print(line(f"{orders:,}", first) + "\n" + line(f"{orders:,} again", again), flush=True)


def machine() -> str:
    """Processors, memory and versions, and how busy it is with other things."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} processors ({platform.machine()}), {memory:.0f} GB, {platform.system()}, "
        f"Python {platform.python_version()}, load average {os.getloadavg()[0]:.1f} at the start"
    )


def loaded(orders: int, server_url: str, home: Path) -> list[dict[str, Any]]:
    """What the first load of a year took and the same load again, with the requests that the gateway counted."""
    today = datetime.now(UTC).date()
    first = today - timedelta(plans.DAYS - 1)
    url = sibling_database(server_url, f"bench_{orders}")
    ensure_database(url)
    with Database(url) as db:
        MigrationRunner(db, PROJECT_DIR / "migrations").run()
    with gateway(orders, plans.DAYS - 1, str(today - timedelta(1))) as opend:
        command = [sys.executable, "-m", "bench.load", url, str(opend.port), str(first), str(today), str(home)]
        return [{**_told(command), **opend.counted()} for _ in range(2)]


def _told(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


@dataclass(frozen=True)
class Gateway:
    """A simulated OpenD in a process of its own."""

    process: subprocess.Popen[str]
    port: int

    def counted(self) -> dict[str, Any]:
        """The requests and refusals since the last time."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@contextmanager
def gateway(orders: int, days: int, end: str) -> Generator[Gateway]:
    """An OpenD that tells a scenario of this size."""
    command = [sys.executable, "-m", "bench.opend", str(orders), str(days), end]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Gateway(process, json.loads(process.stdout.readline())["port"])


STAGES = ("ingest", "normalize", "classify", "reconcile")
COLUMNS = (
    "orders", "records", "requests: orders + deals + fees + states", "refused", "forced by limits s",
    *(f"{stage} s" for stage in STAGES), "total s", "over the limits s", "peak MB: load, SDK",
)  # fmt: skip
HEAD = (f"| {' | '.join(COLUMNS)} |", "|" + "---:|" * len(COLUMNS))


def line(name: str, told: dict[str, Any]) -> str:
    """One row of the table. Forced is what the limits alone cost for these requests, answers taking no time."""
    by_kind: Counter[str] = Counter()
    for request, count in told["requests"].items():
        by_kind[INTERFACES.get(request.split()[0], "states")] += count
    seconds = told["seconds"]
    total = sum(seconds.values())
    limited = (count for request, count in told["requests"].items() if request.split()[0] in INTERFACES)
    forced = plans.forced_seconds(limited)
    cells = [
        name, f"{told['records']:,}", " + ".join(str(by_kind[kind]) for kind in ("orders", "deals", "fees", "states")),
        told["violations"], f"{forced:.0f}", *(f"{seconds[stage]:.1f}" for stage in STAGES), f"{total:.1f}",
        f"{total - forced:.1f}", f"{told['rss']:.0f}, {told['rss_child']:.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(str(cell) for cell in cells)} |"


if __name__ == "__main__":
    main()
