"""Loads a range of days through Dagster in this process and says what came."""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apex_pipeline.brokers.contract import BrokerPort
from apex_pipeline.brokers.ib.port import today_in_new_york
from apex_pipeline.brokers.registry import futu_port, ib_port
from apex_pipeline.cli.console import DONE, UNFINISHED, line, out, progress, say
from apex_pipeline.cli.opening import Opened
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import ALL_MARKETS, Account, Ask, Call, LoadScope
from apex_pipeline.errors import ConfigError
from apex_pipeline.live.history import (
    COUNTS,
    SCOPES,
    ZONE,
    LoadResult,
    LoadStatus,
    combined,
    first_missing_day,
    loaded,
    today,
)
from apex_pipeline.orchestration.steps import STEPS, broker_of, main_step
from apex_pipeline.pipeline import ingest_plan, predicted_seconds
from apex_pipeline.settings import Settings

if TYPE_CHECKING:
    from apex_pipeline.orchestration.running import Outcome

EACH_ACCOUNT = "each account"


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
    cash: bool = True
    bars: Mapping[str, Any] | None = None

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


def newest_whole_day() -> date:
    """The newest day that is over in Hong Kong and in New York: the last one that Flex, and a simulator, tells."""
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
        # Flex's N days end with the last day that New York has behind it, so more days are in the range.
        untold = (last - min(last, newest_whole_day())).days if "ib" in wish.brokers else 0
        first = last - timedelta(days=(wish.days or lookback) - 1 + untold)
    else:
        ask, each = wish.ask(last, last), ports(wish.brokers, found.settings).values()
        first = whole if found.is_empty else min(first_missing_day(found.db, port, ask, lookback) for port in each)
    return max(first, found.settings.history_start), last


def load(wish: Wish, found: Opened) -> Loaded:
    """Run the job over the asked range with a progress bar."""
    from apex_pipeline.orchestration.resources import Progress
    from apex_pipeline.orchestration.running import run_range

    first, last = asked_range(wish, found)
    say(f"loading {', '.join(wish.brokers)} from {first} to {last}")
    started = time.monotonic()
    with progress() as observe:
        outcomes = run_range(first, last, wish.brokers, wish.config, Progress(observe), cash=wish.cash, bars=wish.bars)
    return Loaded(outcomes, first, last, time.monotonic() - started)


def tell(outcome: Loaded, brokers: Sequence[str], found: Opened, *, as_json: bool = False) -> int:
    """Say what each broker brought; returns the exit code."""
    result = result_of(outcome, brokers, found)
    if as_json:
        days = {"from_date": outcome.first.isoformat(), "to_date": outcome.last.isoformat()}
        out.print_json(json.dumps({**result.as_json(), **days, "unreadable": _unreadable(outcome)}))
    for broker in brokers:
        _tell_broker(broker, result.brokers[broker], quiet=as_json)
    for error in dict.fromkeys(result.errors):
        say(f"apex: {error}")
    if unreadable := _unreadable(outcome):
        say(f"apex: {unreadable} stored records cannot be read; `apex report` shows why")
    return DONE if result.status is LoadStatus.SUCCESS else UNFINISHED


def result_of(outcome: Loaded, brokers: Sequence[str], found: Opened) -> LoadResult:
    """How the load ended, for all brokers and for each."""
    result = combined({broker: _result(broker, outcome, found) for broker in brokers})
    shared = _shared_errors(outcome.outcomes)
    whole = result.status is not LoadStatus.SUCCESS or not (shared or _unreadable(outcome))
    status = result.status if whole else LoadStatus.PARTIAL
    return replace(result, status=status, errors=(*shared, *result.errors), duration_seconds=round(outcome.seconds, 3))


def _result(broker: str, outcome: Loaded, found: Opened) -> LoadResult:
    failed = {step: text for one in outcome.outcomes for step, text in one.errors.items() if step in STEPS[broker]}
    steps = [step for step in STEPS[broker] if step not in failed]
    told = [_metadata(outcome.outcomes, STEPS[broker][step][0]) for step in steps]
    counts = {name: sum(int(one.get(name, 0)) for one in told) for name in COUNTS}
    days = outcome.first, outcome.last
    asked = counts if main_step(broker) in steps and any(told) else {}
    failures = [*failed.values(), *(text for one in told for text in one.get("failures", ()))]
    result = loaded(found.db, broker, days, asked, list(dict.fromkeys(failures)))
    return replace(result, duration_seconds=round(outcome.seconds, 3))


def _unreadable(outcome: Loaded) -> int:
    """Stored records that no rule can read."""
    return _metadata(outcome.outcomes, "orders_norm").get("quarantined", 0)


def _metadata(outcomes: Sequence["Outcome"], table: str) -> Mapping[str, Any]:
    """What the last run that materialized this table says of it."""
    return next((outcome.metadata[table] for outcome in reversed(outcomes) if table in outcome.metadata), {})


def _shared_errors(outcomes: Sequence["Outcome"]) -> list[str]:
    """Errors of steps that serve all brokers; a run that failed without one is an error too."""
    errors = [text for outcome in outcomes for step, text in outcome.errors.items() if not broker_of(step)]
    last = outcomes[-1]
    if not last.succeeded and not last.errors:
        errors.append(f"Dagster's run {last.run_id} did not succeed; the Dagster UI shows why (apex up)")
    return errors


def _tell_broker(broker: str, result: LoadResult, *, quiet: bool) -> None:
    if result.status is LoadStatus.FAILED:
        return
    if not quiet:
        line(f"{broker}: " + ", ".join(f"{result.counts[name]} {name.replace('_', ' ')}" for name in COUNTS[:-1]))
    if days := result.counts["uncovered_days"]:
        say(f"apex: {days} asked days of {broker} are not covered: `apex status` and `apex breaks` show which")
    if rows := result.counts["quarantined"]:
        say(f"apex: {rows} records of {broker} are in quarantine; `apex report` shows why")


def show_plan(wish: Wish, found: Opened) -> None:
    """Print windows, calls per interface and the predicted wall time; nothing is asked or written."""
    first, last = asked_range(wish, found)
    for broker, port in ports(wish.brokers, found.settings).items():
        scopes = [scope for scope in SCOPES[broker] if wish.cash or scope is not LoadScope.CASH]
        calls = [c for scope in scopes for c in _planned(port, replace(wish.ask(first, last), scope=scope), found)]
        seconds = port.seconds(calls) if found.is_empty else predicted_seconds(found.db, port, calls)
        line(f"{broker}: {len(calls)} calls, about {seconds:.0f} s under the limits")
        for data_type, number in Counter(call.data_type for call in calls).items():
            line(f"  {data_type}: {number}")
        for call in (call for call in calls if call.from_date != call.to_date or call.ids):
            line(f"    {call}")
    if "futu" in wish.brokers:
        size = found.settings.futu.batch_fee_size
        line(f"  and one fee call per {size} filled orders that are not stored yet")


def _planned(port: BrokerPort, ask: Ask, found: Opened) -> list[Call]:
    if found.is_empty:
        accounts = [Account(ask.account_id or EACH_ACCOUNT)]
        ask = replace(ask, to_date=min(ask.to_date, port.last_day(ask.today)))
        return [*port.plan(ask, accounts, ()), *port.plan_states(ask, accounts)]
    return ingest_plan(found.db, port, known_accounts(found, port.name, ask.account_id), ask)


def known_accounts(found: Opened, broker: Broker, wanted: str | None) -> list[Account]:
    """Accounts loaded before; before the first load one stands for those that it will find."""
    rows = [row for row in found.db.fetch("known_accounts") if row["broker"] == broker]
    names = [row["account_id"] for row in rows if wanted in (None, row["account_id"])]
    return [Account(name) for name in sorted(names) or [wanted or EACH_ACCOUNT]]
