"""Tables fit the terminal they are printed on, and progress is a bar there and plain lines elsewhere."""

import os
import pty
import subprocess
import sys
from decimal import Decimal
from io import StringIO

import pytest
from rich.console import Console

from apex_pipeline.cli import console, why
from apex_pipeline.reports.tables import ReportTable
from apex_pipeline.settings import PROJECT_DIR
from apex_pipeline.store.repositories.lineage import Origin

UID = "B_d20eba65048bf1251d1bcb77"
ACCOUNT = "281756478396547854"
SENTENCE = "order_filled_quantity_is_the_sum_of_its_trades"
ROW = {
    "check_name": SENTENCE,
    "account_id": ACCOUNT,
    "delta": Decimal(-3),
    "cause": None,
    "break_uid": UID,
}
TABLE = ReportTable("breaks", "Open breaks", [ROW, {**ROW, "cause": "MISSING_B"}])
LOADING = """
import time
from apex_pipeline.cli.console import line, progress
with progress() as observe:
    for done in range(4):
        observe("loading a day", done, 4)
        time.sleep(0.2)
line("done")
"""


def shown(monkeypatch: pytest.MonkeyPatch, width: int) -> str:
    """The table as a terminal of so many columns shows it."""
    text = StringIO()
    monkeypatch.setattr(console, "out", Console(file=text, width=width, highlight=False))
    console.show(TABLE)
    return text.getvalue()


def test_a_wide_terminal_shows_a_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, 160).splitlines()
    assert len([text for text in lines if SENTENCE in text and UID in text]) == 2


def test_a_grid_folds_sentences_and_never_an_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, 110)
    assert text.count(UID) == 2
    assert text.count(ACCOUNT) == 2
    assert SENTENCE not in text, "control: the sentence is folded, so there was no room"


def test_a_narrow_terminal_shows_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, 80)
    assert text.count(f"  break uid   {UID}") == 2
    assert text.count(f"  check name  {SENTENCE}") == 2
    assert text.count("  cause       MISSING_B") == text.count("  cause") == 1, "what is not known has no line"


def test_bytes_of_a_broker_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    request = {"orders": ["TR2TGXCCQMGWZMTROW"] * 100}
    row = {"payload": {"qty": Decimal("1.0")}, "excerpt": "KO\x1b[2J\n\x9b5mA", "request": request}
    why.tell([Origin("raw_documents", "1", row)])
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "raw_documents  1"
    assert told[1].endswith("…")
    assert len(told[1]) < 320
    assert told[2:] == ['  payload: {"qty":1.0}', "  excerpt: KO·[2J··5mA"]


def ran(*, terminal: bool, **environment: str) -> str:
    """What a program that shows progress prints, on a terminal or into a pipe."""
    near, far = pty.openpty() if terminal else os.pipe()
    given = {"PATH": "/usr/bin:/bin", "TERM": "xterm-256color", "PYTHONPATH": str(PROJECT_DIR), **environment}
    out = far
    with subprocess.Popen([sys.executable, "-c", LOADING], env=given, stdout=out, stderr=out, stdin=out):
        os.close(far)
        told = b""
        while chunk := read(near):
            told += chunk
    os.close(near)
    return told.decode()


def read(descriptor: int) -> bytes:
    """What comes next; a terminal whose program has ended gives an error instead of nothing."""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""


def test_a_terminal_shows_a_bar() -> None:
    told = ran(terminal=True)
    assert "loading a day" in told
    assert "━" in told
    assert "\x1b[38;5;" in told, "control: there is colour"


def test_no_color_leaves_the_bar_and_takes_its_colours() -> None:
    told = ran(terminal=True, NO_COLOR="1")
    assert "━" in told
    assert "\x1b[3" not in told


def test_a_pipe_shows_plain_lines() -> None:
    told = ran(terminal=False)
    assert "\x1b" not in told
    assert told.splitlines() == ["  loading a day (1 of 4)", "done"]
