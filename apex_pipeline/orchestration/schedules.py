"""When loads run. Each tick asks the timetable (`domain.timetable`) whether something is due, and says why if not.

Whether a session was loaded is known by the database alone: what ticks missed, `catch_up` finds in the table of loads.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import dagster as dg

from apex_pipeline import settings
from apex_pipeline.brokers.registry import normalizing_ports
from apex_pipeline.domain.calendars import CALENDARS, ZONES
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.timetable import (
    STATEMENT_TIME,
    STATEMENT_ZONE,
    Due,
    MarketCalendar,
    NotDue,
    after_close,
    any_session,
    during_sessions,
    missing_sessions,
    statement,
    ticks_of,
)
from apex_pipeline.live.broker_snapshots import tells_of_today
from apex_pipeline.live.history import ZONE
from apex_pipeline.live.snapshot_plan import plan_of
from apex_pipeline.orchestration.assets import DERIVED, MARKET, RECONCILIATION_TABLES
from apex_pipeline.orchestration.checks import checks
from apex_pipeline.orchestration.described import schedule
from apex_pipeline.orchestration.jobs import daily_job, derive_job, intraday_config, intraday_job
from apex_pipeline.orchestration.maintenance import maintenance_job
from apex_pipeline.orchestration.partitions import TIMEZONE
from apex_pipeline.orchestration.resources import Storage
from apex_pipeline.orchestration.snapshots import cron_of, snapshot_job
from apex_pipeline.orchestration.steps import CASH_STEP, RAW_TABLES, STEPS, main_step
from apex_pipeline.orchestration.tags import BROKER_TAG, CATCH_UP_TAG, RANGE_END, RANGE_START, SESSION_TAG
from apex_pipeline.orchestration.under_way import load_of_broker, run_of_schedule
from apex_pipeline.settings import Settings
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.timetable import TimetableRepository

STATUS = dg.DefaultScheduleStatus.RUNNING if settings.load().schedules else dg.DefaultScheduleStatus.STOPPED
"""Whoever starts the product has all of them running; `schedules.enabled: false` and the demo leave them stopped."""

TRAILING_DAYS = 90
ATTEMPTS = 3
"""Catch-ups of the same days on one day: what fails three times waits for tomorrow, or for a person."""

Asked = dg.SkipReason | Sequence[dg.RunRequest]


def _at(context: dg.ScheduleEvaluationContext) -> datetime:
    return context.scheduled_execution_time


def _keys(tables: Iterable[str]) -> list[dg.AssetKey]:
    return [dg.AssetKey(table) for table in sorted(tables)]


def _derived(*assets: dg.AssetsDefinition) -> set[str]:
    return {key.to_user_string() for asset in assets for key in asset.keys}


def _request(
    broker: str,
    days: tuple[date, date],
    *,
    key: str,
    tables: Iterable[str],
    config: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    checked: bool = True,
) -> dg.RunRequest:
    """A run over these days, but for those before the history begins: they have no partitions.

    Its key is told by what it is for: however often a tick is evaluated, it runs once.
    """
    first, last = (max(day, settings.load().history_start).isoformat() for day in days)
    return dg.RunRequest(
        run_key=f"{key} {broker}",
        run_config=dict(config or {}),
        tags={RANGE_START: first, RANGE_END: last, BROKER_TAG: broker, **(tags or {})},
        asset_selection=_keys(tables),
        asset_check_keys=None if checked else [],
    )


def _in_use(
    repository: TimetableRepository, broker: str, around: date, last: date | None = None
) -> list[MarketCalendar]:
    markets = repository.markets_of(Broker.named(broker))
    return [repository.calendar(market, around, last) for market in sorted(markets)]


def _hong_kong(at: datetime) -> date:
    """The newest day of the record."""
    return at.astimezone(ZONE).date()


def _after_close(market: str) -> dg.ScheduleDefinition:
    calendar = CALENDARS[market]
    name = f"after_close_{market.lower()}"

    @dg.schedule(
        name=name,
        cron_schedule=[_cron(tick) for tick in ticks_of(calendar)],
        job=daily_job,
        execution_timezone=ZONES[calendar],
        default_status=STATUS,
        description=f"Half an hour after the close of {calendar}, half days included: Futu's history, today at IB.",
    )
    def scheduled(context: dg.ScheduleEvaluationContext, storage: Storage) -> Asked:
        config, at = settings.load(), _at(context)
        with storage.open() as db:
            repository = TimetableRepository(db)
            brokers = [one for one in config.brokers if market in repository.markets_of(Broker.named(one))]
            if not brokers:
                return dg.SkipReason(f"no account ever traded or held anything in {market} ({calendar})")
            due = after_close(repository.calendar(market, at.date()), at)
        if isinstance(due, NotDue):
            return dg.SkipReason(due.reason)
        asked = [one for one in brokers if tells_of_today(config, one)]
        if not asked:
            return dg.SkipReason("IB_TWS_HOST is not set: Interactive Brokers tells this session in its statement")
        if found := run_of_schedule(context.instance, name):
            return dg.SkipReason(f"the load before is still going on: {found}")
        return [_session(context, one, market, due, with_bars=one == asked[0]) for one in asked]

    return scheduled


def _session(
    context: dg.ScheduleEvaluationContext, broker: str, market: str, due: Due, *, with_bars: bool
) -> dg.RunRequest:
    """The load of a session that has just ended. Of Interactive Brokers it is today's: the statement comes later."""
    tables = {*RAW_TABLES[broker], *_derived(*(MARKET if with_bars else ()), *DERIVED)}
    return _request(
        broker,
        (due.first, max(due.session, _hong_kong(_at(context)))),
        key=f"{market} {due.session}",
        tables=tables,
        config=intraday_config(main_step(broker)) if broker == "ib" else None,
        tags={SESSION_TAG: f"{market} {due.session}"},
    )


def _cron(tick: time) -> str:
    return f"{tick.minute} {tick.hour} * * *"


@schedule(
    cron_schedule=_cron(STATEMENT_TIME), job=daily_job, execution_timezone=STATEMENT_ZONE.key, default_status=STATUS
)
def ib_daily(context: dg.ScheduleEvaluationContext, storage: Storage) -> Asked:
    """Early in the morning of New York: the statement of the day before, if a market of IB's accounts traded then."""
    at = _at(context)
    if "ib" not in settings.load().brokers:
        return dg.SkipReason("ib is not among the configured brokers")
    with storage.open() as db:
        due = statement(_in_use(TimetableRepository(db), "ib", at.date()), at)
    if isinstance(due, NotDue):
        return dg.SkipReason(due.reason)
    if found := run_of_schedule(context.instance, "ib_daily"):
        return dg.SkipReason(f"the load before is still going on: {found}")
    tables = {*RAW_TABLES["ib"], *_derived(*MARKET, *DERIVED)}
    key = f"statement {due.session}"
    return [_request("ib", (due.first, _hong_kong(at)), key=key, tables=tables, tags={SESSION_TAG: key})]


@schedule(cron_schedule="*/15 * * * *", job=intraday_job, execution_timezone="UTC", default_status=STATUS)
def during_sessions_every_quarter(context: dg.ScheduleEvaluationContext, storage: Storage) -> Asked:
    """While a market in use trades: today's orders, trades and positions. What is checked waits for the close."""
    config, at = settings.load(), _at(context)
    asked: list[dg.RunRequest] = []
    reasons: list[str] = []
    with storage.open() as db:
        for broker in config.brokers:
            due = _today(context, db, config, broker)
            if isinstance(due, NotDue):
                reasons.append(f"{broker}: {due.reason}")
                continue
            tables = {*_raw_of_today(broker), *_derived(*DERIVED)}
            days = (due.first, max(due.session, _hong_kong(at)))
            run_config, key = intraday_config(main_step(broker)), f"{at:%Y-%m-%dT%H:%MZ}"
            asked.append(_request(broker, days, key=key, tables=tables, config=run_config, checked=False))
    return asked or dg.SkipReason("; ".join(reasons))


def _today(context: dg.ScheduleEvaluationContext, db: Database, config: Settings, broker: str) -> Due | NotDue:
    if not tells_of_today(config, broker):
        return NotDue("tells nothing of today, because IB_TWS_HOST is not set")
    due = during_sessions(_in_use(TimetableRepository(db), broker, _at(context).date()), _at(context))
    if isinstance(due, Due) and (found := load_of_broker(context.instance, broker)):
        return NotDue(f"another load is still going on: {found}")
    return due


def _raw_of_today(broker: str) -> set[str]:
    return {table for step, tables in STEPS[broker].items() if step != CASH_STEP for table in tables}


@schedule(
    cron_schedule=cron_of(plan_of(settings.load()).pipeline),
    job=snapshot_job,
    execution_timezone="UTC",
    default_status=STATUS,
)
def snapshots_every_few_minutes(context: dg.ScheduleEvaluationContext, storage: Storage) -> Asked:
    """On trading days, around the clock, as often as `snapshots.interval_seconds` says: every five minutes."""
    config, at = settings.load(), _at(context)
    if not plan_of(config).enabled:
        return dg.SkipReason("snapshots.enabled is false")
    with storage.open() as db:
        repository = TimetableRepository(db)
        used = {market for one in config.brokers for market in repository.markets_of(Broker.named(one))}
        closed = any_session([repository.calendar(market, at.date()) for market in sorted(used)], at)
    if closed:
        return dg.SkipReason(closed.reason)
    if found := run_of_schedule(context.instance, "snapshots_every_few_minutes"):
        return dg.SkipReason(f"the capture before is still going on: {found}")
    return [dg.RunRequest(run_key=f"{at:%Y-%m-%dT%H:%MZ}")]


@schedule(cron_schedule="45 */2 * * *", job=daily_job, execution_timezone="UTC", default_status=STATUS)
def catch_up(context: dg.ScheduleEvaluationContext, storage: Storage) -> Asked:
    """Every two hours: sessions that the table of loads lacks, from the oldest on; of an empty one, the look-back."""
    asked: list[dg.RunRequest] = []
    reasons: list[str] = []
    with storage.open() as db:
        for broker in settings.load().brokers:
            found = _lacking(context, db, broker)
            if isinstance(found, dg.RunRequest):
                asked.append(found)
            else:
                reasons.append(f"{broker}: {found}")
    return asked or dg.SkipReason("; ".join(reasons))


def _lacking(context: dg.ScheduleEvaluationContext, db: Database, broker: str) -> dg.RunRequest | str:
    """The load of what is missing of a broker, or why there is none."""
    at = _at(context)
    missing = _missing(TimetableRepository(db), broker, at)
    if not missing:
        return "every session is loaded"
    if under_way := load_of_broker(context.instance, broker):
        return f"{len(missing)} sessions are missing, and a load is going on: {under_way}"
    what = f"{broker} {missing[0]}..{missing[-1]} on {_hong_kong(at)}"
    tried = context.instance.get_runs_count(dg.RunsFilter(tags={CATCH_UP_TAG: what}))
    if tried >= ATTEMPTS:
        return (
            f"{missing[0]}..{missing[-1]} was tried {tried} times today without success: see the runs, and apex status"
        )
    return _request(
        broker,
        (missing[0], _hong_kong(at)),
        key=f"{at:%Y-%m-%dT%H:%MZ}",
        tables={*RAW_TABLES[broker], *_derived(*MARKET, *DERIVED)},
        tags={CATCH_UP_TAG: what},
    )


def _missing(repository: TimetableRepository, broker: str, at: datetime) -> list[date]:
    """Sessions since the beginning of the look-back that are not loaded; all of its days where nothing ever was."""
    config, today = settings.load(), _hong_kong(at)
    first = max(today - timedelta(days=config.lookback_days - 1), config.history_start)
    (port,) = [one for one in normalizing_ports() if one.name == Broker.named(broker)]
    told = repository.told(port.name, port.covering_data_types, first, today)
    if not told:
        return [first, today]
    markets = _in_use(repository, broker, first, today)
    return missing_sessions(markets, told, at, by_statement=broker == "ib")


@schedule(cron_schedule="0 11 * * 0", job=daily_job, execution_timezone=TIMEZONE, default_status=STATUS)
def weekly_reread(context: dg.ScheduleEvaluationContext) -> Asked:
    """Every Sunday in Hong Kong: the last 90 days once more, whatever was loaded, and everything that follows."""
    today = _hong_kong(_at(context))
    days = today - timedelta(days=TRAILING_DAYS - 1), today
    asked: list[dg.RunRequest] = []
    reasons: list[str] = []
    for broker in settings.load().brokers:
        if found := load_of_broker(context.instance, broker):
            reasons.append(f"{broker}: another load is still going on: {found}")
            continue
        # cash is told by the day and never changes once its day is over: it is not asked again
        config = {"ops": {main_step(broker): {"config": {"force": True}}}}
        tables = {*RAW_TABLES[broker], *_derived(*DERIVED)}
        asked.append(_request(broker, days, key=f"reread {today}", tables=tables, config=config))
    return asked or dg.SkipReason("; ".join(reasons) or "no broker is configured")


@schedule(cron_schedule="0 15 2 * *", job=derive_job, execution_timezone=TIMEZONE, default_status=STATUS)
def monthly_reconciliation(context: dg.ScheduleEvaluationContext, storage: Storage) -> Asked:
    """On the second of each month: every check on every day that was ever loaded, a run for each year."""
    with storage.open() as db:
        span = TimetableRepository(db).loaded()
    if span is None:
        return dg.SkipReason("nothing was ever loaded")
    if found := run_of_schedule(context.instance, "monthly_reconciliation"):
        return dg.SkipReason(f"the one before is still going on: {found}")
    at = _at(context)
    first, last = max(span[0], settings.load().history_start), min(span[1], _hong_kong(at))
    years = [(max(first, date(y, 1, 1)), min(last, date(y, 12, 31))) for y in range(first.year, last.year + 1)]
    month = f"{_hong_kong(at):%Y-%m}"
    return [
        dg.RunRequest(
            run_key=f"{month} {since.year}",
            tags={RANGE_START: since.isoformat(), RANGE_END: until.isoformat()},
            asset_selection=_keys(RECONCILIATION_TABLES),
            asset_check_keys=list(checks.check_keys),
        )
        for since, until in years
    ]


@schedule(cron_schedule="20 6 * * *", job=maintenance_job, execution_timezone=TIMEZONE, default_status=STATUS)
def maintenance_daily(context: dg.ScheduleEvaluationContext) -> Asked:
    """Every morning in Hong Kong, after the loads of the night: what Dagster keeps of old runs is cut back."""
    if found := run_of_schedule(context.instance, "maintenance_daily"):
        return dg.SkipReason(f"the one before is still going on: {found}")
    return [dg.RunRequest(run_key=f"{_at(context):%Y-%m-%d}")]


AFTER_CLOSE = tuple(_after_close(market) for market in CALENDARS)
SCHEDULES = (
    *AFTER_CLOSE,
    ib_daily,
    during_sessions_every_quarter,
    snapshots_every_few_minutes,
    catch_up,
    weekly_reread,
    monthly_reconciliation,
    maintenance_daily,
)
