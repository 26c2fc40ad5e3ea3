"""Loads a range of days through Dagster in this process and says what came."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from apex_pipeline.brokers.contract import BrokerPort
from apex_pipeline.brokers.ib.port import today_in_new_york
from apex_pipeline.brokers.registry import futu_port, ib_port
from apex_pipeline.cli.console import DONE, UNFINISHED, line, out, progress, say
from apex_pipeline.cli.opening import Opened
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import ALL_MARKETS, Account, Ask, Call, RecordKind
from apex_pipeline.errors import ConfigError
from apex_pipeline.pipeline import ingest_plan
from apex_pipeline.settings import Settings
from apex_pipeline.store.coverage import first_missing_day, rows_by_day
from apex_pipeline.store.tables import raw_table

if TYPE_CHECKING:
    from apex_pipeline.orchestration.running import Outcome

ZONE = ZoneInfo("Asia/Hong_Kong")
"""Where the partitions turn over."""

EXTRACTIONS = {"futu": "futu_history", "ib": "ib_flex_statements"}
"""The Dagster step that loads each broker; other steps serve all of them."""

OVERLAP_DAYS = 7
"""Flex can report book trades days after their trade date: continuing reads back this far."""

EACH_ACCOUNT = "each account"

COUNTS = ("calls", "records", "new_versions", "unchanged", "superseded", "quarantined", "uncovered_days")


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

    @property
    def config(self) -> dict[str, Any]:
        """The run config of the extractions."""
        return {"account": self.account, "market": self.market, "force": self.force or self.full_reload}

    def ask(self, first: date, last: date) -> Ask:
        """The wish as the pipeline takes it."""
        return Ask(first, last, today(), self.account, self.market, self.force or self.full_reload)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A finished load: how its runs ended, the days it was about, how long it took."""

    outcomes: Sequence["Outcome"]
    first: date
    last: date
    seconds: float


def today() -> date:
    """Today where the partitions turn over."""
    return datetime.now(ZONE).date()


def newest_whole_day() -> date:
    """The newest day that is over in Hong Kong and in New York: the last one that a simulator invents."""
    return min(today(), today_in_new_york()) - timedelta(days=1)


def checked(wish: Wish, configured: Settings) -> Wish:
    """The wish with its market as Futu writes it; raises ConfigError for what can be known before any connection."""
    if wish.days and wish.from_date:
        raise ConfigError("--days and --from-date exclude each other: --days counts back from --to-date or today")
    newest = wish.to_date or today()
    if newest > today():
        raise ConfigError(f"--to-date {newest} is in the future: today is {today()} in {ZONE.key}")
    if wish.from_date and wish.from_date > newest:
        raise ConfigError(f"--from-date {wish.from_date} is after --to-date {newest}")
    oldest, start = wish.from_date or newest, configured.history_start
    if oldest < start:
        raise ConfigError(f"{oldest} is before APEX_HISTORY_START={start}, the first day that can be loaded")
    told = replace(wish, market=wish.market.upper(), brokers=_brokers_of(wish))
    for port in ports(told.brokers, configured).values():
        port.plan(told.ask(newest, newest), (), ())
    return told


def _brokers_of(wish: Wish) -> tuple[str, ...]:
    """The wanted brokers; only those that can have the wanted account: Futu's are numbers, IB's begin with a letter."""
    if not wish.account or len(wish.brokers) == 1:
        return tuple(wish.brokers)
    return ("futu",) if wish.account.isdigit() else ("ib",)


def ports(brokers: Sequence[str], configured: Settings) -> dict[str, BrokerPort]:
    """These brokers, not connected; raises ConfigError for settings that cannot be meant."""
    key = configured.futu.rsa_key_file
    if "futu" in brokers and key and not Path(key).is_file():
        raise ConfigError(f"FUTU_RSA_KEY_FILE is {key!r}, which is not a file")
    made = {
        "futu": lambda: futu_port(configured.futu, configured.home),
        "ib": lambda: ib_port(configured.ib),
    }
    return {broker: made[broker]() for broker in brokers}


def asked_range(wish: Wish, found: Opened) -> tuple[date, date]:
    """First and last day to load; without a range, from the last loaded day on, or the whole look-back."""
    last, lookback = wish.to_date or today(), found.settings.lookback_days
    whole = last - timedelta(days=lookback - 1)
    if wish.from_date:
        first = wish.from_date
    elif wish.days or wish.full_reload:
        # Flex tells nothing about today: its N days end yesterday, so one more day is in the range.
        untold = 1 if "ib" in wish.brokers and last == today() else 0
        first = last - timedelta(days=(wish.days or lookback) - 1 + untold)
    else:
        overlap = timedelta(days=OVERLAP_DAYS if "ib" in wish.brokers else 0)
        covering = {port.name: port.covering_data_types for port in ports(wish.brokers, found.settings).values()}
        missing = whole if found.is_empty else first_missing_day(found.db, covering, last, lookback)
        first = max(whole, missing - overlap)
    return max(first, found.settings.history_start), last


def load(wish: Wish, found: Opened) -> Loaded:
    """Run the job over the asked range with a progress bar."""
    from apex_pipeline.orchestration.resources import Progress
    from apex_pipeline.orchestration.running import run_range

    first, last = asked_range(wish, found)
    say(f"loading {', '.join(wish.brokers)} from {first} to {last}")
    started = time.monotonic()
    with progress() as observe:
        outcomes = run_range(first, last, wish.brokers, wish.config, Progress(observe))
    return Loaded(outcomes, first, last, time.monotonic() - started)


def tell(loaded: Loaded, brokers: Sequence[str], found: Opened, *, as_json: bool = False) -> int:
    """Say what each broker brought; returns the exit code."""
    result = result_of(loaded, brokers, found)
    if as_json:
        out.print_json(json.dumps(result))
    for broker in brokers:
        _tell_broker(broker, result["brokers"][broker], quiet=as_json)
    for error in dict.fromkeys(result["errors"]):
        say(f"apex: {error}")
    if result["unreadable"]:
        say(f"apex: {result['unreadable']} stored records cannot be read; `apex report` shows why")
    return DONE if result["status"] == "SUCCESS" else UNFINISHED


def result_of(loaded: Loaded, brokers: Sequence[str], found: Opened) -> dict[str, Any]:
    """What `--json` prints: one result for all, and the same for each broker below `brokers`.

    `*_loaded` count the raw records that the asked days now hold; `records` what the broker sent just now.
    """
    each = {broker: _result(broker, loaded, found) for broker in brokers}
    shared = _shared_errors(loaded.outcomes)
    unreadable = _metadata(loaded.outcomes, "orders_norm").get("quarantined", 0)
    states = {result["status"] for result in each.values()}
    whole = states == {"SUCCESS"} and not shared and not unreadable
    summed = ("orders_loaded", "deals_loaded", "fees_loaded")
    return {
        "status": "SUCCESS" if whole else "FAILED" if states == {"FAILED"} else "PARTIAL",
        **{name: sum(result[name] for result in each.values()) for name in summed},
        "unreadable": unreadable,
        "from_date": loaded.first.isoformat(),
        "to_date": loaded.last.isoformat(),
        "duration_seconds": round(loaded.seconds, 3),
        "errors": [*shared, *(error for result in each.values() for error in result["errors"])],
        "brokers": each,
    }


def _result(broker: str, loaded: Loaded, found: Opened) -> dict[str, Any]:
    errors = [o.errors[EXTRACTIONS[broker]] for o in loaded.outcomes if EXTRACTIONS[broker] in o.errors]
    told = _metadata(loaded.outcomes, raw_table(Broker(broker.upper()), RecordKind.ORDERS).name)
    counts = {name: told.get(name, 0) for name in COUNTS}
    whole = told and not counts["uncovered_days"] and not counts["quarantined"]
    return {
        "status": "FAILED" if errors else "SUCCESS" if whole else "PARTIAL",
        "orders_loaded": _held(broker, RecordKind.ORDERS, loaded, found),
        "deals_loaded": _held(broker, RecordKind.TRADES, loaded, found),
        "fees_loaded": _held(broker, RecordKind.FEES, loaded, found),
        **counts,
        "errors": errors,
    }


def _held(broker: str, kind: RecordKind, loaded: Loaded, found: Opened) -> int:
    table = raw_table(Broker(broker.upper()), kind).name
    return sum(rows_by_day(found.db, table, loaded.first, loaded.last).values())


def _metadata(outcomes: Sequence["Outcome"], table: str) -> Mapping[str, Any]:
    """What the last run that materialized this table says of it."""
    return next((outcome.metadata[table] for outcome in reversed(outcomes) if table in outcome.metadata), {})


def _shared_errors(outcomes: Sequence["Outcome"]) -> list[str]:
    """Errors of steps that serve all brokers; a run that failed without one is an error too."""
    errors = [text for outcome in outcomes for step, text in outcome.errors.items() if step not in EXTRACTIONS.values()]
    last = outcomes[-1]
    if not last.succeeded and not last.errors:
        errors.append(f"Dagster's run {last.run_id} did not succeed; the Dagster UI shows why (apex up)")
    return errors


def _tell_broker(broker: str, result: Mapping[str, Any], *, quiet: bool) -> None:
    if result["status"] == "FAILED":
        return
    if not quiet:
        line(f"{broker}: " + ", ".join(f"{result[name]} {name.replace('_', ' ')}" for name in COUNTS[:-1]))
    if result["uncovered_days"]:
        say(f"apex: {result['uncovered_days']} asked days of {broker} are not covered; `apex status` shows the gaps")
    if result["quarantined"]:
        say(f"apex: {result['quarantined']} records of {broker} are in quarantine; `apex report` shows why")


def show_plan(wish: Wish, found: Opened) -> None:
    """Print windows, calls per interface and the predicted wall time; nothing is asked or written."""
    first, last = asked_range(wish, found)
    for port in ports(wish.brokers, found.settings).values():
        calls = _planned(port, wish.ask(first, last), found)
        line(f"{port.name.lower()}: {len(calls)} calls, about {port.seconds(calls):.0f} s under the limits")
        for call in calls:
            line(f"  {call}")
    if "futu" in wish.brokers:
        size = found.settings.futu.batch_fee_size
        line(f"  and one fee call per {size} filled orders without a fee, known once the orders are")


def _planned(port: BrokerPort, ask: Ask, found: Opened) -> list[Call]:
    if found.is_empty:
        accounts = [Account(ask.account_id or EACH_ACCOUNT)]
        return port.plan(replace(ask, to_date=min(ask.to_date, port.last_day(ask.today))), accounts, ())
    return ingest_plan(found.db, port, known_accounts(found, port.name, ask.account_id), ask)


def known_accounts(found: Opened, broker: Broker, wanted: str | None) -> list[Account]:
    """Accounts loaded before; before the first load one stands for those that it will find."""
    rows = [row for row in found.db.fetch("known_accounts") if row["broker"] == broker]
    names = [row["account_id"] for row in rows if wanted in (None, row["account_id"])]
    return [Account(name) for name in sorted(names) or [wanted or EACH_ACCOUNT]]
