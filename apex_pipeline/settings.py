"""All settings: environment first, then `apex.yaml`, then defaults. The only reader of the environment.

`${NAME}` in the file reads the environment. Dagster's processes get the same settings through
`environment_of`, so that what a person configured once is what every process uses.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from apex_pipeline.configuration.alerts import MailServer, addresses, mail_server, webhook_url
from apex_pipeline.configuration.file import file_values
from apex_pipeline.configuration.names import DEFAULTS, FILE_KEYS, RISK_LIMITS
from apex_pipeline.configuration.values import (
    boolean,
    brokers,
    day,
    form,
    interval,
    names_of,
    one_of,
    seconds,
    whole,
    zone,
)
from apex_pipeline.domain.risk_limits import RiskLimit, limits_text, risk_limits
from apex_pipeline.errors import ConfigError

PROJECT_DIR = Path(__file__).resolve().parent.parent
CONFIG_FILE = "apex.yaml"
COMPRESSION = "APEX_SNAPSHOTS_COMPRESSION_AFTER_DAYS"
EXPORTED = "APEX_SETTINGS_EXPORTED"
"""Set by `export`: the environment tells everything, and what it leaves out is unset, not to be found in the file."""

HONG_KONG = ZoneInfo("Asia/Hong_Kong")


@dataclass(frozen=True, slots=True)
class FutuSettings:
    """How to reach OpenD, and within which limits."""

    host: str
    port: int
    rsa_key_file: str | None
    security_firms: tuple[str, ...]
    acc_ids: tuple[str, ...]
    requests_per_window: int
    window_seconds: float
    batch_fee_size: int


@dataclass(frozen=True, slots=True)
class IbSettings:
    """How to reach the Flex Web Service, and within which limits. The token never shows in a repr.

    `tws_host` None: the TWS API is not used. It has no encryption and no password, so the gateway belongs on this
    machine or behind a tunnel; 4001 is the port of IB Gateway, 7496 that of TWS. It answers 60 requests for bars in
    `tws_window_seconds`, ten minutes at IB itself.
    """

    flex_url: str
    token: str | None
    query_id: str | None
    requests_per_minute: int
    poll_seconds: float
    tws_host: str | None = None
    tws_port: int = 4001
    tws_client_id: int = 17
    tws_window_seconds: float = 600

    def __repr__(self) -> str:
        tws = f"tws={self.tws_host}:{self.tws_port}" if self.tws_host else "tws=None"
        return f"IbSettings(flex_url={self.flex_url!r}, query_id={self.query_id!r}, token=<hidden>, {tws})"


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How many connections a process keeps open, and has open at most."""

    min_connections: int = 2
    max_connections: int = 10


@dataclass(frozen=True, slots=True)
class TimescaleSettings:
    """How TimescaleDB is used. `enabled`: auto (where the server has it), true or false; intervals as PostgreSQL reads.

    Nothing is used before `apex timescale enable`.
    """

    enabled: str = "auto"
    chunk_interval: str = "1 month"
    compression_after: str = "7 days"


@dataclass(frozen=True, slots=True)
class SnapshotSettings:
    """How often what is held is captured, and how long that is kept.

    `interval_seconds` is of captures that the pipeline makes from the brokers, the `…_interval_sec` of those that an
    engine makes with SnapshotService. Compression happens only where TimescaleDB is enabled; None: as bars are.
    """

    enabled: bool = True
    interval_seconds: float = 300.0
    position_interval_sec: float = 60.0
    account_interval_sec: float = 60.0
    risk_interval_sec: float = 60.0
    capture_on_shutdown: bool = True
    retention_days: int = 365
    compression_after_days: int | None = None


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Where and how often alerts are told; without a webhook or a mail server nobody is told. A repr shows no secret.

    `deadline_hours`: how long ago the newest day of an account may have been told, in hours of days on which a load
    is due.
    """

    webhook_url: str | None = None
    mail_server: MailServer | None = None
    mail_from: str | None = None
    mail_to: tuple[str, ...] = ()
    minutes_between: int = 10
    deadline_hours: int = 26

    def __repr__(self) -> str:
        webhook = "<hidden>" if self.webhook_url else None
        return f"AlertSettings(webhook_url={webhook}, mail_server={self.mail_server}, mail_to={len(self.mail_to)})"


class Executor(StrEnum):
    """Where the steps of a run are worked off: in its own process, by workers of Celery, or in jobs of Kubernetes."""

    IN_PROCESS = "in_process"
    CELERY = "celery"
    CELERY_K8S = "celery_k8s"


@dataclass(frozen=True, slots=True)
class ExecutionSettings:
    """Where steps are worked off, and how the workers of Celery are reached.

    The URLs may hold a password and never show in a repr. `celery_lease_seconds`: after how long without a sign of life
    of its worker a step is given to another one.
    """

    executor: Executor = Executor.IN_PROCESS
    celery_broker_url: str | None = None
    celery_result_url: str | None = None
    celery_lease_seconds: float = 60.0

    def __repr__(self) -> str:
        return f"ExecutionSettings(executor={self.executor.value!r}, celery_lease_seconds={self.celery_lease_seconds})"


@dataclass(frozen=True, slots=True)
class DisplaySettings:
    """How people read dates, times and instants: on the clock of `timezone`, in forms of `strftime`."""

    timezone: ZoneInfo = HONG_KONG
    date_format: str = "%Y-%m-%d"
    time_format: str = "%H:%M:%S"
    datetime_format: str = "%Y-%m-%d %H:%M:%S %Z"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a run needs to know. `database_url` None means the embedded PostgreSQL.

    `batch_size` is how many records of a broker are written at once. `schedules`: whether Dagster's schedules and
    sensors run without anybody having started them.
    """

    home: Path
    database_url: str | None
    dagster_database_url: str | None
    brokers: tuple[str, ...]
    history_start: date
    lookback_days: int
    futu: FutuSettings
    ib: IbSettings
    pool: PoolSettings = PoolSettings()
    timescale: TimescaleSettings = TimescaleSettings()
    batch_size: int = 2000
    schedules: bool = True
    snapshots: SnapshotSettings = SnapshotSettings()
    risk_limits: tuple[RiskLimit, ...] = ()
    display: DisplaySettings = DisplaySettings()
    alerts: AlertSettings = AlertSettings()
    execution: ExecutionSettings = ExecutionSettings()

    @property
    def display_timezone(self) -> ZoneInfo:
        """The clock of people."""
        return self.display.timezone


def load(environ: Mapping[str, str] | None = None, config_file: Path | None = None) -> Settings:
    """The settings in force; raises ConfigError naming the variable that is wrong.

    After `export` no file is read but the one that is told.
    """
    env = os.environ if environ is None else environ
    told = {name: env[name] for name in FILE_KEYS.values() if env.get(name)}
    file = config_file or (None if env.get(EXPORTED) else Path.cwd() / CONFIG_FILE)
    values = {**DEFAULTS, **(file_values(file, env) if file else {})}
    if "APEX_DATABASE_HOST" in told:  # a server of the environment is not the one whose URL the file tells
        values.pop("APEX_DATABASE_URL", None)
    values |= told
    return _parsed(values)


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that make another process see these settings, as long as no file tells it more."""
    futu, ib, execution = settings.futu, settings.ib, settings.execution
    values = {
        "APEX_HOME": str(settings.home),
        "APEX_DATABASE_URL": settings.database_url,
        "APEX_DAGSTER_DATABASE_URL": settings.dagster_database_url,
        "APEX_BROKERS": ",".join(settings.brokers),
        "APEX_HISTORY_START": settings.history_start.isoformat(),
        "APEX_LOOKBACK_DAYS": str(settings.lookback_days),
        "FUTU_HOST": futu.host,
        "FUTU_PORT": str(futu.port),
        "FUTU_RSA_KEY_FILE": futu.rsa_key_file,
        "FUTU_SECURITY_FIRMS": ",".join(futu.security_firms),
        "FUTU_ACC_IDS": ",".join(futu.acc_ids),
        "FUTU_REQUESTS_PER_WINDOW": str(futu.requests_per_window),
        "FUTU_WINDOW_SECONDS": str(futu.window_seconds),
        "FUTU_BATCH_FEE_SIZE": str(futu.batch_fee_size),
        "IB_FLEX_URL": ib.flex_url,
        "IB_FLEX_TOKEN": ib.token,
        "IB_FLEX_QUERY_ID": ib.query_id,
        "IB_FLEX_REQUESTS_PER_MINUTE": str(ib.requests_per_minute),
        "IB_FLEX_POLL_SECONDS": str(ib.poll_seconds),
        "IB_TWS_HOST": ib.tws_host,
        "IB_TWS_PORT": str(ib.tws_port),
        "IB_TWS_CLIENT_ID": str(ib.tws_client_id),
        "IB_TWS_WINDOW_SECONDS": str(ib.tws_window_seconds),
        "APEX_POOL_MIN_CONNECTIONS": str(settings.pool.min_connections),
        "APEX_POOL_MAX_CONNECTIONS": str(settings.pool.max_connections),
        "APEX_TIMESCALE": settings.timescale.enabled,
        "APEX_TIMESCALE_CHUNK_INTERVAL": settings.timescale.chunk_interval,
        "APEX_TIMESCALE_COMPRESSION_AFTER": settings.timescale.compression_after,
        "APEX_BATCH_SIZE": str(settings.batch_size),
        "APEX_SCHEDULES_ENABLED": str(settings.schedules).lower(),
        RISK_LIMITS: limits_text(settings.risk_limits),
        "APEX_EXECUTOR": execution.executor.value,
        "APEX_CELERY_BROKER_URL": execution.celery_broker_url,
        "APEX_CELERY_RESULT_URL": execution.celery_result_url,
        "APEX_CELERY_LEASE_SECONDS": str(execution.celery_lease_seconds),
        **_variables("APEX_SNAPSHOTS_", settings.snapshots),
        **_variables("APEX_DISPLAY_", settings.display),
        **_alert_variables(settings.alerts),
    }
    return {name: value for name, value in values.items() if value}


def _variables(prefix: str, told: SnapshotSettings | DisplaySettings) -> dict[str, str]:
    values = {name: getattr(told, name) for name in (field.name for field in fields(told))}
    return {
        f"{prefix}{name.upper()}": str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if value is not None
    }


def _alert_variables(told: AlertSettings) -> dict[str, str | None]:
    server = told.mail_server
    return {
        "APEX_ALERT_WEBHOOK_URL": told.webhook_url,
        "APEX_ALERT_SMTP_URL": server.url if server else None,
        "APEX_ALERT_SMTP_PASSWORD": server.password if server else None,
        "APEX_ALERT_MAIL_FROM": told.mail_from,
        "APEX_ALERT_MAIL_TO": ",".join(told.mail_to),
        "APEX_ALERT_MINUTES_BETWEEN": str(told.minutes_between),
        "APEX_ALERT_DEADLINE_HOURS": str(told.deadline_hours),
    }


def export_celery(execution: ExecutionSettings) -> None:
    """Make this process and its children see where Celery is, whether the environment or a file tells it."""
    urls = {
        "APEX_CELERY_BROKER_URL": execution.celery_broker_url,
        "APEX_CELERY_RESULT_URL": execution.celery_result_url,
    }
    os.environ.update({name: url for name, url in urls.items() if url})


def export(settings: Settings) -> None:
    """Make this process and its children see these settings; what is unset is removed, whatever file lies about."""
    values = environment_of(settings)
    os.environ[EXPORTED] = "true"
    for name in FILE_KEYS.values():
        if name in values:
            os.environ[name] = values[name]
        else:
            os.environ.pop(name, None)


def sibling_database(url: str, name: str | None = None) -> str:
    """The URL of another database of the same server; without a name, `…_dagster`."""
    parts = urlsplit(url)
    own = parts.path.lstrip("/") or "postgres"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{name or f'{own}_dagster'}{query}"


def sqlalchemy_url(url: str) -> str:
    """The same URL for SQLAlchemy, whose bare `postgresql://` has meant psycopg 3 since 2.1."""
    return f"postgresql+psycopg2://{url.split('://', 1)[1]}"


def database_url(parts: Mapping[str, str]) -> str | None:
    """The URL that a server is reached by: `url`, or put together of host, port, database, user and password.

    None where neither a URL nor a host is told.
    """
    if parts.get("url") or not parts.get("host"):
        return parts.get("url")
    secret = f":{quote(parts['password'], safe='')}" if parts.get("password") else ""
    user = f"{quote(parts['user'], safe='')}{secret}@" if parts.get("user") else ""
    is_folder = parts["host"].startswith("/")
    host, socket = ("", f"?host={quote(parts['host'], safe='')}") if is_folder else (parts["host"], "")
    port = f":{parts['port']}" if parts.get("port") and not is_folder else ""
    socket += f"&port={parts['port']}" if parts.get("port") and is_folder else ""
    return f"postgresql://{user}{host}{port}/{quote(parts.get('database') or 'apex', safe='')}{socket}"


def _database_url(values: Mapping[str, str]) -> str | None:
    names = {"url": "URL", "host": "HOST", "port": "PORT", "database": "NAME", "user": "USER", "password": "PASSWORD"}
    return database_url({part: values.get(f"APEX_DATABASE_{name}", "") for part, name in names.items()}) or None


def pool_settings(least: int, most: int) -> PoolSettings:
    """The bounds of a pool; ConfigError where the lower one is above the upper one."""
    if not 0 <= least <= most or most < 1:
        raise ConfigError(f"a pool of {least} to {most} connections cannot be: see min_connections")
    return PoolSettings(least, most)


def _parsed(values: Mapping[str, str]) -> Settings:
    return Settings(
        home=Path(values["APEX_HOME"]).expanduser().resolve(),
        database_url=_database_url(values),
        dagster_database_url=values.get("APEX_DAGSTER_DATABASE_URL"),
        brokers=brokers(values, "APEX_BROKERS"),
        history_start=day(values, "APEX_HISTORY_START"),
        lookback_days=whole(values, "APEX_LOOKBACK_DAYS"),
        futu=_futu(values),
        ib=_ib(values),
        pool=pool_settings(
            whole(values, "APEX_POOL_MIN_CONNECTIONS", least=0), whole(values, "APEX_POOL_MAX_CONNECTIONS", most=1000)
        ),
        timescale=TimescaleSettings(
            one_of(values, "APEX_TIMESCALE", ("auto", "true", "false")),
            interval(values, "APEX_TIMESCALE_CHUNK_INTERVAL"),
            interval(values, "APEX_TIMESCALE_COMPRESSION_AFTER"),
        ),
        batch_size=whole(values, "APEX_BATCH_SIZE", most=100_000),
        schedules=boolean(values, "APEX_SCHEDULES_ENABLED"),
        snapshots=_snapshots(values),
        risk_limits=risk_limits(values.get(RISK_LIMITS, "")),
        display=DisplaySettings(
            zone(values, "APEX_DISPLAY_TIMEZONE"),
            form(values, "APEX_DISPLAY_DATE_FORMAT", dates=True, times=False),
            form(values, "APEX_DISPLAY_TIME_FORMAT", dates=False, times=True),
            form(values, "APEX_DISPLAY_DATETIME_FORMAT", dates=True, times=True),
        ),
        alerts=_alerts(values),
        execution=_execution(values),
    )


def _alerts(values: Mapping[str, str]) -> AlertSettings:
    server = mail_server(values, "APEX_ALERT_SMTP_URL", "APEX_ALERT_SMTP_PASSWORD")
    senders, readers = addresses(values, "APEX_ALERT_MAIL_FROM"), addresses(values, "APEX_ALERT_MAIL_TO")
    if len(senders) > 1:
        raise ConfigError("APEX_ALERT_MAIL_FROM is one address")
    if server and not (senders and readers):
        raise ConfigError("APEX_ALERT_SMTP_URL needs APEX_ALERT_MAIL_FROM and APEX_ALERT_MAIL_TO")
    return AlertSettings(
        webhook_url(values, "APEX_ALERT_WEBHOOK_URL"),
        server,
        senders[0] if senders else None,
        readers,
        whole(values, "APEX_ALERT_MINUTES_BETWEEN", most=1440),
        whole(values, "APEX_ALERT_DEADLINE_HOURS", most=1000),
    )


def _futu(values: Mapping[str, str]) -> FutuSettings:
    return FutuSettings(
        host=values["FUTU_HOST"],
        port=whole(values, "FUTU_PORT", most=65535),
        rsa_key_file=values.get("FUTU_RSA_KEY_FILE"),
        security_firms=names_of(values.get("FUTU_SECURITY_FIRMS")),
        acc_ids=names_of(values.get("FUTU_ACC_IDS")),
        requests_per_window=whole(values, "FUTU_REQUESTS_PER_WINDOW"),
        window_seconds=seconds(values, "FUTU_WINDOW_SECONDS"),
        batch_fee_size=whole(values, "FUTU_BATCH_FEE_SIZE", most=400),
    )


def _ib(values: Mapping[str, str]) -> IbSettings:
    return IbSettings(
        flex_url=values["IB_FLEX_URL"],
        token=values.get("IB_FLEX_TOKEN"),
        query_id=values.get("IB_FLEX_QUERY_ID"),
        requests_per_minute=whole(values, "IB_FLEX_REQUESTS_PER_MINUTE"),
        poll_seconds=seconds(values, "IB_FLEX_POLL_SECONDS"),
        tws_host=(values.get("IB_TWS_HOST") or "").strip() or None,
        tws_port=whole(values, "IB_TWS_PORT", most=65535),
        tws_client_id=whole(values, "IB_TWS_CLIENT_ID"),
        tws_window_seconds=seconds(values, "IB_TWS_WINDOW_SECONDS"),
    )


def _snapshots(values: Mapping[str, str]) -> SnapshotSettings:
    return SnapshotSettings(
        enabled=boolean(values, "APEX_SNAPSHOTS_ENABLED"),
        interval_seconds=seconds(values, "APEX_SNAPSHOTS_INTERVAL_SECONDS"),
        position_interval_sec=seconds(values, "APEX_SNAPSHOTS_POSITION_INTERVAL_SEC"),
        account_interval_sec=seconds(values, "APEX_SNAPSHOTS_ACCOUNT_INTERVAL_SEC"),
        risk_interval_sec=seconds(values, "APEX_SNAPSHOTS_RISK_INTERVAL_SEC"),
        capture_on_shutdown=boolean(values, "APEX_SNAPSHOTS_CAPTURE_ON_SHUTDOWN"),
        retention_days=whole(values, "APEX_SNAPSHOTS_RETENTION_DAYS", most=36_500),
        compression_after_days=whole(values, COMPRESSION, most=36_500) if values.get(COMPRESSION) else None,
    )


def _execution(values: Mapping[str, str]) -> ExecutionSettings:
    executor = Executor(one_of(values, "APEX_EXECUTOR", tuple(Executor)))
    broker = values.get("APEX_CELERY_BROKER_URL")
    if executor is Executor.CELERY and not broker:
        raise ConfigError("APEX_EXECUTOR=celery needs APEX_CELERY_BROKER_URL, such as redis://127.0.0.1:6379/0")
    return ExecutionSettings(
        executor=executor,
        celery_broker_url=broker,
        celery_result_url=values.get("APEX_CELERY_RESULT_URL") or broker,
        celery_lease_seconds=seconds(values, "APEX_CELERY_LEASE_SECONDS"),
    )
