"""The strategy engine on order flow with known truth, beside five-second windows on the same flow.

`python -m bench strategies` prints the tables of docs/strategies.md: flows of our own generator, flows of the
generator in the tests, which shares neither code nor author's conventions with the engine, and a year of one
desk through `apex classify`. The seeds are those of no calibration and of no other test.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from apex_pipeline.domain.flows.generate import TruthGroup, generate
from apex_pipeline.domain.flows.levels import Level
from apex_pipeline.domain.flows.score import PredictedGroup, Score, predicted_groups, score
from apex_pipeline.domain.strategies.calibration import calibration
from apex_pipeline.domain.strategies.order_file import classify_file
from bench import calibrate, windows
from tests.faults import strategy_flow, strategy_flow_file

OWN_SEEDS, OTHER_SEEDS = range(301, 306), range(61, 64)
GROUPS = 400
LINKAGES = (0.0, 0.6)
YEAR_ORDERS, YEAR_SEED = 50_000, 401
ORDERS_PER_GROUP = 1.84

BY_SHAPE = {"PROTECTIVE_PUT": "LONG_PUT", "COLLAR": "BEARISH_RISK_REVERSAL"}
"""What the orders of a hedge are without the stock that was there before."""

Document = Mapping[str, Any]
Namer = Callable[[Document], Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Told:
    """One flow: the file and its truth."""

    document: Document
    truth: Sequence[TruthGroup]


@dataclass
class Measured:
    """Truth and answers of several flows, as if they were one; `seconds` of processor time to classify `orders`."""

    truth: list[TruthGroup] = field(default_factory=list)
    said: list[PredictedGroup] = field(default_factory=list)
    orders: int = 0
    seconds: float = 0.0
    repeatable: bool = True

    def add(self, flow: Told, number: int, namer: Namer) -> None:
        """Answer one flow, then once more with its rows shuffled."""
        begun = time.process_time()
        answers = namer(flow.document)
        self.seconds += time.process_time() - begun
        self.orders += len(flow.document["orders"])
        self.truth += [replace(one, orders=_marked(one.orders, number)) for one in flow.truth]
        self.said += [replace(one, orders=_marked(one.orders, number)) for one in predicted_groups(answers)]
        again = namer(shuffled(flow.document, number))
        self.repeatable &= _grouping(answers) == _grouping(again)

    def score(self) -> Score:
        """The measures over all flows."""
        return score(self.truth, {}, self.said)

    def strict_by_shape(self) -> float:
        """Strict accuracy if a hedge on stock already held may be named by its own legs."""
        said = {(group.orders, group.type, group.action) for group in self.said}
        right = sum(
            (group.orders, group.type, group.action) in said
            or (group.orders, BY_SHAPE.get(group.type), group.action) in said
            for group in self.truth
        )
        return right / len(self.truth)


def main(arguments: Sequence[str]) -> None:
    """Print the tables, or fit the calibration anew."""
    parser = argparse.ArgumentParser(prog="python -m bench strategies")
    parser.add_argument("--calibrate", action="store_true", help="fit and write the calibration of the package")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="what `apex strategy labels` wrote")
    parser.add_argument("--year", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.calibrate:
        calibrate.main(chosen.labels)
    elif chosen.year:
        print(json.dumps(year()))
    else:
        print(tables(), flush=True)


def tables() -> str:
    """All measures as Markdown."""
    parts = [
        f"Calibration {calibration().version}. {GROUPS} groups a flow; seeds {_span(OWN_SEEDS)} of our own generator.",
        _table(own, OWN_SEEDS),
        f"The independent generator, seeds {_span(OTHER_SEEDS)}:",
        _table(other, OTHER_SEEDS),
        "A year through `apex classify`, reading and writing the file included:",
        _year_line(),
    ]
    return "\n\n".join(parts)


def own(level: Level, seed: int, linkage: float) -> Told:
    """A flow of the package's generator."""
    flow = generate(level, seed, GROUPS, linkage)
    return Told(flow.document, flow.truth)


def other(level: Level, seed: int, linkage: float) -> Told:
    """A flow of the generator in the tests."""
    made = strategy_flow_file.file_of(strategy_flow.make(level.value, seed, GROUPS, linkage))
    truth = [
        TruthGroup(
            row["group"], frozenset(row["orders"]), row["type"], row["action"], row["sub_type"],
            row["resulting_type"], frozenset(row["tags"]),
        )
        for row in made["truth"]
    ]  # fmt: skip
    return Told(made["input"], truth)


def engine(document: Document) -> Mapping[str, Mapping[str, Any]]:
    """What `apex classify` says."""
    return classify_file(document)["predictions"]


COLUMNS = (
    "level", "ids", "by", "strict", "hedges by shape", "of several orders", "OPEN", "CLOSE", "ROLL", "ECE",
    "precision at 80 %", "orders/s", "same when shuffled",
)  # fmt: skip


def _table(make: Callable[[Level, int, float], Told], seeds: Iterable[int]) -> str:
    lines = [f"| {' | '.join(COLUMNS)} |", "|---|---|---|" + "---:|" * (len(COLUMNS) - 3)]
    for linkage in LINKAGES:
        for level in Level:
            flows = [make(level, seed, linkage) for seed in seeds]
            for name, namer in (("APEX", engine), ("5 s window", windows.predictions)):
                measured = Measured()
                for number, flow in enumerate(flows):
                    measured.add(flow, number, namer)
                lines.append(_line(level, linkage, name, measured))
    return "\n".join(lines)


def _line(level: Level, linkage: float, name: str, measured: Measured) -> str:
    found = measured.score()
    shares = [found.strict_multi, *(found.by_action[action] for action in ("OPEN", "CLOSE", "ROLL"))]
    cells = [
        level.value, f"{linkage:.0%}" if linkage else "none", name,
        f"{found.strict.value or 0:.3f}",
        f"{measured.strict_by_shape():.3f}",
        *(f"{share.value or 0:.3f}" for share in shares),
        f"{found.ece:.3f}", f"{found.precision_at_80:.3f}", f"{measured.orders / measured.seconds:,.0f}",
        "yes" if measured.repeatable else "NO",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def shuffled(document: Document, seed: int) -> dict[str, Any]:
    """The same file with the rows of every list in another order."""
    chance = Random(seed)
    return {name: chance.sample(rows, len(rows)) for name, rows in document.items()}


def year() -> dict[str, float]:
    """Seconds and memory of `apex classify` on a year of L2; run in a process of its own, whose child it measures."""
    flow = generate(Level.L2, YEAR_SEED, round(YEAR_ORDERS / ORDERS_PER_GROUP))
    with tempfile.TemporaryDirectory(prefix="apex-bench-") as folder:
        source, target = Path(folder) / "orders.json", Path(folder) / "answers.json"
        source.write_text(json.dumps(flow.document))
        command = [str(Path(sys.executable).parent / "apex"), "classify", str(source), "--out", str(target)]
        begun = time.monotonic()
        subprocess.run(command, check=True)
        seconds = time.monotonic() - begun
        answered = len(json.loads(target.read_text())["predictions"])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "orders": len(flow.document["orders"]),
        "answered": answered,
        "seconds": seconds,
        "processor": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss / 1024,
    }


def _year_line() -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "strategies", "--year"], check=True, stdout=subprocess.PIPE, text=True
    )
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return (
        "| orders | answered | wall s | processor s | peak MB |\n|---:|---:|---:|---:|---:|\n"
        f"| {told['orders']:,} | {told['answered']:,} | {told['seconds']:.1f} | {told['processor']:.1f} | "
        f"{told['peak_mb']:.0f} |"
    )


def _marked(orders: Iterable[str], number: int) -> frozenset[str]:
    return frozenset(f"{number}:{order}" for order in orders)


def _grouping(answers: Mapping[str, Mapping[str, Any]]) -> Counter[PredictedGroup]:
    """Answers without the names of their groups, which a namer may number as it likes."""
    return Counter(predicted_groups(answers))


def _span(seeds: Sequence[int]) -> str:
    return f"{seeds[0]} to {seeds[-1]}"
