"""The quick start is true: its commands are run in its order, and every line that it quotes is printed."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from apex_pipeline.settings import PROJECT_DIR
from tests.docs.pages import FENCE, HOLE, text_of

PAGE = PROJECT_DIR / "docs" / "quick-start.md"
MENDING = "## 7."
"""From here on the brokers are asked again, which takes as long as all before: `make faults` does it."""
PROGRAM = (sys.executable, "-c", "from apex_pipeline.cli.app import main; main()")
COLUMNS = "110"


@dataclass(frozen=True)
class Step:
    """A command of the page and the lines that it should print, in their order."""

    command: str
    lines: tuple[str, ...]


def steps(text: str) -> list[Step]:
    """The commands of blocks of the kind `console`."""
    found: list[Step] = []
    for block in (block for kind, block in FENCE.findall(text) if kind == "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.splitlines()
            found.append(Step(command, tuple(line for line in lines if line.strip())))
    return found


def missing(step: Step, printed: str) -> list[str]:
    """Quoted lines that were not printed, or not in this order; the width of gaps does not matter."""
    said = [" ".join(line.split()) for line in printed.splitlines()]
    lacking: list[str] = []
    for line in step.lines:
        pattern = ".*".join(re.escape(part) for part in " ".join(line.split()).split(HOLE))
        place = next((at for at, one in enumerate(said) if re.fullmatch(pattern, one)), None)
        if place is None:
            lacking.append(line)
        else:
            said = said[place + 1 :]
    return lacking


@dataclass(frozen=True)
class Tour:
    """One database on which the page is followed, as a person at a terminal does."""

    folder: Path
    environment: dict[str, str]

    def follow(self, step: Step, uids: dict[str, str], *more: str) -> str:
        """Run a command with the uids that a person would have copied; what it printed."""
        words = shlex.split(step.command)[1:]
        words = [re.sub(r"^(B_|FUTU_)….*$", lambda hole: uids[hole[0]], word) for word in words]
        near, far = pty.openpty()
        given = [*PROGRAM, *words, *more]
        with subprocess.Popen(given, cwd=self.folder, env=self.environment, stdin=far, stdout=far, stderr=far):
            os.close(far)
            told = b""
            while chunk := _read(near):
                told += chunk
        os.close(near)
        return told.decode()

    def breaks(self) -> dict[str, str]:
        """What stands behind the uids of the page."""
        told = self.follow(Step("apex breaks --json", ()), {})
        rows = [row for row in json.loads(told) if row["state"] == "OPEN"]
        futu = max((row for row in rows if row["broker"] == "FUTU"), key=lambda row: row["business_date"])
        (ib,) = [row for row in rows if row["broker"] == "IB"]
        return {"B_…": futu["break_uid"], "B_…ib": ib["break_uid"], "FUTU_…": futu["subject"].split()[0]}


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the terminal of a program that has ended
        return b""


@pytest.fixture
def tour(tmp_path: Path, database_url: str) -> Tour:
    home = {"APEX_HOME": str(tmp_path / "home"), "APEX_DATABASE_URL": database_url}
    shell = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "dumb", "COLUMNS": COLUMNS}
    return Tour(tmp_path, {**shell, **home, "PYTHONPATH": str(PROJECT_DIR)})


def followed(tour: Tour, told: list[Step]) -> dict[str, list[str]]:
    """What each command did not print of what the page says."""
    uids: dict[str, str] = {}
    lacking: dict[str, list[str]] = {}
    for step in told:
        is_demo = step.command.startswith("apex demo")
        printed = tour.follow(step, uids, *(["--exit"] if is_demo else []))
        if left := missing(step, printed):
            lacking[step.command] = [*left, "was printed:", printed]
        if is_demo and not uids:
            uids = tour.breaks()
    return lacking


def test_the_tour_shows_what_it_says(tour: Tour) -> None:
    before, _, after = text_of(PAGE).partition(MENDING)
    report = [step for step in steps(after) if step.command.startswith("apex report")]
    assert len(steps(before)) == 5
    assert followed(tour, [*steps(before), *report]) == {}


@pytest.mark.slow
def test_the_mended_breaks_close(tour: Tour) -> None:
    first, *_ = steps(text_of(PAGE))
    _, _, after = text_of(PAGE).partition(MENDING)
    assert len(steps(after)) == 4
    assert followed(tour, [first, *steps(after)]) == {}


def test_a_line_that_is_not_printed_is_noticed() -> None:
    step = Step("apex breaks", ("Open breaks", "  cause  MISSING_…", "  cause  OTHER"))
    assert missing(step, "\nOpen breaks\n  cause          MISSING_B\n") == ["  cause  OTHER"]
    assert missing(step, "  cause   MISSING_B\nOpen breaks\n  cause  OTHER") == ["  cause  MISSING_…"]
