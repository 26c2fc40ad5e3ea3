"""Help, completion and plain output: what a person meets before anything else."""

import io
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from apex_pipeline.cli.app import app
from apex_pipeline.cli.examples import EXAMPLES
from apex_pipeline.settings import PROJECT_DIR

APEX = str(Path(sys.executable).parent / "apex")
SLOW = ("dagster", "pandas", "psycopg2", "httpx", "futu", "ib_async", "exchange_calendars")
COLOUR = re.compile(rb"\x1b\[[0-9;]*m")


def verbs(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every verb by what is typed after `apex`; Typer brings a Click of its own, which has no public name."""
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from verbs(child, f"{path} {name}".strip())
    else:
        yield path, command


VERBS = dict(verbs(typer.main.get_command(app)))


def environment(**more: str) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(PROJECT_DIR), **more}


def said(*arguments: str, **more: str) -> str:
    child = subprocess.run([APEX, *arguments], env=environment(**more), capture_output=True, text=True, check=False)
    return child.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_it_does_and_gives_examples(verb: str) -> None:
    told = VERBS[verb].get_help(VERBS[verb].make_context(verb, [], resilient_parsing=True))
    assert VERBS[verb].help
    assert verb in EXAMPLES, f"`apex {verb}` has no examples in cli/examples.py"
    for typed, why in EXAMPLES[verb]:
        assert f"apex {typed}\n        {why}\n" in f"{told}\n"


@pytest.mark.parametrize("typed", [typed for told in EXAMPLES.values() for typed, _ in told])
def test_every_example_can_be_typed(typed: str) -> None:
    words = shlex.split(typed)
    name = max((verb for verb in EXAMPLES if typed == verb or typed.startswith(f"{verb} ")), key=len)
    VERBS[name].make_context(name, words[len(name.split()) :])


def test_an_example_with_an_option_that_does_not_exist_is_noticed() -> None:
    """The control of the test above."""
    with pytest.raises(Exception, match="No such option"):
        VERBS["status"].make_context("status", ["--jsn"])


def test_help_loads_nothing_that_takes_long() -> None:
    code = f"import sys, apex_pipeline.cli.app; print([name for name in {SLOW!r} if name in sys.modules])"
    child = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert child.stdout == "[]\n"


def test_a_shell_completes_verbs_options_and_choices() -> None:
    def completed(typed: str) -> list[str]:
        words = typed.split(" ")
        return said(_APEX_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=str(len(words) - 1)).split()

    assert completed("apex sta") == ["status"]
    assert {"import", "strategy", "alerts"} <= set(completed("apex "))
    assert completed("apex strategy l") == ["list", "labels"]
    assert completed("apex backfill --broker ") == ["futu", "ib", "all"]
    assert completed("apex backfill --fu") == ["--full-reload"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_shown(shell: str) -> None:
    told = said("--show-completion", shell, SHELL=f"/bin/{shell}", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "_APEX_COMPLETE=complete_" in told


TELLING = """
from apex_pipeline.cli.console import line, progress, show
from apex_pipeline.reports.tables import ReportTable
with progress() as observe:
    observe("loading", 1, 3)
    line("told")
"""


def on_a_terminal(**more: str) -> bytes:
    """What a program writes to a terminal."""
    mine, its = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", TELLING], env=environment(**{"TERM": "xterm-256color", **more}), stdout=its, stderr=its
    )
    os.close(its)
    told = io.BytesIO()
    try:
        while part := os.read(mine, 4096):
            told.write(part)
    except OSError:  # the other end closed
        pass
    os.close(mine)
    assert child.wait(30) == 0
    return told.getvalue()


def coloured(told: bytes) -> list[bytes]:
    """The escape sequences that set a colour: 30 to 49, 90 to 107; bold and the like are none."""
    found = COLOUR.findall(told)
    return [one for one in found if re.search(rb"(?:\[|;)(?:3\d|4\d|9\d|10\d)(?:;|m)", one)]


def test_no_colour_is_used_where_nobody_wants_it() -> None:
    assert coloured(on_a_terminal()), "the control: there is colour to be left out"
    assert coloured(on_a_terminal(NO_COLOR="1")) == []
    assert b"told" in on_a_terminal(NO_COLOR="1")
    assert b"\x1b" not in on_a_terminal(TERM="dumb").replace(b"\x1b[?25", b"")


def test_output_that_is_no_terminals_is_plain() -> None:
    child = subprocess.run([sys.executable, "-c", TELLING], env=environment(), capture_output=True, check=True)
    assert b"\x1b" not in child.stdout + child.stderr
