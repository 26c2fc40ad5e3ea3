"""Loads a range of days through Dagster in this process and says what came."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from apex_pipeline.brokers.contract import BrokerPort
from apex_pipeline.brokers.registry import futu_port, ib_port
from apex_pipeline.cli.console import DONE, UNFINISHED, out, progress, say
from apex_pipeline.cli.opening import Opened
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import ALL_MARKETS, Account, Ask
from apex_pipeline.errors import ConfigError
from apex_pipeline.orchestration.assets import RAW_TABLES
from apex_pipeline.orchestration.resources import ZONE, Progress
from apex_pipeline.orchestration.running import Outcome, run_range
from apex_pipeline.pipeline import ingest_plan
from apex_pipeline.store.coverage import first_missing_day


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for on the command line."""

    brokers: Sequence[str]
    account: str | None = None
    market: str = ALL_MARKETS
    days: int | None = None
    from_date: date | None = None
    to_date: date | None = None
    full_reload: bool = False
    force: bool = False


def today() -> date:
    """Today where the partitions turn over."""
    return datetime.now(ZONE).date()


def asked_range(wish: Wish, found: Opened) -> tuple[date, date]:
    """First and last day to load; without a range, from the last loaded day on, or the whole look-back."""
    last = wish.to_date or today()
    if wish.from_date and wish.from_date > last:
        raise ConfigError(f"--from-date {wish.from_date} is after --to-date {last}")
    if wish.from_date:
        first = wish.from_date
    elif wish.days or wish.full_reload:
        # Flex tells nothing about today: its N days end yesterday, so one more day is in the range.
        first = last - timedelta(days=(wish.days or found.settings.lookback_days) - (0 if "ib" in wish.brokers else 1))
    else:
        first = first_missing_day(found.db, wish.brokers, last, found.settings.lookback_days)
    return max(first, found.settings.history_start), last


def load(wish: Wish, found: Opened) -> tuple[list[Outcome], date, date]:
    """Run the job over the asked range with a progress bar."""
    first, last = asked_range(wish, found)
    config = {"account": wish.account, "market": wish.market, "force": wish.force or wish.full_reload}
    say(f"loading {', '.join(wish.brokers)} from {first} to {last}")
    with progress() as observe:
        return run_range(first, last, wish.brokers, config, Progress(observe)), first, last


def tell(outcomes: Sequence[Outcome], brokers: Sequence[str], *, as_json: bool = False) -> int:
    """Say what each broker brought; returns the exit code."""
    summary = {broker: _summary(broker, outcomes) for broker in brokers}
    if as_json:
        out.print_json(json.dumps(summary))
    for broker, result in summary.items():
        _tell_broker(broker, result, quiet=as_json)
    finished = all(result["status"] == "SUCCESS" for result in summary.values())
    return DONE if finished else UNFINISHED


def _summary(broker: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    errors = [error for outcome in outcomes for error in outcome.errors.values()]
    counts = next((o.metadata[RAW_TABLES[broker][0]] for o in outcomes if RAW_TABLES[broker][0] in o.metadata), None)
    if counts is None:
        return {"status": "FAILED", "errors": errors}
    loaded = {name: value for name, value in counts.items() if not name.startswith("dagster/")}
    whole = not errors and not loaded.get("uncovered_days") and not loaded.get("quarantined")
    return {"status": "SUCCESS" if whole else "PARTIAL", **loaded, "errors": errors}


def _tell_broker(broker: str, result: dict[str, Any], *, quiet: bool) -> None:
    if result["status"] == "FAILED":
        for error in result["errors"]:
            say(f"apex: {error}")
        return
    if not quiet:
        names = ("calls", "records", "new_versions", "unchanged", "superseded", "quarantined")
        out.print(f"{broker}: " + ", ".join(f"{result.get(name, 0)} {name.replace('_', ' ')}" for name in names))
    if result.get("uncovered_days"):
        say(f"apex: {result['uncovered_days']} asked days of {broker} are not covered; `apex status` shows the gaps")
    if result.get("quarantined"):
        say(f"apex: {result['quarantined']} records of {broker} are in quarantine; `apex report` shows why")


def ports(found: Opened) -> dict[str, BrokerPort]:
    """The configured brokers, not connected."""
    configured = found.settings
    return {"futu": futu_port(configured.futu, configured.home), "ib": ib_port(configured.ib)}


def show_plan(wish: Wish, found: Opened) -> None:
    """Print windows, calls per interface and the predicted wall time; nothing is asked or written."""
    first, last = asked_range(wish, found)
    for name, port in ports(found).items():
        if name in wish.brokers:
            ask = Ask(first, last, today(), wish.account, wish.market, wish.force or wish.full_reload)
            calls = ingest_plan(found.db, port, known_accounts(found, port.name, wish.account), ask)
            out.print(f"{name}: {len(calls)} calls, about {port.seconds(calls):.0f} s under the limits")
            for call in calls:
                out.print(f"  {call}", markup=False)
    if "futu" in wish.brokers:
        out.print("  and one fee call per 400 filled orders without a fee, known once the orders are")


def known_accounts(found: Opened, broker: Broker, wanted: str | None) -> list[Account]:
    """Accounts loaded before; on an empty database one stands for those that the first load will find."""
    rows = [row for row in found.db.fetch("known_accounts") if row["broker"] == broker]
    names = [row["account_id"] for row in rows if wanted in (None, row["account_id"])]
    return [Account(name) for name in sorted(names) or [wanted or "each account"]]
