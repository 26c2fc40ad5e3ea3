"""Settings come from the environment, then `apex.yaml`, then defaults, and a wrong one is named."""

import os
from dataclasses import fields, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from apex_pipeline.configuration.alerts import MailServer
from apex_pipeline.configuration.names import DEFAULTS, FILE_KEYS
from apex_pipeline.domain.risk_limits import RiskLimit, RiskMetric
from apex_pipeline.errors import ConfigError
from apex_pipeline.settings import (
    AlertSettings,
    DisplaySettings,
    ExecutionSettings,
    Executor,
    PoolSettings,
    SnapshotSettings,
    TimescaleSettings,
    environment_of,
    export,
    load,
    sibling_database,
    sqlalchemy_url,
)

FULL = """
database: {url: "postgresql://u:p@h/d", pool: {min_connections: 3, max_connections: 30},
           timescale: {enabled: true, chunk_interval: 2 weeks, compression_after: 10 days}}
backfill: {lookback_days: 30, batch_size: 500}
futu: {security_firms: [FUTUSECURITIES], acc_ids: [00281756455981243107], window_seconds: 1.5, rsa_key_file: key.pem}
ib: {flex_token: t, flex_query_id: 4711, tws_host: 127.0.0.1, tws_port: 4002, tws_client_id: 3, tws_window_seconds: 60}
snapshots: {enabled: no, interval_seconds: 120, position_interval_sec: 0.5, account_interval_sec: 90,
            risk_interval_sec: 30, capture_on_shutdown: off, retention_days: 30, compression_after_days: 3}
risk:
  limits:
    drawdown: {warning: -0.10000000000000000001, breach: -0.2}
    gross_exposure: {warning: 1.5, breach: 2}
    cash_share: {warning: 0.1, breach: 0}
    margin_used: {breach: 0.9}
alerts: {webhook_url: "https://hooks.example.com/services/T/B/hush", smtp_password: hu/sh, minutes_between: 5,
         smtp_url: "smtps://me%40x:other@mail.example.com", mail_from: apex@example.com, deadline_hours: 30,
         mail_to: [me@example.com, you@example.com]}
execution: {executor: celery, celery_broker_url: "redis://:p@h/0", celery_result_url: "redis://:p@h/1",
            celery_lease_seconds: 30}
display: {timezone: America/New_York, date_format: "%d.%m.%Y", time_format: "%H:%M", datetime_format: "%d.%m.%y %H:%M"}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "apex.yaml"
    path.write_text(
        "brokers: [ib]\n"
        "history_start: 2019-07-01\n"
        "futu: {port: 22222, acc_ids: [281756455981243107, 3]}\n"
        "ib: {flex_token: '${VAULT_TOKEN}', poll_seconds: 2.5}\n"
    )
    return path


def test_the_environment_wins_over_the_file_and_the_file_over_the_defaults(file: Path) -> None:
    told = load({"FUTU_PORT": "33333", "VAULT_TOKEN": "hush"}, file)
    assert (told.futu.port, told.ib.token, told.ib.poll_seconds) == (33333, "hush", 2.5)
    assert (told.brokers, told.history_start) == (("ib",), date(2019, 7, 1))
    assert told.futu.acc_ids == ("281756455981243107", "3")
    assert told.futu.requests_per_window == 10
    assert load({"VAULT_TOKEN": "hush"}, file).futu.port == 22222


def test_an_empty_variable_is_an_unset_one(file: Path) -> None:
    assert load({"FUTU_PORT": "", "VAULT_TOKEN": "hush"}, file).futu.port == 22222


def test_another_process_sees_the_same_settings(file: Path, tmp_path: Path) -> None:
    told = load({"VAULT_TOKEN": "hush", "APEX_DATABASE_URL": "postgresql://u:p@h/d"}, file)
    assert load(environment_of(told), tmp_path / "none.yaml") == told


@pytest.fixture
def full(tmp_path: Path) -> Path:
    path = tmp_path / "full.yaml"
    path.write_text(FULL)
    return path


def test_everything_a_file_tells_is_read_by_its_text(full: Path) -> None:
    told = load({}, full)
    assert told.pool == PoolSettings(3, 30)
    assert told.timescale == TimescaleSettings("true", "2 weeks", "10 days")
    assert (told.lookback_days, told.batch_size) == (30, 500)
    assert told.futu.acc_ids == ("00281756455981243107",)
    assert told.snapshots == SnapshotSettings(
        enabled=False,
        interval_seconds=120,
        position_interval_sec=0.5,
        account_interval_sec=90,
        risk_interval_sec=30,
        capture_on_shutdown=False,
        retention_days=30,
        compression_after_days=3,
    )
    assert told.risk_limits == (
        RiskLimit(RiskMetric.GROSS_EXPOSURE, Decimal("1.5"), Decimal(2)),
        RiskLimit(RiskMetric.MARGIN_USED, None, Decimal("0.9")),
        RiskLimit(RiskMetric.CASH_SHARE, Decimal("0.1"), Decimal(0)),
        RiskLimit(RiskMetric.DRAWDOWN, Decimal("0.10000000000000000001"), Decimal("0.2")),
    )
    assert told.execution == ExecutionSettings(Executor.CELERY, "redis://:p@h/0", "redis://:p@h/1", 30)
    assert told.display == DisplaySettings(ZoneInfo("America/New_York"), "%d.%m.%Y", "%H:%M", "%d.%m.%y %H:%M")


def test_alerts_are_read_and_their_secrets_never_shown(full: Path, tmp_path: Path) -> None:
    told = load({}, full).alerts
    assert told.mail_server == MailServer("mail.example.com", 465, tls_first=True, user="me@x", password="hu/sh")
    assert (told.mail_to, told.minutes_between, told.deadline_hours) == (("me@example.com", "you@example.com"), 5, 30)
    plain = load({"APEX_ALERT_SMTP_PASSWORD": "as it is: %2F"}, full).alerts.mail_server
    assert plain == MailServer("mail.example.com", 465, tls_first=True, user="me@x", password="as it is: %2F")
    assert "hush" not in repr(load({}, full))
    assert "hu/sh" not in repr(load({}, full))
    assert load({}, tmp_path / "none.yaml").alerts == AlertSettings()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"APEX_ALERT_WEBHOOK_URL": "http://hooks.example.com/canary"}, "APEX_ALERT_WEBHOOK_URL is http"),
        ({"APEX_ALERT_WEBHOOK_URL": "ftp://hooks.example.com/canary"}, "APEX_ALERT_WEBHOOK_URL must be the https"),
        ({"APEX_ALERT_WEBHOOK_URL": "https://me:canary@hooks.example.com/"}, "must not hold a login"),
        ({"APEX_ALERT_WEBHOOK_URL": "https://[canary/"}, "APEX_ALERT_WEBHOOK_URL cannot be read"),
        ({"APEX_ALERT_WEBHOOK_URL": "https://x:canary/"}, "APEX_ALERT_WEBHOOK_URL cannot be read"),
        ({"APEX_ALERT_WEBHOOK_URL": "https://x/a canary"}, "APEX_ALERT_WEBHOOK_URL must be the https"),
        ({"APEX_ALERT_SMTP_URL": "http://u:canary@mail"}, "APEX_ALERT_SMTP_URL must be smtp://"),
        ({"APEX_ALERT_SMTP_URL": "smtp://canary@mail"}, "names a user without a password"),
        ({"APEX_ALERT_SMTP_URL": "smtp://u:canary@mail"}, "needs APEX_ALERT_MAIL_FROM and APEX_ALERT_MAIL_TO"),
        ({"APEX_ALERT_MAIL_TO": "nobody"}, "holds 'nobody', which is no address"),
        ({"APEX_ALERT_MAIL_TO": "a@b\r\nBcc: c@d"}, "which is no address"),
        ({"APEX_ALERT_MAIL_FROM": "a@b,c@d"}, "APEX_ALERT_MAIL_FROM is one address"),
        ({"APEX_ALERT_MINUTES_BETWEEN": "0"}, "APEX_ALERT_MINUTES_BETWEEN is '0'"),
        ({"APEX_ALERT_DEADLINE_HOURS": "soon"}, "APEX_ALERT_DEADLINE_HOURS is 'soon'"),
    ],
)
def test_alerts_that_cannot_be_meant_are_refused_without_showing_them(
    variables: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(variables, tmp_path / "none.yaml")
    assert message in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.9.9.9"])
def test_http_is_for_this_machine_only(host: str, tmp_path: Path) -> None:
    url = f"http://{host}:8065/hooks/x"
    assert load({"APEX_ALERT_WEBHOOK_URL": url}, tmp_path / "none.yaml").alerts.webhook_url == url
    with pytest.raises(ConfigError):
        load({"APEX_ALERT_WEBHOOK_URL": f"http://{host.strip('[]')}.example.com/x"}, tmp_path / "none.yaml")


def test_another_process_sees_every_setting_of_a_full_file(full: Path, tmp_path: Path) -> None:
    told = load({}, full)
    assert load(environment_of(told), tmp_path / "none.yaml") == told
    bare = replace(told, risk_limits=(), pool=PoolSettings(0, 1))
    assert load(environment_of(bare), tmp_path / "none.yaml") == bare


def test_what_was_exported_is_not_filled_up_from_a_file_that_lies_about(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"IB_FLEX_TOKEN": "of the shell"})
    monkeypatch.chdir(tmp_path)
    full.rename("apex.yaml")
    assert load().futu.rsa_key_file == "key.pem"  # the control
    other = tmp_path / "other.yaml"
    other.write_text("futu: {host: 127.0.0.2}\nib: {flex_token: }")
    told = replace(load({}, other), database_url="postgresql://u:p@h/other")
    export(told)
    assert (told.futu.acc_ids, told.ib.token, told.ib.tws_host, told.risk_limits) == ((), None, None, ())
    assert load() == told
    assert load(config_file=Path("apex.yaml")).futu.rsa_key_file == "key.pem"  # a file that is told is read


def test_what_is_not_told_is_as_the_documents_say(tmp_path: Path) -> None:
    told = load({}, tmp_path / "none.yaml")
    assert (told.snapshots, told.display, told.pool) == (SnapshotSettings(), DisplaySettings(), PoolSettings())
    assert (told.timescale, told.risk_limits, told.batch_size) == (TimescaleSettings(), (), 2000)


def test_every_setting_travels_and_every_default_belongs_to_a_key(full: Path) -> None:
    told = environment_of(load({"APEX_DAGSTER_DATABASE_URL": "postgresql://u:p@h/dd"}, full))
    parts = {name for name in FILE_KEYS.values() if name.startswith("APEX_DATABASE_")} - {"APEX_DATABASE_URL"}
    assert set(told) == set(FILE_KEYS.values()) - parts
    assert set(FILE_KEYS.values()) >= set(DEFAULTS)
    keys = {key.removeprefix("snapshots.") for key in FILE_KEYS if key.startswith("snapshots.")}
    assert keys == {field.name for field in fields(SnapshotSettings)}


def test_limits_of_the_environment_replace_those_of_the_file(full: Path) -> None:
    told = load({"APEX_RISK_LIMITS": " net_exposure = 1 : 1.5 , drawdown=:0.3"}, full).risk_limits
    assert [str(limit) for limit in told] == ["net_exposure=1:1.5", "drawdown=:0.3"]


def test_a_server_of_the_environment_is_not_overruled_by_a_url_of_the_file(full: Path) -> None:
    assert load({"APEX_DATABASE_HOST": "there", "APEX_DATABASE_USER": "me"}, full).database_url == (
        "postgresql://me@there:5432/apex"
    )
    assert load({"APEX_DATABASE_PORT": "6000"}, full).database_url == "postgresql://u:p@h/d"


def test_a_section_of_which_everything_is_commented_out_tells_nothing(tmp_path: Path) -> None:
    told = tmp_path / "apex.yaml"
    told.write_text("database:\n  pool:\n  # url: x\nrisk:\nfutu:\n  # port: 1\n")
    assert load({}, told) == load({}, tmp_path / "none.yaml")
    told.write_text("data:\n")
    with pytest.raises(ConfigError, match="unknown key 'data'"):
        load({}, told)


def test_the_token_is_in_no_repr(file: Path) -> None:
    assert "hush" not in repr(load({"VAULT_TOKEN": "hush"}, file))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APEX_BROKERS", "futu,robinhood"),
        ("APEX_HISTORY_START", "last year"),
        ("FUTU_PORT", "70000"),
        ("FUTU_BATCH_FEE_SIZE", "401"),
        ("FUTU_WINDOW_SECONDS", "0"),
        ("IB_FLEX_REQUESTS_PER_MINUTE", "1.5"),
        ("APEX_DISPLAY_TIMEZONE", "Mars/Olympus"),
        ("APEX_DISPLAY_DATE_FORMAT", "%H:%M"),
        ("APEX_DISPLAY_TIME_FORMAT", "%Y"),
        ("APEX_DISPLAY_DATETIME_FORMAT", "%Q"),
        ("APEX_DISPLAY_DATETIME_FORMAT", "no form"),
        ("APEX_DISPLAY_DATETIME_FORMAT", "%Y %"),
        ("APEX_BATCH_SIZE", "0"),
        ("APEX_POOL_MIN_CONNECTIONS", "-1"),
        ("APEX_TIMESCALE", "maybe"),
        ("APEX_TIMESCALE_CHUNK_INTERVAL", "a while"),
        ("APEX_SNAPSHOTS_ENABLED", "perhaps"),
        ("APEX_SNAPSHOTS_RISK_INTERVAL_SEC", "nan"),
        ("APEX_SNAPSHOTS_RETENTION_DAYS", "0"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_its_name(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{name} is '{value}'"):
        load({name: value}, tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("futu: {prot: 1}", "unknown key 'futu.prot'; the nearest known one is 'futu.port'"),
        ("futu: {host: '${NOBODY_SET_THIS}'}", r"\$\{NOBODY_SET_THIS\}, which is not set"),
        ("futu: [", "not valid YAML in line 1"),
        ("- futu", "must hold keys and values"),
        ("snapshots: {intervall: 5}", "unknown key 'snapshots.intervall'; the nearest known one is 'snapshots.interv"),
        ("backfill: {batchsize: 5}", "nearest known one is 'backfill.batch_size'"),
        ("risk: {limits: {gross: {breach: 2}}}", r"nearest known one is 'risk\.limits\.gross_exposure\.breach'"),
        ("risk: {limits: {drawdown: 0.2}}", r"unknown key 'risk\.limits\.drawdown'"),
        ("risk: {limits: {drawdown: {warning: 0.2, breach: 0.1}}}", "^the warning of drawdown, 0.2, is above its"),
        ("risk: {limits: {drawdown: {warning: -0.2, breach: -0.1}}}", "^the warning of drawdown, 0.2, is above its"),
        ("risk: {limits: {cash_share: {warning: 0, breach: 0.1}}}", "^the warning of cash_share, 0, is below its"),
        ("risk: {limits: {drawdown: {warning: low}}}", "^the warning of drawdown is 'low'; it must be a number above"),
        ("risk: {limits: {gross_exposure: {breach: -2}}}", "^the breach of gross_exposure is '-2'; it must be"),
        ("risk: {limits: {gross_exposure: {breach: .inf}}}", "^the breach of gross_exposure is '.inf'; it must be"),
        ("risk: {limits: 'drawdown=0.1'}", "^the limit 'drawdown=0.1' cannot be read"),
        ("risk: {limits: 'drawdown=:0.1,drawdown=:0.2'}", "^the limit of drawdown is told twice"),
        ("risk: {limits: 'drawdwn=:0.1'}", "^risk.limits has no metric 'drawdwn'; the nearest known one is 'drawdown'"),
        ("database: {pool: {min_connections: 5, max_connections: 2}}", "^a pool of 5 to 2 connections cannot be"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "apex.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load({}, path)


def test_the_databases_of_dagster_and_business_are_siblings() -> None:
    url = "postgresql://u@/apex?host=%2Ftmp%2Fs"
    assert sibling_database(url) == "postgresql://u@/apex_dagster?host=%2Ftmp%2Fs"
    assert sqlalchemy_url(url) == "postgresql+psycopg2://u@/apex?host=%2Ftmp%2Fs"


def test_celery_needs_a_broker_and_keeps_its_results_there_unless_told_otherwise(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="APEX_CELERY_BROKER_URL"):
        load({"APEX_EXECUTOR": "celery"}, tmp_path / "none.yaml")
    told = load({"APEX_EXECUTOR": "Celery", "APEX_CELERY_BROKER_URL": "redis://:hush@h/0"}, tmp_path / "none.yaml")
    assert told.execution.celery_result_url == "redis://:hush@h/0"
    assert "hush" not in repr(told.execution)
    assert load({}, tmp_path / "none.yaml").execution.executor is Executor.IN_PROCESS
    with pytest.raises(ConfigError, match="in_process, celery, celery_k8s"):
        load({"APEX_EXECUTOR": "threads"}, tmp_path / "none.yaml")
