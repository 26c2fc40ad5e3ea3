"""The verb below `apex timescale`; what it needs is imported inside it, as in `app`."""

from typing import Annotated

import typer

from apex_pipeline import settings
from apex_pipeline.cli.console import errors_in_one_line

timescale = typer.Typer(help="Keep large tables in chunks by time, where the server has TimescaleDB.")


@timescale.callback()
def verbs() -> None:
    """Keep large tables in chunks by time, where the server has TimescaleDB."""


@timescale.command()
def enable(
    *,
    status: Annotated[bool, typer.Option("--status", help="Show what is there and change nothing.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Make hypertables of bars and snapshots, compressed and kept as configured; again after a change of settings."""
    from apex_pipeline.cli import timescale as verb

    with errors_in_one_line(debug=debug):
        if status:
            verb.tell(settings.load())
        else:
            verb.enable(settings.load())
