"""All settings: environment first, then `apex.yaml`, then defaults. The only reader of the environment.

`${NAME}` in the file reads the environment. Dagster's processes get the same settings through
`environment_of`, so that what a person configured once is what every process uses.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from apex_pipeline.errors import ConfigError

PROJECT_DIR = Path(__file__).resolve().parent.parent
CONFIG_FILE = "apex.yaml"
FLEX_URL = "https://ndcdyn.interactivebrokers.com/AccountManagement/FlexWebService"

_FILE_KEYS = {
    "home": "APEX_HOME",
    "brokers": "APEX_BROKERS",
    "history_start": "APEX_HISTORY_START",
    "database.url": "APEX_DATABASE_URL",
    "database.host": "APEX_DATABASE_HOST",
    "database.port": "APEX_DATABASE_PORT",
    "database.database": "APEX_DATABASE_NAME",
    "database.user": "APEX_DATABASE_USER",
    "database.password": "APEX_DATABASE_PASSWORD",
    "database.dagster_url": "APEX_DAGSTER_DATABASE_URL",
    "database.pool.min_connections": "APEX_POOL_MIN_CONNECTIONS",
    "database.pool.max_connections": "APEX_POOL_MAX_CONNECTIONS",
    "database.timescale.enabled": "APEX_TIMESCALE",
    "database.timescale.chunk_interval": "APEX_TIMESCALE_CHUNK_INTERVAL",
    "database.timescale.compression_after": "APEX_TIMESCALE_COMPRESSION_AFTER",
    "backfill.lookback_days": "APEX_LOOKBACK_DAYS",
    "futu.host": "FUTU_HOST",
    "futu.port": "FUTU_PORT",
    "futu.rsa_key_file": "FUTU_RSA_KEY_FILE",
    "futu.security_firms": "FUTU_SECURITY_FIRMS",
    "futu.acc_ids": "FUTU_ACC_IDS",
    "futu.requests_per_window": "FUTU_REQUESTS_PER_WINDOW",
    "futu.window_seconds": "FUTU_WINDOW_SECONDS",
    "futu.batch_fee_size": "FUTU_BATCH_FEE_SIZE",
    "ib.flex_url": "IB_FLEX_URL",
    "ib.flex_token": "IB_FLEX_TOKEN",
    "ib.flex_query_id": "IB_FLEX_QUERY_ID",
    "ib.requests_per_minute": "IB_FLEX_REQUESTS_PER_MINUTE",
    "ib.poll_seconds": "IB_FLEX_POLL_SECONDS",
    "ib.tws_host": "IB_TWS_HOST",
    "ib.tws_port": "IB_TWS_PORT",
    "ib.tws_client_id": "IB_TWS_CLIENT_ID",
    "display.timezone": "APEX_DISPLAY_TIMEZONE",
}
"""Keys of `apex.yaml` and the variable that means the same."""

_DEFAULTS = {
    "APEX_HOME": ".apex",
    "APEX_BROKERS": "futu,ib",
    "APEX_HISTORY_START": "2015-01-01",
    "APEX_LOOKBACK_DAYS": "365",
    "APEX_DATABASE_PORT": "5432",
    "APEX_DATABASE_NAME": "apex",
    "APEX_POOL_MIN_CONNECTIONS": "2",
    "APEX_POOL_MAX_CONNECTIONS": "10",
    "APEX_TIMESCALE": "auto",
    "APEX_TIMESCALE_CHUNK_INTERVAL": "1 month",
    "APEX_TIMESCALE_COMPRESSION_AFTER": "7 days",
    "FUTU_HOST": "127.0.0.1",
    "FUTU_PORT": "11111",
    "FUTU_REQUESTS_PER_WINDOW": "10",
    "FUTU_WINDOW_SECONDS": "30",
    "FUTU_BATCH_FEE_SIZE": "400",
    "IB_FLEX_URL": FLEX_URL,
    "IB_FLEX_REQUESTS_PER_MINUTE": "10",
    "IB_FLEX_POLL_SECONDS": "10",
    "IB_TWS_PORT": "4001",
    "IB_TWS_CLIENT_ID": "17",
    "APEX_DISPLAY_TIMEZONE": "Asia/Hong_Kong",
}


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
    machine or behind a tunnel; 4001 is the port of IB Gateway, 7496 that of TWS.
    """

    flex_url: str
    token: str | None
    query_id: str | None
    requests_per_minute: int
    poll_seconds: float
    tws_host: str | None = None
    tws_port: int = 4001
    tws_client_id: int = 17

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
class Settings:
    """Everything a run needs to know. `database_url` None means the embedded PostgreSQL."""

    home: Path
    database_url: str | None
    dagster_database_url: str | None
    brokers: tuple[str, ...]
    history_start: date
    lookback_days: int
    futu: FutuSettings
    ib: IbSettings
    display_timezone: ZoneInfo
    pool: PoolSettings = PoolSettings()
    timescale: TimescaleSettings = TimescaleSettings()


def load(environ: Mapping[str, str] | None = None, config_file: Path | None = None) -> Settings:
    """The settings in force; raises ConfigError naming the variable that is wrong."""
    env = os.environ if environ is None else environ
    values = {**_DEFAULTS, **_file_values(config_file or Path.cwd() / CONFIG_FILE, env)}
    values |= {name: env[name] for name in {*_FILE_KEYS.values()} if env.get(name)}
    return _parsed(values)


def environment_of(settings: Settings) -> dict[str, str]:
    """The variables that make another process see these settings."""
    futu, ib = settings.futu, settings.ib
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
        "APEX_DISPLAY_TIMEZONE": settings.display_timezone.key,
        "APEX_POOL_MIN_CONNECTIONS": str(settings.pool.min_connections),
        "APEX_POOL_MAX_CONNECTIONS": str(settings.pool.max_connections),
        "APEX_TIMESCALE": settings.timescale.enabled,
        "APEX_TIMESCALE_CHUNK_INTERVAL": settings.timescale.chunk_interval,
        "APEX_TIMESCALE_COMPRESSION_AFTER": settings.timescale.compression_after,
    }
    return {name: value for name, value in values.items() if value}


def export(settings: Settings) -> None:
    """Make this process and its children see these settings; what is unset is removed."""
    values = environment_of(settings)
    for name in _FILE_KEYS.values():
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


def _file_values(path: Path, env: Mapping[str, str]) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        document: Any = yaml.safe_load(path.read_text("utf-8")) or {}
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path.name} is not valid YAML{where}: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path.name} cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path.name} must hold keys and values")
    flat = _flattened(cast("dict[str, Any]", document))
    for key in flat:
        _require_known(path.name, key)
    return {_FILE_KEYS[key]: _expanded(path.name, str(value), env) for key, value in flat.items() if value is not None}


def _flattened(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in document.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat |= _flattened(cast("dict[str, Any]", value), f"{name}.")
        else:
            flat[name] = ",".join(map(str, cast("list[Any]", value))) if isinstance(value, list) else value
    return flat


def _require_known(file: str, key: str) -> None:
    if key not in _FILE_KEYS:
        nearest = get_close_matches(key, _FILE_KEYS, n=1, cutoff=0.0)[0]
        raise ConfigError(f"{file} has an unknown key {key!r}; the nearest known one is {nearest!r}")


def _expanded(file: str, text: str, env: Mapping[str, str]) -> str:
    def read(match: re.Match[str]) -> str:
        if match[1] not in env:
            raise ConfigError(f"{file} refers to ${{{match[1]}}}, which is not set in the environment")
        return env[match[1]]

    return re.sub(r"\$\{(\w+)\}", read, text)


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
        brokers=_brokers(values["APEX_BROKERS"]),
        history_start=_date(values, "APEX_HISTORY_START"),
        lookback_days=_whole(values, "APEX_LOOKBACK_DAYS"),
        futu=FutuSettings(
            host=values["FUTU_HOST"],
            port=_whole(values, "FUTU_PORT", most=65535),
            rsa_key_file=values.get("FUTU_RSA_KEY_FILE"),
            security_firms=_list(values.get("FUTU_SECURITY_FIRMS")),
            acc_ids=_list(values.get("FUTU_ACC_IDS")),
            requests_per_window=_whole(values, "FUTU_REQUESTS_PER_WINDOW"),
            window_seconds=_seconds(values, "FUTU_WINDOW_SECONDS"),
            batch_fee_size=_whole(values, "FUTU_BATCH_FEE_SIZE", most=400),
        ),
        ib=IbSettings(
            flex_url=values["IB_FLEX_URL"],
            token=values.get("IB_FLEX_TOKEN"),
            query_id=values.get("IB_FLEX_QUERY_ID"),
            requests_per_minute=_whole(values, "IB_FLEX_REQUESTS_PER_MINUTE"),
            poll_seconds=_seconds(values, "IB_FLEX_POLL_SECONDS"),
            tws_host=(values.get("IB_TWS_HOST") or "").strip() or None,
            tws_port=_whole(values, "IB_TWS_PORT", most=65535),
            tws_client_id=_whole(values, "IB_TWS_CLIENT_ID"),
        ),
        display_timezone=_zone(values["APEX_DISPLAY_TIMEZONE"]),
        pool=pool_settings(
            _whole(values, "APEX_POOL_MIN_CONNECTIONS"), _whole(values, "APEX_POOL_MAX_CONNECTIONS", most=1000)
        ),
        timescale=TimescaleSettings(
            _one_of(values, "APEX_TIMESCALE", ("auto", "true", "false")),
            values["APEX_TIMESCALE_CHUNK_INTERVAL"],
            values["APEX_TIMESCALE_COMPRESSION_AFTER"],
        ),
    )


def _list(text: str | None) -> tuple[str, ...]:
    return tuple(item.strip() for item in (text or "").split(",") if item.strip())


def _brokers(text: str) -> tuple[str, ...]:
    names = tuple(name.lower() for name in _list(text))
    if not names or set(names) - {"futu", "ib"}:
        raise ConfigError(f"APEX_BROKERS is {text!r}; it lists one or both of futu, ib")
    return names


def _whole(values: Mapping[str, str], name: str, most: int = 10**9) -> int:
    text = values[name]
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise ConfigError(
            f"{name} is {text!r}; it must be a whole number from 1{f' to {most}' if most < 10**9 else ''}"
        )
    return int(text)


def _one_of(values: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    text = values[name].lower()
    if text not in known:
        raise ConfigError(f"{name} is {values[name]!r}; it is one of {', '.join(known)}")
    return text


def _seconds(values: Mapping[str, str], name: str) -> float:
    try:
        seconds = float(values[name])
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 10**6:
        raise ConfigError(f"{name} is {values[name]!r}; it must be a number of seconds")
    return seconds


def _date(values: Mapping[str, str], name: str) -> date:
    try:
        return date.fromisoformat(values[name])
    except ValueError:
        raise ConfigError(f"{name} is {values[name]!r}; it must be a date like 2015-01-01") from None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigError(f"APEX_DISPLAY_TIMEZONE is {name!r}, which is no time zone name") from None
