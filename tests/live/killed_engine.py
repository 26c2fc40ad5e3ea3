"""The engine of the documentation in a process that is killed, and what it must have stored after so many signals.

The truth is worked out here without the library: a list of signals handled one after the other in plain Python.
"""

import os
import re
import signal as signals_of_system
import time
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any

from apex_pipeline.settings import PROJECT_DIR
from tests.store.rows import query

CAPITAL = 1_000_000
INSTRUMENTS = ("GOLD", "BANK_NIFTY", "SILVER")


def engine_code() -> dict[str, Any]:
    """What the engine of docs/live.md defines."""
    text = (PROJECT_DIR / "docs" / "live.md").read_text("utf-8")
    found = re.search(r"<!-- the engine -->\n```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    code: dict[str, Any] = {"__name__": "engine"}
    exec(compile(found[1], "docs/live.md", "exec"), code)
    return code


def signals(seed: int, count: int) -> list[dict[str, Any]]:
    """Signals in an order that makes sense: entries where nothing is held, then additions and an exit."""
    draw, held, made = Random(seed), dict[str, int](), list[dict[str, Any]]()
    for number in range(count):
        instrument = draw.choice(INSTRUMENTS)
        if instrument not in held:
            kind, price = "BASE_ENTRY", 1000 + draw.randrange(100)
        elif draw.random() < 0.3:
            kind, price = "EXIT", held[instrument] + draw.randrange(-40, 80)
        else:
            kind, price = "PYRAMID", held[instrument] + draw.randrange(-5, 20)
        held[instrument] = price
        if kind == "EXIT":
            del held[instrument]
        made.append({"id": f"s{number}", "type": kind, "instrument": instrument, "price": price})
    return made


@dataclass
class Truth:
    """What the engine should have stored, in the form that `stored` reads."""

    equity: Decimal = Decimal(CAPITAL)
    positions: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    pyramiding: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    logged: int = 0

    def handle(self, told: dict[str, Any]) -> None:
        self.logged += 1
        instrument, price, name = told["instrument"], told["price"], f"{told['instrument']}-{told['id']}"
        mine = [row for row in self.positions.values() if row[0] == instrument and row[1] == "open"]
        match told["type"]:
            case "BASE_ENTRY":
                self.positions[name] = [instrument, "open", price, price - 50, None]
                self.pyramiding[instrument] = [price, name]
            case "PYRAMID" if price > self.pyramiding[instrument][0]:
                last = self.pyramiding[instrument][0]
                self.positions[name] = [instrument, "open", price, price - 50, None]
                self.pyramiding[instrument][0] = price
                for row in [*mine, self.positions[name]]:
                    row[3] = last
            case "EXIT":
                for row in mine:
                    row[1], row[4] = "closed", price - row[2]
                    self.equity += row[4]
            case _:
                pass

    def told(self) -> tuple[Any, ...]:
        return self.equity, self.positions, self.pyramiding, self.logged


def truths(made: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What must be stored after none, one, two, … of the signals."""
    states: list[tuple[Any, ...]] = []
    for count in range(len(made) + 1):
        truth = Truth()
        for one in made[:count]:
            truth.handle(one)
        states.append(truth.told())
    return states


def stored(url: str) -> tuple[Any, ...]:
    """What is in the database, as a stranger reads it."""
    positions = query(
        url, "SELECT position_id, instrument, status, entry_price, current_stop, realized_pnl FROM portfolio_positions"
    )
    pyramiding = query(url, "SELECT instrument, last_pyramid_price, base_position_id FROM pyramiding_state")
    equity = query(url, "SELECT closed_equity FROM portfolio_state")
    return (
        equity[0][0] if equity else Decimal(CAPITAL),
        {row[0]: list(row[1:]) for row in positions},
        {row[0]: list(row[1:]) for row in pyramiding},
        query(url, "SELECT count(*) FROM signal_log")[0][0],
    )


def killed(code: dict[str, Any], url: str, made: list[dict[str, Any]], after: float) -> int:
    """How many signals an engine acknowledged, in a child that is killed so many seconds after the first of them."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        code["run"](url, made, partial(_acknowledge, writes))
        os._exit(0)
    os.close(writes)
    first = os.read(reads, 1 << 16)
    time.sleep(after)
    os.kill(child, signals_of_system.SIGKILL)
    os.waitpid(child, 0)
    rest = b""
    while part := os.read(reads, 1 << 16):
        rest += part
    os.close(reads)
    return (first + rest).count(b"\n")


def _acknowledge(pipe: int, number: int) -> None:
    os.write(pipe, b"%d\n" % number)
