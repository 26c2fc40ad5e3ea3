"""Examples for the help of every verb: what people type most, one line each, and why.

They are data, so that `--help` stays fast and a test can parse every one of them.
"""

from collections.abc import Mapping, Sequence

import typer

Example = tuple[str, str]
"""What is typed after `apex`, and what it is for."""

EXAMPLES: Mapping[str, Sequence[Example]] = {
    "demo": (
        ("demo", "two simulated brokers, a year of trades, the UI on http://127.0.0.1:3000"),
        ("demo --exit --days 30 --orders 200", "a small one that ends after the report"),
        ("demo --with-faults --seed 7", "other trades, with errors planted, to see checks fail"),
    ),
    "up": (
        ("up", "load what is missing, then serve the UI until Ctrl-C"),
        ("up --port 3100", "on another port"),
    ),
    "migrate": (
        ("migrate --status", "what is applied and what is pending"),
        ("migrate", "apply what is pending; every loading verb does so itself"),
    ),
    "backfill": (
        ("backfill", "continue where the last load ended; the first time 365 days"),
        ("backfill --days 30 --dry-run", "the calls and the time that a month would take; asks nobody"),
        ("backfill --broker ib --from-date 2026-01-01 --to-date 2026-03-31", "one quarter of one broker"),
        ("backfill --broker futu --market HK --days 7 --force", "ask again for a week that is finished"),
    ),
    "import flex": (
        ("import flex statements/", "every statement in a folder, .xml, .xml.gz and .zip"),
        ("import flex 2019.xml 2020.xml.gz", "single files, of any age and in any order"),
    ),
    "account list": (("account list", "what was said about every account"),),
    "account set": (
        ("account set U1234567 --lot-method AVERAGE --from-date 2026-01-01", "average cost from this year on"),
        ("account set U1234567 --regime none", "take it back"),
    ),
    "status": (
        ("status", "what needs a person first (lines with !), then what is loaded"),
        ("status --json", "the same for a program"),
    ),
    "serve": (
        ("serve", "then: curl http://127.0.0.1:8787/portfolio/summary"),
        ("serve --port 0", "on a free port, which is printed"),
    ),
    "reconcile": (
        ("reconcile", "all checks over all that is loaded; exit 1 while an error is open"),
        ("reconcile --from-date 2026-03-01 --to-date 2026-03-31", "over a month"),
        ("reconcile --mend", "also write again what was changed beside the pipeline"),
    ),
    "breaks": (
        ("breaks", "what does not agree, offenders first"),
        ("breaks --explain BRK_0123456789abcdef", "all that is known of one"),
        ('breaks --accept BRK_0123456789abcdef --reason "broker mends it" --until 2026-12-31', "sign it off"),
    ),
    "doctor": (("doctor", "try the database and each broker once, and say what to mend"),),
    "move": (
        ('move "postgresql://apex:secret@db.example/apex"', "all data to this server, proven equal; the old one stays"),
    ),
    "alerts": (
        ("alerts --test", "try the webhook and the mail server"),
        ("alerts", "what needs a person, and when who was told"),
        ("alerts --send", "look now and tell what is due, from cron for example"),
    ),
    "snapshot": (("snapshot", "positions and balances of both brokers, captured now"),),
    "warm-start": (
        ("warm-start", "what an engine that starts now would be given"),
        ("warm-start --max-age 86400 --json", "from snapshots up to a day old, for a program"),
    ),
    "report": (
        ("report", "the tables on the terminal"),
        ("report --format html", "one page below APEX_HOME/reports"),
        ("report --format parquet --out exports", "files for pandas or polars"),
    ),
    "why": (
        ("why IB_0123456789", "from a row to the bytes that the broker sent"),
        ("why positions_daily/2026-03-04/U1234567/AAPL", "of a table with several keys"),
    ),
    "classify": (
        ("classify orders.json", "the strategies of an order file, as JSON"),
        ("classify - --out named.json", "from standard input to a file"),
    ),
    "simulate": (
        ("simulate futu", "an OpenD on this machine; its first line leads apex to it"),
        ("simulate flex --port 8080 --seed 3", "a Flex Web Service with other trades"),
    ),
    "strategy set": (
        (
            "strategy set FUTU_1_11 FUTU_1_12 --type VERTICAL --action OPEN --reason spread",
            "these orders are one strategy",
        ),
    ),
    "strategy unset": (("strategy unset FUTU_1_11", "take a correction back"),),
    "strategy list": (
        ("strategy list", "what every open strategy holds"),
        ("strategy list --review", "what is worth a look, least certain first"),
    ),
    "strategy labels": (("strategy labels --out labels.json", "what was corrected, as a test of the classifier"),),
    "timescale enable": (
        ("timescale enable --status", "whether the server has TimescaleDB, and what it keeps"),
        ("timescale enable", "chunks, compression and retention as configured"),
    ),
}


def with_examples(app: typer.Typer, path: str = "") -> typer.Typer:
    """Give every verb its examples, as the end of its help."""
    for verb in app.registered_commands:
        name = verb.name or (verb.callback.__name__ if verb.callback else "")
        if told := EXAMPLES.get(f"{path}{name}".replace("_", "-")):
            verb.epilog = _epilog(told)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            with_examples(group.typer_instance, f"{path}{group.name or group.typer_instance.info.name} ")
    return app


def _epilog(examples: Sequence[Example]) -> str:
    """\\b keeps the lines as they are."""
    lines = [text for typed, why in examples for text in (f"  apex {typed}", f"      {why}")]
    return "\n".join(["\b", "Examples:", *lines])
