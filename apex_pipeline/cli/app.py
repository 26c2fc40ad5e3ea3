"""The verbs. Each reads its settings, opens what it needs, calls one function and ends with an exit code.

What a verb needs is imported inside it: Dagster, pandas and the simulators take a second, and `--help` needs none.
"""

import json
import signal
import sys
from datetime import date
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apex_pipeline import settings
from apex_pipeline.cli.console import DONE, errors_in_one_line, line, out, say
from apex_pipeline.cli.examples import with_examples
from apex_pipeline.cli.simulate import Service
from apex_pipeline.cli.simulate import simulate as run_simulator
from apex_pipeline.cli.strategy_verbs import strategies
from apex_pipeline.cli.timescale_verbs import timescale
from apex_pipeline.domain.reconciliation import BreakState
from apex_pipeline.errors import ConfigError

if TYPE_CHECKING:
    from apex_pipeline.cli.loading import Wish

app = typer.Typer(
    name="apex",
    help="Every order, trade and fee of Futu and Interactive Brokers: kept, normalized, reconciled.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

imports = typer.Typer(help="Load statements that are on disk.", no_args_is_help=True)
app.add_typer(imports, name="import")

accounts = typer.Typer(help="Say how an account is to be computed.", no_args_is_help=True)
app.add_typer(accounts, name="account")

app.add_typer(strategies, name="strategy")
app.add_typer(timescale, name="timescale")

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Day = Annotated[str | None, typer.Option(metavar="YYYY-MM-DD")]
Port = Annotated[int, typer.Option(help="Port of the Dagster UI on 127.0.0.1.", min=1, max=65535)]


class Form(StrEnum):
    """What a report is written as."""

    HTML = "html"
    CSV = "csv"
    PARQUET = "parquet"


class BrokerChoice(StrEnum):
    FUTU = "futu"
    IB = "ib"
    ALL = "all"


@app.command()
def demo(
    leave: Annotated[bool, typer.Option("--exit", help="End after the report.")] = False,
    orders: Annotated[int, typer.Option(help="Orders per broker.", min=1, max=200_000)] = 2000,
    days: Annotated[int, typer.Option(help="Days of history.", min=1, max=1400)] = 365,
    seed: Annotated[int, typer.Option(help="The same seed invents the same trades.")] = 1,
    port: Port = 3000,
    with_faults: Annotated[bool, typer.Option(help="Plant a few errors, to see checks fail.")] = False,
    debug: Debug = False,
) -> None:
    """Simulate both brokers, load a year through Dagster, print the report and serve the UI."""
    from apex_pipeline.cli.demo import DemoWish
    from apex_pipeline.cli.demo import demo as run_demo

    with errors_in_one_line(debug=debug):
        code = run_demo(settings.load(), DemoWish(orders, days, seed, port, leave, with_faults))
    raise typer.Exit(code)


@app.command()
def up(port: Port = 3000, debug: Debug = False) -> None:
    """Load what is missing from the configured brokers and serve the Dagster UI."""
    from apex_pipeline.cli.demo import serve
    from apex_pipeline.cli.loading import Wish, checked, load, tell
    from apex_pipeline.cli.opening import opened, require_brokers, with_dagster
    from apex_pipeline.orchestration.processes import require_free_port

    with errors_in_one_line(debug=debug):
        configured = settings.load()
        require_brokers(configured)
        require_free_port(port)
        wish = checked(Wish(configured.brokers), configured)
        with opened(configured, writing=True) as found:
            with_dagster(found)
            code = tell(load(wish, found), wish.brokers, found)
            serve(found, port)
    raise typer.Exit(code)


@app.command()
def migrate(
    to: Annotated[int | None, typer.Option(help="Stop at this migration.")] = None,
    status: Annotated[bool, typer.Option("--status", help="Show what is applied and change nothing.")] = False,
    debug: Debug = False,
) -> None:
    """Bring the database to the current schema."""
    from apex_pipeline.cli.opening import opened

    with errors_in_one_line(debug=debug), opened(settings.load(), writing=not status, migrated=False) as found:
        applied = [] if status else found.migrations.run(to)
        for migration in found.migrations.status():
            state = f"applied {migration.applied_at:%Y-%m-%d %H:%M:%SZ}" if migration.applied_at else "pending"
            line(f"{migration.version:03d} {migration.name}: {state}")
        if not status:
            line(f"{len(applied)} applied now")


@app.command()
def move(
    url: Annotated[str, typer.Argument(metavar="URL", help="Such as postgresql://user@host:5432/apex.")],
    debug: Debug = False,
) -> None:
    """Copy all data to another PostgreSQL server, whole or not at all, prove it equal and say what to set."""
    from apex_pipeline.cli.move import move as move_data

    with errors_in_one_line(debug=debug):
        move_data(settings.load(), url)


@app.command()
def backfill(
    broker: Annotated[BrokerChoice | None, typer.Option(help="Default: the configured brokers.")] = None,
    account: Annotated[str | None, typer.Option(help="Only this account.")] = None,
    market: Annotated[str, typer.Option(help="Only this market of Futu: US, HK, …")] = "ALL",
    days: Annotated[int | None, typer.Option(help="The newest N days.", min=1)] = None,
    from_date: Day = None,
    to_date: Day = None,
    full_reload: Annotated[bool, typer.Option(help="Read the whole look-back again.")] = False,
    force: Annotated[bool, typer.Option(help="Also ask for days that are finished.")] = False,
    no_cash: Annotated[bool, typer.Option("--no-cash", help="Leave out Futu's cash flow, one call a day.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Print the plan; ask and write nothing.")] = False,
    config: Annotated[Path | None, typer.Option(help="Another apex.yaml.", exists=True, dir_okay=False)] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Load history and everything that follows from it; without a range, what is missing."""
    from apex_pipeline.cli.loading import Wish, checked
    from apex_pipeline.cli.opening import require_brokers

    with errors_in_one_line(debug=debug):
        configured = settings.load(config_file=config)
        brokers = configured.brokers if broker in (None, BrokerChoice.ALL) else (broker.value,)
        dates = _day("--from-date", from_date), _day("--to-date", to_date)
        wish = checked(Wish(brokers, account, market, days, *dates, full_reload, force, not no_cash), configured)
        if not dry_run:
            require_brokers(configured, wish.brokers)
        code = _backfill(wish, configured, dry_run=dry_run, as_json=as_json)
    raise typer.Exit(code)


def _backfill(wish: "Wish", configured: settings.Settings, *, dry_run: bool, as_json: bool) -> int:
    from apex_pipeline.cli.loading import load, show_plan, tell
    from apex_pipeline.cli.opening import opened, with_dagster

    with opened(configured, writing=not dry_run, migrated=not dry_run) as found:
        if dry_run:
            show_plan(wish, found)
            return DONE
        with_dagster(found)
        return tell(load(wish, found), wish.brokers, found, as_json=as_json)


@imports.command("flex")
def import_flex(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Folders, .xml, .xml.gz or .zip files.")],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Load Flex statements of any age, in any order, and everything that follows from them."""
    from apex_pipeline.cli.importing import load_statements

    with errors_in_one_line(debug=debug):
        code = load_statements(paths, settings.load(), as_json=as_json)
    raise typer.Exit(code)


@accounts.command("list")
def list_accounts(debug: Debug = False) -> None:
    """Show what was said about every account."""
    from apex_pipeline.cli.accounts import tell_rules
    from apex_pipeline.cli.opening import opened

    with errors_in_one_line(debug=debug), opened(settings.load(), writing=False) as found:
        tell_rules(found)


@accounts.command("set")
def set_account(
    account: Annotated[str, typer.Argument(help="The broker's number of the account.")],
    lot_method: Annotated[str | None, typer.Option(help="FIFO, AVERAGE or SPECIFIC; none takes it back.")] = None,
    base_currency: Annotated[str | None, typer.Option(help="Such as USD; none takes it back.")] = None,
    regime: Annotated[
        str | None, typer.Option(help="LEGACY_PDT, INTRADAY_MARGIN, NOT_APPLICABLE or UNKNOWN; none takes it back.")
    ] = None,
    from_date: Day = None,
    debug: Debug = False,
) -> None:
    """Say how an account is computed from a date on; without --from-date from its beginning."""
    from apex_pipeline.cli.accounts import set_rules
    from apex_pipeline.cli.opening import opened
    from apex_pipeline.domain.ledger import Rule

    said = {Rule.LOT_METHOD: lot_method, Rule.BASE_CURRENCY: base_currency, Rule.REGIME: regime}
    with errors_in_one_line(debug=debug), opened(settings.load(), writing=True) as found:
        set_rules(found, account, said, _day("--from-date", from_date))


@app.command()
def status(as_json: Json = False, debug: Debug = False) -> None:
    """Show what is loaded, how old it is and what waits for a person; asks no broker."""
    from apex_pipeline.cli.opening import opened
    from apex_pipeline.cli.status import tell_status

    with errors_in_one_line(debug=debug), opened(settings.load(), writing=False, migrated=False) as found:
        tell_status(found, as_json=as_json)


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="On 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 8787,
    debug: Debug = False,
) -> None:
    """Serve what is known last as JSON on 127.0.0.1, read only; asks no broker."""
    from apex_pipeline.cli.serve import serve as serve_http

    with errors_in_one_line(debug=debug):
        serve_http(settings.load(), port)


@app.command()
def reconcile(
    *,
    from_date: Day = None,
    to_date: Day = None,
    mend: Annotated[bool, typer.Option("--mend", help="Write again what was changed beside the pipeline.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Run every check over these days, by default all that is loaded, and print the report; 1 if an error is open."""
    from apex_pipeline.cli.opening import opened
    from apex_pipeline.cli.reconcile import reconcile as run_checks

    with errors_in_one_line(debug=debug):
        dates = _day("--from-date", from_date), _day("--to-date", to_date)
        with opened(settings.load(), writing=True) as found:
            code = run_checks(found, *dates, as_json=as_json, again=mend)
    raise typer.Exit(code)


@app.command()
def breaks(
    *,
    state: Annotated[list[BreakState] | None, typer.Option(help="Default: those that are not closed.")] = None,
    explain: Annotated[
        str | None,
        typer.Option(metavar="UID", help="Show what is known of a break; with --reason, account for it."),
    ] = None,
    accept: Annotated[str | None, typer.Option(metavar="UID", help="Sign a break off; needs --reason.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why, for whoever reads it later.")] = None,
    until: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Last day of an acceptance.")] = None,
    made_by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="Default: the user.")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the breaks, offenders first; explain one, or accept one with a reason and a last day."""
    from apex_pipeline.cli import reconcile as review
    from apex_pipeline.cli.opening import opened

    with errors_in_one_line(debug=debug):
        last = _day("--until", until)
        if explain and accept:
            raise ConfigError("--explain and --accept exclude each other")
        with opened(settings.load(), writing=bool(accept or (explain and reason))) as found:
            if accept:
                review.accept_break(found, accept, reason or "", last, made_by)
            elif explain and reason:
                review.explain_break(found, explain, reason, made_by)
            elif explain:
                review.tell_break(found, explain)
            else:
                review.list_breaks(found, state or review.STANDING, as_json=as_json)


@app.command()
def doctor(as_json: Json = False, debug: Debug = False) -> None:
    """Try every configured connection and say what to mend."""
    from apex_pipeline.cli import doctor as doctors

    with errors_in_one_line(debug=debug):
        findings = doctors.examine(settings.load())
        if as_json:
            out.print_json(json.dumps([finding.as_json() for finding in findings]))
        for finding in () if as_json else findings:
            line(str(finding))
    raise typer.Exit(DONE if all(finding.well for finding in findings) else 1)


@app.command()
def alerts(
    *,
    test: Annotated[bool, typer.Option("--test", help="Send a test message over every channel.")] = False,
    send: Annotated[
        bool, typer.Option("--send", help="Look now and tell what is due; for use without a daemon.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List what needs a person and what was told of it; try the channels with --test."""
    from apex_pipeline.cli import alerts as verb
    from apex_pipeline.cli.opening import opened

    with errors_in_one_line(debug=debug):
        configured = settings.load()
        if test and send:
            raise ConfigError("--test and --send exclude each other")
        channels = verb.require_channels(configured) if test or send else []
        if test:
            raise typer.Exit(verb.try_channels(channels))
        with opened(configured, writing=send) as found:
            code = verb.tell_now(found, channels) if send else DONE
            if not send:
                verb.list_alerts(found, as_json=as_json)
    raise typer.Exit(code)


@app.command()
def snapshot(as_json: Json = False, debug: Debug = False) -> None:
    """Capture positions and balances from the brokers now; 1 if one of them does not tell."""
    from apex_pipeline.cli import snapshots
    from apex_pipeline.cli.opening import opened

    with errors_in_one_line(debug=debug):
        configured = settings.load()
        snapshots.check(configured)
        with opened(configured, writing=True) as found:
            code = snapshots.capture(found, as_json=as_json)
    raise typer.Exit(code)


@app.command("warm-start")
def warm_start(
    max_age: Annotated[float, typer.Option(help="Seconds that a snapshot may be old.", min=0)] = 3600,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Print what an engine would be started from now; 1 if it would be refused, with the reason."""
    from apex_pipeline.cli import snapshots
    from apex_pipeline.cli.opening import opened

    with errors_in_one_line(debug=debug), opened(settings.load(), writing=False) as found:
        code = snapshots.tell_warm_start(found, max_age, as_json=as_json)
    raise typer.Exit(code)


@app.command()
def report(
    folder: Annotated[Path | None, typer.Option("--out", help="Write here; default APEX_HOME/reports.")] = None,
    form: Annotated[Form | None, typer.Option("--format", help="Write files of this kind; default html.")] = None,
    anonymize: Annotated[bool, typer.Option("--anonymize", help="Names in place of account numbers.")] = False,
    debug: Debug = False,
) -> None:
    """Write the report as one HTML page, or its tables as CSV or Parquet; without an option print the tables too.

    The page needs no network and no server: open it, mail it, print it. CSV and Parquet hold every row.
    """
    from apex_pipeline.cli import report as reports
    from apex_pipeline.cli.opening import opened

    with errors_in_one_line(debug=debug), opened(settings.load(), writing=False) as found:
        if folder is None and form is None:
            reports.tell(found, anonymize=anonymize)
        for path in reports.write(found, folder, (form or Form.HTML).value, anonymize=anonymize):
            line(str(path))


@app.command()
def why(
    uid: Annotated[
        str, typer.Argument(metavar="UID", help="The uid of a row, or TABLE/KEY/… where it has several keys.")
    ],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Explain a row: what it was made of, the raw records behind it, and the bytes that were received."""
    from apex_pipeline.cli import why as lineage
    from apex_pipeline.cli.opening import opened

    with errors_in_one_line(debug=debug), opened(settings.load(), writing=False) as found:
        origins = lineage.why(found, uid)
        if as_json:
            out.print_json(json.dumps(lineage.as_json(origins), default=str))
        else:
            lineage.tell(origins)


@app.command()
def classify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Orders and fills as JSON; - is standard input.")],
    target: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write here.")] = None,
    debug: Debug = False,
) -> None:
    """Say which strategies the orders of a file belong to; needs neither database nor settings."""
    from apex_pipeline.cli.classifying import classify as classify_orders

    with errors_in_one_line(debug=debug):
        classify_orders(file, target)


@app.command()
def simulate(
    service: Annotated[Service, typer.Argument(help="Which broker service.")],
    port: Annotated[int | None, typer.Option(help="0 takes a free one.", min=0, max=65535)] = None,
    seed: Annotated[int, typer.Option()] = 1,
    orders: Annotated[int, typer.Option(min=1, max=200_000)] = 2000,
    days: Annotated[int, typer.Option(min=1, max=1400)] = 365,
    debug: Debug = False,
) -> None:
    """Run one simulator alone, in the foreground."""
    with errors_in_one_line(debug=debug):
        run_simulator(service, port, seed, orders, days)


def _day(option: str, text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ConfigError(f"{option} is {text!r}; it must be a date like 2026-01-31") from None


def _in_one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What a person sees of an error that nobody foresaw."""
    if "--debug" in sys.argv:
        sys.__excepthook__(kind, error, trace)
        return
    words = str(error).strip().splitlines()
    say(f"apex: unexpected {kind.__name__}{f': {words[0]}' if words else ''}; run it again with --debug and report it")


with_examples(app)


def main(arguments: list[str] | None = None) -> Any:
    """The console script."""
    sys.excepthook = _in_one_line
    for sign in (signal.SIGINT, signal.SIGTERM):  # a shell starts background programs with SIGINT ignored
        signal.signal(sign, signal.default_int_handler)
    try:
        # not app(): Typer puts a hook of its own in place, which prints a traceback
        return typer.main.get_command(app)(arguments)
    except KeyboardInterrupt:
        say("stopped")
        sys.exit(130)
