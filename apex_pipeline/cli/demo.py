"""The demo: a seeded year at two simulated brokers, loaded over their real wire, compared with its truth."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.ib.simulator import FlexSimulator
from apex_pipeline.brokers.ib.simulator_tws import GatewaySimulator
from apex_pipeline.brokers.scenario import Scenario, Truth, truth
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.cli.console import DONE, UNFINISHED, line, out, say, show
from apex_pipeline.cli.loading import Wish, load, newest_whole_day, tell, today
from apex_pipeline.cli.opening import Opened, opened, with_dagster
from apex_pipeline.domain.instruments import plain
from apex_pipeline.domain.models import Broker
from apex_pipeline.errors import ConfigError
from apex_pipeline.orchestration.processes import require_free_port, serving
from apex_pipeline.orchestration.ui_token import address_of
from apex_pipeline.reports.tables import ReportTable, report_tables
from apex_pipeline.settings import AlertSettings, FutuSettings, IbSettings, Settings
from apex_pipeline.store.db import Database

TOKEN, QUERY = "demo-token", "1"  # the simulator's own
SPEED = 100
"""The simulators' limits and pauses pass so many times faster than the real ones."""
BROKERS = ("futu", "ib")
BARS = {"most_seconds": 8}
"""Bars of what was traded last: inventing the minutes of a year would take longer than all the rest."""
LOST_DEALS = 3
"""Deals that Futu never tells, of orders spread over the days, when faults are asked for."""

NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class DemoWish:
    """What to simulate and whether to stay."""

    orders: int
    days: int
    seed: int
    port: int
    leave: bool
    with_faults: bool


def demo(configured: Settings, wish: DemoWish) -> int:
    """Run the demo; returns the exit code: 0 only if all is loaded, equals the truth and no ERROR check failed."""
    if not wish.leave:
        require_free_port(wish.port)
    end = newest_whole_day()
    say(f"inventing {wish.days} days of trading (seed {wish.seed})")
    scenario = generate(wish.seed, wish.orders, wish.days, end)
    with simulated(scenario, configured, wish) as simulated_settings, opened(simulated_settings, writing=True) as found:
        _refuse_other_accounts(found.db, scenario)
        with_dagster(found)
        say("loading through Dagster from both simulated brokers")
        # up to today, because what is held today tells which options expired
        first = end - timedelta(days=wish.days - 1)
        # faults come into a home that is loaded already only where finished days are asked for again
        range_wish = Wish(BROKERS, from_date=first, to_date=today(), force=wish.with_faults, bars=BARS)
        loaded = load(range_wish, found)
        code = tell(loaded, BROKERS, found)
        equal = _report(found, scenario, end)
        failed = [check for outcome in loaded.outcomes for check in outcome.failed_checks]
        for name, day in failed[:10]:
            say(f"apex: check failed on {day}: {name.replace('_', ' ')}")
        good = code == DONE and equal and not failed
        if not wish.leave:
            serve(found, wish.port)
    return DONE if good else UNFINISHED


def serve(found: Opened, port: int) -> None:
    """Serve the Dagster UI until Ctrl-C."""
    say("starting the Dagster UI")
    folder = found.settings.home / "dagster"
    try:
        with serving(folder, port) as wait:
            line(f"\nDagster UI   {address_of(folder, port)}")
            line(f"PostgreSQL   {found.told_url}")
            line("Ctrl-C ends everything; the data stays.")
            wait()
    except KeyboardInterrupt:
        say("stopped; the data stays")


@contextmanager
def simulated(scenario: Scenario, configured: Settings, wish: DemoWish) -> Generator[Settings]:
    """Both simulators running, and the settings that point to them."""
    faults = {"malformed_row"} if wish.with_faults else set[str]()
    futu = OpenDSimulator(scenario, time_scale=SPEED)
    if wish.with_faults:
        futu.lost_fills.update(lost_fills(scenario))
    flex = FlexSimulator(scenario, TOKEN, QUERY, time_scale=SPEED, faults=faults)
    with flex, GatewaySimulator(scenario) as gateway, _started(futu):
        yield replace(
            configured,
            brokers=BROKERS,
            # years without a day of trading would only be grey in Dagster, and be counted at every look
            history_start=max(configured.history_start, scenario.start.replace(month=1, day=1)),
            schedules=False,  # the simulators tell of nothing after the demo began; a person may start them
            futu=FutuSettings("127.0.0.1", futu.port, None, (), (), 10, 30 / SPEED, 400),
            ib=IbSettings(
                flex.url,
                TOKEN,
                QUERY,
                10 * SPEED,
                10 / SPEED,
                gateway.host,
                gateway.port,
                tws_window_seconds=600 / SPEED,
            ),
            alerts=AlertSettings(),  # nobody is woken by faults that are planted
        )


def lost_fills(scenario: Scenario) -> list[int]:
    """The deals that Futu does not tell: the last one of orders with several, so that a part of the order is known."""
    several = [order for order in scenario.orders if order.broker is Broker.FUTU and len(order.fills) > 1]
    step = max(1, len(several) // (LOST_DEALS + 1))
    return [order.fills[-1].fill_id for order in several[step::step][:LOST_DEALS]]


@contextmanager
def _started(futu: OpenDSimulator) -> Generator[None]:
    futu.start()
    try:
        yield
    finally:
        futu.stop()


def _refuse_other_accounts(db: Database, scenario: Scenario) -> None:
    own = {account for accounts in scenario.accounts.values() for account in accounts}
    others = {row["account_id"] for row in db.fetch("known_accounts")} - own
    if others:
        raise ConfigError(
            f"the database holds {len(others)} accounts that are not the demo's: "
            "point APEX_DATABASE_URL (or APEX_HOME) to an empty one"
        )


def _report(found: Opened, scenario: Scenario, end: date) -> bool:
    """Print the report and the truth beside the database; returns whether they are equal to the cent."""
    rows = truth_rows(found.db, scenario)
    out.print(f"\nAPEX report, {scenario.start} to {end}", style="bold", markup=False)
    for table in report_tables(found.db, found.settings.display):
        if table.name not in ("totals", "sums", "fees_by_month"):
            show(table)
    show(ReportTable("truth", "The scenario's truth beside the database", rows), most=len(rows))
    equal = all(row["equal"] == "yes" for row in rows)
    out.print("\nevery figure is equal" if equal else "\nfigures differ: see the rows marked NO", style="bold")
    return equal


def truth_rows(db: Database, scenario: Scenario) -> list[dict[str, Any]]:
    """One row per figure: what the scenario says and what the database holds."""
    totals = {(row["broker"], row["what"]): Decimal(row["rows"]) for row in db.fetch("report_totals")}
    sums = {(row["broker"], row["what"], row["currency"]): row["total"] for row in db.fetch("report_sums")}
    rows: list[dict[str, Any]] = []
    for broker, told in truth(scenario).items():
        held = {(what, currency) for name, what, currency in sums if name == broker}
        for what, currency, expected in _figures(told, held):
            actual = sums.get((broker, what, currency)) if currency else totals.get((broker, what))
            rows.append(_row(broker, f"{what} {currency or ''}".strip(), expected, actual or Decimal(0)))
    return rows


def _figures(told: Truth, held: set[tuple[str, str]]) -> Iterator[tuple[str, str | None, Decimal]]:
    yield "orders", None, Decimal(told.orders)
    yield "trades", None, Decimal(told.trades + sum(told.endings.values()))
    currencies = sorted({*told.amounts, *told.ending_amounts})
    amounts = {name: told.amounts.get(name, NOTHING) + told.ending_amounts.get(name, NOTHING) for name in currencies}
    for what, figures in (("traded amount", amounts), ("fees", told.fees)):
        for currency in sorted({*figures, *(name for kind, name in held if kind == what)}):
            yield what, currency, figures.get(currency, NOTHING)


def _row(broker: Broker, figure: str, expected: Decimal, actual: Decimal) -> dict[str, Any]:
    return {
        "broker": broker.value,
        "figure": figure,
        "truth": plain(expected),
        "database": plain(actual),
        "equal": "yes" if expected == actual else "NO",
    }
