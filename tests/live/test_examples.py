"""The scripts in `examples/` run as they stand on a loaded record, and say what they promise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from apex_pipeline.settings import PROJECT_DIR, environment_of
from tests.live.conftest import Desk
from tests.store.rows import query, tables_hash, value

EXAMPLES = PROJECT_DIR / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))
RECORD = ["orders_norm", "trades_norm", "fees_norm", "positions", "realized_pnl", "recon_breaks"]


def run(script: str, desk: Desk, folder: Path, *arguments: str) -> str:
    """What a script prints, in a process of its own that knows the settings only."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT_DIR), **environment_of(desk.config)}
    child = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *arguments],
        env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (child.returncode, child.stderr) == (0, ""), child.stderr
    return child.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_example_runs_and_leaves_the_record_alone(loaded: Desk, tmp_path: Path, script: str) -> None:
    before = tables_hash(loaded.db.url, RECORD)
    assert run(script, loaded, tmp_path).strip()
    assert tables_hash(loaded.db.url, RECORD) == before
    assert script in (EXAMPLES / "README.md").read_text("utf-8")


def test_reading_the_record_tells_the_fees_of_the_database(loaded: Desk, tmp_path: Path) -> None:
    told = run("read_the_record.py", loaded, tmp_path)
    paid = value(
        loaded.db.url,
        "SELECT to_char(sum(amount), 'FM999999990.00') FROM fees_norm WHERE currency = 'USD' AND broker = 'IB' "
        "GROUP BY date_trunc('month', charged_on) ORDER BY date_trunc('month', charged_on) LIMIT 1",
    )
    assert f" {paid} USD in " in told
    assert "Realized by underlying, the best five" in told


def test_orders_of_an_account_are_told_with_fills_fees_and_their_origin(loaded: Desk, tmp_path: Path) -> None:
    account, count = query(
        loaded.db.url, "SELECT account_id, count(*) FROM orders_norm WHERE broker = 'FUTU' GROUP BY 1 ORDER BY 1"
    )[0]
    told = run("orders_of_an_account.py", loaded, tmp_path, account)
    assert f"Account {account}: {count} orders" in told
    assert "As Futu told order " in told
    assert "orderID" in told


def test_an_engine_that_runs_again_handles_nothing_twice(loaded: Desk, tmp_path: Path) -> None:
    first = run("engine.py", loaded, tmp_path).splitlines()
    again = run("engine.py", loaded, tmp_path).splitlines()
    assert [line for line in first if line.startswith("example-")] == [f"example-{n}: handled" for n in (1, 2, 3)]
    assert [line for line in again if line.startswith("example-")] == [f"example-{n}: known" for n in (1, 2, 3)]
    assert any(line.startswith("started from the ledger: ") for line in first), first
    assert any(line.startswith("started from the newest snapshots: ") for line in again)
    assert first[-1] == again[-1] == "open: example-2 1 SILVER at 30.25"
