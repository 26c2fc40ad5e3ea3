"""The verbs below `apex strategy`; what each needs is imported inside it, as in `app`."""

from pathlib import Path
from typing import Annotated

import typer

from apex_pipeline import settings
from apex_pipeline.cli.console import errors_in_one_line

strategies = typer.Typer(
    help="Correct which orders are one strategy, and see what was corrected.", no_args_is_help=True
)

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@strategies.command("set")
def set_strategy(
    *,
    orders: Annotated[list[str], typer.Argument(metavar="ORDER_UID...", help="All orders of the strategy.")],
    strategy_type: Annotated[str, typer.Option("--type", help="Such as IRON_CONDOR or ROLL.")],
    action: Annotated[str, typer.Option(help="OPEN, CLOSE, ROLL or ADJUST.")],
    reason: Annotated[str | None, typer.Option(help="Why, for whoever reads it later.")] = None,
    made_by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="Default: the database role.")] = None,
    debug: Debug = False,
) -> None:
    """Say that these orders are one strategy; it stays so however they are classified later."""
    with errors_in_one_line(debug=debug):
        from apex_pipeline.cli.opening import opened
        from apex_pipeline.cli.strategy import checked, correct

        said = checked(strategy_type, action)
        with opened(settings.load(), writing=True) as found:
            correct(found, orders, said, reason, made_by)


@strategies.command("unset")
def unset_strategy(
    *,
    name: Annotated[str, typer.Argument(metavar="UID", help="A correction, or one of its orders.")],
    debug: Debug = False,
) -> None:
    """Take a correction back."""
    from apex_pipeline.cli.opening import opened
    from apex_pipeline.cli.strategy import take_back

    with errors_in_one_line(debug=debug), opened(settings.load(), writing=True) as found:
        take_back(found, name)


@strategies.command("list")
def list_strategies(
    *,
    corrections: Annotated[bool, typer.Option("--corrections", help="What people said.")] = False,
    review: Annotated[bool, typer.Option("--review", help="What is worth a look, least certain first.")] = False,
    debug: Debug = False,
) -> None:
    """Show what every open strategy holds; or what people corrected, or what is worth a look."""
    from apex_pipeline.cli.opening import opened
    from apex_pipeline.cli.strategy import tell

    with errors_in_one_line(debug=debug), opened(settings.load(), writing=False) as found:
        tell(found, corrections=corrections, review=review)


@strategies.command("labels")
def strategy_labels(
    *,
    target: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write here.")] = None,
    debug: Debug = False,
) -> None:
    """Write what was corrected as JSON: the file that `apex classify` reads, and the truth."""
    from apex_pipeline.cli.opening import opened
    from apex_pipeline.cli.strategy import write_labels

    with errors_in_one_line(debug=debug), opened(settings.load(), writing=False) as found:
        write_labels(found, target)
